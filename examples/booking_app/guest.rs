//! Guests: they chat, look at pictures, book, and pay or walk away.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use crate::ledger::Ledger;
use crate::records::{Media, Records};
use crate::{EXPIRE_AFTER, Error, IDLE_AFTER};

/// What all guests share.
#[derive(Clone)]
pub(crate) struct House {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) ledger: Arc<Ledger>,
    /// Becomes true when the guests are to leave.
    pub(crate) closing: watch::Receiver<bool>,
}

pub(crate) struct Guest {
    house: House,
    random: fastrand::Rng,
    user: Uuid,
    session: Option<String>,
}

impl Guest {
    pub(crate) fn new(house: House, seed: u64) -> Self {
        Self {
            house,
            random: fastrand::Rng::with_seed(seed),
            user: Uuid::new_v4(),
            session: None,
        }
    }

    pub(crate) async fn visit(mut self) -> Result<(), Error> {
        // Some never stop talking: their sessions must stay, however old.
        let silent_at_times = self.random.u32(..100) < 70;
        self.pause(0..2_000).await;
        while !self.is_closing() {
            for _ in 0..self.random.u32(3..8) {
                self.chat().await?;
                if self.random.bool() {
                    self.book().await?;
                }
                self.pause(200..1_200).await;
            }
            if silent_at_times {
                let idle_after = milliseconds(IDLE_AFTER);
                self.pause(idle_after..idle_after + 3_000).await;
            }
        }
        Ok(())
    }

    /// Writes a message. A guest whose session is gone gets a new one, as any guest without one
    /// does.
    async fn chat(&mut self) -> Result<(), Error> {
        if self.is_closing() {
            return Ok(());
        }
        if let Some(session) = &self.session {
            if let Some(at) = self.house.records.write(self.user, session).await? {
                self.house.ledger.wrote(session, at);
                return Ok(());
            }
        }
        let media = Media {
            images: self.random.usize(..4),
            videos: self.random.usize(..3),
        };
        let session = self.house.records.open_session(self.user, media).await?;
        self.house.ledger.opened(&session, media);
        self.session = Some(session.id);
        Ok(())
    }

    async fn book(&mut self) -> Result<(), Error> {
        if self.is_closing() {
            return Ok(());
        }
        let booking = self.house.records.book(self.user).await?;
        self.house.ledger.booked(&booking);
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

    /// Pays around the deadline, so that now the guest comes first and now the housekeeper.
    async fn pay_at_the_last_moment(&mut self, booking: &str) -> Result<(), Error> {
        let deadline = milliseconds(EXPIRE_AFTER);
        self.pause(deadline - 200..deadline + 200).await;
        self.pay(booking).await
    }

    /// The payment takes its time, and may come to nothing.
    async fn pay_while_held(&mut self, booking: &str) -> Result<(), Error> {
        self.pause(500..2_500).await;
        let hold = Duration::from_millis(self.random.u64(1_500..3_000));
        if !self.house.records.hold(booking, hold).await? {
            return Ok(());
        }
        self.pause(500..1_400).await;
        if self.random.bool() {
            self.pay(booking).await?;
        }
        Ok(())
    }

    async fn pay(&mut self, booking: &str) -> Result<(), Error> {
        if self.house.records.pay(booking).await? {
            self.house.ledger.paid(booking);
        }
        Ok(())
    }

    /// Waits some milliseconds, or until the house closes.
    async fn pause(&mut self, range: Range<u64>) {
        let pause = Duration::from_millis(self.random.u64(range));
        let closing = self.house.closing.wait_for(|closing| *closing);
        // Either way the pause is over.
        let _ = tokio::time::timeout(pause, closing).await;
    }

    fn is_closing(&self) -> bool {
        *self.house.closing.borrow()
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
