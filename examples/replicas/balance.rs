//! What the replicas said, beside what the triggers saw.

use std::fmt;
use std::time::Duration;

use crate::crew::Account;
use crate::database::{Audit, name};

pub(crate) struct Balance<'a> {
    /// Rows there were to change.
    pub(crate) rows: u64,
    /// The most rows that one batch of each job changes.
    pub(crate) largest_batch: u64,
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
            let untold = if account.killed {
                self.largest_batch
            } else {
                0
            };
            if told > seen || told + untold < seen {
                faults.push(format!(
                    "{} told of {told} rows, and changed {seen}",
                    name(number)
                ));
            }
            if account.batches == 0 {
                faults.push(format!("{} found nothing to do", name(number)));
            }
            let troubles = account.troubles.iter();
            faults.extend(troubles.map(|trouble| format!("{}: {trouble}", name(number))));
        }
        faults
    }

    fn seen(&self, number: usize) -> u64 {
        self.audit.changed.get(&name(number)).copied().unwrap_or(0)
    }
}

impl fmt::Display for Balance<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [name_of, told, seen, batches, rate] =
            ["", "rows told", "by the audit", "batches", "rows/s"];
        writeln!(
            f,
            "{name_of:<12}{told:>12}{seen:>14}{batches:>10}{rate:>10}"
        )?;
        for (number, account) in self.accounts.iter().enumerate() {
            let told = account.told.total();
            writeln!(
                f,
                "{:<12}{:>12}{:>14}{:>10}{:>10}{}",
                name(number),
                grouped(told),
                grouped(self.seen(number)),
                grouped(account.batches),
                grouped(rate_of(told, account.worked)),
                if account.killed { "  killed" } else { "" }
            )?;
        }
        let told: u64 = self
            .accounts
            .iter()
            .map(|account| account.told.total())
            .sum();
        let seen: u64 = self.audit.changed.values().sum();
        let batches: u64 = self.accounts.iter().map(|account| account.batches).sum();
        let worked = self.accounts.iter().map(|account| account.worked).max();
        writeln!(
            f,
            "{:<12}{:>12}{:>14}{:>10}{:>10}",
            "sum",
            grouped(told),
            grouped(seen),
            grouped(batches),
            grouped(rate_of(told, worked.unwrap_or_default())),
        )?;
        writeln!(f)?;
        let untold = format!(
            "{} (at most {}, one batch of a killed replica)",
            grouped(seen.saturating_sub(told)),
            grouped(if self.accounts.iter().any(|account| account.killed) {
                self.largest_batch
            } else {
                0
            })
        );
        let lines = [
            ("rows that were due", grouped(self.rows)),
            ("changed but not told", untold),
            ("changed twice", grouped(self.audit.changed_twice)),
            ("left", grouped(self.audit.left)),
        ];
        for (what, count) in lines {
            writeln!(f, "{what:<22}{count}")?;
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
