//! Numbers, times and settings as a person reads them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use crate::config::Schedule;
use crate::fmt::{escape, instant, is_unseen, span};

/// How long something took, or what a scale reads: `0.1 ms`, `340 ms`, `1.2 s`, `3m 20s`.
pub(crate) fn elapsed(time: Duration) -> String {
    let tenths = (time.as_secs_f64() * 10_000.0).round();
    match tenths {
        0.0 => "0 ms".to_owned(),
        ..=100.0 => format!("{} ms", tenths / 10.0),
        ..10_000.0 => format!("{} ms", (tenths / 10.0).round()),
        ..100_000.0 => format!("{} s", (tenths / 1_000.0).round() / 10.0),
        _ => span(time),
    }
}

pub(crate) fn schedule(schedule: &Schedule) -> String {
    let mut parts = Vec::new();
    if let Some(every) = schedule.every {
        parts.push(format!("every {}", span(every)));
    }
    if let Some(cron) = &schedule.cron {
        parts.push(format!("at {cron}"));
    }
    if schedule.at_deadline {
        parts.push("when a row falls due".to_owned());
    }
    if schedule.at_start {
        parts.push("at the start".to_owned());
    }
    match parts.as_slice() {
        [] => "on request only".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `12s ago`, counted on by the script.
pub(crate) fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    let since = format!("{} ago", distance(now - at));
    html! {
        time datetime=(at.to_rfc3339()) title=(utc(at)) data-since { (since) }
    }
}

/// `in 12s`, counted down by the script.
pub(crate) fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    let until = if at <= now {
        "now".to_owned()
    } else {
        format!("in {}", distance(at - now))
    };
    html! {
        time datetime=(at.to_rfc3339()) title=(utc(at)) data-until { (until) }
    }
}

/// How long since, counted on by the script.
pub(crate) fn lasting(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(at.to_rfc3339()) title=(utc(at)) data-lasting { (distance(now - at)) }
    }
}

/// Whole seconds, as the script counts them. A time on the other side of now is now.
fn distance(delta: TimeDelta) -> String {
    let seconds = delta.num_seconds().try_into().unwrap_or(0);
    span(Duration::from_secs(seconds))
}

/// The time of day in UTC, which the script shows beside the local one.
pub(crate) fn clock(at: DateTime<Utc>) -> Markup {
    html! {
        time.clock datetime=(at.to_rfc3339()) data-clock { (at.format("%H:%M")) " UTC" }
    }
}

/// A text from outside as a page shows it: characters that are not seen, or that change how others
/// are, stand as escapes.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unseen(character) && character != '\n' {
            escape(character, &mut shown);
        } else {
            shown.push(character);
        }
    }
    shown
}

pub(crate) fn utc(at: DateTime<Utc>) -> String {
    format!("{} UTC", instant(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_a_time_the_more_exactly_it_is_told() {
        let times = [0, 40, 2_540, 9_990, 340_000, 1_234_000, 12_345_000];

        let reported = times.map(|time| elapsed(Duration::from_micros(time)));

        assert_eq!(
            reported,
            ["0 ms", "0 ms", "2.5 ms", "10 ms", "340 ms", "1.2 s", "12s"]
        );
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

        let reported = [usual, ticks, never].map(|of| schedule(&of));

        assert_eq!(
            reported,
            [
                "every 15m, when a row falls due and at the start",
                "every 15m",
                "on request only"
            ]
        );
    }

    #[test]
    fn what_should_have_been_is_now() {
        let now = DateTime::UNIX_EPOCH;
        let later = now + TimeDelta::seconds(90);

        let reported = [
            until(later, now),
            until(now, later),
            ago(later, now),
            lasting(now, later),
        ];

        let words = ["in 1m 30s", ">now<", "0s ago", ">1m 30s<"];
        for (reported, words) in reported.into_iter().zip(words) {
            let reported = reported.into_string();
            assert!(reported.contains(words), "{reported}");
        }
    }
}
