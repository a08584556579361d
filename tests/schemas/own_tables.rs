//! The rules of the example `own_tables`, and the race between a message and the cleaning.

use std::time::Duration;

use ractor_housekeeper::Job;

#[path = "../../examples/own_tables/rules.rs"]
mod rules;

/// Two users whose sessions are idle; `busy` writes during the test.
const IDLE: &str = "
    insert into users values ('00000000-0000-4000-8000-000000000001'), ('00000000-0000-4000-8000-000000000002');
    insert into sessions values ('busy', '00000000-0000-4000-8000-000000000001', '2020-01-01 00:00:00.000000'),
        ('quiet', '00000000-0000-4000-8000-000000000002', '2020-01-01 00:00:00.000000');
    insert into \"imageSent\" values ('i', 'busy', null), ('j', 'quiet', null)";

async fn run(job: &impl Job) -> Vec<String> {
    let bounds = job.begin_run().await.expect("a run begins");
    let request = crate::first_batch(&bounds, 10);
    let batch = job.batch(&request).await.expect("a batch");
    assert_eq!(batch.rejected, []);
    batch.ids
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
    use ractor_housekeeper::PostgresStore;
    use ractor_housekeeper::testing::PrivatePostgres;

    use super::*;

    const WRITES: &str = "insert into messages values ('m', '00000000-0000-4000-8000-000000000001', 'user', '', now() at time zone 'UTC')";

    struct Host {
        url: String,
        store: PostgresStore,
    }

    impl Host {
        async fn new() -> Option<Self> {
            let server = PrivatePostgres::shared().expect("a server")?;
            let url = server.fresh_database().expect("a database");
            let store = PostgresStore::connect(&url).expect("a URL");
            let host = Self { url, store };
            let mut conn = host.connect().await;
            let tables = include_str!("../../examples/own_tables/postgres.sql");
            conn.batch_execute(tables).await.expect("is made");
            conn.batch_execute(IDLE).await.expect("is filled");
            Some(host)
        }

        async fn connect(&self) -> AsyncPgConnection {
            AsyncPgConnection::establish(&self.url)
                .await
                .expect("a connection")
        }

        /// Waits until this many connections to the database wait for locks. Other tests share the
        /// server.
        async fn has_waiting(&self, number: usize) {
            let fact = format!(
                "(select count(*) = {number} from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')"
            );
            let mut conn = self.connect().await;
            for _ in 0..1_000 {
                let query = diesel::select(diesel::dsl::sql::<diesel::sql_types::Bool>(&fact));
                if query.get_result(&mut conn).await.expect("an answer") {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("never: {fact}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_check_refuses_neither_rule() {
        let Some(host) = Host::new().await else {
            return;
        };
        for rule in [rules::session_cleaner(), rules::booking_expirer()] {
            let findings = host.store.check_rule(&rule).await.expect("a check");
            assert_eq!(findings.refused, [], "{findings}");
        }
    }

    /// The message is written, but not committed, when the batch looks.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_message_in_progress_keeps_its_session() {
        let Some(host) = Host::new().await else {
            return;
        };
        let job = host.store.rule(rules::session_cleaner()).expect("a job");
        let mut guest = host.connect().await;
        guest
            .batch_execute(&format!("begin; {WRITES}"))
            .await
            .expect("writes");

        let handled = run(&job).await;

        guest.batch_execute("commit").await.expect("commits");
        assert_eq!(handled, ["quiet"]);
        assert_eq!(run(&job).await, [""; 0]);
    }

    /// The batch has locked its rows when the message comes: it waits, and finds no session.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_message_that_comes_second_waits_for_the_cleaning() {
        let Some(host) = Host::new().await else {
            return;
        };
        let mut conn = host.connect().await;
        // Holds the batch up at its deletion.
        let slow = "create function held() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock_shared(7); return old; end $$;
            create trigger held before delete on sessions for each row execute function held()";
        conn.batch_execute(slow).await.expect("is made");
        conn.batch_execute("begin; select pg_advisory_xact_lock(7)")
            .await
            .expect("closes");
        let job = host.store.rule(rules::session_cleaner()).expect("a job");
        let cleaning = tokio::spawn(async move { run(&job).await });
        host.has_waiting(1).await;
        let mut guest = host.connect().await;
        let message = tokio::spawn(async move { guest.batch_execute(WRITES).await });
        host.has_waiting(2).await;

        conn.batch_execute("commit").await.expect("opens");

        let mut handled = cleaning.await.expect("ends");
        handled.sort();
        assert_eq!(handled, ["busy", "quiet"]);
        // The user is there still, and so is the message.
        message.await.expect("ends").expect("is written");
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    use ractor_housekeeper::SqliteStore;

    use super::*;

    /// The message is written, but not committed, when the batch begins.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_message_in_progress_keeps_its_session() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.db").display().to_string();
        let store = SqliteStore::open(&path).await.expect("a path");
        let made = store.transaction("fill the tables", |conn| {
            conn.batch_execute(include_str!("../../examples/own_tables/sqlite.sql"))?;
            conn.batch_execute(IDLE)
        });
        made.await.expect("is made");
        for rule in [rules::session_cleaner(), rules::booking_expirer()] {
            let findings = store.check_rule(&rule).await.expect("a check");
            assert_eq!(findings.refused, [], "{findings}");
        }
        let job = store.rule(rules::session_cleaner()).expect("a job");
        let mut guest = SqliteConnection::establish(&path).expect("a connection");
        let writes = "begin immediate; insert into messages values ('m', '00000000-0000-4000-8000-000000000001', 'user', '', strftime('%Y-%m-%d %H:%M:%f', 'now'))";
        guest.batch_execute(writes).expect("writes");

        let mut cleaning = Box::pin(run(&job));
        // It has looked for rows, and waits for the lock.
        let early = tokio::time::timeout(Duration::from_millis(300), &mut cleaning).await;
        assert!(early.is_err(), "{early:?}");
        guest.batch_execute("commit").expect("commits");

        assert_eq!(cleaning.await, ["quiet"]);
    }
}
