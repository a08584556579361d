//! Seats of the streams: how many pages follow at a time, and which of them give way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The streams that are open.
#[derive(Default)]
pub(crate) struct Seats(Mutex<Vec<Arc<Place>>>);

/// A stream, as the others see it.
struct Place {
    opened: Instant,
    /// Since when the server has waited for the client to take a frame.
    writing: Mutex<Option<Instant>>,
    taken_away: Notify,
}

/// The seat of one stream. Dropping it frees the seat.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    place: Arc<Place>,
}

impl Seats {
    /// Returns a seat. Streams that take no frames lose theirs. Once all seats are taken, the
    /// stream that has had its seat for longest gives way if that is longer than [`MIN_STAY`]: a
    /// client whose buffers are large may read nothing for long, and a page that is alive
    /// reconnects.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Seat> {
        let mut places = self.places();
        if places.len() >= Self::MAX {
            let oldest = places
                .first()
                .filter(|place| place.opened.elapsed() >= MIN_STAY)?;
            oldest.taken_away.notify_one();
            places.remove(0);
        }
        let place = Arc::new(Place {
            opened: Instant::now(),
            writing: Mutex::default(),
            taken_away: Notify::new(),
        });
        places.push(place.clone());
        Some(Seat {
            seats: self.clone(),
            place,
        })
    }

    pub(crate) fn are_empty(&self) -> bool {
        self.places().is_empty()
    }

    /// The seats, without those of streams that take no frames.
    fn places(&self) -> MutexGuard<'_, Vec<Arc<Place>>> {
        let mut places = lock(&self.0);
        places.retain(|place| {
            let stalled = place.is_stalled();
            if stalled {
                place.taken_away.notify_one();
            }
            !stalled
        });
        places
    }

    /// Pages that follow at the same time.
    pub(crate) const MAX: usize = 64;
}

impl Place {
    fn is_stalled(&self) -> bool {
        lock(&self.writing).is_some_and(|since| since.elapsed() >= WRITE_TIMEOUT)
    }
}

impl Seat {
    /// Notes that the client took the frame before.
    pub(crate) fn reads(&self) {
        *lock(&self.place.writing) = None;
    }

    /// Notes that a frame is on its way to the client.
    pub(crate) fn writes(&self) {
        *lock(&self.place.writing) = Some(Instant::now());
    }

    /// Returns once the stream must end: its seat is taken away, or it has lasted [`MAX_STAY`].
    pub(crate) async fn ended(&self) {
        tokio::select! {
            () = self.place.taken_away.notified() => self.place.taken_away.notify_one(),
            () = sleep_until(self.place.opened + MAX_STAY) => {}
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.seats.0).retain(|place| !Arc::ptr_eq(place, &self.place));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream ends after this long. The page reconnects, and the host's authentication sees it again.
const MAX_STAY: Duration = Duration::from_secs(15 * 60);

/// A stream keeps its seat for this long, however many others want one.
const MIN_STAY: Duration = Duration::from_secs(60);

/// Longest time that a client takes for a frame. Frames come every five seconds at least.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
