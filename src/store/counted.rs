//! Counting that stops.

use crate::job::BoundedCount;

/// The limit of a query whose count becomes a [`BoundedCount`].
pub(crate) const PROBE: i64 = 10_001;

const _: () = assert!(PROBE.unsigned_abs() == BoundedCount::CAP + 1);

/// The result of a query limited to [`PROBE`].
pub(crate) fn capped(counted: i64) -> BoundedCount {
    BoundedCount::from_probe(u64::try_from(counted).unwrap_or(0))
}
