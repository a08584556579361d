//! Housekeepers side by side on one database, and their events.

use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorRef, call};
use ractor_housekeeper::actors::{Delivery, Started};
use ractor_housekeeper::config::{Pace, Schedule};
use ractor_housekeeper::model::Event;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, Job, JobName, Outcome, Report, Scope,
    Subscriber, start,
};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use crate::TestResult;

/// A whole actor tree with one job, on a pool of its own.
pub(crate) struct Replica {
    job: JobName,
    pub(crate) housekeeper: ActorRef<HousekeeperMsg>,
    ended: JoinHandle<()>,
    collector: JoinHandle<Emitted>,
}

/// All events of subscribers.
#[derive(Debug, Default)]
pub(crate) struct Emitted {
    /// Of all batches.
    pub(crate) ids: Vec<String>,
    pub(crate) reports: Vec<Report>,
    pub(crate) missed: u64,
}

impl Replica {
    /// Its batches are small, so that there are many races, and follow each other without a pause.
    pub(crate) async fn start(job: Arc<dyn Job>, schedule: Schedule) -> TestResult<Self> {
        let mut config = HousekeeperConfig::default();
        // A run that is cut short makes room for other triggers.
        config.job.run_timeout = schedule.at_start.then_some(Duration::from_millis(100));
        config.job.schedule = schedule;
        config.job.pace = Pace::fixed(BATCH.try_into()?);
        let name = job.name();
        let arguments = HousekeeperArguments::new(vec![job]).with_config(config);
        let Started {
            housekeeper,
            handle,
        } = start(None, arguments).await?;
        let (subscriber, events) = Subscriber::channel();
        housekeeper.cast(HousekeeperMsg::Subscribe(subscriber.with_buffer(1_000_000)))?;
        Ok(Self {
            job: name,
            housekeeper: housekeeper.into(),
            ended: handle,
            collector: tokio::spawn(collect(events)),
        })
    }

    pub(crate) async fn run(&self, scope: Scope) -> TestResult<Report> {
        Ok(call!(
            self.housekeeper,
            HousekeeperMsg::RunNow,
            self.job.clone(),
            scope
        )??)
    }

    /// Runs again and again, and once more when it `is_over`, until nothing is due.
    pub(crate) async fn run_until(&self, is_over: impl Fn() -> bool) -> TestResult {
        loop {
            let last = is_over();
            let report = self.run(Scope::All).await?;
            let forecast = report.forecast.ok_or_else(|| report.to_string())?;
            if last && forecast.due.count == 0 {
                return Ok(());
            }
        }
    }

    /// Shuts down, and gives account. A run that failed is an error.
    pub(crate) async fn shut_down(self) -> TestResult<Emitted> {
        call!(
            self.housekeeper,
            HousekeeperMsg::Shutdown,
            Duration::from_secs(10)
        )?;
        self.ended.await?;
        let emitted = self.collector.await?;
        for report in &emitted.reports {
            if matches!(
                report.outcome,
                Outcome::Failed { .. } | Outcome::Crashed { .. }
            ) {
                return Err(report.to_string().into());
            }
        }
        match emitted.missed {
            0 => Ok(emitted),
            missed => Err(format!("{missed} events were missed").into()),
        }
    }
}

/// Runs by messages only.
pub(crate) fn messages_only() -> Schedule {
    Schedule {
        every: None,
        at_start: false,
        at_deadline: false,
        ..Schedule::default()
    }
}

async fn collect(mut events: UnboundedReceiver<Delivery>) -> Emitted {
    let mut emitted = Emitted::default();
    // The channel ends with the housekeeper.
    while let Some(event) = events.recv().await {
        emitted.missed += event.missed;
        match &*event.event {
            Event::BatchCommitted { ids, .. } => emitted.ids.extend(ids.iter().cloned()),
            Event::RunFinished(report) => emitted.reports.push((**report).clone()),
            _ => {}
        }
    }
    emitted
}

/// Rows of a batch.
const BATCH: u32 = 20;
