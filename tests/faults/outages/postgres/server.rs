//! A server that goes away, and one that takes nobody more. Each has a server of its own.

use std::os::unix::fs::{MetadataExt, chown};

use diesel_async::{AsyncConnection, AsyncPgConnection};
use ractor_housekeeper::testing::PrivatePostgres;

use super::store;
use crate::Done;
use crate::disk::Disk;
use crate::ground::Ground;
use crate::ground::postgres::PostgresGround;
use crate::outages::Outage;

/// What a person is told of a server that is not there, or is about to go or to come.
const AWAY: [&str; 6] = [
    "No such file or directory",
    "Connection refused",
    "administrator command",
    "the database system is",
    "connection closed",
    "unexpected postmaster exit",
];

#[tokio::test]
async fn a_server_that_is_stopped_or_killed_and_started_again() -> Done {
    // What was committed must outlive the server, so that it can be counted.
    let Some(server) = PrivatePostgres::start_with(&["synchronous_commit=on"])? else {
        return Ok(());
    };
    let ends: [fn(&PrivatePostgres) -> std::io::Result<()>; 2] =
        [PrivatePostgres::stop, PrivatePostgres::kill];
    for end in ends {
        let ground = PostgresGround::on(&server).await?;
        let mut outage = Outage::ahead(&ground, &store(&ground.url)?, &AWAY).await?;

        ground.look_away().await;
        end(&server)?;
        outage.strikes().await?;
        server.start_again()?;

        outage.heals().await?;
    }
    Ok(())
}

/// The connections in the pools are dead when the jobs come to use them, and the server is back already.
#[tokio::test]
async fn a_server_that_is_restarted_between_two_runs_is_not_noticed() -> Done {
    let Some(server) = PrivatePostgres::start()? else {
        return Ok(());
    };
    let ground = PostgresGround::on(&server).await?;
    let outage = Outage::ahead(&ground, &store(&ground.url)?, &AWAY).await?;

    ground.look_away().await;
    server.stop()?;
    server.start_again()?;
    outage.pause(false).await?;

    outage.heals().await
}

#[tokio::test]
async fn a_server_whose_connections_are_all_taken_by_others() -> Done {
    let Some(server) = PrivatePostgres::start_with(&["max_connections=16"])? else {
        return Ok(());
    };
    let ground = PostgresGround::on(&server).await?;
    let store = store(&ground.url)?;
    let mut outage = Outage::ahead(&ground, &store, &["too many clients already"]).await?;
    ground.hang_up_on_others().await?;
    let mut others = Vec::new();
    loop {
        match AsyncPgConnection::establish(&ground.url).await {
            Ok(other) => others.push(other),
            // A connection that was hung up on leaves its place a moment later.
            Err(_) if ground.texts(OTHERS).await?.len() == others.len() => break,
            Err(_) => tokio::task::yield_now().await,
        }
    }

    outage.strikes().await?;
    drop(others);

    outage.heals().await
}

/// What the jobs write goes to a disk of its own, as a table in a tablespace does.
#[tokio::test]
async fn a_disk_that_is_full_in_fact() -> Done {
    let (Some(disk), Some(server)) = (Disk::mount()?, PrivatePostgres::start()?) else {
        return Ok(());
    };
    let ground = PostgresGround::on(&server).await?;
    let place = disk.path().join("tables");
    std::fs::create_dir(&place)?;
    let data = ground
        .texts("select current_setting('data_directory')")
        .await?;
    let owner = std::fs::metadata(&data[0])?;
    chown(&place, Some(owner.uid()), Some(owner.gid()))?;
    let location = format!("create tablespace small location '{}'", place.display());
    ground.sql(&location).await?;
    ground
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
    let words = ["No space left on device"];
    let mut outage = Outage::ahead(&ground, &store(&ground.url)?, &words).await?;

    disk.fill()?;
    outage.strikes().await?;
    disk.make_room()?;

    outage.heals().await
}

/// Whoever is connected, but for the onlooker.
const OTHERS: &str = "select pid::text from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";
