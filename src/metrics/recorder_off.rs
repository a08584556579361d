//! Stands in for `recorder.rs` without the feature `metrics`: the same calls do nothing.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::job::{Counts, JobName};
use crate::model::{Health, OutboxCounts, Report};

pub(crate) fn started<'a>(_: impl Iterator<Item = &'a JobName>) {}

pub(crate) fn run_ended(_: &Report) {}

pub(crate) fn batch_committed(_: &JobName, _: &Counts) {}

pub(crate) fn worker_crashed(_: &JobName) {}

pub(crate) fn timer_crashed() {}

pub(crate) fn ticks_missed(_: &JobName, _: u64) {}

pub(crate) fn event_missed() {}

pub(crate) fn delivered(_: &JobName, _: Duration, _: &'static str) {}

pub(crate) fn parked(_: &JobName) {}

pub(crate) fn courier_crashed(_: &JobName) {}

#[derive(Default)]
pub(crate) struct CourierGauges(());

impl CourierGauges {
    #[expect(clippy::unused_self, reason = "the recorder needs it")]
    pub(crate) fn record(&mut self, _: &JobName, _: Option<&OutboxCounts>) {}
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Check,
    BeginRun,
    Batch,
    Forecast,
    Preview,
    HistoryRead,
    HistoryWrite,
}

#[must_use]
pub(crate) struct Stopwatch;

pub(crate) fn time(_: &JobName, _: Step) -> Stopwatch {
    Stopwatch
}

#[expect(dead_code, reason = "only the recorder reads the fields")]
pub(crate) struct JobSnapshot<'a> {
    pub(crate) health: &'a Health,
    pub(crate) backlog: Option<u64>,
    pub(crate) oldest_overdue: Option<Duration>,
    pub(crate) last_success: Option<DateTime<Utc>>,
    pub(crate) rejected: Option<usize>,
    pub(crate) unsaved_runs: usize,
    pub(crate) running: bool,
    pub(crate) stalled: bool,
    pub(crate) paused: bool,
}

#[derive(Default)]
pub(crate) struct Gauges(());

impl Gauges {
    #[expect(clippy::unused_self, reason = "the recorder needs it")]
    pub(crate) fn record(&mut self, _: &JobName, _: &JobSnapshot<'_>) {}
}
