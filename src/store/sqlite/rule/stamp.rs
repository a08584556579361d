//! How SQLite keeps the instants of a rule, and how they are compared.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

use super::catalogue::Sample;
use crate::rule::{Stamp, has_offset, misread};
use crate::store::rule::Bind;

/// An expression that yields instants, and the form they have.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moment {
    pub(super) sql: String,
    pub(super) form: Form,
    /// Conditions for rows whose values it adds up although they are no instants or spans: SQLite
    /// adds what is no number as zero, or as the digits it begins with.
    pub(super) doubts: Vec<String>,
}

/// The form of an instant.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    /// A number of units since 1970.
    Epoch(i64),
    /// Text in a format of chrono's.
    Text(String),
}

impl Moment {
    /// A column as an instant, or what is wrong with it.
    pub(super) fn of(
        name: &str,
        sql: String,
        stamp: Option<&Stamp>,
        sample: Option<&Sample>,
    ) -> Result<Self, String> {
        let form = Form::of(name, stamp)?;
        if let Some(sample) = sample {
            form.agrees(name, sample)?;
        }
        Ok(Self {
            sql,
            form,
            doubts: Vec::new(),
        })
    }

    /// A condition for a value that is no instant, if there may be one. A number is less than any
    /// text, and would count as long past.
    pub(super) fn unreadable(&self) -> Option<String> {
        let sql = &self.sql;
        match self.form {
            Form::Text(ref format) => Some(format!(
                "NOT (typeof({sql}) = 'text' AND {sql} GLOB '[0-9][0-9][0-9][0-9]-[0-9]*' AND substr({sql}, 11, 1) = '{}' AND julianday(substr({sql}, 1, 19)) IS NOT NULL \
                 AND NOT (substr({sql}, 20) GLOB '*[+-]*' AND ltrim(substr({sql}, 20), '.0123456789 ') GLOB '[+-]*' AND substr(ltrim(substr({sql}, 20), '.0123456789 '), 2, 5) GLOB '*[1-9]*'))",
                separator(format)
            )),
            Form::Epoch(_) => {
                (!self.doubts.is_empty()).then(|| format!("({})", self.doubts.join(" OR ")))
            }
        }
    }

    /// Conditions for rows whose value cannot be added to.
    fn doubted(&self) -> Vec<String> {
        match self.unreadable() {
            Some(condition) => vec![format!("{} IS NOT NULL AND {condition}", self.sql)],
            None => vec![is_no_number(&self.sql)],
        }
    }

    /// Whole seconds since 1970, which can be added to.
    fn seconds(&self) -> String {
        match &self.form {
            Form::Epoch(1) => self.sql.clone(),
            Form::Epoch(per_second) => format!("({} / {per_second})", self.sql),
            Form::Text(_) => format!("unixepoch(substr({}, 1, 19))", self.sql),
        }
    }

    /// The same instant in whole seconds.
    pub(super) fn in_seconds(&self) -> Self {
        Self {
            sql: self.seconds(),
            form: Form::Epoch(1),
            doubts: self.doubted(),
        }
    }

    /// Later by a span.
    pub(super) fn plus(&self, span: &str, millis: i64) -> Self {
        let per_second = match &self.form {
            Form::Epoch(per_second) if (millis * per_second) % 1_000 == 0 => *per_second,
            _ if millis % 1_000 == 0 => 1,
            _ => 1_000,
        };
        let base = match &self.form {
            Form::Epoch(of) if *of == per_second => self.sql.clone(),
            _ if per_second == 1 => self.seconds(),
            _ => format!("({} * 1000)", self.seconds()),
        };
        let units = millis * per_second / 1_000;
        let sql = if units == 1 {
            format!("({base} + {span})")
        } else {
            format!("({base} + {span} * {units})")
        };
        Self {
            sql,
            form: Form::Epoch(per_second),
            doubts: [self.doubted(), vec![is_no_number(span)]].concat(),
        }
    }
}

impl Form {
    pub(super) fn of(name: &str, stamp: Option<&Stamp>) -> Result<Self, String> {
        match stamp {
            Some(Stamp::Seconds) => Ok(Self::Epoch(1)),
            Some(Stamp::Millis) => Ok(Self::Epoch(1_000)),
            Some(Stamp::Micros) => Ok(Self::Epoch(1_000_000)),
            Some(Stamp::Text(format)) if begins_with_a_date(format) => {
                Ok(Self::Text(format.clone()))
            }
            Some(Stamp::Text(format)) => Err(format!(
                "the format `{format}` does not begin with `%Y-%m-%d %H:%M:%S`, so its texts are not in order"
            )),
            Some(Stamp::Zoned | Stamp::NaiveUtc | Stamp::NaiveIn(_)) => Err(format!(
                "SQLite has no timestamps: say how it keeps `{name}` with `on_sqlite`"
            )),
            None => Err(format!(
                "SQLite's types do not say how `{name}` keeps instants: say `seconds`, `millis` or `text` with its format"
            )),
        }
    }

