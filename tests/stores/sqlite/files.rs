//! The file and the log beside it.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::{Connection, RunQueryDsl};
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy, built_in};
use ractor_housekeeper::store::sqlite::SqliteStore;
use ractor_housekeeper::store::{Schema, Timeouts};

use super::SqliteUnderTest;
use crate::TestResult;
use crate::runs::{built_in_job, run};
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

/// As a deploy does: the name leads to another file.
#[cfg(unix)]
#[tokio::test]
async fn a_link_that_leads_elsewhere_is_noticed_and_followed() -> TestResult {
    let folder = tempfile::tempdir()?;
    let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
    for file in [&old, &new] {
        let store = SqliteStore::open(&file.display().to_string()).await?;
        store.migrate(Schema::ALL).await?;
        store
            .transaction("fill", |conn| {
                conn.batch_execute(
                    "insert into bookings (booking_id, user_id, status, created_at)
                     values ('b', '00000000-0000-0000-0000-000000000001', 'Pending', '2020-01-01T00:00:00.000000Z')",
                )
            })
            .await?;
    }
    let link = folder.path().join("app.db");
    std::os::unix::fs::symlink("old", &link)?;
    let store = SqliteStore::open(&link.display().to_string()).await?;
    let job = built_in_job(store, "booking-expirer")?;
    job.check().await.map_err(|error| error.chain())?;

    let next = folder.path().join("next");
    std::os::unix::fs::symlink("new", &next)?;
    std::fs::rename(&next, &link)?;
    let mut done = run(&*job, 10).await;
    assert!(done.is_err(), "a connection to the old file was used");
    // Each connection to it fails once.
    while let Err(error) = &done {
        let text = error.to_string();
        assert!(text.contains("was replaced by another"), "{text}");
        done = run(&*job, 10).await;
    }

    assert_eq!(done?.ids, ["b"]);
    let mut conn = diesel::SqliteConnection::establish(&old.display().to_string())?;
    let cancel = "update bookings set status = 'Cancelled' where status = 'Pending'";
    assert_eq!(diesel::sql_query(cancel).execute(&mut conn)?, 1);
    Ok(())
}

/// `VACUUM` gives rows other numbers, in the middle of a run and of the order that it looked up.
#[tokio::test]
async fn a_run_outlives_a_vacuum_between_its_batches() -> TestResult {
    let world = SqliteUnderTest::open().await?.expect("SQLite is built in");
    world
        .sql(
            "with recursive n(n) as (select 1 union all select n + 1 from n where n < 40)
             insert into bookings (booking_id, user_id, status, created_at)
             select 'b' || n, '00000000-0000-0000-0000-000000000001', iif(n % 2, 'Pending', 'Confirmed'), '2020-01-01T00:00:00.000000Z' from n;
             delete from bookings where booking_id in ('b1', 'b2', 'b4', 'b7')",
        )
        .await?;
    let job = built_in_job(world.store.clone(), "booking-expirer")?;
    let bounds = job.begin_run().await.map_err(|error| error.chain())?;
    let mut request = ractor_housekeeper::job::BatchRequest {
        scope: ractor_housekeeper::Scope::All,
        now: bounds.now,
        cutoff: bounds.cutoff,
        limit: 3.try_into()?,
        after: None,
    };
    let first = job.batch(&request).await.map_err(|error| error.chain())?;
    world.sql("vacuum").await?;
    request.after = first.next_cursor;
    job.batch(&request).await.map_err(|error| error.chain())?;

    run(&*job, 3).await?;

    assert_eq!(world.count("bookings where status = 'Expired'").await?, 18);
    assert_eq!(
        world.count("bookings where status = 'Confirmed'").await?,
        18
    );
    Ok(())
}

fn log_size(folder: &Path) -> TestResult<u64> {
    Ok(std::fs::metadata(folder.join("test.db-wal"))?.len())
}

const FORTY: u64 = 40 * 1024 * 1024;
const FORTY_MEGABYTES: &str = "create table ballast (bytes blob); \
     insert into ballast values (zeroblob(41943040))";
