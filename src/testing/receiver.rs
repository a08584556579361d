//! A receiver of entries that fails on request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::task::AbortHandle;

use crate::actors::{Destination, Refusal};
use crate::model::{EntryId, OutboxEntry};

/// An actor that receives entries, acknowledges them, and fails on request. Clones are the same
/// receiver; it stops when the last one is dropped.
///
/// # Examples
///
/// ```
/// use ractor_housekeeper::testing::{FaultyReceiver, MemoryOutbox, ReceiverFault};
/// use ractor_housekeeper::{HousekeeperArguments, start};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let outbox = MemoryOutbox::new();
/// let receiver = FaultyReceiver::start().await;
/// receiver.once(1, ReceiverFault::Panic);
/// outbox.write("booking-expirer", "bookings", "b1", "{}");
///
/// let arguments = HousekeeperArguments::new(Vec::new()).with_courier(
///     "booking-expirer",
///     outbox,
///     receiver.destination(),
/// );
/// let housekeeper = start(None, arguments).await?.housekeeper;
/// receiver.acknowledged(1).await;
///
/// assert_eq!(receiver.received().len(), 2);
/// # housekeeper.stop(None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FaultyReceiver {
    shared: Arc<Shared>,
    _life: Arc<Life>,
}

/// The failure of a [`FaultyReceiver`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ReceiverFault {
    /// The receiver refuses the entry with this error.
    Refuse(String),
    /// The receiver reports itself unavailable with this error.
    Unavailable(String),
    /// The receiver drops the entry without an answer.
    Drop,
    /// The receiver never answers this entry, and continues with the next.
    Hang,
    /// The receiver acknowledges this entry after this time, and continues with the next meanwhile.
    AnswerLate(Duration),
    /// The receiver panics. Another one starts after a tenth of a second.
    Panic,
}

#[derive(Debug, Default)]
struct Shared {
    plan: Mutex<Plan>,
    actor: Mutex<Option<ActorRef<ReceiverMsg>>>,
    news: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct Plan {
    received: Vec<OutboxEntry>,
    acknowledged: Vec<EntryId>,
    once: BTreeMap<u64, ReceiverFault>,
    always: Option<ReceiverFault>,
}

#[derive(Debug)]
struct Life(AbortHandle, Arc<Shared>);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.abort();
        if let Some(actor) = lock(&self.1.actor).take() {
            actor.stop(None);
        }
    }
}

struct Receiver;

struct ReceiverMsg(OutboxEntry, RpcReplyPort<Result<(), Refusal>>);

impl FaultyReceiver {
    /// Starts a receiver that acknowledges everything.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    pub async fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let keeper = shared.clone();
        let (up, is_up) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let mut up = Some(up);
            loop {
                let spawned = Actor::spawn(None, Receiver, keeper.clone()).await;
                let Ok((actor, handle)) = spawned else { return };
                *lock(&keeper.actor) = Some(actor);
                up.take().map(|up| up.send(()));
                let _ = handle.await;
                *lock(&keeper.actor) = None;
                tokio::time::sleep(RESTART).await;
            }
        });
        let _ = is_up.await;
        let life = Life(task.abort_handle(), shared.clone());
        Self {
            shared,
            _life: Arc::new(life),
        }
    }

    /// Returns the destination for a courier.
    #[must_use]
    pub fn destination(&self) -> Destination {
        let shared = Arc::downgrade(&self.shared);
        Destination::found(move || lock(&shared.upgrade()?.actor).clone(), ReceiverMsg)
    }

    /// Sets the fault of one delivery, counted from now: 1 is the next.
    pub fn once(&self, delivery: u64, fault: ReceiverFault) {
        let mut plan = lock(&self.shared.plan);
        let number = plan.received.len() as u64 + delivery;
        plan.once.insert(number, fault);
    }

    /// Sets the fault of every delivery that has none of its own, until [`FaultyReceiver::heal`].
    pub fn always(&self, fault: ReceiverFault) {
        lock(&self.shared.plan).always = Some(fault);
    }

    /// Removes all faults.
    pub fn heal(&self) {
        let mut plan = lock(&self.shared.plan);
        plan.once.clear();
        plan.always = None;
    }

    /// Returns all deliveries, in order.
    #[must_use]
    pub fn received(&self) -> Vec<OutboxEntry> {
        lock(&self.shared.plan).received.clone()
    }

    /// Waits for this many acknowledgements, and returns the ids of their entries in order.
    ///
    /// # Panics
    ///
    /// Panics after an hour of tokio's time.
    pub async fn acknowledged(&self, answers: usize) -> Vec<EntryId> {
        let wait = async {
            loop {
                let news = self.shared.news.notified();
                let acknowledged = lock(&self.shared.plan).acknowledged.clone();
                if acknowledged.len() >= answers {
                    return acknowledged;
                }
                news.await;
            }
        };
        let acknowledged = tokio::time::timeout(PATIENCE, wait).await;
        acknowledged.unwrap_or_else(|_| {
            panic!("{answers} entries were not acknowledged within an hour: {self:#?}")
        })
    }
}

#[ractor::actor(message = ReceiverMsg, state = Arc<Shared>, arguments = Arc<Shared>)]
impl Receiver {
    async fn pre_start(
        &self,
        _: ActorRef<ReceiverMsg>,
        shared: Arc<Shared>,
    ) -> Result<Arc<Shared>, ActorProcessingErr> {
        Ok(shared)
    }

    async fn handle(
        &self,
        _: ActorRef<ReceiverMsg>,
        ReceiverMsg(entry, reply): ReceiverMsg,
        shared: &mut Arc<Shared>,
    ) -> Result<(), ActorProcessingErr> {
        let id = entry.id;
        let fault = {
            let mut plan = lock(&shared.plan);
            plan.received.push(entry);
            let number = plan.received.len() as u64;
            let once = plan.once.remove(&number);
            once.or_else(|| plan.always.clone())
        };
        match fault {
            None => shared.acknowledge(id, reply),
            Some(ReceiverFault::Refuse(error)) => drop(reply.send(Err(error.into()))),
            Some(ReceiverFault::Unavailable(error)) => {
                let _ = reply.send(Err(Refusal::unavailable(error)));
            }
            Some(ReceiverFault::Drop) => drop(reply),
            Some(ReceiverFault::Hang) => {
                tokio::spawn(async move {
                    let _held = reply;
                    std::future::pending::<()>().await;
                });
            }
            Some(ReceiverFault::AnswerLate(after)) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    shared.acknowledge(id, reply);
                });
            }
            Some(ReceiverFault::Panic) => panic!("the planned panic of a receiver"),
        }
        Ok(())
    }
}

impl Shared {
    fn acknowledge(&self, id: EntryId, reply: RpcReplyPort<Result<(), Refusal>>) {
        lock(&self.plan).acknowledged.push(id);
        let _ = reply.send(Ok(()));
        self.news.notify_waiters();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Time between the end of a receiver and the start of the next.
const RESTART: Duration = Duration::from_millis(100);

const PATIENCE: Duration = Duration::from_secs(60 * 60);
