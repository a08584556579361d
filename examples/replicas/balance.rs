//! What the replicas said, beside what the triggers saw.

use std::fmt;
use std::time::Duration;

use crate::crew::Account;
use crate::database::{Audit, name};

pub(crate) struct Balance<'a> {
    /// Rows there were to change.
    pub(crate) rows: u64,
    /// The most rows that one batch of each job changes.
    pub(crate) max_batch: u64,
    pub(crate) accounts: &'a [Account],
    pub(crate) audit: &'a Audit,
}

impl Balance<'_> {
    /// What does not hold.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let changed: u64 = self.audit.changed.values().sum();
        if changed != self.rows {
            faults.push(format!(
                "{} rows were due, and {changed} were changed",
                self.rows
            ));
        }
        if self.audit.changed_twice > 0 {
            faults.push(format!(
                "{} rows were changed twice",
                self.audit.changed_twice
            ));
        }
        if self.audit.left > 0 {
            faults.push(format!("{} rows are left", self.audit.left));
        }
        for (number, account) in self.accounts.iter().enumerate() {
            let (told, seen) = (account.told.total(), self.seen(number));
            if told > seen || told + self.untold(account) < seen {
                faults.push(format!(
                    "{} told of {told} rows, and changed {seen}",
                    name(number)
                ));
            }
            let troubles = account.troubles.iter();
            faults.extend(troubles.map(|trouble| format!("{}: {trouble}", name(number))));
        }
        let busy = self.accounts.iter().filter(|account| account.batches > 0);
        if busy.count() < self.accounts.len().min(2) {
            faults.push("nothing was shared: one replica did all the work".to_owned());
        }
        faults
    }

    fn seen(&self, number: usize) -> u64 {
        self.audit.changed.get(&name(number)).copied().unwrap_or(0)
    }

    /// The most rows a replica may have changed without telling.
    fn untold(&self, account: &Account) -> u64 {
        if account.killed { self.max_batch } else { 0 }
    }
}

impl fmt::Display for Balance<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<12}{:>12}{:>14}{:>10}{:>10}",
            "", "rows told", "by the audit", "batches", "rows/s"
        )?;
        let (mut told, mut batches, mut untold) = (0, 0, 0);
        for (number, account) in self.accounts.iter().enumerate() {
            let rows = account.told.total();
            told += rows;
            batches += account.batches;
            untold += self.untold(account);
            let [rows, seen, batches, rate] = [
                rows,
                self.seen(number),
                account.batches,
                rate_of(rows, account.worked),
            ]
            .map(grouped);
            let note = if account.killed { "  killed" } else { "" };
            let name = name(number);
            writeln!(
                f,
                "{name:<12}{rows:>12}{seen:>14}{batches:>10}{rate:>10}{note}"
            )?;
        }
        let worked = self.accounts.iter().map(|account| account.worked).max();
        let changed: u64 = self.audit.changed.values().sum();
        let rate = rate_of(told, worked.unwrap_or_default());
        let [all, seen, batches, rate] = [told, changed, batches, rate].map(grouped);
        writeln!(
            f,
            "{:<12}{all:>12}{seen:>14}{batches:>10}{rate:>10}\n",
            "sum"
        )?;
        let lines = [
            ("rows that were due", self.rows),
            ("changed but not told", changed.saturating_sub(told)),
            ("  at most, by the kill", untold),
            ("changed twice", self.audit.changed_twice),
            ("left", self.audit.left),
        ];
        for (what, count) in lines {
            writeln!(f, "{what:<24}{:>12}", grouped(count))?;
        }
        Ok(())
    }
}

fn rate_of(rows: u64, time: Duration) -> u64 {
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    rows * 1_000 / milliseconds.max(1)
}

/// With a comma for each thousand.
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
