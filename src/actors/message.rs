//! What a host may ask of the housekeeper, and what the tree tells it.

use std::time::Duration;

use ractor::{ActorId, RpcReplyPort};

use super::run_state::{Committed, RunState};
use super::subscribers::Subscriber;
use crate::config::Schedule;
use crate::job::{JobName, Page, Preview, Scope};
use crate::model::{History, Report, RequestError, RunId, Status};

/// What a host may ask. The reply port comes last, as `call_t!` wants it; pass
/// [`ignore_reply`](crate::actors::ignore_reply) to ask for no answer.
///
/// Prefer `call_t!` to `call!`, which has no limit: a question that crosses a kill in the same
/// instant may never be read.
#[derive(Debug)]
pub enum HousekeeperMsg {
    /// Run a job now. Answered by the report of a run of this scope that began after the message
    /// came. Works while the job is paused, waits while its worker restarts, and is one attempt
    /// while it is degraded. A run of everything that fails or crashes is repeated by itself.
    /// Whoever gives up waiting does not end the run.
    RunNow(JobName, Scope, RpcReplyPort<Result<Report, RequestError>>),
    /// Run every job that is on. Answered when the last has ended, with the reports in the order of
    /// the jobs' names.
    RunAll(RpcReplyPort<Result<Vec<Report>, RequestError>>),
    /// List what a run would handle now.
    Preview(
        JobName,
        Scope,
        Page,
        RpcReplyPort<Result<Preview, RequestError>>,
    ),
    /// Say how everything is. Answered from memory.
    Status(RpcReplyPort<Status>),
    /// List at most this many past runs of a job, newest first. Runs that did nothing are not kept,
    /// and the deadline runs of a minute are one line.
    History(JobName, u32, RpcReplyPort<Result<History, RequestError>>),
    /// Hold back ticks and deadlines of a job until `Resume`. A run in progress goes on. Answers
    /// whether the job ran by itself before.
    Pause(JobName, RpcReplyPort<Result<bool, RequestError>>),
    /// Let a job run by itself again; it runs once, at once. Answers whether it was paused.
    Resume(JobName, RpcReplyPort<Result<bool, RequestError>>),
    /// End the run in progress after its batch. What is left waits for the next tick. Answers which
    /// run it was, if any.
    Cancel(JobName, RpcReplyPort<Result<Option<RunId>, RequestError>>),
    /// Give a job another schedule, whole: begin with the one in its status to change a part. Its
    /// next tick is one interval from now, or when its cron says.
    Reschedule(JobName, Schedule, RpcReplyPort<Result<(), RequestError>>),
    /// Tell somebody the news from now on.
    Subscribe(Subscriber),
    /// Refuse new runs, let batches in flight end within the grace, then stop. Answered when
    /// everything has been.
    Shutdown(Duration, RpcReplyPort<()>),
    /// Event from the tree itself.
    #[doc(hidden)]
    Internal(Internal),
}

/// A message of the tree, closed to hosts.
#[doc(hidden)]
#[derive(Debug)]
pub struct Internal(pub(super) InternalMsg);

/// A message of the timer, the workers, the readers, or the supervisor to itself.
#[derive(Debug)]
pub(crate) enum InternalMsg {
    /// A job may be due.
    Due(JobName),
    /// A worker began a run.
    Began(RunId),
    /// A worker committed a batch.
    Committed(Committed),
    /// A run ended.
    Finished(Box<RunState>),
    /// A child died. The supervisor sends it to itself, so that it comes behind the child's own
    /// messages.
    ChildExited { child: ActorId, reason: String },
    /// A reader has read.
    Read {
        reader: ActorId,
        result: Box<ReadResult>,
    },
    /// The backoff before the timer's restart is over.
    TimerRested,
    /// The grace of a shutdown is over.
    GraceEnded,
    /// The next health check is due.
    CheckDue,
}

/// A preview or a history, or why it could not be read.
#[derive(Debug)]
pub(crate) enum ReadResult {
    Preview(Result<Preview, RequestError>),
    History(Result<History, RequestError>),
}

impl From<InternalMsg> for HousekeeperMsg {
    fn from(message: InternalMsg) -> Self {
        Self::Internal(Internal(message))
    }
}
