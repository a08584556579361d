//! What dies, what is started again, and that everybody is answered.

mod deaths;
mod endings;
mod helpers;
mod host_bugs;
mod intensity;
mod last_words;
mod limits;
mod names;
mod readers;
mod restarting;
mod stopping;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
