//! Tables that few have: odd names, keys of any type, columns that the database makes, views that
//! decide. Each is cleaned as any other table is.

use super::rules::Case;
#[cfg(all(feature = "postgres", feature = "sqlite"))]
use super::rules::set;

#[cfg(feature = "postgres")]
const POSTGRES: &[Case] = &[
    Case {
        rule: r#"{ "name": "names", "table": "\"Odd Schema\".\"We.ird t\"", "due": { "at": "Due At" }, "scope": "User Id", "show": ["select"], "action": "delete" }"#,
        rows: r#"create schema "Odd Schema"; create table "Odd Schema"."We.ird t" ("I""d" text primary key, "Due At" timestamptz, "User Id" int, "select" text);
            insert into "Odd Schema"."We.ird t" values ('a''b', '2026-01-10 11:00Z', 1, 'x'), ('', '2026-01-10 11:00Z', 2, null), ('c', null, 2, null)"#,
        due: &["a'b", ""],
        after: r#"select count(*) = 1 from "Odd Schema"."We.ird t""#,
    },
    // A number that is always generated, and a column that is made of another.
    Case {
        rule: r#"{ "name": "generated", "table": "t", "due": { "at": "at" }, "action": { "archive": "old_t" } }"#,
        rows: "create table t (id bigint generated always as identity primary key, at timestamptz, n int, twice int generated always as (n * 2) stored);
            create table old_t (like t); insert into t (at, n) select '2026-01-10 11:00Z', n from generate_series(1, 3) n",
        due: &["1", "2", "3"],
        after: "select string_agg(concat(id, n, twice), ',' order by id) = '112,224,336' from old_t",
    },
    Case {
        rule: r#"{ "name": "numbered", "table": "t", "due": { "at": "at" }, "action": { "archive": "old_t" } }"#,
        rows: "create table t (id bigint generated always as identity primary key, at timestamptz, n int, twice int generated always as (n * 2) stored);
            create table old_t (like t including all); insert into t (id, at, n) overriding system value values (7, '2026-01-10 11:00Z', 1), (9, '2026-01-10 11:00Z', 2)",
        due: &["7", "9"],
        after: "select string_agg(concat(id, n, twice), ',' order by id) = '712,924' from old_t",
    },
    Case {
        rule: r#"{ "name": "domains", "table": "t", "due": { "at": "at" }, "action": "delete" }"#,
        rows: "create domain word as varchar(5); create domain short as word check (value <> ''); create domain stamp as timestamptz; create domain instant as stamp;
            create table t (id short primary key, at instant); insert into t values ('z', '2026-01-10 11:00Z'), ('a', '2026-01-10 11:00Z'), ('m', '2026-01-10 13:00Z')",
        due: &["a", "z"],
        after: "select count(*) = 1 from t",
    },
    Case {
        rule: r#"{ "name": "arrays", "table": "t", "due": { "at": "at" }, "action": "delete", "then": ["update log set n = n + (select count(*) from written)"] }"#,
        rows: r#"create table t (id text[], r int4range, at timestamptz, primary key (id, r)); create table log (n int); insert into log values (0);
            insert into t values ('{a,b}', '[1,3)', '2026-01-10 11:00Z'), ('{a}', '[2,5)', '2026-01-10 11:00Z'), ('{"x,y"}', 'empty', '2026-01-10 11:00Z')"#,
        due: &[r#"["{a,b}", "[1,3)"]"#, r#"["{a}", "[2,5)"]"#, r#"["{\"x,y\"}", "empty"]"#],
        after: "select n = 3 from log",
    },
    Case {
        rule: r#"{ "name": "documents", "table": "t", "due": { "at": "at" }, "action": "delete" }"#,
        rows: r#"create table t (id jsonb primary key, at timestamptz);
            insert into t select d::jsonb, '2026-01-10 11:00Z' from unnest(array['{"x": 1}', '"str"', 'null', '[1]']) d"#,
        due: &[r#"{"x": 1}"#, r#""str""#, "null", "[1]"],
        after: "select count(*) = 0 from t",
    },
    Case {
        rule: r#"{ "name": "records", "table": "t", "due": { "at": "at" }, "action": "delete" }"#,
        rows: r#"create type pair as (x int, y text); create table t (id pair primary key, at timestamptz);
            insert into t values ('(1,a)', '2026-01-10 11:00Z'), ('(2,"b c")', '2026-01-10 11:00Z'), ('(3,)', '2026-01-10 11:00Z')"#,
        due: &["(1,a)", r#"(2,"b c")"#, "(3,)"],
        after: "select count(*) = 0 from t",
    },
    Case {
        rule: r#"{ "name": "mixed", "table": "t", "due": { "at": "at" }, "action": "delete",
            "then": ["update log set n = n + (select count(*) from written join t2 using (a, b, c, e, f, g, h))"] }"#,
        rows: "create type mood as enum ('z', 'a'); create table t (a uuid, b bytea, c numeric, e timestamp, f char(4), g double precision, h mood, at timestamptz, primary key (h, a, b, c, e, f, g));
            create table t2 (like t); create table log (n int); insert into log values (0);
            insert into t2 values ('c4ca4238-a0b9-2382-0dcc-509a6f75849b', '\\x00ff', 'NaN', 'infinity', 'x', '-Infinity', 'z', '2026-01-10 11:00Z'),
                ('c4ca4238-a0b9-2382-0dcc-509a6f75849b', '\\x00ff', 1.10, '2026-01-01 10:00', 'x', 0.1, 'a', '2026-01-10 11:00Z'),
                ('c4ca4238-a0b9-2382-0dcc-509a6f75849b', '\\x', 1.1, '-infinity', '', 0.25, 'a', '2026-01-10 11:00Z'); insert into t select * from t2",
        due: &[
            r#"["z", "c4ca4238-a0b9-2382-0dcc-509a6f75849b", "\\x00ff", "NaN", "infinity", "x   ", "-Infinity"]"#,
            r#"["a", "c4ca4238-a0b9-2382-0dcc-509a6f75849b", "\\x00ff", 1.10, "2026-01-01T10:00:00", "x   ", 0.1]"#,
            r#"["a", "c4ca4238-a0b9-2382-0dcc-509a6f75849b", "\\x", 1.1, "-infinity", "    ", 0.25]"#,
        ],
        after: "select n = 3 from log",
    },
    Case {
        rule: r#"{ "name": "collations", "table": "t", "due": { "at": "at" }, "action": "delete" }"#,
        rows: r#"create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
            create table t (a text collate loose, b text collate "C", at timestamptz, primary key (a, b));
            insert into t values ('A', 'a', '2026-01-10 11:00Z'), ('a', 'B', '2026-01-10 11:00Z'), ('b', 'z', '2026-01-10 11:00Z'), ('B', 'A', '2026-01-10 11:00Z')"#,
        due: &[r#"["A", "a"]"#, r#"["a", "B"]"#, r#"["b", "z"]"#, r#"["B", "A"]"#],
        after: "select count(*) = 0 from t",
    },
    // Equal texts differ, numbers in texts are ordered by their value, and a row is refused.
    Case {
        rule: r#"{ "name": "equal-texts", "table": "t", "due": { "at": "at" }, "scope": "owner", "only": { "and": [{ "eq": ["state", "OPEN"] }, { "one_of": ["kind", ["x9", "X10"]] }] },
            "unless": [{ "table": "paid", "column": "t_id", "only": { "eq": ["state", "Done"] } }], "with": [{ "table": "c", "column": "t_id" }, { "table": "paid", "column": "t_id" }],
            "action": "delete", "then": ["insert into log select id from written"] }"#,
        rows: "create collation loose (provider = icu, locale = 'und-u-ks-level1-kn-true', deterministic = false);
            create collation numeric (provider = icu, locale = 'und-u-kn-true');
            create table t (id text collate loose primary key, state text collate loose, kind text collate numeric, owner text collate loose, at timestamptz);
            create table paid (t_id text collate loose references t, state text collate loose); create index on paid (t_id);
            create table c (id int, t_id text collate loose references t); create index on c (t_id); create table log (id text);
            create index on t (at) where state = 'OPEN';
            insert into t select id, 'open', 'x9', 'Ann', '2026-01-10 11:00Z' from unnest(array['a', 'B', 'c9', 'C10', 'd1', 'é', 'f', 'kept', 'paid']) id;
            update t set kind = 'X10' where id = 'b'; update t set kind = 'x10' where id = 'f';
            insert into paid values ('PAID', 'DONE'), ('A', 'open'); delete from paid where t_id = 'a'; insert into c values (1, 'É'), (2, 'D1')",
        due: &["a", "B", "c9", "C10", "d1", "é", "kept"],
        after: "select (select count(*) = 2 from t) and (select count(*) = 0 from c) and (select count(*) = 7 from log)",
    },
    Case {
        rule: r#"{ "name": "parts", "table": "t", "due": { "at": "at" }, "action": "delete", "with": [{ "table": "c", "column": "t_id" }] }"#,
        rows: "create table t (id int primary key, at timestamptz) partition by hash (id); create table t1 partition of t for values with (modulus 2, remainder 1);
            create table t0 partition of t for values with (modulus 2, remainder 0) partition by range (id); create table t00 partition of t0 for values from (minvalue) to (3); create table t01 partition of t0 default;
            create table c (id int primary key, t_id int references t) partition by list (id); create table c0 partition of c default;
            insert into t select n, '2026-01-10 11:00Z' from generate_series(1, 5) n; insert into c values (1, 1), (2, 1), (3, 2)",
        due: &["1", "2", "3", "4", "5"],
        after: "select (select count(*) from t) + (select count(*) from c) = 0",
    },
    // The database checks the key of the child only at the commit.
    Case {
        rule: r#"{ "name": "deferred", "table": "t", "due": { "at": "at" }, "action": "delete", "keeps_referenced": true }"#,
        rows: "create table t (id int primary key, at timestamptz); create table c (t_id int references t deferrable initially deferred);
            insert into t select n, '2026-01-10 11:00Z' from generate_series(1, 5) n; insert into c values (2), (4)",
        due: &["1", "3", "5"],
        after: "select string_agg(id::text, ',' order by id) = '2,4' from t",
    },
    Case {
        rule: r#"{ "name": "links", "table": "t", "due": { "at": "at" }, "action": "delete",
            "with": [{ "table": "t", "column": "parent", "action": "set_null", "counts_as": "links" }] }"#,
        rows: "create table t (id int primary key, parent int references t, at timestamptz);
            insert into t values (1, null, '2026-01-10 11:00Z'), (2, 1, '2026-01-10 11:00Z'), (3, 2, null), (4, 3, '2026-01-10 11:00Z')",
        due: &["1", "2", "4"],
        after: "select count(*) = 1 and bool_and(parent is null) from t",
    },
    // A view decides; no key can lead from it.
    Case {
        rule: r#"{ "name": "views", "table": "t", "due": { "at": "at" }, "action": "delete", "may_race": true,
            "unless": [{ "table": "paid", "column": "t_id" }], "keeps": [{ "table": "held", "column": "t_id" }] }"#,
        rows: "create table t (id int primary key, at timestamptz); create table c (t_id int, kind text); create view paid as select t_id from c where kind = 'paid';
            insert into t select n, '2026-01-10 11:00Z' from generate_series(1, 4) n; insert into c values (1, 'paid'), (2, 'held'), (3, 'seen');
            create materialized view held as select t_id from c where kind = 'held'",
        due: &["3", "4"],
        after: "select count(*) = 2 from t",
    },
    // Of texts with an offset, only those of UTC are in the order of their instants.
    Case {
        rule: r#"{ "name": "offsets", "table": "t", "due": { "at": "at", "stamp": { "text": "%Y-%m-%dT%H:%M:%S" } }, "action": "delete" }"#,
        rows: "create table t (id int primary key, at text); insert into t select n, '2026-01-10T13:00:00' from generate_series(10, 300) n;
            insert into t values (1, '2026-01-10T09:00:00-05:00'), (2, '2026-01-10T11:00:00+00:00'), (3, '2026-01-10T11:00:00Z'), (4, '2026-01-10T11:00:00')",
        due: &["2", "3", "4"],
        after: "select count(*) = 1 from t where at < '2026-01-10T12'",
    },
    // The time of a city, in winter and in summer. New York is five hours behind UTC in winter.
    Case {
        rule: r#"{ "name": "local-times", "table": "t", "due": { "at": "at", "stamp": { "naive_in": "Europe/Berlin" } },
            "held_until": { "column": "held", "stamp": { "naive_in": "America/New_York" } }, "action": "delete" }"#,
        rows: "create table t (id int primary key, at timestamp, held timestamp);
            insert into t values (1, '2026-01-10 12:59:59.999999', null), (2, '2026-01-10 13:00', null), (3, '2025-07-10 12:00', '2026-01-10 07:00'),
                (4, '2025-07-10 12:00', '2026-01-10 07:00:00.000001'), (5, '-infinity', '-infinity'), (6, 'infinity', null), (7, null, null)",
        due: &["1", "3", "5"],
        after: "select string_agg(id::text, ',' order by id) = '2,4,6,7' from t",
    },
    // Each row has a lifetime of its own, beside the time of a city.
    Case {
        rule: r#"{ "name": "local-lifetimes", "table": "t", "due": { "at": "at", "plus": "ttl", "unit": "minutes", "stamp": { "naive_in": "Europe/Berlin" } }, "action": "delete" }"#,
        rows: "create table t (id int primary key, at timestamp, ttl int);
            insert into t values (1, '2026-01-10 11:59:59', 60), (2, '2026-01-10 12:00', 60), (3, '2026-01-10 12:00', 59), (4, '2026-01-10 11:00', null)",
        due: &["1", "3"],
        after: "select count(*) = 2 from t",
    },
    // In winter Berlin is an hour ahead of UTC.
    Case {
        rule: r#"{ "name": "zones", "table": "t", "due": { "first_of": [{ "column": "at", "stamp": { "naive_in": "Europe/Berlin" } }, { "column": "gone", "stamp": "millis" }] }, "action": "delete" }"#,
        rows: "create table t (id int primary key, at timestamp, gone bigint);
            insert into t values (1, '2026-01-10 12:59:59', null), (2, '2026-01-10 13:00', null), (3, '2026-01-10 14:00', 1768046399999), (4, null, null)",
        due: &["1", "3"],
        after: "select count(*) = 2 from t",
    },
];

