//! The table of operations.

use serde_json::json;

use super::operation::Operation;
use super::reads;
use crate::job::Preview;
use crate::model::{
    CourierStatus, History, Instances, JobStatus, ParkedEntries, Report, RunStatus, Status,
};
use crate::web::actions::{self, Accepted, AcceptedRun, AllReports, Cancelled, Switched};
use crate::web::couriers::{self, Changed, EntriesBody, ParkedParams};
use crate::web::extract::{OnlyRun, PreviewParams, RunAllBody, ScopeBody, Wait};
use crate::web::params::{HistoryParams, RunParams};

/// All operations, each with its route.
pub(super) fn all() -> Vec<Operation> {
    let mut all = looks();
    all.extend(acts());
    all.extend(on_entries());
    all
}

/// Those that change nothing.
fn looks() -> Vec<Operation> {
    vec![
        Operation::read::<Status, _, _>(
            "/status",
            "getStatus",
            "The status of the housekeeper and of all its jobs, from memory.",
            reads::status,
        )
        .problems(&[400, 503]),
        Operation::read::<JobStatus, _, _>(
            "/jobs/{job}",
            "getJob",
            "The status of one job, from memory.",
            reads::job,
        )
        .problems(&[400, 404, 503]),
        Operation::read::<History, _, _>(
            "/jobs/{job}/history",
            "getHistory",
            "Past runs of a job, newest first. Runs that did nothing are left out, and deadline runs \
             of a minute share a line.",
            reads::history,
        )
        .query::<HistoryParams>()
        .problems(&[400, 404, 422, 503, 504]),
        Operation::read::<Instances, _, _>(
            "/instances",
            "getInstances",
            "The instances that ended a run in the last 20 minutes, by the database that replicas share.",
            reads::instances,
        )
        .problems(&[400, 502, 503, 504]),
        Operation::read::<RunStatus, _, _>(
            "/runs/{run}",
            "getRun",
            "A run: waiting, in progress, or ended with its report. Knows the last 100 runs that were \
             requested, and those that the history has.",
            reads::run,
        )
        .query::<RunParams>()
        .problems(&[400, 404, 422, 502, 503, 504]),
        Operation::read::<Preview, _, _>(
            "/jobs/{job}/preview",
            "getPreview",
            "The rows that a run would handle now. Locks and changes nothing.",
            reads::preview,
        )
        .query::<PreviewParams>()
        .problems(&[400, 403, 404, 409, 422, 502, 503, 504]),
    ]
}

/// Those that need actions to be enabled.
fn acts() -> Vec<Operation> {
    vec![
        Operation::act::<Report, _, _>(
            "/jobs/{job}/run",
            "runJob",
            "Runs a job now, for everything or for one user. A run that failed is a report as well.",
            actions::run,
        )
        .query::<Wait>()
        .body::<ScopeBody>(json!({ "scope": { "user": "anna" } }))
        .accepted::<AcceptedRun>("The run takes longer than the wait, and goes on.")
        .problems(&[400, 403, 404, 409, 413, 415, 422, 429, 503]),
        Operation::act::<AllReports, _, _>(
            "/run",
            "runAllJobs",
            "Runs all jobs now, without those that are paused unless the body asks for them.",
            actions::run_all,
        )
        .query::<Wait>()
        .body::<RunAllBody>(json!({ "paused": false }))
        .accepted::<Accepted>("A run takes longer than the wait, and goes on.")
        .problems(&[400, 403, 413, 415, 422, 503]),
        Operation::act::<Cancelled, _, _>(
            "/jobs/{job}/cancel",
            "cancelRun",
            "Ends the run in progress after its batch.",
            actions::cancel,
        )
        .query::<OnlyRun>()
        .problems(&[400, 403, 404, 409, 413, 415, 422, 503]),
        Operation::act::<Switched, _, _>(
            "/jobs/{job}/pause",
            "pauseJob",
            "Suspends the schedule of a job on this instance. A run in progress continues.",
            actions::pause,
        )
        .problems(&[400, 403, 404, 409, 413, 415, 422, 503]),
        Operation::act::<Switched, _, _>(
            "/jobs/{job}/resume",
            "resumeJob",
            "Resumes the schedule of a job on this instance, and runs it once now.",
            actions::resume,
        )
        .problems(&[400, 403, 404, 409, 413, 415, 422, 503]),
        Operation::act::<Switched, _, _>(
            "/jobs/{job}/pause-replicas",
            "pauseReplicas",
            "Suspends the schedule of a job on all replicas, which find this in the database as their \
             next run begins.",
            actions::pause_replicas,
        )
        .problems(&[400, 403, 404, 409, 413, 415, 422, 502, 503, 504]),
        Operation::act::<Switched, _, _>(
            "/jobs/{job}/resume-replicas",
            "resumeReplicas",
            "Resumes the schedule of a job on all replicas: on this instance now, on the others within \
             a minute.",
            actions::resume_replicas,
        )
        .problems(&[400, 403, 404, 409, 413, 415, 422, 502, 503, 504]),
    ]
}

/// Operations on what rules hand on.
fn on_entries() -> Vec<Operation> {
    vec![
        Operation::read::<CourierStatus, _, _>(
            "/couriers/{rule}",
            "getCourier",
            "The delivery of what a rule hands on, from memory.",
            couriers::courier,
        )
        .problems(&[400, 404, 503]),
        Operation::read::<ParkedEntries, _, _>(
            "/couriers/{rule}/parked",
            "getParked",
            "Entries that were delivered too often without success, in the order of writing.",
            couriers::parked,
        )
        .query::<ParkedParams>()
        .problems(&[400, 404, 422, 502, 503, 504]),
        Operation::act::<Changed, _, _>(
            "/couriers/{rule}/redeliver",
            "redeliverEntries",
            "Makes parked entries due again, with all attempts.",
            couriers::redeliver,
        )
        .required_body::<EntriesBody>(json!({ "entries": { "these": [7] } }))
        .accepted::<Accepted>("The change takes longer than 10 seconds, and goes on.")
        .problems(&[400, 403, 404, 413, 415, 422, 502, 503, 504]),
        Operation::act::<Changed, _, _>(
            "/couriers/{rule}/discard",
            "discardEntries",
            "Deletes parked entries, which are never delivered.",
            couriers::discard,
        )
        .required_body::<EntriesBody>(json!({ "entries": { "these": [7] } }))
        .accepted::<Accepted>("The change takes longer than 10 seconds, and goes on.")
        .problems(&[400, 403, 404, 413, 415, 422, 502, 503, 504]),
    ]
}
