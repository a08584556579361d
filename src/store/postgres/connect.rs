//! Connecting to Postgres.

use std::error::Error as _;
use std::time::Duration;

use diesel::result::{ConnectionError, ConnectionResult, DatabaseErrorKind, Error, QueryResult};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use tokio_postgres::config::{ChannelBinding, SslMode, SslNegotiation};
use tokio_postgres::{Config, NoTls};

use super::{DATABASE, Pool, parameters};
use crate::model::StoreError;
use crate::store::last_error::LastError;
use crate::store::timeouts::Timeouts;

/// A pool of our own. Connects to nothing yet.
pub(super) fn pool(url: &str, timeouts: &Timeouts, last_error: &LastError) -> Pool {
    let mut config = ManagerConfig::default();
    // A little shorter than the wait of a caller, so that the caller sees the reason. Without a
    // timeout, a server that accepts the connection and then sends nothing would block the pool,
    // and with it all callers, for good.
    let limit = timeouts.acquire.mul_f64(0.9);
    // The same of a connection that has been idle: in this time, several of them can be found dead.
    let probe_limit = timeouts.acquire / 8;
    config.recycling_method =
        RecyclingMethod::CustomFunction(Box::new(move |conn| Box::pin(probe(conn, probe_limit))));
    config.custom_setup = Box::new(move |url| Box::pin(connect(url.to_owned(), limit)));
    bb8::Pool::builder()
        .max_size(POOL_SIZE)
        .connection_timeout(timeouts.acquire)
        .error_sink(Box::new(last_error.clone()))
        .build_unchecked(AsyncDieselConnectionManager::new_with_config(url, config))
}

/// As diesel connects, but an error says its cause as well: without it, a refused password reads
/// like a wrong port.
async fn connect(url: String, limit: Duration) -> ConnectionResult<AsyncPgConnection> {
    let connected = async {
        match tokio_postgres::connect(&url, NoTls).await {
            Ok((client, connection)) => {
                let taken = AsyncPgConnection::try_from_client_and_connection(client, connection);
                match taken.await {
                    Ok(connected) => Ok(connected),
                    Err(error) => Err(match super::pooler::explain(&url).await {
                        Some(text) => ConnectionError::BadConnection(text),
                        None => error,
                    }),
                }
            }
            Err(error) => {
                let mut text = error.to_string();
                if let Some(cause) = error.source() {
                    text.push_str(": ");
                    text.push_str(&cause.to_string());
                }
                Err(ConnectionError::BadConnection(text))
            }
        }
    };
    tokio::time::timeout(limit, connected)
        .await
        .unwrap_or_else(|_| Err(ConnectionError::BadConnection(SILENT.to_owned())))
}

/// Asks an idle connection whether it is there.
async fn probe(conn: &mut AsyncPgConnection, limit: Duration) -> QueryResult<()> {
    tokio::time::timeout(limit, conn.batch_execute(""))
        .await
        .unwrap_or_else(|_| {
            let kind = DatabaseErrorKind::ClosedConnection;
            Err(Error::DatabaseError(kind, Box::new(SILENT.to_owned())))
        })
}

/// Checks a URL without using it. No error quotes the URL, which may hold a password in an
/// unexpected place.
pub(super) fn check(url: &str) -> Result<(), StoreError> {
    let problem = match url.split_once("://") {
        _ if url.trim().is_empty() => Some(format!("the URL is empty; give `{SHAPE}`")),
        // As it comes from a file, or from a shell.
        Some(_) if url != url.trim() => Some(format!(
            "white space stands before or behind it; give `{SHAPE}`"
        )),
        _ if url.starts_with(['"', '\'']) => Some(format!("it stands in quotes; give `{SHAPE}`")),
        // As Npgsql writes it.
        None if of_semicolons(url) => Some(format!(
            "its form is that of another client; give `{SHAPE}`"
        )),
        None if url.contains('=') => None,
        // The driver takes the rest of such a password for the host.
        Some(("postgres" | "postgresql", rest)) if ats_before_parameters(rest) > 1 => {
            Some("it has more than one `@`; escape those in the password as `%40`".to_owned())
        }
        Some(("postgres" | "postgresql", _)) => None,
        Some((scheme, _)) if ["postgres", "postgresql"].contains(&&*scheme.to_lowercase()) => {
            Some(format!("its scheme stands in capitals; give `{SHAPE}`"))
        }
        // As JDBC, SQLAlchemy and Prisma write it.
        Some((scheme, _)) if of_another_client(scheme) => Some(format!(
            "its scheme is that of another client; give `{SHAPE}`"
        )),
        Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => Some(format!(
            "`{scheme}://` is another kind of address; give `{SHAPE}`"
        )),
        _ => Some(format!("this is no URL; give `{SHAPE}`")),
    };
    if let Some(problem) = problem.or_else(|| parameters::unknown(url)) {
        return Err(refused(problem));
    }
    let config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        refused(match parameters::with_invalid_value(&cause) {
            Some("sslmode") => format!("its `sslmode` is not known here; {TLS}"),
            Some("target_session_attrs") => {
                "its `target_session_attrs` is not known here; give `any`, `read-write` or `read-only`"
                    .to_owned()
            }
            Some(option) => format!("its `{option}` has no valid value; give `{SHAPE}`"),
            None => format!("it does not read as `{SHAPE}`; escape special characters in the password, such as `@` as `%40`"),
        })
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(refused(format!("the host is missing; give `{SHAPE}`")));
    }
    let wants_tls = if config.get_ssl_mode() == SslMode::Require {
        "sslmode=require"
    } else if config.get_channel_binding() == ChannelBinding::Require {
        "channel_binding=require"
    } else if config.get_ssl_negotiation() == SslNegotiation::Direct {
        "sslnegotiation=direct"
    } else {
        return Ok(());
    };
    Err(refused(format!(
        "`{wants_tls}` asks for TLS, which this connection does not have; {TLS}"
    )))
}

fn ats_before_parameters(rest: &str) -> usize {
    let before = rest.split_once('?').map_or(rest, |(before, _)| before);
    before.matches('@').count()
}

/// Whether words have the form of Npgsql: `Host=h;Username=u`.
fn of_semicolons(words: &str) -> bool {
    let (name, rest) = words.split_once('=').unwrap_or_default();
    let value = rest.split('=').next().unwrap_or_default();
    let names = [
        "host",
        "server",
        "data source",
        "port",
        "database",
        "username",
        "user id",
        "userid",
        "user",
    ];
    // A quoted value may hold anything.
    names.contains(&&*name.trim().to_lowercase())
        && value.contains(';')
        && !value.trim_start().starts_with('\'')
}

/// Whether a scheme names Postgres as other clients do: `jdbc:postgresql`, `postgresql+asyncpg`.
fn of_another_client(scheme: &str) -> bool {
    [
        "jdbc:postgres",
        "r2dbc:postgres",
        "postgres+",
        "postgresql+",
        "prisma+postgres",
    ]
    .iter()
    .any(|start| scheme.starts_with(start))
}

fn refused(reason: String) -> StoreError {
    StoreError::Url {
        database: DATABASE,
        reason,
    }
}

/// The error for a server that accepts data and never answers.
const SILENT: &str = "the server did not answer";

/// How a URL looks.
const SHAPE: &str = "postgres://user:password@host:5432/database";

/// The remedy for TLS errors.
const TLS: &str = "hand in a pool with the TLS of your choice: `PostgresStore::with_pool`";

/// A worker of each job, previews and the history.
const POOL_SIZE: u32 = 8;
