//! Guests who pay, or ask for time, while their bookings expire.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use ractor_housekeeper::booking::BookingExpirer;

use crate::audit::{Figures, check_winners, gone};
use crate::database::{Connection, Database, GuestWrite, instant};
use crate::paced_writes::{GUESTS, PacedRuns, PacedWrites, id, place};
use crate::replica::{Emitted, Replica, messages_only};
use crate::{TestResult, rows};

/// An act of a guest on a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    Confirm(usize),
    /// Holds it for long, whether it was held before or not.
    Hold(usize),
    /// Lets its hold end right now.
    Release(usize),
}

pub(crate) const AGE: Duration = Duration::from_secs(15 * 60);

pub(crate) async fn a_booking_is_either_confirmed_or_expired(
    database: &Arc<Database>,
) -> TestResult {
    let rows = rows(35);
    let due = Utc::now() - AGE - TimeDelta::hours(1);
    fill(database, rows, due, TimeDelta::microseconds(1), |_| None).await?;
    let random = &mut fastrand::Rng::with_seed(1);
    let acts = (0..rows).map(|row| {
        (
            row.saturating_sub(random.usize(..AHEAD)),
            Write::Confirm(row),
        )
    });
    let began = Instant::now();

    let (guest_writes, emitted) = race(database, 2, acts.collect()).await?;

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
    Figures {
        race: format!("{}, confirm against expire", database.name()),
        rows,
        guests: confirmed,
        late_guests: guest_writes.len() - confirmed,
        replicas: emitted.iter().map(|emitted| emitted.ids.len()).collect(),
        began,
    }
    .print_and_check();
    Ok(())
}

/// A quarter of the bookings each: not held, held until long ago, held until some time during the
/// race, and held for long, but released.
pub(crate) async fn a_booking_does_not_expire_while_it_is_held(
    database: &Arc<Database>,
) -> TestResult {
    let rows = rows(25);
    let now = Utc::now();
    let long = now + TimeDelta::days(1);
    let random = &mut fastrand::Rng::with_seed(2);
    fill(
        database,
        rows,
        now - AGE - TimeDelta::hours(1),
        TimeDelta::microseconds(1),
        |row| match row % 4 {
            0 => None,
            1 => Some(now - TimeDelta::minutes(1)),
            2 => Some(now + TimeDelta::milliseconds(random.i64(0..5_000))),
            _ => Some(long),
        },
    )
    .await?;
    let mut acts = Vec::new();
    for row in 0..rows {
        let near = row.saturating_sub(random.usize(..AHEAD));
        if row % 4 == 3 {
            let before = near.saturating_sub(random.usize(..AHEAD));
            acts.push((before, Write::Release(row)));
        }
        acts.push((near, Write::Hold(row)));
    }
    let began = Instant::now();

    let (guest_writes, emitted) = race(database, 2, acts).await?;

    let gone = gone(database, "bookings", &emitted).await?;
    let (releases, holds): (Vec<GuestWrite>, Vec<GuestWrite>) = guest_writes
        .into_iter()
        .partition(|entry| entry.act == "release");
    assert_eq!(releases.len(), rows / 4);
    assert!(
        releases.iter().all(|entry| entry.found),
        "expired while it was held"
    );
    let held = check_winners(&holds, &gone);
    for (row, (status, until)) in bookings(database).await? {
        if gone.contains_key(&row) {
            assert_eq!(status, "Expired", "{row}");
        } else {
            assert_eq!(status, "Pending", "{row}");
            assert!(
                until.is_some_and(|until| until > now),
                "{row} is due, and stayed"
            );
        }
    }
    let early = "audit where held_until > decided_at or held_until > at";
    assert_eq!(
        database.count(early).await?,
        0,
        "expired while they were held"
    );
    Figures {
        race: format!("{}, hold against expire", database.name()),
        rows,
        guests: held,
        late_guests: holds.len() - held,
        replicas: emitted.iter().map(|emitted| emitted.ids.len()).collect(),
        began,
    }
    .print_and_check();
    Ok(())
}

