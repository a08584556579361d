//! The page's event: one reader of the housekeeper's events, shared by all streams, and a stream
//! for each page that is open.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use futures_util::stream::{Stream, unfold};
use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::Site;
use super::links::Links;
use super::page::card;
use super::problem::Problem;
use crate::actors::{Delivery, HousekeeperMsg, Subscriber};
use crate::job::JobName;
use crate::model::Event as HousekeeperEvent;

/// Where streams get their frames from.
pub(crate) struct Hub {
    /// The frames, as long as somebody looks.
    frames: Mutex<Weak<watch::Sender<Arc<str>>>>,
    streams: Arc<Semaphore>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            frames: Mutex::default(),
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
        }
    }
}

/// One stream: the newest frame, and then each that differs. A page that is slow misses frames, and
/// costs no memory.
pub(crate) async fn stream(
    State(site): State<Arc<Site>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let permit = site.hub.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| {
        Problem::unavailable(
            "too_many_streams",
            format!("{MOST_STREAMS} pages are looking already"),
        )
    })?;
    // Or a page would wait for event of a housekeeper that is gone.
    site.status().await?;
    let viewer = Viewer {
        frames: site.watch(),
        _permit: permit,
    };
    Ok(Sse::new(unfold(viewer, Viewer::next)))
}

/// Whoever drops it, a browser that went away for example, gives back its links.
struct Viewer {
    frames: watch::Receiver<Arc<str>>,
    _permit: OwnedSemaphorePermit,
}

impl Viewer {
    /// Ends with the reader, and so with the housekeeper.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        self.frames.changed().await.ok()?;
        let frame = self.frames.borrow_and_update().clone();
        Some((Ok(Event::default().data(&*frame)), self))
    }
}

/// What a page is sent. As JSON, which takes line ends inside values along.
#[derive(Serialize)]
struct Frame<'a> {
    /// The cards, with links from the root of the router.
    html: String,
    /// Runs that ended, by job: when it changes, there may be a new line in the history.
    ended: &'a BTreeMap<JobName, u64>,
}

impl Site {
    /// Frames from now on. The first who looks starts the reader.
    fn watch(self: &Arc<Self>) -> watch::Receiver<Arc<str>> {
        let mut frames = self.hub.frames();
        if let Some(frames) = frames.upgrade() {
            let mut receiver = frames.subscribe();
            // The newest frame first. Before the first one there is none to show.
            if !receiver.borrow().is_empty() {
                receiver.mark_changed();
            }
            return receiver;
        }
        let (sender, receiver) = watch::channel(Arc::from(""));
        let sender = Arc::new(sender);
        *frames = Arc::downgrade(&sender);
        tokio::spawn(read(self.clone(), sender));
        receiver
    }
}

impl Hub {
    fn frames(&self) -> MutexGuard<'_, Weak<watch::Sender<Arc<str>>>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody looks any more. Then the next who does starts another reader.
    fn is_left(&self, sender: &watch::Sender<Arc<str>>) -> bool {
        let mut frames = self.frames();
        let left = sender.receiver_count() == 0;
        if left {
            *frames = Weak::new();
        }
        left
    }
}

/// Makes frames as long as somebody looks and the housekeeper lives: one for all that happens
/// within a quarter of a second, and one every five.
async fn read(site: Arc<Site>, sender: Arc<watch::Sender<Arc<str>>>) {
    let (subscriber, mut events) = Subscriber::channel();
    let subscribe = HousekeeperMsg::Subscribe(subscriber.with_buffer(BUFFER));
    // Of one housekeeper: with it the streams end, and those who reconnect begin with the next.
    let Ok(housekeeper) = site.address.housekeeper() else {
        return;
    };
    if housekeeper.cast(subscribe).is_err() {
        return;
    }
    let mut ended = BTreeMap::new();
    while !site.hub.is_left(&sender) {
        // One that does not answer for a moment may the next time; one that is gone has closed the
        // channel.
        if let Ok(status) = site.status().await {
            for job in status.jobs.keys() {
                ended.entry(job.clone()).or_default();
            }
            let html = card::cards(&Links::default(), &status, site.actions).into_string();
            let frame = Frame {
                html,
                ended: &ended,
            };
            if let Ok(frame) = serde_json::to_string(&frame) {
                sender.send_replace(Arc::from(frame));
            }
        }
        let housekeeper_is_gone = tokio::select! {
            gone = next_news(&mut events, &mut ended) => gone,
            () = sender.closed() => false,
        };
        if housekeeper_is_gone {
            return;
        }
    }
}

/// Waits for event, and gathers what comes with it. Returns whether there will be no more.
async fn next_news(
    events: &mut UnboundedReceiver<Delivery>,
    ended: &mut BTreeMap<JobName, u64>,
) -> bool {
    match timeout(LONGEST_SILENCE, events.recv()).await {
        Ok(None) => return true,
        Ok(Some(event)) => note(&event, ended),
        Err(_) => return false,
    }
    sleep(SHORTEST_SILENCE).await;
    while let Ok(event) = events.try_recv() {
        note(&event, ended);
    }
    false
}

fn note(event: &Delivery, ended: &mut BTreeMap<JobName, u64>) {
    if event.missed > 0 {
        // Any job may have ended a run unheard.
        for runs in ended.values_mut() {
            *runs += 1;
        }
    }
    if let HousekeeperEvent::RunFinished(report) = &*event.event {
        if !report.is_quiet() {
            *ended.entry(report.job.clone()).or_default() += 1;
        }
    }
}

/// Pages that can look at the same time.
const MOST_STREAMS: usize = 64;

/// Events that wait for the reader. It reads all of them each time.
const BUFFER: u32 = 256;

/// No more than four frames a second, however much happens.
const SHORTEST_SILENCE: Duration = Duration::from_millis(250);

/// A frame that comes even if nothing happens, so that a page knows that it is not cut off.
const LONGEST_SILENCE: Duration = Duration::from_secs(5);
