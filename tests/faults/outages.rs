//! Databases that fail under a housekeeper that runs on its schedule: each failure is named,
//! retried when the report says, costs no restart, and is over by itself when its cause is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ractor_housekeeper::booking::{BookingPolicy, built_in};
use ractor_housekeeper::config::Schedule;
use ractor_housekeeper::model::{Health, RunHistory, Trigger};
use ractor_housekeeper::{HousekeeperConfig, Job, JobName, Outcome, Report};

use crate::TestResult;
use crate::database::{DUE, TestDatabase};
use crate::host::Host;

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;

/// The housekeepers of both jobs over one database, and what a report of the failure must say.
struct Outage<'g, G: TestDatabase> {
    database: &'g G,
    /// One of these is in each error.
    messages: &'g [&'g str],
    hosts: Vec<(JobName, Host)>,
}

impl<'g, G: TestDatabase> Outage<'g, G> {
    /// All is well, both jobs have run, and then rows fall due that they do not know yet.
    async fn ahead(database: &'g G, store: &G::Store, messages: &'g [&'g str]) -> TestResult<Self> {
        let mut outage = Self::at_start(database, store, messages).await?;
        for (job, host) in &mut outage.hosts {
            let report = host.report().await?;
            assert_eq!(report.outcome, Outcome::Completed, "{job}: {report}");
            host.pause(true).await?;
        }
        database.insert_due_rows().await?;
        Ok(outage)
    }

    /// Both jobs run as soon as they are started.
    async fn at_start(
        database: &'g G,
        store: &G::Store,
        messages: &'g [&'g str],
    ) -> TestResult<Self> {
        let mut hosts = Vec::new();
        for job in built_in(store.clone(), &BookingPolicy::default())? {
            hosts.push((job.name(), scheduled(job, Arc::new(store.clone())).await?));
        }
        Ok(Self {
            database,
            messages,
            hosts,
        })
    }

    /// The jobs run into it.
    async fn begins(&mut self) -> TestResult {
        self.pause(false).await?;
        self.repeats().await
    }

    async fn pause(&self, pause: bool) -> TestResult {
        for (_, host) in &self.hosts {
            host.pause(pause).await?;
        }
        Ok(())
    }

    /// It is named, retried in time, and named again.
    async fn repeats(&mut self) -> TestResult {
        for (_, host) in &mut self.hosts {
            let first = host.report().await?;
            let retry_at = failure(&first, self.messages)?;
            let second = host.report().await?;
            failure(&second, self.messages)?;
            assert_eq!(second.trigger, Trigger::Retry, "{second}");
            let from_first_batch = second.started_at - retry_at;
            assert!(
                from_first_batch >= TimeDelta::milliseconds(-2) && from_first_batch <= PUNCTUAL,
                "retried {from_first_batch} from_first_batch"
            );
        }
        Ok(())
    }

    /// All work is done and reported, and nothing runs.
    async fn recovers(self) -> TestResult {
        for (job, mut host) in self.hosts {
            let recovered = loop {
                // On a busy machine a row may exceed its timeout, which rejects it for a while.
                let report = host.report().await?;
                if !report.success() {
                    is_named(&report, self.messages)?;
                } else if report.rejected.is_empty() {
                    break report;
                }
            };
            host.catch_up();
            let context = format!("{job} after {:?}", self.messages);
            assert_ne!(recovered.trigger, Trigger::Manual, "{context}: {recovered}");
            self.database.wait_until_idle(&context).await?;
            let changed = self.database.audit(&job, &context).await?;
            assert_eq!(changed.len(), DUE.len(), "{context}: {recovered}");
            assert_eq!(
                changed,
                host.emitted.iter().cloned().collect::<BTreeSet<_>>(),
                "{context}"
            );
            assert_eq!(host.emitted.len(), DUE.len(), "{context}");
            assert_eq!(host.reported, DUE.len() as u64, "{context}");
            let status = host.status().await?;
            assert_eq!(
                (status.restarts, status.health),
                (0, Health::Healthy),
                "{context}"
            );
            host.stop().await?;
        }
        Ok(())
    }
}

/// When the run is tried again that failed for the cause.
fn failure(report: &Report, messages: &[&str]) -> TestResult<DateTime<Utc>> {
    Ok(is_named(report, messages)?.ok_or("it is retried")?)
}

fn is_named(report: &Report, messages: &[&str]) -> TestResult<Option<DateTime<Utc>>> {
    let Outcome::Failed {
        error, retry_at, ..
    } = &report.outcome
    else {
        return Err(format!("expected a failure with one of {messages:?}: {report}").into());
    };
    println!("    {error}");
    assert!(
        messages.iter().any(|word| error.contains(word)),
        "none of {messages:?} in: {error}"
    );
    Ok(*retry_at)
}

async fn scheduled(job: Arc<dyn Job>, history: Arc<dyn RunHistory>) -> TestResult<Host> {
    let schedule = |config: &mut HousekeeperConfig| {
        config.job.step_timeout = Duration::from_secs(2);
        config.job.schedule = Schedule {
            start_jitter: Duration::ZERO,
            ..Schedule::default()
        };
    };
    Host::start_with(job, history, schedule).await
}

/// How late a retry may be on a busy machine.
const PUNCTUAL: TimeDelta = TimeDelta::seconds(2);
