//! When a row falls due.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sql::Sql;

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

/// A column that holds an instant, and how.
///
/// Any text is one: the column's name, whose stamp the catalogue tells. Say how it is stamped with
/// the methods of [`moment`]'s result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "InstantForm", into = "InstantForm")]
pub struct InstantColumn {
    pub(crate) column: String,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) sqlite: Option<Stamp>,
}

/// How a column keeps instants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stamp {
    /// Whole seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
    /// Microseconds since 1970.
    Micros,
    /// A timestamp with a zone. Postgres only, where the catalogue tells; for expressions.
    Zoned,
    /// A timestamp without a zone that holds UTC. Postgres only.
    NaiveUtc,
    /// A timestamp without a zone that holds this zone's local time, such as `Europe/Berlin`.
    /// Postgres only.
    NaiveIn(String),
    /// Text in this format, as chrono writes it, such as `%Y-%m-%d %H:%M:%S%.3f`. All rows must
    /// have one width, or differ only in the digits behind a dot that a digit or a space would
    /// otherwise follow.
    Text(String),
}

/// The unit of a column that holds a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unit {
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
    /// Days of 24 hours.
    Days,
}

#[cfg(feature = "_store")]
impl Unit {
    pub(crate) const fn millis(self) -> i64 {
        match self {
            Self::Millis => 1,
            Self::Seconds => 1_000,
            Self::Minutes => 60_000,
            Self::Hours => 3_600_000,
            Self::Days => 86_400_000,
        }
    }
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

/// A column that holds an instant.
pub fn moment(column: impl Into<String>) -> InstantColumn {
    InstantColumn {
        column: column.into(),
        stamp: None,
        sqlite: None,
    }
}

impl InstantColumn {
    /// Says how the column keeps instants, on both databases.
    #[must_use]
    pub fn stamp(mut self, stamp: Stamp) -> Self {
        self.stamp = Some(stamp);
        self
    }

