//! The housekeeper: supervises the timer and one worker per job, and answers the host.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use uuid::Uuid;

use crate::batch::Scope;
use crate::clock::Watch;
use crate::config::{HousekeeperConfig, Schedule};
use crate::event::{Subscriber, Subscribers};
use crate::history::{History, HistoryBook};
use crate::job::JobName;
use crate::preview::{Page, Preview};
use crate::refusal::Refusal;
use crate::report::{Report, RunId};
use crate::run::{Committed, RunSheet};
use crate::status::Status;
use crate::store::RunHistory;
use crate::timer::Delayed;

use alarm::Alarm;
use answers::Gatherings;
use desk::Desk;
use inquiry::Inquiries;
use reader::Reading;
use shutdown::Shutdown;

mod alarm;
mod answers;
mod arguments;
mod control;
mod desk;
mod inquiry;
mod lifecycle;
mod reader;
mod rounds;
mod running;
mod runs;
mod shutdown;
mod standing;

pub use arguments::HousekeeperArguments;

/// The supervisor actor. Spawn it with [`start`](crate::start), or with ractor's own functions under a supervisor of the host's.
pub struct Housekeeper;

/// What a host may ask. The reply port comes last, as `call_t!` wants it; pass [`unanswered`](crate::unanswered) to ask for no answer.
///
/// Prefer `call_t!` to `call!`, which has no limit: a question that crosses a kill in the same instant may never be read.
#[derive(Debug)]
pub enum HousekeeperMsg {
    /// Run a job now. Answered by the report of a run of this scope that began after the message came. Works while the job is paused,
    /// waits while its worker restarts, and is one attempt while it is degraded. A run of everything that fails or crashes is repeated by
    /// itself. Whoever gives up waiting does not end the run.
    RunNow(JobName, Scope, RpcReplyPort<Result<Report, Refusal>>),
    /// Run every job that is on. Answered when the last has ended, with the reports in the order of the jobs' names.
    RunAll(RpcReplyPort<Result<Vec<Report>, Refusal>>),
    /// List what a run would handle now.
    Preview(JobName, Scope, Page, RpcReplyPort<Result<Preview, Refusal>>),
    /// Say how everything is. Answered from memory.
    Status(RpcReplyPort<Status>),
    /// List at most this many past runs of a job, newest first. Runs that did nothing are not kept, and the deadline runs of a minute are one
    /// line.
    History(JobName, u32, RpcReplyPort<Result<History, Refusal>>),
    /// Hold back ticks and deadlines of a job until `Resume`. A run in progress goes on. Answers whether the job ran by itself before.
    Pause(JobName, RpcReplyPort<Result<bool, Refusal>>),
    /// Let a job run by itself again; it runs once, at once. Answers whether it was paused.
    Resume(JobName, RpcReplyPort<Result<bool, Refusal>>),
    /// End the run in progress after its batch. What is left waits for the next tick. Answers which run it was, if any.
    Cancel(JobName, RpcReplyPort<Result<Option<RunId>, Refusal>>),
    /// Give a job another schedule, whole: begin with the one in its status to change a part. Its next tick is one interval from now, or when its cron says.
    Reschedule(JobName, Schedule, RpcReplyPort<Result<(), Refusal>>),
    /// Tell somebody the news from now on.
    Subscribe(Subscriber),
    /// Refuse new runs, let batches in flight end within the grace, then stop. Answered when everything has been.
    Shutdown(Duration, RpcReplyPort<()>),
    /// News from the tree itself.
    #[doc(hidden)]
    Inner(Inner),
}

/// News from the tree, closed to hosts.
#[doc(hidden)]
#[derive(Debug)]
pub struct Inner(Notice);

/// What the timer, the workers, and the supervisor itself say. News is past tense.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A job's time has come, perhaps.
    Due(JobName),
    /// A worker took up a run.
    Began(RunId),
    /// A batch was committed.
    Committed(Committed),
    /// A run ended.
    Finished(Box<RunSheet>),
    /// A child is dead. Sent by the supervisor to itself, so that it comes behind what the child said before.
    Departed { child: ActorId, reason: String },
    /// A preview or a history was read.
    Read {
        reader: ActorId,
        reading: Box<Reading>,
    },
    /// The timer's rest before its restart is over.
    TimerRested,
    /// The grace of a shutdown is over.
    GraceEnded,
    /// A minute has passed since all jobs were looked at.
    RoundDue,
}

impl From<Notice> for HousekeeperMsg {
    fn from(notice: Notice) -> Self {
        Self::Inner(Inner(notice))
    }
}

/// The supervisor's memory.
pub struct State {
    myself: ActorRef<HousekeeperMsg>,
    config: HousekeeperConfig,
    watch: Watch,
    instance: Uuid,
    history: Option<Arc<dyn RunHistory>>,
    started: crate::schedule::Moment,
    desks: BTreeMap<JobName, Desk>,
    alarm: Alarm,
    subscribers: Subscribers,
    gatherings: Gatherings,
    inquiries: Inquiries,
    round: Option<Delayed<HousekeeperMsg>>,
    shutdown: Option<Shutdown>,
}

