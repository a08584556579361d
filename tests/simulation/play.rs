//! A play: storms and calm, by the dice of one seed.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::model::Health;
use ractor_housekeeper::{HousekeeperMsg, JobName};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::actions::Action;
use crate::asked::{Asked, Question, Standing};
use crate::listener::Listener;
use crate::replica::{Fate, Replica, calm_schedule};
use crate::tally::Tally;
use crate::world::World;

pub(crate) struct Play {
    pub(crate) world: World,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) listeners: Vec<Listener>,
    clerk: ActorRef<()>,
    joined: usize,
}

/// What is left of a play.
pub(crate) struct Played {
    pub(crate) trace: u64,
    pub(crate) tally: Tally,
    pub(crate) broken: Option<String>,
}

/// Plays a seed on this thread.
pub(crate) fn play(seed: u64, aloud: bool) -> Played {
    // The housekeepers draw their jitter from here.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let world = World::new(seed, aloud);
        let (clerk, handle) = Actor::spawn(None, Clerk, ()).await.expect("it starts");
        let mut play = Play {
            world: world.clone(),
            replicas: Vec::new(),
            asked: Vec::new(),
            listeners: Vec::new(),
            clerk,
            joined: 0,
        };
        play.whole().await;
        play.clerk.stop(None);
        drop(play);
        let _ = handle.await;
        yield_now().await;
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        let mut world = world.lock();
        if tasks > 0 {
            world.break_promise(format!("{tasks} tasks are left"));
        }
        let faults: u64 = world.tally.faults.values().sum();
        if faults < 20 && world.broken.is_none() {
            world.break_promise(format!("the play had {faults} faults only"));
        }
        Played {
            trace: world.trace(),
            tally: std::mem::take(&mut world.tally),
            broken: world.broken.take(),
        }
    })
}

impl Play {
    async fn whole(&mut self) {
        for _ in 0..ROUNDS {
            self.storm().await;
            self.calm().await;
        }
        for replica in 0..self.replicas.len() {
            self.shut_down(replica, Duration::from_secs(10));
        }
        self.pass(Duration::from_secs(11)).await;
        if !self.replicas.is_empty() || !self.asked.is_empty() {
            let (left, open) = (self.replicas.len(), self.asked.len());
            let broken = format!("{left} replicas and {open} questions outlast the end");
            self.world.lock().break_promise(broken);
        }
    }

    /// Whatever may happen does.
    async fn storm(&mut self) {
        for _ in 0..STORM {
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
    async fn calm(&mut self) {
        self.world.lock().trouble = 0;
        if self.staying().next().is_none() {
            self.join().await;
        }
        let staying: Vec<usize> = self.staying().collect();
        for replica in staying {
            for job in JOBS {
                let resumed = job.clone();
                self.switch(replica, |reply| HousekeeperMsg::Resume(resumed, reply));
                let schedule = calm_schedule();
                self.ask(
                    replica,
                    |reply| HousekeeperMsg::Reschedule(job, schedule, reply),
                    Question::Reschedule,
                );
            }
        }
        let since = self.world.lock().now();
        self.pass(SETTLED).await;
        self.has_healed(since).await;

        self.world.lock().calm = true;
        for _ in 0..CALM {
            let action = Action::draw_calm(&mut self.world.lock());
            self.act(action).await;
            let pause = self.world.lock().pause().min(Duration::from_secs(20));
            self.pass(pause).await;
            if self.is_broken() {
                return;
            }
        }
        self.pass(Duration::from_secs(2)).await;
        self.compare_histories().await;
        let mut world = self.world.lock();
        if let Some(late) = world.late() {
            world.break_promise(format!("{late} is late in calm weather"));
        }
        world.calm = false;
    }

    /// What must be so when there have been no faults for a while.
    async fn has_healed(&mut self, since: chrono::DateTime<chrono::Utc>) {
        let mut broken = Vec::new();
        let staying: Vec<usize> = self.staying().collect();
        {
            let world = self.world.lock();
            let (bookings, sessions) = world.guests.due_since(since, None, world.ages);
            if !bookings.is_empty() || !sessions.is_empty() {
                broken.push(format!("left behind: {bookings:?} {sessions:?}"));
            }
            for asked in &self.asked {
                broken.push(format!("{} was never answered", asked.what()));
            }
            let mut numbers = staying.iter().map(|place| self.replicas[*place].number);
            if let Some(id) = numbers.find_map(|number| world.untold(number)) {
                broken.push(format!("{id} was handled, and nobody told of it"));
            }
        }
        for replica in staying {
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
        let replica = Replica::start(self.joined, &self.world, &self.clerk).await;
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
            // Whoever has to be gone by then is looked for then.
            let leaving = self
                .replicas
                .iter()
                .filter_map(|replica| match replica.fate() {
                    Fate::Leaves(by) => Some(by + SLACK),
                    Fate::Stays | Fate::Killed => None,
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
            asked,
            listeners,
            ..
        } = self;
        let find = |number| replicas.iter().find(|replica| replica.number == number);
        let mut broken = Vec::new();
        asked.retain_mut(|question| {
            let Some(replica) = find(question.replica) else {
                return false;
            };
            let fate = replica.fate();
            let standing = question.look(replica);
            match standing {
                Standing::Answered => return false,
                Standing::Closed if fate == Fate::Killed => return false,
                Standing::Closed if replica.was_gone_at(question.at) => return false,
                Standing::Closed => broken.push(format!("{} was dropped", question.what())),
                Standing::Waits if question.is_late() && fate != Fate::Killed => {
                    broken.push(format!("{} waits too long", question.what()));
                }
                Standing::Waits => return true,
            }
            false
        });
        for listener in listeners {
            broken.extend(find(listener.replica).and_then(|replica| listener.compare(replica)));
        }
        replicas.retain(|replica| {
            let fate = replica.fate();
            if let Fate::Leaves(by) = fate {
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
            // A plain stop lets a batch end whose rows nobody is told of any more.
            if fate != Fate::Killed && !replica.was_gone_at(Instant::now()) {
                if let Some(id) = world.lock().untold(replica.number) {
                    broken.push(format!("replica {} did not tell of {id}", replica.number));
                }
            }
            let ignore_reply = asked.iter().find(|asked| asked.replica == replica.number);
            if let Some(asked) = ignore_reply {
                broken.push(format!("{} outlived its housekeeper", asked.what()));
            }
            false
        });
        for broken in broken {
            world.lock().break_promise(broken);
        }
    }

    /// The replicas that nobody told to leave.
    pub(crate) fn staying(&self) -> impl Iterator<Item = usize> + use<'_> {
        let replicas = self.replicas.iter().enumerate();
        replicas
            .filter(|(_, replica)| replica.stays())
            .map(|(place, _)| place)
    }

    fn is_broken(&self) -> bool {
        self.world.lock().broken.is_some()
    }
}

/// Lends its name to subscriptions that are told in the housekeeper's own hands.
struct Clerk;

impl Actor for Clerk {
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
const STORM: u32 = 440;
const CALM: u32 = 60;
