//! Clocks, instants on two clocks, saturating arithmetic, and spans as text.

mod arithmetic;
mod clock;
pub(crate) mod json;
mod moment;
pub(crate) mod span;

pub(crate) use arithmetic::{after, before, since, strictly_after, until};
pub(crate) use clock::Clocks;
pub use clock::{Clock, SystemClock};
pub(crate) use moment::Moment;
