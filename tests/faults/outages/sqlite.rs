//! What can happen to an SQLite file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use ractor_housekeeper::SqliteStore;
use ractor_housekeeper::store::Limits;

use super::{Outage, failure};
use crate::Done;
use crate::ground::Ground;
use crate::ground::sqlite::SqliteGround;
use locker::Locker;

mod locker;

async fn store(ground: &SqliteGround) -> Done<SqliteStore> {
    let limits = Limits {
        acquire: Duration::from_millis(500),
        lock: Duration::from_millis(100),
        ..Limits::default()
    };
    Ok(ground.store().await?.with_limits(limits)?)
}

#[tokio::test]
async fn a_file_locked_by_another_process_for_longer_than_the_limit() -> Done {
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

/// Something that is set on each connection of the pool.
async fn by_pragma(strike: &'static str, mend: &'static str, words: &str) -> Done {
    let ground = SqliteGround::open().await?;
    // Each change needs more room than is left.
    ground
        .sql("create table ballast (content blob);
              create trigger load after insert on account begin insert into ballast values (zeroblob(100000)); end")
        .await?;
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
