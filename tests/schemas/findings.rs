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
    use ractor_housekeeper::model::OutcomeKind;
    use ractor_housekeeper::{HousekeeperArguments, Scope, SqliteStore, start};

    use ractor_housekeeper::rule::{
        Stamp, Value, age, archive, at, children, eq, moment, related, sql,
    };

    use super::*;

    const TABLES: &str = "
        create table orders (id integer primary key, at integer, status text not null, note text);
        create index orders_at on orders (at); insert into orders values (1, 1768046400, 'open', 'x'), (2, 9223372036854775807, 'open', 'never');
        create table old_orders (id integer primary key, at integer, status text not null, note text);
        create table bad_orders (id integer primary key, at integer, status text not null, note text, moved text not null);
        create table millis (id integer primary key, at integer); create index millis_at on millis (at); insert into millis values (1, 1768046400000);
        create table texts (id integer primary key, at text); insert into texts values (1, '2026-01-10 12:00:00');
        create table lines (order_id integer references orders (id) on delete cascade);
        create trigger noisy before delete on texts begin select 1; end;
        create table slim (id integer primary key, at integer, moved integer not null);
        create table held (id integer primary key, at integer, status text check (status in ('open', 'gone')), closed_at integer, check (status = 'open' or closed_at is not null));
        insert into held values (1, 5, 'open', null), (2, 6, 'open', null);
        create table typed (id integer primary key, at integer, n integer, t any) strict;
        create table keyed (tenant text, id integer, at integer, total integer generated always as (id + 1), primary key (tenant, id));
        create table kept (tenant text, keyed_id integer, foreign key (tenant, keyed_id) references keyed);
        create view seen as select * from orders;
        create table loose (a text, b text not null, at integer, unique (a), unique (b));";

    async fn store(folder: &tempfile::TempDir) -> SqliteStore {
        let path = folder.path().join("host.db").display().to_string();
        let store = SqliteStore::open(&path).await.expect("a path");
        let made = store.transaction("make tables", |conn| conn.batch_execute(TABLES));
        made.await.expect("is made");
        store
    }

    #[expect(clippy::too_many_lines, reason = "a table of rules")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_faults_are_named_at_once_and_what_works_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(&folder).await;
        let orders = || rule("orders").due(at("at").seconds());
        let held = || {
            rule("held")
                .due(at("at").seconds())
                .only(eq("status", "open"))
        };
        let typed = || rule("typed").due(at("at").seconds());
        let keyed = || rule("keyed").due(at("at").seconds());
        let loose = || rule("loose").due(at("at").seconds());
        let refused: Vec<(Rule, &[&str])> = vec![
            (
                rule("seen").due(at("at").seconds()).delete(),
                &["rule `r`, table: `seen` is a view; name the table whose rows it shows"],
            ),
            (
                loose().delete(),
                &[
                    "rule `r`, key: the table has no primary key: name a unique key with `key`, such as `b`",
                ],
            ),
            (
                loose().key(["a"]).delete(),
                &["rule `r`, key: `a` may be null, so it does not identify rows"],
            ),
            (
                loose().key(["at", "b"]).delete(),
                &["rule `r`, key: `at` may be null, so it does not identify rows"],
            ),
            (
                orders().archive("slim"),
                &[
                    "rule `r`, archive: `slim` has no column `status`: add it, or leave it out with `without`",
                    "rule `r`, archive: `slim` has no column `note`: add it, or leave it out with `without`",
                    "rule `r`, archive: `moved` of `slim` is not null, has no default, and gets nothing from `orders`",
                ],
            ),
            (
                held().set("status", "expired").set("closed_at", Value::Now),
                &[
                    "rule `r`, set: no due row takes what is set: CHECK constraint failed: status in ('open', 'gone')",
                ],
            ),
            (
                held().set("status", "gone"),
                &[
                    "rule `r`, set: no due row takes what is set: CHECK constraint failed: status = 'open' or closed_at is not null",
                ],
            ),
            (
                typed().set("n", "many").set("at", Value::Null),
                &["rule `r`, set: `n` is `INTEGER` in a STRICT table, and gets 'many'"],
            ),
            (
                keyed().set("total", 1).set("at", Value::Null),
                &["rule `r`, set: `total` is generated by the database"],
            ),
            (
                keyed().delete(),
                &[
                    "rule `r`, with: the foreign key kept (tenant, keyed_id) keeps rows from going: declare it `with` (they go along) or `keeps` (such rows stay and are reported)",
                ],
            ),
            (
                keyed().with(children("kept", "keyed_id")).delete(),
                &[
                    "rule `r`, with kept: (keyed_id) differs in number from the key (tenant, id) of `keyed`: name the columns that it holds with `references`",
                ],
            ),
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
                    "rule `r`, archive: `moved` of `bad_orders` is not null, has no default, and gets nothing from `orders`",
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
        let works = vec![
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
            loose().key(["b"]).delete(),
            orders().archive(
                archive("slim")
                    .without(["status", "note"])
                    .column("moved", Value::Now),
            ),
            held().set("status", "gone").set("closed_at", Value::Now),
            typed().set("n", "7").set("t", "any").set("at", Value::Null),
            keyed()
                .keeps(related("kept", ["tenant", "keyed_id"]))
                .delete(),
            keyed()
                .with(children("kept", ["tenant", "keyed_id"]))
                .delete(),
            keyed()
                .with(children("kept", "keyed_id").references("id"))
                .delete(),
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
        housekeeper
            .run_now("advised", Scope::All)
            .await
            .expect("an answer");
        let refused = housekeeper.run_now("refused", Scope::All).await;
        let refused = refused.expect("an answer");
        assert_eq!(refused.outcome.kind(), OutcomeKind::Failed, "{refused}");
        let history = housekeeper.history("refused", 10).await.expect("a history");
        assert_eq!(
            history.runs[0].report.outcome.kind(),
            OutcomeKind::Failed,
            "{history:?}"
        );

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

    use ractor_housekeeper::rule::{
        Due, Stamp, Value, archive, at, children, eq, hand_on, one_of, related, sql,
    };

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
        create table parts (id bigint, at timestamptz, primary key (id)) partition by hash (id); create table parts_0 partition of parts for values with (modulus 1, remainder 0);
        create table slim (id bigint, at timestamptz, status varchar(2), moved timestamptz not null);
        create table held (id bigint primary key, at timestamptz, status text, closed_at timestamptz, constraint held_closed check (status = 'open' or closed_at is not null)); create index on held (at);
        insert into held values (1, '2026-01-01', 'open'), (2, '2026-01-01', 'open');
        create domain short as text check (length(value) < 5); create table domained (id bigint primary key, at timestamptz, s short); create index on domained (at); insert into domained values (1, '2026-01-01', 'x');
        create table keyed (tenant text, id bigint, at timestamptz, total bigint generated always as (id + 1) stored, primary key (tenant, id)); create index on keyed (at);
        create table kept (tenant text, keyed_id bigint, foreign key (tenant, keyed_id) references keyed); create index on kept (tenant, keyed_id);
        create view seen as select * from orders; create materialized view stored as select * from orders;
        create table loose (a text unique, b text not null unique, at timestamptz); create index on loose (at);
        create table days (id bigint primary key, day date); create table naive (id bigint primary key, at timestamp); insert into naive values (1, '2026-01-01'); create schema away; create table away.tucked (id bigint primary key, at timestamptz);";

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
        let held = || rule("held").due(at("at")).only(eq("status", "open"));
        let keyed = || rule("keyed").due(at("at"));
        let loose = || rule("loose").due(at("at"));
        let refused: Vec<(Rule, &[&str])> = vec![
            (
                rule("seen").due(at("at")).delete(),
                &["rule `r`, table: `seen` is a view; name the table whose rows it shows"],
            ),
            (
                rule("stored").due(at("at")).delete(),
                &[
                    "rule `r`, table: `stored` is a materialized view; name the table whose rows it shows",
                ],
            ),
            (
                loose().delete(),
                &[
                    "rule `r`, key: the table has no primary key: name a unique key with `key`, such as `b`",
                ],
            ),
            (
                rule("naive")
                    .due(at("at").naive_in("Europe/Zurch"))
                    .delete(),
                &[
                    "rule `r`, due: time zone \"Europe/Zurch\" not recognized; did you mean `Europe/Zurich`?",
                ],
            ),
            (
                rule("naive")
                    .due(Due::sql("naive.at", Stamp::NaiveIn("Nowhere".to_owned())))
                    .delete(),
                &["rule `r`, due: time zone \"Nowhere\" not recognized"],
            ),
            (
                loose().key(["a"]).delete(),
                &["rule `r`, key: `a` may be null, so it does not identify rows"],
            ),
            (
                keyed()
                    .keeps(related("kept", ["tenant", "keyed_id"]))
                    .key(["tenant"])
                    .delete(),
                &["rule `r`, key: no unique index without a condition is on (tenant)"],
            ),
            (
                orders().archive("slim"),
                &[
                    "rule `r`, archive: `slim` has no column `n`: add it, or leave it out with `without`",
                    "rule `r`, archive: `slim` has no column `mood`: add it, or leave it out with `without`",
                    "rule `r`, archive: `slim` has no column `u`: add it, or leave it out with `without`",
                    "rule `r`, archive: `moved` of `slim` is not null, has no default, and gets nothing from `orders`",
                ],
            ),
            (
                held().set("status", "gone"),
                &[
                    "rule `r`, set: no due row meets `held_closed` once it is set: ((status = 'open'::text) OR (closed_at IS NOT NULL))",
                ],
            ),
            (
                rule("domained")
                    .due(at("at"))
                    .only(eq("s", "x"))
                    .set("s", "too long"),
                &[
                    "rule `r`, set: `s` is `short`: value for domain short violates check constraint \"short_check\"",
                ],
            ),
            (
                keyed().set("total", 1).set("at", Value::Null),
                &["rule `r`, set: `total` is generated by the database"],
            ),
            (
                keyed().delete(),
                &[
                    "rule `r`, with: the foreign key kept (tenant, keyed_id) keeps rows from going: declare it `with` (they go along) or `keeps` (such rows stay and are reported)",
                ],
            ),
            (
                keyed().with(children("kept", "keyed_id")).delete(),
                &[
                    "rule `r`, with kept: (keyed_id) differs in number from the key (tenant, id) of `keyed`: name the columns that it holds with `references`",
                ],
            ),
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
                orders().unless(related("seen", "id")).delete(),
                &[
                    "rule `r`, unless seen: `seen` is a view, which no foreign key leads from, so a row written while its parent is handled could be missed; name the table whose rows it shows, or accept it with `may_race`",
                ],
            ),
            (
                orders()
                    .unless(related("lines", "n").references("n"))
                    .delete(),
                &[
                    "rule `r`, unless lines: no foreign key leads from `lines.n` to `orders`, so a row written while its parent is handled could be missed; accept it with `may_race`",
                ],
            ),
            (
                rule("days").due(at("day")).delete(),
                &[
                    "rule `r`, due: `day` is `date`, which holds no instant: give an expression and its stamp, such as `(day + 1)::timestamp` and `naive_utc` for the end of the day",
                ],
            ),
            (
                rule("tucked").due(at("at")).delete(),
                &["rule `r`, table: there is no table `tucked`; did you mean `away.tucked`?"],
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
                    "rule `r`, archive: `moved` of `short_orders` is not null, has no default, and gets nothing from `orders`",
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
        let works = vec![
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
            loose().key(["b"]).delete(),
            orders().unless(related("seen", "id")).may_race().delete(),
            orders().keeps(related("stored", "id")).delete(),
            rule("days")
                .due(Due::sql("(day + 1)::timestamp", Stamp::NaiveUtc))
                .delete(),
            rule("away.tucked").due(at("at")).delete(),
            orders().archive(
                archive("slim")
                    .without(["n", "mood", "u"])
                    .column("moved", Value::Now),
            ),
            held().set("status", "gone").set("closed_at", Value::Now),
            rule("domained")
                .due(at("at"))
                .only(eq("s", "x"))
                .set("s", "tiny"),
            keyed()
                .keeps(related("kept", ["tenant", "keyed_id"]))
                .delete(),
            keyed()
                .unless(related("kept", ["tenant", "keyed_id"]))
                .delete(),
            keyed()
                .with(children("kept", ["tenant", "keyed_id"]).set_null())
                .delete(),
            keyed()
                .with(children("kept", "keyed_id").references("id"))
                .delete(),
        ];
        for rule in works {
            let findings = store.check_rule(&rule).await.expect("a check");
            assert_eq!(texts(&findings), [""; 0], "{rule:?}");
        }
        let slim = archive("slim")
            .without(["n", "mood", "u"])
            .column("moved", Value::Now);
        let advice = store
            .check_rule(&orders().archive(slim))
            .await
            .expect("a check")
            .advice;
        let text = "rule `r`, archive: `status` is `character varying(4)` and `slim` takes `character varying(2)`, \
             so rows with longer values are rejected; run `alter table \"slim\" alter \"status\" type character varying(4)`";
        assert!(
            advice.iter().any(|found| found.to_string() == text),
            "{advice:?}"
        );
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
