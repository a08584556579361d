//! Any rule reads back as it was written, in JSON and in TOML.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z_][a-z0-9_ ]{0,6}|[\"'.äß日]{1,3}"
}

fn span() -> impl Strategy<Value = Duration> {
    (0..10_000_000_u64, 0..1_000_000_u32)
        .prop_map(|(seconds, micros)| Duration::new(seconds, micros * 1_000))
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        any::<bool>().prop_map(Literal::Bool),
        any::<i64>().prop_map(Literal::Int),
        (-1.0e9..1.0e9).prop_map(Literal::Float),
        "[a-z'\\\\ ä]{0,6}".prop_map(Literal::Text),
    ]
}

fn text() -> impl Strategy<Value = Sql> {
    prop_oneof![
        name().prop_map(sql),
        (name(), name()).prop_map(|(one, other)| Sql::by_database(one, other)),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![
        (name(), literal()).prop_map(|(name, value)| eq(name, value)),
        (name(), vec(literal(), 1..3)).prop_map(|(name, values)| one_of(name, values)),
        (name(), vec(literal(), 1..3)).prop_map(|(name, values)| none_of(name, values)),
        name().prop_map(is_null),
        name().prop_map(not_null),
        text().prop_map(Filter::from),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..3).prop_map(and),
            vec(inner.clone(), 1..3).prop_map(or),
            inner.prop_map(not),
        ]
    })
}

fn stamp() -> impl Strategy<Value = Stamp> {
    prop_oneof![
        Just(Stamp::Seconds),
        Just(Stamp::Millis),
        Just(Stamp::Micros),
        Just(Stamp::Zoned),
        Just(Stamp::NaiveUtc),
        name().prop_map(Stamp::NaiveIn),
        name().prop_map(Stamp::Text),
    ]
}

fn instant() -> impl Strategy<Value = InstantColumn> {
    (name(), option::of(stamp()), option::of(stamp())).prop_map(|(name, stamp, sqlite)| {
        let mut instant = moment(name);
        (instant.stamp, instant.sqlite) = (stamp, sqlite);
        instant
    })
}

fn unit() -> impl Strategy<Value = Unit> {
    prop::sample::select(vec![
        Unit::Millis,
        Unit::Seconds,
        Unit::Minutes,
        Unit::Hours,
        Unit::Days,
    ])
}

fn due() -> impl Strategy<Value = Due> {
    let source = prop_oneof![
        instant().prop_map(at),
        vec(instant(), 1..3).prop_map(first_of),
        vec(instant(), 1..3).prop_map(coalesce),
        (text(), stamp()).prop_map(|(text, stamp)| Due::sql(text, stamp)),
    ];
    let lifetime =
        (name(), name(), name(), name(), unit()).prop_map(|(table, key, by, column, unit)| {
            Lifetime {
                table,
                key,
                by,
                column,
                unit,
            }
        });
    let plus = option::of((name(), unit()));
    (
        source,
        option::of(span()),
        plus,
        option::of(lifetime),
        any::<bool>(),
    )
        .prop_map(|(mut due, after, plus, lifetime, inclusive)| {
            (due.after, due.plus, due.lifetime) = (after, plus, lifetime);
            due.inclusive = inclusive;
            due
        })
}

fn columns() -> impl Strategy<Value = Columns> {
    vec(name(), 1..3).prop_map(Columns::from)
}

fn other_row() -> impl Strategy<Value = Related> {
    (
        name(),
        columns(),
        option::of(columns()),
        option::of(filter()),
    )
        .prop_map(|(table, column, references, only)| {
            let mut row = related(table, column);
            (row.references, row.only) = (references, only);
            row
        })
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        literal().prop_map(Value::Constant),
        Just(Value::Null),
        Just(Value::Now),
        span().prop_map(Value::NowPlus),
        name().prop_map(column),
        text().prop_map(Value::Sql),
    ]
}

