//! Advice is true, and its statement helps when it is run.

use ractor_housekeeper::rule::{Findings, Rule};

/// Tables, a rule as JSON, and the advice on it; none once its statements were run.
struct Case {
    tables: &'static str,
    rule: &'static str,
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "of the other database")
    )]
    postgres: &'static [&'static str],
    #[cfg_attr(
        not(feature = "sqlite"),
        expect(dead_code, reason = "of the other database")
    )]
    sqlite: &'static [&'static str],
}

const KIDS: &str = "create table t (id integer primary key, at bigint, kind integer); create index t_at on t (at);
    create table kids (id integer primary key, t_id integer references t on delete cascade, done integer);";

const CASES: &[Case] = &[
    Case {
        tables: KIDS,
        rule: r#"{ "unless": [{ "table": "kids", "column": "t_id" }], "action": { "set": { "at": { "null": true } } } }"#,
        postgres: &[
            r#"unless kids: kids.t_id has no index, so each batch reads its whole table; run `create index concurrently on "kids" ("t_id")`"#,
        ],
        sqlite: &[
            r#"unless kids: kids.t_id has no index, so each batch reads its whole table; run `create index "kids_t_id" on "kids" ("t_id")`"#,
        ],
    },
    Case {
        tables: KIDS,
        rule: r#"{ "active": { "table": "kids", "column": "t_id", "at": "done" }, "action": { "set": { "at": { "null": true } } } }"#,
        postgres: &[
            r#"active: kids.t_id has no index, so each batch reads its whole table; run `create index concurrently on "kids" ("t_id")`"#,
        ],
        sqlite: &[
            r#"active: kids.t_id has no index, so each batch reads its whole table; run `create index "kids_t_id" on "kids" ("t_id")`"#,
        ],
    },
    // The foreign key has the same statement.
    Case {
        tables: KIDS,
        rule: r#"{ "when": [{ "table": "kids", "column": "t_id" }], "action": "delete" }"#,
        postgres: &[
            r#"with: kids.t_id has no index, so its whole table is read for each row deleted from t; run `create index concurrently on "kids" ("t_id")`"#,
        ],
        sqlite: &[
            r#"with: kids.t_id has no index, so its whole table is read for each row deleted from t; run `create index "kids_t_id" on "kids" ("t_id")`"#,
        ],
    },
    // An index with the condition serves.
    Case {
        tables: "create table t (id integer primary key, at bigint); create index t_at on t (at);
            create table kids (id integer primary key, t_id integer references t, done integer);
            create index kids_done on kids (t_id) where done = 1;",
        rule: r#"{ "unless": [{ "table": "kids", "column": "t_id", "only": { "eq": ["done", 1] } }], "action": { "set": { "at": { "null": true } } } }"#,
        postgres: &[],
        sqlite: &[],
    },
    // So does one that the host's own condition hides.
    Case {
        tables: "create table t (id integer primary key, at bigint); create index t_at on t (at);
            create table other (n integer);
            create table kids (id integer primary key, t_id integer references t, done integer);
            create index kids_t on kids (t_id, done);",
        rule: r#"{ "unless": [{ "table": "kids", "column": "t_id", "only": { "sql": "exists (select 1 from other where other.n > kids.done)" } }], "action": { "set": { "at": { "null": true } } } }"#,
        postgres: &[],
        sqlite: &[],
    },
    // The planner prefers the index of `kind`, and sorts.
    Case {
        tables: "create table t (id integer primary key, at bigint, kind integer); create index t_at on t (at); create index t_kind on t (kind);",
        rule: r#"{ "only": { "eq": ["kind", 2] }, "action": "delete" }"#,
        postgres: &[],
        sqlite: &[
            r#"due: no index serves both `only` and the order in which rows fall due, so each batch sorts what `only` leaves; run `create index "t_only_due" on "t" ("kind", "at")`"#,
        ],
    },
    Case {
        tables: "create table t (id integer primary key, at bigint, kind integer); create index t_at on t (at); create index t_kind on t (kind);
            insert into t with recursive n(i) as (select 1 union all select i + 1 from n where i < 100) select i, 4102444800, 1 from n;",
        rule: r#"{ "only": { "one_of": ["kind", [1, 2]] }, "action": "delete" }"#,
        postgres: &[],
        sqlite: &[
            r#"due: an index serves the order in which rows fall due, but the planner does not choose it without statistics; run `analyze "t"`"#,
        ],
    },
];

