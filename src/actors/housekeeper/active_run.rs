//! The run that a worker was given.

use super::publisher::Waiter;
use crate::actors::run_state::RunAccount;
use crate::model::{CurrentRun, Outcome, Report, RunId};
use crate::time::Moment;

/// The run that a worker was given.
pub(super) struct ActiveRun {
    pub(super) account: RunAccount,
    pub(super) since: Moment,
    pub(super) waiters: Vec<Waiter>,
    /// Whether the worker reported that it began.
    pub(super) began: bool,
    /// Whether its clock was confirmed since it was given to the worker.
    pub(super) clock_confirmed: bool,
    /// When the worker last reported, or was given the run.
    pub(super) heartbeat: Moment,
}

impl ActiveRun {
    pub(super) fn new(account: RunAccount, waiters: Vec<Waiter>, now: Moment) -> Self {
        Self {
            account,
            since: now,
            waiters,
            began: false,
            clock_confirmed: false,
            heartbeat: now,
        }
    }

    pub(super) fn id(&self) -> RunId {
        self.account.run()
    }

    /// Ends the run from outside. Returns its report as far as it is known, and its waiters.
    pub(super) fn cut_short(self, now: Moment, outcome: Outcome) -> (Report, Vec<Waiter>) {
        let elapsed = now.mono.saturating_sub(self.since.mono);
        let report = Report {
            outcome,
            elapsed,
            ..self.account.report
        };
        (report, self.waiters)
    }

    /// Ends the run because its worker crashed.
    pub(super) fn crashed(self, now: Moment, reason: &str) -> (Report, Vec<Waiter>) {
        let rows_at_least = self.account.report.counts.total();
        let reason = reason.to_owned();
        self.cut_short(
            now,
            Outcome::Crashed {
                reason,
                rows_at_least,
            },
        )
    }

    pub(super) fn status(&self) -> CurrentRun {
        let report = &self.account.report;
        CurrentRun {
            run: report.run,
            scope: report.scope.clone(),
            trigger: report.trigger,
            requested_by: report.requested_by.clone(),
            started_at: report.started_at,
            heartbeat_at: self.heartbeat.wall,
            batches: report.batches,
            rows: self.account.rows,
            counts: report.counts.clone(),
        }
    }
}
