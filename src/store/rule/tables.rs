//! The tables of a database as its catalogue has them, for the check of a rule.

use std::time::Duration;

use super::keys::ForeignKey;
use super::parts::Dialect;
use crate::rule::{Activity, Due, Finding, HandOn, InstantColumn, Literal, Rule, Value};

/// A rule that is held against a catalogue.
pub(crate) struct Compiler<'r, T: Tables> {
    pub(crate) rule: &'r Rule,
    pub(crate) catalogue: &'r T,
    pub(crate) findings: Vec<Finding>,
    /// Instants that a value needs: how they are kept, and how long after now they are.
    pub(crate) instants: Vec<(T::Form, Duration)>,
    /// Whether keys that are not declared are thought to keep rows.
    pub(crate) suspects: bool,
    /// Whether the host's SQL may fail for a row, and sums of instants and spans may be larger than
    /// their types hold.
    pub(crate) careful: bool,
}

/// The catalogue of a database, and how it writes what a rule names.
pub(crate) trait Tables: Sized {
    const DIALECT: Dialect;
    /// NULL where a text is expected.
    const NO_TEXT: &'static str;
    /// The condition that holds for each row.
    const ALWAYS: &'static str;
    /// Ends a subquery that must be read for each row by itself.
    const ALONE: &'static str;
    /// Whether others may write between a look and the write behind it, unless a lock keeps them
    /// out.
    const RACES: bool;

    /// The form of an instant.
    type Form;
    /// An expression that yields instants, with their form.
    type Moment: Clone;

    /// Names of all tables in sight, if one that the rule names is missing.
    fn known(&self) -> &[String];

    /// Whether a table is there, or else what is there under its name.
    fn kind(&self, table: &str) -> Option<Result<(), &str>>;

    /// Whether rows can be read that are not in a table of this database, such as those of a view.
    fn shows_rows(&self, table: &str) -> bool;

    /// A condition that leaves out rows whose key is NULL, if there may be such.
    fn has_key(&self, _table: &str, _of: &str, _key: &[String]) -> Option<String> {
        None
    }

    fn columns(&self, table: &str) -> Vec<ColumnFacts<'_>>;

    /// Whether two names are of one column.
    fn is_same(one: &str, other: &str) -> bool;

    /// The primary key, if the table has one.
    fn primary_key(&self, table: &str) -> Vec<String>;

    /// The columns of each unique index without a condition.
    fn unique_keys(&self, table: &str) -> Vec<Vec<String>>;

    /// The foreign keys from one table to another: columns, and those that they point at.
    fn foreign_keys(&self, table: &str, parent: &str) -> Vec<(&[String], &[String])>;

    /// The keys that refuse the deletion of rows of a table, but for keys of these tables.
    fn refusing_keys(&self, parent: &str, except: &[&str]) -> Vec<&ForeignKey>;

    fn instant(
        compiler: &mut Compiler<'_, Self>,
        part: &str,
        instant: &InstantColumn,
        of: &str,
    ) -> Option<Self::Moment>;

