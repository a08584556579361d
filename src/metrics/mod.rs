//! Metrics: their names, and their recorder.

#[cfg(feature = "metrics")]
mod names;
#[cfg_attr(not(feature = "metrics"), path = "recorder_off.rs")]
pub(crate) mod recorder;

#[cfg(feature = "metrics")]
pub use names::*;
