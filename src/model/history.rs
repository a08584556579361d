//! The history of runs.

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, DurationRound, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{HistoryCursor, HistoryQuery, Outcome, Report, RunId, StoreError, Trigger};
use crate::fmt::{Column, Table, instant, line, quantity, span, thousands};
use crate::job::JobName;

/// A line of the history: a run, or the folded deadline runs of a minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
pub struct RunRecord {
    /// The key of the line. Records with equal keys fold into one.
    pub key: String,
    /// Number of runs in this line.
    pub runs: u64,
    /// The run. In a folded line it is the newest, with the sums of elapsed time, batches, counts
    /// and rejected rows.
    pub report: Report,
    /// When the line was written, by the clock of the database; `None` while it waits in memory.
    ///
    /// Lines are kept, and listed, in the order in which they were written: the host's clock, by
    /// which runs start, may have been wrong.
    #[serde(default)]
    pub recorded_at: Option<DateTime<Utc>>,
}

impl RunRecord {
    /// Creates the record of a run; `None` for a run that completed without a change, which the
    /// history leaves out.
    ///
    /// Completed deadline runs of one minute share a key. `instance` separates the keys of
    /// replicas.
    #[must_use]
    pub fn from_report(report: Report, instance: Uuid) -> Option<Self> {
        if report.is_quiet() {
            return None;
        }
        let folds = report.trigger == Trigger::Deadline && report.outcome == Outcome::Completed;
        let key = if folds {
            let minute = report
                .started_at
                .duration_trunc(TimeDelta::minutes(1))
                .unwrap_or(report.started_at);
            format!("{}/{instance}/{}", report.job, minute.timestamp())
        } else {
            report.run.to_string()
        };
        // The databases store microseconds.
        let started_at = report.started_at.trunc_subsecs(6);
        Some(Self {
            key,
            runs: 1,
            report: Report {
                started_at,
                ..report
            },
            recorded_at: None,
        })
    }

    /// Folds `runs` into the line of this key; `None` if they add nothing to `earlier`, the line in
    /// the database.
    ///
    /// `runs` are in the order in which they ended. They repeat runs whose write was not confirmed:
    /// the answer was lost, or the worker crashed. So all runs up to the newest one of `earlier`
    /// are in it already.
    #[must_use]
    pub fn line(key: &str, earlier: Option<Self>, runs: &[Self]) -> Option<Self> {
        let newest = earlier.as_ref().map(|line| line.report.run);
        let known = runs
            .iter()
            .rposition(|run| Some(run.report.run) == newest)
            .map_or(0, |place| place + 1);
        let mut new = runs[known..].iter().filter(|run| run.key == key).cloned();
        let first = new.next()?;
        earlier
            .into_iter()
            .chain([first])
            .chain(new)
            .reduce(Self::fold)
    }

    /// Folds runs into these lines. New lines come last.
    pub(crate) fn fold_into(lines: &mut Vec<Self>, runs: &[Self]) {
        for key in Self::keys(runs) {
            let earlier = lines.iter().find(|line| line.key == key).cloned();
            let Some(folded) = Self::line(key, earlier, runs) else {
                continue;
            };
            match lines.iter_mut().find(|line| line.key == key) {
                Some(line) => *line = folded,
                None => lines.push(folded),
            }
        }
    }

    /// Returns the keys of `runs`, in order, without duplicates.
    #[must_use]
    pub fn keys(runs: &[Self]) -> BTreeSet<&str> {
        runs.iter().map(|run| run.key.as_str()).collect()
    }

