//! The steps of the jobs on Postgres, each one transaction.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use super::attempt::transact;
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
        transact!(self, Purpose::Read, what, |flight| self
            .instant(flight)
            .await?)
    }

    async fn check(&self) -> Result<(), StoreError> {
        let what = "check the booking schema";
        self.check_pooler().await?;
        transact!(self, Purpose::Read, what, |flight| {
            booking_check::check(flight).await?;
            self.keys.refresh(flight).await?;
        })
    }

    async fn activity_throttle(&self) -> Result<Duration, StoreError> {
        let what = "read the activity throttle";
        let throttle_us = transact!(self, Purpose::Read, what, |flight| {
            tables::throttle(flight).await?
        })?;
        Ok(Duration::from_micros(
            u64::try_from(throttle_us).unwrap_or(0),
        ))
    }

    async fn delete_idle_sessions(&self, pass: &BatchRequest) -> Result<Batch, StoreError> {
        let user = user_of(&pass.scope)?;
        if self.keys.are_stale() {
            self.has_new_keys().await;
        }
        let mut done = self.clean(pass, user).await?;
        if let Err(error) = &done {
            let refused = error.refusal().is_some() && self.keys.refuse();
            let again = error.concerns_statement() && self.has_new_keys().await;
            if refused || again {
                done = self.clean(pass, user).await?;
            }
        }
        match done {
            // One row that cannot go must not keep the others, nor must a connection.
            Err(error) if error.refusal().is_some() || error.may_concern_connection() => {
                let keeper = self.keys.keeper();
                transact!(self, Purpose::Write, CLEAN, |flight| {
                    sessions::delete(flight, pass, user, keeper.clone(), Manner::Each).await?
                })
            }
            done => done.map_err(|error| error.tell(CLEAN)),
        }
    }

    async fn idle_sessions(
        &self,
        cutoff: DateTime<Utc>,
        user: Option<Uuid>,
        page: &Page,
    ) -> Result<PreviewRows, StoreError> {
        let what = "list idle sessions";
        transact!(self, Purpose::Read, what, |flight| {
            sessions::preview(flight, cutoff, user, page).await?
        })
    }

    async fn session_forecast(
        &self,
        idle_after: Duration,
        rejected: &[String],
    ) -> Result<Forecast, StoreError> {
        let what = "look ahead at sessions";
        transact!(self, Purpose::Read, what, |flight| {
            let now = self.instant(flight).await?;
            sessions::forecast(flight, now, idle_after, rejected).await?
        })
    }

    async fn expire_bookings(&self, pass: &BatchRequest) -> Result<Batch, StoreError> {
        let what = "expire bookings";
        let user = user_of(&pass.scope)?;
        let mut flight = self.begin(Purpose::Write, what).await?;
        let done = bookings::expire(&mut flight, pass, user, Manner::Together).await;
        match flight.land(done).await {
            // One row that cannot change must not keep the others, nor must a connection.
            Err(error) if error.refusal().is_some() || error.may_concern_connection() => {
                transact!(self, Purpose::Write, what, |flight| {
                    bookings::expire(flight, pass, user, Manner::Each).await?
                })
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
        transact!(self, Purpose::Read, what, |flight| {
            bookings::preview(flight, now, cutoff, user, page).await?
        })
    }

    async fn booking_forecast(
        &self,
        expire_after: Duration,
        rejected: &[String],
    ) -> Result<Forecast, StoreError> {
        let what = "look ahead at bookings";
        transact!(self, Purpose::Read, what, |flight| {
            let now = self.instant(flight).await?;
            bookings::forecast(flight, now, expire_after, rejected).await?
        })
    }
}

impl PostgresStore {
    async fn clean(
        &self,
        pass: &BatchRequest,
        user: Option<Uuid>,
    ) -> Result<TxResult<Batch>, StoreError> {
        let mut flight = self.begin(Purpose::Write, CLEAN).await?;
        let keeper = self.keys.keeper();
        let done = sessions::delete(&mut flight, pass, user, keeper, Manner::Together).await;
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
        transact!(self, Purpose::Write, what, |flight| {
            history::record(flight, runs, keep).await?;
        })
    }

    async fn runs(&self, job: &JobName, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
        let what = "read past runs";
        transact!(self, Purpose::Read, what, |flight| {
            history::runs(flight, job, limit).await?
        })
    }
}
