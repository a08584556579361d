//! Generated tables, rules and rows against the plainest model there is: a loop over rows in Rust.
//!
//! `HOUSEKEEPER_RULES` sets how many rules are tried on each database, `HOUSEKEEPER_SEED` the first
//! of them.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ractor_housekeeper::job::Page;
use ractor_housekeeper::rule::{
    Due, Filter, Rule, Stamp, Unit, age, and, at, children, eq, is_null, moment, none_of, not,
    one_of, or, related,
};
use ractor_housekeeper::{Job, Scope};

mod races;

/// A generator of numbers, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn pick<'v, T>(&mut self, values: &'v [T]) -> &'v T {
        let sides = u64::try_from(values.len()).expect("is small");
        &values[usize::try_from(self.roll(sides)).expect("is small")]
    }

    fn toss(&mut self) -> bool {
        self.roll(2) == 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(feature = "sqlite")]
    Sqlite,
}

impl Database {
    fn is_sqlite(self) -> bool {
        #[cfg(feature = "sqlite")]
        return self == Self::Sqlite;
        #[cfg(not(feature = "sqlite"))]
        false
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Integer,
    Text,
    Composite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Zoned,
    Naive,
    Seconds,
    Millis,
    TextSeconds,
    TextMillis,
}

impl Kept {
    fn unit(self) -> i64 {
        match self {
            Self::Zoned | Self::Naive => 1,
            Self::Millis | Self::TextMillis => 1_000,
            Self::Seconds | Self::TextSeconds => 1_000_000,
        }
    }

    fn stamp(self) -> Option<Stamp> {
        match self {
            Self::Zoned => None,
            Self::Naive => Some(Stamp::NaiveUtc),
            Self::Seconds => Some(Stamp::Seconds),
            Self::Millis => Some(Stamp::Millis),
            Self::TextSeconds => Some(Stamp::Text("%Y-%m-%d %H:%M:%S".to_owned())),
            Self::TextMillis => Some(Stamp::Text("%Y-%m-%d %H:%M:%S%.3f".to_owned())),
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Zoned => "timestamptz",
            Self::Naive => "timestamp",
            Self::Seconds | Self::Millis => "bigint",
            Self::TextSeconds | Self::TextMillis => "varchar(40)",
        }
    }

