//! Delivers what one rule hands on: claims due entries, sends them, and writes the answers.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use uuid::Uuid;

use super::delayed::Delayed;
use super::destination::{Delivered, Destination, answer_of};
use super::message::{CourierNews, HousekeeperMsg, InternalMsg};
use super::timeout::with_timeout;
use crate::config::{CourierConfig, DeliveryOrder};
use crate::job::{JobError, JobName};
use crate::metrics::recorder;
use crate::model::{
    Claim, DeliveryEnd, DeliveryRecord, EntryId, Outbox, OutboxCounts, OutboxEntry, RefusedEntry,
    Settlement,
};
use crate::policy::{BatchEnd, DeliveryPace, again_after};

pub(crate) struct Courier;

pub(crate) enum CourierMsg {
    /// Look for due entries.
    Look,
    /// This process committed entries, or made parked ones due.
    Wake,
    /// A delivery ended.
    Delivered(EntryId, Delivered),
    /// Write the answers that are there.
    Settle,
    /// Send what was claimed.
    Send,
    /// Send nothing more, wait for what is under way, then stop.
    Stop,
}

#[derive(Clone)]
pub(crate) struct CourierArguments {
    pub(crate) rule: JobName,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) destination: Destination,
    pub(crate) config: CourierConfig,
    /// Names the leases of this courier and of those that follow it after a crash.
    pub(crate) owner: Uuid,
    pub(crate) supervisor: ActorRef<HousekeeperMsg>,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct State {
    arguments: CourierArguments,
    pace: DeliveryPace,
    /// Whether the leases of an earlier life have ended.
    released: bool,
    /// Claimed and not sent yet.
    queue: VecDeque<OutboxEntry>,
    send_until: Instant,
    under_way: BTreeMap<EntryId, UnderWay>,
    /// Entries whose receiver stopped, in the order of sending.
    lost: BTreeMap<u64, OutboxEntry>,
    sent: u64,
    settlement: Settlement,
    settle: Option<Delayed<CourierMsg>>,
    batch: BatchEnd,
    next_due: Option<Instant>,
    /// Whether there may be due entries.
    woken: bool,
    /// Until then nothing is claimed.
    blocked: Option<Instant>,
    sleep: Option<Delayed<CourierMsg>>,
    counted: Option<Instant>,
    /// Whether the counts are old.
    changed: bool,
    ends: Vec<DeliveryRecord>,
    problem: Option<String>,
    stopping: bool,
}

struct UnderWay {
    number: u64,
    entry: OutboxEntry,
    sent_at: Instant,
    task: Option<AbortHandle>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

#[ractor::actor(message = CourierMsg, state = State, arguments = CourierArguments)]
impl Courier {
    async fn pre_start(
        &self,
        myself: ActorRef<CourierMsg>,
        arguments: CourierArguments,
    ) -> Result<State, ActorProcessingErr> {
        // Calls no database: the start succeeds while it is down.
        myself.cast(CourierMsg::Look)?;
        Ok(State {
            arguments,
            pace: DeliveryPace::default(),
            released: false,
            queue: VecDeque::new(),
            send_until: Instant::now(),
            under_way: BTreeMap::new(),
            lost: BTreeMap::new(),
            sent: 0,
            settlement: Settlement::default(),
            settle: None,
            batch: BatchEnd::default(),
            next_due: None,
            woken: false,
            blocked: None,
            sleep: None,
            counted: None,
            changed: true,
            ends: Vec::new(),
            problem: None,
            stopping: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<CourierMsg>,
        message: CourierMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            CourierMsg::Look => state.woken = true,
            CourierMsg::Wake => {
                state.woken = true;
                state.changed = true;
            }
            CourierMsg::Send => {}
            CourierMsg::Delivered(id, delivered) => state.delivered(id, delivered),
            CourierMsg::Settle => {
                state.settle = None;
                state.write(&myself).await?;
            }
            CourierMsg::Stop => {
                state.stopping = true;
                state.put_all_back();
            }
        }
        state.go_on(&myself).await
    }

    async fn post_stop(
        &self,
        myself: ActorRef<CourierMsg>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // After a plain stop: what is answered is not delivered again, and what was not sent needs
        // no lease.
        state.put_all_back();
        state.write(&myself).await.map(drop)
    }
}

impl State {
    /// Sends what may be sent; once nothing is under way, writes the answers and looks again, or
    /// rests.
    async fn go_on(&mut self, myself: &ActorRef<CourierMsg>) -> Result<(), ActorProcessingErr> {
        self.send_queued(myself).await;
        if !self.under_way.is_empty() {
            // Answers are written soon even if others are still out: a crash repeats few.
            if self.settle.is_none() && !self.settlement.is_empty() {
                let settle = myself.send_after(SETTLE_AFTER, || CourierMsg::Settle);
                self.settle = Some(Delayed(settle));
            }
            return Ok(());
        }
        self.end_batch();
        let written = self.write(myself).await?;
        if self.stopping {
            // What was not written comes again once the lease ends.
            myself.stop(None);
            return Ok(());
        }
        let now = Instant::now();
        self.blocked = self.blocked.filter(|until| *until > now);
        if written && self.woken && self.blocked.is_none() {
            self.woken = false;
            if self.look().await? {
                self.tell(None)?;
                // A message of its own, so that a stop gets its turn between batches.
                myself.cast(CourierMsg::Send)?;
                return Ok(());
            }
        }
        self.rest(myself).await
    }

