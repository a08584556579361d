//! The tables of a rule in Postgres's catalogue.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::functions::{self, Function};
use super::noting_trigger::notes;
use crate::rule::{Rule, split_name};
use crate::store::rule::{ForeignKey, OnDelete, table_name};

/// The tables of a rule, by the names the rule has for them.
#[derive(Debug)]
pub(super) struct Catalogue {
    pub(super) tables: BTreeMap<String, Table>,
    /// Names of all tables in sight, if one that the rule names is missing.
    pub(super) known: Vec<String>,
    /// Unique keys that know all rows, the primary ones first.
    keys: Vec<UniqueKey>,
    /// The functions that each part that hands on may call, by the number of the part.
    pub(super) functions: BTreeMap<usize, Vec<Function>>,
    /// Foreign keys that point at a table of the rule.
    pub(super) foreign_keys: Vec<Reference>,
    pub(super) is_standby: bool,
    /// Whether the server counts the rows that a transaction deletes.
    pub(super) tracks_counts: bool,
    /// Whether a `numeric` may be infinite: from Postgres 14 on.
    pub(super) has_infinite_numerics: bool,
    /// Schemas that the rule names and this role may not use.
    pub(super) closed: Vec<String>,
    /// The role we are.
    pub(super) role: String,
}

#[derive(Debug, QueryableByName)]
struct FoundTable {
    #[diesel(sql_type = Text)]
    given: String,
    #[diesel(sql_type = BigInt)]
    oid: i64,
    #[diesel(sql_type = Text)]
    relkind: String,
    #[diesel(sql_type = Bool)]
    has_parts: bool,
    #[diesel(sql_type = Text)]
    hidden_from: String,
    #[diesel(sql_type = Text)]
    missing_privileges: String,
    #[diesel(sql_type = Bool)]
    set_back: bool,
    #[diesel(sql_type = Bool)]
    has_triggers: bool,
    #[diesel(sql_type = Array<Text>)]
    triggers: Vec<String>,
}

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) oid: i64,
    /// `pg_class.relkind`.
    pub(super) relkind: String,
    /// Whether it has partitions or tables that inherit from it.
    pub(super) has_parts: bool,
    /// Of the same, those for which row security may hide rows from this role.
    pub(super) hidden_from: String,
    /// Of `select`, `insert`, `update` and `delete`, those this role does not have, separated by
    /// commas, as far as no column has them, and `rows` if it may select columns at most, but not
    /// the place of a row.
    pub(super) missing_privileges: String,
    /// Whether a trigger fires after a row was written, here or in a part, and may set it back.
    pub(super) set_back: bool,
    /// Whether any trigger is on, here or in a part.
    pub(super) has_triggers: bool,
    /// The triggers that may note what is inserted.
    pub(super) triggers: Vec<String>,
    pub(super) columns: Vec<Column>,
}

impl Table {
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// A column.
#[expect(
    clippy::struct_excessive_bools,
    reason = "what the catalogue says of it"
)]
#[derive(Debug, QueryableByName)]
pub(super) struct Column {
    #[diesel(sql_type = Text)]
    given: String,
    #[diesel(sql_type = Text)]
    pub(super) name: String,
    /// Its type as a cast names it.
    #[diesel(sql_type = Text)]
    pub(super) cast: String,
    /// The type without its length; that below a domain.
    #[diesel(sql_type = Text)]
    pub(super) base: String,
    #[diesel(sql_type = Bool)]
    pub(super) not_null: bool,
    #[diesel(sql_type = Bool)]
    pub(super) has_default: bool,
    /// Whether it cannot be set.
    #[diesel(sql_type = Bool)]
    pub(super) generated: bool,
    /// Whether it is made of other columns.
    #[diesel(sql_type = Bool)]
    pub(super) computed: bool,
    /// Whether this role may update it.
    #[diesel(sql_type = Bool)]
    pub(super) updates: bool,
    #[diesel(sql_type = Bool)]
    pub(super) is_domain: bool,
    /// Whether it is an array, a record, JSON, or a type with a cast to it, which JSON holds in
    /// another form than text.
    #[diesel(sql_type = Bool)]
    pub(super) is_structured: bool,
    /// The sequence that its default takes a number from, if this role may not use it.
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) locked_sequence: Option<String>,
    /// Labels of an enum.
    #[diesel(sql_type = Array<Text>)]
    pub(super) labels: Vec<String>,
}

