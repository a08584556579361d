//! Four replicas, and everything that can start a run at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::config::Schedule;
use ractor_housekeeper::model::Trigger;
use ractor_housekeeper::{Report, Scope};

use crate::audit::{Figures, check_winners, gone};
use crate::bookings::{AGE, AHEAD, USERS, Write, bookings, fill, let_guests_act, user};
use crate::database::Database;
use crate::paced_writes::{PacedRuns, PacedWrites};
use crate::replica::{Emitted, Replica};
use crate::{TestResult, rows};

/// A run requested of a replica.
struct Triggers {
    replica: usize,
    at: DateTime<Utc>,
    scope: Scope,
    report: Report,
}

/// Bookings fall due one after the other while guests confirm them; at two replicas ticks come as
/// often as they can, at two deadlines, and messages ask all four for runs, of everything and of
/// one user.
pub(crate) async fn all_triggers_at_four_replicas_expire_each_row_once(
    database: &Arc<Database>,
) -> TestResult {
    let rows = rows(15);
    let step = TimeDelta::microseconds(300);
    fill(database, rows, Utc::now() - AGE, step, |_| None).await?;
    let random = &mut fastrand::Rng::with_seed(4);
    let acts = (0..rows).map(|row| {
        (
            row.saturating_sub(random.usize(..AHEAD)),
            Write::Confirm(row),
        )
    });
    let paced_writes = PacedWrites::new(acts.collect(), Write::row);
    let began = Instant::now();

    let mut replicas = Vec::new();
    for number in 0..4 {
        let job = BookingExpirer::new(database.store(None).await?, Some(AGE))?;
        let paced_writes = paced_writes.clone();
        replicas.push(
            Replica::start(PacedRuns::around(job, paced_writes), busy(number % 2 == 0)).await?,
        );
    }
    let replicas = Arc::new(replicas);
    let asking = [5, 6].map(|seed| tokio::spawn(ask(replicas.clone(), paced_writes.clone(), seed)));
    let guest_writes = let_guests_act(database, &paced_writes).await?;
    let mut asked = Vec::new();
    for asking in asking {
        asked.extend(asking.await??);
    }
    let mut emitted = Vec::new();
    for replica in Arc::into_inner(replicas).ok_or("a request is still open")? {
        replica.run_until(|| true).await?;
        emitted.push(replica.shut_down().await?);
    }

    let gone = gone(database, "bookings", &emitted).await?;
    let confirmed = check_winners(&guest_writes, &gone);
    for (row, (status, _)) in bookings(database).await? {
        let winner = if gone.contains_key(&row) {
            "Expired"
        } else {
            "Confirmed"
        };
        assert_eq!(status, winner, "{row}");
    }
    assert_eq!(gone.len() + confirmed, rows);
    answered_rightly(&asked, &emitted);
    all_triggers_took_part(&emitted);
    Figures {
        race: format!("{}, four replicas and all triggers", database.name()),
        rows,
        guests: confirmed,
        late_guests: guest_writes.len() - confirmed,
        replicas: emitted.iter().map(|emitted| emitted.ids.len()).collect(),
        began,
    }
    .print_and_check();
    Ok(())
}

/// Ticks or deadlines as often as they can be. Not both: where they come together, a run is said to
/// be of a tick.
fn busy(ticks: bool) -> Schedule {
    Schedule {
        every: ticks.then_some(Duration::from_millis(100)),
        start_jitter: Duration::ZERO,
        at_deadline: !ticks,
        min_interval: Duration::from_millis(20),
        ..Schedule::default()
    }
}

/// Asks one replica after the other, three times at once, until the guests are done.
async fn ask(
    replicas: Arc<Vec<Replica>>,
    paced_writes: Arc<PacedWrites<Write>>,
    seed: u64,
) -> TestResult<Vec<Triggers>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut asked = Vec::new();
    while !paced_writes.is_over() {
        let number = random.usize(..replicas.len());
        let replica = &replicas[number];
        let scope = if random.bool() {
            Scope::All
        } else {
            Scope::user(user(random.usize(..USERS)))
        };
        let at = Utc::now();
        let run = || replica.run(scope.clone());
        let (one, two, three) = tokio::try_join!(run(), run(), run())?;
        asked.extend([one, two, three].map(|report| Triggers {
            replica: number,
            at,
            scope: scope.clone(),
            report,
        }));
    }
    Ok(asked)
}

/// An error would have ended the asking, and a call has one answer. It is the report of a run of
/// that scope that began afterwards, and requests merge.
fn answered_rightly(asked: &[Triggers], emitted: &[Emitted]) {
    let reports: Vec<BTreeMap<_, _>> = emitted
        .iter()
        .map(|emitted| {
            emitted
                .reports
                .iter()
                .map(|report| (report.run, report))
                .collect()
        })
        .collect();
    for Triggers {
        replica,
        at,
        scope,
        report,
    } in asked
    {
        assert_eq!(&report.scope, scope);
        assert!(
            report.started_at >= *at,
            "{report} began before it was asked for"
        );
        assert_eq!(reports[*replica].get(&report.run), Some(&report));
    }
    let runs: BTreeSet<_> = asked.iter().map(|asked| asked.report.run).collect();
    println!("{} runs answered {} requests", runs.len(), asked.len());
    // Three requests at once are two runs at most, one that begins and one after it; of them all,
    // for a machine may stall between two.
    assert!(runs.len() * 4 < asked.len() * 3, "nothing merged");
}

/// Runs of every kind changed rows.
fn all_triggers_took_part(emitted: &[Emitted]) {
    let mut rows = BTreeMap::<(Trigger, bool), (u64, u64)>::new();
    for report in emitted.iter().flat_map(|emitted| &emitted.reports) {
        let of_all = report.scope == Scope::All;
        let (runs, changed) = rows.entry((report.trigger, of_all)).or_default();
        *runs += 1;
        *changed += report.counts.total();
    }
    println!("runs and rows by trigger and whether of all: {rows:?}");
    for kind in [
        (Trigger::Tick, true),
        (Trigger::Deadline, true),
        (Trigger::Manual, true),
        (Trigger::Manual, false),
    ] {
        assert!(
            rows.get(&kind).is_some_and(|(_, changed)| *changed > 0),
            "none by {kind:?}"
        );
    }
}
