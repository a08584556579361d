//! Runs of the past, on Postgres.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::dsl;
use diesel::expression::SqlLiteral;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::schema::{clock_timestamp, housekeeper_instances, housekeeper_runs};
use crate::job::JobName;
use crate::model::{HistoryPage, HistoryQuery, InstanceRuns, RunId, RunRecord};
use crate::store::saved_run::{PageReader, SavedRun, key_beside};
use crate::store::tx_error::{TxError, TxResult};

/// Writes runs and drops those written first beyond `keep` of each job they belong to.
pub(super) async fn record(
    conn: &mut AsyncPgConnection,
    runs: &[RunRecord],
    keep: u32,
) -> TxResult<()> {
    let mut jobs: Vec<&JobName> = runs.iter().map(|run| &run.report.job).collect();
    jobs.sort();
    jobs.dedup();
    let mut places = BTreeMap::new();
    for job in &jobs {
        let of_job = housekeeper_runs::table.filter(housekeeper_runs::job.eq(job.as_str()));
        let newest: Option<i64> = of_job
            .select(dsl::max(housekeeper_runs::number))
            .first(conn)
            .await?;
        places.insert(*job, newest.unwrap_or(0).saturating_add(1));
    }
    let recorded_at: DateTime<Utc> = diesel::select(clock_timestamp()).first(conn).await?;
    // Always in their order, so that two replicas that share a key cannot wait for each other.
    for key in RunRecord::keys(runs) {
        write(conn, key, runs, &places, recorded_at).await?;
    }
    for job in jobs {
        trim(conn, job, keep).await?;
    }
    Ok(())
}

/// Returns the runs of a job that meet the conditions, newest first.
pub(super) async fn page(
    conn: &mut AsyncPgConnection,
    job: &JobName,
    query: &HistoryQuery,
) -> TxResult<HistoryPage> {
    let mut page = PageReader::new(query);
    while let Some(part) = page.next_part() {
        let lines = lines(conn, job, part).await?;
        page.add(lines);
    }
    Ok(page.into_page())
}

