//! The suite on SQLite.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::sql_types::Bool;
use diesel::{Connection, RunQueryDsl, SqliteConnection};
use ractor_housekeeper::job::Page;
use ractor_housekeeper::rule::{
    Filter, Rule, Stamp, Value, archive, at, children, column, eq, hand_on, moment, name, related,
    sql,
};
use ractor_housekeeper::store::sqlite::SqliteStore;
use ractor_housekeeper::testing::ManualClock;
use ractor_housekeeper::{Job, Scope};

use super::rules::{Case, SQLITE, set};

/// A file with the schemas and one case's rows.
pub(crate) struct Host {
    folder: tempfile::TempDir,
    pub(crate) store: SqliteStore,
}

impl Host {
    pub(crate) async fn new(case: &Case) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("host.db");
        let store = SqliteStore::open(&path.to_string_lossy())
            .await
            .expect("a path");
        let store = store.with_clock(Arc::new(ManualClock::frozen(noon())));
        let host = Self { folder, store };
        host.run(include_str!("sqlite.sql"));
        host.run(case.rows);
        host
    }

    fn connect(&self) -> SqliteConnection {
        let path = self.folder.path().join("host.db");
        SqliteConnection::establish(&path.to_string_lossy()).expect("a connection")
    }

    pub(crate) fn run(&self, sql: &str) {
        self.connect()
            .batch_execute(sql)
            .unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    pub(crate) fn holds(&self, question: &str) -> bool {
        diesel::select(diesel::dsl::sql::<Bool>(&format!("({question})")))
            .get_result(&mut self.connect())
            .unwrap_or_else(|error| panic!("{error}: {question}"))
    }
}

fn noon() -> DateTime<Utc> {
    "2026-01-10T12:00:00Z".parse().expect("is an instant")
}

