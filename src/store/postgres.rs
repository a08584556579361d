//! The store on Postgres.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use diesel_async::pooled_connection::bb8;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::error::StoreError;
use super::limits::Limits;
use super::migrations::Schema;
use super::trouble::Tried;
use super::{RunHistory, Store, user_of};
use crate::batch::{Batch, Pass};
use crate::clock::Clock;
use crate::history::RunRecord;
use crate::job::JobName;
use crate::outlook::Outlook;
use crate::preview::{Page, PreviewRows};

mod bookings;
mod connect;
mod flight;
mod history;
mod schema;
mod sessions;
mod tables;

use connect::LastError;
use flight::{Flight, Purpose};
use sessions::Manner;

/// A pool of Postgres connections, as a host hands it in.
pub type Pool = bb8::Pool<AsyncPgConnection>;

/// The booking schema in a Postgres database.
///
/// Clones share one pool. The clock that decides is the database's.
///
/// # Examples
///
/// ```no_run
/// use ractor_housekeeper::store::postgres::PostgresStore;
/// use ractor_housekeeper::store::Schema;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::connect("postgres://app:secret@localhost/app")?;
/// store.migrate(&[Schema::Housekeeper, Schema::Booking]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    pool: Pool,
    /// The URL, if the pool is our own and can be built again.
    url: Option<Arc<str>>,
    last_error: LastError,
    clock: Option<Arc<dyn Clock>>,
    limits: Limits,
}

impl PostgresStore {
    /// A store with a pool of its own, without TLS. Connects when it is first used: the database may be away now.
    ///
    /// Fails if the URL cannot be right, or asks for TLS. The error never holds the URL.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, which the pool needs.
    pub fn connect(url: &str) -> Result<Self, StoreError> {
        connect::check(url)?;
        let limits = Limits::default();
        let last_error = LastError::default();
        Ok(Self {
            pool: connect::pool(url, &limits, &last_error),
            url: Some(url.into()),
            last_error,
            clock: None,
            limits,
        })
    }

    /// A store on a pool of the host's, with its TLS and credentials.
    #[must_use]
    pub fn with_pool(pool: Pool) -> Self {
        Self {
            pool,
            url: None,
            last_error: LastError::default(),
            clock: None,
            limits: Limits::default(),
        }
    }

    /// Takes the time from a clock other than the database's, in tests for example.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Sets how long a step may take.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        if let Some(url) = &self.url {
            self.pool = connect::pool(url, &limits, &self.last_error);
        }
        self
    }

    /// The pool, for the host's own queries.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Makes the tables of these sets that are not there yet. Each set is one transaction; safe when several processes start at once.
    ///
    /// Fails with [`StoreError::Schema`] if a table of that name is there that this crate did not make.
    pub async fn migrate(&self, schemas: &[Schema]) -> Result<(), StoreError> {
        let what = "migrate";
        for schema in schemas {
            let mut flight = self.begin_patiently(what).await?;
            let done = tables::migrate(&mut flight, *schema).await;
            settle(flight, done, what).await?;
        }
        Ok(())
    }

    /// Drops the tables of a set, with all that is in them, if [`migrate`](PostgresStore::migrate) made them.
    pub async fn revert(&self, schema: Schema) -> Result<(), StoreError> {
        let what = "revert the migrations";
        let mut flight = self.begin_patiently(what).await?;
        let done = tables::revert(&mut flight, schema).await;
        settle(flight, done, what).await
    }

    /// Sets how far `sessions.last_activity_at` may lag behind, for all who use this database. Must stay under half of `idle_after`.
    pub async fn set_activity_throttle(&self, throttle: Duration) -> Result<(), StoreError> {
        let what = "set the activity throttle";
        let throttle_us = i64::try_from(throttle.as_micros()).unwrap_or(i64::MAX);
        let mut flight = self.begin(Purpose::Write, what).await?;
        let done = tables::set_throttle(&mut flight, throttle_us).await;
        settle(flight, done.map_err(Into::into), what).await
    }

    async fn begin(&self, purpose: Purpose, what: &'static str) -> Result<Flight, StoreError> {
        self.begin_within(self.limits, purpose, what).await
    }

    /// For migrations, which wait for each other.
    async fn begin_patiently(&self, what: &'static str) -> Result<Flight, StoreError> {
        let limits = Limits {
            lock: self.limits.statement,
            ..self.limits
        };
        self.begin_within(limits, Purpose::Write, what).await
    }

    async fn begin_within(
        &self,
        limits: Limits,
        purpose: Purpose,
        what: &'static str,
    ) -> Result<Flight, StoreError> {
        self.last_error.take();
        match Flight::begin(&self.pool, limits, purpose, what).await {
            Err(StoreError::Connect {
                database,
                limit,
                source,
            }) => Err(StoreError::Connect {
                database,
                limit,
                // The pool itself only knows that it ran out of time.
                source: self.last_error.take().map_or(source, Into::into),
            }),
            begun => begun,
        }
    }

    /// The clock's now, or the database's.
    async fn instant(&self, conn: &mut AsyncPgConnection) -> diesel::QueryResult<DateTime<Utc>> {
        match &self.clock {
            Some(clock) => Ok(clock.now().trunc_subsecs(6)),
            None => {
                diesel::select(schema::clock_timestamp())
                    .get_result(conn)
                    .await
            }
        }
    }
}

