//! The bounds of durations in settings.

use std::time::Duration;

use chrono::TimeDelta;

use super::ConfigError;

/// Checks the age of a rule, such as `expire_after`. `None` switches the rule off and is valid.
pub(crate) fn check_age(
    setting: &str,
    age: Option<Duration>,
) -> Result<Option<TimeDelta>, ConfigError> {
    age.map(|age| check_duration(setting, age)).transpose()
}

/// Checks a timeout or a target: not zero, at most `max`.
pub(crate) fn check_wait(setting: &str, wait: Duration, max: Duration) -> Result<(), ConfigError> {
    check_duration(setting, wait)?;
    at_most(setting, wait, max)
}

/// Checks a duration from [`MIN_DURATION`] to [`MAX_DURATION`].
pub(super) fn check_duration(setting: &str, span: Duration) -> Result<TimeDelta, ConfigError> {
    if span.is_zero() {
        return Err(ConfigError::new(
            setting,
            "is zero; give a time such as \"15m\", or leave an optional setting unset to switch it off",
        ));
    }
    if span < MIN_DURATION {
        return Err(ConfigError::new(
            setting,
            format!(
                "is {}; the minimum is 1ms",
                humantime::format_duration(span)
            ),
        ));
    }
    check_pause(setting, span)
}

/// Checks a duration that may be zero, up to [`MAX_DURATION`].
pub(super) fn check_pause(setting: &str, span: Duration) -> Result<TimeDelta, ConfigError> {
    at_most(setting, span, MAX_DURATION)?;
    Ok(TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX))
}

/// Checks that a duration is at most `max`.
pub(super) fn at_most(setting: &str, span: Duration, max: Duration) -> Result<(), ConfigError> {
    if span <= max {
        return Ok(());
    }
    let max = if max == MAX_DURATION {
        "100 years".to_owned()
    } else {
        humantime::format_duration(max).to_string()
    };
    Err(ConfigError::new(
        setting,
        format!(
            "is {}; the maximum is {max}",
            humantime::format_duration(span)
        ),
    ))
}

/// Timers count in milliseconds.
const MIN_DURATION: Duration = Duration::from_millis(1);

/// Adding this to a date, or subtracting it, stays within the calendar.
pub(crate) const MAX_DURATION: Duration = crate::time::span::MAX;

/// Maximum wait of a step for the database, and maximum pause between two batches.
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_age_is_none_or_at_least_a_millisecond() {
        let off = check_age("ages.idle_after", None);
        let right = check_age("ages.idle_after", Some(Duration::from_secs(15 * 60)));
        let zero = check_age("ages.idle_after", Some(Duration::ZERO));

        assert_eq!(off, Ok(None));
        assert_eq!(right, Ok(Some(TimeDelta::minutes(15))));
        assert_eq!(
            zero.map_err(|error| error.setting),
            Err("ages.idle_after".to_owned())
        );
    }

    proptest! {
        #[test]
        fn a_duration_is_valid_from_a_millisecond_to_a_century(
            span in prop_oneof![any::<Duration>(), near(), edge()],
        ) {
            let checked = check_duration("a", span);

            let right = span >= Duration::from_millis(1) && span <= Duration::from_secs(3_153_600_000);
            prop_assert_eq!(checked.is_ok(), right);
        }
    }

    fn near() -> impl Strategy<Value = Duration> {
        (0..2 * MAX_DURATION.as_secs(), 0..1_000_000_000_u32)
            .prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
    }

    fn edge() -> impl Strategy<Value = Duration> {
        let nano = Duration::from_nanos(1);
        prop::sample::select(vec![
            Duration::from_nanos(999_999),
            MIN_DURATION,
            MAX_DURATION,
            MAX_DURATION + nano,
        ])
    }
}
