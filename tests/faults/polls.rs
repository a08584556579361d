//! The futures of a store, driven by hand: dropped at every await, and broken by a panic at every statement boundary.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;

use ractor_housekeeper::job::JobError;

use crate::Done;
use crate::crashes::Fault;
use crate::ground::{DUE, Ground};
use crate::steps::{Step, Work};
use crate::tripwire::Tripwire;

/// When a future is dropped.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// While the database is at work for it.
    Asked,
    /// When the database has answered, and the future has not seen it yet.
    Answered,
}

/// What a step meets.
#[derive(Debug, Clone, Copy)]
struct Weather {
    /// The connection has done it all before, and has its statements prepared.
    warm: bool,
    /// A row is refused, so that the batch is rolled back and goes row by row.
    refused: bool,
}

const WEATHERS: [Weather; 3] = [
    Weather {
        warm: false,
        refused: false,
    },
    Weather {
        warm: true,
        refused: false,
    },
    Weather {
        warm: false,
        refused: true,
    },
];

/// Drops the future at its n-th await; `None` if it came to that.
async fn dropped_at<F: Future>(point: usize, moment: Moment, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(move |context| {
        if polls == point {
            return Poll::Ready(None);
        }
        polls += 1;
        let polled = future.as_mut().poll(context).map(Some);
        match moment {
            Moment::Asked if polled.is_pending() && polls == point => Poll::Ready(None),
            _ => polled,
        }
    })
    .await
}

/// The result of the future, or `None` if it panicked.
async fn unless_it_panics<F: Future>(future: F) -> Option<F::Output> {
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

async fn a_future_may_be_dropped_at_every_await<G: Ground>(ground: &G) -> Done {
    let mut points = 0;
    for (moment, steps) in [
        (Moment::Asked, &Step::ALL[..]),
        (Moment::Answered, &[Step::Batch, Step::Record]),
    ] {
        points += at_every_point(ground, &Tripwire::default(), steps, |point, step, work| {
            let work = work.clone();
            async move { dropped_at(point, moment, step.take(&work)).await }
        })
        .await?;
    }
    println!("futures dropped: {} {points}", G::NAME);
    Ok(())
}

async fn a_panic_at_every_statement_boundary_leaves_nothing_behind<G: Ground>(ground: &G) -> Done {
    let tripwire = Tripwire::default();
    let points = at_every_point(ground, &tripwire, &Step::ALL, |point, step, work| {
        let (work, tripwire) = (work.clone(), tripwire.clone());
        async move {
            tripwire.set(point);
            let done = unless_it_panics(step.take(&work)).await;
            // What went off unseen, in what nobody waited for, was a crash all the same.
            if tripwire.clear() { None } else { done }
        }
    })
    .await?;
    println!("panics at statement boundaries: {} {points}", G::NAME);
    Ok(())
}

/// Crashes each step of each job at its first point, its second, and so on, until it ends before it crashes. Returns how many there were.
async fn at_every_point<G, F>(
    ground: &G,
    tripwire: &Tripwire,
    steps: &[Step],
    crash: impl Fn(usize, Step, &Work) -> F,
) -> Done<usize>
where
    G: Ground,
    F: Future<Output = Option<Result<Vec<String>, JobError>>>,
{
    let mut points = 0;
    let store = ground.wired(tripwire.clone()).await?;
    for (nth, work) in Work::of(&store).iter().enumerate() {
        for &step in steps {
            // These are the same for all jobs, or the first does them and more.
            if nth > 0 && !step.is_of_the_job() {
                continue;
            }
            for weather in WEATHERS {
                if (weather.refused || weather.warm) && step != Step::Batch {
                    continue;
                }
                for point in 1.. {
                    let context = format!("{} {step:?} {weather:?} at {point}", work.job.name());
                    set_out(ground, work, step, weather).await?;

                    let crashed = crash(point, step, work).await;
                    let over = crashed.is_some();
                    let told = crashed
                        .transpose()
                        .map_err(|error| format!("{context}: {error}"))?;

                    aftermath(
                        ground,
                        &store,
                        work,
                        step,
                        told.as_deref(),
                        weather,
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

async fn set_out<G: Ground>(ground: &G, work: &Work, step: Step, weather: Weather) -> Done {
    ground.sow().await?;
    if weather.warm {
        step.take(work).await.map_err(|error| error.to_string())?;
        ground.sow().await?;
    }
    ground.refuse_one(weather.refused).await
}

/// That nothing is left of a step that crashed, or was done (`told` says what it changed), and that the next one completes the work.
async fn aftermath<G: Ground>(
    ground: &G,
    store: &G::Store,
    work: &Work,
    step: Step,
    told: Option<&[String]>,
    weather: Weather,
    context: &str,
) -> Done {
    let job = work.job.name();
    let all: BTreeSet<String> = DUE
        .iter()
        .filter(|id| !(weather.refused && **id == "r3"))
        .map(ToString::to_string)
        .collect();
    ground.rest(context).await?;
    ground.exhaust(store, 1, context).await?;
    let changed = ground.agrees(&job, context).await?;
    match told {
        Some(told) => assert_eq!(
            changed,
            told.iter().cloned().collect(),
            "{context}: it did not tell the truth"
        ),
        // Nobody was told, so the rows are either as they were, or all of the batch was committed.
        None => assert!(
            changed.is_empty() || (step == Step::Batch && changed == all),
            "{context}: half done: {changed:?}"
        ),
    }

    let again = step
        .take(work)
        .await
        .map_err(|error| format!("{context}, again: {error}"))?;

    let again: BTreeSet<String> = again.into_iter().collect();
    let both: BTreeSet<String> = changed.union(&again).cloned().collect();
    assert!(changed.is_disjoint(&again), "{context}: told twice");
    assert_eq!(
        ground.changed(&job, context).await?,
        both,
        "{context}: more changed than was told"
    );
    assert!(
        step != Step::Batch || both == all,
        "{context}: not completed: {both:?}"
    );
    assert!(
        step.is_recorded_once(work).await,
        "{context}: the history counts it twice"
    );
    Ok(())
}

#[cfg(feature = "sqlite")]
mod sqlite {
    crate::ground::on_sqlite! {
        a_future_may_be_dropped_at_every_await
        a_panic_at_every_statement_boundary_leaves_nothing_behind
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::*;
    use crate::ground::postgres::{DAWDLE, HURRY, PostgresGround};

    crate::ground::on_postgres! {
        a_future_may_be_dropped_at_every_await
        a_panic_at_every_statement_boundary_leaves_nothing_behind
    }

    /// The server does not look whether its client is still there: only the request to cancel it ends the statement in time.
    #[tokio::test]
    async fn a_future_may_be_dropped_during_a_statement() -> Done {
        let Some(ground) = PostgresGround::open().await? else {
            return Ok(());
        };
        let store = ground.store().await?;
        ground.sow().await?;
        ground.sql(DAWDLE).await?;
        for work in Work::of(&store) {
            let job = work.job.name();
            let context = format!("{job} in mid-statement");

            tokio::select! {
                done = Step::Batch.take(&work) => return Err(format!("{context}: it has ended: {done:?}").into()),
                dawdles = ground.sees_one_dawdle() => dawdles?,
            }

            ground.rest(&context).await?;
            assert!(ground.changed(&job, &context).await?.is_empty());
        }
        ground.sql(HURRY).await?;
        for work in Work::of(&store) {
            let told = Step::Batch
                .take(&work)
                .await
                .map_err(|error| error.to_string())?;
            assert_eq!(told.len(), DUE.len(), "{}", work.job.name());
        }
        Ok(())
    }
}
