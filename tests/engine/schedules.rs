//! Schedules of one part each.

use std::time::Duration;

use ractor_housekeeper::config::Schedule;

use crate::support::host::{messages_only, minutes};

pub(crate) fn ticking() -> Schedule {
    Schedule {
        every: Some(minutes(15)),
        start_jitter: Duration::ZERO,
        ..messages_only()
    }
}

pub(crate) fn deadlines() -> Schedule {
    Schedule {
        at_deadline: true,
        ..messages_only()
    }
}
