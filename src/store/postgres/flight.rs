//! One transaction, from the pool and back.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use diesel::dsl::sql;
use diesel::sql_types::Bool;
use diesel_async::pooled_connection::bb8::PooledConnection;
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, RunQueryDsl, TransactionManager};
use tokio_postgres::{CancelToken, NoTls};

use crate::store::timeouts::Timeouts;
use crate::store::tx_error::{TxError, TxResult};

/// A connection inside a transaction.
///
/// Dropped before [`land`](Flight::land) has ended, because its worker was killed or ran out of
/// time, it ends the statement that may be running and closes the connection, which rolls back. Its
/// rows are free again within milliseconds.
pub(super) struct Flight {
    conn: PooledConnection<'static, AsyncPgConnection>,
    cancel: CancelToken,
    landed: bool,
    /// Runs once the commit is confirmed, or the transaction rolled back.
    on_certain_end: Option<Box<dyn FnOnce() + Send>>,
}

/// The purpose of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Changes rows. Each statement sees what was committed before it, whatever the host's default
    /// is: the second look at a locked row depends on it. Where the host's default is to read only,
    /// nothing is written.
    Write,
    /// Only looks: all statements see the same instant.
    Read,
    /// Changes rows that an index leads to, whatever the planner believes of a table it has no
    /// statistics of.
    Sweep,
    /// Looks at rows that an index leads to.
    Look,
}

impl Flight {
    /// Begins a transaction with limits.
    pub(super) async fn begin(
        conn: PooledConnection<'static, AsyncPgConnection>,
        timeouts: Timeouts,
        purpose: Purpose,
        search_path: &str,
    ) -> TxResult<Self> {
        let mut flight = Self {
            cancel: conn.cancel_token(),
            conn,
            landed: false,
            on_certain_end: None,
        };
        match flight.open(timeouts, purpose, search_path).await {
            Ok(()) => Ok(flight),
            Err(error) => match flight.land(Err(error.into())).await {
                Err(error) => Err(error),
                Ok(()) => Err(TxError::other("a failed transaction was committed")),
            },
        }
    }

    async fn open(
        &mut self,
        timeouts: Timeouts,
        purpose: Purpose,
        search_path: &str,
    ) -> diesel::QueryResult<()> {
        let begin = match purpose {
            Purpose::Write | Purpose::Sweep => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Purpose::Read | Purpose::Look => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        // For this transaction only, so that nothing is left behind in a connection that others
        // share.
        let statement = milliseconds(timeouts.statement);
        let lock = milliseconds(timeouts.lock);
        let planner = match purpose {
            Purpose::Sweep | Purpose::Look => BY_INDEX,
            Purpose::Write | Purpose::Read => "",
        };
        let path = match search_path {
            "" => String::new(),
            path => format!("; SET LOCAL search_path = {path}"),
        };
        let begin = format!(
            "{begin}; SET LOCAL statement_timeout = {statement}; SET LOCAL lock_timeout = {lock}; \
             SET LOCAL idle_in_transaction_session_timeout = {statement}{planner}{path}"
        );
        let conn = &mut *self.conn;
        let opened = AnsiTransactionManager::begin_transaction_sql(conn, &begin).await;
        if opened.is_err() {
            // The transaction may have begun without diesel's knowledge, so the pool has to close
            // the connection.
            condemn(conn);
        }
        opened
    }

    /// Runs this once the commit is confirmed, or the transaction rolled back.
    pub(super) fn on_certain_end(&mut self, run: impl FnOnce() + Send + 'static) {
        self.on_certain_end = Some(Box::new(run));
    }

    /// Commits what went well, and rolls back what did not. The pool closes a connection that may
    /// be at fault.
    pub(super) async fn land<R>(mut self, done: TxResult<R>) -> TxResult<R> {
        let conn = &mut *self.conn;
        let was_to_commit = done.is_ok();
        let done = match done {
            Ok(value) => AnsiTransactionManager::commit_transaction(conn)
                .await
                .map(|()| value)
                .map_err(TxError::from),
            Err(error) => {
                // If this fails as well, the pool finds the transaction still open and closes the
                // connection.
                let _ = AnsiTransactionManager::rollback_transaction(conn).await;
                let error = match error {
                    TxError::Schema(text) if has_own_role(conn).await => TxError::Session(text),
                    error => error,
                };
                if error.may_concern_connection() {
                    condemn(conn);
                }
                Err(error)
            }
        };
        self.landed = true;
        // A commit that failed may have succeeded.
        if done.is_ok() || !was_to_commit {
            self.on_certain_end.take().into_iter().for_each(|run| run());
        }
        done
    }
}

/// Returns whether the role of a connection was changed: another connection may find the tables
/// that this one does not.
async fn has_own_role(conn: &mut AsyncPgConnection) -> bool {
    let found = diesel::select(sql::<Bool>(
        "exists (select from pg_settings where source = 'session' and name in ('role', 'session_authorization'))",
    ));
    found.get_result(conn).await.unwrap_or(false)
}

/// Has the pool, ours or the host's, close a connection instead of handing it out again.
pub(super) fn condemn(conn: &mut AsyncPgConnection) {
    AnsiTransactionManager::transaction_manager_status_mut(conn).set_in_error();
}

impl Deref for Flight {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        &self.conn
    }
}

impl DerefMut for Flight {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        &mut self.conn
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.landed {
            return;
        }
        // The pool closes the connection, but the server notices only when its statement ends. Over
        // the host's TLS this request is refused, and the limit of the statement ends it.
        let cancel = self.cancel.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = tokio::time::timeout(CANCEL, cancel.cancel_query(NoTls)).await;
            });
        }
    }
}

/// The planner's estimate of a table that was never analyzed may be wrong by any factor, and the
/// role or the database may discourage what finds single rows.
const BY_INDEX: &str = "; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; \
                        SET LOCAL jit = off; SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on; \
                        SET LOCAL enable_tidscan = on; SET LOCAL enable_nestloop = on; SET LOCAL random_page_cost = 4";

/// As Postgres reads a limit without a unit. Zero would be no limit at all.
fn milliseconds(limit: Duration) -> u128 {
    limit.as_millis().clamp(1, 2_147_483_647)
}

/// Longest attempt to end a statement whose worker is gone.
const CANCEL: Duration = Duration::from_secs(5);
