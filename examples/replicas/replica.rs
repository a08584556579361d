//! One replica: a housekeeper as any host has it, that tells what it does on standard output.

use std::io::{self, Write};
use std::time::Duration;

use ractor::call_t;
use ractor_housekeeper::actors::{Delivery, Started};
use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy, SessionCleaner, built_in};
use ractor_housekeeper::config::{JobConfig, Schedule};
use ractor_housekeeper::model::Event;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, PostgresStore, Subscriber, start,
};
use tokio::sync::oneshot;

use crate::Error;
use crate::line::{Line, Orders};

pub(crate) async fn run() -> Result<(), Error> {
    let mut first = String::new();
    io::stdin().read_line(&mut first)?;
    let orders: Orders = serde_json::from_str(&first)?;
    let parent_left = end_of_input();

    let (subscriber, mut events) = Subscriber::channel();
    let Started {
        housekeeper,
        handle,
    } = start(None, arguments(orders)?).await?;
    // Long before a first batch can have been committed.
    housekeeper.cast(HousekeeperMsg::Subscribe(subscriber.with_buffer(10_000)))?;
    let telling = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            tell(&event);
        }
    });

    // A parent that is done closes our standard input, and so does one that died.
    let _ = parent_left.await;
    let grace = Duration::from_secs(5);
    call_t!(housekeeper, HousekeeperMsg::Shutdown, 10_000, grace)?;
    handle.await?;
    // The channel ends with the housekeeper.
    Ok(telling.await?)
}

fn arguments(orders: Orders) -> Result<HousekeeperArguments, Error> {
    let Orders {
        database_url,
        jobs,
        pace,
    } = orders;
    let mut ages = BookingPolicy::default();
    ages.idle_after
        .take_if(|_| !jobs.contains(&SessionCleaner::NAME));
    ages.expire_after
        .take_if(|_| !jobs.contains(&BookingExpirer::NAME));
    let config = HousekeeperConfig {
        job: JobConfig {
            schedule: Schedule {
                // All at once, which is the hardest case.
                start_jitter: Duration::ZERO,
                ..Schedule::default()
            },
            pace,
            ..JobConfig::default()
        },
        ..HousekeeperConfig::default()
    };
    let store = PostgresStore::connect(&database_url)?;
    let jobs = built_in(store.clone(), &ages)?;
    Ok(HousekeeperArguments::new(jobs)
        .with_config(config)
        .with_history(store))
}

fn tell(event: &Delivery) {
    if event.missed > 0 {
        say(&Line::Missed(event.missed));
    }
    match &*event.event {
        Event::BatchCommitted { counts, .. } => say(&Line::Committed(counts.clone())),
        Event::RunFinished(report) => say(&Line::Finished(report.clone())),
        _ => {}
    }
}

fn say(line: &Line) {
    if let Ok(line) = serde_json::to_string(line) {
        // A parent that died hears nothing; the end of our input tells us.
        let _ = writeln!(io::stdout(), "{line}");
    }
}

fn end_of_input() -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    // A thread, because a read of standard input cannot be taken back.
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        ended.send(())
    });
    end
}
