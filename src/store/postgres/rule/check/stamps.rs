//! Whether the rows hold instants as the rule says.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::super::catalogue::Catalogue;
use super::parts;
use crate::rule::{Finding, Findings, Rule, Source, Stamp, doubted, has_offset, misread, nearest};
use crate::store::rule::{Dialect, identifier, table_name};

#[derive(QueryableByName)]
struct Middle {
    #[diesel(sql_type = Nullable<BigInt>)]
    value: Option<i64>,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

#[derive(QueryableByName)]
struct Sampled {
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct Zone {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Refuses time zones that the server does not know, and returns whether it knows all.
pub(super) async fn zones(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    findings: &mut Findings,
) -> QueryResult<bool> {
    let mut stamps: Vec<(&str, Option<&Stamp>)> = rule
        .instants()
        .into_iter()
        .map(|(part, instant)| (part, instant.stamp.as_ref()))
        .collect();
    if let Some(Source::Sql(_, stamp)) = rule.due.as_ref().map(|due| &due.source) {
        stamps.push(("due", Some(stamp)));
    }
    let active = rule.active.iter();
    stamps.extend(active.map(|activity| ("active", activity.at.stamp.as_ref())));
    let before = findings.refused.len();
    for (part, stamp) in stamps {
        let Some(Stamp::NaiveIn(zone)) = stamp else {
            continue;
        };
        let literal = Dialect::Postgres.text(zone);
        let tried =
            format!("SELECT timestamp '2000-01-01' AT TIME ZONE {literal} IS NULL AS fails");
        if let Some(problem) = parts::refusal(conn, &tried).await?.1 {
            let known: Vec<Zone> = diesel::sql_query("SELECT name FROM pg_timezone_names")
                .load(conn)
                .await?;
            let hint = nearest(zone, known.iter().map(|zone| zone.name.as_str()));
            let hint = hint.map_or(String::new(), |name| format!("; did you mean `{name}`?"));
            let finding = Finding::new(&rule.name, part, format!("{problem}{hint}"));
            findings.refused.push(finding);
        }
    }
    Ok(findings.refused.len() == before)
}

/// Refuses numbers of another unit and texts of another format. A few odd rows are never due, and
/// stop nothing.
pub(super) async fn stamps(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    findings: &mut Findings,
) -> QueryResult<()> {
    let Some(own) = catalogue.tables.get(&rule.table) else {
        return Ok(());
    };
    for (part, instant) in rule.instants() {
        let Some(column) = own.column(&instant.column) else {
            continue;
        };
        let sample = format!(
            "(SELECT {0} AS v FROM {1} WHERE {0} IS NOT NULL LIMIT 200) AS sample",
            identifier(&instant.column),
            table_name(&rule.table)
        );
        let is_number = matches!(
            column.base.as_str(),
            "smallint" | "integer" | "bigint" | "numeric" | "double precision" | "real"
        );
        let is_text = matches!(
            column.base.as_str(),
            "text" | "character varying" | "character"
        );
        let text = match &instant.stamp {
            Some(stamp @ (Stamp::Seconds | Stamp::Millis | Stamp::Micros)) if is_number => {
                let middle: Middle = diesel::sql_query(format!(
                    "SELECT (percentile_disc(0.5) WITHIN GROUP (ORDER BY CASE WHEN v BETWEEN -9e18 AND 9e18 THEN v END))::bigint AS value, count(*) AS rows FROM {sample}"
                ))
                .get_result(conn)
                .await?;
                let rows = usize::try_from(middle.rows).unwrap_or_default();
                let name = &instant.column;
                let doubt = middle
                    .value
                    .and_then(|value| doubted(name, value, rows, stamp))
                    .map(|text| Finding::new(&rule.name, part, text));
                findings.advice.extend(doubt);
                middle.value.and_then(|value| misread(name, value, stamp))
            }
            Some(Stamp::Text(format)) if is_text => {
                let values: Vec<Sampled> =
                    diesel::sql_query(format!("SELECT v::text AS value FROM {sample}"))
                        .load(conn)
                        .await?;
                let reads = |value: &str| {
                    NaiveDateTime::parse_from_str(value, format).is_ok() && !has_offset(value)
                };
                let mut odd = values.iter().filter(|row| !reads(row.value.trim_end()));
                let first = odd.next();
                let several = odd.count() * 20 + 20 > values.len();
                first.filter(|_| several).map(|row| {
                    format!(
                        "`{}` holds `{}`, which `{format}` does not read",
                        instant.column, row.value
                    )
                })
            }
            _ => None,
        };
        findings
            .refused
            .extend(text.map(|text| Finding::new(&rule.name, part, text)));
    }
    Ok(())
}
