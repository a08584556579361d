//! Texts of the host, which SQLite keeps as any bytes.

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::sql_types::Text;
use diesel::sqlite::{Sqlite, SqliteValue};

/// A text of the host. Bytes that are no UTF-8 read as `U+FFFD`: one such row must not fail the
/// statement that reads it with others.
#[derive(Debug, FromSqlRow)]
pub(in crate::store::sqlite) struct HostText(pub(in crate::store::sqlite) String);

impl FromSql<Text, Sqlite> for HostText {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        Ok(Self(value.read_text().to_owned()))
    }
}

impl From<HostText> for String {
    fn from(text: HostText) -> Self {
        text.0
    }
}
