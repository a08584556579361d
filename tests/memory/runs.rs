//! Memory stays flat: however long a run, what is kept of it is bounded.
//!
//! With `HOUSEKEEPER_FULL=1` the runs on databases are of a million rows instead of 100,000.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ractor::{Actor, ActorProcessingErr, ActorRef, call};
use ractor_housekeeper::actors::Delivery;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::config::Pace;
use ractor_housekeeper::job::{
    Batch, BatchRequest, Cursor, Forecast, JobError, Page, PreviewRows, RejectedRow, RunBounds,
};
use ractor_housekeeper::model::{Event, JobStatus, Trigger};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::store::Store;
use ractor_housekeeper::testing::{Fault, FaultyJob, Gate, ManualClock, Step, next_report};
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, Job, JobName, Report, RequestError,
    Scope, Subscriber, start,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};

use crate::{ALONE, HEAP};

// ---- Long runs

#[tokio::test(start_paused = true)]
async fn a_run_of_a_million_rows_keeps_the_heap_and_the_tasks_flat() {
    let _alone = ALONE.lock().await;
    let host = Host::start(CountingJob::new(1_000, 1_000)).await;

    stays_flat(&host, COUNTING_JOB, 1_000_000).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_long_run_on_sqlite_keeps_the_heap_and_the_tasks_flat() {
    use diesel_async::SimpleAsyncConnection;
    let _alone = ALONE.lock().await;
    let folder = tempfile::tempdir().expect("a folder");
    let url = folder.path().join("test.db").display().to_string();
    let store = ractor_housekeeper::SqliteStore::open(&url).await;
    let store = store.expect("it opens");
    store.migrate(Schema::ALL).await.expect("it is empty");
    let rows = rows_of_a_database();
    let fill = format!(
        "with recursive series(n) as (select 1 union all select n + 1 from series where n < {rows})
         insert into bookings (booking_id, user_id, created_at)
         select n, '00000000-0000-0000-0000-000000000000', '2026-01-10T00:00:00.000000Z' from series"
    );
    let mut conn = store.pool().get().await.expect("it is there");
    conn.batch_execute(&fill).await.expect("the table is there");
    drop(conn);

    let host = Host::start(expirer(store)).await;
    stays_flat(&host, BookingExpirer::NAME, rows).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_long_run_on_postgres_keeps_the_heap_and_the_tasks_flat() {
    use diesel_async::SimpleAsyncConnection;
    let _alone = ALONE.lock().await;
    let server = ractor_housekeeper::testing::PrivatePostgres::shared().expect("it starts");
    let Some(server) = server else {
        println!("left out: Postgres is not installed");
        return;
    };
    let url = server.fresh_database().expect("the server runs");
    let store = ractor_housekeeper::PostgresStore::connect(&url).expect("the URL is right");
    store.migrate(Schema::ALL).await.expect("it is empty");
    let rows = rows_of_a_database();
    let fill = format!(
        "insert into bookings (booking_id, user_id, created_at)
         select n, gen_random_uuid(), now() - interval '1 day' from generate_series(1, {rows}) n"
    );
    let mut conn = store.pool().get().await.expect("it is there");
    conn.batch_execute(&fill).await.expect("the table is there");
    drop(conn);

    let host = Host::start(expirer(store)).await;
    stays_flat(&host, BookingExpirer::NAME, rows).await;
}

/// A million takes minutes without optimization.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn rows_of_a_database() -> usize {
    match std::env::var("HOUSEKEEPER_FULL") {
        Ok(full) if full == "1" => 1_000_000,
        _ => 100_000,
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn expirer(store: impl Store) -> BookingExpirer {
    let age = Duration::from_secs(15 * 60);
    BookingExpirer::new(Arc::new(store), Some(age)).expect("the age can be")
}

/// In each tenth of a run the peak of the heap and the number of tasks are taken; those of the
/// second half are those of the first.
async fn stays_flat(host: &Host, job: JobName, rows: usize) {
    let (subscriber, mut events) = Subscriber::channel();
    host.subscribe(subscriber);
    let (reply, answer) = ractor::concurrency::oneshot();
    let run_now = HousekeeperMsg::RunNow(job, Scope::All, reply.into());
    host.0.cast(run_now).expect("it runs");
    let (mut handled, mut peaks, mut tasks) = (0, Vec::new(), Vec::new());

    HEAP.reset_peak_usage();
    while peaks.len() < 10 {
        let event = events.recv().await.expect("it is subscribed");
        assert_eq!(event.missed, 0);
        handled += ids(&event);
        if handled >= rows / 10 * (peaks.len() + 1) {
            peaks.push(HEAP.peak_usage());
            tasks.push(Handle::current().metrics().num_alive_tasks());
            HEAP.reset_peak_usage();
        }
    }
    let report = answer.await.expect("an answer");
    let report = report.expect("is not refused");

    println!("{rows} rows: bytes {peaks:?}, tasks {tasks:?}");
    assert_eq!(report.counts.total(), rows as u64);
    let highest = |values: &[usize]| values.iter().copied().max().unwrap_or_default();
    let [early, late] = [&peaks[..5], &peaks[5..]].map(highest);
    assert!(
        late * 10 <= early * 11 + 10_000_000,
        "the heap grew: {peaks:?}"
    );
    let [early, late] = [&tasks[..5], &tasks[5..]].map(highest);
    assert!(late <= early + 1, "tasks were left: {tasks:?}");
}

// ---- Subscribers

#[tokio::test(start_paused = true)]
async fn an_unread_channel_stays_flat_over_ten_thousand_batches() {
    let _alone = ALONE.lock().await;
    let host = Host::start(CountingJob::new(10_000, 1)).await;
    let (subscriber, mut events) = Subscriber::channel();
    host.subscribe(subscriber.with_buffer(50));

    host.run().await;
    let held = drain(&mut events).len() as u64;
    host.run().await;
    let next = events.recv().await.expect("it is subscribed");

    assert_eq!(held, 50);
    assert_eq!(held + next.missed, EVENTS_BESIDE_BATCHES + 10_000);
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_never_reads_stays_flat_over_ten_thousand() {
    let _alone = ALONE.lock().await;
    let host = Host::start(CountingJob::new(10_000, 1)).await;
    let mut sleeper = BlockedSubscriber::start().await;
    host.subscribe(sleeper.subscriber().with_buffer(50));

    host.run().await;
    let alive = sleeper.events_alive();
    sleeper.wake();
    for _ in 0..alive {
        assert_eq!(sleeper.next_missed().await, 0);
    }
    host.run().await;

    assert_eq!(alive, 50);
    assert_eq!(
        alive + sleeper.next_missed().await,
        EVENTS_BESIDE_BATCHES + 10_000
    );
}

#[tokio::test(start_paused = true)]
async fn an_unread_channel_holds_a_bounded_number_of_ids() {
    let _alone = ALONE.lock().await;
    let host = Host::start(CountingJob::new(100, 5_000)).await;
    let (subscriber, mut events) = Subscriber::channel();
    host.subscribe(subscriber);

    let report = host.run().await;
    let held = drain(&mut events);
    let ids: usize = held.iter().map(ids).sum();
    let reported: u64 = held.iter().map(|event| 1 + event.missed).sum();
    drop(held);
    host.run().await;
    let next = events.recv().await.expect("it is subscribed");

    assert_eq!(report.counts.of("rows"), 500_000);
    assert_eq!(report.ids.len(), 100);
    assert!((90_000..=100_000).contains(&ids), "{ids}");
    assert_eq!(reported + next.missed, EVENTS_BESIDE_BATCHES + 100);
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_stops_with_a_full_buffer_is_removed() {
    let _alone = ALONE.lock().await;
    let host = Host::start(CountingJob::new(100, 1)).await;
    let sleeper = BlockedSubscriber::start().await;
    host.subscribe(sleeper.subscriber().with_buffer(5));
    host.run().await;
    let before = sleeper.events_alive();

    let killed = sleeper.actor.kill_and_wait(None).await;
    host.run().await;

    assert!(killed.is_ok());
    assert_eq!(before, 5);
    // Only this test holds the counter, no housekeeper and no event.
    assert_eq!(Arc::strong_count(&sleeper.token), 1);
}

// ---- Askers

#[tokio::test(start_paused = true)]
async fn callers_that_timed_out_are_dropped_and_their_runs_made() {
    let _alone = ALONE.lock().await;
    let (job, faults) = FaultyJob::new(CountingJob::new(1, 1));
    let gates = [1, 2].map(|batch| {
        let gate = Gate::closed();
        faults.once(Step::Batch, batch, Fault::Hold(gate.clone()));
        gate
    });
    let host = Host::start(job).await;
    let first = host.ask(Scope::user("first"));
    gates[0].reached().await;

    let before = HEAP.current_usage();
    let mut patient = host.ask_all();
    for round in 0..TIMED_OUT_CALLERS {
        match round % 3 {
            0 => drop(host.ask(Scope::All)),
            1 => drop(host.ask_all()),
            _ => drop(host.ask(Scope::user("last"))),
        }
    }
    let crowded = host.heap_when_heard().await - before;
    // Now two thirds wait for the run in progress, and one for its turn.
    gates[0].open();
    gates[1].reached().await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    let forgotten = host.heap_when_heard().await - before;

    assert!(first.await.is_ok());
    // The lists keep their places.
    assert!(forgotten < crowded / 4, "{forgotten} of {crowded}");
    assert!(patient.try_recv().is_err(), "it still waits");
    let (subscriber, mut events) = Subscriber::channel();
    host.subscribe(subscriber);
    gates[1].open();
    let reports = patient.await.expect("an answer").expect("is not refused");
    assert!(reports.iter().all(Report::success));
    for scope in [Scope::All, Scope::user("last")] {
        let report = next_report(&mut events, |_| true).await;
        assert_eq!((report.scope, report.trigger), (scope, Trigger::Manual));
    }
}

// ---- Rejected rows

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_rejected_rows_keep_the_heap_flat() {
    let _alone = ALONE.lock().await;
    let counting_job = CountingJob {
        refused: 1_000,
        ..CountingJob::new(100, 0)
    };
    let asked_to_leave_out = counting_job.left_out.clone();
    let host = Host::start(counting_job).await;
    let (subscriber, mut events) = Subscriber::channel();
    host.subscribe(subscriber);

    let report = host.run().await;
    let status = host.status().await;
    let next = next_report(&mut events, |next| next.run != report.run).await;

    assert_eq!(report.rejected_count, 100_000);
    assert_eq!(report.rejected.len(), 100);
    assert_eq!(status.rejected, 1_000);
    assert_eq!(asked_to_leave_out.load(Ordering::SeqCst), 1_000);
    // Rows rejected alike fail the run, which is retried with backoff and not for each deadline.
    assert_eq!(next.trigger, Trigger::Retry);
}

// ---- Helpers

/// A job whose runs are as long as is wanted: of so many batches, each with so many rows.
struct CountingJob {
    batches: i64,
    rows: u32,
    /// Rejected rows of each batch.
    refused: u32,
    /// Most rows that a forecast was given to leave out.
    left_out: Arc<AtomicUsize>,
}

impl CountingJob {
    fn new(batches: i64, rows: u32) -> Self {
        Self {
            batches,
            rows,
            refused: 0,
            left_out: Arc::default(),
        }
    }
}

const COUNTING_JOB: JobName = JobName::new("counting-job");

#[async_trait]
impl Job for CountingJob {
    fn name(&self) -> JobName {
        COUNTING_JOB
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        Ok(RunBounds::new(DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH))
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        // As a database would be waited for, so that others have their turn.
        tokio::task::yield_now().await;
        let number = request
            .after
            .as_ref()
            .map_or(1, |last| last.since().timestamp() + 1);
        let refused = |row| RejectedRow {
            id: format!("{number}-{row}"),
            error: "an invoice needs it".to_owned(),
        };
        let ids = (0..self.rows).map(|row| format!("{number}-{row}"));
        let next_cursor = DateTime::from_timestamp(number, 0)
            .filter(|_| number < self.batches)
            .map(|since| Cursor::new(since, String::new()));
        let batch = Batch::new(ids.collect(), next_cursor)
            .with_rejected((0..self.refused).map(refused).collect());
        Ok(batch.with_count("rows", self.rows.into()))
    }

    async fn preview(&self, _: &Scope, _: &Page) -> Result<PreviewRows, JobError> {
        Ok(PreviewRows::none(DateTime::UNIX_EPOCH))
    }

    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        self.left_out.fetch_max(rejected.len(), Ordering::SeqCst);
        let next_due = (self.refused > 0).then_some(Duration::ZERO);
        Ok(Forecast::default().with_next_due(next_due))
    }
}

/// A housekeeper with one job, in runs that messages ask for, without a pause.
struct Host(ActorRef<HousekeeperMsg>);

impl Host {
    async fn start(job: impl Job) -> Self {
        let mut config = HousekeeperConfig::default();
        config.job.schedule.at_start = false;
        config.job.pace = Pace::full_speed();
        // Longer than a test holds a batch.
        config.job.step_timeout = Duration::from_secs(600);
        let clock = ManualClock::new(DateTime::<Utc>::UNIX_EPOCH);
        let arguments = HousekeeperArguments::new(vec![Arc::new(job)])
            .with_clock(clock)
            .with_config(config);
        Self(
            start(None, arguments)
                .await
                .expect("it starts")
                .housekeeper
                .into(),
        )
    }

    fn subscribe(&self, subscriber: Subscriber) {
        self.0
            .cast(HousekeeperMsg::Subscribe(subscriber))
            .expect("it runs");
    }

    async fn run(&self) -> Report {
        let report = call!(self.0, HousekeeperMsg::RunNow, COUNTING_JOB, Scope::All);
        report.expect("it runs").expect("is not refused")
    }

    fn ask(&self, scope: Scope) -> oneshot::Receiver<Result<Report, RequestError>> {
        let (reply, answer) = oneshot::channel();
        let run_now = HousekeeperMsg::RunNow(COUNTING_JOB, scope, reply.into());
        self.0.cast(run_now).expect("it runs");
        answer
    }

    fn ask_all(&self) -> oneshot::Receiver<Result<Vec<Report>, RequestError>> {
        let (reply, answer) = oneshot::channel();
        let run_all = HousekeeperMsg::RunAll(reply.into());
        self.0.cast(run_all).expect("it runs");
        answer
    }

    /// The bytes alive once all earlier requests are answered.
    async fn heap_when_heard(&self) -> usize {
        self.status().await;
        HEAP.current_usage()
    }

    async fn status(&self) -> JobStatus {
        let status = call!(self.0, HousekeeperMsg::Status).expect("it runs");
        status.jobs[&COUNTING_JOB].clone()
    }
}

fn drain(events: &mut UnboundedReceiver<Delivery>) -> Vec<Delivery> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

fn ids(event: &Delivery) -> usize {
    match &*event.event {
        Event::BatchCommitted { ids, .. } => ids.len(),
        _ => 0,
    }
}

/// An actor that subscribes, and is stuck in its first event until it is woken.
struct BlockedSubscriber {
    actor: ActorRef<DeliveryMsg>,
    permits: Arc<Semaphore>,
    /// How many events each event that was read said were missed before it.
    read: UnboundedReceiver<u64>,
    /// Held by the test, the subscription, and each event on its way.
    token: Arc<()>,
}

struct DeliveryMsg(Delivery, Arc<()>);

struct BlockedActor;

impl BlockedSubscriber {
    async fn start() -> Self {
        let permits = Arc::new(Semaphore::new(0));
        let (reads, read) = unbounded_channel();
        let started = Actor::spawn(None, BlockedActor, (permits.clone(), reads)).await;
        Self {
            actor: started.expect("it starts").0,
            permits,
            read,
            token: Arc::default(),
        }
    }

    fn subscriber(&self) -> Subscriber {
        let token = self.token.clone();
        Subscriber::actor(&self.actor, move |event| DeliveryMsg(event, token.clone()))
    }

    fn events_alive(&self) -> u64 {
        Arc::strong_count(&self.token) as u64 - 2
    }

    fn wake(&self) {
        self.permits.add_permits(1);
    }

    async fn next_missed(&mut self) -> u64 {
        self.read.recv().await.expect("it reads")
    }
}

type BlockedState = (Arc<Semaphore>, UnboundedSender<u64>);

#[ractor::actor(message = DeliveryMsg, state = BlockedState, arguments = BlockedState)]
impl BlockedActor {
    async fn pre_start(
        &self,
        _: ActorRef<DeliveryMsg>,
        state: BlockedState,
    ) -> Result<BlockedState, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(
        &self,
        _: ActorRef<DeliveryMsg>,
        DeliveryMsg(event, _token): DeliveryMsg,
        (permits, reads): &mut BlockedState,
    ) -> Result<(), ActorProcessingErr> {
        let _awake = permits.acquire().await?;
        Ok(reads.send(event.missed)?)
    }
}

/// A run emits events at its start and its end.
const EVENTS_BESIDE_BATCHES: u64 = 2;

/// So many askers give up.
const TIMED_OUT_CALLERS: usize = 30_000;
