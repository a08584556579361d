//! One suite over every outbox.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use diesel_async::SimpleAsyncConnection;
use ractor_housekeeper::model::{
    Claim, Claimed, EntryId, Outbox, OutboxEntry, ParkedPage, RefusedEntry, Settlement,
    WhichEntries,
};
use ractor_housekeeper::testing::{ManualClock, MemoryOutbox};
use uuid::Uuid;

use crate::TestResult;
use crate::world::now;

const RULE: &str = "expirer";
const ME: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

/// An outbox with a clock in the test's hands.
struct World {
    outbox: Arc<dyn Outbox>,
    writer: Box<dyn Writer>,
    clock: ManualClock,
}

#[async_trait]
trait Writer: Send + Sync {
    /// Writes an entry that is due at once.
    async fn write(&self, rule: &str, key: &str, clock: &ManualClock) -> TestResult;

    /// Runs statements. Returns false without a database.
    async fn sql(&self, _: &str) -> TestResult<bool> {
        Ok(false)
    }
}

#[async_trait]
impl Writer for MemoryOutbox {
    async fn write(&self, rule: &str, key: &str, _: &ManualClock) -> TestResult {
        MemoryOutbox::write(self, rule.to_owned(), "orders", key, r#"{"n":1}"#);
        Ok(())
    }
}

#[cfg(feature = "sqlite")]
#[async_trait]
impl Writer for crate::sqlite::SqliteUnderTest {
    async fn write(&self, rule: &str, key: &str, clock: &ManualClock) -> TestResult {
        use ractor_housekeeper::time::Clock;
        let at = clock.now().timestamp_micros();
        let insert = format!(
            r#"insert into housekeeper_outbox (rule, topic, key, at, due_at, payload) values ('{rule}', 'orders', '{key}', {at}, {at}, '{{"n":1}}')"#
        );
        self.sql(&insert).await.map(drop)
    }

    async fn sql(&self, sql: &str) -> TestResult<bool> {
        let mut conn = self.store.pool().get().await.map_err(|e| e.to_string())?;
        conn.batch_execute(sql).await?;
        Ok(true)
    }
}

#[cfg(feature = "postgres")]
#[async_trait]
impl Writer for crate::postgres::PostgresUnderTest {
    async fn write(&self, rule: &str, key: &str, clock: &ManualClock) -> TestResult {
        use ractor_housekeeper::time::Clock;
        let at = clock.now().to_rfc3339();
        let insert = format!(
            r#"insert into housekeeper_outbox (rule, topic, key, at, due_at, payload) values ('{rule}', 'orders', '{key}', '{at}', '{at}', '{{"n":1}}')"#
        );
        self.sql(&insert).await.map(drop)
    }

    async fn sql(&self, sql: &str) -> TestResult<bool> {
        let mut conn = self.store.pool().get().await.map_err(|e| e.to_string())?;
        conn.batch_execute(sql).await?;
        Ok(true)
    }
}

impl World {
    #[expect(
        clippy::unused_async,
        reason = "as the outboxes of databases are opened"
    )]
    async fn memory() -> TestResult<Option<Self>> {
        let clock = ManualClock::frozen(now());
        let outbox = MemoryOutbox::new().with_clock(Arc::new(clock.clone()));
        Ok(Some(Self {
            outbox: Arc::new(outbox.clone()),
            writer: Box::new(outbox),
            clock,
        }))
    }

    #[cfg(feature = "sqlite")]
    async fn sqlite() -> TestResult<Option<Self>> {
        let clock = ManualClock::frozen(now());
        let mut world = crate::sqlite::SqliteUnderTest::empty().await?;
        world.store = world.store.with_clock(Arc::new(clock.clone()));
        world
            .store
            .migrate(&[ractor_housekeeper::store::Schema::Outbox])
            .await?;
        Ok(Some(Self {
            outbox: Arc::new(world.store.clone()),
            writer: Box::new(world),
            clock,
        }))
    }

    #[cfg(feature = "postgres")]
    async fn postgres() -> TestResult<Option<Self>> {
        let clock = ManualClock::frozen(now());
        let Some(mut world) = crate::postgres::PostgresUnderTest::empty()? else {
            return Ok(None);
        };
        world.store = world.store.with_clock(Arc::new(clock.clone()));
        world
            .store
            .migrate(&[ractor_housekeeper::store::Schema::Outbox])
            .await?;
        Ok(Some(Self {
            outbox: Arc::new(world.store.clone()),
            writer: Box::new(world),
            clock,
        }))
    }

    async fn write(&self, keys: &[&str]) -> TestResult {
        for key in keys {
            self.writer.write(RULE, key, &self.clock).await?;
        }
        Ok(())
    }

    async fn claim_as(&self, owner: Uuid, limit: u32) -> TestResult<Claimed> {
        Ok(self.outbox.claim(&claim(owner, limit)).await?)
    }

    async fn claim(&self, limit: u32) -> TestResult<Vec<OutboxEntry>> {
        Ok(self.claim_as(ME, limit).await?.entries)
    }

    async fn acknowledge(&self, ids: Vec<EntryId>) -> TestResult {
        let settlement = Settlement {
            acknowledged: ids,
            ..Settlement::default()
        };
        Ok(self.outbox.settle(ME, &settlement).await?)
    }

    async fn refuse(
        &self,
        id: EntryId,
        attempts: u32,
        again_after: Option<Duration>,
    ) -> TestResult {
        let refused = RefusedEntry {
            id,
            attempts,
            error: Some(format!("no {attempts}\0")),
            again_after,
        };
        let settlement = Settlement {
            refused: vec![refused],
            ..Settlement::default()
        };
        Ok(self.outbox.settle(ME, &settlement).await?)
    }
}

