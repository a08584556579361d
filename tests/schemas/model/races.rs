//! Guests who save and pay rows while a generated rule runs over them.

use std::collections::BTreeSet;
use std::sync::Arc;

use ractor_housekeeper::Job;
use tokio::sync::Barrier;

use super::{Database, Key, Row, What, World};

/// A guest's connection.
pub(crate) enum Guest {
    #[cfg(feature = "postgres")]
    Postgres(Box<diesel_async::AsyncPgConnection>),
    #[cfg(feature = "sqlite")]
    Sqlite(diesel::SqliteConnection),
}

impl Guest {
    /// Returns the rows changed. A row that was deleted meanwhile refuses a payment.
    #[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async))]
    async fn change(&mut self, sql: &str) -> usize {
        let done = match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => {
                diesel_async::RunQueryDsl::execute(diesel::sql_query(sql), &mut **conn).await
            }
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => tokio::task::block_in_place(|| {
                diesel::RunQueryDsl::execute(diesel::sql_query(sql), conn)
            }),
        };
        match done {
            Ok(rows) => rows,
            Err(diesel::result::Error::DatabaseError(
                diesel::result::DatabaseErrorKind::ForeignKeyViolation,
                _,
            )) => 0,
            Err(error) => panic!("{error}: {sql}"),
        }
    }

    #[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async))]
    async fn count(&mut self, sql: &str) -> i64 {
        let query = diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(sql));
        let found = match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => diesel_async::RunQueryDsl::get_result(query, &mut **conn).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => diesel::RunQueryDsl::get_result(query, conn),
        };
        found.unwrap_or_else(|error| panic!("{error}: {sql}"))
    }
}

impl World {
    /// A condition that is true for one row.
    fn is(&self, row: &Row) -> String {
        let (values, _) = self.key(row.number);
        match self.key {
            Key::Composite => format!("(a, id) = ({values})"),
            Key::Integer | Key::Text => format!("id = {values}"),
        }
    }

    /// A guest puts the row off for longer than any rule waits, unless it has expired.
    fn save(&self, row: &Row) -> String {
        let later = self.kept.literal(Some(self.now + 86_400_000_000 * 365));
        format!(
            "update things set at = {later} where {} and (status is null or status <> 'gone')",
            self.is(row)
        )
    }

    /// A guest pays, which keeps a row only from being deleted: an expired one may be paid.
    fn pay(&self, row: &Row) -> Option<String> {
        let pays = self.unless && self.what != What::Expire;
        pays.then(|| format!("insert into payments values ({})", self.key(row.number).0))
    }

    /// The acts of guests: each second row is put off, and the others are paid. A row that both
    /// write would not show who came first.
    fn acts(&self) -> [Vec<(usize, String)>; 2] {
        let saved = self.rows.iter().filter(|row| row.number % 2 == 0);
        let saving = saved.map(|row| (row.number, self.save(row)));
        let paid = self.rows.iter().filter(|row| row.number % 2 == 1);
        let paying = paid.filter_map(|row| Some((row.number, self.pay(row)?)));
        [saving.collect(), paying.collect()]
    }

    /// Runs a job while two guests write, then once more, and returns where a row is half done.
    pub(crate) async fn race(&self, job: &impl Job, guests: [Guest; 3]) -> Result<(), String> {
        let start = Arc::new(Barrier::new(3));
        let [saves, pays, mut looks] = guests;
        let [saving, paying] = self.acts();
        let saves = tokio::spawn(write_all(saves, saving, start.clone()));
        let pays = tokio::spawn(write_all(pays, paying, start.clone()));

        start.wait().await;
        let (mut handled, mut kids) = self.run(job).await?;
        let mut kept = saves.await.map_err(|error| error.to_string())?;
        kept.extend(pays.await.map_err(|error| error.to_string())?);
        let (later, later_kids) = self.run(job).await?;
        handled.extend(later);
        kids += later_kids;
        self.assert_all_whole(&handled, &kept, kids, &mut looks)
            .await
    }

    /// Keeps rows by a guest who acts after a run has read them and before it writes. Returns how
    /// many of them were due.
    pub(crate) async fn keep(&self, guest: &mut Guest) -> (BTreeSet<usize>, usize) {
        let mut kept = BTreeSet::new();
        for (number, sql) in self.acts().concat() {
            if guest.change(&sql).await > 0 {
                kept.insert(number);
            }
        }
        let is_due = |row: &&Row| self.due_from(row).is_some_and(|from| from <= self.now);
        let due = self.rows.iter().filter(is_due);
        let hit = due.filter(|row| kept.contains(&row.number)).count();
        (kept, hit)
    }

