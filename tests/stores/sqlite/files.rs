//! The file and the log beside it.

use std::path::Path;

use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy, built_in};
use ractor_housekeeper::store::sqlite::SqliteStore;
use ractor_housekeeper::store::{Schema, Timeouts};

use super::SqliteUnderTest;
use crate::TestResult;
use crate::support::alone::ran_alone;

#[test]
fn a_relative_path_outlives_a_change_of_folder() -> TestResult {
    if ran_alone("sqlite::files::a_relative_path_outlives_a_change_of_folder") {
        return Ok(());
    }
    let (first, second) = (tempfile::tempdir()?, tempfile::tempdir()?);
    std::fs::create_dir(first.path().join("below"))?;
    std::env::set_current_dir(first.path().join("below"))?;
    let runtime = tokio::runtime::Runtime::new()?;
    let opened: Vec<SqliteStore> = runtime.block_on(async {
        let plain = SqliteStore::open("app.db").await?;
        let dotted = SqliteStore::open("sqlite://./app.db").await?;
        let climbing = SqliteStore::open("sqlite:../app.db").await?;
        // Makes connections before the change, and others after it.
        plain.migrate(Schema::ALL).await?;
        Ok::<_, Box<dyn std::error::Error>>(vec![plain, dotted, climbing])
    })?;

    std::env::set_current_dir(second.path())?;

    runtime.block_on(async {
        for store in &opened {
            let fresh = store.clone().with_timeouts(Timeouts::default())?;
            fresh.migrate(Schema::ALL).await?;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    assert!(first.path().join("app.db").is_file());
    assert!(first.path().join("below/app.db").is_file());
    assert_eq!(std::fs::read_dir(second.path())?.count(), 0);
    Ok(())
}

#[test]
fn a_relative_path_without_a_folder_is_rejected() -> TestResult {
    if ran_alone("sqlite::files::a_relative_path_without_a_folder_is_rejected") {
        return Ok(());
    }
    let gone = tempfile::tempdir()?;
    std::env::set_current_dir(gone.path())?;
    gone.close()?;

    let rejected = tokio::runtime::Runtime::new()?.block_on(SqliteStore::open("app.db"));

    let error = rejected.expect_err("there is no folder").to_string();
    assert!(error.contains("give a path from the root on"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_log_that_a_reader_let_grow_is_emptied_after_a_run() -> TestResult {
    let world = SqliteUnderTest::open().await?.expect("SQLite is built in");
    let jobs = built_in(world.store.clone(), &BookingPolicy::default())?;
    let job = jobs.iter().find(|job| job.name() == BookingExpirer::NAME);
    let job = job.expect("it is built in");
    let mut reader = world.store.pool().get_owned().await?;
    reader
        .batch_execute("begin; select count(*) from bookings")
        .await?;

    world.sql(FORTY_MEGABYTES).await?;
    // Not while the reader needs it, and without a wait for it.
    job.forecast(&[]).await.map_err(|error| error.to_string())?;
    let with_reader = log_size(world.folder.path())?;
    reader.batch_execute("commit").await?;
    job.forecast(&[]).await.map_err(|error| error.to_string())?;

    assert!(with_reader > FORTY, "{with_reader}");
    assert_eq!(log_size(world.folder.path())?, 0);
    Ok(())
}

#[tokio::test]
async fn a_log_that_a_reader_let_grow_is_cut_by_later_writes() -> TestResult {
    let world = SqliteUnderTest::open().await?.expect("SQLite is built in");
    let mut reader = world.store.pool().get_owned().await?;
    reader
        .transaction::<_, diesel::result::Error, _>(async |conn| {
            conn.batch_execute("select count(*) from bookings").await?;
            world.sql(FORTY_MEGABYTES).await.expect("it writes");
            Ok(())
        })
        .await?;

    for _ in 0..3 {
        world.sql("insert into ballast values (x'00')").await?;
    }

    assert!(log_size(world.folder.path())? <= 32 * 1024 * 1024);
    Ok(())
}

fn log_size(folder: &Path) -> TestResult<u64> {
    Ok(std::fs::metadata(folder.join("test.db-wal"))?.len())
}

const FORTY: u64 = 40 * 1024 * 1024;
const FORTY_MEGABYTES: &str = "create table ballast (bytes blob); \
     insert into ballast values (zeroblob(41943040))";