async fn settle<R>(flight: Flight, done: Tried<R>, what: &'static str) -> Result<R, StoreError> {
    flight
        .land(done)
        .await
        .map_err(|trouble| trouble.tell(what))
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL: it may hold a password.
        f.debug_struct("PostgresStore")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        if let Some(clock) = &self.clock {
            return Ok(clock.now().trunc_subsecs(6));
        }
        let what = "read the database's clock";
        let mut flight = self.begin(Purpose::Read, what).await?;
        let now = self.instant(&mut flight).await;
        settle(flight, now.map_err(Into::into), what).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        let what = "check the booking schema";
        let mut flight = self.begin(Purpose::Read, what).await?;
        let done = tables::check(&mut flight).await;
        settle(flight, done, what).await
    }

    async fn activity_throttle(&self) -> Result<Duration, StoreError> {
        let what = "read the activity throttle";
        let mut flight = self.begin(Purpose::Read, what).await?;
        let throttle_us = tables::throttle(&mut flight).await;
        let throttle_us = settle(flight, throttle_us.map_err(Into::into), what).await?;
        Ok(Duration::from_micros(
            u64::try_from(throttle_us).unwrap_or(0),
        ))
    }

    async fn delete_idle_sessions(&self, pass: &Pass) -> Result<Batch, StoreError> {
        let what = "delete idle sessions";
        let user = user_of(&pass.scope)?;
        let mut flight = self.begin(Purpose::Write, what).await?;
        let done = sessions::delete(&mut flight, pass, user, Manner::Together).await;
        match flight.land(done).await {
            // One row that cannot go must not keep the others.
            Err(trouble) if trouble.refusal().is_some() => {
                let mut flight = self.begin(Purpose::Write, what).await?;
                let done = sessions::delete(&mut flight, pass, user, Manner::Each).await;
                settle(flight, done, what).await
            }
            done => done.map_err(|trouble| trouble.tell(what)),
        }
    }

    async fn idle_sessions(
        &self,
        cutoff: DateTime<Utc>,
        user: Option<Uuid>,
        page: &Page,
    ) -> Result<PreviewRows, StoreError> {
        let what = "list idle sessions";
        let mut flight = self.begin(Purpose::Read, what).await?;
        let rows = sessions::preview(&mut flight, cutoff, user, page).await;
        settle(flight, rows.map_err(Into::into), what).await
    }

    async fn session_outlook(
        &self,
        idle_after: Duration,
        set_aside: &[String],
    ) -> Result<Outlook, StoreError> {
        let what = "look ahead at sessions";
        let mut flight = self.begin(Purpose::Read, what).await?;
        let outlook = match self.instant(&mut flight).await {
            Ok(now) => sessions::outlook(&mut flight, now, idle_after, set_aside).await,
            Err(error) => Err(error),
        };
        settle(flight, outlook.map_err(Into::into), what).await
    }

    async fn expire_bookings(&self, pass: &Pass) -> Result<Batch, StoreError> {
        let what = "expire bookings";
        let user = user_of(&pass.scope)?;
        let mut flight = self.begin(Purpose::Write, what).await?;
        let batch = bookings::expire(&mut flight, pass, user).await;
        settle(flight, batch.map_err(Into::into), what).await
    }

    async fn overdue_bookings(
        &self,
        now: DateTime<Utc>,
        cutoff: DateTime<Utc>,
        user: Option<Uuid>,
        page: &Page,
    ) -> Result<PreviewRows, StoreError> {
        let what = "list overdue bookings";
        let mut flight = self.begin(Purpose::Read, what).await?;
        let rows = bookings::preview(&mut flight, now, cutoff, user, page).await;
        settle(flight, rows.map_err(Into::into), what).await
    }

    async fn booking_outlook(
        &self,
        expire_after: Duration,
        set_aside: &[String],
    ) -> Result<Outlook, StoreError> {
        let what = "look ahead at bookings";
        let mut flight = self.begin(Purpose::Read, what).await?;
        let outlook = match self.instant(&mut flight).await {
            Ok(now) => bookings::outlook(&mut flight, now, expire_after, set_aside).await,
            Err(error) => Err(error),
        };
        settle(flight, outlook.map_err(Into::into), what).await
    }
}

#[async_trait]
impl RunHistory for PostgresStore {
    async fn record(&self, runs: &[RunRecord], keep: u32) -> Result<(), StoreError> {
        let what = "record runs";
        let mut flight = self.begin(Purpose::Write, what).await?;
        let done = history::record(&mut flight, runs, keep).await;
        settle(flight, done, what).await
    }

    async fn runs(&self, job: &JobName, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
        let what = "read past runs";
        let mut flight = self.begin(Purpose::Read, what).await?;
        let runs = history::runs(&mut flight, job, limit).await;
        settle(flight, runs, what).await
    }
}

/// As errors name it.
const DATABASE: &str = "Postgres";
