//! Deliveries through crashes at every await and statement.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ractor_housekeeper::actors::{Destination, HousekeeperRef};
use ractor_housekeeper::config::{BackoffConfig, Pace};
use ractor_housekeeper::job::BatchRequest;
use ractor_housekeeper::model::{
    Claim, EntryId, Outbox, OutboxEntry, ParkedPage, RefusedEntry, Settlement, WhichEntries,
};
use ractor_housekeeper::rule::{Rule, Stamp, age, eq, outbox};
#[cfg(feature = "postgres")]
use ractor_housekeeper::store::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
use ractor_housekeeper::store::sqlite::SqliteStore;
use ractor_housekeeper::testing::ManualClock;
use ractor_housekeeper::{HousekeeperArguments, Job, JobName, Scope, start};
use uuid::Uuid;

use crate::TestResult;
use crate::crashes::FaultPoint;
use crate::database::{DUE, TestDatabase};
use crate::dropped_futures::{DropPoint, catch_panic, dropped_at};
use crate::statement_fault::StatementFault;

const RULE: &str = "booking-expirer";

/// A store that makes jobs of rules.
trait Rules: Outbox + Clone {
    fn expirer(&self) -> Arc<dyn Job>;
    fn at(self, clock: &ManualClock) -> Self;
}

#[cfg(feature = "postgres")]
impl Rules for PostgresStore {
    fn expirer(&self) -> Arc<dyn Job> {
        Arc::new(self.rule(rule()).expect("a rule"))
    }
    fn at(self, clock: &ManualClock) -> Self {
        self.with_clock(Arc::new(clock.clone()))
    }
}

#[cfg(feature = "sqlite")]
impl Rules for SqliteStore {
    fn expirer(&self) -> Arc<dyn Job> {
        Arc::new(self.rule(rule()).expect("a rule"))
    }
    fn at(self, clock: &ManualClock) -> Self {
        self.with_clock(Arc::new(clock.clone()))
    }
}

fn rule() -> Rule {
    let text = Stamp::Text("%Y-%m-%dT%H:%M:%S%.6fZ".to_owned());
    Rule::new(RULE, "bookings")
        .due(age("created_at", Duration::from_secs(900)).on_sqlite(text))
        .only(eq("status", "Pending"))
        .set("status", "Expired")
        .hand_on(outbox(["booking_id", "user_id"]))
}

fn claim(owner: Uuid) -> Claim {
    Claim {
        rule: RULE.into(),
        owner,
        limit: const { NonZeroU32::new(100).expect("100 is not zero") },
        lease: Duration::from_secs(60),
        max_wait: Duration::from_secs(600),
        in_order_of_key: false,
    }
}

async fn batch(job: &dyn Job) -> TestResult {
    let bounds = job.begin_run().await.map_err(|error| error.to_string())?;
    let request = BatchRequest {
        scope: Scope::All,
        now: bounds.now,
        cutoff: bounds.cutoff,
        limit: const { NonZeroU32::new(100).expect("100 is not zero") },
        after: None,
    };
    job.batch(&request)
        .await
        .map_err(|error| error.to_string())?;
    Ok(())
}

/// How a future crashes.
#[derive(Debug, Clone, Copy)]
enum Crash {
    Drop(DropPoint),
    Panic,
}

const CRASHES: [Crash; 3] = [
    Crash::Drop(DropPoint::Asked),
    Crash::Drop(DropPoint::Answered),
    Crash::Panic,
];

impl Crash {
    /// Has the future crash at its n-th point. Returns whether it ended before.
    async fn strike(
        self,
        point: usize,
        fault: &StatementFault,
        future: impl Future<Output = TestResult>,
    ) -> TestResult<bool> {
        let done = match self {
            Self::Drop(drop_point) => dropped_at(point, drop_point, future).await,
            Self::Panic => {
                fault.set(point);
                let done = catch_panic(future).await;
                if fault.clear() { None } else { done }
            }
        };
        Ok(done.transpose()?.is_some())
    }
}

