//! The host's foreign keys on SQLite: what they keep is found before it can refuse a batch.

use ractor_housekeeper::job::Batch;
use ractor_housekeeper::store::sqlite::SqliteStore;

use super::SqliteUnderTest;
use crate::TestResult;
use crate::jobs::Jobs;
use crate::listening_pool;
use crate::recorder::Recorder;
use crate::rules::idle_request;
use crate::support::alone::ran_alone;
use crate::support::log::Log;
use crate::world::{StoreUnderTest, clock, micro, now, user};

/// A world with idle sessions `a` to `e`, each with an image `i-a` to `i-e`, and tables of a
/// host's.
async fn world_with(host_tables: &str) -> TestResult<SqliteUnderTest> {
    let world = SqliteUnderTest::open().await?.ok_or("SQLite is built in")?;
    for (number, id) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        world
            .session(id, user(number as u128), now() - micro())
            .await?;
        world
            .sql(&format!(
                "insert into image_sent (id, session_id) values ('i-{id}', '{id}')"
            ))
            .await?;
    }
    world.sql(host_tables).await?;
    Ok(world)
}

async fn delete(jobs: &Jobs) -> TestResult<Batch> {
    Ok(jobs.delete_idle_sessions(&idle_request(now(), 100)).await?)
}

fn rejected(batch: &Batch) -> Vec<(&str, &str)> {
    let rows = batch.rejected.iter();
    rows.map(|row| (row.id.as_str(), row.error.as_str()))
        .collect()
}

#[tokio::test]
async fn a_row_kept_by_any_kind_of_key_is_named_with_its_holder() -> TestResult {
    for (host_tables, error) in [
        (
            "create table invoices (session_id text references sessions (id)); insert into invoices values ('b'), (null)",
            "kept by invoices.session_id",
        ),
        (
            "create table invoices (session_id text references sessions on delete restrict); insert into invoices values ('b')",
            "kept by invoices.session_id",
        ),
        (
            "create table invoices (session_id text references sessions deferrable initially deferred); insert into invoices values ('b')",
            "kept by invoices.session_id",
        ),
        (
            r#"create table "Odd ""Table""" (no integer primary key, "Ses'sion" text references SESSIONS ("ID")); insert into "Odd ""Table""" values (1, 'b')"#,
            r#"kept by Odd "Table".Ses'sion"#,
        ),
        (
            "create table invoices (session_id text primary key references sessions (id)) without rowid; insert into invoices values ('b')",
            "kept by invoices.session_id",
        ),
        (
            "create unique index one_session_a_user on sessions (user_id);
             create table invoices (user_id text references sessions (user_id)); insert into invoices select user_id from sessions where id = 'b'",
            "kept by invoices.user_id",
        ),
        (
            "create unique index both on sessions (user_id, id);
             create table invoices (whose text, session_id text, foreign key (whose, session_id) references sessions (user_id, id));
             insert into invoices select user_id, id from sessions where id = 'b'; insert into invoices values (null, 'c')",
            "kept by invoices (whose, session_id)",
        ),
        (
            "create table thumbnails (image_id text references image_sent (id)); insert into thumbnails values ('i-b')",
            "kept by thumbnails.image_id",
        ),
    ] {
        let world = world_with(host_tables).await?;

        let batch = delete(&world.jobs).await?;

        assert_eq!(batch.ids, ["a", "c", "d", "e"], "{host_tables}");
        assert_eq!(rejected(&batch), [("b", error)], "{host_tables}");
        assert_eq!(world.records_left().await?, (1, 0), "{host_tables}");
    }
    Ok(())
}

#[tokio::test]
async fn keys_that_set_null_or_default_keep_nothing() -> TestResult {
    let world = world_with(
        "create table notes (session_id text references sessions (id) on delete cascade);
         create table visits (session_id text references sessions (id) on delete set null);
         create table tickets (session_id text default 'e' references sessions (id) on delete set default);
         create table invoices (session_id text references sessions (id));
         insert into notes values ('a'); insert into visits values ('b'); insert into tickets values ('c');
         insert into invoices values (null), ('e')",
    )
    .await?;

    let batch = delete(&world.jobs).await?;

    assert_eq!(batch.ids, ["a", "b", "c", "d"]);
    assert_eq!(rejected(&batch), [("e", "kept by invoices.session_id")]);
    assert_eq!(world.count("notes").await?, 0);
    assert_eq!(world.count("visits where session_id is null").await?, 1);
    assert_eq!(world.count("tickets where session_id = 'e'").await?, 1);
    Ok(())
}

/// Refusals that no check can foresee are found row by row.
#[tokio::test]
async fn a_row_kept_by_a_key_of_a_cascading_table_is_rejected() -> TestResult {
    let world = world_with(
        "create table notes (id text primary key, session_id text references sessions (id) on delete cascade);
         create table files (note_id text references notes (id));
         insert into notes values ('n', 'b'); insert into files values ('n')",
    )
    .await?;

    let batch = delete(&world.jobs).await?;

    assert_eq!(batch.ids, ["a", "c", "d", "e"]);
    assert_eq!(rejected(&batch), [("b", "FOREIGN KEY constraint failed")]);
    Ok(())
}

