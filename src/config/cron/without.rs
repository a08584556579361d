//! Without the feature `cron` there are no expressions to follow.

use chrono::{DateTime, Utc};

use super::{Cron, Fault};

/// There is none.
#[derive(Debug, Clone)]
pub(crate) enum Calendar {}

impl Calendar {
    pub(crate) fn of(_: &Cron) -> Result<Self, Fault> {
        Err(Fault {
            field: "",
            problem: "needs the feature `cron` of ractor-housekeeper, which is not switched on; give a time between ticks in `every`, or build with the feature".to_owned(),
        })
    }

    pub(crate) fn after(&self, _: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match *self {}
    }
}
