//! The records in an SQLite file.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use ractor_housekeeper::actors::Destination;
use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy, built_in};
use ractor_housekeeper::store::sqlite::{Pool, timestamp_text};
use ractor_housekeeper::store::{Schema, Timeouts};
use ractor_housekeeper::{HousekeeperArguments, SqliteStore};
use uuid::Uuid;

use super::{Booking, Contents, Deletion, Media, Opened, Records};
use crate::mailer::expirer;
use crate::{ACTIVITY_THROTTLE, Error};

pub(crate) struct SqliteRecords {
    store: SqliteStore,
    /// The guests' own, so that they and the housekeeper wait for each other at the database only.
    pool: Pool,
}

impl SqliteRecords {
    pub(crate) async fn open(path: &str) -> Result<Self, Error> {
        let store = SqliteStore::open(path).await?;
        store
            .migrate(&[Schema::Housekeeper, Schema::Outbox, Schema::Booking])
            .await?;
        store.set_activity_throttle(ACTIVITY_THROTTLE).await?;
        let patient = Timeouts {
            acquire: Duration::from_secs(20),
            lock: Duration::from_secs(10),
            ..Timeouts::default()
        };
        let guests = SqliteStore::open(path).await?.with_timeouts(patient)?;
        let records = Self {
            pool: guests.pool().clone(),
            store,
        };
        records
            .run(|conn| conn.batch_execute(RECORD_DELETIONS))
            .await?;
        Ok(records)
    }

    /// Runs a closure to its end, even if its caller is dropped: a connection must not be dropped
    /// while a statement runs.
    async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
    ) -> Result<R, Error> {
        let pool = self.pool.clone();
        let task = tokio::spawn(async move {
            let mut conn = pool.get().await?;
            Ok::<R, Error>(conn.spawn_blocking(work).await?)
        });
        task.await?
    }

    /// Changes a booking that is still Pending. Returns whether it was.
    async fn change(&self, booking: &str, change: Change) -> Result<bool, Error> {
        let booking = booking.to_owned();
        let changed = self
            .run(move |conn| {
                diesel::update(bookings::table.find(booking))
                    .filter(bookings::status.eq("Pending"))
                    .set((change, bookings::updated_at.eq(text(now()))))
                    .execute(conn)
            })
            .await?;
        Ok(changed == 1)
    }
}

#[derive(AsChangeset)]
#[diesel(table_name = bookings)]
struct Change {
    status: Option<&'static str>,
    held_until: Option<String>,
}

#[async_trait]
impl Records for SqliteRecords {
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
        self.run(move |conn| conn.immediate_transaction(|conn| open_session(conn, user, media)))
            .await
    }

    async fn write(&self, user: Uuid, session: &str) -> Result<Option<DateTime<Utc>>, Error> {
        let session = session.to_owned();
        self.run(move |conn| conn.immediate_transaction(|conn| write(conn, user, &session)))
            .await
    }

    async fn book(&self, user: Uuid) -> Result<String, Error> {
        self.run(move |conn| {
            let booking = fresh_id();
            let now = text(now());
            diesel::insert_into(bookings::table)
                .values((
                    bookings::booking_id.eq(&booking),
                    bookings::user_id.eq(user.to_string()),
                    bookings::created_at.eq(&now),
                    bookings::updated_at.eq(&now),
                ))
                .execute(conn)?;
            Ok(booking)
        })
        .await
    }

    async fn hold(&self, booking: &str, hold: Duration) -> Result<bool, Error> {
        let change = Change {
            status: None,
            held_until: Some(text(now() + hold)),
        };
        self.change(booking, change).await
    }

    async fn pay(&self, booking: &str) -> Result<bool, Error> {
        let change = Change {
            status: Some("Confirmed"),
            held_until: None,
        };
        self.change(booking, change).await
    }

    async fn contents(&self) -> Result<Contents, Error> {
        self.run(|conn| conn.transaction(contents)).await
    }
}