    /// Claims due entries. Returns whether there are any.
    async fn look(&mut self) -> Result<bool, ActorProcessingErr> {
        let CourierArguments {
            rule,
            outbox,
            config,
            owner,
            ..
        } = &self.arguments;
        let claim = Claim {
            rule: rule.clone(),
            owner: *owner,
            limit: self.pace.limit(config.batch),
            lease: config.lease(),
            in_order_of_key: config.order == DeliveryOrder::PerKey,
        };
        let released = self.released;
        let claiming = async {
            if !released {
                outbox.release(rule, *owner).await?;
            }
            Ok::<_, JobError>(outbox.claim(&claim).await?)
        };
        let began = Instant::now();
        let claimed = match with_timeout(STEP_TIMEOUT, "claim entries", claiming).await {
            Ok(claimed) => claimed,
            Err(error) => {
                let wait = self.pace.database_failed(config, fastrand::f64());
                self.block(wait, error.text);
                self.woken = true;
                return Ok(false);
            }
        };
        self.released = true;
        self.next_due = claimed.next_due.map(|wait| began + wait);
        if claimed.entries.is_empty() {
            self.pace.found_nothing();
            self.problem = None;
            return Ok(false);
        }
        self.woken |= claimed.next_due == Some(Duration::ZERO);
        self.changed = true;
        self.send_until = began + config.answer_timeout;
        self.batch = BatchEnd {
            more: self.woken,
            ..BatchEnd::default()
        };
        let max_attempts = config.max_attempts.get();
        for entry in claimed.entries {
            if entry.attempts >= max_attempts {
                let error = "its lease ran out each time: the process crashed, or was too slow";
                self.refuse(&entry, entry.attempts, error.to_owned());
            } else {
                self.queue.push_back(entry);
            }
        }
        Ok(true)
    }

    async fn send_queued(&mut self, myself: &ActorRef<CourierMsg>) {
        let in_flight = self.arguments.config.in_flight.get() as usize;
        while self.under_way.len() < in_flight && !self.batch.unavailable {
            let Some(entry) = self.queue.pop_front() else {
                return;
            };
            if Instant::now() >= self.send_until {
                // Its lease could end before its answer.
                self.put_back(&entry);
            } else {
                self.send(myself, entry).await;
            }
        }
        if self.batch.unavailable {
            self.put_all_back();
        }
    }

