//! Gives free workers their next runs, once after each change of a job.

use super::health_check::update_health;
use super::job_state::JobState;
use super::publisher::Publisher;
use super::shared::Shared;
use super::timer::TimerHandle;
use crate::time::Moment;

/// Dispatches queued runs, and gives a degraded job an attempt. Returns the error of an escalation.
pub(super) async fn take_up(
    job: &mut JobState,
    shared: &Shared,
    timer: &TimerHandle,
    publisher: &mut Publisher,
) -> Option<String> {
    let escalation = job.revive(shared, publisher).await;
    dispatch(job, shared, timer, publisher);
    escalation
}

/// Gives a free worker its next run, arms the timer and updates the health, once after each change.
pub(super) fn dispatch(
    job: &mut JobState,
    shared: &Shared,
    timer: &TimerHandle,
    publisher: &mut Publisher,
) {
    let now = shared.now();
    job.start_next(shared, now);
    refresh(job, shared, timer, publisher, now);
}

/// Arms the timer and updates the health.
pub(super) fn refresh(
    job: &mut JobState,
    shared: &Shared,
    timer: &TimerHandle,
    publisher: &mut Publisher,
    now: Moment,
) {
    timer.arm(job, now);
    update_health(job, shared, publisher, now);
}
