//! The tables of a rule in SQLite's catalogue, and in a sample of rows.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::host_text::HostText;
use super::keys;
use super::noting_trigger::notes;
use crate::rule::{Due, OnParent, Rule, bare_name, split_name};
use crate::store::rule::{ForeignKey, identifier, table_name};

/// The name of a row's address.
pub(super) const ADDRESS: &str = "_rowid_";

/// The tables of a rule, by the names the rule has for them.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    pub(super) tables: BTreeMap<String, Table>,
    /// Names of all tables, if one that the rule names is missing.
    pub(super) known: Vec<String>,
    /// Types and examples of the columns that hold instants.
    pub(super) samples: BTreeMap<String, Sample>,
}

/// A table.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// `table`, `view`, `virtual` or `shadow`.
    pub(super) kind: String,
    pub(super) without_rowid: bool,
    pub(super) strict: bool,
    pub(super) columns: Vec<Column>,
    /// Unique indexes without a condition.
    pub(super) unique: Vec<Vec<String>>,
    /// The collations of columns in them.
    collations: BTreeMap<String, String>,
    pub(super) foreign_keys: Vec<OwnKey>,
    /// The triggers on it, in lower case, and whether each may note what is inserted.
    pub(super) triggers: Vec<(String, bool)>,
    /// Foreign keys that point at it, if rows of it are to go.
    pub(super) pointed_at_by: Vec<ForeignKey>,
}

impl Table {
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        // Names that differ in case are one.
        self.columns
            .iter()
            .find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The address of a row of `of`, if rows have one that no column hides.
    pub(super) fn address(&self, of: &str) -> Option<String> {
        let has_address = !self.without_rowid && self.column(ADDRESS).is_none();
        has_address.then(|| format!("{of}.{ADDRESS}"))
    }

    /// Whether a column stands for the row's number, which SQLite gives.
    pub(super) fn numbers_itself(&self, column: &Column) -> bool {
        column.pk > 0
            && !self.without_rowid
            && column.kind.eq_ignore_ascii_case("integer")
            && self.columns.iter().filter(|other| other.pk > 0).count() == 1
    }

    /// Those columns of a key that may be NULL: of a primary key, most may.
    pub(super) fn nullable(&self, key: &[String]) -> Vec<String> {
        let may_be_null = |name: &&String| {
            self.column(name)
                .is_some_and(|column| column.not_null == 0 && !self.numbers_itself(column))
        };
        let is_strict = self.without_rowid || self.strict;
        key.iter()
            .filter(may_be_null)
            .filter(|_| !is_strict)
            .cloned()
            .collect()
    }

    /// The collation in which a key that refers to a column compares texts, if it may hold any.
    pub(super) fn collation(&self, name: &str) -> Option<&str> {
        let kind = self.column(name)?.kind.to_lowercase();
        let is_text = |word: &&str| kind.contains(word);
        let may_be_text = kind.is_empty() || ["char", "clob", "text"].iter().any(is_text);
        let collation = self.collations.get(&name.to_lowercase());
        collation.map(String::as_str).filter(|_| may_be_text)
    }

    /// Whether a column has no type, or all of them.
    pub(super) fn takes_any(&self, name: &str) -> bool {
        let kind = self.column(name).map(|column| column.kind.as_str());
        kind.is_some_and(|kind| kind.is_empty() || kind.eq_ignore_ascii_case("any"))
    }

    /// Whether a key may refer to these columns.
    pub(super) fn is_unique(&self, columns: &[String]) -> bool {
        let is_on = |key: &[String]| {
            let mut names = key.iter().map(|name| name.to_lowercase());
            key.len() == columns.len()
                && names.all(|name| columns.iter().any(|one| one.to_lowercase() == name))
        };
        is_on(&self.primary_key()) || self.unique.iter().any(|key| is_on(key))
    }

    pub(super) fn primary_key(&self) -> Vec<String> {
        let mut key: Vec<&Column> = self.columns.iter().filter(|column| column.pk > 0).collect();
        key.sort_by_key(|column| column.pk);
        key.into_iter().map(|column| column.name.clone()).collect()
    }
}