    /// Folds a later record of the same key into this one.
    #[must_use]
    pub fn fold(self, later: Self) -> Self {
        if self.report.run == later.report.run {
            // An earlier write committed without a confirmation.
            return self;
        }
        let mut report = later.report;
        let earlier = self.report;
        report.elapsed = report.elapsed.saturating_add(earlier.elapsed);
        report.batches = report.batches.saturating_add(earlier.batches);
        report.counts.merge(&earlier.counts);
        report.rejected_count = report.rejected_count.saturating_add(earlier.rejected_count);
        report.more_ids |= earlier.more_ids;
        report.ids.splice(0..0, earlier.ids);
        if report.ids.len() > Self::FOLDED_IDS {
            report.ids.truncate(Self::FOLDED_IDS);
            report.more_ids = true;
        }
        Self {
            key: self.key,
            runs: self.runs.saturating_add(later.runs),
            report,
            recorded_at: later.recorded_at.or(self.recorded_at),
        }
    }

    fn cells(&self) -> [String; 9] {
        let report = &self.report;
        [
            instant(report.started_at),
            self.recorded_at.map(instant).unwrap_or_default(),
            thousands(self.runs),
            report.trigger.to_string(),
            report.counts.to_string(),
            thousands(report.rejected_count),
            thousands(report.batches),
            span(report.elapsed),
            report.outcome.to_string(),
        ]
    }

    /// Maximum number of ids in a folded record.
    const FOLDED_IDS: usize = 100;
}

/// The newest runs of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct History {
    /// The job.
    pub job: JobName,
    /// Newest first.
    pub runs: Vec<RunRecord>,
    /// The place of the next page; `None` after the last.
    #[serde(default)]
    pub next: Option<HistoryCursor>,
    /// The source of the runs.
    pub source: HistorySource,
}

impl fmt::Display for History {
    /// Writes a line with the source, then a table of the records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            HistorySource::Database => "from the database".to_owned(),
            HistorySource::Memory { reason } => format!("from memory: {}", line(reason)),
        };
        if self.runs.is_empty() {
            return write!(f, "{}: no run changed anything yet ({source})", self.job);
        }
        let runs = self.runs.iter().map(|record| record.runs);
        let runs = runs.fold(0, u64::saturating_add);
        writeln!(
            f,
            "{}: {}, newest first ({source})",
            self.job,
            quantity(runs, "run", "runs")
        )?;
        let heads = [
            Column::Words("started (UTC)"),
            Column::Words("recorded (UTC)"),
            Column::Numbers("runs"),
            Column::Words("trigger"),
            Column::Words("handled"),
            Column::Numbers("rejected"),
            Column::Numbers("batches"),
            Column::Words("took"),
            Column::Words("outcome"),
        ];
        write!(
            f,
            "{}",
            Table::new(heads, self.runs.iter().map(RunRecord::cells))
        )
    }
}

/// A store of past runs.
#[async_trait]
pub trait RunHistory: Send + Sync + 'static {
    /// Writes runs, all or none, and drops all but the `keep` of each job that were written last.
    ///
    /// `runs` are in the order in which they ended; some may have been written before.
    /// [`RunRecord::line`] folds them into the line of each [key](RunRecord::keys) so that each
    /// counts once.
    async fn record(&self, runs: &[RunRecord], keep: u32) -> Result<(), StoreError>;

    /// The runs of a job that were written last, the last first.
    async fn runs(&self, job: &JobName, limit: u32) -> Result<Vec<RunRecord>, StoreError>;

    /// Returns the runs of a job that meet the conditions, newest first.
    ///
    /// By default it picks them from all [`runs`](RunHistory::runs) of the job.
    async fn page(
        &self,
        job: &JobName,
        query: &HistoryQuery,
    ) -> Result<Vec<RunRecord>, StoreError> {
        Ok(query.pick(self.runs(job, u32::MAX).await?))
    }

    /// Returns the record of one run. A deadline run that shares a line with others has none of its
    /// own.
    ///
    /// By default it returns none.
    async fn run(&self, _run: RunId) -> Result<Option<RunRecord>, StoreError> {
        Ok(None)
    }
}

