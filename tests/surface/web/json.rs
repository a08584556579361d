//! Answers as JSON.

use chrono::TimeDelta;
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::job::Preview;
use ractor_housekeeper::model::{History, HistorySource, JobStatus};
use ractor_housekeeper::testing::{Fault, Step};
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{HousekeeperMsg, Scope, Status};
use uuid::Uuid;

use crate::web::visitor::{Visitor, host};

#[tokio::test(start_paused = true)]
async fn the_status_equals_that_of_the_message() {
    let host = host().await;

    let answer = Visitor::reader(&host).get("/api/v1/status").await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    let status: Status = serde_json::from_str(&answer.body).expect("is a status");
    assert!(status.is_running());
    assert_eq!(status.jobs.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_status_of_one_job_is_found_by_its_name() {
    let host = host().await;

    let answer = Visitor::reader(&host)
        .get("/api/v1/jobs/session-cleaner")
        .await;

    let job: JobStatus = serde_json::from_str(&answer.body).expect("is the status of a job");
    assert_eq!(job.job, SessionCleaner::NAME);
}

#[tokio::test(start_paused = true)]
async fn the_history_has_the_newest_runs_up_to_the_limit() {
    let host = host().await;
    for _ in 0..3 {
        host.add_overdue(1);
        host.run_now(Scope::All).await.expect("a report");
    }
    let visitor = Visitor::reader(&host);

    let whole = visitor.get("/api/v1/jobs/booking-expirer/history").await;
    let short = visitor
        .get("/api/v1/jobs/booking-expirer/history?limit=2")
        .await;

    let read = |body: &str| serde_json::from_str::<History>(body).expect("is a history");
    let (whole, short) = (read(&whole.body), read(&short.body));
    assert_eq!(whole.source, HistorySource::Database);
    assert_eq!(whole.runs.len(), 3);
    assert_eq!(short.runs, whole.runs[..2]);
}

#[tokio::test(start_paused = true)]
async fn the_pages_of_a_history_keep_to_its_range_and_outcome() {
    let host = host().await;
    // Paused, a job retries nothing.
    let pause = |reply| HousekeeperMsg::Pause(BookingExpirer::NAME, reply);
    host.ask(pause).await.expect("the job is there");
    for hour in 0..7 {
        host.add_overdue(1);
        if hour % 2 == 1 {
            let error = Fault::Fail(format!("is away at {hour}"));
            host.faults.once(Step::Forecast, 1, error);
        }
        host.run_now(Scope::All).await.expect("a report");
        host.clock.advance_wall(TimeDelta::hours(1));
    }
    let visitor = Visitor::reader(&host);
    // Runs start at 12:00 and each hour later; those at odd hours fail.
    let table = [
        ("", 7),
        ("outcome=failed", 3),
        ("outcome=failed,completed", 7),
        ("outcome=crashed", 0),
        ("from=2026-01-10T13:00:00Z", 6),
        (
            "from=2026-01-10T14:00:00%2B01:00&until=2026-01-10T15:00:00Z",
            2,
        ),
        (
            "from=2026-01-10T13:00:00Z&until=2026-01-10T16:00:00Z&outcome=failed",
            2,
        ),
        ("from=2026-01-11", 0),
        ("until=2026-01-11", 7),
    ];

    for (query, expected) in table {
        let path = format!("/api/v1/jobs/booking-expirer/history?{query}&limit=");
        let whole = visitor.get(&format!("{path}50")).await.json();
        let mut paged = Vec::new();
        let mut after = String::new();
        loop {
            let page = visitor.get(&format!("{path}1{after}")).await.json();
            paged.extend(page["runs"].as_array().expect("runs").clone());
            let Some(next) = page["next"].as_str() else {
                break;
            };
            after = format!("&after={next}");
        }
        assert_eq!(whole["runs"].as_array(), Some(&paged), "{query}");
        let starts: Vec<_> = paged
            .iter()
            .map(|run| &run["report"]["started_at"])
            .collect();
        assert_eq!(starts.len(), expected, "{query}: {starts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_pages_of_a_preview_hold_each_row_once() {
    let host = host().await;
    host.add_overdue(5);
    let visitor = Visitor::reader(&host);
    let mut ids = Vec::new();
    let mut after = String::new();

    loop {
        let path = format!("/api/v1/jobs/booking-expirer/preview?size=2{after}");
        let answer = visitor.get(&path).await;
        let page: Preview = serde_json::from_str(&answer.body).expect("is a preview");
        assert_eq!(page.due.count, 5);
        ids.extend(page.rows.into_iter().map(|row| row.id));
        let Some(next) = page.next else { break };
        let since = next.since().to_rfc3339().replace('+', "%2B");
        after = format!("&after_since={since}&after_id={}", next.id());
    }

    assert_eq!(ids, ["b000", "b001", "b002", "b003", "b004"]);
}

#[tokio::test(start_paused = true)]
async fn a_preview_may_be_of_one_user() {
    let host = host().await;
    let (made, user) = (host.clock.now() - TimeDelta::hours(1), Uuid::from_u128(7));
    let booking =
        |id: &str, user| ractor_housekeeper::testing::MemoryBooking::pending(id, user, made);
    host.store.add_booking(booking("mine", user));
    host.store.add_booking(booking("other", Uuid::nil()));

    let path = format!("/api/v1/jobs/booking-expirer/preview?user={user}");
    let answer = Visitor::reader(&host).get(&path).await;

    let preview: Preview = serde_json::from_str(&answer.body).expect("is a preview");
    assert_eq!(preview.scope, Scope::user(user));
    assert_eq!(preview.rows.len(), 1);
    assert_eq!(preview.rows[0].id, "mine");
}
