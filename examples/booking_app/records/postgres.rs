//! The records in a Postgres database.

use std::time::Duration;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Timestamptz};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use ractor_housekeeper::actors::Destination;
use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy, built_in};
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::{HousekeeperArguments, PostgresStore};
use uuid::Uuid;

use super::{Booking, Contents, Deletion, Media, Opened, Records};
use crate::mailer::expirer;
use crate::{ACTIVITY_THROTTLE, Error};

pub(crate) struct PostgresRecords {
    store: PostgresStore,
    /// For the guests, with a pool of its own.
    guests: PostgresStore,
}

impl PostgresRecords {
    pub(crate) async fn connect(url: &str) -> Result<Self, Error> {
        let store = PostgresStore::connect(url)?;
        let guests = PostgresStore::connect(url)?;
        let mut conn = guests.pool().get_owned().await?;
        if count_tables(&mut conn).await? > 0 {
            return Err("the database is not empty; give one that was just created".into());
        }
        store
            .migrate(&[Schema::Housekeeper, Schema::Outbox, Schema::Booking])
            .await?;
        store.set_activity_throttle(ACTIVITY_THROTTLE).await?;
        conn.batch_execute(RECORD_DELETIONS).await?;
        Ok(Self { store, guests })
    }
}

#[async_trait]
impl Records for PostgresRecords {
    fn housekeeper(
        &self,
        policy: &BookingPolicy,
        mailer: Destination,
    ) -> Result<HousekeeperArguments, Error> {
        let mut jobs = built_in(self.store.clone(), policy)?;
        for job in &mut jobs {
            if job.name() == BookingExpirer::NAME {
                *job = Arc::new(self.store.rule(expirer())?);
            }
        }
        Ok(HousekeeperArguments::new(jobs)
            .with_history(self.store.clone())
            .with_courier(BookingExpirer::NAME, self.store.clone(), mailer))
    }

    async fn open_session(&self, user: Uuid, media: Media) -> Result<Opened, Error> {
        let mut conn = self.guests.pool().get().await?;
        let opened = conn.transaction(async |conn| open_session(conn, user, media).await);
        Ok(opened.await?)
    }

    async fn write(&self, user: Uuid, session: &str) -> Result<Option<DateTime<Utc>>, Error> {
        let mut conn = self.guests.pool().get().await?;
        let written = conn.transaction(async |conn| write(conn, user, session).await);
        Ok(written.await?)
    }

    async fn book(&self, user: Uuid) -> Result<String, Error> {
        let mut conn = self.guests.pool().get().await?;
        let booking = diesel::insert_into(bookings::table)
            .values((
                bookings::booking_id.eq(fresh_id()),
                bookings::user_id.eq(user),
            ))
            .returning(bookings::booking_id)
            .get_result(&mut *conn)
            .await?;
        Ok(booking)
    }

    async fn hold(&self, booking: &str, hold: Duration) -> Result<bool, Error> {
        let mut conn = self.guests.pool().get().await?;
        let end = sql::<Timestamptz>("now() + interval '1 second' * ")
            .bind::<Double, _>(hold.as_secs_f64());
        let changed = diesel::update(bookings::table.find(booking))
            .filter(bookings::status.eq("Pending"))
            .set((
                bookings::held_until.eq(end.nullable()),
                bookings::updated_at.eq(diesel::dsl::now),
            ))
            .execute(&mut *conn)
            .await?;
        Ok(changed == 1)
    }

    async fn pay(&self, booking: &str) -> Result<bool, Error> {
        let mut conn = self.guests.pool().get().await?;
        let changed = diesel::update(bookings::table.find(booking))
            .filter(bookings::status.eq("Pending"))
            .set((
                bookings::status.eq("Confirmed"),
                bookings::updated_at.eq(diesel::dsl::now),
            ))
            .execute(&mut *conn)
            .await?;
        Ok(changed == 1)
    }

    async fn contents(&self) -> Result<Contents, Error> {
        let mut conn = self.guests.pool().get().await?;
        let contents = conn
            .build_transaction()
            .repeatable_read()
            .run(async |conn| contents(conn).await)
            .await?;
        Ok(contents)
    }
}

