//! A play: storms and calm, by the dice of one seed.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::model::Health;
use ractor_housekeeper::{HousekeeperMsg, JobName};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::actions::Action;
use crate::listener::Listener;
use crate::replica::{Replica, ReplicaState, schedule_without_faults};
use crate::requests::{Progress, Request, RequestKind};
use crate::totals::Totals;
use crate::world::World;

pub(crate) struct Scenario {
    pub(crate) world: World,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) requests: Vec<Request>,
    pub(crate) listeners: Vec<Listener>,
    subscriber_actor: ActorRef<()>,
    joined: usize,
}

/// The end of a play.
pub(crate) struct SeedResult {
    pub(crate) trace: u64,
    pub(crate) totals: Totals,
    pub(crate) broken: Option<String>,
}

/// Plays a seed on this thread.
pub(crate) fn scenario(seed: u64, verbose: bool) -> SeedResult {
    // The housekeepers draw their jitter from here.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let world = World::new(seed, verbose);
        let (subscriber_actor, handle) = Actor::spawn(None, SubscriberActor, ())
            .await
            .expect("it starts");
        let mut scenario = Scenario {
            world: world.clone(),
            replicas: Vec::new(),
            requests: Vec::new(),
            listeners: Vec::new(),
            subscriber_actor,
            joined: 0,
        };
        scenario.run().await;
        scenario.subscriber_actor.stop(None);
        drop(scenario);
        let _ = handle.await;
        yield_now().await;
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        let mut world = world.lock();
        if tasks > 0 {
            world.break_promise(format!("{tasks} tasks are left"));
        }
        let faults: u64 = world.totals.faults.values().sum();
        if faults < 20 && world.broken.is_none() {
            world.break_promise(format!("the scenario had {faults} faults only"));
        }
        SeedResult {
            trace: world.trace(),
            totals: std::mem::take(&mut world.totals),
            broken: world.broken.take(),
        }
    })
}

impl Scenario {
    async fn run(&mut self) {
        for _ in 0..ROUNDS {
            self.with_faults().await;
            self.without_faults().await;
        }
        for replica in 0..self.replicas.len() {
            self.shut_down(replica, Duration::from_secs(10));
        }
        self.pass(Duration::from_secs(11)).await;
        if !self.replicas.is_empty() || !self.requests.is_empty() {
            let (left, open) = (self.replicas.len(), self.requests.len());
            let broken = format!("{left} replicas and {open} questions outlast the end");
            self.world.lock().break_promise(broken);
        }
    }

    /// Plays one action or fault.
    async fn with_faults(&mut self) {
        for _ in 0..ACTIONS_WITH_FAULTS {
            let action = Action::draw(&mut self.world.lock());
            self.act(action).await;
            let pause = self.world.lock().pause();
            self.pass(pause).await;
            if self.is_broken() {
                return;
            }
        }
    }

    /// No faults any more: all heals by itself, and everything is on time again.
    async fn without_faults(&mut self) {
        self.world.lock().trouble = 0;
        // One that escalated may still be on its way out.
        self.pass(Duration::from_secs(30)).await;
        if self.running_replicas().next().is_none() {
            self.join().await;
        }
        let running_replicas: Vec<usize> = self.running_replicas().collect();
        for replica in running_replicas {
            for job in JOBS {
                let resumed = job.clone();
                self.switch(replica, |reply| HousekeeperMsg::Resume(resumed, reply));
                let confirmed = job.clone();
                self.switch(replica, |reply| {
                    HousekeeperMsg::ConfirmClock(confirmed, reply)
                });
                let schedule = schedule_without_faults();
                self.ask(
                    replica,
                    |reply| HousekeeperMsg::Reschedule(job, schedule, reply),
                    RequestKind::Reschedule,
                );
            }
        }
        let since = self.world.lock().now();
        self.pass(SETTLED).await;
        self.check_recovery(since).await;

        self.world.lock().without_faults = true;
        for _ in 0..ACTIONS_WITHOUT_FAULTS {
            let action = Action::draw_without_faults(&mut self.world.lock());
            self.act(action).await;
            let pause = self.world.lock().pause().min(Duration::from_secs(20));
            self.pass(pause).await;
            if self.is_broken() {
                return;
            }
        }
        self.pass(Duration::from_secs(2)).await;
        self.compare_histories().await;
        self.pass(Duration::from_secs(6)).await;
        let mut world = self.world.lock();
        world.check_deliveries();
        if let Some(late) = world.late() {
            world.break_promise(format!("{late} is late in without_faults weather"));
        }
        world.without_faults = false;
    }

