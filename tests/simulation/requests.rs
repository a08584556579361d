//! Questions to a replica, each answered once and truly.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ractor::RpcReplyPort;
use ractor_housekeeper::job::Preview;
use ractor_housekeeper::model::{History, RunId};
use ractor_housekeeper::{HousekeeperMsg, JobName, Outcome, Report, RequestError, Scope, Status};
use tokio::sync::oneshot::{self, Receiver, error::TryRecvError};
use tokio::time::Instant;

use crate::event_log::EventsBefore;
use crate::replica::Replica;
use crate::scenario::SLACK;
use crate::unreliable::{ERROR, PANIC};
use crate::world::is_expirer;

/// A question on its way.
pub(crate) struct Request {
    pub(crate) replica: usize,
    pub(crate) at: Instant,
    /// By the database's clock.
    now: DateTime<Utc>,
    known: EventsBefore,
    /// The place in the replica's news at which it was asked.
    place: usize,
    kind: RequestKind,
}

pub(crate) enum RequestKind {
    RunEvents(JobName, Scope, Receiver<Result<Report, RequestError>>),
    RunAll(Receiver<Result<Vec<Report>, RequestError>>),
    Preview(Receiver<Result<Preview, RequestError>>),
    History(Receiver<Result<History, RequestError>>),
    Status(Receiver<Status>),
    Switch(Receiver<Result<bool, RequestError>>),
    Cancel(Receiver<Result<Option<RunId>, RequestError>>),
    Reschedule(Receiver<Result<(), RequestError>>),
    Shutdown(Duration, Receiver<()>),
}

/// How it stands with a question.
pub(crate) enum Progress {
    Waiting,
    Answered,
    /// Its housekeeper is gone and answered nothing.
    Closed,
}

impl Request {
    /// Sends a question. One that a dead housekeeper cannot be sent counts as closed.
    pub(crate) fn send<T: Send + 'static>(
        replica: &Replica,
        message: impl FnOnce(RpcReplyPort<T>) -> HousekeeperMsg,
        kind: impl FnOnce(Receiver<T>) -> RequestKind,
    ) -> Self {
        let (port, answer) = oneshot::channel();
        let requests = Self {
            replica: replica.number,
            at: Instant::now(),
            now: replica.world.lock().now(),
            known: replica.event_log.known(),
            place: replica.event_log.events().event.len(),
            kind: kind(answer),
        };
        // One that cannot be sent is dropped, which reads as closed.
        let _ = replica.housekeeper.cast(message(port.into()));
        requests
    }

    /// Looks for the answer, and checks it.
    pub(crate) fn look(&mut self, replica: &Replica) -> Progress {
        let Self { now, place, .. } = *self;
        let check = Check {
            now,
            place,
            replica,
        };
        match &mut self.kind {
            RequestKind::RunEvents(job, scope, answer) => resolve(answer, |answer| match answer {
                Ok(report) => check.report(&report, job, scope),
                Err(rejection) => check.rejection(&rejection),
            }),
            RequestKind::RunAll(answer) => resolve(answer, |answer| match answer {
                Ok(reports) => check.reports(&reports),
                Err(rejection) => check.rejection(&rejection),
            }),
            RequestKind::Preview(answer) => rejected(answer, check),
            RequestKind::History(answer) => rejected(answer, check),
            RequestKind::Switch(answer) => rejected(answer, check),
            RequestKind::Cancel(answer) => rejected(answer, check),
            RequestKind::Reschedule(answer) => rejected(answer, check),
            RequestKind::Status(answer) => resolve(answer, |status| {
                if let Some(broken) = replica.event_log.contradiction(&status, &self.known) {
                    check.breaks(broken);
                }
            }),
            RequestKind::Shutdown(_, answer) => resolve(answer, |()| ()),
        }
    }

    /// Whether an answer is overdue. An answer from memory takes no time on this clock.
    pub(crate) fn is_late(&self) -> bool {
        let waited = self.at.elapsed();
        match self.kind {
            RequestKind::RunEvents(..) | RequestKind::RunAll(_) => false,
            RequestKind::Preview(_) | RequestKind::History(_) => waited > LONGEST_READ,
            RequestKind::Shutdown(grace, _) => waited >= grace + SLACK,
            _ => waited > SLACK,
        }
    }

    pub(crate) fn what(&self) -> &'static str {
        match self.kind {
            RequestKind::RunEvents(..) => "RunNow",
            RequestKind::RunAll(_) => "RunAll",
            RequestKind::Preview(_) => "Preview",
            RequestKind::History(_) => "History",
            RequestKind::Status(_) => "Status",
            RequestKind::Switch(_) => "Pause or Resume",
            RequestKind::Cancel(_) => "Cancel",
            RequestKind::Reschedule(_) => "Reschedule",
            RequestKind::Shutdown(..) => "Shutdown",
        }
    }
}