/// A unique key.
#[derive(Debug, QueryableByName)]
pub(super) struct UniqueKey {
    #[diesel(sql_type = BigInt)]
    oid: i64,
    #[diesel(sql_type = Array<Text>)]
    pub(super) columns: Vec<String>,
    #[diesel(sql_type = Bool)]
    pub(super) primary: bool,
}

/// A foreign key that points at a table of the rule.
#[derive(Debug)]
pub(super) struct Reference {
    /// The table that holds it.
    pub(super) oid: i64,
    /// The table that it points at.
    pub(super) parent: i64,
    /// Whether the table that holds it is partitioned.
    pub(super) has_parts: bool,
    pub(super) key: ForeignKey,
}

#[derive(QueryableByName)]
struct FoundKey {
    #[diesel(sql_type = BigInt)]
    oid: i64,
    #[diesel(sql_type = Nullable<Text>)]
    schema: Option<String>,
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Array<Text>)]
    columns: Vec<String>,
    #[diesel(sql_type = BigInt)]
    parent: i64,
    #[diesel(sql_type = Text)]
    parent_table: String,
    #[diesel(sql_type = Array<Text>)]
    parent_columns: Vec<String>,
    /// `pg_constraint.confdeltype`.
    #[diesel(sql_type = Text)]
    on_delete: String,
    #[diesel(sql_type = Bool)]
    readable: bool,
    #[diesel(sql_type = Bool)]
    indexed: bool,
    #[diesel(sql_type = Bool)]
    has_parts: bool,
}

impl From<FoundKey> for Reference {
    fn from(found: FoundKey) -> Self {
        Self {
            oid: found.oid,
            parent: found.parent,
            has_parts: found.has_parts,
            key: ForeignKey {
                schema: found.schema,
                table: found.table,
                columns: found.columns,
                parent: found.parent_table,
                parent_columns: found.parent_columns,
                on_delete: match found.on_delete.as_str() {
                    "a" | "r" => OnDelete::Refuse,
                    "c" => OnDelete::Cascade,
                    _ => OnDelete::LetGo,
                },
                readable: found.readable,
                indexed: found.indexed,
            },
        }
    }
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Server {
    #[diesel(sql_type = Bool)]
    standby: bool,
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Bool)]
    tracks_counts: bool,
    #[diesel(sql_type = Bool)]
    has_infinite_numerics: bool,
}

/// How a statement begins that makes an index. A partitioned table takes none concurrently.
pub(super) const fn create_index(is_partitioned: bool) -> &'static str {
    if is_partitioned {
        "create index"
    } else {
        "create index concurrently"
    }
}

impl Table {
    pub(super) fn is_partitioned(&self) -> bool {
        self.relkind == "p"
    }
}

impl Catalogue {
    pub(super) fn oid(&self, table: &str) -> Option<i64> {
        self.tables.get(table).map(|table| table.oid)
    }

    pub(super) fn keys_of(&self, table: &str) -> impl Iterator<Item = &UniqueKey> {
        let oid = self.oid(table);
        self.keys.iter().filter(move |key| Some(key.oid) == oid)
    }
}

