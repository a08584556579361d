//! The cases of the suite.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ractor_housekeeper::job::{Batch, BatchRequest, BoundedCount, Cursor, Page};
use ractor_housekeeper::model::{HistoryCursor, HistoryQuery, OutcomeKind, RunRecord, StoreError};
use ractor_housekeeper::testing::MemoryBooking;
use ractor_housekeeper::{JobName, Outcome, Scope};
use serde_json::json;

use crate::TestResult;
use crate::world::{StoreUnderTest, micro, now, user};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const QUARTER: Duration = Duration::from_secs(15 * 60);

fn session_cutoff() -> DateTime<Utc> {
    now() - DAY
}

fn booking_cutoff() -> DateTime<Utc> {
    now() - QUARTER
}

pub(crate) fn request(cutoff: DateTime<Utc>, limit: u32) -> BatchRequest {
    BatchRequest {
        scope: Scope::All,
        now: now(),
        cutoff,
        limit: NonZeroU32::new(limit).expect("a limit is not zero"),
        after: None,
    }
}

/// A pass of the session cleaner at a day after `cutoff`: a session must be idle for longer than
/// twice the throttle.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn idle_request(cutoff: DateTime<Utc>, limit: u32) -> BatchRequest {
    BatchRequest {
        now: cutoff + DAY,
        ..request(cutoff, limit)
    }
}

/// A booking made long enough ago to expire.
fn overdue(id: &str) -> MemoryBooking {
    MemoryBooking::pending(id, user(1), booking_cutoff() - micro())
}

pub(crate) fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

pub(crate) async fn a_session_is_idle_strictly_after_the_cutoff(
    world: &impl StoreUnderTest,
) -> TestResult {
    let cutoff = session_cutoff();
    world.session("before", user(1), cutoff - micro()).await?;
    world.session("at", user(2), cutoff).await?;
    world.session("after", user(3), cutoff + micro()).await?;

    let batch = world
        .jobs()
        .delete_idle_sessions(&request(cutoff, 10))
        .await?;

    assert_eq!(batch.ids, ["before"]);
    assert_eq!(world.sessions_left().await?, ["after", "at"]);
    Ok(())
}

pub(crate) async fn a_message_of_the_guest_keeps_a_session_to_the_microsecond(
    world: &impl StoreUnderTest,
) -> TestResult {
    let cutoff = session_cutoff();
    for (number, id) in [(1, "before"), (2, "at"), (3, "after")] {
        world
            .session(id, user(number), cutoff - TimeDelta::days(9))
            .await?;
        // Less than the throttle before the last one: what is stored lags behind.
        world
            .message(user(number), "user", cutoff - TimeDelta::minutes(10))
            .await?;
    }
    world.message(user(1), "user", cutoff - micro()).await?;
    world.message(user(2), "user", cutoff).await?;
    world.message(user(3), "user", cutoff + micro()).await?;

    let rows = world
        .jobs()
        .idle_sessions(cutoff, None, &Page::default())
        .await?;
    let batch = world
        .jobs()
        .delete_idle_sessions(&request(cutoff, 10))
        .await?;
    let again = world
        .jobs()
        .delete_idle_sessions(&request(cutoff, 10))
        .await?;

    assert_eq!(rows.rows.len(), 1);
    assert_eq!(rows.rows[0].since, cutoff - micro());
    assert_eq!(batch.ids, ["before"]);
    assert!(again.ids.is_empty());
    assert_eq!(world.sessions_left().await?, ["after", "at"]);
    Ok(())
}

pub(crate) async fn messages_of_others_keep_nothing(world: &impl StoreUnderTest) -> TestResult {
    let cutoff = session_cutoff();
    world.session("quiet", user(1), cutoff - micro()).await?;
    world.message(user(1), "bot", now()).await?;
    world.message(user(2), "user", now()).await?;

    let batch = world
        .jobs()
        .delete_idle_sessions(&request(cutoff, 10))
        .await?;

    assert_eq!(batch.ids, ["quiet"]);
    Ok(())
}

