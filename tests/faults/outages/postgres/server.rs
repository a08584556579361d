//! A server that stops, and one without free connections. Each test has its own server.

use std::os::unix::fs::{MetadataExt, chown};

use diesel_async::{AsyncConnection, AsyncPgConnection};
use ractor_housekeeper::testing::PrivatePostgres;

use super::store;
use crate::TestResult;
use crate::database::TestDatabase;
use crate::database::postgres::PostgresDatabase;
use crate::disk::Disk;
use crate::outages::Outage;

/// The errors of a server that is down, starting or stopping.
const AWAY: [&str; 6] = [
    "No such file or directory",
    "Connection refused",
    "administrator command",
    "the database system is",
    "connection closed",
    "unexpected postmaster exit",
];

#[tokio::test]
async fn a_server_that_is_stopped_or_killed_and_started_again() -> TestResult {
    // Committed rows must outlive the server, so that they can be counted.
    let Some(server) = PrivatePostgres::start_with(&["synchronous_commit=on"])? else {
        return Ok(());
    };
    let ends: [fn(&PrivatePostgres) -> std::io::Result<()>; 2] =
        [PrivatePostgres::stop, PrivatePostgres::kill];
    for end in ends {
        let database = PostgresDatabase::on(&server).await?;
        let mut outage = Outage::ahead(&database, &store(&database.url)?, &AWAY).await?;

        database.close_observer().await;
        end(&server)?;
        outage.begins().await?;
        server.start_again()?;

        outage.recovers().await?;
    }
    Ok(())
}

/// The connections in the pools are dead when the jobs come to use them, and the server is back
/// already.
#[tokio::test]
async fn a_server_that_is_restarted_between_two_runs_is_not_noticed() -> TestResult {
    let Some(server) = PrivatePostgres::start()? else {
        return Ok(());
    };
    let database = PostgresDatabase::on(&server).await?;
    let outage = Outage::ahead(&database, &store(&database.url)?, &AWAY).await?;

    database.close_observer().await;
    server.stop()?;
    server.start_again()?;
    outage.pause(false).await?;

    outage.recovers().await
}

#[tokio::test]
async fn a_server_whose_connections_are_all_taken_by_others() -> TestResult {
    let Some(server) = PrivatePostgres::start_with(&["max_connections=16"])? else {
        return Ok(());
    };
    let database = PostgresDatabase::on(&server).await?;
    let store = store(&database.url)?;
    let mut outage = Outage::ahead(&database, &store, &["too many clients already"]).await?;
    database.close_other_connections().await?;
    let mut others = Vec::new();
    loop {
        match AsyncPgConnection::establish(&database.url).await {
            Ok(other) => others.push(other),
            // A connection that was hung up on leaves its place a moment later.
            Err(_) if database.texts(OTHERS).await?.len() == others.len() => break,
            Err(_) => tokio::task::yield_now().await,
        }
    }

    outage.begins().await?;
    drop(others);

    outage.recovers().await
}

/// The jobs' tables are on a disk of their own, in a tablespace.
#[tokio::test]
async fn a_disk_that_is_full_in_fact() -> TestResult {
    let (Some(disk), Some(server)) = (Disk::mount()?, PrivatePostgres::start()?) else {
        return Ok(());
    };
    let database = PostgresDatabase::on(&server).await?;
    let place = disk.path().join("tables");
    std::fs::create_dir(&place)?;
    let data = database
        .texts("select current_setting('data_directory')")
        .await?;
    let owner = std::fs::metadata(&data[0])?;
    chown(&place, Some(owner.uid()), Some(owner.gid()))?;
    let location = format!("create tablespace small location '{}'", place.display());
    database.sql(&location).await?;
    database
        .sql(
            "create table ballast (content bytea) tablespace small;
             alter table ballast alter column content set storage external;
             create function load() returns trigger language plpgsql as $$ begin
                 insert into ballast values (decode(repeat('ab', 1000000), 'hex'));
                 return null;
             end $$;
             create trigger load after insert on account for each row execute function load()",
        )
        .await?;
    let messages = ["No space left on device"];
    let mut outage = Outage::ahead(&database, &store(&database.url)?, &messages).await?;

    disk.fill()?;
    outage.begins().await?;
    disk.make_room()?;

    outage.recovers().await
}

/// All connections but the observer's.
const OTHERS: &str = "select pid::text from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";
