//! The oldest snapshot that holds back vacuum.

use std::time::Instant;

use diesel::QueryResult;
use diesel_async::RunQueryDsl;

use super::flight::Purpose;
use super::seen_snapshots::Held;
use super::{PostgresStore, settle};
use crate::job::OldSnapshot;
use crate::model::StoreError;

impl PostgresStore {
    /// Returns the oldest snapshot; `None` if there is none, or if it cannot be asked for.
    pub(super) async fn oldest_snapshot(&self) -> Option<OldSnapshot> {
        match self.snapshots().await {
            Ok(held) => self.seen_snapshots.oldest(held, Instant::now()),
            Err(error) => {
                tracing::debug!(error = %error, "could not {ASK}");
                None
            }
        }
    }

    async fn snapshots(&self) -> Result<Vec<Held>, StoreError> {
        let mut flight = self.begin(Purpose::Read, ASK).await?;
        let held: QueryResult<Vec<Held>> = diesel::sql_query(HELD).load(&mut *flight).await;
        settle(flight, held.map_err(Into::into), ASK).await
    }
}

const ASK: &str = "ask for snapshots that hold back vacuum";

/// Columns that a role may not see of other roles are NULL: the application and the start. All see
/// the snapshots, and those of slots and of prepared transactions.
const HELD: &str = "
    select holder, key, seconds from (
        select 'backend ' || pid || coalesce(' (' || nullif(concat_ws(', ', nullif(application_name, ''), state), '') || ')', '') as holder,
            'backend ' || pid || ' ' || coalesce(backend_xid::text, '') || ' ' || coalesce(backend_xmin::text, '') as key,
            extract(epoch from clock_timestamp() - xact_start)::bigint as seconds, greatest(age(backend_xid), age(backend_xmin)) as behind
        from pg_stat_activity
        where coalesce(backend_xid, backend_xmin) is not null and pid <> pg_backend_pid() and (datname = current_database() or datname is null)
            and backend_type is distinct from 'autovacuum worker'
        union all
        select 'replication slot `' || slot_name || '`', 'slot ' || slot_name || ' ' || xmin::text, null, age(xmin)
        from pg_replication_slots where xmin is not null
        union all
        select 'prepared transaction `' || gid || '`', 'prepared ' || gid, extract(epoch from clock_timestamp() - prepared)::bigint, age(transaction)
        from pg_prepared_xacts where database = current_database()
    ) as held
    order by behind desc limit 20";