#[tokio::test]
async fn sessions_that_point_at_each_other_go_together() -> TestResult {
    let world = world_with(
        "alter table sessions add column earlier text references sessions (id);
         update sessions set earlier = 'a' where id = 'b'; update sessions set earlier = 'b' where id = 'a'",
    )
    .await?;

    let batch = delete(&world.jobs).await?;

    assert_eq!(batch.ids, ["a", "b", "c", "d", "e"]);
    Ok(())
}

#[tokio::test]
async fn keys_made_or_dropped_between_two_batches_are_noticed() -> TestResult {
    let world = world_with("").await?;
    let holder = "create table invoices (session_id text references sessions (id)); insert into invoices values ('b')";
    let mut pass = idle_request(now(), 1);

    let first = world.jobs.delete_idle_sessions(&pass).await?;
    world.sql(holder).await?;
    pass.after = first.next_cursor;
    let second = world.jobs.delete_idle_sessions(&pass).await?;
    world.sql("drop table invoices").await?;
    let next_run = delete(&world.jobs).await?;

    assert_eq!(first.ids, ["a"]);
    assert!(second.ids.is_empty());
    assert_eq!(rejected(&second), [("b", "kept by invoices.session_id")]);
    assert_eq!(next_run.ids, ["b", "c", "d", "e"]);
    Ok(())
}

/// A host whose connections do not mind foreign keys.
#[tokio::test]
async fn keys_that_are_not_enforced_keep_nothing() -> TestResult {
    let world = world_with(
        "create table invoices (session_id text references sessions (id)); insert into invoices values ('b')",
    )
    .await?;
    let pool = listening_pool::pool(&world.folder.path().join("test.db"), |_| ()).await?;
    diesel_async::SimpleAsyncConnection::batch_execute(
        &mut pool.get().await?,
        "pragma foreign_keys = off",
    )
    .await?;

    let batch = delete(&Jobs::over(
        SqliteStore::with_pool(pool).with_clock(clock()),
    ))
    .await?;

    assert_eq!(batch.ids, ["a", "b", "c", "d", "e"]);
    assert_eq!(world.records_left().await?, (0, 0));
    Ok(())
}

#[tokio::test]
async fn kept_rows_stop_no_batch_and_repeat_only_the_first() -> TestResult {
    let world = world_with(
        "create table invoices (session_id text references sessions (id)); insert into invoices values ('b'), ('d')",
    )
    .await?;
    let traced = Recorder::default();
    let recorder = traced.clone();
    let file = world.folder.path().join("test.db");
    let pool = listening_pool::pool(&file, move |event| recorder.record(&event)).await?;
    let jobs = Jobs::over(SqliteStore::with_pool(pool).with_clock(clock()));
    let mut pass = idle_request(now(), 2);
    let (mut gone, mut rejected) = (Vec::new(), Vec::new());

    loop {
        let batch = jobs.delete_idle_sessions(&pass).await?;
        gone.extend(batch.ids);
        rejected.extend(batch.rejected.into_iter().map(|row| row.id));
        pass.after = batch.next_cursor;
        if pass.after.is_none() {
            break;
        }
    }

    assert_eq!(
        (gone.concat(), rejected.concat()),
        ("ace".into(), "bd".into())
    );
    let deletes = traced.take_about(&["sessions"]).into_iter();
    let deletes = deletes.filter(|statement| statement.sql.starts_with("DELETE FROM \"sessions\""));
    // Three batches, and the one that was refused.
    assert_eq!(deletes.count(), 4);
    Ok(())
}

#[tokio::test]
async fn an_unindexed_key_is_logged_once_with_its_remedy() -> TestResult {
    if ran_alone("sqlite::keys::an_unindexed_key_is_logged_once_with_its_remedy") {
        return Ok(());
    }
    let world = world_with(
        "create table invoices (session_id text references sessions (id));
         create table bills (number integer, session_id text references sessions (id));
         create index bills_of_session on bills (session_id, number);
         create table scraps (image_id text references image_sent (id) on delete cascade);
         create index some_scraps on scraps (image_id) where image_id > 'x'",
    )
    .await?;
    let log = Log::listen();

    world.jobs.check().await?;
    world.jobs.check().await?;

    assert_eq!(
        log.of("").iter().filter(|level| *level == "WARN").count(),
        2
    );
    for mend in [
        r#"create index "invoices_session_id" on "invoices" ("session_id")"#,
        r#"create index "scraps_image_id" on "scraps" ("image_id")"#,
    ] {
        assert_eq!(log.of(mend), ["WARN"], "{mend}");
    }
    Ok(())
}
