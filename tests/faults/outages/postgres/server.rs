//! A server that goes away, and one that takes nobody more. Each has a server of its own.

use diesel_async::{AsyncConnection, AsyncPgConnection};
use ractor_housekeeper::testing::PrivatePostgres;

use super::store;
use crate::Done;
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
    while let Ok(other) = AsyncPgConnection::establish(&ground.url).await {
        others.push(other);
    }

    outage.strikes().await?;
    drop(others);

    outage.heals().await
}