    fn due(compiler: &mut Compiler<'_, Self>, due: &Due, of: &str) -> Option<Self::Moment>;

    /// The order of rows, and the parts that activity adds: a lower bound of it if it is noted,
    /// else their own instant.
    fn active(
        compiler: &mut Compiler<'_, Self>,
        activity: &Activity,
        own: Self::Moment,
        of: &str,
        key: &[String],
    ) -> Option<(Self::Moment, Active<Self::Moment>)>;

    /// A condition for a value that is no instant, if there may be one.
    fn unreadable(moment: &Self::Moment) -> Option<String>;

    /// A condition for the rows of `of` that were found to fail the host's SQL; none for a table
    /// whose rows have no address.
    fn failing_row(&self, table: &str, of: &str) -> Option<String>;

    /// The reason of such a row.
    fn failure(of: &str) -> String;

    /// An instant: the lowest for a row that meets the condition `row`, and none for others that do
    /// not meet `only`.
    fn guarded(&self, moment: Self::Moment, row: &str, only: &str) -> Self::Moment;

    /// Refuses a constant for a column of the rule's table whose enum does not have it.
    fn label(_: &mut Compiler<'_, Self>, _part: &str, _column: &str, _constant: &Literal) {}

    /// A value over a row of `of`, for a column of `table`.
    fn value(
        compiler: &mut Compiler<'_, Self>,
        part: &str,
        value: &Value,
        of: &str,
        into: (&str, &str),
    ) -> Option<String>;

    /// Calls a function of the database for each row that is handed on.
    fn call(
        compiler: &mut Compiler<'_, Self>,
        hand_on: &HandOn,
        function: &str,
        handed: &HandedRows<'_>,
    ) -> Option<Handing>;

    /// A key as text, of columns that go by these names.
    fn key_text(columns: &[String]) -> String;

    /// A column of a table as a key, as text; empty if it is NULL.
    fn key_or_empty(&self, table: &str, name: &str, of: &str) -> String;

    /// A value as a field of a JSON object takes it.
    fn json_field(sql: String) -> String;

    fn json_boolean(value: bool) -> &'static str;

    /// An object of pairs of names and values.
    fn json_object(pairs: &[String]) -> String;

    /// The run's instant in microseconds since 1970.
    fn micros_of_run(compiler: &mut Compiler<'_, Self>) -> String;

    /// The run's instant as the outbox keeps it.
    fn outbox_instant(compiler: &mut Compiler<'_, Self>) -> String;

    /// An instant as text in JSON, this long after the run's.
    fn json_instant(compiler: &mut Compiler<'_, Self>, after: Duration) -> String;
}

/// A column, as far as both databases know it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "what the catalogue says of it"
)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct ColumnFacts<'c> {
    pub(crate) name: &'c str,
    pub(crate) not_null: bool,
    /// Whether it gets a value if none is given.
    pub(crate) has_default: bool,
    /// Whether it cannot be set.
    pub(crate) generated: bool,
    /// Whether it is made of other columns.
    pub(crate) computed: bool,
}

/// The parts of a rule that a row's activity adds.
pub(crate) struct Active<M> {
    /// The later of the row's own instant and its newest activity.
    pub(crate) truth: M,
    /// The column in which activity is noted, and by how many microseconds it may lag.
    pub(crate) noted: Option<(String, String)>,
    /// A table whose rows are locked as well, joined to the rule's, and its name there.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "SQLite has no such type, and needs no lock")
    )]
    pub(crate) join: Option<(String, &'static str)>,
}

/// The parts of every statement of a rule, on both databases.
pub(crate) struct Basics<M> {
    /// The table, and the name its columns go by.
    pub(crate) from: String,
    pub(crate) of: String,
    pub(crate) due: M,
    pub(crate) inclusive: bool,
    pub(crate) active: Option<Active<M>>,
    pub(crate) held: Option<M>,
    pub(crate) only: String,
    pub(crate) related: String,
    /// The columns of the key: their bare names, quoted, and with the table.
    pub(crate) key: Vec<String>,
    pub(crate) key_names: Vec<String>,
    pub(crate) key_columns: Vec<String>,
    /// The column that says whose row it is.
    pub(crate) scope: Option<String>,
    /// Why a row stays, or null.
    pub(crate) keeper: String,
}

impl<M> Basics<M> {
    /// Activity that is noted: the column and its lag.
    pub(crate) fn noted(&self) -> Option<(&Active<M>, &(String, String))> {
        let active = self.active.as_ref()?;
        Some((active, active.noted.as_ref()?))
    }

    /// The instant that a row is due by.
    pub(crate) fn truth(&self) -> &M {
        self.active
            .as_ref()
            .map_or(&self.due, |active| &active.truth)
    }
}

/// Rows that are handed on.
pub(crate) struct HandedRows<'r> {
    /// `FROM` and what follows.
    pub(crate) from: &'r str,
    /// The name their columns go by.
    pub(crate) of: &'r str,
    /// Their table, as the rule names it.
    pub(crate) table: &'r str,
    /// Their key as text.
    pub(crate) key: String,
    /// Whether the key is of one row.
    pub(crate) is_unique: bool,
}

/// A statement that hands on.
pub(crate) enum Handing {
    /// Inserts.
    Insert(String),
    /// Calls a function for each row, which Postgres does only if its rows are read, and leaves out
    /// rows that meet a condition.
    #[cfg(feature = "postgres")]
    Call {
        call: String,
        unless: Option<String>,
    },
}

/// Returns the advice that these triggers fire for each row.
pub(crate) fn fires(rule: &Rule, triggers: impl Iterator<Item = String>) -> Option<Finding> {
    let names: Vec<String> = triggers.map(|name| format!("`{name}`")).collect();
    let text = format!("fires {} for each row", names.join(", "));
    (!names.is_empty()).then(|| Finding::new(&rule.name, "action", text))
}
