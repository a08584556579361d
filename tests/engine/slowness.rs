//! Runs that slow down, and where runs begin.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ractor_housekeeper::config::Schedule;
use ractor_housekeeper::job::{
    Batch, BatchRequest, Forecast, JobError, OldSnapshot, Page, PreviewRows, RunBounds,
};
use ractor_housekeeper::model::{Health, LateCause};
use ractor_housekeeper::{HousekeeperArguments, HousekeeperRef, Job, JobName, Scope, start};

use crate::support::host::{messages_only, minutes, seconds};

/// A job over a table that gets slower.
#[derive(Clone, Default)]
struct Slowing(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    forecast: Duration,
    next_due: Option<Duration>,
    snapshot: Option<OldSnapshot>,
    /// Whether the next question is never answered.
    hangs: bool,
    asked: usize,
    from_start: Vec<bool>,
    fails: bool,
}

const NAME: JobName = JobName::new("slowing");

impl Slowing {
    fn with<T>(&self, use_it: impl FnOnce(&mut State) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn start(&self, schedule: Schedule) -> HousekeeperRef {
        let mut arguments = HousekeeperArguments::new(vec![Arc::new(self.clone())]);
        arguments.config.job.schedule = schedule;
        start(None, arguments).await.expect("starts").housekeeper
    }
}

#[async_trait]
impl Job for Slowing {
    fn name(&self) -> JobName {
        NAME
    }

    fn prepare_run(&self, from_start: bool) {
        self.with(|state| state.from_start.push(from_start));
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        if self.with(|state| std::mem::take(&mut state.fails)) {
            return Err("no route".into());
        }
        Ok(RunBounds::new(
            DateTime::<Utc>::UNIX_EPOCH,
            DateTime::UNIX_EPOCH,
        ))
    }

    async fn batch(&self, _: &BatchRequest) -> Result<Batch, JobError> {
        Ok(Batch::default())
    }

    async fn preview(&self, _: &Scope, _: &Page) -> Result<PreviewRows, JobError> {
        Ok(PreviewRows::none(DateTime::UNIX_EPOCH))
    }

    async fn forecast(&self, _: &[String]) -> Result<Forecast, JobError> {
        let (forecast, next_due) = self.with(|state| (state.forecast, state.next_due.take()));
        tokio::time::sleep(forecast).await;
        Ok(Forecast::default().with_next_due(next_due))
    }

    async fn oldest_snapshot(&self) -> Option<OldSnapshot> {
        let (snapshot, hangs) = self.with(|state| {
            state.asked += 1;
            (state.snapshot.clone(), std::mem::take(&mut state.hangs))
        });
        if hangs {
            std::future::pending::<()>().await;
        }
        snapshot
    }
}

async fn run(housekeeper: &HousekeeperRef) -> Health {
    let report = housekeeper.run_now(NAME, Scope::All).await;
    let report = report.expect("is not refused");
    assert!(report.success(), "{report}");
    let status = housekeeper.status().await.expect("a status");
    status.jobs[&NAME].health.clone()
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_slows_runs_down_is_named_until_it_ends() {
    let job = Slowing::default();
    let housekeeper = job.start(messages_only()).await;
    let old = OldSnapshot::new("backend 7 (psql)", minutes(34));
    job.with(|state| {
        state.forecast = Duration::from_millis(3);
        state.snapshot = Some(old);
    });

    let fast = run(&housekeeper).await;
    let asked = job.with(|state| state.asked);
    job.with(|state| state.forecast = Duration::from_millis(90));
    let slow = run(&housekeeper).await;
    let slow_again = run(&housekeeper).await;
    let asked_slow = job.with(|state| state.asked);
    tokio::time::sleep(seconds(61)).await;
    job.with(|state| state.snapshot = None);
    let ended = run(&housekeeper).await;

    let late = Health::Late {
        cause: LateCause::SlowedDown {
            elapsed: minutes(34),
            holder: "backend 7 (psql)".to_owned(),
        },
    };
    assert_eq!(
        (fast, asked),
        (Health::Healthy, 0),
        "a fast forecast needs no cause"
    );
    assert_eq!((slow, slow_again), (late.clone(), late));
    assert_eq!((asked_slow, job.with(|state| state.asked)), (1, 2));
    assert_eq!(ended, Health::Healthy);
}

#[tokio::test(start_paused = true)]
async fn runs_that_are_fast_again_end_the_lateness() {
    let job = Slowing::default();
    let housekeeper = job.start(messages_only()).await;
    job.with(|state| {
        state.forecast = Duration::from_millis(430);
        state.snapshot = Some(OldSnapshot::new("backend 7", minutes(1)));
    });

    let slow_from_the_start = run(&housekeeper).await;
    job.with(|state| state.forecast = Duration::from_millis(3));
    let fast = run(&housekeeper).await;

    assert_eq!(slow_from_the_start.as_str(), "late");
    assert_eq!(fast, Health::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_hangs_fails_no_run() {
    let job = Slowing::default();
    let housekeeper = job.start(messages_only()).await;
    job.with(|state| {
        state.forecast = seconds(1);
        state.hangs = true;
    });

    let health = run(&housekeeper).await;

    assert_eq!(health, Health::Healthy);
    assert_eq!(job.with(|state| state.asked), 1);
}

/// A row set back behind the place of an earlier run is found at the next tick, and by every run on
/// request.
#[tokio::test(start_paused = true)]
async fn only_deadline_runs_begin_where_nothing_was_due() {
    let job = Slowing::default();
    let schedule = Schedule {
        every: Some(minutes(15)),
        at_start: true,
        at_deadline: true,
        start_jitter: Duration::ZERO,
        ..messages_only()
    };
    job.with(|state| state.next_due = Some(minutes(1)));
    let housekeeper = job.start(schedule).await;

    // The start, a deadline, a tick.
    tokio::time::sleep(minutes(16)).await;
    let planned = job.with(|state| std::mem::take(&mut state.from_start));
    run(&housekeeper).await;
    let requested = job.with(|state| std::mem::take(&mut state.from_start));
    // A tick that fails, and its retry.
    job.with(|state| state.fails = true);
    tokio::time::sleep(minutes(15)).await;
    let retried = job.with(|state| std::mem::take(&mut state.from_start));

    assert_eq!(planned, [true, false, true]);
    assert_eq!(requested, [true]);
    assert_eq!(retried, [true, true]);
}
