//! Work in a transaction, tried again on another connection where the first may be at fault.

use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::bb8::Pool;

use super::flight::Flight;
use crate::model::StoreError;
use crate::store::tx_error::{TxError, TxResult};

/// Runs work in a transaction, and commits what succeeded: `transact!(store, purpose, what,
/// |flight| work)`, with `timeouts` as a last argument where they are not the store's. A macro,
/// because the future of an async closure that borrows cannot be sent.
///
/// A connection may fail at everything and yet be alive: what it has prepared is stale, the server
/// behind it reads only, its protocol is out of step. A failure that may be the connection's closes
/// it ([`Flight::land`]), and the work runs again at once on the next one, at most as often as the
/// pool has connections that may be as old. Nothing is tried again after a commit was sent, after
/// an attempt that took a second, or once four seconds have passed.
macro_rules! transact {
    ($store:expr, $purpose:expr, $what:expr, |$flight:ident| $work:expr) => {
        $crate::store::postgres::attempt::transact!(
            $store,
            $purpose,
            $what,
            |$flight| $work,
            $store.timeouts
        )
    };
    ($store:expr, $purpose:expr, $what:expr, |$flight:ident| $work:expr, $timeouts:expr) => {{
        let mut attempts = $crate::store::postgres::attempt::Attempts::new(&$store.pool, $what);
        loop {
            let done = match $store.open($timeouts, $purpose).await {
                Ok(Ok(mut opened)) => {
                    let worked = {
                        let $flight = &mut opened;
                        async { $crate::store::tx_error::TxResult::Ok($work) }.await
                    };
                    attempts.land(opened, worked).await
                }
                Ok(Err(error)) => attempts.fail(error),
                Err(error) => Some(Err(error)),
            };
            if let Some(done) = done {
                break done;
            }
        }
    }};
}
pub(super) use transact;

/// The attempts at one piece of work.
pub(super) struct Attempts<'s> {
    pool: &'s Pool<AsyncPgConnection>,
    what: &'static str,
    began: Instant,
    attempt_began: Instant,
    /// Connections of the pool that may be as old as one that failed.
    left: Option<u32>,
}

impl<'s> Attempts<'s> {
    pub(super) fn new(pool: &'s Pool<AsyncPgConnection>, what: &'static str) -> Self {
        Self {
            pool,
            what,
            began: Instant::now(),
            attempt_began: Instant::now(),
            left: None,
        }
    }

    /// Ends the transaction. Returns the result, or `None` if the work should run again.
    pub(super) async fn land<T>(
        &mut self,
        flight: Flight,
        worked: TxResult<T>,
    ) -> Option<Result<T, StoreError>> {
        if worked.is_ok() {
            let landed = flight.land(worked).await;
            return Some(landed.map_err(|error| error.into_store_error(self.what)));
        }
        match flight.land(worked).await {
            Ok(done) => Some(Ok(done)),
            Err(error) => self.fail(error),
        }
    }

    /// Returns the error, or `None` if the work should run again.
    pub(super) fn fail<T>(&mut self, error: TxError) -> Option<Result<T, StoreError>> {
        let pool = self.pool;
        let left = self
            .left
            // One more is opened for the work.
            .get_or_insert_with(|| pool.state().connections.min(MAX_ATTEMPTS) + 1);
        let is_soon =
            self.attempt_began.elapsed() < MAX_ATTEMPT && self.began.elapsed() < RETRY_WITHIN;
        if error.may_concern_connection() && *left > 0 && is_soon {
            *left -= 1;
            self.attempt_began = Instant::now();
            return None;
        }
        Some(Err(error.into_store_error(self.what)))
    }
}

/// More connections than a host's pool is likely to have.
pub(super) const MAX_ATTEMPTS: u32 = 32;

/// A failure that took longer is a timeout, which another connection would meet as well.
const MAX_ATTEMPT: Duration = Duration::from_secs(1);

/// All attempts together. A pool of connections that are all at fault heals within five seconds.
const RETRY_WITHIN: Duration = Duration::from_secs(4);

impl TxError {
    /// Returns whether the connection may be at fault.
    ///
    /// Diesel hides the SQLSTATE of most errors. It names those that are about rows, and those of a
    /// race; the connection may be at fault for any other.
    pub(super) fn may_concern_connection(&self) -> bool {
        use diesel::result::DatabaseErrorKind::{
            CheckViolation, ExclusionViolation, ForeignKeyViolation, NotNullViolation,
            RestrictViolation, SerializationFailure, UniqueViolation,
        };
        use diesel::result::Error::{DatabaseError, DeserializationError};
        match self {
            Self::Query(DatabaseError(kind, _)) => !matches!(
                kind,
                CheckViolation
                    | ExclusionViolation
                    | ForeignKeyViolation
                    | NotNullViolation
                    | RestrictViolation
                    | SerializationFailure
                    | UniqueViolation
            ),
            Self::Query(error) => matches!(error, DeserializationError(_)),
            Self::Session(_) => true,
            Self::Schema(_) | Self::SuppressedByTrigger => false,
            #[cfg(feature = "sqlite")]
            Self::StillDue => false,
        }
    }
}
