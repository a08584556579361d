//! Messages of the host to the housekeeper, and of the tree to its supervisor.

use std::time::Duration;

use ractor::{ActorId, RpcReplyPort};

use super::run_state::{Committed, RunState};
use super::subscribers::Subscriber;
use crate::config::Schedule;
use crate::job::{Findings, JobName, Page, Preview, ReplicaPause, Scope};
use crate::model::{
    DeliveryRecord, History, HistoryQuery, Instances, OutboxCounts, ParkedEntries, ParkedPage,
    Report, RequestError, Requester, RunId, RunStatus, Status, WhichEntries,
};

/// Requests of the host. The reply port comes last, as `call_t!` expects; pass
/// [`ignore_reply`](crate::actors::ignore_reply) to get no answer.
///
/// Prefer `call_t!` to `call!`, which never times out: a request that crosses a kill may stay
/// unread.
#[derive(Debug)]
pub enum HousekeeperMsg {
    /// Runs a job now. Replies with the report of a run of this scope that began after the message
    /// arrived. Works while the job is paused, waits while its worker restarts, and is one attempt
    /// while the job is degraded. A failed or crashed run of all rows is retried. The run continues
    /// after its caller has timed out.
    RunNow(JobName, Scope, RpcReplyPort<Result<Report, RequestError>>),
    /// Requests a run as [`RunNow`](HousekeeperMsg::RunNow) does, and replies at once with its id.
    Enqueue(JobName, Scope, RpcReplyPort<Result<RunId, RequestError>>),
    /// Looks up a run: in the queue, in progress, or ended. Knows the last 100 runs that messages
    /// requested, and those that the history has.
    Run(RunId, RpcReplyPort<Result<RunStatus, RequestError>>),
    /// Replies once a run has ended; at once for any other than one that waits or is in progress.
    AwaitRun(RunId, RpcReplyPort<Result<RunStatus, RequestError>>),
    /// Runs every enabled job that is not paused. Replies when the last run ended, with the reports
    /// in the order of the jobs' names.
    RunAll(RpcReplyPort<Result<Vec<Report>, RequestError>>),
    /// Runs every enabled job, paused or not. Replies as [`RunAll`](HousekeeperMsg::RunAll).
    RunAllAndPaused(RpcReplyPort<Result<Vec<Report>, RequestError>>),
    /// Lists the rows that a run would handle now.
    Preview(
        JobName,
        Scope,
        Page,
        RpcReplyPort<Result<Preview, RequestError>>,
    ),
    /// Returns the status of all jobs, from memory.
    Status(RpcReplyPort<Status>),
    /// Lists at most this many past runs of a job, newest first. The history leaves out runs that
    /// did nothing, and folds the deadline runs of a minute into one line.
    History(JobName, u32, RpcReplyPort<Result<History, RequestError>>),
    /// Lists a part of the history of a job, newest first; [`History::next`] is the place of the
    /// next page.
    HistoryPage(
        JobName,
        HistoryQuery,
        RpcReplyPort<Result<History, RequestError>>,
    ),
    /// Suspends ticks, deadlines and retries of a job until `Resume`. A run in progress continues.
    /// Replies whether the job was running on its schedule.
    Pause(JobName, RpcReplyPort<Result<bool, RequestError>>),
    /// Resumes the schedule and runs once now. Replies whether the job was paused.
    Resume(JobName, RpcReplyPort<Result<bool, RequestError>>),
    /// Pauses a job for all replicas that share the database of the history. Each finds the pause
    /// as its next run of the schedule begins, and checks once a minute whether it has ended. The
    /// message fails if the database does not answer. Replies whether the job was not paused so.
    PauseReplicas(JobName, RpcReplyPort<Result<bool, RequestError>>),
    /// Ends a pause for all replicas. This instance runs once now; the others resume within a
    /// minute. Replies whether the job was paused so.
    ResumeReplicas(JobName, RpcReplyPort<Result<bool, RequestError>>),
    /// Lists the instances that wrote to the shared history within this time.
    Instances(Duration, RpcReplyPort<Result<Instances, RequestError>>),
    /// Ends the run in progress after its batch; the remaining rows wait for the next tick. Replies
    /// with the cancelled run, if there was one.
    Cancel(JobName, RpcReplyPort<Result<Option<RunId>, RequestError>>),
    /// Ends this run after its batch, as [`Cancel`](HousekeeperMsg::Cancel). Replies with
    /// [`RequestError::OtherRun`] if the job has no run in progress, or another one.
    CancelRun(
        JobName,
        RunId,
        RpcReplyPort<Result<Option<RunId>, RequestError>>,
    ),
    /// Trusts the clock by which a job's rows fall due, after it leapt ahead by more than
    /// [`max_clock_leap`](crate::config::JobConfig::max_clock_leap), and runs the job once now.
    /// Replies whether its runs were held.
    ConfirmClock(JobName, RpcReplyPort<Result<bool, RequestError>>),
    /// Replaces the whole schedule of a job; start from the one in its status to change a part. The
    /// next tick is one interval from now, or the next of its cron expression.
    Reschedule(JobName, Schedule, RpcReplyPort<Result<(), RequestError>>),
    /// Lists entries that a rule handed on and that failed too often, in the order of writing.
    Parked(
        JobName,
        ParkedPage,
        RpcReplyPort<Result<ParkedEntries, RequestError>>,
    ),
    /// Delivers parked entries of a rule again, with all attempts. Replies with their number.
    Redeliver(
        JobName,
        WhichEntries,
        RpcReplyPort<Result<u64, RequestError>>,
    ),
    /// Deletes parked entries of a rule undelivered. Replies with their number.
    Discard(
        JobName,
        WhichEntries,
        RpcReplyPort<Result<u64, RequestError>>,
    ),
    /// Sends all events from now on to this subscriber.
    Subscribe(Subscriber),
    /// Rejects new runs, lets batches in flight end within the grace, then stops. Replies once all
    /// runs are answered.
    Shutdown(Duration, RpcReplyPort<()>),
    /// A message with the name of its requester, as [`requested_by`](HousekeeperMsg::requested_by)
    /// makes it. Reports, events, the status and the log carry the name. Of several names around
    /// one message, the outermost counts.
    RequestedBy(Requester, Box<HousekeeperMsg>),
    /// A message of the tree.
    #[doc(hidden)]
    Internal(Internal),
}

