//! Activity in another table, which keeps rows alive.

use super::dialect::Compiler;
use super::noting_trigger::notes;
use super::stamp::{Form, Moment};
use crate::rule::{Activity, Finding, Noted, bare_name};
use crate::store::migrations::ACTIVITY_TRIGGER;
use crate::store::rule::{Active, Dialect, alias, equal, identifier, param, table_name};
use crate::store::tx_error::{NOT_NOTED, NOT_READ};

impl Active<Moment> {
    /// Whether the row is due by its activity.
    pub(super) fn quiet(&self, inclusive: bool) -> String {
        let sign = if inclusive { "<=" } else { "<" };
        let quiet = format!("{} {sign} {}", self.truth.sql, param("cutoff"));
        match self.truth.form {
            Form::Epoch(_) => quiet,
            Form::Text(_) => format!("{quiet} AND {} >= '0000'", self.truth.sql),
        }
    }
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
        let at = &activity.at;
        let declared = rule.due.as_ref().and_then(|due| due.sqlite_stamp());
        let stamp = at.sqlite_stamp().or(declared);
        let other = alias(&activity.table, of);
        let newest = format!("{other}.{}", identifier(&at.column));
        let newest = self.noted(&part, Moment::of(&at.column, newest, stamp, None))?;
        if newest.form != own.form {
            self.refuse(&part, "its instants are not kept as those in `due` are");
            return None;
        }
        let newest = format!("(SELECT max({}) {rows})", newest.sql);
        let truth = Moment {
            sql: format!("max({0}, ifnull({newest}, {0}))", own.sql),
            form: own.form.clone(),
            doubts: own.doubts.clone(),
        };
        let mut active = Active {
            truth,
            noted: None,
            join: None,
        };
        let Some(noted) = &activity.noted_in else {
            return Some((own, active));
        };
        let (bound, noted) = self.noted_in(&part, activity, noted, &own, (of, &referred))?;
        active.noted = Some(noted);
        Some((bound, active))
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
        if !self.column(part, &self.rule.table, &noted.column) {
            return None;
        }
        let triggers = &self.catalogue.tables.get(&activity.table)?.triggers;
        if !triggers.contains(&(noted.trigger.to_lowercase(), true)) {
            let text = format!(
                "trigger `{}` on `{}`, which notes activity in `{}`, is missing or altered",
                noted.trigger, activity.table, noted.column
            );
            let finding = Finding::new(&self.rule.name, part, text);
            let trigger = self.noting_trigger(activity, noted, own, (of, referred));
            self.findings.push(match trigger {
                Some(trigger) if noted.trigger != ACTIVITY_TRIGGER => finding.mend(trigger),
                _ => finding,
            });
        }
        let (trigger, table) = (
            Dialect::Sqlite.text(&noted.trigger.to_lowercase()),
            Dialect::Sqlite.text(&bare_name(&activity.table).to_lowercase()),
        );
        // A trigger may be dropped, and its table emptied, while runs rely on both.
        let lag = Dialect::Sqlite.sql(&noted.lag).map(|lag| {
            format!(
                "(CASE WHEN EXISTS (SELECT 1 FROM sqlite_master AS hk_g WHERE hk_g.type = 'trigger' AND lower(hk_g.name) = {trigger} \
                 AND lower(hk_g.tbl_name) = {table} AND {}) THEN coalesce(({lag}), {NOT_READ}) ELSE {NOT_NOTED} END)",
                notes("hk_g")
            )
        });
        let lag = self.text(part, lag)?;
        let column = identifier(&noted.column);
        let bound = Moment {
            sql: format!("coalesce({of}.{column}, {})", own.sql),
            form: own.form.clone(),
            doubts: own.doubts.clone(),
        };
        Some((bound, (column, lag)))
    }

    /// The statement that creates the trigger which notes activity, if it is known.
    fn noting_trigger(
        &self,
        activity: &Activity,
        noted: &Noted,
        own: &Moment,
        (of, referred): (&str, &[String]),
    ) -> Option<String> {
        let rule = self.rule;
        let lag = Dialect::Sqlite.sql(&noted.lag).ok()?;
        let (column, at) = (identifier(&noted.column), identifier(&activity.at.column));
        let lagging = match &own.form {
            Form::Epoch(per_second) => format!("new.{at} - ({lag}) * {per_second} / 1000000"),
            // Noted each time, because text takes no difference.
            Form::Text(_) => format!("new.{at}"),
        };
        let when = match &activity.only {
            None => String::new(),
            Some(filter) if filter.is_opaque() => return None,
            Some(filter) => {
                let filter = Dialect::Sqlite.filter(filter, "new").ok()?;
                format!(" when {filter}")
            }
        };
        let trigger = identifier(&noted.trigger);
        Some(format!(
            "drop trigger if exists {trigger}; create trigger {trigger} after insert on {}{when} begin update {} set {column} = new.{at} \
             where {} and coalesce({of}.{column}, {}) < {lagging}; end",
            table_name(&activity.table),
            identifier(bare_name(&rule.table)),
            equal(of, referred, "new", activity.column.names()),
            own.sql,
        ))
    }
}
