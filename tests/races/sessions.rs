//! Guests who write while their sessions are cleaned away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use ractor_housekeeper::booking::SessionCleaner;
use ractor_housekeeper::testing::ManualClock;

use crate::audit::{Figures, check_winners, gone};
use crate::bookings::{AHEAD, text, user};
use crate::database::{Database, GuestWrite};
use crate::paced_writes::{GUESTS, PacedRuns, PacedWrites, id};
use crate::replica::{Emitted, Replica, messages_only};
use crate::{TestResult, rows};

/// Two sessions of each guest are idle, and four housekeepers clean up while every guest writes
/// once, as of every distance from the cutoff. The clock of the stores stands, so that the cutoff
/// is known to the microsecond; the trigger that notes activity reads the database's.
pub(crate) async fn a_session_that_was_written_to_in_time_stays(
    database: &Arc<Database>,
) -> TestResult {
    for throttle in [
        TimeDelta::zero(),
        TimeDelta::hours(1),
        TimeDelta::hours(12) - TimeDelta::seconds(1),
    ] {
        race_with(database, throttle).await?;
    }
    Ok(())
}

async fn race_with(database: &Arc<Database>, throttle: TimeDelta) -> TestResult {
    let guests = rows(25) / 6;
    let now = Utc::now().trunc_subsecs(6);
    let cutoff = now - AGE;
    let throttle_us = throttle.num_seconds() * 1_000_000;
    let anew = format!(
        "delete from sessions; delete from messages; delete from audit; delete from guest_writes; update housekeeper_activity set throttle_us = {throttle_us}"
    );
    database.connect().await?.run(&anew).await?;
    fill(database, guests, cutoff).await?;
    let random = &mut fastrand::Rng::with_seed(3);
    let acts =
        (0..guests).map(|guest| ((2 * guest).saturating_sub(random.usize(..2 * AHEAD)), guest));
    let began = Instant::now();

    let (guest_writes, emitted) = race(
        database,
        now,
        PacedWrites::new(acts.collect(), |guest| guest),
    )
    .await?;

    let gone = gone(database, "sessions", &emitted).await?;
    let left = database
        .ids("select id as one, '' as two, '' as three from sessions")
        .await?;
    assert_eq!(left.len() + gone.len(), 2 * guests);
    for guest in (0..guests).filter(|guest| wrote_before(*guest)) {
        let rows = [2 * guest, 2 * guest + 1];
        assert!(
            !rows.iter().any(|row| gone.contains_key(row)),
            "{rows:?} were not idle"
        );
    }
    let (live, idle): (Vec<GuestWrite>, Vec<GuestWrite>) = guest_writes
        .into_iter()
        .partition(|entry| entry.act == "keep");
    let mut idle = idle.iter().filter(|entry| entry.act == "mourn");
    assert!(
        idle.all(|entry| gone.contains_key(&entry.place)),
        "one was idle, and stayed"
    );
    let saved = check_winners(&live, &gone);
    for records in ["image_sent", "video_sent"] {
        let of_session = format!("{records} where session_id in (select id from sessions)");
        assert_eq!(
            database.count(records).await?,
            left.len(),
            "{records} went with their sessions"
        );
        assert_eq!(
            database.count(&of_session).await?,
            left.len(),
            "an orphan in {records}"
        );
    }
    let reports = || emitted.iter().flat_map(|emitted| &emitted.reports);
    for kind in ["image_records", "video_records"] {
        let sum: u64 = reports().map(|report| report.counts.of(kind)).sum();
        assert_eq!(usize::try_from(sum)?, gone.len(), "{kind}");
    }
    Figures {
        race: format!(
            "{}, message against clean, throttle {} s",
            database.name(),
            throttle.num_seconds()
        ),
        rows: 2 * guests,
        guests: saved,
        late_guests: live.len() - saved,
        replicas: emitted.iter().map(|emitted| emitted.ids.len()).collect(),
        began,
    }
    .print_and_check();
    Ok(())
}

