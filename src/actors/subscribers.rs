//! Delivers events to those who subscribed.

use std::fmt;
use std::sync::Arc;

use ractor::{ActorId, ActorRef, Message};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::panics::catch_panic;
use crate::metrics::recorder;
use crate::model::Event;

/// An event on its way to one subscriber.
///
/// It holds its places of the subscriber's [buffer](Subscriber::with_buffer) until it is dropped.
/// Keep [`Delivery::event`], not the event.
#[derive(Debug)]
pub struct Delivery {
    /// How many events before this one were not sent, because the buffer was full.
    pub missed: u64,
    /// What happened; shared with the other subscribers.
    pub event: Arc<Event>,
    _places: OwnedSemaphorePermit,
}

/// A subscription to events: of the host's actor, with its own message type, or of a channel.
///
/// Delivery is at most once and in order. A subscriber that is slow costs bounded memory: beyond
/// its buffer events are counted instead of sent, and the next one that is sent says how many were
/// missed.
///
/// # Examples
///
/// ```
/// use ractor_housekeeper::Subscriber;
/// use ractor_housekeeper::actors::Delivery;
///
/// enum HostMsg {
///     Housekeeping(Delivery),
/// }
/// # #[cfg(any())]
/// # impl ractor::Message for HostMsg {}
///
/// fn subscriber(host: &ractor::ActorRef<HostMsg>) -> Subscriber {
///     Subscriber::actor(host, HostMsg::Housekeeping).with_buffer(200)
/// }
/// ```
pub struct Subscriber {
    actor: Option<ActorId>,
    deliver: Box<dyn Fn(Delivery) -> Result<(), Gone> + Send>,
    places: Arc<Semaphore>,
    buffer: u32,
    missed: u64,
}

/// The subscriber is no more.
struct Gone;

impl Subscriber {
    /// Places in the buffer of a subscriber that set no other: a thousand small events, or the ids
    /// of 100,000 rows, about 10 MB.
    pub const DEFAULT_BUFFER: u32 = 1_000;

    /// Tells an actor, until it stops, in the message that `wrap` makes. Subscribing the same actor
    /// again replaces its subscription.
    pub fn actor<M: Message>(
        actor: &ActorRef<M>,
        wrap: impl Fn(Delivery) -> M + Send + 'static,
    ) -> Self {
        let (id, actor) = (actor.get_id(), actor.clone());
        Self::new(Some(id), move |event| {
            actor.cast(wrap(event)).map_err(|_| Gone)
        })
    }

    /// Tells a channel. Dropping the receiver ends the subscription.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Delivery>) {
        // Unbounded only by name: every event in it holds places of the buffer.
        let (sender, receiver) = mpsc::unbounded_channel();
        (
            Self::new(None, move |event| sender.send(event).map_err(|_| Gone)),
            receiver,
        )
    }

    /// Sets how many places the buffer has, instead of [`Subscriber::DEFAULT_BUFFER`]. At least
    /// one.
    ///
    /// An event in flight takes a place, or one for each 100 rows that it names, so that memory is
    /// bounded whatever the batches' size. One that would take more than there are takes all.
    #[must_use]
    pub fn with_buffer(mut self, places: u32) -> Self {
        (self.places, self.buffer) = buffer(places);
        self
    }

    fn new(
        actor: Option<ActorId>,
        deliver: impl Fn(Delivery) -> Result<(), Gone> + Send + 'static,
    ) -> Self {
        let (places, buffer) = buffer(Self::DEFAULT_BUFFER);
        Self {
            actor,
            deliver: Box::new(deliver),
            places,
            buffer,
            missed: 0,
        }
    }

    fn send(&mut self, event: &Arc<Event>) -> Result<(), Gone> {
        let taken = places(event).min(self.buffer);
        let Ok(places) = self.places.clone().try_acquire_many_owned(taken) else {
            self.missed += 1;
            recorder::event_missed();
            return Ok(());
        };
        let delivery = Delivery {
            missed: std::mem::take(&mut self.missed),
            event: event.clone(),
            _places: places,
        };
        catch_panic(|| (self.deliver)(delivery)).unwrap_or_else(|panic| {
            tracing::error!(%panic, "a subscriber panicked and is told no more");
            Err(Gone)
        })
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("actor", &self.actor)
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}

