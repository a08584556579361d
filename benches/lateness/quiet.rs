//! A burst out of the quiet, and the quiet itself.

use std::time::{Instant, SystemTime};

use ractor_housekeeper::booking::BookingPolicy;
use tokio::sync::oneshot;

use crate::Plan;
use crate::housekeeper::{Measured, seconds};
use crate::support::Result;
use crate::support::database::{Database, Kind};
use crate::support::figures::percentile;
use crate::support::job::clock;

/// Many bookings that fall due at one instant.
pub(crate) async fn burst(database: &mut Database, plan: &Plan) -> Result<()> {
    database.execute("delete from bookings").await?;
    database.settle().await?;
    let housekeeper = Measured::start(database, plan).await?;
    let (tell_total, total) = oneshot::channel();
    let (now, _) = clock(database);
    database
        .execute(&format!(
            "with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {}) \
             insert into bookings (booking_id, user_id, created_at) \
             select 'b' || n, '00000000-0000-4000-8000-000000000000', {now} from numbers",
            plan.burst
        ))
        .await?;
    let due = seconds(SystemTime::now())? + plan.age.as_secs_f64();
    tell_total
        .send(usize::try_from(plan.burst)?)
        .map_err(|_| "the listener stopped")?;
    let (heard, housekeeper) = housekeeper.hear(total).await?;
    let batches = housekeeper.notes.read().batches;
    housekeeper.stop().await?;

    let last = heard.iter().map(|(_, at)| at - due).fold(0.0, f64::max);
    println!(
        "{}, {} bookings due at one instant: the last expired {last:.2} s after it, in {} batches, the longest of {:.1} ms",
        database.name(),
        plan.burst,
        batches.len(),
        percentile(&batches, 100.0)
    );
    Ok(())
}

/// How often an idle housekeeper goes to its database, at the age that bookings have by default,
/// because it looks again after that. Postgres is asked too: its `pg_stat_database` counts
/// transactions.
pub(crate) async fn idle(database: &mut Database, plan: &Plan) -> Result<()> {
    database.execute("delete from bookings").await?;
    let age = BookingPolicy::default().expire_after;
    let housekeeper = Measured::start_with(database, plan, age).await?;
    // Postgres counts with a delay of up to ten seconds.
    tokio::time::sleep(plan.idle).await;
    let (steps, transactions) = (
        housekeeper.notes.read().steps,
        transactions(database).await?,
    );
    let began = Instant::now();
    tokio::time::sleep(plan.idle).await;
    let steps = housekeeper.notes.read().steps - steps;
    let name = database.name();
    print!(
        "{name}, idle for {:.0?}: {steps} steps of the job",
        began.elapsed()
    );
    match (transactions, self::transactions(database).await?) {
        // The first of the two questions is counted.
        (Some(before), Some(after)) => println!(", {} transactions", after - before - 1),
        _ => println!(),
    }
    housekeeper.stop().await
}

async fn transactions(database: &mut Database) -> Result<Option<i64>> {
    let query = "select xact_commit + xact_rollback as value from pg_stat_database where datname = current_database()";
    Ok(match database.kind {
        Kind::Sqlite { .. } => None,
        Kind::Postgres { .. } => Some(database.number(query).await?),
    })
}
