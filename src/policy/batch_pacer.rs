//! Decides the size of the next batch and the pause before it.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::Pace;

mod baseline;
#[cfg(test)]
mod simulation;

use baseline::Baseline;

/// Adapts the batch size and the share of time at work to the database.
///
/// The size grows as far as the target allows, at most eightfold at a time, until a batch comes
/// near it. From then on it grows by the minimum size, shrinks in proportion, by half at most, when
/// a batch takes longer than the target, and halves when one fails. The share of time at work grows
/// while batches take as long as the best of their size, and shrinks while they take longer,
/// because then others load the database.
#[derive(Debug)]
pub(crate) struct Pacer {
    pace: Pace,
    batch: NonZeroU32,
    /// Whether no batch has come near the target yet.
    starting: bool,
    /// Share of time at work, from 0 to 1.
    duty: f64,
    baseline: Baseline,
    /// The same of batches that go row by row.
    baseline_one_by_one: Baseline,
    one_by_one: bool,
}

impl Pacer {
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            batch: pace.min_batch,
            starting: true,
            duty: min_duty(&pace),
            baseline: Baseline::default(),
            baseline_one_by_one: Baseline::default(),
            one_by_one: false,
            pace,
        }
    }

    /// Returns the row limit of the next batch.
    pub(crate) fn batch(&self) -> NonZeroU32 {
        self.batch
    }

    /// Sets whether the batches to come go row by row. Their latency says nothing of the others'.
    pub(crate) fn compare_one_by_one(&mut self, one_by_one: bool) {
        self.one_by_one = one_by_one;
    }

    /// Adapts to a full batch that took `work`. Returns the pause before the next batch.
    ///
    /// `urgency`, from 0 to 1, is the minimum share of time at work: see [`urgency`].
    pub(crate) fn took(&mut self, work: Duration, urgency: f64) -> Duration {
        let size = self.batch;
        if let Some(slowdown) = self.baseline().slowdown(size, work) {
            self.adapt_duty(slowdown);
        }
        let target = self.target();
        let fitting = AIM * target.as_secs_f64() / work.as_secs_f64();
        if work > target {
            self.shrink(fitting);
        } else if work < target / 2 {
            let grown = self.batch.saturating_add(self.pace.min_batch.get());
            let grown = if self.starting {
                grown.max(scaled(self.batch, fitting.min(MAX_GROWTH)))
            } else {
                grown
            };
            self.batch = grown.min(self.pace.max_batch);
        } else {
            self.starting = false;
        }
        let pause = self.pause(work, urgency.clamp(0.0, 1.0));
        self.baseline().pass(work.saturating_add(pause));
        pause
    }

    /// Row by row, a row costs several times as much, and a smaller batch would only add pauses.
    fn target(&self) -> Duration {
        if self.one_by_one {
            self.pace.target.max(ONE_BY_ONE)
        } else {
            self.pace.target
        }
    }

    fn baseline(&mut self) -> &mut Baseline {
        if self.one_by_one {
            &mut self.baseline_one_by_one
        } else {
            &mut self.baseline
        }
    }

    /// Halves size and share after a failed batch: it may have been too large for a timeout, or the
    /// database too busy.
    pub(crate) fn failed(&mut self) {
        self.shrink(0.0);
        self.set_duty(self.duty / 2.0);
    }

    /// Shrinks the size to this share, but by half at most.
    fn shrink(&mut self, share: f64) {
        self.starting = false;
        self.batch = scaled(self.batch, share.max(0.5)).max(self.pace.min_batch);
    }

    /// Doubles the share without a slowdown, keeps it at the tolerated one, and halves it at twice
    /// that and beyond.
    fn adapt_duty(&mut self, slowdown: f64) {
        let excess = (slowdown - 1.0) / TOLERATED_SLOWDOWN;
        let factor = if excess < 1.0 {
            2.0 - excess
        } else {
            (1.5 - excess / 2.0).max(0.5)
        };
        self.set_duty(self.duty * factor);
    }

    fn set_duty(&mut self, duty: f64) {
        self.duty = duty.clamp(min_duty(&self.pace), max_duty(&self.pace));
    }

    fn pause(&self, work: Duration, urgency: f64) -> Duration {
        let Pace {
            min_pause,
            max_pause,
            ..
        } = self.pace;
        let duty = self.duty.max(urgency);
        let pause = work.as_secs_f64() * (1.0 - duty) / duty;
        let pause = Duration::try_from_secs_f64(pause).unwrap_or(max_pause);
        pause.min(max_pause).max(min_pause.mul_f64(1.0 - urgency))
    }
}

/// Returns the share of the time until the end of a run that has passed; zero after the end.
///
/// A job that works at least this share of the time is at full speed just before the end. Without
/// knowledge of the backlog, an early rise would disturb others for nothing.
pub(crate) fn urgency(elapsed: Duration, available: Duration) -> f64 {
    if elapsed >= available {
        return 0.0;
    }
    elapsed.as_secs_f64() / available.as_secs_f64()
}

fn max_duty(pace: &Pace) -> f64 {
    f64::from(pace.duty_percent.clamp(1, 100)) / 100.0
}

fn min_duty(pace: &Pace) -> f64 {
    let min = f64::from(pace.min_duty_percent.clamp(1, 100)) / 100.0;
    min.min(max_duty(pace))
}

fn scaled(rows: NonZeroU32, factor: f64) -> NonZeroU32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and a factor is not negative"
    )]
    let scaled = (f64::from(rows.get()) * factor) as u32;
    NonZeroU32::new(scaled).unwrap_or(NonZeroU32::MIN)
}

/// Share of the target that a new size aims at, so that the next batch stays below it although a
/// part of its cost does not depend on the size.
const AIM: f64 = 0.75;

/// Largest growth after one batch. The first may be quick because it found less to do.
const MAX_GROWTH: f64 = 8.0;

/// Minimum target of a batch that goes row by row.
const ONE_BY_ONE: Duration = Duration::from_millis(250);

/// Slowdown against the best latency at which the share neither grows nor shrinks. Beside 500
/// requests a second of others, on two cores, batches of 50 rows take 1.1 to 1.3 times the best.
const TOLERATED_SLOWDOWN: f64 = 0.5;

#[cfg(test)]
mod tests;
