//! The steps of the jobs on SQLite, each one transaction.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{SqliteStore, bookings, history, sessions, tables};
use crate::job::{Batch, BatchRequest, Forecast, JobName, Page, PreviewRows};
use crate::model::{RunHistory, RunRecord, StoreError};
use crate::store::{Store, user_of};

#[async_trait]
impl Store for SqliteStore {
    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(self.instant())
    }

    async fn check(&self) -> Result<(), StoreError> {
        let keys = self.keys.clone();
        let without_index = self
            .run("check the booking schema", move |conn| {
                tables::check(conn)?;
                Ok(keys.without_index(conn)?)
            })
            .await?;
        if !self.warned.swap(true, Ordering::Relaxed) {
            for key in without_index {
                key.warn_without_index("create index");
            }
        }
        Ok(())
    }

    async fn activity_throttle(&self) -> Result<Duration, StoreError> {
        let throttle_us = self
            .run("read the activity throttle", |conn| {
                Ok(tables::throttle(conn)?)
            })
            .await?;
        Ok(Duration::from_micros(
            u64::try_from(throttle_us).unwrap_or(0),
        ))
    }

    async fn delete_idle_sessions(&self, pass: &BatchRequest) -> Result<Batch, StoreError> {
        let user = user_of(&pass.scope)?;
        let (pass, windows, keys) = (pass.clone(), self.windows.clone(), self.keys.clone());
        self.run("delete idle sessions", move |conn| {
            sessions::delete(conn, &pass, user, &windows.sessions, &keys)
        })
        .await
    }

    async fn idle_sessions(
        &self,
        cutoff: DateTime<Utc>,
        user: Option<Uuid>,
        page: &Page,
    ) -> Result<PreviewRows, StoreError> {
        let page = page.clone();
        self.run("list idle sessions", move |conn| {
            Ok(sessions::preview(conn, cutoff, user, &page)?)
        })
        .await
    }

    async fn session_forecast(
        &self,
        idle_after: Duration,
        rejected: &[String],
    ) -> Result<Forecast, StoreError> {
        let now = self.instant();
        let rejected = rejected.to_vec();
        self.run_last("look ahead at sessions", move |conn| {
            Ok(sessions::forecast(conn, now, idle_after, &rejected)?)
        })
        .await
    }

    async fn expire_bookings(&self, pass: &BatchRequest) -> Result<Batch, StoreError> {
        let user = user_of(&pass.scope)?;
        let (pass, windows) = (pass.clone(), self.windows.clone());
        self.run("expire bookings", move |conn| {
            bookings::expire(conn, &pass, user, &windows.bookings)
        })
        .await
    }

    async fn overdue_bookings(
        &self,
        now: DateTime<Utc>,
        cutoff: DateTime<Utc>,
        user: Option<Uuid>,
        page: &Page,
    ) -> Result<PreviewRows, StoreError> {
        let page = page.clone();
        self.run("list overdue bookings", move |conn| {
            Ok(bookings::preview(conn, now, cutoff, user, &page)?)
        })
        .await
    }

    async fn booking_forecast(
        &self,
        expire_after: Duration,
        rejected: &[String],
    ) -> Result<Forecast, StoreError> {
        let now = self.instant();
        let rejected = rejected.to_vec();
        self.run_last("look ahead at bookings", move |conn| {
            Ok(bookings::forecast(conn, now, expire_after, &rejected)?)
        })
        .await
    }
}

#[async_trait]
impl RunHistory for SqliteStore {
    async fn record(&self, runs: &[RunRecord], keep: u32) -> Result<(), StoreError> {
        let runs = runs.to_vec();
        self.run_for("record runs", move |conn, caller| {
            history::record(conn, &runs, keep, caller)
        })
        .await
    }

    async fn runs(&self, job: &JobName, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
        let job = job.clone();
        self.run("read past runs", move |conn| {
            history::runs(conn, &job, limit)
        })
        .await
    }
}
