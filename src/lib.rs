//! Supervised housekeeping for [ractor](ractor) applications.

// Reading order: what a job is, what it says, when it runs, who runs it, where the rows are.
mod batch;
mod clock;
mod config;
mod history;
mod job;
mod outlook;
mod preview;
mod report;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use batch::{Batch, Counts, Cursor, Pass, Scope, SetAside, Window};
pub use clock::{Clock, SystemClock};
pub use config::{
    BackoffConfig, Beyond, ConfigError, HousekeeperConfig, JobConfig, KeptConfig, RestartConfig,
    Schedule,
};
pub use history::{History, HistorySource, RunRecord};
pub use job::{Job, JobError, JobName};
pub use outlook::{Capped, Outlook};
pub use preview::{Page, Preview, PreviewRow, PreviewRows};
pub use report::{Outcome, Report, RunId, Trigger};
pub use store::{RunHistory, Store, StoreError};