/// An empty buffer, and how many places it has.
fn buffer(places: u32) -> (Arc<Semaphore>, u32) {
    let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
    let places = places.clamp(1, most);
    (Arc::new(Semaphore::new(places as usize)), places)
}

/// All who are told.
#[derive(Debug, Default)]
pub(crate) struct Subscribers(Vec<Subscriber>);

impl Subscribers {
    pub(crate) fn add(&mut self, subscriber: Subscriber) {
        if subscriber.actor.is_some() {
            self.0.retain(|other| other.actor != subscriber.actor);
        }
        self.0.push(subscriber);
    }

    /// Tells everybody, and forgets those that are gone.
    pub(crate) fn emit(&mut self, event: Event) {
        if self.0.is_empty() {
            return;
        }
        let event = Arc::new(event);
        self.0
            .retain_mut(|subscriber| subscriber.send(&event).is_ok());
    }
}

/// Rows that one place of a buffer holds the ids of.
const ROWS_OF_A_PLACE: usize = 100;

/// The places an event takes in a buffer.
fn places(event: &Event) -> u32 {
    let rows = match event {
        Event::BatchCommitted { ids, .. } => ids.len(),
        Event::RunFinished(report) => report.ids.len() + report.rejected.len(),
        _ => 0,
    };
    u32::try_from(rows.div_ceil(ROWS_OF_A_PLACE)).map_or(u32::MAX, |places| places.max(1))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::job::{Counts, RejectedRow, Scope};
    use crate::model::{Report, RunId, Trigger};

    #[test]
    fn a_batch_takes_a_place_for_each_hundred_rows_it_names() {
        let sizes = [0, 1, 100, 101, 5_000];

        let places = sizes.map(|rows| places(&batch_of(rows)));

        assert_eq!(places, [1, 1, 1, 2, 50]);
    }

    #[test]
    fn a_report_takes_places_for_the_rows_it_names_of_either_kind() {
        let aside = RejectedRow {
            id: String::new(),
            error: String::new(),
        };
        let blank = Report::blank(
            "job".into(),
            Scope::All,
            Trigger::Tick,
            DateTime::UNIX_EPOCH,
        );
        let report = Report {
            ids: vec![String::new(); 150],
            rejected: vec![aside; 100],
            ..blank
        };

        assert_eq!(places(&Event::RunFinished(Box::new(report))), 3);
    }

    #[test]
    fn a_subscriber_shows_what_it_missed() {
        let (subscriber, _events) = Subscriber::channel();

        let shown = format!("{subscriber:?}");

        assert!(shown.contains("missed: 0"), "{shown}");
    }

    #[test]
    fn a_batch_that_is_larger_than_the_buffer_is_told_when_nothing_else_is_in_it() {
        let (subscriber, mut events) = Subscriber::channel();
        let mut subscribers = Subscribers(vec![subscriber.with_buffer(3)]);

        subscribers.emit(batch_of(5_000));
        subscribers.emit(batch_of(1));
        let first = events.try_recv().expect("the buffer was empty");
        let second = events.try_recv();
        drop(first);
        subscribers.emit(batch_of(1));
        let third = events.try_recv().expect("the buffer was emptied");

        assert!(second.is_err());
        assert_eq!(third.missed, 1);
    }

    fn batch_of(rows: usize) -> Event {
        Event::BatchCommitted {
            run: RunId::fresh(),
            job: "job".into(),
            counts: Counts::default(),
            ids: vec![String::new(); rows],
        }
    }
}
