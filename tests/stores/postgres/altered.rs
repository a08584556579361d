//! Tables that a host alters while a worker lives.

use std::time::Duration;

use chrono::TimeDelta;
use ractor_housekeeper::job::{BatchRequest, Job, Scope};
use ractor_housekeeper::model::{Claim, EntryId, Outbox, ParkedPage};
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::testing::MemoryBooking;
use uuid::Uuid;

use super::PostgresUnderTest;
use crate::TestResult;
use crate::runs::built_in_job;
use crate::world::{StoreUnderTest, now, user};

/// Begins a run and does its first batch.
async fn run(job: &dyn Job) -> Result<Vec<String>, String> {
    let done = async {
        let bounds = job.begin_run().await?;
        let request = BatchRequest {
            scope: Scope::All,
            now: bounds.now,
            cutoff: bounds.cutoff,
            limit: 10.try_into().expect("is not zero"),
            after: None,
        };
        job.batch(&request).await
    };
    let batch = done.await.map_err(|error| error.chain())?;
    Ok(batch.ids)
}

/// A worker checks its job once, and lives on.
#[tokio::test]
async fn tables_that_are_altered_under_a_worker_are_checked_again() -> TestResult {
    let zone = "do $$ begin execute format('alter database %I set timezone = ''Pacific/Kiritimati''', current_database()); end $$";
    let naive = "set timezone = 'UTC'; alter table bookings alter created_at type timestamp";
    let table = [
        (
            naive,
            "`bookings.created_at` is `timestamp without time zone`",
        ),
        (
            "alter table bookings rename to stored; create view bookings as select * from stored",
            "`bookings` is a view",
        ),
        (
            "alter table bookings alter held_until type text",
            "`bookings.held_until` is `text`",
        ),
        (
            "alter table bookings rename to away; create table bookings (booking_id text primary key)",
            "column bookings.status is missing",
        ),
    ];
    for (change, expected) in table {
        let Some(world) = PostgresUnderTest::open().await? else {
            return Ok(());
        };
        world.sql(zone).await?;
        // Connections of the new zone.
        let store = ractor_housekeeper::PostgresStore::connect(&world.url)?
            .with_clock(crate::world::clock());
        let job = built_in_job(store, "booking-expirer")?;
        job.check().await.map_err(|error| error.chain())?;
        let old = MemoryBooking::pending("old", user(1), now() - TimeDelta::hours(1));
        world.booking(&old).await?;
        assert_eq!(run(&*job).await?, ["old"]);
        let new = MemoryBooking::pending("new", user(1), now());
        world.booking(&new).await?;

        world.sql(change).await?;
        let done = run(&*job).await;
        let again = run(&*job).await;

        for done in [done, again] {
            let error = done.expect_err(change);
            assert!(error.contains(expected), "{change}: {error}");
        }
    }
    Ok(())
}

/// The session looks idle by what is noted, and its guest writes: no forecast counts it again.
#[tokio::test]
async fn a_session_whose_activity_a_trigger_hides_is_rejected() -> TestResult {
    let Some(world) = PostgresUnderTest::open().await? else {
        return Ok(());
    };
    let job = built_in_job(world.store.clone(), "session-cleaner")?;
    let long_ago = now() - TimeDelta::days(3);
    for (id, guest) in [("idle", 1), ("live", 2)] {
        world.session(id, user(guest), long_ago).await?;
    }
    world
        .sql(
            "create function eat() returns trigger language plpgsql as 'begin new.last_activity_at := old.last_activity_at; return new; end';
             create trigger eat before update on sessions for each row execute function eat()",
        )
        .await?;
    world.message(user(2), "user", now()).await?;
    let bounds = job.begin_run().await.map_err(|error| error.chain())?;
    let request = BatchRequest {
        scope: Scope::All,
        now: bounds.now,
        cutoff: bounds.cutoff,
        limit: 10.try_into()?,
        after: None,
    };

    let batch = job.batch(&request).await.map_err(|error| error.chain())?;
    let rejected: Vec<String> = batch.rejected.iter().map(|row| row.id.clone()).collect();
    let forecast = job
        .forecast(&rejected)
        .await
        .map_err(|error| error.chain())?;

    assert_eq!(
        (batch.ids, rejected),
        (vec!["idle".to_owned()], vec!["live".to_owned()])
    );
    assert_eq!(forecast.next_due, None);
    Ok(())
}

#[tokio::test]
async fn a_mended_table_is_used_at_the_next_run() -> TestResult {
    let Some(world) = PostgresUnderTest::open().await? else {
        return Ok(());
    };
    let job = built_in_job(world.store.clone(), "booking-expirer")?;
    job.check().await.map_err(|error| error.chain())?;
    let old = MemoryBooking::pending("old", user(1), now() - TimeDelta::hours(1));
    world.booking(&old).await?;
    world
        .sql("alter table bookings alter held_until type timestamp")
        .await?;
    let broken = run(&*job).await.expect_err("a hold has no zone");

    world
        .sql("alter table bookings alter held_until type timestamptz using held_until at time zone 'UTC'")
        .await?;
    let mended = run(&*job).await?;

    assert!(broken.contains("`bookings.held_until`"), "{broken}");
    assert_eq!(mended, ["old"]);
    Ok(())
}

/// A host holds an entry back by a time that never comes.
#[tokio::test]
async fn an_entry_with_an_infinite_instant_stops_no_other() -> TestResult {
    let Some(world) = PostgresUnderTest::empty()? else {
        return Ok(());
    };
    world.store.migrate(&[Schema::Outbox]).await?;
    let at = now().to_rfc3339();
    for (key, at, due_at, parked_at) in [
        ("never", at.as_str(), "infinity", "null"),
        ("always", at.as_str(), "-infinity", "null"),
        ("past", "-infinity", at.as_str(), "null"),
        ("future", "infinity", at.as_str(), "null"),
        ("free", at.as_str(), at.as_str(), "null"),
        ("parked", "infinity", at.as_str(), "'infinity'"),
    ] {
        world
            .sql(&format!(
                "insert into housekeeper_outbox (rule, topic, key, at, due_at, parked_at, payload) \
                 values ('expirer', 'orders', '{key}', '{at}', '{due_at}', {parked_at}, '{{}}')"
            ))
            .await?;
    }
    let rule = "expirer".into();
    let claim = Claim {
        rule: "expirer".into(),
        owner: Uuid::from_u128(1),
        limit: 10.try_into()?,
        lease: Duration::from_secs(60),
        max_wait: Duration::from_secs(600),
        in_order_of_key: false,
    };

    let claimed = world.store.claim(&claim).await?;
    let counts = world.store.counts(&rule).await?;
    let parked = world.store.parked(&rule, &ParkedPage::default()).await?;

    let keys: Vec<&str> = claimed
        .entries
        .iter()
        .map(|entry| entry.key.as_str())
        .collect();
    assert_eq!(keys, ["always", "past", "future", "free"]);
    assert_eq!(counts.waiting.count, 5);
    let parked: Vec<EntryId> = parked.iter().map(|parked| parked.entry.id).collect();
    assert_eq!(parked, [EntryId(6)]);
    Ok(())
}
