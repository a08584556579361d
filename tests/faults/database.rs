//! A database with rows in it, and an account of what happens to them that is kept by triggers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ractor_housekeeper::JobName;
use ractor_housekeeper::booking::SessionCleaner;
use ractor_housekeeper::model::RunHistory;
use ractor_housekeeper::store::Store;

use crate::TestResult;
use crate::statement_fault::StatementFault;

#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;

/// After a crash, all its locks and transactions are gone within this time.
///
/// On Postgres they go as soon as the statement in flight is cancelled and the server has seen the
/// connection close. On SQLite they go when the batch in flight ends, which it does by itself.
pub(crate) const RESTORED: Duration = Duration::from_secs(1);

/// The rows of each job that are due. Another one, that is not, must stay as it is.
pub(crate) const DUE: [&str; 5] = ["r1", "r2", "r3", "r4", "r5"];

/// A database of the test's own.
#[async_trait]
pub(crate) trait TestDatabase: Send + Sync + 'static {
    type Store: Store + RunHistory + Clone;

    /// As counted figures name it.
    const NAME: &'static str;

    /// How many connections a store's own pool may have.
    const POOL: usize;

    /// How it writes what the other statements here leave open.
    const SQL: Sql;

    /// A store with a pool of its own.
    async fn store(&self) -> TestResult<Self::Store>;

    /// A store on one connection, which sets off the tripwire.
    async fn store_with_fault(&self, statement_fault: StatementFault) -> TestResult<Self::Store>;

    /// Runs SQL, as an onlooker.
    async fn sql(&self, sql: &str) -> TestResult;

    /// The first column of what a query finds.
    async fn texts(&self, sql: &str) -> TestResult<Vec<String>>;

    /// Whether there is no transaction and no lock on any connection but the onlooker's.
    async fn is_idle(&self) -> TestResult<bool>;

    /// The reason why it is not idle, for people.
    async fn locks_left(&self) -> TestResult<String>;

    /// Takes this many connections out of the pool at once, and asks something of each.
    async fn use_every_connection(
        &self,
        store: &Self::Store,
        connections: usize,
        context: &str,
    ) -> TestResult;

    /// Waits until all locks are gone, but no longer than promised.
    ///
    /// The start of a look counts: one that takes long on a busy machine says nothing of the locks.
    /// So the last begins when the time is over, and must find nothing.
    async fn wait_until_idle(&self, context: &str) -> TestResult {
        let since = Instant::now();
        loop {
            let is_last = since.elapsed() >= RESTORED;
            if self.is_idle().await? {
                return Ok(());
            }
            if is_last {
                let left = self.locks_left().await?;
                return Err(format!("{context}: locks are left after {RESTORED:?}: {left}").into());
            }
            tokio::task::yield_now().await;
        }
    }

    /// Puts due rows of both jobs, and one of each that is not due. The account is empty.
    async fn insert_due_rows(&self) -> TestResult {
        let Sql {
            long_ago,
            just_now,
            cleared,
            ..
        } = Self::SQL;
        let rows = DUE.iter().map(|id| (*id, long_ago));
        let rows = rows.chain([("young", just_now)]).map(|(id, at)| {
            format!(
                "insert into sessions (id, user_id, created_at) values ('{id}', '{USER}', {at});
                 insert into image_sent (id, session_id) values ('i-{id}', '{id}');
                 insert into video_sent (id, session_id) values ('v-{id}', '{id}');
                 insert into bookings (booking_id, user_id, created_at) values ('{id}', '{USER}', {at});",
            )
        });
        let sql: Vec<String> = std::iter::once(cleared.to_owned()).chain(rows).collect();
        let sql = sql.join("\n");
        self.sql(&sql).await
    }

    /// Makes the tables, and the triggers that keep the account.
    async fn prepare(&self) -> TestResult {
        self.sql(
            "create table account (job text not null, id text not null);
             create table refused (id text not null)",
        )
        .await?;
        self.sql(Self::SQL.account).await
    }

    /// From now on row `r3` of each job is refused, so that the batch goes row by row.
    async fn refuse_one(&self, refuse: bool) -> TestResult {
        self.sql("delete from refused").await?;
        if refuse {
            self.sql("insert into refused values ('r3')").await?;
        }
        Ok(())
    }

    /// The rows of a job that were changed, each once.
    async fn changed(&self, job: &JobName, context: &str) -> TestResult<BTreeSet<String>> {
        let query = format!("select id from account where job = '{job}' order by id");
        let ids = self.texts(&query).await?;
        let once: BTreeSet<String> = ids.iter().cloned().collect();
        assert_eq!(
            once.len(),
            ids.len(),
            "{context}: a row was changed twice: {ids:?}"
        );
        Ok(once)
    }

    /// The rows of a job that were changed. The tables say what the account says, and rows that are
    /// not due are there.
    async fn audit(&self, job: &JobName, context: &str) -> TestResult<BTreeSet<String>> {
        let gone = self.changed(job, context).await?;
        let left = self.texts(left(job)).await?;
        let expected = DUE.iter().filter(|id| !gone.contains(**id));
        let expected: Vec<&str> = expected.copied().chain(["young"]).collect();
        assert_eq!(left, expected, "{context}");
        if *job == SessionCleaner::NAME {
            for records in ["image_sent", "video_sent"] {
                let query = format!("select session_id from {records} order by session_id");
                assert_eq!(self.texts(&query).await?, expected, "{context}: {records}");
            }
        }
        Ok(gone)
    }
}

/// How a database writes what the rest of the suite leaves open.
pub(crate) struct Sql {
    pub(crate) long_ago: &'static str,
    pub(crate) just_now: &'static str,
    pub(crate) cleared: &'static str,
    /// The triggers that keep the account, and refuse what `refused` names.
    pub(crate) account: &'static str,
}

fn left(job: &JobName) -> &'static str {
    if *job == SessionCleaner::NAME {
        "select id from sessions order by id"
    } else {
        "select booking_id from bookings where status = 'Pending' order by booking_id"
    }
}

const USER: &str = "00000000-0000-0000-0000-000000000001";

/// Tests of these cases, each on an SQLite file of its own.
#[cfg(feature = "sqlite")]
macro_rules! on_sqlite {
    ($($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() -> crate::TestResult {
                super::$case(&crate::database::sqlite::SqliteDatabase::open().await?).await
            }
        )*
    };
}
#[cfg(feature = "sqlite")]
pub(crate) use on_sqlite;

/// Tests of these cases, each on a Postgres database of its own.
#[cfg(feature = "postgres")]
macro_rules! on_postgres {
    ($($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() -> crate::TestResult {
                match crate::database::postgres::PostgresDatabase::open().await? {
                    Some(database) => super::$case(&database).await,
                    None => Ok(()),
                }
            }
        )*
    };
}
#[cfg(feature = "postgres")]
pub(crate) use on_postgres;
