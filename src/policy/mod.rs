//! Decisions as pure values: callers pass the time and the jitter.

mod batch_pacer;
mod clock_guard;
mod delivery;
mod health;
mod pauses;
mod queue;
mod rejections;
mod restart;
mod schedule;
mod slowness;

pub(crate) use batch_pacer::{Pacer, urgency};
pub(crate) use clock_guard::{CONFIRM_AFTER, ClockGuard, Leap};
pub(crate) use delivery::{BatchEnd, DeliveryPace, again_after};
pub(crate) use health::{HealthInputs, Heartbeat, health, max_silence};
pub(crate) use queue::{QueuedRun, RunQueue};
pub(crate) use rejections::Rejections;
pub(crate) use restart::{RestartLog, Verdict, backoff};
pub(crate) use schedule::{Due, Planner};
pub(crate) use slowness::Slowness;
