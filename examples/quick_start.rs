//! Starts a housekeeper on a SQLite file, and sends it the requests that a host needs first.

use std::{error::Error, time::Duration};

use ractor_housekeeper::booking::{BookingPolicy, SessionCleaner, built_in};
use ractor_housekeeper::job::Page;
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::{HousekeeperArguments, Scope, SqliteStore, Subscriber, start};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::temp_dir().join("ractor-housekeeper-quick-start.db");
    let store = SqliteStore::open(&file.display().to_string()).await?;
    store.migrate(Schema::ALL).await?;
    let jobs = built_in(store.clone(), &BookingPolicy::default())?;
    let started = start(None, HousekeeperArguments::new(jobs).with_history(store)).await?;
    let housekeeper = started.housekeeper;

    let (subscriber, mut events) = Subscriber::channel();
    housekeeper.subscribe(subscriber)?;
    let (job, all) = (SessionCleaner::NAME, Scope::All);
    let report = housekeeper.run_now(job.clone(), all.clone()).await?;
    println!("{report}");
    let preview = housekeeper.preview(job, all, Page::default()).await?;
    println!("{} sessions are idle now", preview.due);
    println!("{}", housekeeper.status().await?);
    while let Ok(event) = events.try_recv() {
        println!("{:?}", event.event);
    }

    housekeeper.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
