//! One process with a housekeeper: both jobs over the shared store, and a clock of its own.

use std::any::TypeId;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::TimeDelta;
use fastrand::Rng;
use ractor::{ActorCell, ActorRef};
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::config::{BackoffConfig, OnRestartLimit, Pace, Schedule};
use ractor_housekeeper::testing::ManualClock;
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, Job, Subscriber, start,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ledger::Ledger;
use crate::unreliable::{Link, Unreliable};
use crate::world::{World, choose};

pub(crate) struct Replica {
    pub(crate) number: usize,
    pub(crate) world: World,
    pub(crate) housekeeper: ActorRef<HousekeeperMsg>,
    pub(crate) handle: JoinHandle<()>,
    pub(crate) clock: ManualClock,
    pub(crate) ledger: Ledger,
    pub(crate) fate: Fate,
    /// Since when it takes no message: a plain stop overtakes those in the mailbox.
    deaf: Option<Instant>,
    may_escalate: bool,
    link: Link,
    /// Of the workers' messages, and of the timer's.
    kinds: [TypeId; 2],
}

/// What is to become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Stays,
    /// It was told to leave, and is gone by then.
    Leaves(Instant),
    /// It was killed, and owes nobody an answer.
    Killed,
}

impl Replica {
    /// Starts one. `clerk` lends its name to the ledger.
    pub(crate) async fn start(number: usize, world: &World, clerk: &ActorRef<()>) -> Self {
        let (config, wrong) = {
            let dice = &mut world.lock().dice;
            let wrong = TimeDelta::seconds(dice.i64(-3_600..3_600));
            (settings(dice), wrong)
        };
        let link = Link {
            world: world.clone(),
            replica: number,
            housekeeper: Arc::new(OnceLock::new()),
        };
        let clock = ManualClock::new(world.lock().clock.now() + wrong);
        let may_escalate = config.restart.on_limit == OnRestartLimit::Escalate;
        let (jobs, history) = jobs(&link);
        let arguments = HousekeeperArguments::new(jobs)
            .with_config(config)
            .with_clock(clock.clone())
            .with_history(history);
        let started = start(None, arguments).await.expect("it starts");
        let housekeeper = started.housekeeper;
        let _ = link.housekeeper.set(housekeeper.get_cell());

        let ledger = Ledger::new(world.clone(), number);
        let book = ledger.clone();
        let subscriber = Subscriber::actor(clerk, move |event| book.record(&event));
        let _ = housekeeper.cast(HousekeeperMsg::Subscribe(subscriber));
        let children = children(&housekeeper);
        Self {
            number,
            world: world.clone(),
            kinds: [children[0].get_type_id(), children[2].get_type_id()],
            housekeeper,
            handle: started.handle.expect("it has no name"),
            clock,
            ledger,
            fate: Fate::Stays,
            deaf: None,
            may_escalate,
            link,
        }
    }

    /// Whether nobody told it to leave, and it does not by itself.
    pub(crate) fn stays(&self) -> bool {
        let leaves = self.ledger.book().shutting_down;
        self.fate() == Fate::Stays && !leaves && !self.handle.is_finished()
    }

    /// What became of it; a kill in one of its own steps is known only there.
    pub(crate) fn fate(&self) -> Fate {
        if self.link.world.lock().killed.contains(&self.number) {
            Fate::Killed
        } else {
            self.fate
        }
    }

    /// It was stopped by ractor's own means, which take no message any more.
    pub(crate) fn stops_by_hand(&mut self) {
        self.leaves_within(Duration::from_secs(5));
        self.deaf.get_or_insert(Instant::now());
    }

    /// Whether what it was sent at that instant may have met nobody.
    pub(crate) fn was_gone_at(&self, at: Instant) -> bool {
        self.deaf.is_some_and(|deaf| deaf <= at)
    }

    /// Whether it may end without having been told.
    pub(crate) fn may_end(&self) -> bool {
        self.may_escalate || self.fate() != Fate::Stays
    }

    /// It was told to leave within this time.
    pub(crate) fn leaves_within(&mut self, grace: Duration) {
        let by = Instant::now() + grace;
        if self.deaf.is_some() {
            return;
        }
        self.fate = match self.fate() {
            Fate::Stays => Fate::Leaves(by),
            Fate::Leaves(earlier) => Fate::Leaves(by.min(earlier)),
            Fate::Killed => Fate::Killed,
        };
    }

    /// Its children in the order in which they were started, each with what it is.
    pub(crate) fn children(&self) -> Vec<(ActorCell, &'static str)> {
        let [worker, timer] = self.kinds;
        let named = |child: ActorCell| {
            let kind = match child.get_type_id() {
                kind if kind == worker => "worker",
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

fn jobs(
    link: &Link,
) -> (
    Vec<Arc<dyn Job>>,
    Unreliable<ractor_housekeeper::testing::MemoryStore>,
) {
    let (store, ages) = {
        let world = link.world.lock();
        (world.store.clone(), world.ages)
    };
    let expirer = BookingExpirer::new(Arc::new(store.clone()), Some(ages.booking));
    let cleaner = SessionCleaner::new(Arc::new(store.clone()), Some(ages.session));
    let jobs: Vec<Arc<dyn Job>> = vec![
        Arc::new(Unreliable {
            inner: expirer.expect("the age can be"),
            link: link.clone(),
        }),
        Arc::new(Unreliable {
            inner: cleaner.expect("the age can be"),
            link: link.clone(),
        }),
    ];
    let history = Unreliable {
        inner: store,
        link: link.clone(),
    };
    (jobs, history)
}

/// Settings as hosts may choose them, with waits that fit into a play.
fn settings(dice: &mut Rng) -> HousekeeperConfig {
    let mut config = HousekeeperConfig::default();
    config.job.schedule = schedule(dice);
    config.job.pace = Pace::fixed((*choose(dice, &[1, 2, 5])).try_into().expect("not zero"));
    config.job.step_timeout = Duration::from_secs(5);
    config.job.run_timeout = *choose(dice, &[None, Some(Duration::from_secs(4))]);
    config.retry = backoff(dice, 30);
    config.restart.backoff = backoff(dice, 10);
    config.restart.max_restarts = dice.u32(0..6);
    config.restart.within = Duration::from_secs(dice.u64(10..60));
    config.restart.cool_down = Duration::from_secs(dice.u64(1..30));
    config.history.runs = 20.try_into().expect("not zero");
    if dice.u8(0..10) == 0 {
        config.restart.on_limit = OnRestartLimit::Escalate;
    }
    config
}

fn backoff(dice: &mut Rng, longest: u64) -> BackoffConfig {
    BackoffConfig {
        first: Duration::from_millis(dice.u64(1..1_000)),
        max: Duration::from_secs(dice.u64(1..=longest)),
    }
}

/// A schedule with any of its parts on or off.
pub(crate) fn schedule(dice: &mut Rng) -> Schedule {
    Schedule {
        every: *choose(
            dice,
            &[
                None,
                Some(Duration::from_secs(120)),
                Some(Duration::from_secs(900)),
            ],
        ),
        at_start: dice.bool(),
        at_deadline: dice.u8(0..4) > 0,
        ..Schedule::default()
    }
}

/// The schedule of calm weather, by which everything is found.
pub(crate) fn calm_schedule() -> Schedule {
    Schedule {
        every: Some(Duration::from_secs(120)),
        ..Schedule::default()
    }
}
