//! Together or one by one.

/// How the rows of a batch are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// All at once.
    Together,
    /// One by one, setting aside those the database refuses.
    Each,
}
