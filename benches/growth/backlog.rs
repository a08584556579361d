//! A run over a backlog, with one subscriber that reads and one that never does.

use std::time::{Duration, Instant};

use ractor::call;
use ractor_housekeeper::actors::Delivery;
use ractor_housekeeper::model::Event;
use ractor_housekeeper::{HousekeeperMsg, Subscriber};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::memory::{Growth, Mark};
use crate::rows::fill_with_due;
use crate::support::Result;
use crate::support::database::Database;
use crate::support::figures::{Bound, Spread, target};
use crate::support::job::Job;
use crate::support::plot::Series;
use crate::{float, housekeeper, line, run};

/// Results for one backlog, per round.
#[derive(Default)]
struct Seen {
    seconds: Vec<f64>,
    heap_mb: Vec<f64>,
    /// Empty where it is not known.
    resident_mb: Vec<f64>,
    /// Rows that the subscriber who never reads missed.
    untold: Vec<f64>,
}

pub(crate) async fn measure(
    database: &mut Database,
    job: Job,
    sizes: &[u64],
    rounds: usize,
) -> Result<Series> {
    let mut seen: Vec<Seen> = sizes.iter().map(|_| Seen::default()).collect();
    for _ in 0..rounds {
        for (size, seen) in sizes.iter().zip(&mut seen) {
            fill_with_due(database, job, *size).await?;
            work_off(database, job, *size, seen).await?;
        }
    }
    let name = format!("{} on {}", job.rows(), database.name());
    println!("\nbacklog of {name}");
    print(sizes, &seen);
    if let Some((size, largest)) = sizes.iter().zip(&seen).next_back() {
        let growth = format!("backlog of {size} {name}: growth of memory");
        target(&growth, Bound::AtMost(16.0), "MB", &largest.heap_mb);
        if !largest.resident_mb.is_empty() {
            let growth = format!("{growth}, whole process");
            target(&growth, Bound::AtMost(16.0), "MB", &largest.resident_mb);
        }
    }
    let points = sizes.iter().zip(&seen);
    let points = points.map(|(size, seen)| (float(*size), Spread::of(&seen.heap_mb).median));
    let name = format!("{}, {}", job.rows(), database.name());
    Ok(line(name, points.collect()))
}

async fn work_off(database: &Database, job: Job, rows: u64, seen: &mut Seen) -> Result<()> {
    let housekeeper = housekeeper(database, job).await?;
    let (reader, read) = Subscriber::channel();
    let (sleeper, mut asleep) = Subscriber::channel();
    for subscriber in [reader, sleeper] {
        housekeeper.cast(HousekeeperMsg::Subscribe(subscriber))?;
    }
    let reader = tokio::spawn(ids_read(read));

    let mark = Mark::now();
    let began = Instant::now();
    let report = run(&housekeeper, job).await?;
    let took = began.elapsed();
    let Growth { heap, resident } = mark.growth();

    let grace = Duration::from_secs(5);
    call!(housekeeper, HousekeeperMsg::Shutdown, grace)?;
    let read = reader.await?;
    let handled = report.counts.of(job.rows());
    if (handled, read) != (rows, rows) {
        return Err(format!("of {rows} rows {handled} were handled and {read} received").into());
    }
    let mut held = 0;
    while let Ok(event) = asleep.try_recv() {
        held += ids(&event);
    }
    seen.seconds.push(took.as_secs_f64());
    seen.heap_mb.push(heap);
    seen.resident_mb.extend(resident);
    seen.untold.push(float(rows - held));
    Ok(())
}

async fn ids_read(mut events: UnboundedReceiver<Delivery>) -> u64 {
    let mut read = 0;
    while let Some(event) = events.recv().await {
        read += ids(&event);
    }
    read
}

fn ids(event: &Delivery) -> u64 {
    match &*event.event {
        Event::BatchCommitted { ids, .. } => ids.len() as u64,
        _ => 0,
    }
}

fn print(sizes: &[u64], seen: &[Seen]) {
    println!(
        "{:>12} {:>22} {:>10} {:>22} {:>22} {:>28}",
        "rows due", "seconds", "rows/s", "heap, MB", "process, MB", "missed by the sleeper"
    );
    for (size, seen) in sizes.iter().zip(seen) {
        let seconds = Spread::of(&seen.seconds);
        let of = |values: &[f64]| Spread::of(values).to_string();
        let resident = if seen.resident_mb.is_empty() {
            "known on Linux only".to_owned()
        } else {
            of(&seen.resident_mb)
        };
        println!(
            "{size:>12} {:>22} {:>10.0} {:>22} {resident:>22} {:>28.0}",
            seconds.to_string(),
            float(*size) / seconds.median,
            of(&seen.heap_mb),
            Spread::of(&seen.untold).median,
        );
    }
}
