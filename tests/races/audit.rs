//! Compares reports with the triggers' record and the guests' knowledge.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Instant;

use chrono::{DateTime, Utc};

use crate::TestResult;
use crate::database::{Database, GuestWrite, instant};
use crate::paced_writes::place;
use crate::replica::Emitted;

/// The rows that went, with the instant at which each did, by the database's clock.
pub(crate) type Handled = BTreeMap<usize, DateTime<Utc>>;

/// The figures of one race.
pub(crate) struct Figures {
    pub(crate) race: String,
    pub(crate) rows: usize,
    pub(crate) guests: usize,
    /// Of these rows, those that a guest tried to save and could not.
    pub(crate) late_guests: usize,
    pub(crate) replicas: Vec<usize>,
    pub(crate) began: Instant,
}

impl Figures {
    /// Prints them, and makes sure that there was a race.
    pub(crate) fn print_and_check(&self) {
        println!("{self}");
        assert!(self.guests > 0 && self.late_guests > 0, "no race: {self}");
        // The lock of an SQLite file is not fair.
        let busy = self.replicas.iter().filter(|rows| **rows > 0);
        assert!(busy.count() > 1, "not shared: {self}");
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            race,
            rows,
            guests,
            late_guests,
            replicas,
            began,
        } = self;
        let seconds = began.elapsed().as_secs_f64();
        write!(
            f,
            "{race}: {rows} rows, guests won {guests} and came late for {late_guests}, housekeepers won {replicas:?}, {seconds:.1} s"
        )
    }
}

/// Checks that each row that went did so once, in one event and one report. Returns them.
pub(crate) async fn gone(
    database: &Database,
    kind: &str,
    emitted: &[Emitted],
) -> TestResult<Handled> {
    let (audited, counted) = match kind {
        "bookings" => ("booking", "bookings"),
        _ => ("session", "sessions"),
    };
    let rows = format!(
        "select id as one, cast(at as text) as two, was as three from audit where kind = '{audited}'"
    );
    let audit = database.connect().await?.rows(&rows).await?;
    let mut gone = Handled::new();
    for row in &audit {
        let twice = gone.insert(place(&row.one), instant(&row.two)?);
        assert_eq!(twice, None, "{} went twice", row.one);
        assert!(
            row.three == "Pending" || row.three == "idle",
            "{} was {}",
            row.one,
            row.three
        );
    }

    let ids: BTreeSet<usize> = emitted
        .iter()
        .flat_map(|emitted| &emitted.ids)
        .map(|id| place(id))
        .collect();
    let times: usize = emitted.iter().map(|emitted| emitted.ids.len()).sum();
    assert_eq!(times, ids.len(), "a row was emitted twice");
    assert!(gone.keys().eq(&ids), "what went is not what was emitted");
    let reports = emitted.iter().flat_map(|emitted| &emitted.reports);
    let sum: u64 = reports.map(|report| report.counts.of(counted)).sum();
    assert_eq!(usize::try_from(sum)?, gone.len(), "the reports' sum");
    Ok(gone)
}

/// The winner of a row is the one that its guest saw: a write that found its row keeps it, one that
/// did not came behind its end. Returns how many guests won.
pub(crate) fn check_winners(guest_writes: &[GuestWrite], gone: &Handled) -> usize {
    for entry in guest_writes {
        match (entry.found, gone.get(&entry.place)) {
            (true, None) => {}
            (false, Some(at)) if *at <= entry.at => {}
            (_, at) => panic!("{entry:?}, but the row went at {at:?}"),
        }
    }
    guest_writes.iter().filter(|entry| entry.found).count()
}