/// The source of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HistorySource {
    /// The database. The history includes earlier processes.
    Database,
    /// Memory, because the database was not available. The history starts with this process.
    Memory {
        /// Why the database was not available.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;
    use crate::job::{Counts, Scope};
    use crate::model::FailureKind;

    #[test]
    fn only_a_run_without_a_change_is_left_out() {
        let quiet = report(Trigger::Tick, 0);
        let rejected = Report {
            rejected_count: 1,
            ..quiet.clone()
        };
        let failed = Report {
            outcome: Outcome::Cancelled { by: None },
            ..quiet.clone()
        };

        let kept = [quiet, rejected, failed, report(Trigger::Tick, 1)]
            .map(|report| RunRecord::from_report(report, Uuid::nil()).is_some());

        assert_eq!(kept, [false, true, true, true]);
    }

    #[test]
    fn completed_deadline_runs_of_a_minute_share_a_key() {
        let at = |seconds, report: Report| {
            let started_at = DateTime::from_timestamp(seconds, 1_999).expect("is near");
            let record = RunRecord::from_report(
                Report {
                    started_at,
                    ..report
                },
                Uuid::nil(),
            );
            record.expect("it did something")
        };
        let cancelled = Report {
            outcome: Outcome::Cancelled { by: None },
            ..report(Trigger::Deadline, 1)
        };

        let deadlines = [60, 119, 120].map(|second| at(second, report(Trigger::Deadline, 1)));
        let others = [at(60, report(Trigger::Tick, 1)), at(60, cancelled)];

        let nil = Uuid::nil();
        let keys = deadlines.each_ref().map(|record| record.key.clone());
        assert_eq!(
            keys,
            [60, 60, 120].map(|minute| format!("sweeper/{nil}/{minute}"))
        );
        assert!(
            others
                .iter()
                .all(|other| other.key == other.report.run.to_string())
        );
        // In the databases' microseconds.
        assert_eq!(
            deadlines[0].report.started_at.timestamp_subsec_nanos(),
            1_000
        );
    }

    #[test]
    fn a_fold_adds_up_and_is_the_newer_run() {
        let (older, newer) = (record(2, 60), record(3, 30));
        let run = newer.report.run;

        let folded = older.clone().fold(newer.clone());
        let again = newer.clone().fold(newer.clone());

        assert_eq!(again, newer, "one run is counted once");
        assert_eq!(
            (folded.runs, folded.key, folded.report.run),
            (2, older.key, run)
        );
        assert_eq!(
            (folded.report.batches, folded.report.rejected_count),
            (5, 5)
        );
        assert_eq!(folded.report.elapsed, Duration::from_secs(5));
        assert_eq!(folded.report.counts.of("drafts"), 5);
        assert_eq!(
            (folded.report.ids.len(), folded.report.more_ids),
            (90, false)
        );
    }

    #[test]
    fn what_is_in_a_line_already_adds_nothing_to_it() {
        let run = record(2, 60);

        let line = RunRecord::line(&run.key, Some(run.clone()), std::slice::from_ref(&run));

        assert_eq!(line, None);
    }

    #[test]
    fn a_fold_keeps_a_hundred_ids_and_says_that_there_were_more() {
        let of = |earlier: usize, later: usize, more: bool| {
            let mut later = record(1, later);
            later.report.more_ids = more;
            let report = record(1, earlier).fold(later).report;
            (report.ids.len(), report.more_ids)
        };

        assert_eq!(of(60, 40, false), (100, false));
        assert_eq!(of(60, 41, false), (100, true));
        assert_eq!(of(1, 1, true), (2, true));
        assert_eq!(
            record(1, 1).fold(record(u64::MAX, 1)).report.batches,
            u64::MAX
        );
    }

    #[test]
    fn a_history_displays_as_a_table_with_its_source() {
        let mut failed = record(1, 0);
        failed.report.outcome =
            Outcome::failed(FailureKind::Job, "the database is away\nfor now".to_owned());
        failed.recorded_at = "2026-01-10T12:00:00Z".parse().ok();
        let mut folded = record(12_345, 0);
        folded.report.trigger = Trigger::Deadline;
        folded.report.elapsed = Duration::from_millis(3_020);
        folded.runs = 1_000;
        let reason = "no such table".to_owned();
        let history = History {
            job: "sweeper".into(),
            runs: vec![failed, folded],
            next: None,
            source: HistorySource::Database,
        };
        let empty = History {
            runs: vec![],
            source: HistorySource::Memory { reason },
            ..history.clone()
        };

        assert_eq!(
            history.to_string(),
            "\
sweeper: 1,001 runs, newest first (from the database)
started (UTC)        recorded (UTC)        runs  trigger   handled        rejected  batches  took     outcome
1970-01-01 00:00:00  2026-01-10 12:00:00      1  tick      1 draft               1        1  1s       failed: the database is away\\nfor now
1970-01-01 00:00:00                       1,000  deadline  12,345 drafts    12,345   12,345  3s 20ms  completed"
        );
        assert_eq!(
            empty.to_string(),
            "sweeper: no run changed anything yet (from memory: no such table)"
        );
    }

    /// The outcome of a write.
    #[derive(Debug, Clone, Copy)]
    enum Fate {
        Told,
        Lost,
        Undone,
        /// The worker wrote, and died before it reported its run.
        Died,
    }

    proptest! {
        #[test]
        fn whatever_becomes_of_a_write_each_run_is_counted_once(
            story in prop::collection::vec((0..3_i64, any::<bool>(), prop::sample::select(vec![Fate::Told, Fate::Lost, Fate::Undone, Fate::Died])), 1..30),
        ) {
            let mut table: BTreeMap<String, RunRecord> = BTreeMap::new();
            let mut owed: Vec<RunRecord> = Vec::new();
            let mut expected: BTreeMap<String, u64> = BTreeMap::new();
            let mut minute = 0;

            for (step, deadline, fate) in story {
                minute += step;
                let trigger = if deadline { Trigger::Deadline } else { Trigger::Tick };
                let started_at = DateTime::from_timestamp(minute * 60, 0).expect("is near");
                let run = RunRecord::from_report(Report { started_at, ..report(trigger, 1) }, Uuid::nil()).expect("it did something");
                let runs = [&owed[..], std::slice::from_ref(&run)].concat();
                if !matches!(fate, Fate::Undone) {
                    write(&mut table, &runs);
                }
                let mut counted = vec![run.clone()];
                match fate {
                    Fate::Told => owed.clear(),
                    Fate::Lost | Fate::Undone => owed = runs,
                    Fate::Died => {
                        let outcome = Outcome::Crashed { reason: "it died".to_owned(), rows_at_least: 1 };
                        let crashed = RunRecord::from_report(Report { outcome, ..run.report }, Uuid::nil()).expect("it crashed");
                        if crashed.key != run.key {
                            counted.push(crashed.clone());
                        }
                        owed.push(crashed);
                    }
                }
                for run in counted {
                    *expected.entry(run.key).or_default() += 1;
                }
            }
            write(&mut table, &owed);

            let lines: BTreeMap<String, u64> = table.into_iter().map(|(key, line)| (key, line.runs)).collect();
            prop_assert_eq!(lines, expected);
        }
    }

    fn write(table: &mut BTreeMap<String, RunRecord>, runs: &[RunRecord]) {
        for key in RunRecord::keys(runs) {
            if let Some(line) = RunRecord::line(key, table.get(key).cloned(), runs) {
                table.insert(key.to_owned(), line);
            }
        }
    }

    /// A record whose sums are all `amount`, with so many ids.
    fn record(amount: u64, ids: usize) -> RunRecord {
        let report = Report {
            elapsed: Duration::from_secs(amount),
            batches: amount,
            rejected_count: amount,
            ids: vec!["id".to_owned(); ids],
            ..report(Trigger::Tick, amount)
        };
        RunRecord::from_report(report, Uuid::nil()).expect("it did something")
    }

    fn report(trigger: Trigger, drafts: u64) -> Report {
        let mut counts = Counts::default();
        counts.add("drafts", drafts);
        let blank = Report::blank("sweeper".into(), Scope::All, trigger, DateTime::UNIX_EPOCH);
        Report { counts, ..blank }
    }
}
