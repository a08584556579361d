//! Databases on a Postgres server.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use diesel::connection::InstrumentationEvent;
use diesel::sql_types::{Bool, Text};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, bb8};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use ractor_housekeeper::PostgresStore;
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::testing::PrivatePostgres;
use tokio::sync::{Mutex, MutexGuard};

use super::{Sql, TestDatabase};
use crate::TestResult;
use crate::statement_fault::StatementFault;

pub(crate) struct PostgresDatabase {
    /// Connects when it is first needed, and again when its connection was lost.
    observer: Mutex<Option<AsyncPgConnection>>,
    pub(crate) url: String,
}

#[derive(diesel::QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(diesel::QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    yes: bool,
}

impl PostgresDatabase {
    /// On the server all tests share; `None` where Postgres is not installed.
    pub(crate) async fn open() -> TestResult<Option<Self>> {
        let Some(server) = PrivatePostgres::shared()? else {
            println!("left out: Postgres is not installed");
            return Ok(None);
        };
        Self::on(server).await.map(Some)
    }

    pub(crate) async fn on(server: &PrivatePostgres) -> TestResult<Self> {
        let database = Self::bare(server)?;
        database.store().await?.migrate(Schema::ALL).await?;
        database.prepare().await?;
        Ok(database)
    }

    /// Without tables.
    pub(crate) fn bare(server: &PrivatePostgres) -> TestResult<Self> {
        Ok(Self {
            observer: Mutex::default(),
            url: server.fresh_database()?,
        })
    }

    async fn observe(&self) -> TestResult<ObserverGuard<'_>> {
        let mut observer = self.observer.lock().await;
        if observer.is_none() {
            *observer = Some(AsyncPgConnection::establish(&self.url).await?);
        }
        Ok(ObserverGuard(observer))
    }

    /// Ends all connections to this database but the onlooker's.
    pub(crate) async fn close_other_connections(&self) -> TestResult {
        self.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()").await
    }

    /// Returns when a statement is in its middle.
    pub(crate) async fn wait_for_slow_statement(&self) -> TestResult {
        let asleep = "select pid::text from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
        while self.texts(asleep).await?.is_empty() {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Lets the onlooker's connection go, before the server does.
    pub(crate) async fn close_observer(&self) {
        *self.observer.lock().await = None;
    }
}

struct ObserverGuard<'g>(MutexGuard<'g, Option<AsyncPgConnection>>);

impl ObserverGuard<'_> {
    fn conn(&mut self) -> TestResult<&mut AsyncPgConnection> {
        self.0.as_mut().ok_or_else(|| "it was connected".into())
    }
}

#[async_trait]
impl TestDatabase for PostgresDatabase {
    type Store = PostgresStore;

    const NAME: &'static str = "postgres";
    const POOL: usize = 8;

    const SQL: Sql = Sql {
        long_ago: "now() - interval '2 days'",
        just_now: "now()",
        cleared: "delete from refused; delete from bookings; delete from sessions; delete from housekeeper_runs; delete from account;",
        account: "create function note() returns trigger language plpgsql as $$ begin
                      if tg_table_name = 'sessions' then
                          insert into account values ('session-cleaner', old.id);
                      else
                          insert into account values ('booking-expirer', new.booking_id);
                      end if;
                      return null;
                  end $$;
                  create trigger note after delete on sessions for each row execute function note();
                  create trigger note after update of status on bookings for each row execute function note();
                  create function keep() returns trigger language plpgsql as $$ begin
                      if exists (select from refused where id = to_jsonb(old) ->> tg_argv[0]) then
                          raise exception 'the guest has an open invoice';
                      end if;
                      if tg_op = 'DELETE' then return old; else return new; end if;
                  end $$;
                  create trigger keep before delete on sessions for each row execute function keep('id');
                  create trigger keep before update of status on bookings for each row execute function keep('booking_id');",
    };

    async fn store(&self) -> TestResult<PostgresStore> {
        Ok(PostgresStore::connect(&self.url)?)
    }

