//! Foreign keys of the host's, as Postgres's catalogue tells them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel::expression::{ValidGrouping, is_aggregate};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, Bool, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::schema::sessions;
use crate::store::keys::{ForeignKey, quoted};

/// What is known of the keys that point at sessions and their records. Clones share it.
///
/// Whether a key will refuse is a guess: a trigger of the host's may clear the way, or another key
/// cascade first. So what they keep is only looked for once the database has refused a batch, and
/// the keys are read again every minute from then on, in case the host has mended them.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    keys: Vec<ForeignKey>,
    /// When they were read last, once the database has refused a batch.
    refused: Option<Instant>,
}

impl Keys {
    /// What keeps a session, as far as is known.
    pub(super) fn keeper(&self) -> BlockingKey {
        let known = self.lock();
        BlockingKey::of(if known.refused.is_some() {
            &known.keys
        } else {
            &[]
        })
    }

    /// Whether it is time to read them again.
    pub(super) fn are_stale(&self) -> bool {
        let refused = self.lock().refused;
        refused.is_some_and(|read| read.elapsed() > TRUST)
    }

    /// Notes that the database has refused a batch. Says whether that is news.
    pub(super) fn refuse(&self) -> bool {
        self.lock().refused.replace(Instant::now()).is_none()
    }

    /// Reads them anew, says whether there is news, and warns of new ones that no index serves.
    pub(super) async fn refresh(&self, conn: &mut AsyncPgConnection) -> QueryResult<bool> {
        let read = read(conn).await?;
        let mut known = self.lock();
        let is_new = |key: &&ForeignKey| !key.indexed && !known.keys.contains(key);
        for key in read.iter().filter(is_new) {
            key.warn_without_index("create index concurrently");
        }
        let news = known.keys != read;
        known.keys = read;
        known.refused = known.refused.map(|_| Instant::now());
        Ok(news)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What keeps a session: the reason, or null. A column of a statement on `sessions`.
#[derive(Debug, Clone)]
pub(super) struct BlockingKey(Vec<Keep>);

#[derive(Debug, Clone)]
struct Keep {
    exists: String,
    reason: String,
}

impl BlockingKey {
    fn of(keys: &[ForeignKey]) -> Self {
        let refusing = keys.iter().filter(|key| key.refuses && !key.goes_along());
        Self(
            refusing
                .map(|key| Keep {
                    exists: exists(key),
                    reason: key.reason(),
                })
                .collect(),
        )
    }
}

/// Whether a row of the host's points at the session, or at a record that would go with it.
fn exists(key: &ForeignKey) -> String {
    let pairs = key.columns.iter().zip(&key.parent_columns);
    let joined = |parent: &str| {
        let pairs =
            pairs.map(|(column, of)| format!("k.{} = {parent}.{}", quoted(column), quoted(of)));
        pairs.collect::<Vec<_>>().join(" AND ")
    };
    let table = key.quoted_table();
    if key.parent == "sessions" {
        format!(
            "EXISTS (SELECT FROM {table} k WHERE {})",
            joined("sessions")
        )
    } else {
        format!(
            "EXISTS (SELECT FROM {} r JOIN {table} k ON {} WHERE r.session_id = sessions.id)",
            quoted(&key.parent),
            joined("r")
        )
    }
}

impl Expression for BlockingKey {
    type SqlType = Nullable<Text>;
}

impl SelectableExpression<sessions::table> for BlockingKey {}

impl AppearsOnTable<sessions::table> for BlockingKey {}

impl ValidGrouping<()> for BlockingKey {
    type IsAggregate = is_aggregate::No;
}

/// Other keys are another statement.
impl QueryId for BlockingKey {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Pg> for BlockingKey {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("CASE ");
        for keep in &self.0 {
            out.push_sql("WHEN ");
            out.push_sql(&keep.exists);
            out.push_sql(" THEN ");
            out.push_bind_param::<Text, _>(&keep.reason)?;
            out.push_sql(" ");
        }
        // A case without any is no SQL.
        out.push_sql("WHEN false THEN '' END");
        Ok(())
    }
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Nullable<Text>)]
    schema: Option<String>,
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Array<Text>)]
    columns: Vec<String>,
    #[diesel(sql_type = Text)]
    parent: String,
    #[diesel(sql_type = Array<Text>)]
    parent_columns: Vec<String>,
    #[diesel(sql_type = Bool)]
    refuses: bool,
    #[diesel(sql_type = Bool)]
    indexed: bool,
}

/// Of a partitioned table only the whole is named, not its parts. A key on a table that we may not
/// read is left out as one that refuses: its rows are found when the database refuses them.
async fn read(conn: &mut AsyncPgConnection) -> QueryResult<Vec<ForeignKey>> {
    let found: Vec<Found> = diesel::sql_query(
        "select case when not pg_table_is_visible(k.conrelid) then n.nspname::text end as schema,
            c.relname::text as table, k.columns, p.relname::text as parent, k.parent_columns,
            k.confdeltype in ('a', 'r') and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') as refuses,
            exists (select from pg_index i where i.indrelid = k.conrelid and i.indisvalid and i.indpred is null
                and (i.indkey::smallint[])[0:cardinality(k.conkey) - 1] @> k.conkey) as indexed
        from (
            select *,
                array(select a.attname::text from unnest(conkey) with ordinality as u(number, place)
                    join pg_attribute a on a.attrelid = conrelid and a.attnum = u.number order by place) as columns,
                array(select a.attname::text from unnest(confkey) with ordinality as u(number, place)
                    join pg_attribute a on a.attrelid = confrelid and a.attnum = u.number order by place) as parent_columns
            from pg_constraint where contype = 'f' and conparentid = 0
                and confrelid in (to_regclass('sessions'), to_regclass('image_sent'), to_regclass('video_sent'))
        ) k
        join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
        join pg_class p on p.oid = k.confrelid
        order by c.relname, n.nspname, k.conname",
    )
    .load(conn)
    .await?;
    let keys = found.into_iter().map(|found| ForeignKey {
        schema: found.schema,
        table: found.table,
        columns: found.columns,
        parent: found.parent,
        parent_columns: found.parent_columns,
        refuses: found.refuses,
        indexed: found.indexed,
    });
    Ok(keys.collect())
}

/// How long keys that were read are believed.
const TRUST: Duration = Duration::from_secs(60);
