//! Clocks, instants on two clocks, saturating arithmetic, and spans as text.

mod arithmetic;
mod clock;
pub(crate) mod json;
mod moment;
pub(crate) mod span;

#[cfg(any(feature = "_store", feature = "testing"))]
pub(crate) use arithmetic::{after, before, strictly_after};
pub(crate) use arithmetic::{since, until};
pub(crate) use clock::Clocks;
pub use clock::{Clock, SystemClock};
pub(crate) use moment::Moment;
