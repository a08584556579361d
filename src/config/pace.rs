//! How much of the database a job takes: the size of its batches, and the pauses between them.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How much of the database a job takes.
///
/// Batches grow while they finish well within the target and shrink when they do not, so that a
/// slow disk, a busy table or a missing index slows this job down, not other clients. Between
/// two batches the worker pauses in proportion to the work.
///
/// The rule is additive increase and multiplicative decrease with a slow start, as in TCP's
/// congestion control (Jacobson, 1988; Chiu and Jain, 1989): batches double until one takes more
/// than half of the target. From then on one that took less than that adds `min_batch` rows to the
/// next, and one that took longer than the target, or failed (a limit on a lock or a statement was
/// reached), halves it. After any trouble the largest batch is reached again within `max_batch /
/// min_batch` batches, four by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// Rows of the first batch, and of the smallest.
    pub min_batch: NonZeroU32,
    /// Rows of the largest batch.
    pub max_batch: NonZeroU32,
    /// How long a batch, and so a transaction, should take. At most a minute.
    #[serde(with = "crate::time::span")]
    pub target: Duration,
    /// Share of the time in which the job may be at work, 1 to 100 percent. At 25 a batch of 10 ms
    /// is followed by a pause of 30 ms.
    pub duty_percent: u8,
    /// Shortest pause, whatever the share.
    #[serde(with = "crate::time::span")]
    pub min_pause: Duration,
    /// Longest pause, whatever the share. At most an hour.
    #[serde(with = "crate::time::span")]
    pub max_pause: Duration,
}

impl Pace {
    /// Leaves most of the database to others: batches of at most 200 rows and about 25 ms, at work
    /// less than a third of the time. That is some 5,000 rows a second on two cores, with
    /// clients who hardly notice: see `benches/foreground`.
    #[must_use]
    pub fn polite() -> Self {
        Self {
            min_batch: rows(50),
            max_batch: rows(200),
            // A commit alone takes several milliseconds where it waits for a disk.
            target: Duration::from_millis(25),
            duty_percent: 30,
            min_pause: Duration::from_millis(5),
            max_pause: Duration::from_secs(1),
        }
    }

    /// Works off a backlog as fast as the database can: batches of about 250 ms, without a pause.
    #[must_use]
    pub fn full_speed() -> Self {
        Self {
            min_batch: rows(1_000),
            max_batch: rows(10_000),
            target: Duration::from_millis(250),
            duty_percent: 100,
            min_pause: Duration::ZERO,
            max_pause: Duration::ZERO,
        }
    }

    /// Batches of always the same size, without a pause.
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
