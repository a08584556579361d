//! The steps of the jobs on Postgres, each one transaction.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use super::flight::Purpose;
use super::manner::Manner;
use super::{PostgresStore, booking_check, bookings, history, sessions, settle, tables};
use crate::job::{Batch, BatchRequest, Forecast, JobName, Page, PreviewRows};
use crate::model::{RunHistory, RunRecord, StoreError};
use crate::store::tx_error::TxResult;
use crate::store::{Store, user_of};

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
        let done = match booking_check::check(&mut flight).await {
            Ok(()) => self.keys.refresh(&mut flight).await.map_err(Into::into),
            Err(error) => Err(error),
        };
        settle(flight, done, what).await.map(drop)
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

    async fn delete_idle_sessions(&self, pass: &BatchRequest) -> Result<Batch, StoreError> {
        let user = user_of(&pass.scope)?;
        if self.keys.are_stale() {
            self.has_new_keys().await;
        }
        let mut done = self.clean(pass, user, Manner::Together).await?;
        if let Err(error) = &done {
            let refused = error.refusal().is_some() && self.keys.refuse();
            let again = error.concerns_statement() && self.has_new_keys().await;
            if refused || again {
                done = self.clean(pass, user, Manner::Together).await?;
            }
        }
        // One row that cannot go must not keep the others.
        if done.as_ref().is_err_and(|error| error.refusal().is_some()) {
            done = self.clean(pass, user, Manner::Each).await?;
        }
        done.map_err(|error| error.tell(CLEAN))
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

    async fn session_forecast(
        &self,
        idle_after: Duration,
        rejected: &[String],
    ) -> Result<Forecast, StoreError> {
        let what = "look ahead at sessions";
        let mut flight = self.begin(Purpose::Read, what).await?;
        let forecast = match self.instant(&mut flight).await {
            Ok(now) => sessions::forecast(&mut flight, now, idle_after, rejected).await,
            Err(error) => Err(error),
        };
        settle(flight, forecast.map_err(Into::into), what).await
    }

    async fn expire_bookings(&self, pass: &BatchRequest) -> Result<Batch, StoreError> {
        let what = "expire bookings";
        let user = user_of(&pass.scope)?;
        let mut flight = self.begin(Purpose::Write, what).await?;
        let done = bookings::expire(&mut flight, pass, user, Manner::Together).await;
        match flight.land(done).await {
            // One row that cannot change must not keep the others.
            Err(error) if error.refusal().is_some() => {
                let mut flight = self.begin(Purpose::Write, what).await?;
                let done = bookings::expire(&mut flight, pass, user, Manner::Each).await;
                settle(flight, done, what).await
            }
            done => done.map_err(|error| error.tell(what)),
        }
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

    async fn booking_forecast(
        &self,
        expire_after: Duration,
        rejected: &[String],
    ) -> Result<Forecast, StoreError> {
        let what = "look ahead at bookings";
        let mut flight = self.begin(Purpose::Read, what).await?;
        let forecast = match self.instant(&mut flight).await {
            Ok(now) => bookings::forecast(&mut flight, now, expire_after, rejected).await,
            Err(error) => Err(error),
        };
        settle(flight, forecast.map_err(Into::into), what).await
    }
}

impl PostgresStore {
    async fn clean(
        &self,
        pass: &BatchRequest,
        user: Option<Uuid>,
        manner: Manner,
    ) -> Result<TxResult<Batch>, StoreError> {
        let mut flight = self.begin(Purpose::Write, CLEAN).await?;
        let keeper = self.keys.keeper();
        let done = sessions::delete(&mut flight, pass, user, keeper, manner).await;
        Ok(flight.land(done).await)
    }

    /// Whether the host's foreign keys are others than they were. If that cannot be read, the error
    /// that made us ask says more.
    async fn has_new_keys(&self) -> bool {
        let what = "read the foreign keys";
        let Ok(mut flight) = self.begin(Purpose::Read, what).await else {
            return false;
        };
        let read = self.keys.refresh(&mut flight).await;
        settle(flight, read.map_err(Into::into), what)
            .await
            .unwrap_or(false)
    }
}

const CLEAN: &str = "delete idle sessions";

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
