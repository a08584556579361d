//! The columns of an archive, and its rows.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::super::catalogue::{Catalogue, Column, Table};
use super::parts::problem;
use crate::rule::{Action, Archive, Finding, Findings, Rule};
use crate::store::rule::{identifier, table_name};

/// Columns of an archive that do not take what the table has, or get nothing.
pub(super) async fn archive(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    findings: &mut Findings,
) -> QueryResult<()> {
    let Some(Action::Archive(copied)) = &rule.action else {
        return Ok(());
    };
    let into = &copied.into;
    let tables = (
        catalogue.tables.get(&rule.table),
        catalogue.tables.get(into),
    );
    let (Some(own), Some(archive)) = tables else {
        return Ok(());
    };
    let Held { held } = diesel::sql_query(HELD)
        .bind::<BigInt, _>(own.oid)
        .bind::<BigInt, _>(archive.oid)
        .get_result(conn)
        .await?;
    if held && copied.copies_all() {
        findings.refused.push(copied.within_table(rule));
        return Ok(());
    }
    for name in missing(own, archive, copied) {
        findings.refused.push(copied.gets_nothing(rule, name));
    }
    let is_copied = |column: &&Column| copied.copies::<Catalogue>(&column.name);
    for column in own.columns.iter().filter(is_copied) {
        let target = archive.column(&column.name);
        let Some(target) = target.filter(|target| !target.generated) else {
            continue;
        };
        let name = identifier(&column.name);
        let tried = format!(
            "INSERT INTO {} ({name}) SELECT {name} FROM {} WHERE false",
            table_name(into),
            table_name(&rule.table)
        );
        let cast = &column.cast;
        let mend = format!("alter table {} alter {name} type {cast}", table_name(into));
        if problem(conn, &tried).await?.is_some() {
            let text = format!(
                "`{}` is `{}` and cannot be written into `{into}`, where it is `{}`",
                column.name, column.cast, target.cast
            );
            let finding = Finding::new(&rule.name, "archive", text);
            findings.refused.push(finding.mend(mend));
        } else if is_shorter(&target.cast, cast) {
            let text = format!(
                "`{}` is `{cast}` and `{into}` takes `{}`, so rows with longer values are rejected",
                column.name, target.cast
            );
            let finding = Finding::new(&rule.name, "archive", text);
            findings.advice.push(finding.mend(mend));
        }
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = Bool)]
    held: bool,
}

/// Whether the rows of a table are rows of another: it is the same, or inherits from it.
const HELD: &str = "
    with recursive part as (select $1::oid as oid union select i.inhrelid from part join pg_inherits i on i.inhparent = part.oid)
    select exists (select from part where oid = $2::oid) as held";

fn missing<'t>(
    own: &'t Table,
    archive: &'t Table,
    copied: &'t Archive,
) -> impl Iterator<Item = &'t str> {
    let gets_nothing = archive.columns.iter().filter(|column| {
        let is_copied =
            own.column(&column.name).is_some() && copied.copies::<Catalogue>(&column.name);
        column.not_null
            && !column.has_default
            && !column.generated
            && !is_copied
            && !copied.columns.contains_key(&column.name)
    });
    gets_nothing.map(|column| column.name.as_str())
}

/// Whether a type holds less than another of its kind: `character varying(4)` less than
/// `character varying(8)` and than `text`.
fn is_shorter(target: &str, own: &str) -> bool {
    let numbers = |cast: &str| -> Option<Vec<u64>> {
        let (_, inside) = cast.split_once('(')?;
        let (inside, _) = inside.split_once(')')?;
        inside
            .split(',')
            .map(|part| part.trim().parse().ok())
            .collect()
    };
    let is_text = |cast: &str| cast.starts_with("character") || cast == "text";
    let is_number = |cast: &str| cast.starts_with("numeric");
    if !(is_text(target) && is_text(own) || is_number(target) && is_number(own)) {
        return false;
    }
    match (numbers(target), numbers(own)) {
        (Some(target), Some(own)) => target.iter().zip(&own).any(|(target, own)| target < own),
        (target, own) => target.is_some() && own.is_none(),
    }
}
