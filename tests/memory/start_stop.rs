//! Started and stopped a thousand times, and cut off with its runtime: nothing stays behind.
//!
//! The figures are of the process, so each test runs in a process of its own.

use std::fs;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use ractor::{ActorRef, call};
use ractor_housekeeper::actors::{ignore_reply, stop};
use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy, built_in};
use ractor_housekeeper::job::Page;
use ractor_housekeeper::model::RunHistory;
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::store::Store;
use ractor_housekeeper::testing::{Fault, FaultyJob, Gate, MemoryStore, Step};
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperMsg, Job, Scope, SqliteStore, Subscriber, start,
};
use tokio::runtime::{Builder, Handle, Runtime};
use uuid::Uuid;

use crate::support::alone::ran_alone;
use crate::{ALONE, HEAP};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

// ---- A thousand times

#[test]
fn a_thousand_housekeepers_on_sqlite_leave_nothing_behind() -> Result<()> {
    let _alone = ALONE.blocking_lock();
    if ran_alone("start_stop::a_thousand_housekeepers_on_sqlite_leave_nothing_behind") {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite://{}", folder.path().join("app.db").display());
    let measured = runtime(true)?.block_on(async {
        let store = SqliteStore::open(&url).await?;
        store.migrate(Schema::ALL).await?;
        drop(store);
        cycles(1_000, || async { Ok(SqliteStore::open(&url).await?) }).await
    })?;

    assert_flat(&measured);
    Ok(())
}

#[cfg(feature = "postgres")]
#[test]
fn housekeepers_on_postgres_leave_no_connection_behind() -> Result<()> {
    use diesel::sql_types::BigInt;
    use diesel_async::RunQueryDsl;
    use ractor_housekeeper::PostgresStore;
    use ractor_housekeeper::testing::PrivatePostgres;

    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }

    let _alone = ALONE.blocking_lock();
    if ran_alone("start_stop::housekeepers_on_postgres_leave_no_connection_behind") {
        return Ok(());
    }
    let Some(server) = PrivatePostgres::shared()? else {
        return Ok(());
    };
    let url = server.fresh_database()?;
    runtime(true)?.block_on(async {
        let watcher = PostgresStore::connect(&url)?;
        watcher.migrate(Schema::ALL).await?;
        let mut conn = watcher.pool().get().await?;
        // One for all: a pool that is dropped leaves a sleeping task for up to half a minute.
        let store = PostgresStore::connect(&url)?;
        let mut warm = Vec::new();
        for _ in 0..8 {
            warm.push(store.pool().get_owned().await?);
        }
        drop(warm);

        let measured = cycles(300, || async { Ok(store.clone()) }).await?;

        assert_flat(&measured);
        drop(store);
        let others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
        let asked = Instant::now();
        loop {
            let open: Count = diesel::sql_query(others).get_result(&mut conn).await?;
            // The watcher's own pool keeps one more ready.
            if open.count <= 1 {
                return Ok(());
            }
            assert!(asked.elapsed() < PATIENCE, "{} connections", open.count);
        }
    })
}

// ---- With the runtime

#[test]
fn a_runtime_that_ends_ends_its_housekeeper_without_a_panic() -> Result<()> {
    let _alone = ALONE.blocking_lock();
    if ran_alone("start_stop::a_runtime_that_ends_ends_its_housekeeper_without_a_panic") {
        return Ok(());
    }
    let panics = Panics::count();

    for threads in [true, false] {
        for _ in 0..20 {
            let runtime = runtime(threads)?;
            let housekeeper = runtime.block_on(async {
                let store = Arc::new(MemoryStore::new());
                let expirer =
                    BookingExpirer::new(store.clone(), BookingPolicy::default().expire_after)?;
                let (job, faults) = FaultyJob::new(expirer);
                let gate = Gate::closed();
                faults.once(Step::BeginRun, 1, Fault::Hold(gate.clone()));
                faults.once(Step::Preview, 1, Fault::Hang);
                let jobs: Vec<Arc<dyn Job>> = vec![Arc::new(job)];
                let housekeeper = start(None, HousekeeperArguments::new(jobs))
                    .await?
                    .housekeeper;
                ask_everything(&housekeeper)?;
                gate.reached().await;
                Ok::<_, Box<dyn std::error::Error>>(housekeeper)
            })?;
            let ends = Instant::now();

            drop(runtime);

            assert!(ends.elapsed() < PATIENCE, "{:?}", ends.elapsed());
            let refused = housekeeper.cast(HousekeeperMsg::RunAll(ignore_reply()));
            assert!(refused.is_err());
            assert!(housekeeper.get_children().is_empty());
        }
    }

    assert_eq!(panics.seen(), 0);
    Ok(())
}

