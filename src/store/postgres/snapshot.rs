//! The oldest snapshot that holds back vacuum.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::RunQueryDsl;

use super::flight::Purpose;
use super::{PostgresStore, settle};
use crate::job::OldSnapshot;
use crate::model::StoreError;

/// When snapshots were first seen whose age the role may not read. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct SeenSnapshots(Arc<Mutex<BTreeMap<String, Instant>>>);

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = Text)]
    holder: String,
    /// Tells one snapshot from the next of the same holder.
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    seconds: Option<i64>,
}

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

impl SeenSnapshots {
    /// A snapshot of unknown age is as old as the time since it was first seen.
    fn oldest(&self, held: Vec<Held>, now: Instant) -> Option<OldSnapshot> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|key, _| held.iter().any(|held| held.key == *key));
        let aged = held.into_iter().map(
            |Held {
                 holder,
                 key,
                 seconds,
             }| {
                let first = *seen.entry(key).or_insert(now);
                let age = match seconds {
                    Some(seconds) => Duration::from_secs(seconds.unsigned_abs()),
                    None => now.saturating_duration_since(first),
                };
                OldSnapshot::new(holder, age)
            },
        );
        aged.max_by_key(|snapshot| snapshot.age)
    }
}

const ASK: &str = "ask for snapshots that hold back vacuum";

/// What a role may not see of other roles is NULL: the name of the application, and since when. All
/// see the snapshots, and those of slots and of prepared transactions.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_by_age_or_by_sight_is_returned() {
        let seen = SeenSnapshots::default();
        let held = |key: &str, seconds| Held {
            holder: key.to_owned(),
            key: key.to_owned(),
            seconds,
        };
        let now = Instant::now();
        let later = now + Duration::from_secs(90);

        let first = seen.oldest(vec![held("hidden", None), held("known", Some(7))], now);
        let then = seen.oldest(vec![held("hidden", None), held("known", Some(80))], later);
        let gone = seen.oldest(Vec::new(), later);
        let again = seen.oldest(vec![held("hidden", None)], later);

        assert_eq!(
            first,
            Some(OldSnapshot::new("known", Duration::from_secs(7)))
        );
        assert_eq!(
            then,
            Some(OldSnapshot::new("hidden", Duration::from_secs(90)))
        );
        assert_eq!(gone, None);
        assert_eq!(again, Some(OldSnapshot::new("hidden", Duration::ZERO)));
    }
}