fn claim(owner: Uuid, limit: u32) -> Claim {
    Claim {
        rule: RULE.into(),
        owner,
        limit: limit.try_into().expect("is not zero"),
        lease: MINUTE,
        max_wait: Duration::from_secs(600),
        in_order_of_key: false,
    }
}

fn keys(entries: &[OutboxEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.key.as_str()).collect()
}

const MINUTE: Duration = Duration::from_secs(60);

async fn entries_come_in_the_order_of_writing(world: &World) -> TestResult {
    world.write(&["c", "a", "b"]).await?;
    world.writer.write("another", "x", &world.clock).await?;

    let first = world.claim_as(ME, 2).await?;
    let second = world.claim_as(ME, 2).await?;

    assert_eq!(keys(&first.entries), ["c", "a"]);
    assert_eq!(first.next_due, Some(Duration::ZERO));
    assert_eq!(keys(&second.entries), ["b"]);
    assert_eq!(second.next_due, Some(MINUTE));
    let entry = &first.entries[0];
    assert_eq!((entry.topic.as_str(), entry.attempts), ("orders", 0));
    assert_eq!(entry.at, now());
    assert_eq!(entry.read::<serde_json::Value>()?["n"], 1);
    Ok(())
}

async fn a_leased_entry_is_with_one_courier_until_the_lease_ends(world: &World) -> TestResult {
    world.write(&["a"]).await?;

    let mine = world.claim(9).await?;
    let theirs = world.claim_as(OTHER, 9).await?;
    world.clock.advance_wall(TimeDelta::seconds(60));
    let later = world.claim_as(OTHER, 9).await?;
    world.refuse(mine[0].id, 1, Some(Duration::ZERO)).await?;
    let mine_again = world.claim(9).await?;

    assert_eq!((keys(&mine), keys(&theirs.entries)), (vec!["a"], vec![]));
    assert_eq!(theirs.next_due, Some(MINUTE));
    // A lease that ran out counts as an attempt, and its owner has no say any more.
    assert_eq!(later.entries[0].attempts, 1);
    assert_eq!(keys(&mine_again), [""; 0]);
    world.acknowledge(vec![mine[0].id, mine[0].id]).await?;
    world.acknowledge(vec![mine[0].id]).await?;
    assert_eq!(world.outbox.counts(&RULE.into()).await?.waiting.count, 0);
    Ok(())
}

