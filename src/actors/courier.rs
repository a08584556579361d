//! Delivers what one rule hands on: claims due entries, sends them, and writes the answers.

use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use super::delayed::Delayed;
use super::message::{CourierUpdate, InternalMsg};
use crate::config::DeliveryOrder;
use crate::model::OutboxCounts;
use crate::policy::{BatchEnd, DeliveryPace};

mod answers;
mod ends;
mod message;
mod poll_times;
mod sending;
mod steps;

use ends::Ends;
pub(crate) use message::{CourierArguments, CourierMsg};
use poll_times::PollTimes;
use sending::Sending;
use steps::Steps;

pub(crate) struct Courier;

pub(crate) struct State {
    arguments: CourierArguments,
    pace: DeliveryPace,
    steps: Steps,
    sending: Sending,
    ends: Ends,
    settle: Option<Delayed<CourierMsg>>,
    batch: BatchEnd,
    polls: PollTimes,
    sleep: Option<Delayed<CourierMsg>>,
    problem: Option<String>,
    /// Until then an entry waits whose receiver did not take it.
    unavailable_until: Option<Instant>,
    stopping: bool,
}

#[ractor::actor(message = CourierMsg, state = State, arguments = CourierArguments)]
impl Courier {
    async fn pre_start(
        &self,
        myself: ActorRef<CourierMsg>,
        arguments: CourierArguments,
    ) -> Result<State, ActorProcessingErr> {
        // Calls no database: the start succeeds while it is down.
        myself.cast(CourierMsg::Poll)?;
        Ok(State {
            steps: Steps::new(&arguments),
            arguments,
            pace: DeliveryPace::default(),
            sending: Sending::new(),
            ends: Ends::default(),
            settle: None,
            batch: BatchEnd::default(),
            polls: PollTimes::default(),
            sleep: None,
            problem: None,
            unavailable_until: None,
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
            CourierMsg::Poll => state.polls.wake(),
            CourierMsg::Wake => {
                state.polls.wake();
                state.steps.entries_changed();
            }
            CourierMsg::Send => {}
            CourierMsg::Delivered(id, delivered) => state.delivered(id, delivered),
            CourierMsg::Settle => {
                state.settle = None;
                let written = state.write(&myself).await?;
                if written && state.may_claim_more() && state.claim().await? {
                    state.report(None)?;
                }
            }
            CourierMsg::Stop => {
                state.stopping = true;
                state.put_all_back();
            }
        }
        state.advance(&myself).await
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
    /// Sends what may be sent; once nothing is under way, writes the answers and polls again, or
    /// sleeps.
    async fn advance(&mut self, myself: &ActorRef<CourierMsg>) -> Result<(), ActorProcessingErr> {
        self.send_queued(myself).await;
        if !self.stopping {
            self.count(false).await?;
        }
        if self.sending.is_under_way() {
            // Answers are written soon even if others are still out, so that a crash repeats few,
            // and one that hangs does not hold up the entries behind it.
            if self.settle.is_none() {
                let settle = myself.send_after(SETTLE_AFTER, || CourierMsg::Settle);
                self.settle = Some(Delayed(settle));
            }
            return Ok(());
        }
        self.end_batch();
        let written = self.write(myself).await?;
        if self.stopping {
            // Unsaved answers are repeated once the lease ends.
            myself.stop(None);
            return Ok(());
        }
        if written && self.polls.take() && self.claim().await? {
            self.report(None)?;
            // A message of its own, so that a stop gets its turn between batches.
            myself.cast(CourierMsg::Send)?;
            return Ok(());
        }
        self.sleep(myself).await
    }

    /// Returns whether to claim entries while others are still out: only a few of them hang.
    fn may_claim_more(&mut self) -> bool {
        let config = &self.arguments.config;
        let may = !self.stopping
            && self.sending.may_take_more(config.in_flight.get() as usize)
            && self.pace.is_steady()
            && self.batch.is_going_well();
        may && self.polls.take_due(config.poll_interval)
    }

    /// Claims due entries. Returns whether there are any.
    async fn claim(&mut self) -> Result<bool, ActorProcessingErr> {
        let config = &self.arguments.config;
        let began = Instant::now();
        let limit = self.pace.limit(config.batch);
        let claimed = match self.steps.claim(limit, config).await {
            Ok(claimed) => claimed,
            Err(error) => {
                self.database_failed(error.text);
                return Ok(false);
            }
        };
        self.polls.polled(claimed.next_due.map(|wait| began + wait));
        if claimed.entries.is_empty() {
            let now = Instant::now();
            if self.unavailable_until.is_none_or(|until| until <= now) {
                self.pace.found_nothing();
                self.problem = None;
            }
            return Ok(false);
        }
        if claimed.next_due == Some(Duration::ZERO) {
            self.polls.wake();
        }
        self.batch.begin(self.polls.is_woken());
        let max_attempts = config.max_attempts.get();
        for entry in claimed.entries {
            if entry.attempts >= max_attempts {
                let error = "no attempt is left: its leases ran out, as its process crashed or was too \
                             slow, or max_attempts was lowered";
                self.refuse(&entry, entry.attempts, error.to_owned());
            } else {
                self.sending.push(entry, began);
            }
        }
        Ok(true)
    }

    async fn send_queued(&mut self, myself: &ActorRef<CourierMsg>) {
        while !self.batch.unavailable {
            let Some(entry) = self.sending.next(&self.arguments.config) else {
                break;
            };
            let id = entry.id;
            let to = (&self.arguments.destination, &self.arguments.config);
            if let Some(delivered) = self.sending.send(entry, to, myself).await {
                self.delivered(id, delivered);
            }
        }
        if self.batch.unavailable || self.sending.is_too_late(&self.arguments.config) {
            self.put_all_back();
        }
    }

    /// Waits before the next try. Returns the wait.
    fn database_failed(&mut self, error: String) -> Duration {
        let config = &self.arguments.config;
        let wait = self.pace.database_failed(config, fastrand::f64());
        self.polls.block(wait);
        self.polls.wake();
        self.problem = Some(error);
        wait
    }

    /// Writes the ends of deliveries. Returns whether none are left.
    async fn write(&mut self, myself: &ActorRef<CourierMsg>) -> Result<bool, ActorProcessingErr> {
        let settlement = self.ends.unsaved();
        if settlement.is_empty() {
            return Ok(true);
        }
        let done = self.steps.settle(settlement).await;
        let written = done.is_ok();
        match done {
            Ok(()) => {
                let in_order_of_key = self.arguments.config.order == DeliveryOrder::PerKey;
                if self.ends.written() && in_order_of_key {
                    // Entries of the same keys waited for it.
                    self.polls.wake();
                }
            }
            Err(error) => {
                let wait = self.database_failed(error.text);
                let settle = myself.send_after(wait, || CourierMsg::Settle);
                self.settle = Some(Delayed(settle));
            }
        }
        self.report(None)?;
        Ok(written)
    }

    /// Sleeps until the next poll.
    async fn sleep(&mut self, myself: &ActorRef<CourierMsg>) -> Result<(), ActorProcessingErr> {
        let poll_interval = self.arguments.config.poll_interval;
        self.report(None)?;
        self.count(true).await?;
        let wait = self.polls.wait(poll_interval, fastrand::f64());
        let sleep = myself.send_after(wait, || CourierMsg::Poll);
        self.sleep = Some(Delayed(sleep));
        Ok(())
    }

    async fn count(&mut self, sleeps: bool) -> Result<(), ActorProcessingErr> {
        let every = self.arguments.config.poll_interval;
        match self.steps.counts(every, sleeps).await {
            Some(counts) => self.report(Some(counts)),
            None => Ok(()),
        }
    }

    fn report(&mut self, counts: Option<OutboxCounts>) -> Result<(), ActorProcessingErr> {
        let update = CourierUpdate {
            ends: self.ends.take_records(),
            under_way: self.sending.entries(),
            counts,
            problem: self.problem.clone(),
        };
        let rule = self.arguments.rule.clone();
        let message = InternalMsg::CourierUpdate(rule, Box::new(update));
        Ok(self.arguments.supervisor.cast(message.into())?)
    }
}

/// Longest time that an answer waits for others before it is written, and that due entries wait
/// behind a delivery that hangs.
const SETTLE_AFTER: Duration = Duration::from_millis(200);
