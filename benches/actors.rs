//! Cost of requests: status while idle and during a run, a run of an empty job, and a crash until
//! the next run, beside ractor's bare `call!`.
//!
//! `cargo bench --features postgres --bench actors`

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use criterion::Criterion;
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call};
use ractor_housekeeper::actors::ignore_reply;
use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy, SessionCleaner, built_in};
use ractor_housekeeper::model::Event;
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::store::sqlite::timestamp_text;
use ractor_housekeeper::testing::{Fault, FaultyJob, MemoryStore, Step, next_event};
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, Scope, SqliteStore, Subscriber, start,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

#[path = "support/mod.rs"]
#[expect(dead_code, reason = "what benches share is more than one needs")]
mod support;

use support::figures::{Bound, percentile, target};

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let mut criterion = Criterion::default().configure_from_args();

    bare_call(&mut criterion, &runtime);
    idle(&mut criterion, &runtime);
    let asks = during_a_run(&mut criterion, &runtime);
    after_a_crash(&mut criterion, &runtime);

    criterion.final_summary();
    asks.print_targets();
    // The slow statement may still run.
    runtime.shutdown_background();
}

/// Measures one ask after the other, by a task, as actors ask: a thread that is none of the
/// runtime's would have to be woken by each answer.
fn measure<Asking>(
    criterion: &mut Criterion,
    runtime: &Runtime,
    name: &str,
    ask: impl Fn() -> Asking + Clone + Send + 'static,
) where
    Asking: Future<Output: Send> + Send + 'static,
{
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let ask = ask.clone();
            let asking = runtime.spawn(async move {
                let began = Instant::now();
                for _ in 0..times {
                    black_box(ask().await);
                }
                began.elapsed()
            });
            runtime.block_on(asking).expect("no ask panics")
        });
    });
}

fn bare_call(criterion: &mut Criterion, runtime: &Runtime) {
    let (echo, _) = runtime
        .block_on(Actor::spawn(None, Echo, ()))
        .expect("an actor");

    measure(criterion, runtime, "ractor's bare call", move || {
        let echo = echo.clone();
        async move { call!(echo, EchoMsg) }
    });
}

fn idle(criterion: &mut Criterion, runtime: &Runtime) {
    let jobs = built_in(MemoryStore::new(), &BookingPolicy::default()).expect("ages are right");
    let housekeeper = runtime.block_on(spawn(HousekeeperArguments::new(jobs)));

    let asked = housekeeper.clone();
    measure(criterion, runtime, "status while idle", move || {
        let housekeeper = asked.clone();
        async move { call!(housekeeper, HousekeeperMsg::Status) }
    });
    measure(criterion, runtime, "run now of an empty job", move || {
        run_now(housekeeper.clone())
    });
}

async fn run_now(housekeeper: ActorRef<HousekeeperMsg>) {
    let report = call!(
        housekeeper,
        HousekeeperMsg::RunNow,
        BookingExpirer::NAME,
        Scope::All
    );
    report.expect("it runs").expect("is not refused");
}

/// One batch that holds a SQLite file for minutes.
fn during_a_run(criterion: &mut Criterion, runtime: &Runtime) -> Asks {
    let (housekeeper, _folder) = runtime.block_on(async {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("bookings.db").display().to_string();
        let store = SqliteStore::open(&file).await.expect("a store");
        store.migrate(Schema::ALL).await.expect("the schema");
        make_slow(&file);
        let jobs = built_in(store, &BookingPolicy::default()).expect("ages are right");
        let housekeeper = spawn(HousekeeperArguments::new(jobs)).await;
        let (subscriber, mut events) = Subscriber::channel();
        housekeeper
            .cast(HousekeeperMsg::Subscribe(subscriber))
            .expect("it runs");
        let run = HousekeeperMsg::RunNow(SessionCleaner::NAME, Scope::All, ignore_reply());
        housekeeper.cast(run).expect("it runs");
        next_event(&mut events, |news| matches!(news, Event::RunStarted { .. })).await;
        (housekeeper, folder)
    });

    let asked = housekeeper.clone();
    let name = "status while a run holds the database";
    measure(criterion, runtime, name, move || {
        let housekeeper = asked.clone();
        async move { call!(housekeeper, HousekeeperMsg::Status) }
    });
    let asks = runtime
        .block_on(runtime.spawn(Asks::of(housekeeper.clone())))
        .expect("no ask panics");

    let status = runtime
        .block_on(async { call!(housekeeper, HousekeeperMsg::Status) })
        .expect("it runs");
    println!(
        "the run is still on: {}",
        status.jobs[&SessionCleaner::NAME].worker
    );
    asks
}

