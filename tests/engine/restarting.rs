//! Faults during a restart.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use chrono::{DateTime, TimeDelta, Utc};
use ractor::{ActorCell, ActorId, ActorRef};
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::config::{JobConfig, Schedule};
use ractor_housekeeper::model::{Event, Trigger, WorkerStatus};
use ractor_housekeeper::testing::{ManualClock, next_event, next_report};
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{HousekeeperMsg, Outcome, Report, Scope};

use crate::helpers::TIMERS_COUNT_IN;
use crate::support::host::{Host, Setup, messages_only, minutes, seconds};

#[tokio::test(start_paused = true)]
async fn a_run_waits_for_the_first_worker_that_lives() {
    let mut setup = Setup::new();
    let killing_clock = WorkerKillingClock::new(&setup.clock);
    setup.arguments = setup.arguments.with_clock(killing_clock.clone());
    let mut host = setup.start().await;
    killing_clock.watch(&host);
    host.add_overdue(1);

    killing_clock.kills.store(3, Ordering::SeqCst);
    host.worker().kill();
    let report = host.run_now(Scope::All).await.expect("is not refused");
    let reported = next_report(&mut host.events, |_| true).await;

    assert_eq!(killing_clock.kills.load(Ordering::SeqCst), 0);
    assert_eq!(report.outcome, Outcome::Completed);
    assert_eq!(
        (report.trigger, report.counts.total()),
        (Trigger::Manual, 1)
    );
    assert_eq!(reported, report);
    assert_eq!(host.status().await.restarts, 4);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_timer_delays_a_worker_by_its_backoff_at_most() {
    for runs in [false, true] {
        let mut host = slow_to_restart().start().await;
        host.add_overdue(3);
        let running = if runs {
            let (_, answer) = host.in_second_batch().await;
            Some(answer)
        } else {
            None
        };
        host.worker().kill();
        let at = next_restart(&mut host).await;

        host.child("timer").kill();
        let report = host.run_now(Scope::All).await.expect("is not refused");

        if let Some(answer) = running {
            let crashed = answer.await.expect("is not refused").outcome;
            assert!(matches!(crashed, Outcome::Crashed { .. }), "{crashed}");
        }
        assert_eq!(report.outcome, Outcome::Completed);
        let late = report.started_at - at;
        assert!(
            late >= TimeDelta::zero() && late < TimeDelta::seconds(10),
            "{late}"
        );
        assert_eq!(host.ask(HousekeeperMsg::Status).await.timer_restarts, 1);
        assert_eq!(host.expired().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_restarted_timer_starts_a_worker_whose_backoff_has_ended() {
    let mut setup = Setup::new();
    setup.config.restart.max_restarts = u32::MAX;
    let mut host = setup.start().await;
    for _ in 0..6 {
        host.child("timer").kill();
        tokio::time::sleep(seconds(11)).await;
    }

    // The timer rests for seconds, the worker for a tenth of one.
    host.child("timer").kill();
    host.worker().kill();
    let at = next_restart(&mut host).await;
    let report = host.run_now(Scope::All).await.expect("is not refused");

    assert_eq!(report.outcome, Outcome::Completed);
    let late = report.started_at - at;
    assert!(late > TimeDelta::seconds(2), "{late}");
    assert!(late < TimeDelta::seconds(10), "{late}");
}

#[tokio::test(start_paused = true)]
async fn children_that_crash_together_all_restart() {
    let mut host = Setup::new().start().await;
    host.add_overdue(5);
    let (_gate, running) = host.in_second_batch().await;

    for child in host.housekeeper.get_children() {
        child.kill();
    }
    let crashed = running.await.expect("is not refused");
    let retried = next_report(&mut host.events, |next| next.run != crashed.run).await;
    let all = host
        .ask(HousekeeperMsg::RunAll)
        .await
        .expect("is not refused");

    assert!(
        matches!(
            crashed.outcome,
            Outcome::Crashed {
                rows_at_least: 2,
                ..
            }
        ),
        "{crashed}"
    );
    assert_eq!(retried.counts.total(), 3);
    assert!(all.iter().all(Report::success), "{all:?}");
    let status = host.ask(HousekeeperMsg::Status).await;
    assert_eq!(status.timer_restarts, 1);
    assert!(status.jobs.values().all(|job| job.restarts == 1));
    assert_eq!(host.housekeeper.get_children().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_worked_since_its_crash_has_the_first_backoff() {
    let mut setup = Setup::new();
    let ticking = Schedule {
        every: Some(minutes(15)),
        start_jitter: std::time::Duration::ZERO,
        ..messages_only()
    };
    let expirer = JobConfig {
        schedule: ticking,
        ..setup.config.job.clone()
    };
    setup.config.jobs.insert(BookingExpirer::NAME, expirer);
    let mut host = setup.start().await;
    let started = host.clock.now();
    for _ in 0..10 {
        host.child("timer").kill();
        tokio::time::sleep(seconds(11)).await;
    }
    next_report(&mut host.events, |_| true).await;

    let due = started + minutes(30);
    let just_before = due - TIMERS_COUNT_IN - host.clock.now();
    tokio::time::sleep(just_before.to_std().expect("is ahead")).await;
    host.child("timer").kill();
    let tick = next_report(&mut host.events, |_| true).await;

    let late = tick.started_at - due;
    assert!(late <= TimeDelta::milliseconds(100), "{late}");
}

#[tokio::test(start_paused = true)]
async fn a_suspension_during_a_backoff_restarts_within_a_minute() {
    let mut setup = Setup::new();
    setup.config.restart.backoff.first = minutes(30);
    setup.config.restart.backoff.max = minutes(30);
    let mut host = setup.start().await;
    host.worker().kill();
    next_restart(&mut host).await;
    let asleep = tokio::time::Instant::now();

    host.clock.advance_wall(TimeDelta::hours(1));
    let report = host.run_now(Scope::All).await.expect("is not refused");

    assert_eq!(report.outcome, Outcome::Completed);
    assert!(asleep.elapsed() <= seconds(61), "{:?}", asleep.elapsed());
}

#[tokio::test(start_paused = true)]
async fn killing_the_housekeeper_during_a_backoff_leaves_no_child() {
    let mut host = slow_to_restart().start().await;
    let children = host.housekeeper.get_children();
    host.child("timer").kill();
    host.worker().kill();
    next_restart(&mut host).await;
    let (reply, queued) = ractor::concurrency::oneshot();
    let ask = HousekeeperMsg::RunNow(BookingExpirer::NAME, Scope::All, reply.into());
    host.housekeeper.cast(ask).expect("it runs");
    let resting = host.status().await.worker;

    host.housekeeper.kill();
    host.housekeeper.wait(None).await.expect("it stops");
    tokio::time::sleep(minutes(10)).await;

    assert!(
        matches!(resting, WorkerStatus::Restarting { .. }),
        "{resting:?}"
    );
    assert!(queued.await.is_err());
    assert!(host.housekeeper.get_children().is_empty());
    for child in children {
        child.wait(Some(seconds(1))).await.expect("it is gone");
    }
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 0);
}

fn slow_to_restart() -> Setup {
    let mut setup = Setup::new();
    setup.config.restart.backoff.first = seconds(10);
    setup
}

async fn next_restart(host: &mut Host) -> DateTime<Utc> {
    let restarting = next_event(&mut host.events, |news| {
        matches!(news, Event::WorkerRestarting { .. })
    })
    .await;
    let Event::WorkerRestarting { at, .. } = &*restarting else {
        unreachable!()
    };
    *at
}

/// A clock that kills new workers of the expirer when it is read. The supervisor reads it after it
/// started one and before it gives it a run.
#[derive(Clone)]
struct WorkerKillingClock {
    clock: ManualClock,
    watched: Arc<OnceLock<WatchedHost>>,
    kills: Arc<AtomicU32>,
}

struct WatchedHost {
    housekeeper: ActorRef<HousekeeperMsg>,
    /// Those that were there at first, and those it killed.
    known: Mutex<Vec<ActorId>>,
    worker: ActorCell,
}

impl WorkerKillingClock {
    fn new(clock: &ManualClock) -> Self {
        Self {
            clock: clock.clone(),
            watched: Arc::default(),
            kills: Arc::default(),
        }
    }

    fn watch(&self, host: &Host) {
        let children = host.housekeeper.get_children();
        let watched = WatchedHost {
            housekeeper: host.housekeeper.clone(),
            known: Mutex::new(children.iter().map(ActorCell::get_id).collect()),
            worker: host.worker(),
        };
        assert!(self.watched.set(watched).is_ok(), "it watches one host");
    }
}

impl Clock for WorkerKillingClock {
    fn now(&self) -> DateTime<Utc> {
        if let Some(watched) = self.watched.get() {
            let mut known = watched.known.lock().expect("no panic");
            for child in watched.housekeeper.get_children() {
                let is_new = child.get_type_id() == watched.worker.get_type_id()
                    && !known.contains(&child.get_id());
                if is_new && self.kills.load(Ordering::SeqCst) > 0 {
                    self.kills.fetch_sub(1, Ordering::SeqCst);
                    known.push(child.get_id());
                    child.kill();
                }
            }
        }
        self.clock.now()
    }
}
