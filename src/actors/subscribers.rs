//! Delivers events to those who subscribed.

use std::fmt;
use std::sync::Arc;

use ractor::{ActorId, ActorRef, Message};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::panics::catch_panic;
use crate::fmt::log_line;
use crate::metrics::recorder;
use crate::model::Event;

/// An event for one subscriber.
///
/// It occupies the subscriber's [buffer](Subscriber::with_buffer) until it is dropped. To keep an
/// event, keep [`Delivery::event`] and drop the delivery.
#[derive(Debug)]
pub struct Delivery {
    /// Number of events before this one that were dropped because the buffer was full.
    pub missed: u64,
    /// The event, shared with other subscribers.
    pub event: Arc<Event>,
    _places: OwnedSemaphorePermit,
}

/// A subscription to events, by an actor of the host or by a channel.
///
/// Delivery is at most once and in order. A slow subscriber costs bounded memory: while its buffer
/// is full, events are dropped and counted, and the next delivery has the count.
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

/// The subscriber has stopped.
struct Gone;

impl Subscriber {
    /// Default size of the buffer: a thousand small events, or the ids of 100,000 rows, about 10
    /// MB.
    pub const DEFAULT_BUFFER: u32 = 1_000;

    /// Subscribes an actor until it stops; `wrap` turns an event into its message. Subscribing the
    /// same actor again replaces its subscription.
    pub fn actor<M: Message>(
        actor: &ActorRef<M>,
        wrap: impl Fn(Delivery) -> M + Send + 'static,
    ) -> Self {
        let (id, actor) = (actor.get_id(), actor.clone());
        Self::new(Some(id), move |event| {
            actor.cast(wrap(event)).map_err(|_| Gone)
        })
    }

    /// Subscribes a channel. Dropping the receiver ends the subscription.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Delivery>) {
        // The buffer bounds the channel: every event in it occupies places.
        let (sender, receiver) = mpsc::unbounded_channel();
        (
            Self::new(None, move |event| sender.send(event).map_err(|_| Gone)),
            receiver,
        )
    }

    /// Sets the size of the buffer, at least one place. Default: [`Subscriber::DEFAULT_BUFFER`].
    ///
    /// An event occupies one place per 100 rows that it names, at least one, so that memory is
    /// bounded for any size of batches. An event of more places than the buffer has occupies all.
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
            tracing::error!(panic = %log_line(&panic), "a subscriber panicked and is unsubscribed");
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

/// Creates an empty buffer, and returns its number of places.
fn buffer(places: u32) -> (Arc<Semaphore>, u32) {
    let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
    let places = places.clamp(1, most);
    (Arc::new(Semaphore::new(places as usize)), places)
}

/// The subscribers of a housekeeper.
#[derive(Debug, Default)]
pub(crate) struct Subscribers(Vec<Subscriber>);

impl Subscribers {
    pub(crate) fn add(&mut self, subscriber: Subscriber) {
        if subscriber.actor.is_some() {
            self.0.retain(|other| other.actor != subscriber.actor);
        }
        self.0.push(subscriber);
    }

    /// Emits an event, and drops subscribers that have stopped.
    pub(crate) fn emit(&mut self, event: Event) {
        if self.0.is_empty() {
            return;
        }
        let event = Arc::new(event);
        self.0
            .retain_mut(|subscriber| subscriber.send(&event).is_ok());
    }
}

/// Ids of rows per place of a buffer.
const ROWS_OF_A_PLACE: usize = 100;

/// Returns the places that an event occupies.
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
    fn a_batch_takes_a_place_per_hundred_rows() {
        let sizes = [0, 1, 100, 101, 5_000];

        let places = sizes.map(|rows| places(&batch_of(rows)));

        assert_eq!(places, [1, 1, 1, 2, 50]);
    }

    #[test]
    fn a_report_takes_places_for_all_rows_it_names() {
        let rejected = RejectedRow {
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
            rejected: vec![rejected; 100],
            ..blank
        };

        assert_eq!(places(&Event::RunFinished(Box::new(report))), 3);
    }

    #[test]
    fn a_subscriber_shows_its_missed_events() {
        let (subscriber, _events) = Subscriber::channel();

        let shown = format!("{subscriber:?}");

        assert!(shown.contains("missed: 0"), "{shown}");
    }

    #[test]
    fn a_batch_larger_than_the_buffer_is_sent_when_it_is_empty() {
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
