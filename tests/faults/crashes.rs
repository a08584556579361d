//! Crashes of a worker at every point of a run, with the whole tree above it and a real database below.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use ractor_housekeeper::booking::{BookingPolicy, SessionCleaner, built_in};
use ractor_housekeeper::model::RunHistory;
use ractor_housekeeper::store::Store;
use ractor_housekeeper::{Job, JobName, Outcome, Report};

use crate::Done;
use crate::ground::{DUE, Ground};
use crate::host::{BATCH, Host, rows};
use crate::traps::{Harm, Trap};
use crate::tripwire::Tripwire;

/// Something that goes wrong once, at the n-th point of a run.
#[async_trait]
pub(crate) trait Fault: Send + Sync {
    /// Sets it at this point, counted from 1 and from now.
    fn set(&self, point: usize);

    /// Waits until it has happened.
    async fn sprung(&self);

    /// Takes it away, and lets go what it holds. Says whether it had happened.
    fn clear(&self) -> bool;

    /// Whether it only holds the run, for the worker to be killed in it.
    fn wants_a_kill(&self) -> bool;

    /// Whether the worker dies of it.
    fn is_a_crash(&self) -> bool;
}

/// A job over a database.
struct Stage<'g, G: Ground> {
    ground: &'g G,
    store: G::Store,
    /// Of the store's pool.
    connections: usize,
    job: Arc<dyn Job>,
    history: Arc<dyn RunHistory>,
}

impl<G: Ground> Stage<'_, G> {
    /// Has a fault strike at the first point of a run, the second, and so on, until a run ends before it. Returns how many there were.
    async fn at_every_point(&self, fault: &dyn Fault) -> Done<usize> {
        let mut point = 1;
        while self.strike(fault, point).await? {
            point += 1;
        }
        Ok(point - 1)
    }

    /// One run, and what it leaves behind. Returns whether the fault struck it.
    async fn strike(&self, fault: &dyn Fault, point: usize) -> Done<bool> {
        let context = format!("{} at {point}", self.job.name());
        self.ground.sow().await?;
        let mut host = Host::start(self.job.clone(), self.history.clone()).await?;
        fault.set(point);

        let mut first = std::pin::pin!(host.ask()?);
        let first = tokio::select! {
            biased;
            () = fault.sprung() => {
                // Somebody who asks now waits for the run after this one.
                let second = host.ask()?;
                if fault.wants_a_kill() {
                    host.kill_worker();
                }
                fault.clear();
                let (first, second) = (first.await?, second.await?);
                assert_ne!(second.run, first.run, "{context}");
                while !host.report().await?.success() {}
                first
            }
            report = &mut first => report?,
        };
        let struck = fault.clear();
        self.ground.rest(&context).await?;
        self.finish(&host, &context).await?;
        host.catch_up();

        match &first.outcome {
            Outcome::Completed => {}
            Outcome::Crashed { rows_at_least, .. } => {
                assert!(struck && fault.is_a_crash(), "{context}: {first}");
                assert!(*rows_at_least >= rows(&first), "{context}: {first}");
            }
            Outcome::Failed { retry_at, .. } => {
                assert!(
                    struck && !fault.is_a_crash() && retry_at.is_some(),
                    "{context}: {first}"
                );
            }
            _ => return Err(format!("{context}: {first}").into()),
        }
        self.aftermath(&host, &first, &context).await?;
        let deaths = u64::from(struck && fault.is_a_crash());
        assert_eq!(host.status().await?.restarts, deaths, "{context}");
        host.stop().await?;
        Ok(struck)
    }

    /// Rows that a connection which nobody has any more still had locked were passed over. The run says so, and the next one does the rest.
    async fn finish(&self, host: &Host, context: &str) -> Done {
        let last = host.at_rest().await?;
        let changed = self.ground.changed(&self.job.name(), context).await?.len();
        if changed < DUE.len() {
            let due = last.forecast.ok_or("it looked ahead")?.due.count;
            assert!(due > 0, "{context}: rows are left and not told of: {last}");
            let next = host.ask()?.await?;
            assert!(next.success(), "{context}: {next}");
        }
        Ok(())
    }

    /// That nothing is left behind, the work is done, and what was told is so.
    async fn aftermath(&self, host: &Host, first: &Report, context: &str) -> Done {
        self.ground
            .exhaust(&self.store, self.connections, context)
            .await?;
        let changed = self.ground.agrees(&self.job.name(), context).await?;
        assert_eq!(
            changed.len(),
            DUE.len(),
            "{context}: the work is not completed"
        );
        let told: BTreeSet<String> = host.told.iter().cloned().collect();
        assert_eq!(
            told.len(),
            host.told.len(),
            "{context}: told twice: {:?}",
            host.told
        );
        assert!(
            told.is_subset(&changed),
            "{context}: told of what is not so"
        );
        assert_eq!(
            host.reported,
            told.len() as u64,
            "{context}: reports and batches differ"
        );
        // A batch that was committed when its worker could no longer hear of it.
        let untold = changed.len() - told.len();
        let bearable = if first.success() {
            0
        } else {
            BATCH.get() as usize
        };
        assert!(
            untold <= bearable,
            "{context}: {untold} rows untold: {first}"
        );
        Ok(())
    }
}

