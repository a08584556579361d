//! Commits that are sent and not confirmed.

use std::sync::Arc;
use std::time::Duration;

use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy, built_in};
use ractor_housekeeper::testing::PrivatePostgres;
use ractor_housekeeper::{Job, Outcome};

use crate::TestResult;
use crate::database::postgres::PostgresDatabase;
use crate::database::{DUE, TestDatabase};
use crate::host::Host;

/// A database whose commits wait for a standby that does not exist, and a host whose steps time out
/// before.
struct Ghost {
    database: PostgresDatabase,
    host: Host,
}

impl Ghost {
    async fn haunt(server: &PrivatePostgres) -> TestResult<Self> {
        let database = PostgresDatabase::on(server).await?;
        let store = database.store().await?;
        let jobs = built_in(store.clone(), &BookingPolicy::default())?;
        let job: Arc<dyn Job> = jobs
            .into_iter()
            .find(|job| job.name() == BookingExpirer::NAME)
            .ok_or("it is built in")?;
        let host = Host::start_with(job, Arc::new(store), |config| {
            config.job.step_timeout = Duration::from_secs(1);
        })
        .await?;
        // The check of the first run must not be what times out, as it does on a busy machine.
        while !host.ask()?.await?.success() {}
        database.insert_due_rows().await?;
        database
            .sql("alter system set synchronous_standby_names = 'ghost'")
            .await?;
        database.sql("select pg_reload_conf()").await?;
        // The server takes the setting in its own time.
        for number in 0.. {
            let mut probe = AsyncPgConnection::establish(&database.url).await?;
            let probing = tokio::spawn(async move {
                let make = format!("create table probe_{number} ()");
                probe.batch_execute(&make).await
            });
            loop {
                let waiting = database.texts(WAITING).await?;
                if waiting.is_empty() && !probing.is_finished() {
                    tokio::task::yield_now().await;
                    continue;
                }
                break;
            }
            if !database.texts(WAITING).await?.is_empty() {
                database.sql(GIVE_UP).await?;
                probing.await??;
                break;
            }
        }
        Ok(Self { database, host })
    }

    async fn all_rows_are_reported_once(mut self) -> TestResult {
        while !self.host.report().await?.success() {}
        let last = self.host.idle_report().await?;
        self.host.catch_up();

        assert_eq!(last.outcome, Outcome::Completed);
        let mut emitted = self.host.emitted.clone();
        emitted.sort();
        emitted.dedup();
        assert_eq!(emitted.len(), DUE.len(), "{emitted:?}");
        assert_eq!(
            self.host.emitted.len(),
            DUE.len(),
            "{:?}",
            self.host.emitted
        );
        assert_eq!(self.host.reported, DUE.len() as u64);
        let changed = self
            .database
            .changed(&BookingExpirer::NAME, "in doubt")
            .await?;
        assert_eq!(changed.len(), DUE.len());
        self.host.stop().await
    }
}

/// Commits that wait for a standby.
const WAITING: &str = "select pid::text from pg_stat_activity where wait_event = 'SyncRep'";
/// They commit without it.
const GIVE_UP: &str =
    "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'";

#[tokio::test]
async fn a_standby_that_does_not_exist_leaves_no_row_unreported() -> TestResult {
    let Some(server) = PrivatePostgres::start_with(&["synchronous_commit=on"])? else {
        return Ok(());
    };
    let ghost = Ghost::haunt(&server).await?;

    let first = ghost.host.ask()?.await?;

    assert!(matches!(first.outcome, Outcome::Failed { .. }), "{first}");
    ghost.all_rows_are_reported_once().await
}

#[tokio::test]
async fn a_commit_in_doubt_is_known_after_a_restart() -> TestResult {
    let ends: [fn(&PrivatePostgres) -> std::io::Result<()>; 2] =
        [PrivatePostgres::stop, PrivatePostgres::kill];
    for end in ends {
        let Some(server) = PrivatePostgres::start_with(&["synchronous_commit=on"])? else {
            return Ok(());
        };
        let ghost = Ghost::haunt(&server).await?;
        let asked = ghost.host.ask()?;
        while ghost.database.texts(WAITING).await?.is_empty() {
            tokio::task::yield_now().await;
        }

        ghost
            .database
            .sql("alter system reset synchronous_standby_names")
            .await?;
        ghost.database.close_observer().await;
        end(&server)?;
        server.start_again()?;
        // It is known in this run, if the server is back in time, or in the next.
        asked.await?;

        ghost.all_rows_are_reported_once().await?;
    }
    Ok(())
}
