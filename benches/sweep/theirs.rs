//! The alternatives that people use.

use std::time::{Duration, Instant};

use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl};

use crate::rows;
use crate::support::Result;
use crate::support::database::{Database, Kind};
use crate::support::job::{Job, clock};

/// One statement that takes all, and cascades.
pub(crate) async fn one_statement(database: &mut Database, job: Job) -> Result<(Duration, u64)> {
    let statement = job.one_statement(database);
    let due = rows::due(database, job).await?;
    let began = Instant::now();
    database.execute(&statement).await?;
    Ok((began.elapsed(), due))
}

/// As session libraries do it: a timer, and the statement at each tick until there is nothing left.
pub(crate) async fn timer_loop(database: &mut Database, job: Job) -> Result<(Duration, u64)> {
    let statement = job.one_statement(database);
    let due = rows::due(database, job).await?;
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        if rows::due(database, job).await? == 0 {
            return Ok((began.elapsed(), due));
        }
        database.execute(&statement).await?;
    }
}

/// The way that was replaced: all candidates are read, each is looked up for activity, deleted or
/// updated, and committed by itself. Only the first rows are: all would take minutes.
pub(crate) async fn row_by_row(database: &mut Database, job: Job) -> Result<(Duration, u64)> {
    let (_, old) = clock(database);
    let find = match job {
        Job::Bookings => format!(
            "select booking_id as id from bookings where status = 'Pending' and created_at < {old}"
        ),
        Job::Sessions => {
            format!("select id from sessions where coalesce(last_activity_at, created_at) < {old}")
        }
    };
    let began = Instant::now();
    let ids = ids(database, &find).await?;
    let loading = began.elapsed();
    let first = &ids[..ids.len().min(ENOUGH)];
    let began = Instant::now();
    for id in first {
        match job {
            Job::Bookings => {
                ids_of(
                    database,
                    &format!("select booking_id as id from bookings where booking_id = '{id}'"),
                )
                .await?;
                let write = format!(
                    "update bookings set status = 'Expired', updated_at = created_at where booking_id = '{id}'"
                );
                database.execute(&write).await?;
            }
            Job::Sessions => {
                let look = format!(
                    "select m.id from messages m join sessions s on s.user_id = m.user_id where s.id = '{id}' and m.sender = 'user' order by timestamp desc limit 1"
                );
                ids_of(database, &look).await?;
                for table in ["image_sent", "video_sent"] {
                    ids_of(
                        database,
                        &format!("select id from {table} where session_id = '{id}'"),
                    )
                    .await?;
                    database
                        .execute(&format!("delete from {table} where session_id = '{id}'"))
                        .await?;
                }
                database
                    .execute(&format!("delete from sessions where id = '{id}'"))
                    .await?;
            }
        }
    }
    // As if it had gone on to the end.
    let handling = began.elapsed() * u32::try_from(ids.len())? / u32::try_from(first.len())?;
    Ok((loading + handling, ids.len() as u64))
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Text)]
    id: String,
}

async fn ids_of(database: &mut Database, query: &str) -> Result<()> {
    ids(database, query).await.map(drop)
}

async fn ids(database: &mut Database, query: &str) -> Result<Vec<String>> {
    let query = diesel::sql_query(query);
    let rows: Vec<Id> = match &mut database.kind {
        Kind::Sqlite { connection, .. } => query.load(connection)?,
        Kind::Postgres { connection, .. } => {
            diesel_async::RunQueryDsl::load(query, connection).await?
        }
    };
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Rows that the replaced way is measured on.
const ENOUGH: usize = 300;
