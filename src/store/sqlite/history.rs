//! Runs of the past, on SQLite.

use std::sync::Weak;

use diesel::prelude::*;

use super::schema::housekeeper_runs;
use super::time::Moment;
use crate::job::JobName;
use crate::model::{Report, RunRecord};
use crate::store::tx_error::{TxError, TxResult};

/// Writes runs and drops the oldest beyond `keep` of each job they belong to, if the caller still
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
        for key in RunRecord::keys(runs) {
            write(conn, key, runs)?;
        }
        let mut jobs: Vec<&JobName> = runs.iter().map(|run| &run.report.job).collect();
        jobs.sort();
        jobs.dedup();
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
        .order((
            housekeeper_runs::started_at.desc(),
            housekeeper_runs::key.desc(),
        ))
        .limit(limit.into())
        .select(Line::as_select())
        .load(conn)?;
    lines.into_iter().map(RunRecord::try_from).collect()
}

fn write(conn: &mut SqliteConnection, key: &str, runs: &[RunRecord]) -> TxResult<()> {
    let earlier: Option<Line> = housekeeper_runs::table
        .find(key)
        .select(Line::as_select())
        .first(conn)
        .optional()?;
    let earlier = earlier.map(RunRecord::try_from).transpose()?;
    if let Some(line) = RunRecord::line(key, earlier, runs) {
        diesel::replace_into(housekeeper_runs::table)
            .values(&Line::try_from(line)?)
            .execute(conn)?;
    }
    Ok(())
}

fn trim(conn: &mut SqliteConnection, job: &JobName, keep: u32) -> TxResult<()> {
    let first_to_go: Option<(Moment, String)> = housekeeper_runs::table
        .filter(housekeeper_runs::job.eq(job.as_str()))
        .order((
            housekeeper_runs::started_at.desc(),
            housekeeper_runs::key.desc(),
        ))
        .offset(keep.into())
        .select((housekeeper_runs::started_at, housekeeper_runs::key))
        .first(conn)
        .optional()?;
    if let Some((started_at, key)) = first_to_go {
        diesel::delete(housekeeper_runs::table)
            .filter(housekeeper_runs::job.eq(job.as_str()))
            .filter(housekeeper_runs::started_at.le(started_at))
            .filter(
                housekeeper_runs::started_at
                    .lt(started_at)
                    .or(housekeeper_runs::key.le(key)),
            )
            .execute(conn)?;
    }
    Ok(())
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = housekeeper_runs)]
struct Line {
    key: String,
    job: String,
    started_at: Moment,
    runs: i64,
    report: String,
}

impl TryFrom<RunRecord> for Line {
    type Error = TxError;

    fn try_from(run: RunRecord) -> Result<Self, TxError> {
        Ok(Self {
            job: run.report.job.as_str().to_owned(),
            started_at: Moment(run.report.started_at),
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
            report,
        })
    }
}
