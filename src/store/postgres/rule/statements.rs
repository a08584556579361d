//! The statements of a rule, put together of its parts.

use std::sync::Arc;
use std::time::Duration;

use super::catalogue::Catalogue;
use super::dialect::Compiler;
use super::parts::{Begin, Parts};
use super::plan::{OID, Plan, TID, Variants};
use super::probe::Probe;
use super::row_by_row::{AS_BEFORE, SKIPPED};
use super::stamp::{has, once};
use crate::rule::{Action, Source};
use crate::store::rule::{Tables, Template, equal, identifier, param, table_name};

impl Compiler<'_> {
    pub(super) fn compile(&mut self) -> Option<Plan> {
        let rule = self.rule;
        if self.catalogue.is_standby {
            self.refuse(
                "table",
                "the server is a standby, which only reads; connect to the primary",
            );
        }
        let mut basics = self.basics()?;
        if let Some(refers) = self.refers_through(&basics.of, &basics.key) {
            basics.only.extend([" AND ", &refers]);
        }
        let mut references = Vec::new();
        for children in &rule.with {
            for name in self.child_reference(children, &basics.key)? {
                if !references.contains(&name) {
                    references.push(name);
                }
            }
        }
        let own = self.own_table()?;
        let cast = |name: &String| own.column(name).map(|column| column.cast.clone());
        let is_structured = |name: &String| own.column(name).map(|column| column.is_structured);
        let are_structured: Vec<bool> = basics.key.iter().filter_map(is_structured).collect();
        let id = match basics.key_columns.as_slice() {
            [key] => format!("{key}::text"),
            keys => {
                let keys = keys.iter().zip(&are_structured);
                let keys = keys.map(|(key, is_structured)| {
                    let cast = if *is_structured { "::text" } else { "" };
                    format!("{key}{cast}")
                });
                Catalogue::key_text(&keys.collect::<Vec<_>>())
            }
        };
        let scope = rule.scope.as_ref().and_then(|name| own.column(name));
        let scope = basics.scope.as_ref().zip(scope);
        let parts = Parts {
            is_divided: own.has_parts,
            id,
            key_casts: basics.key.iter().filter_map(cast).collect(),
            are_structured,
            scoped: scope.map(|(of, column)| has(column, of, "scope")),
            references,
            basics,
        };
        self.statements(&parts)
    }

    #[expect(clippy::too_many_lines, reason = "one statement after the other")]
    pub(super) fn statements(&mut self, parts: &Parts) -> Option<Plan> {
        let rule = self.rule;
        let (from, of) = (&parts.from, &parts.of);
        let picked = parts.picked();
        let order = parts.order();
        // Where no row need be found again. With the key, rows of one instant are sorted unless an
        // index has it.
        let instant = &parts.due.sql;
        let together = self.writing(parts, true)?;
        // A loop has no statistics for a single row.
        let writing = self.writing(parts, false)?.text;
        let claim = |scoped, begin| parts.claim(rule, scoped, begin, &order);
        let keys = parts.key.len();
        let behind = |keys| format!("LEFT JOIN {} AS hk_l ON true", parts.last_place(keys));
        let is_loose = parts.is_loose();
        let sweep = Variants::new(|scoped, begin| {
            let (order, keys) = if is_loose && begin != Begin::Behind {
                (instant, 0)
            } else {
                (&order, keys)
            };
            format!(
                "WITH hk_picked AS MATERIALIZED (SELECT {picked} {}){} {}",
                parts.claim(rule, scoped, begin, order),
                together.text,
                behind(keys)
            )
        });
        let writing = format!("{writing} {}", behind(keys));
        let place = parts.own_place();
        let micros = parts.due.micros();
        let lock = Variants::new(|scoped, begin| {
            format!(
                "WITH hk_picked AS MATERIALIZED (SELECT {of}.tableoid::text AS hk_oid, {of}.ctid::text AS hk_ctid, {} AS hk_id, \
                 {place} AS hk_place, {micros} AS hk_micros {}) \
                 SELECT ARRAY(SELECT hk_oid FROM hk_picked), ARRAY(SELECT hk_ctid FROM hk_picked), ARRAY(SELECT hk_id FROM hk_picked), \
                 ARRAY(SELECT hk_place FROM hk_picked), ARRAY(SELECT hk_micros FROM hk_picked)",
                parts.id,
                claim(scoped, begin)
            )
        });
        let oids = if parts.is_divided {
            "ARRAY(SELECT hk_oid::text FROM hk_picked)"
        } else {
            "'{}'::text[]"
        };
        let lock_together = Variants::new(|scoped, begin| {
            format!(
                "WITH hk_picked AS MATERIALIZED (SELECT {of}.tableoid AS hk_oid, {of}.ctid AS hk_ctid, {} {}) \
                 SELECT {oids}, ARRAY(SELECT hk_ctid::text FROM hk_picked), hk_place, hk_micros \
                 FROM (SELECT 1) AS hk_one LEFT JOIN {} AS hk_l ON true",
                parts.place_columns(),
                claim(scoped, begin),
                parts.last_place(keys)
            )
        });
        let judged = format!("{}{}", parts.matches(), parts.decided());
        let several = if parts.is_divided {
            format!(
                " AND ({of}.tableoid, {of}.ctid) IN (SELECT o::oid, t::tid FROM unnest({}::text[], {}::text[]) AS u(o, t))",
                param("oids"),
                param("tids")
            )
        } else {
            String::new()
        };
        let write = Template::new(&format!(
            "WITH hk_picked AS MATERIALIZED (SELECT {picked} FROM {from} WHERE {of}.ctid = ANY ({}::text[]::tid[]) AND {judged}{several}){writing}",
            param("tids")
        ));
        let write_one = Template::new(&format!(
            "WITH hk_picked AS MATERIALIZED (SELECT {picked} FROM {from} WHERE {of}.ctid = {TID} AND {of}.tableoid = {OID} AND {judged}){writing}"
        ));
        let then = self.then(parts)?;
        let own = self.own_table()?;
        let as_before = if own.has_triggers { SKIPPED } else { AS_BEFORE };
        let set_back = (own.set_back || rule.is_ended_by_others()).then(|| {
            let keys = parts.key_columns.join(", ");
            Template::new(&format!(
                "{} SELECT count(*) AS hk_still FROM {from} WHERE ({keys}) IN (SELECT * FROM written) AND {judged}",
                parts.just_written()
            ))
        });
        let after_set = self.after_set(parts);
        let counts = format!("{} <> ALL ({}::text[])", parts.id, param("rejected"));
        let mut details: Vec<String> = rule
            .show
            .iter()
            .map(|name| format!("{of}.{}::text", identifier(name)))
            .collect();
        let mut shown = rule.show.clone();
        for children in rule.with.iter().filter(|children| children.show_count) {
            let referred = self.child_reference(children, &parts.key)?;
            details.push(format!(
                "(SELECT count(*) FROM {} AS hk_n WHERE {})::text",
                table_name(&children.table),
                equal("hk_n", children.column.names(), of, &referred)
            ));
            shown.push(children.kind().to_owned());
        }
        let since = parts.truth().micros();
        let user = parts
            .scope
            .as_ref()
            .map_or("NULL".to_owned(), |column| format!("{column}::text"));
        let preview = Variants::new(|scoped, begin| {
            format!(
                "SELECT {}, {user}, {since}, {place}, ARRAY[{}]::text[] FROM {from} WHERE {} ORDER BY {order} LIMIT {}::bigint",
                parts.id,
                details.join(", "),
                parts.conditions(scoped, begin),
                param("limit")
            )
        });
        let count = Variants::new(|scoped, _| {
            format!(
                "SELECT count(*) FROM (SELECT 1 FROM {from} WHERE {} AND {counts} ORDER BY {instant} LIMIT {}::bigint) AS counted",
                parts.conditions(scoped, Begin::First),
                param("limit")
            )
        });
        // About 400 kB of the table, the same twice.
        let sample = format!(
            "{from} TABLESAMPLE SYSTEM (least(4e7 / greatest((WITH RECURSIVE part AS (SELECT {}::bigint::oid AS oid \
             UNION SELECT i.inhrelid FROM part JOIN pg_inherits i ON i.inhparent = part.oid) \
             SELECT sum(pg_relation_size(oid)) FROM part), 1), 100)) REPEATABLE (1)",
            self.catalogue.oid(&rule.table)?
        );
        let most_of_sample = Template::new(&format!(
            "SELECT count(*) * 2 > (SELECT count(*) FROM {sample}) AS fails FROM {sample} WHERE {} AND {counts}",
            parts.conditions(false, Begin::First)
        ));
        let after = rule.due.as_ref()?.after.unwrap_or_default();
        let shift = i64::try_from(after.as_micros()).unwrap_or(i64::MAX / 4);
        let due_at = format!("{micros} + {shift}");
        let truly_due_at = format!("{since} + {shift}");
        let freed = match &parts.held {
            None => truly_due_at.clone(),
            Some(held) => format!("greatest({truly_due_at}, {})", held.micros()),
        };
        let oldest = Template::new(&format!(
            "SELECT min(hk_due) FROM (SELECT {freed} AS hk_due FROM {from} WHERE {} AND {counts} ORDER BY {instant} LIMIT {OLDEST}) AS oldest",
            parts.conditions(false, Begin::First)
        ));
        let first = Template::new(&format!(
            "SELECT to_jsonb({due}) #>> '{{}}' FROM {from} WHERE {} AND {} AND {} ORDER BY {instant} LIMIT 1",
            parts.only,
            parts.due(),
            parts.above_floor(),
            due = parts.due.sql
        ));
        let unit = if parts.inclusive {
            Duration::ZERO
        } else {
            parts.due.form.unit()
        };
        let unit = i64::try_from(unit.as_micros()).unwrap_or(0);
        let later = if parts.inclusive { ">" } else { ">=" };
        let cutoff = once("cutoff", parts.due.form.cast());
        let candidates = format!("{}{} AND {counts}", parts.candidates(false), parts.related);
        let next = Template::new(&match &parts.active {
            None => format!(
                "SELECT {due_at} + {unit} FROM {from} WHERE {candidates} AND {} {later} {cutoff} ORDER BY {instant} LIMIT 1",
                parts.due.sql
            ),
            // A row that looks due by what is noted is looked at, and moved forward.
            Some(active) if active.noted.is_some() => format!(
                "SELECT {due_at} + {unit} FROM {from} WHERE {candidates} AND {} ORDER BY {instant} LIMIT 1",
                parts.above_floor()
            ),
            Some(_) => format!(
                "SELECT min(hk_due) FROM (SELECT {truly_due_at} + {unit} AS hk_due FROM {from} \
                 WHERE {candidates} AND {} ORDER BY {instant} LIMIT {LIVING}) AS living HAVING count(*) > 0",
                parts.above_floor()
            ),
        });
        let next_held = parts.held.as_ref().map(|held| {
            let until = held.micros();
            let due_at = if parts.noted().is_some() { &due_at } else { &truly_due_at };
            let later = format!("{} > {}", held.sql, once("held", held.form.cast()));
            Template::new(&format!(
                "SELECT CASE WHEN count(*) < {OLDEST} THEN min(hk_due) ELSE least(min(hk_due), max(hk_held)) END FROM \
                 (SELECT greatest({until}, {due_at} + {unit}) AS hk_due, {until} AS hk_held FROM {from} \
                 WHERE {} AND {later} AND {} IS NOT NULL{} AND {counts} ORDER BY {} LIMIT {OLDEST}) AS held",
                parts.only, parts.due.sql, parts.related, held.sql
            ))
        });
        let lag = parts
            .noted()
            .map(|(_, (_, lag))| Template::new(&format!("SELECT {lag}")));
        let probe = match self.failing_row(of) {
            Some(_) => Some(Probe::new(parts, self.own_table()?.oid)),
            None => None,
        };
        let due = rule.due.as_ref()?;
        let is_age =
            matches!(due.source, Source::Column(_)) && due.plus.is_none() && due.lifetime.is_none();
        Some(Plan {
            sweep,
            lock,
            lock_together,
            write,
            write_one,
            tallied: together.tallied,
            tally: together.tally,
            lag,
            shown,
            keeper: parts.keeper.clone(),
            then,
            set_back,
            as_before,
            after_set,
            preview,
            count,
            most_of_sample,
            oldest,
            first,
            may_keep_back: parts.held.is_some()
                || parts.active.is_some()
                || !parts.related.is_empty(),
            next,
            next_held,
            order: parts.due.sql.clone(),
            is_served: false,
            kinds: together.kinds,
            keys: parts.key.len(),
            form: parts.due.form.clone(),
            lowest: parts.due.form.lowest(self.catalogue.has_infinite_numerics),
            held: parts.held.as_ref().map(|held| held.form.clone()),
            instants: std::mem::take(&mut self.instants),
            after,
            max_age: rule.soonest.or(due.after.filter(|_| is_age)),
            probe,
            failing: Arc::default(),
        })
    }
}

