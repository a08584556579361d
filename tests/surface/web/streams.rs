//! Server-sent events.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures_util::StreamExt;
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::testing::{Fault, Step};
use ractor_housekeeper::{HousekeeperMsg, Scope};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::support::host::seconds;
use crate::web::visitor::{Visitor, host};

#[tokio::test(start_paused = true)]
async fn a_stream_begins_with_the_cards_and_shows_a_run() {
    let host = host().await;
    let mut stream = open(&Visitor::actor(&host)).await;

    let first = next(&mut stream).await.expect("a frame");
    host.add_overdue(3);
    host.run_now(Scope::All).await.expect("a report");
    let second = loop {
        let frame = next(&mut stream).await.expect("a frame");
        if frame["ended"]["booking-expirer"] == 1 {
            break frame;
        }
    };

    let html = |frame: &Value| frame["html"].as_str().expect("is text").to_owned();
    assert!(html(&first).contains("none yet"));
    assert!(html(&second).contains("3 bookings · "));
    // Links begin at the root of the router; the script knows the way there.
    assert!(html(&second).contains("href=\"jobs/booking-expirer\""));
}

#[tokio::test(start_paused = true)]
async fn a_later_page_does_not_wait_for_an_event() {
    let host = host().await;
    let visitor = Visitor::reader(&host);
    let mut first = open(&visitor).await;
    next(&mut first).await.expect("a frame");
    let before = Instant::now();

    let mut second = open(&visitor).await;
    next(&mut second).await.expect("a frame");

    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn frames_come_at_most_four_times_a_second_and_within_five() {
    let host = host().await;
    let mut stream = open(&Visitor::reader(&host)).await;
    next(&mut stream).await.expect("a frame");
    let began = Instant::now();

    next(&mut stream).await.expect("a frame");
    let quiet = began.elapsed();
    let began = Instant::now();
    let mut frames = 0;
    while began.elapsed() < seconds(10) {
        host.add_overdue(1);
        host.run_now(Scope::All).await.expect("a report");
        while let Ok(frame) = timeout(Duration::from_millis(10), next(&mut stream)).await {
            frame.expect("a frame");
            frames += 1;
        }
    }

    assert_eq!(quiet, seconds(5));
    assert!(
        (30..=41).contains(&frames),
        "{frames} frames in ten seconds"
    );
}

#[tokio::test(start_paused = true)]
async fn after_missed_events_every_history_is_read_again() {
    let host = host().await;
    let mut stream = open(&Visitor::reader(&host)).await;
    next(&mut stream).await.expect("a frame");

    // More batches than wait for the reader, so that the end of the run is missed.
    host.add_overdue(800);
    host.run_now(Scope::All).await.expect("a report");
    let recorded = async {
        loop {
            // The next event has the number of missed ones.
            host.ask(|reply| HousekeeperMsg::Pause(BookingExpirer::NAME, reply))
                .await
                .expect("the job is there");
            host.ask(|reply| HousekeeperMsg::Resume(BookingExpirer::NAME, reply))
                .await
                .expect("the job is there");
            let frame = next(&mut stream).await.expect("a frame");
            if frame["ended"]["session-cleaner"].as_u64() > Some(0) {
                return frame;
            }
        }
    };
    let frame = timeout(seconds(60), recorded)
        .await
        .expect("a frame that tells");

    assert!(
        frame["ended"]["booking-expirer"].as_u64() > Some(0),
        "{frame}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_line_end_in_an_error_does_not_break_a_frame() {
    let host = host().await;
    let error = "two\r\n\r\nlines\rand\nmore".to_owned();
    host.faults.always(Step::BeginRun, Fault::Fail(error));
    host.run_now(Scope::All).await.expect("a report");

    let frame = next(&mut open(&Visitor::reader(&host)).await).await;

    let html = frame.expect("a frame")["html"].as_str().map(str::to_owned);
    assert!(
        html.expect("is text")
            .contains("two\\r\n\\r\nlines\\rand\nmore")
    );
}

#[tokio::test(start_paused = true)]
async fn streams_end_with_the_housekeeper() {
    let host = host().await;
    let mut stream = open(&Visitor::reader(&host)).await;
    next(&mut stream).await.expect("a frame");

    host.ask(|reply| HousekeeperMsg::Shutdown(seconds(1), reply))
        .await;
    let end = timeout(seconds(60), async {
        while next(&mut stream).await.is_some() {}
    });

    end.await.expect("the stream ends");
}

#[tokio::test(start_paused = true)]
async fn a_closed_page_frees_its_stream() {
    let host = host().await;
    let visitor = Visitor::reader(&host);
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(open(&visitor).await);
    }

    let refused = visitor.get("/events").await;
    streams.pop();
    let mut again = open(&visitor).await;

    assert_eq!(
        (refused.status.as_u16(), refused.problem().as_str()),
        (503, "too_many_streams")
    );
    assert_eq!(refused.header("retry-after"), "5");
    assert!(next(&mut again).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_page_that_reads_nothing_loses_its_stream_to_another() {
    let host = host().await;
    let visitor = Visitor::reader(&host);
    let mut streams = Vec::new();
    for _ in 0..64 {
        let mut stream = open(&visitor).await;
        // The first frame is on its way, and no more is asked for.
        next(&mut stream).await.expect("a frame");
        streams.push(stream);
    }

    let refused = visitor.get("/events").await;
    tokio::time::sleep(seconds(31)).await;
    let mut another = open(&visitor).await;

    assert_eq!(refused.problem(), "too_many_streams");
    assert!(next(&mut another).await.is_some());
    assert!(next(&mut streams[0]).await.is_none(), "its seat is gone");
}

#[tokio::test(start_paused = true)]
async fn the_oldest_of_too_many_pages_gives_way_after_a_minute() {
    let host = host().await;
    let visitor = Visitor::reader(&host);
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(open(&visitor).await);
    }
    let alive = async |streams: &mut Vec<BodyDataStream>, time| {
        let until = Instant::now() + time;
        while Instant::now() < until {
            for stream in &mut *streams {
                next(stream).await.expect("a frame");
            }
        }
    };

    alive(&mut streams, seconds(50)).await;
    let early = visitor.get("/events").await;
    alive(&mut streams, seconds(15)).await;
    let mut late = open(&visitor).await;

    assert_eq!(early.problem(), "too_many_streams");
    assert!(next(&mut late).await.is_some());
    assert!(next(&mut streams[0]).await.is_none());
    assert!(next(&mut streams[1]).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_after_a_quarter_of_an_hour() {
    let host = host().await;
    let mut stream = open(&Visitor::reader(&host)).await;
    let opened = Instant::now();

    while next(&mut stream).await.is_some() {}

    assert_eq!(opened.elapsed(), seconds(15 * 60));
}

#[tokio::test(start_paused = true)]
async fn closed_pages_leave_nothing_behind() {
    let host = host().await;
    let visitor = Visitor::reader(&host);
    let alive = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = alive();

    for _ in 0..100 {
        let mut stream = open(&visitor).await;
        next(&mut stream).await.expect("a frame");
    }
    // The reader sees that it is left at once, and is gone before the clock moves.
    tokio::time::sleep(Duration::from_secs(1)).await;

    assert_eq!(alive(), before);
}

pub(crate) async fn open(visitor: &Visitor) -> BodyDataStream {
    let request = Request::get("/events")
        .body(Body::empty())
        .expect("can be sent");
    let response = visitor.request(request).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    response.into_body().into_data_stream()
}

/// The next frame; `None` at the end.
pub(crate) async fn next(stream: &mut BodyDataStream) -> Option<Value> {
    let chunk = stream.next().await?.expect("no error");
    let text = std::str::from_utf8(&chunk).expect("is text");
    let data = text
        .strip_prefix("data: ")
        .and_then(|rest| rest.strip_suffix("\n\n"));
    Some(serde_json::from_str(data.expect("one line of data")).expect("is JSON"))
}
