//! A cron expression in a time zone.

use serde::{Deserialize, Serialize};

#[cfg(feature = "cron")]
mod calendar;
#[cfg(feature = "cron")]
mod fields;
#[cfg(not(feature = "cron"))]
mod without;

#[cfg(feature = "cron")]
pub(crate) use calendar::Calendar;
#[cfg(not(feature = "cron"))]
pub(crate) use without::Calendar;

/// A cron expression in a time zone. Needs the feature `cron`.
///
/// **The expression** has five fields: minute, hour, day of month, month, day of week. A sixth, in
/// front of them, is the second. A field is `*`, a value, a range `1-5`, a step `*/15` or `8-18/2`,
/// or a list of these. Months and days of the week have names, `JAN` or `MON`; Sunday is 0 and 7.
/// `L` is the last day of the month, `LW` its last weekday, `15W` the weekday nearest to the 15th
/// of the same month; `FRI#2` is the second Friday and `FRIL` the last. If both days are
/// restricted, either matches; a day such as `*/2` counts as restricted, unlike in cron(8).
/// `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly` are shorthands. An invalid expression
/// fails the start, as does one that never ticks, such as 30 February.
///
/// **Daylight saving.** A fixed time of day (one second, minute and hour: `30 2 * * *`) ticks once
/// a day: for a time in the skipped hour, at the first instant after it; in the repeated hour, the
/// first time. Any other expression (`*/15 * * * *`, `0 2,3 * * *`) follows the clock: it skips the
/// skipped hour and ticks twice in the repeated one.
///
/// **A corrected clock.** Ticks follow the clock. A clock set forward skips ticks; they merge into
/// one run and are counted, up to 1,000. A clock set back by less than three hours ticks again
/// after the last tick served, so that nothing runs twice; set back by more, it ticks as if for the
/// first time.
///
/// # Examples
///
/// ```
/// use ractor_housekeeper::config::Cron;
///
/// let nightly = Cron::new("30 2 * * *").in_zone("Europe/Berlin");
///
/// assert_eq!(nightly.to_string(), "30 2 * * * Europe/Berlin");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    expecting = "an expression and a zone, as in {\"expression\": \"30 2 * * *\", \"zone\": \"Europe/Berlin\"}"
)]
pub struct Cron {
    /// Five fields, or six with seconds.
    pub expression: String,
    /// An IANA name, such as `Europe/Berlin`. Default: `UTC`.
    #[serde(default = "utc")]
    pub zone: String,
}

impl Cron {
    /// Creates an expression in UTC.
    pub fn new(expression: impl Into<String>) -> Self {
        Self {
            expression: expression.into(),
            zone: utc(),
        }
    }

    /// Sets the time zone, an IANA name.
    #[must_use]
    pub fn in_zone(self, zone: impl Into<String>) -> Self {
        Self {
            zone: zone.into(),
            ..self
        }
    }
}

impl From<&str> for Cron {
    fn from(expression: &str) -> Self {
        Self::new(expression)
    }
}

impl std::fmt::Display for Cron {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.expression, self.zone)
    }
}

/// Why a [`Cron`] is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CronError {
    /// The invalid field; empty for the whole.
    pub(crate) field: &'static str,
    /// The problem, and a valid value.
    pub(crate) problem: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_displays_its_zone() {
        let nightly = Cron::new("30 2 * * *");

        assert_eq!(nightly.to_string(), "30 2 * * * UTC");
        assert_eq!(
            nightly.in_zone("Europe/Berlin").to_string(),
            "30 2 * * * Europe/Berlin"
        );
    }
}
