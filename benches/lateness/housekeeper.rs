//! The measured housekeeper and its subscriber.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ractor::{ActorRef, call};
use ractor_housekeeper::actors::Delivery;
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::model::Event;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, Subscriber, start,
};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::Plan;
use crate::support::Result;
use crate::support::database::Database;
use crate::support::timed::{Notes, Timed};

/// A housekeeper with one job and all settings but the age and the minimum interval left alone.
pub(crate) struct Measured {
    housekeeper: ActorRef<HousekeeperMsg>,
    events: UnboundedReceiver<Delivery>,
    pub(crate) notes: Notes,
}

/// Expired bookings, each with the time of its event.
pub(crate) type Heard = Vec<(String, f64)>;

impl Measured {
    pub(crate) async fn start(database: &Database, plan: &Plan) -> Result<Self> {
        Self::start_with(database, plan, Some(plan.age)).await
    }

    pub(crate) async fn start_with(
        database: &Database,
        plan: &Plan,
        age: Option<Duration>,
    ) -> Result<Self> {
        let expirer = BookingExpirer::new(database.store().await?, age)?;
        let (job, notes) = Timed::over(Arc::new(expirer));
        let mut config = HousekeeperConfig::default();
        config.job.schedule.min_interval = plan.min_interval;
        config.job.schedule.start_jitter = Duration::ZERO;
        let arguments = HousekeeperArguments::new(vec![job]).with_config(config);
        let housekeeper = start(None, arguments).await?.housekeeper;
        let (subscriber, events) = Subscriber::channel();
        housekeeper.cast(HousekeeperMsg::Subscribe(subscriber.with_buffer(100_000)))?;
        let mut measured = Self {
            housekeeper: housekeeper.into(),
            events,
            notes,
        };
        measured.first_run().await?;
        Ok(measured)
    }

    /// Opening the database and its first look are no part of what is measured.
    async fn first_run(&mut self) -> Result<()> {
        while let Some(event) = timeout(PATIENCE, self.events.recv()).await? {
            if matches!(*event.event, Event::RunFinished(_)) {
                return Ok(());
            }
        }
        Err("the housekeeper stopped before its first run".into())
    }

    /// Receives events until a channel gives the number of bookings and all have arrived.
    pub(crate) async fn hear(
        mut self,
        total: tokio::sync::oneshot::Receiver<usize>,
    ) -> Result<(Heard, Self)> {
        let mut heard = Heard::new();
        let mut total = std::pin::pin!(total);
        let mut expected = None;
        while expected.is_none_or(|expected| heard.len() < expected) {
            tokio::select! {
                told = &mut total, if expected.is_none() => expected = Some(told?),
                event = timeout(PATIENCE, self.events.recv()) => {
                    let event = event?.ok_or("the housekeeper stopped")?;
                    if let Event::BatchCommitted { ids, .. } = &*event.event {
                        let now = seconds(SystemTime::now())?;
                        heard.extend(ids.iter().map(|id| (id.clone(), now)));
                    }
                }
            }
        }
        Ok((heard, self))
    }

    pub(crate) async fn stop(self) -> Result<()> {
        call!(self.housekeeper, HousekeeperMsg::Shutdown, PATIENCE)?;
        Ok(())
    }
}

/// Seconds since 1970 by the wall clock.
pub(crate) fn seconds(instant: SystemTime) -> Result<f64> {
    Ok(instant
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_secs_f64())
}

const PATIENCE: Duration = Duration::from_secs(60);
