//! Rows for which SQL of the host fails, in each part of a rule that may hold some: they are named,
//! and keep no other.

use std::collections::BTreeSet;

use ractor_housekeeper::job::Page;
use ractor_housekeeper::rule::{
    Due, Findings, Rule, Sql, Stamp, Unit, archive, at, eq, hand_on, moment, newest, related,
};
use ractor_housekeeper::{Job, Scope};

use crate::rules::set;

/// The first row, one in the middle and the last row fail.
const BAD: [&str; 3] = ["d0001", "d1000", "d2003"];

/// The texts of the databases.
const REASONS: [&str; 4] = [
    "invalid input syntax for type",
    "division by zero",
    "malformed JSON",
    "integer overflow",
];

fn docs() -> Rule {
    Rule::new("docs", "docs").due(at("at").seconds())
}

fn body(condition: &str) -> Sql {
    Sql::by_database(
        format!("notes.body::int {condition}"),
        format!("json_extract(notes.body, '$') {condition}"),
    )
}

/// A rule for each part that decides.
fn deciding() -> Vec<(&'static str, Rule)> {
    let due = || {
        let due = Sql::by_database(
            "(data::json->>'due')::bigint",
            "json_extract(data, '$.due')",
        );
        Due::sql(due, Stamp::Seconds)
    };
    let number = || Sql::by_database("100 / n > 1", "abs(n) < 10");
    let notes = || related("notes", "doc_id");
    let note_at = || moment("at").stamp(Stamp::Seconds);
    let live = newest("notes", "doc_id", note_at()).only(body("= 0"));
    vec![
        (
            "due",
            Rule::new("docs", "docs")
                .due(due())
                .only(eq("kind", "open"))
                .delete(),
        ),
        (
            "due with a span",
            Rule::new("docs", "docs")
                .due(due().plus("span", Unit::Seconds))
                .delete(),
        ),
        (
            "only",
            docs()
                .only(eq("kind", "open"))
                .only(number())
                .set("kind", "gone"),
        ),
        ("when", docs().when(notes().only(body("= 0"))).delete()),
        ("unless", docs().unless(notes().only(body("> 0"))).delete()),
        ("keeps", docs().keeps(notes().only(body("> 0"))).delete()),
        ("active", docs().active(live).delete()),
    ]
}

/// A rule for each part that writes.
fn writing() -> Vec<(&'static str, Rule)> {
    let number = || Sql::by_database("100 / n", "abs(n)");
    vec![
        (
            "set",
            docs()
                .only(eq("kind", "open"))
                .set("kind", "gone")
                .set("span", number()),
        ),
        (
            "hand on",
            docs()
                .delete()
                .hand_on(hand_on("old").column("n", number())),
        ),
        (
            "archive",
            docs().archive(
                archive("old")
                    .without(["id", "kind", "at", "span", "data"])
                    .column("n", number()),
            ),
        ),
    ]
}

/// Takes a rule through a check, a preview, a forecast and `run`.
async fn assert_named(part: &str, findings: &Findings, job: &impl Job) {
    assert_eq!(findings.refused, [], "{part}");
    let page = Page::first(1_000.try_into().expect("is not zero"));
    let preview = job.preview(&Scope::All, &page).await;
    let preview = preview.unwrap_or_else(|error| panic!("{part}: {error}"));
    assert!(preview.due.count > 1_000, "{part}: {preview:?}");
    let forecast = job.forecast(&[]).await;
    let forecast = forecast.unwrap_or_else(|error| panic!("{part}: {error}"));
    assert!(forecast.due.count > 1_000, "{part}: {forecast:?}");
}

/// The outcome of a run over rows of which three are bad.
async fn assert_rest_goes(
    part: &str,
    job: &impl Job,
    (handled, rejected): (BTreeSet<String>, Vec<(String, String)>),
) {
    assert_eq!(handled.len(), 2_000, "{part}: {rejected:?}");
    assert_eq!(rejected.len(), BAD.len(), "{part}: {rejected:?}");
    let ids = rejected.iter().map(|(id, _)| id.as_str());
    assert_eq!(set(ids), set(BAD), "{part}");
    for (_, error) in &rejected {
        let has_reason = REASONS.iter().any(|reason| error.contains(reason));
        assert!(has_reason, "{part}: {error}");
    }
    let forecast = job.forecast(&BAD.map(String::from)).await;
    let forecast = forecast.unwrap_or_else(|error| panic!("{part}: {error}"));
    assert_eq!((forecast.due.count, forecast.next_due), (0, None), "{part}");
}