fn open_session(conn: &mut SqliteConnection, user: Uuid, media: Media) -> QueryResult<Opened> {
    let session = Opened {
        id: fresh_id(),
        at: now(),
    };
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(&session.id),
            sessions::user_id.eq(user.to_string()),
            sessions::created_at.eq(text(session.at)),
        ))
        .execute(conn)?;
    for _ in 0..media.images {
        diesel::insert_into(image_sent::table)
            .values((
                image_sent::id.eq(fresh_id()),
                image_sent::session_id.eq(&session.id),
            ))
            .execute(conn)?;
    }
    for _ in 0..media.videos {
        diesel::insert_into(video_sent::table)
            .values((
                video_sent::id.eq(fresh_id()),
                video_sent::session_id.eq(&session.id),
            ))
            .execute(conn)?;
    }
    Ok(session)
}

fn write(
    conn: &mut SqliteConnection,
    user: Uuid,
    session: &str,
) -> QueryResult<Option<DateTime<Utc>>> {
    let now = now();
    diesel::insert_into(messages::table)
        .values((
            messages::id.eq(fresh_id()),
            messages::user_id.eq(user.to_string()),
            messages::sender.eq("user"),
            messages::content.eq("Is the hut by the lake free?"),
            messages::timestamp.eq(text(now)),
        ))
        .execute(conn)?;
    let there: i64 = sessions::table.find(session).count().get_result(conn)?;
    Ok((there == 1).then_some(now))
}

fn contents(conn: &mut SqliteConnection) -> QueryResult<Contents> {
    let lines: Vec<BookingLine> = bookings::table
        .select((
            bookings::booking_id,
            bookings::status,
            bookings::created_at,
            bookings::held_until,
            bookings::updated_at,
        ))
        .load(conn)?;
    let deleted: Vec<(String, String)> = deletions::table.load(conn)?;
    Ok(Contents {
        bookings: lines.into_iter().map(booking).collect::<Result<_, _>>()?,
        sessions: sessions::table.select(sessions::id).load(conn)?,
        images: image_sent::table
            .select(image_sent::session_id)
            .load(conn)?,
        videos: video_sent::table
            .select(video_sent::session_id)
            .load(conn)?,
        deletions: deleted
            .into_iter()
            .map(deletion)
            .collect::<Result<_, _>>()?,
    })
}

/// Id, status, creation, hold, last change.
type BookingLine = (String, String, String, Option<String>, String);

fn booking((id, status, created, held, updated): BookingLine) -> QueryResult<Booking> {
    Ok(Booking {
        id,
        status,
        created_at: instant(&created)?,
        held_until: held.as_deref().map(instant).transpose()?,
        updated_at: instant(&updated)?,
    })
}

fn deletion((session, at): (String, String)) -> QueryResult<Deletion> {
    Ok(Deletion {
        session,
        at: instant(&at)?,
    })
}

fn fresh_id() -> String {
    Uuid::new_v4().to_string()
}

/// In microseconds, as the tables store it.
fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

fn text(instant: DateTime<Utc>) -> String {
    timestamp_text(instant)
}

fn instant(text: &str) -> QueryResult<DateTime<Utc>> {
    text.parse().map_err(|error: chrono::ParseError| {
        diesel::result::Error::DeserializationError(error.into())
    })
}

/// The application's own record of deleted sessions, so that the audit does not depend on the
/// housekeeper's reports.
const RECORD_DELETIONS: &str = "
create table deletions (session_id text not null primary key, deleted_at text not null);
create trigger record_deletion after delete on sessions
begin
    insert into deletions values (old.id, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'));
end;
";

diesel::table! {
    sessions (id) {
        id -> Text,
        user_id -> Text,
        created_at -> Text,
    }
}

diesel::table! {
    messages (id) {
        id -> Text,
        user_id -> Text,
        sender -> Text,
        content -> Text,
        timestamp -> Text,
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
        user_id -> Text,
        status -> Text,
        held_until -> Nullable<Text>,
        created_at -> Text,
        updated_at -> Text,
    }
}

diesel::table! {
    deletions (session_id) {
        session_id -> Text,
        deleted_at -> Text,
    }
}
