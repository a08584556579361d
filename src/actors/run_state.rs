//! A run on its way between the supervisor and a worker.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::job::{Batch, Forecast, RejectedRow};
use crate::model::{Report, RunId, RunRecord};
use crate::policy::{ClockGuard, Rejections, Slowness};

/// A run as the supervisor hands it to a worker and gets it back.
#[derive(Debug)]
pub(crate) struct RunState {
    pub(crate) account: RunAccount,
    /// Records of earlier runs that are not in the history yet.
    pub(crate) unsaved: Vec<RunRecord>,
    /// The first rows rejected since the last tick, those of this run included.
    pub(crate) rejected: BTreeSet<String>,
    /// Rows rejected in this run beyond the room of `rejected`.
    pub(crate) forgotten: u64,
    /// How the rows of this run fared.
    pub(crate) rejections: Rejections,
    /// The clocks of earlier runs.
    pub(crate) clock: ClockGuard,
    /// The forecasts of earlier runs.
    pub(crate) slowness: Slowness,
    /// When the forecast was read; its waits count from then.
    pub(crate) forecast_at: Option<Instant>,
}

/// A committed batch, as its worker reports it.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) run: RunId,
    pub(crate) cutoff: DateTime<Utc>,
    pub(crate) batch: Batch,
}

/// The account of a run, a batch at a time.
///
/// The worker and the supervisor each keep one, because they know different things: the worker what
/// it committed, which it writes into the history; the supervisor what was reported, which it
/// publishes if the worker crashes.
#[derive(Debug, Clone)]
pub(crate) struct RunAccount {
    pub(crate) report: Report,
    /// Rows handled, of which the report names the first.
    pub(crate) rows: u64,
}

impl RunAccount {
    pub(crate) fn new(report: Report) -> Self {
        Self { report, rows: 0 }
    }

    pub(crate) fn run(&self) -> RunId {
        self.report.run
    }

    /// Adds a committed batch. The report keeps the first ids, up to `max_ids`.
    pub(crate) fn add(&mut self, batch: &Batch, max_ids: u32) {
        self.rows += batch.ids.len() as u64;
        self.report.add_batch(batch, max_ids);
    }
}

impl RunState {
    pub(crate) fn new(
        account: RunAccount,
        unsaved: Vec<RunRecord>,
        rejected: BTreeSet<String>,
        clock: ClockGuard,
    ) -> Self {
        Self {
            account,
            unsaved,
            rejected,
            forgotten: 0,
            rejections: Rejections::default(),
            clock,
            slowness: Slowness::default(),
            forecast_at: None,
        }
    }

    /// Adds a committed batch to the account and remembers its rejected rows.
    pub(crate) fn add(&mut self, batch: &Batch, max_ids: u32) {
        self.account.add(batch, max_ids);
        self.rejections.add(batch);
        // A locked row stays due, so that the next run is soon.
        let rejected = batch.rejected.iter().filter(|row| !row.is_locked());
        for RejectedRow { id, .. } in rejected {
            // A deadline run meets the rows of earlier runs again.
            if self.rejected.contains(id) {
                continue;
            }
            if self.rejected.len() < MAX_REMEMBERED {
                self.rejected.insert(id.clone());
            } else {
                self.forgotten += 1;
            }
        }
    }

    /// Takes the job's forecast. A rejected row beyond the remembered ones stays due, so it plans
    /// no run before the next tick.
    pub(crate) fn apply_forecast(&mut self, forecast: Forecast) {
        let blind = self.forgotten > 0;
        let next_due = forecast.next_due.filter(|wait| !(blind && wait.is_zero()));
        self.account.report.forecast = Some(Forecast {
            next_due,
            ..forecast
        });
        self.forecast_at = Some(Instant::now());
    }
}

/// Rejected rows that forecasts leave out until the next tick.
const MAX_REMEMBERED: usize = 1_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::job::Scope;
    use crate::model::Trigger;

    #[test]
    fn all_rejected_rows_are_counted_and_the_first_are_kept() {
        let state = after_rejecting(100_000);

        assert_eq!(state.account.report.rejected_count, 100_000);
        assert_eq!(state.account.report.rejected.len(), 100);
        assert_eq!(state.rejected.len(), 1_000);
        assert_eq!(state.forgotten, 99_000);
    }

    #[test]
    fn rows_rejected_again_are_not_forgotten() {
        let mut again = after_rejecting(1_000);

        again.add(&batch_of(0..1_000), 0);

        assert_eq!((again.rejected.len(), again.forgotten), (1_000, 0));
    }

    #[test]
    fn forgotten_rows_plan_no_run_but_later_rows_do() {
        let mut knows_all = after_rejecting(1_000);
        let mut forgot = after_rejecting(1_001);
        let mut ahead = after_rejecting(1_001);

        knows_all.apply_forecast(next_due(0));
        forgot.apply_forecast(next_due(0));
        ahead.apply_forecast(next_due(7));

        assert_eq!(knows_all.account.report.forecast, Some(next_due(0)));
        assert_eq!(forgot.account.report.forecast, Some(Forecast::default()));
        assert_eq!(ahead.account.report.forecast, Some(next_due(7)));
    }

    fn after_rejecting(rows: u32) -> RunState {
        let report = Report::blank(
            "stuck".into(),
            Scope::All,
            Trigger::Tick,
            DateTime::UNIX_EPOCH,
        );
        let mut state = RunState::new(
            RunAccount::new(report),
            Vec::new(),
            BTreeSet::new(),
            ClockGuard::default(),
        );
        for first in (0..rows).step_by(500) {
            state.add(&batch_of(first..rows.min(first + 500)), 100);
        }
        state
    }

    fn batch_of(rows: std::ops::Range<u32>) -> Batch {
        let rejected = |row: u32| RejectedRow {
            id: row.to_string(),
            error: "a foreign key refuses it".to_owned(),
        };
        Batch {
            rejected: rows.map(rejected).collect(),
            ..Batch::default()
        }
    }

    fn next_due(wait_s: u64) -> Forecast {
        Forecast {
            next_due: Some(Duration::from_secs(wait_s)),
            ..Forecast::default()
        }
    }
}
