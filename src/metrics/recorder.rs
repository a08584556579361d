//! Records the metrics. Without the feature `metrics` the same calls do nothing
//! (`recorder_off.rs`).
//!
//! Each call looks the recorder up instead of keeping handles: a host may install one after the
//! start, and exporters may drop idle metrics.

use std::time::Duration;

use chrono::{DateTime, Utc};
use metrics::{counter, gauge, histogram};
use tokio::time::Instant;

use super::names;
use crate::job::{Counts, JobName};
use crate::model::{Health, OutboxCounts, Report};

/// Describes the metrics and sets counters without further labels to zero, so that the first
/// occurrence shows as an increase.
pub(crate) fn started<'a>(jobs: impl Iterator<Item = &'a JobName>) {
    names::describe();
    counter!(names::TIMER_RESTARTS).increment(0);
    counter!(names::EVENTS_MISSED).increment(0);
    for job in jobs {
        for name in [names::RESTARTS, names::MISSED_TICKS, names::BATCHES] {
            counter!(name, names::JOB => job.to_string()).increment(0);
        }
    }
}

pub(crate) fn run_ended(report: &Report) {
    let job = report.job.to_string();
    let outcome = report.outcome.as_str().replace(' ', "_");
    let trigger = report.trigger.to_string();
    histogram!(names::RUN_SECONDS, names::JOB => job.clone()).record(report.elapsed);
    counter!(names::RUNS, names::JOB => job, names::TRIGGER => trigger, names::OUTCOME => outcome)
        .increment(1);
}

pub(crate) fn batch_committed(job: &JobName, counts: &Counts) {
    let job = job.to_string();
    counter!(names::BATCHES, names::JOB => job.clone()).increment(1);
    histogram!(names::BATCH_ROWS, names::JOB => job.clone()).record(figure(counts.total()));
    for (kind, rows) in counts.iter() {
        let (job, kind) = (job.clone(), kind.to_owned());
        counter!(names::ROWS, names::JOB => job, names::KIND => kind).increment(rows);
    }
}

pub(crate) fn worker_crashed(job: &JobName) {
    counter!(names::RESTARTS, names::JOB => job.to_string()).increment(1);
}

pub(crate) fn timer_crashed() {
    counter!(names::TIMER_RESTARTS).increment(1);
}

pub(crate) fn ticks_missed(job: &JobName, ticks: u64) {
    counter!(names::MISSED_TICKS, names::JOB => job.to_string()).increment(ticks);
}

pub(crate) fn event_missed() {
    counter!(names::EVENTS_MISSED).increment(1);
}

/// An entry of the outbox was sent and answered.
pub(crate) fn delivered(rule: &JobName, took: Duration, outcome: &'static str) {
    let job = rule.to_string();
    histogram!(names::DELIVERY_SECONDS, names::JOB => job.clone()).record(took);
    counter!(names::DELIVERIES, names::JOB => job, names::OUTCOME => outcome).increment(1);
}

pub(crate) fn parked(rule: &JobName) {
    counter!(names::PARKINGS, names::JOB => rule.to_string()).increment(1);
}

pub(crate) fn courier_crashed(rule: &JobName) {
    counter!(names::COURIER_RESTARTS, names::JOB => rule.to_string()).increment(1);
}

/// The gauges of one courier. Dropping them sets them to zero.
#[derive(Default)]
pub(crate) struct CourierGauges {
    /// Empty until the gauges were first set.
    job: String,
}

impl CourierGauges {
    pub(crate) fn record(&mut self, rule: &JobName, counts: Option<&OutboxCounts>) {
        let Some(counts) = counts else { return };
        rule.as_str().clone_into(&mut self.job);
        self.set(names::OUTBOX_WAITING, figure(counts.waiting.count));
        self.set(names::OUTBOX_FAILING, figure(counts.failing.count));
        self.set(names::OUTBOX_PARKED, figure(counts.parked.count));
        let oldest = counts.oldest.unwrap_or_default();
        self.set(names::OUTBOX_OLDEST, oldest.as_secs_f64());
    }

    fn set(&self, name: &'static str, value: f64) {
        gauge!(name, names::JOB => self.job.clone()).set(value);
    }
}

