//! Compares the replicas' events with the triggers' record.

use std::fmt;
use std::time::Duration;

use crate::database::{TriggerRecord, replica_name};
use crate::replicas::Totals;

pub(crate) struct Audit<'a> {
    /// Rows that were due.
    pub(crate) rows: u64,
    /// The most rows that one batch of each job changes.
    pub(crate) max_batch: u64,
    pub(crate) replicas: &'a [Totals],
    pub(crate) triggers: &'a TriggerRecord,
}

impl Audit<'_> {
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let changed: u64 = self.triggers.changed.values().sum();
        if changed != self.rows {
            faults.push(format!(
                "{} rows were due, and {changed} were changed",
                self.rows
            ));
        }
        if self.triggers.changed_twice > 0 {
            faults.push(format!(
                "{} rows were changed twice",
                self.triggers.changed_twice
            ));
        }
        if self.triggers.left > 0 {
            faults.push(format!("{} rows are left", self.triggers.left));
        }
        for (number, replica) in self.replicas.iter().enumerate() {
            let (reported, changed) = (replica.reported.total(), self.changed(number));
            if reported > changed || reported + self.max_unreported(replica) < changed {
                faults.push(format!(
                    "{} reported {reported} rows and changed {changed}",
                    replica_name(number)
                ));
            }
            let problems = replica.problems.iter();
            faults.extend(problems.map(|problem| format!("{}: {problem}", replica_name(number))));
        }
        let busy = self.replicas.iter().filter(|replica| replica.batches > 0);
        if busy.count() < self.replicas.len().min(2) {
            faults.push("one replica did all the work".to_owned());
        }
        faults
    }

    fn changed(&self, number: usize) -> u64 {
        let changed = self.triggers.changed.get(&replica_name(number));
        changed.copied().unwrap_or(0)
    }

    /// The most rows that a replica may have committed unreported.
    fn max_unreported(&self, replica: &Totals) -> u64 {
        if replica.killed { self.max_batch } else { 0 }
    }
}

impl fmt::Display for Audit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<12}{:>12}{:>14}{:>10}{:>10}",
            "", "reported", "by triggers", "batches", "rows/s"
        )?;
        let (mut reported, mut batches, mut unreported) = (0, 0, 0);
        for (number, replica) in self.replicas.iter().enumerate() {
            let rows = replica.reported.total();
            reported += rows;
            batches += replica.batches;
            unreported += self.max_unreported(replica);
            let [rows, changed, batches, rate] = [
                rows,
                self.changed(number),
                replica.batches,
                rate_of(rows, replica.worked),
            ]
            .map(grouped);
            let note = if replica.killed { "  killed" } else { "" };
            let name = replica_name(number);
            writeln!(
                f,
                "{name:<12}{rows:>12}{changed:>14}{batches:>10}{rate:>10}{note}"
            )?;
        }
        let worked = self.replicas.iter().map(|replica| replica.worked).max();
        let total: u64 = self.triggers.changed.values().sum();
        let rate = rate_of(reported, worked.unwrap_or_default());
        let [rows, changed, batches, rate] = [reported, total, batches, rate].map(grouped);
        writeln!(
            f,
            "{:<12}{rows:>12}{changed:>14}{batches:>10}{rate:>10}\n",
            "sum"
        )?;
        let lines = [
            ("rows that were due", self.rows),
            ("committed unreported", total.saturating_sub(reported)),
            ("  allowed by the kill", unreported),
            ("changed twice", self.triggers.changed_twice),
            ("left", self.triggers.left),
        ];
        for (label, count) in lines {
            writeln!(f, "{label:<24}{:>12}", grouped(count))?;
        }
        Ok(())
    }
}

fn rate_of(rows: u64, time: Duration) -> u64 {
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    rows * 1_000 / milliseconds.max(1)
}

/// Separates thousands by commas.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