    fn literal(self, micros: Option<i64>) -> String {
        let Some(micros) = micros else {
            return "null".to_owned();
        };
        let instant = DateTime::from_timestamp_micros(micros).expect("is an instant");
        match self {
            Self::Zoned => format!("'{}'", instant.format("%Y-%m-%d %H:%M:%S%.6fZ")),
            Self::Naive => format!("'{}'", instant.format("%Y-%m-%d %H:%M:%S%.6f")),
            Self::Seconds => (micros / 1_000_000).to_string(),
            Self::Millis => (micros / 1_000).to_string(),
            Self::TextSeconds => format!("'{}'", instant.format("%Y-%m-%d %H:%M:%S")),
            Self::TextMillis => format!("'{}'", instant.format("%Y-%m-%d %H:%M:%S%.3f")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Delete,
    Archive,
    Expire,
}

/// A table and a rule over it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub(crate) struct World {
    database: Database,
    now: i64,
    key: Key,
    kept: Kept,
    after: Option<u64>,
    plus: bool,
    inclusive: bool,
    held: Option<Kept>,
    filter: usize,
    what: What,
    with: bool,
    unless: bool,
    divided: bool,
    limit: u32,
    rows: Vec<Row>,
}

#[derive(Debug, Clone)]
struct Row {
    number: usize,
    at: Option<i64>,
    plus: Option<i64>,
    held: Option<i64>,
    status: Option<&'static str>,
    children: u64,
    paid: bool,
}

const TEXTS: [&str; 12] = [
    "a", "B", "ä", "_", "aa", "Ab", "z", "it's", "", "Z", "b\\n", "aB",
];

impl World {
    pub(crate) fn generate(seed: u64, database: Database) -> Self {
        let mut dice = Dice(seed);
        let sqlite = database.is_sqlite();
        let kept = if sqlite {
            &[
                Kept::Seconds,
                Kept::Millis,
                Kept::TextSeconds,
                Kept::TextMillis,
            ][..]
        } else {
            &[
                Kept::Zoned,
                Kept::Naive,
                Kept::Seconds,
                Kept::Millis,
                Kept::TextSeconds,
                Kept::TextMillis,
            ]
        };
        let now = 1_768_046_400_123_456 + i64::try_from(dice.roll(900_000)).expect("is small");
        let mut world = Self {
            database,
            now,
            key: *dice.pick(&[Key::Integer, Key::Text, Key::Composite]),
            kept: *dice.pick(kept),
            after: dice.toss().then(|| 1 + dice.roll(5_000)),
            plus: dice.roll(3) == 0,
            inclusive: dice.toss(),
            held: dice.toss().then(|| *dice.pick(kept)),
            filter: usize::try_from(dice.roll(6)).expect("is small"),
            what: *dice.pick(&[What::Delete, What::Archive, What::Expire]),
            with: dice.toss(),
            unless: dice.toss(),
            divided: dice.roll(3) == 0,
            limit: 1 + u32::try_from(dice.roll(4)).expect("is small"),
            rows: Vec::new(),
        };
        let is_text = |kept| matches!(kept, Kept::TextSeconds | Kept::TextMillis);
        // Text on Postgres cannot be added to.
        world.plus &= sqlite || !is_text(world.kept);
        // A rule that sets needs a condition that ends; one key of a divided table is its own.
        if world.what == What::Expire && matches!(world.filter, 0 | 3) {
            world.filter = 1;
        }
        if world.key == Key::Composite {
            (world.with, world.unless) = (false, false);
        }
        world.divided &= world.key == Key::Composite || !(world.with || world.unless);
        let count = dice.roll(12);
        let cutoff = world.cutoff();
        for number in 0..usize::try_from(count).expect("is small") {
            let unit = world.kept.unit();
            let plus = (dice.roll(6) > 0).then(|| *dice.pick(&[0, 60, 3_600]));
            let near = i64::try_from(dice.roll(7)).expect("is small") - 3;
            let far = i64::try_from(dice.roll(200_000)).expect("is small") - 100_000;
            let shift = if dice.toss() {
                near * unit
            } else {
                far * 1_000_000
            };
            let sum = if world.plus {
                plus.unwrap_or(0) * 1_000_000
            } else {
                0
            };
            let instant = (cutoff - sum).div_euclid(unit) * unit + shift;
            let held_unit = world.held.map_or(1, Kept::unit);
            let around = (i64::try_from(dice.roll(5)).expect("is small") - 2) * held_unit;
            world.rows.push(Row {
                number,
                at: (dice.roll(8) > 0).then_some(instant),
                plus,
                held: dice
                    .toss()
                    .then(|| now.div_euclid(held_unit) * held_unit + around),
                status: *dice.pick(&[Some("open"), Some("open"), Some("paid"), None]),
                children: dice.roll(3),
                paid: dice.roll(3) == 0,
            });
        }
        world
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.now).expect("is an instant")
    }

    fn after(&self) -> i64 {
        i64::try_from(self.after.unwrap_or(0)).expect("is small") * 1_000_000
    }

    fn cutoff(&self) -> i64 {
        self.now - self.after()
    }

    /// The key's values as SQL, and the id as it is shown.
    fn key(&self, number: usize) -> (String, String) {
        let text = TEXTS[number % TEXTS.len()];
        let doubled = text.replace('\'', "''");
        match self.key {
            Key::Integer => (format!("{}", number + 7), format!("{}", number + 7)),
            Key::Text => (format!("'{doubled}'"), text.to_owned()),
            Key::Composite => (
                format!("'{doubled}', {number}"),
                format!(
                    "[{}, {number}]",
                    serde_json::to_string(text).expect("is text")
                ),
            ),
        }
    }

    /// Statements that make the tables and rows.
    pub(crate) fn sql(&self) -> String {
        let sqlite = self.database.is_sqlite();
        let mut sql = String::from(
            "drop table if exists kids; drop table if exists payments; drop table if exists old_things; drop table if exists things;",
        );
        let (columns, primary) = match self.key {
            Key::Integer => ("id bigint not null", "id"),
            Key::Text => ("id varchar(20) not null", "id"),
            Key::Composite => ("a text not null, id integer not null", "a, id"),
        };
        let held = self.held.unwrap_or(self.kept).column();
        let columns = format!(
            "{columns}, at {}, ttl integer, held {held}, status text",
            self.kept.column()
        );
        let tail = match (self.divided, sqlite) {
            (false, _) => "",
            (true, true) => " without rowid",
            (true, false) => " partition by hash (id)",
        };
        sql.extend([format!(
            "create table things ({columns}, primary key ({primary})){tail}; create table old_things ({columns});"
        )]);
        if self.divided && !sqlite {
            for part in 0..3 {
                sql.extend([format!("create table things_{part} partition of things for values with (modulus 3, remainder {part});")]);
            }
        }
        if self.number_of_indexes() > 0 {
            sql.push_str("create index things_at on things (at);");
        }
        let kind = if self.key == Key::Integer {
            "bigint"
        } else {
            "varchar(20)"
        };
        if self.with {
            let cascade = if self.plus { " on delete cascade" } else { "" };
            sql.extend([format!(
                "create table kids (thing {kind} not null references things (id){cascade});"
            )]);
        }
        if self.unless {
            sql.extend([format!("create table payments (thing {kind} not null references things (id) on delete cascade);")]);
        }
        for row in &self.rows {
            let (key, _) = self.key(row.number);
            let ttl = row.plus.map_or("null".to_owned(), |plus| plus.to_string());
            let status = row
                .status
                .map_or("null".to_owned(), |status| format!("'{status}'"));
            sql.extend([format!(
                "insert into things values ({key}, {}, {ttl}, {}, {status});",
                self.kept.literal(row.at),
                self.held.unwrap_or(self.kept).literal(row.held)
            )]);
            if self.with {
                for _ in 0..row.children {
                    sql.extend([format!("insert into kids values ({key});")]);
                }
            }
            if self.unless && row.paid {
                sql.extend([format!("insert into payments values ({key});")]);
            }
        }
        sql
    }

    fn number_of_indexes(&self) -> u32 {
        self.limit % 2
    }

    fn filter(&self) -> Option<Filter> {
        match self.filter {
            0 => None,
            1 => Some(eq("status", "open")),
            2 => Some(one_of("status", ["open", "other"])),
            3 => Some(or([none_of("status", ["open"]), is_null("status")])),
            4 => Some(not(or([
                eq("status", "paid"),
                is_null("status"),
                eq("status", "gone"),
            ]))),
            _ => Some(and([not(eq("status", "gone")), not(eq("status", "paid"))])),
        }
    }

    fn matches(&self, row: &Row) -> bool {
        match self.filter {
            0 => true,
            1 | 2 | 4 => row.status == Some("open"),
            3 => row.status != Some("open"),
            _ => !matches!(row.status, Some("gone" | "paid")),
        }
    }

    pub(crate) fn rule(&self) -> Rule {
        let column = match self.kept.stamp() {
            None => moment("at"),
            Some(stamp) => moment("at").stamp(stamp),
        };
        let mut due: Due = match self.after {
            None => at(column),
            Some(after) => age(column, Duration::from_secs(after)),
        };
        if self.plus {
            due = due.plus("ttl", Unit::Seconds);
        }
        if self.inclusive {
            due = due.inclusive();
        }
        let mut rule = Rule::new("things", "things").due(due);
        if let Some(filter) = self.filter() {
            rule = rule.only(filter);
        }
        if let Some(held) = self.held {
            rule = rule.held_until(match held.stamp() {
                None => moment("held"),
                Some(stamp) => moment("held").stamp(stamp),
            });
        }
        if self.with {
            rule = rule.with(children("kids", "thing"));
        }
        if self.unless {
            rule = rule.unless(related("payments", "thing"));
        }
        match self.what {
            What::Delete => rule.delete(),
            What::Archive => rule.archive("old_things"),
            What::Expire => rule.set("status", "gone"),
        }
    }

    /// The instant a row is compared by, in the unit that the comparison has, and that unit.
    fn instant(&self, row: &Row) -> Option<(i64, i64)> {
        let at = row.at?;
        if !self.plus {
            return Some((at, self.kept.unit()));
        }
        let plus = row.plus? * 1_000_000;
        let is_text = matches!(self.kept, Kept::TextSeconds | Kept::TextMillis);
        Some(if is_text {
            (at.div_euclid(1_000_000) * 1_000_000 + plus, 1_000_000)
        } else {
            (at + plus, self.kept.unit())
        })
    }

    /// When a row is due first, if the rule matches it.
    fn due_from(&self, row: &Row) -> Option<i64> {
        if !self.matches(row) || (self.unless && row.paid) {
            return None;
        }
        let (at, unit) = self.instant(row)?;
        let aged = at + self.after() + if self.inclusive { 0 } else { unit };
        Some(match (self.held, row.held) {
            (Some(_), Some(held)) => aged.max(held),
            _ => aged,
        })
    }

    fn due(&self) -> Vec<&Row> {
        let is_due = |row: &&Row| self.due_from(row).is_some_and(|from| from <= self.now);
        self.rows.iter().filter(is_due).collect()
    }

    /// Takes a job over these tables through a preview, a forecast and a run, and says where it
    /// differs from the model.
    pub(crate) async fn compare(&self, job: &impl Job) -> Result<(), String> {
        let due = self.due();
        let expected: BTreeSet<String> = due.iter().map(|row| self.key(row.number).1).collect();
        let reported = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
        job.check()
            .await
            .map_err(|error| reported("check", &error))?;
        let page = Page::first(100.try_into().expect("is not zero"));
        let preview = job
            .preview(&Scope::All, &page)
            .await
            .map_err(|error| reported("preview", &error))?;
        let shown: BTreeSet<String> = preview.rows.iter().map(|row| row.id.clone()).collect();
        if shown != expected {
            return Err(format!("preview {shown:?}, model {expected:?}"));
        }
        self.forecast(job, "before").await?;
        let bounds = job
            .begin_run()
            .await
            .map_err(|error| reported("begin", &error))?;
        let mut request = crate::first_batch(&bounds, self.limit);
        let (mut handled, mut kids) = (BTreeSet::new(), 0);
        loop {
            let batch = job
                .batch(&request)
                .await
                .map_err(|error| reported("batch", &error))?;
            if let Some(row) = batch.rejected.first() {
                return Err(format!("rejected {}: {}", row.id, row.error));
            }
            kids += batch.counts.of("kids");
            for id in batch.ids {
                if !handled.insert(id.clone()) {
                    return Err(format!("{id} handled twice"));
                }
            }
            match batch.next_cursor {
                None => break,
                next => request.after = next,
            }
        }
        if handled != expected {
            return Err(format!("run {handled:?}, model {expected:?}"));
        }
        let born: u64 = due.iter().map(|row| row.children).sum();
        if self.with && kids != born {
            return Err(format!("{kids} children, model {born}"));
        }
        Ok(())
    }

    async fn forecast(&self, job: &impl Job, when: &str) -> Result<(), String> {
        let forecast = job.forecast(&[]).await.map_err(|error| error.to_string())?;
        let due = u64::try_from(self.due().len()).expect("is small");
        if forecast.due.count != due {
            return Err(format!("{when}: {} due, model {due}", forecast.due));
        }
        let next = self.rows.iter().filter_map(|row| self.due_from(row)).min();
        let next =
            next.map(|next| Duration::from_micros(u64::try_from(next - self.now).unwrap_or(0)));
        // A forecast over text on Postgres is early by less than a second.
        let slack = Duration::from_secs(u64::from(!self.database.is_sqlite()));
        let agrees = match (forecast.next_due, next) {
            (Some(reported), Some(next)) => reported <= next && reported + slack >= next,
            (reported, next) => reported == next,
        };
        if agrees {
            return Ok(());
        }
        Err(format!(
            "{when}: next due {:?}, model {next:?}",
            forecast.next_due
        ))
    }
}

pub(crate) fn rules() -> std::ops::Range<u64> {
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let first = number("HOUSEKEEPER_SEED", 1);
    first..first + number("HOUSEKEEPER_RULES", 300)
}

/// A clock that each world sets.
pub(crate) fn clock() -> ractor_housekeeper::testing::ManualClock {
    ractor_housekeeper::testing::ManualClock::frozen(Utc::now())
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_rules_agree_with_the_model_on_sqlite() {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.db");
    let clock = clock();
    let store = ractor_housekeeper::store::sqlite::SqliteStore::open(&path.to_string_lossy()).await;
    let store = store
        .expect("a path")
        .with_clock(std::sync::Arc::new(clock.clone()));
    let mut conn = SqliteConnection::establish(&path.to_string_lossy()).expect("a connection");
    conn.batch_execute("pragma journal_mode = wal; pragma synchronous = off")
        .expect("is set");
    for seed in rules() {
        let world = World::generate(seed, Database::Sqlite);
        conn.batch_execute(&world.sql())
            .unwrap_or_else(|error| panic!("seed {seed}: {error}: {}", world.sql()));
        clock.set(world.now());
        let job = store
            .rule(world.rule())
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));

        let compared = world.compare(&job).await;

        compared.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{world:#?}"));
    }
}

/// Each lane has a database of its own: a server is busy with one rule for a part of its time only.
#[cfg(feature = "postgres")]
const LANES: u64 = 4;

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_rules_agree_with_the_model_on_postgres() {
    use ractor_housekeeper::testing::PrivatePostgres;
    let Some(server) = PrivatePostgres::shared().expect("a server") else {
        return;
    };
    let lanes = (0..LANES).map(|lane| {
        let url = server.fresh_database().expect("a database");
        tokio::spawn(compare_lane(url, lane))
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await.expect("agrees");
    }
}

#[cfg(feature = "postgres")]
async fn compare_lane(url: String, lane: u64) {
    use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
    let clock = clock();
    let store = ractor_housekeeper::PostgresStore::connect(&url).expect("a URL");
    let store = store.with_clock(std::sync::Arc::new(clock.clone()));
    let mut conn = AsyncPgConnection::establish(&url)
        .await
        .expect("a connection");
    conn.batch_execute("set client_min_messages = warning")
        .await
        .expect("is set");
    for seed in rules().filter(|seed| seed % LANES == lane) {
        let world = World::generate(seed, Database::Postgres);
        conn.batch_execute(&world.sql())
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error}: {}", world.sql()));
        clock.set(world.now());
        let job = store
            .rule(world.rule())
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));

        let compared = world.compare(&job).await;

        compared.unwrap_or_else(|error| {
            panic!(
                "seed {seed}: {error}
{world:#?}"
            )
        });
    }
}
