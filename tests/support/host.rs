//! A host with the two built-in jobs over a store in memory, on tokio's paused clock, in which
//! faults are set.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use ractor::{ActorCell, ActorRef, RpcReplyPort};
use ractor_housekeeper::actors::Delivery;
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::config::{Pace, Schedule};
use ractor_housekeeper::model::JobStatus;
use ractor_housekeeper::testing::{Faults, FaultyJob, ManualClock, MemoryBooking, MemoryStore};
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, Report, RequestError, Scope,
    Subscriber, start,
};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use uuid::Uuid;

/// The arguments of a housekeeper, open to changes.
pub(crate) struct Setup {
    pub(crate) config: HousekeeperConfig,
    pub(crate) clock: ManualClock,
    pub(crate) store: MemoryStore,
    /// Of the booking expirer.
    pub(crate) faults: Faults,
    /// Of the session cleaner.
    pub(crate) sibling_faults: Faults,
    pub(crate) arguments: HousekeeperArguments,
}

/// A housekeeper that runs, and what surrounds it.
pub(crate) struct Host {
    pub(crate) clock: ManualClock,
    pub(crate) store: MemoryStore,
    pub(crate) faults: Faults,
    pub(crate) sibling_faults: Faults,
    pub(crate) events: UnboundedReceiver<Delivery>,
    pub(crate) housekeeper: ActorRef<HousekeeperMsg>,
    /// The first worker of the expirer, the worker of the cleaner, the first timer.
    children: [ActorCell; 3],
}

impl Setup {
    /// Both jobs run by messages only, in batches of two rows without a pause.
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new(noon());
        let store = MemoryStore::new().with_clock(Arc::new(clock.clone()));
        let expirer = BookingExpirer::new(Arc::new(store.clone()), Some(minutes(15)));
        let cleaner = SessionCleaner::new(Arc::new(store.clone()), Some(minutes(24 * 60)));
        let (expirer, faults) = FaultyJob::new(expirer.expect("the age can be"));
        let (cleaner, sibling_faults) = FaultyJob::new(cleaner.expect("the age can be"));
        let mut config = HousekeeperConfig::default();
        config.job.schedule = messages_only();
        config.job.pace = Pace::fixed(2.try_into().expect("is not zero"));
        Self {
            config,
            arguments: HousekeeperArguments::new(vec![Arc::new(expirer), Arc::new(cleaner)])
                .with_clock(clock.clone()),
            clock,
            store,
            faults,
            sibling_faults,
        }
    }

    pub(crate) async fn start(self) -> Host {
        let arguments = self.arguments.with_config(self.config);
        let started = start(None, arguments).await.expect("it starts");
        let (subscriber, events) = Subscriber::channel();
        started
            .housekeeper
            .cast(HousekeeperMsg::Subscribe(subscriber))
            .expect("it runs");
        Host {
            clock: self.clock,
            store: self.store,
            faults: self.faults,
            sibling_faults: self.sibling_faults,
            events,
            children: children(&started.housekeeper),
            housekeeper: started.housekeeper.into(),
        }
    }
}

impl Host {
    /// Sends a message now; the future waits for its answer.
    pub(crate) fn ask<T, F>(&self, message: F) -> impl Future<Output = T> + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(RpcReplyPort<T>) -> HousekeeperMsg,
    {
        let (reply, answer) = ractor::concurrency::oneshot();
        self.housekeeper
            .cast(message(reply.into()))
            .expect("it runs");
        async move {
            let answer = timeout(minutes(24 * 60), answer).await;
            answer.expect("within a day").expect("an answer")
        }
    }

    /// Asks for a run of the booking expirer.
    pub(crate) fn run_now(
        &self,
        scope: Scope,
    ) -> impl Future<Output = Result<Report, RequestError>> + use<> {
        self.ask(move |reply| HousekeeperMsg::RunNow(BookingExpirer::NAME, scope, reply))
    }

    /// The status of the booking expirer.
    pub(crate) async fn status(&self) -> JobStatus {
        let mut status = self.ask(HousekeeperMsg::Status).await;
        let status = status.jobs.remove(&BookingExpirer::NAME);
        status.expect("the job is there")
    }

    /// The `timer`, or the `worker` of the booking expirer, as long as the cleaner's own worker
    /// lives.
    pub(crate) fn child(&self, role: &str) -> ActorCell {
        let [worker, sibling, timer] = &self.children;
        let kind = if role == "timer" { timer } else { worker };
        let children = self.housekeeper.get_children().into_iter();
        children
            .filter(|child| child.get_type_id() == kind.get_type_id())
            .filter(|child| child.get_id() != sibling.get_id())
            .max_by_key(ActorCell::get_id)
            .expect("it lives")
    }

    /// Adds bookings that have been due for three quarters of an hour.
    pub(crate) fn add_overdue(&self, bookings: u32) {
        let made = self.clock.now() - TimeDelta::hours(1);
        let earlier = self.store.bookings().len();
        for number in 0..bookings {
            let id = format!("b{:03}", earlier + number as usize);
            let booking = MemoryBooking::pending(id, Uuid::nil(), made);
            self.store.add_booking(booking);
        }
    }

    /// Ids of the bookings that are expired.
    pub(crate) fn expired(&self) -> Vec<String> {
        let bookings = self.store.bookings().into_iter();
        bookings
            .filter(|booking| booking.status == "Expired")
            .map(|booking| booking.id)
            .collect()
    }
}

/// The expirer's worker, the cleaner's, and the timer of a housekeeper that has just started.
pub(crate) fn children(housekeeper: &ActorRef<HousekeeperMsg>) -> [ActorCell; 3] {
    let mut children = housekeeper.get_children();
    children.sort_by_key(ActorCell::get_id);
    // Couriers start between the workers and the timer.
    let timer = children.pop().expect("a timer");
    children.truncate(2);
    let [worker, sibling] = children.try_into().expect("two workers");
    [worker, sibling, timer]
}

pub(crate) fn messages_only() -> Schedule {
    Schedule {
        every: None,
        at_start: false,
        at_deadline: false,
        ..Schedule::default()
    }
}

pub(crate) fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn noon() -> chrono::DateTime<chrono::Utc> {
    "2026-01-10T12:00:00Z".parse().expect("is an instant")
}
