//! Snapshots that were seen, and since when.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::job::OldSnapshot;

/// When snapshots were first seen whose age the role may not read. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct SeenSnapshots(Arc<Mutex<BTreeMap<String, Instant>>>);

/// A snapshot that the database lists.
#[derive(QueryableByName)]
pub(super) struct Held {
    #[diesel(sql_type = Text)]
    pub(super) holder: String,
    /// Tells one snapshot from the next of the same holder.
    #[diesel(sql_type = Text)]
    pub(super) key: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(super) seconds: Option<i64>,
}

impl SeenSnapshots {
    /// A snapshot of unknown age is as old as the time since it was first seen.
    pub(super) fn oldest(&self, held: Vec<Held>, now: Instant) -> Option<OldSnapshot> {
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