    /// Checks that each row is as before or wholly handled, and handled only if no guest kept it.
    pub(crate) async fn assert_all_whole(
        &self,
        handled: &BTreeSet<String>,
        kept: &BTreeSet<usize>,
        kids: u64,
        looks: &mut Guest,
    ) -> Result<(), String> {
        let mut born = 0;
        for row in &self.rows {
            let (_, id) = self.key(row.number);
            let (is_handled, is_kept) = (handled.contains(&id), kept.contains(&row.number));
            if is_handled && is_kept {
                return Err(format!("{id} was handled after a guest had kept it"));
            }
            born += if is_handled { row.children } else { 0 };
            self.assert_whole(row, is_handled, looks).await?;
            let due = self.due_from(row).is_some_and(|from| from <= self.now);
            if !is_kept && due != is_handled {
                return Err(format!("{id} is due: {due}, handled: {is_handled}"));
            }
        }
        if self.with && kids != born {
            return Err(format!("{kids} children reported, {born} of handled rows"));
        }
        Ok(())
    }

    /// Checks that a row is as before, or wholly handled.
    async fn assert_whole(
        &self,
        row: &Row,
        is_handled: bool,
        looks: &mut Guest,
    ) -> Result<(), String> {
        let is = self.is(row);
        let (values, id) = self.key(row.number);
        let there = looks
            .count(&format!("(select count(*) from things where {is})"))
            .await;
        let old = looks
            .count(&format!("(select count(*) from old_things where {is})"))
            .await;
        let gone = format!("(select count(*) from things where {is} and status = 'gone')");
        let gone = looks.count(&gone).await;
        let expected = match (self.what, is_handled) {
            (What::Delete, true) => (0, 0, 0),
            (What::Archive, true) => (0, 1, 0),
            (What::Expire, true) => (1, 0, 1),
            (_, false) => (1, 0, 0),
        };
        if (there, old, gone) != expected {
            return Err(format!(
                "{id}: (there, archived, expired) is {:?}, not {expected:?}",
                (there, old, gone)
            ));
        }
        if self.with {
            let kids = looks
                .count(&format!(
                    "(select count(*) from kids where thing = {values})"
                ))
                .await;
            let expected = if is_handled { 0 } else { row.children };
            if u64::try_from(kids) != Ok(expected) {
                return Err(format!("{id} has {kids} children, not {expected}"));
            }
        }
        Ok(())
    }

    /// Runs a job over all rows. Returns the ids handled and the number of children.
    pub(crate) async fn run(&self, job: &impl Job) -> Result<(BTreeSet<String>, u64), String> {
        self.run_around(job, self.limit, async || ()).await
    }

    /// The same with a first batch of this many rows, and an act behind it.
    async fn run_around(
        &self,
        job: &impl Job,
        first: u32,
        mut act: impl AsyncFnMut(),
    ) -> Result<(BTreeSet<String>, u64), String> {
        let bounds = job.begin_run().await.map_err(|error| error.to_string())?;
        let mut request = crate::first_batch(&bounds, first);
        let (mut handled, mut kids) = (BTreeSet::new(), 0);
        loop {
            let batch = job
                .batch(&request)
                .await
                .map_err(|error| error.to_string())?;
            kids += batch.counts.of("kids");
            for id in batch.ids {
                if !handled.insert(id.clone()) {
                    return Err(format!("{id} handled twice"));
                }
            }
            if request.after.is_none() {
                act().await;
                request.limit = self.limit.try_into().expect("is not zero");
            }
            match batch.next_cursor {
                None => return Ok((handled, kids)),
                next => request.after = next,
            }
        }
    }
}

/// Returns the rows that a guest changed.
async fn write_all(
    mut guest: Guest,
    statements: Vec<(usize, String)>,
    start: Arc<Barrier>,
) -> BTreeSet<usize> {
    start.wait().await;
    let mut changed = BTreeSet::new();
    for (number, sql) in statements {
        if guest.change(&sql).await > 0 {
            changed.insert(number);
        }
    }
    changed
}