/// Rows that are due, all rows, the column of the instant, and the advice.
const ROWS: [(u32, u32, &str, &[&str]); 5] = [
    (
        800,
        1_000,
        "at",
        &[
            "rule `r`, due: 800 rows are due, which is most of the table; `expect_backlog` says that this is meant",
        ],
    ),
    (
        30_000,
        30_000,
        "at",
        &[
            "rule `r`, due: 10,000+ rows are due, which is most of the table; `expect_backlog` says that this is meant",
        ],
    ),
    (12_000, 60_000, "at", &[]),
    (
        0,
        31,
        "id",
        &[
            "rule `r`, due: `id` holds 16, which reads as the year 1970 in seconds, so that every row is due; does it hold instants?",
        ],
    ),
    (0, 5, "id", &[]),
];

fn rows(due: u32, all: u32) -> String {
    format!(
        "create table t (id integer primary key, at bigint); create index t_at on t (at); create index t_id on t (id);
         insert into t with recursive n(i) as (select 1 union all select i + 1 from n where i < {all})
         select i, case when i <= {due} then 1700000000 else 4102444800 end from n"
    )
}

fn assert_doubts(findings: &Findings, expected: &[&str]) {
    assert_eq!(findings.refused, [], "{findings}");
    let advice: Vec<String> = findings.advice.iter().map(ToString::to_string).collect();
    assert_eq!(advice, expected);
}

fn rule(column: &str) -> Rule {
    Rule::new("r", "t")
        .due(ractor_housekeeper::rule::at(column).seconds())
        .delete()
}

impl Case {
    fn rule(&self) -> Rule {
        let start = r#"{ "name": "r", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "#;
        let text = format!("{start}{}", self.rule.trim_start_matches('{'));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    fn assert_advice(&self, findings: &Findings, expected: &[&str]) -> Vec<String> {
        assert_eq!(findings.refused, [], "{findings}");
        let advice: Vec<String> = findings.advice.iter().map(ToString::to_string).collect();
        let expected: Vec<String> = expected
            .iter()
            .map(|one| format!("rule `r`, {one}"))
            .collect();
        assert_eq!(advice, expected, "{}", self.rule);
        let statements = findings.advice.iter();
        statements.filter_map(|one| one.statement.clone()).collect()
    }
}

/// Children in parts, which take no index concurrently.
#[cfg(feature = "postgres")]
const PARTS: Case = Case {
    tables: "create table t (id integer primary key, at bigint); create index t_at on t (at);
        create table kids (t_id integer references t on delete cascade, n integer) partition by list (n); create table kids_0 partition of kids default;",
    rule: r#"{ "action": "delete" }"#,
    postgres: &[
        r#"with: kids.t_id has no index, so its whole table is read for each row deleted from t; run `create index on "kids" ("t_id")`"#,
    ],
    sqlite: &[],
};

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_advised_on_postgres_helps() {
    for case in CASES.iter().chain(&[PARTS]) {
        let Some(host) = super::demands::Host::new(case.tables).await else {
            return;
        };
        let check = async || host.store.check_rule(&case.rule()).await.expect("a check");
        for statement in case.assert_advice(&check().await, case.postgres) {
            host.run(&statement).await;
        }
        case.assert_advice(&check().await, &[]);
    }
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doubtful_rows_are_named_on_postgres() {
    for (due, all, column, expected) in ROWS {
        let Some(host) = super::demands::Host::new(&rows(due, all)).await else {
            return;
        };
        let findings = host.store.check_rule(&rule(column)).await;
        assert_doubts(&findings.expect("a check"), expected);
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doubtful_rows_are_named_on_sqlite() {
    for (due, all, column, expected) in ROWS {
        let host = super::sqlite::host("").await;
        host.run(&rows(due, all));
        let findings = host.store.check_rule(&rule(column)).await;
        assert_doubts(&findings.expect("a check"), expected);
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_advised_on_sqlite_helps() {
    for case in CASES {
        let host = super::sqlite::host(case.tables).await;
        let check = async || host.store.check_rule(&case.rule()).await.expect("a check");
        for statement in case.assert_advice(&check().await, case.sqlite) {
            host.run(&statement);
        }
        case.assert_advice(&check().await, &[]);
    }
}
