//! Starts a housekeeper on a SQLite file, and sends it the messages a host needs first.

use std::{error::Error, time::Duration};

use ractor::call_t;
use ractor_housekeeper::booking::{BookingPolicy, SessionCleaner, built_in};
use ractor_housekeeper::job::Page;
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperMsg as Msg, Scope, SqliteStore, Subscriber, start,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::temp_dir().join("ractor-housekeeper-quick-start.db");
    let store = SqliteStore::open(&file.display().to_string()).await?;
    store.migrate(Schema::ALL).await?;
    let jobs = built_in(store.clone(), &BookingPolicy::default())?;
    let started = start(None, HousekeeperArguments::new(jobs).with_history(store)).await?;
    let housekeeper = started.housekeeper;

    let (subscriber, mut events) = Subscriber::channel();
    housekeeper.cast(Msg::Subscribe(subscriber))?;
    let (job, all) = (SessionCleaner::NAME, Scope::All);
    let report = call_t!(housekeeper, Msg::RunNow, 5_000, job.clone(), all.clone())??;
    println!("{report}");
    let preview = call_t!(housekeeper, Msg::Preview, 5_000, job, all, Page::default())??;
    println!("{} sessions are idle now", preview.due);
    println!("{}", call_t!(housekeeper, Msg::Status, 1_000)?);
    while let Ok(event) = events.try_recv() {
        println!("{:?}", event.event);
    }

    call_t!(housekeeper, Msg::Shutdown, 10_000, Duration::from_secs(5))?;
    Ok(())
}
