//! Batches whose commit was sent and not confirmed.
//!
//! A connection may break between a COMMIT and its answer, and a caller may give up: the rows may
//! be written, and no report counts them. Before its commit, each batch that wrote is noted here
//! with the number of its transaction. A confirmed commit clears the note. A note that stays is in
//! doubt until the server answers whether the transaction was committed; its rows then join the
//! next batch.
//!
//! Numbers of transactions mean nothing to a server that took over without them. So a server is
//! identified by its start and its timeline, and where another one answers, or the same one
//! after a crash that may have lost commits (`synchronous_commit = off`), the rows are named as in
//! doubt.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::flight::{Flight, Purpose};
use super::{PostgresStore, settle};
use crate::job::{Batch, RejectedRow};
use crate::store::tx_error::TxResult;

/// The notes of one job. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Doubts {
    notes: Arc<Mutex<Notes>>,
    /// Whether a commit waits until a crash cannot lose it, whatever the server's default is.
    durable: bool,
}

#[derive(Default)]
struct Notes {
    numbered: u64,
    open: BTreeMap<u64, Note>,
    answered: Vec<Answered>,
    /// The timelines of the servers that were seen, by their start.
    timelines: BTreeMap<String, String>,
}

/// A batch that is about to be committed.
#[derive(Clone)]
struct Note {
    transaction: i64,
    /// When the server started, which distinguishes it from another one.
    server: String,
    /// Whether a crash of the server may lose it after it was committed.
    may_be_lost: bool,
    batch: Batch,
}

/// A batch of which it is known that it was committed, or that this cannot be known.
struct Answered {
    number: u64,
    is_certain: bool,
    batch: Batch,
}

#[derive(QueryableByName)]
struct Transaction {
    #[diesel(sql_type = Nullable<BigInt>)]
    number: Option<i64>,
    #[diesel(sql_type = Text)]
    server: String,
    #[diesel(sql_type = Text)]
    synchronous_commit: String,
}

#[derive(QueryableByName)]
struct Status {
    /// `committed`, `aborted`, `in progress`, or none if it is too long ago.
    #[diesel(sql_type = Nullable<Text>)]
    status: Option<String>,
}

#[derive(QueryableByName)]
struct Server {
    #[diesel(sql_type = Text)]
    started: String,
    #[diesel(sql_type = Nullable<Text>)]
    timeline: Option<String>,
}

enum Answer {
    Committed,
    RolledBack,
    /// The server still works on the commit.
    Open,
    /// Another server answers, which may not have received the transaction.
    Unknown,
}

impl Doubts {
    pub(super) fn new(durable: bool) -> Self {
        Self {
            durable,
            ..Self::default()
        }
    }

    /// Notes a batch whose transaction is about to be committed, if it wrote.
    pub(super) async fn note(&self, flight: &mut Flight, batch: &Batch) -> TxResult<()> {
        if batch.ids.is_empty() && batch.counts.total() == 0 {
            return Ok(());
        }
        let found: Transaction = diesel::sql_query(TRANSACTION)
            .bind::<Bool, _>(self.durable)
            .get_result(&mut **flight)
            .await?;
        let Some(transaction) = found.number else {
            return Ok(());
        };
        let note = Note {
            transaction,
            server: found.server,
            may_be_lost: found.synchronous_commit == "off",
            batch: batch.clone(),
        };
        let number = {
            let mut notes = self.notes();
            notes.numbered += 1;
            let number = notes.numbered;
            notes.open.insert(number, note);
            number
        };
        let doubts = self.clone();
        flight.on_certain_end(move || drop(doubts.notes().open.remove(&number)));
        Ok(())
    }

    /// Remembers which server this is, to distinguish it from another that takes its place.
    pub(super) async fn see_server(&self, store: &PostgresStore) {
        // A server without these functions is never distinguished from another.
        let _ = self.server(store).await;
    }

    /// Asks whether the batches in doubt were committed. Leaves those that the server still works
    /// on, and all if it cannot be asked.
    pub(super) async fn resolve(&self, store: &PostgresStore) {
        let open: Vec<(u64, Note)> = {
            let notes = self.notes();
            let open = notes.open.iter();
            open.map(|(number, note)| (*number, note.clone())).collect()
        };
        for (number, note) in open {
            let Some(answer) = self.ask(store, &note).await else {
                return;
            };
            if matches!(answer, Answer::Open) {
                continue;
            }
            let rows = note.batch.ids.len();
            let mut notes = self.notes();
            // Another worker's step may have asked as well.
            if notes.open.remove(&number).is_none() {
                continue;
            }
            let (is_certain, batch) = match answer {
                Answer::Committed => {
                    tracing::info!(
                        batch.rows = rows,
                        "a commit that was not confirmed has succeeded: its rows are reported now"
                    );
                    (true, note.batch)
                }
                Answer::Unknown => {
                    tracing::warn!(
                        batch.rows = rows,
                        "a commit that was not confirmed stays in doubt: its server is gone"
                    );
                    (false, in_doubt(note.batch))
                }
                Answer::RolledBack | Answer::Open => continue,
            };
            notes.answered.push(Answered {
                number,
                is_certain,
                batch,
            });
        }
    }

