//! The couriers as the supervisor sees them.

use std::collections::BTreeMap;

use ractor::{ActorId, SpawnErr};

use super::courier_slot::CourierSlot;
use super::publisher::Publisher;
use super::shared::Shared;
use crate::actors::arguments::CourierOf;
use crate::actors::courier::CourierMsg;
use crate::actors::message::CourierUpdate;
use crate::config::HousekeeperConfig;
use crate::job::JobName;
use crate::model::{CourierStatus, Event, RequestError};
use crate::time::Moment;

/// The couriers by rule.
pub(super) struct Couriers(BTreeMap<JobName, CourierSlot>);

impl Couriers {
    pub(super) fn new(couriers: Vec<CourierOf>, config: &HousekeeperConfig) -> Self {
        let slots = couriers
            .into_iter()
            .map(|courier| (courier.rule.clone(), CourierSlot::new(courier, config)));
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

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut CourierSlot> {
        self.0.values_mut()
    }

    /// Wakes the courier of a rule, which has written entries.
    pub(super) fn wake(&self, rule: &JobName) {
        if let Some(courier) = self.0.get(rule).and_then(|slot| slot.courier.as_ref()) {
            // One that has just crashed polls when it is up again.
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

    /// Stops all couriers, each after its deliveries under way.
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

    /// Applies the report of a courier.
    pub(super) fn update(
        &mut self,
        rule: &JobName,
        update: CourierUpdate,
        now: Moment,
        publisher: &mut Publisher,
    ) {
        let Some(slot) = self.0.get_mut(rule) else {
            return;
        };
        slot.apply(update, now, publisher);
    }

    /// Records the gauges of all couriers.
    pub(super) fn record_gauges(&mut self, now: Moment) {
        for slot in self.0.values_mut() {
            slot.record_gauges(now);
        }
    }
}
