//! Answers and events: plain data.

mod courier;
mod event;
mod health;
mod history;
mod history_query;
mod instance;
mod outbox;
mod outcome;
mod report;
mod report_text;
mod request_error;
mod requester;
mod run_id;
mod run_record;
mod run_status;
mod schedule_json;
mod status;
mod status_text;
mod store_error;
mod trigger;

pub use courier::{CourierState, CourierStatus, DeliveryEnd, DeliveryRecord, ParkedEntries};
pub use event::Event;
pub use health::{FailingCause, Health, LateCause};
#[cfg(feature = "web")]
pub(crate) use history::unreadable;
pub use history::{History, HistorySource, RunHistory};
pub use history_query::{HistoryCursor, HistoryPage, HistoryQuery};
pub use instance::{InstanceRuns, Instances};
pub use outbox::{
    Claim, Claimed, EntryId, Outbox, OutboxCounts, OutboxEntry, ParkedEntry, ParkedPage,
    RefusedEntry, Settlement, WhichEntries,
};
pub use outcome::{FailureKind, Outcome, OutcomeKind};
pub use report::Report;
pub use request_error::RequestError;
pub use requester::{Pause, Requester};
pub use run_id::RunId;
pub use run_record::RunRecord;
pub use run_status::RunStatus;
pub use status::{CurrentRun, HousekeeperState, JobStatus, NextRun, Status, WorkerStatus};
pub use store_error::StoreError;
pub use trigger::Trigger;
