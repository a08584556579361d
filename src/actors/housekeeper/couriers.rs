//! The couriers as the supervisor sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ractor::{Actor, ActorId, ActorRef, SpawnErr};
use uuid::Uuid;

use super::publisher::Publisher;
use super::shared::Shared;
use crate::actors::arguments::CourierOf;
use crate::actors::courier::{Courier, CourierArguments, CourierMsg};
use crate::actors::delayed::Delayed;
use crate::actors::destination::Destination;
use crate::actors::message::{CourierNews, HousekeeperMsg, InternalMsg};
use crate::config::{CourierConfig, HousekeeperConfig};
use crate::job::JobName;
use crate::metrics::recorder::{self, CourierGauges};
use crate::model::{
    CourierState, CourierStatus, DeliveryEnd, Event, Outbox, OutboxCounts, RequestError,
};
use crate::policy::{RestartLog, Verdict};
use crate::time::Moment;

/// The couriers by rule.
pub(super) struct Couriers(BTreeMap<JobName, CourierSlot>);

/// One courier and its restarts.
pub(super) struct CourierSlot {
    rule: JobName,
    pub(super) outbox: Arc<dyn Outbox>,
    destination: Destination,
    config: CourierConfig,
    owner: Uuid,
    courier: Option<ActorRef<CourierMsg>>,
    restarts: RestartLog,
    /// Why the courier crashed, when it restarts, and the message that does it.
    restart: Option<(String, Moment, Delayed<HousekeeperMsg>)>,
    under_way: usize,
    counts: Option<(OutboxCounts, Moment)>,
    problem: Option<String>,
    status: CourierStatus,
    gauges: CourierGauges,
}

impl Couriers {
    pub(super) fn new(couriers: Vec<CourierOf>, config: &HousekeeperConfig) -> Self {
        let slots = couriers.into_iter().map(|courier| {
            let CourierOf {
                rule,
                outbox,
                destination,
            } = courier;
            let slot = CourierSlot {
                config: config.for_courier(&rule).clone(),
                status: CourierStatus::new(rule.clone()),
                rule: rule.clone(),
                outbox,
                destination,
                owner: Uuid::new_v4(),
                courier: None,
                restarts: RestartLog::default(),
                restart: None,
                under_way: 0,
                counts: None,
                problem: None,
                gauges: CourierGauges::default(),
            };
            (rule, slot)
        });
        Self(slots.collect())
    }

    pub(super) fn get(&self, rule: &JobName) -> Result<&CourierSlot, RequestError> {
        self.0.get(rule).ok_or_else(|| RequestError::NoCourier {
            rule: rule.clone(),
            known: self.0.keys().cloned().collect(),
        })
    }

    pub(super) fn statuses(&self, now: Moment) -> BTreeMap<JobName, CourierStatus> {
        let slots = self.0.iter();
        slots
            .map(|(rule, slot)| (rule.clone(), slot.status(now)))
            .collect()
    }

    /// Wakes the courier of a rule, which has written entries.
    pub(super) fn wake(&self, rule: &JobName) {
        if let Some(courier) = self.0.get(rule).and_then(|slot| slot.courier.as_ref()) {
            // One that has just crashed looks when it is up again.
            let _ = courier.cast(CourierMsg::Wake);
        }
    }

    pub(super) async fn spawn_all(&mut self, shared: &Shared) -> Result<(), SpawnErr> {
        for slot in self.0.values_mut() {
            slot.try_spawn(shared).await?;
        }
        Ok(())
    }

    pub(super) async fn restart(&mut self, rule: &JobName, shared: &Shared) {
        if let Some(slot) = self.0.get_mut(rule) {
            slot.restart = None;
            if let Err(error) = slot.try_spawn(shared).await {
                slot.crashed(shared, error.to_string());
            }
        }
    }

    /// Handles the exit of a child. Returns whether it was a courier.
    pub(super) fn crashed(
        &mut self,
        child: ActorId,
        reason: &str,
        shared: &Shared,
        publisher: &mut Publisher,
    ) -> bool {
        let Some(slot) = self.slot_of(child) else {
            return false;
        };
        slot.crashed(shared, reason.to_owned());
        publisher.emit(Event::CourierRestarted {
            rule: slot.rule.clone(),
            reason: reason.to_owned(),
        });
        true
    }

    /// Forgets a courier that stopped in a shutdown. Returns whether the child was one.
    pub(super) fn stopped(&mut self, child: ActorId) -> bool {
        match self.slot_of(child) {
            Some(slot) => slot.courier.take().is_some(),
            None => false,
        }
    }

    fn slot_of(&mut self, child: ActorId) -> Option<&mut CourierSlot> {
        let mut slots = self.0.values_mut();
        slots.find(|slot| slot.courier.as_ref().is_some_and(|it| it.get_id() == child))
    }

    /// Has all couriers wait for what is under way, and stop.
    pub(super) fn stop(&mut self) {
        for slot in self.0.values_mut() {
            slot.restart = None;
            if let Some(courier) = &slot.courier {
                let _ = courier.cast(CourierMsg::Stop);
            }
        }
    }

    pub(super) fn are_up(&self) -> bool {
        self.0.values().any(|slot| slot.courier.is_some())
    }

