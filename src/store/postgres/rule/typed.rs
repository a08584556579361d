//! Conditions typed by diesel as text, with their constants in it.

use diesel::pg::{Pg, PgMetadataLookup, PgQueryBuilder, PgTypeMetadata};
use diesel::query_builder::QueryBuilder;
use diesel::query_builder::bind_collector::RawBytesBindCollector;

use crate::rule::Fragment;
use crate::store::rule::{quoted_text, with_constants};

/// The text of a part, or what stands in its way.
pub(in crate::store) fn text(fragment: &Fragment) -> Result<String, String> {
    let mut builder = PgQueryBuilder::default();
    let mut binds = RawBytesBindCollector::<Pg>::new();
    fragment
        .to_sql(&mut builder, &Pg)
        .and_then(|()| fragment.collect_binds(&mut binds, &mut Unknown, &Pg))
        .map_err(|error| error.to_string())?;
    let mut constants = Vec::new();
    for (bytes, metadata) in binds.binds.iter().zip(&binds.metadata) {
        constants.push(match bytes {
            None => "NULL".to_owned(),
            Some(bytes) => {
                let oid = metadata.oid().map_err(|error| error.to_string())?;
                constant(bytes, oid).ok_or_else(|| {
                    format!("a constant of the type with oid {oid} has no text here; give the condition as SQL")
                })?
            }
        });
    }
    Ok(with_constants(&builder.finish(), '$', &constants))
}

/// Types that only the database knows, such as enums, travel as text.
struct Unknown;

impl PgMetadataLookup for Unknown {
    fn lookup_type(&mut self, _type_name: &str, _schema: Option<&str>) -> PgTypeMetadata {
        PgTypeMetadata::new(UNKNOWN, UNKNOWN)
    }
}

const UNKNOWN: u32 = 705;

fn constant(bytes: &[u8], oid: u32) -> Option<String> {
    let text = || Some(quoted_text(std::str::from_utf8(bytes).ok()?));
    Some(match oid {
        16 => (if bytes == [0] { "FALSE" } else { "TRUE" }).to_owned(),
        20 => i64::from_be_bytes(bytes.try_into().ok()?).to_string(),
        21 => i16::from_be_bytes(bytes.try_into().ok()?).to_string(),
        23 => i32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        700 => format!("'{}'::real", f32::from_be_bytes(bytes.try_into().ok()?)),
        701 => format!(
            "'{}'::double precision",
            f64::from_be_bytes(bytes.try_into().ok()?)
        ),
        25 | 1042 | 1043 | UNKNOWN => text()?,
        2950 => format!("'{}'::uuid", uuid::Uuid::from_slice(bytes).ok()?),
        1114 | 1184 => {
            // Microseconds since 2000.
            let micros = i64::from_be_bytes(bytes.try_into().ok()?);
            let instant =
                chrono::DateTime::from_timestamp_micros(micros.checked_add(946_684_800_000_000)?)?;
            let kind = if oid == 1184 {
                "timestamptz"
            } else {
                "timestamp"
            };
            let zone = if oid == 1184 { "Z" } else { "" };
            format!(
                "'{}{zone}'::{kind}",
                instant.format("%Y-%m-%dT%H:%M:%S%.6f")
            )
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use diesel::prelude::*;

    use super::*;

    diesel::table! {
        bookings (id) {
            id -> Integer,
            status -> Text,
            paid -> Bool,
            at -> Timestamptz,
        }
    }

    #[test]
    fn constants_stand_in_the_text() {
        let at = chrono::DateTime::UNIX_EPOCH;
        let predicate = bookings::status
            .eq("it's $1")
            .and(bookings::paid.eq(false))
            .and(bookings::at.lt(at).or(bookings::id.gt(-3)))
            .and(diesel::dsl::sql::<diesel::sql_types::Bool>("'$2' <> ''"));
        let fragment: Fragment = Arc::new(predicate);

        let text = text(&fragment).expect("has a text");

        assert_eq!(
            text,
            r#"(((("bookings"."status" = 'it''s $1') AND ("bookings"."paid" = FALSE)) AND (("bookings"."at" < '1970-01-01T00:00:00.000000Z'::timestamptz) OR ("bookings"."id" > -3))) AND '$2' <> '')"#
        );
    }
}
