//! One replica: a housekeeper that writes its events to standard output.

use std::io;
use std::time::Duration;

use ractor_housekeeper::actors::{Delivery, Started};
use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy, SessionCleaner, built_in};
use ractor_housekeeper::config::{JobConfig, Schedule};
use ractor_housekeeper::model::Event;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, PostgresStore, Subscriber, start,
};
use tokio::sync::oneshot;

use crate::Error;
use crate::child::write_message;
use crate::protocol::{ReplicaEvent, Settings};

pub(crate) async fn run() -> Result<(), Error> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let settings: Settings = serde_json::from_str(&line)?;
    let input_closed = end_of_input();

    let (subscriber, mut events) = Subscriber::channel();
    let Started {
        housekeeper,
        handle,
    } = start(None, arguments(settings)?).await?;
    // The first batch cannot have committed yet.
    housekeeper.subscribe(subscriber.with_buffer(10_000))?;
    let writer = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            write_event(&event);
        }
    });

    // A parent that finishes or dies closes our standard input.
    let _ = input_closed.await;
    housekeeper.shutdown(Duration::from_secs(5)).await;
    handle.await?;
    // The channel closes with the housekeeper.
    Ok(writer.await?)
}

fn arguments(settings: Settings) -> Result<HousekeeperArguments, Error> {
    let Settings {
        database_url,
        jobs,
        pace,
    } = settings;
    let mut policy = BookingPolicy::default();
    policy
        .idle_after
        .take_if(|_| !jobs.contains(&SessionCleaner::NAME));
    policy
        .expire_after
        .take_if(|_| !jobs.contains(&BookingExpirer::NAME));
    let config = HousekeeperConfig {
        job: JobConfig {
            schedule: Schedule {
                // All replicas start at once, the hardest case.
                start_jitter: Duration::ZERO,
                ..Schedule::default()
            },
            pace,
            ..JobConfig::default()
        },
        ..HousekeeperConfig::default()
    };
    let store = PostgresStore::connect(&database_url)?;
    let jobs = built_in(store.clone(), &policy)?;
    Ok(HousekeeperArguments::new(jobs)
        .with_config(config)
        .with_history(store))
}

fn write_event(delivery: &Delivery) {
    let missed = (delivery.missed > 0).then_some(ReplicaEvent::Missed(delivery.missed));
    let event = match &*delivery.event {
        Event::BatchCommitted { counts, .. } => Some(ReplicaEvent::BatchCommitted(counts.clone())),
        Event::RunFinished(report) => Some(ReplicaEvent::RunFinished(report.clone())),
        _ => None,
    };
    for event in missed.into_iter().chain(event) {
        // Fails when the parent died, and the end of our input reports that.
        let _ = write_message(&event);
    }
}

fn end_of_input() -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    // A thread, because a read of standard input cannot be cancelled.
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        ended.send(())
    });
    end
}
