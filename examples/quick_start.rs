//! Starts a housekeeper on a SQLite file, runs and previews a job, and prints the events.

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
    let arguments = HousekeeperArguments::new(jobs).with_history(store);
    let housekeeper = start(None, arguments).await?.housekeeper;

    let (subscriber, mut events) = Subscriber::channel();
    housekeeper.subscribe(subscriber)?;
    let job = SessionCleaner::NAME;
    println!("{}", housekeeper.run_now(job.clone(), Scope::All).await?);
    let preview = housekeeper
        .preview(job, Scope::All, Page::default())
        .await?;
    println!("{} sessions are idle now", preview.due);
    println!("{}", housekeeper.status().await?);
    while let Ok(delivery) = events.try_recv() {
        println!("{:?}", delivery.event);
    }

    housekeeper.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
