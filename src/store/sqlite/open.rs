//! Opening SQLite files.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;

use super::Pool;
use super::file::File;
use crate::model::StoreError;
use crate::store::last_error::LastError;
use crate::store::timeouts::Timeouts;

/// A pool over a file. Opens nothing yet.
pub(super) fn pool(file: &File, timeouts: &Timeouts, last_error: &LastError) -> Pool {
    let busy = timeouts.lock;
    let opening = file.clone();
    let mut config = ManagerConfig::default();
    // A check at each turn could be dropped halfway, which the wrapper does not bear. Whether the
    // file is still there is asked with the work.
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |_| {
        let file = opening.clone();
        // Not the wrapper's own way to open, because the pool may drop this future.
        let opened = tokio::task::spawn_blocking(move || connect(&file, busy));
        Box::pin(async move {
            match opened.await {
                Ok(connection) => connection.map(SyncConnectionWrapper::new),
                Err(error) => Err(ConnectionError::BadConnection(error.to_string())),
            }
        })
    });
    // Connections live as long as the pool: nothing is gained by closing a file.
    bb8::Pool::builder()
        .max_size(POOL_SIZE)
        .max_lifetime(None)
        .idle_timeout(None)
        .connection_timeout(timeouts.acquire)
        .error_sink(Box::new(last_error.clone()))
        .build_unchecked(AsyncDieselConnectionManager::new_with_config(
            &*file.path,
            config,
        ))
}

/// The path in a URL, if it is one we can serve. Rejects what SQLite would make an oddly named file
/// of, and what diesel reads otherwise behind `sqlite://`: the host would work on another file.
pub(super) fn path(url: &str) -> Result<String, StoreError> {
    if url != url.trim() && !url.trim().is_empty() {
        return Err(refused(format!(
            "white space stands before or behind it; give {SHAPE}"
        )));
    }
    if url.starts_with(['"', '\'']) {
        return Err(refused(format!("it stands in quotes; give {SHAPE}")));
    }
    let (path, is_url) = match url.split_once("://") {
        Some(("sqlite", rest)) => (rest, true),
        // Not what is no scheme: it may hold a password.
        Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphabetic()) => {
            return Err(refused(format!(
                "`{scheme}://` is another kind of address; give {SHAPE}"
            )));
        }
        Some(_) => return Err(refused(NO_PATH)),
        None => match url.strip_prefix("sqlite:") {
            Some(rest) => (rest, true),
            None => (url, false),
        },
    };
    if path.contains(":memory:") || path.contains("mode=memory") {
        return Err(refused(
            "a database in memory is one for each connection of the pool; give a file, such as one in a temporary folder",
        ));
    }
    let (before, options) = path.split_once('?').unwrap_or((path, ""));
    if options.contains('=') || (is_url && before.len() < path.len()) {
        return Err(refused(format!(
            "options behind `?` are not understood; give {SHAPE}"
        )));
    }
    // Errors and logs print the path, and the address of a server or of another client, such as
    // `jdbc:` or `Data Source=`, may hold a password. A drive has two characters, `C:`.
    let first = path.split(['/', '\\']).next().unwrap_or_default();
    let is_other = first.contains(['@', '=']) || (first.len() > 2 && first.contains(':'));
    let holds_password = path.to_lowercase().contains("password=");
    if is_other || holds_password || path.contains('\0') {
        return Err(refused(NO_PATH));
    }
    if path.trim().is_empty() {
        return Err(refused(format!("the path is empty; give {SHAPE}")));
    }
    if is_url && (path.contains('#') || has_escape(path)) {
        return Err(refused(
            "`#` and escapes such as `%20` have a meaning in a URL; give the path alone, without `sqlite:`",
        ));
    }
    if path.len() > 1 && path.ends_with(std::path::is_separator) && !Path::new(path).is_dir() {
        return Err(refused("a folder ends with a separator; give a file in it"));
    }
    Ok(path.to_owned())
}

/// Whether SQLite would decode a part of a URL.
fn has_escape(path: &str) -> bool {
    path.as_bytes()
        .windows(3)
        .any(|part| part[0] == b'%' && part[1..].iter().all(u8::is_ascii_hexdigit))
}

/// The path from the root on, so that it names the same file after the process has changed its
/// working folder.
pub(super) fn absolute(path: &str) -> Result<String, StoreError> {
    let absolute = std::path::absolute(path)
        .map_err(|error| refused(format!("{path} is relative, and the working folder cannot be found ({error}); give a path from the root on")))?;
    absolute.into_os_string().into_string().map_err(|_| {
        refused(format!("{path} is relative to a working folder whose name is no UTF-8; give a path from the root on"))
    })
}

