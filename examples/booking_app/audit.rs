//! Compares the tables with the guests' log and the housekeeper's reports.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ractor_housekeeper::job::Counts;

use crate::guest_log::Entries;
use crate::mailer::Sent;
use crate::observer::Totals;
use crate::records::{Booking, Contents};
use crate::{EXPIRE_AFTER, IDLE_AFTER, Progress};

pub(crate) struct Audit<'a> {
    pub(crate) tables: &'a Contents,
    pub(crate) guests: &'a Entries,
    pub(crate) events: &'a Totals,
    pub(crate) progress: &'a Progress,
    pub(crate) post: &'a Sent,
}

impl Audit<'_> {
    /// Prints the totals and returns the faults.
    pub(crate) fn run(&self) -> Vec<String> {
        let mut faults = Vec::new();
        self.bookings(&mut faults);
        self.sessions(&mut faults);
        self.media(&mut faults);
        self.mails(&mut faults);
        self.reports(&mut faults);
        self.volume(&mut faults);
        self.print();
        faults
    }

    /// Each booking is paid, or expired on time.
    fn bookings(&self, faults: &mut Vec<String>) {
        let kept: HashSet<&String> = self.tables.bookings.iter().map(|row| &row.id).collect();
        if kept != self.guests.booked.iter().collect() {
            faults.push("the bookings differ from those the guests made".to_owned());
        }
        for booking in &self.tables.bookings {
            let paid = self.guests.paid.contains(&booking.id);
            let fault = match booking.status.as_str() {
                "Confirmed" if paid => None,
                "Expired" if !paid => self.lateness_fault(booking),
                status => Some(format!(
                    "is {status} and {}",
                    if paid { "paid" } else { "unpaid" }
                )),
            };
            faults.extend(fault.map(|fault| format!("booking {} {fault}", booking.id)));
        }
    }

    /// Each expired booking's guest has one mail, and no other guest has any. Only a crash repeats
    /// one.
    fn mails(&self, faults: &mut Vec<String>) {
        let expired: BTreeSet<&String> = self.expired().map(|booking| &booking.id).collect();
        let mailed: BTreeSet<&String> = self.post.mails.keys().collect();
        for id in expired.difference(&mailed) {
            faults.push(format!("booking {id} expired, and its guest has no mail"));
        }
        for id in mailed.difference(&expired) {
            faults.push(format!(
                "booking {id} did not expire, and its guest has a mail"
            ));
        }
        for (id, mails) in self.post.mails.iter().filter(|(_, mails)| mails.len() > 1) {
            faults.push(format!("booking {id} has different mails: {mails:?}"));
        }
        if self.post.repeated > self.post.crashes {
            let Sent {
                repeated, crashes, ..
            } = self.post;
            faults.push(format!(
                "{repeated} mails were repeated by {crashes} crashes"
            ));
        }
    }

    fn lateness_fault(&self, booking: &Booking) -> Option<String> {
        let lateness = booking.updated_at - deadline(booking);
        let limit = self.lateness_limit(deadline(booking));
        // The rule expires bookings strictly older than the age; a hold includes its last instant.
        let is_young = booking.updated_at <= booking.created_at + EXPIRE_AFTER;
        if is_young || lateness < TimeDelta::zero() {
            Some(format!(
                "expired {} ms too early",
                -lateness.num_milliseconds()
            ))
        } else if lateness > limit {
            let (lateness, limit) = (lateness.num_milliseconds(), limit.num_milliseconds());
            Some(format!("expired {lateness} ms late, of {limit} ms allowed"))
        } else {
            None
        }
    }

    /// A row that falls due during an outage may wait for the worker's restart.
    fn lateness_limit(&self, deadline: DateTime<Utc>) -> TimeDelta {
        let outages = self
            .events
            .outages
            .iter()
            .filter(|outage| outage.from <= deadline && deadline <= outage.until)
            .map(|outage| outage.until - outage.from);
        LATENESS_LIMIT + outages.max().unwrap_or_default()
    }

    /// Each deleted session was idle by its guest's log; all others exist.
    fn sessions(&self, faults: &mut Vec<String>) {
        let deleted: HashMap<&String, DateTime<Utc>> = self
            .tables
            .deletions
            .iter()
            .map(|deletion| (&deletion.session, deletion.at))
            .collect();
        let kept: HashSet<&String> = self.tables.sessions.iter().collect();
        for (session, entry) in &self.guests.sessions {
            match deleted.get(session) {
                Some(at) if *at + CLOCK_GRAIN - entry.last_activity < idle_after() => {
                    faults.push(format!(
                        "session {session} was deleted at {at}, but its guest wrote at {}",
                        entry.last_activity
                    ));
                }
                None if !kept.contains(session) => {
                    faults.push(format!(
                        "session {session} is missing without a recorded deletion"
                    ));
                }
                _ => {}
            }
        }
        if self.guests.sessions.len() != deleted.len() + kept.len() {
            faults.push("the sessions differ from those the guests opened".to_owned());
        }
    }

    /// Records of deleted sessions are gone; all others exist.
    fn media(&self, faults: &mut Vec<String>) {
        let mut found: HashMap<&String, (usize, usize)> = HashMap::new();
        for session in &self.tables.images {
            found.entry(session).or_default().0 += 1;
        }
        for session in &self.tables.videos {
            found.entry(session).or_default().1 += 1;
        }
        for session in &self.tables.sessions {
            let found = found.remove(session).unwrap_or_default();
            let entry = self.guests.sessions.get(session);
            if entry.is_some_and(|entry| (entry.media.images, entry.media.videos) != found) {
                faults.push(format!("session {session} has lost records"));
            }
        }
        let orphans = found.keys();
        faults.extend(orphans.map(|session| format!("session {session} left orphaned records")));
    }

    /// The housekeeper's reports and batch events add up to the changes of the tables.
    fn reports(&self, faults: &mut Vec<String>) {
        let changed = self.changed();
        for (kind, count) in changed.iter() {
            let reported = self.events.reported.of(kind);
            if reported != count {
                faults.push(format!(
                    "reports count {reported} {kind}, the tables {count}"
                ));
            }
            let committed = self.events.committed.of(kind);
            if committed != count {
                faults.push(format!(
                    "events count {committed} {kind}, the tables {count}"
                ));
            }
        }
        if self.events.missed > 0 {
            faults.push(format!("{} events were missed", self.events.missed));
        }
    }

    /// Rows that the housekeeper changed, by kind, from the tables and the guests' log.
    fn changed(&self) -> Counts {
        let opened = self.guests.sessions.values();
        let (images, videos) = opened.fold((0, 0), |(images, videos), entry| {
            (images + entry.media.images, videos + entry.media.videos)
        });
        let mut changed = Counts::default();
        changed.add("bookings", self.expired().count() as u64);
        changed.add("sessions", self.tables.deletions.len() as u64);
        changed.add("image_records", (images - self.tables.images.len()) as u64);
        changed.add("video_records", (videos - self.tables.videos.len()) as u64);
        changed
    }

    /// An audit of too few rows proves nothing. Skipped when Ctrl-C cut the simulation short.
    fn volume(&self, faults: &mut Vec<String>) {
        if !self.progress.complete {
            return;
        }
        let least = [
            ("bookings made", self.tables.bookings.len(), 500),
            ("bookings expired", self.expired().count(), 100),
            ("sessions deleted", self.tables.deletions.len(), 50),
            (
                "callers answered after a crash",
                self.progress.crash_answers,
                1,
            ),
        ];
        for (label, count, least) in least {
            if count < least {
                faults.push(format!("{count} {label}, fewer than {least}"));
            }
        }
    }

    fn print(&self) {
        let bookings = self.tables.bookings.len();
        println!("\naudit by SQL");
        println!(
            "  {bookings} bookings: {} paid, {} expired, {} pending",
            self.guests.paid.len(),
            self.expired().count(),
            self.tables.pending()
        );
        println!(
            "  {} sessions opened, {} left; {} messages",
            self.guests.sessions.len(),
            self.tables.sessions.len(),
            self.guests.messages
        );
        println!(
            "  the housekeeper changed {} in {} runs",
            self.changed(),
            self.events.runs
        );
        println!(
            "  {} guests mailed, {} mails repeated by {} crashes of the mailer",
            self.post.mails.len(),
            self.post.repeated,
            self.post.crashes
        );
        let by_row = self.expired().map(|row| row.updated_at - deadline(row));
        println!("  lateness by updated_at: {}", Spread::of(by_row));
        let rows: HashMap<&String, &Booking> = self
            .tables
            .bookings
            .iter()
            .map(|row| (&row.id, row))
            .collect();
        let by_event = self
            .events
            .expiries
            .iter()
            .filter_map(|(id, received)| Some(*received - deadline(rows.get(id)?)));
        println!("  lateness by event:      {}", Spread::of(by_event));
    }

    fn expired(&self) -> impl Iterator<Item = &Booking> {
        self.tables
            .bookings
            .iter()
            .filter(|row| row.status == "Expired")
    }
}

/// When an unpaid booking expires.
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

/// How late a booking may expire: the schedule's `min_interval`, a run, and delays of a busy
/// machine.
const LATENESS_LIMIT: TimeDelta = TimeDelta::milliseconds(2_000);

/// SQLite's clock has a resolution of one millisecond.
const CLOCK_GRAIN: Duration = Duration::from_millis(1);
