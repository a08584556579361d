//! One process with a housekeeper: both jobs over the shared store, and a clock of its own.

use std::any::TypeId;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::TimeDelta;
use fastrand::Rng;
use ractor::{ActorCell, ActorRef};
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::config::{BackoffConfig, DeliveryOrder, OnRestartLimit, Pace, Schedule};
use ractor_housekeeper::testing::ManualClock;
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, Job, Subscriber, start,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::deliveries::{UnreliableOutbox, receiver};
use crate::event_log::EventLog;
use crate::histories::KEPT_LINES;
use crate::unreliable::{FaultSource, UnreliableHistory, UnreliableJob};
use crate::world::{World, choose};

pub(crate) struct Replica {
    pub(crate) number: usize,
    pub(crate) world: World,
    pub(crate) housekeeper: ActorRef<HousekeeperMsg>,
    pub(crate) handle: JoinHandle<()>,
    pub(crate) clock: ManualClock,
    pub(crate) event_log: EventLog,
    pub(crate) state: ReplicaState,
    /// Since when it takes no message: a plain stop overtakes those in the mailbox.
    stopped_reading_at: Option<Instant>,
    may_escalate: bool,
    fault_source: FaultSource,
    /// Of the messages of the workers, the courier and the timer.
    kinds: [TypeId; 3],
}

/// Its intended end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplicaState {
    Running,
    /// Its shutdown was requested, and it is gone by then.
    Stopping(Instant),
    /// It was killed, so its callers get no answer.
    Killed,
}

impl Replica {
    /// Starts one. `clerk` lends its name to the ledger.
    pub(crate) async fn start(
        number: usize,
        world: &World,
        subscriber_actor: &ActorRef<()>,
    ) -> Self {
        let (config, wrong) = {
            let rng = &mut world.lock().rng;
            let wrong = TimeDelta::seconds(rng.i64(-3_600..3_600));
            (settings(rng), wrong)
        };
        let fault_source = FaultSource {
            world: world.clone(),
            replica: number,
            housekeeper: Arc::new(OnceLock::new()),
        };
        let clock = ManualClock::new(world.lock().clock.now() + wrong);
        let may_escalate = config.restart.on_limit == OnRestartLimit::Escalate;
        let (jobs, history) = jobs(&fault_source);
        let outbox = world.lock().outbox.clone();
        let arguments = HousekeeperArguments::new(jobs)
            .with_config(config)
            .with_clock(clock.clone())
            .with_history(history)
            .with_courier(
                BookingExpirer::NAME,
                UnreliableOutbox {
                    inner: outbox,
                    fault_source: fault_source.clone(),
                },
                receiver(&fault_source),
            );
        let started = start(None, arguments).await.expect("it starts");
        let housekeeper = started.housekeeper;
        let _ = fault_source.housekeeper.set(housekeeper.get_cell());

        let event_log = EventLog::new(world.clone(), number);
        let events = event_log.clone();
        let subscriber = Subscriber::actor(subscriber_actor, move |event| events.record(&event));
        let _ = housekeeper.cast(HousekeeperMsg::Subscribe(subscriber));
        let children = children(&housekeeper);
        Self {
            number,
            world: world.clone(),
            // Two workers, the courier and the timer.
            kinds: [0, 2, 3].map(|place| children[place].get_type_id()),
            housekeeper: housekeeper.into(),
            handle: started.handle,
            clock,
            event_log,
            state: ReplicaState::Running,
            stopped_reading_at: None,
            may_escalate,
            fault_source,
        }
    }

    /// Returns whether it runs on, without a request to leave.
    pub(crate) fn is_running(&self) -> bool {
        let leaves = self.event_log.events().shutting_down;
        self.state() == ReplicaState::Running && !leaves && !self.handle.is_finished()
    }

    /// Its end; a kill in one of its own steps is known only there.
    pub(crate) fn state(&self) -> ReplicaState {
        if self.fault_source.world.lock().killed.contains(&self.number) {
            ReplicaState::Killed
        } else {
            self.state
        }
    }

    /// It was stopped by ractor's own means, which take no message any more.
    pub(crate) fn is_stopped_by_ractor(&mut self) {
        // A shutdown in progress keeps its grace.
        if self.is_running() {
            self.stops_within(Duration::from_secs(5));
        }
        self.stopped_reading_at.get_or_insert(Instant::now());
    }

    /// Returns whether a message sent at that instant may be lost.
    pub(crate) fn may_miss_messages_at(&self, at: Instant) -> bool {
        self.stopped_reading_at
            .is_some_and(|stopped_reading_at| stopped_reading_at <= at)
    }

