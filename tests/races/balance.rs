//! What housekeepers told, beside what the triggers saw and what the guests know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Instant;

use chrono::{DateTime, Utc};

use crate::chase::place;
use crate::database::{Database, Done, Entry, instant};
use crate::replica::Told;

/// The rows that went, with the instant at which each did, by the database's clock.
pub(crate) type Gone = BTreeMap<usize, DateTime<Utc>>;

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
    pub(crate) fn settle(&self) {
        println!("{self}");
        assert!(self.guests > 0 && self.late_guests > 0, "no race: {self}");
        // Nobody shares out the lock of an SQLite file fairly.
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

/// Each row that went did so once, was told once, and stands in one report. Returns them.
pub(crate) async fn gone(database: &Database, kind: &str, told: &[Told]) -> Done<Gone> {
    let (audited, counted) = match kind {
        "bookings" => ("booking", "bookings"),
        _ => ("session", "sessions"),
    };
    let rows = format!(
        "select id as one, cast(at as text) as two, was as three from audit where kind = '{audited}'"
    );
    let audit = database.connect().await?.rows(&rows).await?;
    let mut gone = Gone::new();
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

    let ids: BTreeSet<usize> = told
        .iter()
        .flat_map(|told| &told.ids)
        .map(|id| place(id))
        .collect();
    let times: usize = told.iter().map(|told| told.ids.len()).sum();
    assert_eq!(times, ids.len(), "a row was told twice");
    assert!(gone.keys().eq(&ids), "what went is not what was told");
    let reports = told.iter().flat_map(|told| &told.reports);
    let sum: u64 = reports.map(|report| report.counts.of(counted)).sum();
    assert_eq!(usize::try_from(sum)?, gone.len(), "the reports' sum");
    Ok(gone)
}

/// Who won a row, as its guest saw it, is who won it: a write that found its row keeps it, one that did not came behind its end. Returns how
/// many guests won.
pub(crate) fn agree(ledger: &[Entry], gone: &Gone) -> usize {
    for entry in ledger {
        match (entry.found, gone.get(&entry.place)) {
            (true, None) => {}
            (false, Some(at)) if *at <= entry.at => {}
            (_, at) => panic!("{entry:?}, but the row went at {at:?}"),
        }
    }
    ledger.iter().filter(|entry| entry.found).count()
}
