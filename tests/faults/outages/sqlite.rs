//! Outages of an SQLite file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::{Connection as _, SimpleConnection};
use ractor_housekeeper::SqliteStore;
use ractor_housekeeper::store::Timeouts;

use super::{Outage, failure};
use crate::TestResult;
use crate::database::TestDatabase;
use crate::database::sqlite::SqliteDatabase;
use crate::disk::Disk;
use locker::Locker;

mod locker;

async fn store(database: &SqliteDatabase) -> TestResult<SqliteStore> {
    let timeouts = Timeouts {
        acquire: Duration::from_millis(500),
        lock: Duration::from_millis(100),
        ..Timeouts::default()
    };
    Ok(database.store().await?.with_timeouts(timeouts)?)
}

#[tokio::test]
async fn a_file_locked_by_another_process_beyond_the_lock_timeout() -> TestResult {
    let database = SqliteDatabase::open().await?;
    let mut outage =
        Outage::ahead(&database, &store(&database).await?, &["database is locked"]).await?;
    let locker = Locker::of(&database.path)?;

    outage.begins().await?;
    locker.leave()?;

    outage.recovers().await
}

/// On the machine the connection is what an operator can reach; a file whose rights were changed
/// says the same.
#[tokio::test]
async fn a_file_that_may_only_be_read() -> TestResult {
    by_pragma(
        "pragma query_only = on",
        "pragma query_only = off",
        "attempt to write a readonly database",
    )
    .await
}

#[tokio::test]
async fn a_full_disk() -> TestResult {
    by_pragma(
        "pragma max_page_count = 1",
        "pragma max_page_count = 1000000",
        "database or disk is full",
    )
    .await
}

#[tokio::test]
async fn a_disk_that_is_full_in_fact() -> TestResult {
    let Some(disk) = Disk::mount()? else {
        return Ok(());
    };
    let database = SqliteDatabase::open_in(disk.path()).await?;
    // Each change needs more room than the log has from before.
    database.sql(&ballast(1_000_000)).await?;
    // The other job may hold the lock while it fills what is left.
    let messages = ["database or disk is full", "database is locked"];
    let mut outage = Outage::ahead(&database, &store(&database).await?, &messages).await?;

    disk.fill()?;
    outage.begins().await?;
    disk.make_room()?;

    outage.recovers().await
}

fn ballast(bytes: u32) -> String {
    format!(
        "create table ballast (content blob);
         create trigger load after insert on account begin insert into ballast values (zeroblob({bytes})); end"
    )
}

/// Something that is set on each connection of the pool.
async fn by_pragma(strike: &'static str, mend: &'static str, messages: &str) -> TestResult {
    let database = SqliteDatabase::open().await?;
    // Each change needs more room than is left.
    database.sql(&ballast(100_000)).await?;
    let store = store(&database).await?;
    let messages = [messages];
    let mut outage = Outage::ahead(&database, &store, &messages).await?;

    on_all(&store, strike).await?;
    outage.begins().await?;
    on_all(&store, mend).await?;

    outage.recovers().await
}

async fn on_all(store: &SqliteStore, sql: &'static str) -> TestResult {
    for conn in &mut take_all(store).await? {
        conn.spawn_blocking(move |conn| conn.batch_execute(sql))
            .await?;
    }
    Ok(())
}

/// The jobs want some as well while they are taken, and get them first.
async fn take_all(store: &SqliteStore) -> TestResult<Vec<Connection>> {
    let mut taken = Vec::new();
    while taken.len() < SqliteDatabase::POOL {
        if let Ok(conn) = store.pool().get_owned().await {
            taken.push(conn);
        }
    }
    Ok(taken)
}

type Connection = diesel_async::pooled_connection::bb8::PooledConnection<
    'static,
    diesel_async::sync_connection_wrapper::SyncConnectionWrapper<diesel::SqliteConnection>,
>;

#[tokio::test]
async fn a_pool_whose_connections_are_all_in_use() -> TestResult {
    let database = SqliteDatabase::open().await?;
    let store = store(&database).await?;
    let messages = ["all 4 connections of the pool are in use"];
    let mut outage = Outage::ahead(&database, &store, &messages).await?;
    let taken = take_all(&store).await?;

    outage.begins().await?;
    drop(taken);

    outage.recovers().await
}

#[tokio::test]
async fn a_file_that_is_removed_and_comes_back() -> TestResult {
    let database = SqliteDatabase::open().await?;
    let mut outage =
        Outage::ahead(&database, &store(&database).await?, &["test.db is gone"]).await?;

    rename(&database.path, "", ".away")?;
    outage.begins().await?;
    assert!(!database.path.exists(), "no empty file takes its place");
    rename(&database.path, ".away", "")?;

    outage.recovers().await
}

/// As a backup is put back under those who have the file open: they say so, and go on with what is
/// there now.
#[tokio::test]
async fn a_file_that_is_replaced_by_another() -> TestResult {
    let database = SqliteDatabase::open().await?;
    let messages = ["test.db was replaced by another"];
    let mut outage = Outage::ahead(&database, &store(&database).await?, &messages).await?;
    let copy = format!("vacuum into '{}.copy'", database.path.display());
    database.sql(&copy).await?;

    rename(&database.path, "", ".away")?;
    rename(&database.path, ".copy", "")?;
    database.reopen_observer()?;
    // One by one: each failure closes a connection, and only the first job is sure to meet one that
    // is open from before.
    let ((_, first), others) = outage.hosts.split_first_mut().ok_or("there are two jobs")?;
    first.pause(false).await?;
    failure(&first.report().await?, &messages)?;
    for (_, host) in others {
        host.pause(false).await?;
    }

    outage.recovers().await
}

/// A lock holds up an opening halfway, until another file is in its place.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_is_replaced_while_it_is_opened() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("test.db");
    let other = folder.path().join("test.db.other");
    let mut locker = diesel::SqliteConnection::establish(&path.display().to_string())?;
    locker.batch_execute(
        "pragma journal_mode = wal; create table old (id int);
         pragma locking_mode = exclusive; begin immediate; insert into old values (1); commit",
    )?;
    diesel::SqliteConnection::establish(&other.display().to_string())?
        .batch_execute("pragma journal_mode = wal; create table new (id int)")?;
    let store = SqliteStore::open(&path.display().to_string()).await?;
    let pool = store.pool().clone();

    let opening = tokio::spawn(async move { pool.get_owned().await });
    while times_open(&path)? < 2 {
        tokio::task::yield_now().await;
    }
    rename(&path, "", ".away")?;
    rename(&path, ".other", "")?;
    drop(locker);

    let mut opened = opening.await??;
    opened
        .spawn_blocking(|conn| conn.batch_execute("select id from new"))
        .await?;
    Ok(())
}

/// How often this process has the file open.
#[cfg(target_os = "linux")]
fn times_open(path: &Path) -> TestResult<usize> {
    let path = path.canonicalize()?;
    let open = fs::read_dir("/proc/self/fd")?;
    // One that is closed meanwhile is not there any more.
    let files = open.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    Ok(files.filter(|file| *file == path).count())
}

/// Moves the file, its log and the index of that.
fn rename(path: &Path, from: &str, to: &str) -> TestResult {
    for part in ["", "-wal", "-shm"] {
        let named = |end: &str| PathBuf::from(format!("{}{part}{end}", path.display()));
        if named(from).exists() {
            fs::rename(named(from), named(to))?;
        }
    }
    Ok(())
}
