//! Clients that keep their rate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::sleep_until;
use tokio_postgres::{Client, NoTls, Statement};

use crate::Plan;
use crate::contender::{Frontier, Sweep};
use crate::requests::Request;
use crate::support::Result;

/// Clients at work.
pub(crate) struct Clients {
    workers: Vec<JoinHandle<Result<Vec<Sent>>>>,
    ended: Arc<OnceLock<Instant>>,
    /// How far the sweep is.
    pub(crate) swept: Frontier,
}

/// A request that was answered.
struct Sent {
    scheduled: Instant,
    took: Duration,
}

/// State shared by all clients.
#[derive(Clone)]
struct Shared {
    request: Request,
    rows: u64,
    began: Instant,
    gap: Duration,
    next: Arc<AtomicU64>,
    ended: Arc<OnceLock<Instant>>,
    swept: Frontier,
}

/// Connects the clients and waits until they have warmed up.
pub(crate) async fn start(url: &str, request: Request, plan: &Plan) -> Result<Clients> {
    let connections = connect(url, request).await?;
    let shared = Shared {
        request,
        rows: plan.rows,
        began: Instant::now(),
        gap: Duration::from_secs(1) / plan.rate,
        next: Arc::default(),
        ended: Arc::default(),
        swept: Frontier::default(),
    };
    let workers = connections.into_iter().map(|(client, statement)| {
        let shared = shared.clone();
        tokio::spawn(async move { work(&client, &statement, &shared).await })
    });
    let clients = Clients {
        workers: workers.collect(),
        ended: shared.ended,
        swept: shared.swept,
    };
    tokio::time::sleep(WARM_UP).await;
    Ok(clients)
}

/// Requests a second that the server bears, from clients that each send the next once the last was
/// answered.
pub(crate) async fn capacity(url: &str, request: Request, rows: u64) -> Result<f64> {
    let began = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = Vec::new();
    for (client, statement) in connect(url, request).await? {
        let next = next.clone();
        workers.push(tokio::spawn(async move {
            let mut answered = 0_u32;
            while began.elapsed() < MEASURED {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let place = i64::try_from(request.place(number, rows, None))?;
                client.execute(&statement, &[&place]).await?;
                answered += 1;
            }
            Result::Ok(answered)
        }));
    }
    let mut answered = 0;
    for worker in workers {
        answered += worker.await??;
    }
    Ok(f64::from(answered) / began.elapsed().as_secs_f64())
}

async fn connect(url: &str, request: Request) -> Result<Vec<(Client, Statement)>> {
    let mut connections = Vec::new();
    for _ in 0..CLIENTS {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let statement = client.prepare(request.statement()).await?;
        connections.push((client, statement));
    }
    Ok(connections)
}

/// Takes the next request of the schedule, however late it is.
async fn work(client: &Client, statement: &Statement, shared: &Shared) -> Result<Vec<Sent>> {
    let mut sent = Vec::new();
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let scheduled = shared.began + shared.gap * u32::try_from(number)?;
        sleep_until(scheduled.into()).await;
        // Those that fell behind are still sent.
        if shared.ended.get().is_some_and(|ended| scheduled > *ended) {
            return Ok(sent);
        }
        let place = shared
            .request
            .place(number, shared.rows, shared.swept.place());
        let changed = client.execute(statement, &[&i64::try_from(place)?]).await?;
        if shared.request == Request::DueBooking {
            shared.swept.passed(changed);
        }
        let took = scheduled.elapsed();
        sent.push(Sent { scheduled, took });
    }
}

impl Clients {
    /// Milliseconds of all requests that were to be sent during the sweep.
    pub(crate) async fn finish(self, swept: &Sweep) -> Result<Vec<f64>> {
        self.ended.get_or_init(|| swept.ended);
        let mut latencies = Vec::new();
        for worker in self.workers {
            let sent = worker.await??;
            let during = sent
                .iter()
                .filter(|sent| (swept.began..=swept.ended).contains(&sent.scheduled));
            latencies.extend(during.map(|sent| sent.took.as_secs_f64() * 1_000.0));
        }
        Ok(latencies)
    }
}

/// So many requests may be on their way at once; more wait, and that counts.
const CLIENTS: usize = 24;

const WARM_UP: Duration = Duration::from_millis(700);

/// How long the capacity is measured.
const MEASURED: Duration = Duration::from_secs(3);
