//! The part of a statement that writes.

use super::dialect::Compiler;
use super::parts::Parts;
use crate::rule::{Action, Children, OnParent, bare_name};
use crate::store::rule::{
    Dialect, HandedRows, Handing, OnDelete, Template, identifier, qualified, table_name, tuple,
};
use crate::store::tx_error::WITHHELD;

impl Compiler<'_> {
    /// Collects the children of the rows that `parents` yields, deepest first.
    fn child_rows<'c>(
        &mut self,
        children: &'c Children,
        parents: &str,
        all: &mut Vec<ChildRows<'c>>,
    ) -> Option<()> {
        let (from, of) = (
            table_name(&children.table),
            identifier(bare_name(&children.table)),
        );
        let columns = children.column.names();
        let condition = format!("{} IN ({parents})", tuple(&qualified(&of, columns)));
        for below in &children.with {
            let referred = self.grandchild_reference(children, below)?;
            let columns = qualified(&of, &referred).join(", ");
            let parents = format!("SELECT {columns} FROM {from} WHERE {condition}");
            self.child_rows(below, &parents, all)?;
        }
        let let_go = match children.action {
            OnParent::Delete => None,
            OnParent::SetNull => Some(self.let_go(children)?),
        };
        all.push(ChildRows {
            children,
            oid: self.catalogue.tables.get(&children.table)?.oid,
            from,
            of,
            condition,
            let_go,
        });
        Some(())
    }

    /// Writes to all children. Each part of the rule is a part of the statement that counts its
    /// rows.
    ///
    /// A statement writes a row once. A row that several parts meet is deleted if one of them
    /// deletes it. Otherwise the first part sets the columns of all.
    fn write_children(&mut self, all: &[ChildRows<'_>], steps: &mut Steps) -> Option<()> {
        for (place, rows) in all.iter().enumerate() {
            let children = rows.children;
            if steps.by_statistics && self.cascades(children) {
                steps.kinds.push(children.kind().to_owned());
                steps.counted.push("0".to_owned());
                steps.tallied.push((steps.counted.len() - 1, rows.oid));
                continue;
            }
            let name = format!("hk_c{}", steps.counted.len());
            let (from, of) = (&rows.from, &rows.of);
            let returning = if children.hand_on.is_empty() {
                "1".to_owned()
            } else {
                format!("{of}.*")
            };
            let mut condition = rows.condition.clone();
            let write = match &rows.let_go {
                None => format!("DELETE FROM {from}"),
                Some(columns) => {
                    let mut set: Vec<String> = columns
                        .iter()
                        .map(|name| format!("{} = NULL", identifier(name)))
                        .collect();
                    for (other, rows) in same_table(all, rows.oid) {
                        if other < place || rows.let_go.is_none() {
                            condition.extend([" AND (", &rows.condition, ") IS NOT TRUE"]);
                        } else if other > place {
                            set.extend(rows.set_null(columns));
                        }
                    }
                    format!("UPDATE {from} SET {}", set.join(", "))
                }
            };
            steps.ctes.push(format!(
                "{name} AS ({write} WHERE {condition} RETURNING {returning})"
            ));
            let count = format!("(SELECT count(*) FROM {name})");
            let from = format!("FROM {name} AS {of}");
            let handed = self.handed_children(children, of, &from);
            for hand_on in &children.hand_on {
                let handing = self.handed_on(hand_on, &handed)?;
                steps.hand(handing, Some(&count));
            }
            steps.counted.push(count);
            steps.kinds.push(children.kind().to_owned());
        }
        Some(())
    }

    /// Whether children go by their foreign key alone, so that the server's statistics of the
    /// transaction count them: those of a table that no other part writes to.
    fn cascades(&self, children: &Children) -> bool {
        let tables = &self.catalogue.tables;
        let (Some(own), Some(child)) = (tables.get(&self.rule.table), tables.get(&children.table))
        else {
            return false;
        };
        let all = self.rule.children().into_iter();
        let parts = all.filter(|other| self.catalogue.oid(&other.table) == Some(child.oid));
        self.catalogue.tracks_counts
            && child.oid != own.oid
            && parts.count() == 1
            && !child.has_parts
            && children.action == OnParent::Delete
            && children.with.is_empty()
            && children.hand_on.is_empty()
            && !matches!(self.rule.action, Some(Action::Set(_)))
            && self.rule.with.contains(children)
            && self.catalogue.foreign_keys.iter().any(|found| {
                let key = &found.key;
                let refers = children.references.as_ref();
                found.oid == child.oid
                    && found.parent == own.oid
                    && key.on_delete == OnDelete::Cascade
                    && key.columns == children.column.names()
                    && refers.is_none_or(|columns| key.parent_columns == columns.names())
            })
    }

    /// The action on the rows of `picked`, behind its definition. Children that go by their foreign
    /// key are counted by statistics, or else deleted before. The place of the last row is joined
    /// behind it.
    #[expect(clippy::too_many_lines, reason = "one statement after the other")]
    pub(super) fn writing(&mut self, parts: &Parts, by_statistics: bool) -> Option<Writing> {
        let rule = self.rule;
        let (from, of) = (&parts.from, &parts.of);
        let (open, kept) = parts.open_and_kept();
        let mut steps = Steps {
            by_statistics,
            ..Steps::default()
        };
        let mut child_rows = Vec::new();
        for children in &rule.with {
            let referred = self.child_reference(children, &parts.key)?;
            let numbers = referred.iter().map(|column| {
                let mut references = parts.references.iter();
                references.position(|name| name == column).unwrap_or(0)
            });
            let columns: Vec<String> = numbers.map(|number| format!("hk_r{number}")).collect();
            let parents = format!("SELECT {} FROM hk_picked WHERE {open}", columns.join(", "));
            self.child_rows(children, &parents, &mut child_rows)?;
        }
        self.write_children(&child_rows, &mut steps)?;
        let mut condition = format!(
            "WHERE {of}.ctid = ANY (ARRAY(SELECT hk_ctid FROM hk_picked WHERE {open})) AND {}",
            parts.matches()
        );
        if parts.is_divided {
            condition.extend([format!(
                " AND ({of}.tableoid, {of}.ctid) IN (SELECT hk_oid, hk_ctid FROM hk_picked WHERE {open})"
            )]);
        }
        let tally = (!steps.tallied.is_empty()).then(|| steps.tally());
        if let Some(tally) = &tally {
            // Read before the first row is written.
            steps.ctes.push(format!(
                "hk_before AS MATERIALIZED (SELECT {tally} AS hk_tally)"
            ));
            condition.push_str(" AND (SELECT hk_tally FROM hk_before) IS NOT NULL");
        }
        let whole = !rule.hand_on.is_empty() || matches!(rule.action, Some(Action::Archive(_)));
        let row = if whole {
            let columns = &self.own_table()?.columns;
            let is_ours = |name: &str| matches!(name, "hk_id" | "hk_still");
            if let Some(clash) = columns.iter().find(|column| is_ours(&column.name)) {
                let text = format!("`{}` is a name of the statement's own", clash.name);
                self.refuse(
                    "table",
                    format!("{text}: rename the column, or hand no row on"),
                );
                return None;
            }
            format!(", {of}.*")
        } else {
            String::new()
        };
        let write = match rule.action.as_ref()? {
            Action::Delete | Action::Archive(_) => format!(
                "DELETE FROM {from} {condition} RETURNING {} AS hk_id{row}",
                parts.id
            ),
            Action::Set(columns) => {
                let mut set = self.set(columns, of, &parts.key)?;
                let assigned: Vec<String> = columns.keys().cloned().collect();
                // Rows that refer to each other, which are written once.
                for (_, rows) in same_table(&child_rows, self.own_table()?.oid) {
                    for assignment in rows.set_null(&assigned) {
                        set.extend([", ", &assignment]);
                    }
                }
                // Conditions on the row itself; another table cannot be read again within the
                // statement.
                let still = if rule.is_ended_by_others() {
                    "false".to_owned()
                } else {
                    format!("coalesce({}, false)", parts.matches())
                };
                format!(
                    "UPDATE {from} SET {set} {condition} RETURNING {} AS hk_id, {still} AS hk_still{row}",
                    parts.id
                )
            }
        };
        steps.ctes.push(format!("hk_written AS ({write})"));
        let written = format!("FROM hk_written AS {of}");
        if let Some(Action::Archive(archive)) = &rule.action {
            let insert = self.insert_into_archive(archive, of)?;
            steps.hand(Handing::Insert(format!("{insert} {written}")), None);
        }
        let handed = HandedRows {
            from: &written,
            of,
            table: &rule.table,
            key: format!("{of}.hk_id"),
            is_unique: true,
        };
        for hand_on in &rule.hand_on {
            let handing = self.handed_on(hand_on, &handed)?;
            steps.hand(handing, Some("cardinality(hk_ids)"));
        }
        let mut unmoved = (String::new(), String::new());
        if let Some((active, (column, _))) = parts.noted() {
            // A trigger may keep the column, and every run would look at the row again.
            let rows = |what: &str| {
                format!(" || ARRAY(SELECT {what} FROM hk_moved WHERE hk_unmoved)::text[]")
            };
            unmoved = (rows("hk_id"), rows(&format!("'{WITHHELD}'")));
            // So that the next run does not look at it again.
            steps.ctes.push(format!(
                "hk_moved AS (UPDATE {from} SET {column} = {} WHERE {of}.ctid = ANY \
                 (ARRAY(SELECT hk_ctid FROM hk_picked WHERE ({}) IS NOT TRUE)){} AND {} \
                 RETURNING {} AS hk_id, {} AS hk_unmoved)",
                active.truth.sql,
                active.picked_quiet(parts.inclusive),
                if parts.is_divided {
                    format!(
                        " AND ({of}.tableoid, {of}.ctid) IN (SELECT hk_oid, hk_ctid FROM hk_picked)"
                    )
                } else {
                    String::new()
                },
                parts.matches(),
                parts.id,
                parts.due(),
            ));
        }
        let still = match &rule.action {
            Some(Action::Set(_)) => "count(*) FILTER (WHERE hk_still)",
            _ => "0::bigint",
        };
        let kept = if parts.may_be_kept() {
            format!(
                "coalesce(array_agg(hk_id) FILTER (WHERE {kept}), '{{}}') AS hk_kept, \
                 coalesce(array_agg(hk_keeper) FILTER (WHERE {kept}), '{{}}') AS hk_keepers"
            )
        } else {
            "'{}'::text[] AS hk_kept, '{}'::text[] AS hk_keepers".to_owned()
        };
        // Behind the counts of kinds, where no kind reads them.
        let counted: Vec<&str> = steps
            .counted
            .iter()
            .chain(&steps.called)
            .map(String::as_str)
            .collect();
        let text = format!(
            ", {} SELECT hk_ids, hk_still, hk_kept{} AS hk_kept, hk_keepers{} AS hk_keepers, hk_place, hk_micros, hk_to_write{} AS hk_to_write, \
             ARRAY[{}]::bigint[] AS hk_counts, {}::bigint[] AS hk_tally, {}::bigint AS hk_lag \
             FROM (SELECT coalesce(array_agg(hk_id), '{{}}') AS hk_ids, {still} AS hk_still FROM hk_written) AS hk_w \
             CROSS JOIN (SELECT {kept}, count(*) FILTER (WHERE {open}) AS hk_to_write FROM hk_picked) AS hk_p",
            steps.ctes.join(", "),
            unmoved.0,
            unmoved.1,
            steps.lost,
            counted.join(", "),
            if tally.is_some() {
                "(SELECT hk_tally FROM hk_before)"
            } else {
                "'{}'"
            },
            parts.noted().map_or("NULL", |(_, (_, lag))| lag),
        );
        let mut kinds = vec![rule.kind().to_owned()];
        kinds.extend(steps.kinds);
        Some(Writing {
            text,
            kinds,
            tallied: steps.tallied.iter().map(|(counted, _)| *counted).collect(),
            tally: tally.map(|tally| Template::new(&format!("SELECT {tally}"))),
        })
    }

    /// The host's statements, which read the keys of the rows just written from `written`.
    pub(super) fn then(&mut self, parts: &Parts) -> Option<Vec<Template>> {
        let rule = self.rule;
        let mut then = Vec::new();
        for statement in &rule.then {
            let text = self.text("then", Dialect::Postgres.sql(statement).map(str::to_owned))?;
            then.push(Template::new(&format!("{} {text}", parts.just_written())));
        }
        Some(then)
    }
}

