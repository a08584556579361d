//! The beginning of a run: the check, the opening read, and what holds the run back.

use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef};
use tokio::time::Instant;
use tracing::Instrument;

use super::{Run, State, WorkerMsg, begins_at_start, failed};
use crate::actors::message::InternalMsg;
use crate::actors::opening::open_run;
use crate::actors::run_state::RunState;
use crate::job::{Progress, RunBounds};
use crate::metrics::recorder::{self, Step};
use crate::model::{FailureKind, Outcome, Requester, Trigger};
use crate::policy::{CONFIRM_AFTER, Leap};
use crate::time;

impl State {
    pub(super) async fn begin(
        &mut self,
        myself: &ActorRef<WorkerMsg>,
        mut state: Box<RunState>,
    ) -> Result<(), ActorProcessingErr> {
        let run = state.account.run();
        self.report(InternalMsg::Began(run))?;
        let began = Instant::now();
        let report = &state.account.report;
        let span = tracing::info_span!(
            "housekeeper.run",
            job.name = %report.job,
            run.id = %run,
            run.trigger = %report.trigger,
            run.scope = %report.scope,
        );

        let job = &*self.arguments.job;
        job.prepare_run(begins_at_start(report));
        let is_scheduled = report.trigger != Trigger::Manual;
        let checked = self.checked;
        let beginning = async {
            if !checked {
                let _time = recorder::time(&report.job, Step::Check);
                job.check().await?;
            }
            let _time = recorder::time(&report.job, Step::BeginRun);
            let history = self.arguments.history.as_ref();
            open_run(job, history.map(|history| &*history.store)).await
        };
        let bounds = self
            .step("begin the run", beginning)
            .instrument(span.clone())
            .await;
        if !checked {
            let (name, findings) = (
                state.account.report.job.clone(),
                self.arguments.job.findings(),
            );
            self.report(InternalMsg::Checked(name, findings))?;
        }
        let mut bounds = match bounds {
            Ok(bounds) => bounds,
            Err(error) => {
                state.account.report.outcome = failed(error);
                state.account.report.elapsed = began.elapsed();
                return self.report(InternalMsg::Finished(state));
            }
        };
        self.checked = true;
        let pause = std::mem::take(&mut bounds.pause).found();
        if let Some(pause) = pause.clone() {
            let job = state.account.report.job.clone();
            self.report(InternalMsg::PauseFound(job, pause))?;
        }
        let hindrance = match pause.filter(|_| is_scheduled) {
            Some(pause) => Some(Outcome::Cancelled {
                by: pause.by.map(Requester::from),
            }),
            None => self.clock_leap(&mut state, &bounds),
        };
        state.account.report.cutoff = Some(bounds.cutoff);
        let finish = self.finish_by.as_ref();
        let finish = finish.and_then(|calendar| calendar.after(bounds.now));
        let run = Run {
            available: finish.map(|finish| time::until(bounds.now, finish)),
            state,
            bounds,
            after: None,
            progress: Progress::default(),
            began,
            span,
            pause: None,
        };
        if let Some(outcome) = hindrance {
            return self.conclude(run, outcome).await;
        }
        // Fails only while the worker drains; its exit then ends the run.
        let _ = myself.cast(WorkerMsg::Batch(run.id()));
        self.run = Some(run);
        Ok(())
    }

    /// Returns the failure of a run that cannot be undone, while the clock by which its rows fall
    /// due has leapt ahead.
    fn clock_leap(&self, state: &mut RunState, bounds: &RunBounds) -> Option<Outcome> {
        let bound = self.arguments.config.max_clock_leap?;
        if !self.arguments.job.is_irreversible() {
            return None;
        }
        let now = self.arguments.clocks.now();
        let Leap { ahead, is_first } = state.clock.check(bounds.now, now, bound).err()?;
        let seconds = |span: Duration| {
            humantime::format_duration(Duration::from_secs(span.as_secs())).to_string()
        };
        let error = format!(
            "the deciding clock {} ahead of {}: runs are held until it keeps step for {}, is set right, or `ConfirmClock` \
                 confirms it",
            if is_first {
                format!("is {}", seconds(ahead))
            } else {
                format!("leapt {}", seconds(ahead))
            },
            if is_first {
                "this machine's"
            } else {
                "the monotonic one"
            },
            seconds(CONFIRM_AFTER),
        );
        Some(Outcome::failed(FailureKind::ClockLeap, error))
    }
}