async fn a_refused_entry_comes_again_when_its_wait_is_over(world: &World) -> TestResult {
    world.write(&["a", "b"]).await?;
    let claimed = world.claim(9).await?;

    world.refuse(claimed[0].id, 1, Some(2 * MINUTE)).await?;
    world.acknowledge(vec![claimed[1].id]).await?;
    let early = world.claim_as(ME, 9).await?;
    world.clock.advance_wall(TimeDelta::seconds(120));
    let late = world.claim(9).await?;

    assert_eq!(keys(&early.entries), [""; 0]);
    assert_eq!(early.next_due, Some(2 * MINUTE));
    assert_eq!((keys(&late), late[0].attempts), (vec!["a"], 1));
    let counts = world.outbox.counts(&RULE.into()).await?;
    assert_eq!((counts.waiting.count, counts.failing.count), (1, 1));
    assert_eq!(counts.oldest, Some(2 * MINUTE));
    Ok(())
}

async fn entries_of_a_clock_that_was_set_back_are_due(world: &World) -> TestResult {
    world.write(&["leased", "refused"]).await?;
    let claimed = world.claim(9).await?;
    world.refuse(claimed[1].id, 1, Some(9 * MINUTE)).await?;
    world.write(&["fresh"]).await?;

    // Within the longest wait, all are as they would be.
    world
        .clock
        .advance_wall(TimeDelta::seconds(1) - TimeDelta::minutes(1));
    let soon = world.claim_as(OTHER, 9).await?.entries;
    world.clock.advance_wall(TimeDelta::minutes(-20));
    let mut due = world.claim_as(OTHER, 9).await?.entries;
    due.extend(world.claim_as(OTHER, 9).await?.entries);
    world
        .acknowledge(due.iter().map(|entry| entry.id).collect())
        .await?;
    // A lease may be longer than this courier knows, but not by more than a day.
    let mut later = world.claim_as(OTHER, 9).await?.entries;
    world.clock.advance_wall(TimeDelta::days(-2));
    later.extend(world.claim_as(OTHER, 9).await?.entries);
    later.extend(world.claim_as(OTHER, 9).await?.entries);

    assert_eq!(keys(&soon), [""; 0]);
    assert_eq!(keys(&due), ["refused", "fresh"]);
    assert_eq!(keys(&later), ["leased"]);
    Ok(())
}

async fn a_parked_entry_waits_until_it_is_asked_for(world: &World) -> TestResult {
    world.write(&["a", "b", "c"]).await?;
    let rule = RULE.into();
    for entry in world.claim(9).await? {
        world.refuse(entry.id, 3, None).await?;
    }
    world.clock.advance_wall(TimeDelta::seconds(60));

    let none = world.claim(9).await?;
    let page = ParkedPage {
        size: 2.try_into()?,
        ..ParkedPage::default()
    };
    let first = world.outbox.parked(&rule, &page).await?;
    let after = first.last().map(|parked| parked.entry.id);
    let second = world
        .outbox
        .parked(&rule, &ParkedPage { after, ..page })
        .await?;
    let [a, b] = [first[0].entry.id, first[1].entry.id];
    let counts = world.outbox.counts(&rule).await?;
    let redelivered = world
        .outbox
        .redeliver(&rule, &WhichEntries::These(vec![a, EntryId(99)]))
        .await?;
    let discarded = world
        .outbox
        .discard(&rule, &WhichEntries::These(vec![b, b]))
        .await?;
    let again = world.claim(9).await?;
    let rest = world.outbox.redeliver(&rule, &WhichEntries::All).await?;
    let none_left = world.outbox.discard(&rule, &WhichEntries::All).await?;

    assert_eq!(keys(&none), [""; 0]);
    assert_eq!((counts.waiting.count, counts.parked.count), (0, 3));
    assert_eq!((first.len(), second.len()), (2, 1));
    assert_eq!((first[0].entry.attempts, first[0].parked_at), (3, now()));
    let error = first[0].error.as_deref();
    assert!(
        error.is_some_and(|error| error.starts_with("no 3")),
        "{error:?}"
    );
    assert_eq!((redelivered, discarded, rest, none_left), (1, 1, 1, 0));
    assert_eq!((keys(&again), again[0].attempts), (vec!["a"], 0));
    Ok(())
}

async fn released_entries_are_due_at_once_without_an_attempt(world: &World) -> TestResult {
    world.write(&["a", "b"]).await?;
    world.claim(1).await?;
    world.claim_as(OTHER, 1).await?;

    let released = world.outbox.release(&RULE.into(), ME).await?;
    let again = world.claim(9).await?;

    assert_eq!(released, 1);
    assert_eq!((keys(&again), again[0].attempts), (vec!["a"], 0));
    Ok(())
}

