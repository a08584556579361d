//! The pauses of a job: of this instance, and of all replicas.

use std::time::Duration;

use crate::model::Pause;
use crate::time::Moment;

/// The pauses of a job. Its schedule is suspended while there is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Pauses {
    /// Of this instance alone.
    local: Option<Pause>,
    /// Of all replicas, as the database said last.
    replicas: Option<Pause>,
    /// When to read the pause of all replicas again.
    recheck_at: Option<Moment>,
}

impl Pauses {
    /// Returns the pause to show: the one that reaches further.
    pub(super) fn current(&self) -> Option<&Pause> {
        self.replicas.as_ref().or(self.local.as_ref())
    }

    /// Begins a pause. Returns whether it is new: an instance keeps its first one, and follows the
    /// database in that of all replicas.
    pub(super) fn add(&mut self, pause: Pause, now: Moment) -> bool {
        if pause.all_replicas {
            self.recheck_at = Some(now.after(RECHECK));
            let is_new = self.replicas.as_ref() != Some(&pause);
            self.replicas = Some(pause);
            return is_new;
        }
        let is_new = self.local.is_none();
        self.local.get_or_insert(pause);
        is_new
    }

    /// Ends the pause of this instance. Returns whether there was one.
    pub(super) fn end_local(&mut self) -> bool {
        self.local.take().is_some()
    }

    /// Ends the pause of all replicas. Returns whether there was one.
    pub(super) fn end_replicas(&mut self) -> bool {
        self.recheck_at = None;
        self.replicas.take().is_some()
    }

    /// Returns when to read the pause of all replicas again.
    pub(super) fn recheck_at(&self) -> Option<Moment> {
        self.recheck_at
    }

    /// Returns whether to read the pause of all replicas now, and plans the next time.
    pub(super) fn take_recheck(&mut self, now: Moment) -> bool {
        let due = self.recheck_at.is_some_and(|at| at.reached(now));
        if due {
            self.recheck_at = Some(now.after(RECHECK));
        }
        due
    }
}

/// Time between two reads of a pause of all replicas, while it lasts.
const RECHECK: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;

    #[test]
    fn an_instance_keeps_its_first_pause_and_follows_the_database() {
        let mut pauses = Pauses::default();

        let local = [1, 2].map(|second| pauses.add(pause(second, false), at(0)));
        let shown = pauses.current().cloned();
        let replicas = [3, 3, 4].map(|second| pauses.add(pause(second, true), at(0)));

        assert_eq!((local, shown), ([true, false], Some(pause(1, false))));
        assert_eq!(replicas, [true, false, true]);
        assert_eq!(pauses.current(), Some(&pause(4, true)));
        assert!(pauses.end_replicas() && !pauses.end_replicas());
        assert_eq!(pauses.current(), Some(&pause(1, false)));
        assert!(pauses.end_local() && !pauses.end_local());
        assert_eq!(pauses.current(), None);
    }

    #[test]
    fn a_pause_of_all_replicas_is_read_once_a_minute() {
        let mut pauses = Pauses::default();
        pauses.add(pause(0, false), at(0));
        let alone = pauses.recheck_at();
        pauses.add(pause(0, true), at(0));

        let reads = [59, 60, 61, 120].map(|second| pauses.take_recheck(at(second)));

        assert_eq!(alone, None);
        assert_eq!(reads, [false, true, false, true]);
        pauses.end_replicas();
        assert!(!pauses.take_recheck(at(1_000)));
    }

    fn pause(second: i64, all_replicas: bool) -> Pause {
        Pause {
            since: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(second),
            by: None,
            all_replicas,
        }
    }

    fn at(second: u32) -> Moment {
        let mono = Duration::from_secs(second.into());
        Moment {
            wall: DateTime::<Utc>::UNIX_EPOCH + mono,
            mono,
        }
    }
}
