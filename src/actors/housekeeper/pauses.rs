//! The pauses of a job: of this instance, and of all replicas.

use std::time::Duration;

use crate::model::Pause;
use crate::time::Moment;

/// The pauses of a job. Its schedule is suspended while there is one.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// Of this instance alone.
    pub(super) local: Option<Pause>,
    /// Of all replicas, as the database said last.
    pub(super) replicas: Option<Pause>,
    /// When the database is asked again.
    pub(super) recheck_at: Option<Moment>,
}

impl Pauses {
    /// Returns the pause to show: the one that reaches further.
    pub(super) fn current(&self) -> Option<&Pause> {
        self.replicas.as_ref().or(self.local.as_ref())
    }

    /// Returns whether the database is to be asked now, and plans the next time.
    pub(super) fn take_recheck(&mut self, now: Moment) -> bool {
        let due = self.recheck_at.is_some_and(|at| at.reached(now));
        if due {
            self.plan_recheck(now);
        }
        due
    }

    pub(super) fn plan_recheck(&mut self, now: Moment) {
        self.recheck_at = Some(now.after(RECHECK));
    }
}

/// Time between two looks at a pause of all replicas, while it lasts.
const RECHECK: Duration = Duration::from_secs(60);
