//! The ages at which the built-in jobs act.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_path_to_error::{Deserializer as Tracked, Track};

use crate::config::named;

/// The ages at which the built-in jobs act on a row.
///
/// An age of `None`, or `null` in JSON, disables the job. A missing field has its default, and an
/// unknown one is an error. Durations are text with units (`15m`, `1h 30m`) or ISO 8601 durations
/// (`PT15M`).
///
/// # Examples
///
/// ```
/// use ractor_housekeeper::booking::BookingPolicy;
///
/// let json = r#"{ "idle_after": "48h", "expire_after": null }"#;
/// let policy: BookingPolicy = serde_json::from_str(json)?;
///
/// assert_eq!(policy.idle_after.map(|age| age.as_secs()), Some(172_800));
/// assert_eq!(policy.expire_after, None);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BookingPolicy {
    /// Age at which an idle session is deleted. Default: 24 hours. Must be more than twice the
    /// activity throttle of the database, which is one hour unless the store's
    /// `set_activity_throttle` changes it.
    #[serde(with = "crate::time::span::option")]
    pub idle_after: Option<Duration>,
    /// Age at which a pending booking expires. Default: 15 minutes.
    #[serde(with = "crate::time::span::option")]
    pub expire_after: Option<Duration>,
}

impl Default for BookingPolicy {
    /// 24 hours and 15 minutes.
    fn default() -> Self {
        Self {
            idle_after: Some(Duration::from_secs(24 * 60 * 60)),
            expire_after: Some(Duration::from_secs(15 * 60)),
        }
    }
}

/// The fields of [`BookingPolicy`], as serde reads them.
#[derive(Deserialize)]
#[serde(
    default = "BookingPolicy::default",
    deny_unknown_fields,
    remote = "BookingPolicy"
)]
struct BookingPolicyFields {
    #[serde(with = "crate::time::span::option")]
    idle_after: Option<Duration>,
    #[serde(with = "crate::time::span::option")]
    expire_after: Option<Duration>,
}

impl<'de> Deserialize<'de> for BookingPolicy {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let mut track = Track::new();
        BookingPolicyFields::deserialize(Tracked::new(source, &mut track))
            .map_err(|error| named(track, error))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_defaults_are_a_day_and_a_quarter_of_an_hour() {
        let policy = BookingPolicy::default();

        assert_eq!(policy.idle_after, Some(Duration::from_secs(24 * 60 * 60)));
        assert_eq!(policy.expire_after, Some(Duration::from_secs(15 * 60)));
    }

    #[test]
    fn null_is_off_and_a_field_left_out_has_its_default() {
        let left_out: BookingPolicy = serde_json::from_str("{}").expect("is a policy");
        let off: BookingPolicy = serde_json::from_str(r#"{"idle_after":null,"expire_after":null}"#)
            .expect("is a policy");

        assert_eq!(left_out, BookingPolicy::default());
        assert_eq!((off.idle_after, off.expire_after), (None, None));
    }

    #[test]
    fn an_error_names_the_field_and_what_would_be_right() {
        let table = [
            (r#"{"idle_afer":"1h"}"#, "idle_afer: unknown field `"),
            (
                r#"{"expire_after":0}"#,
                "expire_after: invalid type: integer `0`, expected a time as text with its unit; write `15m`",
            ),
            (
                r#"{"expire_after":"15M"}"#,
                "expire_after: `15M` has the unit `M`, which may mean minutes or months",
            ),
        ];

        for (json, expected) in table {
            let error = serde_json::from_str::<BookingPolicy>(json).expect_err(json);

            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_policy_reads_back_as_it_was_written(
            idle_after in prop::option::of(age()),
            expire_after in prop::option::of(age()),
        ) {
            let policy = BookingPolicy { idle_after, expire_after };
            let json = serde_json::to_string(&policy).expect("is plain data");

            let read: BookingPolicy = serde_json::from_str(&json).expect("is a policy");

            prop_assert_eq!(read, policy);
        }
    }

    fn age() -> impl Strategy<Value = Duration> {
        (0..3_153_600_000_u64, 0..1_000_000_000_u32)
            .prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
    }
}
