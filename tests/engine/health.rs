//! Health is checked without a request, and emitted once for each change.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ractor::{ActorRef, call_t};
use ractor_housekeeper::actors::Delivery;
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::job::{
    Batch, BatchRequest, BoundedCount, Cursor, Forecast, JobError, Page, PreviewRows, RunBounds,
};
use ractor_housekeeper::model::{CurrentRun, Event, Health, WorkerStatus};
use ractor_housekeeper::testing::{Fault, MemoryBooking, Step, next_event, next_report};
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperMsg, Job, JobName, Report, Scope, Subscriber, start,
};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use uuid::Uuid;

use crate::support::blocker::Blocker;
use crate::support::host::{Host, Setup, messages_only, minutes, seconds};

#[tokio::test(start_paused = true)]
async fn an_overdue_row_changes_health_once_within_a_minute_unasked() {
    let mut host = with_a_row_left().await;
    let left = Instant::now();

    let event = next_health(&mut host.events).await;
    let noticed = left.elapsed();
    tokio::time::sleep(minutes(60)).await;

    assert_eq!(word(&event), "late");
    // The row had been due for a second, and may be for a minute.
    assert!(
        (seconds(59)..=seconds(120)).contains(&noticed),
        "{noticed:?}"
    );
    assert_eq!(all_health(&mut host.events), [""; 0]);

    let _ = host.run_now(Scope::All).await;
    assert_eq!(all_health(&mut host.events), ["healthy"]);
}

#[tokio::test(start_paused = true)]
async fn overdue_rows_age_during_an_outage_until_they_are_handled() {
    let host = with_a_row_left().await;
    host.faults
        .always(Step::BeginRun, Fault::Fail("no route".to_owned()));

    tokio::time::sleep(minutes(10)).await;
    let _ = host.run_now(Scope::All).await;
    let away = host.status().await;
    host.faults.clear();
    let _ = host.run_now(Scope::All).await;
    let back = host.status().await;

    assert_eq!(away.health.as_str(), "failing");
    let age = away.oldest_overdue.expect("it is known");
    assert!((seconds(600)..seconds(602)).contains(&age), "{age:?}");
    assert_eq!((back.health, back.oldest_overdue), (Health::Healthy, None));
}

