//! The tree of actors: runs, schedule, restarts, health and shutdown, each behaviour by itself.

mod clocks;
mod couriers;
mod crashes;
#[cfg(feature = "cron")]
mod cron;
mod endings;
mod handle;
mod health;
mod helpers;
mod host_bugs;
mod intensity;
mod last_words;
mod leaps;
mod limits;
mod logs;
mod lookups;
mod names;
mod readers;
mod records;
mod rejected;
mod replicas;
mod requesters;
mod restarting;
mod runs;
mod schedule;
mod schedules;
mod slowness;
mod stopping;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
