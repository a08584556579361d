//! What asking costs: status while idle and during a run, a run of an empty job, and a crash until the next run, beside ractor's bare `call!`.
//!
//! `cargo bench --bench actors`

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use criterion::Criterion;
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call};
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::store::sqlite::timestamp_text;
use ractor_housekeeper::testing::{Fault, FaultyJob, MemoryStore, Step, next_event};
use ractor_housekeeper::{
    Ages, BookingExpirer, HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, News, Scope,
    SessionCleaner, SqliteStore, Subscriber, built_in, start, unanswered,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let mut criterion = Criterion::default().configure_from_args();

    bare_call(&mut criterion, &runtime);
    idle(&mut criterion, &runtime);
    during_a_run(&mut criterion, &runtime);
    after_a_crash(&mut criterion, &runtime);

    criterion.final_summary();
    // The slow statement may still run, and nobody waits for it.
    runtime.shutdown_background();
}

fn bare_call(criterion: &mut Criterion, runtime: &Runtime) {
    let (echo, _) = runtime
        .block_on(Actor::spawn(None, Echo, ()))
        .expect("an actor");

    criterion.bench_function("ractor's bare call", |bencher| {
        bencher
            .to_async(runtime)
            .iter(|| async { black_box(call!(echo, EchoMsg)) });
    });
}

fn idle(criterion: &mut Criterion, runtime: &Runtime) {
    let jobs = built_in(MemoryStore::new(), &Ages::default()).expect("ages are right");
    let housekeeper = runtime.block_on(spawn(HousekeeperArguments::new(jobs)));

    criterion.bench_function("status while idle", |bencher| {
        bencher
            .to_async(runtime)
            .iter(|| async { black_box(call!(housekeeper, HousekeeperMsg::Status)) });
    });
    criterion.bench_function("run now of an empty job", |bencher| {
        bencher.to_async(runtime).iter(|| async {
            black_box(call!(
                housekeeper,
                HousekeeperMsg::RunNow,
                BookingExpirer::NAME,
                Scope::All
            ))
        });
    });
}

/// One batch that holds a SQLite file for minutes.
fn during_a_run(criterion: &mut Criterion, runtime: &Runtime) {
    let (housekeeper, _folder) = runtime.block_on(async {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("bookings.db").display().to_string();
        let store = SqliteStore::open(&file).await.expect("a store");
        store.migrate(Schema::ALL).await.expect("the schema");
        make_slow(&file);
        let jobs = built_in(store, &Ages::default()).expect("ages are right");
        let housekeeper = spawn(HousekeeperArguments::new(jobs)).await;
        let (subscriber, mut events) = Subscriber::channel();
        housekeeper
            .cast(HousekeeperMsg::Subscribe(subscriber))
            .expect("it runs");
        let run = HousekeeperMsg::RunNow(SessionCleaner::NAME, Scope::All, unanswered());
        housekeeper.cast(run).expect("it runs");
        next_event(&mut events, |news| matches!(news, News::RunStarted { .. })).await;
        (housekeeper, folder)
    });

    criterion.bench_function("status while a run holds the database", |bencher| {
        bencher
            .to_async(runtime)
            .iter(|| async { black_box(call!(housekeeper, HousekeeperMsg::Status)) });
    });

    let status = runtime
        .block_on(async { call!(housekeeper, HousekeeperMsg::Status) })
        .expect("it runs");
    println!(
        "the run is still on: {}",
        status.jobs[&SessionCleaner::NAME].worker
    );
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
    let expirer =
        BookingExpirer::new(store, Ages::default().expire_after).expect("an age that is right");
    let (job, faults) = FaultyJob::new(expirer);
    let mut arguments = HousekeeperArguments::new(Vec::new()).with_job(job);
    // Only the time that is ours: no wait before the restart.
    arguments.config.restart.max_restarts = u32::MAX;
    arguments.config.restart.backoff.first = Duration::from_millis(1);
    arguments.config.restart.backoff.longest = Duration::from_millis(1);
    let housekeeper = runtime.block_on(spawn(arguments));
    // The panics are asked for; their messages would only hide the figures.
    std::panic::set_hook(Box::new(|_| {}));

    criterion.bench_function(
        "crash to the end of the next run (1 ms of it backoff)",
        |bencher| {
            bencher.to_async(runtime).iter(|| async {
                faults.once(Step::Batch, 1, Fault::Panic);
                let crashed = call!(
                    housekeeper,
                    HousekeeperMsg::RunNow,
                    BookingExpirer::NAME,
                    Scope::All
                );
                let next = call!(
                    housekeeper,
                    HousekeeperMsg::RunNow,
                    BookingExpirer::NAME,
                    Scope::All
                );
                black_box((crashed, next))
            });
        },
    );
    let _ = std::panic::take_hook();
}

/// A housekeeper that runs only when told.
async fn spawn(arguments: HousekeeperArguments) -> ActorRef<HousekeeperMsg> {
    let mut config: HousekeeperConfig = arguments.config.clone();
    config.job.schedule.at_start = false;
    config.job.schedule.at_deadline = false;
    start(None, arguments.with_config(config))
        .await
        .expect("it starts")
        .housekeeper
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
