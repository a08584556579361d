//! The schedule of a job.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::config::cron::Cron;

/// The schedule of a job: at start, at ticks, and when the next row falls due. Each part can be
/// switched off; with all of them off, only messages start runs.
///
/// Ticks come at a fixed interval (`every`) or by a cron expression (`cron`). A job without due
/// rows runs at the start, at each tick, and, unless `at_deadline` is off, once per
/// [age](crate::job::Forecast::max_age) of its rule, for rows created since. An empty run is three
/// short transactions: the clock, one batch, the forecast. By default a job makes fewer than 300 of
/// them a day.
///
/// # Examples
///
/// ```
/// use ractor_housekeeper::config::{Cron, Schedule};
///
/// let nightly = Schedule {
///     at_start: false,
///     ..Schedule::cron(Cron::new("30 2 * * *").in_zone("Europe/Berlin"))
/// };
/// let cron = r#"{ "expression": "30 2 * * *", "zone": "Europe/Berlin" }"#;
/// let json = format!(r#"{{ "cron": {cron}, "at_start": false }}"#);
///
/// assert_eq!(serde_json::from_str::<Schedule>(&json)?, nightly);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "web", schemars(!from))]
#[serde(from = "ScheduleFields")]
pub struct Schedule {
    /// Time between two ticks. `None`: no ticks, or those of `cron`. Default: 15 minutes, or `None`
    /// in JSON that sets `cron` and leaves this out.
    #[serde(with = "crate::time::span::option")]
    #[cfg_attr(feature = "web", schemars(with = "Option<String>"))]
    pub every: Option<Duration>,
    /// Ticks by the wall clock of a time zone, instead of `every`. Needs the feature `cron`.
    /// Default: `None`.
    pub cron: Option<Cron>,
    /// Whether the job runs when the housekeeper starts. Default: yes.
    pub at_start: bool,
    /// Maximum random delay of the start, so that replicas started together do not run together.
    /// Ticks of `every` count from the delayed start; ticks of `cron` have the same delay. Default:
    /// 1 second.
    #[serde(with = "crate::time::span")]
    #[cfg_attr(feature = "web", schemars(with = "String"))]
    pub start_jitter: Duration,
    /// Whether the job runs when the next row falls due. Default: yes.
    pub at_deadline: bool,
    /// Minimum time between two deadline runs, and so the lateness of a row. Default: 1 second.
    #[serde(with = "crate::time::span")]
    #[cfg_attr(feature = "web", schemars(with = "String"))]
    pub min_interval: Duration,
}

impl Schedule {
    /// Creates a schedule with ticks by a cron expression, in UTC unless the [`Cron`] names a zone.
    /// The other fields have their defaults.
    #[must_use]
    pub fn cron(cron: impl Into<Cron>) -> Self {
        Self {
            every: None,
            cron: Some(cron.into()),
            ..Self::default()
        }
    }

    /// Returns whether the schedule has ticks.
    pub(crate) fn ticks(&self) -> bool {
        self.every.is_some() || self.cron.is_some()
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            every: Some(Duration::from_secs(15 * 60)),
            cron: None,
            at_start: true,
            start_jitter: Duration::from_secs(1),
            at_deadline: true,
            min_interval: Duration::from_secs(1),
        }
    }
}

/// The fields of a [`Schedule`] as serde reads them: the default of `every` depends on `cron`.
#[derive(Deserialize)]
#[serde(
    default = "ScheduleFields::left_out",
    deny_unknown_fields,
    rename = "Schedule"
)]
struct ScheduleFields {
    #[serde(deserialize_with = "given")]
    every: Every,
    cron: Option<Cron>,
    at_start: bool,
    #[serde(with = "crate::time::span")]
    start_jitter: Duration,
    at_deadline: bool,
    #[serde(with = "crate::time::span")]
    min_interval: Duration,
}

enum Every {
    LeftOut,
    Given(Option<Duration>),
}

impl ScheduleFields {
    fn left_out() -> Self {
        let Schedule {
            every: _,
            cron,
            at_start,
            start_jitter,
            at_deadline,
            min_interval,
        } = Schedule::default();
        Self {
            every: Every::LeftOut,
            cron,
            at_start,
            start_jitter,
            at_deadline,
            min_interval,
        }
    }
}

impl From<ScheduleFields> for Schedule {
    fn from(fields: ScheduleFields) -> Self {
        let ScheduleFields {
            every,
            cron,
            at_start,
            start_jitter,
            at_deadline,
            min_interval,
        } = fields;
        Self {
            every: match every {
                Every::Given(every) => every,
                Every::LeftOut => Self::default().every.filter(|_| cron.is_none()),
            },
            cron,
            at_start,
            start_jitter,
            at_deadline,
            min_interval,
        }
    }
}

fn given<'de, D: Deserializer<'de>>(source: D) -> Result<Every, D::Error> {
    crate::time::span::option::deserialize(source).map(Every::Given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cron_replaces_the_ticks_that_json_leaves_out() {
        let table = [
            ("{}", Schedule::default()),
            (r#"{"cron":null}"#, Schedule::default()),
            (
                r#"{"cron":{"expression":"0 3 * * *"}}"#,
                Schedule::cron("0 3 * * *"),
            ),
            (
                r#"{"every":null,"cron":{"expression":"0 3 * * *","zone":"UTC"}}"#,
                Schedule::cron("0 3 * * *"),
            ),
            (
                // The check rejects it later.
                r#"{"every":"15m","cron":{"expression":"0 3 * * *"}}"#,
                Schedule {
                    every: Schedule::default().every,
                    ..Schedule::cron("0 3 * * *")
                },
            ),
            (
                r#"{"every":null}"#,
                Schedule {
                    every: None,
                    ..Schedule::default()
                },
            ),
        ];

        for (json, expected) in table {
            let read: Schedule = serde_json::from_str(json).expect(json);

            let written = serde_json::to_string(&read).expect("is plain data");
            assert_eq!(read, expected, "{json}");
            assert_eq!(
                serde_json::from_str::<Schedule>(&written).expect(&written),
                expected
            );
        }
    }

    #[test]
    fn what_ticks_is_told_from_what_does_not() {
        let none = Schedule {
            every: None,
            ..Schedule::default()
        };

        let ticks = [Schedule::default(), Schedule::cron("0 3 * * *"), none]
            .map(|schedule| schedule.ticks());

        assert_eq!(ticks, [true, true, false]);
    }
}