/// A column.
#[derive(Debug, QueryableByName)]
pub(super) struct Column {
    #[diesel(sql_type = Text)]
    pub(super) name: String,
    /// Its type as declared.
    #[diesel(sql_type = Text)]
    pub(super) kind: String,
    #[diesel(sql_type = BigInt)]
    pub(super) pk: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) not_null: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) has_default: i64,
    /// Hidden, or generated.
    #[diesel(sql_type = BigInt)]
    pub(super) hidden: i64,
}

impl Column {
    /// Whether it takes values as they are: its type names no other, nor a number.
    pub(super) fn keeps_types(&self) -> bool {
        let kind = self.kind.to_lowercase();
        let names = |all: &[&str]| all.iter().any(|name| kind.contains(name));
        !names(&["int", "char", "clob", "text", "real", "floa", "doub"])
            && !names(&["num", "dec", "bool", "date", "time"])
    }
}

/// A foreign key of a table.
#[derive(Debug, Default)]
pub(super) struct OwnKey {
    pub(super) parent: String,
    pub(super) columns: Vec<String>,
    pub(super) parent_columns: Vec<String>,
}

/// A column of a foreign key of a table.
#[derive(QueryableByName)]
struct OwnKeyColumn {
    #[diesel(sql_type = BigInt)]
    key: i64,
    #[diesel(sql_type = Text)]
    parent: String,
    #[diesel(sql_type = Text)]
    column: String,
    #[diesel(sql_type = Text)]
    parent_column: String,
}

/// A sample of a column of instants.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// Types by `typeof` and values as text, without null.
    pub(super) values: Vec<(String, String)>,
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Trigger {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    notes: bool,
}

#[derive(QueryableByName)]
struct Listed {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = BigInt)]
    without_rowid: i64,
    #[diesel(sql_type = BigInt)]
    strict: i64,
}

#[derive(QueryableByName)]
struct IndexColumn {
    #[diesel(sql_type = Text)]
    index: String,
    #[diesel(sql_type = BigInt)]
    is_unique: i64,
    #[diesel(sql_type = Text)]
    column: String,
    #[diesel(sql_type = Text)]
    collation: String,
}

#[derive(QueryableByName)]
struct Sampled {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    value: HostText,
}

/// The number of the schema, and whether this connection minds foreign keys.
pub(super) type Version = (i64, bool);

pub(super) fn version(conn: &mut SqliteConnection) -> QueryResult<Version> {
    let version: Number =
        diesel::sql_query("SELECT schema_version AS number FROM pragma_schema_version")
            .get_result(conn)?;
    let minds: Number = diesel::sql_query("SELECT foreign_keys AS number FROM pragma_foreign_keys")
        .get_result(conn)?;
    Ok((version.number, minds.number != 0))
}

pub(super) fn read(conn: &mut SqliteConnection, rule: &Rule) -> QueryResult<Catalogue> {
    let mut catalogue = Catalogue::default();
    for name in rule.tables() {
        if let Some(table) = table(conn, name)? {
            catalogue.tables.insert(name.to_owned(), table);
        } else if catalogue.known.is_empty() {
            let known: Vec<Known> = diesel::sql_query(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
            )
            .load(conn)?;
            catalogue.known = known.into_iter().map(|known| known.name).collect();
        }
    }
    let children = rule.children().into_iter();
    let children = children.filter(|children| children.action == OnParent::Delete);
    let going = children.map(|children| children.table.as_str());
    for name in going.chain([rule.table.as_str()]) {
        if let Some(table) = catalogue.tables.get_mut(name) {
            table.pointed_at_by = keys::pointing_at(conn, name)?;
        }
    }
    Ok(catalogue)
}

/// Looks at rows, for the check.
pub(super) fn look(
    conn: &mut SqliteConnection,
    rule: &Rule,
    catalogue: &mut Catalogue,
) -> QueryResult<()> {
    let Some(own) = catalogue
        .tables
        .get(&rule.table)
        .filter(|table| table.kind == "table")
    else {
        return Ok(());
    };
    let mut stamped: Vec<&str> = rule.due.iter().flat_map(Due::columns).collect();
    stamped.extend(rule.held_until.iter().map(|held| held.column.as_str()));
    stamped.retain(|column| own.column(column).is_some());
    for column in stamped {
        let quoted = identifier(column);
        let sampled: Vec<Sampled> = diesel::sql_query(format!(
            "SELECT typeof(v) AS kind, CAST(v AS TEXT) AS value FROM \
             (SELECT {quoted} AS v FROM {} WHERE {quoted} IS NOT NULL LIMIT 200)",
            table_name(&rule.table)
        ))
        .load(conn)?;
        let sample = catalogue.samples.entry(column.to_owned()).or_default();
        for Sampled { kind, value } in sampled {
            sample.values.push((kind, value.into()));
        }
    }
    Ok(())
}

