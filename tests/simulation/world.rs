//! Shared by all: the database with its clock, the guests' account of it, the dice, and what was
//! found broken.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use fastrand::Rng;
use ractor_housekeeper::JobName;
use ractor_housekeeper::testing::{ManualClock, MemoryBooking, MemoryOutbox, MemoryStore};
use ractor_housekeeper::time::Clock;
use uuid::Uuid;

use crate::deliveries::Deliveries;
use crate::guests::{Booking, BookingPolicy, Change, Guests, Session};
use crate::totals::Totals;

/// The shared world. No holder keeps the lock over an await.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<WorldState>>);

pub(crate) struct WorldState {
    pub(crate) rng: Rng,
    /// The database's; housekeepers have their own, which may be wrong.
    pub(crate) clock: ManualClock,
    pub(crate) store: MemoryStore,
    pub(crate) outbox: MemoryOutbox,
    pub(crate) deliveries: Deliveries,
    pub(crate) guests: Guests,
    pub(crate) ages: BookingPolicy,
    /// How often a step goes wrong, in percent.
    pub(crate) trouble: u8,
    /// No fault has been for long enough, so that everything must be on time.
    pub(crate) without_faults: bool,
    pub(crate) totals: Totals,
    /// Replicas that were killed in one of their own steps.
    pub(crate) killed: BTreeSet<usize>,
    /// Rows that were handled, by replica and id, and not yet emitted to its subscribers.
    unreported: BTreeMap<(usize, String), i64>,
    pub(crate) broken: Option<String>,
    trace: DefaultHasher,
    verbose: bool,
}

