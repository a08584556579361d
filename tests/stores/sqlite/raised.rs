//! Triggers of the host that raise errors of their own, end the transaction, or undo a write.

use ractor_housekeeper::rule::{Rule, Unit, at, eq};

use super::SqliteUnderTest;
use crate::TestResult;
use crate::runs::run;

/// Three due rows; triggers stop `b`.
const ROWS: &str = "insert into notes (id, at) values ('a', '2020-01-01 00:00:00'), ('b', '2020-01-01 00:00:00'), ('c', '2020-01-01 00:00:00');";

fn due() -> Rule {
    Rule::new("notes", "notes").due(at("at").text("%Y-%m-%d %H:%M:%S"))
}

/// Tables with addresses and without, and both actions.
fn tables() -> Vec<(String, Rule, &'static str)> {
    let columns = "id text primary key not null, at text, status text not null default 'open'";
    ["", " without rowid"]
        .into_iter()
        .flat_map(|kind| {
            let table = format!("create table notes ({columns}){kind};");
            let set = due().only(eq("status", "open")).set("status", "gone");
            [
                (table.clone(), due().delete(), "delete"),
                (table, set, "update"),
            ]
        })
        .collect()
}

#[tokio::test]
async fn an_error_that_a_trigger_raises_rejects_its_row() -> TestResult {
    let texts = [
        "not this one",
        "not authorized to touch it",
        "no such tenant",
        "out of memory of the guest",
        "it''s near \"here\": syntax error",
        "interrupted",
    ];
    for (table, rule, event) in tables() {
        for text in texts {
            for way in ["abort", "fail", "rollback"] {
                let world = SqliteUnderTest::empty().await?;
                let raise = format!(
                    "create trigger keep before {event} on notes when old.id = 'b' begin select raise({way}, '{text}'); end;"
                );
                world.sql(&format!("{table}{ROWS}{raise}")).await?;

                let done = run(&world.store.rule(rule.clone())?, 10).await?;

                let said = text.replace("''", "'");
                assert_eq!(done.ids, ["a", "c"], "{way} {text}");
                assert_eq!(done.rejected, [("b".to_owned(), said)], "{way}");
                assert_eq!(done.forecast.due.count, 0, "{way} {text}");
            }
        }
    }
    Ok(())
}

/// The statement of the trigger is at fault, and no row could be written.
#[tokio::test]
async fn an_error_of_sqlite_behind_a_trigger_ends_the_run() -> TestResult {
    for (table, rule, event) in tables() {
        let world = SqliteUnderTest::empty().await?;
        let broken = format!(
            "create table log (id text); create trigger log before {event} on notes begin \
             select raise(abort, 'no such tenant') where old.id = 'z'; insert into log values (old.id); end; drop table log;"
        );
        world.sql(&format!("{table}{ROWS}{broken}")).await?;

        let error = run(&world.store.rule(rule)?, 10).await.expect_err("fails");

        assert!(error.to_string().contains("no such table"), "{error}");
        assert_eq!(world.count("notes where status = 'open'").await?, 3);
    }
    Ok(())
}

