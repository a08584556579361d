//! The receiver of entries: an actor of the host, or an async function.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ractor::{ActorRef, Message, RpcReplyPort};

use super::names::find;
use super::panics::catch_panic;
use crate::job::JobError;
use crate::model::OutboxEntry;

/// The receiver of what a rule hands on to the outbox.
///
/// Each entry is delivered at least once. The receiver acknowledges an entry once its work is done;
/// an entry that is refused, or not answered in time, is delivered again. Repeated deliveries have
/// the same [`OutboxEntry::idempotency_key`].
///
/// # Examples
///
/// ```
/// use ractor::RpcReplyPort;
/// use ractor_housekeeper::actors::{Destination, Refusal};
/// use ractor_housekeeper::model::OutboxEntry;
///
/// enum MailerMsg {
///     Expired(OutboxEntry, RpcReplyPort<Result<(), Refusal>>),
/// }
/// # #[cfg(any())]
/// # impl ractor::Message for MailerMsg {}
///
/// fn to_an_actor(mailer: &ractor::ActorRef<MailerMsg>) -> Destination {
///     Destination::actor(mailer, MailerMsg::Expired)
/// }
///
/// fn to_a_function() -> Destination {
///     Destination::handler(|entry| async move {
///         std::fs::remove_file(entry.read::<String>()?)?;
///         Ok(())
///     })
/// }
/// ```
#[derive(Clone)]
pub struct Destination {
    send: Arc<dyn Fn(OutboxEntry) -> Delivery + Send + Sync>,
    /// Whether an entry that is not answered in time stays in a mailbox.
    pub(crate) has_mailbox: bool,
}

/// A delivery under way.
type Delivery = Pin<Box<dyn Future<Output = Delivered> + Send>>;

/// The end of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delivered {
    Acknowledged,
    Refused(String),
    /// The receiver stopped while the entry was with it, perhaps before it began.
    Lost,
    /// There is no receiver now.
    Absent(&'static str),
    /// The receiver does not take this entry now.
    Unavailable(String),
}

/// The reason why a receiver did not acknowledge an entry.
///
/// Any error converts into one with `?`: the delivery failed, and is tried again until the entry is
/// parked. [`Refusal::unavailable`] costs the entry no attempt.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal {
    error: String,
    unavailable: bool,
}

impl Refusal {
    /// Says that the receiver does not take the entry now, such as a mail server that is down. The
    /// courier waits, tries others first, and delivers the entry again without losing an attempt.
    #[must_use]
    pub fn unavailable(error: impl fmt::Display) -> Self {
        Self {
            error: error.to_string(),
            unavailable: true,
        }
    }

    /// Returns the error in one line.
    #[must_use]
    pub fn error(&self) -> &str {
        &self.error
    }
}

// `Refusal` does not implement `Error`: this conversion would overlap with the reflexive one.
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self {
            error: JobError::from(error).chain(),
            unavailable: false,
        }
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl From<Result<(), Refusal>> for Delivered {
    fn from(answer: Result<(), Refusal>) -> Self {
        match answer {
            Ok(()) => Self::Acknowledged,
            Err(refusal) if refusal.unavailable => Self::Unavailable(refusal.error),
            Err(refusal) => Self::Refused(refusal.error),
        }
    }
}

impl Destination {
    /// Sends entries to an actor, in the message that `wrap` makes. An actor that is started again
    /// has another reference: [`Destination::named`] finds it.
    pub fn actor<M: Message>(
        actor: &ActorRef<M>,
        wrap: impl Fn(OutboxEntry, RpcReplyPort<Result<(), Refusal>>) -> M + Send + Sync + 'static,
    ) -> Self {
        let actor = actor.clone();
        Self::found(move || Some(actor.clone()), wrap)
    }

