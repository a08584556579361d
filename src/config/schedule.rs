//! When a job runs by itself, as it is written down.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::config::cron::Cron;

/// When a job runs by itself. Each part can be switched off; with all of them off, only messages
/// start runs.
///
/// It ticks either `every` so often or by `cron`. With nothing to do, a job runs at the start, at
/// each tick, and, unless `at_deadline` is off, once in the [age](crate::job::Forecast::max_age) of
/// its rule, for rows made since. A run of nothing is three short transactions: the clock, one
/// batch, the forecast. By default that is less than 300 a day for each job.
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
/// let written = r#"{ "cron": { "expression": "30 2 * * *", "zone": "Europe/Berlin" }, "at_start": false }"#;
///
/// assert_eq!(serde_json::from_str::<Schedule>(written)?, nightly);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ScheduleFields")]
pub struct Schedule {
    /// Time between two ticks. `None`: no ticks, or those of `cron`. Default: 15 minutes, or `None`
    /// where `cron` is written and this is not.
    #[serde(with = "crate::time::span::option")]
    pub every: Option<Duration>,
    /// Ticks by the wall clock of a zone, instead of `every`. Needs the feature `cron`. Default:
    /// `None`.
    pub cron: Option<Cron>,
    /// Whether it runs when the housekeeper starts. Default: yes.
    pub at_start: bool,
    /// The start is put off by up to this much, at random, so that replicas started together do not
    /// run together. Ticks `every` so often count from there; ticks by `cron` are all put off by as
    /// much as the start. Default: 1 second.
    #[serde(with = "crate::time::span")]
    pub start_jitter: Duration,
    /// Whether it runs when the next row falls due. Default: yes.
    pub at_deadline: bool,
    /// Deadline runs keep at least this distance, so a deadline is met to within it. Default: 1
    /// second.
    #[serde(with = "crate::time::span")]
    pub min_interval: Duration,
}

impl Schedule {
    /// Ticks by a cron expression, in UTC unless the [`Cron`] names a zone; the rest as in the
    /// default.
    #[must_use]
    pub fn cron(cron: impl Into<Cron>) -> Self {
        Self {
            every: None,
            cron: Some(cron.into()),
            ..Self::default()
        }
    }

    /// Whether it ticks at all.
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

/// The fields of a [`Schedule`], as serde reads them: it matters whether `every` was written.
#[derive(Deserialize)]
#[serde(
    default = "ScheduleFields::unsaved",
    deny_unknown_fields,
    rename = "Schedule"
)]
struct ScheduleFields {
    #[serde(deserialize_with = "written")]
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
    Unwritten,
    Written(Option<Duration>),
}

impl ScheduleFields {
    fn unsaved() -> Self {
        let Schedule {
            every: _,
            cron,
            at_start,
            start_jitter,
            at_deadline,
            min_interval,
        } = Schedule::default();
        Self {
            every: Every::Unwritten,
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
                Every::Written(every) => every,
                Every::Unwritten => Self::default().every.filter(|_| cron.is_none()),
            },
            cron,
            at_start,
            start_jitter,
            at_deadline,
            min_interval,
        }
    }
}

fn written<'de, D: Deserializer<'de>>(source: D) -> Result<Every, D::Error> {
    crate::time::span::option::deserialize(source).map(Every::Written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cron_that_is_written_replaces_the_ticks_that_are_not() {
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
                // Refused later, with a sentence.
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
