//! Metrics for a monitoring system, through the facade of the crate [`metrics`] (feature
//! `metrics`).
//!
//! The host installs a recorder, for example that of `metrics-exporter-prometheus`; without one the
//! calls do nothing. `examples/prometheus` serves a scrape. `examples/prometheus/alerts.yml` has a
//! rule for each entry of the column "alert on", with the steps to take.
//!
//! | metric | kind, unit | labels | meaning | alert on |
//! |---|---|---|---|---|
//! | `housekeeper_runs_total` | counter | `job`, `trigger`, `outcome` | Runs that ended. A run rejected before it reached a worker does not count. | a share of `failed` or `crashed` that stays |
//! | `housekeeper_rows_total` | counter, rows | `job`, `kind` | Rows changed, as each batch reports. A batch in flight when its worker crashes is in no report, and not counted. | no increase where there always was one |
//! | `housekeeper_batches_total` | counter | `job` | Batches committed, including those without changes. | |
//! | `housekeeper_restarts_total` | counter | `job` | Crashes of the worker, each followed by a restart or a cool-down. | an increase that goes on: a crash is a bug |
//! | `housekeeper_timer_restarts_total` | counter | | Crashes of the timer. | any |
//! | `housekeeper_missed_ticks_total` | counter | `job` | Ticks that got no run of their own: the machine slept, or a run was still in progress. | an increase that goes on: runs take longer than the schedule allows |
//! | `housekeeper_events_missed_total` | counter | | Events that a subscriber was too slow to receive. | any, if a subscriber needs every event |
//! | `housekeeper_run_seconds` | histogram, seconds | `job` | From the beginning of a run to its report, including pauses. | |
//! | `housekeeper_batch_seconds` | histogram, seconds | `job` | One batch, whatever its outcome: the wait for a connection, select, locks, write and commit. | a high quantile beyond the target of the pace |
//! | `housekeeper_batch_rows` | histogram, rows | `job` | Rows of all kinds changed by a batch that was committed. | |
//! | `housekeeper_step_seconds` | histogram, seconds | `job`, `step` | A step that only reads, or writes the history, whatever its outcome: `check`, `begin_run` (the clock), `forecast`, `preview`, `history_read`, `history_write`. | a high quantile: an index is missing |
//! | `housekeeper_deliveries_total` | counter | `job`, `outcome` | Entries of the outbox that a receiver was sent, by answer: `acknowledged`, `refused`, `unavailable`, or `lost` with a receiver that stopped. | a share of `refused` that stays |
//! | `housekeeper_parkings_total` | counter | `job` | Entries that failed too often and wait to be redelivered or discarded. | any |
//! | `housekeeper_courier_restarts_total` | counter | `job` | Crashes of the courier, each followed by a restart. | any: a crash is a bug |
//! | `housekeeper_delivery_seconds` | histogram, seconds | `job` | From the sending of an entry to its answer. | |
//! | `housekeeper_outbox_waiting_entries` | gauge, entries | `job` | Entries that are not delivered yet; counting stops at 10,000. | growth |
//! | `housekeeper_outbox_failing_entries` | gauge, entries | `job` | Of these, entries whose delivery has failed before. | any that stay |
//! | `housekeeper_outbox_parked_entries` | gauge, entries | `job` | Entries that failed too often; counting stops at 10,000. | any |
//! | `housekeeper_outbox_oldest_seconds` | gauge, seconds | `job` | How long the oldest waiting entry has waited since its row was changed. | more than users bear |
//! | `housekeeper_backlog_rows` | gauge, rows | `job` | Due rows left after the last run that counted them; counting stops at 10,000. | growth over several ticks |
//! | `housekeeper_oldest_overdue_seconds` | gauge, seconds | `job` | How long the oldest known due row has been due. Grows while no run succeeds. | more than users bear |
//! | `housekeeper_last_success_timestamp_seconds` | gauge, seconds since 1970 | `job` | When a run of everything last completed. Absent before the first. | more than some ticks ago |
//! | `housekeeper_rejected_rows` | gauge, rows | `job` | Rows that could not be handled since the last tick; at most 1,000. | any that stay |
//! | `housekeeper_unsaved_runs` | gauge, runs | `job` | Runs that wait in memory for the history's table; at most 100. | any that stay |
//! | `housekeeper_health` | gauge, 0 or 1 | `job`, `state` | 1 for the state the job is in: `healthy`, `late`, `failing`, `degraded`. | `failing`; `late`; no state at all: it is stopped |
//! | `housekeeper_degraded` | gauge, 0 or 1 | `job` | Whether the job is in its cool-down because its worker crashed too often, as in its health. | 1 |
//! | `housekeeper_paused` | gauge, 0 or 1 | `job` | Whether ticks and deadlines are held back. | 1 for longer than any maintenance |
//! | `housekeeper_running` | gauge, 0 or 1 | `job` | Whether a run is in progress. | |
//! | `housekeeper_stalled` | gauge, 0 or 1 | `job` | Whether that run has been silent for longer than its timeouts allow: see [`Health::Failing`](crate::model::Health::Failing). | 1 |
//!
//! **Seconds of a batch.** On Postgres a batch is one statement, which selects, locks
//! and writes, in a transaction of its own; there is no select to be measured by itself. On SQLite
//! a run looks up its next 100,000 rows at once, and the batch that does so is longer by that. The
//! steps that only select are in `housekeeper_step_seconds`. For the parts of a statement, ask the
//! database (`auto_explain`).
//!
//! **Gauges** are set after each run, crash, pause and resume of a job, when its status is
//! requested, and at least once a minute. They are zero when the housekeeper has stopped, was
//! killed or has failed, but for the time of the last success, which stays true; a housekeeper
//! whose process crashed leaves none. If it is started again before the old one is quite gone, they
//! are right at the next check.
//!
//! **Labels** are few: jobs, triggers, outcomes, steps, and the kinds of rows that a job names in
//! [`Batch::counts`](crate::job::Batch::counts). No id is a label. Two housekeepers of one process
//! share what they count, and should have jobs of different names: both would set the same gauges.
//!
//! # Examples
//!
//! ```
//! use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
//! use ractor_housekeeper::metrics;
//!
//! # fn main() -> Result<(), BuildError> {
//! let mut builder = PrometheusBuilder::new();
//! for metric in metrics::ALL.iter().filter(|metric| !metric.buckets.is_empty()) {
//!     let name = Matcher::Full(metric.name.to_owned());
//!     builder = builder.set_buckets_for_metric(name, metric.buckets)?;
//! }
//! let scrapes = builder.install_recorder()?;
//! // start the housekeeper, and serve `scrapes.render()`
//! # assert!(scrapes.render().is_empty());
//! # Ok(())
//! # }
//! ```

