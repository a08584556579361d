//! When a courier polls the outbox for due entries.

use std::time::Duration;

use tokio::time::Instant;

/// When a courier polls the outbox for due entries.
#[derive(Debug, Default)]
pub(super) struct PollTimes {
    /// Whether there may be due entries.
    woken: bool,
    next_due: Option<Instant>,
    last: Option<Instant>,
    /// Until then nothing is claimed.
    blocked: Option<Instant>,
}

impl PollTimes {
    /// Notes that there may be due entries.
    pub(super) fn wake(&mut self) {
        self.woken = true;
    }

    pub(super) fn is_woken(&self) -> bool {
        self.woken
    }

    /// Claims nothing for a while, and polls then.
    pub(super) fn block(&mut self, wait: Duration) {
        self.blocked = Some(Instant::now() + wait);
    }

    /// Notes a poll, and when the next entry is due, as the database knows it.
    pub(super) fn polled(&mut self, next_due: Option<Instant>) {
        self.next_due = next_due;
        self.last = Some(Instant::now());
    }

    /// Notes an entry that is due after this wait.
    pub(super) fn due_after(&mut self, wait: Duration) {
        let at = Instant::now() + wait;
        self.next_due = Some(self.next_due.map_or(at, |next| next.min(at)));
    }

    /// Returns whether to poll now, and takes that poll.
    pub(super) fn take(&mut self) -> bool {
        let now = Instant::now();
        self.blocked = self.blocked.filter(|until| *until > now);
        self.blocked.is_none() && std::mem::take(&mut self.woken)
    }

    /// Returns whether to poll now, woken or not; then that poll is taken.
    pub(super) fn take_due(&mut self, poll_interval: Duration) -> bool {
        let now = Instant::now();
        let is_over = |until: Option<Instant>| until.is_some_and(|until| until <= now);
        if is_over(self.next_due) || is_over(self.last.map(|last| last + poll_interval)) {
            self.wake();
        }
        self.take()
    }

    /// Returns the wait before the next poll. `jitter` lies between 0 and 1.
    pub(super) fn wait(&self, poll_interval: Duration, jitter: f64) -> Duration {
        let now = Instant::now();
        if let Some(until) = self.blocked {
            return until.saturating_duration_since(now).max(MIN_SLEEP);
        }
        // Replicas that polled together drift apart.
        let longest = poll_interval.mul_f64(0.9 + jitter / 10.0);
        let due = self.next_due.map(|due| due.saturating_duration_since(now));
        due.map_or(longest, |due| due.min(longest)).max(MIN_SLEEP)
    }
}

/// Shortest time between two polls that no commit asks for.
const MIN_SLEEP: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_poll_is_taken_once_and_not_while_blocked() {
        let mut polls = PollTimes::default();

        assert!(!polls.take());
        polls.wake();
        polls.block(EVERY);
        assert!(!polls.take());
        assert_eq!(polls.wait(EVERY, 1.0), EVERY);
        tokio::time::advance(EVERY).await;
        assert!(polls.take());
        assert!(!polls.take());
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_due_entry_or_the_poll_ends_the_wait() {
        let mut polls = PollTimes::default();

        let idle = [0.0, 1.0].map(|jitter| polls.wait(EVERY, jitter).as_millis());
        polls.due_after(Duration::from_secs(3));
        polls.due_after(Duration::from_secs(4));
        let due = polls.wait(EVERY, 0.0);
        tokio::time::advance(EVERY).await;

        assert_eq!(idle, [4_500, 5_000]);
        assert_eq!(due.as_secs(), 3);
        assert_eq!(polls.wait(EVERY, 0.0), MIN_SLEEP);
    }
}