pub(crate) async fn a_users_messages_keep_every_session_of_the_user(
    world: &impl StoreUnderTest,
) -> TestResult {
    let cutoff = session_cutoff();
    world
        .session("first", user(1), cutoff - TimeDelta::days(2))
        .await?;
    world
        .session("second", user(1), cutoff - TimeDelta::days(1))
        .await?;
    world
        .session("stranger", user(2), cutoff - TimeDelta::days(1))
        .await?;
    world.message(user(1), "user", now()).await?;

    let batch = world
        .jobs()
        .delete_idle_sessions(&request(cutoff, 10))
        .await?;

    assert_eq!(batch.ids, ["stranger"]);
    assert_eq!(world.sessions_left().await?, ["first", "second"]);
    Ok(())
}

pub(crate) async fn records_of_each_kind_are_deleted_and_counted(
    world: &impl StoreUnderTest,
) -> TestResult {
    let cutoff = session_cutoff();
    world.session("idle", user(1), cutoff - micro()).await?;
    world.session("live", user(2), now()).await?;
    for session in ["idle", "idle", "live"] {
        world.image(session).await?;
    }
    world.video("idle").await?;
    world.video("live").await?;

    let rows = world
        .jobs()
        .idle_sessions(cutoff, None, &Page::default())
        .await?;
    let batch = world
        .jobs()
        .delete_idle_sessions(&request(cutoff, 10))
        .await?;
    let empty = world
        .jobs()
        .delete_idle_sessions(&request(cutoff, 10))
        .await?;

    assert_eq!(rows.rows[0].details["image_records"], "2");
    assert_eq!(rows.rows[0].details["video_records"], "1");
    assert_eq!(
        batch.counts.to_string(),
        "2 image records, 1 session, 1 video record"
    );
    let kinds = [("image_records", 0), ("sessions", 0), ("video_records", 0)];
    assert_eq!(empty.counts.iter().collect::<Vec<_>>(), kinds);
    assert_eq!(world.records_left().await?, (1, 1));
    Ok(())
}

pub(crate) async fn a_booking_expires_strictly_after_the_cutoff(
    world: &impl StoreUnderTest,
) -> TestResult {
    let cutoff = booking_cutoff();
    for (id, created_at) in [
        ("before", cutoff - micro()),
        ("at", cutoff),
        ("after", cutoff + micro()),
    ] {
        let booking = MemoryBooking::pending(id, user(1), created_at);
        world.booking(&booking).await?;
    }

    let batch = world.jobs().expire_bookings(&request(cutoff, 10)).await?;

    assert_eq!(batch.ids, ["before"]);
    assert_eq!(batch.counts.of("bookings"), 1);
    let bookings = world.bookings_now().await?;
    assert_eq!(bookings["before"], ("Expired".to_owned(), now()));
    assert_eq!(bookings["at"].0, "Pending");
    assert_eq!(bookings["after"].0, "Pending");
    Ok(())
}

pub(crate) async fn a_hold_keeps_a_booking_until_it_ends(
    world: &impl StoreUnderTest,
) -> TestResult {
    let holds = [
        ("none", None),
        ("past", Some(now() - micro())),
        ("now", Some(now())),
        ("future", Some(now() + micro())),
    ];
    for (id, held_until) in holds {
        let booking = MemoryBooking {
            held_until,
            ..overdue(id)
        };
        world.booking(&booking).await?;
    }

    let rows = world
        .jobs()
        .overdue_bookings(booking_cutoff(), None, &Page::default())
        .await?;
    let batch = world
        .jobs()
        .expire_bookings(&request(booking_cutoff(), 10))
        .await?;

    assert_eq!(rows.due, BoundedCount::from_probe(3));
    assert_eq!(sorted(batch.ids), ["none", "now", "past"]);
    assert_eq!(world.bookings_now().await?["future"].0, "Pending");
    Ok(())
}