/// Sessions that have just become idle, in their order, and a record of each kind for each.
/// Messages that some guests wrote before are not noted with their sessions, as within the
/// throttle.
async fn fill(database: &Database, guests: usize, cutoff: DateTime<Utc>) -> TestResult {
    let earlier = (0..guests)
        .filter(|guest| wrote_before(*guest))
        .map(|guest| {
            let at = text(cutoff + TimeDelta::minutes(10));
            format!(
                "('before{guest}', '{}', 'user', 'keeps', '{at}')",
                user(guest)
            )
        });
    database.insert(MESSAGES, earlier).await?;
    let mut made = cutoff;
    let mut sessions: Vec<String> = (0..2 * guests)
        .rev()
        .map(|row| {
            made -= TimeDelta::microseconds(1);
            format!("('{}', '{}', '{}')", id(row), user(row / 2), text(made))
        })
        .collect();
    sessions.reverse();
    database
        .insert("sessions (id, user_id, created_at)", sessions.into_iter())
        .await?;
    for records in ["image_sent", "video_sent"] {
        let rows = (0..2 * guests).map(|row| format!("('{0}', '{0}')", id(row)));
        database
            .insert(&format!("{records} (id, session_id)"), rows)
            .await?;
    }
    Ok(())
}

async fn race(
    database: &Arc<Database>,
    now: DateTime<Utc>,
    paced_writes: Arc<PacedWrites<usize>>,
) -> TestResult<(Vec<GuestWrite>, Vec<Emitted>)> {
    let clock = ManualClock::frozen(now);
    let mut running = Vec::new();
    for _ in 0..4 {
        let job = SessionCleaner::new(database.store(Some(&clock)).await?, Some(AGE))?;
        let paced_writes = paced_writes.clone();
        let replica = Replica::start(
            PacedRuns::around(job, paced_writes.clone()),
            messages_only(),
        )
        .await?;
        running.push(tokio::spawn(async move {
            replica.run_until(|| paced_writes.is_over()).await?;
            replica.shut_down().await
        }));
    }
    let writing: [_; GUESTS] = std::array::from_fn(|number| {
        let (database, paced_writes) = (database.clone(), paced_writes.clone());
        tokio::spawn(async move {
            let mut conn = database.connect().await?;
            let mut done = 0;
            while let [(_, guest)] = paced_writes.next(number, done, 1).await {
                conn.transaction(&write(*guest, now - AGE)).await?;
                done += 1;
                paced_writes.acted(1);
            }
            TestResult::Ok(())
        })
    });
    let mut emitted = Vec::new();
    for guest in writing {
        guest.await??;
    }
    for replica in running {
        emitted.push(replica.await??);
    }
    Ok((database.guest_writes().await?, emitted))
}

/// Writes a message, and looks in the same transaction whether the guest's sessions are there.
fn write(guest: usize, cutoff: DateTime<Utc>) -> Vec<String> {
    let distance = distance(guest);
    let (act, content) = match distance < TimeDelta::zero() {
        _ if wrote_before(guest) => ("remind", "keeps"),
        true => ("mourn", "too late"),
        false => ("keep", "keeps"),
    };
    let (user, at) = (user(guest), text(cutoff + distance));
    let mut statements = vec![format!(
        "insert into {MESSAGES} values ('now{guest}', '{user}', 'user', '{content}', '{at}')"
    )];
    statements.extend([2 * guest, 2 * guest + 1].map(|row| {
        format!(
            "insert into guest_writes (act, place, found) select '{act}', {row}, count(*) from sessions where id = '{}'",
            id(row)
        )
    }));
    statements
}

/// How far from the cutoff a guest's message lies.
fn distance(guest: usize) -> TimeDelta {
    let hour = TimeDelta::hours(1);
    let micro = TimeDelta::microseconds(1);
    let distances = [
        TimeDelta::zero(),
        -micro,
        micro,
        -hour,
        hour,
        -hour - micro,
        hour + micro,
        TimeDelta::days(-1),
        TimeDelta::seconds(1),
        TimeDelta::days(1),
        TimeDelta::hours(12),
    ];
    distances[guest % distances.len()]
}

/// Whether a guest had written in time, although the session does not show it.
fn wrote_before(guest: usize) -> bool {
    guest % 16 == 7
}

const AGE: Duration = Duration::from_secs(24 * 60 * 60);

const MESSAGES: &str = "messages (id, user_id, sender, content, timestamp)";
