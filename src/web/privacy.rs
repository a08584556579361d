//! Personal data in answers: what the host hides or rewrites before anything leaves the router.

use std::fmt;
use std::sync::Arc;

use crate::actors::panics::catch_panic;
use crate::fmt::log_line;
use crate::job::{Preview, Scope};
use crate::model::{
    CourierState, CourierStatus, CurrentRun, DeliveryEnd, FailingCause, Health, History,
    HistorySource, Instances, JobStatus, Outcome, ParkedEntries, Report, RequestError, Requester,
    RunId, RunStatus, Status, WorkerStatus,
};

/// A kind of text that may hold personal data, as [`Web::redact`](super::Web::redact) receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sensitive {
    /// The id of a row, which is the key of its entry in the outbox.
    Id,
    /// The user of a row or of a scope.
    User,
    /// A detail of a row of a preview, and the payload of a parked entry.
    Detail,
    /// The text of an error, which may quote a row.
    Error,
    /// The name of who asked for an action.
    Requester,
}

/// The host's switches. By default everything is shown.
#[derive(Clone, Default)]
pub(crate) struct Privacy {
    pub(crate) without_previews: bool,
    pub(crate) without_ids: bool,
    pub(crate) redact: Option<Arc<Redact>>,
}

pub(crate) type Redact = dyn Fn(Sensitive, &str) -> String + Send + Sync;

impl fmt::Debug for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Privacy")
            .field("without_previews", &self.without_previews)
            .field("without_ids", &self.without_ids)
            .field("redact", &self.redact.is_some())
            .finish()
    }
}

impl Privacy {
    fn text(&self, kind: Sensitive, text: &mut String) {
        // A detail may hold the id as well.
        if self.without_ids && matches!(kind, Sensitive::Id | Sensitive::Detail) {
            HIDDEN.clone_into(text);
        } else if let Some(redact) = &self.redact {
            *text = rewrite(&**redact, kind, text);
        }
    }

    fn requester(&self, requester: &mut Requester) {
        if let Some(redact) = &self.redact {
            let shown = rewrite(&**redact, Sensitive::Requester, requester.as_str());
            *requester = Requester::new(shown);
        }
    }

    fn scope(&self, scope: &mut Scope) {
        if let Scope::User(user) = scope {
            self.text(Sensitive::User, user);
        }
    }
}

/// Calls the host's hook. A text over which it panics is hidden, and the rest of the answer is
/// shown.
fn rewrite(redact: &Redact, kind: Sensitive, text: &str) -> String {
    catch_panic(|| redact(kind, text)).unwrap_or_else(|panic| {
        let panic = log_line(&panic);
        tracing::error!(
            panic,
            "the host's redaction of {kind:?} panicked; the text is hidden"
        );
        HIDDEN.to_owned()
    })
}

/// An answer whose texts the host may hide or rewrite.
pub(crate) trait Private {
    fn redact(&mut self, privacy: &Privacy);
}

impl Private for Status {
    fn redact(&mut self, privacy: &Privacy) {
        self.jobs.values_mut().for_each(|job| job.redact(privacy));
        let couriers = self.couriers.values_mut();
        couriers.for_each(|courier| courier.redact(privacy));
    }
}

impl Private for CourierStatus {
    fn redact(&mut self, privacy: &Privacy) {
        if let CourierState::Restarting { reason, .. } = &mut self.courier {
            privacy.text(Sensitive::Error, reason);
        }
        if let Some(problem) = &mut self.problem {
            privacy.text(Sensitive::Error, problem);
        }
        for record in &mut self.recent {
            privacy.text(Sensitive::Id, &mut record.key);
            match &mut record.end {
                DeliveryEnd::Refused { error, .. } | DeliveryEnd::Parked { error } => {
                    privacy.text(Sensitive::Error, error);
                }
                DeliveryEnd::Acknowledged => {}
            }
        }
    }
}

impl Private for ParkedEntries {
    fn redact(&mut self, privacy: &Privacy) {
        for parked in &mut self.entries {
            privacy.text(Sensitive::Id, &mut parked.entry.key);
            // It may hold columns that a preview would show.
            if privacy.without_previews {
                HIDDEN.clone_into(&mut parked.entry.payload);
            } else {
                privacy.text(Sensitive::Detail, &mut parked.entry.payload);
            }
            if let Some(error) = &mut parked.error {
                privacy.text(Sensitive::Error, error);
            }
        }
    }
}

