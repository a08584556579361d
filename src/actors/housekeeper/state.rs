//! The supervisor's memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use ractor::{ActorRef, RpcReplyPort};
use uuid::Uuid;

use super::job_state::JobState;
use super::reads::PendingReads;
use super::replies::PendingRunAlls;
use super::shutdown::Shutdown;
use super::timer::TimerHandle;
use crate::actors::arguments::HousekeeperArguments;
use crate::actors::delayed::Delayed;
use crate::actors::history_writer::HistoryWriter;
use crate::actors::message::{HousekeeperMsg, InternalMsg};
use crate::actors::subscribers::Subscribers;
use crate::config::HousekeeperConfig;
use crate::job::JobName;
use crate::model::{RequestError, RunHistory};
use crate::time::{Clocks, Moment};

/// The supervisor's memory.
pub struct State {
    pub(super) myself: ActorRef<HousekeeperMsg>,
    pub(super) config: HousekeeperConfig,
    pub(super) watch: Clocks,
    pub(super) instance: Uuid,
    pub(super) history: Option<Arc<dyn RunHistory>>,
    pub(super) started: Moment,
    pub(super) desks: BTreeMap<JobName, JobState>,
    pub(super) alarm: TimerHandle,
    pub(super) subscribers: Subscribers,
    pub(super) gatherings: PendingRunAlls,
    pub(super) inquiries: PendingReads,
    pub(super) round: Option<Delayed<HousekeeperMsg>>,
    pub(super) shutdown: Option<Shutdown>,
}

impl State {
    pub(super) fn new(myself: ActorRef<HousekeeperMsg>, arguments: HousekeeperArguments) -> Self {
        let HousekeeperArguments {
            config,
            jobs,
            history,
            clock,
        } = arguments;
        let watch = Clocks::start(clock);
        let started = watch.now();
        let desks = jobs
            .into_iter()
            .map(|job| (job.name(), JobState::new(job, &config, started)))
            .collect();
        Self {
            myself,
            config,
            watch,
            instance: Uuid::new_v4(),
            history,
            started,
            desks,
            alarm: TimerHandle::default(),
            subscribers: Subscribers::default(),
            gatherings: PendingRunAlls::default(),
            inquiries: PendingReads::default(),
            round: None,
            shutdown: None,
        }
    }

    pub(super) async fn handle_internal(&mut self, notice: InternalMsg) {
        match notice {
            InternalMsg::Due(job) => self.wake(&job).await,
            InternalMsg::Began(run) => self.began(run),
            InternalMsg::Committed(batch) => self.committed(batch),
            InternalMsg::Finished(result) => self.finished(*result),
            InternalMsg::ChildExited { child, reason } => self.departed(child, reason).await,
            InternalMsg::Read { reader, reading } => {
                self.inquiries.answer(reader, *reading);
                self.read_next().await;
            }
            InternalMsg::TimerRested => self.spawn_timer().await,
            InternalMsg::GraceEnded => self.grace_ended(),
            InternalMsg::RoundDue => self.make_rounds(),
        }
    }

    pub(super) fn desk(&mut self, job: &JobName) -> Result<&mut JobState, RequestError> {
        if !self.desks.contains_key(job) {
            return Err(RequestError::UnknownJob {
                job: job.clone(),
                known: self.desks.keys().cloned().collect(),
            });
        }
        self.desks
            .get_mut(job)
            .filter(|desk| desk.is_enabled())
            .ok_or_else(|| RequestError::Off { job: job.clone() })
    }

    pub(super) fn history_book(&self) -> Option<HistoryWriter> {
        let store = self.history.clone()?;
        Some(HistoryWriter {
            store,
            keep: self.config.history.runs.get(),
            instance: self.instance,
        })
    }
}

/// An asker that gave up is no concern of ours.
pub(super) fn answer<T: Send + 'static>(reply: RpcReplyPort<T>, value: T) {
    let _ = reply.send(value);
}