async fn a_change_and_its_entry_are_written_together<G>(database: &G) -> TestResult
where
    G: TestDatabase,
    G::Store: Rules,
{
    let fault = StatementFault::default();
    let store = database.store_with_fault(fault.clone()).await?;
    let job = store.expirer();
    let mut points = 0;
    for crash in CRASHES {
        for refused in [false, true] {
            for point in 1.. {
                let context = format!("{crash:?} refused {refused} at {point}");
                database.sql("delete from housekeeper_outbox").await?;
                database.insert_due_rows().await?;
                database.refuse_one(refused).await?;

                let over = crash.strike(point, &fault, batch(&*job)).await?;

                database.wait_until_idle(&context).await?;
                check_entries(database, &context).await?;
                batch(&*job)
                    .await
                    .map_err(|error| format!("{context}, again: {error}"))?;
                let changed = check_entries(database, &context).await?;
                assert_eq!(changed, DUE.len() - usize::from(refused), "{context}");
                if over {
                    break;
                }
                points += 1;
            }
        }
    }
    println!("crashes of a write: {} {points}", G::NAME);
    Ok(())
}

/// That each changed row has its entry, and no other. Returns their number.
async fn check_entries<G: TestDatabase>(database: &G, context: &str) -> TestResult<usize> {
    let changed = database.changed(&JobName::new(RULE), context).await?;
    let keys = database
        .texts("select key from housekeeper_outbox order by key")
        .await?;
    assert_eq!(
        changed.iter().cloned().collect::<Vec<_>>(),
        keys,
        "{context}"
    );
    Ok(keys.len())
}

async fn a_delivery_may_crash_at_every_point<G>(database: &G) -> TestResult
where
    G: TestDatabase,
    G::Store: Rules,
{
    let fault = StatementFault::default();
    let store = database.store_with_fault(fault.clone()).await?;
    let job = store.expirer();
    let owner = Uuid::from_u128(7);
    let mut points = 0;
    for crash in CRASHES {
        for point in 1.. {
            let context = format!("{crash:?} at {point}");
            database.sql("delete from housekeeper_outbox").await?;
            database.insert_due_rows().await?;
            batch(&*job).await?;

            let over = crash.strike(point, &fault, deliver(&store, owner)).await?;

            database.wait_until_idle(&context).await?;
            database.use_every_connection(&store, 1, &context).await?;
            let left = database
                .texts("select key from housekeeper_outbox order by id")
                .await?;
            // Settled as a whole or not at all; the last one is parked, discarded, or as it was.
            assert!([5, 2, 1].contains(&left.len()), "{context}: {left:?}");
            store.release(&RULE.into(), owner).await?;
            store.redeliver(&RULE.into(), &WhichEntries::All).await?;
            let again = store.claim(&claim(Uuid::nil())).await?.entries;
            let keys: Vec<&str> = again.iter().map(|entry| entry.key.as_str()).collect();
            assert_eq!(keys, left, "{context}: entries are lost");
            if over {
                break;
            }
            points += 1;
        }
    }
    println!("crashes of a delivery: {} {points}", G::NAME);
    Ok(())
}

/// All that a courier and an operator ask of an outbox.
async fn deliver(store: &impl Outbox, owner: Uuid) -> TestResult {
    let rule = JobName::new(RULE);
    store.release(&rule, owner).await?;
    let entries = store.claim(&claim(owner)).await?.entries;
    let refused = |entry: &OutboxEntry, again_after| RefusedEntry {
        id: entry.id,
        attempts: 1,
        error: Some("no".to_owned()),
        again_after,
    };
    let settlement = Settlement {
        acknowledged: entries[..3].iter().map(|entry| entry.id).collect(),
        refused: vec![
            refused(&entries[3], Some(Duration::ZERO)),
            refused(&entries[4], None),
        ],
    };
    store.settle(owner, &settlement).await?;
    store.counts(&rule).await?;
    store.parked(&rule, &ParkedPage::default()).await?;
    store.discard(&rule, &WhichEntries::All).await?;
    Ok(())
}

/// The deliveries of all replicas.
#[derive(Clone, Default)]
struct Ledger {
    received: Arc<Mutex<BTreeMap<String, u32>>>,
    acknowledged: Arc<Mutex<BTreeMap<EntryId, Acknowledged>>>,
    /// Acknowledged entries that were sent again within the same lease.
    unexplained: Arc<Mutex<Vec<EntryId>>>,
}

/// The acknowledgements of one entry.
#[derive(Clone, Copy, Default)]
struct Acknowledged {
    times: u32,
    /// Attempts of the last acknowledged delivery; a lease that runs out adds one.
    attempts: u32,
}

