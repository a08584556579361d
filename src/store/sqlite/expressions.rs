//! Parts of statements that diesel has no words for. Their text never changes, so the statements
//! they are in are prepared once.

use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Bool, Text};
use diesel::sqlite::Sqlite;

/// Whether a column is one of some values, which travel as one however many they are.
#[derive(Debug, Clone, QueryId, ValidGrouping)]
pub(super) struct Listed<Column, Join> {
    column: Column,
    join: Join,
    list: String,
}

/// Whether `column` is one of `values`.
pub(super) fn among<Column, Value>(column: Column, values: &[Value]) -> Among<Column>
where
    serde_json::Value: for<'v> From<&'v [Value]>,
{
    Listed {
        column,
        join: In,
        list: serde_json::Value::from(values).to_string(),
    }
}

/// Whether `column` is none of `values`.
pub(super) fn not_among<Column>(column: Column, values: &[String]) -> NotAmong<Column> {
    Listed {
        column,
        join: NotIn,
        list: serde_json::Value::from(values).to_string(),
    }
}

pub(super) type Among<Column> = Listed<Column, In>;
pub(super) type NotAmong<Column> = Listed<Column, NotIn>;

impl<Column, Join> Expression for Listed<Column, Join> {
    type SqlType = Bool;
}

impl<Column, Join, Source> AppearsOnTable<Source> for Listed<Column, Join> where
    Column: AppearsOnTable<Source>
{
}

impl<Column: QueryFragment<Sqlite>, Join: QueryFragment<Sqlite>> QueryFragment<Sqlite>
    for Listed<Column, Join>
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.column.walk_ast(out.reborrow())?;
        self.join.walk_ast(out.reborrow())?;
        out.push_sql("(SELECT value FROM json_each(");
        out.push_bind_param::<Text, _>(&self.list)?;
        out.push_sql("))");
        Ok(())
    }
}

/// What is not to be found by an index, nor put in order by one.
#[derive(Debug, Clone, Copy, QueryId, ValidGrouping)]
pub(super) struct Unindexed<Column>(pub(super) Column);

impl<Column: Expression> Expression for Unindexed<Column> {
    type SqlType = Column::SqlType;
}

impl<Column: AppearsOnTable<Source>, Source> AppearsOnTable<Source> for Unindexed<Column> where
    Self: Expression
{
}

impl<Column: SelectableExpression<Source>, Source> SelectableExpression<Source>
    for Unindexed<Column>
where
    Self: Expression + AppearsOnTable<Source>,
{
}

impl<Column: QueryFragment<Sqlite>> QueryFragment<Sqlite> for Unindexed<Column> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("+");
        self.0.walk_ast(out)
    }
}

/// A condition that is text and not a value, or SQLite could not use a partial index.
macro_rules! verbatim {
    ($(#[$doc:meta])* $name:ident, $sql:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, diesel::query_builder::QueryId, diesel::expression::ValidGrouping)]
        pub(super) struct $name;

        impl diesel::expression::Expression for $name {
            type SqlType = diesel::sql_types::Bool;
        }

        impl<Source> diesel::expression::AppearsOnTable<Source> for $name {}

        impl diesel::query_builder::QueryFragment<diesel::sqlite::Sqlite> for $name {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::sqlite::Sqlite>,
            ) -> diesel::QueryResult<()> {
                out.push_sql($sql);
                Ok(())
            }
        }
    };
}
pub(super) use verbatim;

verbatim!(
    /// Joins a column and the list it is in.
    In, " IN "
);
verbatim!(
    /// Joins a column and the list it is not in.
    NotIn, " NOT IN "
);
