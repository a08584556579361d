//! Crashes of a worker at every point of a run, with the whole tree above it and a real database
//! below.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use ractor_housekeeper::booking::{BookingPolicy, SessionCleaner, built_in};
use ractor_housekeeper::model::RunHistory;
use ractor_housekeeper::store::Store;
use ractor_housekeeper::testing::FaultyJob;
use ractor_housekeeper::{Job, JobName, Outcome, Report};

use crate::TestResult;
use crate::database::{DUE, TestDatabase};
use crate::host::{BATCH, Host, rows};
use crate::statement_fault::StatementFault;
use crate::step_faults::{Fault, HistoryWithFaults, StepFault};

/// Something that goes wrong once, at the n-th point of a run.
#[async_trait]
pub(crate) trait FaultPoint: Send + Sync {
    /// Sets it at this point, counted from 1 and from now.
    fn set(&self, point: usize);

    /// Waits until it has happened.
    async fn triggered(&self);

    /// Takes it away, and lets go what it holds. Says whether it had happened.
    fn clear(&self) -> bool;

    /// Whether it only holds the run, for the worker to be killed in it.
    fn needs_a_kill(&self) -> bool;

    /// Whether the worker dies of it.
    fn is_a_crash(&self) -> bool;

    /// Whether a batch may be committed and never reported: its answer was given, and lost above
    /// the store.
    fn may_lose_a_batch(&self) -> bool {
        true
    }
}

/// A job over a database.
struct Scenario<'g, G: TestDatabase> {
    database: &'g G,
    store: G::Store,
    /// Of the store's pool.
    connections: usize,
    job: Arc<dyn Job>,
    history: Arc<dyn RunHistory>,
}

