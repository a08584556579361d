//! The search path of a store's transactions.
//!
//! Others of a shared pool may leave a search path or a temporary table on a connection. Under the
//! same names, statements would find other tables there, and handle their rows.

use std::sync::{Arc, MutexGuard, PoisonError};

use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};
use diesel_async::RunQueryDsl;

use super::attempt::MAX_ATTEMPTS;
use super::flight::condemn;
use super::{Connection, PostgresStore};
use crate::model::StoreError;
use crate::store::timeouts::Timeouts;
use crate::store::tx_error::TxResult;

#[derive(QueryableByName)]
struct SearchPath {
    /// NULL if none of its schemas exists: new tables would be temporary.
    #[diesel(sql_type = Nullable<Text>)]
    path: Option<String>,
    /// Whether it was set after the connection was opened.
    #[diesel(sql_type = Bool)]
    was_set: bool,
}

impl PostgresStore {
    /// The path, if it is known. Forgotten once tables are not found: they may have moved.
    pub(super) fn search_path(&self) -> MutexGuard<'_, Option<Arc<str>>> {
        let path = self.search_path.lock();
        path.unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the search path that connections are opened with, with temporary tables last. Returns
    /// it with a connection; empty if none of its schemas exists.
    ///
    /// A path that was set later may be left over: such connections are closed, as many as the pool
    /// has. If it is set on a new one as well, it belongs to the pool.
    pub(super) async fn find_search_path(
        &self,
        mut conn: Connection,
        timeouts: Timeouts,
    ) -> Result<TxResult<(Connection, Arc<str>)>, StoreError> {
        let mut left = self.pool.state().connections.min(MAX_ATTEMPTS);
        loop {
            match diesel::sql_query(PATH).get_result(&mut conn).await {
                Err(error) => {
                    condemn(&mut conn);
                    return Ok(Err(error.into()));
                }
                Ok(SearchPath { was_set: true, .. }) if left > 0 => {
                    left -= 1;
                    condemn(&mut conn);
                    drop(conn);
                    conn = self.acquire(timeouts).await?;
                }
                Ok(found) => {
                    let path: Arc<str> = found.path.unwrap_or_default().into();
                    *self.search_path() = Some(path.clone());
                    return Ok(Ok((conn, path)));
                }
            }
        }
    }
}

/// Each name of the path as a text, as `SET` takes it. A backslash would have another meaning where
/// `standard_conforming_strings` is off.
const PATH: &str = r#"
    select was_set, case when current_schemas(false) <> '{}' then
        (select string_agg(quote_literal(case when name like '"%' then replace(substr(name, 2, length(name) - 2), '""', '"') else lower(name) end),
            ', ' order by place) || ', ''pg_temp''' from regexp_matches(path, '"(?:[^"]|"")*"|[^[:space:],"]+', 'g') with ordinality as found(names, place),
            unnest(names) as name) end as path
    from (select setting as path, source = 'session' and setting <> reset_val as was_set
        from pg_catalog.pg_settings where name = 'search_path') as own"#;
