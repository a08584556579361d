//! Shared by the test binaries: each includes this module once.

pub(crate) mod alone;
pub(crate) mod blocker;
pub(crate) mod host;
pub(crate) mod log;
