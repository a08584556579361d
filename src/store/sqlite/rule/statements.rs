//! The statements of a rule, put together of its parts.

use std::time::Duration;

use super::catalogue::{Catalogue, Column};
use super::dialect::Compiler;
use super::parts::{Parts, shown, shown_key};
use super::plan::{OLDEST, Plan, Variants};
use super::probe::Probe;
use super::writing::Steps;
use crate::rule::{Action, Source};
use crate::store::rule::{Tables, Template, equal, identifier, param, table_name, tuple};

impl Compiler<'_> {
    pub(super) fn compile(&mut self) -> Option<Plan> {
        let basics = self.basics()?;
        let own = self.own_table()?;
        let scope = self.rule.scope.as_ref();
        let scope = scope.and_then(|name| own.column(name));
        let parts = Parts {
            rowid: own.address(&basics.of),
            id: match basics.key_columns.as_slice() {
                [key] => shown_key(key, own.takes_any(&basics.key[0])),
                keys => Catalogue::key_text(keys),
            },
            scope_keeps_types: scope.is_some_and(Column::keeps_types),
            basics,
        };
        self.statements(&parts)
    }

    #[expect(clippy::too_many_lines, reason = "one statement after the other")]
    pub(super) fn statements(&mut self, parts: &Parts) -> Option<Plan> {
        let rule = self.rule;
        let (from, order, place) = (&parts.from, parts.order(), parts.place());
        let Steps {
            each: steps,
            kinds,
            write,
            ..
        } = self.writing(parts)?;
        let rowid = parts.rowid.clone().unwrap_or_else(|| "0".to_owned());
        let limit = param("limit");
        // Related rows lie in the order of its key.
        let goes_with = !rule.with.is_empty() && !matches!(rule.action, Some(Action::Set(_)));
        let sorted = if goes_with {
            &parts.key_columns[0]
        } else {
            &rowid
        };
        let addresses = Variants::new(|scoped, after| {
            let conditions = parts.claimed(scoped, after);
            format!(
                "SELECT hk_address FROM (SELECT {rowid} AS hk_address, {sorted} AS hk_sorted FROM {from} \
                 WHERE {conditions} ORDER BY {order} LIMIT {limit}) ORDER BY hk_sorted"
            )
        });
        let window_end = Variants::new(|scoped, after| {
            let conditions = parts.claimed(scoped, after);
            format!(
                "SELECT {place} FROM {from} WHERE {conditions} ORDER BY {order} LIMIT 1 OFFSET {limit} - 1"
            )
        });
        let places = Variants::new(|scoped, after| {
            let conditions = parts.claimed(scoped, after);
            format!("SELECT {place} FROM {from} WHERE {conditions} ORDER BY {order} LIMIT {limit}")
        });
        let moved = parts.noted().map(|(active, (column, _))| {
            // So that the next run does not look at it again.
            Variants::new(|scoped, _| {
                format!(
                    "UPDATE {from} SET {column} = {} WHERE {} AND {} AND ({}) IS NOT TRUE",
                    active.truth.sql,
                    parts.at_hand(),
                    parts.claimed(scoped, false),
                    active.quiet(parts.inclusive)
                )
            })
        });
        let lag = parts.noted();
        let lag = lag.map(|(_, (_, lag))| Template::new(&format!("SELECT {lag}")));
        let judged = |scoped| {
            format!(
                "{} AND {}",
                parts.at_hand(),
                parts.conditions(scoped, false)
            )
        };
        let deletes = !matches!(rule.action, Some(Action::Set(_)));
        let has_triggers = !self.own_table()?.triggers.is_empty();
        // A row that a trigger inserts again has another address.
        let finds_again = has_triggers && deletes;
        let key = if rule.then.is_empty() && !finds_again {
            "''".to_owned()
        } else {
            parts.key_to_read()
        };
        let judge = Variants::new(|scoped, _| {
            format!(
                "SELECT {rowid}, {}, {}, {key} FROM {from} WHERE {}",
                parts.id,
                parts.keeper,
                judged(scoped)
            )
        });
        let still = Variants::new(|scoped, _| {
            format!("SELECT count(*) FROM {from} WHERE {}", judged(scoped))
        });
        let again = finds_again.then(|| {
            Variants::new(|scoped, _| {
                format!(
                    "SELECT count(*) FROM {from} WHERE {} IN (SELECT {} FROM json_each({})) AND {}",
                    tuple(&parts.key_columns),
                    parts.key_values(),
                    param("written"),
                    parts.conditions(scoped, false)
                )
            })
        });
        let probe = self.failing_row(&parts.of);
        let probe = probe.and_then(|_| Probe::new(parts));
        let is_plain = again.is_none()
            && probe.is_none()
            && rule.with.is_empty()
            && rule.keeps.is_empty()
            && rule.then.is_empty()
            && rule.hand_on.is_empty()
            && !matches!(rule.action, Some(Action::Archive(_)));
        let at_once = is_plain.then(|| {
            Variants::new(|scoped, _| {
                let as_before = if deletes {
                    "0".to_owned()
                } else {
                    format!("({}) IS TRUE", parts.conditions(scoped, false))
                };
                format!(
                    "{write} WHERE {}{} RETURNING {}, {as_before}",
                    judged(scoped),
                    parts.readable(),
                    parts.id
                )
            })
        });
        let then = self.then(parts)?;
        // Where no row need be found again. With the key, rows of one instant are sorted unless an
        // index has it.
        let instant = &parts.due.sql;
        let counts = format!(
            "{} NOT IN (SELECT value FROM json_each({}))",
            parts.id,
            param("rejected")
        );
        let mut details: Vec<String> = rule
            .show
            .iter()
            .map(|name| shown(&format!("{}.{}", parts.of, identifier(name))))
            .collect();
        let mut names = rule.show.clone();
        for children in rule.with.iter().filter(|children| children.show_count) {
            let referred = self.child_reference(children, &parts.key)?;
            details.push(format!(
                "CAST((SELECT count(*) FROM {} AS hk_n WHERE {}) AS TEXT)",
                table_name(&children.table),
                equal(&parts.of, &referred, "hk_n", children.column.names())
            ));
            names.push(children.kind().to_owned());
        }
        let since = format!("quote({})", parts.truth().sql);
        let user = parts
            .scope
            .as_ref()
            .map_or("NULL".to_owned(), |column| shown(column));
        let preview = Variants::new(|scoped, after| {
            let conditions = parts.conditions(scoped, after);
            format!(
                "SELECT {}, {user}, {place}, {since}, json_array({}) FROM {from} WHERE {conditions} ORDER BY {order} LIMIT {limit}",
                parts.id,
                details.join(", ")
            )
        });
        let count = Variants::new(|scoped, _| {
            let conditions = parts.conditions(scoped, false);
            format!(
                "SELECT count(*) FROM (SELECT 1 FROM {from} WHERE {conditions} AND {counts} ORDER BY {instant} LIMIT {limit})"
            )
        });
        let held = parts
            .held
            .as_ref()
            .map_or("'NULL'".to_owned(), |held| format!("quote({})", held.sql));
        let truly = format!("SELECT {since}, {held} FROM {from}");
        let nearly = format!("SELECT quote({}), {held} FROM {from}", parts.due.sql);
        let instants = if parts.noted().is_some() {
            &nearly
        } else {
            &truly
        };
        let oldest = Template::new(&format!(
            "{truly} WHERE {} AND {counts} ORDER BY {instant} LIMIT {OLDEST}",
            parts.conditions(false, false)
        ));
        let later = if parts.inclusive { ">" } else { ">=" };
        // A row that looks due by what is noted is looked at, and moved forward.
        let (later, limit) = match &parts.active {
            None => (format!("{later} {}", param("cutoff")), 1),
            Some(active) if active.noted.is_some() => ("IS NOT NULL".to_owned(), 1),
            Some(_) => ("IS NOT NULL".to_owned(), LIVING),
        };
        let next = Template::new(&format!(
            "{instants} WHERE {} AND {} {later}{}{} AND {counts} ORDER BY {instant} LIMIT {limit}",
            parts.candidates(false),
            parts.due.sql,
            parts.readable(),
            parts.related
        ));
        let next_held = parts.held.as_ref().map(|held| {
            Template::new(&format!(
                "{instants} WHERE {} AND {} > {} AND {} IS NOT NULL{}{} AND {counts} ORDER BY {} LIMIT {OLDEST}",
                parts.only,
                held.sql,
                param("held"),
                parts.due.sql,
                parts.readable(),
                parts.related,
                held.sql
            ))
        });
        let due = rule.due.as_ref()?;
        let is_age =
            matches!(due.source, Source::Column(_)) && due.plus.is_none() && due.lifetime.is_none();
        Some(Plan {
            addresses,
            window_end,
            places,
            judge,
            steps,
            still,
            again,
            at_once,
            sets: !deletes,
            has_triggers,
            then,
            moved,
            lag,
            shown: names,
            keeper: parts.keeper.clone(),
            preview,
            count,
            oldest,
            next,
            next_held,
            kinds,
            keys: parts.key.len(),
            key_names: parts.key.clone(),
            without_rowid: parts.rowid.is_none(),
            order: parts.due.sql.clone(),
            form: parts.due.form.clone(),
            held: parts.held.as_ref().map(|held| held.form.clone()),
            instants: std::mem::take(&mut self.instants),
            after: due.after.unwrap_or_default(),
            unit: if parts.inclusive {
                Duration::ZERO
            } else {
                parts.due.form.unit()
            },
            max_age: rule.soonest.or(due.after.filter(|_| is_age)),
            probe,
            failing: "[]".to_owned(),
        })
    }
}

/// Rows that activity keeps, among which the next to fall due is looked for where none is noted.
const LIVING: u32 = 1_000;
