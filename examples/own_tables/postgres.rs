//! The application on Postgres: its tables, and access to them.

use async_trait::async_trait;
use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use ractor_housekeeper::job::JobError;
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::{HousekeeperArguments, PostgresStore};

use crate::population::{BookingLine, Contents, Population};
use crate::status::BookingStatus;
use crate::{Application, EXPIRE_AFTER, IDLE_AFTER};
use booking_expirer::BookingExpirer;
use session_cleaner::SessionCleaner;
use tables::{bookings, image_sent, messages, sessions, users, video_sent};

mod booking_expirer;
mod session_cleaner;
pub(crate) mod tables;

/// A condition on rows of one table.
type Condition<Table> = Box<dyn BoxableExpression<Table, Pg, SqlType = Bool>>;

pub(crate) struct PostgresApplication {
    store: PostgresStore,
}

impl PostgresApplication {
    pub(crate) async fn connect(url: &str) -> Result<Self, JobError> {
        let store = PostgresStore::connect(url)?;
        if count_tables(&mut *store.pool().get().await?).await? > 0 {
            return Err("the database is not empty; give one that was just created".into());
        }
        // Only the history of runs; the tables the jobs work on are the application's.
        store.migrate(&[Schema::Housekeeper]).await?;
        Ok(Self { store })
    }
}

#[async_trait]
impl Application for PostgresApplication {
    fn housekeeper(&self) -> HousekeeperArguments {
        let pool = self.store.pool();
        HousekeeperArguments::new(Vec::new())
            .with_job(SessionCleaner::new(pool.clone(), IDLE_AFTER))
            .with_job(BookingExpirer::new(pool.clone(), EXPIRE_AFTER))
            .with_history(self.store.clone())
    }

    async fn now(&self) -> Result<DateTime<Utc>, JobError> {
        Ok(now(&mut *self.store.pool().get().await?).await?)
    }

    async fn fill(&self, population: &Population) -> Result<(), JobError> {
        Ok(fill(&mut *self.store.pool().get().await?, population).await?)
    }

    async fn contents(&self) -> Result<Contents, JobError> {
        Ok(contents(&mut *self.store.pool().get().await?).await?)
    }
}

/// The database's clock, by which cutoffs are made: replicas whose own clocks disagree expire
/// nothing early.
async fn now(conn: &mut AsyncPgConnection) -> QueryResult<DateTime<Utc>> {
    diesel::select(clock_timestamp()).get_result(conn).await
}

async fn count_tables(conn: &mut AsyncPgConnection) -> QueryResult<i64> {
    diesel::select(sql::<BigInt>(
        "(select count(*) from pg_tables where schemaname not in ('pg_catalog', 'information_schema'))",
    ))
    .get_result(conn)
    .await
}

async fn fill(conn: &mut AsyncPgConnection, population: &Population) -> QueryResult<()> {
    conn.batch_execute(tables::CREATE).await?;
    conn.transaction(async |conn| {
        let users: Vec<_> = population.users().map(|user| users::id.eq(user)).collect();
        diesel::insert_into(users::table)
            .values(users)
            .execute(conn)
            .await?;
        fill_sessions(conn, population).await?;
        fill_bookings(conn, population).await
    })
    .await
}

async fn fill_sessions(conn: &mut AsyncPgConnection, population: &Population) -> QueryResult<()> {
    for session in &population.sessions {
        diesel::insert_into(sessions::table)
            .values((
                sessions::id.eq(&session.id),
                sessions::user_id.eq(session.user),
                sessions::created_at.eq(session.created_at),
            ))
            .execute(conn)
            .await?;
        for number in 0..session.images {
            diesel::insert_into(image_sent::table)
                .values((
                    image_sent::id.eq(format!("{}-image-{number}", session.id)),
                    image_sent::session_id.eq(&session.id),
                ))
                .execute(conn)
                .await?;
        }
        for number in 0..session.videos {
            diesel::insert_into(video_sent::table)
                .values((
                    video_sent::id.eq(format!("{}-video-{number}", session.id)),
                    video_sent::session_id.eq(&session.id),
                ))
                .execute(conn)
                .await?;
        }
    }
    for message in &population.messages {
        diesel::insert_into(messages::table)
            .values((
                messages::id.eq(&message.id),
                messages::user_id.eq(message.user),
                messages::sender.eq(message.sender),
                messages::timestamp.eq(message.timestamp),
            ))
            .execute(conn)
            .await?;
    }
    Ok(())
}

async fn fill_bookings(conn: &mut AsyncPgConnection, population: &Population) -> QueryResult<()> {
    for booking in &population.bookings {
        diesel::insert_into(bookings::table)
            .values((
                bookings::booking_id.eq(&booking.id),
                bookings::user_id.eq(booking.user),
                bookings::status.eq(booking.status),
                bookings::created_at.eq(booking.created_at),
                bookings::updated_at.eq(booking.created_at),
            ))
            .execute(conn)
            .await?;
    }
    Ok(())
}

async fn contents(conn: &mut AsyncPgConnection) -> QueryResult<Contents> {
    let lines: Vec<(String, BookingStatus, NaiveDateTime, NaiveDateTime)> = bookings::table
        .order(bookings::booking_id)
        .select((
            bookings::booking_id,
            bookings::status,
            bookings::created_at,
            bookings::updated_at,
        ))
        .load(conn)
        .await?;
    Ok(Contents {
        sessions: sessions::table
            .order(sessions::id)
            .select(sessions::id)
            .load(conn)
            .await?,
        images: image_sent::table
            .order(image_sent::session_id)
            .select(image_sent::session_id)
            .load(conn)
            .await?,
        videos: video_sent::table
            .order(video_sent::session_id)
            .select(video_sent::session_id)
            .load(conn)
            .await?,
        bookings: lines.into_iter().map(BookingLine::from).collect(),
    })
}

#[diesel::declare_sql_function]
extern "SQL" {
    /// The instant it is, whenever the transaction began.
    fn clock_timestamp() -> Timestamptz;
}

/// For this transaction only: with a pooler in between, the connection is somebody else's next.
const LIMITS: &str = "set local lock_timeout = '1s'; set local statement_timeout = '10s'";
