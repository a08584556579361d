//! Activity in another table, which keeps rows alive.

use super::dialect::Compiler;
use super::noting_trigger::notes;
use super::stamp::{Form, Moment, once};
use crate::rule::{Activity, Finding, Noted, Through, bare_name};
use crate::store::migrations::ACTIVITY_TRIGGER;
use crate::store::rule::{
    Active, Dialect, Tables, alias, equal, identifier, qualified, table_name,
};
use crate::store::tx_error::{NOT_NOTED, NOT_READ};

impl Active<Moment> {
    /// Whether the row is due by its activity.
    pub(super) fn quiet(&self, inclusive: bool) -> String {
        quiet(&self.truth.sql, &self.truth, inclusive)
    }

    /// The same of a row that was picked.
    pub(super) fn picked_quiet(&self, inclusive: bool) -> String {
        quiet("hk_truth", &self.truth, inclusive)
    }
}

fn quiet(sql: &str, truth: &Moment, inclusive: bool) -> String {
    let sign = if inclusive { "<=" } else { "<" };
    format!("{sql} {sign} {}", once("cutoff", truth.form.cast()))
}

impl Compiler<'_> {
    /// The order of rows, and the parts that activity adds.
    pub(super) fn active(
        &mut self,
        activity: &Activity,
        own: Moment,
        of: &str,
        key: &[String],
    ) -> Option<(Moment, Active<Moment>)> {
        let rule = self.rule;
        let part = format!("active {}", activity.table);
        let (rows, referred) = self.activity_of(&part, activity, of, key)?;
        let declared = rule.due.as_ref().and_then(|due| due.stamp());
        let found = self.catalogue.tables.get(&activity.table)?;
        // A type that says it all needs no stamp.
        let column = found.column(&activity.at.column)?;
        let stamp = activity.at.stamp.as_ref().or(declared);
        let stamp = stamp.filter(|_| column.base != "timestamp with time zone");
        let other = alias(&activity.table, of);
        let newest = Moment::of(column, &other, stamp);
        let newest = self.noted(&part, newest)?;
        let newest = self.same_form(&part, newest, &own)?;
        // Not `exists`: the planner might read the whole table for it.
        let newest = format!("(SELECT max({}) {rows})", newest.sql);
        // A row without an instant of its own is never due.
        let truth = Moment {
            sql: format!(
                "CASE WHEN {0} IS NOT NULL THEN greatest({0}, {newest}) END",
                own.sql
            ),
            form: own.form.clone(),
        };
        let mut active = Active {
            truth,
            noted: None,
            join: None,
        };
        match (&activity.noted_in, &activity.through) {
            (Some(noted), _) => {
                let (bound, noted) =
                    self.noted_in(&part, activity, noted, &own, (of, &referred))?;
                active.noted = Some(noted);
                return Some((bound, active));
            }
            (None, Some(through)) => {
                active.join = Some(self.through(&part, activity, through, of, &referred)?);
            }
            (None, None) => self.locks("active", &activity.table, &activity.column, &referred),
        }
        Some((own, active))
    }

    /// The lower bound that the noted column gives, the column and its lag.
    fn noted_in(
        &mut self,
        part: &str,
        activity: &Activity,
        noted: &Noted,
        own: &Moment,
        (of, referred): (&str, &[String]),
    ) -> Option<(Moment, (String, String))> {
        let rule = self.rule;
        if !self.column(part, &rule.table, &noted.column) {
            return None;
        }
        let triggers = &self.catalogue.tables.get(&activity.table)?.triggers;
        if !triggers.contains(&noted.trigger) {
            let text = format!(
                "trigger `{}` on `{}`, which notes activity in `{}`, is missing, off or altered",
                noted.trigger, activity.table, noted.column
            );
            let finding = Finding::new(&rule.name, part, text);
            let trigger = self.noting_trigger(activity, noted, own, referred);
            self.findings.push(match trigger {
                Some(trigger) if noted.trigger != ACTIVITY_TRIGGER => finding.mend(trigger),
                _ => finding,
            });
        }
        let column = self.own_table()?.column(&noted.column)?;
        let stamp = rule.due.as_ref().and_then(|due| due.stamp());
        let stamp = stamp.filter(|_| column.base != "timestamp with time zone");
        let moment = Moment::of(column, of, stamp);
        let moment = self.noted(part, moment)?;
        let moment = self.same_form(part, moment, own)?;
        let (trigger, table) = (
            Dialect::Postgres.text(&noted.trigger),
            Dialect::Postgres.text(&table_name(&activity.table)),
        );
        // A trigger may be turned off, and its table emptied, while runs rely on both.
        let lag = Dialect::Postgres.sql(&noted.lag).map(|lag| {
            format!(
                "(CASE WHEN EXISTS (SELECT FROM pg_trigger AS hk_g WHERE hk_g.tgrelid = to_regclass({table}) AND hk_g.tgname = {trigger} \
                 AND {}) THEN coalesce(({lag})::bigint, {NOT_READ}) ELSE {NOT_NOTED} END)",
                notes("hk_g")
            )
        });
        let lag = self.text(part, lag)?;
        let bound = Moment {
            sql: format!("coalesce({}, {})", moment.sql, own.sql),
            form: own.form.clone(),
        };
        Some((bound, (identifier(&noted.column), lag)))
    }

    /// The statements that create the trigger which notes activity, if they are known.
    fn noting_trigger(
        &self,
        activity: &Activity,
        noted: &Noted,
        own: &Moment,
        referred: &[String],
    ) -> Option<String> {
        let rule = self.rule;
        let lag = Dialect::Postgres.sql(&noted.lag).ok()?;
        let (column, at) = (identifier(&noted.column), identifier(&activity.at.column));
        let of = identifier(bare_name(&rule.table));
        let lagging = match &own.form {
            Form::Zoned | Form::Naive => {
                format!("new.{at} - ({lag})::bigint * interval '1 microsecond'")
            }
            Form::Epoch { per_second, .. } => {
                format!("new.{at} - ({lag})::bigint * {per_second} / 1000000")
            }
            // Noted each time, because text takes no difference.
            Form::Text(_) => format!("new.{at}"),
        };
        let when = match &activity.only {
            None => String::new(),
            Some(filter) if filter.is_opaque() => return None,
            Some(filter) => {
                let filter = Dialect::Postgres.filter(filter, "new").ok()?;
                format!(" when ({filter})")
            }
        };
        let trigger = identifier(&noted.trigger);
        Some(format!(
            "create or replace function {trigger}() returns trigger language plpgsql as $$ begin \
             update {} set {column} = new.{at} where {} and coalesce({of}.{column}, {}) < {lagging}; return null; end $$; \
             drop trigger if exists {trigger} on {3}; create trigger {trigger} after insert on {} for each row{when} execute function {trigger}()",
            table_name(&rule.table),
            equal(&of, referred, "new", activity.column.names()),
            own.sql,
            table_name(&activity.table),
        ))
    }

    /// The table that a row and its activity both refer to, joined to the rule's.
    fn through(
        &mut self,
        part: &str,
        activity: &Activity,
        through: &Through,
        of: &str,
        referred: &[String],
    ) -> Option<(String, &'static str)> {
        self.table(part, &through.table)?;
        if !self.column(part, &through.table, &through.key) {
            return None;
        }
        let sides = [
            (&self.rule.table, referred),
            (&activity.table, activity.column.names()),
        ];
        for (table, columns) in sides {
            let keys = self.catalogue.foreign_keys(table, &through.table);
            let refers = |(own, theirs): &(&[String], &[String])| {
                *own == columns && *theirs == [through.key.as_str()]
            };
            if !keys.iter().any(refers) {
                let columns = columns.join(", ");
                let finding = Finding::new(
                    &self.rule.name,
                    part,
                    format!(
                        "no foreign key from `{table}.{columns}` to `{}`, whose rows are locked to keep activity out",
                        through.table
                    ),
                );
                self.findings.push(finding.mend(format!(
                    "alter table {} add foreign key ({}) references {} ({})",
                    table_name(table),
                    identifier(&columns),
                    table_name(&through.table),
                    identifier(&through.key),
                )));
                return None;
            }
        }
        let join = format!(
            "JOIN {} AS hk_t ON {}",
            table_name(&through.table),
            equal("hk_t", std::slice::from_ref(&through.key), of, referred)
        );
        Some((join, "hk_t"))
    }

    /// The condition that a row refers to the table whose rows are locked with it, if there is one.
    pub(super) fn refers_through(&mut self, of: &str, key: &[String]) -> Option<String> {
        let activity = self.rule.active.as_ref()?;
        activity.through.as_ref()?;
        let part = format!("active {}", activity.table);
        let (_, referred) = self.activity_of(&part, activity, of, key)?;
        let columns = qualified(of, &referred).into_iter();
        let columns: Vec<String> = columns.map(|name| format!("{name} IS NOT NULL")).collect();
        Some(columns.join(" AND "))
    }

    fn same_form(&mut self, part: &str, moment: Moment, own: &Moment) -> Option<Moment> {
        if moment.form == own.form {
            return Some(moment);
        }
        self.refuse(part, "its instants are not kept as those in `due` are");
        None
    }
}
