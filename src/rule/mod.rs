//! A declared rule: which rows of a host's table are due, and what is done to them.
//!
//! A [`Rule`] is plain data that reads and writes as TOML or JSON. It names tables and columns, and
//! runs no statement itself. A store compiles it into a [`Job`](crate::Job): `PostgresStore::rule`
//! or `SqliteStore::rule`. One rule can serve both databases.
//!
//! ```
//! use std::time::Duration;
//!
//! use ractor_housekeeper::rule::{Rule, Value, age, eq};
//!
//! let expire = Rule::new("order-expirer", "orders")
//!     .due(age("created_at", Duration::from_secs(15 * 60)))
//!     .only(eq("status", "Pending"))
//!     .held_until("held_until")
//!     .set("status", "Expired")
//!     .set("updated_at", Value::Now)
//!     .scope("user_id")
//!     .show(["shift_type", "total_cost"]);
//!
//! assert_eq!(expire.validate(), Ok(()));
//! ```

use std::collections::BTreeMap;

use serde::Serialize;

mod action;
mod activity;
mod archive;
#[cfg(feature = "_store")]
mod by_diesel;
mod columns;
mod due;
#[cfg(feature = "_store")]
mod expressions;
mod filter;
mod forms;
mod hand_on;
mod nearest;
mod reading;
mod related;
#[cfg(test)]
mod round_trip;
#[cfg(feature = "_store")]
mod scan;
mod sql;
mod stamp;
mod strict;
mod tables;
mod typed;
mod validate;
mod value;

pub use crate::job::{Finding, Findings};
pub use action::Action;
pub use activity::{Activity, newest};
pub use archive::{Archive, archive};
pub use columns::Columns;
pub use due::{Due, Lifetime, age, at, coalesce, first_of};
pub use filter::{Filter, and, eq, is_null, none_of, not, not_null, one_of, or};
pub use hand_on::{HandOn, call, hand_on, json, outbox};
pub use related::{Children, OnParent, Related, children, related};
pub use sql::{Sql, sql};
pub use stamp::{InstantColumn, Stamp, Unit, moment};
pub use typed::Typed;
#[cfg(feature = "_store")]
pub use typed::name;
pub use validate::RuleError;
pub use value::{Literal, Value, column};

#[cfg(feature = "_store")]
pub(crate) use activity::Noted;
#[cfg(feature = "postgres")]
pub(crate) use activity::Through;
#[cfg(feature = "_store")]
pub(crate) use due::Source;
#[cfg(feature = "_store")]
pub(crate) use expressions::called;
#[cfg(feature = "_store")]
pub(crate) use hand_on::{OUTBOX, Target};
#[cfg(feature = "_store")]
pub(crate) use nearest::nearest;
#[cfg(feature = "_store")]
pub(crate) use scan::{Syntax, enclosable};
#[cfg(feature = "_store")]
pub(crate) use stamp::{doubted, has_offset, misread};
#[cfg(feature = "postgres")]
pub(crate) use typed::Fragment;
#[cfg(feature = "sqlite")]
pub(crate) use typed::SqliteFragment;

/// Which rows of a table are due, and what is done to them.
///
/// Build it with [`Rule::new`] and the methods below, or read it from TOML or JSON.
/// [`Rule::validate`] names the first part that is wrong; a store calls it before it compiles the
/// rule into a job.
///
/// # Examples
///
/// ```
/// let rule: ractor_housekeeper::rule::Rule = serde_json::from_str(
///     r#"{
///         "name": "oauth-tokens",
///         "table": "oauth_access_tokens",
///         "due": { "at": "created_at", "plus": "expires_in", "unit": "seconds", "stamp":
/// "naive_utc" },
///         "only": { "and": [{ "not_null": "expires_in" }, { "is_null": "refresh_token" }] },
///         "scope": "resource_owner_id",
///         "action": "delete"
///     }"#,
/// )?;
///
/// assert_eq!(rule.validate(), Ok(()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rule {
    pub(crate) name: String,
    pub(crate) table: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) key: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) due: Option<Due>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) only: Option<Filter>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) when: Vec<Related>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unless: Vec<Related>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) active: Option<Activity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held_until: Option<InstantColumn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<Action>,
    /// Further columns to set.
    #[serde(skip_serializing_if = "Typed::is_empty")]
    pub(crate) changes: Typed,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) with: Vec<Children>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) keeps: Vec<Related>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) then: Vec<Sql>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) hand_on: Vec<HandOn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) show: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) counts_as: Option<String>,
    #[serde(
        with = "crate::time::span::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) soonest: Option<std::time::Duration>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) keeps_referenced: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) may_race: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) expect_backlog: bool,
}

