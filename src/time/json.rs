//! Durations in JSON: each as text for people, and beside it in whole milliseconds for programs.
//!
//! A field of a duration takes the module of its name by `#[serde(flatten, with = "..")]`. Reading
//! takes the text, which is exact.

use std::time::Duration;

/// Makes a module for each name.
macro_rules! durations {
    ($($name:ident, $ms:ident: $duration:ty as $text:literal by $span:literal;)*) => {$(
        pub(crate) mod $name {
            use std::time::Duration;

            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            use super::Millis;

            /// The two members.
            #[derive(Serialize)]
            #[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
            pub(crate) struct Json {
                /// As text, such as `1m 30s`.
                #[serde(with = $span)]
                #[cfg_attr(feature = "web", schemars(with = $text))]
                $name: $duration,
                /// In milliseconds.
                $ms: <$duration as Millis>::Number,
            }

            #[derive(Deserialize)]
            struct Text {
                #[serde(with = $span)]
                $name: $duration,
            }

            pub(crate) fn serialize<S: Serializer>(
                duration: &$duration,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                let json = Json {
                    $name: *duration,
                    $ms: duration.millis(),
                };
                json.serialize(serializer)
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<$duration, D::Error> {
                Ok(Text::deserialize(deserializer)?.$name)
            }
        }
    )*};
}

durations! {
    by, by_ms: Duration as "String" by "crate::time::span";
    elapsed, elapsed_ms: Duration as "String" by "crate::time::span";
    silent_for, silent_for_ms: Duration as "String" by "crate::time::span";
    timeout, timeout_ms: Duration as "String" by "crate::time::span";
    step_timeout, step_timeout_ms: Duration as "String" by "crate::time::span";
    again_after, again_after_ms: Duration as "String" by "crate::time::span";
    oldest, oldest_ms: Option<Duration> as "Option<String>" by "crate::time::span::option";
    oldest_overdue, oldest_overdue_ms: Option<Duration> as "Option<String>" by "crate::time::span::option";
    next_due, next_due_ms: Option<Duration> as "Option<String>" by "crate::time::span::option";
    max_age, max_age_ms: Option<Duration> as "Option<String>" by "crate::time::span::option";
}

/// Whole milliseconds; those beyond `u64` saturate.
pub(crate) trait Millis {
    type Number;

    fn millis(self) -> Self::Number;
}

impl Millis for Duration {
    type Number = u64;

    fn millis(self) -> u64 {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Millis for Option<Duration> {
    type Number = Option<u64>;

    fn millis(self) -> Option<u64> {
        self.map(Duration::millis)
    }
}
