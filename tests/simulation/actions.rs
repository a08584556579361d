//! Actions of guests and hosts, and faults.

use std::time::Duration;

use chrono::TimeDelta;
use ractor::RpcReplyPort;
use ractor_housekeeper::job::Page;
use ractor_housekeeper::{HousekeeperMsg, RequestError, Scope, Subscriber};

use crate::listener::Listener;
use crate::replica::{ReplicaState, schedule};
use crate::requests::{NO_JOB, NO_USER, Request, RequestKind};
use crate::scenario::{JOBS, Scenario};
use crate::world::{WorldState, choose};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    Chat,
    SendMedia,
    EmittedEvents,
    Pay,
    GiveUp,
    Hold,
    Release,
    Reopen,
    RunNow,
    RunForUser,
    RunAll,
    Burst,
    Preview,
    Status,
    History,
    Pause,
    Resume,
    Cancel,
    Reschedule,
    AskNonsense,
    Listen,
    Unlisten,
    Weather,
    KillChild,
    StopChild,
    StepClock,
    Suspend,
    Join,
    ShutDown,
    StopByHand,
    Kill,
    Abort,
}

impl Action {
    pub(crate) fn draw(world: &mut WorldState) -> Self {
        weighed(world, STORMY)
    }

    /// Actions of guests and hosts, except those that make a job wait.
    pub(crate) fn draw_without_faults(world: &mut WorldState) -> Self {
        weighed(world, ACTIONS_WITHOUT_FAULTS)
    }
}

