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
mod tests {
    use chrono::{TimeDelta, Timelike};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fixed_time_ticks_once_when_clocks_change() {
        let nightly = "30 2 * * *";
        let table = [
            // Berlin skips 02:00 to 03:00 on 29 March, and has it twice on 25 October.
            (
                "Europe/Berlin",
                "2026-03-28T00:00",
                nightly,
                ["03-28T01:30", "03-29T01:00", "03-30T00:30"],
            ),
            (
                "Europe/Berlin",
                "2026-10-24T00:00",
                nightly,
                ["10-24T00:30", "10-25T00:30", "10-26T01:30"],
            ),
            // Lord Howe moves by half an hour: 02:00 to 02:30 is skipped on 4 October, 01:30 to
            // 02:00 is there twice on 5 April.
            (
                "Australia/Lord_Howe",
                "2026-10-02T12:00",
                "15 2 * * *",
                ["10-02T15:45", "10-03T15:30", "10-04T15:15"],
            ),
            (
                "Australia/Lord_Howe",
                "2026-04-03T12:00",
                "45 1 * * *",
                ["04-03T14:45", "04-04T14:45", "04-05T15:15"],
            ),
            (
                "UTC",
                "2026-03-28T00:00",
                nightly,
                ["03-28T02:30", "03-29T02:30", "03-30T02:30"],
            ),
        ];

        for (zone, from, expression, expected) in table {
            let expected = expected.map(|tick| at(&format!("2026-{tick}")));

            let ticks = ticks(&Cron::new(expression).in_zone(zone), at(from), 3);

            assert_eq!(ticks, expected, "{expression} {zone}");
        }
    }

    #[test]
    fn other_expressions_follow_the_clock() {
        let table = [
            // Not in the hour that is skipped, and in both that are repeated.
            (
                "Europe/Berlin",
                "2026-03-29T00:20",
                "*/30 2-3 * * *",
                ["03-29T01:00", "03-29T01:30", "03-30T00:00"],
            ),
            (
                "Europe/Berlin",
                "2026-10-25T00:20",
                "30 1,2 * * *",
                ["10-25T00:30", "10-25T01:30", "10-26T00:30"],
            ),
            (
                "Australia/Lord_Howe",
                "2026-04-04T14:20",
                "45 * * * *",
                ["04-04T14:45", "04-04T15:15", "04-04T16:15"],
            ),
            (
                "Australia/Lord_Howe",
                "2026-10-03T15:00",
                "15 * * * *",
                ["10-03T16:15", "10-03T17:15", "10-03T18:15"],
            ),
        ];

        for (zone, from, expression, expected) in table {
            let expected = expected.map(|tick| at(&format!("2026-{tick}")));

            let ticks = ticks(&Cron::new(expression).in_zone(zone), at(from), 3);

            assert_eq!(ticks, expected, "{expression} {zone}");
        }
    }

    #[test]
    fn a_date_that_never_comes_is_an_error() {
        for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31W 2 *"] {
            let error = Calendar::new(&Cron::new(never)).expect_err(never);

            let expected = format!("\"{never}\": no such day ever comes; give one that does");
            assert_eq!((error.field, error.problem), ("expression", expected));
        }
        let leap = ticks(&Cron::new("0 0 29 2 *"), at("2096-03-01T00:00"), 1);
        assert_eq!(leap, [at("2104-02-29T00:00")]);
    }

    #[test]
    fn an_unknown_zone_is_named_with_a_similar_one() {
        let table = [
            ("berlin", "Europe/Berlin"),
            ("europe/paris", "Europe/Paris"),
            ("New York", "America/New_York"),
            ("", "Europe/Berlin"),
            ("Middle/Earth", "Europe/Berlin"),
        ];

        for (zone, meant) in table {
            let error = Calendar::new(&Cron::new("0 3 * * *").in_zone(zone)).expect_err(zone);

            let expected = format!(
                "{zone:?} is no time zone; give an IANA name such as {meant:?}, or \"UTC\""
            );
            assert_eq!((error.field, error.problem), ("zone", expected));
        }
    }

    #[test]
    fn an_error_shortens_a_long_text() {
        let error = Calendar::new(&Cron::new("ä".repeat(10_000))).expect_err("is no expression");

        assert!(error.problem.len() < 300, "{}", error.problem);
    }

    #[test]
    fn there_are_no_ticks_beyond_the_calendar() {
        let calendar = Calendar::new(&Cron::new("* * * * *").in_zone("Asia/Kathmandu"));
        let calendar = calendar.expect("is valid");

        let beyond = ["-0001-01-01T00:00:00Z", "+4990-01-01T00:00:00Z"]
            .map(|instant| calendar.after(instant.parse().expect("is an instant")));
        let ends =
            [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC].map(|end| calendar.after(end));

        assert_eq!((beyond, ends), ([None; 2], [None; 2]));
    }

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

    fn ticks(cron: &Cron, from: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
        let calendar = Calendar::new(cron).expect("is valid");
        std::iter::successors(calendar.after(from), |tick| calendar.after(*tick))
            .take(count)
            .collect()
    }

    /// A minute in UTC.
    fn at(minute: &str) -> DateTime<Utc> {
        format!("{minute}:00Z").parse().expect("is an instant")
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
}
