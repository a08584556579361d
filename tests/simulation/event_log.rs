//! The events of a replica, checked as they come.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use ractor_housekeeper::actors::Delivery;
use ractor_housekeeper::job::Counts;
use ractor_housekeeper::model::{
    Event, FailingCause, Health, HousekeeperState, JobStatus, RunId, Trigger, WorkerStatus,
};
use ractor_housekeeper::{JobName, Outcome, Report, Scope, Status};

use crate::world::{World, WorldState};

/// A subscriber that misses nothing: it runs within the housekeeper's own `emit`.
#[derive(Clone)]
pub(crate) struct EventLog {
    world: World,
    replica: usize,
    events: Arc<Mutex<EmittedEvents>>,
}

#[derive(Default)]
pub(crate) struct EmittedEvents {
    /// All events, in order.
    pub(crate) event: Vec<Arc<Event>>,
    pub(crate) runs: BTreeMap<RunId, RunEvents>,
    jobs: BTreeMap<JobName, JobEvents>,
    pub(crate) shutting_down: bool,
}

/// One run, as its events show it.
#[derive(Default)]
pub(crate) struct RunEvents {
    /// How many runs were reported before.
    number: usize,
    /// The place in the event where it began; a rejected run never began.
    pub(crate) began: Option<usize>,
    counts: Counts,
    batches: u64,
    /// Where it ended, and how.
    pub(crate) ended: Option<(usize, Report)>,
}

#[derive(Default, Clone)]
struct JobEvents {
    running: Option<RunId>,
    /// Where the last run of everything that began has ended.
    last: Option<usize>,
    /// Since when it has been paused.
    paused: Option<DateTime<Utc>>,
    degraded: bool,
    /// The last health that was emitted; `None` is healthy.
    health: Option<Health>,
    deaths: u64,
}

/// The state of knowledge when a status was requested.
pub(crate) struct EventsBefore {
    at: usize,
    jobs: BTreeMap<JobName, JobEvents>,
}

impl EventLog {
    pub(crate) fn new(world: World, replica: usize) -> Self {
        Self {
            world,
            replica,
            events: Arc::default(),
        }
    }

    pub(crate) fn events(&self) -> MutexGuard<'_, EmittedEvents> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self, event: &Delivery) {
        let mut world = self.world.lock();
        if event.missed > 0 {
            world.break_promise("a subscriber that is never behind missed event");
        }
        self.events().record(&event.event, self.replica, &mut world);
    }

    pub(crate) fn known(&self) -> EventsBefore {
        let events = self.events();
        EventsBefore {
            at: events.event.len(),
            jobs: events.jobs.clone(),
        }
    }

    /// Contradictions between a status and the events before its request, or since.
    pub(crate) fn contradiction(&self, status: &Status, known: &EventsBefore) -> Option<String> {
        let events = self.events();
        if status.state != HousekeeperState::Running {
            return (!events.shutting_down)
                .then(|| "it says that it stops, and never emitted".to_owned());
        }
        let mut jobs = status.jobs.values();
        jobs.find_map(|job| events.contradicts(job, known))
    }
}

impl EmittedEvents {
    fn record(&mut self, event: &Arc<Event>, replica: usize, world: &mut WorldState) {
        let at = self.event.len();
        self.event.push(event.clone());
        match &**event {
            Event::RunStarted {
                run,
                job,
                scope,
                trigger,
                ..
            } => {
                let number = self.run(*run).number;
                world.note(&(replica, "began", job, scope, number));
                // A run given to the worker before the pause begins in the same instant.
                let paused = self.job(job).paused.is_some_and(|at| at < world.now());
                if paused && *trigger != Trigger::Manual {
                    world.break_promise(format!("{job} began at a {trigger} while paused"));
                }
                self.run(*run).began = Some(at);
                if let Some(other) = self.job(job).running.replace(*run) {
                    let broken = format!("{job} began {run} while it was in {other}");
                    world.break_promise(broken);
                }
            }
            Event::BatchCommitted {
                run,
                job,
                counts,
                ids,
            } => {
                world.note(&(replica, "committed", job, ids));
                world.emitted(replica, ids);
                let known = self.run(*run);
                known.counts.merge(counts);
                known.batches += 1;
                if self.job(job).running != Some(*run) {
                    world.break_promise(format!("{job} emitted of a batch of {run} outside it"));
                }
            }
            Event::RunFinished(report) => self.finished(report, at, replica, world),
            Event::WorkerRestarting { job, .. } => {
                world.note(&(replica, "restarting", job));
                world.totals.outcome("worker restarts", 1);
                self.job(job).deaths += 1;
            }
            Event::JobDegraded { job, .. } => {
                world.note(&(replica, "degraded", job));
                world.totals.outcome("degraded", 1);
                self.job(job).degraded = true;
            }
            Event::JobRecovered { job } => {
                world.note(&(replica, "recovered", job));
                self.job(job).degraded = false;
            }
            Event::HealthChanged { job, health } => {
                world.note(&(replica, "health", job, health.as_str()));
                world.totals.outcome(health.as_str(), 1);
                let before = self.job(job).health.replace(health.clone());
                let before = before.as_ref().map_or("healthy", Health::as_str);
                if before == health.as_str() {
                    world.break_promise(format!("{job} changed from {before} to {health}"));
                }
                // No step here blocks its thread, whatever hangs, dies or is late.
                if let Health::Failing {
                    cause: FailingCause::Stalled { .. },
                } = health
                {
                    world.break_promise(format!("{job} is no wedge: {health:?}"));
                }
            }
            Event::CourierRestarted { .. } => world.totals.outcome("courier restarts", 1),
            Event::JobPaused { job, .. } => self.job(job).paused = Some(world.now()),
            Event::JobResumed { job, .. } => self.job(job).paused = None,
            Event::TimerRestarted { .. } => world.totals.outcome("timer restarts", 1),
            Event::ShuttingDown => self.shutting_down = true,
            _ => {}
        }
    }