    /// Says how the column keeps instants on SQLite, where that differs.
    #[must_use]
    pub fn on_sqlite(mut self, stamp: Stamp) -> Self {
        self.sqlite = Some(stamp);
        self
    }
}

#[cfg(feature = "sqlite")]
impl InstantColumn {
    /// How it keeps instants on SQLite, if that is declared.
    pub(crate) fn sqlite_stamp(&self) -> Option<&Stamp> {
        self.sqlite.as_ref().or(self.stamp.as_ref())
    }
}

impl<T: Into<String>> From<T> for InstantColumn {
    fn from(column: T) -> Self {
        moment(column)
    }
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
            _ => self.instant_columns().next()?.stamp.as_ref(),
        }
    }

    /// The same on SQLite.
    #[cfg(feature = "sqlite")]
    pub(crate) fn sqlite_stamp(&self) -> Option<&Stamp> {
        match &self.source {
            Source::Sql(_, stamp) => Some(stamp),
            _ => self.instant_columns().next()?.sqlite_stamp(),
        }
    }

    #[cfg(feature = "_store")]
    pub(crate) fn instant_columns(&self) -> impl Iterator<Item = &InstantColumn> {
        let (one, several) = match &self.source {
            Source::Column(instant) => (Some(instant), &[][..]),
            Source::FirstOf(instants) | Source::Coalesce(instants) => (None, &**instants),
            Source::Sql(..) => (None, &[][..]),
        };
        one.into_iter().chain(several)
    }

    fn restamp(mut self, stamp: &Stamp) -> Self {
        match &mut self.source {
            Source::Column(instant) => instant.stamp = Some(stamp.clone()),
            Source::FirstOf(instants) | Source::Coalesce(instants) => {
                for instant in instants {
                    instant.stamp = Some(stamp.clone());
                }
            }
            Source::Sql(_, kept) => *kept = stamp.clone(),
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
        match &mut self.source {
            Source::Column(instant) => instant.sqlite = Some(stamp),
            Source::FirstOf(instants) | Source::Coalesce(instants) => {
                for instant in instants {
                    instant.sqlite = Some(stamp.clone());
                }
            }
            Source::Sql(..) => {}
        }
        self
    }

    /// The columns that hold its instants.
    pub(crate) fn columns(&self) -> Vec<&str> {
        match &self.source {
            Source::Column(instant) => vec![&instant.column],
            Source::FirstOf(instants) | Source::Coalesce(instants) => instants
                .iter()
                .map(|instant| instant.column.as_str())
                .collect(),
            Source::Sql(..) => Vec::new(),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a column's name, or `column` with `stamp` and `sqlite`"
)]
enum InstantForm {
    Column(String),
    Stamped(Stamped),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stamped {
    column: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<Stamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sqlite: Option<Stamp>,
}

impl From<InstantForm> for InstantColumn {
    fn from(form: InstantForm) -> Self {
        match form {
            InstantForm::Column(column) => moment(column),
            InstantForm::Stamped(Stamped {
                column,
                stamp,
                sqlite,
            }) => Self {
                column,
                stamp,
                sqlite,
            },
        }
    }
}

impl From<InstantColumn> for InstantForm {
    fn from(instant: InstantColumn) -> Self {
        match instant {
            InstantColumn {
                column,
                stamp: None,
                sqlite: None,
            } => Self::Column(column),
            InstantColumn {
                column,
                stamp,
                sqlite,
            } => Self::Stamped(Stamped {
                column,
                stamp,
                sqlite,
            }),
        }
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

/// Returns what is wrong with a number in the middle of a sample: it reads as an instant of another
/// unit.
#[cfg(feature = "_store")]
pub(crate) fn misread(column: &str, value: i64, stamp: &Stamp) -> Option<String> {
    let (per_second, name, finer, coarser) = match stamp {
        Stamp::Seconds => (1, "seconds", "millis", None),
        Stamp::Millis => (1_000, "millis", "micros", Some("seconds")),
        Stamp::Micros => (
            1_000_000,
            "micros",
            "a number of nanoseconds",
            Some("millis"),
        ),
        _ => return None,
    };
    let year = |seconds: i64| 1970 + seconds / 31_556_952;
    let reads = year(value / per_second);
    // Numbers that stand for never are right.
    if reads > 3_000 && reads != 9_999 && value != i64::MAX {
        return Some(format!(
            "`{column}` holds {value}, which reads as the year {reads} in {name}; {finer}?"
        ));
    }
    let coarser = coarser.filter(|_| {
        let meant = year(value / (per_second / 1_000));
        value > 0 && reads < 1980 && (2_000..2_100).contains(&meant)
    })?;
    Some(format!(
        "`{column}` holds {value}, which reads as the year {reads} in {name}, so that every row is due; {coarser}?"
    ))
}

/// Whether a text says that its time is not that of UTC. Such texts are not in the order of their
/// instants.
#[cfg(feature = "_store")]
pub(crate) fn has_offset(text: &str) -> bool {
    let behind = text.get(19..).unwrap_or_default();
    let behind = behind.trim_start_matches(|c: char| c == '.' || c == ' ' || c.is_ascii_digit());
    let Some(offset) = behind.strip_prefix(['+', '-']) else {
        return false;
    };
    let mut digits = offset.chars().take(5);
    digits.any(|digit| ('1'..='9').contains(&digit))
}

#[cfg(all(test, feature = "_store"))]
mod tests {
    use super::has_offset;

    #[test]
    fn a_time_that_is_not_utc_has_an_offset() {
        let table = [
            ("2026-01-10 12:00:00", false),
            ("2026-01-10 12:00:00.123456", false),
            ("2026-01-10T12:00:00Z", false),
            ("2026-01-10T12:00:00.5+00:00", false),
            ("2026-01-10 12:00:00.5 +0000 UTC m=+1.25", false),
            ("2026-01-10T12:00:00-05:00", true),
            ("2026-01-10T12:00:00.5+00:30", true),
            ("2026-01-10 12:00:00 -0500 EST", true),
            ("2026-01-10 12:00:00+02", true),
            ("short", false),
        ];

        for (text, expected) in table {
            assert_eq!(has_offset(text), expected, "{text}");
        }
    }
}
