//! A batch in one statement: rows are picked, locked and written without a second look at an index.

use chrono::{DateTime, Utc};
use diesel::dsl::{self, array};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};

use super::address::Tid;
use super::schema::picked;
use crate::job::{Batch, Cursor, RejectedRow};
use crate::store::tx_error::{TxError, TxResult};

/// Picks at most `limit` rows and writes to some of them.
///
/// `pick` selects the columns of [`picked`], in the order of `since` and `id`, and locks its rows;
/// `write` changes those at [`addresses`] and returns their ids. Both see the same instant: a row
/// that was changed after it is looked at again when it is locked, and no longer found by `write`.
#[derive(QueryId)]
pub(super) struct ClaimAndWrite<Pick, Write> {
    pub(super) pick: Pick,
    pub(super) write: Write,
    pub(super) limit: i64,
}

impl<Pick, Write> Query for ClaimAndWrite<Pick, Write> {
    type SqlType = (
        Array<Text>,
        Array<Text>,
        Array<Text>,
        Array<Text>,
        Nullable<Timestamptz>,
        Nullable<Text>,
        BigInt,
    );
}

impl<Pick, Write, Conn> RunQueryDsl<Conn> for ClaimAndWrite<Pick, Write> {}

impl<Pick, Write> QueryFragment<Pg> for ClaimAndWrite<Pick, Write>
where
    Pick: QueryFragment<Pg>,
    Write: QueryFragment<Pg>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH picked (address, id, since, due, keeper) AS MATERIALIZED (");
        self.pick.walk_ast(out.reborrow())?;
        out.push_sql("), written (id) AS (");
        self.write.walk_ast(out.reborrow())?;
        out.push_sql(
            ") SELECT ARRAY(SELECT id FROM written), \
             ARRAY(SELECT id FROM picked WHERE NOT due), \
             ARRAY(SELECT id FROM picked WHERE due AND keeper IS NOT NULL), \
             ARRAY(SELECT keeper FROM picked WHERE due AND keeper IS NOT NULL), ",
        );
        // There is a row in the last place only if the limit was reached. What is materialized
        // keeps its order.
        for (column, separator) in [("since", ", "), ("id", "")] {
            out.push_sql("(SELECT ");
            out.push_sql(column);
            out.push_sql(" FROM picked OFFSET ");
            out.push_bind_param::<BigInt, _>(&self.limit)?;
            out.push_sql(" - 1)");
            out.push_sql(separator);
        }
        out.push_sql(", (SELECT count(*) FROM picked WHERE due AND keeper IS NULL)");
        Ok(())
    }
}

/// Where the rows lie that `write` is to change.
#[dsl::auto_type]
pub(super) fn addresses() -> _ {
    let to_write = picked::due.and(picked::keeper.is_null());
    let addresses: dsl::array<Tid, ToWrite> =
        array(picked::table.filter(to_write).select(picked::address));
    addresses
}

type ToWrite = dsl::Select<
    dsl::Filter<picked::table, dsl::And<picked::due, dsl::IsNull<picked::keeper>>>,
    picked::address,
>;

/// What came of it.
#[derive(Queryable)]
pub(super) struct ClaimResult {
    /// The rows that were written.
    pub(super) written: Vec<String>,
    /// Picked, but the rule does not match them.
    pub(super) spared: Vec<String>,
    kept: Vec<String>,
    keepers: Vec<String>,
    last_since: Option<DateTime<Utc>>,
    last_id: Option<String>,
    to_write: i64,
}

impl ClaimResult {
    /// A row that was picked and not written was changed after the statement began, and is due all
    /// the same, or a trigger withholds it. Row by row it will show.
    pub(super) fn is_whole(&self) -> TxResult<()> {
        match usize::try_from(self.to_write) {
            Ok(to_write) if to_write > self.written.len() => Err(TxError::SuppressedByTrigger),
            _ => Ok(()),
        }
    }

    pub(super) fn into_batch(self) -> Batch {
        let rejected = self.kept.into_iter().zip(self.keepers);
        Batch {
            ids: self.written,
            rejected: rejected
                .map(|(id, error)| RejectedRow { id, error })
                .collect(),
            next_cursor: self
                .last_since
                .zip(self.last_id)
                .map(|(since, id)| Cursor { since, id }),
            ..Batch::default()
        }
    }
}
