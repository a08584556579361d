//! The application on SQLite: its tables, and access to them.

use async_trait::async_trait;
use chrono::{DateTime, NaiveDateTime, SubsecRound, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel::sqlite::Sqlite;
use ractor_housekeeper::job::JobError;
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::store::sqlite::Pool;
use ractor_housekeeper::{HousekeeperArguments, SqliteStore};

use crate::population::{BookingLine, Contents, Population};
use crate::status::BookingStatus;
use crate::{Application, EXPIRE_AFTER, IDLE_AFTER};
use booking_expirer::BookingExpirer;
use session_cleaner::SessionCleaner;
use tables::{bookings, image_sent, messages, sessions, users, video_sent};

mod booking_expirer;
mod session_cleaner;
mod tables;

/// A condition on rows of one table.
type Condition<Table> = Box<dyn BoxableExpression<Table, Sqlite, SqlType = Bool>>;

pub(crate) struct SqliteApplication {
    store: SqliteStore,
}

impl SqliteApplication {
    pub(crate) async fn open(path: &str) -> Result<Self, JobError> {
        let store = SqliteStore::open(path).await?;
        // Only the history of runs; the tables the jobs work on are the application's.
        store.migrate(&[Schema::Housekeeper]).await?;
        Ok(Self { store })
    }
}

#[async_trait]
impl Application for SqliteApplication {
    fn housekeeper(&self) -> HousekeeperArguments {
        let pool = self.store.pool();
        HousekeeperArguments::new(Vec::new())
            .with_job(SessionCleaner::new(pool.clone(), IDLE_AFTER))
            .with_job(BookingExpirer::new(pool.clone(), EXPIRE_AFTER))
            .with_history(self.store.clone())
    }

    async fn now(&self) -> Result<DateTime<Utc>, JobError> {
        Ok(now())
    }

    async fn fill(&self, population: &Population) -> Result<(), JobError> {
        let population = population.clone();
        run(self.store.pool(), move |conn| fill(conn, &population)).await
    }

    async fn contents(&self) -> Result<Contents, JobError> {
        run(self.store.pool(), contents).await
    }
}

/// Runs one piece of work on a connection, all the way to its end.
///
/// A worker may be killed, and its futures dropped, at any await. A connection must not be dropped
/// while a statement runs on it, so the work belongs to a task of its own, and what is dropped is
/// only the wait for it.
async fn run<R: Send + 'static>(
    pool: &Pool,
    work: impl FnOnce(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
) -> Result<R, JobError> {
    let pool = pool.clone();
    let task = tokio::spawn(async move {
        let mut conn = pool.get().await?;
        Ok::<R, JobError>(conn.spawn_blocking(work).await?)
    });
    task.await?
}

/// SQLite runs inside this process, so the machine's clock is the database's.
fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

fn fill(conn: &mut SqliteConnection, population: &Population) -> QueryResult<()> {
    conn.batch_execute(tables::CREATE)?;
    conn.immediate_transaction(|conn| {
        for user in population.users() {
            diesel::insert_into(users::table)
                .values(users::id.eq(user.to_string()))
                .execute(conn)?;
        }
        fill_sessions(conn, population)?;
        fill_bookings(conn, population)
    })
}

fn fill_sessions(conn: &mut SqliteConnection, population: &Population) -> QueryResult<()> {
    for session in &population.sessions {
        diesel::insert_into(sessions::table)
            .values((
                sessions::id.eq(&session.id),
                sessions::user_id.eq(session.user.to_string()),
                sessions::created_at.eq(session.created_at),
            ))
            .execute(conn)?;
        for number in 0..session.images {
            diesel::insert_into(image_sent::table)
                .values((
                    image_sent::id.eq(format!("{}-image-{number}", session.id)),
                    image_sent::session_id.eq(&session.id),
                ))
                .execute(conn)?;
        }
        for number in 0..session.videos {
            diesel::insert_into(video_sent::table)
                .values((
                    video_sent::id.eq(format!("{}-video-{number}", session.id)),
                    video_sent::session_id.eq(&session.id),
                ))
                .execute(conn)?;
        }
    }
    for message in &population.messages {
        diesel::insert_into(messages::table)
            .values((
                messages::id.eq(&message.id),
                messages::user_id.eq(message.user.to_string()),
                messages::sender.eq(message.sender),
                messages::timestamp.eq(message.timestamp),
            ))
            .execute(conn)?;
    }
    Ok(())
}

fn fill_bookings(conn: &mut SqliteConnection, population: &Population) -> QueryResult<()> {
    for booking in &population.bookings {
        diesel::insert_into(bookings::table)
            .values((
                bookings::booking_id.eq(&booking.id),
                bookings::user_id.eq(booking.user.to_string()),
                bookings::status.eq(booking.status),
                bookings::created_at.eq(booking.created_at),
                bookings::updated_at.eq(booking.created_at),
            ))
            .execute(conn)?;
    }
    Ok(())
}

fn contents(conn: &mut SqliteConnection) -> QueryResult<Contents> {
    let lines: Vec<(String, BookingStatus, NaiveDateTime, NaiveDateTime)> = bookings::table
        .order(bookings::booking_id)
        .select((
            bookings::booking_id,
            bookings::status,
            bookings::created_at,
            bookings::updated_at,
        ))
        .load(conn)?;
    Ok(Contents {
        sessions: sessions::table
            .order(sessions::id)
            .select(sessions::id)
            .load(conn)?,
        images: image_sent::table
            .order(image_sent::session_id)
            .select(image_sent::session_id)
            .load(conn)?,
        videos: video_sent::table
            .order(video_sent::session_id)
            .select(video_sent::session_id)
            .load(conn)?,
        bookings: lines.into_iter().map(BookingLine::from).collect(),
    })
}