use ::metrics::{describe_counter, describe_gauge, describe_histogram};

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Its name, with the unit in it.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its unit.
    pub unit: Unit,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// Suggested upper bounds of a histogram's buckets; empty for other types.
    pub buckets: &'static [f64],
    /// Its meaning, in a sentence.
    pub help: &'static str,
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only increases.
    Counter,
    /// Increases and decreases.
    Gauge,
    /// Counts values by size.
    Histogram,
}

/// The unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of items.
    Count,
    /// Seconds.
    Seconds,
}

macro_rules! metrics {
    ($($constant:ident = $name:literal: $kind:ident of $unit:ident [$($label:ident),*] $buckets:expr, $help:literal;)+) => {
        $(#[doc = concat!("`", $name, "`: ", $help)] pub const $constant: &str = $name;)+

        /// All metrics.
        pub const ALL: &[Metric] = &[$(Metric {
            name: $constant,
            kind: Kind::$kind,
            unit: Unit::$unit,
            labels: &[$($label),*],
            buckets: $buckets,
            help: $help,
        }),+];
    };
}

metrics! {
    RUNS = "housekeeper_runs_total": Counter of Count [JOB, TRIGGER, OUTCOME] &[], "Runs that ended.";
    ROWS = "housekeeper_rows_total": Counter of Count [JOB, KIND] &[], "Rows changed.";
    BATCHES = "housekeeper_batches_total": Counter of Count [JOB] &[], "Batches committed.";
    RESTARTS = "housekeeper_restarts_total": Counter of Count [JOB] &[], "Crashes of the worker.";
    TIMER_RESTARTS = "housekeeper_timer_restarts_total": Counter of Count [] &[], "Crashes of the timer.";
    MISSED_TICKS = "housekeeper_missed_ticks_total": Counter of Count [JOB] &[], "Ticks that got no run of their own.";
    EVENTS_MISSED = "housekeeper_events_missed_total": Counter of Count [] &[], "Events that a subscriber was too slow to receive.";
    RUN_SECONDS = "housekeeper_run_seconds": Histogram of Seconds [JOB] &RUN_SECONDS_BUCKETS, "Time of a run, including pauses.";
    BATCH_SECONDS = "housekeeper_batch_seconds": Histogram of Seconds [JOB] &STEP_SECONDS_BUCKETS, "Time of a batch, whatever its outcome.";
    BATCH_ROWS = "housekeeper_batch_rows": Histogram of Count [JOB] &BATCH_ROWS_BUCKETS, "Rows changed by a batch.";
    STEP_SECONDS = "housekeeper_step_seconds": Histogram of Seconds [JOB, STEP] &STEP_SECONDS_BUCKETS, "Time of a step other than a batch, whatever its outcome.";
    DELIVERIES = "housekeeper_deliveries_total": Counter of Count [JOB, OUTCOME] &[], "Entries of the outbox that a receiver was sent.";
    PARKINGS = "housekeeper_parkings_total": Counter of Count [JOB] &[], "Entries of the outbox that failed too often.";
    COURIER_RESTARTS = "housekeeper_courier_restarts_total": Counter of Count [JOB] &[], "Crashes of the courier.";
    DELIVERY_SECONDS = "housekeeper_delivery_seconds": Histogram of Seconds [JOB] &STEP_SECONDS_BUCKETS, "Time from the sending of an entry to its answer.";
    OUTBOX_WAITING = "housekeeper_outbox_waiting_entries": Gauge of Count [JOB] &[], "Entries that are not delivered yet, at most 10,000.";
    OUTBOX_FAILING = "housekeeper_outbox_failing_entries": Gauge of Count [JOB] &[], "Of these, entries whose delivery has failed before.";
    OUTBOX_PARKED = "housekeeper_outbox_parked_entries": Gauge of Count [JOB] &[], "Entries that failed too often, at most 10,000.";
    OUTBOX_OLDEST = "housekeeper_outbox_oldest_seconds": Gauge of Seconds [JOB] &[], "How long the oldest waiting entry has waited.";
    BACKLOG = "housekeeper_backlog_rows": Gauge of Count [JOB] &[], "Due rows left after the last run that counted them, at most 10,000.";
    OLDEST_OVERDUE = "housekeeper_oldest_overdue_seconds": Gauge of Seconds [JOB] &[], "How long the oldest known due row has been due.";
    LAST_SUCCESS = "housekeeper_last_success_timestamp_seconds": Gauge of Seconds [JOB] &[], "When a run of everything last completed, since 1970.";
    REJECTED = "housekeeper_rejected_rows": Gauge of Count [JOB] &[], "Rows that could not be handled since the last tick.";
    UNSAVED_RUNS = "housekeeper_unsaved_runs": Gauge of Count [JOB] &[], "Runs that wait in memory for the table of the history.";
    HEALTH = "housekeeper_health": Gauge of Count [JOB, STATE] &[], "1 for the state the job is in.";
    DEGRADED = "housekeeper_degraded": Gauge of Count [JOB] &[], "Whether the job is in its cool-down because its worker crashed too often.";
    PAUSED = "housekeeper_paused": Gauge of Count [JOB] &[], "Whether ticks and deadlines are held back.";
    RUNNING = "housekeeper_running": Gauge of Count [JOB] &[], "Whether a run is in progress.";
    STALLED = "housekeeper_stalled": Gauge of Count [JOB] &[], "Whether the run in progress has been silent for longer than its timeouts allow.";
}

/// Label: the name of the job.
pub const JOB: &str = "job";
/// Label: why a run started, as [`Trigger`](crate::model::Trigger) is written.
pub const TRIGGER: &str = "trigger";
/// Label: how a run ended, as [`Outcome::as_str`](crate::Outcome::as_str) with `_` for a space.
pub const OUTCOME: &str = "outcome";
/// Label: the kind of rows, as the job names it.
pub const KIND: &str = "kind";
/// Label: the step of the job.
pub const STEP: &str = "step";
/// Label: a state of health, one of [`STATES`].
pub const STATE: &str = "state";

/// The states of health, as [`Health::as_str`](crate::model::Health::as_str) returns them.
pub const STATES: [&str; 4] = ["healthy", "late", "failing", "degraded"];

/// Buckets for batches and steps: from an index lookup to the default timeout of a step.
pub const STEP_SECONDS_BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Buckets for runs: from one without due rows to the first over a backlog of years.
pub const RUN_SECONDS_BUCKETS: [f64; 11] = [
    0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0,
];

/// Buckets for the rows of a batch: up to the maximum batch of
/// [`Pace::full_speed`](crate::config::Pace::full_speed), with three kinds of rows.
pub const BATCH_ROWS_BUCKETS: [f64; 11] = [
    0.0, 1.0, 10.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0, 10_000.0, 30_000.0,
];

/// Describes all metrics to the recorder.
///
/// Starting a housekeeper calls it. Call it after installing a recorder later than that.
pub fn describe() {
    for metric in ALL {
        let unit = match metric.unit {
            Unit::Count => ::metrics::Unit::Count,
            Unit::Seconds => ::metrics::Unit::Seconds,
        };
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, unit, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, unit, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, unit, metric.help),
        }
    }
}
