//! Counting that stops.

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::BigInt;

use crate::job::BoundedCount;

/// The number of rows a query yields. With a `limit` on the query, counting stops there.
#[derive(Debug, Clone, Copy, QueryId)]
pub(crate) struct Counted<Q>(pub(crate) Q);

impl<Q: Query> Query for Counted<Q> {
    type SqlType = BigInt;
}

impl<Q, Conn> diesel::RunQueryDsl<Conn> for Counted<Q> {}

impl<Q, DB> QueryFragment<DB> for Counted<Q>
where
    DB: Backend,
    Q: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("SELECT count(*) FROM (");
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(") AS counted");
        Ok(())
    }
}

/// The limit of a query whose count becomes a [`BoundedCount`].
pub(crate) const PROBE: i64 = 10_001;

const _: () = assert!(PROBE.unsigned_abs() == BoundedCount::CAP + 1);

/// What came out of a query limited to [`PROBE`].
pub(crate) fn capped(counted: i64) -> BoundedCount {
    BoundedCount::from_probe(u64::try_from(counted).unwrap_or(0))
}
