use std::time::Duration;

use ractor::call_t;
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::{
    Ages, HousekeeperArguments, HousekeeperMsg, Page, Scope, SessionCleaner, SqliteStore,
    Subscriber, built_in, start,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("bookings.db");
    let store = SqliteStore::open(&file.display().to_string()).await?;
    store
        .migrate(&[Schema::Housekeeper, Schema::Booking])
        .await?;

    let jobs = built_in(store.clone(), &Ages::default())?;
    let started = start(None, HousekeeperArguments::new(jobs).with_history(store)).await?;
    let housekeeper = started.housekeeper;

    let (subscriber, mut events) = Subscriber::channel();
    housekeeper.cast(HousekeeperMsg::Subscribe(subscriber))?;

    let job = SessionCleaner::NAME;
    let preview = call_t!(
        housekeeper,
        HousekeeperMsg::Preview,
        5_000,
        job.clone(),
        Scope::All,
        Page::default()
    )??;
    println!("{} sessions are idle", preview.due);
    let report = call_t!(housekeeper, HousekeeperMsg::RunNow, 5_000, job, Scope::All)??;
    println!("{report}");
    if let Some(event) = events.recv().await {
        println!("told: {:?}", event.news);
    }
    println!("{}", call_t!(housekeeper, HousekeeperMsg::Status, 1_000)?);

    call_t!(
        housekeeper,
        HousekeeperMsg::Shutdown,
        10_000,
        Duration::from_secs(5)
    )?;
    Ok(())
}
