//! Statements of the clients.

use crate::support::job::Job;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// A guest of a lively session writes, while others' sessions go.
    Message,
    /// A booking that is not due is paid.
    OtherBooking,
    /// A booking that is just being expired is paid.
    DueBooking,
}

impl Request {
    pub(crate) const ALL: [Self; 3] = [Self::Message, Self::OtherBooking, Self::DueBooking];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Message => "messages inserted while sessions go",
            Self::OtherBooking => "other bookings confirmed",
            Self::DueBooking => "bookings confirmed that just expire",
        }
    }

    /// The job that runs meanwhile.
    pub(crate) fn job(self) -> Job {
        match self {
            Self::Message => Job::Sessions,
            Self::OtherBooking | Self::DueBooking => Job::Bookings,
        }
    }

    /// The request whose rate the server bears as long: due bookings run out.
    pub(crate) fn measured(self) -> Self {
        match self {
            Self::Message => Self::Message,
            Self::OtherBooking | Self::DueBooking => Self::OtherBooking,
        }
    }

    /// The highest load in percent. Beside more, clients take all due bookings themselves.
    pub(crate) fn max_load(self) -> u32 {
        match self {
            Self::Message | Self::OtherBooking => 100,
            Self::DueBooking => 10,
        }
    }

    /// How many times the latency without housekeeping it may become.
    pub(crate) fn target(self) -> f64 {
        match self {
            Self::Message | Self::OtherBooking => 1.25,
            Self::DueBooking => 1.5,
        }
    }

    /// `$1` is the place of a row among its like.
    pub(crate) fn statement(self) -> &'static str {
        match self {
            Self::Message => {
                "insert into messages (id, user_id, sender, content)
                 values (gen_random_uuid()::text, md5('live' || $1::bigint)::uuid, 'user', 'is the hut free?')"
            }
            Self::OtherBooking => {
                "update bookings set status = 'Confirmed', updated_at = now()
                 where booking_id = md5('held' || $1::bigint)"
            }
            Self::DueBooking => {
                "update bookings set status = 'Confirmed', updated_at = now()
                 where booking_id = md5('due' || $1::bigint) and status = 'Pending'"
            }
        }
    }

    /// The row that a request is for. A fifth of `rows` is due, and as many are pending and not
    /// due.
    pub(crate) fn place(self, request: u64, rows: u64, swept: Option<u64>) -> u64 {
        let fifth = (rows / 5).max(1);
        match self {
            Self::Message => fastrand::u64(..4 * fifth),
            // A prime spreads them over the table, and few are confirmed twice.
            Self::OtherBooking => (request * 7919) % fifth,
            // Just ahead of the sweep, or spread as well if its position is unknown.
            Self::DueBooking => match swept {
                Some(swept) => (swept + fastrand::u64(..AHEAD)) % fifth,
                None => (request * 7919) % fifth,
            },
        }
    }
}

/// Rows that the sweep reaches within a moment.
const AHEAD: u64 = 1_000;