    async fn send(&mut self, myself: &ActorRef<CourierMsg>, entry: OutboxEntry) {
        let (id, timeout) = (entry.id, self.arguments.config.answer_timeout);
        self.sent += 1;
        let mut answer = Box::pin(answer_of(&self.arguments.destination, entry.clone()));
        let under_way = UnderWay {
            number: self.sent,
            entry,
            sent_at: Instant::now(),
            task: None,
        };
        self.under_way.insert(id, under_way);
        // The first step of each call is taken here, so that calls begin in the order of writing.
        match once(answer.as_mut()).await {
            Poll::Ready(delivered) => self.delivered(id, delivered),
            Poll::Pending => {
                let myself = myself.clone();
                let task = tokio::spawn(async move {
                    let delivered = tokio::time::timeout(timeout, answer).await;
                    let delivered = delivered.unwrap_or_else(|_| {
                        let limit = humantime::format_duration(timeout);
                        Delivered::Refused(format!("no answer within {limit}"))
                    });
                    let _ = myself.cast(CourierMsg::Delivered(id, delivered));
                });
                if let Some(under_way) = self.under_way.get_mut(&id) {
                    under_way.task = Some(task.abort_handle());
                }
            }
        }
    }

    fn delivered(&mut self, id: EntryId, delivered: Delivered) {
        let Some(under_way) = self.under_way.remove(&id) else {
            return;
        };
        let rule = &self.arguments.rule;
        recorder::delivered(rule, under_way.sent_at.elapsed(), delivered.as_str());
        let entry = &under_way.entry;
        match delivered {
            Delivered::Acknowledged => {
                self.batch.acknowledged += 1;
                self.settlement.acknowledged.push(id);
                self.note(entry, DeliveryEnd::Acknowledged);
            }
            Delivered::Refused(error) => {
                self.batch.failed += 1;
                self.refuse(entry, entry.attempts.saturating_add(1), error);
            }
            Delivered::Unavailable(error) => {
                self.batch.unavailable = true;
                self.problem = Some(error);
                self.put_back(entry);
            }
            Delivered::Lost => drop(self.lost.insert(under_way.number, entry.clone())),
        }
    }

    /// Has an entry delivered again later, or parked.
    fn refuse(&mut self, entry: &OutboxEntry, attempts: u32, error: String) {
        let wait = again_after(&self.arguments.config, attempts, fastrand::f64());
        if wait.is_none() {
            let (rule, id, key) = (&entry.rule, entry.id, &entry.key);
            tracing::warn!(job.name = %rule, entry.id = %id, entry.key = key, entry.attempts = attempts, %error, "an entry of {rule} is parked");
        }
        self.note(
            entry,
            match wait {
                Some(again_after) => DeliveryEnd::Refused {
                    error: error.clone(),
                    again_after,
                },
                None => DeliveryEnd::Parked {
                    error: error.clone(),
                },
            },
        );
        self.settlement.refused.push(RefusedEntry {
            id: entry.id,
            attempts,
            error: Some(error),
            again_after: wait,
        });
        if let Some(due) = wait.map(|wait| Instant::now() + wait) {
            self.next_due = Some(self.next_due.map_or(due, |next| next.min(due)));
        }
    }

    /// Ends the lease of an entry that was not delivered, without an attempt.
    fn put_back(&mut self, entry: &OutboxEntry) {
        self.woken = true;
        self.settlement.refused.push(RefusedEntry {
            id: entry.id,
            attempts: entry.attempts,
            error: None,
            again_after: Some(Duration::ZERO),
        });
    }

    fn put_all_back(&mut self) {
        while let Some(entry) = self.queue.pop_front() {
            self.put_back(&entry);
        }
    }

    fn note(&mut self, entry: &OutboxEntry, end: DeliveryEnd) {
        self.ends.push(DeliveryRecord::new(entry, end));
    }

