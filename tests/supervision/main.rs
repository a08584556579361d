//! What dies, what is started again, and that everybody is answered.

mod deaths;
mod helpers;
mod host_bugs;
mod intensity;
mod names;
mod readers;
mod stopping;
#[path = "../support/mod.rs"]
mod support;
