//! Guests who follow the runs closely: each write comes when the front of the runs is near its row.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ractor_housekeeper::job::JobError;
use ractor_housekeeper::testing::{Answer, Call, FaultyJob, JobHook, Step};
use ractor_housekeeper::{Job, Scope};
use tokio::sync::watch;

/// The row in a given place of the order in which rows are handled.
pub(crate) fn id(row: usize) -> String {
    format!("{row:06}")
}

/// The place of a row.
pub(crate) fn place(id: &str) -> usize {
    id.parse().unwrap_or_default()
}

/// Acts of guests, each once the runs have come to its place; and runs that wait for guests who lag
/// behind.
pub(crate) struct PacedWrites<A> {
    guests: [Vec<(usize, A)>; GUESTS],
    front: watch::Sender<usize>,
    acted: watch::Sender<usize>,
}

impl<A: Copy + Send + Sync + 'static> PacedWrites<A> {
    /// Each act with the place at which the front of the runs sets it off. All acts on one row are
    /// of one guest, and so in this order.
    pub(crate) fn new(acts: Vec<(usize, A)>, row: impl Fn(A) -> usize) -> Arc<Self> {
        let mut guests: [Vec<(usize, A)>; GUESTS] = Default::default();
        for (place, act) in acts {
            guests[row(act) / GUESTS % GUESTS].push((place, act));
        }
        for acts in &mut guests {
            acts.sort_by_key(|(place, _)| *place);
        }
        Arc::new(Self {
            guests,
            front: watch::Sender::new(0),
            acted: watch::Sender::new(0),
        })
    }

    /// The act of a guest after so many, at most `most` of them, when the runs have come to the
    /// last. In the end, nothing.
    pub(crate) async fn next(&self, guest: usize, after: usize, most: usize) -> &[(usize, A)] {
        let acts = &self.guests[guest][after..];
        let acts = &acts[..most.min(acts.len())];
        if let Some((place, _)) = acts.last() {
            let mut front = self.front.subscribe();
            // It cannot be closed: the sender is ours.
            let _ = front.wait_for(|front| front >= place).await;
        }
        acts
    }

    pub(crate) fn acted(&self, acts: usize) {
        self.acted.send_modify(|acted| *acted += acts);
    }

    /// Returns whether all work is done.
    pub(crate) fn is_over(&self) -> bool {
        *self.acted.borrow() == self.acts_up_to(usize::MAX)
    }

    fn acts_up_to(&self, front: usize) -> usize {
        let guests = self.guests.iter();
        guests
            .map(|acts| acts.partition_point(|(place, _)| *place <= front))
            .sum()
    }

    fn advance_to(&self, place: usize) {
        self.front.send_if_modified(|front| {
            let ahead = place > *front;
            *front = place.max(*front);
            ahead
        });
    }

    /// Lets the runs go on only when few acts are late, so that they race and do not run away.
    async fn wait_for_guests(&self) {
        let front = *self.front.borrow();
        let due = self.acts_up_to(front);
        let mut acted = self.acted.subscribe();
        let _ = acted.wait_for(|acted| acted + CLOSE >= due).await;
    }
}

/// Makes the runs of a job wait for guests who lag behind.
pub(crate) struct PacedRuns<A> {
    paced_writes: Arc<PacedWrites<A>>,
}

impl<A: Copy + Send + Sync + 'static> PacedRuns<A> {
    pub(crate) fn around(job: impl Job, paced_writes: Arc<PacedWrites<A>>) -> Arc<dyn Job> {
        let hook = Self { paced_writes };
        Arc::new(FaultyJob::with_hook(Arc::new(job), hook))
    }
}

#[async_trait]
impl<A: Copy + Send + Sync + 'static> JobHook for PacedRuns<A> {
    async fn before(&self, call: &Call<'_>) -> Result<(), JobError> {
        if call.step() == Step::Batch {
            self.paced_writes.wait_for_guests().await;
        }
        Ok(())
    }

    async fn after(&self, call: &Call<'_>, answer: &Answer<'_>) -> Result<(), JobError> {
        match (call, answer) {
            // A run for one user is ahead of the others.
            (Call::Batch(request), Answer::Batch(batch)) if request.scope == Scope::All => {
                let front = batch.ids.iter().map(|id| place(id)).max();
                self.paced_writes.advance_to(front.unwrap_or(0));
            }
            // Without a row that is due, or will be within the test, the front cannot advance.
            (_, Answer::Forecast(forecast)) if forecast.next_due.is_none_or(|wait| wait > LONG) => {
                self.paced_writes.advance_to(usize::MAX);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Guests at a time.
pub(crate) const GUESTS: usize = 4;

/// Writes that may be late while the runs go on: some batches' worth, so that both are always at
/// work.
const CLOSE: usize = 40;

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(10 * 60);
