//! Where a row lies in its table.

use std::fmt;
use std::io::Write;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::query_builder::QueryId;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::SqlType;

/// Postgres's `tid`, the type of the system column `ctid`.
#[derive(Debug, Clone, Copy, QueryId, SqlType)]
#[diesel(postgres_type(oid = 27, array_oid = 1010))]
pub struct Tid;

/// A block and a place in it, as the server sends them.
///
/// It stays true as long as the row is locked, and finds the row without a look at an index.
#[derive(Clone, Copy, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Tid)]
pub(super) struct Address([u8; 6]);

impl fmt::Debug for Address {
    /// As Postgres writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |place: usize| u32::from(u16::from_be_bytes([self.0[place], self.0[place + 1]]));
        let (block, place) = (word(0) << 16 | word(2), word(4));
        write!(f, "\"({block},{place})\"")
    }
}

impl FromSql<Tid, Pg> for Address {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(value.as_bytes().try_into()?))
    }
}

impl ToSql<Tid, Pg> for Address {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&self.0)?;
        Ok(IsNull::No)
    }
}