/// The rows of one table that a part of the rule writes to.
struct ChildRows<'c> {
    children: &'c Children,
    oid: i64,
    from: String,
    of: String,
    condition: String,
    /// The columns to be set to NULL, or none if the rows are deleted.
    let_go: Option<Vec<String>>,
}

impl ChildRows<'_> {
    /// Assignments that let go of the rows of this part alone, without columns set otherwise.
    fn set_null(&self, without: &[String]) -> Vec<String> {
        let columns = self.let_go.iter().flatten();
        let columns = columns.filter(|name| !without.contains(name));
        columns
            .map(|name| {
                let (name, of) = (identifier(name), &self.of);
                let condition = &self.condition;
                format!("{name} = CASE WHEN {condition} THEN NULL ELSE {of}.{name} END")
            })
            .collect()
    }
}

/// Those of a table, with their places.
fn same_table<'a, 'c>(
    all: &'a [ChildRows<'c>],
    oid: i64,
) -> impl Iterator<Item = (usize, &'a ChildRows<'c>)> {
    let all = all.iter().enumerate();
    all.filter(move |(_, rows)| rows.oid == oid)
}

/// The part of a statement that writes.
pub(super) struct Writing {
    pub(super) text: String,
    /// The words for rows and children, in the order in which they are counted.
    pub(super) kinds: Vec<String>,
    /// Children, by their number, that `tally` counts.
    pub(super) tallied: Vec<usize>,
    /// Reads how many rows of them the transaction has deleted so far.
    pub(super) tally: Option<Template>,
}

/// Parts of a statement that write.
#[derive(Default)]
pub(super) struct Steps {
    by_statistics: bool,
    ctes: Vec<String>,
    counted: Vec<String>,
    kinds: Vec<String>,
    handed: usize,
    /// Adds a row that was not written for each part that has handed on too few, or too many.
    lost: String,
    /// Reads the calls, so that Postgres makes them.
    called: Vec<String>,
    /// Children by their number, and their tables.
    tallied: Vec<(usize, i64)>,
}

impl Steps {
    /// Hands on as many rows as this, if that matters.
    fn hand(&mut self, handing: Handing, count: Option<&str>) {
        let name = format!("hk_h{}", self.handed);
        self.handed += 1;
        self.ctes.push(match handing {
            Handing::Insert(insert) => {
                let lost = count
                    .map(|count| format!(" + ((SELECT count(*) FROM {name}) <> {count})::int"));
                self.lost.extend(lost);
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
    fn tally(&self) -> String {
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