/// Takes a rule through one run; returns what was handled and what was rejected.
pub(crate) async fn run(job: &impl Job, limit: u32) -> (BTreeSet<String>, Vec<(String, String)>) {
    let bounds = job.begin_run().await.expect("a run begins");
    let (mut handled, mut rejected) = (BTreeSet::new(), Vec::new());
    let mut request = crate::first_batch(&bounds, limit);
    loop {
        let batch = job
            .batch(&request)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", job.name()));
        handled.extend(batch.ids);
        rejected.extend(batch.rejected.into_iter().map(|row| (row.id, row.error)));
        match batch.next_cursor {
            None => return (handled, rejected),
            next => request.after = next,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preview_forecast_and_run_agree_on_what_is_due() {
    for case in SQLITE {
        let host = Host::new(case).await;
        let rule = case.rule();
        let findings = host.store.check_rule(&rule).await.expect("a check");
        let job = host.store.rule(rule.clone()).expect("a job");

        case.assert_handled(&findings, &job).await;

        assert!(host.holds(case.after), "{}: {}", rule.name(), case.after);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_or_withheld_row_is_rejected_and_the_rest_goes() {
    for case in SQLITE {
        let rule = case.rule();
        for (answer, reason) in [
            ("raise(abort, 'no')", "no"),
            ("raise(ignore)", "a trigger of the database withholds it"),
        ] {
            let host = Host::new(case).await;
            let event = if case.rule.contains("\"set\"") {
                "update"
            } else {
                "delete"
            };
            let (bad, key) = match rule.table() {
                "ciphers" => ("a", "old.uuid"),
                "invoices" => ("01", "hex(old.hash)"),
                "states" => (case.due[0], "old.state_id"),
                "drafts" => (
                    "[\"it's\", 1]",
                    "'[' || json_quote(old.tenant) || ', ' || old.id || ']'",
                ),
                _ => (case.due[0], "old.id"),
            };
            let literal = bad.replace('\'', "''");
            host.run(&format!(
                "create trigger refuse before {event} on {} when {key} = '{literal}' begin select {answer}; end",
                rule.table()
            ));
            let job = host.store.rule(rule.clone()).expect("a job");

            let (handled, rejected) = run(&job, 100).await;

            let name = rule.name();
            assert_eq!(rejected, [(bad.to_owned(), reason.to_owned())], "{name}");
            assert_eq!(handled, set(case.due[1..].iter().copied()), "{name}");
        }
    }
}

/// A host with these tables.
pub(crate) async fn host(sql: &'static str) -> Host {
    let case = Case {
        rule: "",
        rows: sql,
        due: &[],
        after: "",
    };
    Host::new(&case).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_names_what_is_wrong_with_the_rows() {
    let host = host(
        "create table a (id integer primary key, at integer); insert into a values (1, 1768046400000);
         create table b (id integer primary key, at text); insert into b values (1, '2026-01-10 12:00:00'), (2, 1768046400);
         create table c (id integer primary key, at text); insert into c values (1, '2026-01-10T12:00:00Z'), (2, '2026-01-10T12:00:00.5Z');
         create table d (id integer primary key, at integer, a integer references a); create table e (d integer references d);",
    )
    .await;
    let text = |format: &str| Stamp::Text(format.to_owned());
    let table = [
        (
            Rule::new("r", "a").due(at("at").seconds()).delete(),
            "rule `r`, due: `at` holds 1768046400000, which reads as the year 57997 in seconds; millis?",
        ),
        (
            Rule::new("r", "b").due(at("at").seconds()).delete(),
            "rule `r`, due: `at` holds values of type text, such as `2026-01-10 12:00:00`, which this stamp does not read",
        ),
        (
            Rule::new("r", "c")
                .due(at(moment("at").stamp(text("%Y-%m-%dT%H:%M:%S%.fZ"))))
                .delete(),
            "rule `r`, due: `at` holds texts of different widths, `2026-01-10T12:00:00Z` and `2026-01-10T12:00:00.5Z`, which are not in the order of their instants",
        ),
        (
            Rule::new("r", "d").due(at("at").seconds()).delete(),
            "rule `r`, with: the foreign key e.d keeps rows from going: declare it `with` (they go along) or `keeps` (such rows stay and are reported)",
        ),
        (
            Rule::new("r", "d").due(at("at").naive_utc()).delete(),
            "rule `r`, due: SQLite has no timestamps: say how it keeps `at` with `on_sqlite`",
        ),
    ];
    for (rule, expected) in table {
        let findings = host.store.check_rule(&rule).await.expect("a check");
        assert_eq!(findings.refused[0].to_string(), expected);
    }
}

/// A file of each child is handed on before the child goes; what keeps a row is reported with the
/// reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_are_handed_on_and_keepers_are_named() {
    let host = host(
        "create table posts (id integer primary key, at integer, owner text); create table files (id integer primary key, post_id integer not null references posts, path text);
         create table parts (file_id integer not null references files); create table pins (post_id integer references posts); create table outbox (path text, post integer, at integer);
         insert into posts values (1, 5, 'anna'), (2, 6, 'bert'), (3, 7, 'anna'); insert into files values (10, 1, 'x'), (11, 1, 'y'), (12, 3, 'z');
         insert into parts values (10), (10), (12); insert into pins values (2)",
    )
    .await;
    let file = hand_on("outbox")
        .column("path", column("path"))
        .column("post", column("post_id"))
        .column("at", Value::Now);
    let rule = Rule::new("posts", "posts")
        .due(at("at").seconds())
        .with(
            children("files", "post_id")
                .with(children("parts", "file_id"))
                .hand_on(file),
        )
        .keeps(related("pins", "post_id"))
        .scope("owner")
        .delete();
    let findings = host.store.check_rule(&rule).await.expect("a check");
    assert_eq!(findings.refused, [], "{findings}");
    let job = host.store.rule(rule).expect("a job");
    assert_eq!(
        job.preview(&Scope::user("anna"), &Page::default())
            .await
            .expect("a preview")
            .due
            .count,
        2
    );

    let (handled, rejected) = run(&job, 10).await;

    assert_eq!(handled, set(["1", "3"]));
    assert_eq!(
        rejected,
        [("2".to_owned(), "kept by pins.post_id".to_owned())]
    );
    assert!(host.holds(
        "select group_concat(path || post || at, ',') = 'x11768046400,y11768046400,z31768046400' from outbox"
    ));
    assert!(
        host.holds("select (select count(*) from parts) = 0 and (select count(*) from files) = 0")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_among_texts_is_not_long_past() {
    let host = host(
        "create table t (id integer primary key, at); insert into t values (1, '2026-01-10 11:00:00'), (2, '2026-01-10 13:00:00')",
    )
    .await;
    let format = Stamp::Text("%Y-%m-%d %H:%M:%S".to_owned());
    let rule = Rule::new("t", "t")
        .due(at(moment("at").stamp(format)))
        .delete();
    let job = host.store.rule(rule).expect("a job");
    job.check().await.expect("is fine");
    // Written after the check.
    host.run("insert into t values (3, 5), (4, ''), (5, null)");

    let (handled, rejected) = run(&job, 10).await;

    let unread = |id: &str| (id.to_owned(), "its instant cannot be read".to_owned());
    assert_eq!(
        (handled, rejected),
        (set(["1"]), vec![unread("3"), unread("4")])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_of_several_columns_are_matched_as_a_whole() {
    let host = host(
        "create table topics (tenant text, id integer, at integer, primary key (tenant, id)); create index topics_at on topics (at);
        create table files (tenant text not null, post integer, id integer primary key, foreign key (post, tenant) references topics (id, tenant));
        create table marks (tenant text, post integer, foreign key (tenant, post) references topics);
        create table pins (tenant text, post integer, foreign key (tenant, post) references topics);
        create table parts (file integer references files);
        insert into topics values ('a', 1, 5), ('a', 2, 5), ('a', 3, 5), ('b', 1, 5), ('b', 2, 5), ('b', 3, 5);
        insert into files values ('a', 1, 1), ('b', 1, 2), ('b', 3, 3); insert into marks values ('a', 1), ('b', 1);
        insert into pins values ('a', 2), ('b', 3); insert into parts values (1), (1), (2);",
    )
    .await;
    let rule = Rule::new("topics", "topics")
        .due(at("at").seconds())
        .only(eq("tenant", "a"))
        .with(
            children("files", ["tenant", "post"])
                .with(children("parts", "file"))
                .show_count(),
        )
        .with(children("marks", ["tenant", "post"]).set_null())
        .keeps(related("pins", ["post", "tenant"]))
        .delete();
    let findings = host.store.check_rule(&rule).await.expect("a check");
    assert_eq!(findings.refused, [], "{findings}");
    let job = host.store.rule(rule).expect("a job");
    let page = Page::default();
    let preview = job.preview(&Scope::All, &page).await.expect("a preview");
    assert_eq!(preview.rows[0].details["files"], "1");

    let (handled, rejected) = run(&job, 10).await;

    assert_eq!(handled.len(), 2, "{handled:?}");
    assert_eq!(
        rejected,
        [(
            "[\"a\", 2]".to_owned(),
            "kept by pins (post, tenant)".to_owned()
        )]
    );
    assert!(host.holds(
        "select (select count(*) from topics) = 4 and (select count(*) from files) = 2 and (select count(*) from parts) = 1 \
            and (select count(*) from marks where tenant is null and post is null) = 1 and (select count(*) from marks) = 2"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_has_fewer_columns_and_its_own() {
    let host = host(
        "create table topics (id integer primary key, at integer, body text); create index topics_at on topics (at);
        create table old_topics (id integer primary key, at integer, moved integer not null, length integer);
        insert into topics values (1, 5, 'one two'), (2, unixepoch('2026-01-10 13:00'), 'later')",
    )
    .await;
    let slim = archive("old_topics")
        .without(["body"])
        .column("moved", Value::Now)
        .column("length", sql("length(body)"));
    let rule = Rule::new("topics", "topics")
        .due(at("at").seconds())
        .archive(slim);
    let findings = host.store.check_rule(&rule).await.expect("a check");
    assert_eq!(findings.refused, [], "{findings}");
    let job = host.store.rule(rule).expect("a job");

    let (handled, _) = run(&job, 10).await;

    assert_eq!(handled.len(), 1);
    assert!(host.holds(
        "select length = 7 and moved = unixepoch('2026-01-10 12:00') and (select count(*) = 1 from topics) from old_topics"
    ));
}

diesel::table! {
    topics (id) {
        id -> Integer,
        at -> BigInt,
        status -> Text,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typed_parts_stand_where_text_does() {
    use diesel::{BoolExpressionMethods, ExpressionMethods};
    let host = host(
        "create table topics (id integer primary key, at integer, status text not null); create index open_topics on topics (at, id) where status = 'open';
        insert into topics values (1, 5, 'open'), (2, 5, 'shut'), (3, 5, 'open'), (4, 5, 'it''s')",
    )
    .await;
    let open = topics::status.eq("open").and(topics::id.ne(3));
    let rule = Rule::new("topics", "topics")
        .due(at(name(topics::at)).seconds())
        .only(Filter::sqlite(topics::table, open))
        .set_sqlite((topics::status.eq("gone"), topics::at.eq(topics::at + 1)));
    let findings = host.store.check_rule(&rule).await.expect("a check");
    // The partial index serves, because constants stand in the statement.
    assert_eq!(
        (findings.refused, findings.advice),
        (Vec::new(), Vec::new())
    );
    let job = host.store.rule(rule).expect("a job");

    let (handled, _) = run(&job, 10).await;

    assert_eq!(handled, set(["1"]));
    assert!(host.holds("select status = 'gone' and at = 6 from topics where id = 1"));
}
