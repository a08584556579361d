use super::*;

mod walk;

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

        let expected =
            format!("{zone:?} is no time zone; give an IANA name such as {meant:?}, or \"UTC\"");
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
    let ends = [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC].map(|end| calendar.after(end));

    assert_eq!((beyond, ends), ([None; 2], [None; 2]));
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
