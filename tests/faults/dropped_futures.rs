//! The futures of a store, driven by hand: dropped at every await, and broken by a panic at every
//! statement boundary.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;

use ractor_housekeeper::job::JobError;

use crate::TestResult;
use crate::crashes::FaultPoint;
use crate::database::{DUE, TestDatabase};
use crate::operations::{JobSteps, Operation};
use crate::statement_fault::StatementFault;

/// When a future is dropped.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DropPoint {
    /// While the database is at work for it.
    Asked,
    /// When the database has answered, and the future has not seen it yet.
    Answered,
}

/// The conditions of a step.
#[derive(Debug, Clone, Copy)]
struct Conditions {
    /// The connection has done it all before, and has its statements prepared.
    warm: bool,
    /// A row is refused, so that the batch is rolled back and goes row by row.
    refused: bool,
}

const CONDITIONS: [Conditions; 3] = [
    Conditions {
        warm: false,
        refused: false,
    },
    Conditions {
        warm: true,
        refused: false,
    },
    Conditions {
        warm: false,
        refused: true,
    },
];

/// Drops the future at its n-th await; `None` if it came to that.
pub(crate) async fn dropped_at<F: Future>(
    point: usize,
    drop_point: DropPoint,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(move |context| {
        if polls == point {
            return Poll::Ready(None);
        }
        polls += 1;
        let polled = future.as_mut().poll(context).map(Some);
        match drop_point {
            DropPoint::Asked if polled.is_pending() && polls == point => Poll::Ready(None),
            _ => polled,
        }
    })
    .await
}