fn handed() -> impl Strategy<Value = HandOn> {
    let value = prop_oneof![
        value(),
        vec(name(), 1..3).prop_map(json),
        Just(Value::Key),
        Just(Value::IdempotencyKey),
    ];
    let to = prop_oneof![
        name().prop_map(hand_on),
        name().prop_map(call),
        Just(outbox([""; 0])),
        name().prop_map(|topic| outbox([""; 0]).topic(topic)),
    ];
    (to, vec((name(), value), 0..3)).prop_map(|(to, columns)| {
        let columns = columns.into_iter();
        columns.fold(to, |to, (name, value)| to.column(name, value))
    })
}

fn action(rule: Rule) -> impl Strategy<Value = Rule> {
    let set = vec((name(), value()), 1..3);
    let part = (name(), vec(name(), 0..2), vec((name(), value()), 0..2));
    (0..3_u8, set, part).prop_map(move |(which, set, (into, without, columns))| {
        let rule = rule.clone();
        match which {
            0 => rule.delete(),
            1 => set
                .into_iter()
                .fold(rule, |rule, (name, value)| rule.set(name, value)),
            _ => rule.archive(
                columns
                    .into_iter()
                    .fold(archive(into).without(without), |archive, (name, value)| {
                        archive.column(name, value)
                    }),
            ),
        }
    })
}

fn kids() -> impl Strategy<Value = Children> {
    let leaf = (
        other_row(),
        any::<[bool; 2]>(),
        option::of(name()),
        vec(handed(), 0..2),
    )
        .prop_map(|(row, [lets_go, shows], counts_as, hand_on)| {
            let mut kids = children(row.table, row.column);
            (kids.references, kids.counts_as, kids.hand_on) = (row.references, counts_as, hand_on);
            kids.show_count = shows;
            if lets_go { kids.set_null() } else { kids }
        });
    leaf.prop_recursive(2, 4, 2, |inner| {
        (inner.clone(), vec(inner, 0..2)).prop_map(|(mut kids, below)| {
            kids.with = below;
            kids
        })
    })
}

fn activity() -> impl Strategy<Value = Activity> {
    let noted = option::of((name(), name(), text()));
    let through = option::of((name(), name()));
    (other_row(), instant(), noted, through).prop_map(|(row, at, noted, through)| {
        let mut activity = newest(row.table, row.column, at);
        (activity.references, activity.only) = (row.references, row.only);
        if let Some((column, trigger, lag)) = noted {
            activity = activity.noted_in(column, trigger, lag);
        }
        match through {
            Some((table, key)) => activity.through(table, key),
            None => activity,
        }
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let rows = (
        due(),
        option::of(filter()),
        vec(other_row(), 0..2),
        vec(other_row(), 0..2),
    );
    let more = (
        option::of(activity()),
        option::of(instant()),
        vec(kids(), 0..2),
        vec(other_row(), 0..2),
    );
    let acts = (vec(text(), 0..2), vec(handed(), 0..2), vec(name(), 0..3));
    let words = (
        option::of(name()),
        vec(name(), 0..2),
        option::of(name()),
        option::of(span()),
        any::<[bool; 3]>(),
    );
    (name(), name(), rows, more, acts, words)
        .prop_map(|(name, table, rows, more, acts, words)| {
            let mut rule = Rule::new(name, table);
            let (due, only, when, unless) = rows;
            (rule.due, rule.only, rule.when, rule.unless) = (Some(due), only, when, unless);
            (rule.active, rule.held_until, rule.with, rule.keeps) = more;
            (rule.then, rule.hand_on, rule.key) = acts;
            let (scope, show, counts_as, soonest, said) = words;
            (rule.scope, rule.show, rule.counts_as, rule.soonest) =
                (scope, show, counts_as, soonest);
            [rule.keeps_referenced, rule.may_race, rule.expect_backlog] = said;
            rule
        })
        .prop_flat_map(action)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_rule_reads_as_it_was_written(rule in rule()) {
        let text = serde_json::to_string(&rule).expect("is written");
        prop_assert_eq!(&serde_json::from_str::<Rule>(&text).expect("is read"), &rule, "{}", text);

        let text = toml::to_string(&rule).expect("is written");
        prop_assert_eq!(&toml::from_str::<Rule>(&text).expect("is read"), &rule, "{}", text);
    }
}