impl Private for JobStatus {
    fn redact(&mut self, privacy: &Privacy) {
        match &mut self.health {
            Health::Failing { cause } => match cause {
                FailingCause::RunFailed { error: text }
                | FailingCause::RunCrashed { reason: text }
                | FailingCause::WorkerRestarting { reason: text } => {
                    privacy.text(Sensitive::Error, text);
                }
                FailingCause::Stalled { .. } => {}
            },
            Health::Degraded { reason } => privacy.text(Sensitive::Error, reason),
            Health::Healthy | Health::Late { .. } => {}
        }
        match &mut self.worker {
            WorkerStatus::Running(run) => run.redact(privacy),
            WorkerStatus::Restarting { reason, .. } | WorkerStatus::Degraded { reason, .. } => {
                privacy.text(Sensitive::Error, reason);
            }
            WorkerStatus::Disabled | WorkerStatus::Idle | WorkerStatus::Stopped => {}
        }
        if let Some(by) = self.pause.as_mut().and_then(|pause| pause.by.as_mut()) {
            privacy.requester(by);
        }
        if let Some(report) = &mut self.last {
            report.redact(privacy);
        }
    }
}

impl Private for CurrentRun {
    fn redact(&mut self, privacy: &Privacy) {
        privacy.scope(&mut self.scope);
        let by = self.requested_by.iter_mut();
        by.for_each(|by| privacy.requester(by));
    }
}

impl Private for Report {
    fn redact(&mut self, privacy: &Privacy) {
        privacy.scope(&mut self.scope);
        let by = self.requested_by.iter_mut();
        by.for_each(|by| privacy.requester(by));
        match &mut self.outcome {
            Outcome::Cancelled { by: Some(by) } => privacy.requester(by),
            Outcome::Failed { error: text, .. } | Outcome::Crashed { reason: text, .. } => {
                privacy.text(Sensitive::Error, text);
            }
            _ => {}
        }
        if privacy.without_ids {
            self.more_ids |= !self.ids.is_empty();
            self.ids.clear();
        }
        self.ids
            .iter_mut()
            .for_each(|id| privacy.text(Sensitive::Id, id));
        for row in &mut self.rejected {
            privacy.text(Sensitive::Id, &mut row.id);
            privacy.text(Sensitive::Error, &mut row.error);
        }
    }
}

impl Private for RunStatus {
    fn redact(&mut self, privacy: &Privacy) {
        match self {
            Self::Queued {
                scope,
                requested_by,
                ..
            } => {
                privacy.scope(scope);
                for by in requested_by {
                    privacy.requester(by);
                }
            }
            Self::Running { current, .. } => current.redact(privacy),
            Self::Ended { report } => report.redact(privacy),
        }
    }
}

impl Private for History {
    fn redact(&mut self, privacy: &Privacy) {
        if let HistorySource::Memory { reason } = &mut self.source {
            privacy.text(Sensitive::Error, reason);
        }
        self.runs
            .iter_mut()
            .for_each(|record| record.report.redact(privacy));
    }
}

impl Private for Preview {
    fn redact(&mut self, privacy: &Privacy) {
        privacy.scope(&mut self.scope);
        if privacy.without_ids {
            // A cursor holds an id.
            self.next = None;
        }
        for row in &mut self.rows {
            privacy.text(Sensitive::Id, &mut row.id);
            if let Some(user) = &mut row.user {
                privacy.text(Sensitive::User, user);
            }
            row.details
                .values_mut()
                .for_each(|text| privacy.text(Sensitive::Detail, text));
        }
    }
}

impl Private for RequestError {
    fn redact(&mut self, privacy: &Privacy) {
        match self {
            Self::Failed { error: text, .. } | Self::Scope { problem: text, .. } => {
                privacy.text(Sensitive::Error, text);
            }
            _ => {}
        }
    }
}

impl<T: Private, E: Private> Private for Result<T, E> {
    fn redact(&mut self, privacy: &Privacy) {
        match self {
            Ok(answer) => answer.redact(privacy),
            Err(error) => error.redact(privacy),
        }
    }
}

impl<T: Private> Private for Vec<T> {
    fn redact(&mut self, privacy: &Privacy) {
        for answer in self {
            answer.redact(privacy);
        }
    }
}

impl<T: Private> Private for Option<T> {
    fn redact(&mut self, privacy: &Privacy) {
        if let Some(answer) = self {
            answer.redact(privacy);
        }
    }
}

impl Private for Instances {
    fn redact(&mut self, _: &Privacy) {}
}

impl Private for bool {
    fn redact(&mut self, _: &Privacy) {}
}

impl Private for u64 {
    fn redact(&mut self, _: &Privacy) {}
}

impl Private for RunId {
    fn redact(&mut self, _: &Privacy) {}
}

/// In place of an id, and of a text that could not be rewritten.
const HIDDEN: &str = "hidden";