/// Times of single requests for the status, which criterion does not show: round by round, in
/// microseconds.
#[derive(Default)]
struct Asks {
    medians: Vec<f64>,
    p99s: Vec<f64>,
}

impl Asks {
    async fn of(housekeeper: ActorRef<HousekeeperMsg>) -> Self {
        let mut asks = Self::default();
        for _ in 0..5 {
            let mut took_us = Vec::new();
            for _ in 0..20_000 {
                let asked = Instant::now();
                let status = call!(housekeeper, HousekeeperMsg::Status);
                took_us.push(asked.elapsed().as_secs_f64() * 1e6);
                black_box(status.expect("it runs"));
            }
            asks.medians.push(percentile(&took_us, 50.0));
            asks.p99s.push(percentile(&took_us, 99.0));
        }
        asks
    }

    fn print_targets(&self) {
        let name = "status ask during a run";
        target(
            &format!("{name}, median"),
            Bound::AtMost(20.0),
            "us",
            &self.medians,
        );
        target(
            &format!("{name}, p99"),
            Bound::AtMost(500.0),
            "us",
            &self.p99s,
        );
    }
}

/// A session whose deletion takes minutes.
fn make_slow(file: &str) {
    let long_ago = timestamp_text(Utc::now() - TimeDelta::days(2));
    let user = Uuid::new_v4();
    let mut connection = SqliteConnection::establish(file).expect("a connection");
    connection
        .batch_execute(&format!(
            "insert into sessions (id, user_id, created_at) values ('old', '{user}', '{long_ago}');
             create trigger slow before delete on sessions begin
                select (with recursive counted(n) as (select 1 union all select n + 1 from counted where n < 1000000000)
                        select max(n) from counted);
             end",
        ))
        .expect("a trigger");
}

fn after_a_crash(criterion: &mut Criterion, runtime: &Runtime) {
    let store = Arc::new(MemoryStore::new());
    let expirer = BookingExpirer::new(store, BookingPolicy::default().expire_after)
        .expect("an age that is right");
    let (job, faults) = FaultyJob::new(expirer);
    let mut arguments = HousekeeperArguments::new(Vec::new()).with_job(job);
    // Only the time that is ours: no wait before the restart.
    arguments.config.restart.max_restarts = u32::MAX;
    arguments.config.restart.backoff.first = Duration::from_millis(1);
    arguments.config.restart.backoff.max = Duration::from_millis(1);
    let housekeeper = runtime.block_on(spawn(arguments));
    // The panics are asked for; their messages would only hide the figures.
    std::panic::set_hook(Box::new(|_| {}));

    let name = "crash to the end of the next run (1 ms of it backoff)";
    measure(criterion, runtime, name, move || {
        let (housekeeper, faults) = (housekeeper.clone(), faults.clone());
        async move {
            faults.once(Step::Batch, 1, Fault::Panic);
            run_now(housekeeper.clone()).await;
            run_now(housekeeper).await;
        }
    });
    let _ = std::panic::take_hook();
}

/// A housekeeper that runs only on request.
async fn spawn(arguments: HousekeeperArguments) -> ActorRef<HousekeeperMsg> {
    let mut config: HousekeeperConfig = arguments.config.clone();
    config.job.schedule.at_start = false;
    config.job.schedule.at_deadline = false;
    start(None, arguments.with_config(config))
        .await
        .expect("it starts")
        .housekeeper
        .into()
}

/// Answers, and does nothing else.
struct Echo;

struct EchoMsg(RpcReplyPort<()>);

#[ractor::actor(message = EchoMsg, state = (), arguments = ())]
impl Echo {
    async fn pre_start(&self, _: ActorRef<EchoMsg>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<EchoMsg>,
        EchoMsg(reply): EchoMsg,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        let _ = reply.send(());
        Ok(())
    }
}
