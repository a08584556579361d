//! The rule about idle sessions, on Postgres.

use chrono::{DateTime, Utc};
use diesel::dsl;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::keys::BlockingKey;
use super::manner::Manner;
use super::schema::{Behind, Condition, IsGuest, Place, coalesce, later_of, messages, sessions};
use super::sweep::{ClaimAndWrite, ClaimResult, addresses};
use super::tables;
use crate::job::{Batch, BatchRequest, Cursor};
use crate::store::tx_error::{TxError, TxResult};

mod each;
mod view;

pub(super) use view::{forecast, preview};

type Sessions = sessions::table;

/// The stored instant: never later than the true last activity.
#[dsl::auto_type]
fn lower_bound() -> _ {
    coalesce(sessions::last_activity_at, sessions::created_at)
}

/// The later of a session's creation and its user's newest message.
#[dsl::auto_type]
fn true_activity() -> _ {
    later_of(sessions::created_at, newest_message().single_value())
}

#[dsl::auto_type]
fn newest_message() -> _ {
    let from_guest: IsGuest<messages::sender> = IsGuest::new(messages::sender);
    messages::table
        .filter(messages::user_id.eq(sessions::user_id))
        .filter(from_guest)
        .order(messages::timestamp.desc())
        .limit(1_i64)
        .select(messages::timestamp)
}

/// Sessions worth a look: cheap to find, and all idle ones are among them.
fn candidate(cutoff: DateTime<Utc>, user: Option<Uuid>) -> Condition<Sessions> {
    let old: Condition<Sessions> = Box::new(lower_bound().lt(cutoff));
    match user {
        None => old,
        Some(user) => Box::new(old.and(sessions::user_id.eq(user))),
    }
}

/// The rule itself, on a candidate.
#[dsl::auto_type]
fn idle(cutoff: DateTime<Utc>) -> _ {
    true_activity().lt(cutoff)
}

/// What lies behind a place in the order of `lower_bound` and id.
fn behind(after: Option<&Cursor>) -> Condition<Sessions> {
    match after {
        None => Box::new(true.into_sql::<Bool>()),
        Some(Cursor { since, id }) => {
            let place = (
                (*since).into_sql::<Timestamptz>(),
                id.clone().into_sql::<Text>(),
            );
            Box::new(Behind::new(
                (lower_bound(), sessions::id).into_sql::<Place>(),
                place.into_sql::<Place>(),
            ))
        }
    }
}

/// Candidates in order, locked; those that somebody else has locked are passed over.
#[dsl::auto_type]
fn claim(candidate: Condition<Sessions>, behind: Condition<Sessions>, limit: i64) -> _ {
    sessions::table
        .filter(candidate)
        .filter(behind)
        .order((lower_bound(), sessions::id))
        .limit(limit)
        .for_update()
        .skip_locked()
}

/// Deletes a batch of idle sessions.
///
/// The true activity is looked up in the same statement that locks and deletes. Whoever writes to a
/// candidate after the statement has begun writes its row, so that it is locked and passed over, or
/// no longer a candidate when it is looked at again.
pub(super) async fn delete(
    conn: &mut AsyncPgConnection,
    pass: &BatchRequest,
    user: Option<Uuid>,
    keeper: BlockingKey,
    manner: Manner,
) -> TxResult<Batch> {
    let before = tables::tally(conn).await?;
    TxError::unless_throttle_fits(pass, before.throttle_us)?;
    let [images_before, videos_before] = before.deleted()?;
    let limit = i64::from(pass.limit.get());
    let claimed = claim(
        candidate(pass.cutoff, user),
        behind(pass.after.as_ref()),
        limit,
    );
    if manner == Manner::Each || !before.counts() {
        let columns = (sessions::id, lower_bound(), idle(pass.cutoff), keeper);
        let claimed = claimed.select(columns).load(conn).await?;
        return each::delete(conn, claimed, pass, manner).await;
    }
    let sweep = ClaimAndWrite {
        pick: claimed.select((
            sessions::ctid,
            sessions::id,
            lower_bound(),
            idle(pass.cutoff),
            keeper,
        )),
        // The records go with them: the foreign keys cascade.
        write: diesel::delete(sessions::table)
            .filter(sessions::ctid.eq_any(addresses()))
            .filter(candidate(pass.cutoff, user))
            .returning(sessions::id),
        limit,
    };
    let mut swept: ClaimResult = sweep.get_result(conn).await?;
    swept.is_whole()?;
    move_forward(conn, std::mem::take(&mut swept.spared)).await?;
    let [images, videos] = tables::tally(conn).await?.deleted()?;
    let batch = swept.into_batch();
    let gone = batch.ids.len() as u64;
    Ok(batch
        .with_count("sessions", gone)
        .with_count("image_records", images.abs_diff(images_before))
        .with_count("video_records", videos.abs_diff(videos_before)))
}

/// Brings the stored instant of candidates that live up to date, so that the next run does not look
/// at them again.
async fn move_forward(conn: &mut AsyncPgConnection, live: Vec<String>) -> QueryResult<()> {
    if !live.is_empty() {
        diesel::update(sessions::table)
            .filter(sessions::id.eq_any(live))
            .set(sessions::last_activity_at.eq(true_activity().nullable()))
            .execute(conn)
            .await?;
    }
    Ok(())
}
