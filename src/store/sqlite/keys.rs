//! The host's foreign keys to what a session takes along, as SQLite's catalogue tells them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::Sqlite;

use super::schema::{pragma_foreign_keys, pragma_schema_version};
use super::sessions::Session;
use crate::job::RejectedRow;
use crate::store::keys::{ForeignKey, quoted, quoted_list};

/// The foreign keys, read anew whenever the schema has changed.
///
/// Whether a key will refuse is a guess: a trigger of the host's may clear the way, or another key
/// cascade first. So what they keep is only looked for once the database has refused a batch.
#[derive(Default)]
pub(super) struct Keys {
    known: Mutex<Option<Arc<Known>>>,
    refused: AtomicBool,
}

struct Known {
    catalogue: Catalogue,
    keys: Vec<ForeignKey>,
    keepers: Vec<BlockingKey>,
}

/// The number of the schema, and whether this connection minds foreign keys.
type Catalogue = (i64, i64);

impl Keys {
    /// Those that no index serves.
    pub(super) fn without_index(
        &self,
        conn: &mut SqliteConnection,
    ) -> QueryResult<Vec<ForeignKey>> {
        let known = self.known(conn)?;
        let keys = known.keys.iter().filter(|key| !key.indexed);
        Ok(keys.cloned().collect())
    }

    /// Notes that the database has refused a batch. Says whether that is news.
    pub(super) fn refuse(&self) -> bool {
        !self.refused.swap(true, Ordering::Relaxed)
    }

    /// Which of these sessions a row of the host's keeps, as far as is known.
    pub(super) fn kept(
        &self,
        conn: &mut SqliteConnection,
        sessions: &[Session],
    ) -> QueryResult<BTreeMap<String, RejectedRow>> {
        let mut kept = BTreeMap::new();
        if !self.refused.load(Ordering::Relaxed) {
            return Ok(kept);
        }
        for keeper in &self.known(conn)?.keepers {
            let kept_by_it: Vec<String> = keeper.of(sessions).load(conn)?;
            for id in kept_by_it {
                let error = keeper.reason.clone();
                kept.entry(id.clone()).or_insert(RejectedRow { id, error });
            }
        }
        Ok(kept)
    }

    fn known(&self, conn: &mut SqliteConnection) -> QueryResult<Arc<Known>> {
        let catalogue: Catalogue = (
            pragma_schema_version::table
                .select(pragma_schema_version::schema_version)
                .first(conn)?,
            pragma_foreign_keys::table
                .select(pragma_foreign_keys::foreign_keys)
                .first(conn)?,
        );
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.catalogue == catalogue) {
            return Ok(known.clone());
        }
        let keys = if catalogue.1 == 0 {
            Vec::new()
        } else {
            read(conn)?
        };
        let read = Arc::new(Known {
            catalogue,
            keepers: keys.iter().filter_map(BlockingKey::new).collect(),
            keys,
        });
        *known = Some(read.clone());
        Ok(read)
    }
}

/// A key that refuses, as a question: which sessions does it keep?
struct BlockingKey {
    reason: String,
    start: String,
    end: String,
}

impl BlockingKey {
    /// None for a key that lets go, or whose own rows go with the session.
    fn new(key: &ForeignKey) -> Option<Self> {
        if !key.refuses || key.goes_along() {
            return None;
        }
        let parent = quoted(&key.parent);
        let session = if key.parent == "sessions" {
            format!("{parent}.id")
        } else {
            format!("{parent}.session_id")
        };
        let pointed_at: Vec<String> = key
            .parent_columns
            .iter()
            .map(|column| format!("{parent}.{}", quoted(column)))
            .collect();
        Some(Self {
            reason: key.reason(),
            start: format!(
                "SELECT {session} FROM {parent} WHERE {session} IN (SELECT value FROM json_each("
            ),
            end: format!(
                ")) AND ({}) IN (SELECT {} FROM {})",
                pointed_at.join(", "),
                quoted_list(&key.columns),
                key.quoted_table(),
            ),
        })
    }