#[tokio::test(start_paused = true)]
async fn consecutive_failures_change_health_once_and_a_success_again() {
    let mut host = Setup::new().start().await;
    host.faults
        .always(Step::BeginRun, Fault::Fail("no route".to_owned()));

    let _ = host.run_now(Scope::All).await;
    next_report(&mut host.events, |report| !report.success()).await;
    let first = all_health(&mut host.events);
    tokio::time::sleep(minutes(5)).await;
    let others = all_health(&mut host.events);
    host.faults.clear();
    next_report(&mut host.events, Report::success).await;
    let reset_backoff = all_health(&mut host.events);

    assert_eq!(first, ["failing"]);
    assert_eq!(others, [""; 0]);
    assert_eq!(reset_backoff, ["healthy"]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_a_degradation_and_a_recovery_change_the_health() {
    let mut setup = Setup::new();
    setup.config.restart.max_restarts = 1;
    let mut host = setup.start().await;

    host.kill_worker().await;
    let died = all_health(&mut host.events);
    host.kill_worker().await;
    let degraded = next_health(&mut host.events).await;
    let _ = host.run_now(Scope::All).await;
    let recovered = all_health(&mut host.events);

    assert_eq!(died, ["failing", "healthy"]);
    assert_eq!(word(&degraded), "degraded");
    assert_eq!(recovered, ["healthy"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_late_again_as_soon_as_its_pause_ends() {
    let mut setup = Setup::new();
    setup.config.job.schedule.every = Some(minutes(15));
    let mut host = setup.start().await;
    // No run has completed, as none can.
    host.faults.always(Step::BeginRun, Fault::Hang);
    host.sibling_faults.always(Step::BeginRun, Fault::Hang);
    tokio::time::sleep(minutes(14)).await;
    let pause = |reply| HousekeeperMsg::Pause(BookingExpirer::NAME, reply);
    let _ = host.ask(pause).await;
    tokio::time::sleep(minutes(60)).await;

    let before = all_health(&mut host.events);
    let resume = |reply| HousekeeperMsg::Resume(BookingExpirer::NAME, reply);
    let _ = host.ask(resume).await;
    let after = all_health(&mut host.events);
    host.faults.clear();
    next_report(&mut host.events, Report::success).await;
    let end = all_health(&mut host.events);

    assert_eq!(before, [""; 0]);
    assert_eq!(after, ["late"]);
    assert_eq!(end, ["healthy"], "the run that hung was passed over");
}

#[tokio::test(start_paused = true)]
async fn batches_that_change_no_rows_emit_no_event() {
    let job = NoChangeJob {
        batches: 20,
        each: seconds(20),
        forecast: Forecast::default(),
    };
    let (housekeeper, mut events) = host_of(job, |_| ()).await;

    let report = call_all(&housekeeper, NoChangeJob::NAME);
    let mut seen = Vec::new();
    for _ in 0..4 {
        tokio::time::sleep(seconds(93)).await;
        let (health, run) = current(&housekeeper).await;
        let run = run.expect("it runs");
        seen.push((health.as_str().to_owned(), run.batches));
        assert!(run.heartbeat_at > run.started_at);
    }
    let report = report.await.expect("it does not panic");

    let expected = [4, 8, 13, 17].map(|batches| ("healthy".to_owned(), batches));
    assert_eq!(seen, expected);
    assert_eq!(report.batches, 20);
    while let Ok(event) = events.try_recv() {
        let event = &*event.event;
        assert!(
            !matches!(
                event,
                Event::BatchCommitted { .. } | Event::HealthChanged { .. }
            ),
            "{event:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_health_in_a_status_was_emitted_before() {
    // A second reading of the clock moves it by 14 s: in one of the two cases the limit falls
    // between the readings.
    for odd in [false, true] {
        let none = BoundedCount::default();
        let forecast = Forecast::default().with_due(none, Some(Duration::ZERO));
        let job = NoChangeJob {
            batches: 1,
            each: Duration::ZERO,
            forecast,
        };
        let (housekeeper, mut events) = host_of(job, |arguments| {
            arguments.clock = Arc::new(SlowClock);
        })
        .await;
        let report = call_all(&housekeeper, NoChangeJob::NAME).await;
        assert!(report.expect("it does not panic").success());
        if odd {
            tokio::time::advance(seconds(7)).await;
        }

        for _ in 0..100 {
            if current(&housekeeper).await.0 != Health::Healthy {
                break;
            }
        }
        tokio::task::yield_now().await;

        let mut reported = Vec::new();
        while let Ok(event) = events.try_recv() {
            reported.push(event.event);
        }
        assert!(
            reported.iter().any(|event| matches!(&**event, Event::HealthChanged { health, .. } if health.as_str() == "late")),
            "{reported:?}"
        );
        housekeeper.stop(None);
    }
}

// On real time and real threads: only a thread that is blocked is past every limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_blocks_its_thread_is_failing_until_it_continues() {
    let (job, release) = Blocker::new();
    let (housekeeper, mut events) = host_of(job, |arguments| {
        arguments.config.job.step_timeout = Duration::from_millis(20);
    })
    .await;

    let report = call_all(&housekeeper, Blocker::NAME);
    let reason = loop {
        let (health, _) = current(&housekeeper).await;
        if let Some(reason) = health.reason() {
            break reason;
        }
        tokio::task::yield_now().await;
    };
    let stalled = next_health(&mut events).await;
    release.send(()).expect("it waits");
    let reset_backoff = next_event(&mut events, |event| {
        matches!(event, Event::HealthChanged { .. } | Event::RunFinished(_))
    })
    .await;
    assert_eq!(
        word(&reset_backoff),
        "healthy",
        "by its batch, before its end"
    );
    let report = report.await.expect("it does not panic");
    next_report(&mut events, |_| true).await;
    let (health, _) = current(&housekeeper).await;

    let (silence, cause) = reason.split_at(reason.find(',').expect("two halves"));
    assert!(
        silence.starts_with("its run has been silent for"),
        "{silence}"
    );
    assert_eq!(
        cause,
        ", with a step timeout of 20ms: the job's code blocks its worker"
    );
    assert_eq!(word(&stalled), "failing");
    assert!(report.success(), "{report}");
    assert_eq!(health, Health::Healthy);
}

/// A host whose run reached its limit with a booking left that had been due for a second.
pub(crate) async fn with_a_row_left() -> Host {
    let mut setup = Setup::new();
    setup.config.job.pace.min_pause = Duration::from_millis(1);
    setup.config.job.pace.max_pause = Duration::from_millis(1);
    setup.config.job.run_timeout = Some(Duration::from_millis(1));
    let mut host = setup.start().await;
    let made = host.clock.now() - TimeDelta::minutes(15) - TimeDelta::seconds(1);
    for number in 0..5 {
        let booking = MemoryBooking::pending(format!("b{number}"), Uuid::nil(), made);
        host.store.add_booking(booking);
    }
    let report = host.run_now(Scope::All).await.expect("is not refused");
    assert_eq!(
        (report.outcome.as_str(), host.expired().len()),
        ("timed out", 4)
    );
    next_report(&mut host.events, |_| true).await;
    host
}

async fn next_health(events: &mut UnboundedReceiver<Delivery>) -> Arc<Event> {
    next_event(events, |event| matches!(event, Event::HealthChanged { .. })).await
}

fn word(event: &Event) -> &'static str {
    match event {
        Event::HealthChanged { health, .. } => health.as_str(),
        other => unreachable!("{other:?}"),
    }
}

/// Changes of the expirer's health since the last call.
fn all_health(events: &mut UnboundedReceiver<Delivery>) -> Vec<&'static str> {
    let mut words = Vec::new();
    while let Ok(event) = events.try_recv() {
        match &*event.event {
            Event::HealthChanged { job, health } if *job == BookingExpirer::NAME => {
                words.push(health.as_str());
            }
            _ => {}
        }
    }
    words
}

/// A housekeeper with one job that runs by messages only.
async fn host_of(
    job: impl Job,
    set: impl FnOnce(&mut HousekeeperArguments),
) -> (ActorRef<HousekeeperMsg>, UnboundedReceiver<Delivery>) {
    let mut arguments = HousekeeperArguments::new(vec![Arc::new(job)]);
    arguments.config.job.schedule = messages_only();
    set(&mut arguments);
    let started = start(None, arguments).await.expect("it starts");
    let (subscriber, events) = Subscriber::channel();
    let subscribe = HousekeeperMsg::Subscribe(subscriber);
    started.housekeeper.cast(subscribe).expect("it runs");
    (started.housekeeper.into(), events)
}

/// Asks for a run of a job whose worker goes its own way.
fn call_all(
    housekeeper: &ActorRef<HousekeeperMsg>,
    job: JobName,
) -> tokio::task::JoinHandle<Report> {
    let housekeeper = housekeeper.clone();
    tokio::spawn(async move {
        let answer = call_t!(
            housekeeper,
            HousekeeperMsg::RunNow,
            3_600_000,
            job,
            Scope::All
        );
        answer.expect("an answer").expect("is not refused")
    })
}

async fn current(housekeeper: &ActorRef<HousekeeperMsg>) -> (Health, Option<CurrentRun>) {
    let status = call_t!(housekeeper, HousekeeperMsg::Status, 60_000).expect("it answers");
    let job = status.jobs.into_values().next().expect("there is one");
    let run = match job.worker {
        WorkerStatus::Running(run) => Some(run),
        _ => None,
    };
    (job.health, run)
}

/// Looks at rows none of which it changes.
struct NoChangeJob {
    batches: usize,
    each: Duration,
    forecast: Forecast,
}

impl NoChangeJob {
    const NAME: JobName = JobName::new("no-change");
}

#[async_trait]
impl Job for NoChangeJob {
    fn name(&self) -> JobName {
        Self::NAME
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        Ok(RunBounds::new(DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH))
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        tokio::time::sleep(self.each).await;
        let since = request
            .after
            .as_ref()
            .map_or(DateTime::UNIX_EPOCH, |after| {
                after.since() + TimeDelta::seconds(1)
            });
        let number = usize::try_from(since.timestamp())?;
        let next = Cursor::new(since, "row".to_owned());
        let next_cursor = Some(next).filter(|_| number + 1 < self.batches);
        Ok(Batch::new(Vec::new(), next_cursor))
    }

    async fn preview(&self, _: &Scope, _: &Page) -> Result<PreviewRows, JobError> {
        Ok(PreviewRows::none(DateTime::UNIX_EPOCH))
    }

    async fn forecast(&self, _: &[String]) -> Result<Forecast, JobError> {
        Ok(self.forecast)
    }
}

/// A clock that is slow to read: the limit of a due row passes between two readings.
struct SlowClock;

impl Clock for SlowClock {
    fn now(&self) -> DateTime<Utc> {
        let mut reading = pin!(tokio::time::advance(seconds(7)));
        // It moves at the first poll, and then yields.
        let _ = reading
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        DateTime::UNIX_EPOCH
    }
}