    /// Forgets all couriers at the end of the grace.
    pub(super) fn clear(&mut self) {
        for slot in self.0.values_mut() {
            slot.courier = None;
        }
    }

    /// Takes the news of a courier.
    pub(super) fn news(
        &mut self,
        rule: &JobName,
        news: CourierNews,
        now: Moment,
        publisher: &mut Publisher,
    ) {
        let Some(slot) = self.0.get_mut(rule) else {
            return;
        };
        slot.under_way = news.under_way;
        if slot.problem != news.problem {
            if let Some(problem) = &news.problem {
                tracing::warn!(job.name = %rule, %problem, "entries of {rule} wait");
            } else {
                tracing::info!(job.name = %rule, "entries of {rule} are delivered again");
            }
            slot.problem = news.problem;
        }
        if let Some(counts) = news.counts {
            slot.counts = Some((counts, now));
        }
        let status = &mut slot.status;
        for mut record in news.ends {
            record.at = now.wall;
            match &record.end {
                DeliveryEnd::Acknowledged => {
                    status.acknowledged += 1;
                    status.last_acknowledged = Some(now.wall);
                }
                DeliveryEnd::Refused { .. } => status.refused += 1,
                DeliveryEnd::Parked { error } => {
                    status.refused += 1;
                    status.parked += 1;
                    recorder::parked(rule);
                    publisher.emit(Event::EntryParked {
                        rule: rule.clone(),
                        id: record.id,
                        key: record.key.clone(),
                        error: error.clone(),
                    });
                }
            }
            status.recent.insert(0, record);
            status.recent.truncate(CourierStatus::MAX_RECENT);
        }
        if status.acknowledged > 0 {
            slot.restarts.reset_backoff();
        }
        slot.record_gauges(now);
    }

    /// Records the gauges of all couriers.
    pub(super) fn record_gauges(&mut self, now: Moment) {
        for slot in self.0.values_mut() {
            slot.record_gauges(now);
        }
    }
}

impl CourierSlot {
    async fn try_spawn(&mut self, shared: &Shared) -> Result<(), SpawnErr> {
        let arguments = CourierArguments {
            rule: self.rule.clone(),
            outbox: self.outbox.clone(),
            destination: self.destination.clone(),
            config: self.config.clone(),
            owner: self.owner,
            supervisor: shared.myself.clone(),
        };
        let supervisor = shared.myself.get_cell();
        let (courier, _) = Actor::spawn_linked(None, Courier, arguments, supervisor).await?;
        self.courier = Some(courier);
        Ok(())
    }

    /// Plans the restart of a courier that crashed. It is never given up, because its entries wait.
    fn crashed(&mut self, shared: &Shared, reason: String) {
        self.courier = None;
        self.under_way = 0;
        let now = shared.now();
        let config = &shared.config.restart;
        recorder::courier_crashed(&self.rule);
        let wait = match self.restarts.record(now.mono, config, fastrand::f64()) {
            Verdict::RestartAfter(wait) => wait,
            Verdict::LimitReached => config.cool_down,
        };
        let rule = self.rule.clone();
        let at = now.after(wait);
        tracing::warn!(job.name = %rule, restart.at = %at.wall, %reason, "the courier of {rule} crashed and is restarted");
        let restart = shared.send_after(wait, move || InternalMsg::CourierRestartDue(rule));
        self.restart = Some((reason, at, restart));
    }

    fn status(&self, now: Moment) -> CourierStatus {
        let courier = match (&self.courier, &self.restart) {
            (_, Some((reason, at, _))) => CourierState::Restarting {
                reason: reason.clone(),
                at: at.wall,
            },
            (None, None) => CourierState::Stopped,
            (Some(_), None) if self.problem.is_some() => CourierState::Waiting,
            (Some(_), None) if self.under_way > 0 => CourierState::Delivering {
                entries: self.under_way as u64,
            },
            (Some(_), None) => CourierState::Idle,
        };
        CourierStatus {
            courier,
            counts: self.counts_at(now),
            counted_at: self.counts.map(|(_, at)| at.wall),
            restarts: self.restarts.total(),
            problem: self.problem_at(now),
            ..self.status.clone()
        }
    }

    /// The counts, with the age that the oldest entry has reached since.
    fn counts_at(&self, now: Moment) -> Option<OutboxCounts> {
        let (mut counts, at) = self.counts?;
        let since = now.mono.saturating_sub(at.mono);
        counts.oldest = counts.oldest.map(|oldest| oldest.saturating_add(since));
        Some(counts)
    }

    fn problem_at(&self, now: Moment) -> Option<String> {
        if let Some((reason, ..)) = &self.restart {
            return Some(format!("the courier crashed: {reason}"));
        }
        if self.problem.is_some() {
            return self.problem.clone();
        }
        let counts = self.counts_at(now)?;
        if let Some(oldest) = counts
            .oldest
            .filter(|oldest| *oldest > self.config.late_after)
        {
            let oldest = crate::fmt::span(oldest);
            return Some(format!("the oldest entry has waited for {oldest}"));
        }
        let parked = (counts.parked.count > 0).then_some(counts.parked)?;
        Some(format!(
            "{parked} parked: look at them, then redeliver or discard them"
        ))
    }

    fn record_gauges(&mut self, now: Moment) {
        let counts = self.counts_at(now);
        self.gauges.record(&self.rule, counts.as_ref());
    }
}
