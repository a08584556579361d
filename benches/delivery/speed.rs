//! Deliveries per second: a courier beside a plain loop over the same table.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use ractor_housekeeper::start;

use crate::support::Result;
use crate::support::database::Kind;
use crate::support::figures::{Bound, Spread, target};
use crate::world::{RULE, World, courier, reached};

/// A courier, a plain loop, and a courier beside parked entries, in turn.
pub(crate) async fn measure(
    [alone, beside]: &mut [World; 2],
    rows: u32,
    rounds: usize,
) -> Result<()> {
    let (mut couriers, mut plain, mut parked) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        couriers.push(by_courier(alone, rows).await?);
        parked.push(by_courier(beside, rows).await?);
        plain.push(plain_loop(alone, rows).await?);
    }
    let name = alone.name();
    for (world, rates) in [(&*alone, &couriers), (&*beside, &parked)] {
        let rates = Spread::of(rates);
        println!(
            "{}, deliveries a second by a courier: {rates}",
            world.name()
        );
    }
    println!(
        "{name}, deliveries a second by a plain loop: {}",
        Spread::of(&plain)
    );
    let ratios = |of: &[f64], to: &[f64]| -> Vec<f64> {
        of.iter().zip(to).map(|(of, to)| of / to).collect()
    };
    println!(
        "courier against plain loop on {name}: {} times",
        Spread::of(&ratios(&couriers, &plain))
    );
    let name = format!("deliveries beside parked entries against without on {name}");
    target(
        &name,
        Bound::AtLeast(0.9),
        "times",
        &ratios(&parked, &couriers),
    );
    Ok(())
}

async fn fill(world: &mut World, rows: u32) -> Result<()> {
    world.clear().await?;
    world.insert(rows).await?;
    let job = world.job(true)?;
    world.run(&*job, rows).await?;
    world.database.settle().await
}

/// Returns the deliveries per second of a courier.
async fn by_courier(world: &mut World, rows: u32) -> Result<f64> {
    fill(world, rows).await?;
    let done = Arc::new(AtomicU64::new(0));
    let count = done.clone();
    let arguments = courier(Vec::new(), world.outbox.clone(), move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let began = Instant::now();
    let housekeeper = start(None, arguments).await?.housekeeper;
    reached(&done, rows.into()).await;
    let rate = f64::from(rows) / began.elapsed().as_secs_f64();
    housekeeper.shutdown(Duration::from_secs(10)).await;
    Ok(rate)
}

#[derive(QueryableByName)]
struct Entry {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    payload: String,
}

/// Deletes a hundred entries, handles them, and commits, until there are none. Returns the entries
/// per second.
async fn plain_loop(world: &mut World, rows: u32) -> Result<f64> {
    fill(world, rows).await?;
    let began = Instant::now();
    let mut handled = 0;
    let mut handle = |entries: &[Entry]| {
        let read = entries
            .iter()
            .filter(|entry| entry.id > 0 && !entry.payload.is_empty());
        handled += u32::try_from(read.count()).unwrap_or(0);
        !entries.is_empty()
    };
    match &mut world.database.kind {
        Kind::Sqlite { connection, .. } => {
            let delete = format!(
                "delete from housekeeper_outbox where id in (select id from housekeeper_outbox where rule = '{RULE}' and parked_at is null \
                 order by due_at, id limit 100) returning id, payload"
            );
            while connection.immediate_transaction(|connection| {
                let entries: Vec<Entry> = diesel::sql_query(&delete).load(connection)?;
                Ok::<_, diesel::result::Error>(handle(&entries))
            })? {}
        }
        Kind::Postgres { connection, .. } => {
            let delete = format!(
                "delete from housekeeper_outbox where id = any (array(select id from housekeeper_outbox where rule = '{RULE}' and parked_at is null \
                 order by due_at, id limit 100 for update skip locked)) returning id, payload::text as payload"
            );
            let connection = &mut **connection;
            loop {
                let more = connection
                    .transaction(async |connection: &mut AsyncPgConnection| {
                        let query = diesel::sql_query(&delete);
                        let entries: Vec<Entry> =
                            diesel_async::RunQueryDsl::load(query, connection).await?;
                        Ok::<_, diesel::result::Error>(handle(&entries))
                    })
                    .await?;
                if !more {
                    break;
                }
            }
        }
    }
    if handled != rows {
        return Err(format!("{handled} of {rows} entries were handled").into());
    }
    Ok(f64::from(rows) / began.elapsed().as_secs_f64())
}
