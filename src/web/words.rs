//! Numbers, times and settings as a person reads them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use crate::batch::Counts;
use crate::config::Schedule;
use crate::outlook::Capped;

/// `1,234,567`.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut parts: Vec<&str> = Vec::new();
    if first > 0 {
        parts.push(&digits[..first]);
    }
    parts.extend(
        (first..digits.len())
            .step_by(3)
            .map(|place| &digits[place..place + 3]),
    );
    parts.join(",")
}

/// `1 run`, `2 runs`.
pub(crate) fn amount(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// `3 image records, 2 sessions`. Kinds that were looked for and not found are left out.
pub(crate) fn counts(counts: &Counts) -> String {
    let found: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{} {}", number(count), kind.replace('_', " ")))
        .collect();
    if found.is_empty() {
        return "nothing".to_owned();
    }
    found.join(", ")
}

pub(crate) fn capped(count: Capped) -> String {
    let plus = if count.capped { "+" } else { "" };
    format!("{}{plus}", number(count.count))
}

/// The two largest units: `340 ms`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (large, rest) = match seconds {
        0 => return format!("{} ms", span.subsec_millis()),
        1..60 => return format!("{seconds} s"),
        60..3_600 => ((seconds / 60, "min"), (seconds % 60, "s")),
        3_600..86_400 => ((seconds / 3_600, "h"), (seconds % 3_600 / 60, "min")),
        _ => ((seconds / 86_400, "d"), (seconds % 86_400 / 3_600, "h")),
    };
    let larger = format!("{} {}", number(large.0), large.1);
    match rest {
        (0, _) => larger,
        (count, unit) => format!("{larger} {count} {unit}"),
    }
}

/// How long something took, as exactly as it says something.
pub(crate) fn elapsed(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1_000.0;
    match time.as_secs() {
        0 if time.is_zero() || milliseconds >= 10.0 => span(time),
        0 => format!("{milliseconds:.1} ms"),
        1..10 => format!("{:.2} s", time.as_secs_f64()),
        _ => span(time),
    }
}

pub(crate) fn schedule(schedule: &Schedule) -> String {
    let mut parts = Vec::new();
    if let Some(every) = schedule.every {
        parts.push(format!("every {}", span(every)));
    }
    if schedule.at_deadline {
        parts.push("when a row falls due".to_owned());
    }
    if schedule.at_start {
        parts.push("at the start".to_owned());
    }
    match parts.as_slice() {
        [] => "only when asked".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

pub(crate) fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `12 s ago`, counted on by the script.
pub(crate) fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    let since = format!("{} ago", distance(now - at));
    html! {
        time datetime=(at.to_rfc3339()) title=(instant(at)) data-since { (since) }
    }
}

/// `in 12 s`, counted down by the script.
pub(crate) fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    let until = if at <= now {
        "now".to_owned()
    } else {
        format!("in {}", distance(at - now))
    };
    html! {
        time datetime=(at.to_rfc3339()) title=(instant(at)) data-until { (until) }
    }
}

/// How long since, counted on by the script.
pub(crate) fn lasting(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(at.to_rfc3339()) title=(instant(at)) data-lasting { (distance(now - at)) }
    }
}

/// Whole seconds, as the script counts them. What lies on the other side of now is now.
fn distance(delta: TimeDelta) -> String {
    let seconds = delta.num_seconds().try_into().unwrap_or(0);
    if seconds == 0 {
        return "0 s".to_owned();
    }
    span(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_kept_apart() {
        let told = [0, 7, 999, 1_000, 12_345, 1_234_567].map(number);

        assert_eq!(told, ["0", "7", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!(
            [1, 2].map(|count| amount(count, "batch", "batches")),
            ["1 batch", "2 batches"]
        );
    }

    #[test]
    fn a_time_is_told_in_its_two_largest_units() {
        let table = [
            (0, "0 ms"),
            (340, "340 ms"),
            (1_999, "1 s"),
            (60_000, "1 min"),
            (185_000, "3 min 5 s"),
            (3_600_000, "1 h"),
            (7_859_000, "2 h 10 min"),
            (86_400_000, "1 d"),
            (273_600_000, "3 d 4 h"),
        ];

        for (milliseconds, expected) in table {
            assert_eq!(span(Duration::from_millis(milliseconds)), expected);
        }
        let times = [0, 2_540, 340_000, 1_234_000, 12_345_000];
        let told = times.map(|time| elapsed(Duration::from_micros(time)));
        assert_eq!(told, ["0 ms", "2.5 ms", "340 ms", "1.23 s", "12 s"]);
    }

    #[test]
    fn kinds_that_were_not_met_are_left_out() {
        let mut met = Counts::default();
        met.add("image_records", 1_200);
        met.add("video_records", 0);

        assert_eq!(counts(&met), "1,200 image records");
        assert_eq!(counts(&Counts::default()), "nothing");
        assert_eq!(capped(Capped::from_probe(10_001)), "10,000+");
    }

    #[test]
    fn a_schedule_is_a_sentence() {
        let usual = Schedule::default();
        let ticks = Schedule {
            at_start: false,
            at_deadline: false,
            ..usual.clone()
        };
        let never = Schedule {
            every: None,
            ..ticks.clone()
        };

        let told = [usual, ticks, never].map(|of| schedule(&of));

        assert_eq!(
            told,
            [
                "every 15 min, when a row falls due and at the start",
                "every 15 min",
                "only when asked"
            ]
        );
    }

    #[test]
    fn what_should_have_been_is_now() {
        let now = DateTime::UNIX_EPOCH;
        let later = now + TimeDelta::seconds(90);

        let told = [
            until(later, now),
            until(now, later),
            ago(later, now),
            lasting(now, later),
        ];

        let words = ["in 1 min 30 s", ">now<", "0 s ago", ">1 min 30 s<"];
        for (told, words) in told.into_iter().zip(words) {
            let told = told.into_string();
            assert!(told.contains(words), "{told}");
        }
    }
}
