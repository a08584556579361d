//! Several at once on the same rows, counted: nothing is done twice, nothing is lost.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use ractor_housekeeper::Store;
use ractor_housekeeper::store::postgres::PostgresStore;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

use super::{Id, PostgresWorld};
use crate::Verdict;
use crate::rules::{idle_pass, pass};
use crate::world::{World, micro, now};

type Failure = Box<dyn Error + Send + Sync>;
type Ids = BTreeSet<String>;

const ROWS: usize = 5_000;
const GUESTS: usize = 800;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_is_either_confirmed_or_expired() -> Verdict {
    let Some(world) = PostgresWorld::open().await? else {
        return Ok(());
    };
    world
        .sql(&format!(
            "insert into bookings (booking_id, user_id, created_at)
             select 'b' || lpad(n::text, 5, '0'), gen_random_uuid(), '{}' from generate_series(0, {ROWS} - 1) n;
             analyze bookings",
            now() - micro()
        ))
        .await?;
    let start = Arc::new(Barrier::new(4));

    let expiring = [(); 2].map(|()| tokio::spawn(expire(world.store.clone(), start.clone())));
    // One in the order in which bookings expire, several in a transaction; one here and there, each by itself.
    let in_order = (0..ROWS).step_by(4).collect();
    let scattered = (0..ROWS / 4).map(|n| n * 1_999 % ROWS).collect();
    let confirming = [(in_order, 7), (scattered, 1)].map(|(order, group)| {
        tokio::spawn(confirm(world.store.clone(), order, group, start.clone()))
    });
    let (expired, counted) = together(expiring).await?;
    let (confirmed, _) = together(confirming).await?;

    assert!(!expired.is_empty() && !confirmed.is_empty(), "no race");
    assert!(expired.is_disjoint(&confirmed));
    assert_eq!(counted, expired.len(), "each was reported once");
    assert_eq!(expired.len() + confirmed.len(), ROWS);
    for (id, (status, _)) in world.bookings_now().await? {
        let winner = if expired.contains(&id) {
            "Expired"
        } else {
            "Confirmed"
        };
        assert_eq!(status, winner, "{id}");
    }
    println!("{} expired, {} confirmed", expired.len(), confirmed.len());
    Ok(())
}

/// Batches until no booking is Pending; what they said they expired, and how many.
async fn expire(store: PostgresStore, start: Arc<Barrier>) -> Result<(Ids, usize), Failure> {
    let (mut expired, mut counted) = (Ids::new(), 0);
    start.wait().await;
    loop {
        let batch = store.expire_bookings(&pass(now(), 10)).await?;
        counted += usize::try_from(batch.counts.of("bookings"))?;
        let idle = batch.ids.is_empty();
        expired.extend(batch.ids);
        // An empty batch may also mean that others hold all that is left.
        if idle && pending(&store).await? == 0 {
            return Ok((expired, counted));
        }
    }
}

async fn pending(store: &PostgresStore) -> Result<usize, Failure> {
    let mut conn = store.pool().get().await?;
    let left: Vec<Id> =
        diesel::sql_query("select booking_id as id from bookings where status = 'Pending' limit 1")
            .load(&mut conn)
            .await?;
    Ok(left.len())
}

/// As a host confirms: only what is still Pending, and it reads the answer.
async fn confirm(
    store: PostgresStore,
    order: Vec<usize>,
    group: usize,
    start: Arc<Barrier>,
) -> Result<(Ids, usize), Failure> {
    let mut conn = store.pool().get().await?;
    let mut confirmed = Ids::new();
    start.wait().await;
    for group in order.chunks(group) {
        conn.batch_execute("begin").await?;
        for number in group {
            let won: Vec<Id> = diesel::sql_query(
                "update bookings set status = 'Confirmed' where booking_id = $1 and status = 'Pending' returning booking_id as id",
            )
            .bind::<Text, _>(format!("b{number:05}"))
            .load(&mut conn)
            .await?;
            confirmed.extend(won.into_iter().map(|row| row.id));
        }
        conn.batch_execute("commit").await?;
    }
    let count = confirmed.len();
    Ok((confirmed, count))
}

