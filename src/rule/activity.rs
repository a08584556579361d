//! Rows of another table that keep a row alive.

use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::filter::Filter;
use super::sql::Sql;
use super::stamp::InstantColumn;

/// Activity in another table: a row falls due by the later of its own instant and its newest
/// activity.
///
/// A run looks up the activity of every row that is old enough, unless [`Activity::noted_in`] names
/// a column that a trigger maintains, which an index can serve.
///
/// A write of activity must lock its row, or a batch that handles the row meanwhile could miss it.
/// The lock comes from a foreign key to the rule's table, from a trigger that writes the noted
/// column, or from a third row to which both refer ([`Activity::through`]).
/// [`Rule::may_race`](super::Rule::may_race) accepts the race instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "activity, such as `{ table = \"messages\", column = \"user_id\", at = \"sent_at\" }`"
)]
pub struct Activity {
    pub(crate) table: String,
    pub(crate) column: Columns,
    pub(crate) at: InstantColumn,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) references: Option<Columns>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) only: Option<Filter>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) noted_in: Option<Noted>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) through: Option<Through>,
}

/// A column of the rule's table in which a trigger notes activity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Noted {
    pub(crate) column: String,
    pub(crate) trigger: String,
    /// An expression for the microseconds by which the column may lag behind.
    pub(crate) lag: Sql,
}

/// A table that a row and its activity both refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Through {
    pub(crate) table: String,
    pub(crate) key: String,
}

/// Names activity: rows of `table` whose `column` holds the rule's key, each at the instant in
/// `at`. An instant without a stamp has the stamp of the rule's own.
pub fn newest(
    table: impl Into<String>,
    column: impl Into<Columns>,
    at: impl Into<InstantColumn>,
) -> Activity {
    Activity {
        table: table.into(),
        column: column.into(),
        at: at.into(),
        references: None,
        only: None,
        noted_in: None,
        through: None,
    }
}

impl Activity {
    /// Names the columns of the rule's table that `column` holds. Default: those that its foreign
    /// key refers to, or the key.
    #[must_use]
    pub fn references(mut self, column: impl Into<Columns>) -> Self {
        self.references = Some(column.into());
        self
    }

    /// Restricts the activity to rows that meet a condition.
    #[must_use]
    pub fn only(mut self, filter: impl Into<Filter>) -> Self {
        self.only = Some(filter.into());
        self
    }

    /// Names the column in which a trigger on the other table notes activity, the trigger, and an
    /// expression that yields by how many microseconds the column may lag behind.
    ///
    /// The column is NULL before the first activity, and never later than the newest. The trigger
    /// must write it, and so lock the row, whenever it lags by more than that. A rule deletes
    /// nothing unless its age is more than twice the lag. A batch that finds a row alive moves its
    /// column forward.
    #[must_use]
    pub fn noted_in(
        mut self,
        column: impl Into<String>,
        trigger: impl Into<String>,
        lag: impl Into<Sql>,
    ) -> Self {
        self.noted_in = Some(Noted {
            column: column.into(),
            trigger: trigger.into(),
            lag: lag.into(),
        });
        self
    }

    /// Names a table and its key, to which the row and its activity both refer by foreign keys,
    /// such as `users`. A batch locks that row together with the rule's row, so no activity is
    /// written meanwhile. On Postgres, a row that refers to none is not due: give such rows a rule
    /// of their own, by [`is_null`](super::is_null).
    #[must_use]
    pub fn through(mut self, table: impl Into<String>, key: impl Into<String>) -> Self {
        self.through = Some(Through {
            table: table.into(),
            key: key.into(),
        });
        self
    }
}
