//! Deleting idle sessions with their records counted by hand: one by one where the database refuses
//! one of them, or all at once where it keeps no statistics to count by.

use chrono::{DateTime, Utc};
use diesel::dsl;
use diesel::prelude::*;
use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection,
    TransactionManager,
};

use super::super::manner::Manner;
use super::super::schema::{image_sent, sessions, video_sent};
use super::{idle, move_forward};
use crate::job::{Batch, BatchRequest, Cursor, RejectedRow};
use crate::store::tx_error::{TxError, TxResult};

/// Id, stored instant, whether it is idle, and what keeps it.
pub(super) type Claimed = (String, DateTime<Utc>, bool, Option<String>);

pub(super) async fn delete(
    conn: &mut AsyncPgConnection,
    claimed: Vec<Claimed>,
    pass: &BatchRequest,
    manner: Manner,
) -> TxResult<Batch> {
    let last = claimed.get(pass.limit.get() as usize - 1);
    let mut batch = Batch {
        next_cursor: last.map(|(id, since, ..)| Cursor {
            since: *since,
            id: id.clone(),
        }),
        ..Batch::default()
    }
    .with_count("sessions", 0)
    .with_count("image_records", 0)
    .with_count("video_records", 0);
    let (mut idle, mut live) = (Vec::new(), Vec::new());
    for (id, _, is_idle, keeper) in claimed {
        match keeper {
            _ if !is_idle => live.push(id),
            Some(error) => batch.rejected.push(RejectedRow { id, error }),
            None => idle.push(id),
        }
    }
    move_forward(conn, live).await?;
    match manner {
        Manner::Together => delete_all(conn, idle, pass.cutoff, &mut batch).await?,
        Manner::Each => delete_each(conn, idle, pass.cutoff, &mut batch).await?,
    }
    Ok(batch)
}

async fn delete_each(
    conn: &mut AsyncPgConnection,
    ids: Vec<String>,
    cutoff: DateTime<Utc>,
    batch: &mut Batch,
) -> TxResult<()> {
    // A constraint that is only checked at the commit would refuse all rows for one.
    conn.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await?;
    for id in ids {
        AnsiTransactionManager::begin_transaction(conn).await?;
        match delete_all(conn, vec![id.clone()], cutoff, batch).await {
            Ok(()) => AnsiTransactionManager::commit_transaction(conn).await?,
            Err(error) => match error.refusal() {
                Some(error) => {
                    AnsiTransactionManager::rollback_transaction(conn).await?;
                    batch.rejected.push(RejectedRow { id, error });
                }
                None => return Err(error),
            },
        }
    }
    Ok(())
}

/// Adds to the account only what was deleted as a whole.
async fn delete_all(
    conn: &mut AsyncPgConnection,
    ids: Vec<String>,
    cutoff: DateTime<Utc>,
    batch: &mut Batch,
) -> TxResult<()> {
    let images = diesel::delete(image_sent::table)
        .filter(image_sent::session_id.eq_any(&ids))
        .execute(conn)
        .await?;
    let videos = diesel::delete(video_sent::table)
        .filter(video_sent::session_id.eq_any(&ids))
        .execute(conn)
        .await?;
    let gone: Vec<String> = diesel::delete(sessions::table)
        .filter(sessions::id.eq_any(ids.clone()))
        .filter(idle(cutoff))
        .returning(sessions::id)
        .get_results(conn)
        .await?;
    if gone.len() != ids.len() {
        let left = sessions::table
            .filter(sessions::id.eq_any(ids))
            .filter(idle(cutoff));
        return Err(
            if diesel::select(dsl::exists(left)).get_result(conn).await? {
                TxError::SuppressedByTrigger
            } else {
                TxError::other("a session came to life while its records were deleted")
            },
        );
    }
    batch.counts.add("sessions", gone.len() as u64);
    batch.counts.add("image_records", images as u64);
    batch.counts.add("video_records", videos as u64);
    batch.ids.extend(gone);
    Ok(())
}
