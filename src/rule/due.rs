//! When a row falls due.

use std::time::Duration;
use std::{iter, slice};

use serde::{Deserialize, Serialize};

use super::sql::Sql;
use super::stamp::{InstantColumn, Stamp, Unit};

/// When a row falls due: an instant made of its columns. NULL is never due.
///
/// A row is due when its instant lies strictly before the cutoff, in the unit that the stamp has: a
/// row stamped in whole seconds is due a second after its instant, never early. [`Due::inclusive`]
/// makes it due at its instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "DueForm", into = "DueForm")]
pub struct Due {
    pub(crate) source: Source,
    pub(crate) after: Option<Duration>,
    pub(crate) plus: Option<(String, Unit)>,
    pub(crate) lifetime: Option<Lifetime>,
    pub(crate) inclusive: bool,
}

/// Where the instant comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    Column(InstantColumn),
    FirstOf(Vec<InstantColumn>),
    Coalesce(Vec<InstantColumn>),
    Sql(Sql, Stamp),
}

/// A lifetime that another table keeps for each tenant. NULL or no row: never due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifetime {
    /// The other table.
    pub table: String,
    /// Its key.
    pub key: String,
    /// The column of the rule's table that holds that key.
    pub by: String,
    /// Its column with the lifetime.
    pub column: String,
    /// The unit of the lifetime.
    pub unit: Unit,
}

/// A row falls due at the instant in its column.
pub fn at(column: impl Into<InstantColumn>) -> Due {
    Due::of(Source::Column(column.into()))
}

/// A row falls due this long after the instant in its column.
pub fn age(column: impl Into<InstantColumn>, age: Duration) -> Due {
    at(column).after(age)
}

/// A row falls due at the first of these instants that is not NULL in time: the earliest.
pub fn first_of<I: Into<InstantColumn>>(columns: impl IntoIterator<Item = I>) -> Due {
    Due::of(Source::FirstOf(
        columns.into_iter().map(Into::into).collect(),
    ))
}

/// A row falls due at the first of these columns that is not NULL.
pub fn coalesce<I: Into<InstantColumn>>(columns: impl IntoIterator<Item = I>) -> Due {
    Due::of(Source::Coalesce(
        columns.into_iter().map(Into::into).collect(),
    ))
}

impl Due {
    fn of(source: Source) -> Self {
        Self {
            source,
            after: None,
            plus: None,
            lifetime: None,
            inclusive: false,
        }
    }

    /// A row falls due at the instant an expression yields, kept like this.
    pub fn sql(expression: impl Into<Sql>, stamp: Stamp) -> Self {
        Self::of(Source::Sql(expression.into(), stamp))
    }

    /// This much later.
    #[must_use]
    pub fn after(mut self, age: Duration) -> Self {
        self.after = Some(age);
        self
    }

    /// Later by what a column of the row holds: its own lifetime. NULL is never due.
    #[must_use]
    pub fn plus(mut self, column: impl Into<String>, unit: Unit) -> Self {
        self.plus = Some((column.into(), unit));
        self
    }

    /// Later by a lifetime that another table keeps for each tenant.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// A row is due at its instant, not only after it.
    #[must_use]
    pub fn inclusive(mut self) -> Self {
        self.inclusive = true;
        self
    }

    /// How its first column, or its expression, keeps instants, if that is declared.
    #[cfg(feature = "postgres")]
    pub(crate) fn stamp(&self) -> Option<&Stamp> {
        match &self.source {
            Source::Sql(_, stamp) => Some(stamp),
            _ => self.instants().first()?.stamp.as_ref(),
        }
    }

    /// The same on SQLite.
    #[cfg(feature = "sqlite")]
    pub(crate) fn sqlite_stamp(&self) -> Option<&Stamp> {
        match &self.source {
            Source::Sql(_, stamp) => Some(stamp),
            _ => self.instants().first()?.sqlite_stamp(),
        }
    }

    /// The columns that hold its instants; none for an expression.
    pub(crate) fn instants(&self) -> &[InstantColumn] {
        match &self.source {
            Source::Column(instant) => slice::from_ref(instant),
            Source::FirstOf(instants) | Source::Coalesce(instants) => instants,
            Source::Sql(..) => &[],
        }
    }