    /// Whether batches were answered and are not reported yet.
    pub(super) fn is_answered(&self) -> bool {
        !self.notes().answered.is_empty()
    }

    /// The number of the note that was made last.
    pub(super) fn last(&self) -> u64 {
        self.notes().numbered
    }

    /// Rows of batches that are still in doubt.
    pub(super) fn rows(&self) -> usize {
        let notes = self.notes();
        notes.open.values().map(|note| note.batch.ids.len()).sum()
    }

    /// Takes out the batch that was noted after this number, if it turned out to be committed.
    pub(super) fn take_committed(&self, after: u64) -> Option<Batch> {
        let mut notes = self.notes();
        let place = notes
            .answered
            .iter()
            .position(|answered| answered.number > after && answered.is_certain)?;
        Some(notes.answered.remove(place).batch)
    }

    /// Joins what was answered with a batch that is about to be reported.
    pub(super) fn join(&self, mut batch: Batch) -> Batch {
        for answered in std::mem::take(&mut self.notes().answered) {
            batch.counts.merge(&answered.batch.counts);
            batch.ids.extend(answered.batch.ids);
            batch.rejected.extend(answered.batch.rejected);
        }
        batch
    }

    /// `None` if the server cannot be asked.
    async fn ask(&self, store: &PostgresStore, note: &Note) -> Option<Answer> {
        for _ in 0..LOOKS {
            let server = self.server(store).await?;
            let is_same = server == note.server
                || (!note.may_be_lost && self.same_timeline(&server, &note.server));
            if !is_same {
                return Some(Answer::Unknown);
            }
            let mut flight = store.begin(Purpose::Read, LOOK_UP).await.ok()?;
            let found = status(&mut flight, note.transaction).await;
            // A server that was started again gives the number to another transaction.
            let is_ahead = matches!(&found, Err(diesel::result::Error::DatabaseError(_, info))
                if info.message().ends_with("is in the future"));
            let found = settle(flight, found.map_err(Into::into), LOOK_UP).await;
            if is_ahead {
                return Some(Answer::RolledBack);
            }
            match found.ok()?.as_deref() {
                Some("committed") => return Some(Answer::Committed),
                Some("aborted") => return Some(Answer::RolledBack),
                Some("in progress") => tokio::time::sleep(BETWEEN_LOOKS).await,
                _ => return Some(Answer::Unknown),
            }
        }
        Some(Answer::Open)
    }

    /// The server by its start; its timeline is remembered.
    async fn server(&self, store: &PostgresStore) -> Option<String> {
        let mut flight = store.begin(Purpose::Read, LOOK_UP).await.ok()?;
        let found: QueryResult<Server> = diesel::sql_query(SERVER).get_result(&mut *flight).await;
        let found = settle(flight, found.map_err(Into::into), LOOK_UP).await;
        let Server { started, timeline } = found.ok()?;
        if let Some(timeline) = timeline {
            self.notes().timelines.insert(started.clone(), timeline);
        }
        Some(started)
    }

    /// Whether one is the other, started again without a failover in between.
    fn same_timeline(&self, one: &str, other: &str) -> bool {
        let notes = self.notes();
        let timeline = |server: &str| notes.timelines.get(server);
        timeline(one).is_some() && timeline(one) == timeline(other)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn status(conn: &mut AsyncPgConnection, transaction: i64) -> QueryResult<Option<String>> {
    let found: Status = diesel::sql_query("select txid_status($1) as status")
        .bind::<BigInt, _>(transaction)
        .get_result(conn)
        .await?;
    Ok(found.status)
}

/// The rows of a batch, named as in doubt.
fn in_doubt(batch: Batch) -> Batch {
    let rejected = batch.ids.into_iter().map(|id| RejectedRow {
        id,
        error: IN_DOUBT.to_owned(),
    });
    Batch::default().with_rejected(rejected.collect())
}

/// Said of a row of which it cannot be known whether it was written.
const IN_DOUBT: &str =
    "in doubt: its commit was not confirmed, and the server that took it is gone";

const LOOK_UP: &str = "look up a commit that was not confirmed";

/// A server that gave up waiting for a standby needs a moment to finish its commit.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

const TRANSACTION: &str = "
    select txid_current_if_assigned() as number, extract(epoch from pg_postmaster_start_time())::text as server,
        case when $1 and current_setting('synchronous_commit') in ('off', 'local') then set_config('synchronous_commit', 'on', true)
            else current_setting('synchronous_commit') end as synchronous_commit";

const SERVER: &str = "
    select extract(epoch from pg_postmaster_start_time())::text as started,
        case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_lsn()), 8) end as timeline";
