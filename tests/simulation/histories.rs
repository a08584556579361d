//! The history, compared with the reports while there are no faults.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, DurationRound, SubsecRound, TimeDelta, Utc};
use ractor_housekeeper::model::{History, HistorySource, RunId, RunRecord, Trigger};
use ractor_housekeeper::{HousekeeperMsg, JobName, Outcome, Report};

use crate::replica::Replica;
use crate::scenario::{JOBS, Scenario};

impl Scenario {
    /// Compares the history of each replica that stays with its events. Without faults no record is
    /// unsaved.
    pub(crate) async fn compare_histories(&self) {
        for place in self.running_replicas() {
            let replica = &self.replicas[place];
            for job in JOBS {
                let emitted = emitted(replica, &job);
                let unsaved = unsaved(replica, &emitted);
                let requests = ractor::call!(
                    replica.housekeeper,
                    HousekeeperMsg::History,
                    job.clone(),
                    u32::MAX
                );
                let history = requests.expect("it runs").expect("is not rejected");
                let found = contradictions(&history, &emitted, &unsaved);
                let mut world = self.world.lock();
                match found {
                    Ok(compared) => world.totals.outcome("emitted runs in a history", compared),
                    Err(contradiction) => {
                        world.break_promise(format!("the history of {job} {contradiction}"));
                    }
                }
            }
        }
    }
}

/// The reports of a job from a replica. A rejected run is not in the history.
fn emitted(replica: &Replica, job: &JobName) -> BTreeMap<RunId, Report> {
    let events = replica.event_log.events();
    let runs = events.runs.iter();
    runs.filter(|(_, known)| known.began.is_some())
        .filter_map(|(run, known)| Some((*run, known.ended.as_ref()?.1.clone())))
        .filter(|(_, report)| report.job == *job)
        .collect()
}

/// The runs that are in the history for sure: of those that could not be written, a housekeeper
/// remembers the newest.
fn unsaved(replica: &Replica, emitted: &BTreeMap<RunId, Report>) -> BTreeSet<RunId> {
    let events = replica.event_log.events();
    let ended = |run: &RunId| Some(events.runs.get(run)?.ended.as_ref()?.0);
    let mut runs: Vec<RunId> = emitted
        .iter()
        .filter(|(_, report)| counts(report))
        .map(|(run, _)| *run)
        .collect();
    runs.sort_by_key(|run| std::cmp::Reverse(ended(run)));
    runs.into_iter().take(REMEMBERED).collect()
}

/// Differences between a history and the reports; without any, the number of reported runs in it.
fn contradictions(
    history: &History,
    emitted: &BTreeMap<RunId, Report>,
    unsaved: &BTreeSet<RunId>,
) -> Result<u64, String> {
    if history.source != HistorySource::Database {
        return Err(format!("comes from {:?}", history.source));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = history.runs.iter().find(|line| !seen.insert(&line.key)) {
        return Err(format!("has {} twice", twice.key));
    }
    // In a full history lines had to make room, in the order in which they were written, which the
    // replicas that share it do not know.
    let is_full = history.runs.len() >= KEPT_LINES as usize;
    let mut compared = 0;
    for report in emitted.values().filter(|report| counts(report)) {
        let folds = minute(report);
        let lines = history.runs.iter();
        let line = lines
            .filter(|line| match folds {
                // Of this replica, if it reported the newest run.
                Some(_) => minute(&line.report) == folds && emitted.contains_key(&line.report.run),
                // By its key: a deadline run that was written by a worker who did not live to tell
                // of it is in the line of its minute as well.
                None => line.key == report.run.to_string(),
            })
            .collect::<Vec<_>>();
        if line.is_empty() && (is_full || !unsaved.contains(&report.run)) {
            continue;
        }
        let [line] = line[..] else {
            return Err(format!("has {} lines of {report}", line.len()));
        };
        match folds {
            Some(minute) => compare_folded(line, minute, emitted, |report| {
                !is_full && (!counts(report) || unsaved.contains(&report.run))
            })?,
            None => compare(line, report)?,
        }
        compared += 1;
    }
    Ok(compared)
}

/// A run by itself is written as it was reported.
fn compare(line: &RunRecord, report: &Report) -> Result<(), String> {
    // A worker may write a run, and crash before it has reported it.
    let died = matches!(report.outcome, Outcome::Crashed { .. });
    let emitted = Report {
        started_at: written_at(report),
        ..report.clone()
    };
    if line.runs != 1 || (!died && line.report != emitted) {
        return Err(format!("says {line:?}, emitted was {report:?}"));
    }
    Ok(())
}

/// The deadline runs of a minute are one line, in which each is counted once.
fn compare_folded(
    line: &RunRecord,
    of: DateTime<Utc>,
    emitted: &BTreeMap<RunId, Report>,
    kept: impl Fn(&Report) -> bool,
) -> Result<(), String> {
    let in_minute = |report: &&Report| {
        report.trigger == Trigger::Deadline && start_of_minute(report.started_at) == of
    };
    let all: Vec<&Report> = emitted.values().filter(in_minute).collect();
    // One that was written as completed, and reported as crashed, is in the sum; one that had to
    // make room, or was forgotten, is not.
    let is_sure =
        |report: &&Report| kept(report) && !matches!(report.outcome, Outcome::Crashed { .. });
    if !all.iter().all(is_sure) {
        return Ok(());
    }
    let folded = all
        .iter()
        .filter(|report| minute(report) == Some(of) && counts(report));
    let (mut runs, mut rows) = (0, 0);
    for report in folded {
        runs += 1;
        rows += report.counts.total();
    }
    if (line.runs, line.report.counts.total()) != (runs, rows) {
        return Err(format!("folds {line:?} of {runs} runs with {rows} rows"));
    }
    Ok(())
}

/// Whether a run is written down.
fn counts(report: &Report) -> bool {
    report.outcome != Outcome::Completed || report.counts.total() > 0 || report.rejected_count > 0
}

/// The minute in whose line a run is folded, if it is.
fn minute(report: &Report) -> Option<DateTime<Utc>> {
    let folds = report.trigger == Trigger::Deadline && report.outcome == Outcome::Completed;
    folds.then(|| start_of_minute(report.started_at))
}

fn start_of_minute(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::minutes(1)).expect("is near")
}

/// Histories keep microseconds.
fn written_at(report: &Report) -> DateTime<Utc> {
    report.started_at.trunc_subsecs(6)
}

/// Runs of a job that a housekeeper remembers for its history while they cannot be written.
const REMEMBERED: usize = 100;

/// Lines of a job in a history.
pub(crate) const KEPT_LINES: u32 = 40;
