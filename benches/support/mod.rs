//! Shared by the benches: options, databases, figures with their spread, targets, and plots.

pub(crate) mod cpu;
pub(crate) mod database;
pub(crate) mod figures;
pub(crate) mod job;
pub(crate) mod machine;
pub(crate) mod options;
pub(crate) mod plot;
mod scale;
pub(crate) mod timed;

/// A bench ends at the first error.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