impl Ledger {
    /// A receiver that fails one delivery in `fails`, by an error or a panic.
    fn destination(&self, fails: u64, dead: Arc<AtomicBool>) -> Destination {
        let ledger = self.clone();
        Destination::handler(move |entry: OutboxEntry| {
            let (ledger, dead) = (ledger.clone(), dead.clone());
            async move {
                let payload: serde_json::Value = entry.read()?;
                assert_eq!(payload["booking_id"].as_str(), Some(entry.key.as_str()));
                *lock(&ledger.received).entry(entry.key.clone()).or_default() += 1;
                let known = lock(&ledger.acknowledged).get(&entry.id).copied();
                if known.is_some_and(|known| known.attempts == entry.attempts) {
                    lock(&ledger.unexplained).push(entry.id);
                }
                tokio::task::yield_now().await;
                if fails > 0 && fastrand::u64(..fails) == 0 {
                    if fastrand::bool() {
                        return Err("not now".into());
                    }
                    std::panic::resume_unwind(Box::new("the receiver"));
                }
                // A killed replica receives no more events.
                if !dead.load(Ordering::Relaxed) {
                    let mut acknowledged = lock(&ledger.acknowledged);
                    let known = acknowledged.entry(entry.id).or_default();
                    known.times += 1;
                    known.attempts = entry.attempts;
                }
                Ok(())
            }
        })
    }