pub(crate) async fn other_statuses_are_never_touched(world: &impl StoreUnderTest) -> TestResult {
    for status in ["Waiting", "Confirmed", "Cancelled", "Completed", "Expired"] {
        let booking = MemoryBooking {
            status: status.to_owned(),
            ..overdue(status)
        };
        world.booking(&booking).await?;
    }
    let before = world.bookings_now().await?;

    let batch = world
        .jobs()
        .expire_bookings(&request(booking_cutoff(), 10))
        .await?;
    let forecast = world.jobs().booking_forecast(QUARTER, &[]).await?;

    assert!(batch.ids.is_empty());
    assert_eq!(world.bookings_now().await?, before);
    assert_eq!(forecast.next_due, None);
    Ok(())
}

pub(crate) async fn a_scope_covers_one_user_only(world: &impl StoreUnderTest) -> TestResult {
    for number in [1, 2] {
        let id = format!("s{number}");
        world
            .session(&id, user(number), session_cutoff() - micro())
            .await?;
        let booking = MemoryBooking {
            user: user(number),
            ..overdue(&format!("b{number}"))
        };
        world.booking(&booking).await?;
    }
    let of_two = |cutoff| BatchRequest {
        scope: Scope::user(user(2)),
        ..request(cutoff, 10)
    };
    let page = Page::default();

    let jobs = world.jobs();
    let sessions = jobs
        .idle_sessions(session_cutoff(), Some(user(2)), &page)
        .await?;
    let bookings = jobs
        .overdue_bookings(booking_cutoff(), Some(user(2)), &page)
        .await?;
    let deleted = jobs.delete_idle_sessions(&of_two(session_cutoff())).await?;
    let expired = jobs.expire_bookings(&of_two(booking_cutoff())).await?;

    assert_eq!(sessions.rows[0].user, Some(user(2).to_string()));
    assert_eq!((sessions.rows.len(), sessions.due.count), (1, 1));
    assert_eq!((bookings.rows.len(), bookings.due.count), (1, 1));
    assert_eq!(deleted.ids, ["s2"]);
    assert_eq!(expired.ids, ["b2"]);
    assert_eq!(world.sessions_left().await?, ["s1"]);
    assert_eq!(world.bookings_now().await?["b1"].0, "Pending");
    Ok(())
}

pub(crate) async fn a_scope_that_is_no_uuid_is_rejected(world: &impl StoreUnderTest) -> TestResult {
    let nobody = BatchRequest {
        scope: Scope::user("nobody"),
        ..request(now(), 10)
    };

    let sessions = world.jobs().delete_idle_sessions(&nobody).await;
    let bookings = world.jobs().expire_bookings(&nobody).await;

    for error in [sessions.map(drop), bookings.map(drop)] {
        let text = error.expect_err("the user is not a UUID").to_string();
        assert!(text.starts_with("user \"nobody\" is not a UUID"), "{text}");
    }
    Ok(())
}

pub(crate) async fn batches_walk_all_rows_once(world: &impl StoreUnderTest) -> TestResult {
    // Ids order rows of equal time, and live candidates lie between the idle ones.
    for number in 0..23_u32 {
        let step = TimeDelta::seconds(i64::from(number / 3));
        let id = format!("s{number:02}");
        let owner = user(u128::from(number));
        world
            .session(&id, owner, session_cutoff() - TimeDelta::hours(1) + step)
            .await?;
        if number % 4 == 0 {
            let lagging = session_cutoff() - TimeDelta::minutes(5);
            world.message(owner, "user", lagging).await?;
            world
                .message(owner, "user", session_cutoff() + step)
                .await?;
        }
        let booking = MemoryBooking {
            created_at: booking_cutoff() - TimeDelta::hours(1) + step,
            ..overdue(&format!("b{number:02}"))
        };
        world.booking(&booking).await?;
    }

    let sessions = walk(world, session_cutoff(), true).await?;
    let bookings = walk(world, booking_cutoff(), false).await?;

    let expected = |letter: &str, keep: fn(u32) -> bool| -> Vec<String> {
        let numbers = (0..23).filter(|number| keep(*number));
        numbers
            .map(|number| format!("{letter}{number:02}"))
            .collect()
    };
    assert_eq!(sorted(sessions), expected("s", |number| number % 4 != 0));
    assert_eq!(sorted(bookings), expected("b", |_| true));
    assert_eq!(
        world.sessions_left().await?,
        expected("s", |number| number % 4 == 0)
    );
    Ok(())
}