async fn in_order_of_key_one_entry_of_a_key_is_out_at_a_time(world: &World) -> TestResult {
    world.write(&["a", "b", "a", "a"]).await?;
    let ordered = Claim {
        in_order_of_key: true,
        ..claim(ME, 9)
    };

    let first = world.outbox.claim(&ordered).await?.entries;
    let none = world.outbox.claim(&ordered).await?.entries;
    world.refuse(first[0].id, 1, Some(MINUTE)).await?;
    world.acknowledge(vec![first[1].id]).await?;
    let still_none = world.outbox.claim(&ordered).await?.entries;
    world.clock.advance_wall(TimeDelta::seconds(60));
    let second = world.outbox.claim(&ordered).await?.entries;
    world.refuse(second[0].id, 2, None).await?;
    let third = world.outbox.claim(&ordered).await?.entries;

    assert_eq!((keys(&first), keys(&none)), (vec!["a", "b"], vec![]));
    assert_eq!(keys(&still_none), [""; 0]);
    assert_eq!(second[0].id, first[0].id);
    // Parked entries hold up nothing.
    assert_eq!(keys(&third), ["a"]);
    assert!(third[0].id > first[1].id);
    Ok(())
}

async fn an_entry_that_the_host_keeps_is_parked_alone(world: &World) -> TestResult {
    world.write(&["a", "b", "c", "d"]).await?;
    let kept = "create table mails (entry bigint references housekeeper_outbox (id));
                insert into mails select id from housekeeper_outbox where key = 'b'";
    if !world.writer.sql(kept).await? {
        return Ok(());
    }
    let entries = world.claim(9).await?;
    let settlement = Settlement {
        acknowledged: entries[..3].iter().map(|entry| entry.id).collect(),
        refused: vec![RefusedEntry {
            id: entries[3].id,
            attempts: 1,
            error: None,
            again_after: Some(Duration::ZERO),
        }],
    };

    world.outbox.settle(ME, &settlement).await?;

    let (rule, page) = (RULE.into(), ParkedPage::default());
    let parked = world.outbox.parked(&rule, &page).await?;
    assert_eq!(keys(&world.claim(9).await?), ["d"]);
    assert_eq!((parked.len(), parked[0].entry.key.as_str()), (1, "b"));
    let error = parked[0].error.clone().unwrap_or_default().to_lowercase();
    let is_named = error.starts_with("it was acknowledged") && error.contains("foreign key");
    assert!(is_named, "{error}");
    Ok(())
}

async fn an_empty_outbox_has_no_oldest_entry(world: &World) -> TestResult {
    let before = world.outbox.counts(&RULE.into()).await?;
    world.write(&["a"]).await?;
    let parked = world.claim(9).await?.remove(0);
    world.refuse(parked.id, 1, None).await?;
    let after = world.outbox.counts(&RULE.into()).await?;

    assert_eq!((before.waiting.count, before.oldest), (0, None));
    assert_eq!((after.parked.count, after.oldest), (1, None));
    Ok(())
}

macro_rules! outboxes {
    ($($module:ident: $open:expr;)*) => {
        $(outboxes!(@one $module $open,
            entries_come_in_the_order_of_writing
            a_leased_entry_is_with_one_courier_until_the_lease_ends
            a_refused_entry_comes_again_when_its_wait_is_over
            entries_of_a_clock_that_was_set_back_are_due
            a_parked_entry_waits_until_it_is_asked_for
            released_entries_are_due_at_once_without_an_attempt
            in_order_of_key_one_entry_of_a_key_is_out_at_a_time
            an_entry_that_the_host_keeps_is_parked_alone
            an_empty_outbox_has_no_oldest_entry
        );)*
    };
    (@one $module:ident $open:expr, $($case:ident)*) => {
        mod $module {
            use super::World;
            $(#[tokio::test]
            async fn $case() -> crate::TestResult {
                match $open.await? {
                    Some(world) => super::$case(&world).await,
                    None => Ok(()),
                }
            })*
        }
    };
}

outboxes! {
    in_memory: World::memory();
}
#[cfg(feature = "sqlite")]
outboxes! {
    on_sqlite: World::sqlite();
}
#[cfg(feature = "postgres")]
outboxes! {
    on_postgres: World::postgres();
}
