//! A pool as a host makes it: connections to which the host's code listens.

use std::path::Path;

use diesel::connection::{Connection, Instrumentation, InstrumentationEvent, SimpleConnection};
use diesel::{ConnectionError, ConnectionResult, SqliteConnection};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, bb8};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use ractor_housekeeper::store::sqlite::Pool;

/// One connection, which reports its statements to `listener`.
pub(crate) async fn pool(
    file: &Path,
    listener: impl Fn(InstrumentationEvent<'_>) + Clone + Send + Sync + 'static,
) -> Result<Pool, diesel_async::pooled_connection::PoolError> {
    let mut config = ManagerConfig::default();
    config.custom_setup = Box::new(move |path| {
        let opened = open(path, listener.clone());
        Box::pin(async { opened.map(SyncConnectionWrapper::new) })
    });
    let manager = AsyncDieselConnectionManager::new_with_config(file.display().to_string(), config);
    bb8::Pool::builder().max_size(1).build(manager).await
}

fn open(path: &str, listener: impl Instrumentation) -> ConnectionResult<SqliteConnection> {
    let mut conn = SqliteConnection::establish(path)?;
    conn.batch_execute("pragma busy_timeout = 1000; pragma foreign_keys = on")
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    conn.set_instrumentation(listener);
    Ok(conn)
}
