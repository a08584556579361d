//! How Postgres keeps the instants of a rule, and how they are compared.

use std::time::Duration;

use chrono::{DateTime, Datelike, Utc};

use super::catalogue::Column;
use crate::rule::Stamp;
use crate::store::rule::{Dialect, identifier, param};

/// An expression that yields instants, and the form they have.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moment {
    pub(super) sql: String,
    pub(super) form: Form,
}

/// The form of an instant.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    /// `timestamptz`.
    Zoned,
    /// `timestamp` in UTC.
    Naive,
    /// A number of units since 1970, of this type.
    Epoch { per_second: i64, cast: String },
    /// Text in a format of chrono's.
    Text(String),
}

impl Moment {
    /// A column as an instant, or what is wrong with it.
    pub(super) fn of(column: &Column, table: &str, stamp: Option<&Stamp>) -> Result<Self, String> {
        let sql = format!("{table}.{}", identifier(&column.name));
        let name = &column.name;
        let per_second = match stamp {
            Some(Stamp::Seconds) => 1,
            Some(Stamp::Millis) => 1_000,
            Some(Stamp::Micros) => 1_000_000,
            _ => 0,
        };
        let moment = |sql, form| Ok(Self { sql, form });
        match (column.base.as_str(), stamp) {
            ("timestamp with time zone", None | Some(Stamp::Zoned)) => moment(sql, Form::Zoned),
            ("timestamp with time zone", Some(_)) => Err(format!(
                "`{name}` is `timestamptz`, which needs no stamp: leave it out, or give it for SQLite alone"
            )),
            ("timestamp without time zone", Some(Stamp::NaiveUtc)) => moment(sql, Form::Naive),
            ("timestamp without time zone", Some(Stamp::NaiveIn(zone))) => {
                let zone = Dialect::Postgres.text(zone);
                moment(format!("({sql} AT TIME ZONE {zone})"), Form::Zoned)
            }
            ("timestamp without time zone", _) => Err(format!(
                "`{name}` is `timestamp` without a zone: say `naive_utc`, or `naive_in` with the zone"
            )),
            (
                "smallint" | "integer" | "bigint" | "numeric" | "double precision" | "real",
                Some(_),
            ) if per_second > 0 => {
                let cast = match column.base.as_str() {
                    // A cutoff may be more than a small integer holds; these compare with each
                    // other by an index.
                    "smallint" | "integer" => "bigint",
                    base => base,
                };
                let cast = cast.to_owned();
                moment(sql, Form::Epoch { per_second, cast })
            }
            ("smallint" | "integer" | "bigint" | "numeric" | "double precision" | "real", _) => {
                Err(format!(
                    "`{name}` is `{}`: say `seconds`, `millis` or `micros`",
                    column.cast
                ))
            }
            ("text" | "character varying" | "character", Some(Stamp::Text(format))) => {
                if begins_with_a_date(format) {
                    moment(format!("({sql} COLLATE \"C\")"), Form::Text(format.clone()))
                } else {
                    Err(format!(
                        "the format `{format}` does not begin with `%Y-%m-%d %H:%M:%S`, so its texts are not in order"
                    ))
                }
            }
            ("text" | "character varying" | "character", _) => {
                Err(format!("`{name}` is text: say `text` with its format"))
            }
            ("date", _) => Err(format!(
                "`{name}` is `date`, which holds no instant: give an expression and its stamp, \
                 such as `({name} + 1)::timestamp` and `naive_utc` for the end of the day"
            )),
            (base, _) => Err(format!("`{name}` is `{base}`, which holds no instant")),
        }
    }

    /// An expression of the host.
    pub(super) fn of_sql(sql: &str, stamp: &Stamp) -> Self {
        let sql = format!("({sql})");
        let epoch = |per_second| Form::Epoch {
            per_second,
            cast: "numeric".to_owned(),
        };
        match stamp {
            Stamp::Zoned => Self {
                sql,
                form: Form::Zoned,
            },
            Stamp::Seconds => Self {
                sql,
                form: epoch(1),
            },
            Stamp::Millis => Self {
                sql,
                form: epoch(1_000),
            },
            Stamp::Micros => Self {
                sql,
                form: epoch(1_000_000),
            },
            Stamp::NaiveUtc => Self {
                sql,
                form: Form::Naive,
            },
            Stamp::NaiveIn(zone) => Self {
                sql: format!("({sql} AT TIME ZONE {})", Dialect::Postgres.text(zone)),
                form: Form::Zoned,
            },
            Stamp::Text(format) => Self {
                sql: format!("({sql} COLLATE \"C\")"),
                form: Form::Text(format.clone()),
            },
        }
    }

