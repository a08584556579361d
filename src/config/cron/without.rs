//! Without the feature `cron` every expression is an error.

use chrono::{DateTime, Utc};

use super::{Cron, CronError};

/// Never constructed.
#[derive(Debug, Clone)]
pub(crate) enum Calendar {}

impl Calendar {
    pub(crate) fn new(_: &Cron) -> Result<Self, CronError> {
        Err(CronError {
            field: "",
            problem: "needs the feature `cron` of ractor-housekeeper, which is not switched on; give a time between ticks in `every`, or build with the feature".to_owned(),
        })
    }

    pub(crate) fn after(&self, _: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match *self {}
    }
}
