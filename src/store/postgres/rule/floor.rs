//! The instant below which nothing was due, where deadline runs begin.
//!
//! An old snapshot keeps the index entries of deleted rows. They lie in front
//! of the oldest row that is left, and a run that begins at the start walks all of them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::plan::{Plan, Values};

/// A rule's memory of the rows that its runs found.
#[derive(Debug, Default)]
pub(super) struct Floor(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// As the database writes it.
    instant: Option<String>,
    looked_from_start: Option<Instant>,
    /// The latest cutoff that a look went by.
    cutoff: Option<DateTime<Utc>>,
    /// Whether the present run begins at the floor.
    in_use: bool,
}

impl Floor {
    /// Decides where the next run begins: at the floor, if that is enough and the last look from
    /// the start is recent.
    pub(super) fn begin(&self, from_start: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = state
            .looked_from_start
            .is_some_and(|looked| looked.elapsed() < RECENT);
        state.in_use = !from_start && is_recent;
        if !state.in_use {
            state.forget();
        }
    }

    /// Begins at the start if the clock was set back: rows that were not due above the cutoff of a
    /// look may be below the floor.
    pub(super) fn follow_clock(&self, cutoff: DateTime<Utc>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.cutoff.is_some_and(|latest| cutoff < latest) {
            state.forget();
        }
    }

    /// Where the present run begins.
    pub(super) fn get(&self) -> Option<String> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.instant.clone().filter(|_| state.in_use)
    }

    /// Remembers what the forecast at the end of a run found.
    pub(super) fn set(&self, instant: Option<String>, cutoff: DateTime<Utc>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.in_use {
            state.looked_from_start = Some(Instant::now());
        }
        state.instant = instant;
        state.cutoff = state.cutoff.max(Some(cutoff));
    }
}

impl State {
    fn forget(&mut self) {
        *self = Self::default();
    }
}

/// Returns the oldest row that is due, or that a hold, another table or a rejection keeps back, and
/// the cutoff if there is none; `None` where no row can be kept back.
pub(super) async fn first(
    conn: &mut AsyncPgConnection,
    plan: &Plan,
    values: &Values<'_>,
) -> QueryResult<Option<String>> {
    if !plan.may_keep_back && values.rejected.is_empty() {
        return Ok(None);
    }
    let first: Option<String> = plan
        .first
        .bind::<Text>(|name| plan.value(name, values))
        .get_result(conn)
        .await
        .optional()?;
    Ok(Some(first.unwrap_or_else(|| plan.form.text(values.cutoff))))
}

/// A row that was set back behind the floor is found by a look from the start after this long at
/// the latest, whatever the schedule is.
const RECENT: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_run_begins_at_the_floor_after_a_full_look() {
        let floor = Floor::default();
        let cutoff = DateTime::UNIX_EPOCH;
        let end = |from_start| {
            floor.begin(from_start);
            let begun = floor.get();
            floor.set(Some("later".to_owned()), cutoff);
            begun
        };

        let begun = [false, false, true, false].map(end);

        let at_floor = Some("later".to_owned());
        assert_eq!(begun, [None, at_floor.clone(), None, at_floor]);
        floor.begin(false);
        floor.set(None, cutoff);
        assert_eq!(floor.get(), None);
    }
}