    /// Acknowledgements beyond the first of each entry.
    fn repeated(&self) -> u32 {
        lock(&self.acknowledged)
            .values()
            .map(|known| known.times - 1)
            .sum()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A housekeeper that expires and delivers, and never waits long.
async fn replica(
    store: &(impl Rules + 'static),
    clock: &ManualClock,
    destination: Destination,
) -> TestResult<HousekeeperRef> {
    let mut arguments = HousekeeperArguments::new(vec![store.expirer()])
        .with_clock(clock.clone())
        .with_courier(RULE, store.clone(), destination);
    let soon = BackoffConfig {
        first: Duration::from_millis(1),
        max: Duration::from_millis(20),
    };
    let config = &mut arguments.config;
    config.courier.poll_interval = Duration::from_millis(100);
    config.courier.backoff = soon.clone();
    config.courier.max_attempts = const { NonZeroU32::new(1_000).expect("1000 is not zero") };
    config.job.pace = Pace::full_speed();
    config.retry = soon.clone();
    config.restart.backoff = soon;
    config.restart.max_restarts = 1_000;
    config.job.schedule.start_jitter = Duration::ZERO;
    Ok(start(None, arguments).await?.housekeeper)
}

/// Waits until nothing is due and nothing is left to deliver.
async fn until_delivered<G: TestDatabase>(database: &G, context: &str) -> TestResult {
    let left = "select 'x' from bookings where status = 'Pending' and booking_id <> 'young' union all select 'x' from housekeeper_outbox limit 1";
    let wait = async {
        while !database.texts(left).await?.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    };
    let patience = Duration::from_secs(300 + u64::from(entries()) / 50);
    if let Ok(done) = tokio::time::timeout(patience, wait).await {
        return done;
    }
    let entries = "select concat(id, ' ', key, ' ', attempts, ' ', last_error, ' ', due_at, ' ', leased_by) from housekeeper_outbox limit 20";
    let left = database.texts(entries).await.unwrap_or_default();
    Err(format!("{context}: not delivered: {left:?}").into())
}

async fn a_tree_may_panic_at_every_statement_boundary<G>(database: &G) -> TestResult
where
    G: TestDatabase,
    G::Store: Rules,
{
    let clock = ManualClock::new(chrono::Utc::now());
    let fault = StatementFault::default();
    let store = database.store_with_fault(fault.clone()).await?.at(&clock);
    let mut points = 0;
    for point in 1.. {
        let context = format!("panic at {point}");
        database.insert_due_rows().await?;
        let ledger = Ledger::default();
        fault.set(point);

        let housekeeper = replica(&store, &clock, ledger.destination(0, Arc::default())).await?;
        until_delivered(database, &context).await?;
        let struck = fault.clear();
        housekeeper.shutdown(Duration::from_secs(5)).await;

        let changed = database.changed(&JobName::new(RULE), &context).await?;
        let received = lock(&ledger.received).clone();
        assert_eq!(
            received.keys().cloned().collect::<BTreeSet<_>>(),
            changed,
            "{context}"
        );
        assert_eq!(changed.len(), DUE.len(), "{context}");
        assert!(struck || ledger.repeated() == 0, "{context}: {received:?}");
        if !struck {
            break;
        }
        points += 1;
    }
    println!("panics of a tree that delivers: {} {points}", G::NAME);
    assert!(points > 10, "{points}");
    Ok(())
}

/// Entries of the test of replicas; `HOUSEKEEPER_ENTRIES` sets another number.
fn entries() -> u32 {
    let set = std::env::var("HOUSEKEEPER_ENTRIES").ok();
    set.and_then(|set| set.parse().ok()).unwrap_or(1_000)
}

async fn insert_bookings<G: TestDatabase>(database: &G, count: u32) -> TestResult {
    database.insert_due_rows().await?;
    let at = G::SQL.long_ago;
    for first in (0..count).step_by(500) {
        let rows: Vec<String> = (first..count.min(first + 500))
            .map(|number| format!("('n{number:06}', '00000000-0000-0000-0000-000000000001', {at})"))
            .collect();
        let rows = rows.join(", ");
        database
            .sql(&format!(
                "insert into bookings (booking_id, user_id, created_at) values {rows}"
            ))
            .await?;
    }
    Ok(())
}

async fn four_replicas_deliver_each_entry_once<G>(database: &G) -> TestResult
where
    G: TestDatabase,
    G::Store: Rules,
{
    replicas(database, false).await
}

async fn four_replicas_deliver_each_entry_through_kills<G>(database: &G) -> TestResult
where
    G: TestDatabase,
    G::Store: Rules,
{
    replicas(database, true).await
}

async fn replicas<G>(database: &G, kills: bool) -> TestResult
where
    G: TestDatabase,
    G::Store: Rules,
{
    let count = entries();
    let clock = ManualClock::new(chrono::Utc::now());
    insert_bookings(database, count).await?;
    let ledger = Ledger::default();
    let fails = if kills { 20 } else { 0 };
    let mut up = Vec::new();
    for _ in 0..4 {
        let (store, dead) = (
            database.store().await?.at(&clock),
            Arc::<AtomicBool>::default(),
        );
        let destination = ledger.destination(fails, dead.clone());
        up.push((replica(&store, &clock, destination).await?, dead));
    }
    let mut deaths = 0;
    while kills && deaths < 12 {
        let seen = lock(&ledger.received).len();
        let goal = seen + (count as usize / 20);
        let progress = async {
            while lock(&ledger.received).len() < goal {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(20), progress)
            .await
            .is_err()
        {
            break;
        }
        let (housekeeper, dead) = up.remove(0);
        dead.store(true, Ordering::Relaxed);
        housekeeper.actor().kill();
        deaths += 1;
        // Its leases run out, and those of the others as well.
        clock.advance_wall(chrono::TimeDelta::minutes(3));
        let (store, dead) = (
            database.store().await?.at(&clock),
            Arc::<AtomicBool>::default(),
        );
        let destination = ledger.destination(fails, dead.clone());
        up.push((replica(&store, &clock, destination).await?, dead));
    }
    clock.advance_wall(chrono::TimeDelta::minutes(3));

    until_delivered(database, "replicas").await?;
    for (housekeeper, _) in &up {
        housekeeper.shutdown(Duration::from_secs(10)).await;
    }

    // The clock that was put forward for the leases makes the young booking due as well, which may
    // be changed behind the last look at the outbox.
    let mut changed = database.changed(&JobName::new(RULE), "replicas").await?;
    let mut received: BTreeSet<String> = lock(&ledger.received).keys().cloned().collect();
    changed.remove("young");
    received.remove("young");
    assert_eq!(changed.len(), count as usize + DUE.len());
    assert_eq!(received, changed);
    let repeated = ledger.repeated();
    assert_eq!(
        *lock(&ledger.unexplained),
        [],
        "repeated before their lease ran out"
    );
    println!(
        "{}: {count} entries, {deaths} kills, {repeated} acknowledged again",
        G::NAME
    );
    if !kills {
        assert_eq!(repeated, 0);
    }
    Ok(())
}

#[cfg(feature = "sqlite")]
mod sqlite {
    crate::database::on_sqlite! {
        a_change_and_its_entry_are_written_together
        a_delivery_may_crash_at_every_point
        a_tree_may_panic_at_every_statement_boundary
        four_replicas_deliver_each_entry_once
        four_replicas_deliver_each_entry_through_kills
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    crate::database::on_postgres! {
        a_change_and_its_entry_are_written_together
        a_delivery_may_crash_at_every_point
        a_tree_may_panic_at_every_statement_boundary
        four_replicas_deliver_each_entry_once
        four_replicas_deliver_each_entry_through_kills
    }
}
