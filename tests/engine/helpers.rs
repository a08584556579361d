//! Shared by the tests of supervision.

use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::job::{Page, Preview};
use ractor_housekeeper::model::Event;
use ractor_housekeeper::testing::{Fault, Gate, Step, next_event};
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{HousekeeperMsg, Report, RequestError, Scope};
use tokio::sync::mpsc;

use crate::support::host::{Host, Setup};

impl Host {
    pub(crate) fn worker(&self) -> ActorCell {
        self.child("worker")
    }

    pub(crate) fn preview(&self) -> impl Future<Output = Result<Preview, RequestError>> + use<> {
        self.ask(|reply| {
            HousekeeperMsg::Preview(BookingExpirer::NAME, Scope::All, Page::default(), reply)
        })
    }

    pub(crate) fn shut_down(&self, grace: Duration) -> impl Future<Output = ()> + use<> {
        self.ask(move |reply| HousekeeperMsg::Shutdown(grace, reply))
    }

    /// Kills the worker. Returns how long it rests before the next one, which is up by then; `None`
    /// if its job is degraded instead.
    pub(crate) async fn kill_worker(&mut self) -> Option<Duration> {
        let killed = self.clock.now();
        self.worker().kill();
        let verdict = next_event(&mut self.events, |news| {
            matches!(
                news,
                Event::WorkerRestarting { .. } | Event::JobDegraded { .. }
            )
        })
        .await;
        let Event::WorkerRestarting { at, .. } = &*verdict else {
            return None;
        };
        let rest = (*at - killed).to_std().expect("is ahead");
        tokio::time::sleep(rest + TIMERS_COUNT_IN).await;
        Some(rest)
    }

    /// A run that has committed two rows and waits at the gate with the next two.
    pub(crate) async fn in_second_batch(
        &self,
    ) -> (
        Gate,
        impl Future<Output = Result<Report, RequestError>> + use<>,
    ) {
        let gate = Gate::closed();
        self.faults.once(Step::Batch, 2, Fault::Hold(gate.clone()));
        let answer = self.run_now(Scope::All);
        gate.reached().await;
        (gate, answer)
    }
}

/// Timers are late by up to this.
pub(crate) const TIMERS_COUNT_IN: Duration = Duration::from_millis(5);

/// A host whose job was given up after one panic, and would panic again.
pub(crate) async fn degraded() -> Host {
    let mut setup = Setup::new();
    setup.config.restart.max_restarts = 0;
    setup.faults.always(Step::BeginRun, Fault::Panic);
    let mut host = setup.start().await;
    let _ = host.run_now(Scope::All).await;
    next_event(&mut host.events, |news| {
        matches!(news, Event::JobDegraded { .. })
    })
    .await;
    host
}

/// A host's actor that supervises a housekeeper and reports its failure.
pub(crate) struct ParentActor;

pub(crate) async fn parent_actor() -> (ActorRef<()>, mpsc::UnboundedReceiver<String>) {
    let (sender, seen) = mpsc::unbounded_channel();
    let (parent_actor, _) = Actor::spawn(None, ParentActor, sender)
        .await
        .expect("it starts");
    (parent_actor, seen)
}

#[ractor::actor(message = (), state = mpsc::UnboundedSender<String>, arguments = mpsc::UnboundedSender<String>)]
impl ParentActor {
    async fn pre_start(
        &self,
        _: ActorRef<()>,
        sender: mpsc::UnboundedSender<String>,
    ) -> Result<mpsc::UnboundedSender<String>, ActorProcessingErr> {
        Ok(sender)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        sender: &mut mpsc::UnboundedSender<String>,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(_, error) = event {
            let _ = sender.send(error.to_string());
        }
        Ok(())
    }
}
