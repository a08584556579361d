//! Rows of other tables: those that decide about a row, and those that go with it.

use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::filter::Filter;
use super::hand_on::HandOn;

/// A row of another table that belongs to a row of the rule's table.
///
/// The check requires a foreign key from `column`, because a related row that is written at the
/// same time locks its parent by that key. [`Rule::may_race`](super::Rule::may_race) accepts the
/// race without one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "rows of another table, such as `{ table = \"payments\", column = \"order_id\" }`"
)]
pub struct Related {
    pub(crate) table: String,
    pub(crate) column: Columns,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) references: Option<Columns>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) only: Option<Filter>,
}

/// Names rows of `table` whose `column` holds the rule's key: one name, or an array of names where
/// the key has several columns.
pub fn related(table: impl Into<String>, column: impl Into<Columns>) -> Related {
    Related {
        table: table.into(),
        column: column.into(),
        references: None,
        only: None,
    }
}

impl Related {
    /// Names the columns of the rule's table that `column` holds. Default: those that its foreign
    /// key refers to, or the key.
    #[must_use]
    pub fn references(mut self, column: impl Into<Columns>) -> Self {
        self.references = Some(column.into());
        self
    }

    /// Restricts it to related rows that meet a condition.
    #[must_use]
    pub fn only(mut self, filter: impl Into<Filter>) -> Self {
        self.only = Some(filter.into());
        self
    }
}

/// Rows of another table that refer to due rows, and are deleted or set before them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "rows of another table, such as `{ table = \"payments\", column = \"order_id\" }`"
)]
pub struct Children {
    pub(crate) table: String,
    pub(crate) column: Columns,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) references: Option<Columns>,
    #[serde(default, skip_serializing_if = "OnParent::is_delete")]
    pub(crate) action: OnParent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) counts_as: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) show_count: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) with: Vec<Children>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) hand_on: Vec<HandOn>,
}

/// The action on children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnParent {
    /// Deletes and counts them, whether or not their key cascades.
    #[default]
    Delete,
    /// Sets the columns that refer to the row to NULL.
    SetNull,
}

impl OnParent {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks with a reference"
    )]
    fn is_delete(&self) -> bool {
        *self == Self::Delete
    }
}

/// Names rows of `table` whose `column` holds the rule's key: one name, or an array of names where
/// the key has several columns. They are deleted.
pub fn children(table: impl Into<String>, column: impl Into<Columns>) -> Children {
    Children {
        table: table.into(),
        column: column.into(),
        references: None,
        action: OnParent::Delete,
        counts_as: None,
        show_count: false,
        with: Vec::new(),
        hand_on: Vec::new(),
    }
}

impl Children {
    /// Names the columns of the parent that `column` holds. Default: those that its foreign key
    /// refers to, or the parent's key.
    #[must_use]
    pub fn references(mut self, column: impl Into<Columns>) -> Self {
        self.references = Some(column.into());
        self
    }

    /// Sets those columns that refer to the row and accept NULL to NULL, instead of deleting the
    /// child.
    #[must_use]
    pub fn set_null(mut self) -> Self {
        self.action = OnParent::SetNull;
        self
    }

    /// Sets the word for these rows in reports. Default: the table's name.
    #[must_use]
    pub fn counts_as(mut self, kind: impl Into<String>) -> Self {
        self.counts_as = Some(kind.into());
        self
    }

    /// Shows their number in a preview. Children of children are not shown.
    #[must_use]
    pub fn show_count(mut self) -> Self {
        self.show_count = true;
        self
    }

    /// Adds children of these children.
    #[must_use]
    pub fn with(mut self, children: Self) -> Self {
        self.with.push(children);
        self
    }

    /// Hands on each child before it goes: to the outbox, into one of the host's tables, or to a
    /// function.
    #[must_use]
    pub fn hand_on(mut self, hand_on: HandOn) -> Self {
        self.hand_on.push(hand_on);
        self
    }

    /// Returns the word for these rows in reports.
    #[cfg(feature = "_store")]
    pub(crate) fn kind(&self) -> &str {
        match &self.counts_as {
            Some(kind) => kind,
            None => super::bare_name(&self.table),
        }
    }
}
