//! Parts of text for people: tables, counts, durations and instants. `model` composes the texts of
//! reports and status from them, in `report_text` and `status_text`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

mod table;

pub(crate) use table::{Column, Table};

/// Fits a text into a cell of a table: like [`log_line`], but shorter.
pub(crate) fn line(text: &str) -> String {
    cut(text, MAX_CELL)
}

/// Fits a text from outside, such as an error or a user, into a line of a log: escapes invisible
/// characters, and cuts off a long text.
pub(crate) fn log_line(text: &str) -> String {
    cut(text, MAX_LOG_LINE)
}

fn cut(text: &str, max: usize) -> String {
    let mut shown = String::new();
    for (place, character) in text.chars().enumerate() {
        if place == max {
            return shown + "..";
        }
        if is_unseen(character) {
            escape(character, &mut shown);
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Writes an invisible character as an escape, such as `\n` or `\u{202e}`.
pub(crate) fn escape(character: char, text: &mut String) {
    match character {
        '\n' | '\r' | '\t' | '\0' => text.extend(character.escape_debug()),
        _ => text.extend(character.escape_unicode()),
    }
}

/// Returns whether a character is invisible, or changes how others are shown: control characters,
/// line separators, and those that direct, join or hide text.
pub(crate) fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2800}' | '\u{3164}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Formats a count with thousands separators: `12,345`.
pub(crate) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a count with its noun: `1 batch`, `2,000 batches`.
pub(crate) fn quantity(count: u64, one: &str, more: &str) -> String {
    format!(
        "{} {}",
        thousands(count),
        if count == 1 { one } else { more }
    )
}

/// Returns the singular of a regular English plural: `draft` for `drafts`, `entry` for `entries`,
/// `batch` for `batches`. Returns any other word unchanged.
pub(crate) fn singular(plural: &str) -> String {
    let without = |suffix| plural.strip_suffix(suffix);
    if let Some(stem) = without("ies") {
        return format!("{stem}y");
    }
    if ["ches", "shes", "xes", "sses"]
        .iter()
        .any(|end| plural.ends_with(end))
    {
        return plural[..plural.len() - 2].to_owned();
    }
    if ["ss", "us", "is"].iter().any(|end| plural.ends_with(end)) {
        return plural.to_owned();
    }
    without("s").unwrap_or(plural).to_owned()
}

/// Formats a duration in its two largest units: `850ms`, `3s 20ms`, `12s`, `2h 5m`.
pub(crate) fn span(span: Duration) -> String {
    let unit = match span.as_secs() {
        0..10 => Duration::from_millis(1),
        10..HOUR => Duration::from_secs(1),
        HOUR..DAY => Duration::from_secs(MINUTE),
        DAY..MONTH => Duration::from_secs(HOUR),
        _ => Duration::from_secs(DAY),
    };
    let units = span.as_nanos() / unit.as_nanos();
    let whole = unit.saturating_mul(u32::try_from(units).unwrap_or(u32::MAX));
    if whole.is_zero() && !span.is_zero() {
        return "0ms".to_owned();
    }
    let text = humantime::format_duration(whole).to_string();
    // A month or a year of humantime is not a whole number of days, so smaller units follow.
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Formats an instant relative to another: `in 12s`, `3m ago`, `now`.
pub(crate) fn relative(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let ahead = at - now;
    let seconds = |delta: TimeDelta| {
        let delta = delta.to_std().unwrap_or_default();
        // Milliseconds matter only below a second.
        if delta.as_secs() == 0 {
            delta
        } else {
            Duration::from_secs(delta.as_secs())
        }
    };
    if ahead.num_milliseconds() == 0 {
        "now".to_owned()
    } else if ahead > TimeDelta::zero() {
        format!("in {}", span(seconds(ahead)))
    } else {
        format!("{} ago", span(seconds(-ahead)))
    }
}

/// Formats an instant to the second, in UTC: `2026-01-10 12:00:00`.
pub(crate) fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// The length of humantime's month, in seconds.
const MONTH: u64 = 2_630_016;

/// Maximum characters of a log line.
const MAX_LOG_LINE: usize = 1_000;

/// Maximum characters of a cell.
const MAX_CELL: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_thousands_separators() {
        let texts = [0, 7, 999, 1_000, 12_345, 1_234_567, u64::MAX].map(thousands);

        assert_eq!(
            texts,
            [
                "0",
                "7",
                "999",
                "1,000",
                "12,345",
                "1,234,567",
                "18,446,744,073,709,551,615"
            ]
        );
        let texts = [0, 1, 2_000].map(|count| quantity(count, "batch", "batches"));
        assert_eq!(texts, ["0 batches", "1 batch", "2,000 batches"]);
    }

    #[test]
    fn a_regular_plural_has_a_singular() {
        let table = [
            ("drafts", "draft"),
            ("image records", "image record"),
            ("entries", "entry"),
            ("batches", "batch"),
            ("boxes", "box"),
            ("addresses", "address"),
            ("access", "access"),
            ("status", "status"),
            ("data", "data"),
        ];

        for (plural, expected) in table {
            assert_eq!(singular(plural), expected);
        }
    }

    #[test]
    fn a_duration_shows_its_two_largest_units() {
        let table = [
            (0, "0s"),
            (850, "850ms"),
            (3_020, "3s 20ms"),
            (12_345, "12s"),
            (200_900, "3m 20s"),
            (3_600_000, "1h"),
            (7_530_000, "2h 5m"),
            (135_120_000, "1day 13h"),
            (5_000_000_000, "1month 26days"),
        ];

        for (millis, expected) in table {
            assert_eq!(span(Duration::from_millis(millis)), expected);
        }
        assert_eq!(span(Duration::from_micros(20)), "0ms");
        assert!(!span(Duration::MAX).is_empty());
    }

    #[test]
    fn an_instant_is_ahead_behind_or_now() {
        let now = DateTime::UNIX_EPOCH;
        let table = [
            (0, "now"),
            (200, "in 200ms"),
            (61_999, "in 1m 1s"),
            (3_020, "in 3s"),
            (-180_000, "3m ago"),
        ];

        for (millis, expected) in table {
            assert_eq!(
                relative(now + TimeDelta::milliseconds(millis), now),
                expected
            );
        }
        assert_eq!(instant(now), "1970-01-01 00:00:00");
        assert!(relative(DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC).starts_with("in "));
    }
}