#[test]
fn a_runtime_that_ends_in_a_statement_leaves_a_working_file() -> Result<()> {
    let _alone = ALONE.blocking_lock();
    if ran_alone("start_stop::a_runtime_that_ends_in_a_statement_leaves_a_working_file") {
        return Ok(());
    }
    let panics = Panics::count();
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite://{}", folder.path().join("app.db").display());
    runtime(true)?.block_on(async {
        let store = SqliteStore::open(&url).await?;
        store.migrate(Schema::ALL).await?;
        fill(&store, 2_000).await
    })?;

    for threads in [true, false] {
        for _ in 0..10 {
            let runtime = runtime(threads)?;
            runtime.block_on(async {
                let store = SqliteStore::open(&url).await?;
                let housekeeper = start(None, arguments(&store)?).await?.housekeeper;
                let (subscriber, mut events) = Subscriber::channel();
                housekeeper.cast(HousekeeperMsg::Subscribe(subscriber))?;
                ask_everything(&housekeeper)?;
                // Somewhere in the run that begins here.
                events.recv().await.ok_or("no event")?;
                Ok::<_, Box<dyn std::error::Error>>(())
            })?;
            let ends = Instant::now();

            drop(runtime);

            assert!(ends.elapsed() < PATIENCE, "{:?}", ends.elapsed());
        }
    }

    let left = runtime(true)?.block_on(async {
        let store = SqliteStore::open(&url).await?;
        let housekeeper = start(None, arguments(&store)?).await?.housekeeper;
        let report = call!(
            housekeeper,
            HousekeeperMsg::RunNow,
            BookingExpirer::NAME,
            Scope::All
        )??;
        assert!(report.success(), "{report}");
        Ok::<_, Box<dyn std::error::Error>>(report.forecast.ok_or("no forecast")?.due.count)
    })?;
    assert_eq!((left, panics.seen()), (0, 0));
    Ok(())
}

// ---- Helpers

/// The resources of a process.
#[derive(Debug, Clone, Copy)]
struct Held {
    tasks: usize,
    files: usize,
    names: usize,
    heap_kb: usize,
}

/// Starts a housekeeper, uses it, and stops it, again and again. Returns what was held after each
/// time.
async fn cycles<S, F>(count: usize, open: impl Fn() -> F) -> Result<Vec<Held>>
where
    S: Store + RunHistory + Clone + 'static,
    F: Future<Output = Result<S>>,
{
    let mut measured = Vec::with_capacity(count);
    let tasks = Handle::current().metrics().num_alive_tasks();
    for _ in 0..count {
        let store = open().await?;
        let started = start(Some("cycle"), arguments(&store)?).await?;
        let housekeeper = started.housekeeper;
        let (subscriber, events) = Subscriber::channel();
        housekeeper.cast(HousekeeperMsg::Subscribe(subscriber))?;
        let reports = call!(housekeeper, HousekeeperMsg::RunAll)??;
        assert!(
            reports.iter().all(ractor_housekeeper::Report::success),
            "{reports:?}"
        );
        let name = BookingExpirer::NAME;
        let page = Page::default();
        call!(
            housekeeper,
            HousekeeperMsg::Preview,
            name.clone(),
            Scope::All,
            page
        )??;
        call!(housekeeper, HousekeeperMsg::History, name, 10)??;
        stop("cycle", Duration::from_secs(5)).await?;
        drop((store, housekeeper, events));
        measured.push(settled(tasks).await);
    }
    Ok(measured)
}

