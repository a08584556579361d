//! Runs of the past, on SQLite.

use std::collections::BTreeMap;
use std::sync::Weak;

use chrono::{DateTime, Utc};
use diesel::dsl;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Text};
use diesel::sqlite::Sqlite;

use super::rule::HostText;
use super::schema::{housekeeper_instances, housekeeper_runs};
use super::time::Moment;
use crate::job::JobName;
use crate::model::{HistoryPage, HistoryQuery, InstanceRuns, RunId, RunRecord};
use crate::store::saved_run::{PageReader, SavedRun, key_beside};
use crate::store::tx_error::{TxError, TxResult};
use crate::time::{Clock, SystemClock};

/// Writes runs and drops those written first beyond `keep` of each job they belong to, if the
/// caller still waits when the file is free.
///
/// Records dropped before then are passed again with the next runs. Written after those, they would
/// be counted twice.
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
            places.insert(*job, newest.unwrap_or(0).saturating_add(1));
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

/// Returns the runs of a job that meet the conditions, newest first.
pub(super) fn page(
    conn: &mut SqliteConnection,
    job: &JobName,
    query: &HistoryQuery,
) -> TxResult<HistoryPage> {
    conn.transaction(|conn| {
        let mut page = PageReader::new(query);
        while let Some(part) = page.next_part() {
            let lines = lines(conn, job, part)?;
            page.add(lines);
        }
        Ok(page.into_page())
    })
}

/// Returns the lines of a job that meet the conditions, newest first.
///
/// The history keeps few runs of a job, so the index on job and start serves the range, and the
/// outcome is looked up in the text of the report: quotes inside of a JSON string are escaped, so
/// the pattern matches the member alone.
fn lines(
    conn: &mut SqliteConnection,
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
        lines = lines.filter(housekeeper_runs::started_at.ge(Moment(from)));
    }
    if let Some(until) = query.until {
        lines = lines.filter(housekeeper_runs::started_at.lt(Moment(until)));
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
    let lines: Vec<Saved> = lines.load(conn)?;
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

type Condition = Box<dyn BoxableExpression<housekeeper_runs::table, Sqlite, SqlType = Bool>>;

/// Returns the record of one run.
pub(super) fn run(conn: &mut SqliteConnection, run: RunId) -> TxResult<Option<RunRecord>> {
    let line: Option<Saved> = housekeeper_runs::table
        .find(run.to_string())
        .select(saved())
        .first(conn)
        .optional()?;
    let record = line.map(|line| line.into_run().read()).transpose();
    record.map_err(TxError::other)
}

/// Notes that an instance runs, and forgets those that have not run for a day.
pub(super) fn note_instance(conn: &mut SqliteConnection, instance: &str) -> TxResult<()> {
    let now = SystemClock.now();
    conn.immediate_transaction(|conn| {
        diesel::insert_into(housekeeper_instances::table)
            .values((
                housekeeper_instances::instance.eq(instance),
                housekeeper_instances::seen_at.eq(Moment(now)),
            ))
            .on_conflict(housekeeper_instances::instance)
            .do_update()
            .set(housekeeper_instances::seen_at.eq(Moment(now)))
            .execute(conn)?;
        let gone = housekeeper_instances::seen_at.lt(Moment(now - InstanceRuns::KEPT_FOR));
        diesel::delete(housekeeper_instances::table.filter(gone)).execute(conn)?;
        Ok(())
    })
}

/// Returns the instances that wrote lines or were noted since then, the latest first.
pub(super) fn instances(
    conn: &mut SqliteConnection,
    since: DateTime<Utc>,
) -> TxResult<Vec<InstanceRuns>> {
    let lines: Vec<(Option<HostText>, Option<HostText>, i64)> = housekeeper_runs::table
        .filter(housekeeper_runs::recorded_at.ge(Moment(since)))
        .filter(housekeeper_runs::instance.is_not_null())
        .group_by(housekeeper_runs::instance)
        .select((
            housekeeper_runs::instance,
            dsl::max(housekeeper_runs::recorded_at),
            dsl::count_star(),
        ))
        .order(dsl::max(housekeeper_runs::recorded_at).desc())
        .limit(InstanceRuns::MAX)
        .load(conn)?;
    let noted: Vec<(HostText, HostText)> = housekeeper_instances::table
        .filter(housekeeper_instances::seen_at.ge(Moment(since)))
        .order(housekeeper_instances::seen_at.desc())
        .limit(InstanceRuns::MAX)
        .load(conn)?;
    let lines = lines.into_iter().filter_map(|(instance, at, lines)| {
        Some((instance?, at?, u64::try_from(lines).unwrap_or(0)))
    });
    let noted = noted.into_iter().map(|(instance, at)| (instance, at, 0));
    let runs = lines.chain(noted).filter_map(|(instance, at, lines)| {
        Some((instance.0, Moment::parse(&at.0).ok()?.0, lines))
    });
    Ok(InstanceRuns::of(runs))
}

fn write(
    conn: &mut SqliteConnection,
    key: &str,
    runs: &[RunRecord],
    places: &BTreeMap<&JobName, i64>,
) -> TxResult<()> {
    let mut place = key.to_owned();
    let (number, earlier) = loop {
        let earlier: Option<Saved> = housekeeper_runs::table
            .find(&place)
            .select(saved())
            .first(conn)
            .optional()?;
        let Some(earlier) = earlier else {
            break (None, None);
        };
        let number = earlier.1;
        match earlier.into_run().read() {
            Ok(earlier) => break (Some(number), Some(earlier)),
            Err(_) => place = key_beside(&place),
        }
    };
    if let Some(line) = RunRecord::line(key, earlier, runs) {
        let line = RunRecord { key: place, ..line };
        let number = number.or_else(|| places.get(&line.report.job).copied());
        diesel::replace_into(housekeeper_runs::table)
            .values(&Line::new(line, number.unwrap_or(1))?)
            .execute(conn)?;
    }
    Ok(())
}

fn trim(conn: &mut SqliteConnection, job: &JobName, keep: u32) -> TxResult<()> {
    // Keys stay in the file, because one may be no UTF-8.
    diesel::sql_query(
        "delete from housekeeper_runs where key in (select key from housekeeper_runs where job = ? \
         order by number desc, started_at desc, key desc limit -1 offset ?)",
    )
    .bind::<Text, _>(job.as_str())
    .bind::<BigInt, _>(i64::from(keep))
    .execute(conn)?;
    Ok(())
}

#[derive(Insertable)]
#[diesel(table_name = housekeeper_runs)]
struct Line {
    key: String,
    job: String,
    started_at: Moment,
    number: i64,
    recorded_at: Moment,
    runs: i64,
    report: String,
    instance: Option<String>,
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
            instance: run.report.instance,
        })
    }
}

/// Key, number, runs, when it was recorded, report.
#[derive(Queryable)]
struct Saved(HostText, i64, i64, HostText, Vec<u8>);

impl Saved {
    fn into_run(self) -> SavedRun {
        SavedRun {
            key: self.0.into(),
            runs: self.2,
            recorded_at: Moment::parse(&self.3.0).ok().map(|moment| moment.0),
            report: self.4,
        }
    }
}

/// The columns of [`Saved`]. Text of SQLite is not always UTF-8.
#[dsl::auto_type]
fn saved() -> _ {
    let report: SqlLiteral<Binary> = dsl::sql("cast(report as blob)");
    (
        housekeeper_runs::key,
        housekeeper_runs::number,
        housekeeper_runs::runs,
        housekeeper_runs::recorded_at,
        report,
    )
}