    /// Sends entries to the actor that has this name when an entry is sent. While none has it, the
    /// courier waits.
    pub fn named<M: Message>(
        name: impl Into<String>,
        wrap: impl Fn(OutboxEntry, RpcReplyPort<Result<(), Refusal>>) -> M + Send + Sync + 'static,
    ) -> Self {
        let name = name.into();
        let find = move || {
            let is_there = || ractor::registry::where_is(name.clone()).is_some();
            find(&name).ok_or_else(|| if is_there() { OTHER_TYPE } else { ABSENT })
        };
        Self::mailbox(find, wrap)
    }

    /// Sends entries to the actor that `find` returns when an entry is sent. While it returns none,
    /// the courier waits.
    pub fn found<M: Message>(
        find: impl Fn() -> Option<ActorRef<M>> + Send + Sync + 'static,
        wrap: impl Fn(OutboxEntry, RpcReplyPort<Result<(), Refusal>>) -> M + Send + Sync + 'static,
    ) -> Self {
        Self::mailbox(move || find().ok_or(ABSENT), wrap)
    }

    fn mailbox<M: Message>(
        find: impl Fn() -> Result<ActorRef<M>, &'static str> + Send + Sync + 'static,
        wrap: impl Fn(OutboxEntry, RpcReplyPort<Result<(), Refusal>>) -> M + Send + Sync + 'static,
    ) -> Self {
        Self::new(true, move |entry| {
            let actor = match find() {
                Ok(actor) => actor,
                Err(why) => return ended(Delivered::Absent(why)),
            };
            let (reply, answer) = ractor::concurrency::oneshot();
            if actor.cast(wrap(entry, reply.into())).is_err() {
                return ended(Delivered::Absent(ABSENT));
            }
            Box::pin(async move {
                match answer.await {
                    Ok(answer) => answer.into(),
                    // The port is dropped before the actor is known to have stopped.
                    Err(_) if actor.wait(Some(GRACE)).await.is_ok() => Delivered::Lost,
                    Err(_) => Delivered::Refused(UNANSWERED.to_owned()),
                }
            })
        })
    }

    /// Calls an async function for each entry. It begins in the order of writing. A panic is a
    /// failed delivery; a call that times out is dropped at its next await.
    pub fn handler<A>(handle: impl Fn(OutboxEntry) -> A + Send + Sync + 'static) -> Self
    where
        A: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        Self::new(false, move |entry| {
            let answer = handle(entry);
            Box::pin(async move { answer.await.into() })
        })
    }

    fn new(
        has_mailbox: bool,
        send: impl Fn(OutboxEntry) -> Delivery + Send + Sync + 'static,
    ) -> Self {
        Self {
            send: Arc::new(send),
            has_mailbox,
        }
    }
}

/// Sends an entry, and ends with its answer. A panic of the receiver's code is a refusal.
pub(crate) fn answer_of(
    destination: &Destination,
    entry: OutboxEntry,
) -> impl Future<Output = Delivered> + Send + use<> {
    let refused = |panic: String| Delivered::Refused(format!("the receiver panicked: {panic}"));
    let mut answer =
        catch_panic(|| (destination.send)(entry)).unwrap_or_else(|panic| ended(refused(panic)));
    poll_fn(move |context| {
        let polled = catch_panic(|| answer.as_mut().poll(context));
        polled.unwrap_or_else(|panic| Poll::Ready(refused(panic)))
    })
}

impl Delivered {
    /// One word for metrics.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Refused(_) => "refused",
            Self::Lost => "lost",
            Self::Absent(_) | Self::Unavailable(_) => "unavailable",
        }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination").finish_non_exhaustive()
    }
}

fn ended(delivered: Delivered) -> Delivery {
    Box::pin(std::future::ready(delivered))
}

const ABSENT: &str = "the receiver is not running";

const OTHER_TYPE: &str = "the actor of this name takes messages of another type";

const UNANSWERED: &str = "the receiver dropped the entry without an answer";

/// Time in which an actor that crashes in a handler is known to have stopped.
const GRACE: Duration = Duration::from_millis(100);
