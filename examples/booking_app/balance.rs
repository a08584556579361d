//! The balance: what the tables say, against the guests' ledger, against the housekeeper's reports.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ractor_housekeeper::job::Counts;

use crate::ledger::Entries;
use crate::reception::Account;
use crate::records::{Booking, Stock};
use crate::{EXPIRE_AFTER, IDLE_AFTER, Passed};

pub(crate) struct Balance<'a> {
    pub(crate) stock: &'a Stock,
    pub(crate) ledger: &'a Entries,
    pub(crate) account: &'a Account,
    pub(crate) passed: &'a Passed,
}

impl Balance<'_> {
    /// Prints the balance, and returns what is wrong with it.
    pub(crate) fn strike(&self) -> Vec<String> {
        let mut faults = Vec::new();
        self.bookings(&mut faults);
        self.sessions(&mut faults);
        self.media(&mut faults);
        self.reports(&mut faults);
        self.substance(&mut faults);
        self.print();
        faults
    }

    /// Each booking is paid, or expired when it was due.
    fn bookings(&self, faults: &mut Vec<String>) {
        let kept: HashSet<&String> = self.stock.bookings.iter().map(|row| &row.id).collect();
        if kept != self.ledger.booked.iter().collect() {
            faults.push("the bookings are not those the guests made".to_owned());
        }
        for booking in &self.stock.bookings {
            let paid = self.ledger.paid.contains(&booking.id);
            let fault = match booking.status.as_str() {
                "Confirmed" if paid => None,
                "Expired" if !paid => self.lateness_fault(booking),
                status => Some(format!(
                    "is {status}, and its guest {}paid",
                    if paid { "" } else { "never " }
                )),
            };
            faults.extend(fault.map(|fault| format!("booking {} {fault}", booking.id)));
        }
    }

    fn lateness_fault(&self, booking: &Booking) -> Option<String> {
        let lateness = booking.updated_at - deadline(booking);
        let limit = self.lateness_limit(deadline(booking));
        // Strictly older than the age; a hold ends with its last instant.
        let is_young = booking.updated_at <= booking.created_at + EXPIRE_AFTER;
        if is_young || lateness < TimeDelta::zero() {
            Some(format!(
                "expired {} ms too early",
                -lateness.num_milliseconds()
            ))
        } else if lateness > limit {
            let (lateness, limit) = (lateness.num_milliseconds(), limit.num_milliseconds());
            Some(format!(
                "expired {lateness} ms late; {limit} ms are allowed"
            ))
        } else {
            None
        }
    }

    /// What falls due while the worker is down waits for its restart.
    fn lateness_limit(&self, deadline: DateTime<Utc>) -> TimeDelta {
        let hit = self
            .account
            .outages
            .iter()
            .filter(|outage| outage.from <= deadline && deadline <= outage.until)
            .map(|outage| outage.until - outage.from);
        LATENESS_LIMIT + hit.max().unwrap_or_default()
    }

    /// Each deleted session had been idle, by its guest's own memory; all others are there.
    fn sessions(&self, faults: &mut Vec<String>) {
        let departed: HashMap<&String, DateTime<Utc>> = self
            .stock
            .departures
            .iter()
            .map(|departure| (&departure.session, departure.at))
            .collect();
        let kept: HashSet<&String> = self.stock.sessions.iter().collect();
        for (session, entry) in &self.ledger.sessions {
            match departed.get(session) {
                Some(at) if *at + CLOCK_GRAIN - entry.last_activity < idle_after() => {
                    faults.push(format!(
                        "session {session} was deleted at {at}, though its guest wrote at {}",
                        entry.last_activity
                    ));
                }
                None if !kept.contains(session) => {
                    faults.push(format!("session {session} is gone without a trace"));
                }
                _ => {}
            }
        }
        if self.ledger.sessions.len() != departed.len() + kept.len() {
            faults.push("the sessions are not those the guests opened".to_owned());
        }
    }

    /// Records of deleted sessions are gone, all others are there.
    fn media(&self, faults: &mut Vec<String>) {
        let mut found: HashMap<&String, (usize, usize)> = HashMap::new();
        for session in &self.stock.images {
            found.entry(session).or_default().0 += 1;
        }
        for session in &self.stock.videos {
            found.entry(session).or_default().1 += 1;
        }
        for session in &self.stock.sessions {
            let found = found.remove(session).unwrap_or_default();
            let entry = self.ledger.sessions.get(session);
            if entry.is_some_and(|entry| (entry.media.images, entry.media.videos) != found) {
                faults.push(format!("session {session} has lost records"));
            }
        }
        let orphans = found.keys();
        faults.extend(orphans.map(|session| format!("session {session} left orphaned records")));
    }

    /// The housekeeper's reports, and its events, add up to what the tables say.
    fn reports(&self, faults: &mut Vec<String>) {
        let truth = self.truth();
        for (kind, count) in truth.iter() {
            let reported = self.account.reported.of(kind);
            if reported != count {
                faults.push(format!(
                    "reports tell of {reported} {kind}, the tables of {count}"
                ));
            }
            let committed = self.account.committed.of(kind);
            if committed != count {
                faults.push(format!(
                    "events tell of {committed} {kind}, the tables of {count}"
                ));
            }
        }
        if self.account.missed > 0 {
            faults.push(format!("{} events were missed", self.account.missed));
        }
    }

    /// Rows changed by housekeeping, by kind, as the tables and the ledger have it.
    fn truth(&self) -> Counts {
        let opened = self.ledger.sessions.values();
        let (images, videos) = opened.fold((0, 0), |(images, videos), entry| {
            (images + entry.media.images, videos + entry.media.videos)
        });
        let mut truth = Counts::default();
        truth.add("bookings", self.expired().count() as u64);
        truth.add("sessions", self.stock.departures.len() as u64);
        truth.add("image_records", (images - self.stock.images.len()) as u64);
        truth.add("video_records", (videos - self.stock.videos.len()) as u64);
        truth
    }

    /// A balance of nothing would always hold. A day that was cut short has less.
    fn substance(&self, faults: &mut Vec<String>) {
        if !self.passed.whole {
            return;
        }
        let least = [
            ("bookings made", self.stock.bookings.len(), 500),
            ("bookings expired", self.expired().count(), 100),
            ("sessions deleted", self.stock.departures.len(), 50),
            ("waiters told of a crash", self.passed.answers_of_crash, 1),
        ];
        for (what, count, least) in least {
            if count < least {
                faults.push(format!("{count} {what}, fewer than {least}"));
            }
        }
    }

    fn print(&self) {
        let bookings = self.stock.bookings.len();
        println!("\nthe balance, by SQL of our own");
        println!(
            "  {bookings} bookings: {} paid, {} expired, {} pending",
            self.ledger.paid.len(),
            self.expired().count(),
            self.stock.pending()
        );
        println!(
            "  {} sessions opened, {} still there; {} messages",
            self.ledger.sessions.len(),
            self.stock.sessions.len(),
            self.ledger.messages
        );
        println!(
            "  housekeeping changed {} in {} runs",
            self.truth(),
            self.account.runs
        );
        let by_row = self.expired().map(|row| row.updated_at - deadline(row));
        println!("  lateness by the row's updated_at: {}", Spread::of(by_row));
        let rows: HashMap<&String, &Booking> = self
            .stock
            .bookings
            .iter()
            .map(|row| (&row.id, row))
            .collect();
        let by_event = self
            .account
            .expiries
            .iter()
            .filter_map(|(id, heard)| Some(*heard - deadline(rows.get(id)?)));
        println!(
            "  lateness until we were told:      {}",
            Spread::of(by_event)
        );
    }

    fn expired(&self) -> impl Iterator<Item = &Booking> {
        self.stock
            .bookings
            .iter()
            .filter(|row| row.status == "Expired")
    }
}

