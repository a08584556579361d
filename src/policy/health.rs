//! Derives the health of a job from its runs and rows.

use std::time::Duration;

use crate::config::{JobConfig, MAX_HISTORY_WRITE};
use crate::job::OldSnapshot;
use crate::model::{FailingCause, Health, LateCause};
use crate::time::Moment;

/// The facts from which [`health`] follows.
#[derive(Debug, Clone)]
pub(crate) struct HealthInputs<'a> {
    pub(crate) now: Moment,
    pub(crate) late_after: Duration,
    /// Why the worker is not restarted before the cool-down ends.
    pub(crate) degraded: Option<&'a str>,
    /// The failure of the last run of all rows, or of the worker that restarts.
    pub(crate) failure: Option<FailingCause>,
    pub(crate) last_success: Option<Moment>,
    /// When the housekeeper started.
    pub(crate) started: Moment,
    /// Duration of two ticks from the last success on; `None` without ticks.
    pub(crate) two_ticks: Option<Duration>,
    /// How long the oldest row had been due, and the moment of that forecast.
    pub(crate) oldest_overdue: Option<(Duration, Moment)>,
    /// When the planner runs the job next.
    pub(crate) next_run: Option<Moment>,
    pub(crate) paused: bool,
    /// Heartbeat of the run in progress.
    pub(crate) heartbeat: Option<Heartbeat>,
    /// The snapshot that slows down the runs.
    pub(crate) old_snapshot: Option<&'a OldSnapshot>,
}

/// The last sign of life of a run, and the silence that its timeouts allow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heartbeat {
    /// When its worker sent its last message, or was given the run.
    pub(crate) since: Moment,
    pub(crate) step_timeout: Duration,
    /// [`max_silence`] of the job's settings.
    pub(crate) max_silence: Duration,
}

/// Returns the longest silence that the timeouts of a job allow its worker.
///
/// A worker reports when a run begins, after each batch, and when the run ends. Between two reports
/// it takes at most two steps (it opens the run and handles the first batch), or one step and a
/// pause or a write of the history. The sum of all is generous: a false alarm on a busy machine is
/// worse than one that comes some seconds later.
pub(crate) fn max_silence(config: &JobConfig) -> Duration {
    let pause = config.pace.max_pause.max(config.pace.min_pause);
    let steps = config.step_timeout.saturating_mul(2);
    steps
        .saturating_add(pause)
        .saturating_add(MAX_HISTORY_WRITE)
}

/// Returns the worst health that the inputs show.
pub(crate) fn health(inputs: &HealthInputs<'_>) -> Health {
    if let Some(reason) = inputs.degraded {
        let reason = reason.to_owned();
        return Health::Degraded { reason };
    }
    if let Some(cause) = stalled(inputs).or_else(|| inputs.failure.clone()) {
        return Health::Failing { cause };
    }
    overdue_row(inputs)
        .or_else(|| overdue_run(inputs))
        .or_else(|| overdue_success(inputs))
        .or_else(|| slowed_down(inputs))
        .map_or(Health::Healthy, |cause| Health::Late { cause })
}

fn stalled(inputs: &HealthInputs<'_>) -> Option<FailingCause> {
    let heartbeat = inputs.heartbeat?;
    heartbeat
        .is_stalled(inputs.now)
        .then(|| FailingCause::Stalled {
            silent_for: heartbeat.silence(inputs.now),
            step_timeout: heartbeat.step_timeout,
        })
}

impl Heartbeat {
    pub(crate) fn is_stalled(&self, now: Moment) -> bool {
        self.silence(now) > self.max_silence
    }

    fn silence(&self, now: Moment) -> Duration {
        since(now, self.since)
    }
}

fn overdue_row(inputs: &HealthInputs<'_>) -> Option<LateCause> {
    let (age, seen) = inputs.oldest_overdue?;
    let by = age.saturating_add(since(inputs.now, seen));
    (by > inputs.late_after).then_some(LateCause::RowOverdue { by })
}

fn overdue_run(inputs: &HealthInputs<'_>) -> Option<LateCause> {
    if inputs.paused || inputs.heartbeat.is_some() {
        return None;
    }
    let by = since(inputs.now, inputs.next_run?);
    (by > inputs.late_after).then_some(LateCause::RunOverdue { by })
}

fn overdue_success(inputs: &HealthInputs<'_>) -> Option<LateCause> {
    if inputs.paused {
        return None;
    }
    let allowed = inputs.two_ticks?.saturating_add(inputs.late_after);
    let elapsed = since(inputs.now, inputs.last_success.unwrap_or(inputs.started));
    (elapsed > allowed).then_some(LateCause::NoSuccess {
        elapsed,
        completed_before: inputs.last_success.is_some(),
    })
}

fn slowed_down(inputs: &HealthInputs<'_>) -> Option<LateCause> {
    let OldSnapshot { holder, age, .. } = inputs.old_snapshot?;
    Some(LateCause::SlowedDown {
        elapsed: *age,
        holder: holder.clone(),
    })
}

/// Measures by the monotonic clock: a corrected wall clock makes no job late.
fn since(now: Moment, then: Moment) -> Duration {
    now.mono.saturating_sub(then.mono)
}

#[cfg(test)]
mod tests;
