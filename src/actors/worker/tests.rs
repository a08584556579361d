//! A worker and its messages, without a supervisor.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;

use super::{Worker, WorkerArguments, WorkerMsg};
use crate::actors::message::{HousekeeperMsg, Internal, InternalMsg};
use crate::actors::run_state::{RunAccount, RunState};
use crate::config::JobConfig;
use crate::job::{
    Batch, BatchRequest, Cursor, Forecast, Job, JobError, JobName, Page, PreviewRows, RunBounds,
    Scope,
};
use crate::model::{Outcome, Report, Trigger};
use crate::policy::ClockGuard;
use crate::time::{Clocks, SystemClock};

#[tokio::test(start_paused = true)]
async fn messages_of_another_run_change_nothing() {
    let (finished, mut reports) = mpsc::unbounded_channel();
    let (supervisor, _) = Actor::spawn(None, Recorder, finished)
        .await
        .expect("the recorder starts");
    let arguments = WorkerArguments {
        job: Arc::new(ThreeBatches),
        config: JobConfig::default(),
        history: None,
        supervisor: supervisor.clone(),
        clocks: Clocks::start(Arc::new(SystemClock)),
    };
    let (worker, _) = Actor::spawn(None, Worker, arguments)
        .await
        .expect("the worker starts");
    let report = Report::blank("three".into(), Scope::All, Trigger::Manual, start());
    let other = Report::blank("three".into(), Scope::All, Trigger::Manual, start()).run;
    let run = RunState::new(
        RunAccount::new(report),
        Vec::new(),
        BTreeSet::new(),
        ClockGuard::default(),
    );

    for message in [
        WorkerMsg::Run(Box::new(run)),
        WorkerMsg::End(other, Outcome::Cancelled { by: None }),
        WorkerMsg::Batch(other),
        WorkerMsg::End(other, Outcome::Cancelled { by: None }),
    ] {
        worker.cast(message).expect("the worker is up");
    }
    let (report, batches) = reports.recv().await.expect("the run ends");

    assert_eq!(report.outcome, Outcome::Completed);
    assert_ne!(report.run, other);
    assert_eq!((report.batches, batches), (3, 3));
    worker.stop(None);
    supervisor.stop(None);
}

/// Stands in for the supervisor: counts committed batches and passes on the report.
struct Recorder;

type Finished = mpsc::UnboundedSender<(Report, u32)>;

#[ractor::actor(message = HousekeeperMsg, state = (Finished, u32), arguments = Finished)]
impl Recorder {
    async fn pre_start(
        &self,
        _: ActorRef<HousekeeperMsg>,
        finished: Finished,
    ) -> Result<(Finished, u32), ActorProcessingErr> {
        Ok((finished, 0))
    }

    async fn handle(
        &self,
        _: ActorRef<HousekeeperMsg>,
        message: HousekeeperMsg,
        (finished, batches): &mut (Finished, u32),
    ) -> Result<(), ActorProcessingErr> {
        if let HousekeeperMsg::Internal(Internal(message)) = message {
            match message {
                InternalMsg::Committed(_) => *batches += 1,
                InternalMsg::Finished(run) => finished.send((run.account.report, *batches))?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Ends its run with the third batch; each takes a second.
struct ThreeBatches;

#[async_trait]
impl Job for ThreeBatches {
    fn name(&self) -> JobName {
        "three".into()
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        Ok(RunBounds::new(start(), start()))
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let since = request.after.as_ref().map_or(start(), |after| after.since);
        let since = since + TimeDelta::seconds(1);
        let id = String::new();
        Ok(Batch {
            next_cursor: (since < start() + TimeDelta::seconds(3)).then_some(Cursor { since, id }),
            ..Batch::default()
        })
    }

    async fn preview(&self, _: &Scope, _: &Page) -> Result<PreviewRows, JobError> {
        Err("not previewed".into())
    }

    async fn forecast(&self, _: &[String]) -> Result<Forecast, JobError> {
        Ok(Forecast::default())
    }
}

fn start() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}
