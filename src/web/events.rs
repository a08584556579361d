//! Server-sent events: one reader of the housekeeper's events for all streams, and a stream for
//! each page that follows.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::page::triage;
use super::problem::Problem;
use super::seats::{Seat, Seats};
use super::site::Site;
use crate::actors::{Delivery, HousekeeperMsg, Subscriber};
use crate::job::JobName;
use crate::model::Event as HousekeeperEvent;

/// Streams the newest frame, and then each that differs. A slow page misses frames, and costs no
/// memory.
pub(crate) async fn stream(State(site): State<Arc<Site>>) -> Result<Response, Problem> {
    let seat = site.hub.seats.take().ok_or_else(|| {
        let detail = format!("{} pages follow already", Seats::MAX);
        Problem::unavailable("too_many_streams", detail)
    })?;
    // A page must not wait for a housekeeper that is gone.
    site.status().await?;
    let viewer = Viewer {
        frames: site.watch(),
        seat,
    };
    let stream = Sse::new(unfold(viewer, Viewer::next));
    // Proxies must neither keep frames back nor store them.
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let mut response = stream.into_response();
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// A page that follows. Dropping it, as when a browser goes away, frees its seat.
struct Viewer {
    frames: watch::Receiver<Arc<str>>,
    seat: Seat,
}

impl Viewer {
    /// Ends with the housekeeper, or with the seat.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        self.seat.reads();
        tokio::select! {
            biased;
            () = self.seat.ended() => return None,
            changed = self.frames.changed() => changed.ok()?,
        }
        let frame = self.frames.borrow_and_update().clone();
        self.seat.writes();
        Some((Ok(Event::default().data(&*frame)), self))
    }
}

/// The message to a page, as JSON, whose strings may hold line ends.
#[derive(Serialize)]
struct Frame<'a> {
    /// The cards, with links from the root of the router.
    html: String,
    /// Runs that ended, by job: when it changes, there may be a new line in the history.
    ended: &'a BTreeMap<JobName, u64>,
}

impl Site {
    /// Returns the frames from now on. The first stream starts the reader.
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

/// Renders frames while a stream is open and the housekeeper lives: one for all events within a
/// quarter of a second, and one every five.
async fn read(site: Arc<Site>, sender: Arc<watch::Sender<Arc<str>>>) {
    let (subscriber, mut events) = Subscriber::channel();
    let subscribe = HousekeeperMsg::Subscribe(subscriber.with_buffer(BUFFER));
    // The streams end with this housekeeper; pages that reconnect follow the next one.
    let Ok(housekeeper) = site.address.housekeeper() else {
        return;
    };
    if housekeeper.cast(subscribe).is_err() {
        return;
    }
    let mut ended = BTreeMap::new();
    while !site.hub.is_left(&sender) {
        // A housekeeper that is silent for a moment may answer the next time; one that is gone has
        // closed the channel.
        if let Ok(status) = site.status().await {
            for job in status.jobs.keys() {
                ended.entry(job.clone()).or_default();
            }
            let shows = site.shows(&status, None);
            let html = triage::frame(&status, shows).into_string();
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

/// Waits for an event, and gathers those that follow it. Returns whether no more will come.
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
        // A run of any job may have ended among them.
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

/// Events that wait for the reader. It reads all of them each time.
const BUFFER: u32 = 256;

/// No more than four frames a second, however much happens.
const SHORTEST_SILENCE: Duration = Duration::from_millis(250);

/// A frame that comes even if nothing happens, so that a page knows that it is not cut off.
const LONGEST_SILENCE: Duration = Duration::from_secs(5);