/// Runs batches of four until one says it was the last.
async fn walk(
    world: &impl StoreUnderTest,
    cutoff: DateTime<Utc>,
    of_sessions: bool,
) -> TestResult<Vec<String>> {
    let mut ids = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let request = BatchRequest {
            after: after.clone(),
            ..request(cutoff, 4)
        };
        let batch: Batch = if of_sessions {
            world.jobs().delete_idle_sessions(&request).await?
        } else {
            world.jobs().expire_bookings(&request).await?
        };
        assert!(batch.ids.len() <= 4);
        ids.extend(batch.ids);
        match batch.next_cursor {
            None => return Ok(ids),
            reached => {
                assert!(reached > after, "the watermark moves on");
                after = reached;
            }
        }
    }
}

pub(crate) async fn pages_are_complete_and_without_doubles(
    world: &impl StoreUnderTest,
) -> TestResult {
    for number in 0..12_u32 {
        let step = TimeDelta::seconds(i64::from(number / 4));
        let id = format!("s{number:02}");
        world
            .session(&id, user(1), session_cutoff() - TimeDelta::days(1) + step)
            .await?;
        let booking = MemoryBooking {
            created_at: booking_cutoff() - TimeDelta::days(1) + step,
            ..overdue(&format!("b{number:02}"))
        };
        world.booking(&booking).await?;
    }
    // A full last page has no next cursor, so no caller requests an empty one.
    for (letter, size) in [("s", 4), ("s", 5), ("b", 4), ("b", 5)] {
        let mut page = Page::first(NonZeroU32::new(size).expect("is not zero"));
        let (mut pages, mut ids) = (0, Vec::new());
        loop {
            let rows = if letter == "s" {
                world
                    .jobs()
                    .idle_sessions(session_cutoff(), None, &page)
                    .await?
            } else {
                world
                    .jobs()
                    .overdue_bookings(booking_cutoff(), None, &page)
                    .await?
            };
            assert_eq!(rows.due, BoundedCount::from_probe(12));
            pages += 1;
            ids.extend(rows.rows.into_iter().map(|row| row.id));
            match rows.next {
                None => break,
                after => page.after = after,
            }
        }
        let expected: Vec<String> = (0..12)
            .map(|number| format!("{letter}{number:02}"))
            .collect();
        assert_eq!((pages, ids), (3, expected), "{size} a page");
    }
    assert_eq!(world.sessions_left().await?.len(), 12);
    Ok(())
}

pub(crate) async fn the_forecast_of_sessions_is_exact(world: &impl StoreUnderTest) -> TestResult {
    let cutoff = session_cutoff();
    world
        .session("live", user(1), cutoff + TimeDelta::seconds(30))
        .await?;
    let ahead = world.jobs().session_forecast(DAY, &[]).await?;
    world.session("edge", user(2), cutoff).await?;
    let edge = world.jobs().session_forecast(DAY, &[]).await?;
    world
        .session("old", user(3), cutoff - TimeDelta::hours(3))
        .await?;
    world
        .message(user(3), "user", cutoff - TimeDelta::seconds(90))
        .await?;
    world
        .message(user(3), "user", cutoff - TimeDelta::seconds(60))
        .await?;
    world
        .session("less old", user(4), cutoff - TimeDelta::seconds(40))
        .await?;
    let behind = world.jobs().session_forecast(DAY, &[]).await?;

    assert_eq!((ahead.due.count, ahead.oldest_overdue), (0, None));
    assert_eq!(ahead.next_due, Some(Duration::from_micros(30_000_001)));
    assert_eq!(ahead.max_age, Some(DAY));
    assert_eq!((edge.due.count, edge.oldest_overdue), (0, None));
    assert_eq!(edge.next_due, Some(Duration::from_micros(1)));
    assert_eq!(behind.due, BoundedCount::from_probe(2));
    assert_eq!(behind.oldest_overdue, Some(Duration::from_secs(60)));
    assert_eq!(behind.next_due, Some(Duration::ZERO));
    Ok(())
}