    /// Whether the rows hold what is declared. A stamp that reads no row at all is wrong; where it
    /// reads some, the others are rejected one by one. Of what reads, one in twenty may be out of
    /// order, or of another magnitude.
    fn agrees(&self, name: &str, sample: &Sample) -> Result<(), String> {
        let values = &sample.values;
        let odd = |is_odd: &dyn Fn(&str, &str) -> bool| {
            let mut odd = values.iter().filter(|(kind, value)| is_odd(kind, value));
            let first = odd.next()?;
            (odd.count() * 20 + 20 > values.len()).then_some(first)
        };
        let all_odd = |is_odd: &dyn Fn(&str, &str) -> bool| {
            let all = values.iter().all(|(kind, value)| is_odd(kind, value));
            values.first().filter(|_| all)
        };
        let wanted: &[&str] = match self {
            Self::Epoch(_) => &["integer", "real"],
            Self::Text(_) => &["text"],
        };
        if let Some((kind, value)) = all_odd(&|kind, _| !wanted.contains(&kind)) {
            return Err(format!(
                "`{name}` holds values of type {kind}, such as `{value}`, which this stamp does not read"
            ));
        }
        match self {
            Self::Text(format) => {
                if let Some((_, value)) =
                    all_odd(&|_, value| self.read(value).is_none() || has_offset(value))
                {
                    return Err(format!(
                        "`{name}` holds `{value}`, which `{format}` does not read"
                    ));
                }
                // A fraction's successor must sort below a digit and a dot, which `Z` does not.
                let first = values.first().map_or("", |(_, value)| value);
                let has_zone = format.ends_with(['Z', 'z']);
                let wider = odd(&|_, value| has_zone && value.len() != first.len());
                if let Some((_, value)) = wider {
                    return Err(format!(
                        "`{name}` holds texts of different widths, `{first}` and `{value}`, which are not in the order of their instants"
                    ));
                }
            }
            Self::Epoch(per_second) => {
                let stamp = match per_second {
                    1 => Stamp::Seconds,
                    1_000 => Stamp::Millis,
                    _ => Stamp::Micros,
                };
                if let Some(problem) = middle(values).and_then(|value| misread(name, value, &stamp))
                {
                    return Err(problem);
                }
            }
        }
        Ok(())
    }

    /// An instant in this form, cut to its unit.
    pub(super) fn bind(&self, instant: DateTime<Utc>) -> Bind {
        match self {
            Self::Epoch(per_second) => Bind::Integer(
                instant
                    .timestamp_micros()
                    .div_euclid(1_000_000 / per_second),
            ),
            Self::Text(format) => {
                // Years beyond four digits would not be in order.
                let first = DateTime::from_timestamp(-62_135_596_800, 0).unwrap_or_default();
                let last = DateTime::from_timestamp(253_402_300_799, 0).unwrap_or_default();
                Bind::Text(instant.clamp(first, last).format(format).to_string())
            }
        }
    }

    /// The instant that a value reads as, in microseconds since 1970.
    pub(super) fn micros(&self, value: &Bind) -> Option<i64> {
        match (self, value) {
            (Self::Epoch(per_second), Bind::Integer(number)) => {
                Some(number.saturating_mul(1_000_000 / per_second))
            }
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a number beyond the calendar becomes its end"
            )]
            (Self::Epoch(per_second), Bind::Real(number)) => {
                let per_unit = f64::from(i32::try_from(1_000_000 / per_second).unwrap_or(1));
                Some((number * per_unit) as i64)
            }
            (Self::Text(_), Bind::Text(text)) => self.read(text),
            _ => None,
        }
    }

    fn read(&self, text: &str) -> Option<i64> {
        let Self::Text(format) = self else {
            return None;
        };
        match NaiveDateTime::parse_from_str(text, format) {
            Ok(parsed) => Some(parsed.and_utc().timestamp_micros()),
            // Another separator sorts elsewhere.
            Err(_) if text.get(10..11) == Some(separator(format)) => read_leniently(text),
            Err(_) => None,
        }
    }

    /// An instant that none is below, as a constant.
    pub(super) fn lowest(&self) -> String {
        match self {
            Self::Epoch(_) => i64::MIN.to_string(),
            Self::Text(format) => format!("'0000-01-01{}00:00:00'", separator(format)),
        }
    }

    /// The smallest difference between two instants of this form.
    pub(super) fn unit(&self) -> Duration {
        match self {
            Self::Epoch(per_second) => {
                Duration::from_micros(1_000_000 / per_second.unsigned_abs().max(1))
            }
            Self::Text(format) if format.contains("%.3f") || format.contains("%3f") => {
                Duration::from_millis(1)
            }
            Self::Text(format) if format.contains('f') => Duration::from_micros(1),
            Self::Text(_) => Duration::from_secs(1),
        }
    }
}

/// A condition for a value that is no number, nor a text that reads as one.
fn is_no_number(sql: &str) -> String {
    // A comparison with a number reads only a text that is one as a whole.
    format!("{sql} IS NOT CAST({sql} AS NUMERIC)")
}

/// Reads whole seconds as SQLite does: a 30th of February is the 2nd of March, hour 24 the next
/// day.
fn read_leniently(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=31).contains(&day) || hour > 24 || minute > 59 || second > 59 {
        return None;
    }
    let first = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, 1)?;
    let seconds = (day - 1) * 86_400 + hour * 3_600 + minute * 60 + second;
    let instant = first.and_time(NaiveTime::MIN).and_utc() + TimeDelta::seconds(seconds.into());
    Some(instant.timestamp_micros())
}

/// Whether texts in this format are in the order of their instants.
fn begins_with_a_date(format: &str) -> bool {
    let expanded = format.replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S");
    ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"]
        .iter()
        .any(|start| expanded.starts_with(start))
}

/// The character between date and time.
fn separator(format: &str) -> &'static str {
    if format.starts_with("%Y-%m-%dT") || format.starts_with("%FT") {
        "T"
    } else {
        " "
    }
}

/// The number in the middle of a sample.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a fraction of a unit is of no matter, and a number beyond is the last"
)]
pub(super) fn middle(values: &[(String, String)]) -> Option<i64> {
    let numbers = values.iter().filter_map(|(_, value)| {
        let whole = value.parse::<i64>().ok();
        whole.or_else(|| value.parse::<f64>().ok().map(|value| value as i64))
    });
    let mut numbers: Vec<i64> = numbers.collect();
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied()
}
