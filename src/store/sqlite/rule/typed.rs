//! Parts typed by diesel as text, with their constants in it.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryBuilder, QueryFragment, QueryId};
use diesel::sql_types::Text;
use diesel::sqlite::{Sqlite, SqliteQueryBuilder};

use crate::rule::SqliteFragment;
use crate::store::rule::{places, with_constants};

/// The text of a part, or what stands in its way.
///
/// diesel keeps the values of a part to itself until they are bound, so SQLite writes them.
pub(in crate::store) fn text(fragment: &SqliteFragment) -> Result<String, String> {
    let mut builder = SqliteQueryBuilder::default();
    let written = fragment.to_sql(&mut builder, &Sqlite);
    written.map_err(|error| error.to_string())?;
    let text = builder.finish();
    let count = places(&text, '?');
    if count == 0 {
        return Ok(text);
    }
    if text.contains("*/") {
        return Err("it holds `*/`; give the part as SQL".to_owned());
    }
    let quoted = SqliteConnection::establish(":memory:")
        .map_err(|error| error.to_string())
        .and_then(|mut conn| {
            let constants = Constants(fragment, count).load::<String>(&mut conn);
            constants.map_err(|error| error.to_string())
        })?;
    Ok(with_constants(&text, '?', &quoted))
}

/// Selects the values of a part as SQLite quotes them. The part itself is a comment.
struct Constants<'f>(&'f SqliteFragment, usize);

impl QueryFragment<Sqlite> for Constants<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let quoted = (1..=self.1).map(|number| format!("(quote(?{number}))"));
        let quoted: Vec<String> = quoted.collect();
        out.unsafe_to_cache_prepared();
        out.push_sql(&format!("VALUES {} /* ", quoted.join(", ")));
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(" */");
        Ok(())
    }
}

impl Query for Constants<'_> {
    type SqlType = Text;
}

impl QueryId for Constants<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl RunQueryDsl<SqliteConnection> for Constants<'_> {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    diesel::table! {
        bookings (id) {
            id -> Integer,
            status -> Text,
            paid -> Bool,
            total -> Double,
            note -> Nullable<Text>,
            at -> Timestamp,
        }
    }

    #[test]
    fn constants_stand_in_the_text() {
        let at = chrono::DateTime::UNIX_EPOCH.naive_utc();
        let predicate = bookings::status
            .eq("it's ?")
            .and(bookings::paid.eq(false))
            .and(bookings::at.lt(at).or(bookings::id.gt(-3)))
            .and(bookings::total.gt(1.5))
            .and(diesel::dsl::sql::<diesel::sql_types::Bool>("'?' <> ''"));
        let fragment: SqliteFragment = Arc::new(predicate);
        let changes = (
            bookings::status.eq("gone"),
            bookings::note.eq(None::<String>),
            bookings::id.eq(bookings::id + 1),
        );
        let changes: SqliteFragment = Arc::new(changes.as_changeset());

        assert_eq!(
            text(&fragment).expect("has a text"),
            "(((((`bookings`.`status` = 'it''s ?') AND (`bookings`.`paid` = 0)) AND ((`bookings`.`at` < '1970-01-01 00:00:00') \
             OR (`bookings`.`id` > -3))) AND (`bookings`.`total` > 1.5)) AND '?' <> '')"
        );
        assert_eq!(
            text(&changes).expect("has a text"),
            "`status` = 'gone', `note` = NULL, `id` = (`bookings`.`id` + 1)"
        );
    }
}
