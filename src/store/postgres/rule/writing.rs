//! The part of a statement that writes.

use super::children::same_table;
use super::dialect::Compiler;
use super::parts::Parts;
use super::steps::Steps;
use crate::rule::Action;
use crate::store::rule::{Dialect, HandedRows, Handing, Template};
use crate::store::tx_error::WITHHELD;

impl Compiler<'_> {
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
            // A row that the archive does not take stays.
            let insert = Handing::Insert(format!("{insert} {written}"));
            steps.hand(insert, "cardinality(hk_ids)");
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
            steps.hand(handing, "cardinality(hk_ids)");
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
            let text = self.text("then", Dialect::Postgres.sql(statement))?;
            then.push(Template::new(&format!("{} {text}", parts.just_written())));
        }
        Some(then)
    }
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
