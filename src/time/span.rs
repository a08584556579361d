//! Spans of time as settings are written: `15m`, `1h 30m`, `PT15M`.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serializer};

/// Reads a span of time: numbers with units as `humantime` knows them, or an ISO 8601 duration of
/// weeks, days, hours, minutes and seconds.
///
/// Rejects `M`, which `humantime` reads as months where most people mean minutes.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text.starts_with(['-', '+']) {
        let sign = if text.starts_with('-') {
            "is negative"
        } else {
            "has a sign"
        };
        return Err(format!("`{text}` {sign}; {SHAPES}"));
    }
    if text.starts_with(['P', 'p']) {
        return iso(&text[1..].to_ascii_uppercase())
            .ok_or_else(|| format!("`{text}` is no ISO 8601 duration of weeks, days, hours, minutes and seconds (years and months have no fixed length); {SHAPES}"));
    }
    let mut units = text.split(|c: char| !c.is_alphabetic());
    if units.any(|unit| unit == "M") {
        return Err(format!(
            "`{text}` has the unit `M`, which may mean minutes or months; write `m` or `months`"
        ));
    }
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.') && text != "0" {
        return Err(format!("`{text}` has no unit; {SHAPES}"));
    }
    humantime::parse_duration(text).map_err(|error| format!("`{text}`: {error}; {SHAPES}"))
}

/// Reads what follows the `P` of an ISO 8601 duration, in capitals.
fn iso(text: &str) -> Option<Duration> {
    let (days, clock) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((days, clock)) => (days, clock),
        None if text.is_empty() => return None,
        None => (text, ""),
    };
    let mut span = Duration::ZERO;
    for (part, units) in [
        (days, &[('W', 604_800), ('D', 86_400)][..]),
        (clock, &[('H', 3_600), ('M', 60), ('S', 1)]),
    ] {
        let mut rest = part;
        // Each unit at most once, the largest first.
        for (unit, seconds) in units {
            let Some((number, behind)) = rest.split_once(*unit) else {
                continue;
            };
            span = span.checked_add(seconds_of(number, *seconds)?)?;
            rest = behind;
        }
        if !rest.is_empty() {
            return None;
        }
    }
    Some(span)
}

/// A number, perhaps with a fraction, of units.
fn seconds_of(number: &str, unit: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole = Duration::from_secs(whole.parse::<u64>().ok()?.checked_mul(unit)?);
    let nanos: u64 = format!("{fraction:0<9.9}").parse().ok()?;
    whole.checked_add(Duration::from_nanos(nanos.checked_mul(unit)?))
}

pub(crate) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&humantime::format_duration(*span))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    source.deserialize_str(Span).map(|Read(span)| span)
}

/// An optional span; `null` is none.
pub(crate) mod option {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde passes a reference")]
    pub(crate) fn serialize<S: Serializer>(
        span: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => super::serialize(span, to),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        source: D,
    ) -> Result<Option<Duration>, D::Error> {
        let read = Option::<super::Read>::deserialize(source)?;
        Ok(read.map(|super::Read(span)| span))
    }
}

struct Read(Duration);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_str(Span)
    }
}

struct Span;

impl Visitor<'_> for Span {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a time as text with its unit; {SHAPES}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Read, E> {
        parse(text).map(Read).map_err(E::custom)
    }
}

/// The longest span of a setting or a rule: 100 years.
pub(crate) const MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How a span is written.
const SHAPES: &str = "write `15m`, `1h 30m`, `900s` or `PT15M`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_in_both_ways_of_writing() {
        let table = [
            ("15m", 900_000),
            ("1h 30m", 5_400_000),
            ("2h5m", 7_500_000),
            ("1month", 2_630_016_000),
            ("PT15M", 900_000),
            ("pt15m", 900_000),
            ("PT1H30M", 5_400_000),
            ("P1D", 86_400_000),
            ("P2W", 1_209_600_000),
            ("P1DT12H", 129_600_000),
            ("PT0.5S", 500),
            ("PT1,25H", 4_500_000),
            ("PT0S", 0),
        ];

        for (text, millis) in table {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn a_span_that_does_not_read_is_rejected_with_its_reason() {
        let table = [
            ("15M", "may mean minutes or months"),
            ("1h 15M", "may mean minutes or months"),
            ("15 M", "may mean minutes or months"),
            ("900", "has no unit"),
            ("1.5", "has no unit"),
            ("-5m", "is negative"),
            ("", "write `15m`"),
            ("soon", "write `15m`"),
            ("15 fortnights", "write `15m`"),
            ("1e9", "write `15m`"),
            ("1e9s", "write `15m`"),
            ("+5m", "has a sign"),
            ("-PT15M", "is negative"),
            ("+PT15M", "has a sign"),
            ("-15M", "is negative"),
            ("\u{2013}5m", "write `15m`"),
            ("\u{0661}\u{0665}m", "write `15m`"),
            ("0x10m", "write `15m`"),
            ("NaN", "write `15m`"),
            ("infinity", "write `15m`"),
            ("5m-", "write `15m`"),
            ("m", "write `15m`"),
            ("- 5m", "is negative"),
            ("-0s", "is negative"),
            ("99999999999999999999y", "write `15m`"),
            ("P1M", "no fixed length"),
            ("P1Y", "no fixed length"),
            ("P", "no ISO 8601 duration"),
            ("PT", "no ISO 8601 duration"),
            ("P1H", "no ISO 8601 duration"),
            ("PT15", "no ISO 8601 duration"),
            ("PTM", "no ISO 8601 duration"),
            ("PT-5M", "no ISO 8601 duration"),
            ("PT5M5H", "no ISO 8601 duration"),
            ("PT99999999999999999999H", "no ISO 8601 duration"),
            ("P9999999999999999W", "no ISO 8601 duration"),
            ("PT1.éS", "no ISO 8601 duration"),
        ];

        for (text, reason) in table {
            let error = parse(text).expect_err(text);

            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
