//! Questions to a replica, each answered once and truly.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ractor::RpcReplyPort;
use ractor_housekeeper::job::Preview;
use ractor_housekeeper::model::{History, RunId};
use ractor_housekeeper::{HousekeeperMsg, JobName, Outcome, Report, RequestError, Scope, Status};
use tokio::sync::oneshot::{self, Receiver, error::TryRecvError};
use tokio::time::Instant;

use crate::ledger::Known;
use crate::play::SLACK;
use crate::replica::Replica;
use crate::unreliable::{ERROR, PANIC};
use crate::world::is_expirer;

/// A question on its way.
pub(crate) struct Asked {
    pub(crate) replica: usize,
    pub(crate) at: Instant,
    /// By the database's clock.
    now: DateTime<Utc>,
    known: Known,
    /// The place in the replica's news at which it was asked.
    place: usize,
    question: Question,
}

pub(crate) enum Question {
    Run(JobName, Scope, Receiver<Result<Report, RequestError>>),
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
pub(crate) enum Standing {
    Waits,
    Answered,
    /// Its housekeeper is gone and answered nothing.
    Closed,
}

impl Asked {
    /// Sends a question. One that a dead housekeeper cannot be sent counts as closed.
    pub(crate) fn send<T: Send + 'static>(
        replica: &Replica,
        message: impl FnOnce(RpcReplyPort<T>) -> HousekeeperMsg,
        question: impl FnOnce(Receiver<T>) -> Question,
    ) -> Self {
        let (port, answer) = oneshot::channel();
        let asked = Self {
            replica: replica.number,
            at: Instant::now(),
            now: replica.world.lock().now(),
            known: replica.ledger.known(),
            place: replica.ledger.book().event.len(),
            question: question(answer),
        };
        // One that cannot be sent is dropped, which reads as closed.
        let _ = replica.housekeeper.cast(message(port.into()));
        asked
    }

    /// Looks for the answer, and checks it.
    pub(crate) fn look(&mut self, replica: &Replica) -> Standing {
        let Self { now, place, .. } = *self;
        let check = Check {
            now,
            place,
            replica,
        };
        match &mut self.question {
            Question::Run(job, scope, answer) => settled(answer, |answer| match answer {
                Ok(report) => check.report(&report, job, scope),
                Err(refusal) => check.refusal(&refusal),
            }),
            Question::RunAll(answer) => settled(answer, |answer| match answer {
                Ok(reports) => check.reports(&reports),
                Err(refusal) => check.refusal(&refusal),
            }),
            Question::Preview(answer) => refused(answer, check),
            Question::History(answer) => refused(answer, check),
            Question::Switch(answer) => refused(answer, check),
            Question::Cancel(answer) => refused(answer, check),
            Question::Reschedule(answer) => refused(answer, check),
            Question::Status(answer) => settled(answer, |status| {
                if let Some(broken) = replica.ledger.contradiction(&status, &self.known) {
                    check.breaks(broken);
                }
            }),
            Question::Shutdown(_, answer) => settled(answer, |()| ()),
        }
    }

    /// Whether an answer is overdue. What is answered from memory takes no time on this clock.
    pub(crate) fn is_late(&self) -> bool {
        let waited = self.at.elapsed();
        match self.question {
            Question::Run(..) | Question::RunAll(_) => false,
            Question::Preview(_) | Question::History(_) => waited > LONGEST_READ,
            Question::Shutdown(grace, _) => waited >= grace + SLACK,
            _ => waited > SLACK,
        }
    }

    pub(crate) fn what(&self) -> &'static str {
        match self.question {
            Question::Run(..) => "RunNow",
            Question::RunAll(_) => "RunAll",
            Question::Preview(_) => "Preview",
            Question::History(_) => "History",
            Question::Status(_) => "Status",
            Question::Switch(_) => "Pause or Resume",
            Question::Cancel(_) => "Cancel",
            Question::Reschedule(_) => "Reschedule",
            Question::Shutdown(..) => "Shutdown",
        }
    }
}

fn settled<T>(answer: &mut Receiver<T>, check: impl FnOnce(T)) -> Standing {
    match answer.try_recv() {
        Ok(answer) => {
            check(answer);
            Standing::Answered
        }
        Err(TryRecvError::Empty) => Standing::Waits,
        Err(TryRecvError::Closed) => Standing::Closed,
    }
}

fn refused<T>(answer: &mut Receiver<Result<T, RequestError>>, check: Check<'_>) -> Standing {
    settled(answer, |answer| {
        if let Err(refusal) = answer {
            check.refusal(&refusal);
        }
    })
}

/// Compares an answer with the world and with what was told.
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
            let broken = format!("{job} was asked for, and {report} came");
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
        let book = self.replica.ledger.book();
        let Some(run) = book.runs.get(&report.run) else {
            return Some("its end was not told");
        };
        if run.ended.as_ref().is_none_or(|(_, told)| told != report) {
            return Some("another end was told");
        }
        if run.began.is_some_and(|began| began < self.place) {
            return Some("it began before it was asked for");
        }
        if report.scope != *scope {
            return Some("another scope was asked for");
        }
        match &report.outcome {
            Outcome::Completed => self.is_incomplete(report),
            Outcome::Failed { error, .. } => {
                let known = error.contains(ERROR) || error.contains("within");
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

    /// What was due when the run was asked for, and was not touched since, must be gone.
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

    fn refusal(self, refusal: &RequestError) {
        let told = match refusal {
            // Or it was escalated, which only its news tell.
            RequestError::ShuttingDown => {
                !self.replica.stays() || self.replica.ledger.book().shutting_down
            }
            RequestError::Failed { error, .. } => {
                let causes = [ERROR, PANIC, "within", "the reader died"];
                causes.iter().any(|cause| error.contains(cause))
            }
            RequestError::Busy { waiting } => *waiting >= 64,
            RequestError::UnknownJob { job, .. } => job.as_str() == NO_JOB,
            RequestError::Scope { problem, .. } => problem.contains(NO_USER),
            _ => false,
        };
        if !told {
            self.breaks(format!("refused: {refusal}"));
        }
    }
}

/// A job that nobody has.
pub(crate) const NO_JOB: &str = "booking-expierer";

/// A user that cannot be.
pub(crate) const NO_USER: &str = "nobody";

/// 64 reads wait, two at a time, each for the limit of a step at most.
const LONGEST_READ: Duration = Duration::from_secs(33 * 5);
