//! How much of the database a job uses: the size of its batches, and the pauses between them.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Cron;

/// How much of the database a job uses.
///
/// **The size of batches** follows the target. The first batches grow as far as it allows, at most
/// eightfold at a time, until one takes more than half of it. From then on one that took less than
/// that adds `min_batch` rows to the next, one that took longer than the target shrinks it in
/// proportion, and one that failed halves it: additive increase and multiplicative decrease, as in
/// TCP's congestion control (Jacobson, 1988; Chiu and Jain, 1989). So a slow disk, a busy table or
/// a missing index slows this job down, not other clients.
///
/// **The share of time at work** follows the load of others, as in LEDBAT (RFC 6817). A batch waits
/// for a connection, for locks, for the processor and for the log like any client, so batches take
/// longer than the best of their size when others load the database. The share doubles while they
/// take as long as the best, stays while they take half as long again, and halves while they take
/// twice as long. It starts at `min_duty_percent`, never falls below it, so that every backlog
/// ends, and never exceeds `duty_percent`. After each batch the worker pauses accordingly. Load
/// that is there when the process starts, or for twenty minutes of work without a pause, is not
/// seen: no better duration is known then. Time that a batch waits for locks of others
/// ([`Batch::waited`](crate::job::Batch::waited)) is no work, and batches that go row by row
/// ([`Batch::one_by_one`](crate::job::Batch::one_by_one)) are compared with each other and may take
/// a quarter of a second.
///
/// **An end time** (`finish_by`) raises the share of a backlog that does not end in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// Rows of the first batch, and the minimum.
    pub min_batch: NonZeroU32,
    /// Maximum rows of a batch.
    pub max_batch: NonZeroU32,
    /// Intended duration of a batch, and so of a transaction. At most a minute.
    #[serde(with = "crate::time::span")]
    pub target: Duration,
    /// Maximum share of time at work, 1 to 100 percent. At 25 a pause of 30 ms follows a batch of
    /// 10 ms.
    pub duty_percent: u8,
    /// Share of time at work beside the load of others, 1 to 100 percent. The value of
    /// `duty_percent`, or a greater one, fixes the share.
    pub min_duty_percent: u8,
    /// Minimum pause, at any share.
    #[serde(with = "crate::time::span")]
    pub min_pause: Duration,
    /// Maximum pause, at any share. At most an hour.
    #[serde(with = "crate::time::span")]
    pub max_pause: Duration,
    /// The time at which a run should be done, such as `0 6 * * *` for 6 o'clock. Until its next
    /// tick, a run is at work for at least the share of the time that has passed since it began:
    /// half way there half of the time, and without pauses just before. A run that is not done by
    /// then continues as if it had no end time. Needs the feature `cron`. Default: `None`.
    pub finish_by: Option<Cron>,
}

impl Pace {
    /// Leaves the database to others first: batches of at most 50 rows, at work for 5 to 30 percent
    /// of the time. A request that meets a batch waits for a part of it, so many small batches
    /// disturb others less than few large ones do. See `benches/foreground` for the figures.
    #[must_use]
    pub fn polite() -> Self {
        Self {
            min_batch: rows(25),
            max_batch: rows(50),
            // A commit alone takes several milliseconds where it waits for a disk.
            target: Duration::from_millis(25),
            duty_percent: 30,
            min_duty_percent: 5,
            min_pause: Duration::from_millis(2),
            max_pause: Duration::from_secs(1),
            finish_by: None,
        }
    }

    /// Handles a backlog as fast as the database can: batches of up to half a second, without a
    /// pause. On SQLite, a small batch writes the same pages as a large one.
    #[must_use]
    pub fn full_speed() -> Self {
        Self {
            min_batch: rows(1_000),
            max_batch: rows(10_000),
            target: Duration::from_millis(500),
            duty_percent: 100,
            min_duty_percent: 100,
            min_pause: Duration::ZERO,
            max_pause: Duration::ZERO,
            finish_by: None,
        }
    }

    /// Handles a backlog in batches of one size, without a pause.
    #[must_use]
    pub fn fixed(batch: NonZeroU32) -> Self {
        Self {
            min_batch: batch,
            max_batch: batch,
            ..Self::full_speed()
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::polite()
    }
}

const fn rows(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).expect("a batch of the presets has rows")
}
