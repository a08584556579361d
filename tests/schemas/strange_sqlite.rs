//! Tables of strangers on SQLite: values that no column's type forbids, names that are taken, keys
//! that are checked late. No row goes that should stay, and none keeps the others.

use ractor_housekeeper::job::Page;
use ractor_housekeeper::rule::{Findings, Rule};
use ractor_housekeeper::{Job, Scope};

use super::rules::set;
use super::sqlite::{host, run};

/// A rule, and what a run makes of it.
struct Case {
    rule: &'static str,
    rows: &'static str,
    handled: &'static [&'static str],
    rejected: &'static [(&'static str, &'static str)],
    /// Holds once the run is over.
    after: &'static str,
}

const UNREADABLE: &str = "its instant cannot be read";
const REFUSED: &str = "FOREIGN KEY constraint failed";

const CASES: &[Case] = &[
    // SQLite adds a text as the digits that it begins with.
    Case {
        rule: r#"{ "name": "sums", "table": "t", "due": { "at": "at", "plus": "ttl", "unit": "seconds", "stamp": "seconds" }, "action": "delete" }"#,
        rows: "create table t (id integer primary key, at, ttl); insert into t values (1, 5, '10'), (2, 5, ' 1e2 '), (3, 5, '-'), (4, 5, '1-2'), (5, 5, '.'), (6, 5, x'31'),
            (7, '2026-01-01', 10), (8, '', 10), (9, 5, null), (10, null, 5), (11, 5, 9223372036854775807)",
        handled: &["1", "2"],
        rejected: &[
            ("3", UNREADABLE),
            ("4", UNREADABLE),
            ("5", UNREADABLE),
            ("6", UNREADABLE),
            ("7", UNREADABLE),
            ("8", UNREADABLE),
        ],
        after: "select count(*) = 9 from t",
    },
    // A time that is not UTC's is added to no more than it is compared.
    Case {
        rule: r#"{ "name": "offsets", "table": "t", "due": { "at": "at", "plus": "ttl", "unit": "minutes", "stamp": { "text": "%Y-%m-%dT%H:%M:%S" } }, "action": "delete" }"#,
        rows: "create table t (id integer primary key, at text, ttl int); insert into t values (1, '2026-01-10T11:00:00-05:00', 10), (2, '2026-01-10T11:00:00Z', 10), (3, '2026-01-10T11:50:00', 10)",
        handled: &["2"],
        rejected: &[("1", UNREADABLE)],
        after: "select count(*) = 2 from t",
    },
    Case {
        rule: r#"{ "name": "units", "table": "t", "due": { "coalesce": [{ "column": "seen", "stamp": "millis" }, { "column": "made", "stamp": "seconds" }] }, "action": "delete" }"#,
        rows: "create table t (id integer primary key, seen, made int); insert into t values (1, 'x', 5), (2, null, 5), (3, 1768046400000, 5), (4, 5000, 1768046500)",
        handled: &["2", "4"],
        rejected: &[("1", UNREADABLE)],
        after: "select count(*) = 2 from t",
    },
    // `quote` cuts a text at a zero, and bytes may be no UTF-8.
    Case {
        rule: r#"{ "name": "bytes", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "action": "delete" }"#,
        rows: "create table t (id text, at int, primary key (id)) without rowid;
            insert into t values ('a', 5), ('a' || char(0) || 'b', 5), ('a' || char(0) || 'c', 5), (cast(x'ff61' as text), 5), ('日本', 5), ('it''s', 5)",
        handled: &["a", "a\0b", "a\0c", "\u{fffd}a", "日本", "it's"],
        rejected: &[],
        after: "select count(*) = 0 from t",
    },
    Case {
        rule: r#"{ "name": "late", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "action": "delete", "with": [{ "table": "c", "column": "t_id" }] }"#,
        rows: "create table t (id integer primary key, at int); create table c (id integer primary key, t_id int references t);
            create table g (c_id int references c deferrable initially deferred); insert into t values (1, 5), (2, 5), (3, 5); insert into c values (10, 1), (20, 2), (30, 3); insert into g values (20)",
        handled: &["1", "3"],
        rejected: &[("2", REFUSED)],
        after: "select group_concat(id) = '20' from c",
    },
    // A foreign key compares as the column does that it refers to.
    Case {
        rule: r#"{ "name": "loose-parents", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "action": "delete", "with": [{ "table": "c", "column": "code" }], "keeps": [{ "table": "k", "column": "code" }] }"#,
        rows: "create table t (id integer primary key, code text collate nocase unique, at int); create table c (code text references t (code)); create table k (code text references t (code));
            insert into t values (1, 'AbC', 5), (2, 'x', 5), (3, 'y', 5); insert into c values ('abc'), ('ABC'), ('x'); insert into k values ('Y')",
        handled: &["1", "2"],
        rejected: &[("3", "kept by k.code")],
        after: "select count(*) = 0 from c",
    },
    Case {
        rule: r#"{ "name": "loose-children", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "action": "delete", "with": [{ "table": "c", "column": "code" }] }"#,
        rows: "create table t (id integer primary key, code text unique, at int); create table c (code text collate nocase references t (code));
            insert into t values (1, 'abc', 5), (2, 'ABC', null); insert into c values ('abc'), ('ABC')",
        handled: &["1"],
        rejected: &[],
        after: "select group_concat(code) = 'ABC' from c",
    },
    // Rows that go as children of their own table, and as rows at hand.
    Case {
        rule: r#"{ "name": "selves", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "action": "delete", "with": [{ "table": "t", "column": "parent", "counts_as": "kids" }] }"#,
        rows: "create table t (id integer primary key, parent int references t, at int); insert into t values (1, 1, 5), (2, 3, 5), (3, 2, 5), (4, 3, null)",
        handled: &["1", "2", "3"],
        rejected: &[],
        after: "select count(*) = 0 from t",
    },
    // A generated column that decides depends on the one that is set.
    Case {
        rule: r#"{ "name": "made", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "action": { "set": { "Ended": { "null": true } } } }"#,
        rows: "create table t (id integer primary key, ended int, at int as (ended + 10)); insert into t (id, ended) values (1, 5), (2, 1968046400)",
        handled: &["1"],
        rejected: &[],
        after: "select group_concat(id) = '1' from t where at is null",
    },
    Case {
        rule: r#"{ "name": "comments", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "only": { "sql": "note in (';', '(', '?') -- these" }, "action": { "set": { "note": { "sql": "'x' -- x" } } } }"#,
        rows: "create table t (id integer primary key, at int, note text); insert into t values (1, 5, ';'), (2, 5, '('), (3, 5, '?'), (4, 5, ''), (5, 1968046400, ';')",
        handled: &["1", "2", "3"],
        rejected: &[],
        after: "select group_concat(note, '') = 'xxx;' from t",
    },
];

