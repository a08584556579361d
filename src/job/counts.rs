//! Rows by kind.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fmt::{quantity, singular};

/// Rows by kind. A job names its kinds in the plural, such as `drafts` or `image_records`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Adds `count` rows of `kind`. The count saturates at `u64::MAX`.
    pub fn add(&mut self, kind: impl Into<String>, count: u64) {
        let rows = self.0.entry(kind.into()).or_default();
        *rows = rows.saturating_add(count);
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            self.add(kind.as_str(), *count);
        }
    }

    /// Returns the rows of one kind; zero for an unknown kind.
    #[must_use]
    pub fn of(&self, kind: &str) -> u64 {
        self.0.get(kind).copied().unwrap_or(0)
    }

    /// Returns the rows of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().copied().fold(0, u64::saturating_add)
    }

    /// Iterates over kinds and counts, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(kind, count)| (kind.as_str(), *count))
    }
}

impl fmt::Display for Counts {
    /// Writes `1 draft, 3 image records`, or `nothing`: kinds without rows are left out,
    /// underscores become spaces, and a regular plural loses its ending for one row.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (kind, count) in self.iter().filter(|(_, count)| *count > 0) {
            let kinds = kind.replace('_', " ");
            let rows = quantity(count, &singular(&kinds), &kinds);
            write!(f, "{separator}{rows}")?;
            separator = ", ";
        }
        if separator.is_empty() {
            return f.write_str("nothing");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Batch;

    #[test]
    fn counts_add_up_by_kind_and_saturate() {
        let batch = Batch::default().with_count("b", 2).with_count("a", 0);
        let mut counts = batch.counts;
        counts.add("b", 3);
        let earlier = counts.clone();
        counts.merge(&earlier);

        assert_eq!((counts.of("b"), counts.of("a"), counts.of("c")), (10, 0, 0));
        assert_eq!(counts.total(), 10);
        assert_eq!(counts.iter().collect::<Vec<_>>(), [("a", 0), ("b", 10)]);
        assert_eq!(counts.to_string(), "10 b");
        counts.add("b", 12_335);
        counts.add("a_c", 2);
        assert_eq!(counts.to_string(), "2 a c, 12,345 b");
        assert_eq!(
            Batch::default().with_count("a", 0).counts.to_string(),
            "nothing"
        );
        assert_eq!(Counts::default().to_string(), "nothing");
        let single = Batch::default().with_count("drafts", 1);
        let mixed = single.with_count("image_records", 2).counts;
        assert_eq!(mixed.to_string(), "1 draft, 2 image records");
        counts.add("b", u64::MAX);
        counts.add("a", 1);
        assert_eq!((counts.of("b"), counts.total()), (u64::MAX, u64::MAX));
    }
}
