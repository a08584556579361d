//! Activity in another table, which keeps rows alive.

use super::compiler::Compiler;
use super::stamp::{Form, Moment};
use crate::rule::{Activity, Noted, bare_name};
use crate::store::rule::{Dialect, identifier, param, table_name};
use crate::store::tx_error::{NOT_NOTED, NOT_READ};

/// What a row's activity adds to the parts of a rule.
pub(super) struct Active {
    /// The later of the row's own instant and its newest activity.
    pub(super) truth: Moment,
    /// The column in which activity is noted, and by how many microseconds it may lag.
    pub(super) noted: Option<(String, String)>,
}

impl Active {
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
        let at = &activity.at;
        let declared = rule.due.as_ref().and_then(|due| due.sqlite_stamp());
        let stamp = at.sqlite_stamp().or(declared);
        let newest = format!("hk_a.{}", identifier(&at.column));
        let newest = self.noted(&part, Moment::of(&at.column, newest, stamp, None))?;
        if newest.form != own.form {
            self.refuse(&part, "its instants are not kept as those in `due` are");
            return None;
        }
        let mut condition = format!(
            "hk_a.{} = {of}.{}",
            identifier(&activity.column),
            identifier(&referred)
        );
        if let Some(filter) = &activity.only {
            let filter = self.text(&part, Dialect::Sqlite.filter(filter, "hk_a"))?;
            condition.extend([" AND ", &filter]);
        }
        let newest = format!(
            "(SELECT max({}) FROM {} AS hk_a WHERE {condition})",
            newest.sql,
            table_name(&activity.table)
        );
        let truth = Moment {
            sql: format!("max({0}, ifnull({newest}, {0}))", own.sql),
            form: own.form.clone(),
        };
        let Some(noted) = &activity.noted_in else {
            return Some((own, Active { truth, noted: None }));
        };
        let (bound, noted) = self.noted_in(&part, activity, noted, &own, of)?;
        let noted = Some(noted);
        Some((bound, Active { truth, noted }))
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
        if !self.column(part, &self.rule.table, &noted.column) {
            return None;
        }
        let triggers = &self.catalogue.tables.get(&activity.table)?.triggers;
        if !triggers.contains(&noted.trigger.to_lowercase()) {
            let text = format!(
                "trigger `{}` on `{}`, which notes activity in `{}`, is missing",
                noted.trigger, activity.table, noted.column
            );
            self.refuse(part, text);
        }
        let (trigger, table) = (
            Dialect::Sqlite.text(&noted.trigger.to_lowercase()),
            Dialect::Sqlite.text(&bare_name(&activity.table).to_lowercase()),
        );
        // A trigger may be dropped, and its table emptied, while runs rely on both.
        let lag = Dialect::Sqlite.sql(&noted.lag).map(|lag| {
            format!(
                "(CASE WHEN EXISTS (SELECT 1 FROM sqlite_master AS hk_g WHERE hk_g.type = 'trigger' AND lower(hk_g.name) = {trigger} \
                 AND lower(hk_g.tbl_name) = {table}) THEN coalesce(({lag}), {NOT_READ}) ELSE {NOT_NOTED} END)"
            )
        });
        let lag = self.text(part, lag)?;
        let column = identifier(&noted.column);
        let bound = Moment {
            sql: format!("coalesce({of}.{column}, {})", own.sql),
            form: own.form.clone(),
        };
        Some((bound, (column, lag)))
    }
}