impl HousekeeperMsg {
    /// Returns the message with the name of its requester.
    ///
    /// ```no_run
    /// # use ractor_housekeeper::HousekeeperRef;
    /// # async fn example(housekeeper: HousekeeperRef) -> Result<(), Box<dyn std::error::Error>> {
    /// use ractor_housekeeper::HousekeeperMsg;
    ///
    /// let pause = |job, reply| HousekeeperMsg::Pause(job, reply).requested_by("anna");
    /// ractor::call_t!(housekeeper, pause, 1_000, "draft-sweeper".into())??;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn requested_by(self, by: impl Into<Requester>) -> Self {
        Self::RequestedBy(by.into(), Box::new(self))
    }

    /// Splits off the outermost name.
    pub(super) fn split(self) -> (Option<Requester>, Self) {
        let (mut by, mut message) = (None, self);
        while let Self::RequestedBy(name, inner) = message {
            by.get_or_insert(name);
            message = *inner;
        }
        (by, message)
    }
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
    /// A run found that its job is paused for all replicas.
    PauseFound(JobName, ReplicaPause),
    /// A worker has checked its job, with this result.
    Checked(JobName, Findings),
    /// A worker committed a batch.
    Committed(Committed),
    /// A run ended.
    Finished(Box<RunState>),
    /// A child exited. The supervisor sends this to itself, so that it handles the child's messages
    /// first.
    ChildExited { child: ActorId, reason: String },
    /// A reader has its result.
    Read {
        reader: ActorId,
        result: Box<ReadResult>,
    },
    /// The timeout of a read is over.
    ReadExpired,
    /// The backoff before the timer's restart is over.
    TimerRestartDue,
    /// The grace of a shutdown is over.
    GraceEnded,
    /// A courier reports its deliveries and its state.
    CourierUpdate(JobName, Box<CourierUpdate>),
    /// The backoff before a courier's restart is over.
    CourierRestartDue(JobName),
    /// The next health check is due.
    CheckDue,
}

/// A preview or a history, or why it could not be read.
#[derive(Debug)]
pub(crate) enum ReadResult {
    Preview(Result<Preview, RequestError>),
    History(Result<History, RequestError>),
    Run(Result<RunStatus, RequestError>),
    Instances(Result<Instances, RequestError>),
    /// A pause for all replicas, as the database keeps it.
    Pause(JobName, Result<Option<ReplicaPause>, RequestError>),
    /// A pause for all replicas was written, and whether that changed it.
    PauseWritten(PauseChange, Result<bool, RequestError>),
    Parked(Result<ParkedEntries, RequestError>),
    /// Parked entries were changed, and how many.
    Changed(ParkedChange, Result<u64, RequestError>),
}

/// Deliveries and state of a courier, for its supervisor.
#[derive(Debug, Default)]
pub(crate) struct CourierUpdate {
    /// Deliveries whose ends were written.
    pub(crate) ends: Vec<DeliveryRecord>,
    /// Entries that are claimed and not settled.
    pub(crate) under_way: usize,
    pub(crate) counts: Option<OutboxCounts>,
    /// The reason why the courier waits, if it does.
    pub(crate) problem: Option<String>,
}

/// A pause for all replicas that begins or ends.
#[derive(Debug, Clone)]
pub(crate) struct PauseChange {
    pub(crate) job: JobName,
    /// `None` ends it.
    pub(crate) pause: Option<ReplicaPause>,
    pub(crate) by: Option<Requester>,
}

/// A change of parked entries.
#[derive(Debug, Clone)]
pub(crate) struct ParkedChange {
    pub(crate) rule: JobName,
    pub(crate) act: ParkedAct,
    pub(crate) by: Option<Requester>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum ParkedAct {
    Redeliver,
    Discard,
}

impl ParkedAct {
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Redeliver => "redeliver parked entries",
            Self::Discard => "discard parked entries",
        }
    }
}

impl From<InternalMsg> for HousekeeperMsg {
    fn from(message: InternalMsg) -> Self {
        Self::Internal(Internal(message))
    }
}