/// The result of the future, or `None` if it panicked.
pub(crate) async fn catch_panic<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(move |context| {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

async fn a_future_may_be_dropped_at_every_await<G: TestDatabase>(database: &G) -> TestResult {
    let mut points = 0;
    for (drop_point, operations) in [
        (DropPoint::Asked, &Operation::ALL[..]),
        (DropPoint::Answered, &[Operation::Batch, Operation::Record]),
    ] {
        points += at_every_point(
            database,
            &StatementFault::default(),
            operations,
            |point, operation, work| {
                let work = work.clone();
                async move { dropped_at(point, drop_point, operation.take(&work)).await }
            },
        )
        .await?;
    }
    println!("futures dropped: {} {points}", G::NAME);
    Ok(())
}

async fn a_panic_at_every_statement_boundary_leaves_nothing_behind<G: TestDatabase>(
    database: &G,
) -> TestResult {
    let statement_fault = StatementFault::default();
    let points = at_every_point(
        database,
        &statement_fault,
        &Operation::ALL,
        |point, operation, work| {
            let (work, statement_fault) = (work.clone(), statement_fault.clone());
            async move {
                statement_fault.set(point);
                let done = catch_panic(operation.take(&work)).await;
                // A panic in a detached task is a crash, too.
                if statement_fault.clear() { None } else { done }
            }
        },
    )
    .await?;
    println!("panics at statement boundaries: {} {points}", G::NAME);
    Ok(())
}

/// Crashes each step of each job at its first point, its second, and so on, until it ends before it
/// crashes. Returns how many there were.
async fn at_every_point<G, F>(
    database: &G,
    statement_fault: &StatementFault,
    operations: &[Operation],
    crash: impl Fn(usize, Operation, &JobSteps) -> F,
) -> TestResult<usize>
where
    G: TestDatabase,
    F: Future<Output = Option<Result<Vec<String>, JobError>>>,
{
    let mut points = 0;
    let store = database.store_with_fault(statement_fault.clone()).await?;
    for (nth, work) in JobSteps::of(&store).iter().enumerate() {
        for &operation in operations {
            // These are the same for all jobs, or the first does them and more.
            if nth > 0 && !operation.is_of_the_job() {
                continue;
            }
            for conditions in CONDITIONS {
                if (conditions.refused || conditions.warm) && operation != Operation::Batch {
                    continue;
                }
                for point in 1.. {
                    let context = format!(
                        "{} {operation:?} {conditions:?} at {point}",
                        work.job.name()
                    );
                    prepare_rows(database, work, operation, conditions).await?;

                    let crashed = crash(point, operation, work).await;
                    let over = crashed.is_some();
                    let emitted = crashed
                        .transpose()
                        .map_err(|error| format!("{context}: {error}"))?;

                    check_aftermath(
                        database,
                        &store,
                        work,
                        operation,
                        emitted.as_deref(),
                        conditions,
                        &context,
                    )
                    .await?;
                    if over {
                        break;
                    }
                    points += 1;
                }
            }
        }
    }
    Ok(points)
}

async fn prepare_rows<G: TestDatabase>(
    database: &G,
    work: &JobSteps,
    operation: Operation,
    conditions: Conditions,
) -> TestResult {
    database.insert_due_rows().await?;
    if conditions.warm {
        operation
            .take(work)
            .await
            .map_err(|error| error.to_string())?;
        database.insert_due_rows().await?;
    }
    database.refuse_one(conditions.refused).await
}

/// Checks that nothing is left of a step that crashed, or was done (`emitted` has its changes), and
/// that the next one completes the work.
async fn check_aftermath<G: TestDatabase>(
    database: &G,
    store: &G::Store,
    work: &JobSteps,
    operation: Operation,
    emitted: Option<&[String]>,
    conditions: Conditions,
    context: &str,
) -> TestResult {
    let job = work.job.name();
    let all: BTreeSet<String> = DUE
        .iter()
        .filter(|id| !(conditions.refused && **id == "r3"))
        .map(ToString::to_string)
        .collect();
    database.wait_until_idle(context).await?;
    database.use_every_connection(store, 1, context).await?;
    let changed = database.audit(&job, context).await?;
    match emitted {
        Some(emitted) => assert_eq!(
            changed,
            emitted.iter().cloned().collect(),
            "{context}: its report is wrong"
        ),
        // Without a report, either no row changed or the whole batch was committed.
        None => assert!(
            changed.is_empty() || (operation == Operation::Batch && changed == all),
            "{context}: half done: {changed:?}"
        ),
    }

    let again = operation
        .take(work)
        .await
        .map_err(|error| format!("{context}, again: {error}"))?;

    let again: BTreeSet<String> = again.into_iter().collect();
    let both: BTreeSet<String> = changed.union(&again).cloned().collect();
    // A batch that crashed behind its commit is in doubt, and joins the next report.
    assert!(
        emitted.is_none() || changed.is_disjoint(&again),
        "{context}: emitted twice"
    );
    assert_eq!(
        database.changed(&job, context).await?,
        both,
        "{context}: more changed than was emitted"
    );
    assert!(
        operation != Operation::Batch || both == all,
        "{context}: not completed: {both:?}"
    );
    assert!(
        operation.is_recorded_once(work).await,
        "{context}: the history counts it twice"
    );
    Ok(())
}

#[cfg(feature = "sqlite")]
mod sqlite {
    crate::database::on_sqlite! {
        a_future_may_be_dropped_at_every_await
        a_panic_at_every_statement_boundary_leaves_nothing_behind
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::*;
    use crate::database::postgres::{PostgresDatabase, SLOW_DOWN, SPEED_UP};

    crate::database::on_postgres! {
        a_future_may_be_dropped_at_every_await
        a_panic_at_every_statement_boundary_leaves_nothing_behind
    }

    /// The server does not look whether its client is still there: only the request to cancel it
    /// ends the statement in time.
    #[tokio::test]
    async fn a_future_may_be_dropped_during_a_statement() -> TestResult {
        let Some(database) = PostgresDatabase::open().await? else {
            return Ok(());
        };
        let store = database.store().await?;
        database.insert_due_rows().await?;
        database.sql(SLOW_DOWN).await?;
        for work in JobSteps::of(&store) {
            let job = work.job.name();
            let context = format!("{job} in mid-statement");

            tokio::select! {
                done = Operation::Batch.take(&work) => return Err(format!("{context}: it has ended: {done:?}").into()),
                dawdles = database.wait_for_slow_statement() => dawdles?,
            }

            database.wait_until_idle(&context).await?;
            assert!(database.changed(&job, &context).await?.is_empty());
        }
        database.sql(SPEED_UP).await?;
        for work in JobSteps::of(&store) {
            let emitted = Operation::Batch
                .take(&work)
                .await
                .map_err(|error| error.to_string())?;
            assert_eq!(emitted.len(), DUE.len(), "{}", work.job.name());
        }
        Ok(())
    }
}