/// Two sessions of each guest are idle; two clean up while two let every guest write once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_committed_before_the_deletion_saves_the_session() -> Verdict {
    let Some(world) = PostgresWorld::open().await? else {
        return Ok(());
    };
    let cutoff = now();
    world
        .sql(&format!(
            "insert into sessions (id, user_id, created_at)
             select format('s%s-%s', lpad(n::text, 5, '0'), half), lpad(n::text, 32, '0')::uuid, '{}'::timestamptz - n * interval '1 ms'
             from generate_series(0, {GUESTS} - 1) n, generate_series(1, 2) half;
             analyze sessions;
             -- Looks once more when a row really goes: was there a committed message by then?
             create table wrongly_deleted (id text);
             create function look_again() returns trigger language plpgsql as $$ begin
                 insert into wrongly_deleted select old.id where exists (
                     select from messages where user_id = old.user_id and sender = 'user' and timestamp >= '{cutoff}');
                 return old;
             end $$;
             create trigger look_again before delete on sessions for each row execute function look_again()",
            cutoff - micro()
        ))
        .await?;
    let start = Arc::new(Barrier::new(4));
    let over = Arc::new(AtomicBool::new(false));

    let cleaning =
        [(); 2].map(|()| tokio::spawn(clean(world.store.clone(), start.clone(), over.clone())));
    // The oldest go first: one guest after the other in that order, and here and there.
    let oldest_first = (0..GUESTS).rev().step_by(2).collect();
    let scattered = (0..GUESTS / 2)
        .map(|n| n * 397 % (GUESTS / 2) * 2)
        .collect();
    let writing = [oldest_first, scattered]
        .map(|order| tokio::spawn(write(world.store.clone(), order, start.clone())));
    let (saved, _) = together(writing).await?;
    over.store(true, Ordering::SeqCst);
    let (deleted, counted) = together(cleaning).await?;

    assert!(!saved.is_empty() && !deleted.is_empty(), "no race");
    assert_eq!(counted, deleted.len(), "each was reported once");
    assert_eq!(world.count("wrongly_deleted").await?, 0);
    let left: Ids = world.sessions_left().await?.into_iter().collect();
    assert_eq!(left, saved, "who saw a session after writing keeps it");
    assert!(left.is_disjoint(&deleted));
    assert_eq!(left.len() + deleted.len(), 2 * GUESTS);
    println!("{} deleted, {} saved", deleted.len(), saved.len());
    Ok(())
}

/// Batches until nobody writes any more and nothing is left to do.
async fn clean(
    store: PostgresStore,
    start: Arc<Barrier>,
    over: Arc<AtomicBool>,
) -> Result<(Ids, usize), Failure> {
    let (mut deleted, mut counted) = (Ids::new(), 0);
    start.wait().await;
    loop {
        let last = AtomicBool::load(&over, Ordering::SeqCst);
        let batch = store.delete_idle_sessions(&idle_pass(now(), 10)).await?;
        counted += usize::try_from(batch.counts.of("sessions"))?;
        let idle = batch.ids.is_empty();
        deleted.extend(batch.ids);
        if idle && last {
            return Ok((deleted, counted));
        }
    }
}

/// Each guest writes at the cutoff, and looks for the sessions in the same transaction.
async fn write(
    store: PostgresStore,
    order: Vec<usize>,
    start: Arc<Barrier>,
) -> Result<(Ids, usize), Failure> {
    let mut conn = store.pool().get().await?;
    let mut saved = Ids::new();
    start.wait().await;
    for guest in order {
        conn.batch_execute(&format!(
            "begin; insert into messages (id, user_id, sender, timestamp) values ('m{guest}', lpad('{guest}', 32, '0')::uuid, 'user', '{}')",
            now()
        ))
        .await?;
        let seen: Vec<Id> =
            diesel::sql_query("select id from sessions where user_id = lpad($1, 32, '0')::uuid")
                .bind::<Text, _>(guest.to_string())
                .load(&mut conn)
                .await?;
        conn.batch_execute("commit").await?;
        saved.extend(seen.into_iter().map(|row| row.id));
    }
    let count = saved.len();
    Ok((saved, count))
}

/// What two tasks did. No row is in both.
async fn together(
    tasks: [JoinHandle<Result<(Ids, usize), Failure>>; 2],
) -> Result<(Ids, usize), Box<dyn Error>> {
    let (mut all, mut count) = (Ids::new(), 0);
    for task in tasks {
        let (ids, counted) = task.await?.map_err(|error| error.to_string())?;
        assert!(all.is_disjoint(&ids), "a row was handled twice");
        all.extend(ids);
        count += counted;
    }
    Ok((all, count))
}
