use super::*;

#[test]
fn a_longer_expression_is_an_error() {
    let longest = format!("{:1$}", "0 0 * * *", MAX_LENGTH);

    assert_eq!(check(&longest), Ok(()));
    assert_eq!(
        check(&(longest + " ")),
        Err("is longer than 200 characters".to_owned())
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a row per error")]
fn an_error_names_the_field_and_its_text() {
    let table = [
        (
            "",
            "has 0 fields; give five: minute, hour, day of month, month, day of week, or six with the second in front",
        ),
        (
            "*",
            "has 1 field; give five: minute, hour, day of month, month, day of week, or six with the second in front",
        ),
        (
            "0 0 3 * * * 2026",
            "has 7 fields; give five: minute, hour, day of month, month, day of week, or six with the second in front",
        ),
        ("61 * * * *", "minute 61 is not within 0-59"),
        ("60 * * * * *", "second 60 is not within 0-59"),
        ("0 24 * * *", "hour 24 is not within 0-23"),
        ("0 0 0 * *", "day of month 0 is not within 1-31"),
        ("0 0 1-32 * *", "day of month 32 is not within 1-31"),
        ("0 0 * 13 *", "month 13 is not within 1-12 or JAN-DEC"),
        (
            "0 0 * JANFEB *",
            "month \"JANFEB\" is not within 1-12 or JAN-DEC",
        ),
        (
            "0 0 * * SUN-SUN",
            "day of week SUN-SUN is a whole week; write * for that, or SUN for the day",
        ),
        (
            "0 0 * * 0-SUN",
            "day of week 0-SUN is a whole week; write * for that, or SUN for the day",
        ),
        (
            "0 0 L,LW * *",
            "day of month L,LW has L beside LW, of which only one can be meant",
        ),
        ("0 0 * * 8", "day of week 8 is not within 0-7 or SUN-SAT"),
        ("JAN * * * *", "minute \"JAN\" is not within 0-59"),
        (
            "99999999999 * * * *",
            "minute 99999999999 is not within 0-59",
        ),
        (
            "10,,20 * * * *",
            "minute \"10,,20\" has a comma with nothing beside it",
        ),
        (
            "10, * * * *",
            "minute \"10,\" has a comma with nothing beside it",
        ),
        (
            "10- * * * *",
            "minute \"10-\" has a sign with nothing beside it",
        ),
        (
            "-5 * * * *",
            "minute \"-5\" has a sign with nothing beside it",
        ),
        (
            "+5 * * * *",
            "minute \"+5\" holds '+', which is not known there",
        ),
        (
            "5ä * * * *",
            "minute \"5ä\" holds 'ä', which is not known there",
        ),
        (
            "1-2-3 * * * *",
            "minute \"1-2-3\" holds '-', which is not known there",
        ),
        (
            "** * * * *",
            "minute \"**\" holds '*', which is not known there",
        ),
        (
            "? * * * *",
            "minute \"?\" holds '?', which is not known there",
        ),
        ("30-20 * * * *", "minute 30-20 runs backwards"),
        ("0 0 * * 5-1", "day of week 5-1 runs backwards"),
        ("*/0 * * * *", "minute */0 steps by zero"),
        ("*/60 * * * *", "minute steps by 60, beyond its 0-59"),
        (
            "*/x * * * *",
            "minute */x steps by \"x\", which is no number",
        ),
        (
            "*/5/5 * * * *",
            "minute */5/5 steps by \"5/5\", which is no number",
        ),
        (
            "5/10 * * * *",
            "minute 5/10 steps from a single value; write 5-59/10 for a step from there",
        ),
        ("/10 * * * *", "minute /10 steps from nothing; write */10"),
        ("0 0 0W * *", "day of month 0 is not within 1-31"),
        (
            "0 0 * * MON#6",
            "day of week MON#6: after # stands which one of the month, 1-5",
        ),
        ("0 0 * * 8L", "day of week 8 is not within 0-7 or SUN-SAT"),
        (
            "0 0 * * L",
            "day of week \"L\" is not within 0-7 or SUN-SAT",
        ),
        (
            "@often",
            "is none of @hourly, @daily, @weekly, @monthly, @yearly, @annually",
        ),
    ];

    for (expression, expected) in table {
        assert_eq!(check(expression), Err(expected.to_owned()), "{expression}");
    }
    let long = "* ".repeat(150);
    assert_eq!(
        check(&long),
        Err("is longer than 200 characters".to_owned())
    );
}

#[test]
fn valid_expressions_pass() {
    let right = [
        "* * * * *",
        "  0   3 * * *  ",
        "*/15 8-18/2 1,15 jan-Mar,12 mon-FRI",
        "0 0 3 * * *",
        "59 59 23 31 12 7",
        "0 0 L * *",
        "0 0 lw * *",
        "0 0 1,15W * *",
        "0 0 * * FRI#2,sunL,6#5",
        "0 0 * * FRI-SUN",
        "*/59 */23 */31 */12 */7",
        "@Daily",
    ];

    for expression in right {
        assert_eq!(check(expression), Ok(()), "{expression}");
    }
}
