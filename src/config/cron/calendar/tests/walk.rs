//! Ticks against a model that visits each minute.

use chrono::{TimeDelta, Timelike};
use proptest::prelude::*;

use super::*;

proptest! {
    /// The model visits each minute, with the local time in it and the local times skipped
    /// since the minute before.
    #[test]
    fn ticks_agree_with_a_walk_from_minute_to_minute(
        fields in fields(),
        zone in prop::sample::select(&ZONES[..]),
        // Days around a change of clocks, and any day.
        from in prop_oneof![
            prop::sample::select(&CHANGES[..]).prop_map(at),
            (0..4_000_i64).prop_map(|day| at("2020-01-01T00:00") + TimeDelta::days(day)),
        ],
        offset in 0..86_400_i64,
    ) {
        let zone: Tz = zone.parse().expect("is a zone");
        let from = from - TimeDelta::seconds(offset);
        let until = from + TimeDelta::days(3);
        let cron = Cron::new(fields.expression()).in_zone(zone.name());
        let calendar = match Calendar::new(&cron) {
            Ok(calendar) => calendar,
            Err(error) => {
                prop_assert!(error.problem.contains("no such day ever comes"), "{}", error.problem);
                return Ok(());
            }
        };

        let ticks: Vec<_> = std::iter::successors(calendar.after(from), |tick| calendar.after(*tick))
            .take_while(|tick| *tick <= until)
            .collect();

        prop_assert_eq!(ticks, fields.walk(zone, from, until), "{}", cron);
    }

    /// croner parses what the check of the fields accepts, and an error names the field.
    #[test]
    fn a_checked_expression_parses(text in "[0-9*,/LW#-]{1,4} [0-9*,/-]{1,4} [0-9*LW,-]{1,3} [A-Z0-9*]{1,3} [A-Z0-9*#L]{1,4}") {
        let read = Calendar::new(&Cron::new(text.as_str()));

        if let Err(error) = read {
            let named = ["minute", "hour", "day of month", "month", "day of week", "no such day"];
            let place = error.problem.strip_prefix(&format!("{text:?}: "));
            prop_assert!(named.iter().any(|name| place.is_some_and(|place| place.starts_with(name))), "{}", error.problem);
        }
    }
}

/// An expression as sets of values.
#[derive(Debug, Clone)]
struct Fields {
    minute: (String, Vec<u32>),
    hour: (String, Vec<u32>),
    day: (String, Vec<u32>),
    month: (String, Vec<u32>),
    weekday: (String, Vec<u32>),
}

impl Fields {
    fn expression(&self) -> String {
        let parts = [
            &self.minute,
            &self.hour,
            &self.day,
            &self.month,
            &self.weekday,
        ];
        parts.map(|(text, _)| text.as_str()).join(" ")
    }

    fn matches(&self, shown: NaiveDateTime) -> bool {
        let (day, weekday) = (
            self.day.1.contains(&shown.day()),
            self.weekday
                .1
                .contains(&shown.weekday().num_days_from_sunday()),
        );
        let day = match (self.day.0.as_str(), self.weekday.0.as_str()) {
            ("*", _) => weekday,
            (_, "*") => day,
            _ => day || weekday,
        };
        day && self.minute.1.contains(&shown.minute())
            && self.hour.1.contains(&shown.hour())
            && self.month.1.contains(&shown.month())
    }

    /// Returns whether minute and hour are single values.
    fn is_fixed(&self) -> bool {
        let fixed = |(text, set): &(String, Vec<u32>)| set.len() == 1 && !text.contains('*');
        fixed(&self.minute) && fixed(&self.hour)
    }

    fn walk(&self, zone: Tz, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let minute = TimeDelta::minutes(1);
        let mut ticks = Vec::new();
        let mut now = from.with_second(0).expect("a minute has a first second");
        while now <= until {
            let shown = now.with_timezone(&zone).naive_local();
            let mut skipped = (now - minute).with_timezone(&zone).naive_local() + minute;
            let mut comes = self.matches(shown) && !(self.is_fixed() && is_repeat(zone, now));
            while skipped < shown {
                comes |= self.is_fixed() && self.matches(skipped);
                skipped += minute;
            }
            if comes && now > from {
                ticks.push(now);
            }
            now += minute;
        }
        ticks
    }
}

/// Returns whether the local time repeats an earlier one.
fn is_repeat(zone: Tz, now: DateTime<Utc>) -> bool {
    let shown = now.with_timezone(&zone).naive_local();
    shown
        .and_local_timezone(zone)
        .earliest()
        .is_some_and(|first| first < now)
}

fn fields() -> impl Strategy<Value = Fields> {
    let often = |first, last| field(first, last, 4);
    let seldom = |first, last| field(first, last, 1);
    (
        often(0, 59),
        often(0, 23),
        seldom(1, 31),
        seldom(1, 12),
        seldom(0, 6),
    )
        .prop_map(|(minute, hour, day, month, weekday)| Fields {
            minute,
            hour,
            day,
            month,
            weekday,
        })
}

/// The text of a field and its values; restricted in `restricted` of five cases.
fn field(first: u32, last: u32, restricted: u32) -> impl Strategy<Value = (String, Vec<u32>)> {
    let all: Vec<u32> = (first..=last).collect();
    let value = first..=last;
    prop_oneof![
        5 - restricted => Just(("*".to_owned(), all)),
        restricted => prop_oneof![
            value.clone().prop_map(|value| (value.to_string(), vec![value])),
            (value.clone(), value.clone()).prop_map(|(one, other)| {
                let (from, to) = (one.min(other), one.max(other));
                (format!("{from}-{to}"), (from..=to).collect())
            }),
            (value.clone(), value.clone()).prop_map(|(one, other)| (format!("{one},{other}"), vec![one, other])),
            (1..=last).prop_map(move |step| {
                (format!("*/{step}"), (first..=last).step_by(step as usize).collect())
            }),
        ],
    ]
}

const ZONES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Africa/Casablanca",
];

/// A day after clocks changed in one of these.
const CHANGES: [&str; 8] = [
    "2026-03-30T01:00",
    "2026-10-26T01:00",
    "2026-03-09T07:00",
    "2026-11-02T06:00",
    "2026-04-05T15:00",
    "2026-10-04T15:30",
    "2026-02-16T02:00",
    "2026-03-23T02:00",
];
