//! Tables of strangers, where a statement that reads well would write the wrong rows.

use ractor_housekeeper::rule::{Filter, Rule, at, eq, related};
use ractor_housekeeper::{Job, Scope};

use super::demands::{Host, run};
use super::rules::{Case, set};

const CASES: &[Case] = &[
    // A statement writes a row once, whichever of its columns refer to a row that goes.
    Case {
        rule: r#"{ "name": "authors", "table": "users", "due": { "at": "at" }, "action": "delete", "with": [
            { "table": "docs", "column": "created_by", "action": "set_null" }, { "table": "docs", "column": "updated_by", "action": "set_null" },
            { "table": "docs", "column": "owner", "hand_on": [{ "into": "gone", "columns": { "id": { "column": "id" } } }] }] }"#,
        rows: "create table users (id int primary key, at timestamptz); create table gone (id int);
            create table docs (id int primary key, created_by int references users, updated_by int references users, owner int references users);
            insert into users select n, '2026-01-10 11:00Z' from generate_series(1, 2) n; insert into users values (3, null);
            insert into docs values (1, 1, 1, 3), (2, 1, 3, 3), (3, 3, 2, 3), (4, 1, 2, null), (5, 1, 2, 2), (6, 1, 1, 1)",
        due: &["1", "2"],
        after: "select (select string_agg(docs::text, ' ' order by id) from docs) = '(1,,,3) (2,,3,3) (3,3,,3) (4,,,)' and (select sum(id) from gone) = 11",
    },
    Case {
        rule: r#"{ "name": "own-links", "table": "t", "due": { "at": "at" }, "only": { "eq": ["state", "open"] }, "action": { "set": { "state": "gone" } },
            "with": [{ "table": "t", "column": "parent", "action": "set_null", "counts_as": "links" }] }"#,
        rows: "create table t (id int primary key, parent int references t, state text, at timestamptz);
            insert into t values (9, null, 'x', null), (1, 9, 'open', '2026-01-10 11:00Z'), (2, 1, 'open', '2026-01-10 11:00Z'), (3, 3, 'open', '2026-01-10 11:00Z'), (4, 1, 'x', null)",
        due: &["1", "2", "3"],
        after: "select string_agg(t::text, ' ' order by id) = '(1,9,gone,\"2026-01-10 11:00:00+00\") (2,,gone,\"2026-01-10 11:00:00+00\") (3,,gone,\"2026-01-10 11:00:00+00\") (4,,x,) (9,,x,)' from t",
    },
    // A sum that is too large has all sums be made with care. NULL is due no more than before.
    Case {
        rule: r#"{ "name": "no-instant", "table": "t", "due": { "at": "at", "plus": "ttl", "unit": "days", "stamp": "seconds" }, "action": "delete" }"#,
        rows: "create table t (id int primary key, at bigint, ttl bigint);
            insert into t values (1, 5, 1), (2, null, 1), (3, 1700000000, 9223372036854775807), (4, 5, null)",
        due: &["1"],
        after: "select count(*) = 3 from t",
    },
    // Nor is a month of 31 days over after 30.
    Case {
        rule: r#"{ "name": "months", "table": "t", "due": { "at": "at", "plus": "ttl", "unit": "days" }, "action": "delete" }"#,
        rows: "create table t (id int primary key, at timestamptz, ttl interval);
            insert into t values (1, '2025-12-10 11:59Z', '1 month'), (2, '2025-12-10 12:00Z', '1 month'), (3, '2026-01-01', '178000000 years'), (4, null, '1 month')",
        due: &["1"],
        after: "select count(*) = 3 from t",
    },
    Case {
        rule: r#"{ "name": "mixed-stamps", "table": "t", "action": "delete",
            "due": { "first_of": ["a", { "column": "b", "stamp": "seconds" }, { "column": "c", "stamp": "millis" }] } }"#,
        rows: "create table t (id int primary key, a timestamptz, b bigint, c numeric); insert into t values (1, '2026-01-10 11:00Z', null, null),
            (2, null, 1768046399, 'NaN'), (3, 'infinity', 9223372036854775807, 1e1000), (4, null, null, null), (5, '2026-01-10 12:00Z', 1768046400, null)",
        due: &["1", "2"],
        after: "select count(*) = 3 from t",
    },
    Case {
        rule: r#"{ "name": "longest", "table": "t", "action": "delete",
            "due": { "at": "at", "lifetime": { "table": "plans", "key": "id", "by": "plan", "column": "hours", "unit": "hours" } } }"#,
        rows: "create table plans (id int, hours int); create table t (id int primary key, plan int, at timestamptz);
            insert into plans values (1, 1), (1, 100), (2, 1), (2, null); insert into t select n, n, '2026-01-10 10:00Z' from generate_series(1, 3) n",
        due: &["2"],
        after: "select count(*) = 2 from t",
    },
    Case {
        rule: r#"{ "name": "local-time", "table": "t", "due": { "at": "at", "stamp": { "naive_in": "Europe/Berlin" } },
            "action": { "set": { "at": { "null": true }, "gone": { "now": true } } } }"#,
        rows: "create table t (id int primary key, at timestamp, gone timestamp); insert into t values (1, '2026-01-10 12:59:59', null), (2, '2026-01-10 13:00', null)",
        due: &["1"],
        after: "select count(*) = 1 from t where gone = '2026-01-10 13:00'",
    },
    // JSON has another form of a value than text where a type has a cast to it.
    Case {
        rule: r#"{ "name": "casts", "table": "t", "due": { "at": "at" }, "action": "delete", "then": ["update log set n = n + (select count(*) from written join t2 using (a, b))"] }"#,
        rows: r#"create type mood as enum ('x', 'y'); create function json_of(mood) returns json language sql immutable as $$ select '{"mood": 1}'::json $$;
            create cast (mood as json) with function json_of(mood); create table t (a int, b mood, at timestamptz, primary key (a, b)); create table log (n int);
            insert into log values (0); insert into t values (1, 'x', '2026-01-10 11:00Z'), (1, 'y', '2026-01-10 11:00Z'); create table t2 as table t"#,
        due: &[r#"[1, "x"]"#, r#"[1, "y"]"#],
        after: "select n = 2 from log",
    },
    // A backslash in a text escapes, and no operator takes a domain over an enum.
    Case {
        rule: r#"{ "name": "settings", "table": "t", "due": { "at": "at" }, "scope": "kind", "only": { "eq": ["state", "a\\b"] }, "action": { "set": { "state": "c\\'d" } } }"#,
        rows: r"create type kind as enum ('x', 'y'); create domain kinds as kind; create table t (id int primary key, kind kinds, state text, at timestamptz);
            insert into t values (1, 'x', 'a\b', '2026-01-10 11:00Z'), (2, 'y', 'a\b', '2026-01-10 11:00Z'), (3, 'y', 'ab', '2026-01-10 11:00Z');
            do $$ begin execute format('alter database %I set standard_conforming_strings = off', current_database()); end $$",
        due: &["1", "2"],
        after: r"select count(*) = 2 from t where state = E'c\\''d'",
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_strangers_are_cleaned_like_others() {
    for case in CASES {
        let Some(host) = Host::new(case.rows).await else {
            return;
        };
        let rule = case.rule();
        let findings = host.store.check_rule(&rule).await.expect("a check");
        let job = host.store.rule(rule.clone()).expect("a job");

        case.assert_handled(&findings, &job).await;

        let name = rule.name();
        assert!(host.holds(case.after).await, "{name}: {}", case.after);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_longer_name_is_another_user() {
    for kind in ["varchar(3)", "char(3)", "name", "numeric(3, 0)", "bit(3)"] {
        let (stored, user) = match kind {
            "name" => ("a".repeat(63), "a".repeat(64)),
            "numeric(3, 0)" => ("101".to_owned(), "101.4".to_owned()),
            _ => ("101".to_owned(), "1011".to_owned()),
        };
        let rows = format!(
            "create table t (id int primary key, owner {kind}, at timestamptz); insert into t values (1, '{stored}', '2026-01-10 11:00Z')"
        );
        let Some(host) = Host::new(&rows).await else {
            return;
        };
        let rule = Rule::new("t", "t").due(at("at")).scope("owner").delete();
        let job = host.store.rule(rule).expect("a job");
        let bounds = job.begin_run().await.expect("a run begins");
        let batch = async |user: String| {
            let scope = Scope::User(user);
            let request = ractor_housekeeper::job::BatchRequest {
                scope,
                ..crate::first_batch(&bounds, 10)
            };
            job.batch(&request).await.expect("a batch").ids.len()
        };

        assert_eq!(batch(user).await, 0, "{kind}");
        assert_eq!(batch(stored).await, 1, "{kind}");
    }
}

/// The server counts the rows that a transaction deletes from a table, by whichever key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_by_two_keys_are_counted_once() {
    let rows = "create table users (id int primary key, at timestamptz); insert into users values (1, '2026-01-10 11:00Z'), (2, '2026-01-10 11:00Z'), (3, null);
        create table mails (sender int references users on delete cascade, receiver int references users on delete cascade);
        insert into mails values (1, 2), (2, 1), (1, 1), (3, 1), (1, 3), (3, 3)";
    let Some(host) = Host::new(rows).await else {
        return;
    };
    let rule = r#"{ "name": "users", "table": "users", "due": { "at": "at" }, "action": "delete",
        "with": [{ "table": "mails", "column": "sender", "counts_as": "sent" }, { "table": "mails", "column": "receiver", "counts_as": "received" }] }"#;
    let job = host
        .store
        .rule(serde_json::from_str(rule).expect("is a rule"));
    let job = job.expect("a job");
    let bounds = job.begin_run().await.expect("a run begins");

    let batch = job.batch(&crate::first_batch(&bounds, 10)).await;

    let counts = batch.expect("a batch").counts;
    assert_eq!(counts.total(), 2 + 5, "{counts:?}");
}

diesel::table! {
    t (id) {
        id -> Integer,
        state -> Text,
    }
}

/// The related row has the name of the rule's own table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_stands_on_the_related_row_of_its_own_table() {
    use diesel::ExpressionMethods;
    let rows = "create table t (id int primary key, parent int references t, state text, at timestamptz);
        insert into t values (1, null, 'open', '2026-01-10 11:00Z'), (2, null, 'open', '2026-01-10 11:00Z'), (3, 1, 'live', null), (4, 2, 'open', null)";
    let live = || Filter::postgres(t::table, t::state.eq("live"));
    for filter in [
        live(),
        ractor_housekeeper::rule::sql("t.state = 'live'").into(),
    ] {
        let Some(host) = Host::new(rows).await else {
            return;
        };
        let rule = Rule::new("t", "t")
            .due(at("at"))
            .only(eq("state", "open"))
            .unless(related("t", "parent").only(filter))
            .set("state", "gone");
        let job = host.store.rule(rule).expect("a job");

        assert_eq!(run(&job, 10).await, (set(["2"]), Vec::new()));
    }
}

/// Anonymous sessions, which no user can be locked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_refer_to_none_are_due_in_no_part() {
    let rows = "create table users (id int primary key); create table sessions (id int primary key, user_id int references users, at timestamptz);
        create table clicks (user_id int references users, at timestamptz); insert into users values (1), (2);
        insert into sessions values (1, 1, '2026-01-10 10:00Z'), (2, null, '2026-01-10 10:00Z'), (3, 2, '2026-01-10 10:00Z'); insert into clicks values (2, '2026-01-10 11:30Z')";
    let Some(host) = Host::new(rows).await else {
        return;
    };
    let rule = r#"{ "name": "sessions", "table": "sessions", "due": { "at": "at", "after": "1h" }, "action": "delete",
        "active": { "table": "clicks", "column": "user_id", "references": "user_id", "at": "at", "through": { "table": "users", "key": "id" } } }"#;
    let job = host
        .store
        .rule(serde_json::from_str(rule).expect("is a rule"));
    let job = job.expect("a job");

    let ran = run(&job, 10).await;

    assert_eq!(ran, (set(["1"]), Vec::new()));
    let forecast = job.forecast(&[]).await.expect("a forecast");
    assert_eq!(forecast.due.count, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_run_could_do_is_refused() {
    let due = r#""table": "t", "due": { "at": "at" }"#;
    let holds = "holds rows of `t`, which the rule would handle again: name a table outside it";
    let publishes = "publishes deletions and has no replica identity, so the database refuses to delete its rows";
    let no_order =
        "key: `b` has no order for batches to go on in: operator does not exist: hstore > hstore";
    let table = [
        (r#""key": ["b"], "action": "delete""#, no_order.to_owned()),
        (
            r#""action": { "archive": "t" }"#,
            format!("archive: `t` {holds}"),
        ),
        (
            r#""action": { "archive": "old" }"#,
            format!("archive: `old` {holds}"),
        ),
        // The foreign key of the child cascades.
        (
            r#""action": "delete""#,
            format!("action: `c` {publishes}; run `alter table c replica identity full`"),
        ),
    ];
    let rows =
        "create extension hstore; create table t (id int primary key, at timestamptz, b hstore unique not null);
        create table old () inherits (t); create table c (t_id int references t on delete cascade);";
    for (action, problem) in table {
        let has_publication = problem.contains(publishes);
        let publication = if has_publication {
            "create publication p for table c, t"
        } else {
            ""
        };
        let Some(host) = Host::new(&format!("{rows} {publication}")).await else {
            return;
        };
        let rule = format!(r#"{{ "name": "t", {due}, {action} }}"#);
        let rule: Rule = serde_json::from_str(&rule).expect("is a rule");

        let findings = host.store.check_rule(&rule).await.expect("a check");

        let refused: Vec<String> = findings.refused.iter().map(ToString::to_string).collect();
        assert_eq!(refused, [format!("rule `t`, {problem}")]);
    }
}
