//! A host with thirty jobs, three of them in trouble.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ractor_housekeeper::config::{RestartConfig, Schedule};
use ractor_housekeeper::job::{
    Batch, BatchRequest, BoundedCount, Forecast, JobError, Page, PreviewRows, RunBounds,
};
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperRef, Job, JobName, Scope, start,
};

/// How a job of the fleet behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    Works,
    Fails,
    Crashes,
    FallsBehind,
}

struct FleetJob {
    name: JobName,
    behaviour: Behaviour,
    rows: u64,
}

#[async_trait]
impl Job for FleetJob {
    fn name(&self) -> JobName {
        self.name.clone()
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        let now = Utc::now();
        Ok(RunBounds::new(now, now - TimeDelta::days(30)))
    }

    async fn batch(&self, _: &BatchRequest) -> Result<Batch, JobError> {
        match self.behaviour {
            Behaviour::Fails => {
                Err("could not delete drafts: permission denied for table drafts".into())
            }
            Behaviour::Crashes => panic!("index out of bounds: the len is 3 but the index is 3"),
            _ => Ok(Batch::default().with_count("drafts", self.rows)),
        }
    }

    async fn preview(&self, _: &Scope, _: &Page) -> Result<PreviewRows, JobError> {
        Ok(PreviewRows::none(DateTime::UNIX_EPOCH))
    }

    async fn forecast(&self, _: &[String]) -> Result<Forecast, JobError> {
        let late = self.behaviour == Behaviour::FallsBehind;
        let mut forecast = Forecast::default();
        if late {
            forecast.due = BoundedCount {
                count: 1_240,
                capped: false,
            };
            forecast.oldest_overdue = Some(Duration::from_secs(2 * 3_600));
        }
        Ok(forecast)
    }
}

/// Starts jobs of these names, which run on request.
pub(crate) async fn fleet_of(names: impl IntoIterator<Item = String>) -> HousekeeperRef {
    let jobs = names.into_iter().map(|name| {
        let name = name.into();
        let (behaviour, rows) = (Behaviour::Works, 7);
        Arc::new(FleetJob {
            name,
            behaviour,
            rows,
        }) as Arc<dyn Job>
    });
    let mut config = HousekeeperConfig::default();
    config.job.schedule = Schedule {
        every: None,
        at_start: false,
        at_deadline: false,
        ..Schedule::default()
    };
    let arguments = HousekeeperArguments::new(jobs.collect()).with_config(config);
    start(None, arguments).await.expect("it starts").housekeeper
}

/// Starts the fleet. Each job has run once; the ones in trouble are in trouble.
pub(crate) async fn fleet() -> HousekeeperRef {
    let names = KINDS
        .iter()
        .flat_map(|kind| NAMES.map(|name| format!("{name}-{kind}")));
    let jobs = names.zip(0..).map(|(name, number): (String, u64)| {
        let behaviour = match name.as_str() {
            "invoice-archiver" => Behaviour::Fails,
            "token-cleaner" => Behaviour::Crashes,
            "upload-expirer" => Behaviour::FallsBehind,
            _ => Behaviour::Works,
        };
        let rows = number * 7 % 90;
        Arc::new(FleetJob {
            name: name.into(),
            behaviour,
            rows,
        }) as Arc<dyn Job>
    });
    let mut config = HousekeeperConfig::default();
    config.job.schedule = Schedule {
        at_start: false,
        at_deadline: false,
        ..Schedule::default()
    };
    config.restart = RestartConfig {
        max_restarts: 0,
        ..RestartConfig::default()
    };
    let jobs: Vec<Arc<dyn Job>> = jobs.collect();
    let mut failing = config.job.clone();
    failing.runbook = Some("https://wiki.example/runbooks/archiver".to_owned());
    config.jobs.insert("invoice-archiver".into(), failing);
    let arguments = HousekeeperArguments::new(jobs).with_config(config);
    let housekeeper = start(None, arguments).await.expect("it starts").housekeeper;
    housekeeper.run_all().await.expect("reports");
    housekeeper
        .pause("draft-expirer")
        .await
        .expect("the job is there");
    housekeeper
}

const NAMES: [&str; 10] = [
    "draft", "invoice", "token", "upload", "session", "mail", "image", "export", "report", "basket",
];
const KINDS: [&str; 3] = ["expirer", "archiver", "cleaner"];
