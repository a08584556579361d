//! Bookings that arrive at random, and how late each expires.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::interval;

use crate::Plan;
use crate::housekeeper::Measured;
use crate::support::Result;
use crate::support::database::{Database, Kind};

/// Seconds late of each booking.
pub(crate) async fn lateness(database: &mut Database, plan: &Plan, rate: u32) -> Result<Vec<f64>> {
    database.execute("delete from bookings").await?;
    database.settle().await?;
    let housekeeper = Measured::start(database, plan).await?;
    let (tell_total, total) = oneshot::channel();
    let listening = tokio::spawn(housekeeper.hear(total));

    let arrived = arrive(database, plan.length, rate).await?;
    tell_total
        .send(arrived)
        .map_err(|_| "the listener stopped")?;
    let (heard, housekeeper) = listening.await??;
    housekeeper.stop().await?;

    let created: HashMap<String, f64> = created(database).await?.into_iter().collect();
    let age = plan.age.as_secs_f64();
    let late = |(id, at): &(String, f64)| created.get(id).map(|created| at - created - age);
    Ok(heard.iter().filter_map(late).collect())
}

/// A Poisson process: the gaps are exponential. Rows due at once go into one statement.
async fn arrive(database: &mut Database, length: Duration, rate: u32) -> Result<usize> {
    let gap = || Duration::from_secs_f64(-(1.0 - fastrand::f64()).ln() / f64::from(rate));
    let began = Instant::now();
    let mut next = gap();
    let mut arrived = 0;
    let mut ticks = interval(Duration::from_millis(5));
    while next < length {
        ticks.tick().await;
        let mut values = Vec::new();
        while next < began.elapsed().min(length) {
            values.push(format!("('{arrived}-{:08x}', '{USER}')", fastrand::u32(..)));
            arrived += 1;
            next += gap();
        }
        if !values.is_empty() {
            let insert = "insert into bookings (booking_id, user_id) values";
            database
                .execute(&format!("{insert} {}", values.join(", ")))
                .await?;
        }
    }
    Ok(arrived)
}

/// When each booking was made, by the database.
async fn created(database: &mut Database) -> Result<Vec<(String, f64)>> {
    let since_1970 = match database.kind {
        Kind::Sqlite { .. } => "(julianday(created_at) - 2440587.5) * 86400.0",
        Kind::Postgres { .. } => "extract(epoch from created_at)::float8",
    };
    database
        .named(&format!(
            "select booking_id as name, {since_1970} as value from bookings"
        ))
        .await
}

const USER: &str = "00000000-0000-4000-8000-000000000000";