impl<G: TestDatabase> Scenario<'_, G> {
    /// Has a fault strike at the first point of a run, the second, and so on, until a run ends
    /// before it. Returns how many there were.
    async fn at_every_point(&self, fault: &dyn FaultPoint) -> TestResult<usize> {
        let mut point = 1;
        while self.run_with_fault(fault, point).await? {
            point += 1;
        }
        Ok(point - 1)
    }

    /// One run, and what it leaves behind. Returns whether the fault struck it.
    async fn run_with_fault(&self, fault: &dyn FaultPoint, point: usize) -> TestResult<bool> {
        let context = format!("{} at {point}", self.job.name());
        self.database.insert_due_rows().await?;
        let mut host = Host::start(self.job.clone(), self.history.clone()).await?;
        fault.set(point);

        let mut first = std::pin::pin!(host.ask()?);
        let first = tokio::select! {
            biased;
            () = fault.triggered() => {
                // A request now waits for the run after this one.
                let second = host.ask()?;
                if fault.needs_a_kill() {
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
        self.database.wait_until_idle(&context).await?;
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
        let may_lose = fault.may_lose_a_batch();
        self.check_aftermath(&host, &first, may_lose, &context)
            .await?;
        let deaths = u64::from(struck && fault.is_a_crash());
        assert_eq!(host.status().await?.restarts, deaths, "{context}");
        host.stop().await?;
        Ok(struck)
    }

    /// The run skipped rows that the connection of a dead worker still locked. Its report counts
    /// them as due, and the next run handles them.
    async fn finish(&self, host: &Host, context: &str) -> TestResult {
        let last = host.idle_report().await?;
        let changed = self
            .database
            .changed(&self.job.name(), context)
            .await?
            .len();
        if changed < DUE.len() {
            let due = last.forecast.ok_or("it looked ahead")?.due.count;
            assert!(
                due > 0,
                "{context}: rows are left and not emitted of: {last}"
            );
            let next = host.ask()?.await?;
            assert!(next.success(), "{context}: {next}");
        }
        Ok(())
    }

    /// Checks that nothing is left behind, the work is done, and the reports are right.
    async fn check_aftermath(
        &self,
        host: &Host,
        first: &Report,
        may_lose: bool,
        context: &str,
    ) -> TestResult {
        self.database
            .use_every_connection(&self.store, self.connections, context)
            .await?;
        let changed = self.database.audit(&self.job.name(), context).await?;
        assert_eq!(
            changed.len(),
            DUE.len(),
            "{context}: the work is not completed"
        );
        let emitted: BTreeSet<String> = host.emitted.iter().cloned().collect();
        assert_eq!(
            emitted.len(),
            host.emitted.len(),
            "{context}: emitted twice: {:?}",
            host.emitted
        );
        assert!(
            emitted.is_subset(&changed),
            "{context}: emitted of what is not so"
        );
        assert_eq!(
            host.reported,
            emitted.len() as u64,
            "{context}: reports and batches differ"
        );
        // A batch that was committed when its worker could no longer report it.
        let unreported = changed.len() - emitted.len();
        let bearable = if first.success() || !may_lose {
            0
        } else {
            BATCH.get() as usize
        };
        assert!(
            unreported <= bearable,
            "{context}: {unreported} rows unreported: {first}"
        );
        Ok(())
    }
}

async fn a_step_may_fail_panic_or_wait_to_be_killed_before_and_after<G: TestDatabase>(
    database: &G,
) -> TestResult {
    let store = database.store().await?;
    for fault in [Fault::Err, Fault::Panic, Fault::Wait] {
        let step_fault = StepFault::new(fault);
        let mut points = 0;
        for job in built_in(store.clone(), &BookingPolicy::default())? {
            let scenario = Scenario {
                database,
                connections: G::POOL,
                job: Arc::new(FaultyJob::with_hook(job, step_fault.clone())),
                history: Arc::new(HistoryWithFaults {
                    inner: store.clone(),
                    step_fault: step_fault.clone(),
                }),
                store: store.clone(),
            };
            points += scenario.at_every_point(&step_fault).await?;
        }
        println!("{fault:?} around operations of a run: {} {points}", G::NAME);
    }
    Ok(())
}

async fn a_worker_may_panic_at_every_statement_boundary<G: TestDatabase>(
    database: &G,
) -> TestResult {
    let statement_fault = StatementFault::default();
    let store = database.store_with_fault(statement_fault.clone()).await?;
    let points = of_job(database, &store, 1, &statement_fault, &SessionCleaner::NAME).await?;
    println!(
        "panics of a worker at statement boundaries: {} {points}",
        G::NAME
    );
    Ok(())
}

/// One of the jobs: what they wait for differs in their batches.
async fn of_job<G: TestDatabase>(
    database: &G,
    store: &G::Store,
    connections: usize,
    fault: &dyn FaultPoint,
    job: &JobName,
) -> TestResult<usize> {
    let scenario = Scenario {
        database,
        connections,
        job: built(store, job)?,
        history: Arc::new(store.clone()),
        store: store.clone(),
    };
    scenario.at_every_point(fault).await
}

fn built<S: Store + Clone>(store: &S, job: &JobName) -> TestResult<Arc<dyn Job>> {
    let mut jobs = built_in(store.clone(), &BookingPolicy::default())?.into_iter();
    Ok(jobs
        .find(|one| one.name() == *job)
        .ok_or("it is built in")?)
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;
    use crate::database::sqlite::SqliteDatabase;

    crate::database::on_sqlite! {
        a_step_may_fail_panic_or_wait_to_be_killed_before_and_after
        a_worker_may_panic_at_every_statement_boundary
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_worker_may_be_killed_at_every_statement_boundary() -> TestResult {
        let database = SqliteDatabase::open().await?;
        let statement_fault = StatementFault::that_holds();
        let store = database.store_with_fault(statement_fault.clone()).await?;
        let points = of_job(
            &database,
            &store,
            1,
            &statement_fault,
            &SessionCleaner::NAME,
        )
        .await?;
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
    use crate::database::postgres::PostgresDatabase;
    use crate::from_first_batch::FromFirstBatch;
    use crate::proxy::{ConnectionFault, Proxy};

    crate::database::on_postgres! {
        a_step_may_fail_panic_or_wait_to_be_killed_before_and_after
        a_worker_may_panic_at_every_statement_boundary
    }

    #[tokio::test]
    async fn a_worker_may_be_killed_before_and_after_every_statement() -> TestResult {
        through_a_proxy([ConnectionFault::RequestHeld, ConnectionFault::AnswerHeld]).await
    }

    #[tokio::test]
    async fn a_connection_may_break_before_and_after_every_statement() -> TestResult {
        through_a_proxy([ConnectionFault::RequestLost, ConnectionFault::AnswerLost]).await
    }

    async fn through_a_proxy(faults: [ConnectionFault; 2]) -> TestResult {
        let Some(database) = PostgresDatabase::open().await? else {
            return Ok(());
        };
        let proxy = Proxy::to(&database.url).await?;
        let timeouts = Timeouts {
            // Several times the time of a connect on a busy machine: a point without a fault must
            // not time out.
            acquire: Duration::from_secs(2),
            ..Timeouts::default()
        };
        let store = PostgresStore::connect(&proxy.url)?.with_timeouts(timeouts)?;
        let mut jobs = [SessionCleaner::NAME, BookingExpirer::NAME];
        for fault in faults {
            let [whole, batches] = &jobs;
            let point = Arc::new(proxy.fault(fault));
            let points = of_job(&database, &store, PostgresDatabase::POOL, &*point, whole).await?;
            let from_first_batch = FromFirstBatch::new(point);
            let scenario = Scenario {
                database: &database,
                connections: PostgresDatabase::POOL,
                job: Arc::new(FaultyJob::with_hook(
                    built(&store, batches)?,
                    from_first_batch.clone(),
                )),
                history: Arc::new(store.clone()),
                store: store.clone(),
            };
            let later = scenario.at_every_point(&from_first_batch).await?;
            println!("{fault:?}: postgres {points} of {whole}, {later} of {batches}");
            jobs.reverse();
        }
        Ok(())
    }
}
