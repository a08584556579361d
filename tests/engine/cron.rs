//! Ticks by cron expression, in a zone, while its clocks and those of the machine change.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::config::{Cron, JobConfig, Schedule};
use ractor_housekeeper::model::{Event, Health, LateCause, NextRun, Trigger};
use ractor_housekeeper::testing::{Fault, Step};
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{HousekeeperMsg, RequestError, Scope};

use crate::support::host::{Host, Setup, minutes, seconds};

#[tokio::test(start_paused = true)]
async fn a_nightly_job_runs_once_a_day_over_both_changes_of_clocks() {
    let table = [
        ("03-27", ["03-28T01:30", "03-29T01:00", "03-30T00:30"]),
        ("10-23", ["10-24T00:30", "10-25T00:30", "10-26T01:30"]),
    ];

    for (eve, nights) in table {
        let mut host = start(nightly(), &format!("{eve}T12:00")).await;

        tokio::time::sleep(minutes(3 * 24 * 60)).await;

        assert_eq!(ticks(&mut host), nights.map(at));
        assert_eq!(host.status().await.missed_ticks, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_on_each_half_hour_skips_and_repeats_with_the_clocks() {
    for (from, expected) in [("03-28T23:10", 5), ("10-24T22:10", 9)] {
        let half_hours = Cron::new("*/30 0-3 * * *").in_zone("Europe/Berlin");
        let mut host = start(quiet(half_hours), from).await;

        // From ten past midnight, or one, in Berlin to half past nine.
        tokio::time::sleep(minutes(9 * 60)).await;

        assert_eq!(ticks(&mut host).len(), expected, "{from}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_missed_for_three_nights_runs_once_and_counts_the_rest() {
    let mut host = start(nightly(), "03-27T12:00").await;

    tokio::time::sleep(seconds(30)).await;
    host.clock.advance_wall(TimeDelta::days(3));
    tokio::time::sleep(minutes(2)).await;

    let runs = ticks(&mut host);
    let status = host.status().await;
    // The clock is looked at each minute.
    assert_eq!(runs, [at("03-30T12:01")]);
    assert_eq!(status.missed_ticks, 2);
    assert_eq!(status.next_ticks.first(), Some(&at("03-31T00:30")));
}

#[tokio::test(start_paused = true)]
async fn an_end_time_shortens_the_pauses_of_a_run() {
    let elapsed = async |finish_by: Option<Cron>| {
        let mut setup = Setup::new();
        let pace = &mut setup.config.job.pace;
        (pace.min_pause, pace.max_pause) = (seconds(1), seconds(1));
        pace.finish_by = finish_by;
        let host = setup.start().await;
        host.add_overdue(20);
        host.run_now(Scope::All)
            .await
            .expect("is not rejected")
            .elapsed
    };

    // Ten batches of two, and an empty one. It is noon.
    let alone = elapsed(None).await;
    let in_time = elapsed(Some("20 0 12 * * *".into())).await;
    let soon = elapsed(Some("4 0 12 * * *".into())).await;

    assert_eq!(alone, seconds(10));
    assert!(in_time > seconds(7) && in_time < seconds(9), "{in_time:?}");
    assert!(soon > seconds(3) && soon < seconds(4), "{soon:?}");
}

#[tokio::test(start_paused = true)]
async fn only_a_clock_set_back_far_repeats_a_cron_tick() {
    for (hours, again) in [(2, 0), (4, 1)] {
        let mut host = start(nightly(), "01-10T00:00").await;
        tokio::time::sleep(minutes(120)).await;
        let served = ticks(&mut host);

        host.clock.advance_wall(TimeDelta::hours(-hours));
        tokio::time::sleep(minutes(6 * 60)).await;

        assert_eq!(served, [at("01-10T01:30")]);
        assert_eq!(ticks(&mut host), vec![at("01-10T01:30"); again], "{hours}");
        assert_eq!(host.status().await.missed_ticks, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_schedule_changes_to_cron_and_back_at_run_time() {
    let every = Schedule {
        every: Some(minutes(15)),
        cron: None,
        ..quiet("* * * * *")
    };
    let mut host = start(every.clone(), "01-10T12:00").await;

    let to_cron = reschedule(&host, quiet("5,7 * * * *")).await;
    let shown = host.status().await;
    tokio::time::sleep(minutes(10)).await;
    let by_cron = ticks(&mut host);
    let back = reschedule(&host, every).await;
    tokio::time::sleep(minutes(16)).await;

    assert_eq!((to_cron, back), (Ok(()), Ok(())));
    assert_eq!(shown.schedule.cron, Some(Cron::new("5,7 * * * *")));
    assert_eq!(
        shown.next_run,
        Some(NextRun {
            at: at("01-10T12:05"),
            trigger: Trigger::Tick
        })
    );
    let hours =
        ["12:05", "12:07", "13:05", "13:07", "14:05"].map(|time| at(&format!("01-10T{time}")));
    assert_eq!(shown.next_ticks, hours);
    assert_eq!(by_cron, hours[..2]);
    assert_eq!(ticks(&mut host), [at("01-10T12:25")]);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_cron_is_rejected_and_changes_nothing() {
    let host = start(nightly(), "01-10T12:00").await;

    let refused = reschedule(&host, quiet("0 25 * * *")).await;

    let problem = "schedule.cron.expression \"0 25 * * *\": hour 25 is not within 0-23".to_owned();
    assert_eq!(refused, Err(RequestError::Schedule { problem }));
    assert_eq!(host.status().await.schedule, nightly());
}

#[tokio::test(start_paused = true)]
async fn a_paused_job_shows_no_tick_and_runs_once_when_resumed() {
    let mut host = start(quiet("*/15 * * * *"), "01-10T12:00").await;
    let job = BookingExpirer::NAME;

    let _ = host
        .ask(|reply| HousekeeperMsg::Pause(job.clone(), reply))
        .await;
    tokio::time::sleep(minutes(50)).await;
    let paused = (host.status().await.next_ticks, ticks(&mut host));
    let _ = host
        .ask(|reply| HousekeeperMsg::Resume(job.clone(), reply))
        .await;
    tokio::time::sleep(minutes(11)).await;

    assert_eq!(paused, (vec![], vec![]));
    assert_eq!(ticks(&mut host), [at("01-10T12:50"), at("01-10T13:00")]);
}

#[tokio::test(start_paused = true)]
async fn a_job_by_cron_is_late_after_two_ticks_without_success() {
    let host = start(quiet("30 1,13 * * *"), "01-10T12:00").await;
    // A run that hangs for less than its timeout, a day, neither succeeds nor fails.
    host.faults.always(Step::Batch, Fault::Hang);

    tokio::time::sleep(minutes(13 * 60 + 30)).await;
    let second_tick = host.status().await.health;
    tokio::time::sleep(minutes(2)).await;
    let behind = host.status().await.health;

    assert_eq!(second_tick, Health::Healthy);
    let reason = behind.reason();
    assert_eq!(
        reason.as_deref(),
        Some("no run has completed since the start 13h 32m ago")
    );
    assert!(
        matches!(
            behind,
            Health::Late {
                cause: LateCause::NoSuccess { .. }
            }
        ),
        "{behind:?}"
    );
}

async fn reschedule(host: &Host, schedule: Schedule) -> Result<(), RequestError> {
    host.ask(|reply| HousekeeperMsg::Reschedule(BookingExpirer::NAME, schedule, reply))
        .await
}

fn nightly() -> Schedule {
    quiet(Cron::new("30 2 * * *").in_zone("Europe/Berlin"))
}

/// Ticks, and nothing else.
fn quiet(cron: impl Into<Cron>) -> Schedule {
    Schedule {
        at_start: false,
        start_jitter: seconds(0),
        at_deadline: false,
        ..Schedule::cron(cron)
    }
}

/// With a clock that shows this minute of 2026.
async fn start(schedule: Schedule, minute: &str) -> Host {
    let mut setup = Setup::new();
    setup.clock.advance_wall(at(minute) - setup.clock.now());
    let expirer = JobConfig {
        schedule,
        // A step that hangs fails after a day.
        step_timeout: minutes(24 * 60),
        ..setup.config.job.clone()
    };
    setup.config.jobs.insert(BookingExpirer::NAME, expirer);
    setup.start().await
}

/// When there were ticks since this was last asked, to the minute.
fn ticks(host: &mut Host) -> Vec<DateTime<Utc>> {
    let mut ticks = Vec::new();
    while let Ok(event) = host.events.try_recv() {
        if let Event::RunFinished(report) = &*event.event {
            assert_eq!(report.trigger, Trigger::Tick);
            let minute = report.started_at.duration_trunc(TimeDelta::minutes(1));
            let minute = minute.expect("is near");
            assert!(
                report.started_at - minute < TimeDelta::seconds(1),
                "{}",
                report.started_at
            );
            ticks.push(minute);
        }
    }
    ticks
}

/// A minute of 2026, in UTC.
fn at(minute: &str) -> DateTime<Utc> {
    format!("2026-{minute}:00Z").parse().expect("is an instant")
}