impl Drop for CourierGauges {
    fn drop(&mut self) {
        if self.job.is_empty() {
            return;
        }
        for name in [
            names::OUTBOX_WAITING,
            names::OUTBOX_FAILING,
            names::OUTBOX_PARKED,
            names::OUTBOX_OLDEST,
        ] {
            self.set(name, 0.0);
        }
    }
}

/// A measured step of a job.
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

/// Measures until it is dropped, including steps that fail, time out or panic.
#[must_use]
pub(crate) struct Stopwatch {
    job: String,
    step: Step,
    began: Instant,
}

pub(crate) fn time(job: &JobName, step: Step) -> Stopwatch {
    Stopwatch {
        job: job.to_string(),
        step,
        began: Instant::now(),
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        let job = std::mem::take(&mut self.job);
        let step = match self.step {
            Step::Batch => {
                let batch = histogram!(names::BATCH_SECONDS, names::JOB => job);
                return batch.record(self.began.elapsed());
            }
            Step::Check => "check",
            Step::BeginRun => "begin_run",
            Step::Forecast => "forecast",
            Step::Preview => "preview",
            Step::HistoryRead => "history_read",
            Step::HistoryWrite => "history_write",
        };
        histogram!(names::STEP_SECONDS, names::JOB => job, names::STEP => step)
            .record(self.began.elapsed());
    }
}

/// The state of a job that its gauges show.
pub(crate) struct JobSnapshot<'a> {
    pub(crate) health: &'a Health,
    /// `None` if unknown, as before the first run.
    pub(crate) backlog: Option<u64>,
    pub(crate) oldest_overdue: Option<Duration>,
    pub(crate) last_success: Option<DateTime<Utc>>,
    /// `None` while a new count is in progress.
    pub(crate) rejected: Option<usize>,
    pub(crate) unsaved_runs: usize,
    pub(crate) running: bool,
    pub(crate) stalled: bool,
    pub(crate) paused: bool,
}

/// The gauges of one job. Dropping them sets them to zero, so that a housekeeper that ended, even
/// by a crash, leaves no job that appears to run or lag.
#[derive(Default)]
pub(crate) struct Gauges {
    /// Empty until the gauges were first set.
    job: String,
}

impl Gauges {
    pub(crate) fn record(&mut self, job: &JobName, snapshot: &JobSnapshot<'_>) {
        job.as_str().clone_into(&mut self.job);
        for state in names::STATES {
            self.state(state, state == snapshot.health.as_str());
        }
        if let Some(rows) = snapshot.backlog {
            self.set(names::BACKLOG, figure(rows));
        }
        let overdue = snapshot.oldest_overdue.unwrap_or_default();
        self.set(names::OLDEST_OVERDUE, overdue.as_secs_f64());
        if let Some(at) = snapshot.last_success {
            let since_1970 = (at - DateTime::UNIX_EPOCH).to_std().unwrap_or_default();
            self.set(names::LAST_SUCCESS, since_1970.as_secs_f64());
        }
        if let Some(rows) = snapshot.rejected {
            self.set(names::REJECTED, figure(rows as u64));
        }
        self.set(names::UNSAVED_RUNS, figure(snapshot.unsaved_runs as u64));
        self.set(names::RUNNING, truth(snapshot.running));
        self.set(names::STALLED, truth(snapshot.stalled));
        self.set(names::PAUSED, truth(snapshot.paused));
        let degraded = matches!(snapshot.health, Health::Degraded { .. });
        self.set(names::DEGRADED, truth(degraded));
    }

    fn set(&self, name: &'static str, value: f64) {
        gauge!(name, names::JOB => self.job.clone()).set(value);
    }

    fn state(&self, state: &'static str, is: bool) {
        gauge!(names::HEALTH, names::JOB => self.job.clone(), names::STATE => state).set(truth(is));
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        if self.job.is_empty() {
            return;
        }
        for state in names::STATES {
            self.state(state, false);
        }
        for name in [
            names::BACKLOG,
            names::OLDEST_OVERDUE,
            names::REJECTED,
            names::UNSAVED_RUNS,
            names::RUNNING,
            names::STALLED,
            names::PAUSED,
            names::DEGRADED,
        ] {
            self.set(name, 0.0);
        }
    }
}

fn truth(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// Exact up to `u32::MAX`, which larger counts saturate at.
fn figure(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