impl Compiler<'_> {
    /// Due rows as they are once they are set, for the check.
    fn after_set(&mut self, parts: &Parts) -> Option<Template> {
        let rule = self.rule;
        let Some(Action::Set(columns)) = &rule.action else {
            return None;
        };
        // The problem of a value is reported already.
        if !rule.changes.is_empty() || !self.findings.is_empty() {
            return None;
        }
        let catalogue = self.catalogue;
        let mut selected = Vec::new();
        for column in &catalogue.tables.get(&rule.table)?.columns {
            let name = identifier(&column.name);
            // Columns generated from a set column are unknown here.
            if column.generated {
                return None;
            }
            selected.push(match columns.get(&column.name) {
                None => format!("{}.{name}", parts.of),
                Some(value) => {
                    let into = (rule.table.as_str(), column.name.as_str());
                    let value = self.value("set", value, &parts.of, into)?;
                    format!("({value})::{} AS {name}", column.cast)
                }
            });
        }
        Some(Template::new(&format!(
            "SELECT {} FROM {} WHERE {} LIMIT {}::bigint",
            selected.join(", "),
            parts.from,
            parts.conditions(false, Begin::First),
            param("limit")
        )))
    }
}

/// The rows among which the oldest overdue, and the next to be let go, are looked for.
const OLDEST: u32 = 100;

/// Rows that activity keeps, among which the next to fall due is looked for where none is noted.
const LIVING: u32 = 1_000;
