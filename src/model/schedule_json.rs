//! A schedule in the JSON of a status, with its durations in milliseconds beside it.
//!
//! Beside it and not in it: a schedule is read as a setting, which refuses unknown members.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::Schedule;
use crate::time::json::Millis;

/// The members.
#[derive(Serialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
pub(super) struct Json<'a> {
    /// When the job runs by itself. Durations are text, such as `15m`.
    schedule: &'a Schedule,
    /// Time between two ticks in milliseconds; null without such ticks.
    every_ms: Option<u64>,
    /// The longest delay of the start in milliseconds.
    start_jitter_ms: u64,
    /// The shortest distance of deadline runs in milliseconds.
    min_interval_ms: u64,
}

pub(super) fn serialize<S: Serializer>(
    schedule: &Schedule,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let json = Json {
        schedule,
        every_ms: schedule.every.millis(),
        start_jitter_ms: schedule.start_jitter.millis(),
        min_interval_ms: schedule.min_interval.millis(),
    };
    json.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Schedule, D::Error> {
    #[derive(Deserialize)]
    struct Member {
        schedule: Schedule,
    }
    Ok(Member::deserialize(deserializer)?.schedule)
}
