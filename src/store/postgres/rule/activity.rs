//! Activity in another table, which keeps rows alive.

use super::compiler::Compiler;
use super::stamp::{Moment, once};
use crate::rule::{Activity, Finding, Noted, Through};
use crate::store::rule::{Dialect, identifier, table_name};
use crate::store::tx_error::{NOT_NOTED, NOT_READ};

/// What a row's activity adds to the parts of a rule.
pub(super) struct Active {
    /// The later of the row's own instant and its newest activity.
    pub(super) truth: Moment,
    /// The column in which activity is noted, and by how many microseconds it may lag.
    pub(super) noted: Option<(String, String)>,
    /// A table whose rows are locked as well, joined to the rule's, and its name there.
    pub(super) join: Option<(String, &'static str)>,
}

impl Active {
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
    /// What rows are ordered by, and what their activity adds: a lower bound of it if it is noted,
    /// else their own instant.
    pub(super) fn active(
        &mut self,
        activity: &Activity,
        own: Moment,
        of: &str,
        key: &str,
    ) -> Option<(Moment, Active)> {
        let rule = self.rule;
        let part = format!("active {}", activity.table);
        self.table(&part, &activity.table)?;
        let mut fine = self.column(&part, &activity.table, &activity.column);
        fine &= self.column(&part, &activity.table, &activity.at.column);
        let referred = self.reference(
            &rule.table,
            &activity.table,
            &activity.column,
            activity.references.as_deref(),
            key,
        );
        fine &= self.column(&part, &rule.table, &referred);
        for column in activity.only.iter().flat_map(|filter| filter.columns()) {
            fine &= self.column(&part, &activity.table, column);
        }
        if !fine {
            return None;
        }
        let declared = rule.due.as_ref().and_then(|due| due.stamp());
        let found = self.catalogue.tables.get(&activity.table)?;
        // A type that says it all needs no stamp.
        let column = found.column(&activity.at.column)?;
        let stamp = activity.at.stamp.as_ref().or(declared);
        let stamp = stamp.filter(|_| column.base != "timestamp with time zone");
        let newest = Moment::of(column, "hk_a", stamp);
        let newest = self.noted(&part, newest)?;
        let newest = self.same_form(&part, newest, &own)?;
        let mut condition = format!(
            "hk_a.{} = {of}.{}",
            identifier(&activity.column),
            identifier(&referred)
        );
        if let Some(filter) = &activity.only {
            let filter = self.text(&part, Dialect::Postgres.filter(filter, "hk_a"))?;
            condition.extend([" AND ", &filter]);
        }
        // Not `exists`: the planner might read the whole table for it.
        let newest = format!(
            "(SELECT max({}) FROM {} AS hk_a WHERE {condition})",
            newest.sql,
            table_name(&activity.table)
        );
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
                let (bound, noted) = self.noted_in(&part, activity, noted, &own, of)?;
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
        of: &str,
    ) -> Option<(Moment, (String, String))> {
        let rule = self.rule;
        if !self.column(part, &rule.table, &noted.column) {
            return None;
        }
        let triggers = &self.catalogue.tables.get(&activity.table)?.triggers;
        if !triggers.contains(&noted.trigger) {
            let text = format!(
                "trigger `{}` on `{}`, which notes activity in `{}`, is missing or off",
                noted.trigger, activity.table, noted.column
            );
            self.refuse(part, text);
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
                 AND hk_g.tgenabled IN ('O', 'A')) THEN coalesce(({lag})::bigint, {NOT_READ}) ELSE {NOT_NOTED} END)"
            )
        });
        let lag = self.text(part, lag)?;
        let bound = Moment {
            sql: format!("coalesce({}, {})", moment.sql, own.sql),
            form: own.form.clone(),
        };
        Some((bound, (identifier(&noted.column), lag)))
    }

    /// The table that a row and its activity both refer to, joined to the rule's.
    fn through(
        &mut self,
        part: &str,
        activity: &Activity,
        through: &Through,
        of: &str,
        referred: &str,
    ) -> Option<(String, &'static str)> {
        self.table(part, &through.table)?;
        if !self.column(part, &through.table, &through.key) {
            return None;
        }
        for (table, column) in [
            (&self.rule.table, referred),
            (&activity.table, &*activity.column),
        ] {
            let refers = self.catalogue.referred(table, column, &through.table);
            if refers != Some(&*through.key) {
                let finding = Finding::new(
                    &self.rule.name,
                    part,
                    format!(
                        "no foreign key from `{table}.{column}` to `{}`, whose rows are locked to keep activity out",
                        through.table
                    ),
                );
                self.findings.push(finding.mend(format!(
                    "alter table {} add foreign key ({}) references {} ({})",
                    table_name(table),
                    identifier(column),
                    table_name(&through.table),
                    identifier(&through.key),
                )));
                return None;
            }
        }
        let join = format!(
            "JOIN {} AS hk_t ON hk_t.{} = {of}.{}",
            table_name(&through.table),
            identifier(&through.key),
            identifier(referred)
        );
        Some((join, "hk_t"))
    }

    fn same_form(&mut self, part: &str, moment: Moment, own: &Moment) -> Option<Moment> {
        if moment.form == own.form {
            return Some(moment);
        }
        self.refuse(part, "its instants are not kept as those in `due` are");
        None
    }
}