async fn count_tables(conn: &mut AsyncPgConnection) -> QueryResult<i64> {
    diesel::select(sql::<BigInt>(
        "(select count(*) from pg_tables where schemaname not in ('pg_catalog', 'information_schema'))",
    ))
    .get_result(conn)
    .await
}

async fn open_session(
    conn: &mut AsyncPgConnection,
    user: Uuid,
    media: Media,
) -> QueryResult<Opened> {
    let id = fresh_id();
    let at = diesel::insert_into(sessions::table)
        .values((sessions::id.eq(&id), sessions::user_id.eq(user)))
        .returning(sessions::created_at)
        .get_result(conn)
        .await?;
    for _ in 0..media.images {
        diesel::insert_into(image_sent::table)
            .values((
                image_sent::id.eq(fresh_id()),
                image_sent::session_id.eq(&id),
            ))
            .execute(conn)
            .await?;
    }
    for _ in 0..media.videos {
        diesel::insert_into(video_sent::table)
            .values((
                video_sent::id.eq(fresh_id()),
                video_sent::session_id.eq(&id),
            ))
            .execute(conn)
            .await?;
    }
    Ok(Opened { id, at })
}

async fn write(
    conn: &mut AsyncPgConnection,
    user: Uuid,
    session: &str,
) -> QueryResult<Option<DateTime<Utc>>> {
    let at = diesel::insert_into(messages::table)
        .values((
            messages::id.eq(fresh_id()),
            messages::user_id.eq(user),
            messages::sender.eq("user"),
            messages::content.eq("Is the hut by the lake free?"),
        ))
        .returning(messages::timestamp)
        .get_result(conn)
        .await?;
    let there: i64 = sessions::table
        .find(session)
        .count()
        .get_result(conn)
        .await?;
    Ok((there == 1).then_some(at))
}

async fn contents(conn: &mut AsyncPgConnection) -> QueryResult<Contents> {
    let lines: Vec<BookingLine> = bookings::table
        .select((
            bookings::booking_id,
            bookings::status,
            bookings::created_at,
            bookings::held_until,
            bookings::updated_at,
        ))
        .load(conn)
        .await?;
    let deleted: Vec<(String, DateTime<Utc>)> = deletions::table.load(conn).await?;
    let deleted = deleted.into_iter();
    Ok(Contents {
        bookings: lines.into_iter().map(booking).collect(),
        sessions: sessions::table.select(sessions::id).load(conn).await?,
        images: image_sent::table
            .select(image_sent::session_id)
            .load(conn)
            .await?,
        videos: video_sent::table
            .select(video_sent::session_id)
            .load(conn)
            .await?,
        deletions: deleted
            .map(|(session, at)| Deletion { session, at })
            .collect(),
    })
}

/// Id, status, creation, hold, last change.
type BookingLine = (
    String,
    String,
    DateTime<Utc>,
    Option<DateTime<Utc>>,
    DateTime<Utc>,
);

fn booking((id, status, created_at, held_until, updated_at): BookingLine) -> Booking {
    Booking {
        id,
        status,
        created_at,
        held_until,
        updated_at,
    }
}

fn fresh_id() -> String {
    Uuid::new_v4().to_string()
}

/// The application's own record of deleted sessions, so that the audit does not depend on the
/// housekeeper's reports.
const RECORD_DELETIONS: &str = "
create table deletions (session_id text primary key, deleted_at timestamptz not null);
create function record_deletion() returns trigger language plpgsql as $$
begin
    insert into deletions values (old.id, clock_timestamp());
    return null;
end
$$;
create trigger record_deletion after delete on sessions
    for each row execute function record_deletion();
";

diesel::table! {
    sessions (id) {
        id -> Text,
        user_id -> Uuid,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    messages (id) {
        id -> Text,
        user_id -> Uuid,
        sender -> Text,
        content -> Text,
        timestamp -> Timestamptz,
    }
}

diesel::table! {
    image_sent (id) {
        id -> Text,
        session_id -> Text,
    }
}

diesel::table! {
    video_sent (id) {
        id -> Text,
        session_id -> Text,
    }
}

diesel::table! {
    bookings (booking_id) {
        booking_id -> Text,
        user_id -> Uuid,
        status -> Text,
        held_until -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    deletions (session_id) {
        session_id -> Text,
        deleted_at -> Timestamptz,
    }
}