fn weighed(world: &mut WorldState, weights: &[(Action, &'static str, u32)]) -> Action {
    let sum = weights.iter().map(|(_, _, weight)| weight).sum();
    let mut drawn = world.rng.u32(0..sum);
    for (action, name, weight) in weights {
        if drawn < *weight {
            world.totals.action(name);
            world.note(&name);
            return *action;
        }
        drawn -= weight;
    }
    unreachable!("one of them was drawn")
}

impl Scenario {
    pub(crate) async fn act(&mut self, action: Action) {
        match action {
            Action::Chat => self.world.lock().chat(),
            Action::SendMedia => self.world.lock().send_media(),
            Action::EmittedEvents => self.world.lock().events(),
            Action::Pay => self.world.lock().settle("Confirmed"),
            Action::GiveUp => self.world.lock().settle("Cancelled"),
            Action::Hold => self.world.lock().hold(),
            Action::Release => self.world.lock().release(),
            Action::Reopen => self.world.lock().reopen(),
            Action::Weather => self.world.lock().weather(),
            Action::Suspend => self.suspend(),
            Action::Join => {
                if self.replicas.len() < REPLICAS {
                    self.join().await;
                }
            }
            Action::Unlisten => {
                let listeners = self.listeners.len();
                if listeners > 0 {
                    let gone = self.world.lock().rng.usize(0..listeners);
                    self.listeners.swap_remove(gone);
                }
            }
            _ => {
                if let Some(replica) = self.some_replica() {
                    self.act_on(replica, action);
                }
            }
        }
    }

    fn act_on(&mut self, replica: usize, action: Action) {
        let (job, user) = {
            let mut world = self.world.lock();
            (choose(&mut world.rng, &JOBS).clone(), world.user())
        };
        match action {
            Action::RunNow => self.run_now(replica, Scope::All),
            Action::RunForUser => self.run_now(replica, Scope::user(user)),
            Action::RunAll => self.ask(
                replica,
                HousekeeperMsg::RunAllAndPaused,
                RequestKind::RunAll,
            ),
            Action::Burst => {
                for _ in 0..20 {
                    let user = self.world.lock().user();
                    self.run_now(replica, Scope::All);
                    self.run_now(replica, Scope::user(user));
                }
            }
            Action::Preview => {
                let preview =
                    |reply| HousekeeperMsg::Preview(job, Scope::All, Page::default(), reply);
                self.ask(replica, preview, RequestKind::Preview);
            }
            Action::Status => self.ask(replica, HousekeeperMsg::Status, RequestKind::Status),
            Action::History => {
                let history = |reply| HousekeeperMsg::History(job, 10, reply);
                self.ask(replica, history, RequestKind::History);
            }
            Action::Pause => self.switch(replica, |reply| HousekeeperMsg::Pause(job, reply)),
            Action::Resume => self.switch(replica, |reply| HousekeeperMsg::Resume(job, reply)),
            Action::Cancel => {
                let cancel = |reply| HousekeeperMsg::Cancel(job, reply);
                self.ask(replica, cancel, RequestKind::Cancel);
            }
            Action::Reschedule => {
                let schedule = schedule(&mut self.world.lock().rng);
                let reschedule = |reply| HousekeeperMsg::Reschedule(job, schedule, reply);
                self.ask(replica, reschedule, RequestKind::Reschedule);
            }
            Action::AskNonsense => {
                self.switch(replica, |reply| HousekeeperMsg::Pause(NO_JOB.into(), reply));
                self.run_now(replica, Scope::user(NO_USER));
            }
            Action::Listen => self.listen(replica),
            Action::KillChild | Action::StopChild => self.strike_child(replica, action),
            Action::StepClock => {
                let mut world = self.world.lock();
                let seconds = *choose(&mut world.rng, &[1, 60, 3_600, 86_400]);
                let step = world.rng.i64(-seconds..=seconds);
                world.totals.fault(if step < 0 {
                    "clock back"
                } else {
                    "clock forward"
                });
                drop(world);
                self.replicas[replica]
                    .clock
                    .advance_wall(TimeDelta::seconds(step));
            }
            Action::ShutDown => {
                let (grace, twice) = {
                    let rng = &mut self.world.lock().rng;
                    (Duration::from_millis(rng.u64(0..6_000)), rng.u8(0..4) == 0)
                };
                self.world.lock().totals.fault("shutdown");
                self.shut_down(replica, grace);
                if twice {
                    self.shut_down(replica, grace / 2);
                }
            }
            Action::StopByHand => {
                self.world.lock().totals.fault("stop of the housekeeper");
                self.replicas[replica].is_stopped_by_ractor();
                self.replicas[replica].housekeeper.stop(None);
            }
            Action::Kill => {
                self.world.lock().totals.fault("kill of the housekeeper");
                self.replicas[replica].state = ReplicaState::Killed;
                self.replicas[replica].housekeeper.kill();
            }
            Action::Abort => {
                self.world.lock().totals.fault("abort of the housekeeper");
                self.replicas[replica].state = ReplicaState::Killed;
                self.replicas[replica].handle.abort();
            }
            other => unreachable!("{other:?} concerns no replica"),
        }
    }

    pub(crate) fn ask<T: Send + 'static>(
        &mut self,
        replica: usize,
        message: impl FnOnce(RpcReplyPort<T>) -> HousekeeperMsg,
        kind: impl FnOnce(tokio::sync::oneshot::Receiver<T>) -> RequestKind,
    ) {
        let requests = Request::send(&self.replicas[replica], message, kind);
        self.requests.push(requests);
    }

    pub(crate) fn switch(
        &mut self,
        replica: usize,
        message: impl FnOnce(RpcReplyPort<Result<bool, RequestError>>) -> HousekeeperMsg,
    ) {
        self.ask(replica, message, RequestKind::Switch);
    }

    pub(crate) fn shut_down(&mut self, replica: usize, grace: Duration) {
        self.replicas[replica].stops_within(grace);
        self.ask(
            replica,
            |reply| HousekeeperMsg::Shutdown(grace, reply),
            |answer| RequestKind::Shutdown(grace, answer),
        );
    }

    fn run_now(&mut self, replica: usize, scope: Scope) {
        let job = choose(&mut self.world.lock().rng, &JOBS).clone();
        let (named, scoped) = (job.clone(), scope.clone());
        self.ask(
            replica,
            |reply| HousekeeperMsg::RunNow(job, scope, reply),
            |answer| RequestKind::RunEvents(named, scoped, answer),
        );
    }

    fn listen(&mut self, replica: usize) {
        let (places, appetite) = {
            let rng = &mut self.world.lock().rng;
            (*choose(rng, &[1, 3, 1_000]), *choose(rng, &[0, 1, 1_000]))
        };
        let (subscriber, events) = Subscriber::channel();
        let replica = &self.replicas[replica];
        let subscriber = subscriber.with_buffer(places);
        let _ = replica
            .housekeeper
            .cast(HousekeeperMsg::Subscribe(subscriber));
        self.listeners
            .push(Listener::new(replica.number, events, appetite));
    }

    fn strike_child(&mut self, replica: usize, action: Action) {
        let children = self.replicas[replica].children();
        let mut world = self.world.lock();
        if children.is_empty() {
            return;
        }
        let (child, kind) = choose(&mut world.rng, &children);
        let fault = match (action, *kind) {
            (Action::KillChild, "worker") => "kill of a worker",
            (Action::KillChild, "courier") => "kill of a courier",
            (Action::KillChild, "timer") => "kill of the timer",
            (Action::KillChild, _) => "kill of a reader",
            (_, "worker") => "stop of a worker",
            (_, "courier") => "stop of a courier",
            (_, "timer") => "stop of the timer",
            _ => "stop of a reader",
        };
        world.totals.fault(fault);
        drop(world);
        if matches!(action, Action::KillChild) {
            child.kill();
        } else {
            child.stop(Some("by hand".to_owned()));
        }
    }

    /// The machine sleeps: the database goes on elsewhere, and all clocks of the machine jump.
    fn suspend(&mut self) {
        let mut world = self.world.lock();
        let slept = TimeDelta::seconds(world.rng.i64(60..10_000));
        world.totals.fault("suspend");
        world.clock.advance_wall(slept);
        drop(world);
        for replica in &self.replicas {
            replica.clock.advance_wall(slept);
        }
    }

    fn some_replica(&self) -> Option<usize> {
        let replicas = self.replicas.len();
        (replicas > 0).then(|| self.world.lock().rng.usize(0..replicas))
    }
}

impl WorldState {
    /// How often the database fails from now on.
    pub(crate) fn weather(&mut self) {
        self.trouble = *choose(&mut self.rng, &[0, 1, 5, 20, 100]);
        if self.trouble == 100 {
            self.totals.fault("outage");
        }
    }

    /// How long until the next action: mostly at once, or soon.
    pub(crate) fn pause(&mut self) -> Duration {
        match self.rng.u8(0..100) {
            0..40 => Duration::ZERO,
            40..80 => Duration::from_millis(self.rng.u64(1..500)),
            80..98 => Duration::from_millis(self.rng.u64(500..10_000)),
            _ => Duration::from_secs(self.rng.u64(10..1_200)),
        }
    }
}

const STORMY: &[(Action, &str, u32)] = &[
    (Action::Chat, "chat", 130),
    (Action::SendMedia, "send media", 30),
    (Action::EmittedEvents, "events", 180),
    (Action::Pay, "pay", 60),
    (Action::GiveUp, "give up", 10),
    (Action::Hold, "hold", 60),
    (Action::Release, "release a hold", 20),
    (Action::Reopen, "reopen", 10),
    (Action::RunNow, "run", 60),
    (Action::RunForUser, "run for a user", 60),
    (Action::RunAll, "run all", 30),
    (Action::Burst, "burst of triggers", 5),
    (Action::Preview, "preview", 30),
    (Action::Status, "status", 80),
    (Action::History, "history", 20),
    (Action::Pause, "pause", 10),
    (Action::Resume, "resume", 15),
    (Action::Cancel, "cancel", 20),
    (Action::Reschedule, "reschedule", 10),
    (Action::AskNonsense, "nonsense", 5),
    (Action::Listen, "listen", 10),
    (Action::Unlisten, "stop listening", 8),
    (Action::Weather, "weather", 25),
    (Action::KillChild, "kill a child", 30),
    (Action::StopChild, "stop a child", 8),
    (Action::StepClock, "step a clock", 15),
    (Action::Suspend, "suspend", 3),
    (Action::Join, "join", 20),
    (Action::ShutDown, "shut down", 6),
    (Action::StopByHand, "stop by hand", 2),
    (Action::Kill, "kill a replica", 2),
    (Action::Abort, "abort a replica", 2),
];

const ACTIONS_WITHOUT_FAULTS: &[(Action, &str, u32)] = &[
    (Action::Chat, "chat", 20),
    (Action::SendMedia, "send media", 5),
    (Action::EmittedEvents, "events", 40),
    (Action::Pay, "pay", 10),
    (Action::Hold, "hold", 10),
    (Action::RunNow, "run", 5),
    (Action::RunForUser, "run for a user", 5),
    (Action::RunAll, "run all", 3),
    (Action::Preview, "preview", 5),
    (Action::Status, "status", 10),
];

/// At most so many at a time.
const REPLICAS: usize = 3;
