//! When a row falls due.

use std::time::Duration;
use std::{iter, slice};

use serde::{Deserialize, Serialize};

use super::sql::Sql;
use super::stamp::{InstantColumn, Stamp, Unit};

/// When a row falls due: an instant computed from its columns. NULL is never due.
///
/// A row is due when its instant lies strictly before the cutoff, in the unit of the stamp. A row
/// stamped in whole seconds is therefore due a second after its instant, never early.
/// [`Due::inclusive`] makes it due at its instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "DueForm", into = "DueForm")]
pub struct Due {
    pub(crate) source: Source,
    pub(crate) after: Option<Duration>,
    pub(crate) plus: Option<(String, Unit)>,
    pub(crate) lifetime: Option<Lifetime>,
    pub(crate) inclusive: bool,
}

/// The source of the instant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    Column(InstantColumn),
    FirstOf(Vec<InstantColumn>),
    Coalesce(Vec<InstantColumn>),
    Sql(Sql, Stamp),
}

/// A lifetime that another table has for each tenant. Without a row, or with NULL, never due. Of
/// several rows of one tenant, the longest counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "`{ table = .., key = .., by = .., column = .., unit = \"days\" }`"
)]
pub struct Lifetime {
    /// The table with the lifetimes.
    pub table: String,
    /// Its key column.
    pub key: String,
    /// The column of the rule's table that refers to the key.
    pub by: String,
    /// The column with the lifetime.
    pub column: String,
    /// The unit of the lifetime.
    pub unit: Unit,
}

/// Makes a row due at the instant in a column.
pub fn at(column: impl Into<InstantColumn>) -> Due {
    Due::of(Source::Column(column.into()))
}

/// Makes a row due this long after the instant in a column.
pub fn age(column: impl Into<InstantColumn>, age: Duration) -> Due {
    at(column).after(age)
}

/// Makes a row due at the earliest of the instants in several columns. NULL is left out.
pub fn first_of<I: Into<InstantColumn>>(columns: impl IntoIterator<Item = I>) -> Due {
    Due::of(Source::FirstOf(
        columns.into_iter().map(Into::into).collect(),
    ))
}

/// Makes a row due at the instant in the first of several columns that is not NULL.
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

    /// Makes a row due at the instant that an expression yields, in this form.
    pub fn sql(expression: impl Into<Sql>, stamp: Stamp) -> Self {
        Self::of(Source::Sql(expression.into(), stamp))
    }

    /// Makes the row due this much later.
    #[must_use]
    pub fn after(mut self, age: Duration) -> Self {
        self.after = Some(age);
        self
    }

    /// Makes the row due later by the number in a column, its own lifetime. NULL is never due.
    #[must_use]
    pub fn plus(mut self, column: impl Into<String>, unit: Unit) -> Self {
        self.plus = Some((column.into(), unit));
        self
    }

    /// Makes the row due later by a lifetime that another table has for each tenant.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Makes the row due at its instant, not only after it.
    #[must_use]
    pub fn inclusive(mut self) -> Self {
        self.inclusive = true;
        self
    }

    /// Returns the declared stamp of its first column, or of its expression.
    #[cfg(feature = "postgres")]
    pub(crate) fn stamp(&self) -> Option<&Stamp> {
        match &self.source {
            Source::Sql(_, stamp) => Some(stamp),
            _ => self.instants().first()?.stamp.as_ref(),
        }
    }

    /// Returns that stamp for SQLite.
    #[cfg(feature = "sqlite")]
    pub(crate) fn sqlite_stamp(&self) -> Option<&Stamp> {
        match &self.source {
            Source::Sql(_, stamp) => Some(stamp),
            _ => self.instants().first()?.sqlite_stamp(),
        }
    }

    /// Returns the columns that hold its instants; none for an expression.
    pub(crate) fn instants(&self) -> &[InstantColumn] {
        match &self.source {
            Source::Column(instant) => slice::from_ref(instant),
            Source::FirstOf(instants) | Source::Coalesce(instants) => instants,
            Source::Sql(..) => &[],
        }
    }

    /// Returns the names of those columns.
    #[cfg(any(feature = "_store", test))]
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

    /// Declares that its columns hold whole seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> Self {
        self.restamp(&Stamp::Seconds)
    }

    /// Declares that its columns hold milliseconds since 1970.
    #[must_use]
    pub fn millis(self) -> Self {
        self.restamp(&Stamp::Millis)
    }

    /// Declares that its columns hold microseconds since 1970.
    #[must_use]
    pub fn micros(self) -> Self {
        self.restamp(&Stamp::Micros)
    }

    /// Declares that its columns are timestamps without a zone that hold UTC.
    #[must_use]
    pub fn naive_utc(self) -> Self {
        self.restamp(&Stamp::NaiveUtc)
    }

    /// Declares that its columns are timestamps without a zone that hold the local time of this
    /// zone.
    #[must_use]
    pub fn naive_in(self, zone: impl Into<String>) -> Self {
        self.restamp(&Stamp::NaiveIn(zone.into()))
    }

    /// Declares that its columns hold text in this format.
    #[must_use]
    pub fn text(self, format: impl Into<String>) -> Self {
        self.restamp(&Stamp::Text(format.into()))
    }

    /// Declares the stamp of its columns on SQLite, where it differs.
    #[must_use]
    pub fn on_sqlite(mut self, stamp: Stamp) -> Self {
        for (instant, stamp) in self.instants_mut().iter_mut().zip(iter::repeat(stamp)) {
            instant.sqlite = Some(stamp);
        }
        self
    }
}

/// The form in a file: one of `at`, `first_of`, `coalesce` and `sql`, with its options.
#[derive(Default, Serialize, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "when a row falls due, such as `{ at = \"created_at\", after = \"15m\" }`"
)]
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
        if form.plus.is_some() != form.unit.is_some() {
            return Err("`plus` and `unit` go together");
        }
        let mut due = Self {
            source,
            after: form.after,
            plus: form.plus.zip(form.unit),
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
        (form.plus, form.unit) = due.plus.unzip();
        match due.source {
            Source::Column(instant) => form.at = Some(instant),
            Source::FirstOf(instants) => form.first_of = Some(instants),
            Source::Coalesce(instants) => form.coalesce = Some(instants),
            Source::Sql(sql, stamp) => (form.sql, form.stamp) = (Some(sql), Some(stamp)),
        }
        form
    }
}