    fn of(&self, sessions: &[Session]) -> Kept<'_> {
        let ids: Vec<&str> = sessions.iter().map(|(_, id)| id.as_str()).collect();
        Kept {
            keeper: self,
            sessions: serde_json::Value::from(ids).to_string(),
        }
    }
}

struct Kept<'k> {
    keeper: &'k BlockingKey,
    sessions: String,
}

impl Query for Kept<'_> {
    type SqlType = Text;
}

impl<Conn> diesel::RunQueryDsl<Conn> for Kept<'_> {}

impl QueryId for Kept<'_> {
    // Its text is that of its key, by which the prepared statement is found again.
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Sqlite> for Kept<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(&self.keeper.start);
        out.push_bind_param::<Text, _>(&self.sessions)?;
        out.push_sql(&self.keeper.end);
        Ok(())
    }
}

/// One column of a key, as the catalogue has it.
#[derive(QueryableByName)]
struct KeyColumn {
    #[diesel(sql_type = Text)]
    holder: String,
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Text)]
    parent: String,
    #[diesel(sql_type = Text)]
    holder_column: String,
    #[diesel(sql_type = Text)]
    parent_column: String,
    #[diesel(sql_type = Text)]
    on_delete: String,
}

/// One column of an index; none if it is an expression.
#[derive(QueryableByName)]
struct IndexColumn {
    #[diesel(sql_type = Text)]
    holder: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<Text>)]
    part: Option<String>,
}

fn read(conn: &mut SqliteConnection) -> QueryResult<Vec<ForeignKey>> {
    let mut keys: BTreeMap<(String, i64), ForeignKey> = BTreeMap::new();
    for column in diesel::sql_query(KEYS).load::<KeyColumn>(conn)? {
        let key = keys
            .entry((column.holder.clone(), column.number))
            .or_insert(ForeignKey {
                schema: None,
                table: column.holder,
                columns: Vec::new(),
                parent: column.parent,
                parent_columns: Vec::new(),
                refuses: matches!(column.on_delete.as_str(), "NO ACTION" | "RESTRICT"),
                indexed: false,
            });
        key.columns.push(column.holder_column);
        key.parent_columns.push(column.parent_column);
    }
    let mut indexes: BTreeMap<(String, String), Vec<Option<String>>> = BTreeMap::new();
    for column in diesel::sql_query(INDEXES).load::<IndexColumn>(conn)? {
        let index = indexes.entry((column.holder, column.name));
        let name = column.part.map(|name| name.to_lowercase());
        index.or_default().push(name);
    }
    let mut keys: Vec<ForeignKey> = keys.into_values().collect();
    for key in &mut keys {
        key.indexed = indexes
            .iter()
            .any(|((table, _), index)| *table == key.table && begins_with(index, &key.columns));
    }
    Ok(keys)
}

/// Whether an index begins with these columns, in any order.
fn begins_with(index: &[Option<String>], columns: &[String]) -> bool {
    index.get(..columns.len()).is_some_and(|first| {
        columns
            .iter()
            .all(|column| first.contains(&Some(column.to_lowercase())))
    })
}

/// A key that names no column points at the primary key.
const KEYS: &str = "
    SELECT holder.name AS holder, key.id AS number, lower(key.\"table\") AS parent,
        key.\"from\" AS holder_column, coalesce(key.\"to\", 'id') AS parent_column, key.on_delete AS on_delete
    FROM sqlite_master AS holder, pragma_foreign_key_list(holder.name) AS key
    WHERE holder.type = 'table' AND lower(key.\"table\") IN ('sessions', 'image_sent', 'video_sent')
    ORDER BY holder.name, key.id, key.seq";

/// A partial index does not know all rows.
const INDEXES: &str = "
    SELECT holder.name AS holder, one.name AS name, member.name AS part
    FROM sqlite_master AS holder, pragma_index_list(holder.name) AS one, pragma_index_info(one.name) AS member
    WHERE holder.type = 'table' AND one.partial = 0
        AND EXISTS (SELECT 1 FROM pragma_foreign_key_list(holder.name))
    ORDER BY holder.name, one.name, member.seqno";