    /// The same instant as a `timestamp` in UTC, which an index can hold after a sum.
    pub(super) fn naive(&self) -> Result<Self, String> {
        let sql = match &self.form {
            Form::Naive => self.sql.clone(),
            Form::Zoned => format!("({} AT TIME ZONE 'UTC')", self.sql),
            // An instant beyond the calendar is its end.
            Form::Epoch { per_second, .. } => format!(
                "(timestamp '1970-01-01' + CASE WHEN {0} IS NOT NULL THEN least(greatest({0}, {1}), {2}) END::double precision \
                 / {per_second} * interval '1 second')",
                self.sql,
                FIRST_SECOND * per_second,
                LAST_SECOND * per_second
            ),
            Form::Text(_) => return Err("text cannot be added to; give an expression".to_owned()),
        };
        let form = Form::Naive;
        Ok(Self { sql, form })
    }

    /// A condition for a value that is no instant, if there may be one.
    pub(super) fn unreadable(&self) -> Option<String> {
        match self.form {
            Form::Text(ref format) => Some(format!(
                "({sql} !~ '{}' OR {sql} ~ '{OFFSET}')",
                readable(format),
                sql = self.sql
            )),
            _ => None,
        }
    }

    /// Later by a span in another column of this type, in numbers that are large enough for any
    /// sum. No index serves it.
    pub(super) fn plus_carefully(
        &self,
        span: &str,
        base: &str,
        millis: i64,
    ) -> Result<Self, String> {
        let sum = self.plus(span, base, millis)?;
        let sql = if base == "interval" {
            let micros = format!(
                "({}::numeric + extract(epoch FROM {span})::numeric * 1000000)",
                self.micros()
            );
            // Months have the days that they have, wherever the calendar holds the sum.
            format!(
                "(CASE WHEN {micros} BETWEEN {FIRST} AND {LAST} THEN {}::numeric ELSE {micros} END)",
                sum.micros()
            )
        } else {
            let span = format!("{span}::numeric * {}", millis.saturating_mul(1_000));
            format!("({}::numeric + {span})", self.micros())
        };
        Ok(Self {
            sql,
            form: Form::Epoch {
                per_second: 1_000_000,
                cast: "numeric".to_owned(),
            },
        })
    }

    /// Later by a span in another column of this type.
    pub(super) fn plus(&self, span: &str, base: &str, millis: i64) -> Result<Self, String> {
        if base == "interval" {
            let naive = self.naive()?;
            let sql = format!("({} + {span})", naive.sql);
            return Ok(Self { sql, ..naive });
        }
        if !matches!(
            base,
            "smallint" | "integer" | "bigint" | "numeric" | "double precision" | "real"
        ) {
            return Err(format!("a span cannot be `{base}`"));
        }
        match &self.form {
            Form::Epoch { per_second, cast } if (millis * per_second) % 1_000 == 0 => {
                let units = millis * per_second / 1_000;
                let cast = cast.clone();
                let sum = format!("({}::{cast} + {span}::{cast} * {units})", self.sql);
                let form = Form::Epoch {
                    per_second: *per_second,
                    cast,
                };
                Ok(Self { sql: sum, form })
            }
            _ => {
                let naive = self.naive()?;
                let sql = format!(
                    "({} + {span} * interval '{millis} milliseconds')",
                    naive.sql
                );
                Ok(Self { sql, ..naive })
            }
        }
    }

    /// Microseconds since 1970, as a `bigint` within the calendar: what is infinite, or beyond it,
    /// is its end.
    pub(super) fn micros(&self) -> String {
        self.form.micros(&self.sql)
    }
}

impl Form {
    pub(super) fn micros(&self, sql: &str) -> String {
        let micros = match self {
            Self::Zoned | Self::Naive => format!("extract(epoch FROM {sql})::numeric * 1000000"),
            Self::Epoch { per_second, .. } => {
                format!("({sql})::numeric * {}", 1_000_000 / per_second)
            }
            // Whole seconds: a forecast may be early by less than one, never late. A 30th of
            // February is the 2nd of March. An unreadable text is the first instant.
            Self::Text(format) => format!(
                "CASE WHEN {sql} ~ '{readable}' THEN (extract(epoch FROM (left({sql}, 7) || '-01')::date)::numeric \
                 + (substr({sql}, 9, 2)::int - 1) * 86400 + substr({sql}, 12, 2)::int * 3600 \
                 + substr({sql}, 15, 2)::int * 60 + substr({sql}, 18, 2)::int) * 1000000 END",
                readable = readable(format)
            ),
        };
        match self {
            // Before Postgres 14, infinity is no numeric.
            Self::Zoned | Self::Naive => format!(
                "(CASE WHEN isfinite({sql}) THEN least(greatest({micros}, {FIRST}), {LAST}) \
                 WHEN {sql} < '2000-01-01' THEN {FIRST} WHEN {sql} > '2000-01-01' THEN {LAST} END)::bigint"
            ),
            // `greatest` leaves NULL out.
            Self::Epoch { .. } => format!(
                "(CASE WHEN {sql} IS NOT NULL THEN least(greatest({micros}, {FIRST}), {LAST}) END)::bigint"
            ),
            Self::Text(_) => format!("(least(greatest({micros}, {FIRST}), {LAST}))::bigint"),
        }
    }