/// Rules that guests race.
const RACES: u64 = 200;

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_generated_rule_leaves_a_row_half_done_on_sqlite() {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("races.db");
    let path = path.to_string_lossy();
    let clock = super::clock();
    let store = ractor_housekeeper::SqliteStore::open(&path)
        .await
        .expect("a path");
    let store = store.with_clock(Arc::new(clock.clone()));
    let connect = || {
        let mut conn = SqliteConnection::establish(&path).expect("a connection");
        let setup = "pragma busy_timeout = 30000; pragma journal_mode = wal; pragma synchronous = off; pragma foreign_keys = on";
        conn.batch_execute(setup).expect("is set");
        conn
    };
    let mut conn = connect();
    for seed in 1..=RACES {
        let world = World::generate(seed, Database::Sqlite);
        conn.batch_execute(&world.sql())
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        clock.set(world.now());
        let job = store.rule(world.rule()).expect("a rule");
        let guests = [(); 3].map(|()| Guest::Sqlite(connect()));

        let raced = world.race(&job, guests).await;

        raced.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{world:#?}"));
    }
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_generated_rule_leaves_a_row_half_done_on_postgres() {
    use diesel_async::SimpleAsyncConnection;
    let Some((url, clock, store)) = on_postgres() else {
        return;
    };
    let connect = async || Guest::Postgres(connect(&url).await);
    let mut conn = self::connect(&url).await;
    conn.batch_execute("set client_min_messages = warning")
        .await
        .expect("is set");
    for seed in 1..=RACES {
        let world = World::generate(seed, Database::Postgres);
        conn.batch_execute(&world.sql())
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        clock.set(world.now());
        let job = store.rule(world.rule()).expect("a rule");
        let guests = [connect().await, connect().await, connect().await];

        let raced = world.race(&job, guests).await;

        raced.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{world:#?}"));
    }
}

/// Rows that guests keep between a read and a write, over all generated rules.
const HITS: usize = 50;

/// The first batch reads the rows of those to come.
#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_kept_behind_a_read_is_not_handled_on_sqlite() {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kept.db");
    let path = path.to_string_lossy();
    let clock = super::clock();
    let store = ractor_housekeeper::SqliteStore::open(&path)
        .await
        .expect("a path");
    let store = store.with_clock(Arc::new(clock.clone()));
    let mut conn = SqliteConnection::establish(&path).expect("a connection");
    conn.batch_execute("pragma synchronous = off; pragma foreign_keys = on")
        .expect("is set");
    let mut guest = Guest::Sqlite(SqliteConnection::establish(&path).expect("a connection"));
    guest.change("pragma foreign_keys = on").await;
    let mut hits = 0;
    for seed in 1..=RACES {
        let world = World::generate(seed, Database::Sqlite);
        conn.batch_execute(&world.sql())
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        clock.set(world.now());
        let job = store.rule(world.rule()).expect("a rule");
        let mut kept = BTreeSet::new();

        let ran = world.run_around(&job, 1, async || {
            let (rows, hit) = world.keep(&mut guest).await;
            (kept, hits) = (rows, hits + hit);
        });
        let (handled, kids) = ran.await.expect("runs");

        let whole = world.assert_all_whole(&handled, &kept, kids, &mut guest);
        let whole = whole.await;
        whole.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{world:#?}"));
    }
    assert!(hits > HITS, "{hits} rows were kept in time");
}

/// A gate in the rule's condition holds up the statement that picks, once it sees no newer rows.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_row_kept_during_a_pick_is_not_handled_on_postgres() {
    use diesel_async::SimpleAsyncConnection;
    use ractor_housekeeper::rule::sql;
    let Some((url, clock, store)) = on_postgres() else {
        return;
    };
    let (mut conn, mut guest) = (connect(&url).await, Guest::Postgres(connect(&url).await));
    let gate = "set client_min_messages = warning; create function gate() returns boolean language plpgsql stable \
        as $$ begin perform pg_advisory_xact_lock_shared(7); return true; end $$";
    conn.batch_execute(gate).await.expect("is made");
    let waits = "(select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'advisory')";
    let mut hits = 0;
    for seed in 1..=RACES {
        let world = Arc::new(World::generate(seed, Database::Postgres));
        conn.batch_execute(&world.sql())
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        clock.set(world.now());
        let rule = world.rule().only(sql("gate()"));
        let job = store.rule(rule).expect("a rule");
        // Compiles the plan before the gate closes.
        job.forecast(&[]).await.expect("a forecast");
        conn.batch_execute("select pg_advisory_lock(7)")
            .await
            .expect("closes");
        let running = tokio::spawn({
            let world = world.clone();
            async move { world.run(&job).await }
        });
        while guest.count(waits).await == 0 && !running.is_finished() {
            tokio::task::yield_now().await;
        }

        let (kept, hit) = world.keep(&mut guest).await;
        hits += hit;
        conn.batch_execute("select pg_advisory_unlock(7)")
            .await
            .expect("opens");
        let (handled, kids) = running.await.expect("ends").expect("runs");

        let whole = world.assert_all_whole(&handled, &kept, kids, &mut guest);
        let whole = whole.await;
        whole.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{world:#?}"));
    }
    assert!(hits > HITS, "{hits} rows were kept in time");
}

#[cfg(feature = "postgres")]
fn on_postgres() -> Option<(
    String,
    ractor_housekeeper::testing::ManualClock,
    ractor_housekeeper::PostgresStore,
)> {
    use ractor_housekeeper::testing::PrivatePostgres;
    let server = PrivatePostgres::shared().expect("a server")?;
    let url = server.fresh_database().expect("a database");
    let clock = super::clock();
    let store = ractor_housekeeper::PostgresStore::connect(&url).expect("a URL");
    let store = store.with_clock(Arc::new(clock.clone()));
    Some((url, clock, store))
}

#[cfg(feature = "postgres")]
async fn connect(url: &str) -> Box<diesel_async::AsyncPgConnection> {
    use diesel_async::AsyncConnection;
    let conn = diesel_async::AsyncPgConnection::establish(url).await;
    Box::new(conn.expect("a connection"))
}