    /// Accounts for a batch whose last delivery has ended.
    fn end_batch(&mut self) {
        // A receiver handles one message at a time: the others were never begun.
        let mut lost = std::mem::take(&mut self.lost).into_values();
        if let Some(first) = lost.next() {
            self.batch.failed += 1;
            self.batch.unavailable = true;
            let error = "the receiver stopped before it answered".to_owned();
            self.problem = Some(error.clone());
            self.refuse(&first, first.attempts.saturating_add(1), error);
            for entry in lost {
                self.put_back(&entry);
            }
        }
        let batch = std::mem::take(&mut self.batch);
        let wait = self
            .pace
            .ended(batch, &self.arguments.config, fastrand::f64());
        if let Some(wait) = wait {
            let known = self.problem.take();
            let problem = known.unwrap_or_else(|| "the receiver refuses all entries".to_owned());
            self.block(wait, problem);
        } else if batch.acknowledged > 0 {
            self.problem = None;
        }
    }

    fn block(&mut self, wait: Duration, problem: String) {
        self.blocked = Some(Instant::now() + wait);
        self.problem = Some(problem);
    }

    /// Writes the ends of deliveries. Returns whether none are left.
    async fn write(&mut self, myself: &ActorRef<CourierMsg>) -> Result<bool, ActorProcessingErr> {
        if self.settlement.is_empty() {
            return Ok(true);
        }
        let CourierArguments {
            outbox,
            owner,
            config,
            ..
        } = &self.arguments;
        let settlement = &self.settlement;
        let writing = async { Ok::<_, JobError>(outbox.settle(*owner, settlement).await?) };
        match with_timeout(STEP_TIMEOUT, "settle entries", writing).await {
            Ok(()) => {
                self.settlement = Settlement::default();
                self.tell(None)?;
                Ok(true)
            }
            Err(error) => {
                let wait = self.pace.database_failed(config, fastrand::f64());
                self.block(wait, error.text);
                self.woken = true;
                let settle = myself.send_after(wait, || CourierMsg::Settle);
                self.settle = Some(Delayed(settle));
                self.tell(None)?;
                Ok(false)
            }
        }
    }

    /// Sleeps until the next look.
    async fn rest(&mut self, myself: &ActorRef<CourierMsg>) -> Result<(), ActorProcessingErr> {
        let look_every = self.arguments.config.look_every;
        let counts = if self.changed && self.counted.is_none_or(|at| at.elapsed() >= look_every) {
            self.count().await
        } else {
            None
        };
        self.tell(counts)?;
        let now = Instant::now();
        let wait = if let Some(until) = self.blocked {
            until.saturating_duration_since(now)
        } else {
            // Replicas that looked together drift apart.
            let longest = look_every.mul_f64(0.9 + fastrand::f64() / 10.0);
            let due = self.next_due.map(|due| due.saturating_duration_since(now));
            due.map_or(longest, |due| due.min(longest))
        };
        let sleep = myself.send_after(wait.max(MIN_SLEEP), || CourierMsg::Look);
        self.sleep = Some(Delayed(sleep));
        Ok(())
    }

    async fn count(&mut self) -> Option<OutboxCounts> {
        let CourierArguments { outbox, rule, .. } = &self.arguments;
        let counting = async { Ok::<_, JobError>(outbox.counts(rule).await?) };
        let counts = with_timeout(STEP_TIMEOUT, "count entries", counting).await;
        self.counted = Some(Instant::now());
        self.changed = counts.is_err();
        counts.ok()
    }

    fn tell(&mut self, counts: Option<OutboxCounts>) -> Result<(), ActorProcessingErr> {
        let settled = self.settlement.is_empty();
        let news = CourierNews {
            ends: if settled {
                std::mem::take(&mut self.ends)
            } else {
                Vec::new()
            },
            under_way: self.queue.len() + self.under_way.len(),
            counts,
            problem: self.problem.clone(),
        };
        let rule = self.arguments.rule.clone();
        let message = InternalMsg::Couried(rule, Box::new(news));
        Ok(self.arguments.supervisor.cast(message.into())?)
    }
}

/// Polls a future once.
async fn once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// Timeout of a step in the database, which has shorter ones of its own.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest time that an answer waits for others of its batch before it is written.
const SETTLE_AFTER: Duration = Duration::from_millis(200);

/// Shortest time between two looks that no commit asks for.
const MIN_SLEEP: Duration = Duration::from_millis(10);
