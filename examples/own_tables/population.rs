//! Rows on both sides of both cutoffs, each with what must become of it.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::status::BookingStatus;
use crate::{EXPIRE_AFTER, IDLE_AFTER};

#[derive(Debug, Clone, Default)]
pub(crate) struct Population {
    pub(crate) sessions: Vec<Session>,
    pub(crate) messages: Vec<Message>,
    pub(crate) bookings: Vec<Booking>,
}

#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) user: Uuid,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) images: usize,
    pub(crate) videos: usize,
    stays: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) user: Uuid,
    pub(crate) sender: &'static str,
    pub(crate) timestamp: NaiveDateTime,
}

#[derive(Debug, Clone)]
pub(crate) struct Booking {
    pub(crate) id: String,
    pub(crate) user: Uuid,
    pub(crate) status: BookingStatus,
    pub(crate) created_at: NaiveDateTime,
    expires: bool,
}

/// What is in the tables, in the order of ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Contents {
    pub(crate) sessions: Vec<String>,
    /// The session of each image record.
    pub(crate) images: Vec<String>,
    /// The session of each video record.
    pub(crate) videos: Vec<String>,
    pub(crate) bookings: Vec<BookingLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BookingLine {
    pub(crate) id: String,
    pub(crate) status: &'static str,
    /// Whether `updated_at` is later than `created_at`.
    pub(crate) touched: bool,
}

impl Population {
    /// `now` is the database's, as the cutoffs will be.
    pub(crate) fn around_the_cutoffs(now: DateTime<Utc>) -> Self {
        let mut population = Self::default();
        population.add_sessions(now.naive_utc() - IDLE_AFTER);
        population.add_bookings(now.naive_utc() - EXPIRE_AFTER);
        population
    }

    /// Everyone a message or a session was made for.
    pub(crate) fn users(&self) -> impl Iterator<Item = Uuid> {
        let of_sessions = self.sessions.iter().map(|session| session.user);
        of_sessions.chain(self.bookings.iter().map(|booking| booking.user))
    }

    /// What must be in the tables when both jobs have run.
    pub(crate) fn expected(&self) -> Contents {
        let mut expected = Contents::default();
        for session in self.sessions.iter().filter(|session| session.stays) {
            let id = || session.id.clone();
            expected.sessions.push(id());
            expected.images.extend((0..session.images).map(|_| id()));
            expected.videos.extend((0..session.videos).map(|_| id()));
        }
        expected
            .bookings
            .extend(self.bookings.iter().map(|booking| BookingLine {
                id: booking.id.clone(),
                status: if booking.expires {
                    BookingStatus::Expired.name()
                } else {
                    booking.status.name()
                },
                touched: booking.expires,
            }));
        expected.sessions.sort();
        expected.images.sort();
        expected.videos.sort();
        expected.bookings.sort();
        expected
    }

    fn add_sessions(&mut self, cutoff: NaiveDateTime) {
        let (old, new) = (cutoff - MARGIN, cutoff + MARGIN);

        self.add_session("never-written", old, false);
        self.add_session("young", new, true);

        let user = self.add_session("gone-quiet", old - DAY, false);
        self.add_message(user, "user", old);

        let user = self.add_session("still-chatting", old - DAY, true);
        self.add_message(user, "user", old);
        self.add_message(user, "user", new);

        // The bot's own messages keep no session alive.
        let user = self.add_session("only-the-bot-talks", old - DAY, false);
        self.add_message(user, "user", old);
        self.add_message(user, "bot", new);

        // A session opened lately counts from its creation.
        let user = self.add_session("back-after-long", new, true);
        self.add_message(user, "user", old - DAY);

        // More than a batch.
        for number in 0..CROWD {
            self.add_session(&format!("crowd-{number:03}"), old - DAY, false);
        }
    }

    fn add_session(&mut self, id: &str, created_at: NaiveDateTime, stays: bool) -> Uuid {
        let user = Uuid::new_v4();
        self.sessions.push(Session {
            id: id.to_owned(),
            user,
            created_at,
            images: 2,
            videos: 1,
            stays,
        });
        user
    }

    fn add_message(&mut self, user: Uuid, sender: &'static str, timestamp: NaiveDateTime) {
        self.messages.push(Message {
            id: format!("message-{:03}", self.messages.len()),
            user,
            sender,
            timestamp,
        });
    }

    fn add_bookings(&mut self, cutoff: NaiveDateTime) {
        let (old, new) = (cutoff - MARGIN, cutoff + MARGIN);
        for status in BookingStatus::ALL {
            let expires = status == BookingStatus::Pending;
            self.add_booking(&format!("old-{status}"), status, old, expires);
            self.add_booking(&format!("new-{status}"), status, new, false);
        }
        for number in 0..CROWD {
            let id = format!("crowd-{number:03}");
            self.add_booking(&id, BookingStatus::Pending, old - DAY, true);
        }
    }

    fn add_booking(
        &mut self,
        id: &str,
        status: BookingStatus,
        created_at: NaiveDateTime,
        expires: bool,
    ) {
        self.bookings.push(Booking {
            id: id.to_owned(),
            user: Uuid::new_v4(),
            status,
            created_at,
            expires,
        });
    }
}

impl Contents {
    /// What differs, a line each; nothing if all is as it must be.
    pub(crate) fn differences(&self, expected: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        compare("sessions", &self.sessions, &expected.sessions, &mut lines);
        compare(
            "images of session",
            &self.images,
            &expected.images,
            &mut lines,
        );
        compare(
            "videos of session",
            &self.videos,
            &expected.videos,
            &mut lines,
        );
        compare("booking", &self.bookings, &expected.bookings, &mut lines);
        lines
    }
}

fn compare<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: &[T],
    expected: &[T],
    lines: &mut Vec<String>,
) {
    let surplus = found.iter().filter(|row| !expected.contains(row));
    lines.extend(surplus.map(|row| format!("{what} {row:?} must not be there")));
    let missing = expected.iter().filter(|row| !found.contains(row));
    lines.extend(missing.map(|row| format!("{what} {row:?} is missing")));
    if lines.is_empty() && found.len() != expected.len() {
        lines.push(format!("{} {what} and not {}", found.len(), expected.len()));
    }
}

/// How close to the cutoff a row lies: more than this program runs.
const MARGIN: TimeDelta = TimeDelta::seconds(30);

const DAY: TimeDelta = TimeDelta::days(1);

const CROWD: usize = 250;

impl From<(String, BookingStatus, NaiveDateTime, NaiveDateTime)> for BookingLine {
    fn from(
        (id, status, created_at, updated_at): (String, BookingStatus, NaiveDateTime, NaiveDateTime),
    ) -> Self {
        Self {
            id,
            status: status.name(),
            touched: updated_at > created_at,
        }
    }
}
