//! From the commit of a batch to the handler, while rows fall due at 100 a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ractor_housekeeper::actors::ignore_reply;
use ractor_housekeeper::config::Pace;
use ractor_housekeeper::job::JobError;
use ractor_housekeeper::testing::{Answer, Call, FaultyJob, JobHook};
use ractor_housekeeper::{HousekeeperMsg, Scope, start};

use crate::support::Result;
use crate::support::figures::{Bound, Spread, percentile, target};
use crate::world::{RULE, World, courier};

/// When the batch of each row was committed.
#[derive(Clone, Default)]
struct Commits(Arc<Mutex<HashMap<String, Instant>>>);

#[async_trait]
impl JobHook for Commits {
    async fn after(&self, _: &Call<'_>, answer: &Answer<'_>) -> std::result::Result<(), JobError> {
        if let Answer::Batch(batch) = answer {
            let now = Instant::now();
            let ids = batch.ids.iter().map(|id| (id.clone(), now));
            lock(&self.0).extend(ids);
        }
        Ok(())
    }
}

/// Measures each world in turn.
pub(crate) async fn measure(
    worlds: &mut [World; 2],
    length: Duration,
    rounds: usize,
) -> Result<()> {
    let mut seen = [const { Vec::new() }; 2];
    for _ in 0..rounds {
        for (world, seen) in worlds.iter_mut().zip(&mut seen) {
            seen.push(waits(world, length).await?);
        }
    }
    for (world, seen) in worlds.iter().zip(&seen) {
        let of = |percent| -> Vec<f64> {
            let rounds = seen.iter();
            rounds.map(|waits| percentile(waits, percent)).collect()
        };
        println!(
            "{}, from commit to handler: p50 {} ms, max {} ms",
            world.name(),
            Spread::of(&of(50.0)),
            Spread::of(&of(100.0))
        );
        let name = format!("lateness of deliveries, p99 on {}", world.name());
        target(&name, Bound::AtMost(50.0), "ms", &of(99.0));
    }
    Ok(())
}

/// Ten rows fall due every tenth of a second, and the rule runs then. Returns the milliseconds from
/// commit to handler.
async fn waits(world: &mut World, length: Duration) -> Result<Vec<f64>> {
    world.clear().await?;
    let commits = Commits::default();
    let job = FaultyJob::with_hook(world.job(true)?, commits.clone());
    let waits = Arc::<Mutex<Vec<f64>>>::default();
    let noted = waits.clone();
    let mut arguments = courier(
        vec![Arc::new(job)],
        world.outbox.clone(),
        move |key: &str| {
            // A handler may be called before the job has noted the commit that woke the courier.
            let since = lock(&commits.0).get(key).copied();
            let late = since.map_or(0.0, |since| since.elapsed().as_secs_f64() * 1_000.0);
            lock(&noted).push(late);
        },
    );
    arguments.config.job.pace = Pace::full_speed();
    arguments.config.job.schedule.at_deadline = false;
    let housekeeper = start(None, arguments).await?.housekeeper;
    let ticks = u32::try_from(length.as_millis() / 100)?;
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..ticks {
        tick.tick().await;
        world.insert(10).await?;
        let run = HousekeeperMsg::RunNow(RULE.into(), Scope::All, ignore_reply());
        housekeeper.actor().cast(run).map_err(|_| "it stopped")?;
    }
    let all = usize::try_from(ticks)? * 10;
    let began = Instant::now();
    while lock(&waits).len() < all {
        if began.elapsed() > Duration::from_secs(60) {
            return Err("not all entries were delivered within a minute".into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    housekeeper.shutdown(Duration::from_secs(10)).await;

    let waits = lock(&waits).clone();
    Ok(waits)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
