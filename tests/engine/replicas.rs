//! A pause for all replicas: two housekeepers over one store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use chrono::TimeDelta;
use ractor_housekeeper::actors::ignore_reply;
use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy, built_in};
use ractor_housekeeper::config::Schedule;
use ractor_housekeeper::model::{Event, Instances, OutcomeKind, RunHistory, RunRecord, StoreError};
use ractor_housekeeper::testing::{ManualClock, MemoryBooking, MemoryStore, next_event};
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, HousekeeperRef, JobName, RequestError,
    Requester, Scope, Subscriber, start,
};
use tokio::time::sleep;
use uuid::Uuid;

use crate::support::host::{minutes, seconds};

const JOB: &str = "booking-expirer";

#[tokio::test(start_paused = true)]
async fn replicas_find_a_pause_at_their_next_run_and_resume() {
    let store = store();
    let [first, second] = [replica(&store, "a").await, replica(&store, "b").await];
    let (subscriber, mut events) = Subscriber::channel();
    second.subscribe(subscriber).expect("it runs");

    let by_anna = first.clone().requested_by("anna");
    assert!(by_anna.pause_replicas(JOB).await.expect("a store"));
    assert!(!first.pause_replicas(JOB).await.expect("a store"));
    let paused = |event: &Event| matches!(event, Event::JobPaused { .. });
    next_event(&mut events, paused).await;
    let finished = |event: &Event| matches!(event, Event::RunFinished(report) if report.job == BookingExpirer::NAME);
    let news = next_event(&mut events, finished).await;
    let Event::RunFinished(held) = &*news else {
        unreachable!("it was asked for");
    };
    add_overdue(&store);
    sleep(minutes(180)).await;

    assert_eq!(held.outcome.kind(), OutcomeKind::Cancelled);
    assert_eq!(held.instance.as_deref(), Some("b"));
    for (replica, name) in [(&first, "a"), (&second, "b")] {
        let status = replica.status().await.expect("an answer");
        assert_eq!(status.instance.as_deref(), Some(name));
        let job = &status.jobs[&BookingExpirer::NAME];
        let pause = job.pause.as_ref().expect("it is paused");
        assert!(pause.all_replicas);
        assert_eq!(pause.by, Some(Requester::new("anna")));
        assert_eq!((job.paused, job.next_run), (true, None));
        // One look of the second found the pause, and later ones were no runs.
        assert!(job.outcomes.len() <= 1, "{:?}", job.outcomes);
        let refused = replica.resume(JOB).await.expect_err("not this one alone");
        let paused_for_all = RequestError::PausedForAll { job: JOB.into() };
        assert_eq!(refused, paused_for_all.into());
    }
    // A message runs it nevertheless.
    let report = first.run_now(JOB, Scope::All).await.expect("a report");
    assert_eq!(report.counts.total(), 1);

    add_overdue(&store);
    assert!(second.resume_replicas(JOB).await.expect("a store"));
    assert!(!second.resume_replicas(JOB).await.expect("a store"));
    next_event(&mut events, finished).await;
    assert!(!is_paused(&second).await);
    sleep(seconds(61)).await;
    assert!(!is_paused(&first).await);
    let pending = store.bookings().into_iter();
    assert_eq!(pending.filter(|row| row.status == "Pending").count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pause_for_all_needs_no_caller() {
    let store = store();
    let replica = replica(&store, "a").await;

    for (pauses, wanted) in [(true, true), (false, false)] {
        let message = if pauses {
            HousekeeperMsg::PauseReplicas(JOB.into(), ignore_reply())
        } else {
            HousekeeperMsg::ResumeReplicas(JOB.into(), ignore_reply())
        };
        replica.actor().cast(message).expect("it runs");
        let changed = async {
            while is_paused(&replica).await != wanted {
                sleep(seconds(1)).await;
            }
        };
        let changed = tokio::time::timeout(minutes(1), changed).await;
        changed.expect("it is written");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_process_starts_paused_and_a_local_pause_remains() {
    let store = store();
    let first = replica(&store, "a").await;
    first.pause(JOB).await.expect("the job is there");
    first.pause_replicas(JOB).await.expect("a store");

    let second = replica(&store, "b").await;
    sleep(minutes(20)).await;
    assert!(is_paused(&second).await);
    second.resume_replicas(JOB).await.expect("a store");
    sleep(seconds(61)).await;

    assert!(!is_paused(&second).await);
    let status = first.status().await.expect("an answer");
    let pause = status.jobs[&BookingExpirer::NAME].pause.clone();
    assert!(!pause.expect("its own pause remains").all_replicas);
    first.resume(JOB).await.expect("its own pause");
    assert!(!is_paused(&first).await);
}

#[tokio::test(start_paused = true)]
async fn a_pause_for_all_needs_a_store_and_a_job() {
    let clock = ManualClock::new(noon());
    let memory = MemoryStore::new().with_clock(std::sync::Arc::new(clock.clone()));
    let jobs = built_in(memory, &BookingPolicy::default()).expect("the ages can be");
    let arguments = HousekeeperArguments::new(jobs).with_clock(clock);
    let alone = start(None, arguments).await.expect("it starts").housekeeper;

    let without_store = alone.pause_replicas(JOB).await;
    let unknown = alone.pause_replicas("other").await;

    let refusal = RequestError::NoSharedHistory { job: JOB.into() };
    assert_eq!(without_store, Err(refusal.into()));
    assert!(unknown.is_err());
    assert!(!is_paused(&alone).await);
}

#[tokio::test(start_paused = true)]
async fn an_idle_instance_is_listed_by_its_last_run() {
    let store = store();
    let [first, second] = [replica(&store, "a").await, replica(&store, "idle").await];
    add_overdue(&store);
    first.run_now(JOB, Scope::All).await.expect("a report");

    let before = first.instances(minutes(15)).await.expect("a store");
    second.run_now(JOB, Scope::All).await.expect("a report");
    let after = first.instances(minutes(15)).await.expect("a store");

    let listed = |known: &Instances| {
        let mut known: Vec<_> = known
            .instances
            .iter()
            .map(|one| (one.instance.clone(), one.lines))
            .collect();
        known.sort();
        known
    };
    assert_eq!(listed(&before), [("a".to_owned(), 1)]);
    let both = [("a".to_owned(), 1), ("idle".to_owned(), 0)];
    assert_eq!(listed(&after), both);
}

#[tokio::test(start_paused = true)]
async fn an_idle_instance_is_noted_every_five_minutes_at_most() {
    let store = Noting::default();
    let noted = store.0.clone();
    let jobs = built_in(MemoryStore::new(), &BookingPolicy::default()).expect("the ages can be");
    let mut config = HousekeeperConfig::default();
    config.job.schedule = Schedule {
        every: Some(minutes(1)),
        ..Schedule::default()
    };
    let arguments = HousekeeperArguments::new(jobs).with_config(config);
    let arguments = arguments.with_history(store).with_instance("idle");

    let started = start(None, arguments).await.expect("it starts");
    sleep(minutes(60)).await;

    let noted = noted.load(Ordering::Relaxed);
    assert!(
        (10..=13).contains(&noted),
        "{noted} notes by two jobs in an hour"
    );
    started
        .housekeeper
        .stop_and_wait(None, None)
        .await
        .expect("it stops");
}

/// A history that counts the notes, and fails every second one.
#[derive(Default)]
struct Noting(Arc<AtomicU32>);

#[async_trait]
impl RunHistory for Noting {
    async fn record(&self, _: &[RunRecord], _: u32) -> Result<(), StoreError> {
        Ok(())
    }

    async fn runs(&self, _: &JobName, _: u32) -> Result<Vec<RunRecord>, StoreError> {
        Ok(Vec::new())
    }

    async fn note_instance(&self, instance: &str) -> Result<(), StoreError> {
        assert_eq!(instance, "idle");
        match self.0.fetch_add(1, Ordering::Relaxed) % 2 {
            0 => Ok(()),
            _ => Err(StoreError::Schema("the table is missing".to_owned())),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn instances_are_listed_by_what_they_wrote() {
    let store = store();
    let [first, second] = [replica(&store, "a").await, replica(&store, "b\n").await];
    for replica in [&first, &second] {
        add_overdue(&store);
        replica.run_now(JOB, Scope::All).await.expect("a report");
        sleep(seconds(1)).await;
    }

    let known = first.instances(minutes(15)).await.expect("a store");
    let history = store.runs(&JOB.into(), 10).await.expect("it is memory");

    let names: Vec<&str> = known.instances.iter().map(|one| &*one.instance).collect();
    assert_eq!(known.this, "a");
    assert_eq!(names.len(), 2, "{known:?}");
    assert!(names.contains(&"a") && names.contains(&"b\\n"), "{names:?}");
    let written = history.iter().map(|line| line.report.instance.as_deref());
    assert_eq!(written.collect::<Vec<_>>(), [Some("b\\n"), Some("a")]);
}

async fn is_paused(replica: &HousekeeperRef) -> bool {
    let status = replica.status().await.expect("an answer");
    status.jobs[&BookingExpirer::NAME].paused
}

fn store() -> MemoryStore {
    MemoryStore::new()
}

fn add_overdue(store: &MemoryStore) {
    let made = ractor_housekeeper::time::SystemClock.now() - TimeDelta::hours(1);
    let id = format!("b{}", store.bookings().len());
    store.add_booking(MemoryBooking::pending(id, Uuid::nil(), made));
}

fn noon() -> chrono::DateTime<chrono::Utc> {
    "2026-01-10T12:00:00Z".parse().expect("is an instant")
}

/// A housekeeper that ticks every fifteen minutes.
async fn replica(store: &MemoryStore, name: &str) -> HousekeeperRef {
    let jobs = built_in(store.clone(), &BookingPolicy::default()).expect("the ages can be");
    let mut config = HousekeeperConfig::default();
    config.job.schedule = Schedule {
        at_start: false,
        at_deadline: false,
        ..Schedule::default()
    };
    let arguments = HousekeeperArguments::new(jobs)
        .with_config(config)
        .with_history(store.clone())
        .with_instance(name);
    start(None, arguments).await.expect("it starts").housekeeper
}