    /// Checks what must hold after a time without faults.
    async fn check_recovery(&mut self, since: chrono::DateTime<chrono::Utc>) {
        let mut broken = Vec::new();
        let running_replicas: Vec<usize> = self.running_replicas().collect();
        {
            let world = self.world.lock();
            let (bookings, sessions) = world.guests.due_since(since, None, world.ages);
            if !bookings.is_empty() || !sessions.is_empty() {
                broken.push(format!("left behind: {bookings:?} {sessions:?}"));
            }
            broken.extend(world.undelivered(since));
            for requests in &self.requests {
                broken.push(format!("{} was never answered", requests.what()));
            }
            let mut numbers = running_replicas
                .iter()
                .map(|place| self.replicas[*place].number);
            if let Some(id) = numbers.find_map(|number| world.unreported(number)) {
                broken.push(format!("{id} was handled without an event"));
            }
        }
        for replica in running_replicas {
            let housekeeper = self.replicas[replica].housekeeper.clone();
            let status = ractor::call!(housekeeper, HousekeeperMsg::Status).expect("it runs");
            for (job, status) in status.jobs {
                if matches!(
                    status.health,
                    Health::Failing { .. } | Health::Degraded { .. }
                ) {
                    broken.push(format!("{job} has not reset_backoff: {:?}", status.health));
                }
            }
        }
        for broken in broken {
            self.world.lock().break_promise(broken);
        }
    }

    /// Starts one more replica.
    pub(crate) async fn join(&mut self) {
        let replica = Replica::start(self.joined, &self.world, &self.subscriber_actor).await;
        self.joined += 1;
        self.replicas.push(replica);
    }

    /// Lets time pass, and checks what must hold at every step.
    pub(crate) async fn pass(&mut self, time: Duration) {
        if time.is_zero() {
            yield_now().await;
            return self.check();
        }
        let end = Instant::now() + time;
        while Instant::now() < end {
            // Checks then that these replicas have stopped.
            let leaving = self
                .replicas
                .iter()
                .filter_map(|replica| match replica.state() {
                    ReplicaState::Stopping(by) => Some(by + SLACK),
                    ReplicaState::Running | ReplicaState::Killed => None,
                });
            let look = leaving.filter(|by| *by > Instant::now()).min();
            sleep_until(look.map_or(end, |look| look.min(end))).await;
            self.check();
        }
    }

    fn check(&mut self) {
        let Self {
            world,
            replicas,
            requests,
            listeners,
            ..
        } = self;
        let find = |number| replicas.iter().find(|replica| replica.number == number);
        let mut broken = Vec::new();
        requests.retain_mut(|kind| {
            let Some(replica) = find(kind.replica) else {
                return false;
            };
            let state = replica.state();
            let progress = kind.look(replica);
            match progress {
                Progress::Answered => return false,
                Progress::Closed if state == ReplicaState::Killed => return false,
                Progress::Closed if replica.may_miss_messages_at(kind.at) => return false,
                Progress::Closed => broken.push(format!("{} was dropped", kind.what())),
                Progress::Waiting if kind.is_late() && state != ReplicaState::Killed => {
                    broken.push(format!("{} waits too long", kind.what()));
                }
                Progress::Waiting => return true,
            }
            false
        });
        for listener in listeners {
            broken.extend(find(listener.replica).and_then(|replica| listener.compare(replica)));
        }
        replicas.retain(|replica| {
            let state = replica.state();
            if let ReplicaState::Stopping(by) = state {
                if Instant::now() >= by + SLACK && !replica.handle.is_finished() {
                    broken.push(format!("replica {} is still there", replica.number));
                }
            }
            if !replica.handle.is_finished() {
                return true;
            }
            if !replica.may_end() {
                broken.push(format!("replica {} ended by itself", replica.number));
            }
            // After a plain stop a batch may commit without an event.
            if state != ReplicaState::Killed && !replica.may_miss_messages_at(Instant::now()) {
                if let Some(id) = world.lock().unreported(replica.number) {
                    broken.push(format!("replica {} did not report {id}", replica.number));
                }
            }
            let ignore_reply = requests
                .iter()
                .find(|requests| requests.replica == replica.number);
            if let Some(requests) = ignore_reply {
                broken.push(format!("{} outlived its housekeeper", requests.what()));
            }
            false
        });
        for broken in broken {
            world.lock().break_promise(broken);
        }
    }

    /// The replicas without a request to leave.
    pub(crate) fn running_replicas(&self) -> impl Iterator<Item = usize> + use<'_> {
        let replicas = self.replicas.iter().enumerate();
        replicas
            .filter(|(_, replica)| replica.is_running())
            .map(|(place, _)| place)
    }

    fn is_broken(&self) -> bool {
        self.world.lock().broken.is_some()
    }
}

/// Names subscriptions that run within the housekeeper's own `emit`.
struct SubscriberActor;

impl Actor for SubscriberActor {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

pub(crate) const JOBS: [JobName; 2] = [BookingExpirer::NAME, SessionCleaner::NAME];

/// Longer than any backoff, cool-down, limit and tick of the settings.
const SETTLED: Duration = Duration::from_secs(200);

/// Rounding of timers on the paused clock.
pub(crate) const SLACK: Duration = Duration::from_millis(5);

const ROUNDS: u32 = 4;
const ACTIONS_WITH_FAULTS: u32 = 440;
const ACTIONS_WITHOUT_FAULTS: u32 = 60;
