//! What can happen to an SQLite file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::{Connection as _, SimpleConnection};
use ractor_housekeeper::SqliteStore;
use ractor_housekeeper::store::Timeouts;

use super::{Outage, failure};
use crate::Done;
use crate::disk::Disk;
use crate::ground::Ground;
use crate::ground::sqlite::SqliteGround;
use locker::Locker;

mod locker;

async fn store(ground: &SqliteGround) -> Done<SqliteStore> {
    let limits = Timeouts {
        acquire: Duration::from_millis(500),
        lock: Duration::from_millis(100),
        ..Timeouts::default()
    };
    Ok(ground.store().await?.with_limits(limits)?)
}

#[tokio::test]
async fn a_file_locked_by_another_process_beyond_the_lock_timeout() -> Done {
    let ground = SqliteGround::open().await?;
    let mut outage =
        Outage::ahead(&ground, &store(&ground).await?, &["database is locked"]).await?;
    let locker = Locker::of(&ground.path)?;

    outage.strikes().await?;
    locker.leave()?;

    outage.heals().await
}

/// On the machine the connection is what an operator can reach; a file whose rights were changed says the same.
#[tokio::test]
async fn a_file_that_may_only_be_read() -> Done {
    by_pragma(
        "pragma query_only = on",
        "pragma query_only = off",
        "attempt to write a readonly database",
    )
    .await
}

#[tokio::test]
async fn a_full_disk() -> Done {
    by_pragma(
        "pragma max_page_count = 1",
        "pragma max_page_count = 1000000",
        "database or disk is full",
    )
    .await
}

#[tokio::test]
async fn a_disk_that_is_full_in_fact() -> Done {
    let Some(disk) = Disk::mount()? else {
        return Ok(());
    };
    let ground = SqliteGround::open_in(disk.path()).await?;
    // Each change needs more room than the log has from before.
    ground.sql(&ballast(1_000_000)).await?;
    let words = ["database or disk is full"];
    let mut outage = Outage::ahead(&ground, &store(&ground).await?, &words).await?;

    disk.fill()?;
    outage.strikes().await?;
    disk.make_room()?;

    outage.heals().await
}

fn ballast(bytes: u32) -> String {
    format!(
        "create table ballast (content blob);
         create trigger load after insert on account begin insert into ballast values (zeroblob({bytes})); end"
    )
}

/// Something that is set on each connection of the pool.
async fn by_pragma(strike: &'static str, mend: &'static str, words: &str) -> Done {
    let ground = SqliteGround::open().await?;
    // Each change needs more room than is left.
    ground.sql(&ballast(100_000)).await?;
    let store = store(&ground).await?;
    let words = [words];
    let mut outage = Outage::ahead(&ground, &store, &words).await?;

    on_all(&store, strike).await?;
    outage.strikes().await?;
    on_all(&store, mend).await?;

    outage.heals().await
}

async fn on_all(store: &SqliteStore, sql: &'static str) -> Done {
    for conn in &mut take_all(store).await? {
        conn.spawn_blocking(move |conn| conn.batch_execute(sql))
            .await?;
    }
    Ok(())
}

/// The jobs want some as well while they are taken, and get them first.
async fn take_all(store: &SqliteStore) -> Done<Vec<Connection>> {
    let mut taken = Vec::new();
    while taken.len() < SqliteGround::POOL {
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
async fn a_pool_whose_connections_are_all_in_use() -> Done {
    let ground = SqliteGround::open().await?;
    let store = store(&ground).await?;
    let words = ["all 4 connections of the pool are in use"];
    let mut outage = Outage::ahead(&ground, &store, &words).await?;
    let taken = take_all(&store).await?;

    outage.strikes().await?;
    drop(taken);

    outage.heals().await
}

#[tokio::test]
async fn a_file_that_is_removed_and_comes_back() -> Done {
    let ground = SqliteGround::open().await?;
    let mut outage = Outage::ahead(&ground, &store(&ground).await?, &["test.db is gone"]).await?;

    rename(&ground.path, "", ".away")?;
    outage.strikes().await?;
    assert!(!ground.path.exists(), "no empty file takes its place");
    rename(&ground.path, ".away", "")?;

    outage.heals().await
}

/// As a backup is put back under those who have the file open: they say so, and go on with what is there now.
#[tokio::test]
async fn a_file_that_is_replaced_by_another() -> Done {
    let ground = SqliteGround::open().await?;
    let words = ["test.db was replaced by another"];
    let mut outage = Outage::ahead(&ground, &store(&ground).await?, &words).await?;
    let copy = format!("vacuum into '{}.copy'", ground.path.display());
    ground.sql(&copy).await?;

    rename(&ground.path, "", ".away")?;
    rename(&ground.path, ".copy", "")?;
    ground.look_anew()?;
    // One by one: each failure closes a connection, and only the first job is sure to meet one that is open from before.
    let ((_, first), others) = outage.hosts.split_first_mut().ok_or("there are two jobs")?;
    first.pause(false).await?;
    failure(&first.report().await?, &words)?;
    for (_, host) in others {
        host.pause(false).await?;
    }

    outage.heals().await
}

/// Who opens it is held up halfway by a lock, as long as it takes to put another in its place.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_is_replaced_while_it_is_opened() -> Done {
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
fn times_open(path: &Path) -> Done<usize> {
    let path = path.canonicalize()?;
    let open = fs::read_dir("/proc/self/fd")?;
    // One that is closed meanwhile is not there any more.
    let files = open.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    Ok(files.filter(|file| *file == path).count())
}

/// Moves the file, its log and the index of that.
fn rename(path: &Path, from: &str, to: &str) -> Done {
    for part in ["", "-wal", "-shm"] {
        let named = |end: &str| PathBuf::from(format!("{}{part}{end}", path.display()));
        if named(from).exists() {
            fs::rename(named(from), named(to))?;
        }
    }
    Ok(())
}
