//! Runs of the past, on Postgres.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::schema::housekeeper_runs;
use crate::job::JobName;
use crate::model::{Report, RunRecord};
use crate::store::tx_error::{TxError, TxResult};

/// Writes runs and drops the oldest beyond `keep` of each job they belong to.
pub(super) async fn record(
    conn: &mut AsyncPgConnection,
    runs: &[RunRecord],
    keep: u32,
) -> TxResult<()> {
    // Always in their order, so that two replicas that share a key cannot wait for each other.
    for key in RunRecord::keys(runs) {
        write(conn, key, runs).await?;
    }
    let mut jobs: Vec<&JobName> = runs.iter().map(|run| &run.report.job).collect();
    jobs.sort();
    jobs.dedup();
    for job in jobs {
        trim(conn, job, keep).await?;
    }
    Ok(())
}

/// The newest runs of a job.
pub(super) async fn runs(
    conn: &mut AsyncPgConnection,
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
        .load(conn)
        .await?;
    lines.into_iter().map(RunRecord::try_from).collect()
}

async fn write(conn: &mut AsyncPgConnection, key: &str, runs: &[RunRecord]) -> TxResult<()> {
    let Some(line) = RunRecord::line(key, None, runs) else {
        return Ok(());
    };
    // The insert waits for another that writes the same key, and then finds its line.
    let new = diesel::insert_into(housekeeper_runs::table)
        .values(Line::try_from(line)?)
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    if new == 0 {
        let earlier: Line = housekeeper_runs::table
            .find(key)
            .select(Line::as_select())
            .for_update()
            .first(conn)
            .await?;
        if let Some(line) = RunRecord::line(key, Some(earlier.try_into()?), runs) {
            diesel::update(housekeeper_runs::table.find(key))
                .set(Line::try_from(line)?)
                .execute(conn)
                .await?;
        }
    }
    Ok(())
}

async fn trim(conn: &mut AsyncPgConnection, job: &JobName, keep: u32) -> TxResult<()> {
    let first_to_go: Option<(DateTime<Utc>, String)> = housekeeper_runs::table
        .filter(housekeeper_runs::job.eq(job.as_str()))
        .order((
            housekeeper_runs::started_at.desc(),
            housekeeper_runs::key.desc(),
        ))
        .offset(keep.into())
        .select((housekeeper_runs::started_at, housekeeper_runs::key))
        .first(conn)
        .await
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
            .execute(conn)
            .await?;
    }
    Ok(())
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = housekeeper_runs)]
struct Line {
    key: String,
    job: String,
    started_at: DateTime<Utc>,
    runs: i64,
    report: String,
}

impl TryFrom<RunRecord> for Line {
    type Error = TxError;

    fn try_from(run: RunRecord) -> Result<Self, TxError> {
        Ok(Self {
            job: run.report.job.as_str().to_owned(),
            started_at: run.report.started_at,
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
