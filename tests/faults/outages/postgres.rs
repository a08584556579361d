//! Outages of a Postgres server.

use std::time::Duration;

use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use ractor_housekeeper::PostgresStore;
use ractor_housekeeper::store::Timeouts;

use super::Outage;
use crate::TestResult;
use crate::database::postgres::{PostgresDatabase, SLOW_DOWN, SPEED_UP};
use crate::database::{DUE, TestDatabase};
use crate::proxy::Proxy;

mod server;

/// Short, so that no test waits for long.
const LIMITS: Timeouts = Timeouts {
    acquire: Duration::from_millis(500),
    lock: Duration::from_millis(200),
    statement: Duration::from_millis(400),
};

fn store(url: &str) -> TestResult<PostgresStore> {
    Ok(PostgresStore::connect(url)?.with_timeouts(LIMITS)?)
}

/// A fault caused by SQL: the statements that cause and undo it.
struct BrokenBySql {
    strike: &'static str,
    mend: &'static str,
    messages: &'static [&'static str],
}

/// Each row is rejected for its time, and none keeps the others.
#[tokio::test]
async fn a_statement_that_takes_too_long() -> TestResult {
    let Some(database) = PostgresDatabase::open().await? else {
        return Ok(());
    };
    let messages = ["writing it takes too long"];
    let mut outage = Outage::ahead(&database, &store(&database.url)?, &messages).await?;

    database.sql(SLOW_DOWN).await?;
    outage.pause(false).await?;
    for (job, host) in &mut outage.hosts {
        let report = host.report().await?;
        assert_eq!(report.rejected.len(), DUE.len(), "{job}: {report}");
        for row in &report.rejected {
            assert!(row.error.starts_with(messages[0]), "{job}: {}", row.error);
        }
    }
    outage.pause(true).await?;
    database.sql(SPEED_UP).await?;
    outage.pause(false).await?;

    outage.recovers().await
}

#[tokio::test]
async fn a_lock_that_times_out() -> TestResult {
    by_sql(BrokenBySql {
        strike: "begin; lock table sessions, bookings in exclusive mode",
        mend: "rollback",
        messages: &["canceling statement due to lock timeout"],
    })
    .await
}

/// The text and the code are those of a server whose disk is full.
#[tokio::test]
async fn a_full_disk() -> TestResult {
    by_sql(BrokenBySql {
        strike: "create function fill() returns trigger language plpgsql as $$ begin
                     raise exception 'could not extend file \"base/16384/16399\": No space left on device' using errcode = '53100', hint = 'Check free disk space.';
                 end $$;
                 create trigger fill after insert on account for each row execute function fill()",
        mend: "drop function fill() cascade",
        messages: &["No space left on device"],
    })
    .await
}

/// As an operator does whose disk is nearly full: what is connected is ended, and who connects then
/// may only read.
#[tokio::test]
async fn a_database_that_is_read_only() -> TestResult {
    by_sql(BrokenBySql {
        strike: "do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$;
                 select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
        mend: "do $$ begin execute format('alter database %I reset default_transaction_read_only', current_database()); end $$;
               select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
        messages: &["in a read-only transaction", "administrator command", "connection closed"],
    })
    .await
}

async fn by_sql(broken: BrokenBySql) -> TestResult {
    let Some(database) = PostgresDatabase::open().await? else {
        return Ok(());
    };
    let mut outage = Outage::ahead(&database, &store(&database.url)?, broken.messages).await?;

    database.sql(broken.strike).await?;
    outage.begins().await?;
    database.sql(broken.mend).await?;

    outage.recovers().await
}

#[tokio::test]
async fn a_connection_that_ends_during_a_statement() -> TestResult {
    let Some(database) = PostgresDatabase::open().await? else {
        return Ok(());
    };
    let messages = [
        "terminating connection due to administrator command",
        "connection closed",
    ];
    // The statement must live until it is ended.
    let store = PostgresStore::connect(&database.url)?;
    let mut outage = Outage::ahead(&database, &store, &messages).await?;
    database.sql(SLOW_DOWN).await?;
    let mut reaper = AsyncPgConnection::establish(&database.url).await?;
    let reaping = tokio::spawn(async move {
        loop {
            let end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
            if reaper.batch_execute(end).await.is_err() {
                break;
            }
        }
    });

    outage.begins().await?;
    database.sql(SPEED_UP).await?;
    // Ends sessions until none sleeps. The timeout of the step would end a session that slept on.
    let reset_backoff = outage.recovers().await;
    reaping.abort();
    reset_backoff
}

#[tokio::test]
async fn a_pool_whose_connections_are_all_in_use() -> TestResult {
    let Some(database) = PostgresDatabase::open().await? else {
        return Ok(());
    };
    let store = store(&database.url)?;
    let messages = ["all 8 connections of the pool are in use"];
    let mut outage = Outage::ahead(&database, &store, &messages).await?;
    let mut taken = Vec::new();
    for _ in 0..PostgresDatabase::POOL {
        taken.push(store.pool().get_owned().await?);
    }

    outage.begins().await?;
    drop(taken);

    outage.recovers().await
}

/// Drops all packets of both ends, without an error on the connection.
#[tokio::test]
async fn a_network_that_goes_silent() -> TestResult {
    let Some(database) = PostgresDatabase::open().await? else {
        return Ok(());
    };
    let proxy = Proxy::to(&database.url).await?;
    let store = store(&proxy.url)?;
    // Of a run that is in the middle, its step has run out of time.
    let messages = ["the server did not answer", "within 2s"];
    let mut outage = Outage::ahead(&database, &store, &messages).await?;

    proxy.go_silent();
    outage.begins().await?;
    proxy.resume();

    outage.recovers().await
}
