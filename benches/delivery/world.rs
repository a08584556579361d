//! A database with bookings and an outbox, the rule between them, and couriers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ractor_housekeeper::actors::{CourierOf, Destination};
use ractor_housekeeper::job::BatchRequest;
use ractor_housekeeper::model::Outbox;
use ractor_housekeeper::rule::{Rule, Stamp, Value, age, eq, outbox};
use ractor_housekeeper::{HousekeeperArguments, Job, PostgresStore, Scope, SqliteStore};

use crate::support::Result;
use crate::support::cpu::Mark;
use crate::support::database::{Database, Kind};

pub(crate) const RULE: &str = "booking-expirer";

pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) outbox: Arc<dyn Outbox>,
    /// Parked entries of the rule.
    parked: u32,
    jobs: Box<dyn Fn(Rule) -> Result<Arc<dyn Job>>>,
}

impl World {
    pub(crate) async fn over(database: Database) -> Result<Self> {
        Ok(match &database.kind {
            Kind::Sqlite { file, .. } => {
                let store = SqliteStore::open(file).await?;
                Self {
                    database,
                    outbox: Arc::new(store.clone()),
                    parked: 0,
                    jobs: Box::new(move |rule| Ok(Arc::new(store.rule(rule)?))),
                }
            }
            Kind::Postgres { url, .. } => {
                let store = PostgresStore::connect(url)?;
                Self {
                    database,
                    outbox: Arc::new(store.clone()),
                    parked: 0,
                    jobs: Box::new(move |rule| Ok(Arc::new(store.rule(rule)?))),
                }
            }
        })
    }

    pub(crate) fn name(&self) -> String {
        match (self.database.name(), self.parked) {
            (name, 0) => name.to_owned(),
            (name, parked) => format!("{name} beside {parked} parked entries"),
        }
    }

    /// The rule that expires bookings after a millisecond, and hands them on or does not.
    pub(crate) fn job(&self, hands_on: bool) -> Result<Arc<dyn Job>> {
        let text = Stamp::Text("%Y-%m-%dT%H:%M:%S%.6fZ".to_owned());
        let rule = Rule::new(RULE, "bookings")
            .due(age("created_at", Duration::from_millis(1)).on_sqlite(text))
            .only(eq("status", "Pending"))
            .set("status", "Expired")
            .set("updated_at", Value::Now);
        (self.jobs)(if hands_on {
            rule.hand_on(outbox(["booking_id", "user_id"]))
        } else {
            rule
        })
    }

    /// Makes bookings that are due.
    pub(crate) async fn insert(&mut self, rows: u32) -> Result<()> {
        let (id, old, now) = match &self.database.kind {
            Kind::Sqlite { .. } => (
                "lower(hex(randomblob(8)))",
                "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-1 second')",
                "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
            ),
            Kind::Postgres { .. } => (
                "gen_random_uuid()::text",
                "now() - interval '1 second'",
                "now()",
            ),
        };
        self.database
            .execute(&format!(
                "with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {rows}) \
                 insert into bookings (booking_id, user_id, created_at, updated_at) \
                 select {id}, '00000000-0000-4000-8000-000000000000', {old}, {now} from numbers"
            ))
            .await
    }

    /// Empties the tables but for parked entries.
    pub(crate) async fn clear(&mut self) -> Result<()> {
        self.database
            .execute("delete from bookings; delete from housekeeper_outbox where parked_at is null")
            .await?;
        self.database.settle().await
    }

    /// Writes parked entries of the rule.
    pub(crate) async fn park(&mut self, entries: u32) -> Result<()> {
        let now = match &self.database.kind {
            Kind::Sqlite { .. } => "1700000000000000",
            Kind::Postgres { .. } => "now()",
        };
        self.database
            .execute(&format!(
                "with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {entries}) \
                 insert into housekeeper_outbox (rule, topic, key, at, payload, due_at, attempts, parked_at) \
                 select '{RULE}', 'bookings', 'k' || n, {now}, '{{\"booking_id\":\"b\"}}', {now}, 20, {now} from numbers"
            ))
            .await?;
        self.parked = entries;
        self.database.settle().await
    }

    /// Runs a job to its end, without a housekeeper. Returns the seconds of processor time.
    pub(crate) async fn run(&self, job: &dyn Job, rows: u32) -> Result<f64> {
        let mark = Mark::now(&self.database);
        let bounds = job.begin_run().await.map_err(|error| error.to_string())?;
        let mut request = BatchRequest {
            scope: Scope::All,
            now: bounds.now,
            cutoff: bounds.cutoff,
            limit: 1_000.try_into()?,
            after: None,
        };
        let mut changed = 0;
        loop {
            let batch = job
                .batch(&request)
                .await
                .map_err(|error| error.to_string())?;
            changed += batch.counts.total();
            request.after = batch.next_cursor;
            if request.after.is_none() {
                break;
            }
        }
        if changed != u64::from(rows) {
            return Err(format!("{changed} of {rows} rows were changed").into());
        }
        Ok(mark.elapsed().total())
    }
}

/// A courier to an async function, which each delivery calls.
pub(crate) fn courier(
    jobs: Vec<Arc<dyn Job>>,
    outbox: Arc<dyn Outbox>,
    delivered: impl Fn(&str) + Send + Sync + 'static,
) -> HousekeeperArguments {
    let destination = Destination::handler(move |entry| {
        delivered(&entry.key);
        std::future::ready(Ok(()))
    });
    let mut arguments = HousekeeperArguments::new(jobs);
    arguments.couriers.push(CourierOf {
        rule: RULE.into(),
        outbox,
        destination,
    });
    arguments
}

/// Waits until a counter has reached a number.
pub(crate) async fn reached(counter: &AtomicU64, number: u64) {
    while counter.load(Ordering::Relaxed) < number {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