pub(super) async fn read(conn: &mut AsyncPgConnection, rule: &Rule) -> QueryResult<Catalogue> {
    let names = rule.tables();
    let count = names.len();
    let quoted: Vec<String> = names.iter().map(|name| table_name(name)).collect();
    let schemas: Vec<&str> = names.iter().filter_map(|name| split_name(name).0).collect();
    let closed: Vec<Known> = diesel::sql_query(CLOSED)
        .bind::<Array<Text>, _>(schemas)
        .load(conn)
        .await?;
    let tables = TABLES
        .replace("{regclass}", &regclass("u.quoted"))
        .replace("{notes}", &notes("t"));
    let found: Vec<FoundTable> = diesel::sql_query(tables)
        .bind::<Array<Text>, _>(names)
        .bind::<Array<Text>, _>(quoted)
        .load(conn)
        .await?;
    let known: Vec<Known> = if found.len() < count {
        diesel::sql_query(KNOWN).load(conn).await?
    } else {
        Vec::new()
    };
    let oids: Vec<i64> = found.iter().map(|table| table.oid).collect();
    let columns: Vec<Column> = diesel::sql_query(COLUMNS)
        .bind::<Array<BigInt>, _>(&oids)
        .load(conn)
        .await?;
    let keys: Vec<UniqueKey> = diesel::sql_query(KEYS)
        .bind::<Array<BigInt>, _>(&oids)
        .load(conn)
        .await?;
    let functions = functions::read(conn, rule).await?;
    let foreign_keys: Vec<FoundKey> = diesel::sql_query(FOREIGN_KEYS)
        .bind::<Array<BigInt>, _>(&oids)
        .load(conn)
        .await?;
    let server: Server = diesel::sql_query(SERVER).get_result(conn).await?;
    let mut tables: BTreeMap<String, Table> = found
        .into_iter()
        .map(|found| {
            let table = Table {
                oid: found.oid,
                relkind: found.relkind,
                has_parts: found.has_parts,
                hidden_from: found.hidden_from,
                missing_privileges: found.missing_privileges,
                set_back: found.set_back,
                has_triggers: found.has_triggers,
                triggers: found.triggers,
                columns: Vec::new(),
            };
            (found.given, table)
        })
        .collect();
    let by_oid: BTreeMap<String, Vec<String>> =
        tables
            .iter()
            .fold(BTreeMap::new(), |mut all, (name, table)| {
                all.entry(table.oid.to_string())
                    .or_default()
                    .push(name.clone());
                all
            });
    // A table may have two names in one rule, with and without its schema.
    for column in columns {
        for name in by_oid.get(&column.given).into_iter().flatten() {
            if let Some(table) = tables.get_mut(name) {
                table.columns.push(column.again());
            }
        }
    }
    Ok(Catalogue {
        tables,
        known: known.into_iter().map(|known| known.name).collect(),
        closed: closed.into_iter().map(|closed| closed.name).collect(),
        keys,
        functions,
        foreign_keys: foreign_keys.into_iter().map(Reference::from).collect(),
        is_standby: server.standby,
        tracks_counts: server.tracks_counts,
        has_infinite_numerics: server.has_infinite_numerics,
        role: server.role,
    })
}

impl Column {
    fn again(&self) -> Self {
        Self {
            given: self.given.clone(),
            name: self.name.clone(),
            cast: self.cast.clone(),
            base: self.base.clone(),
            labels: self.labels.clone(),
            locked_sequence: self.locked_sequence.clone(),
            ..*self
        }
    }
}

const TABLES: &str = "
    select u.given, c.oid::bigint as oid, c.relkind::text as relkind, c.relkind = 'p' or c.relhassubclass as has_parts,
        case when row_security_active(c.oid) then array_to_string(array(
            select p.name from (values ('select', 'r'), ('insert', 'a'), ('update', 'w'), ('delete', 'd')) as p(name, command)
            left join lateral (select y.polpermissive as permits, case p.command when 'a' then true else pg_get_expr(y.polqual, y.polrelid) = 'true' end
                    and case when p.command in ('a', 'w') then coalesce(pg_get_expr(y.polwithcheck, y.polrelid), pg_get_expr(y.polqual, y.polrelid)) = 'true' else true end as shows_all
                from pg_policy y where y.polrelid = c.oid and y.polcmd::text in ('*', p.command)
                    and exists (select from unnest(y.polroles) as r where r = 0 or pg_has_role(r, 'usage'))) as policy on true
            group by p.name having not coalesce(bool_or(policy.permits and policy.shows_all), false)
                or not coalesce(bool_and(policy.shows_all) filter (where not policy.permits), true)), ',') else '' end as hidden_from,
        array_to_string(array(select p from unnest(array['select', 'insert', 'update', 'delete']) as p
            where not has_table_privilege(c.oid, p) and not (p <> 'delete' and has_any_column_privilege(c.oid, p))), ',') || case when has_table_privilege(c.oid, 'select') then '' else ',rows' end as missing_privileges,
        fired.set_back, fired.has_triggers,
        array(select t.tgname::text from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal and {notes}) as triggers
    from unnest($1, $2) as u(given, quoted) join pg_class c on c.oid = {regclass}
    cross join lateral (
        with recursive part as (select c.oid union select i.inhrelid from part join pg_inherits i on i.inhparent = part.oid)
        select coalesce(bool_or((t.tgtype::int & 66) = 0 and (t.tgtype::int & 24) <> 0), false) as set_back, count(*) > 0 as has_triggers
        from part join pg_trigger t on t.tgrelid = part.oid and not t.tgisinternal and t.tgenabled <> 'D') as fired";