fn rule(text: &str) -> Rule {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_of_a_stranger_goes_that_should_stay() {
    for case in CASES {
        let host = host(case.rows).await;
        let rule = rule(case.rule);
        let findings = host.store.check_rule(&rule).await.expect("a check");
        assert_eq!(findings.refused, [], "{findings}");
        let job = host.store.rule(rule).expect("a job");

        let (handled, mut rejected) = run(&job, 100).await;

        rejected.sort();
        let mut expected: Vec<(String, String)> = Vec::new();
        for (id, reason) in case.rejected {
            expected.push(((*id).to_owned(), (*reason).to_owned()));
        }
        assert_eq!(rejected, expected, "{}", case.rule);
        assert_eq!(handled, set(case.handled.iter().copied()), "{}", case.rule);
        assert!(host.holds(case.after), "{}", case.rule);
    }
}

/// A user is found by the value that a preview shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_found_however_the_column_keeps_him() {
    let host = host(
        "create table t (id integer primary key, at int, owner uuid, rate);
         insert into t values (1, 5, x'c4ca4238a0b923820dcc509a6f75849b', 1.5), (2, 5, 'c4ca4238-a0b9-2382-0dcc-509a6f75849b', '1.5'), (3, 5, x'00', 2)",
    )
    .await;
    let due = r#""table": "t", "due": { "at": "at", "stamp": "seconds" }, "action": "delete""#;
    let table = [
        ("owner", "c4ca4238-a0b9-2382-0dcc-509a6f75849b", 2),
        ("owner", "C4CA4238A0B923820DCC509A6F75849B", 1),
        ("rate", "1.5", 2),
        ("rate", "2", 1),
        ("rate", "2.5", 0),
    ];

    for (scope, user, expected) in table {
        let rule = rule(&format!(r#"{{ "name": "r", {due}, "scope": "{scope}" }}"#));
        let job = host.store.rule(rule).expect("a job");
        let preview = job.preview(&Scope::user(user), &Page::default()).await;
        assert_eq!(preview.expect("a preview").due.count, expected, "{user}");
    }
}

async fn check(rows: &'static str, text: &str) -> Findings {
    let host = host(rows).await;
    host.store.check_rule(&rule(text)).await.expect("a check")
}

fn lines(findings: &Findings) -> Vec<String> {
    findings.to_string().lines().map(str::to_owned).collect()
}

/// Each fault of each part is named, whichever comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_faults_of_one_rule_are_all_named() {
    let rows = "create table orders (id integer primary key, at int, status text)";
    let findings = check(
        rows,
        r#"{ "name": "r", "table": "orders", "due": { "at": "att", "stamp": "seconds" }, "only": { "eq": ["statsu", "x"] }, "scope": "owner",
            "unless": [{ "table": "paid", "column": "order_id" }, { "table": "orders", "column": "order_id" }], "keeps": [{ "table": "pins", "column": "order_id" }],
            "with": [{ "table": "lines", "column": "order_id" }, { "table": "orders", "column": "oder_id" }],
            "action": { "set": { "sttus": "gone", "at": { "sql": "at + ?" } } }, "hand_on": [{ "into": "queue", "columns": { "a": 1 } }, { "into": "orders", "columns": { "statuss": 1 } }] }"#,
    )
    .await;

    let expected = [
        "due: `orders` has no column `att`; did you mean `at`?",
        "scope: `orders` has no column `owner`",
        "only: `orders` has no column `statsu`; did you mean `status`?",
        "unless paid: there is no table `paid`",
        "unless orders: `orders` has no column `order_id`",
        "keeps pins: there is no table `pins`",
        "with lines: there is no table `lines`",
        "with orders: `orders` has no column `oder_id`",
        "set: `?` is a parameter, which gets no value here: write the value",
        "set: `orders` has no column `sttus`; did you mean `status`?",
        "hand_on queue: there is no table `queue`",
        "hand_on orders: `orders` has no column `statuss`; did you mean `status`?",
    ]
    .map(|fault| format!("refused: rule `r`, {fault}"));
    assert_eq!(lines(&findings), expected);
}

