//! The part of a statement that writes.

use std::time::Duration;

use super::compiler::Compiler;
use super::hand_on::{HandedRows, Handing};
use super::parts::Parts;
use super::stamp::{Form, once};
use crate::rule::{Action, Children, OnParent, Source, Stamp, Value, bare_name};
use crate::store::rule::{Dialect, OnDelete, Template, identifier, table_name};

impl Compiler<'_> {
    /// A value over a row of `of`, for a column of `table`.
    pub(super) fn value(
        &mut self,
        part: &str,
        value: &Value,
        of: &str,
        table: &str,
        column: &str,
    ) -> Option<String> {
        let after = match value {
            Value::Constant(literal) => return Some(Dialect::Postgres.literal(literal)),
            Value::Null => return Some("NULL".to_owned()),
            Value::Column(name) => return Some(format!("{of}.{}", identifier(name))),
            Value::Sql(sql) => {
                return self.text(
                    part,
                    Dialect::Postgres.sql(sql).map(|text| format!("({text})")),
                );
            }
            Value::Json(_) | Value::Key | Value::IdempotencyKey => {
                self.refuse(part, "this value is for `hand_on` alone");
                return None;
            }
            Value::Now => Duration::ZERO,
            Value::NowPlus(after) => *after,
        };
        let base = self
            .catalogue
            .tables
            .get(table)?
            .column(column)?
            .base
            .clone();
        let declared = self.rule.due.as_ref().and_then(|due| match &due.source {
            Source::Column(instant) => instant.stamp.clone(),
            _ => None,
        });
        let form = match (base.as_str(), declared) {
            ("timestamp with time zone", _) => Form::Zoned,
            ("timestamp without time zone", _) => Form::Naive,
            ("smallint" | "integer" | "bigint" | "numeric", Some(Stamp::Millis)) => Form::Epoch {
                per_second: 1_000,
                cast: base,
            },
            ("smallint" | "integer" | "bigint" | "numeric", Some(Stamp::Micros)) => Form::Epoch {
                per_second: 1_000_000,
                cast: base,
            },
            ("smallint" | "integer" | "bigint" | "numeric", _) => Form::Epoch {
                per_second: 1,
                cast: base,
            },
            ("text" | "character varying", Some(Stamp::Text(format))) => Form::Text(format),
            _ => {
                self.refuse(
                    part,
                    format!("`{column}` is `{base}`, which holds no instant"),
                );
                return None;
            }
        };
        let cast = form.cast().to_owned();
        self.instants.push((form, after));
        let number = self.instants.len() - 1;
        Some(once(&format!("i{number}"), &cast))
    }

    /// Writes to the children of the rows that `parents` yields, deepest first. Each is a part of
    /// the statement that counts its rows.
    pub(super) fn children(
        &mut self,
        children: &Children,
        parents: &str,
        steps: &mut Steps,
    ) -> Option<()> {
        let part = format!("with {}", children.table);
        self.table(&part, &children.table)?;
        if !self.column(&part, &children.table, &children.column) {
            return None;
        }
        let (from, of) = (
            table_name(&children.table),
            identifier(bare_name(&children.table)),
        );
        let column = identifier(&children.column);
        for below in &children.with {
            let referred = self.reference(
                &children.table,
                &below.table,
                &below.column,
                below.references.as_deref(),
                "id",
            );
            self.column(&format!("with {}", below.table), &children.table, &referred);
            let parents = format!(
                "SELECT {of}.{} FROM {from} WHERE {of}.{column} IN ({parents})",
                identifier(&referred)
            );
            self.children(below, &parents, steps)?;
        }
        if steps.by_statistics && self.cascades(children) {
            steps.kinds.push(children.kind().to_owned());
            steps.counted.push("0".to_owned());
            let oid = self.catalogue.tables.get(&children.table)?.oid;
            steps.tallied.push((steps.counted.len() - 1, oid));
            return Some(());
        }
        let name = format!("hk_c{}", steps.counted.len());
        let condition = format!("WHERE {of}.{column} IN ({parents})");
        let returning = if children.hand_on.is_empty() {
            "1".to_owned()
        } else {
            format!("{of}.*")
        };
        steps.ctes.push(match children.action {
            OnParent::Delete => format!("{name} AS (DELETE FROM {from} {condition} RETURNING {returning})"),
            OnParent::SetNull => {
                format!("{name} AS (UPDATE {from} SET {column} = NULL {condition} RETURNING {returning})")
            }
        });
        steps.counted.push(format!("(SELECT count(*) FROM {name})"));
        steps.kinds.push(children.kind().to_owned());
        for hand_on in &children.hand_on {
            let handed = HandedRows {
                rows: &name,
                of: &of,
                table: &children.table,
                key: self.child_key(&children.table, &of, &children.column),
            };
            let handing = self.handed_on(hand_on, &handed)?;
            steps.hand(handing);
        }
        Some(())
    }

    /// Whether children go by their foreign key alone, so that the server's statistics of the
    /// transaction count them.
    fn cascades(&self, children: &Children) -> bool {
        let tables = &self.catalogue.tables;
        let (Some(own), Some(child)) = (tables.get(&self.rule.table), tables.get(&children.table))
        else {
            return false;
        };
        self.catalogue.tracks_counts
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
                    && key.columns == [children.column.as_str()]
                    && refers.is_none_or(|column| key.parent_columns == [column.as_str()])
            })
    }

    /// What is done to the rows of `picked`, behind its definition. Children that go by their
    /// foreign key are counted by statistics, or else deleted before.
    #[expect(clippy::too_many_lines, reason = "one statement after the other")]
    pub(super) fn writing(&mut self, parts: &Parts, by_statistics: bool) -> Option<Writing> {
        let rule = self.rule;
        let (from, of) = (&parts.from, &parts.of);
        let (open, kept) = parts.open_and_kept();
        let mut steps = Steps {
            by_statistics,
            ..Steps::default()
        };
        for children in &rule.with {
            let referred = self.child_reference(children, &parts.first_key);
            let number = parts
                .references
                .iter()
                .position(|column| *column == referred);
            let parents = format!(
                "SELECT hk_r{} FROM hk_picked WHERE {open}",
                number.unwrap_or(0)
            );
            self.children(children, &parents, &mut steps)?;
        }
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
                let mut set = Vec::new();
                for (name, value) in columns {
                    if !self.column("set", &rule.table, name) {
                        continue;
                    }
                    if self.own_table()?.column(name)?.generated {
                        self.refuse("set", format!("`{name}` is generated by the database"));
                    }
                    if let Value::Constant(literal) = value {
                        self.label("set", name, literal);
                    }
                    let value = self.value("set", value, of, &rule.table, name);
                    set.extend(value.map(|value| format!("{} = {value}", identifier(name))));
                }
                // What the row itself decides; another table cannot be asked again within the
                // statement.
                let changes_others = !rule.with.is_empty() || !rule.then.is_empty();
                let still = if rule.asks_others() && changes_others {
                    "false".to_owned()
                } else {
                    format!("coalesce({}, false)", parts.matches())
                };
                format!(
                    "UPDATE {from} SET {} {condition} RETURNING {} AS hk_id, {still} AS hk_still{row}",
                    set.join(", "),
                    parts.id
                )
            }
        };
        steps.ctes.push(format!("hk_written AS ({write})"));
        if let Some(Action::Archive(into)) = &rule.action {
            self.table("archive", into)?;
            let names: Vec<String> = self
                .own_table()?
                .columns
                .iter()
                .filter(|column| !column.generated)
                .map(|column| column.name.clone())
                .collect();
            for name in &names {
                self.column("archive", into, name);
            }
            let names: Vec<String> = names.iter().map(|name| identifier(name)).collect();
            let names = names.join(", ");
            steps.hand(Handing::Insert(format!(
                "INSERT INTO {} ({names}) SELECT {names} FROM hk_written RETURNING 1",
                table_name(into)
            )));
        }
        for hand_on in &rule.hand_on {
            let handed = HandedRows {
                rows: "hk_written",
                of,
                table: &rule.table,
                key: format!("{of}.hk_id"),
            };
            let handing = self.handed_on(hand_on, &handed)?;
            steps.hand(handing);
        }
        if let Some((active, (column, _))) = parts.noted() {
            // So that the next run does not look at it again.
            steps.ctes.push(format!(
                "hk_moved AS (UPDATE {from} SET {column} = {} WHERE {of}.ctid = ANY \
                 (ARRAY(SELECT hk_ctid FROM hk_picked WHERE ({}) IS NOT TRUE)){} AND {})",
                active.truth.sql,
                active.picked_quiet(parts.inclusive),
                if parts.is_divided {
                    format!(
                        " AND ({of}.tableoid, {of}.ctid) IN (SELECT hk_oid, hk_ctid FROM hk_picked)"
                    )
                } else {
                    String::new()
                },
                parts.matches()
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
            ", {} SELECT hk_ids, hk_still, hk_kept, hk_keepers, hk_place, hk_micros, hk_to_write, \
             ARRAY[{}]::bigint[] AS hk_counts, {}::bigint[] AS hk_tally, {}::bigint AS hk_lag \
             FROM (SELECT coalesce(array_agg(hk_id), '{{}}') AS hk_ids, {still} AS hk_still FROM hk_written) AS hk_w \
             CROSS JOIN (SELECT {kept}, count(*) FILTER (WHERE {open}) AS hk_to_write FROM hk_picked) AS hk_p \
             LEFT JOIN {} AS hk_l ON true",
            steps.ctes.join(", "),
            counted.join(", "),
            if tally.is_some() {
                "(SELECT hk_tally FROM hk_before)"
            } else {
                "'{}'"
            },
            parts.noted().map_or("NULL", |(_, (_, lag))| lag),
            parts.last_place(),
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
    /// Reads the calls, so that Postgres makes them.
    called: Vec<String>,
    /// Children by their number, and their tables.
    tallied: Vec<(usize, i64)>,
}

impl Steps {
    fn hand(&mut self, handing: Handing) {
        let name = format!("hk_h{}", self.handed);
        self.handed += 1;
        self.ctes.push(match handing {
            Handing::Insert(insert) => format!("{name} AS ({insert})"),
            Handing::Call(call) => {
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