    /// The names of those columns.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.instants()
            .iter()
            .map(|instant| instant.column.as_str())
    }

    fn instants_mut(&mut self) -> &mut [InstantColumn] {
        match &mut self.source {
            Source::Column(instant) => slice::from_mut(instant),
            Source::FirstOf(instants) | Source::Coalesce(instants) => instants,
            Source::Sql(..) => &mut [],
        }
    }

    fn restamp(mut self, stamp: &Stamp) -> Self {
        for instant in self.instants_mut() {
            instant.stamp = Some(stamp.clone());
        }
        if let Source::Sql(_, kept) = &mut self.source {
            *kept = stamp.clone();
        }
        self
    }

    /// Its columns hold whole seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> Self {
        self.restamp(&Stamp::Seconds)
    }

    /// Its columns hold milliseconds since 1970.
    #[must_use]
    pub fn millis(self) -> Self {
        self.restamp(&Stamp::Millis)
    }

    /// Its columns hold microseconds since 1970.
    #[must_use]
    pub fn micros(self) -> Self {
        self.restamp(&Stamp::Micros)
    }

    /// Its columns are timestamps without a zone that hold UTC.
    #[must_use]
    pub fn naive_utc(self) -> Self {
        self.restamp(&Stamp::NaiveUtc)
    }

    /// Its columns are timestamps without a zone that hold this zone's local time.
    #[must_use]
    pub fn naive_in(self, zone: impl Into<String>) -> Self {
        self.restamp(&Stamp::NaiveIn(zone.into()))
    }

    /// Its columns hold text in this format.
    #[must_use]
    pub fn text(self, format: impl Into<String>) -> Self {
        self.restamp(&Stamp::Text(format.into()))
    }

    /// Its columns are kept like this on SQLite, where that differs.
    #[must_use]
    pub fn on_sqlite(mut self, stamp: Stamp) -> Self {
        for (instant, stamp) in self.instants_mut().iter_mut().zip(iter::repeat(stamp)) {
            instant.sqlite = Some(stamp);
        }
        self
    }
}

/// As a file has it: one of `at`, `first_of`, `coalesce`, `sql`, and what goes with it.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DueForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<InstantColumn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_of: Option<Vec<InstantColumn>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coalesce: Option<Vec<InstantColumn>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql: Option<Sql>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stamp: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sqlite: Option<Stamp>,
    #[serde(
        with = "crate::time::span::option",
        skip_serializing_if = "Option::is_none"
    )]
    after: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plus: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<Unit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime: Option<Lifetime>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    inclusive: bool,
}

impl TryFrom<DueForm> for Due {
    type Error = &'static str;

    fn try_from(form: DueForm) -> Result<Self, Self::Error> {
        let source = match (form.at, form.first_of, form.coalesce, form.sql) {
            (Some(instant), None, None, None) => Source::Column(instant),
            (None, Some(instants), None, None) => Source::FirstOf(instants),
            (None, None, Some(instants), None) => Source::Coalesce(instants),
            (None, None, None, Some(sql)) => {
                let stamp = form.stamp.clone();
                Source::Sql(sql, stamp.ok_or("an expression needs `stamp`")?)
            }
            _ => return Err("give one of `at`, `first_of`, `coalesce` and `sql`"),
        };
        let plus = match (form.plus, form.unit) {
            (Some(column), Some(unit)) => Some((column, unit)),
            (None, None) => None,
            _ => return Err("`plus` and `unit` go together"),
        };
        let mut due = Self {
            source,
            after: form.after,
            plus,
            lifetime: form.lifetime,
            inclusive: form.inclusive,
        };
        if let Some(stamp) = &form.stamp {
            due = due.restamp(stamp);
        }
        if let Some(stamp) = form.sqlite {
            due = due.on_sqlite(stamp);
        }
        Ok(due)
    }
}

impl From<Due> for DueForm {
    fn from(due: Due) -> Self {
        let mut form = Self {
            after: due.after,
            lifetime: due.lifetime,
            inclusive: due.inclusive,
            ..Self::default()
        };
        if let Some((column, unit)) = due.plus {
            (form.plus, form.unit) = (Some(column), Some(unit));
        }
        match due.source {
            Source::Column(instant) => form.at = Some(instant),
            Source::FirstOf(instants) => form.first_of = Some(instants),
            Source::Coalesce(instants) => form.coalesce = Some(instants),
            Source::Sql(sql, stamp) => (form.sql, form.stamp) = (Some(sql), Some(stamp)),
        }
        form
    }
}