    async fn store_with_fault(&self, statement_fault: StatementFault) -> TestResult<PostgresStore> {
        let mut config = ManagerConfig::default();
        config.custom_setup = Box::new(move |url| {
            let (url, statement_fault) = (url.to_owned(), statement_fault.clone());
            Box::pin(async move {
                let mut conn = AsyncPgConnection::establish(&url).await?;
                conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
                    statement_fault.operation(&event);
                });
                Ok(conn)
            })
        });
        let manager = AsyncDieselConnectionManager::new_with_config(self.url.as_str(), config);
        Ok(PostgresStore::with_pool(
            bb8::Pool::builder().max_size(1).build(manager).await?,
        ))
    }

    async fn sql(&self, sql: &str) -> TestResult {
        Ok(self.observe().await?.conn()?.batch_execute(sql).await?)
    }

    async fn texts(&self, sql: &str) -> TestResult<Vec<String>> {
        let query = format!("select found.line from ({sql}) as found (line)");
        let mut observer = self.observe().await?;
        let lines: Vec<TextRow> = diesel::sql_query(query).load(observer.conn()?).await?;
        Ok(lines.into_iter().map(|line| line.line).collect())
    }

    async fn is_idle(&self) -> TestResult<bool> {
        let mut observer = self.observe().await?;
        let answer: Answer = diesel::sql_query(
            "select not exists (
                 select from pg_stat_activity a
                 where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
                     and (state <> 'idle' or xact_start is not null or exists (select from pg_locks l where l.pid = a.pid))
             ) as yes",
        )
        .get_result(observer.conn()?)
        .await?;
        Ok(answer.yes)
    }

    async fn locks_left(&self) -> TestResult<String> {
        let sessions = "select concat_ws(' ', pid, backend_type, state, wait_event_type, wait_event, 'transaction', clock_timestamp() - xact_start, 'statement', clock_timestamp() - query_start, 'connected', clock_timestamp() - backend_start, query)
                        from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
        Ok(self.texts(sessions).await?.join("; "))
    }

    async fn use_every_connection(
        &self,
        store: &PostgresStore,
        connections: usize,
        context: &str,
    ) -> TestResult {
        let since = Instant::now();
        let mut taken = Vec::new();
        while taken.len() < connections {
            match store.pool().get().await {
                Ok(mut conn) => {
                    conn.batch_execute("begin; select 1; rollback").await?;
                    taken.push(conn);
                }
                Err(error) => {
                    let (had, state) = (taken.len(), store.pool().state());
                    println!(
                        "{context}: got {had} of {connections} connections: {error}: {state:?}"
                    );
                    if since.elapsed() > USABLE {
                        return Err(format!("{context}: got {had} of {connections} connections after {USABLE:?}: {error}").into());
                    }
                }
            }
        }
        Ok(())
    }
}

/// Rows that take their time, so that a statement is always in its middle.
pub(crate) const SLOW_DOWN: &str = "create table slow_rows ();
                      insert into slow_rows default values;
                      create function dawdle() returns trigger language plpgsql as $$ begin
                          while exists (select from slow_rows) loop perform pg_sleep(0.05); end loop;
                          if tg_op = 'DELETE' then return old; else return new; end if;
                      end $$;
                      create trigger dawdle before delete on sessions for each row execute function dawdle();
                      create trigger dawdle before update on bookings for each row execute function dawdle();";

/// By a row: to drop the triggers takes a lock that waits for the statement in its middle, and who
/// comes next would wait for that lock, and report it.
pub(crate) const SPEED_UP: &str = "delete from slow_rows";

/// After a crash, all connections of a pool can be had within this time, on a machine that has
/// other things to do.
///
/// Longer than [`RESTORED`](super::RESTORED), since the pool may be in an attempt to connect for a
/// caller that is gone. The attempt ends after nine tenths of the timeout `acquire`, at most two
/// seconds here and five by default, and the next one begins within half a second.
const USABLE: Duration = Duration::from_secs(10);
