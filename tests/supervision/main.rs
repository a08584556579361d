//! What dies, what is started again, and that everybody is answered.

#[path = "../support/blocker.rs"]
mod blocker;
mod clocks;
#[cfg(feature = "cron")]
mod cron;
mod deaths;
mod endings;
mod health;
mod helpers;
mod host_bugs;
mod intensity;
mod last_words;
mod limits;
#[path = "../support/log.rs"]
mod log;
mod logs;
mod names;
mod readers;
mod records;
mod rejected;
mod restarting;
#[path = "../support/schedules.rs"]
mod schedules;
mod stopping;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
