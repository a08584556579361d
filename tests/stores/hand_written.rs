//! A hand-written job over a host's table, and the mistakes in it that `Conformance` finds.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use ractor_housekeeper::job::{
    Batch, BatchRequest, BoundedCount, Cursor, Forecast, JobError, Page, PreviewRow, PreviewRows,
    RunBounds,
};
use ractor_housekeeper::testing::{Conformance, Conformed, Guest, ManualClock};
use ractor_housekeeper::{Job, JobName, Scope};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutant {
    ScopeIgnoredInWrite,
    NoSecondLook,
    MaxAgeTooLong,
    NoMaxAge,
    OrderByIdAlone,
    ClockAhead,
}

/// Checks a job with one of the mistakes, in a task, and returns its panic's text.
async fn check(
    job: impl Job,
    mut guest: impl Guest + 'static,
    clock: Arc<ManualClock>,
) -> Result<Conformed, String> {
    let limit = 2.try_into().expect("is not zero");
    caught(async move {
        let check = Conformance::new(limit).clock(clock).guest(&mut guest);
        check.check(&job).await
    })
    .await
}

/// Runs a check in a task, and returns its panic's text.
async fn caught(
    check: impl Future<Output = Result<Conformed, JobError>> + Send + 'static,
) -> Result<Conformed, String> {
    let checking = tokio::spawn(async move { check.await.map_err(|error| error.chain()) });
    match checking.await {
        Ok(done) => Ok(done.expect("no step fails")),
        Err(error) => {
            let panic = error.into_panic();
            let text = panic.downcast_ref::<String>().cloned();
            Err(text.unwrap_or_else(|| panic.downcast_ref::<&str>().unwrap_or(&"").to_string()))
        }
    }
}

fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(0)
}

/// Rows of two users, an older one with a later id.
const ROWS: [(&str, &str, i64, bool); 7] = [
    ("a", "ann", 9, false),
    ("b", "bob", 10, false),
    ("c", "ann", 9, false),
    ("d", "dan", 8, false),
    ("e", "bob", 8, false),
    ("answered", "ann", 9, true),
    ("young", "bob", 7, false),
];

const AGE: TimeDelta = TimeDelta::days(7);

/// The forecast and the bounds of a mutant.
fn bounds(now: DateTime<Utc>, mutant: Option<Mutant>) -> RunBounds {
    let ahead = TimeDelta::hours(i64::from(mutant == Some(Mutant::ClockAhead)));
    let now = now + ahead;
    RunBounds::new(now, now - AGE)
}