pub(crate) async fn the_forecast_of_bookings_is_exact(world: &impl StoreUnderTest) -> TestResult {
    let at = |id: &str, seconds, held: Option<i64>| MemoryBooking {
        held_until: held.map(|held| now() + TimeDelta::seconds(held)),
        ..MemoryBooking::pending(id, user(1), booking_cutoff() + TimeDelta::seconds(seconds))
    };
    world.booking(&at("held for long", -9, Some(500))).await?;
    world.booking(&at("held", -5, Some(70))).await?;
    let held = world.jobs().booking_forecast(QUARTER, &[]).await?;
    world.booking(&at("held, but young", 60, Some(5))).await?;
    let young = world.jobs().booking_forecast(QUARTER, &[]).await?;
    world.booking(&at("free", 20, None)).await?;
    let free = world.jobs().booking_forecast(QUARTER, &[]).await?;
    world.booking(&at("edge", 0, None)).await?;
    let edge = world.jobs().booking_forecast(QUARTER, &[]).await?;
    world.booking(&at("held lately", -80, Some(-10))).await?;
    world.booking(&at("due", -40, None)).await?;
    let due = world.jobs().booking_forecast(QUARTER, &[]).await?;

    assert_eq!((held.due.count, held.oldest_overdue), (0, None));
    assert_eq!(held.next_due, Some(Duration::from_secs(70)));
    assert_eq!(young.next_due, Some(Duration::from_micros(60_000_001)));
    assert_eq!(free.next_due, Some(Duration::from_micros(20_000_001)));
    assert_eq!(edge.next_due, Some(Duration::from_micros(1)));
    assert_eq!(edge.due.count, 0);
    assert_eq!(due.due, BoundedCount::from_probe(2));
    assert_eq!(due.oldest_overdue, Some(Duration::from_secs(40)));
    assert_eq!(due.next_due, Some(Duration::ZERO));
    assert_eq!(due.max_age, Some(QUARTER));
    Ok(())
}

pub(crate) async fn an_empty_store_has_nothing_to_do(world: &impl StoreUnderTest) -> TestResult {
    let jobs = world.jobs();

    let sessions = jobs.session_forecast(DAY, &[]).await?;
    let bookings = jobs.booking_forecast(QUARTER, &[]).await?;
    let rows = jobs.idle_sessions(now(), None, &Page::default()).await?;

    assert_eq!((sessions.due.count, sessions.next_due), (0, None));
    assert_eq!((bookings.due.count, bookings.next_due), (0, None));
    assert_eq!((rows.rows.len(), rows.due.count, rows.next), (0, 0, None));
    Ok(())
}

pub(crate) async fn rejected_rows_do_not_count(world: &impl StoreUnderTest) -> TestResult {
    world
        .session("stuck", user(1), session_cutoff() - TimeDelta::hours(1))
        .await?;
    world
        .session("next", user(2), session_cutoff() + TimeDelta::seconds(1))
        .await?;
    world.booking(&overdue("b stuck")).await?;
    world
        .booking(&MemoryBooking::pending("b next", user(1), now()))
        .await?;

    let sessions = world
        .jobs()
        .session_forecast(DAY, &["stuck".to_owned()])
        .await?;
    let bookings = world
        .jobs()
        .booking_forecast(QUARTER, &["b stuck".to_owned()])
        .await?;

    assert_eq!((sessions.due.count, sessions.oldest_overdue), (0, None));
    assert_eq!(sessions.next_due, Some(Duration::from_micros(1_000_001)));
    assert_eq!((bookings.due.count, bookings.oldest_overdue), (0, None));
    assert_eq!(bookings.next_due, Some(QUARTER + Duration::from_micros(1)));
    Ok(())
}

