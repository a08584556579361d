//! What is measured, where it is known. Without the feature `metrics` the same calls do nothing
//! (`meter/off.rs`).
//!
//! The recorder is asked for at each call and not kept: a host may install one after the start, and
//! exporters may forget what is idle.

use std::time::Duration;

use chrono::{DateTime, Utc};
use metrics::{counter, gauge, histogram};
use tokio::time::Instant;

use super::names;
use crate::job::{Counts, JobName};
use crate::model::{Health, Report};

/// A housekeeper with these jobs starts. What has no more labels than the job is zero until it
/// happens, so that its first time shows as an increase.
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

pub(crate) fn worker_died(job: &JobName) {
    counter!(names::RESTARTS, names::JOB => job.to_string()).increment(1);
}

pub(crate) fn timer_died() {
    counter!(names::TIMER_RESTARTS).increment(1);
}

pub(crate) fn ticks_missed(job: &JobName, ticks: u64) {
    counter!(names::MISSED_TICKS, names::JOB => job.to_string()).increment(ticks);
}

pub(crate) fn event_missed() {
    counter!(names::EVENTS_MISSED).increment(1);
}

/// A step of a job that asks the database.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Check,
    Begin,
    Batch,
    Forecast,
    Preview,
    HistoryRead,
    HistoryWrite,
}

/// Measures until it is dropped: also a step that fails, reaches its limit, or dies with its
/// worker.
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
            Step::Begin => "begin_run",
            Step::Forecast => "forecast",
            Step::Preview => "preview",
            Step::HistoryRead => "history_read",
            Step::HistoryWrite => "history_write",
        };
        histogram!(names::STEP_SECONDS, names::JOB => job, names::STEP => step)
            .record(self.began.elapsed());
    }
}

/// How a job stands.
pub(crate) struct JobSnapshot<'a> {
    pub(crate) health: &'a Health,
    /// `None`: not known, as before the first run.
    pub(crate) backlog: Option<u64>,
    pub(crate) oldest_overdue: Option<Duration>,
    pub(crate) last_success: Option<DateTime<Utc>>,
    /// `None`: being counted anew.
    pub(crate) rejected: Option<usize>,
    pub(crate) unsaved_runs: usize,
    pub(crate) running: bool,
    pub(crate) stalled: bool,
    pub(crate) paused: bool,
}

/// The gauges of one job. They are zero when this is dropped, whatever the housekeeper died of:
/// what is no more neither runs nor lags.
#[derive(Default)]
pub(crate) struct Gauges {
    /// Empty until something was shown.
    job: String,
}

impl Gauges {
    pub(crate) fn record(&mut self, job: &JobName, standing: &JobSnapshot<'_>) {
        job.as_str().clone_into(&mut self.job);
        for state in names::STATES {
            self.state(state, state == standing.health.as_str());
        }
        if let Some(rows) = standing.backlog {
            self.set(names::BACKLOG, figure(rows));
        }
        let overdue = standing.oldest_overdue.unwrap_or_default();
        self.set(names::OLDEST_OVERDUE, overdue.as_secs_f64());
        if let Some(at) = standing.last_success {
            let since_1970 = (at - DateTime::UNIX_EPOCH).to_std().unwrap_or_default();
            self.set(names::LAST_SUCCESS, since_1970.as_secs_f64());
        }
        if let Some(rows) = standing.rejected {
            self.set(names::REJECTED, figure(rows as u64));
        }
        self.set(names::UNWRITTEN_RUNS, figure(standing.unsaved_runs as u64));
        self.set(names::RUNNING, truth(standing.running));
        self.set(names::WEDGED, truth(standing.stalled));
        self.set(names::PAUSED, truth(standing.paused));
        let degraded = matches!(standing.health, Health::Degraded { .. });
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
            names::UNWRITTEN_RUNS,
            names::RUNNING,
            names::WEDGED,
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

/// Exact up to four billion, and no more than that.
fn figure(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