/// SQL that would end what encloses it could widen what the rule matches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_enclosed_or_made_is_refused_or_not_offered() {
    let rows = "create table t (id integer primary key, at int, s text); create table t_due (x); create table m (t int, at int); create index m_t on m (t);
        create table k (id, t_id); create index k_t on k (t_id);
        create table p (id integer primary key, x int, at int); create index p_at on p (at); create table q (p_x int references p (x)); create index q_p on q (p_x)";
    let due = r#""name": "r", "table": "main.t", "due": { "at": "at", "stamp": "seconds" }"#;
    let no_index = "advice: rule `r`, due: no index serves the order in which rows fall due, so each batch reads the whole table";
    let run = r#"; run `create index "main"."t_due_2" on "t" ("at")`"#;
    let table = [
        (
            format!(r#"{{ {due}, "only": {{ "sql": "s = 'a') or (1" }}, "action": "delete" }}"#),
            vec!["refused: rule `r`, only: a `)` closes no `(`".to_owned()],
        ),
        (
            format!(r#"{{ {due}, "action": {{ "archive": "T" }} }}"#),
            vec![
                "refused: rule `r`, archive: `T` holds rows of `main.t`, which the rule would handle again: name a table outside it".to_owned(),
                format!("{no_index}{run}"),
            ],
        ),
        (
            r#"{ "name": "r", "table": "t", "due": { "sql": "(select max(m.at) from m where m.t = t.id)", "stamp": "seconds" }, "action": "delete" }"#.to_owned(),
            vec![no_index.to_owned()],
        ),
        (
            r#"{ "name": "r", "table": "p", "due": { "at": "at", "stamp": "seconds" }, "action": "delete", "with": [{ "table": "q", "column": "p_x" }] }"#.to_owned(),
            vec!["refused: rule `r`, with: the foreign key q.p_x refers to (\"x\") of `p`, on which there is no unique index, so SQLite deletes no row of it".to_owned()],
        ),
        (
            format!(r#"{{ {due}, "action": "delete", "keeps": [{{ "table": "k", "column": "t_id" }}] }}"#),
            vec![
                format!("{no_index}{run}"),
                "advice: rule `r`, keeps k: k.t_id has another type than the column it is compared with, so its index does not serve and each batch reads its whole table: declare both with the same type".to_owned(),
            ],
        ),
    ];

    for (rule, expected) in table {
        assert_eq!(lines(&check(rows, &rule).await), expected, "{rule}");
    }
}

/// SQLite limits the depth of an expression, and rules may be wider.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wide_table_and_a_long_condition_are_checked() {
    let columns: Vec<String> = (0..1_900).map(|number| format!("c{number}")).collect();
    let rows = format!(
        "create table t (id integer primary key, at int, s int, {}); create index t_at on t (at); insert into t (id, at, s) values (1, 5, 1)",
        columns.join(", ")
    );
    let any: Vec<String> = (1..3_000)
        .map(|n| format!(r#"{{ "eq": ["s", {n}] }}"#))
        .collect();
    let text = format!(
        r#"{{ "name": "r", "table": "t", "due": {{ "at": "at", "stamp": "seconds" }}, "only": {{ "or": [{}] }}, "action": {{ "set": {{ "s": 0 }} }} }}"#,
        any.join(", ")
    );
    let host = host(rows.leak()).await;
    let findings = host.store.check_rule(&rule(&text)).await.expect("a check");
    assert_eq!(lines(&findings), [""; 0]);
    let job = host.store.rule(rule(&text)).expect("a job");

    assert_eq!(run(&job, 10).await, (set(["1"]), vec![]));
}