/// The resources once at most this many tasks are left, or a timeout has passed.
async fn settled(tasks: usize) -> Held {
    let asked = Instant::now();
    loop {
        let metrics = Handle::current().metrics();
        if metrics.num_alive_tasks() <= tasks || asked.elapsed() > Duration::from_millis(100) {
            return Held {
                tasks: metrics.num_alive_tasks(),
                files: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
                names: ractor::registry::registered().len(),
                heap_kb: HEAP.current_usage() / 1024,
            };
        }
        tokio::task::yield_now().await;
    }
}

/// No more after the last tenth than after the first.
fn assert_flat(measured: &[Held]) {
    let tenth = measured.len() / 10;
    let (first, last) = (&measured[..tenth], &measured[measured.len() - tenth..]);
    let most = |of: &[Held], what: fn(&Held) -> usize| of.iter().map(what).max().unwrap_or(0);
    let fewest = |of: &[Held], what: fn(&Held) -> usize| of.iter().map(what).min().unwrap_or(0);
    for (what, slack, of) in [
        ("tasks", 0, (|held| held.tasks) as fn(&Held) -> usize),
        ("files", 0, |held| held.files),
        ("names", 0, |held| held.names),
        ("kB of heap", 32, |held| held.heap_kb),
    ] {
        let (before, after) = (most(first, of), fewest(last, of));
        println!(
            "{what}: {}-{before} at first, {after}-{} at last",
            fewest(first, of),
            most(last, of)
        );
        assert!(after <= before + slack, "{what}: {before} became {after}");
    }
}

fn arguments<S: Store + RunHistory + Clone + 'static>(store: &S) -> Result<HousekeeperArguments> {
    let jobs = built_in(store.clone(), &BookingPolicy::default())?;
    Ok(HousekeeperArguments::new(jobs).with_history(store.clone()))
}

/// One slow message of each kind, without a caller that waits.
fn ask_everything(housekeeper: &ActorRef<HousekeeperMsg>) -> Result<()> {
    let name = BookingExpirer::NAME;
    housekeeper.cast(HousekeeperMsg::RunAll(ignore_reply()))?;
    let page = Page::default();
    housekeeper.cast(HousekeeperMsg::Preview(
        name.clone(),
        Scope::All,
        page,
        ignore_reply(),
    ))?;
    housekeeper.cast(HousekeeperMsg::RunNow(
        name,
        Scope::user(Uuid::nil()),
        ignore_reply(),
    ))?;
    Ok(())
}

/// Adds bookings that are overdue.
async fn fill(store: &SqliteStore, rows: u32) -> Result<()> {
    use diesel::sql_types::{Integer, Text};
    use diesel_async::RunQueryDsl;
    use ractor_housekeeper::store::sqlite::timestamp_text;

    let made = timestamp_text(Utc::now() - TimeDelta::hours(1));
    diesel::sql_query(
        "with recursive n(n) as (select 1 union all select n + 1 from n where n < ?) \
         insert into bookings (booking_id, user_id, created_at, status, updated_at, total_cost) \
         select 'b' || n, '00000000-0000-0000-0000-000000000000', ?, 'Pending', ?, '12.50' from n",
    )
    .bind::<Integer, _>(i32::try_from(rows)?)
    .bind::<Text, _>(&made)
    .bind::<Text, _>(&made)
    .execute(&mut store.pool().get().await?)
    .await?;
    Ok(())
}

fn runtime(threads: bool) -> Result<Runtime> {
    let mut builder = if threads {
        Builder::new_multi_thread()
    } else {
        Builder::new_current_thread()
    };
    Ok(builder.worker_threads(2).enable_all().build()?)
}

/// How many panics there were, on any thread, since it was made.
struct Panics(Arc<AtomicUsize>);

impl Panics {
    fn count() -> Self {
        let seen = Arc::new(AtomicUsize::new(0));
        let (counted, hook) = (seen.clone(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |info| {
            counted.fetch_add(1, Ordering::SeqCst);
            hook(info);
        }));
        Self(seen)
    }

    fn seen(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
