//! The forms in which a column holds an instant or a duration.

use serde::{Deserialize, Deserializer, Serialize};

use super::forms::text_or_table;

/// A column that holds an instant, and its form.
///
/// A column's name converts into it; the database's catalogue then determines the form. [`moment`]
/// and the methods below declare another.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(into = "InstantForm")]
pub struct InstantColumn {
    pub(crate) column: String,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) sqlite: Option<Stamp>,
}

/// The form in which a column holds instants.
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
    /// A timestamp with a zone. Postgres only, for expressions: for a column the catalogue knows
    /// it.
    Zoned,
    /// A timestamp without a zone that holds UTC. Postgres only.
    NaiveUtc,
    /// A timestamp without a zone that holds this zone's local time, such as `Europe/Berlin`.
    /// Postgres only.
    NaiveIn(String),
    /// Text in UTC in this format of chrono, such as `%Y-%m-%d %H:%M:%S%.3f`. Texts must sort by
    /// time: the fractions of rows may differ in their number of digits, but not in front of a `Z`.
    Text(String),
}

/// The unit of a column that holds a duration.
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

/// Names a column that holds an instant.
pub fn moment(column: impl Into<String>) -> InstantColumn {
    InstantColumn {
        column: column.into(),
        stamp: None,
        sqlite: None,
    }
}

impl InstantColumn {
    /// Sets the form of the column's instants on both databases.
    #[must_use]
    pub fn stamp(mut self, stamp: Stamp) -> Self {
        self.stamp = Some(stamp);
        self
    }

    /// Sets the form of the column's instants on SQLite, where it differs.
    #[must_use]
    pub fn on_sqlite(mut self, stamp: Stamp) -> Self {
        self.sqlite = Some(stamp);
        self
    }
}

#[cfg(feature = "sqlite")]
impl InstantColumn {
    /// Returns the declared form of its instants on SQLite.
    pub(crate) fn sqlite_stamp(&self) -> Option<&Stamp> {
        self.sqlite.as_ref().or(self.stamp.as_ref())
    }
}

impl<T: Into<String>> From<T> for InstantColumn {
    fn from(column: T) -> Self {
        moment(column)
    }
}

impl<'de> Deserialize<'de> for InstantColumn {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let expecting = "a column's name, or `column` with `stamp` and `sqlite`";
        text_or_table::<_, Stamped, _>(source, expecting, moment)
    }
}

#[derive(Serialize)]
#[serde(untagged)]
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

impl From<Stamped> for InstantColumn {
    fn from(stamped: Stamped) -> Self {
        let Stamped {
            column,
            stamp,
            sqlite,
        } = stamped;
        Self {
            column,
            stamp,
            sqlite,
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

/// Returns the problem if the median of a sample of numbers looks like an instant in another unit.
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
    // The year 9999 and the largest number mean never.
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

/// Returns the doubt if the median of so many numbers reads as an instant of 1970, as numbers of
/// rows do.
#[cfg(feature = "_store")]
pub(crate) fn doubted(column: &str, value: i64, rows: usize, stamp: &Stamp) -> Option<String> {
    let (per_second, name) = match stamp {
        Stamp::Seconds => (1, "seconds"),
        Stamp::Millis => (1_000, "millis"),
        Stamp::Micros => (1_000_000, "micros"),
        _ => return None,
    };
    let is_early = rows >= 20 && value > 0 && value / per_second < 31_536_000;
    is_early.then(|| {
        format!("`{column}` holds {value}, which reads as the year 1970 in {name}, so that every row is due; does it hold instants?")
    })
}

/// Returns whether a text has an offset other than UTC's. Such texts do not sort by time.
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