/// Returns an expression for a table by its quoted name: NULL if this role may not use its schema,
/// for which `to_regclass` fails.
pub(super) fn regclass(name: &str) -> String {
    format!(
        "case when cardinality(parse_ident({name})) = 1 or coalesce(has_schema_privilege( \
            to_regnamespace(quote_ident((parse_ident({name}))[1]))::oid, 'usage'), true) then to_regclass({name}) end"
    )
}

const CLOSED: &str = "
    select nspname::text as name from pg_namespace where nspname = any ($1) and not has_schema_privilege(oid, 'usage') order by 1";

/// With its schema where that must be said.
const KNOWN: &str = "
    select distinct case when pg_table_is_visible(c.oid) then '' else n.nspname || '.' end || c.relname as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema') order by 1";

const COLUMNS: &str = "
    select a.attrelid::bigint::text as given, a.attname::text as name, format_type(a.atttypid, a.atttypmod) as cast,
        format_type(b.oid, null) as base,
        a.attnotnull or t.typnotnull as not_null, a.atthasdef or a.attidentity <> '' or t.typdefault is not null as has_default,
        a.attgenerated <> '' or a.attidentity = 'a' as generated, a.attgenerated <> '' as computed,
        has_column_privilege(a.attrelid, a.attnum, 'update') as updates, t.typtype = 'd' as is_domain,
        b.typtype = 'c' or b.typcategory = 'A' or b.typname in ('json', 'jsonb')
            or exists (select from pg_cast k where k.castsource = b.oid and k.casttarget = 'json'::regtype) as is_structured,
        array(select e.enumlabel::text from pg_enum e where e.enumtypid = b.oid order by e.enumsortorder) as labels,
        (select min(s.oid::regclass::text) from pg_attrdef d
            join pg_depend p on p.classid = 'pg_attrdef'::regclass and p.objid = d.oid and p.refclassid = 'pg_class'::regclass
            join pg_class s on s.oid = p.refobjid and case s.relkind when 'S' then not has_sequence_privilege(s.oid, 'usage, update') end
            where d.adrelid = a.attrelid and d.adnum = a.attnum) as locked_sequence
    from pg_attribute a join pg_type t on t.oid = a.atttypid
    join lateral (with recursive below as (select t.oid, t.typtype, t.typbasetype
            union all select d.oid, d.typtype, d.typbasetype from below join pg_type d on d.oid = below.typbasetype where below.typtype = 'd')
        select p.oid, p.typtype, p.typcategory, p.typname from below join pg_type p on p.oid = below.oid where below.typtype <> 'd') as b on true
    where a.attrelid::bigint = any($1) and a.attnum > 0 and not a.attisdropped order by a.attnum";

const KEYS: &str = "
    select i.indrelid::bigint as oid, array(select a.attname::text from generate_series(0, i.indnkeyatts - 1) as n
            join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[n] order by n) as columns,
        i.indisprimary as primary
    from pg_index i where i.indrelid::bigint = any($1) and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
    order by i.indisprimary desc, i.indexrelid";

/// Of a partitioned table only the whole is named, not its parts. A key whose columns lead an
/// index, or one that leaves out their own NULL alone, is indexed.
const FOREIGN_KEYS: &str = "
    select k.conrelid::bigint as oid, case when not pg_table_is_visible(k.conrelid) then n.nspname::text end as schema,
        c.relname::text as table,
        array(select a.attname::text from unnest(k.conkey) with ordinality as u(number, place)
            join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number order by place) as columns,
        k.confrelid::bigint as parent, p.relname::text as parent_table,
        array(select a.attname::text from unnest(k.confkey) with ordinality as u(number, place)
            join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number order by place) as parent_columns,
        k.confdeltype::text as on_delete,
        has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') as readable,
        c.relkind = 'p' as has_parts,
        exists (select from pg_index i where i.indrelid = k.conrelid and i.indisvalid
            and (i.indkey::smallint[])[0:cardinality(k.conkey) - 1] @> k.conkey
            and (i.indpred is null or exists (select from pg_attribute a where a.attrelid = i.indrelid and a.attnum = any(k.conkey)
                and pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname)))) as indexed
    from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
        join pg_class p on p.oid = k.confrelid
    where k.contype = 'f' and k.conparentid = 0 and k.confrelid::bigint = any($1)
    order by c.relname, n.nspname, k.conname";

const SERVER: &str = "
    select pg_is_in_recovery() as standby, current_user::text as role, current_setting('track_counts') = 'on' as tracks_counts,
        current_setting('server_version_num')::int >= 140000 as has_infinite_numerics";
