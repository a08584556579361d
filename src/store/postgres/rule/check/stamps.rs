//! Whether the rows hold instants as the rule says.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::super::catalogue::Catalogue;
use crate::rule::{Finding, Findings, Rule, Stamp, has_offset, misread};
use crate::store::rule::{identifier, table_name};

#[derive(QueryableByName)]
struct Middle {
    #[diesel(sql_type = Nullable<BigInt>)]
    value: Option<i64>,
}

#[derive(QueryableByName)]
struct Sampled {
    #[diesel(sql_type = Text)]
    value: String,
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
                    "SELECT (percentile_disc(0.5) WITHIN GROUP (ORDER BY CASE WHEN v BETWEEN -9e18 AND 9e18 THEN v END))::bigint AS value FROM {sample}"
                ))
                .get_result(conn)
                .await?;
                middle
                    .value
                    .and_then(|value| misread(&instant.column, value, stamp))
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