fn resolve<T>(answer: &mut Receiver<T>, check: impl FnOnce(T)) -> Progress {
    match answer.try_recv() {
        Ok(answer) => {
            check(answer);
            Progress::Answered
        }
        Err(TryRecvError::Empty) => Progress::Waiting,
        Err(TryRecvError::Closed) => Progress::Closed,
    }
}

fn rejected<T>(answer: &mut Receiver<Result<T, RequestError>>, check: Check<'_>) -> Progress {
    resolve(answer, |answer| {
        if let Err(rejection) = answer {
            check.rejection(&rejection);
        }
    })
}

/// Compares an answer with the world and with the events.
#[derive(Clone, Copy)]
struct Check<'a> {
    now: DateTime<Utc>,
    place: usize,
    replica: &'a Replica,
}

impl Check<'_> {
    fn reports(self, reports: &[Report]) {
        let jobs: Vec<&str> = reports.iter().map(|report| report.job.as_str()).collect();
        if jobs != ["booking-expirer", "session-cleaner"] {
            self.breaks(format!("a RunAll ran {jobs:?}"));
        }
        for report in reports {
            self.check(report, &Scope::All);
        }
    }

    fn report(self, report: &Report, job: &JobName, scope: &Scope) {
        if report.job != *job {
            let broken = format!("{job} was requests for, and {report} came");
            self.breaks(broken);
        }
        self.check(report, scope);
    }

    fn check(self, report: &Report, scope: &Scope) {
        if let Some(broken) = self.is_untrue(report, scope) {
            self.breaks(format!("{broken}: {report}"));
        }
    }

    fn is_untrue(self, report: &Report, scope: &Scope) -> Option<&'static str> {
        let events = self.replica.event_log.events();
        let Some(run) = events.runs.get(&report.run) else {
            return Some("its end was not emitted");
        };
        if run
            .ended
            .as_ref()
            .is_none_or(|(_, emitted)| emitted != report)
        {
            return Some("another end was emitted");
        }
        if run.began.is_some_and(|began| began < self.place) {
            return Some("it began before it was requests for");
        }
        if report.scope != *scope {
            return Some("another scope was requests for");
        }
        match &report.outcome {
            Outcome::Completed => self.is_incomplete(report),
            Outcome::Failed { error, .. } => {
                let known = [ERROR, "within", "the deciding clock"];
                let known = known.iter().any(|known| error.contains(known));
                (!known).then_some("nothing failed like this")
            }
            Outcome::Crashed { reason, .. } => {
                let deaths = [PANIC, "killed", "stopped", "drained", "by hand"];
                let known = deaths.iter().any(|death| reason.contains(death));
                (!known).then_some("nothing died like this")
            }
            _ => None,
        }
    }

    /// Rows that were due when the run was requested, and unchanged since, must be gone.
    fn is_incomplete(self, report: &Report) -> Option<&'static str> {
        let user = report.scope.user_id().ok().flatten();
        let world = self.replica.world.lock();
        // Not at that instant: on this clock much happens in one, before the question and after it.
        let before = self.now - TimeDelta::microseconds(1);
        let (bookings, sessions) = world.guests.due_since(before, user, world.ages);
        let left = if is_expirer(&report.job) {
            bookings
        } else {
            sessions
        };
        (!left.is_empty()).then_some("rows were left that had been due before")
    }

    fn breaks(self, promise: impl Into<String>) {
        self.replica.world.lock().break_promise(promise);
    }

    fn rejection(self, rejection: &RequestError) {
        let emitted = match rejection {
            // Or it was escalated, which only its events show.
            RequestError::ShuttingDown => {
                !self.replica.is_running() || self.replica.event_log.events().shutting_down
            }
            RequestError::Failed { error, .. } => {
                let causes = [ERROR, PANIC, "within", "the reader crashed"];
                causes.iter().any(|cause| error.contains(cause))
            }
            RequestError::Busy { waiting, .. } => *waiting >= 16,
            RequestError::ReadTimeout { timeout, .. } => *timeout == Duration::from_secs(10),
            RequestError::UnknownJob { job, .. } => job.as_str() == NO_JOB,
            RequestError::Scope { problem, .. } => problem.contains(NO_USER),
            _ => false,
        };
        if !emitted {
            self.breaks(format!("rejected: {rejection}"));
        }
    }
}

/// An unknown job.
pub(crate) const NO_JOB: &str = "booking-expierer";

/// A user that cannot be.
pub(crate) const NO_USER: &str = "nobody";

/// The timeout of a read, its wait included, and a little for the answer.
const LONGEST_READ: Duration = Duration::from_secs(11);