pub(crate) async fn equal_keys_fold_in_the_history(world: &impl StoreUnderTest) -> TestResult {
    let first = record("k", "booking-expirer", 0, 2);
    let second = record("k", "booking-expirer", 5, 3);
    let both = [first.clone(), second.clone()];

    world.history().record(&both[..1], 10).await?;
    world.history().record(&both[1..], 10).await?;
    let apart = world.history().runs(&"booking-expirer".into(), 10).await?;
    world
        .history()
        .record(
            &[record("l", "other", 0, 1), record("l", "other", 1, 2)],
            10,
        )
        .await?;
    let together = world.history().runs(&"other".into(), 10).await?;

    let recorded_at = apart[0].recorded_at;
    let folded = RunRecord {
        recorded_at,
        ..first.fold(second)
    };
    assert_eq!(apart, [folded]);
    assert_eq!(apart[0].report.counts.of("bookings"), 5);
    assert_eq!(apart[0].runs, 2);
    assert_eq!((together.len(), together[0].runs), (1, 2));
    // A run written twice is listed once.
    world
        .history()
        .record(&[record("l", "other", 1, 2)], 10)
        .await?;
    assert_eq!(world.history().runs(&"other".into(), 10).await?, together);
    Ok(())
}

pub(crate) async fn runs_written_again_count_once_in_the_history(
    world: &impl StoreUnderTest,
) -> TestResult {
    let job = "booking-expirer";
    // Each another run, with another number of bookings.
    let run = |number: u64| record("minute", job, 0, number);
    let crashed = record("of its own", job, 0, 4);
    let runs = [run(1), run(2), run(3), run(4), crashed, run(5)];

    // Their writes are not confirmed. The worker of the fourth crashes as it writes, so that run is
    // listed as crashed in a line of its own.
    for known in 1..=4 {
        world.history().record(&runs[..known], 10).await?;
    }
    let unsaved = [&runs[..3], &runs[4..]].concat();
    for _ in 0..2 {
        world.history().record(&unsaved, 10).await?;
    }

    let lines = world.history().runs(&job.into(), 10).await?;
    let minute = lines.iter().find(|line| line.key == "minute");
    let minute = minute.ok_or("it was written")?;
    assert_eq!((lines.len(), minute.runs), (2, 5));
    assert_eq!(minute.report.counts.of("bookings"), 1 + 2 + 3 + 4 + 5);
    Ok(())
}

pub(crate) async fn the_history_keeps_the_newest_of_each_job(
    world: &impl StoreUnderTest,
) -> TestResult {
    let runs: Vec<RunRecord> = [3, 0, 4, 1, 2]
        .into_iter()
        .map(|second| record(&format!("k{second}"), "booking-expirer", second, 1))
        .collect();
    world
        .history()
        .record(&[record("s0", "session-cleaner", 0, 1)], 10)
        .await?;

    world.history().record(&runs, 3).await?;

    let keys = async |job: &'static str, limit| -> Result<Vec<String>, StoreError> {
        let runs = world.history().runs(&job.into(), limit).await?;
        Ok(runs.into_iter().map(|run| run.key).collect())
    };
    assert_eq!(keys("booking-expirer", 10).await?, ["k4", "k3", "k2"]);
    assert_eq!(keys("booking-expirer", 1).await?, ["k4"]);
    assert_eq!(keys("session-cleaner", 10).await?, ["s0"]);
    assert!(keys("unheard-of", 10).await?.is_empty());
    Ok(())
}

/// Runs under a clock that was a month ahead drive out none that come later.
pub(crate) async fn the_history_is_trimmed_in_the_order_it_was_written(
    world: &impl StoreUnderTest,
) -> TestResult {
    let job = "booking-expirer";
    let keys = async || -> Result<Vec<String>, StoreError> {
        let runs = world.history().runs(&job.into(), 10).await?;
        Ok(runs.into_iter().map(|run| run.key).collect())
    };
    let ahead = |number: i64| record(&format!("ahead{number}"), job, 2_592_000 + number, 1);
    for number in 0..3 {
        world.history().record(&[ahead(number)], 3).await?;
    }
    assert_eq!(keys().await?, ["ahead2", "ahead1", "ahead0"]);

    for number in 0..2 {
        let run = record(&format!("k{number}"), job, number, 1);
        world.history().record(&[run], 3).await?;
    }
    assert_eq!(keys().await?, ["k1", "k0", "ahead2"]);
    // Back by a year, and a line that is written again stays where it is.
    world
        .history()
        .record(&[record("back", job, -31_536_000, 1)], 3)
        .await?;
    world
        .history()
        .record(&[record("k1", job, 9, 2)], 3)
        .await?;
    assert_eq!(keys().await?, ["back", "k1", "k0"]);
    Ok(())
}

