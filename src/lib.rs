//! Supervised housekeeping for [ractor](ractor) applications.

// Reading order: what a job is, what it says, when it runs, who runs it, where the rows are.
mod batch;
mod job;
mod outlook;
mod preview;
mod report;

mod config;
mod event;
mod health;
mod history;
mod refusal;
mod status;

mod clock;
mod queue;
mod restart;
mod run;
mod schedule;

mod start;
mod supervisor;
mod timer;
mod worker;

mod jobs;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use batch::{Batch, Counts, Cursor, Pass, Scope, SetAside, Window};
pub use clock::{Clock, SystemClock};
pub use config::{
    Ages, BackoffConfig, Beyond, ConfigError, HousekeeperConfig, JobConfig, KeptConfig,
    RestartConfig, Schedule,
};
pub use event::{Event, News, Subscriber};
pub use health::Health;
pub use history::{History, HistorySource, RunRecord};
pub use job::{Job, JobError, JobName};
pub use jobs::{BookingExpirer, SessionCleaner, built_in};
pub use outlook::{Capped, Outlook};
pub use preview::{Page, Preview, PreviewRow, PreviewRows};
pub use refusal::Refusal;
pub use report::{Outcome, Report, RunId, Trigger};
pub use start::{NotRunning, StartError, Started, start, status, stop, unanswered};
pub use status::{CurrentRun, JobStatus, Life, NextRun, Status, WorkerStatus};
#[cfg(feature = "postgres")]
pub use store::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use store::sqlite::SqliteStore;
pub use store::{RunHistory, Store, StoreError};
pub use supervisor::{Housekeeper, HousekeeperArguments, HousekeeperMsg};