    /// Whether it may end without a shutdown.
    pub(crate) fn may_end(&self) -> bool {
        self.may_escalate || self.state() != ReplicaState::Running
    }

    /// Its shutdown was requested with this grace.
    pub(crate) fn stops_within(&mut self, grace: Duration) {
        let by = Instant::now() + grace;
        if self.stopped_reading_at.is_some() {
            return;
        }
        self.state = match self.state() {
            ReplicaState::Running => ReplicaState::Stopping(by),
            ReplicaState::Stopping(earlier) => ReplicaState::Stopping(by.min(earlier)),
            ReplicaState::Killed => ReplicaState::Killed,
        };
    }

    /// Its children in the order in which they were started, each with what it is.
    pub(crate) fn children(&self) -> Vec<(ActorCell, &'static str)> {
        let [worker, courier, timer] = self.kinds;
        let named = |child: ActorCell| {
            let kind = match child.get_type_id() {
                kind if kind == worker => "worker",
                kind if kind == courier => "courier",
                kind if kind == timer => "timer",
                _ => "reader",
            };
            (child, kind)
        };
        children(&self.housekeeper).into_iter().map(named).collect()
    }
}

fn children(housekeeper: &ActorRef<HousekeeperMsg>) -> Vec<ActorCell> {
    let mut children = housekeeper.get_children();
    children.sort_by_key(ActorCell::get_id);
    children
}

fn jobs(fault_source: &FaultSource) -> (Vec<Arc<dyn Job>>, UnreliableHistory) {
    let (store, ages) = {
        let world = fault_source.world.lock();
        (world.store.clone(), world.ages)
    };
    let expirer = BookingExpirer::new(Arc::new(store.clone()), Some(ages.booking));
    let cleaner = SessionCleaner::new(Arc::new(store.clone()), Some(ages.session));
    let jobs: Vec<Arc<dyn Job>> = vec![
        UnreliableJob::around(expirer.expect("the age can be"), fault_source),
        UnreliableJob::around(cleaner.expect("the age can be"), fault_source),
    ];
    let history = UnreliableHistory {
        inner: store,
        fault_source: fault_source.clone(),
    };
    (jobs, history)
}

/// Settings as hosts may choose them, with waits that fit into a play.
fn settings(rng: &mut Rng) -> HousekeeperConfig {
    let mut config = HousekeeperConfig::default();
    config.job.schedule = schedule(rng);
    config.job.pace = Pace::fixed((*choose(rng, &[1, 2, 5])).try_into().expect("not zero"));
    config.job.step_timeout = Duration::from_secs(5);
    config.job.run_timeout = *choose(rng, &[None, Some(Duration::from_secs(4))]);
    config.retry = backoff(rng, 30);
    config.restart.backoff = backoff(rng, 10);
    config.restart.max_restarts = rng.u32(0..6);
    config.restart.within = Duration::from_secs(rng.u64(10..60));
    config.restart.cool_down = Duration::from_secs(rng.u64(1..30));
    config.courier.batch = (*choose(rng, &[1, 2, 10])).try_into().expect("not zero");
    config.courier.in_flight = (*choose(rng, &[1, 3])).try_into().expect("not zero");
    config.courier.order = *choose(rng, &[DeliveryOrder::AsWritten, DeliveryOrder::PerKey]);
    config.courier.answer_timeout = Duration::from_secs(5);
    config.courier.max_attempts = u32::MAX.try_into().expect("not zero");
    config.courier.backoff = backoff(rng, 30);
    config.history.runs = KEPT_LINES.try_into().expect("not zero");
    if rng.u8(0..10) == 0 {
        config.restart.on_limit = OnRestartLimit::Escalate;
    }
    config
}

fn backoff(rng: &mut Rng, longest: u64) -> BackoffConfig {
    BackoffConfig {
        first: Duration::from_millis(rng.u64(1..1_000)),
        max: Duration::from_secs(rng.u64(1..=longest)),
    }
}

/// A schedule with any of its parts on or off.
pub(crate) fn schedule(rng: &mut Rng) -> Schedule {
    Schedule {
        every: *choose(
            rng,
            &[
                None,
                Some(Duration::from_secs(120)),
                Some(Duration::from_secs(900)),
            ],
        ),
        at_start: rng.bool(),
        at_deadline: rng.u8(0..4) > 0,
        ..Schedule::default()
    }
}

/// The schedule of calm weather, by which everything is found.
pub(crate) fn schedule_without_faults() -> Schedule {
    Schedule {
        every: Some(Duration::from_secs(120)),
        ..Schedule::default()
    }
}
