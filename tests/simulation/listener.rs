//! A subscriber of a channel, which may be slow: in order, at most once, with the number of events
//! it missed.

use std::sync::Arc;

use ractor_housekeeper::actors::Delivery;
use ractor_housekeeper::model::Event;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::replica::Replica;

pub(crate) struct Listener {
    pub(crate) replica: usize,
    events: UnboundedReceiver<Delivery>,
    /// How many it reads at a time; a slow one is behind for ever.
    appetite: usize,
    /// Where in the replica's event it is; `None` before the first.
    place: Option<usize>,
}

impl Listener {
    pub(crate) fn new(
        replica: usize,
        events: UnboundedReceiver<Delivery>,
        appetite: usize,
    ) -> Self {
        Self {
            replica,
            events,
            appetite,
            place: None,
        }
    }

    /// Reads some events. Returns what is wrong with them.
    pub(crate) fn compare(&mut self, replica: &Replica) -> Option<String> {
        let events = replica.event_log.events();
        for _ in 0..self.appetite {
            let Ok(event) = self.events.try_recv() else {
                break;
            };
            let missed = usize::try_from(event.missed).expect("a few");
            let place = match self.place {
                Some(place) => Some(place + missed),
                None => find(&events.event, &event.event),
            };
            let emitted = place.and_then(|place| events.event.get(place));
            if !emitted.is_some_and(|emitted| Arc::ptr_eq(emitted, &event.event)) {
                return Some(format!(
                    "a listener was emitted {:?} out of turn",
                    event.event
                ));
            }
            self.place = place.map(|place| place + 1);
        }
        None
    }
}

fn find(event: &[Arc<Event>], wanted: &Arc<Event>) -> Option<usize> {
    event.iter().position(|event| Arc::ptr_eq(event, wanted))
}