pub(crate) async fn the_history_is_read_by_page_date_and_outcome(
    world: &impl StoreUnderTest,
) -> TestResult {
    let job = JobName::new("booking-expirer");
    let mut runs: Vec<RunRecord> = (0..7_u32)
        .map(|second| {
            record(
                &format!("k{second}"),
                job.as_str(),
                second.into(),
                u64::from(second) + 1,
            )
        })
        .collect();
    runs[6].report.started_at = runs[5].report.started_at;
    runs[1].report.outcome = Outcome::Cancelled { by: None };
    runs[3].report.outcome = Outcome::TimedOut;
    // Its error reads like another outcome.
    runs[2].report.outcome = Outcome::Crashed {
        reason: r#","outcome":{"kind":"cancelled""#.to_owned(),
        rows_at_least: 0,
    };
    runs[4].key = runs[4].report.run.to_string();
    let known = runs[4].clone();
    world.history().record(&runs, 10).await?;
    let keys = async |query: HistoryQuery| -> Result<String, StoreError> {
        let runs = world.history().page(&job, &query).await?.runs;
        let key = |run: RunRecord| {
            if run.key == known.key {
                "k4".to_owned()
            } else {
                run.key
            }
        };
        Ok(runs.into_iter().map(key).collect::<Vec<_>>().join(" "))
    };
    let all = || HistoryQuery::newest(10);
    let at = |second| now() + TimeDelta::seconds(second);

    let mut pages = Vec::new();
    let mut after: Option<HistoryCursor> = None;
    loop {
        let page = HistoryQuery::newest(2).after(after.clone());
        let runs = world.history().page(&job, &page).await?.runs;
        let Some(last) = runs.last() else { break };
        after = Some(HistoryCursor::of(last));
        pages.push(keys(page).await?);
    }

    assert_eq!(pages, ["k6 k5", "k4 k3", "k2 k1", "k0"]);
    assert_eq!(keys(all().between(at(2), at(4))).await?, "k3 k2");
    assert_eq!(keys(all().outcomes([OutcomeKind::Cancelled])).await?, "k1");
    let cut = [OutcomeKind::TimedOut, OutcomeKind::Crashed];
    assert_eq!(keys(all().outcomes(cut)).await?, "k3 k2");
    let failed = all().outcomes([OutcomeKind::Failed]).between(None, at(5));
    assert_eq!(keys(failed).await?, "k4 k0");
    let found = world.history().run(known.report.run).await?;
    assert_eq!(found.map(|record| record.key), Some(known.key.clone()));
    let unknown = user(99).to_string().parse()?;
    assert_eq!(world.history().run(unknown).await?, None);
    Ok(())
}

pub(crate) fn record(key: &str, job: &str, second: i64, bookings: u64) -> RunRecord {
    serde_json::from_value(json!({
        "key": key,
        "runs": 1,
        "report": {
            "run": user(u128::from(bookings)),
            "job": job,
            "scope": "all",
            "trigger": "tick",
            "outcome": { "kind": "failed", "error": "it's \u{0} \"quoted\"", "retry_at": null },
            "cutoff": now(),
            "started_at": now() + TimeDelta::seconds(second),
            "elapsed": "20ms",
            "batches": 1,
            "counts": { "bookings": bookings },
            "ids": ["b1"],
            "more_ids": false,
            "rejected": [{ "id": "b2", "error": "stuck" }],
            "rejected_count": 1,
            "forecast": { "due": { "count": 1, "capped": false }, "oldest_overdue": "1s", "next_due": null, "max_age": "15m" },
            "success": false,
            "message": ""
        }
    }))
    .expect("a record as it is written")
}
