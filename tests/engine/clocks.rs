//! A wall clock that is set back or forward while the housekeeper runs: no run twice, no deadline
//! skipped.

use chrono::{DateTime, TimeDelta, Utc};
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::config::{JobConfig, Schedule};
use ractor_housekeeper::model::{Event, Trigger};
use ractor_housekeeper::testing::{MemoryBooking, next_report};
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{Report, Scope};
use tokio::time::Instant;
use uuid::Uuid;

use crate::schedules::{deadlines, ticking};
use crate::support::host::{Host, Setup, minutes, seconds};

const STEPS: [TimeDelta; 4] = [
    TimeDelta::hours(-1),
    TimeDelta::hours(1),
    TimeDelta::days(-1),
    TimeDelta::days(1),
];

#[tokio::test(start_paused = true)]
async fn a_clock_change_between_ticks_neither_doubles_nor_skips_one() {
    for step in STEPS {
        let mut host = start(ticking()).await;
        let began = Instant::now();
        next_report(&mut host.events, |_| true).await;
        tokio::time::sleep(minutes(5)).await;

        host.clock.advance_wall(step);
        tokio::time::sleep(minutes(4 * 60)).await;

        let ticks = reports(&mut host);
        assert!(ticks.iter().all(|tick| tick.trigger == Trigger::Tick));
        // One a quarter, behind the first; and one more for those that a clock set forward passed
        // over, which are counted.
        let quarters = began.elapsed().as_secs() / (15 * 60) - 1;
        let passed_over = step.num_minutes().max(0).unsigned_abs() / 15;
        let runs = quarters + u64::from(passed_over > 0);
        assert_eq!(ticks.len() as u64, runs, "{step}");
        let missed = host.status().await.missed_ticks;
        assert_eq!(missed, passed_over.saturating_sub(1), "{step}");
        assert_apart(&ticks, step);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_change_during_a_run_does_not_start_it_again() {
    for step in STEPS {
        let mut host = start(ticking()).await;
        host.add_overdue(5);
        let (gate, running) = host.in_second_batch().await;

        host.clock.advance_wall(step);
        tokio::time::sleep(seconds(70)).await;
        gate.open();
        let report = running.await.expect("is not refused");
        tokio::time::sleep(minutes(10)).await;

        assert_eq!(report.counts.total(), 5, "{step}");
        assert_eq!(report.elapsed, seconds(70), "{step}");
        let others = reports(&mut host).len() - 1;
        // Forward, the tick fell due during the run.
        assert_eq!(others, usize::from(step > TimeDelta::zero()), "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn deadlines_follow_the_clock_of_the_job_after_any_clock_change() {
    for step in STEPS {
        let mut host = start(deadlines()).await;
        let due = host.clock.now() + minutes(10);
        let made = due - minutes(15);
        host.store
            .add_booking(MemoryBooking::pending("b", Uuid::nil(), made));
        let _ = host.run_now(Scope::All).await;

        host.clock.advance_wall(step);
        let set = host.clock.now();
        tokio::time::sleep(minutes(25 * 60)).await;
        let mut expired = reports(&mut host);
        expired.retain(|report| report.counts.total() == 1);

        // A clock set past the deadline is noticed within a minute; one set back looks again when
        // its age has passed.
        let late = expired[0].started_at - due.max(set);
        assert!(
            (TimeDelta::zero()..=TimeDelta::seconds(61)).contains(&late),
            "{step}: {late}"
        );
        assert_eq!(host.status().await.restarts, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wavering_clock_ticks_as_a_steady_one() {
    let mut host = start(ticking()).await;

    for _ in 0..100 {
        host.clock.advance_wall(TimeDelta::seconds(-30));
        tokio::time::sleep(seconds(61)).await;
        host.clock.advance_wall(TimeDelta::seconds(30));
        tokio::time::sleep(seconds(61)).await;
    }

    // Each tick that the clock set forward brings nearer comes half a minute early.
    let ticks = reports(&mut host);
    assert!((13..=14).contains(&ticks.len()), "{}", ticks.len());
    assert_apart(&ticks, TimeDelta::seconds(30));
    assert_eq!(host.status().await.missed_ticks, 0);
}

#[tokio::test(start_paused = true)]
async fn a_tick_runs_once_though_the_clock_passes_it_twice() {
    let mut host = start(ticking()).await;
    next_report(&mut host.events, |_| true).await;

    host.clock.advance_wall(TimeDelta::hours(-1));
    tokio::time::sleep(minutes(5)).await;
    host.clock.advance_wall(TimeDelta::hours(1));
    tokio::time::sleep(minutes(5)).await;

    assert_eq!(reports(&mut host), []);
    assert_eq!(host.status().await.missed_ticks, 0);
}

async fn start(schedule: Schedule) -> Host {
    let mut setup = Setup::new();
    let expirer = JobConfig {
        schedule,
        step_timeout: minutes(60),
        ..setup.config.job.clone()
    };
    setup.config.jobs.insert(BookingExpirer::NAME, expirer);
    setup.start().await
}

/// All reports since this was last asked.
fn reports(host: &mut Host) -> Vec<Report> {
    let mut reports = Vec::new();
    while let Ok(event) = host.events.try_recv() {
        if let Event::RunFinished(report) = &*event.event {
            reports.push(Report::clone(report));
        }
    }
    reports
}

/// No two runs for one tick.
fn assert_apart(ticks: &[Report], step: TimeDelta) {
    for pair in ticks.windows(2) {
        let [earlier, later]: [DateTime<Utc>; 2] = [pair[0].started_at, pair[1].started_at];
        assert!(later - earlier > TimeDelta::minutes(8), "{step}");
    }
}
