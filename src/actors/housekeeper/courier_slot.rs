//! One courier as the supervisor sees it.

use std::sync::Arc;

use ractor::{Actor, ActorRef, SpawnErr};
use uuid::Uuid;

use super::publisher::Publisher;
use super::shared::Shared;
use crate::actors::arguments::CourierOf;
use crate::actors::courier::{Courier, CourierArguments, CourierMsg};
use crate::actors::delayed::Delayed;
use crate::actors::destination::Destination;
use crate::actors::message::{CourierUpdate, HousekeeperMsg, InternalMsg};
use crate::config::{CourierConfig, HousekeeperConfig};
use crate::job::JobName;
use crate::metrics::recorder::{self, CourierGauges};
use crate::model::{CourierState, CourierStatus, DeliveryEnd, Event, Outbox, OutboxCounts};
use crate::policy::{RestartLog, Verdict};
use crate::time::Moment;

/// One courier and its restarts.
pub(super) struct CourierSlot {
    pub(super) rule: JobName,
    pub(super) outbox: Arc<dyn Outbox>,
    destination: Destination,
    config: CourierConfig,
    owner: Uuid,
    pub(super) courier: Option<ActorRef<CourierMsg>>,
    restarts: RestartLog,
    /// Why the courier crashed, when it restarts, and the message that does it.
    pub(super) restart: Option<(String, Moment, Delayed<HousekeeperMsg>)>,
    under_way: usize,
    counts: Option<(OutboxCounts, Moment)>,
    problem: Option<String>,
    status: CourierStatus,
    gauges: CourierGauges,
}

impl CourierSlot {
    pub(super) fn new(courier: CourierOf, config: &HousekeeperConfig) -> Self {
        let CourierOf {
            rule,
            outbox,
            destination,
        } = courier;
        Self {
            config: config.for_courier(&rule).clone(),
            status: CourierStatus::new(rule.clone()),
            rule,
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
        }
    }

    /// Notes a hint for the status.
    pub(super) fn advise(&mut self, text: String) {
        self.status.advice = Some(text);
    }

    pub(super) async fn try_spawn(&mut self, shared: &Shared) -> Result<(), SpawnErr> {
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
    pub(super) fn crashed(&mut self, shared: &Shared, reason: String) {
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

    pub(super) fn status(&self, now: Moment) -> CourierStatus {
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

    pub(super) fn record_gauges(&mut self, now: Moment) {
        let counts = self.counts_at(now);
        self.gauges.record(&self.rule, counts.as_ref());
    }

    /// Applies the report of the courier.
    pub(super) fn apply(&mut self, update: CourierUpdate, now: Moment, publisher: &mut Publisher) {
        self.under_way = update.under_way;
        if self.problem != update.problem {
            if let Some(problem) = &update.problem {
                tracing::warn!(job.name = %self.rule, %problem, "entries of {} wait", self.rule);
            } else {
                tracing::info!(job.name = %self.rule, "entries of {} are delivered again", self.rule);
            }
            self.problem = update.problem;
        }
        if let Some(counts) = update.counts {
            self.counts = Some((counts, now));
        }
        let status = &mut self.status;
        for mut record in update.ends {
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
                    recorder::parked(&self.rule);
                    publisher.emit(Event::EntryParked {
                        rule: self.rule.clone(),
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
            self.restarts.reset_backoff();
        }
        self.record_gauges(now);
    }
}
