//! The instances of replicas that share a history.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// An instance, as the shared history knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct InstanceRuns {
    /// Its name.
    pub instance: String,
    /// When it last ended a run, by the clock of the database. Runs that changed nothing are noted
    /// every five minutes at most.
    pub last_seen_at: DateTime<Utc>,
    /// Number of lines of the history that it wrote; 0 if its runs changed nothing.
    pub lines: u64,
}

/// The instances that ended a run in the last minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Instances {
    /// The instance that answers.
    pub this: String,
    /// The time from which runs count.
    pub since: DateTime<Utc>,
    /// The latest first.
    pub instances: Vec<InstanceRuns>,
}

impl Instances {
    pub(crate) fn new(this: String, since: DateTime<Utc>, instances: Vec<InstanceRuns>) -> Self {
        Self {
            this,
            since,
            instances,
        }
    }
}

impl InstanceRuns {
    /// Maximum number of instances that a history lists.
    pub const MAX: i64 = 100;

    /// A history forgets instances that have not run for this long.
    pub const KEPT_FOR: TimeDelta = TimeDelta::days(1);

    /// Returns the instances of these runs, the latest first. A run is an instance, its time, and
    /// the number of lines that it stands for.
    #[must_use]
    pub fn of(runs: impl IntoIterator<Item = (String, DateTime<Utc>, u64)>) -> Vec<Self> {
        let mut known: BTreeMap<String, Self> = BTreeMap::new();
        for (instance, at, lines) in runs {
            let known = known.entry(instance.clone()).or_insert(Self {
                instance,
                last_seen_at: at,
                lines: 0,
            });
            known.lines += lines;
            known.last_seen_at = known.last_seen_at.max(at);
        }
        let mut instances: Vec<Self> = known.into_values().collect();
        instances.sort_by_key(|instance| std::cmp::Reverse(instance.last_seen_at));
        instances.truncate(usize::try_from(Self::MAX).unwrap_or(usize::MAX));
        instances
    }
}
