//! Instants as text of one width, because that is how SQLite compares them.

use chrono::{DateTime, NaiveDateTime, SubsecRound, Utc};
use diesel::expression::AsExpression;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::Text;
use diesel::sqlite::Sqlite;

/// An instant as the booking schema keeps it on SQLite: `2026-01-10T12:00:00.123456Z`, in UTC,
/// always 27 characters.
///
/// For hosts that write the tables themselves. Nanoseconds are cut off; an instant outside the
/// years 0 to 9999 becomes the nearest one inside.
///
/// # Examples
///
/// ```
/// use ractor_housekeeper::store::sqlite::timestamp_text;
///
/// let noon = "2026-01-10T12:00:00.5Z".parse().unwrap();
/// assert_eq!(timestamp_text(noon), "2026-01-10T12:00:00.500000Z");
/// ```
#[must_use]
pub fn timestamp_text(instant: DateTime<Utc>) -> String {
    use chrono::Datelike;
    match instant.year() {
        ..0 => "0000-01-01T00:00:00.000000Z".to_owned(),
        0..=9999 => instant.trunc_subsecs(6).format(FORMAT).to_string(),
        10_000.. => "9999-12-31T23:59:59.999999Z".to_owned(),
    }
}

/// An instant in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, AsExpression)]
#[diesel(sql_type = Text)]
pub(super) struct Moment(pub(super) DateTime<Utc>);

impl Moment {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let parsed = NaiveDateTime::parse_from_str(text, FORMAT)
            .map_err(|error| format!("{text:?} is no instant: {error}"))?;
        Ok(Self(parsed.and_utc()))
    }
}

impl ToSql<Text, Sqlite> for Moment {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(timestamp_text(self.0));
        Ok(IsNull::No)
    }
}

const FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";
