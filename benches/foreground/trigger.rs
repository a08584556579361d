//! Cost of the activity trigger for inserts of messages in lively chats.

use std::time::{Duration, Instant};

use tokio_postgres::NoTls;

use crate::requests::Request;
use crate::rows;
use crate::support::Result;
use crate::support::database::Database;
use crate::support::figures::{Bound, target};
use crate::support::job::Job;

/// With and without in turn, on the same sessions.
pub(crate) async fn cost(database: &mut Database, rounds: usize, length: Duration) -> Result<()> {
    rows::fill(database, Job::Sessions, CHATS).await?;
    let (mut throughput, mut wal) = (Vec::new(), Vec::new());
    for round in 0..rounds.max(3) {
        let (mut with, mut without) = (None, None);
        for trigger in [round % 2 == 0, round % 2 != 0] {
            let word = if trigger { "enable" } else { "disable" };
            database
                .execute(&format!(
                    "truncate messages; alter table messages {word} trigger housekeeper_note_activity"
                ))
                .await?;
            database.settle().await?;
            let seen = inserts(database, length).await?;
            *(if trigger { &mut with } else { &mut without }) = Some(seen);
        }
        let (Some(with), Some(without)) = (with, without) else {
            return Err("both take their turn".into());
        };
        throughput.push(with.throughput / without.throughput);
        wal.push(with.wal / without.wal);
    }
    database
        .execute("alter table messages enable trigger housekeeper_note_activity")
        .await?;
    println!();
    let of =
        |what: &str| format!("trigger on messages, lively chats, with against without: {what}");
    target(&of("inserts/s"), Bound::AtLeast(0.9), "x", &throughput);
    target(&of("WAL an insert"), Bound::AtMost(1.2), "x", &wal);
    Ok(())
}

struct Seen {
    /// Inserts a second.
    throughput: f64,
    /// Bytes of WAL an insert.
    wal: f64,
}

/// Clients that insert one message after the other, each committed by itself.
async fn inserts(database: &mut Database, length: Duration) -> Result<Seen> {
    let url = database.url()?.to_owned();
    let position = "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint as value";
    let before = database.number(position).await?;
    let began = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        clients.push(tokio::spawn(async move {
            let statement = client.prepare(Request::Message.statement()).await?;
            let mut inserted = 0_u32;
            while began.elapsed() < length {
                let chat = Request::Message.place(0, CHATS, None);
                client.execute(&statement, &[&i64::try_from(chat)?]).await?;
                inserted += 1;
            }
            Result::Ok(inserted)
        }));
    }
    let mut inserted = 0;
    for client in clients {
        inserted += client.await??;
    }
    let took = began.elapsed();
    let written = database.number(position).await? - before;
    #[expect(clippy::cast_precision_loss, reason = "a few gigabytes at most")]
    let wal = written as f64 / f64::from(inserted);
    Ok(Seen {
        throughput: f64::from(inserted) / took.as_secs_f64(),
        wal,
    })
}

/// Sessions of guests who write again and again, and a few idle ones.
const CHATS: u64 = 200;

const CLIENTS: usize = 4;
