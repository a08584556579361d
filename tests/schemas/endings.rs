//! A rule that matches a row as before once it is set would handle it in each run: the row is
//! rejected, with the rule as the cause. Another table may end it.

use std::collections::BTreeSet;

use ractor_housekeeper::Job;
use ractor_housekeeper::job::BatchRequest;
use ractor_housekeeper::rule::{Rule, Sql, Value, at, children, column, hand_on, related, sql};

/// The third order is due once more a minute later, and the first two are far behind.
const TABLES: &str = "
    create table orders (id integer primary key, at bigint, note varchar(20) not null);
    create table payments (order_id integer references orders (id));
    create table log (n integer); insert into log values (0);
    insert into orders values (1, 5, 'note'), (2, 6, 'note'), (3, 1768046370, 'note');";

const STILL_DUE: &str =
    "the rule matches it as before once it is set: set what `only` or `due` reads";

fn orders() -> Rule {
    Rule::new("orders", "orders").due(at("at").seconds())
}

fn unpaid() -> Rule {
    orders().unless(related("payments", "order_id"))
}

/// Rules, and the rows that each ends for.
fn rules() -> Vec<(Rule, &'static [&'static str])> {
    let longer = Sql::from("length(note) > 3");
    let paid = "insert into payments (order_id) select id from written";
    let payment = hand_on("payments").column("order_id", column("id"));
    vec![
        (unpaid().set("note", "seen"), &[]),
        (
            unpaid()
                .set("note", "seen")
                .then("update log set n = n + 1"),
            &[],
        ),
        (
            unpaid()
                .set("note", "seen")
                .with(children("payments", "order_id")),
            &[],
        ),
        (unpaid().set("note", "seen").then(paid), &["1", "2", "3"]),
        (
            unpaid().set("note", "seen").hand_on(payment),
            &["1", "2", "3"],
        ),
        (
            orders()
                .only(longer.clone())
                .set("note", sql("note || '!'")),
            &[],
        ),
        (orders().only(longer).set("note", "x"), &["1", "2", "3"]),
        (orders().set("at", sql("at + 60")), &["3"]),
        (orders().set("at", Value::Now), &["1", "2", "3"]),
    ]
}

async fn assert_ends(job: &impl Job, ends: &[&str], rule: &Rule) {
    job.check().await.expect("is fine");
    let bounds = job.begin_run().await.expect("a run begins");
    let request = BatchRequest {
        scope: ractor_housekeeper::Scope::All,
        now: bounds.now,
        cutoff: bounds.cutoff,
        limit: 10.try_into().expect("is not zero"),
        after: None,
    };

    let batch = job.batch(&request).await.expect("a batch");

    let ids = |ids: Vec<String>| ids.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(
        ids(batch.ids),
        crate::rules::set(ends.iter().copied()),
        "{rule:?}"
    );
    for row in &batch.rejected {
        assert_eq!(row.error, STILL_DUE, "{rule:?}");
    }
    assert_eq!(batch.rejected.len() + ends.len(), 3, "{rule:?}");
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_set_in_vain_is_rejected_on_postgres() {
    for (rule, ends) in rules() {
        let Some(host) = crate::demands::Host::new(TABLES).await else {
            return;
        };
        let job = host.store.rule(rule.clone()).expect("a job");

        assert_ends(&job, ends, &rule).await;
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_set_in_vain_is_rejected_on_sqlite() {
    for (rule, ends) in rules() {
        let host = crate::sqlite::host(TABLES).await;
        let job = host.store.rule(rule.clone()).expect("a job");

        assert_ends(&job, ends, &rule).await;
    }
}

/// Reports would name such a row by its new key, and it was known by the old one.
#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_of_the_key_is_not_set_on_sqlite() {
    let host = crate::sqlite::host(KEYED).await;
    for (rule, expected) in keyed() {
        let findings = host.store.check_rule(&rule).await.expect("a check");
        assert_eq!(texts(&findings.refused), expected, "{rule:?}");
    }
    let typed = drafts().set_sqlite(diesel::ExpressionMethods::eq(drafts::state, "gone"));
    let findings = host.store.check_rule(&typed).await.expect("a check");
    assert_eq!(texts(&findings.refused), IN_KEY);
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_of_the_key_is_not_set_on_postgres() {
    let Some(host) = crate::demands::Host::new(KEYED).await else {
        return;
    };
    for (rule, expected) in keyed() {
        let findings = host.store.check_rule(&rule).await.expect("a check");
        assert_eq!(texts(&findings.refused), expected, "{rule:?}");
    }
    let typed = drafts().set_postgres(diesel::ExpressionMethods::eq(drafts::state, "gone"));
    let findings = host.store.check_rule(&typed).await.expect("a check");
    assert_eq!(texts(&findings.refused), IN_KEY);
}

const KEYED: &str = "create table drafts (id integer not null unique, state varchar(9) not null, at bigint, primary key (state, id));";

const IN_KEY: [&str; 1] = [
    "rule `drafts`, set: `state` is in the key, by which reports name the row: name a key that is not set with `key`",
];

diesel::table! {
    drafts (id) {
        id -> Integer,
        state -> Text,
    }
}

fn drafts() -> Rule {
    Rule::new("drafts", "drafts").due(at("at").seconds())
}

fn keyed() -> [(Rule, &'static [&'static str]); 2] {
    let gone = drafts()
        .only(ractor_housekeeper::rule::eq("state", "open"))
        .set("state", "gone");
    [(gone.clone(), &IN_KEY), (gone.key(["id"]), &[])]
}

fn texts(findings: &[ractor_housekeeper::job::Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}
