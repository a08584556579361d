//! Pauses for all replicas, on Postgres.

use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, SubsecRound, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::PostgresStore;
use super::attempt::transact;
use super::flight::Purpose;
use super::schema::{clock_timestamp, housekeeper_pauses};
use crate::job::{JobName, ReplicaPause};
use crate::model::StoreError;
use crate::store::tx_error::TxResult;

impl PostgresStore {
    /// Reads the clock and the pause of a job for all replicas.
    pub(super) async fn open_run(
        &self,
        job: &JobName,
    ) -> Result<(DateTime<Utc>, Option<ReplicaPause>), StoreError> {
        let what = "read the database's clock and the pause of a job";
        let opened = transact!(self, Purpose::Read, what, |flight| self
            .opening(flight, job)
            .await?);
        self.note_pauses(&opened);
        opened
    }

    /// Reads the clock and, in the same statement, the pause of a job for all replicas. A database
    /// without the table, or a role that may not read it, has no pauses.
    pub(super) async fn opening(
        &self,
        conn: &mut AsyncPgConnection,
        job: &JobName,
    ) -> QueryResult<(DateTime<Utc>, Option<ReplicaPause>)> {
        if !AtomicBool::load(&self.keeps_pauses, Ordering::Relaxed) {
            let (now, keeps) = look(conn).await?;
            if !keeps {
                return Ok((self.by_clock(now), None));
            }
            self.keeps_pauses.store(true, Ordering::Relaxed);
        }
        let (now, pause) = open(conn, job).await?;
        Ok((self.by_clock(now), pause))
    }

    /// Looks for the table again in the next run, if it has gone.
    pub(super) fn note_pauses<T>(&self, opened: &Result<T, StoreError>) {
        if let Err(StoreError::Schema(_)) = opened {
            self.keeps_pauses.store(false, Ordering::Relaxed);
        }
    }

    /// Returns the time of the store's own clock, if it has one.
    fn by_clock(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let own = self.clock.as_ref();
        own.map_or(now, |clock| clock.now().trunc_subsecs(6))
    }
}

/// Returns the time, and whether the database keeps pauses.
async fn look(conn: &mut AsyncPgConnection) -> QueryResult<(DateTime<Utc>, bool)> {
    let keeps = sql::<Bool>(
        "coalesce(has_table_privilege(to_regclass('housekeeper_pauses')::oid, 'select'), false)",
    );
    let read = diesel::select((clock_timestamp(), keeps));
    read.get_result(conn).await
}

/// Returns the time, and the pause of a job.
async fn open(
    conn: &mut AsyncPgConnection,
    job: &JobName,
) -> QueryResult<(DateTime<Utc>, Option<ReplicaPause>)> {
    let pause = housekeeper_pauses::table.find(job.as_str());
    // A host may write an instant that chrono does not have; it is paused nevertheless.
    let since = pause.select(sql::<Timestamptz>(SINCE)).single_value();
    let by = pause
        .select(housekeeper_pauses::requested_by)
        .single_value();
    let read = diesel::select((clock_timestamp(), since, by));
    let (now, since, by): (_, Option<DateTime<Utc>>, _) = read.get_result(conn).await?;
    Ok((now, since.map(|since| ReplicaPause::new(since, by))))
}

/// Writes or ends the pause of a job. Returns whether that changed it.
pub(super) async fn write(
    conn: &mut AsyncPgConnection,
    job: &JobName,
    pause: Option<&ReplicaPause>,
) -> TxResult<bool> {
    let changed = match pause {
        Some(pause) => {
            diesel::insert_into(housekeeper_pauses::table)
                .values((
                    housekeeper_pauses::job.eq(job.as_str()),
                    housekeeper_pauses::since.eq(pause.since),
                    housekeeper_pauses::requested_by.eq(pause.by.as_deref()),
                ))
                .on_conflict_do_nothing()
                .execute(conn)
                .await?
        }
        None => {
            diesel::delete(housekeeper_pauses::table.find(job.as_str()))
                .execute(conn)
                .await?
        }
    };
    Ok(changed > 0)
}

const SINCE: &str = "least(greatest(since, '0001-01-01 00:00:00Z'::timestamptz), '9999-12-31 00:00:00Z'::timestamptz)";
