//! Waits for events instead of sleeping.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::actors::Delivery;
use crate::model::{Event, Report};

/// Waits for the next `wanted` event of a [channel](crate::Subscriber::channel), and skips the
/// events before it.
///
/// # Panics
///
/// Panics after an hour of tokio's time, or when the channel closes, and names the skipped events.
///
/// # Examples
///
/// ```
/// use ractor_housekeeper::testing::next_event;
/// use ractor_housekeeper::{HousekeeperArguments, HousekeeperMsg, Subscriber, start};
/// use ractor_housekeeper::actors::ignore_reply;
/// use ractor_housekeeper::model::Event;
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let housekeeper = start(None, HousekeeperArguments::new(Vec::new())).await?.housekeeper;
/// let (subscriber, mut events) = Subscriber::channel();
/// housekeeper.cast(HousekeeperMsg::Subscribe(subscriber))?;
/// housekeeper.cast(HousekeeperMsg::Shutdown(Duration::ZERO, ignore_reply()))?;
///
/// let event = next_event(&mut events, |event| matches!(event, Event::ShuttingDown)).await;
///
/// assert_eq!(*event, Event::ShuttingDown);
/// # Ok(())
/// # }
/// ```
pub async fn next_event(
    events: &mut UnboundedReceiver<Delivery>,
    mut wanted: impl FnMut(&Event) -> bool,
) -> Arc<Event> {
    let mut skipped = Vec::new();
    let search = async {
        while let Some(event) = events.recv().await {
            if wanted(&event.event) {
                return Some(event.event);
            }
            skipped.push(event.event);
        }
        None
    };
    let found = timeout(TIMEOUT, search).await;
    if let Ok(Some(event)) = found {
        return event;
    }
    let why = found.map_or(
        "did not come within an hour",
        |_| "cannot come, since the channel closed",
    );
    panic!("the wanted event {why}, but these did: {skipped:#?}")
}

/// Waits for the next `wanted` report of a [channel](crate::Subscriber::channel), and skips the
/// events before it.
///
/// # Panics
///
/// Panics as [`next_event`] does.
pub async fn next_report(
    events: &mut UnboundedReceiver<Delivery>,
    mut wanted: impl FnMut(&Report) -> bool,
) -> Report {
    let is_wanted = |event: &Event| matches!(event, Event::RunFinished(report) if wanted(report));
    match &*next_event(events, is_wanted).await {
        Event::RunFinished(report) => Report::clone(report),
        other => unreachable!("{other:?} is not a report"),
    }
}

const TIMEOUT: Duration = Duration::from_secs(60 * 60);
