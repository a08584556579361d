//! Guests: they chat, look at pictures, book, and pay or walk away.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use crate::guest_log::GuestLog;
use crate::records::{Media, Records};
use crate::{EXPIRE_AFTER, Error, IDLE_AFTER};

/// Shared by all guests.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) log: Arc<GuestLog>,
    /// Becomes true when the guests must leave.
    pub(crate) closing: watch::Receiver<bool>,
}

pub(crate) struct Guest {
    shared: Shared,
    random: fastrand::Rng,
    user: Uuid,
    session: Option<String>,
}

impl Guest {
    pub(crate) fn new(shared: Shared, seed: u64) -> Self {
        Self {
            shared,
            random: fastrand::Rng::with_seed(seed),
            user: Uuid::new_v4(),
            session: None,
        }
    }

    pub(crate) async fn visit(mut self) -> Result<(), Error> {
        // Some never pause: their sessions must stay, however old.
        let falls_silent = self.random.u32(..100) < 70;
        self.pause(0..2_000).await;
        while !self.is_closing() {
            for _ in 0..self.random.u32(3..8) {
                self.chat().await?;
                if self.random.bool() {
                    self.book().await?;
                }
                self.pause(200..1_200).await;
            }
            if falls_silent {
                let idle_after = milliseconds(IDLE_AFTER);
                self.pause(idle_after..idle_after + 3_000).await;
            }
        }
        Ok(())
    }

    /// Writes a message, or opens a session if the guest has none or its session is gone.
    async fn chat(&mut self) -> Result<(), Error> {
        if self.is_closing() {
            return Ok(());
        }
        if let Some(session) = &self.session {
            if let Some(at) = self.shared.records.write(self.user, session).await? {
                self.shared.log.wrote(session, at);
                return Ok(());
            }
        }
        let media = Media {
            images: self.random.usize(..4),
            videos: self.random.usize(..3),
        };
        let session = self.shared.records.open_session(self.user, media).await?;
        self.shared.log.opened(&session, media);
        self.session = Some(session.id);
        Ok(())
    }

    async fn book(&mut self) -> Result<(), Error> {
        if self.is_closing() {
            return Ok(());
        }
        let booking = self.shared.records.book(self.user).await?;
        self.shared.log.booked(&booking);
        match self.random.u32(..100) {
            0..30 => {
                self.pause(300..2_000).await;
                self.pay(&booking).await
            }
            30..40 => self.pay_at_the_last_moment(&booking).await,
            40..55 => self.pay_while_held(&booking).await,
            _ => Ok(()),
        }
    }

    /// Pays within 200 ms of the deadline: either the guest or the housekeeper comes first.
    async fn pay_at_the_last_moment(&mut self, booking: &str) -> Result<(), Error> {
        let deadline = milliseconds(EXPIRE_AFTER);
        self.pause(deadline - 200..deadline + 200).await;
        self.pay(booking).await
    }

    /// Holds the booking during a slow payment, which fails half the time.
    async fn pay_while_held(&mut self, booking: &str) -> Result<(), Error> {
        self.pause(500..2_500).await;
        let hold = Duration::from_millis(self.random.u64(1_500..3_000));
        if !self.shared.records.hold(booking, hold).await? {
            return Ok(());
        }
        self.pause(500..1_400).await;
        if self.random.bool() {
            self.pay(booking).await?;
        }
        Ok(())
    }

    async fn pay(&mut self, booking: &str) -> Result<(), Error> {
        if self.shared.records.pay(booking).await? {
            self.shared.log.paid(booking);
        }
        Ok(())
    }

    /// Waits some milliseconds, or until the guests must leave.
    async fn pause(&mut self, range: Range<u64>) {
        let pause = Duration::from_millis(self.random.u64(range));
        let closing = self.shared.closing.wait_for(|closing| *closing);
        // A timeout is the usual end of the pause.
        let _ = tokio::time::timeout(pause, closing).await;
    }

    fn is_closing(&self) -> bool {
        *self.shared.closing.borrow()
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