/// The text of a batch that fails.
async fn failure(job: &impl Job) -> String {
    let bounds = job.begin_run().await.expect("a run begins");
    let request = crate::first_batch(&bounds, 10);
    let failed = job.batch(&request).await;
    failed.expect_err("no row is handled").chain()
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel_async::SimpleAsyncConnection;
    use ractor_housekeeper::store::Timeouts;

    use super::*;
    use crate::demands::{Host, run};

    const ROWS: &str = "
        create table old (n bigint);
        create table notes (doc_id text not null references docs on delete cascade, body text not null, at bigint not null);
        create index on notes (doc_id);
        insert into docs select id, 'open', 1768000000 + n, 0, case when is_bad then 'soon' else '{\"due\": 1768000000}' end, case when is_bad then 0 else 2 end
            from (select n, 'd' || lpad(n::text, 4, '0') as id, n in (1, 1000, 2003) as is_bad from generate_series(1, 2003) n) as made;
        insert into notes select id, case when n = 0 then 'x' else '0' end, at from docs;";

    const MEND: &str = "update docs set data = '{\"due\": 1768000000}', n = 2 where n = 0; update notes set body = '0'";

    fn schema(parts: bool) -> String {
        let docs = "create table docs (id text primary key, kind text not null, at bigint not null, span int not null, data text not null, n bigint not null)";
        let made = if parts {
            format!(
                "{docs} partition by hash (id); create table docs0 partition of docs for values with (modulus 2, remainder 0);
                 create table docs1 partition of docs for values with (modulus 2, remainder 1);"
            )
        } else {
            format!("{docs};")
        };
        format!("{made} create index on docs (at); {ROWS}")
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rows_that_fail_an_expression_keep_no_others() {
        for parts in [false, true] {
            for (part, rule) in deciding() {
                let Some(host) = Host::new(&schema(parts)).await else {
                    return;
                };
                let findings = host.store.check_rule(&rule).await.expect("a check");
                let job = host.store.rule(rule).expect("a job");
                assert_named(part, &findings, &job).await;

                let done = run(&job, 500).await;

                assert_rest_goes(part, &job, done).await;
                let (none, again) = run(&job, 500).await;
                assert_eq!((none.len(), again.len()), (0, 3), "{part}: {again:?}");
                host.run(MEND).await;
                let (mended, rejected) = run(&job, 500).await;
                assert_eq!((mended, rejected), (set(BAD), vec![]), "{part}");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rows_that_fail_a_value_keep_no_others() {
        for (part, rule) in writing() {
            let Some(host) = Host::new(&schema(true)).await else {
                return;
            };
            let findings = host.store.check_rule(&rule).await.expect("a check");
            let job = host.store.rule(rule).expect("a job");
            assert_named(part, &findings, &job).await;

            let done = run(&job, 500).await;

            assert_rest_goes(part, &job, done).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_row_that_fails_later_is_named_in_the_next_run() {
        let Some(host) = Host::new(&schema(false)).await else {
            return;
        };
        host.run(MEND).await;
        let (_, rule) = deciding().swap_remove(0);
        let job = host.store.rule(rule).expect("a job");
        job.begin_run().await.expect("a run begins");
        for late in ["late", "later"] {
            host.run(&format!(
                "insert into docs values ('{late}', 'open', 0, 0, 'soon', 0)"
            ))
            .await;

            let (_, rejected) = run(&job, 500).await;

            let ids = rejected.iter().map(|(id, _)| id.as_str());
            assert!(set(ids).contains(late), "{rejected:?}");
        }
        host.run("delete from docs where id like 'late%'").await;
        assert_eq!(run(&job, 500).await, (BTreeSet::new(), vec![]));
    }

    /// A user that is no number fails a preview, and no row is the cause.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_row_that_fails_after_a_search_in_vain_is_named_soon() {
        let Some(host) = Host::new(&schema(false)).await else {
            return;
        };
        host.run(MEND).await;
        let (_, rule) = deciding().swap_remove(0);
        let job = host.store.rule(rule.scope("n")).expect("a job");
        let unknown = Scope::User("unknown".to_owned());
        let page = Page::first(5.try_into().expect("is not zero"));
        job.preview(&unknown, &page)
            .await
            .expect_err("is no number");
        host.run("insert into docs values ('late', 'open', 0, 0, 'soon', 0)")
            .await;

        let failed = std::time::Instant::now();
        let rejected = loop {
            let bounds = job.begin_run().await.expect("a run begins");
            match job.batch(&crate::first_batch(&bounds, 500)).await {
                Ok(batch) => break batch.rejected,
                Err(error) => assert!(failed.elapsed().as_secs() < 10, "{}", error.chain()),
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };

        assert_eq!(rejected[0].id, "late");
    }

    /// A mistake in the host's own function, which one row meets.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_row_that_fails_a_function_of_the_host_keeps_no_other() {
        let judge = "create function judge(text) returns bool stable language plpgsql as $$ begin
            if $1 = 'd1000' then execute 'select from missing'; end if; return true; end $$;";
        let Some(host) = Host::new(&format!("{} {judge}", schema(false))).await else {
            return;
        };
        let rule = docs().only(Sql::by_database("judge(id)", "1")).delete();
        let job = host.store.rule(rule).expect("a job");

        let (handled, rejected) = run(&job, 500).await;

        assert_eq!((handled.len(), rejected.len()), (2_002, 1), "{rejected:?}");
        assert!(
            rejected[0].1.contains("\"missing\" does not exist"),
            "{rejected:?}"
        );
    }

    /// Errors whose codes are those of mistakes in a statement, or of what Postgres lacks.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rows_that_fail_in_any_way_keep_no_others() {
        let judge = "create function judge(bigint) returns bool stable language plpgsql as $$ begin assert $1 <> 0; return true; end $$;";
        for sql in [
            "chr(n::int) > ''",
            "chr(case n when 0 then 2000000 else 65 end) > ''",
            "(case n when 0 then 'nowhere' else 'docs' end)::regclass is not null",
            "to_tsquery('english', case n when 0 then 'a &' else 'a' end) is not null",
            "(case n when 0 then '$.[' else '$.a' end)::jsonpath is not null",
            "date_trunc(case n when 0 then 'timezone' else 'day' end, to_timestamp(at)) is not null",
            "judge(n)",
        ] {
            let Some(host) = Host::new(&format!("{} {judge}", schema(false))).await else {
                return;
            };
            let rule = docs().only(Sql::by_database(sql, "1")).delete();
            let findings = host.store.check_rule(&rule).await.expect("a check");
            let job = host.store.rule(rule).expect("a job");
            assert_named(sql, &findings, &job).await;

            let (handled, rejected) = run(&job, 500).await;

            assert_eq!(handled.len(), 2_000, "{sql}: {rejected:?}");
            assert_eq!(
                set(rejected.iter().map(|(id, _)| id.as_str())),
                set(BAD),
                "{sql}"
            );
            let (_, again) = run(&job, 500).await;
            assert_eq!(again, rejected, "{sql}");
            host.run(MEND).await;
            assert_eq!(run(&job, 500).await, (set(BAD), vec![]), "{sql}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rows_that_an_expression_takes_too_long_for_keep_no_others() {
        let slow = "create function slow(bigint) returns bool stable language plpgsql as $$ begin
            if $1 = 0 then perform pg_sleep(5); end if; return true; end $$;";
        let Some(host) = Host::new(&format!("{} {slow}", schema(true))).await else {
            return;
        };
        let timeouts = Timeouts {
            statement: std::time::Duration::from_millis(500),
            ..Timeouts::default()
        };
        let store = host
            .store
            .clone()
            .with_timeouts(timeouts)
            .expect("timeouts");
        let rule = docs().only(Sql::by_database("slow(n)", "1")).delete();
        let findings = store.check_rule(&rule).await.expect("a check");
        let job = store.rule(rule).expect("a job");
        assert_named("slow", &findings, &job).await;

        let (handled, rejected) = run(&job, 500).await;

        assert_eq!(handled.len(), 2_000, "{rejected:?}");
        assert_eq!(set(rejected.iter().map(|(id, _)| id.as_str())), set(BAD));
        assert!(rejected[0].1.contains("takes too long"), "{rejected:?}");
        host.run(MEND).await;
        assert_eq!(run(&job, 500).await, (set(BAD), vec![]));
    }

    /// Constants stand in the statement that goes row by row.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_value_may_hold_any_quote() {
        let refuse = "alter table docs add check (kind = 'open' or id <> 'd0500');";
        let Some(host) = Host::new(&format!("{} {refuse}", schema(false))).await else {
            return;
        };
        let rule = docs()
            .only(eq("kind", "open"))
            .set("kind", "$housekeeper$ $ahousekeeper$");
        let job = host.store.rule(rule).expect("a job");

        let (handled, rejected) = run(&job, 500).await;

        assert_eq!((handled.len(), rejected.len()), (2_002, 1), "{rejected:?}");
    }

    /// A lock says nothing of the rule.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_locked_table_is_no_fault_of_the_rule() {
        let Some(host) = Host::new(&schema(false)).await else {
            return;
        };
        let timeouts = Timeouts {
            lock: std::time::Duration::from_millis(50),
            ..Timeouts::default()
        };
        let store = host
            .store
            .clone()
            .with_timeouts(timeouts)
            .expect("timeouts");
        let mut conn = host.connect().await;
        conn.batch_execute("begin; lock table docs")
            .await
            .expect("a lock");
        let rule = docs().only(eq("kind", "open")).delete();

        let error = store.check_rule(&rule).await.expect_err("it is locked");

        assert!(error.chain().contains("lock timeout"), "{}", error.chain());
    }

    /// No row is rejected, and the text is that of the database.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_expression_that_fails_for_all_rows_fails_the_run() {
        let judge =
            "create function judge(text) returns bool immutable language sql as 'select true';";
        let Some(host) = Host::new(&format!("{} {judge}", schema(false))).await else {
            return;
        };
        let rule = docs().only(Sql::by_database("judge(id)", "1")).delete();
        let job = host.store.rule(rule).expect("a job");
        host.run("drop function judge").await;

        let text = failure(&job).await;

        assert!(
            text.contains("function judge(text) does not exist"),
            "{text}"
        );
        assert!(host.holds("select count(*) = 2003 from docs").await);
    }

    /// The rows go one by one, with the same parts.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn failing_rows_and_a_refused_row_are_all_named() {
        let refuse = "create function refuse() returns trigger language plpgsql as $$ begin raise 'division by zero is refused'; end $$;
            create trigger refuse before update or delete on docs for each row when (old.id = 'd0500') execute function refuse();";
        for (part, rule) in deciding() {
            let Some(host) = Host::new(&format!("{} {refuse}", schema(false))).await else {
                return;
            };
            let job = host.store.rule(rule).expect("a job");

            let (handled, rejected) = run(&job, 500).await;

            assert_eq!(
                (handled.len(), rejected.len()),
                (1_999, 4),
                "{part}: {rejected:?}"
            );
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rows_whose_noted_activity_fails_keep_no_others() {
        let noted = "alter table docs add noted bigint;
            create function note() returns trigger language plpgsql as $$ begin return null; end $$;
            create trigger note after insert on notes for each row execute function note();";
        let Some(host) = Host::new(&format!("{} {noted}", schema(true))).await else {
            return;
        };
        let at = || moment("at").stamp(Stamp::Seconds);
        let live = newest("notes", "doc_id", at()).only(body("= 0"));
        let hour = std::time::Duration::from_secs(60 * 60);
        let rule = Rule::new("docs", "docs")
            .due(ractor_housekeeper::rule::age(at(), hour))
            .active(live.noted_in("noted", "note", "1000000"))
            .delete();
        let findings = host.store.check_rule(&rule).await.expect("a check");
        let job = host.store.rule(rule).expect("a job");
        assert_named("noted", &findings, &job).await;

        let done = run(&job, 500).await;

        assert_rest_goes("noted", &job, done).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_run_fails_if_thousands_of_rows_fail() {
        let Some(host) = Host::new(&schema(false)).await else {
            return;
        };
        host.run("insert into docs select 'x' || n, 'open', 0, 0, 'soon', 0 from generate_series(1, 10000) n")
            .await;
        let (_, rule) = deciding().swap_remove(0);
        let job = host.store.rule(rule).expect("a job");

        let text = failure(&job).await;

        assert!(text.contains("more than 10000 rows"), "{text}");
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;
    use crate::rules::Case;
    use crate::sqlite::{Host, run};

    const ROWS: &str = "
        create table docs (id text primary key, kind text not null, at integer not null, span integer not null, data text not null, n integer not null);
        create index docs_at on docs (at);
        create table old (n integer);
        create table notes (doc_id text not null references docs on delete cascade, body text not null, at integer not null);
        create index notes_doc on notes (doc_id);
        with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 2003)
            insert into docs select printf('d%04d', n), 'open', 1768000000 + n, 0, iif(n in (1, 1000, 2003), 'soon', '{\"due\": 1768000000}'),
                iif(n in (1, 1000, 2003), -9223372036854775808, 2) from numbers;
        insert into notes select id, iif(n < 0, 'x', '0'), at from docs;";

    const MEND: &str = "update docs set data = '{\"due\": 1768000000}', n = 2 where n < 0; update notes set body = '0'";

    async fn host() -> Host {
        Host::new(&Case {
            rule: "",
            rows: ROWS,
            due: &[],
            after: "",
        })
        .await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rows_that_fail_an_expression_keep_no_others() {
        for (part, rule) in deciding() {
            let host = host().await;
            let findings = host.store.check_rule(&rule).await.expect("a check");
            let job = host.store.rule(rule).expect("a job");
            assert_named(part, &findings, &job).await;

            let done = run(&job, 500).await;

            assert_rest_goes(part, &job, done).await;
            let (none, again) = run(&job, 500).await;
            assert_eq!((none.len(), again.len()), (0, 3), "{part}: {again:?}");
            host.run(MEND);
            let (mended, rejected) = run(&job, 500).await;
            assert_eq!((mended, rejected), (set(BAD), vec![]), "{part}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rows_that_fail_a_value_keep_no_others() {
        for (part, rule) in writing() {
            let host = host().await;
            let findings = host.store.check_rule(&rule).await.expect("a check");
            let job = host.store.rule(rule).expect("a job");
            assert_named(part, &findings, &job).await;

            let done = run(&job, 500).await;

            assert_rest_goes(part, &job, done).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_expression_that_fails_for_all_rows_fails_the_run() {
        let host = host().await;
        let (_, rule) = deciding().swap_remove(0);
        let job = host.store.rule(rule).expect("a job");
        host.run("alter table docs rename column data to other");

        let text = failure(&job).await;

        assert!(text.contains("no such column: data"), "{text}");
        assert!(host.holds("select count(*) = 2003 from docs"));
    }

    /// The rows go one by one, with the same parts.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn failing_rows_and_a_refused_row_are_all_named() {
        for (part, rule) in deciding() {
            let host = host().await;
            for event in ["update", "delete"] {
                host.run(&format!(
                    "create trigger refuse_{event} before {event} on docs when old.id = 'd0500' begin select raise(abort, 'no'); end"
                ));
            }
            let job = host.store.rule(rule).expect("a job");

            let (handled, rejected) = run(&job, 500).await;

            assert_eq!(
                (handled.len(), rejected.len()),
                (1_999, 4),
                "{part}: {rejected:?}"
            );
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_run_fails_if_thousands_of_rows_fail() {
        let host = host().await;
        host.run(
            "with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 10000)
                insert into docs select 'x' || n, 'open', 0, 0, 'soon', 0 from numbers",
        );
        let (_, rule) = deciding().swap_remove(0);
        let job = host.store.rule(rule).expect("a job");

        let text = failure(&job).await;

        assert!(text.contains("more than 10000 rows"), "{text}");
    }
}
