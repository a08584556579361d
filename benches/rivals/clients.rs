//! Visitors with a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep_until;
use tokio_postgres::NoTls;

use crate::support::Result;

/// Clients at work.
pub(crate) struct Clients {
    workers: JoinSet<Result<Vec<f64>>>,
    ended: Arc<AtomicBool>,
}

/// Starts clients that look up and extend live sessions at this rate per second, together.
pub(crate) async fn start(url: &str, rows: u64, rate: u32) -> Result<Clients> {
    let ended = Arc::new(AtomicBool::new(false));
    let mut workers = JoinSet::new();
    let gap = Duration::from_secs(1) * CLIENTS / rate;
    let rows = i64::try_from(rows)?;
    for number in 0..CLIENTS {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let extend = client.prepare(EXTEND).await?;
        let ended = ended.clone();
        let mut next = Instant::now() + gap * number / CLIENTS;
        workers.spawn(async move {
            let mut latencies = Vec::new();
            let mut row = i64::from(number);
            while !ended.load(Ordering::Relaxed) {
                sleep_until(next.into()).await;
                // Prime to any number of rows that is likely to be given.
                row = (row + 7_368_787) % rows;
                let live = if row % 5 == 0 { row + 1 } else { row };
                client.execute(&extend, &[&live.to_string()]).await?;
                latencies.push(next.elapsed().as_secs_f64() * 1_000.0);
                next += gap;
            }
            Ok(latencies)
        });
    }
    Ok(Clients { workers, ended })
}

impl Clients {
    /// Milliseconds of each request from its scheduled start.
    pub(crate) async fn finish(mut self) -> Result<Vec<f64>> {
        self.ended.store(true, Ordering::Relaxed);
        let mut latencies = Vec::new();
        while let Some(worker) = self.workers.join_next().await {
            latencies.extend(worker??);
        }
        Ok(latencies)
    }
}

/// As Django does at a request that changes a session.
const EXTEND: &str = "update django_session set expire_date = now() + interval '14 days' where session_key = md5($1)";

const CLIENTS: u32 = 8;