fn table(conn: &mut SqliteConnection, name: &str) -> QueryResult<Option<Table>> {
    let (schema, bare) = (split_name(name).0.unwrap_or("main"), bare_name(name));
    let listed: Option<Listed> = diesel::sql_query(
        "SELECT type AS kind, wr AS without_rowid, strict FROM pragma_table_list(?) WHERE schema = ? COLLATE NOCASE",
    )
    .bind::<Text, _>(bare)
    .bind::<Text, _>(schema)
    .get_result(conn)
    .optional()?;
    let Some(listed) = listed else {
        return Ok(None);
    };
    let columns = diesel::sql_query(
        "SELECT name, type AS kind, pk, \"notnull\" AS not_null, dflt_value IS NOT NULL AS has_default, hidden FROM pragma_table_xinfo(?, ?)",
    )
    .bind::<Text, _>(bare)
    .bind::<Text, _>(schema)
    .load(conn)?;
    let key_columns: Vec<OwnKeyColumn> = diesel::sql_query(
        "SELECT k.id AS key, k.\"table\" AS parent, k.\"from\" AS column, coalesce(k.\"to\", \
            (SELECT p.name FROM pragma_table_info(k.\"table\", ?2) AS p WHERE p.pk = k.seq + 1), '') AS parent_column \
         FROM pragma_foreign_key_list(?1, ?2) AS k ORDER BY k.id, k.seq",
    )
    .bind::<Text, _>(bare)
    .bind::<Text, _>(schema)
    .load(conn)?;
    let parts: Vec<IndexColumn> = diesel::sql_query(
        "SELECT i.name AS \"index\", i.\"unique\" AS is_unique, coalesce(c.name, '') AS column, coalesce(c.coll, 'BINARY') AS collation \
         FROM pragma_index_list(?1, ?2) AS i, pragma_index_xinfo(i.name, ?2) AS c WHERE i.partial = 0 AND c.key = 1 ORDER BY i.name, c.seqno",
    )
    .bind::<Text, _>(bare)
    .bind::<Text, _>(schema)
    .load(conn)?;
    let triggers: Vec<Trigger> = diesel::sql_query(format!(
        "SELECT lower(t.name) AS name, {} AS notes FROM sqlite_master AS t WHERE t.type = 'trigger' AND lower(t.tbl_name) = lower(?)",
        notes("t")
    ))
    .bind::<Text, _>(bare)
    .load(conn)?;
    let mut table = Table {
        triggers: triggers
            .into_iter()
            .map(|found| (found.name, found.notes))
            .collect(),
        kind: listed.kind,
        without_rowid: listed.without_rowid != 0,
        strict: listed.strict != 0,
        columns,
        ..Table::default()
    };
    let mut foreign_keys: BTreeMap<i64, OwnKey> = BTreeMap::new();
    for part in key_columns {
        let key = foreign_keys.entry(part.key).or_default();
        key.parent = part.parent;
        key.columns.push(part.column);
        key.parent_columns.push(part.parent_column);
    }
    table.foreign_keys = foreign_keys.into_values().collect();
    let mut indexes: BTreeMap<String, (bool, Vec<String>)> = BTreeMap::new();
    for part in parts {
        if part.is_unique != 0 {
            let collation = (part.column.to_lowercase(), part.collation);
            table.collations.extend([collation]);
        }
        let index = indexes.entry(part.index).or_default();
        index.0 = part.is_unique != 0;
        index.1.push(part.column);
    }
    for (is_unique, columns) in indexes.into_values() {
        if is_unique {
            table.unique.push(columns);
        }
    }
    Ok(Some(table))
}