/// Makes bookings, each some time younger than the one before.
pub(crate) async fn fill(
    database: &Database,
    rows: usize,
    first: DateTime<Utc>,
    step: TimeDelta,
    mut held: impl FnMut(usize) -> Option<DateTime<Utc>>,
) -> TestResult {
    let mut made = first;
    let values = (0..rows).map(|row| {
        let held = held(row).map_or("null".to_owned(), |until| format!("'{}'", text(until)));
        let user = user(row % USERS);
        let values = format!("('{}', '{user}', '{}', {held})", id(row), text(made));
        made += step;
        values
    });
    database
        .insert(
            "bookings (booking_id, user_id, created_at, held_until)",
            values,
        )
        .await
}

/// Guests act while housekeepers expire due rows on request.
async fn race(
    database: &Arc<Database>,
    replicas: usize,
    acts: Vec<(usize, Write)>,
) -> TestResult<(Vec<GuestWrite>, Vec<Emitted>)> {
    let paced_writes = PacedWrites::new(acts, Write::row);
    let mut running = Vec::new();
    for _ in 0..replicas {
        let job = BookingExpirer::new(database.store(None).await?, Some(AGE))?;
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
    let guest_writes = let_guests_act(database, &paced_writes).await?;
    let mut emitted = Vec::new();
    for replica in running {
        emitted.push(replica.await??);
    }
    Ok((guest_writes, emitted))
}

/// Most guests act once in a transaction, one several times.
pub(crate) async fn let_guests_act(
    database: &Arc<Database>,
    paced_writes: &Arc<PacedWrites<Write>>,
) -> TestResult<Vec<GuestWrite>> {
    let guests: [_; GUESTS] = std::array::from_fn(|guest| {
        let (database, paced_writes) = (database.clone(), paced_writes.clone());
        let most = if guest == 0 { 7 } else { 1 };
        tokio::spawn(async move {
            let mut conn = database.connect().await?;
            let mut done = 0;
            loop {
                let acts = paced_writes.next(guest, done, most).await;
                if acts.is_empty() {
                    return TestResult::Ok(());
                }
                let writes: Vec<String> = acts.iter().map(|(_, act)| act.sql(&conn)).collect();
                conn.transaction(&writes).await?;
                done += acts.len();
                paced_writes.acted(acts.len());
            }
        })
    });
    for guest in guests {
        guest.await??;
    }
    database.guest_writes().await
}

impl Write {
    pub(crate) fn row(self) -> usize {
        match self {
            Self::Confirm(row) | Self::Hold(row) | Self::Release(row) => row,
        }
    }

    /// As an application would write it.
    fn sql(self, conn: &Connection) -> String {
        let (act, set) = match self {
            Self::Confirm(_) => ("confirm", "status = 'Confirmed'".to_owned()),
            Self::Hold(_) => {
                let until = text(Utc::now() + TimeDelta::days(1));
                ("hold", format!("held_until = '{until}'"))
            }
            Self::Release(_) => ("release", format!("held_until = {}", conn.clock())),
        };
        let (row, id) = (self.row(), id(self.row()));
        let update =
            format!("update bookings set {set} where booking_id = '{id}' and status = 'Pending'");
        conn.entered(&update, act, row)
    }
}

/// Status and hold of each booking.
pub(crate) async fn bookings(
    database: &Database,
) -> TestResult<BTreeMap<usize, (String, Option<DateTime<Utc>>)>> {
    let all = "select booking_id as one, status as two, coalesce(cast(held_until as text), '') as three from bookings";
    let rows = database.connect().await?.rows(all).await?.into_iter();
    rows.map(|row| {
        let until = match row.three.as_str() {
            "" => None,
            until => Some(instant(until)?),
        };
        Ok((place(&row.one), (row.two, until)))
    })
    .collect()
}

pub(crate) fn user(number: usize) -> uuid::Uuid {
    uuid::Uuid::from_u128(number as u128)
}

/// As both databases take it.
pub(crate) fn text(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// Writes are set off up to this many rows before the front, which moves on until they are done.
pub(crate) const AHEAD: usize = 160;

pub(crate) const USERS: usize = 50;
