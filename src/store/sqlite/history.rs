//! Runs of the past, on SQLite.

use std::collections::BTreeMap;
use std::sync::Weak;

use diesel::dsl;
use diesel::prelude::*;

use super::schema::housekeeper_runs;
use super::time::Moment;
use crate::job::JobName;
use crate::model::{Report, RunRecord};
use crate::store::tx_error::{TxError, TxResult};
use crate::time::{Clock, SystemClock};

/// Writes runs and drops those written first beyond `keep` of each job they belong to, if the caller still
/// waits when the file is free.
///
/// What was given up before then is handed over again with the next runs. Written after those, it
/// would be counted twice.
pub(super) fn record(
    conn: &mut SqliteConnection,
    runs: &[RunRecord],
    keep: u32,
    caller: &Weak<()>,
) -> TxResult<()> {
    conn.immediate_transaction(|conn| {
        if caller.strong_count() == 0 {
            return Err(TxError::unasked());
        }
        let mut jobs: Vec<&JobName> = runs.iter().map(|run| &run.report.job).collect();
        jobs.sort();
        jobs.dedup();
        let mut places = BTreeMap::new();
        for job in &jobs {
            let of_job = housekeeper_runs::table.filter(housekeeper_runs::job.eq(job.as_str()));
            let newest: Option<i64> = of_job
                .select(dsl::max(housekeeper_runs::number))
                .first(conn)?;
            places.insert(*job, newest.unwrap_or(0) + 1);
        }
        for key in RunRecord::keys(runs) {
            write(conn, key, runs, &places)?;
        }
        for job in jobs {
            trim(conn, job, keep)?;
        }
        Ok(())
    })
}

/// The newest runs of a job.
pub(super) fn runs(
    conn: &mut SqliteConnection,
    job: &JobName,
    limit: u32,
) -> TxResult<Vec<RunRecord>> {
    let lines: Vec<Line> = housekeeper_runs::table
        .filter(housekeeper_runs::job.eq(job.as_str()))
        .order(newest_first())
        .limit(limit.into())
        .select(Line::as_select())
        .load(conn)?;
    lines.into_iter().map(RunRecord::try_from).collect()
}

/// The order of lines: as they were written, and by their time those that were written together.
#[dsl::auto_type]
fn newest_first() -> _ {
    (
        housekeeper_runs::number.desc(),
        housekeeper_runs::started_at.desc(),
        housekeeper_runs::key.desc(),
    )
}

fn write(
    conn: &mut SqliteConnection,
    key: &str,
    runs: &[RunRecord],
    places: &BTreeMap<&JobName, i64>,
) -> TxResult<()> {
    let earlier: Option<Line> = housekeeper_runs::table
        .find(key)
        .select(Line::as_select())
        .first(conn)
        .optional()?;
    let number = earlier.as_ref().map(|line| line.number);
    let earlier = earlier.map(RunRecord::try_from).transpose()?;
    if let Some(line) = RunRecord::line(key, earlier, runs) {
        let number = number.or_else(|| places.get(&line.report.job).copied());
        diesel::replace_into(housekeeper_runs::table)
            .values(&Line::new(line, number.unwrap_or(1))?)
            .execute(conn)?;
    }
    Ok(())
}

fn trim(conn: &mut SqliteConnection, job: &JobName, keep: u32) -> TxResult<()> {
    let of_job = housekeeper_runs::table.filter(housekeeper_runs::job.eq(job.as_str()));
    let to_go: Vec<String> = of_job
        .order(newest_first())
        // SQLite has no offset without a limit.
        .limit(i64::MAX)
        .offset(keep.into())
        .select(housekeeper_runs::key)
        .load(conn)?;
    for key in to_go {
        diesel::delete(housekeeper_runs::table.find(key)).execute(conn)?;
    }
    Ok(())
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = housekeeper_runs)]
struct Line {
    key: String,
    job: String,
    started_at: Moment,
    number: i64,
    recorded_at: Moment,
    runs: i64,
    report: String,
}

impl Line {
    fn new(run: RunRecord, number: i64) -> TxResult<Self> {
        Ok(Self {
            job: run.report.job.as_str().to_owned(),
            started_at: Moment(run.report.started_at),
            number,
            recorded_at: Moment(SystemClock.now()),
            runs: i64::try_from(run.runs).unwrap_or(i64::MAX),
            report: serde_json::to_string(&run.report).map_err(TxError::other)?,
            key: run.key,
        })
    }
}

impl TryFrom<Line> for RunRecord {
    type Error = TxError;

    fn try_from(line: Line) -> Result<Self, TxError> {
        let report: Report = serde_json::from_str(&line.report).map_err(TxError::other)?;
        Ok(Self {
            key: line.key,
            runs: u64::try_from(line.runs).unwrap_or(0),
            recorded_at: Some(line.recorded_at.0),
            report,
        })
    }
}