#[cfg(feature = "sqlite")]
const SQLITE: &[Case] = &[
    Case {
        rule: r#"{ "name": "names", "table": "\"We.ird t\"", "due": { "at": "Due At", "stamp": "seconds" }, "scope": "User Id", "show": ["select"], "action": "delete" }"#,
        rows: r#"create table "We.ird t" ("I""d" text primary key, "Due At" int, "User Id" int, "select" text);
            insert into "We.ird t" values ('a''b', 5, 1, 'x'), ('', 5, 2, null), ('c', null, 2, null)"#,
        due: &["a'b", ""],
        after: r#"select count(*) = 1 from "We.ird t""#,
    },
    // A primary key may hold NULL, unless it says otherwise.
    Case {
        rule: r#"{ "name": "nulls", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "action": "delete" }"#,
        rows: "create table t (id text primary key, at int); insert into t values (null, 5), ('a', 5), (null, 5), ('b', 5), ('c', 5)",
        due: &["a", "b", "c"],
        after: "select count(*) = 2 from t where id is null",
    },
    Case {
        rule: r#"{ "name": "null-parts", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "action": "delete" }"#,
        rows: "create table t (a text, b int, at int, primary key (a, b)); insert into t values (null, 1, 5), ('a', null, 5), (null, null, 5), ('b', 2, 5), ('c', 2, 5)",
        due: &[r#"["b", 2]"#, r#"["c", 2]"#],
        after: "select count(*) = 3 from t",
    },
    Case {
        rule: r#"{ "name": "blobs", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "action": "delete", "scope": "owner",
            "then": ["update log set n = n + (select count(*) from written join t2 using (id))"] }"#,
        rows: "create table t (id blob primary key not null, at int, owner blob); create table t2 (id blob); create table log (n int); insert into log values (0);
            insert into t values (x'01', 5, x'aabb'), (x'ff', 5, x'cc'), (x'', 5, x'cc'); insert into t2 select id from t",
        due: &["01", "FF", ""],
        after: "select n = 3 from log",
    },
    Case {
        rule: r#"{ "name": "any-types", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "action": "delete", "scope": "owner",
            "then": ["update log set n = n + (select count(*) from written join t2 using (id, b))"] }"#,
        rows: "create table t (id any, b blob, at int, owner any, primary key (id, b)) strict, without rowid; create table t2 (id, b); create table log (n int); insert into log values (0);
            insert into t values (1, x'00', 5, 7), ('1', x'00', 5, '7'), (x'31', x'ff', 5, x'77'), (1.5, x'', 5, 'it''s'); insert into t2 select id, b from t",
        due: &[r#"[1, "00"]"#, r#"["1", "00"]"#, r#"["31", "FF"]"#, r#"[1.5, ""]"#],
        after: "select n = 4 from log",
    },
    Case {
        rule: r#"{ "name": "texts", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "action": "delete" }"#,
        rows: r#"create table t (id text collate nocase not null, b int not null, at int, primary key (id, b));
            insert into t values ('日本', 1, 5), (char(0) || 'x', 1, 5), ('a' || char(10) || 'b', 2, 5), ('back\slash "q"', 1, 5), ('B', 1, 5), ('a', 1, 5)"#,
        due: &[r#"["日本", 1]"#, r#"["\u0000x", 1]"#, r#"["a\nb", 2]"#, r#"["back\\slash \"q\"", 1]"#, r#"["B", 1]"#, r#"["a", 1]"#],
        after: "select count(*) = 0 from t",
    },
    Case {
        rule: r#"{ "name": "row-ids", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "action": "delete" }"#,
        rows: "create table t (_rowid_ text, rowid text, oid text, id int primary key not null, at int); insert into t values ('x', 'x', 'x', 1, 5), ('x', 'x', 'x', 2, 5), ('x', 'x', 'x', 3, 5)",
        due: &["1", "2", "3"],
        after: "select count(*) = 0 from t",
    },
    Case {
        rule: r#"{ "name": "generated", "table": "t", "due": { "at": "gone", "stamp": "seconds" }, "action": { "archive": "old_t" } }"#,
        rows: "create table t (id integer primary key, at int, ttl int, gone int as (at + ttl), twice int generated always as (ttl * 2) stored); create index t_gone on t (gone);
            create table old_t (id int, at int, ttl int, gone int, twice int as (ttl * 2)); insert into t (at, ttl) values (5, 10), (5, null), (1768046399, 100000)",
        due: &["1"],
        after: "select gone = 15 and twice = 20 from old_t",
    },
    Case {
        rule: r#"{ "name": "deferred", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "action": "delete", "keeps_referenced": true }"#,
        rows: "create table t (id integer primary key, at int); create table c (t_id int references t deferrable initially deferred);
            insert into t values (1, 5), (2, 5), (3, 5), (4, 5), (5, 5); insert into c values (2), (4)",
        due: &["1", "3", "5"],
        after: "select group_concat(id) = '2,4' from t",
    },
    Case {
        rule: r#"{ "name": "views", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "action": "delete",
            "unless": [{ "table": "paid", "column": "t_id" }], "keeps": [{ "table": "held", "column": "t_id" }] }"#,
        rows: "create table t (id integer primary key, at int); create table c (t_id int, kind text); create view paid as select t_id from c where kind = 'paid';
            create virtual table held using fts5(t_id); insert into t values (1, 5), (2, 5), (3, 5), (4, 5); insert into c values (1, 'paid'), (3, 'seen'); insert into held values (2)",
        due: &["3", "4"],
        after: "select count(*) = 2 from t",
    },
    Case {
        rule: r#"{ "name": "offsets", "table": "t", "due": { "at": "at", "stamp": { "text": "%Y-%m-%dT%H:%M:%S" } }, "action": "delete" }"#,
        rows: "create table t (id integer primary key, at text); insert into t values (1, '2026-01-10T09:00:00-05:00'), (2, '2026-01-10T11:00:00+00:00'), (3, '2026-01-10T11:00:00Z'), (4, '2026-01-10T11:00:00')",
        due: &["2", "3", "4"],
        after: "select group_concat(id) = '1' from t",
    },
    // A key of no type: what reads as another value is shown as SQL writes it.
    Case {
        rule: r#"{ "name": "any-keys", "table": "t", "due": { "at": "at", "stamp": "seconds" }, "action": "delete" }"#,
        rows: "create table t (id primary key not null, at int); insert into t values (1, 5), ('1', 5), (x'31', 5), (1.5, 5), ('1.5', 5), ('a', 5), ('it''s', 5), ('''1''', 5), ('01', 5)",
        due: &["1", "'1'", "X'31'", "1.5", "'1.5'", "a", "it's", "'''1'''", "01"],
        after: "select count(*) = 0 from t",
    },
    // The first that is not NULL counts, however each is kept.
    Case {
        rule: r#"{ "name": "mixed", "table": "t", "action": "delete",
            "due": { "coalesce": [{ "column": "seen", "stamp": "millis" }, { "column": "at", "stamp": { "text": "%Y-%m-%d %H:%M:%S" } }] } }"#,
        rows: "create table t (id integer primary key, seen int, at text); insert into t values (1, 1768046399999, null), (2, 1768046400000, null), (3, null, '2026-01-10 11:59:59'),
            (4, null, '2026-01-10 12:00:00'), (5, null, null), (6, 1768050000000, '2026-01-01 00:00:00'), (7, 1768000000000, '2027-01-01 00:00:00')",
        due: &["1", "3", "7"],
        after: "select group_concat(id) = '2,4,5,6' from t",
    },
    // A lifetime that each tenant sets; without one, its rows live.
    Case {
        rule: r#"{ "name": "tenants", "table": "t", "action": "delete",
            "due": { "coalesce": ["seen", "at"], "stamp": "seconds", "lifetime": { "table": "tenants", "key": "name", "by": "tenant", "column": "hours", "unit": "hours" } } }"#,
        rows: "create table tenants (name text primary key, hours int); insert into tenants values ('a', 1), ('b', null);
            create table t (id integer primary key, tenant text, at int, seen int); insert into t values (1, 'a', 1768042799, null), (2, 'a', 1768042800, null),
                (3, 'a', 5, 1768042800), (4, 'a', null, 1768042799), (5, 'b', 5, null), (6, 'c', 5, null), (7, 'a', null, null)",
        due: &["1", "4"],
        after: "select group_concat(id) = '2,3,5,6,7' from t",
    },
    // The days of Julius Scaliger, as `julianday` has them.
    Case {
        rule: r#"{ "name": "julian-days", "table": "t", "due": { "sql": { "sqlite": "unixepoch(at)" }, "stamp": "seconds" }, "action": "delete" }"#,
        rows: "create table t (id integer primary key, at real); insert into t values (1, 2461050.9), (2, 2461051.5), (3, null)",
        due: &["1"],
        after: "select count(*) = 2 from t",
    },
];

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_tables_are_cleaned_like_others_on_postgres() {
    for case in POSTGRES {
        let Some(host) = super::demands::Host::new(case.rows).await else {
            return;
        };
        let rule = case.rule();
        let findings = host.store.check_rule(&rule).await.expect("a check");
        let job = host.store.rule(rule.clone()).expect("a job");

        case.assert_handled(&findings, &job).await;

        assert!(
            host.holds(case.after).await,
            "{}: {}",
            rule.name(),
            case.after
        );
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_tables_are_cleaned_like_others_on_sqlite() {
    for case in SQLITE {
        let host = super::sqlite::Host::new(case).await;
        let rule = case.rule();
        let findings = host.store.check_rule(&rule).await.expect("a check");
        let job = host.store.rule(rule.clone()).expect("a job");

        case.assert_handled(&findings, &job).await;

        assert!(host.holds(case.after), "{}: {}", rule.name(), case.after);
    }
}

diesel::table! {
    orders (id) {
        id -> Integer,
        status -> Text,
    }
}

diesel::table! {
    payments (id) {
        id -> Integer,
        order_id -> Integer,
        state -> Text,
    }
}

/// A condition that diesel's types check stands on rows of another table as on the rule's own.
#[cfg(all(feature = "postgres", feature = "sqlite"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typed_conditions_stand_on_rows_of_other_tables() {
    use diesel::{BoolExpressionMethods, ExpressionMethods};
    use ractor_housekeeper::rule::{Filter, Rule, at, name, newest, related, sql};
    let tables = "create table orders (id integer primary key, status text not null, at integer); create index orders_at on orders (at);
        create table payments (id integer primary key, order_id integer references orders (id), state text not null, at integer);
        create table notes (order_id integer references orders (id), at integer, kind text);
        insert into orders values (1, 'open', 5), (2, 'open', 5), (3, 'open', 5), (4, 'shut', 5), (5, 'open', 5), (6, 'open', 5);
        insert into payments values (1, 1, 'paid', 5), (2, 2, 'failed', 5), (9, 3, 'failed', 5);
        insert into notes values (5, 2000000000, 'call'), (2, 2000000000, 'mail')";
    let failed = payments::state.eq("failed").and(payments::id.lt(9));
    let rule = Rule::new("orders", "orders")
        .due(at("at").seconds())
        .only(Filter::typed(orders::table, orders::status.eq("open")))
        .unless(
            related("payments", name(payments::order_id))
                .only(Filter::typed(payments::table, payments::state.eq("paid"))),
        )
        .unless(related("payments", "order_id").only(sql("payments.id > 8")))
        .active(newest("notes", "order_id", "at").only(sql("notes.kind = 'call'")))
        .keeps(related("payments", "order_id").only(Filter::typed(payments::table, failed)))
        .set_typed(orders::status.eq("gone"));
    let server = super::demands::Host::new(tables).await;
    let case = Case {
        rule: "",
        rows: tables,
        due: &[],
        after: "",
    };
    let file = super::sqlite::Host::new(&case).await;
    let kept = ("2".to_owned(), "kept by payments.order_id".to_owned());

    let findings = file.store.check_rule(&rule).await.expect("a check");
    assert_eq!(findings.refused, [], "{findings}");
    let job = file.store.rule(rule.clone()).expect("a job");
    let ran = super::demands::run(&job, 10).await;

    assert_eq!(ran, (set(["6"]), vec![kept.clone()]));
    let Some(server) = server else { return };
    let findings = server.store.check_rule(&rule).await.expect("a check");
    assert_eq!(findings.refused, [], "{findings}");
    let job = server.store.rule(rule).expect("a job");
    assert_eq!(
        super::demands::run(&job, 10).await,
        (set(["6"]), vec![kept])
    );
}
