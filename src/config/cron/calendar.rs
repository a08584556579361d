//! The ticks of a cron expression.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::parser::{CronParser, Seconds, Year};

use super::{Cron, CronError, fields};

/// A valid expression in a known time zone.
#[derive(Debug, Clone)]
pub(crate) struct Calendar {
    cron: croner::Cron,
    zone: Tz,
}

impl Calendar {
    /// Parses an expression and its zone. The error names the invalid field.
    pub(crate) fn new(cron: &Cron) -> Result<Self, CronError> {
        let Cron { expression, zone } = cron;
        let wrong = |problem: &str| CronError {
            field: "expression",
            problem: format!("{}: {problem}", quoted(expression)),
        };
        // The parser's errors have no position, and it reads `JANFEB` as December.
        fields::check(expression).map_err(|problem| wrong(&problem))?;
        let cron = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build()
            .parse(expression)
            .map_err(|error| wrong(&error.to_string()))?;
        // The calendar repeats after 400 years: without a tick in them there is none.
        let first = NaiveDateTime::new(NaiveDate::default(), NaiveTime::MIN);
        match cron.find_next_occurrence(&first, true) {
            Ok(_) => {}
            Err(_) => return Err(wrong("no such day ever comes; give one that does")),
        }
        let zone = zone.parse().map_err(|_| CronError {
            field: "zone",
            problem: format!(
                "{} is no time zone; give an IANA name such as {:?}, or \"UTC\"",
                quoted(zone),
                similar(zone)
            ),
        })?;
        Ok(Self { cron, zone })
    }

    /// Returns the first tick strictly after an instant; `None` at the ends of the calendar.
    pub(crate) fn after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // Beyond these years chrono knows no zones and croner finds no ticks.
        if !YEARS.contains(&instant.year()) {
            return None;
        }
        let tick = self
            .cron
            .find_next_occurrence(&instant.with_timezone(&self.zone), false)
            .ok()?;
        Some(tick.with_timezone(&Utc)).filter(|tick| *tick > instant)
    }
}

/// Quotes a text, shortened to fit a line.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}..", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Guesses the intended zone: the same letters in another case, or a city alone.
fn similar(zone: &str) -> &'static str {
    let meant = zone.trim().replace(' ', "_");
    let is_meant = |name: &&&str| {
        let city = name.rsplit('/').next();
        name.eq_ignore_ascii_case(&meant)
            || city.is_some_and(|city| city.eq_ignore_ascii_case(&meant))
    };
    let names: Vec<&str> = TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
    names
        .iter()
        .find(is_meant)
        .copied()
        .unwrap_or("Europe/Berlin")
}

/// Maximum characters of an invalid text in an error.
const SHOWN: usize = 100;

/// The years with ticks.
const YEARS: std::ops::Range<i32> = 1..4_990;

#[cfg(test)]
mod tests;