/// Rows that go one by one, each in its own transaction, meet an error that is none of theirs.
#[tokio::test]
async fn rows_committed_before_an_error_are_reported_after_it() -> TestResult {
    for (table, rule, event) in tables() {
        let world = SqliteUnderTest::empty().await?;
        let triggers = format!(
            "create trigger ends before {event} on notes when old.id = 'b' begin select raise(rollback, 'ends all'); end;
             create trigger breaks before {event} on notes when old.id = 'c' begin select raise(abort, 'no ' || 'such table: t'); end;"
        );
        world.sql(&format!("{table}{ROWS}{triggers}")).await?;
        let job = world.store.rule(rule)?;

        let error = run(&job, 10).await.expect_err("fails");
        world.sql("drop trigger ends; drop trigger breaks").await?;
        let done = run(&job, 10).await?;

        assert!(error.to_string().contains("no such table: t"), "{error}");
        assert_eq!(
            (done.ids, done.rejected),
            (vec!["a".into(), "b".into(), "c".into()], Vec::new())
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_conflict_that_rolls_back_rejects_its_row() -> TestResult {
    for (table, rule, event) in tables() {
        let world = SqliteUnderTest::empty().await?;
        let trigger = format!(
            "create table seen (id text unique on conflict rollback); insert into seen values ('b'); \
             create trigger seen after {event} on notes begin insert into seen values (old.id); end;"
        );
        world.sql(&format!("{table}{ROWS}{trigger}")).await?;

        let done = run(&world.store.rule(rule)?, 10).await?;

        assert_eq!(done.ids, ["a", "c"]);
        let said = "UNIQUE constraint failed: seen.id".to_owned();
        assert_eq!(done.rejected, [("b".to_owned(), said)]);
        assert_eq!(world.count("seen").await?, 3);
    }
    Ok(())
}

/// It has another address then.
#[tokio::test]
async fn a_row_that_a_trigger_inserts_again_is_withheld() -> TestResult {
    let again = "create trigger again after delete on notes when old.id = 'b' begin insert into notes (id, at) values (old.id, old.at); end;";
    for (table, rule, event) in tables() {
        if event == "update" {
            continue;
        }
        let world = SqliteUnderTest::empty().await?;
        world.sql(&format!("{table}{ROWS}{again}")).await?;

        let done = run(&world.store.rule(rule)?, 10).await?;

        assert_eq!(done.ids, ["a", "c"]);
        let said = "a trigger of the database withholds it".to_owned();
        assert_eq!(done.rejected, [("b".to_owned(), said)]);
        assert_eq!(done.forecast.due.count, 0);
    }
    Ok(())
}

/// Bytes that are no UTF-8, and no key at all: such a row is left alone.
#[tokio::test]
async fn keys_and_values_of_any_bytes_stop_no_other_row() -> TestResult {
    let world = SqliteUnderTest::empty().await?;
    world
        .sql(
            "create table notes (id text primary key, at text, body); \
             insert into notes values ('a', '2020-01-01 00:00:00', cast(x'ff' as text)), \
                (cast(x'ff41' as text), '2020-01-01 00:00:00', x'ff'), (null, '2020-01-01 00:00:00', 9e999), \
                (x'00ff', '2020-01-01 00:00:00', null), ('z', cast(x'323032302d30312d30312030303a30303a3030ff' as text), '')",
        )
        .await?;
    let rule = due().delete().show(["body"]);

    let done = run(&world.store.rule(rule)?, 10).await?;

    assert_eq!(done.ids, ["00FF", "a", "z", "\u{fffd}A"]);
    assert_eq!(done.rejected, []);
    assert_eq!(done.forecast.due.count, 0);
    assert_eq!(world.count("notes").await?, 1);
    Ok(())
}

/// SQLite adds a text as zero.
#[tokio::test]
async fn a_lifetime_that_is_no_number_is_rejected() -> TestResult {
    let world = SqliteUnderTest::empty().await?;
    world
        .sql(
            "create table notes (id text primary key, at integer, lifetime); \
             insert into notes values ('gone', 1, 60), ('text', 1, '60'), ('real', 1, 6.5), ('null', 1, null), \
                ('empty', 1, ''), ('word', 1, '60 days'), ('bytes', 1, x'3630')",
        )
        .await?;
    let rule = Rule::new("notes", "notes").due(at("at").plus("lifetime", Unit::Seconds).seconds());

    let done = run(&world.store.rule(rule.delete())?, 10).await?;

    assert_eq!(done.ids, ["gone", "real", "text"]);
    let rejected: Vec<&str> = done.rejected.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(rejected, ["bytes", "empty", "word"]);
    Ok(())
}