async fn a_step_may_fail_panic_or_wait_to_be_killed_before_and_after<G: Ground>(
    ground: &G,
) -> Done {
    let store = ground.store().await?;
    for harm in [Harm::Err, Harm::Panic, Harm::Wait] {
        let trap = Trap::new(harm);
        let mut points = 0;
        for job in built_in(store.clone(), &BookingPolicy::default())? {
            let stage = Stage {
                ground,
                connections: G::POOL,
                job: Arc::new(trap.around(job)),
                history: Arc::new(trap.around::<dyn RunHistory>(Arc::new(store.clone()))),
                store: store.clone(),
            };
            points += stage.at_every_point(&trap).await?;
        }
        println!("{harm:?} around steps of a run: {} {points}", G::NAME);
    }
    Ok(())
}

async fn a_worker_may_panic_at_every_statement_boundary<G: Ground>(ground: &G) -> Done {
    let tripwire = Tripwire::default();
    let store = ground.wired(tripwire.clone()).await?;
    let points = of_job(ground, &store, 1, &tripwire, &SessionCleaner::NAME).await?;
    println!(
        "panics of a worker at statement boundaries: {} {points}",
        G::NAME
    );
    Ok(())
}

/// One of the jobs: what they wait for differs in their batches.
async fn of_job<G: Ground>(
    ground: &G,
    store: &G::Store,
    connections: usize,
    fault: &dyn Fault,
    job: &JobName,
) -> Done<usize> {
    let stage = Stage {
        ground,
        connections,
        job: built(store, job)?,
        history: Arc::new(store.clone()),
        store: store.clone(),
    };
    stage.at_every_point(fault).await
}

fn built<S: Store + Clone>(store: &S, job: &JobName) -> Done<Arc<dyn Job>> {
    let mut jobs = built_in(store.clone(), &BookingPolicy::default())?.into_iter();
    Ok(jobs
        .find(|one| one.name() == *job)
        .ok_or("it is built in")?)
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;
    use crate::ground::sqlite::SqliteGround;

    crate::ground::on_sqlite! {
        a_step_may_fail_panic_or_wait_to_be_killed_before_and_after
        a_worker_may_panic_at_every_statement_boundary
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_worker_may_be_killed_at_every_statement_boundary() -> Done {
        let ground = SqliteGround::open().await?;
        let tripwire = Tripwire::that_holds();
        let store = ground.wired(tripwire.clone()).await?;
        let points = of_job(&ground, &store, 1, &tripwire, &SessionCleaner::NAME).await?;
        println!("kills of a worker at statement boundaries: sqlite {points}");
        Ok(())
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::time::Duration;

    use ractor_housekeeper::PostgresStore;
    use ractor_housekeeper::booking::BookingExpirer;
    use ractor_housekeeper::store::Timeouts;

    use super::*;
    use crate::ground::postgres::PostgresGround;
    use crate::late::Late;
    use crate::wire::{Mishap, Wire};

    crate::ground::on_postgres! {
        a_step_may_fail_panic_or_wait_to_be_killed_before_and_after
        a_worker_may_panic_at_every_statement_boundary
    }

    #[tokio::test]
    async fn a_worker_may_be_killed_before_and_after_every_statement() -> Done {
        on_the_wire([Mishap::RequestHeld, Mishap::AnswerHeld]).await
    }

    #[tokio::test]
    async fn a_connection_may_break_before_and_after_every_statement() -> Done {
        on_the_wire([Mishap::RequestLost, Mishap::AnswerLost]).await
    }

    async fn on_the_wire(mishaps: [Mishap; 2]) -> Done {
        let Some(ground) = PostgresGround::open().await? else {
            return Ok(());
        };
        let wire = Wire::to(&ground.url).await?;
        let limits = Timeouts {
            // Several times what it takes to connect, also on a busy machine: a point where nobody strikes must not run into it.
            acquire: Duration::from_secs(2),
            ..Timeouts::default()
        };
        let store = PostgresStore::connect(&wire.url)?.with_limits(limits)?;
        let mut jobs = [SessionCleaner::NAME, BookingExpirer::NAME];
        for mishap in mishaps {
            let [whole, batches] = &jobs;
            let fault = Arc::new(wire.mishap(mishap));
            let points = of_job(&ground, &store, PostgresGround::POOL, &*fault, whole).await?;
            let late = Late::new(fault);
            let stage = Stage {
                ground: &ground,
                connections: PostgresGround::POOL,
                job: Arc::new(late.around(built(&store, batches)?)),
                history: Arc::new(store.clone()),
                store: store.clone(),
            };
            let later = stage.at_every_point(&late).await?;
            println!("{mishap:?}: postgres {points} of {whole}, {later} of {batches}");
            jobs.reverse();
        }
        Ok(())
    }
}