/// Returns the lines of a job that meet the conditions, newest first.
///
/// The history keeps few runs of a job, so the index on job and start serves the range, and the
/// outcome is looked up in the text of the report: quotes inside of a JSON string are escaped, so
/// the pattern matches the member alone.
async fn lines(
    conn: &mut AsyncPgConnection,
    job: &JobName,
    query: &HistoryQuery,
) -> QueryResult<Vec<SavedRun>> {
    let mut lines = housekeeper_runs::table
        .filter(housekeeper_runs::job.eq(job.as_str()))
        .order(newest_first())
        .limit(query.limit.into())
        .select(saved())
        .into_boxed();
    if let Some(from) = query.from {
        lines = lines.filter(housekeeper_runs::started_at.ge(from));
    }
    if let Some(until) = query.until {
        lines = lines.filter(housekeeper_runs::started_at.lt(until));
    }
    if let Some(after) = &query.after {
        // Lines are deleted in the order they were written, so none is left behind a deleted one.
        let behind = dsl::sql::<Bool>(
            "(number, started_at, key) < (select number, started_at, key from housekeeper_runs where key = ",
        );
        let behind = behind
            .bind::<Text, _>(after.key().to_owned())
            .sql(" and job = ");
        lines = lines.filter(behind.bind::<Text, _>(job.to_string()).sql(")"));
    }
    let mut any: Option<Condition> = None;
    for outcome in &query.outcomes {
        let pattern = format!(r#"%"outcome":{{"kind":"{outcome}"%"#);
        let one = housekeeper_runs::report.like(pattern);
        any = Some(match any {
            Some(any) => Box::new(any.or(one)),
            None => Box::new(one),
        });
    }
    if let Some(any) = any {
        lines = lines.filter(any);
    }
    let lines: Vec<Saved> = lines.load(conn).await?;
    Ok(lines.into_iter().map(Saved::into_run).collect())
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

type Condition = Box<dyn BoxableExpression<housekeeper_runs::table, Pg, SqlType = Bool>>;

/// Returns the record of one run.
pub(super) async fn run(conn: &mut AsyncPgConnection, run: RunId) -> TxResult<Option<RunRecord>> {
    let line: Option<Saved> = housekeeper_runs::table
        .find(run.to_string())
        .select(saved())
        .first(conn)
        .await
        .optional()?;
    let record = line.map(|line| line.into_run().read()).transpose();
    record.map_err(TxError::other)
}

/// Notes that an instance runs, and forgets those that have not run for a day.
pub(super) async fn note_instance(conn: &mut AsyncPgConnection, instance: &str) -> TxResult<()> {
    let now: DateTime<Utc> = diesel::select(clock_timestamp()).first(conn).await?;
    diesel::insert_into(housekeeper_instances::table)
        .values((
            housekeeper_instances::instance.eq(instance),
            housekeeper_instances::seen_at.eq(now),
        ))
        .on_conflict(housekeeper_instances::instance)
        .do_update()
        .set(housekeeper_instances::seen_at.eq(now))
        .execute(conn)
        .await?;
    let gone = housekeeper_instances::seen_at.lt(now - InstanceRuns::KEPT_FOR);
    diesel::delete(housekeeper_instances::table.filter(gone))
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns the instances that wrote lines or were noted since then, the latest first.
pub(super) async fn instances(
    conn: &mut AsyncPgConnection,
    since: DateTime<Utc>,
) -> TxResult<Vec<InstanceRuns>> {
    let lines: Vec<(Option<String>, Option<DateTime<Utc>>, i64)> = housekeeper_runs::table
        .filter(housekeeper_runs::recorded_at.ge(since))
        .filter(housekeeper_runs::recorded_at.lt(end()))
        .filter(housekeeper_runs::instance.is_not_null())
        .group_by(housekeeper_runs::instance)
        .select((
            housekeeper_runs::instance,
            dsl::max(housekeeper_runs::recorded_at),
            dsl::count_star(),
        ))
        .order(dsl::max(housekeeper_runs::recorded_at).desc())
        .limit(InstanceRuns::MAX)
        .load(conn)
        .await?;
    let noted: Vec<(String, DateTime<Utc>)> = housekeeper_instances::table
        .filter(housekeeper_instances::seen_at.ge(since))
        .filter(housekeeper_instances::seen_at.lt(end()))
        .order(housekeeper_instances::seen_at.desc())
        .limit(InstanceRuns::MAX)
        .load(conn)
        .await?;
    let lines = lines.into_iter().filter_map(|(instance, at, lines)| {
        Some((instance?, at?, u64::try_from(lines).unwrap_or(0)))
    });
    let noted = noted.into_iter().map(|(instance, at)| (instance, at, 0));
    Ok(InstanceRuns::of(lines.chain(noted)))
}

async fn write(
    conn: &mut AsyncPgConnection,
    key: &str,
    runs: &[RunRecord],
    places: &BTreeMap<&JobName, i64>,
    recorded_at: DateTime<Utc>,
) -> TxResult<()> {
    let mut place = key.to_owned();
    while let Some(line) = RunRecord::line(key, None, runs) {
        let line = RunRecord { key: place, ..line };
        place = line.key.clone();
        let number = places.get(&line.report.job).copied().unwrap_or(1);
        // The insert waits for another that writes the same key, and then finds its line.
        let new = diesel::insert_into(housekeeper_runs::table)
            .values(Line::new(line, number, recorded_at)?)
            .on_conflict_do_nothing()
            .execute(conn)
            .await?;
        if new > 0 {
            break;
        }
        let earlier: Saved = housekeeper_runs::table
            .find(&place)
            .select(saved())
            .for_update()
            .first(conn)
            .await?;
        let number = earlier.1;
        let Ok(earlier) = earlier.into_run().read() else {
            place = key_beside(&place);
            continue;
        };
        if let Some(line) = RunRecord::line(key, Some(earlier), runs) {
            diesel::update(housekeeper_runs::table.find(&place))
                .set(Line::new(line, number, recorded_at)?)
                .execute(conn)
                .await?;
        }
        break;
    }
    Ok(())
}

async fn trim(conn: &mut AsyncPgConnection, job: &JobName, keep: u32) -> TxResult<()> {
    let of_job = housekeeper_runs::table.filter(housekeeper_runs::job.eq(job.as_str()));
    let to_go: Vec<String> = of_job
        .order(newest_first())
        .offset(keep.into())
        .select(housekeeper_runs::key)
        .load(conn)
        .await?;
    if !to_go.is_empty() {
        diesel::delete(housekeeper_runs::table.filter(housekeeper_runs::key.eq_any(to_go)))
            .execute(conn)
            .await?;
    }
    Ok(())
}

#[derive(Insertable, AsChangeset)]
#[diesel(table_name = housekeeper_runs)]
struct Line {
    key: String,
    job: String,
    started_at: DateTime<Utc>,
    number: i64,
    recorded_at: DateTime<Utc>,
    runs: i64,
    report: String,
    instance: Option<String>,
}

impl Line {
    fn new(run: RunRecord, number: i64, recorded_at: DateTime<Utc>) -> TxResult<Self> {
        Ok(Self {
            job: run.report.job.as_str().to_owned(),
            started_at: run.report.started_at,
            number,
            recorded_at,
            runs: i64::try_from(run.runs).unwrap_or(i64::MAX),
            report: serde_json::to_string(&run.report).map_err(TxError::other)?,
            key: run.key,
            instance: run.report.instance,
        })
    }
}

/// The end of the calendar, beyond which no instant is read.
fn end() -> SqlLiteral<Timestamptz> {
    dsl::sql("'9999-12-31'::timestamptz")
}

/// Key, number, runs, when it was recorded, report.
#[derive(Queryable)]
struct Saved(String, i64, i64, Option<DateTime<Utc>>, String);

impl Saved {
    fn into_run(self) -> SavedRun {
        SavedRun {
            key: self.0,
            runs: self.2,
            recorded_at: self.3,
            report: self.4.into_bytes(),
        }
    }
}

/// The columns of [`Saved`].
#[dsl::auto_type]
fn saved() -> _ {
    let recorded_at: SqlLiteral<Nullable<Timestamptz>> = dsl::sql(
        "case when recorded_at between '0001-01-01' and '9999-12-31' then recorded_at end",
    );
    (
        housekeeper_runs::key,
        housekeeper_runs::number,
        housekeeper_runs::runs,
        recorded_at,
        housekeeper_runs::report,
    )
}
