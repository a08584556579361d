//! The instances of replicas that share a history.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// An instance, as the shared history knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct InstanceRuns {
    /// Its name.
    pub instance: String,
    /// When it last wrote a line, by the clock of the database.
    pub last_recorded_at: DateTime<Utc>,
    /// Number of lines that it wrote.
    pub lines: u64,
}

/// The instances that wrote lines of the history in the last minutes.
///
/// Runs that changed nothing are not in the history, so an idle instance may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Instances {
    /// The instance that answers.
    pub this: String,
    /// The time from which lines count.
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

    /// Returns the instances of these lines, the latest first.
    #[must_use]
    pub fn of<'a>(lines: impl IntoIterator<Item = (&'a str, DateTime<Utc>)>) -> Vec<Self> {
        let mut known: BTreeMap<&str, Self> = BTreeMap::new();
        for (name, at) in lines {
            let instance = known.entry(name).or_insert_with(|| Self {
                instance: name.to_owned(),
                last_recorded_at: at,
                lines: 0,
            });
            instance.lines += 1;
            instance.last_recorded_at = instance.last_recorded_at.max(at);
        }
        let mut instances: Vec<Self> = known.into_values().collect();
        instances.sort_by_key(|instance| std::cmp::Reverse(instance.last_recorded_at));
        instances.truncate(usize::try_from(Self::MAX).unwrap_or(usize::MAX));
        instances
    }
}
