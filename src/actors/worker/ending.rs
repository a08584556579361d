//! The end of a run: the forecast, the record in the history, and the report.

use std::time::Duration;

use ractor::ActorProcessingErr;
use tokio::time::Instant;
use tracing::Instrument;

use super::{Run, State, begins_at_start, failed};
use crate::actors::message::InternalMsg;
use crate::actors::run_state::RunState;
use crate::metrics::recorder::{self, Step};
use crate::model::{FailureKind, Outcome, Report, RunRecord};

impl State {
    /// Forecasts, writes the record of the run, and reports it.
    pub(super) async fn conclude(
        &mut self,
        run: Run,
        mut outcome: Outcome,
    ) -> Result<(), ActorProcessingErr> {
        let Run {
            mut state,
            began,
            span,
            ..
        } = run;
        if matches!(outcome, Outcome::Completed | Outcome::TimedOut) {
            let rejected: Vec<String> = state.rejected.iter().cloned().collect();
            let forecasting = async {
                let _time = recorder::time(&state.account.report.job, Step::Forecast);
                self.arguments.job.forecast(&rejected).await
            };
            let began_forecast = Instant::now();
            let forecast = self.step("forecast", forecasting);
            match forecast.instrument(span.clone()).await {
                Ok(forecast) => {
                    let took = began_forecast.elapsed();
                    state.apply_forecast(forecast);
                    if forecast.due.count == 0 {
                        self.look_for_snapshot(&mut state, took).await;
                    }
                }
                Err(error) => outcome = failed(error),
            }
        }
        if outcome == Outcome::Completed {
            if let Some(error) = state.rejections.most_alike() {
                outcome = Outcome::failed(FailureKind::RowsRejected, error);
            }
        }
        let failed = matches!(outcome, Outcome::Failed { .. });
        state.account.report.outcome = outcome;
        state.account.report.elapsed = began.elapsed();
        // The record of a failed run is written with that of the next run that does not fail: the
        // database is most likely away.
        if !failed {
            let record = self.record_of(&state.account.report);
            state.unsaved.extend(record);
            self.save(&mut state.unsaved).instrument(span.clone()).await;
            if let Some(history) = &self.arguments.history {
                let listing = history.list_instance(self.arguments.config.step_timeout);
                listing.instrument(span).await;
            }
        }
        self.report(InternalMsg::Finished(state))
    }

    /// Requests the cause of a slow forecast.
    async fn look_for_snapshot(&self, state: &mut RunState, took: Duration) {
        let from_start = begins_at_start(&state.account.report);
        let now = self.arguments.clocks.now();
        if !state.slowness.add(took, from_start, now) {
            return;
        }
        let reading = async { Ok(self.arguments.job.oldest_snapshot().await) };
        // An answer that fails explains nothing, and fails no run.
        let snapshot = self.step("look for an old snapshot", reading).await;
        state.slowness.explain(snapshot.ok().flatten());
    }

    fn record_of(&self, report: &Report) -> Option<RunRecord> {
        let history = self.arguments.history.as_ref()?;
        RunRecord::from_report(report.clone(), history.instance)
    }

    /// Writes records into the history. A failed write leaves them for the supervisor.
    pub(super) async fn save(&self, records: &mut Vec<RunRecord>) {
        if let Some(history) = &self.arguments.history {
            history
                .write(records, self.arguments.config.step_timeout)
                .await;
        }
    }
}
