//! Whether statements stay prepared behind a pooler.

use std::error::Error as _;
use std::time::Duration;

use diesel_async::pooled_connection::bb8::PooledConnection;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use super::PostgresStore;
use super::schema::pg_backend_pid;
use crate::model::StoreError;

impl PostgresStore {
    /// Checks, once, that a statement stays prepared from one transaction to the next.
    ///
    /// A pooler in transaction mode gives each transaction another server. Whether it prepares
    /// anew what the server lacks shows if a second connection takes the server that has it.
    ///
    /// # Errors
    ///
    /// The pooler does not, with what would be right. Nothing is said where it cannot be found out.
    pub(super) async fn check_pooler(&self) -> Result<(), StoreError> {
        // One job at a time, so that no two of them hold a connection each and wait for another.
        let mut is_checked = self.pooler_is_checked.lock().await;
        if *is_checked {
            return Ok(());
        }
        let (Some(mut first), Some(mut second)) = (self.soon().await, self.soon().await) else {
            // A pool of one connection never has two.
            *is_checked = true;
            return Ok(());
        };
        let probed = probe(&mut first, &mut second).await;
        for conn in [&mut first, &mut second] {
            let _ = conn.batch_execute("ROLLBACK").await;
        }
        match probed {
            Some(Err(said)) => {
                for conn in [&mut first, &mut second] {
                    super::flight::condemn(conn);
                }
                Err(StoreError::Schema(format!("{ADVICE} (it said: {said})")))
            }
            Some(Ok(())) => {
                *is_checked = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A connection, if the pool has one to spare.
    async fn soon(&self) -> Option<PooledConnection<'static, AsyncPgConnection>> {
        let connection = tokio::time::timeout(SOON, self.pool.get_owned()).await;
        connection.ok()?.ok()
    }
}

/// Returns whether a prepared statement exists in the transaction after its own; `None` if
/// something else failed.
async fn probe(
    first: &mut AsyncPgConnection,
    second: &mut AsyncPgConnection,
) -> Option<Result<(), String>> {
    let pid = async |conn: &mut AsyncPgConnection| {
        let asked = diesel::select(pg_backend_pid());
        asked.get_result::<i32>(conn).await
    };
    first.batch_execute(BEGIN).await.ok()?;
    let prepared = pid(first).await;
    first.batch_execute("COMMIT").await.ok()?;
    if let Err(error) = prepared {
        return Some(Err(error.to_string()));
    }
    second.batch_execute("BEGIN").await.ok()?;
    // Not a prepared statement: it would fail for the same reason.
    second.batch_execute("SELECT 1").await.ok()?;
    first.batch_execute(BEGIN).await.ok()?;
    Some(
        pid(first)
            .await
            .map(drop)
            .map_err(|error| error.to_string()),
    )
}

/// Why a new connection cannot be set up, if it is for a pooler that loses prepared statements.
///
/// diesel prepares statements when it takes over a connection, and hides the code of the error, so
/// another connection is asked.
pub(super) async fn explain(url: &str) -> Option<String> {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls).await.ok()?;
    let error = tokio::select! {
        prepared = client.prepare("SELECT 1") => prepared.err()?,
        _ = &mut connection => return None,
    };
    let code = error.code()?;
    let is_lost =
        *code == SqlState::DUPLICATE_PSTATEMENT || *code == SqlState::INVALID_SQL_STATEMENT_NAME;
    is_lost.then(|| {
        let said = error.source().map(ToString::to_string).unwrap_or_default();
        format!("{ADVICE} (it said: {said})")
    })
}

/// A short timeout that the session has says nothing of a pooler.
const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = 5000";

const ADVICE: &str = "statements do not stay prepared on this connection: a pooler in transaction mode stands between; let it keep them \
     (`max_prepared_statements` of PgBouncer 1.21), or connect to it in session mode, or to the server";

/// Longest wait for a connection to probe with.
const SOON: Duration = Duration::from_millis(500);
