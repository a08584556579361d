//! A host with one job over a real database, which records all events.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorCell, ActorRef, call_t};
use ractor_housekeeper::actors::Delivery;
use ractor_housekeeper::booking::SessionCleaner;
use ractor_housekeeper::config::{BackoffConfig, Pace, RestartConfig, Schedule};
use ractor_housekeeper::model::{Event, JobStatus, RunHistory, WorkerStatus};
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, Job, JobName, Report, Scope,
    Subscriber, start,
};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::TestResult;

pub(crate) struct Host {
    pub(crate) housekeeper: ActorRef<HousekeeperMsg>,
    job: JobName,
    first_worker: ActorCell,
    events: UnboundedReceiver<Delivery>,
    /// Rows in events, batch by batch.
    pub(crate) emitted: Vec<String>,
    /// Rows in reports.
    pub(crate) reported: u64,
}

impl Host {
    /// Runs by messages, and repeats by itself what failed or crashed.
    pub(crate) async fn start(job: Arc<dyn Job>, history: Arc<dyn RunHistory>) -> TestResult<Self> {
        Self::start_with(job, history, |_| {}).await
    }

    pub(crate) async fn start_with(
        job: Arc<dyn Job>,
        history: Arc<dyn RunHistory>,
        change: impl FnOnce(&mut HousekeeperConfig),
    ) -> TestResult<Self> {
        let mut config = HousekeeperConfig {
            retry: BackoffConfig {
                first: Duration::from_millis(20),
                max: Duration::from_millis(80),
            },
            restart: RestartConfig {
                max_restarts: u32::MAX,
                backoff: BackoffConfig {
                    first: Duration::from_millis(1),
                    max: Duration::from_millis(4),
                },
                ..RestartConfig::default()
            },
            ..HousekeeperConfig::default()
        };
        config.job.pace = Pace::fixed(BATCH);
        config.job.schedule = Schedule {
            every: None,
            at_start: false,
            at_deadline: false,
            ..Schedule::default()
        };
        change(&mut config);
        let name = job.name();
        let mut arguments = HousekeeperArguments::new(vec![job]).with_config(config);
        arguments.history = Some(history);
        let housekeeper = start(None, arguments).await?.housekeeper;
        let (subscriber, events) = Subscriber::channel();
        housekeeper.cast(HousekeeperMsg::Subscribe(subscriber))?;
        let mut children = housekeeper.get_children();
        children.sort_by_key(ActorCell::get_id);
        Ok(Self {
            job: name,
            first_worker: children.into_iter().next().ok_or("it has a worker")?,
            housekeeper: housekeeper.into(),
            events,
            emitted: Vec::new(),
            reported: 0,
        })
    }

    /// Asks for a run now; the future waits for the answer.
    pub(crate) fn ask(&self) -> TestResult<impl Future<Output = TestResult<Report>> + use<>> {
        let (reply, answer) = ractor::concurrency::oneshot();
        let message = HousekeeperMsg::RunNow(self.job.clone(), Scope::All, reply.into());
        self.housekeeper.cast(message)?;
        Ok(async move { Ok(timeout(PATIENCE, answer).await???) })
    }

    /// Holds the job back, or lets it run by itself again.
    pub(crate) async fn pause(&self, pause: bool) -> TestResult {
        let message = if pause {
            HousekeeperMsg::Pause
        } else {
            HousekeeperMsg::Resume
        };
        let (reply, answer) = ractor::concurrency::oneshot();
        self.housekeeper
            .cast(message(self.job.clone(), reply.into()))?;
        timeout(PATIENCE, answer).await???;
        Ok(())
    }

    pub(crate) fn kill_worker(&self) {
        let children = self.housekeeper.get_children().into_iter();
        let workers =
            children.filter(|child| child.get_type_id() == self.first_worker.get_type_id());
        if let Some(worker) = workers.max_by_key(ActorCell::get_id) {
            worker.kill();
        }
    }

    pub(crate) async fn status(&self) -> TestResult<JobStatus> {
        let mut status = call_t!(self.housekeeper, HousekeeperMsg::Status, 10_000)?;
        Ok(status.jobs.remove(&self.job).ok_or("the job is there")?)
    }

    /// Waits until no run is at work, and none is to come by itself. Returns the report of the
    /// last.
    pub(crate) async fn idle_report(&self) -> TestResult<Report> {
        let resting = async {
            loop {
                let status = self.status().await?;
                let is_idle = matches!(status.worker, WorkerStatus::Idle) && status.waiting == 0;
                if let (true, None, Some(last)) = (is_idle, status.next_run, status.last) {
                    return Ok(last);
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, resting).await?
    }

    /// Returns the next report.
    pub(crate) async fn report(&mut self) -> TestResult<Report> {
        loop {
            let event = timeout(PATIENCE, self.events.recv()).await;
            let event = event
                .map_err(|_| "no report came")?
                .ok_or("no report can come")?;
            if let Some(report) = self.note(&event) {
                return Ok(report);
            }
        }
    }

    /// Collects all events so far.
    pub(crate) fn catch_up(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.note(&event);
        }
    }

    pub(crate) async fn stop(self) -> TestResult {
        call_t!(self.housekeeper, HousekeeperMsg::Shutdown, 30_000, PATIENCE)?;
        Ok(())
    }

    fn note(&mut self, event: &Delivery) -> Option<Report> {
        assert_eq!(event.missed, 0);
        match &*event.event {
            Event::BatchCommitted { ids, .. } => {
                self.emitted.extend(ids.iter().cloned());
                None
            }
            Event::RunFinished(report) => {
                self.reported += rows(report);
                Some(Report::clone(report))
            }
            _ => None,
        }
    }
}

/// Rows of the job's own table that a report counts.
pub(crate) fn rows(report: &Report) -> u64 {
    let is_cleaner = report.job == SessionCleaner::NAME;
    report
        .counts
        .of(if is_cleaner { "sessions" } else { "bookings" })
}

/// Rows of a batch: a run of all rows is two of them.
pub(crate) const BATCH: NonZeroU32 = NonZeroU32::new(3).expect("three");

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(150);
