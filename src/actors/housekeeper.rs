//! The housekeeper: supervises the timer and one worker per job, and answers the host.

use ractor::{ActorProcessingErr, ActorRef, SupervisionEvent};

use super::arguments::{self, HousekeeperArguments};
use super::message::{HousekeeperMsg, Internal, InternalMsg, ParkedAct};
use super::names;
use crate::metrics::recorder;
use crate::model::HistoryQuery;
use shared::answer;
use state::State;

mod active_run;
mod controls;
mod courier_advice;
mod courier_slot;
mod couriers;
mod crashes;
mod dispatch;
mod health_check;
mod job_state;
mod job_status;
mod jobs;
mod lookups;
mod pending_read;
mod pending_reads;
mod publisher;
mod reads;
mod replica_pauses;
mod run_progress;
mod run_records;
mod runs;
mod shared;
mod shutdown;
mod spawning;
mod state;
mod timer;
mod worker_slot;

/// The supervisor actor. Spawn it with [`start`](crate::start), or with ractor's own functions
/// under the host's supervisor.
#[derive(Debug)]
pub struct Housekeeper;

#[ractor::actor(message = HousekeeperMsg, state = State, arguments = HousekeeperArguments)]
impl Housekeeper {
    async fn pre_start(
        &self,
        myself: ActorRef<HousekeeperMsg>,
        arguments: HousekeeperArguments,
    ) -> Result<State, ActorProcessingErr> {
        arguments::check(&arguments)?;
        names::remember(myself.get_name());
        let mut state = State::new(myself, arguments);
        recorder::started(state.jobs.names());
        state.spawn_all().await?;
        state.health_check();
        Ok(state)
    }

    async fn handle(
        &self,
        _: ActorRef<HousekeeperMsg>,
        message: HousekeeperMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (by, message) = message.split();
        match message {
            HousekeeperMsg::RunNow(job, scope, reply) => {
                state.run_now(&job, scope, by, reply).await;
            }
            HousekeeperMsg::Enqueue(job, scope, reply) => {
                answer(reply, state.enqueue(&job, scope, by).await);
            }
            HousekeeperMsg::Run(run, reply) => state.run(run, false, reply).await,
            HousekeeperMsg::AwaitRun(run, reply) => state.run(run, true, reply).await,
            HousekeeperMsg::RunAll(reply) => state.run_all(false, by, reply).await,
            HousekeeperMsg::RunAllAndPaused(reply) => state.run_all(true, by, reply).await,
            HousekeeperMsg::Preview(job, scope, page, reply) => {
                state.preview(&job, scope, page, reply).await;
            }
            HousekeeperMsg::Status(reply) => answer(reply, state.status()),
            HousekeeperMsg::History(job, limit, reply) => {
                let query = HistoryQuery::newest(limit);
                state.history(&job, query, reply).await;
            }
            HousekeeperMsg::HistoryPage(job, query, reply) => {
                state.history(&job, query, reply).await;
            }
            HousekeeperMsg::Pause(job, reply) => answer(reply, state.pause(&job, by)),
            HousekeeperMsg::Resume(job, reply) => answer(reply, state.resume(&job, by).await),
            HousekeeperMsg::PauseReplicas(job, reply) => {
                state.switch_replicas(&job, true, by, reply).await;
            }
            HousekeeperMsg::ResumeReplicas(job, reply) => {
                state.switch_replicas(&job, false, by, reply).await;
            }
            HousekeeperMsg::Instances(within, reply) => state.instances(within, reply).await,
            HousekeeperMsg::Cancel(job, reply) => answer(reply, state.cancel(&job, None, by)),
            HousekeeperMsg::ConfirmClock(job, reply) => {
                answer(reply, state.confirm_clock(&job, by).await);
            }
            HousekeeperMsg::CancelRun(job, run, reply) => {
                answer(reply, state.cancel(&job, Some(run), by));
            }
            HousekeeperMsg::Reschedule(job, schedule, reply) => {
                answer(reply, state.reschedule(&job, schedule, by));
            }
            HousekeeperMsg::Parked(rule, page, reply) => state.parked(&rule, page, reply).await,
            HousekeeperMsg::Redeliver(rule, which, reply) => {
                state
                    .change_parked(&rule, (which, ParkedAct::Redeliver), by, reply)
                    .await;
            }
            HousekeeperMsg::Discard(rule, which, reply) => {
                state
                    .change_parked(&rule, (which, ParkedAct::Discard), by, reply)
                    .await;
            }
            HousekeeperMsg::Subscribe(subscriber) => state.publisher.subscribe(subscriber),
            HousekeeperMsg::Shutdown(grace, reply) => state.shut_down(grace, reply).await,
            HousekeeperMsg::Internal(Internal(message)) => state.handle_internal(message).await,
            // `split` took all names off.
            HousekeeperMsg::RequestedBy(..) => {}
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<HousekeeperMsg>,
        event: SupervisionEvent,
        _: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // Supervision events overtake messages, so the exit of a worker arrives before its last
        // report. Sent again as a message, the exit is handled behind it.
        if let Some((child, reason)) = crashes::exit_of(&event) {
            let _ = myself.cast(InternalMsg::ChildExited { child, reason }.into());
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        myself: ActorRef<HousekeeperMsg>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // No message is handled any more, so no reader's answer and no timeout would arrive.
        state.reads.reject_all();
        // Needed after a plain `stop` as well: ractor would kill the workers in mid-batch.
        myself
            .get_cell()
            .stop_children_and_wait(None, Some(state.grace_left()))
            .await;
        match state.stopped() {
            // Fails, or the host's supervisor would take an escalation for a stop.
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

impl State {
    async fn handle_internal(&mut self, message: InternalMsg) {
        match message {
            InternalMsg::Due(job) => self.wake(&job).await,
            InternalMsg::Began(run) => self.began(run),
            InternalMsg::PauseFound(job, pause) => self.pause_found(&job, pause),
            InternalMsg::Checked(job, findings) => self.checked(&job, findings),
            InternalMsg::Committed(batch) => self.committed(batch),
            InternalMsg::Finished(run) => self.finished(*run),
            InternalMsg::ChildExited { child, reason } => self.child_exited(child, reason).await,
            InternalMsg::CourierUpdate(rule, update) => {
                let now = self.shared.now();
                self.couriers
                    .update(&rule, *update, now, &mut self.publisher);
            }
            InternalMsg::CourierRestartDue(rule) => {
                if self.shutdown.is_none() {
                    self.couriers.restart(&rule, &self.shared).await;
                }
            }
            InternalMsg::Read { reader, result } => self.read_ended(reader, *result).await,
            InternalMsg::ReadExpired => self.reads.expire(&self.shared).await,
            InternalMsg::TimerRestartDue => self.spawn_timer().await,
            InternalMsg::GraceEnded => self.grace_ended(),
            InternalMsg::CheckDue => self.health_check(),
        }
    }
}
