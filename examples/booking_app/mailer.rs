//! The guests' mail: an actor that is handed each expired booking, and crashes on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use ractor_housekeeper::actors::{Destination, Refusal};
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::model::OutboxEntry;
use ractor_housekeeper::rule::{Rule, outbox};
use serde::Deserialize;
use uuid::Uuid;

use crate::EXPIRE_AFTER;

/// Expires bookings as the built-in rule does, and hands each on to the mailer.
pub(crate) fn expirer() -> Rule {
    BookingExpirer::rule(EXPIRE_AFTER).hand_on(outbox(["booking_id", "user_id"]))
}

/// The mails that were sent. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Post(Arc<Mutex<Sent>>);

#[derive(Default)]
pub(crate) struct Sent {
    /// The idempotency keys of the mails, by booking. A mail server sends one mail per key.
    pub(crate) mails: BTreeMap<String, BTreeSet<String>>,
    /// Mails that the server had sent before.
    pub(crate) repeated: usize,
    pub(crate) crashes: usize,
    deliveries: usize,
}

struct Mailer;

/// An expired booking. The answer is due when the mail is sent.
struct Expired(OutboxEntry, RpcReplyPort<Result<(), Refusal>>);

#[derive(Deserialize)]
struct Booking {
    booking_id: String,
    user_id: Uuid,
}

impl Post {
    pub(crate) fn sent(&self) -> MutexGuard<'_, Sent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a mailer under this name, and another one after each crash.
    pub(crate) fn open(&self, name: String) -> Destination {
        let (post, mailer) = (self.clone(), name.clone());
        tokio::spawn(async move {
            loop {
                let spawned = Actor::spawn(Some(mailer.clone()), Mailer, post.clone()).await;
                let Ok((_, handle)) = spawned else { return };
                if handle.await.is_err() {
                    return;
                }
                tokio::time::sleep(RESTART).await;
            }
        });
        Destination::named(name, Expired)
    }
}

#[ractor::actor(message = Expired, state = Post, arguments = Post)]
impl Mailer {
    async fn pre_start(
        &self,
        _: ActorRef<Expired>,
        post: Post,
    ) -> Result<Post, ActorProcessingErr> {
        Ok(post)
    }

    async fn handle(
        &self,
        _: ActorRef<Expired>,
        Expired(entry, reply): Expired,
        post: &mut Post,
    ) -> Result<(), ActorProcessingErr> {
        let mut sent = post.sent();
        sent.deliveries += 1;
        // Before the mail is sent, and after it, before the answer.
        let (before, after) = (sent.deliveries % 50 == 10, sent.deliveries % 50 == 35);
        sent.crashes += usize::from(before || after);
        if before {
            return Err("a crash on purpose, before a mail".into());
        }
        let booking: Booking = entry.read()?;
        let mail = format!("{} to {}", entry.idempotency_key(), booking.user_id);
        let is_new = sent
            .mails
            .entry(booking.booking_id)
            .or_default()
            .insert(mail);
        sent.repeated += usize::from(!is_new);
        if after {
            return Err("a crash on purpose, after a mail".into());
        }
        drop(sent);
        let _ = reply.send(Ok(()));
        Ok(())
    }
}

/// Time between a crash and the next mailer.
const RESTART: Duration = Duration::from_millis(50);
