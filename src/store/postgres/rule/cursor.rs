//! Places of rows in the order of a rule.

use chrono::{DateTime, Utc};

use crate::job::Cursor;
use crate::model::StoreError;
use crate::store::rule;

/// A row's place in the order of the rule.
pub(super) fn cursor(place: &str, micros: i64) -> Cursor {
    rule::cursor(instant(micros), place)
}

/// An instant in microseconds since 1970.
pub(super) fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

/// Returns the texts in a place, which [`cursor`] put there: the instant, and the key unless the
/// rows of that instant come next.
pub(super) fn place(cursor: Option<&Cursor>, keys: usize) -> Result<Vec<String>, StoreError> {
    rule::texts(cursor, &[1, keys + 1]).map_err(StoreError::Schema)
}
