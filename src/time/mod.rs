//! Clocks, instants on two clocks, and saturating arithmetic.

mod arithmetic;
mod clock;
mod moment;

pub(crate) use arithmetic::{after, before, since, strictly_after, until};
pub(crate) use clock::Clocks;
pub use clock::{Clock, SystemClock};
pub(crate) use moment::Moment;
