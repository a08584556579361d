//! Parts of a statement that write, in their order.

use crate::store::rule::Handing;

/// Parts of a statement that write.
#[derive(Default)]
pub(super) struct Steps {
    pub(super) by_statistics: bool,
    pub(super) ctes: Vec<String>,
    pub(super) counted: Vec<String>,
    pub(super) kinds: Vec<String>,
    pub(super) handed: usize,
    /// Adds a row that was not written for each part that has handed on too few, or too many.
    pub(super) lost: String,
    /// Reads the calls, so that Postgres makes them.
    pub(super) called: Vec<String>,
    /// Children by their number, and their tables.
    pub(super) tallied: Vec<(usize, i64)>,
}

impl Steps {
    /// Hands on as many rows as this.
    pub(super) fn hand(&mut self, handing: Handing, count: &str) {
        let name = format!("hk_h{}", self.handed);
        self.handed += 1;
        self.ctes.push(match handing {
            Handing::Insert(insert) => {
                let lost = format!(" + ((SELECT count(*) FROM {name}) <> {count})::int");
                self.lost.push_str(&lost);
                format!("{name} AS ({insert} RETURNING 1)")
            }
            Handing::Call { call, unless } => {
                let lost = unless.map(|unless| format!(" + EXISTS ({unless})::int"));
                self.lost.extend(lost);
                let called = format!("(SELECT count(hk_called) FROM {name})");
                self.called.push(called);
                format!("{name} AS MATERIALIZED ({call})")
            }
        });
    }

    /// Rows that this transaction has deleted, and those before it that are not yet in the
    /// statistics: only differences mean anything. NULL where the server does not count.
    pub(super) fn tally(&self) -> String {
        let deleted = self
            .tallied
            .iter()
            .map(|(_, oid)| format!("coalesce(pg_stat_get_xact_tuples_deleted({oid}), 0)"));
        format!(
            "CASE WHEN current_setting('track_counts') = 'on' THEN ARRAY[{}]::bigint[] END",
            deleted.collect::<Vec<_>>().join(", ")
        )
    }
}