/// Says early what opening would say late and less clearly.
pub(super) fn check_place(path: &str) -> Result<(), StoreError> {
    let path = PathBuf::from(path);
    if path.is_dir() {
        return Err(refused(format!(
            "{} is a folder; give a file in it",
            path.display()
        )));
    }
    match path.parent() {
        Some(folder) if folder != Path::new("") && !folder.is_dir() => Err(refused(format!(
            "the folder {} does not exist; create it first",
            folder.display()
        ))),
        _ => Ok(()),
    }
}

fn refused(reason: impl Into<String>) -> StoreError {
    StoreError::Url {
        database: super::DATABASE,
        reason: reason.into(),
    }
}

/// Opens the file. One that is made by it is opened anew: only of what was there before is it known
/// that no other file took its place while it was opened.
fn connect(file: &File, busy: Duration) -> ConnectionResult<SqliteConnection> {
    let before = || {
        file.before_opening()
            .map_err(ConnectionError::BadConnection)
    };
    let found = match before()? {
        None => {
            establish(file, busy)?;
            before()?
        }
        found => found,
    };
    let mut conn = establish(file, busy)?;
    if let Some(found) = found {
        file.is_still(found)
            .map_err(ConnectionError::BadConnection)?;
        file.note(&mut conn, found)
            .map_err(ConnectionError::CouldntSetupConfiguration)?;
    }
    Ok(conn)
}

fn establish(file: &File, busy: Duration) -> ConnectionResult<SqliteConnection> {
    let mut conn = SqliteConnection::establish(&file.path)?;
    let setup = |conn: &mut SqliteConnection, sql: &str| {
        conn.batch_execute(sql)
            .map_err(ConnectionError::CouldntSetupConfiguration)
    };
    setup(
        &mut conn,
        &format!("pragma busy_timeout = {}", busy.as_millis().max(1)),
    )?;
    // Two that switch a new file to WAL at once can meet in a way in which SQLite does not wait by
    // itself.
    let started = Instant::now();
    while let Err(error) = setup(&mut conn, "pragma journal_mode = wal") {
        if started.elapsed() > busy {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    setup(
        &mut conn,
        // A page that a batch changes should be in memory when the next one changes it, and in the
        // file only once for several batches: up to 8 MB of cache for each connection, and a
        // checkpoint once the log has 16 MB. The growth by a long reader beyond twice that is given
        // back by the first write after the reader.
        &format!(
            "pragma synchronous = normal; pragma foreign_keys = on; pragma cache_size = -8000; \
             pragma wal_autocheckpoint = 4000; pragma journal_size_limit = {LOG_SIZE}"
        ),
    )?;
    Ok(conn)
}

/// How an address looks.
const SHAPE: &str = "`sqlite://path/to/file.db`";

const NO_PATH: &str = "this is no path but reads like another kind of address; give `sqlite://path/to/file.db`, with `./` before a name \
                       that has `@`, `:` or `=`";

/// Copies the log into the file and empties it, if it has outgrown [`LOG_SIZE`] and no other
/// connection needs it. Does not wait.
pub(super) fn shrink_log(conn: &mut SqliteConnection) -> QueryResult<()> {
    #[derive(QueryableByName)]
    struct Opened {
        #[diesel(sql_type = diesel::sql_types::Text)]
        file: String,
    }
    #[derive(QueryableByName)]
    struct Busy {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        timeout: i64,
    }
    let Opened { file } =
        diesel::sql_query("select file from pragma_database_list where name = 'main'")
            .get_result(conn)?;
    let is_large = std::fs::metadata(format!("{file}-wal")).is_ok_and(|log| log.len() > LOG_SIZE);
    if !is_large {
        return Ok(());
    }
    let Busy { timeout } = diesel::sql_query("pragma busy_timeout").get_result(conn)?;
    conn.batch_execute("pragma busy_timeout = 0")?;
    let emptied = conn.batch_execute("pragma wal_checkpoint(truncate)");
    conn.batch_execute(&format!("pragma busy_timeout = {timeout}"))?;
    // Busy: a reader needs the log. The next run tries again.
    emptied.or_else(|error| match error {
        diesel::result::Error::DatabaseError(..) => Ok(()),
        error => Err(error),
    })
}

/// Bytes of the log that are kept for the writes to come.
const LOG_SIZE: u64 = 32 * 1024 * 1024;

/// One writes, others read.
const POOL_SIZE: u32 = 4;