#[ractor::actor(message = HousekeeperMsg, state = State, arguments = HousekeeperArguments)]
impl Housekeeper {
    async fn pre_start(
        &self,
        myself: ActorRef<HousekeeperMsg>,
        arguments: HousekeeperArguments,
    ) -> Result<State, ActorProcessingErr> {
        crate::start::check(&arguments)?;
        crate::start::remember(myself.get_name());
        let mut state = State::new(myself, arguments);
        crate::meter::started(state.desks.keys());
        state.spawn_all().await?;
        state.make_rounds();
        Ok(state)
    }

    async fn handle(
        &self,
        _: ActorRef<HousekeeperMsg>,
        message: HousekeeperMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            HousekeeperMsg::RunNow(job, scope, reply) => state.run_now(&job, scope, reply).await,
            HousekeeperMsg::RunAll(reply) => state.run_all(reply).await,
            HousekeeperMsg::Preview(job, scope, page, reply) => {
                state.preview(&job, scope, page, reply).await;
            }
            HousekeeperMsg::Status(reply) => answer(reply, state.status()),
            HousekeeperMsg::History(job, limit, reply) => state.history(&job, limit, reply).await,
            HousekeeperMsg::Pause(job, reply) => answer(reply, state.pause(&job)),
            HousekeeperMsg::Resume(job, reply) => answer(reply, state.resume(&job).await),
            HousekeeperMsg::Cancel(job, reply) => answer(reply, state.cancel(&job)),
            HousekeeperMsg::Reschedule(job, schedule, reply) => {
                answer(reply, state.reschedule(&job, schedule));
            }
            HousekeeperMsg::Subscribe(subscriber) => state.subscribers.add(subscriber),
            HousekeeperMsg::Shutdown(grace, reply) => state.shut_down(grace, reply).await,
            HousekeeperMsg::Inner(Inner(notice)) => state.notice(notice).await,
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<HousekeeperMsg>,
        event: SupervisionEvent,
        _: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // Supervision overtakes messages, so a worker that reported and then died is seen dead first. Behind its report it is settled right.
        if let Some((child, reason)) = lifecycle::death(&event) {
            let _ = myself.cast(Notice::Departed { child, reason }.into());
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        myself: ActorRef<HousekeeperMsg>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // Also when the host stopped us without `Shutdown`: ractor would kill the workers in mid-batch.
        myself
            .get_cell()
            .stop_children_and_wait(None, Some(state.grace_left()))
            .await;
        match state.stopped() {
            // Ours to fail, or our own supervisor would take an escalation for a stop.
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

impl State {
    fn new(myself: ActorRef<HousekeeperMsg>, arguments: HousekeeperArguments) -> Self {
        let HousekeeperArguments {
            config,
            jobs,
            history,
            clock,
        } = arguments;
        let watch = Watch::start(clock);
        let started = watch.now();
        let desks = jobs
            .into_iter()
            .map(|job| (job.name(), Desk::new(job, &config, started)))
            .collect();
        Self {
            myself,
            config,
            watch,
            instance: Uuid::new_v4(),
            history,
            started,
            desks,
            alarm: Alarm::default(),
            subscribers: Subscribers::default(),
            gatherings: Gatherings::default(),
            inquiries: Inquiries::default(),
            round: None,
            shutdown: None,
        }
    }

    async fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Due(job) => self.wake(&job).await,
            Notice::Began(run) => self.began(run),
            Notice::Committed(batch) => self.committed(batch),
            Notice::Finished(result) => self.finished(*result),
            Notice::Departed { child, reason } => self.departed(child, reason).await,
            Notice::Read { reader, reading } => {
                self.inquiries.answer(reader, *reading);
                self.read_next().await;
            }
            Notice::TimerRested => self.spawn_timer().await,
            Notice::GraceEnded => self.grace_ended(),
            Notice::RoundDue => self.make_rounds(),
        }
    }

    fn desk(&mut self, job: &JobName) -> Result<&mut Desk, Refusal> {
        if !self.desks.contains_key(job) {
            return Err(Refusal::UnknownJob {
                job: job.clone(),
                known: self.desks.keys().cloned().collect(),
            });
        }
        self.desks
            .get_mut(job)
            .filter(|desk| desk.is_on())
            .ok_or_else(|| Refusal::Off { job: job.clone() })
    }

    fn history_book(&self) -> Option<HistoryBook> {
        let store = self.history.clone()?;
        Some(HistoryBook {
            store,
            keep: self.config.kept.runs.get(),
            instance: self.instance,
        })
    }
}

/// An asker that gave up is no concern of ours.
fn answer<T: Send + 'static>(reply: RpcReplyPort<T>, value: T) {
    let _ = reply.send(value);
}