    fn finished(&mut self, report: &Report, at: usize, replica: usize, world: &mut WorldState) {
        let shutting_down = self.shutting_down;
        let known = self.run(report.run);
        let number = known.number;
        world.note(&(replica, "ended", &report.job, number, report.message()));
        world.totals.outcome(report.outcome.as_str(), 1);
        if known.ended.is_some() {
            world.break_promise(format!("the end of {} was emitted twice", report.run));
        }
        // A batch that changed nothing is not emitted.
        let changed = |counts: &Counts| -> Vec<(String, u64)> {
            let kinds = counts.iter().filter(|(_, count)| *count > 0);
            kinds
                .map(|(kind, count)| (kind.to_owned(), count))
                .collect()
        };
        if changed(&known.counts) != changed(&report.counts) {
            let broken = format!(
                "{report} ended with {}, emitted were {}",
                report.counts, known.counts
            );
            world.break_promise(broken);
        }
        if let Outcome::Crashed { rows_at_least, .. } = report.outcome {
            if rows_at_least != known.counts.total() {
                world.break_promise(format!("{report} knows of {rows_at_least} rows"));
            }
        }
        if report.outcome == Outcome::ShuttingDown && !shutting_down {
            world.break_promise(format!("{report}, without a shutdown"));
        }
        let began = known.began.is_some();
        known.ended = Some((at, report.clone()));
        let job = self.job(&report.job);
        if began {
            job.running.take_if(|running| *running == report.run);
            if report.scope == Scope::All {
                job.last = Some(at);
            }
        }
    }

    fn contradicts(&self, status: &JobStatus, known: &EventsBefore) -> Option<String> {
        let job = &status.job;
        let now = self.jobs.get(job).cloned().unwrap_or_default();
        let then = known.jobs.get(job).cloned().unwrap_or_default();
        if let WorkerStatus::Running(current) = &status.worker {
            let run = self.runs.get(&current.run);
            if run.is_some_and(|run| run.ended.as_ref().is_some_and(|(at, _)| *at < known.at)) {
                return Some(format!("{job} is in {}, which had ended", current.run));
            }
            let emitted = run.map_or(0, |run| run.counts.total());
            if current.counts.total() > emitted {
                return Some(format!(
                    "{job} counts {}, emitted were {emitted}",
                    current.counts
                ));
            }
        }
        let last = status
            .last
            .as_ref()
            .map(|report| (report, self.runs.get(&report.run)));
        let ended = last.and_then(|(report, run)| {
            let (at, emitted) = run?.ended.as_ref()?;
            (emitted == report).then_some(*at)
        });
        if status.last.is_some() != ended.is_some() || ended < then.last {
            return Some(format!("{job} ended last with {:?}", status.last));
        }
        if status.paused != now.paused.is_some() && status.paused != then.paused.is_some() {
            return Some(format!("{job} paused: {}", status.paused));
        }
        let degraded = matches!(status.health, Health::Degraded { .. });
        if degraded != now.degraded && degraded != then.degraded {
            return Some(format!("{job} is {}", status.health));
        }
        // Emitted before its request, or since: a status emits changes.
        let emitted = self.event[known.at..]
            .iter()
            .filter_map(|event| match &**event {
                Event::HealthChanged {
                    job: emitted,
                    health,
                } if emitted == job => Some(health),
                _ => None,
            });
        let healthy = Health::Healthy;
        let before = then.health.as_ref().unwrap_or(&healthy);
        if !std::iter::once(before)
            .chain(emitted)
            .any(|emitted| emitted.as_str() == status.health.as_str())
        {
            return Some(format!("{job} is {}, emitted was {before}", status.health));
        }
        if status.restarts < then.deaths {
            return Some(format!(
                "{job} counts {} deaths of {}",
                status.restarts, then.deaths
            ));
        }
        None
    }

    fn run(&mut self, run: RunId) -> &mut RunEvents {
        let number = self.runs.len();
        self.runs.entry(run).or_insert_with(|| RunEvents {
            number,
            ..RunEvents::default()
        })
    }

    fn job(&mut self, job: &JobName) -> &mut JobEvents {
        self.jobs.entry(job.clone()).or_default()
    }
}
