//! Pauses for all replicas, on SQLite.

use chrono::DateTime;
use diesel::prelude::*;
use diesel::result::Error::DatabaseError;

use super::rule::HostText;
use super::schema::housekeeper_pauses;
use super::time::Moment;
use crate::job::{JobName, ReplicaPause};
use crate::store::tx_error::TxResult;

/// Returns the pause of a job. A file without the table has none.
pub(super) fn read(conn: &mut SqliteConnection, job: &JobName) -> TxResult<Option<ReplicaPause>> {
    let row: QueryResult<Option<(HostText, Option<HostText>)>> = housekeeper_pauses::table
        .find(job.as_str())
        .select((housekeeper_pauses::since, housekeeper_pauses::requested_by))
        .first(conn)
        .optional();
    match row {
        Ok(None) => Ok(None),
        Ok(Some((since, by))) => {
            // An instant that does not read is no reason to run.
            let since = Moment::parse(&since.0).map_or(DateTime::UNIX_EPOCH, |since| since.0);
            Ok(Some(ReplicaPause::new(since, by.map(String::from))))
        }
        Err(DatabaseError(_, info)) if info.message().starts_with(MISSING) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes or ends the pause of a job. Returns whether that changed it.
pub(super) fn write(
    conn: &mut SqliteConnection,
    job: &JobName,
    pause: Option<&ReplicaPause>,
) -> TxResult<bool> {
    let changed = match pause {
        Some(pause) => diesel::insert_into(housekeeper_pauses::table)
            .values((
                housekeeper_pauses::job.eq(job.as_str()),
                housekeeper_pauses::since.eq(Moment(pause.since)),
                housekeeper_pauses::requested_by.eq(pause.by.as_deref()),
            ))
            .on_conflict_do_nothing()
            .execute(conn)?,
        None => diesel::delete(housekeeper_pauses::table.find(job.as_str())).execute(conn)?,
    };
    Ok(changed > 0)
}

const MISSING: &str = "no such table: housekeeper_pauses";