/// When a booking expires if nobody pays.
fn deadline(booking: &Booking) -> DateTime<Utc> {
    let aged = booking.created_at + EXPIRE_AFTER;
    booking.held_until.map_or(aged, |held| held.max(aged))
}

fn idle_after() -> TimeDelta {
    TimeDelta::from_std(IDLE_AFTER).unwrap_or(TimeDelta::MAX)
}

/// Median, 99th percentile and maximum.
struct Spread {
    sorted: Vec<TimeDelta>,
}

impl Spread {
    fn of(spans: impl Iterator<Item = TimeDelta>) -> Self {
        let mut sorted: Vec<TimeDelta> = spans.collect();
        sorted.sort_unstable();
        Self { sorted }
    }

    fn at(&self, percent: usize) -> i64 {
        let last = self.sorted.len().saturating_sub(1);
        let span = self.sorted.get(last * percent / 100);
        span.map_or(0, TimeDelta::num_milliseconds)
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (median, high, most) = (self.at(50), self.at(99), self.at(100));
        write!(f, "p50 {median} ms, p99 {high} ms, max {most} ms")
    }
}

/// How late a booking may expire: the min_interval, a run, and what a busy machine adds.
const LATENESS_LIMIT: TimeDelta = TimeDelta::milliseconds(2_000);

/// SQLite's own clock counts in milliseconds.
const CLOCK_GRAIN: Duration = Duration::from_millis(1);
