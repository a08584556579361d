//! Couriers: what a rule hands on reaches its receiver, whatever fails.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ractor_housekeeper::actors::{AskError, Destination, HousekeeperRef, Refusal, ignore_reply};
use ractor_housekeeper::config::{BackoffConfig, CourierConfig, DeliveryOrder};
use ractor_housekeeper::job::{
    Batch, BatchRequest, Forecast, JobError, Page, PreviewRows, RunBounds,
};
use ractor_housekeeper::model::{
    Claim, Claimed, CourierState, CourierStatus, DeliveryEnd, EntryId, Event, Outbox, OutboxCounts,
    OutboxEntry, ParkedEntry, ParkedPage, Settlement, StoreError, WhichEntries,
};
use ractor_housekeeper::testing::{
    FaultyReceiver, ManualClock, MemoryOutbox, ReceiverFault, next_event,
};
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperMsg, Job, JobName, RequestError, Scope, Subscriber, start,
};
use tokio::time::Instant;
use uuid::Uuid;

const RULE: &str = "expirer";

/// An outbox in memory under a courier.
struct World {
    outbox: Unreliable,
    receiver: FaultyReceiver,
    housekeeper: HousekeeperRef,
    events: tokio::sync::mpsc::UnboundedReceiver<ractor_housekeeper::actors::Delivery>,
}

/// An outbox whose steps fail or panic on request, and are counted.
#[derive(Clone)]
struct Unreliable {
    inner: MemoryOutbox,
    faults: Arc<Mutex<Vec<(&'static str, Broken)>>>,
    claims: Arc<AtomicU32>,
}

#[derive(Clone, Copy, PartialEq)]
enum Broken {
    Fails,
    Panics,
}

impl Unreliable {
    fn next(&self, step: &'static str, broken: Broken) {
        self.faults.lock().expect("no panic").push((step, broken));
    }

    fn step(&self, step: &'static str) -> Result<(), StoreError> {
        let mut faults = self.faults.lock().expect("no panic");
        let Some(place) = faults.iter().position(|(of, _)| *of == step) else {
            return Ok(());
        };
        let (_, broken) = faults.remove(place);
        drop(faults);
        match broken {
            Broken::Fails => Err(StoreError::Schema(format!("{step} fails"))),
            Broken::Panics => panic!("the planned panic of {step}"),
        }
    }

    fn write(&self, keys: &[impl AsRef<str>]) -> Vec<EntryId> {
        let ids = keys
            .iter()
            .map(|key| self.inner.write(RULE, "orders", key.as_ref(), "{}"));
        ids.collect()
    }
}

#[async_trait]
impl Outbox for Unreliable {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        self.claims.fetch_add(1, Ordering::Relaxed);
        self.step("claim")?;
        let claimed = self.inner.claim(claim).await?;
        self.step("claimed")?;
        Ok(claimed)
    }
    async fn settle(&self, owner: Uuid, settlement: &Settlement) -> Result<(), StoreError> {
        self.step("settle")?;
        self.inner.settle(owner, settlement).await?;
        self.step("settled")
    }
    async fn release(&self, rule: &JobName, owner: Uuid) -> Result<u64, StoreError> {
        self.inner.release(rule, owner).await
    }
    async fn counts(&self, rule: &JobName) -> Result<OutboxCounts, StoreError> {
        self.inner.counts(rule).await
    }
    async fn parked(
        &self,
        rule: &JobName,
        page: &ParkedPage,
    ) -> Result<Vec<ParkedEntry>, StoreError> {
        self.inner.parked(rule, page).await
    }
    async fn redeliver(&self, rule: &JobName, which: &WhichEntries) -> Result<u64, StoreError> {
        self.inner.redeliver(rule, which).await
    }
    async fn discard(&self, rule: &JobName, which: &WhichEntries) -> Result<u64, StoreError> {
        self.inner.discard(rule, which).await
    }
}