impl Rule {
    /// Begins a rule over a table, with or without its schema: `billing.invoices`.
    ///
    /// `name` becomes the job's name. Write a part of the table's name that contains a dot in
    /// double quotes.
    pub fn new(name: impl Into<String>, table: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            table: table.into(),
            key: Vec::new(),
            due: None,
            only: None,
            when: Vec::new(),
            unless: Vec::new(),
            active: None,
            held_until: None,
            action: None,
            changes: Typed::default(),
            with: Vec::new(),
            keeps: Vec::new(),
            then: Vec::new(),
            hand_on: Vec::new(),
            scope: None,
            show: Vec::new(),
            counts_as: None,
            soonest: None,
            keeps_referenced: false,
            may_race: false,
            expect_backlog: false,
        }
    }

    /// Returns the name of the job.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the table as it was passed to [`Rule::new`].
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Names the columns of a unique key, which must not be NULL. Default: the primary key.
    #[must_use]
    pub fn key<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.key = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Sets when a row falls due. A row whose instant is NULL is never due.
    #[must_use]
    pub fn due(mut self, due: Due) -> Self {
        self.due = Some(due);
        self
    }

    /// Restricts the rule to rows that meet a condition. Calling it again adds a condition.
    #[must_use]
    pub fn only(mut self, filter: impl Into<Filter>) -> Self {
        let filter = filter.into();
        self.only = Some(match self.only {
            None => filter,
            Some(first) => first.and(filter),
        });
        self
    }

    /// Restricts the rule to rows that have a related row.
    #[must_use]
    pub fn when(mut self, related: Related) -> Self {
        self.when.push(related);
        self
    }

    /// Leaves out rows that have a related row: a payment, an attachment, a setting.
    #[must_use]
    pub fn unless(mut self, related: Related) -> Self {
        self.unless.push(related);
        self
    }

    /// Names activity in another table that keeps a row alive, such as a user's messages.
    #[must_use]
    pub fn active(mut self, activity: Activity) -> Self {
        self.active = Some(activity);
        self
    }

    /// Names a column with an instant until which the row is not due. NULL puts nothing off.
    #[must_use]
    pub fn held_until(mut self, column: impl Into<InstantColumn>) -> Self {
        self.held_until = Some(column.into());
        self
    }

    /// Deletes due rows.
    #[must_use]
    pub fn delete(mut self) -> Self {
        self.action = Some(Action::Delete);
        self
    }

    /// Sets a column of due rows. Calling it again sets another column.
    ///
    /// The rule must no longer match a row that was set, or a run would never end. The check
    /// refuses a column of the key, by which reports name the row.
    #[must_use]
    pub fn set(mut self, column: impl Into<String>, value: impl Into<Value>) -> Self {
        let mut columns = match self.action {
            Some(Action::Set(columns)) => columns,
            _ => BTreeMap::new(),
        };
        columns.insert(column.into(), value.into());
        self.action = Some(Action::Set(columns));
        self
    }

    /// Copies due rows into another table and deletes them, in one transaction.
    ///
    /// A table's name copies all columns by name. [`archive`] can leave columns out, or fill them
    /// with other values.
    #[must_use]
    pub fn archive(mut self, into: impl Into<Archive>) -> Self {
        self.action = Some(Action::Archive(into.into()));
        self
    }

    /// Deletes rows of another table that refer to due rows, or sets their references to NULL, and
    /// counts them.
    #[must_use]
    pub fn with(mut self, children: Children) -> Self {
        self.with.push(children);
        self
    }

    /// Names a related row that keeps a due row. A batch rejects such a due row with the reason,
    /// and handles the others without a failed attempt.
    #[must_use]
    pub fn keeps(mut self, related: Related) -> Self {
        self.keeps.push(related);
        self
    }

    /// Rejects rows that any foreign key keeps, with the reason, without a declaration of each key.
    /// Batches look for such rows once the database has refused a batch.
    #[must_use]
    pub fn keeps_referenced(mut self) -> Self {
        self.keeps_referenced = true;
        self
    }

    /// Runs a statement over the rows just written, in the same transaction. It reads their keys
    /// from `written`, which has the columns of the rule's key.
    #[must_use]
    pub fn then(mut self, statement: impl Into<Sql>) -> Self {
        self.then.push(statement.into());
        self
    }

    /// Hands on each row just written, in the same transaction: to the outbox, into one of the
    /// host's tables, or to a function. A row that is set is handed on with its new values.
    #[must_use]
    pub fn hand_on(mut self, hand_on: HandOn) -> Self {
        self.hand_on.push(hand_on);
        self
    }

    /// Names the column with the user of a row. Without it the rule rejects requests with
    /// [`Scope::User`](crate::Scope::User).
    #[must_use]
    pub fn scope(mut self, column: impl Into<String>) -> Self {
        self.scope = Some(column.into());
        self
    }

    /// Names columns that a preview shows.
    #[must_use]
    pub fn show<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.show = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the word for the rows in reports. Default: the table's name.
    #[must_use]
    pub fn counts_as(mut self, kind: impl Into<String>) -> Self {
        self.counts_as = Some(kind.into());
        self
    }

    /// Sets the shortest time after which a new row falls due. The job runs again at least that
    /// often, so that such a row is handled on time. Default: the age of [`age`]; without one, new
    /// rows wait for a tick.
    #[must_use]
    pub fn soonest(mut self, time: std::time::Duration) -> Self {
        self.soonest = Some(time);
        self
    }

    /// Accepts the race that a related row without a foreign key is written in the instant in which
    /// its row is handled.
    #[must_use]
    pub fn may_race(mut self) -> Self {
        self.may_race = true;
        self
    }

    /// Declares that most of the table may be due at the first run, so the check gives no advice
    /// about it.
    #[must_use]
    pub fn expect_backlog(mut self) -> Self {
        self.expect_backlog = true;
        self
    }

    /// Returns whether a run deletes rows or hands them on, which cannot be undone.
    #[cfg(feature = "_store")]
    pub(crate) fn is_irreversible(&self) -> bool {
        !matches!(self.action, Some(Action::Set(_)))
            || !self.with.is_empty()
            || !self.hand_on.is_empty()
            || !self.then.is_empty()
    }

    /// Returns the columns that hold instants, each with its part.
    #[cfg(feature = "_store")]
    pub(crate) fn instants(&self) -> Vec<(&'static str, &InstantColumn)> {
        let due = self.due.iter().flat_map(Due::instants);
        let held = self.held_until.iter();
        due.map(|instant| ("due", instant))
            .chain(held.map(|instant| ("held_until", instant)))
            .collect()
    }

    /// Returns whether another table decides which rows are due, so that a batch locks rows before
    /// it checks them.
    ///
    /// Activity that a trigger notes in the row itself is checked with the row.
    #[cfg(any(feature = "_store", test))]
    pub(crate) fn asks_others(&self) -> bool {
        let activity = self.active.as_ref();
        !self.when.is_empty()
            || !self.unless.is_empty()
            || activity.is_some_and(|activity| activity.noted_in.is_none())
    }

    /// Whether a row that is set may cease to match by what is written to another table.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_ended_by_others(&self) -> bool {
        let writes_others =
            !self.with.is_empty() || !self.then.is_empty() || !self.hand_on.is_empty();
        matches!(self.action, Some(Action::Set(_))) && self.asks_others() && writes_others
    }

    /// Returns the word for the rows in reports.
    #[cfg(feature = "_store")]
    pub(crate) fn kind(&self) -> &str {
        match &self.counts_as {
            Some(kind) => kind,
            None => sql::bare_name(&self.table),
        }
    }
}

#[cfg(feature = "_store")]
pub(crate) use sql::{bare_name, split_name};