    /// The type a value of this form is cast to.
    pub(super) fn cast(&self) -> &str {
        match self {
            Self::Zoned => "timestamptz",
            Self::Naive => "timestamp",
            Self::Epoch { cast, .. } => cast,
            Self::Text(_) => "text COLLATE \"C\"",
        }
    }

    /// An instant that none is below. Before Postgres 14, a `numeric` is finite.
    pub(super) fn lowest(&self, has_infinite_numerics: bool) -> &'static str {
        match self {
            Self::Zoned | Self::Naive => "-infinity",
            Self::Epoch { cast, .. } => match cast.as_str() {
                "double precision" | "real" => "-infinity",
                "numeric" if has_infinite_numerics => "-infinity",
                "numeric" => "-1e1000",
                _ => "-9223372036854775808",
            },
            Self::Text(_) => "",
        }
    }

    /// An instant in this form, cut to its unit.
    pub(super) fn text(&self, instant: DateTime<Utc>) -> String {
        match self {
            Self::Zoned | Self::Naive if instant.year() < 1 => "-infinity".to_owned(),
            Self::Zoned | Self::Naive if instant.year() > 9_999 => "infinity".to_owned(),
            Self::Zoned => instant.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
            Self::Naive => instant.format("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
            Self::Epoch { per_second, .. } => {
                let micros = instant.timestamp_micros();
                micros.div_euclid(1_000_000 / per_second).to_string()
            }
            Self::Text(format) => instant.format(format).to_string(),
        }
    }

    /// The smallest difference between two instants of this form.
    pub(super) fn unit(&self) -> Duration {
        match self {
            Self::Zoned | Self::Naive => Duration::from_micros(1),
            Self::Epoch { per_second, .. } => {
                Duration::from_micros(1_000_000 / per_second.unsigned_abs().max(1))
            }
            Self::Text(format) => text_unit(format),
        }
    }
}

/// The smallest step that a format shows.
pub(super) fn text_unit(format: &str) -> Duration {
    if format.contains("%.3f") || format.contains("%3f") {
        Duration::from_millis(1)
    } else if format.contains('f') {
        Duration::from_micros(1)
    } else {
        Duration::from_secs(1)
    }
}

/// Whether texts in this format are in the order of their instants.
pub(super) fn begins_with_a_date(format: &str) -> bool {
    let expanded = format.replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S");
    ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"]
        .iter()
        .any(|start| expanded.starts_with(start))
}

/// The beginning of a text that reads as an instant. Another character between date and time than
/// the format's sorts elsewhere.
fn readable(format: &str) -> String {
    let separator = if format.starts_with("%Y-%m-%dT") || format.starts_with("%FT") {
        'T'
    } else {
        ' '
    };
    format!(
        "^(?!0000)[0-9]{{4}}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]){separator}([01][0-9]|2[0-4]):[0-5][0-9]:[0-5][0-9]"
    )
}

/// A text whose time is not that of UTC, and so not in the order of the others.
const OFFSET: &str = "^.{19}[.0-9 ]*[+-][0-9:]{0,4}[1-9]";

/// The years 1 and 9999, in microseconds since 1970.
pub(super) const FIRST: i64 = -62_135_596_800_000_000;
pub(super) const LAST: i64 = 253_402_300_799_000_000;

/// The first second that a `timestamp` holds, and the last whose microseconds a `bigint` holds.
const FIRST_SECOND: i64 = -210_866_803_200;
const LAST_SECOND: i64 = 9_223_372_036_854;

/// Whether a column has a value from outside, which is not cut to the length of the column. Not
/// every operator of a type takes a domain over it.
pub(super) fn has(column: &Column, sql: &str, value: &str) -> String {
    let cast = match column.base.as_str() {
        "character" => "bpchar",
        "bit" => "bit varying",
        "name" | "\"char\"" => "text",
        base => base,
    };
    let as_base = if column.is_domain {
        format!("::{cast}")
    } else {
        String::new()
    };
    format!("{sql}{as_base} = {}", once(value, cast))
}

/// A value that is read from its text once for a statement, and not for each row.
pub(super) fn once(name: &str, cast: &str) -> String {
    format!("(SELECT {}::{cast})", param(name))
}
