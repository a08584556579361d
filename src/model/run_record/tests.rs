use std::collections::BTreeMap;
use std::time::Duration;

use chrono::DateTime;
use proptest::prelude::*;

use super::*;
use crate::job::{Counts, Scope};

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

/// The outcome of a write.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Reported,
    Lost,
    Undone,
    /// The worker wrote, and died before it reported its run.
    Died,
}

proptest! {
    #[test]
    fn whatever_becomes_of_a_write_each_run_is_counted_once(
        story in prop::collection::vec((0..3_i64, any::<bool>(), prop::sample::select(vec![Fate::Reported, Fate::Lost, Fate::Undone, Fate::Died])), 1..30),
    ) {
        let mut table: BTreeMap<String, RunRecord> = BTreeMap::new();
        let mut unsaved: Vec<RunRecord> = Vec::new();
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        let mut minute = 0;

        for (step, deadline, fate) in story {
            minute += step;
            let trigger = if deadline { Trigger::Deadline } else { Trigger::Tick };
            let started_at = DateTime::from_timestamp(minute * 60, 0).expect("is near");
            let run = RunRecord::from_report(Report { started_at, ..report(trigger, 1) }, Uuid::nil()).expect("it did something");
            let runs = [&unsaved[..], std::slice::from_ref(&run)].concat();
            if !matches!(fate, Fate::Undone) {
                write(&mut table, &runs);
            }
            let mut counted = vec![run.clone()];
            match fate {
                Fate::Reported => unsaved.clear(),
                Fate::Lost | Fate::Undone => unsaved = runs,
                Fate::Died => {
                    let outcome = Outcome::Crashed { reason: "it died".to_owned(), rows_at_least: 1 };
                    let crashed = RunRecord::from_report(Report { outcome, ..run.report }, Uuid::nil()).expect("it crashed");
                    if crashed.key != run.key {
                        counted.push(crashed.clone());
                    }
                    unsaved.push(crashed);
                }
            }
            for run in counted {
                *expected.entry(run.key).or_default() += 1;
            }
        }
        write(&mut table, &unsaved);

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
