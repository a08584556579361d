//! Databases that fail under a housekeeper that runs on its schedule: each failure is named, retried when the report says, costs no restart,
//! and is over by itself when its cause is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ractor_housekeeper::booking::{BookingPolicy, built_in};
use ractor_housekeeper::config::Schedule;
use ractor_housekeeper::model::{Health, RunHistory, Trigger};
use ractor_housekeeper::{HousekeeperConfig, Job, JobName, Outcome, Report};

use crate::Done;
use crate::ground::{DUE, Ground};
use crate::host::Host;

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;

/// The housekeepers of both jobs over one database, and what a report of the failure must say.
struct Outage<'g, G: Ground> {
    ground: &'g G,
    /// One of these is in each error.
    words: &'g [&'g str],
    hosts: Vec<(JobName, Host)>,
}

impl<'g, G: Ground> Outage<'g, G> {
    /// All is well, both jobs have run, and then rows fall due of which they do not hear yet.
    async fn ahead(ground: &'g G, store: &G::Store, words: &'g [&'g str]) -> Done<Self> {
        let mut outage = Self::at_start(ground, store, words).await?;
        for (job, host) in &mut outage.hosts {
            let report = host.report().await?;
            assert_eq!(report.outcome, Outcome::Completed, "{job}: {report}");
            host.pause(true).await?;
        }
        ground.sow().await?;
        Ok(outage)
    }

    /// Both jobs run as soon as they are started.
    async fn at_start(ground: &'g G, store: &G::Store, words: &'g [&'g str]) -> Done<Self> {
        let mut hosts = Vec::new();
        for job in built_in(store.clone(), &BookingPolicy::default())? {
            hosts.push((job.name(), scheduled(job, Arc::new(store.clone())).await?));
        }
        Ok(Self {
            ground,
            words,
            hosts,
        })
    }

    /// The jobs run into it.
    async fn strikes(&mut self) -> Done {
        self.pause(false).await?;
        self.goes_on().await
    }

    async fn pause(&self, pause: bool) -> Done {
        for (_, host) in &self.hosts {
            host.pause(pause).await?;
        }
        Ok(())
    }

    /// It is named, retried in time, and named again.
    async fn goes_on(&mut self) -> Done {
        for (_, host) in &mut self.hosts {
            let first = host.report().await?;
            let retry_at = failure(&first, self.words)?;
            let second = host.report().await?;
            failure(&second, self.words)?;
            assert_eq!(second.trigger, Trigger::Retry, "{second}");
            let late = second.started_at - retry_at;
            assert!(
                late >= TimeDelta::milliseconds(-2) && late <= PUNCTUAL,
                "retried {late} late"
            );
        }
        Ok(())
    }

    /// Nobody does anything more, and all is done and told.
    async fn heals(self) -> Done {
        for (job, mut host) in self.hosts {
            let recovered = loop {
                let report = host.report().await?;
                if report.success() {
                    break report;
                }
                is_named(&report, self.words)?;
            };
            host.catch_up();
            let context = format!("{job} after {:?}", self.words);
            assert_ne!(recovered.trigger, Trigger::Manual, "{context}: {recovered}");
            self.ground.rest(&context).await?;
            let changed = self.ground.agrees(&job, &context).await?;
            assert_eq!(changed.len(), DUE.len(), "{context}: {recovered}");
            assert_eq!(
                changed,
                host.told.iter().cloned().collect::<BTreeSet<_>>(),
                "{context}"
            );
            assert_eq!(host.told.len(), DUE.len(), "{context}");
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
fn failure(report: &Report, words: &[&str]) -> Done<DateTime<Utc>> {
    Ok(is_named(report, words)?.ok_or("it is retried")?)
}

fn is_named(report: &Report, words: &[&str]) -> Done<Option<DateTime<Utc>>> {
    let Outcome::Failed { error, retry_at } = &report.outcome else {
        return Err(format!("expected a failure with one of {words:?}: {report}").into());
    };
    println!("    {error}");
    assert!(
        words.iter().any(|word| error.contains(word)),
        "none of {words:?} in: {error}"
    );
    Ok(*retry_at)
}

async fn scheduled(job: Arc<dyn Job>, history: Arc<dyn RunHistory>) -> Done<Host> {
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
