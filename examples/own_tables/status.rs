//! What becomes of a booking.

use std::fmt;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use diesel::sqlite::Sqlite;

#[derive(Debug, Clone, Copy, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
#[cfg_attr(feature = "postgres", diesel(sql_type = crate::postgres::tables::BookingStatusEnum))]
pub(crate) enum BookingStatus {
    Pending,
    Waiting,
    Confirmed,
    Cancelled,
    Completed,
    Expired,
}

impl BookingStatus {
    pub(crate) const ALL: [Self; 6] = [
        Self::Pending,
        Self::Waiting,
        Self::Confirmed,
        Self::Cancelled,
        Self::Completed,
        Self::Expired,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Waiting => "Waiting",
            Self::Confirmed => "Confirmed",
            Self::Cancelled => "Cancelled",
            Self::Completed => "Completed",
            Self::Expired => "Expired",
        }
    }

    pub(crate) fn named(name: &str) -> deserialize::Result<Self> {
        let found = Self::ALL.into_iter().find(|status| status.name() == name);
        found.ok_or_else(|| format!("{name:?} is no status of a booking").into())
    }
}

impl fmt::Display for BookingStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl ToSql<Text, Sqlite> for BookingStatus {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        <str as ToSql<Text, Sqlite>>::to_sql(self.name(), out)
    }
}

impl FromSql<Text, Sqlite> for BookingStatus {
    fn from_sql(
        value: <Sqlite as diesel::backend::Backend>::RawValue<'_>,
    ) -> deserialize::Result<Self> {
        Self::named(&<String as FromSql<Text, Sqlite>>::from_sql(value)?)
    }
}