/// A job whose batches hand on the rows in its list.
struct Writer(MemoryOutbox, Arc<Mutex<Vec<&'static str>>>);

#[async_trait]
impl Job for Writer {
    fn name(&self) -> JobName {
        RULE.into()
    }
    fn hands_on(&self) -> bool {
        true
    }
    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        let now = "2026-01-10T12:00:00Z".parse()?;
        Ok(RunBounds::new(now, now))
    }
    async fn batch(&self, _: &BatchRequest) -> Result<Batch, JobError> {
        let keys = std::mem::take(&mut *self.1.lock().expect("no panic"));
        for key in &keys {
            self.0.write(RULE, "orders", *key, "{}");
        }
        Ok(Batch::default().with_count("orders", keys.len() as u64))
    }
    async fn preview(&self, _: &Scope, _: &Page) -> Result<PreviewRows, JobError> {
        Ok(PreviewRows::none("2026-01-10T12:00:00Z".parse()?))
    }
    async fn forecast(&self, _: &[String]) -> Result<Forecast, JobError> {
        Ok(Forecast::default())
    }
}

/// A job of the same name that hands nothing on.
struct Silent(Writer);

#[async_trait]
impl Job for Silent {
    fn name(&self) -> JobName {
        RULE.into()
    }
    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        self.0.begin_run().await
    }
    async fn batch(&self, _: &BatchRequest) -> Result<Batch, JobError> {
        Ok(Batch::default())
    }
    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        self.0.preview(scope, page).await
    }
    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        self.0.forecast(rejected).await
    }
}

impl World {
    async fn new(change: impl FnOnce(&mut CourierConfig)) -> Self {
        Self::with(change, FaultyReceiver::destination).await
    }

    async fn with(
        change: impl FnOnce(&mut CourierConfig),
        destination: impl FnOnce(&FaultyReceiver) -> Destination,
    ) -> Self {
        let clock = ManualClock::new("2026-01-10T12:00:00Z".parse().expect("is an instant"));
        let outbox = Unreliable {
            inner: MemoryOutbox::new().with_clock(Arc::new(clock.clone())),
            faults: Arc::default(),
            claims: Arc::default(),
        };
        let receiver = FaultyReceiver::start().await;
        let mut arguments = HousekeeperArguments::new(Vec::new())
            .with_clock(clock)
            .with_courier(RULE, outbox.clone(), destination(&receiver));
        change(&mut arguments.config.courier);
        let housekeeper = start(None, arguments).await.expect("starts").housekeeper;
        let (subscriber, events) = Subscriber::channel();
        housekeeper.subscribe(subscriber).expect("is up");
        Self {
            outbox,
            receiver,
            housekeeper,
            events,
        }
    }

    async fn status(&self) -> CourierStatus {
        let status = self.housekeeper.status().await.expect("an answer");
        status.couriers[&JobName::from(RULE)].clone()
    }

