//! How often everything happened.

use std::collections::BTreeMap;
use std::fmt;

/// Counts by kind: what was done, what went wrong, what came of it.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) actions: BTreeMap<&'static str, u64>,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) outcomes: BTreeMap<&'static str, u64>,
}

impl Totals {
    pub(crate) fn action(&mut self, kind: &'static str) {
        *self.actions.entry(kind).or_default() += 1;
    }

    pub(crate) fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    pub(crate) fn outcome(&mut self, kind: &'static str, count: u64) {
        *self.outcomes.entry(kind).or_default() += count;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let pairs = [
            (&mut self.actions, &other.actions),
            (&mut self.faults, &other.faults),
            (&mut self.outcomes, &other.outcomes),
        ];
        for (sum, part) in pairs {
            for (kind, count) in part {
                *sum.entry(kind).or_default() += count;
            }
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = [
            ("actions", &self.actions),
            ("faults", &self.faults),
            ("outcomes", &self.outcomes),
        ];
        for (head, counts) in heads {
            write!(f, "{head}: {}", counts.values().sum::<u64>())?;
            for (place, (kind, count)) in counts.iter().enumerate() {
                write!(f, "{} {kind} {count}", if place == 0 { " =" } else { "," })?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
