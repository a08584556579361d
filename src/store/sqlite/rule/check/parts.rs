//! Each part of a rule, tried by itself, so that all that is wrong is named at once.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::super::catalogue::Catalogue;
use super::super::dialect::are_one;
use crate::rule::{Action, Finding, Findings, Rule, bare_name, called};
use crate::store::rule::{Dialect, fires, table_name};

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Tries expressions, and looks at columns that must not be NULL, at those of an archive and at
/// triggers.
pub(super) fn parts(
    conn: &mut SqliteConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    findings: &mut Findings,
) -> QueryResult<()> {
    let volatile: Vec<Named> = diesel::sql_query(VOLATILE).load(conn)?;
    for expression in rule.expressions() {
        let Ok(text) = Dialect::Sqlite.sql(expression.sql) else {
            continue;
        };
        if !catalogue.tables.contains_key(expression.table) {
            continue;
        }
        let tried = format!(
            "EXPLAIN SELECT 1 FROM {} WHERE ({text})",
            table_name(expression.table)
        );
        match diesel::sql_query(tried).execute(conn) {
            Err(diesel::result::Error::DatabaseError(_, info)) => {
                let finding = Finding::new(&rule.name, expression.part, info.message());
                findings.refused.push(finding);
                continue;
            }
            tried => tried?,
        };
        let calls = called(&text);
        let named = volatile.iter().filter(|found| calls.contains(&found.name));
        findings
            .refused
            .extend(named.filter(|_| expression.decides).map(|found| {
                let text = format!(
                    "`{}` is not deterministic, so preview, batch and forecast may disagree about a row",
                    found.name
                );
                Finding::new(&rule.name, expression.part.as_str(), text)
            }));
    }
    for one in rule.assignments() {
        let column = catalogue.tables.get(one.table);
        let column = column.and_then(|table| table.column(one.column));
        if one.literal.is_none() && column.is_some_and(|column| column.not_null != 0) {
            let text = format!("`{}` is not null, and is set to NULL", one.column);
            findings
                .refused
                .push(Finding::new(&rule.name, one.part, text));
        }
    }
    super::constants::types(rule, catalogue, findings)?;
    archive(rule, catalogue, findings);
    triggers(conn, rule, findings)
}

/// Columns of an archive that get nothing.
fn archive(rule: &Rule, catalogue: &Catalogue, findings: &mut Findings) {
    let Some(Action::Archive(copied)) = &rule.action else {
        return;
    };
    let into = &copied.into;
    if are_one(into, &rule.table) && copied.copies_all() {
        findings.refused.push(copied.within_table(rule));
        return;
    }
    let tables = (
        catalogue.tables.get(&rule.table),
        catalogue.tables.get(into),
    );
    let (Some(own), Some(archive)) = tables else {
        return;
    };
    for column in &archive.columns {
        let is_copied =
            own.column(&column.name).is_some() && copied.copies::<Catalogue>(&column.name);
        let is_filled = is_copied
            || copied
                .columns
                .keys()
                .any(|name| name.eq_ignore_ascii_case(&column.name));
        let gets_nothing = column.not_null != 0
            && column.has_default == 0
            && !archive.numbers_itself(column)
            && !is_filled;
        if gets_nothing && column.hidden == 0 {
            findings
                .refused
                .push(copied.gets_nothing(rule, &column.name));
        }
    }
}

fn triggers(conn: &mut SqliteConnection, rule: &Rule, findings: &mut Findings) -> QueryResult<()> {
    let event = match &rule.action {
        Some(Action::Set(_)) => "update",
        _ => "delete",
    };
    let found: Vec<Named> = diesel::sql_query(
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = lower(?) \
         AND lower(sql) LIKE '% ' || ? || ' %' ORDER BY name",
    )
    .bind::<Text, _>(bare_name(&rule.table))
    .bind::<Text, _>(event)
    .load(conn)?;
    let names = found.into_iter().map(|found| found.name);
    findings.advice.extend(fires(rule, names));
    Ok(())
}

/// Functions whose value may differ for the same row: those of a host that are not deterministic,
/// and SQLite's own of this kind.
const VOLATILE: &str = "
    SELECT DISTINCT name FROM pragma_function_list WHERE flags & 2048 = 0
    AND (builtin = 0 OR name IN ('random', 'randomblob', 'changes', 'total_changes', 'last_insert_rowid'))";