    /// Waits until the status is as wanted.
    async fn until(&self, wanted: impl Fn(&CourierStatus) -> bool) -> CourierStatus {
        let began = Instant::now();
        loop {
            let status = self.status().await;
            if wanted(&status) {
                return status;
            }
            assert!(began.elapsed() < Duration::from_secs(3_600), "{status:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn delivered(&self) {
        let is_empty = || self.outbox.inner.waiting().is_empty();
        self.until(|_| is_empty()).await;
    }

    fn keys(&self) -> Vec<String> {
        let received = self.receiver.received();
        received.into_iter().map(|entry| entry.key).collect()
    }
}

fn one_at_a_time(config: &mut CourierConfig) {
    config.in_flight = 1.try_into().expect("is not zero");
}

/// The keys of this many entries.
fn numbered(count: u32) -> Vec<String> {
    (0..count).map(|number| format!("{number:03}")).collect()
}

#[tokio::test(start_paused = true)]
async fn entries_are_sent_in_the_order_of_writing_and_deleted() {
    let world = World::new(|_| {}).await;
    let keys = numbered(250);
    let ids = world.outbox.write(&keys);

    let acknowledged = world.receiver.acknowledged(250).await;
    world.delivered().await;

    assert_eq!((acknowledged, world.keys()), (ids, keys));
    let status = world.until(|status| status.acknowledged == 250).await;
    assert_eq!((status.refused, status.problem), (0, None));
    assert_eq!(status.recent.len(), CourierStatus::MAX_RECENT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_begin_in_the_order_of_writing_on_many_threads() {
    let began = Arc::new(Mutex::new(Vec::new()));
    let noted = began.clone();
    let handle = move |entry: OutboxEntry| {
        let noted = noted.clone();
        async move {
            noted.lock().expect("no panic").push(entry.key);
            tokio::task::yield_now().await;
            Ok(())
        }
    };
    let soon = |config: &mut CourierConfig| config.poll_interval = Duration::from_millis(20);
    let world = World::with(soon, |_| Destination::handler(handle)).await;
    let keys = numbered(1_000);
    world.outbox.write(&keys);

    world.delivered().await;

    assert_eq!(*began.lock().expect("no panic"), keys);
}

#[tokio::test(start_paused = true)]
async fn a_refused_entry_comes_again_and_holds_up_no_other() {
    let world = World::new(|_| {}).await;
    world
        .receiver
        .once(1, ReceiverFault::Refuse("no such guest".to_owned()));
    world.receiver.once(4, ReceiverFault::Drop);
    world.outbox.write(&["a", "b", "c"]);

    world.receiver.acknowledged(3).await;
    world.delivered().await;

    assert_eq!(world.keys(), ["a", "b", "c", "a", "a"]);
    let attempts: Vec<u32> = world
        .receiver
        .received()
        .iter()
        .map(|entry| entry.attempts)
        .collect();
    assert_eq!(attempts, [0, 0, 0, 1, 2]);
    let status = world.until(|status| status.acknowledged == 3).await;
    let errors: Vec<&str> = status
        .recent
        .iter()
        .filter_map(|record| match &record.end {
            DeliveryEnd::Refused { error, .. } => Some(error.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(
        errors,
        [
            "the receiver dropped the entry without an answer",
            "no such guest"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_fails_too_often_is_parked_until_redelivered() {
    let mut world =
        World::new(|config| config.max_attempts = 3.try_into().expect("is not zero")).await;
    world
        .receiver
        .always(ReceiverFault::Refuse("no".to_owned()));
    let ids = world.outbox.write(&["a", "b"]);

    for _ in 0..2 {
        next_event(&mut world.events, |event| {
            matches!(event, Event::EntryParked { .. })
        })
        .await;
    }
    let is_parked = |problem: &String| problem.starts_with("2 parked");
    let status = world
        .until(|status| status.problem.as_ref().is_some_and(is_parked))
        .await;
    let parked = world
        .housekeeper
        .parked(RULE, ParkedPage::default())
        .await
        .expect("a page");
    world.receiver.heal();
    let discarded = world
        .housekeeper
        .discard(RULE, WhichEntries::These(vec![ids[1]]))
        .await;
    let redelivered = world.housekeeper.redeliver(RULE, WhichEntries::All).await;
    let acknowledged = world.receiver.acknowledged(1).await;

    assert_eq!((status.parked, status.refused), (2, 6));
    assert_eq!(
        (parked.entries.len(), parked.entries[0].error.as_deref()),
        (2, Some("no"))
    );
    assert_eq!((discarded, redelivered), (Ok(1), Ok(1)));
    assert_eq!(acknowledged, [ids[0]]);
    let unknown = world
        .housekeeper
        .parked("another", ParkedPage::default())
        .await;
    assert!(matches!(
        unknown,
        Err(AskError::Request(RequestError::NoCourier { .. }))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_parked_entries_says_by_whom() {
    let mut world = World::new(|config| config.max_attempts = NonZeroU32::MIN).await;
    world
        .receiver
        .always(ReceiverFault::Refuse("no".to_owned()));
    let ids = world.outbox.write(&["a", "b", "c"]);
    world.until(|status| status.parked == 3).await;
    world.receiver.heal();
    let these = |id: usize| WhichEntries::These(vec![ids[id]]);
    let anna = world.housekeeper.clone().requested_by("anna");

    let unknown = WhichEntries::These(vec![EntryId(99)]);
    let none = anna.redeliver(RULE, unknown).await;
    anna.discard(RULE, these(0)).await.expect("it is discarded");
    // A request without a caller is served as well.
    for message in [
        HousekeeperMsg::Discard(RULE.into(), these(1), ignore_reply()),
        HousekeeperMsg::Redeliver(RULE.into(), WhichEntries::All, ignore_reply()),
    ] {
        let message = message.requested_by("ben");
        world.housekeeper.actor().cast(message).expect("is up");
    }
    let acknowledged = world.receiver.acknowledged(1).await;

    let mut told = Vec::new();
    while told.len() < 3 {
        let event = next_event(&mut world.events, |_| true).await;
        told.extend(match &*event {
            Event::EntriesDiscarded {
                entries,
                requested_by,
                ..
            } => Some(("discarded", *entries, requested_by.clone())),
            Event::EntriesRedelivered {
                entries,
                requested_by,
                ..
            } => Some(("redelivered", *entries, requested_by.clone())),
            _ => None,
        });
    }
    assert_eq!((none, acknowledged), (Ok(0), vec![ids[2]]));
    assert_eq!(
        told,
        [
            ("discarded", 1, Some("anna".into())),
            ("discarded", 1, Some("ben".into())),
            ("redelivered", 1, Some("ben".into())),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_not_there_costs_no_attempt() {
    let named = |entry: OutboxEntry, reply| (entry, reply);
    let world = World::with(|_| {}, |_| Destination::named(NAME, named)).await;
    world.outbox.write(&["a", "b", "c"]);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let waiting = world.status().await;
    let claims = world.outbox.claims.load(Ordering::Relaxed);

    let (actor, handle) = accepting(NAME, Duration::ZERO).await;
    world.delivered().await;

    assert_eq!(waiting.courier, CourierState::Waiting);
    assert_eq!(
        waiting.problem.as_deref(),
        Some("the receiver is not running")
    );
    assert_eq!(waiting.refused, 0);
    // About one each five seconds.
    assert!(claims < 200, "{claims}");
    actor.stop(None);
    handle.await.expect("stops");
}

const NAME: &str = "couriers-accepting";

/// Acknowledges everything, each entry after this time.
struct Accepting(Duration);

async fn accepting(
    name: &str,
    after: Duration,
) -> (ractor::ActorRef<Accepted>, tokio::task::JoinHandle<()>) {
    ractor::Actor::spawn(Some(name.to_owned()), Accepting(after), ())
        .await
        .expect("starts")
}

type Accepted = (OutboxEntry, ractor::RpcReplyPort<Result<(), Refusal>>);

#[ractor::actor(message = Accepted, state = (), arguments = ())]
impl Accepting {
    async fn pre_start(
        &self,
        _: ractor::ActorRef<Accepted>,
        (): (),
    ) -> Result<(), ractor::ActorProcessingErr> {
        Ok(())
    }
    async fn handle(
        &self,
        _: ractor::ActorRef<Accepted>,
        (_, reply): Accepted,
        (): &mut (),
    ) -> Result<(), ractor::ActorProcessingErr> {
        tokio::time::sleep(self.0).await;
        let _ = reply.send(Ok(()));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_panics_costs_its_entry_one_attempt() {
    let world = World::new(|_| {}).await;
    world.receiver.once(2, ReceiverFault::Panic);
    world.outbox.write(&["a", "b", "c", "d"]);

    world.receiver.acknowledged(4).await;
    world.delivered().await;

    let received = world.receiver.received();
    let mut second: Vec<(&str, u32)> = received[2..]
        .iter()
        .map(|entry| (entry.key.as_str(), entry.attempts))
        .collect();
    second.sort_unstable();
    assert_eq!(second, [("b", 1), ("c", 0), ("d", 0)]);
    assert_eq!(world.status().await.refused, 1);
}

#[tokio::test(start_paused = true)]
async fn an_actor_of_another_type_under_the_name_is_named() {
    let name = "couriers-another-type";
    let (actor, _) = accepting(name, Duration::ZERO).await;
    let another = |entry: OutboxEntry, reply| (1, entry, reply);
    let world = World::with(|_| {}, |_| Destination::named(name, another)).await;
    world.outbox.write(&["a"]);

    let status = world.until(|status| status.problem.is_some()).await;

    assert_eq!(
        status.problem.as_deref(),
        Some("the actor of this name takes messages of another type")
    );
    actor.stop(None);
}

#[tokio::test(start_paused = true)]
async fn an_actor_has_the_timeout_for_each_entry_in_its_mailbox() {
    let world = World::new(|_| {}).await;
    world.receiver.once(1, ReceiverFault::Hang);
    world
        .receiver
        .once(2, ReceiverFault::AnswerLate(Duration::from_secs(45)));
    let ids = world.outbox.write(&["a", "b"]);
    let began = Instant::now();

    let acknowledged = world.receiver.acknowledged(2).await;
    world.delivered().await;
    let elapsed = began.elapsed();

    assert!(
        (45..50).contains(&elapsed.as_secs()),
        "the second of two has a minute: {elapsed:?}"
    );
    assert_eq!(acknowledged, [ids[1], ids[0]]);
    let status = world.until(|status| status.acknowledged == 2).await;
    assert_eq!(status.refused, 1);
}

#[tokio::test(start_paused = true)]
async fn an_actor_with_a_long_mailbox_gets_no_repeats() {
    let name = "couriers-slow";
    let (actor, _) = accepting(name, Duration::from_secs(3)).await;
    let named = |entry: OutboxEntry, reply| (entry, reply);
    let world = World::with(|_| {}, |_| Destination::named(name, named)).await;
    let began = Instant::now();
    world.outbox.write(&numbered(200));

    world.delivered().await;

    let status = world.until(|status| status.acknowledged == 200).await;
    let elapsed = began.elapsed();
    assert_eq!(status.refused, 0, "after {elapsed:?}");
    assert!(elapsed < Duration::from_secs(610), "{elapsed:?}");
    actor.stop(None);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_hangs_holds_up_no_other() {
    // Many times, so that one batch may have several.
    let hangs = |entry: &OutboxEntry| entry.key == "hangs";
    let sent = Arc::new(Mutex::new(Vec::new()));
    let noted = sent.clone();
    let handle = move |entry: OutboxEntry| {
        let noted = noted.clone();
        async move {
            noted
                .lock()
                .expect("no panic")
                .push((entry.key.clone(), Instant::now()));
            if hangs(&entry) {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    };
    let world = World::with(|_| {}, |_| Destination::handler(handle)).await;
    world.outbox.write(&["hangs", "hangs"]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let written = Instant::now();

    world.outbox.write(&["a", "b", "hangs", "c"]);
    world.until(|status| status.acknowledged == 3).await;
    let seen = written.elapsed();
    let counted = sent.lock().expect("no panic").len();
    world.outbox.write(&["d"]);
    world.until(|status| status.acknowledged == 4).await;
    let ended = world.until(|status| status.refused >= 3).await;

    // The outbox is written by another process, whose commit does not wake this courier.
    assert!(seen < Duration::from_secs(6), "{seen:?}");
    assert_eq!((counted, ended.problem), (6, None));
    let sent = sent.lock().expect("no panic").clone();
    let others: Vec<&str> = sent
        .iter()
        .map(|(key, _)| key.as_str())
        .filter(|key| *key != "hangs")
        .collect();
    assert_eq!(others, ["a", "b", "c", "d"]);
    // Not before its time is over and its backoff.
    let again = sent.iter().filter(|(key, _)| key == "hangs").nth(3);
    let again = again.map(|(_, at)| at.duration_since(sent[0].1));
    assert!(
        again.is_none_or(|after| after > Duration::from_secs(30)),
        "{again:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_costs_no_more_attempts_than_it_takes() {
    let world = World::new(|config| config.in_flight = 4.try_into().expect("is not zero")).await;
    world.receiver.always(ReceiverFault::Hang);
    world.outbox.write(&numbered(500));

    tokio::time::sleep(Duration::from_secs(600)).await;
    let sent = world.keys().len();
    world.receiver.heal();
    world.delivered().await;

    // Four at first, then one for each half a minute.
    assert!(sent < 4 + 25, "{sent}");
}

#[tokio::test(start_paused = true)]
async fn a_courier_that_crashes_restarts_and_delivers_at_once() {
    for step in ["claim", "claimed", "settle", "settled"] {
        let mut world = World::new(|_| {}).await;
        world.outbox.next(step, Broken::Panics);
        world.outbox.write(&["a", "b"]);
        let began = Instant::now();

        next_event(&mut world.events, |event| {
            matches!(event, Event::CourierRestarted { .. })
        })
        .await;
        world.delivered().await;

        // Not after the lease, which is a minute and a half.
        assert!(
            began.elapsed() < Duration::from_secs(7),
            "{step}: {:?}",
            began.elapsed()
        );
        let repeats = if step == "settle" { 4 } else { 2 };
        assert_eq!(world.keys().len(), repeats, "{step}");
        assert_eq!(world.status().await.restarts, 1, "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outbox_that_fails_is_tried_again_and_repeats_nothing() {
    for step in ["claim", "settle", "settled"] {
        let world = World::new(|_| {}).await;
        for _ in 0..4 {
            world.outbox.next(step, Broken::Fails);
        }
        world.outbox.write(&["a", "b"]);

        world.until(|status| status.problem.is_some()).await;
        world.delivered().await;
        let status = world.until(|status| status.acknowledged == 2).await;

        assert_eq!(world.keys(), ["a", "b"], "{step}");
        assert_eq!((status.restarts, status.refused), (0, 0), "{step}");
        world.until(|status| status.problem.is_none()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_what_is_under_way() {
    let world = World::new(one_at_a_time).await;
    world
        .receiver
        .once(1, ReceiverFault::AnswerLate(Duration::from_secs(10)));
    world.outbox.write(&["a", "b"]);
    world
        .until(|status| matches!(status.courier, CourierState::Delivering { .. }))
        .await;
    let began = Instant::now();

    world.housekeeper.shutdown(Duration::from_secs(60)).await;

    assert!(
        began.elapsed() < Duration::from_secs(11),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(world.keys(), ["a"]);
    // The first is acknowledged, and gone.
    assert_eq!(world.outbox.inner.waiting().len(), 1);
    let left = world
        .outbox
        .inner
        .claim(&claim())
        .await
        .expect("a claim")
        .entries;
    assert_eq!(
        left.iter()
            .map(|entry| (entry.key.as_str(), entry.attempts))
            .collect::<Vec<_>>(),
        [("b", 0)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_with_its_grace() {
    let world = World::new(|_| {}).await;
    world.receiver.always(ReceiverFault::Hang);
    world.outbox.write(&["a"]);
    world
        .until(|status| matches!(status.courier, CourierState::Delivering { .. }))
        .await;
    let began = Instant::now();

    world.housekeeper.shutdown(Duration::from_secs(2)).await;

    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(world.outbox.inner.waiting().len(), 1);
}

fn claim() -> Claim {
    Claim {
        rule: RULE.into(),
        owner: Uuid::nil(),
        limit: 10.try_into().expect("is not zero"),
        lease: Duration::from_secs(60),
        max_wait: Duration::from_secs(600),
        in_order_of_key: false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_in_this_process_wakes_the_courier() {
    let outbox = MemoryOutbox::new();
    let receiver = FaultyReceiver::start().await;
    let rows = Arc::new(Mutex::new(vec!["a"]));
    let mut arguments = HousekeeperArguments::new(Vec::new())
        .with_job(Writer(outbox.clone(), rows.clone()))
        .with_courier(RULE, outbox.clone(), receiver.destination());
    arguments.config.courier.poll_interval = Duration::from_secs(24 * 60 * 60);
    arguments.config.job.schedule.at_start = false;
    let housekeeper = start(None, arguments).await.expect("starts").housekeeper;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();

    housekeeper
        .run_now(RULE, Scope::All)
        .await
        .expect("a report");
    receiver.acknowledged(1).await;

    assert!(
        began.elapsed() < Duration::from_millis(50),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_outbox_costs_its_looks_alone() {
    let world = World::new(|_| {}).await;

    tokio::time::sleep(Duration::from_secs(500)).await;

    let claims = world.outbox.claims.load(Ordering::Relaxed);
    assert!((100..=115).contains(&claims), "{claims}");
}

#[tokio::test(start_paused = true)]
async fn no_more_entries_are_in_flight_than_allowed() {
    let world = World::new(|config| config.in_flight = 3.try_into().expect("is not zero")).await;
    world
        .receiver
        .always(ReceiverFault::AnswerLate(Duration::from_secs(1)));
    world.outbox.write(&numbered(9));
    world
        .until(|status| matches!(status.courier, CourierState::Delivering { .. }))
        .await;

    let first = world.keys().len();
    world.receiver.acknowledged(9).await;

    assert_eq!(first, 3);
}

#[tokio::test(start_paused = true)]
async fn in_order_of_key_a_refused_entry_holds_up_its_key() {
    let world = World::new(|config| config.order = DeliveryOrder::PerKey).await;
    world
        .receiver
        .once(1, ReceiverFault::Refuse("not now".to_owned()));
    world.outbox.write(&["a", "b", "a"]);

    world.receiver.acknowledged(3).await;
    world.delivered().await;

    let received = world.receiver.received();
    let of_a: Vec<i64> = received
        .iter()
        .filter(|entry| entry.key == "a")
        .map(|entry| entry.id.0)
        .collect();
    assert_eq!(of_a, [1, 1, 3]);
}

#[tokio::test(start_paused = true)]
async fn in_order_of_key_an_end_wakes_the_next_of_its_key() {
    let world = World::new(|config| {
        config.order = DeliveryOrder::PerKey;
        config.max_attempts = NonZeroU32::MIN;
    })
    .await;
    world
        .receiver
        .once(2, ReceiverFault::Refuse("no".to_owned()));
    let began = Instant::now();
    world.outbox.write(&["a"; 5]);

    world.receiver.acknowledged(4).await;

    // The first poll, and a pause after the refusal.
    let elapsed = began.elapsed();
    assert!(elapsed < Duration::from_secs(7), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn the_status_counts_while_deliveries_hang() {
    let world = World::new(|config| config.late_after = Duration::from_secs(1)).await;
    world.receiver.always(ReceiverFault::Hang);
    let began = Instant::now();
    world.outbox.write(&numbered(500));

    let is_late = |problem: &String| problem.starts_with("the oldest entry has waited");
    let status = world
        .until(|status| status.problem.as_ref().is_some_and(is_late))
        .await;

    let elapsed = began.elapsed();
    assert!(elapsed < Duration::from_secs(12), "{elapsed:?}");
    let waiting = status.counts.map(|counts| counts.waiting.count);
    assert_eq!(waiting, Some(500));
}

#[tokio::test(start_paused = true)]
async fn the_status_notices_what_another_process_does() {
    let world = World::new(|config| config.max_attempts = NonZeroU32::MIN).await;
    let counts = |status: &CourierStatus| {
        let counts = status.counts;
        counts.map(|counts| (counts.waiting.count, counts.parked.count))
    };
    world
        .receiver
        .always(ReceiverFault::Refuse("no".to_owned()));
    let ids = world.outbox.write(&["a"]);
    world.until(|status| counts(status) == Some((0, 1))).await;
    let mut waits = Vec::new();

    let other = &world.outbox.inner;
    let discarded = other.discard(&RULE.into(), &WhichEntries::All).await;
    for wanted in [(0, 0), (1, 0), (0, 0)] {
        let began = Instant::now();
        world.until(|status| counts(status) == Some(wanted)).await;
        waits.push(began.elapsed());
        if wanted == (0, 0) && waits.len() == 1 {
            other.write(RULE, "orders", "b", "{}");
            other.claim(&claim()).await.expect("a claim");
        } else {
            let acknowledged = other.waiting();
            let settlement = Settlement {
                acknowledged,
                ..Settlement::default()
            };
            let settled = other.settle(Uuid::nil(), &settlement).await;
            settled.expect("it is settled");
        }
    }

    assert_eq!((discarded.ok(), ids.len()), (Some(1), 1));
    let soon = Duration::from_secs(11);
    assert!(waits.iter().all(|wait| *wait < soon), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn an_entry_of_an_unavailable_receiver_lets_others_go_first() {
    let receive = |entry: OutboxEntry| async move {
        match entry.key.as_str() {
            "000" | "001" | "002" => Err(Refusal::unavailable("busy")),
            _ => Ok(()),
        }
    };
    let world = World::with(|_| {}, |_| Destination::handler(receive)).await;
    let began = Instant::now();
    world.outbox.write(&numbered(60));

    world.until(|status| status.acknowledged == 57).await;
    let elapsed = began.elapsed();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let waiting = world.status().await;
    world.outbox.write(&["another"]);
    let written = Instant::now();
    world.until(|status| status.acknowledged == 58).await;

    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    assert_eq!(waiting.problem.as_deref(), Some("busy"));
    let elapsed = written.elapsed();
    assert!(elapsed < Duration::from_secs(11), "{elapsed:?}");
    assert_eq!(world.status().await.refused, 0);
}

#[tokio::test(start_paused = true)]
async fn a_long_refusal_is_cut() {
    let world = World::new(|config| config.max_attempts = NonZeroU32::MIN).await;
    let long = || "no\n".repeat(1_000_000);
    world.receiver.once(1, ReceiverFault::Unavailable(long()));
    world.receiver.once(2, ReceiverFault::Refuse(long()));
    world.outbox.write(&["a"]);

    let busy = world.until(|status| status.problem.is_some()).await;
    let refused = world.until(|status| status.refused == 1).await;
    let page = world.housekeeper.parked(RULE, ParkedPage::default()).await;

    let DeliveryEnd::Parked { error } = &refused.recent[0].end else {
        panic!("{:?}", refused.recent[0].id);
    };
    let page = page.expect("a page");
    let texts = [
        busy.problem.as_deref(),
        Some(error),
        page.entries[0].error.as_deref(),
    ];
    for text in texts {
        let length = text.map(str::len);
        assert!(length.is_some_and(|length| length < 3_000), "{length:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_refuses_all_costs_few_attempts() {
    let world = World::new(|_| {}).await;
    world
        .receiver
        .always(ReceiverFault::Refuse("the mail server is down".to_owned()));
    world.outbox.write(&numbered(1_000));

    tokio::time::sleep(Duration::from_secs(600)).await;
    let sent = world.keys().len();
    world.receiver.heal();
    world.receiver.acknowledged(1_000).await;

    assert!(sent < 350, "{sent}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_fail_panic_or_ask_for_a_pause() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = calls.clone();
    let world = World::with(
        |config| {
            config.backoff = BackoffConfig {
                first: Duration::from_millis(10),
                max: Duration::from_millis(10),
            };
        },
        move |_| {
            Destination::handler(move |entry: OutboxEntry| {
                let call = count.fetch_add(1, Ordering::Relaxed);
                async move {
                    match call {
                        0 => Err("no".into()),
                        1 => panic!("the planned panic of a handler"),
                        2 => {
                            tokio::task::yield_now().await;
                            panic!("{} panics later", entry.key)
                        }
                        3 => Err(Refusal::unavailable("busy")),
                        _ => Ok(()),
                    }
                }
            })
        },
    )
    .await;
    world.outbox.write(&["a"]);

    world.delivered().await;

    let status = world.until(|status| status.acknowledged == 1).await;
    assert_eq!(
        (
            status.refused,
            status.restarts,
            calls.load(Ordering::Relaxed)
        ),
        (3, 0, 5)
    );
}

#[tokio::test]
async fn couriers_are_checked_at_the_start() {
    let receiver = FaultyReceiver::start().await;
    let arguments = || {
        HousekeeperArguments::new(Vec::new()).with_courier(
            RULE,
            MemoryOutbox::new(),
            receiver.destination(),
        )
    };
    let twice = arguments().with_courier(RULE, MemoryOutbox::new(), receiver.destination());
    let mut zero = arguments();
    zero.config.courier.poll_interval = Duration::ZERO;
    let mut unknown = arguments();
    unknown
        .config
        .couriers
        .insert("expierer".into(), CourierConfig::default());

    let errors = [twice, zero, unknown].map(|arguments| async {
        start(None, arguments)
            .await
            .expect_err("is refused")
            .to_string()
    });

    let [twice, zero, unknown] = errors;
    assert_eq!(
        twice.await,
        "two couriers are given for expirer; each rule needs one"
    );
    assert!(zero.await.contains("courier.poll_interval"));
    assert!(
        unknown
            .await
            .contains("couriers.expierer is no courier of this housekeeper, which has expirer")
    );
}

#[tokio::test]
async fn a_rule_and_a_courier_that_miss_each_other_are_named() {
    let receiver = FaultyReceiver::start().await;
    let outbox = MemoryOutbox::new();
    let writer = || Writer(outbox.clone(), Arc::default());
    let started = |arguments: HousekeeperArguments, rule| async move {
        let started = start(None, arguments).await.expect("it starts");
        let housekeeper = started.housekeeper;
        let status = housekeeper.status().await.expect("a status");
        housekeeper.stop(None);
        let advice = &status
            .jobs
            .get(&RULE.into())
            .map(|job| &job.findings.advice);
        let advice = advice.and_then(|advice| Some(advice.first()?.to_string()));
        let courier = status.couriers.get(&JobName::new(rule));
        (advice, courier.and_then(|courier| courier.advice.clone()))
    };
    let courier = |arguments: HousekeeperArguments, rule| {
        arguments.with_courier(rule, outbox.clone(), receiver.destination())
    };
    let with_job = || HousekeeperArguments::new(Vec::new()).with_job(writer());

    let both = started(courier(with_job(), RULE), RULE).await;
    let no_courier = started(with_job(), RULE).await;
    let misspelt = started(courier(with_job(), "expierer"), "expierer").await;
    let silent = HousekeeperArguments::new(Vec::new()).with_job(Silent(writer()));
    let silent = started(courier(silent, RULE), RULE).await;

    let no_courier_advice = "rule `expirer`, hand_on outbox: no courier of this process delivers its \
                             entries: right if another process has it, else add it or check the name";
    assert_eq!(both, (None, None));
    assert_eq!(no_courier, (Some(no_courier_advice.to_owned()), None));
    assert_eq!(misspelt.0.as_deref(), Some(no_courier_advice));
    assert_eq!(
        misspelt.1.as_deref(),
        Some(
            "no rule of this process has this name: right if another process has it, else add it or \
             check the name"
        )
    );
    let silent_advice = "the job of this name hands nothing on to the outbox";
    assert_eq!(silent, (None, Some(silent_advice.to_owned())));
}
