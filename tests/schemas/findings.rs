//! Findings of the check: each with its text, and the rule beside it that works.

use ractor_housekeeper::rule::{Findings, Rule};

fn texts(findings: &Findings) -> Vec<String> {
    findings.refused.iter().map(ToString::to_string).collect()
}

fn rule(table: &str) -> Rule {
    Rule::new("r", table)
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::time::Duration;

    use diesel::connection::SimpleConnection;
    use ractor_housekeeper::{HousekeeperArguments, Scope, SqliteStore, start};

    use ractor_housekeeper::rule::{Stamp, Value, age, at, eq, moment, related, sql};

    use super::*;

    const TABLES: &str = "
        create table orders (id integer primary key, at integer, status text not null, note text);
        create index orders_at on orders (at); insert into orders values (1, 1768046400, 'open', 'x'), (2, 9223372036854775807, 'open', 'never');
        create table old_orders (id integer primary key, at integer, status text not null, note text);
        create table bad_orders (id integer primary key, at integer, status text not null, note text, moved text not null);
        create table millis (id integer primary key, at integer); create index millis_at on millis (at); insert into millis values (1, 1768046400000);
        create table texts (id integer primary key, at text); insert into texts values (1, '2026-01-10 12:00:00');
        create table lines (order_id integer references orders (id) on delete cascade);
        create trigger noisy before delete on texts begin select 1; end;";

    async fn store(folder: &tempfile::TempDir) -> SqliteStore {
        let path = folder.path().join("host.db").display().to_string();
        let store = SqliteStore::open(&path).await.expect("a path");
        let made = store.transaction("make tables", |conn| conn.batch_execute(TABLES));
        made.await.expect("is made");
        store
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_faults_are_named_at_once_and_what_works_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(&folder).await;
        let orders = || rule("orders").due(at("at").seconds());
        let refused: [(Rule, &[&str]); 7] = [
            (
                rule("ordrs").due(at("at").seconds()).delete(),
                &["rule `r`, table: there is no table `ordrs`; did you mean `orders`?"],
            ),
            (
                rule("millis").due(at("at").seconds()).delete(),
                &[
                    "rule `r`, due: `at` holds 1768046400000, which reads as the year 57997 in seconds; millis?",
                ],
            ),
            (
                orders()
                    .only(sql("nosuch(note)"))
                    .only(sql("random() > 0"))
                    .delete(),
                &[
                    "rule `r`, only: no such function: nosuch",
                    "rule `r`, only: `random` is not deterministic, so preview, batch and forecast may disagree about a row",
                ],
            ),
            (
                orders().set("status", Value::Null).set("at", Value::Null),
                &["rule `r`, set: `status` is not null, and is set to NULL"],
            ),
            (
                orders().archive("bad_orders"),
                &[
                    "rule `r`, archive: `moved` of `bad_orders` is not null, has no default, and `orders` has no such column",
                ],
            ),
            (
                orders().only(eq("statu", "open")).show(["nte"]).delete(),
                &[
                    "rule `r`, show: `orders` has no column `nte`; did you mean `note`?",
                    "rule `r`, only: `orders` has no column `statu`; did you mean `status`?",
                ],
            ),
            (
                rule("texts")
                    .due(at("at").text("%Y-%m-%dT%H:%M:%S"))
                    .delete(),
                &[
                    "rule `r`, due: `at` holds `2026-01-10 12:00:00`, which `%Y-%m-%dT%H:%M:%S` does not read",
                ],
            ),
        ];
        for (rule, expected) in refused {
            let findings = store.check_rule(&rule).await.expect("a check");
            assert_eq!(texts(&findings), expected);
        }
        let works = [
            orders().delete(),
            orders()
                .only(sql("length(note) > 0 and date('now') > '2020-01-01'"))
                .delete(),
            orders()
                .set("note", sql("hex(randomblob(4))"))
                .set("at", Value::Null),
            orders().archive("old_orders"),
            rule("millis").due(at("at").millis()).delete(),
            rule("texts")
                .due(at(
                    moment("at").stamp(Stamp::Text("%Y-%m-%d %H:%M:%S".to_owned()))
                ))
                .delete(),
            orders().unless(related("lines", "order_id")).delete(),
        ];
        for rule in works {
            let findings = store.check_rule(&rule).await.expect("a check");
            assert_eq!(texts(&findings), [""; 0], "{rule:?}");
        }
        let trigger = rule("texts")
            .due(at("at").text("%Y-%m-%d %H:%M:%S"))
            .delete();
        let advice = store.check_rule(&trigger).await.expect("a check").advice;
        let advice: Vec<String> = advice.iter().map(ToString::to_string).collect();
        assert!(
            advice.contains(&"rule `r`, action: fires `noisy` for each row".to_owned()),
            "{advice:?}"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_status_has_findings_and_a_refused_job_does_not_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(&folder).await;
        let due = age("at", Duration::from_secs(60)).seconds();
        let advised = Rule::new("advised", "texts")
            .due(at("at").text("%Y-%m-%d %H:%M:%S"))
            .delete();
        let refused = Rule::new("refused", "orders")
            .due(due)
            .only(eq("statu", "open"))
            .delete();
        let arguments = HousekeeperArguments::new(Vec::new())
            .with_job(store.rule(advised).expect("a job"))
            .with_job(store.rule(refused).expect("a job"));
        let housekeeper = start(None, arguments).await.expect("starts").housekeeper;
        for job in ["advised", "refused"] {
            housekeeper
                .run_now(job, Scope::All)
                .await
                .expect("an answer");
        }

        let status = housekeeper.status().await.expect("a status");

        let json = serde_json::to_value(&status).expect("is written");
        let jobs = &json["jobs"];
        assert_eq!(
            jobs["advised"]["findings"]["advice"][0]["part"], "action",
            "{json}"
        );
        assert_eq!(
            jobs["refused"]["findings"]["refused"][0]["part"], "only",
            "{json}"
        );
        let text = status.to_string();
        let sentence = "`orders` has no column `statu`; did you mean `status`?";
        assert!(text.contains(sentence), "{text}");
        assert!(
            text.contains("advice: rule `advised`, action: fires `noisy` for each row"),
            "{text}"
        );
        housekeeper.stop(None);
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
    use ractor_housekeeper::PostgresStore;
    use ractor_housekeeper::testing::PrivatePostgres;

    use ractor_housekeeper::rule::{Value, at, eq, hand_on, one_of, related, sql};

    use super::*;

    const TABLES: &str = "
        create type mood as enum ('good', 'bad');
        create function moody(text) returns boolean language sql volatile as 'select true';
        create function steady(text) returns boolean language sql stable as 'select true';
        create table orders (id bigint primary key, at timestamptz, n integer not null, status varchar(4), mood mood, u uuid);
        create index on orders (at);
        create table old_orders (like orders); create table short_orders (id bigint, at timestamptz, n text, status integer, mood mood, u uuid, moved text not null);
        create table lines (order_id bigint references orders on delete cascade, mood mood, n integer); create index on lines (order_id);
        create table outbox (id uuid default gen_random_uuid(), order_id bigint, kind integer);
        create table seconds (id bigint primary key, at bigint); create index on seconds (at); insert into seconds select n, 1768046400 + n from generate_series(1, 9) n;
        insert into seconds values (10, 9223372036854775807);
        create table millis (id bigint primary key, at bigint); insert into millis select n, 1768046400000 + n from generate_series(1, 9) n;
        create table texts (id bigint primary key, at text); insert into texts select n, '2026-01-10 12:00:00' from generate_series(1, 30) n; insert into texts values (31, 'odd');
        create table parts (id bigint, at timestamptz, primary key (id)) partition by hash (id); create table parts_0 partition of parts for values with (modulus 1, remainder 0);";

    #[expect(clippy::too_many_lines, reason = "a table of rules")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_faults_are_named_at_once_and_what_works_is_not() {
        let Some(server) = PrivatePostgres::shared().expect("a server") else {
            return;
        };
        let url = server.fresh_database().expect("a database");
        let mut conn = AsyncPgConnection::establish(&url)
            .await
            .expect("a connection");
        conn.batch_execute(TABLES).await.expect("is made");
        let store = PostgresStore::connect(&url).expect("a URL");
        let orders = || rule("orders").due(at("at"));
        let refused: [(Rule, &[&str]); 11] = [
            (
                rule("ordrs").due(at("at")).delete(),
                &["rule `r`, table: there is no table `ordrs`; did you mean `orders`?"],
            ),
            (
                orders()
                    .only(eq("n", "abc"))
                    .only(one_of("u", ["x"]))
                    .delete(),
                &[
                    "rule `r`, only: `n` is `integer`: invalid input syntax for type integer: \"abc\"",
                    "rule `r`, only: `u` is `uuid`: invalid input syntax for type uuid: \"x\"",
                ],
            ),
            (
                orders()
                    .only(eq("status", "open"))
                    .set("status", "expired")
                    .set("n", Value::Null),
                &[
                    "rule `r`, set: `n` is not null, and is set to NULL",
                    "rule `r`, set: `status` is `character varying(4)`: value too long for type character varying(4)",
                ],
            ),
            (
                orders()
                    .unless(related("lines", "order_id").only(eq("mood", "meh")))
                    .delete(),
                &[
                    "rule `r`, unless lines: `mood` is `mood`: invalid input value for enum mood: \"meh\"",
                ],
            ),
            (
                orders()
                    .hand_on(hand_on("outbox").column("kind", "gone"))
                    .delete(),
                &[
                    "rule `r`, hand_on outbox: `kind` is `integer`: invalid input syntax for type integer: \"gone\"",
                ],
            ),
            (
                orders()
                    .only(sql("nosuch(n)"))
                    .only(sql("moody(status)"))
                    .only(sql("random() > 0"))
                    .delete(),
                &[
                    "rule `r`, only: function nosuch(integer) does not exist",
                    "rule `r`, only: `moody` is volatile, so preview, batch and forecast may disagree about a row; use a stable expression; run `alter function moody(text) stable`",
                    "rule `r`, only: `random` is volatile, so preview, batch and forecast may disagree about a row; use a stable expression",
                ],
            ),
            (
                orders().archive("short_orders"),
                &[
                    "rule `r`, archive: `moved` of `short_orders` is not null, has no default, and `orders` has no such column",
                    "rule `r`, archive: `status` is `character varying(4)` and cannot be written into `short_orders`, where it is `integer`; run `alter table \"short_orders\" alter \"status\" type character varying(4)`",
                ],
            ),
            (
                rule("seconds").due(at("at").millis()).delete(),
                &[
                    "rule `r`, due: `at` holds 1768046405, which reads as the year 1970 in millis, so that every row is due; seconds?",
                ],
            ),
            (
                rule("millis").due(at("at").seconds()).delete(),
                &[
                    "rule `r`, due: `at` holds 1768046400005, which reads as the year 57997 in seconds; millis?",
                ],
            ),
            (
                rule("texts")
                    .due(at("at").text("%Y-%m-%dT%H:%M:%S"))
                    .delete(),
                &[
                    "rule `r`, due: `at` holds `2026-01-10 12:00:00`, which `%Y-%m-%dT%H:%M:%S` does not read",
                ],
            ),
            (
                orders()
                    .then("delete from nowhere using written where true")
                    .delete(),
                &["rule `r`, then: relation \"nowhere\" does not exist"],
            ),
        ];
        for (rule, expected) in refused {
            let findings = store.check_rule(&rule).await.expect("a check");
            assert_eq!(texts(&findings), expected);
        }
        let works = [
            orders().delete(),
            orders()
                .only(sql(
                    "steady(status) and now() > '2020-01-01' and status not in ('random(')",
                ))
                .delete(),
            orders()
                .only(eq("n", "5"))
                .only(eq("mood", "good"))
                .only(one_of("u", ["00000000-0000-0000-0000-000000000001"]))
                .delete(),
            orders()
                .only(eq("mood", "good"))
                .set("mood", "bad")
                .set("u", sql("gen_random_uuid()")),
            orders().archive("old_orders"),
            orders()
                .hand_on(
                    hand_on("outbox")
                        .column("kind", "7")
                        .column("id", sql("gen_random_uuid()")),
                )
                .delete(),
            rule("seconds").due(at("at").seconds()).delete(),
            rule("millis").due(at("at").millis()).delete(),
            rule("texts")
                .due(at("at").text("%Y-%m-%d %H:%M:%S"))
                .delete(),
            orders()
                .then("update seconds set at = at from written where seconds.id = written.id")
                .delete(),
        ];
        for rule in works {
            let findings = store.check_rule(&rule).await.expect("a check");
            assert_eq!(texts(&findings), [""; 0], "{rule:?}");
        }
        let findings = store
            .check_rule(&rule("parts").due(at("at")).delete())
            .await
            .expect("a check");
        let mends: Vec<_> = findings
            .advice
            .iter()
            .filter_map(|found| found.statement.as_deref())
            .collect();
        assert_eq!(mends, ["create index on \"parts\" (\"at\")"]);
        let made = conn.batch_execute(mends[0]).await;
        made.expect("the statement mends it");
    }
}