fn forecast(
    bounds: &RunBounds,
    oldest: Option<DateTime<Utc>>,
    due: BoundedCount,
    mutant: Option<Mutant>,
) -> Forecast {
    let forecast = Forecast::from_oldest(bounds, oldest, due);
    let max_age = match mutant {
        Some(Mutant::NoMaxAge) => None,
        Some(Mutant::MaxAgeTooLong) => forecast.max_age.map(|age| age + age / 7),
        _ => forecast.max_age,
    };
    forecast.with_max_age(max_age)
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use diesel::connection::SimpleConnection;
    use diesel::prelude::*;
    use diesel::sqlite::Sqlite;
    use ractor_housekeeper::SqliteStore;

    use super::*;

    diesel::table! {
        invitations (id) {
            id -> Text,
            guest -> Text,
            sent_at -> BigInt,
            answered -> Bool,
        }
    }

    struct Sweeper {
        store: SqliteStore,
        mutant: Option<Mutant>,
    }

    /// The rule: open invitations sent before the cutoff, oldest first.
    fn open(
        cutoff: DateTime<Utc>,
        scope: &Scope,
        after: Option<&Cursor>,
        mutant: Option<Mutant>,
    ) -> invitations::BoxedQuery<'static, Sqlite> {
        use invitations::{answered, guest, id, sent_at};
        let by_id = mutant == Some(Mutant::OrderByIdAlone);
        let mut query = invitations::table
            .filter(
                answered
                    .eq(false)
                    .and(sent_at.lt(cutoff.timestamp_micros())),
            )
            .into_boxed();
        if let Scope::User(user) = scope {
            query = query.filter(guest.eq(user.clone()));
        }
        if let Some(after) = after {
            let since = after.since().timestamp_micros();
            let later = id.gt(after.id().to_owned());
            query = if by_id {
                query.filter(later)
            } else {
                query.filter(sent_at.gt(since).or(sent_at.eq(since).and(later)))
            };
        }
        if by_id {
            query.order(id)
        } else {
            query.order((sent_at, id))
        }
    }

    fn place((id, sent_at): (String, i64)) -> Cursor {
        Cursor::new(
            DateTime::from_timestamp_micros(sent_at).unwrap_or_default(),
            id,
        )
    }

    fn pick(
        conn: &mut SqliteConnection,
        request: &BatchRequest,
        mutant: Option<Mutant>,
    ) -> QueryResult<Vec<Cursor>> {
        let scope = match mutant {
            Some(Mutant::ScopeIgnoredInWrite) => &Scope::All,
            _ => &request.scope,
        };
        let picked = open(request.cutoff, scope, request.after.as_ref(), mutant)
            .limit(request.limit.get().into())
            .select((invitations::id, invitations::sent_at))
            .load(conn)?;
        Ok(picked.into_iter().map(place).collect())
    }

    fn delete(
        conn: &mut SqliteConnection,
        request: &BatchRequest,
        picked: Vec<Cursor>,
    ) -> QueryResult<Batch> {
        let batch = Batch::claimed(request, picked);
        let rows = invitations::table.filter(invitations::id.eq_any(&batch.ids));
        let deleted = diesel::delete(rows).execute(conn)?;
        Ok(batch.with_count("invitations", deleted as u64))
    }

    fn count(
        conn: &mut SqliteConnection,
        cutoff: DateTime<Utc>,
        scope: &Scope,
    ) -> QueryResult<BoundedCount> {
        let ids: Vec<String> = open(cutoff, scope, None, None)
            .limit(BoundedCount::PROBE)
            .select(invitations::id)
            .load(conn)?;
        Ok(BoundedCount::from_probe(ids.len() as u64))
    }

    #[async_trait]
    impl Job for Sweeper {
        fn name(&self) -> JobName {
            JobName::new("invitation-sweeper")
        }

        async fn begin_run(&self) -> Result<RunBounds, JobError> {
            Ok(bounds(self.store.clock_now(), self.mutant))
        }

        async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
            let (request, mutant) = (request.clone(), self.mutant);
            if mutant == Some(Mutant::NoSecondLook) {
                let asked = request.clone();
                let picked = self
                    .store
                    .read("pick", move |conn| pick(conn, &asked, mutant))
                    .await?;
                let batch = self
                    .store
                    .transaction("delete", move |conn| delete(conn, &request, picked));
                return Ok(batch.await?);
            }
            let batch = self.store.transaction("delete invitations", move |conn| {
                let picked = pick(conn, &request, mutant)?;
                delete(conn, &request, picked)
            });
            Ok(batch.await?)
        }

        async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
            let (scope, page, mutant) = (scope.clone(), page.clone(), self.mutant);
            let cutoff = self.begin_run().await?.cutoff;
            let rows = self.store.read("list invitations", move |conn| {
                let selected: Vec<(String, String, i64, bool)> =
                    open(cutoff, &scope, page.after.as_ref(), mutant)
                        .limit(page.probe())
                        .load(conn)?;
                let selected = selected
                    .into_iter()
                    .map(|(id, guest, sent_at, _)| PreviewRow {
                        since: place((String::new(), sent_at)).since(),
                        id,
                        user: Some(guest),
                        details: [].into(),
                    });
                let due = count(conn, cutoff, &scope)?;
                Ok(PreviewRows::of_page(&page, cutoff, due, selected))
            });
            Ok(rows.await?)
        }

        async fn forecast(&self, _: &[String]) -> Result<Forecast, JobError> {
            let (bounds, mutant) = (self.begin_run().await?, self.mutant);
            let read = self.store.read("look ahead", move |conn| {
                let oldest: Option<(String, i64)> = open(bounds.now, &Scope::All, None, None)
                    .select((invitations::id, invitations::sent_at))
                    .first(conn)
                    .optional()?;
                let due = count(conn, bounds.cutoff, &Scope::All)?;
                Ok(forecast(
                    &bounds,
                    oldest.map(|row| place(row).since()),
                    due,
                    mutant,
                ))
            });
            Ok(read.await?)
        }
    }

    struct Inviter(SqliteConnection);

    #[async_trait]
    impl Guest for Inviter {
        async fn begin(&mut self, id: &str) -> Result<(), JobError> {
            self.0.batch_execute("begin immediate")?;
            let row = invitations::table.find(id);
            diesel::update(row)
                .set(invitations::answered.eq(true))
                .execute(&mut self.0)?;
            Ok(())
        }

        async fn commit(&mut self) -> Result<(), JobError> {
            Ok(self.0.batch_execute("commit")?)
        }

        async fn is_saved(&mut self, id: &str) -> Result<bool, JobError> {
            let row = invitations::table.find(id).select(invitations::answered);
            Ok(row.first(&mut self.0).optional()? == Some(true))
        }
    }

    async fn checked(mutant: Option<Mutant>) -> Result<Conformed, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.db").display().to_string();
        let clock = Arc::new(ManualClock::frozen(now()));
        let store = SqliteStore::open(&path)
            .await
            .expect("a path")
            .with_clock(clock.clone());
        let mut conn = SqliteConnection::establish(&path).expect("a connection");
        conn.batch_execute(
            "pragma journal_mode = wal; create table invitations (id text primary key not null, guest text not null, \
             sent_at bigint not null, answered boolean not null)",
        )
        .expect("is made");
        for (id, guest, days, answered) in ROWS {
            let sent_at = (now() - TimeDelta::days(days)).timestamp_micros();
            let row = (
                invitations::id.eq(id),
                invitations::guest.eq(guest),
                invitations::sent_at.eq(sent_at),
                invitations::answered.eq(answered),
            );
            diesel::insert_into(invitations::table)
                .values(row)
                .execute(&mut conn)
                .expect("is written");
        }
        check(Sweeper { store, mutant }, Inviter(conn), clock).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_right_job_conforms() {
        let conformed = checked(None).await.expect("conforms");

        assert_eq!(conformed.handled, ["a", "c", "d", "e"]);
        assert_eq!(conformed.warnings, [""; 0]);
    }

    async fn assert_found(mutant: Mutant, expected: &str) {
        let found = checked(Some(mutant)).await.expect_err(expected);

        assert!(found.contains(expected), "{mutant:?}: {found}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_write_that_ignores_the_scope_is_found() {
        assert_found(
            Mutant::ScopeIgnoredInWrite,
            "a run for a stranger handled rows of others",
        )
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_write_without_a_second_look_is_found() {
        assert_found(
            Mutant::NoSecondLook,
            "a batch handled b, which a user had saved",
        )
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_max_age_that_is_too_long_is_found() {
        assert_found(
            Mutant::MaxAgeTooLong,
            "max_age is 8days, but rows fall due at an age of 7days",
        )
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_order_by_id_alone_is_found() {
        assert_found(
            Mutant::OrderByIdAlone,
            "rows do not come oldest first: a of",
        )
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_clock_that_is_ahead_is_found() {
        assert_found(Mutant::ClockAhead, "which is ahead").await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_missing_max_age_is_a_warning() {
        let conformed = checked(Some(Mutant::NoMaxAge)).await.expect("conforms");

        assert_eq!(
            conformed.warnings,
            [
                "the forecast has no max_age, so a row created after a run waits for a tick; rows fall due at an age of 7days"
            ]
        );
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel::sql_types::{BigInt, Text, Timestamptz};
    use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, QueryResult};
    use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
    use ractor_housekeeper::PostgresStore;
    use ractor_housekeeper::rule::{Rule, age, eq};
    use ractor_housekeeper::testing::{Neighbour, PostgresProxy, PrivatePostgres};

    use super::*;

    diesel::table! {
        invitations (id) {
            id -> Text,
            sent_at -> Timestamptz,
            answered -> Bool,
        }
    }

    /// A condition that keeps a row saved meanwhile.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Care {
        Lock,
        SecondLook,
        Neither,
        /// A second look, and nothing at all where a row is locked.
        GivesUp,
        /// A lock, and places compared in Rust.
        LockAndOrder,
    }

    struct Sweeper {
        store: PostgresStore,
        care: Care,
    }

    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        id: String,
        #[diesel(sql_type = Timestamptz)]
        sent_at: DateTime<Utc>,
    }

    #[derive(diesel::QueryableByName)]
    struct Number {
        #[diesel(sql_type = BigInt)]
        number: i64,
    }

    async fn open(
        conn: &mut AsyncPgConnection,
        cutoff: DateTime<Utc>,
        after: Option<&Cursor>,
        limit: i64,
        lock: &str,
    ) -> QueryResult<Vec<Row>> {
        let start = Cursor::new(DateTime::UNIX_EPOCH, "");
        let after = after.unwrap_or(&start);
        diesel::sql_query(format!(
            "select id, sent_at from invitations where not answered and sent_at < $1 and (sent_at, id) > ($2, $3) \
             order by sent_at, id limit $4 {lock}"
        ))
        .bind::<Timestamptz, _>(cutoff)
        .bind::<Timestamptz, _>(after.since())
        .bind::<Text, _>(after.id())
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await
    }

    async fn count(
        conn: &mut AsyncPgConnection,
        cutoff: DateTime<Utc>,
    ) -> QueryResult<BoundedCount> {
        let found: Number = diesel::sql_query(
            "select count(*) as number from (select 1 from invitations where not answered and sent_at < $1 limit $2) due",
        )
        .bind::<Timestamptz, _>(cutoff)
        .bind::<BigInt, _>(BoundedCount::PROBE)
        .get_result(conn)
        .await?;
        Ok(BoundedCount::from_probe(found.number.unsigned_abs()))
    }

    async fn delete(
        conn: &mut AsyncPgConnection,
        request: &BatchRequest,
        care: Care,
    ) -> QueryResult<Batch> {
        let lock = match care {
            Care::Lock | Care::LockAndOrder => "for update skip locked",
            Care::SecondLook | Care::Neither | Care::GivesUp => "",
        };
        let limit = request.limit.get().into();
        let mut rows = open(conn, request.cutoff, request.after.as_ref(), limit, lock).await?;
        if let Some(after) = request
            .after
            .as_ref()
            .filter(|_| care == Care::LockAndOrder)
        {
            rows.retain(|row| (row.sent_at, row.id.as_str()) > (after.since(), after.id()));
        }
        let picked = rows.into_iter().map(|row| Cursor::new(row.sent_at, row.id));
        let mut batch = Batch::claimed(request, picked);
        let answers: &[bool] = if matches!(care, Care::SecondLook | Care::GivesUp) {
            &[false]
        } else {
            &[false, true]
        };
        batch.ids = diesel::delete(invitations::table)
            .filter(invitations::id.eq_any(&batch.ids))
            .filter(invitations::answered.eq_any(answers))
            .returning(invitations::id)
            .get_results(conn)
            .await?;
        let count = batch.ids.len() as u64;
        Ok(batch.with_count("invitations", count))
    }

    #[async_trait]
    impl Job for Sweeper {
        fn name(&self) -> JobName {
            JobName::new("invitation-sweeper")
        }

        fn check_scope(&self, scope: &Scope) -> Result<(), String> {
            match scope {
                Scope::All => Ok(()),
                Scope::User(_) => Err("invitations are not kept by user".to_owned()),
            }
        }

        async fn begin_run(&self) -> Result<RunBounds, JobError> {
            Ok(bounds(self.store.clock_now().await?, None))
        }

        async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
            let work = async |conn: &mut AsyncPgConnection| delete(conn, request, self.care).await;
            let done = self.store.transaction("delete invitations", work).await;
            match done {
                Err(_) if self.care == Care::GivesUp => Ok(Batch::default()),
                done => Ok(done?),
            }
        }

        async fn preview(&self, _: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
            let cutoff = self.begin_run().await?.cutoff;
            let work = async |conn: &mut AsyncPgConnection| {
                let rows = open(conn, cutoff, page.after.as_ref(), page.probe(), "").await?;
                let selected = rows.into_iter().map(|Row { id, sent_at }| PreviewRow {
                    id,
                    user: None,
                    since: sent_at,
                    details: [].into(),
                });
                let due = count(conn, cutoff).await?;
                Ok(PreviewRows::of_page(page, cutoff, due, selected))
            };
            Ok(self.store.read("list invitations", work).await?)
        }

        async fn forecast(&self, _: &[String]) -> Result<Forecast, JobError> {
            let bounds = self.begin_run().await?;
            let work = async |conn: &mut AsyncPgConnection| {
                let oldest = open(conn, bounds.now, None, 1, "").await?.pop();
                let due = count(conn, bounds.cutoff).await?;
                Ok(Forecast::from_oldest(
                    &bounds,
                    oldest.map(|row| row.sent_at),
                    due,
                ))
            };
            Ok(self.store.read("look ahead", work).await?)
        }
    }

    struct Inviter(AsyncPgConnection);

    #[async_trait]
    impl Guest for Inviter {
        async fn begin(&mut self, id: &str) -> Result<(), JobError> {
            self.0.batch_execute("begin").await?;
            let row = invitations::table.find(id);
            let answered = diesel::update(row).set(invitations::answered.eq(true));
            answered.execute(&mut self.0).await?;
            Ok(())
        }

        async fn commit(&mut self) -> Result<(), JobError> {
            Ok(self.0.batch_execute("commit").await?)
        }

        async fn is_saved(&mut self, id: &str) -> Result<bool, JobError> {
            let row = invitations::table.find(id).select(invitations::answered);
            Ok(row.first(&mut self.0).await.optional()? == Some(true))
        }
    }

    async fn fill(url: &str) -> AsyncPgConnection {
        let mut conn = AsyncPgConnection::establish(url)
            .await
            .expect("a connection");
        conn.batch_execute(
            "create table invitations (id text primary key, sent_at timestamptz not null, answered boolean not null);
             create index on invitations (sent_at) where not answered;
             insert into invitations select v.id, now() - v.days * interval '1 day', false
             from (values ('a', 9), ('b', 10), ('c', 9), ('d', 8), ('young', 6)) v(id, days)",
        )
        .await
        .expect("is made");
        conn
    }

    /// The same as a declared rule.
    fn declared(store: &PostgresStore) -> impl Job + use<> {
        let week = std::time::Duration::from_secs(7 * 24 * 60 * 60);
        let rule = Rule::new("invitations", "invitations")
            .due(age("sent_at", week))
            .only(eq("answered", false))
            .delete();
        store.rule(rule).expect("a rule")
    }

    struct Holder(AsyncPgConnection);

    #[async_trait]
    impl Neighbour for Holder {
        async fn lock(&mut self, id: &str) -> Result<(), JobError> {
            let lock = format!("begin; select from invitations where id = '{id}' for update");
            Ok(self.0.batch_execute(&lock).await?)
        }

        async fn release(&mut self) -> Result<(), JobError> {
            Ok(self.0.batch_execute("rollback").await?)
        }
    }

    async fn beside_a_neighbour(
        url: &str,
        job: impl FnOnce(PostgresStore) -> Box<dyn Job>,
    ) -> Result<Conformed, String> {
        let mut holder = Holder(fill(url).await);
        let job = job(PostgresStore::connect(url).expect("a URL"));
        caught(async move {
            let check = Conformance::new(2.try_into().expect("is not zero"));
            check.neighbour(&mut holder).check(&*job).await
        })
        .await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_job_that_waits_for_a_locked_row_is_found() {
        let Some(server) = PrivatePostgres::shared().expect("a server") else {
            return;
        };
        let url = || server.fresh_database().expect("a database");
        let by_hand = |care| move |store| -> Box<dyn Job> { Box::new(Sweeper { store, care }) };

        let skips = beside_a_neighbour(&url(), by_hand(Care::Lock)).await;
        let rule = beside_a_neighbour(&url(), |store| Box::new(declared(&store))).await;
        let waits = beside_a_neighbour(&url(), by_hand(Care::SecondLook)).await;
        let gives_up = beside_a_neighbour(&url(), by_hand(Care::GivesUp)).await;

        assert_eq!(skips.expect("conforms").handled, ["b", "a", "c", "d"]);
        assert_eq!(rule.expect("conforms").handled, ["b", "a", "c", "d"]);
        let found = waits.expect_err("waits");
        assert!(
            found.contains("a run fails while another client holds b: "),
            "{found}"
        );
        let found = gives_up.expect_err("gives up");
        assert!(
            found.contains("a run handled 0 of 3 free rows while another client held b"),
            "{found}"
        );
    }

    /// A check that had nothing to check says so.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn too_few_rows_for_a_check_are_a_warning() {
        let Some(server) = PrivatePostgres::shared().expect("a server") else {
            return;
        };
        for (rows, expected) in [(0, 3), (1, 1), (2, 0)] {
            let url = server.fresh_database().expect("a database");
            let mut holder = Holder(fill(&url).await);
            let proxy = PostgresProxy::start(&url).await.expect("a proxy");
            let few = format!(
                "delete from invitations where id not in (select id from invitations where id <> 'young' order by id limit {rows})"
            );
            holder.0.batch_execute(&few).await.expect("deletes");
            let store = PostgresStore::connect(proxy.url()).expect("a URL");
            let job = declared(&store);

            let checked = caught(async move {
                let check = Conformance::new(2.try_into().expect("is not zero"));
                check.neighbour(&mut holder).proxy(&proxy).check(&job).await
            });

            let warnings = checked.await.expect("conforms").warnings;
            assert_eq!(warnings.len(), expected, "{rows}: {warnings:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_job_that_forgets_an_unconfirmed_commit_is_found() {
        let Some(server) = PrivatePostgres::shared().expect("a server") else {
            return;
        };
        let mut results = Vec::new();
        for is_declared in [true, false] {
            let url = server.fresh_database().expect("a database");
            drop(fill(&url).await);
            let proxy = PostgresProxy::start(&url).await.expect("a proxy");
            let store = PostgresStore::connect(proxy.url()).expect("a URL");
            let job: Box<dyn Job> = if is_declared {
                Box::new(declared(&store))
            } else {
                let care = Care::Lock;
                Box::new(Sweeper { store, care })
            };
            let checked = caught(async move {
                let check = Conformance::new(2.try_into().expect("is not zero"));
                check.proxy(&proxy).check(&*job).await
            });
            results.push(checked.await);
        }

        let forgets = results.pop().expect("two were checked");
        let rule = results.pop().expect("two were checked");
        assert_eq!(rule.expect("conforms").handled, ["b", "a", "c", "d"]);
        let found = forgets.expect_err("forgets");
        assert!(
            found.contains(
                "the commit of [\"b\", \"a\"] was not confirmed, and no batch reports them"
            ),
            "{found}"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_order_of_rust_is_found_in_each_odd_locale() {
        let Some(server) = PrivatePostgres::shared().expect("a server") else {
            return;
        };
        let locales = PrivatePostgres::ODD_LOCALES.iter().copied().map(Some);
        for locale in locales.chain([None]) {
            for care in [None, Some(Care::Lock), Some(Care::LockAndOrder)] {
                let url = match locale {
                    Some(locale) => server.fresh_database_in(locale),
                    // Texts in the order of their bytes hide the mistake.
                    None => server.fresh_database_in(""),
                };
                let url = url.expect("a database");
                let mut conn = fill(&url).await;
                conn.batch_execute(
                    "delete from invitations; insert into invitations select id, now() - interval '9 days', false
                     from unnest(array['a', 'B', 'b', 'c9', 'c10', 'd', 'D-2', 'd1']) id",
                )
                .await
                .expect("is made");
                let store = PostgresStore::connect(&url).expect("a URL");
                let job: Box<dyn Job> = match care {
                    None => Box::new(declared(&store)),
                    Some(care) => Box::new(Sweeper { store, care }),
                };

                let checked = caught(async move {
                    let check = Conformance::new(std::num::NonZeroU32::MIN);
                    check.check(&*job).await
                })
                .await;

                let is_found = care == Some(Care::LockAndOrder) && locale.is_some();
                match checked {
                    Ok(conformed) => {
                        assert!(!is_found && conformed.handled.len() == 8, "{locale:?}");
                    }
                    Err(found) => assert!(
                        is_found
                            && found
                                .contains("a run (left) and the preview before it (right) differ"),
                        "{locale:?} {care:?}: {found}"
                    ),
                }
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_job_without_lock_and_second_look_is_found() {
        let Some(server) = PrivatePostgres::shared().expect("a server") else {
            return;
        };
        for care in [Care::Lock, Care::SecondLook, Care::Neither] {
            let url = server.fresh_database().expect("a database");
            let conn = fill(&url).await;
            let store = PostgresStore::connect(&url).expect("a URL");
            // The clock that decides is the database's, which is the machine's.
            let clock = Arc::new(ManualClock::frozen(Utc::now()));

            let checked = check(Sweeper { store, care }, Inviter(conn), clock).await;

            match checked {
                Ok(conformed) => {
                    assert_ne!(care, Care::Neither);
                    assert_eq!(conformed.handled, ["a", "c", "d"]);
                }
                Err(found) => {
                    assert_eq!(care, Care::Neither, "{found}");
                    assert!(
                        found.contains("a batch handled b, which a user had saved"),
                        "{found}"
                    );
                }
            }
        }
    }
}