impl World {
    pub(crate) fn new(seed: u64, verbose: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let start = "2026-01-10T12:00:00Z".parse().expect("is an instant");
        let clock = ManualClock::new(start);
        let ages = BookingPolicy {
            booking: Duration::from_secs(*choose(&mut rng, &[5, 60, 15 * 60])),
            session: Duration::from_secs(*choose(&mut rng, &[60, 30 * 60, 24 * 60 * 60])),
        };
        Self(Arc::new(Mutex::new(WorldState {
            rng,
            store: MemoryStore::new().with_clock(Arc::new(clock.clone())),
            outbox: MemoryOutbox::new().with_clock(Arc::new(clock.clone())),
            deliveries: Deliveries::default(),
            clock,
            guests: Guests::default(),
            ages,
            trouble: 0,
            without_faults: false,
            totals: Totals::default(),
            killed: BTreeSet::new(),
            unreported: BTreeMap::new(),
            broken: None,
            trace: DefaultHasher::new(),
            verbose,
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, WorldState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorldState {
    /// The instant it is by the database, which keeps microseconds.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(6)
    }

    /// Whether something happens that does so in this many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(0..100) < percent
    }

    /// Notes the first promise that was broken.
    pub(crate) fn break_promise(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.note(&format!("BROKEN: {what}"));
        self.broken.get_or_insert(what);
    }

    /// Adds to the trace, by which two plays of a seed are compared.
    pub(crate) fn note(&mut self, what: &(impl Hash + std::fmt::Debug)) {
        let now = self.clock.now();
        (now, what).hash(&mut self.trace);
        if self.verbose {
            println!("{} {what:?}", now.format("%d %H:%M:%S%.3f"));
        }
    }

    /// The trace so far, as a number.
    pub(crate) fn trace(&self) -> u64 {
        self.trace.finish()
    }

    /// Compares the store with what the guests know, after a batch of a job.
    pub(crate) fn audit(&mut self, expirer: bool) -> Change {
        let now = self.now();
        let found = if expirer {
            let age = self.ages.booking;
            self.guests.note_expired(&self.store, now, age)
        } else {
            let age = self.ages.session;
            self.guests.note_deleted(&self.store, now, age)
        };
        let change = found.unwrap_or_else(|broken| {
            self.break_promise(broken);
            Change::default()
        });
        for (id, waited, foreseen) in &change.rows {
            if self.without_faults && *foreseen && *waited > ON_TIME {
                self.break_promise(format!(
                    "{id} waited for {waited:?} in without_faults weather"
                ));
            }
        }
        change
    }

    /// A row that has been due for too long, though nothing about it was hard to foresee.
    pub(crate) fn late(&self) -> Option<String> {
        let then = self.now() - ON_TIME;
        let (bookings, sessions) = self.guests.due_since(then, None, self.ages);
        let booking = bookings
            .iter()
            .find(|id| !self.guests.bookings[**id].unforeseen);
        let session = sessions
            .iter()
            .find(|id| !self.guests.sessions[**id].unforeseen);
        booking.or(session).map(|id| (*id).to_owned())
    }

    /// A replica handled these rows, and will report them.
    pub(crate) fn handled(&mut self, replica: usize, ids: &[String]) {
        for id in ids {
            self.owe(replica, id, 1);
        }
    }

    /// A replica emitted these rows to its subscribers.
    pub(crate) fn emitted(&mut self, replica: usize, ids: &[String]) {
        for id in ids {
            let unsaved = self.owe(replica, id, -1);
            if unsaved < 0 {
                self.break_promise(format!(
                    "replica {replica} emitted of {id}, which no batch handled"
                ));
            }
        }
    }

    /// The first row that a replica handled and never reported.
    pub(crate) fn unreported(&self, replica: usize) -> Option<&str> {
        let mut rows = self.unreported.keys();
        rows.find(|(by, _)| *by == replica)
            .map(|(_, id)| id.as_str())
    }

    fn owe(&mut self, replica: usize, id: &str, count: i64) -> i64 {
        let key = (replica, id.to_owned());
        let unsaved = self.unreported.entry(key.clone()).or_default();
        *unsaved += count;
        let unsaved = *unsaved;
        if unsaved == 0 {
            self.unreported.remove(&key);
        }
        unsaved
    }
}

/// Acts of guests.
impl WorldState {
    /// Books, in a place where no booking waits.
    pub(crate) fn events(&mut self) {
        let id = format!("b{:02}", self.rng.u8(0..PLACES));
        let waits = |booking: &Booking| booking.status == "Pending";
        if self.guests.bookings.get(&id).is_some_and(waits) {
            return;
        }
        let now = self.now();
        let backdated = self.chance(10);
        let earlier = if backdated { self.rng.u32(0..2_000) } else { 0 };
        let booking = Booking {
            user: self.user(),
            made: now - TimeDelta::seconds(earlier.into()),
            held: None,
            status: "Pending",
            touched: now,
            unforeseen: backdated,
        };
        self.put(id, booking);
    }

    /// Pays for a booking, gives it up, or lets it wait for something else.
    pub(crate) fn settle(&mut self, status: &'static str) {
        self.change_booking(|booking, _, _| booking.status = status);
    }

    /// Begins or extends a payment, which holds the booking.
    pub(crate) fn hold(&mut self) {
        self.change_booking(|booking, now, rng| {
            let until = now + TimeDelta::milliseconds(rng.i64(1..120_000));
            // A hold that is extended may also be cut short, which only the next look can find.
            booking.unforeseen |= booking.held.is_some_and(|held| held > until);
            booking.held = Some(until);
        });
    }

    /// A payment fails at once: the hold ends.
    pub(crate) fn release(&mut self) {
        self.change_booking(|booking, now, _| {
            booking.unforeseen |= booking.held.is_some_and(|held| held > now);
            booking.held = None;
        });
    }

    /// Puts a booking that was settled back to Pending, as it was made.
    pub(crate) fn reopen(&mut self) {
        let Some(id) = self.some_booking(|booking| booking.status != "Pending") else {
            return;
        };
        self.change(&id, |booking, _, _| {
            booking.status = "Pending";
            booking.unforeseen = true;
        });
    }

    /// Writes to the bot, with a new session or without.
    pub(crate) fn chat(&mut self) {
        let (user, now) = (self.user(), self.now());
        let by_user = self.chance(80);
        let sender = if by_user { "user" } else { "bot" };
        if self.chance(40) {
            let id = format!("s{:02}", self.rng.u8(0..PLACES));
            if !self.guests.sessions.contains_key(&id) {
                let age = self.ages.session.as_secs();
                let backdated = self.chance(30);
                let earlier = if backdated {
                    self.rng.u64(0..age * 2)
                } else {
                    0
                };
                let began = now - Duration::from_secs(earlier);
                self.store.add_session(&id, user, began);
                let session = Session {
                    user,
                    began,
                    images: 0,
                    videos: 0,
                    touched: now,
                    unforeseen: backdated,
                };
                self.guests.sessions.insert(id, session);
            }
        }
        self.store.add_message(user, sender, now);
        if by_user {
            self.guests.wrote.insert(user, now);
        }
    }

    /// Sends an image or a video in a session.
    pub(crate) fn send_media(&mut self) {
        let image = self.rng.bool();
        let Some(place) = pick(&mut self.rng, self.guests.sessions.len()) else {
            return;
        };
        let Some((id, session)) = self.guests.sessions.iter_mut().nth(place) else {
            return;
        };
        if image {
            self.store.add_image(id);
            session.images += 1;
        } else {
            self.store.add_video(id);
            session.videos += 1;
        }
    }

    /// One of the users.
    pub(crate) fn user(&mut self) -> Uuid {
        Uuid::from_u128(self.rng.u128(1..=USERS))
    }

    fn change_booking(&mut self, change: impl FnOnce(&mut Booking, DateTime<Utc>, &mut Rng)) {
        if let Some(id) = self.some_booking(|booking| booking.status == "Pending") {
            self.change(&id, change);
        }
    }

    fn some_booking(&mut self, wanted: impl Fn(&Booking) -> bool) -> Option<String> {
        let of_kind = self.guests.bookings.iter().filter(|(_, row)| wanted(row));
        let ids: Vec<&String> = of_kind.map(|(id, _)| id).collect();
        pick(&mut self.rng, ids.len()).map(|place| ids[place].clone())
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Booking, DateTime<Utc>, &mut Rng)) {
        let now = self.now();
        if let Some(mut booking) = self.guests.bookings.remove(id) {
            change(&mut booking, now, &mut self.rng);
            booking.touched = now;
            self.put(id.to_owned(), booking);
        }
    }

    fn put(&mut self, id: String, booking: Booking) {
        self.store.add_booking(MemoryBooking {
            status: booking.status.to_owned(),
            held_until: booking.held,
            ..MemoryBooking::pending(&id, booking.user, booking.made)
        });
        self.guests.bookings.insert(id, booking);
    }
}

/// One of several, by the dice.
pub(crate) fn choose<'a, T>(rng: &mut Rng, several: &'a [T]) -> &'a T {
    &several[rng.usize(0..several.len())]
}

fn pick(rng: &mut Rng, among: usize) -> Option<usize> {
    (among > 0).then(|| rng.usize(0..among))
}

/// Whether a job is the booking expirer; the other one is the session cleaner.
pub(crate) fn is_expirer(job: &JobName) -> bool {
    *job == ractor_housekeeper::booking::BookingExpirer::NAME
}

/// The minimum interval, and the time that a run takes on this clock: none, but for a rounded
/// millisecond or two.
const ON_TIME: Duration = Duration::from_millis(1_005);

/// Rows of each kind.
const PLACES: u8 = 24;

/// Users, who share the rows.
const USERS: u128 = 8;
