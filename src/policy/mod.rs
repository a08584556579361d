//! Decisions as pure values: callers pass the time and the jitter.

mod health;
mod pacer;
mod queue;
mod restart;
mod schedule;

pub(crate) use health::{HealthInputs, Heartbeat, health, max_silence};
pub(crate) use pacer::Pacer;
pub(crate) use queue::{QueuedRun, RunQueue};
pub(crate) use restart::{RestartLog, Verdict, backoff};
pub(crate) use schedule::{Due, Planner};
