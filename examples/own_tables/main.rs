//! A host with tables of its own: the schema of the Python application that this crate replaces,
//! cleaned by two declared rules on SQLite or Postgres.
//!
//! `rules.rs` has the rules, `postgres.sql` and `sqlite.sql` the tables as they have always been.
//! The rest is the application around them: it fills the tables with rows on both sides of both
//! cutoffs, has the housekeeper check, preview and run, and then looks for itself.

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use ractor_housekeeper::config::Pace;
use ractor_housekeeper::job::{JobError, Page};
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::{HousekeeperArguments, JobName, Scope, SqliteStore, start};

use rules::{booking_expirer, session_cleaner};

mod rules;

const USAGE: &str = "\
usage: own_tables [--database-url URL]

  --database-url URL   an empty Postgres database, as in postgres://user:password@host/database;
                       without it, a temporary SQLite file
  --help               this text";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => on_sqlite().await,
        #[cfg(feature = "postgres")]
        ["--database-url", url] => on_postgres(url).await,
        #[cfg(not(feature = "postgres"))]
        ["--database-url", _] => {
            Err("this build knows SQLite only; add `--features postgres`".into())
        }
        ["--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => {
            println!("exactly the right rows are gone or expired");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn on_sqlite() -> Result<(), JobError> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("application.db").display().to_string();
    let store = SqliteStore::open(&path).await?;
    // Only the history of runs: the tables are the application's.
    store.migrate(&[Schema::Housekeeper]).await?;
    let rows = rows(Utc::now());
    let filled = store.transaction("fill the tables", move |conn| {
        conn.batch_execute(include_str!("sqlite.sql"))?;
        conn.batch_execute(&rows)
    });
    filled.await?;

    let arguments = HousekeeperArguments::new(Vec::new())
        .with_job(store.rule(session_cleaner())?)
        .with_job(store.rule(booking_expirer())?);
    clean(arguments.with_history(store.clone())).await?;

    for (name, wrong) in WRONG {
        let found = store.read("look at the tables", move |conn| {
            use diesel::RunQueryDsl;
            diesel::select(diesel::dsl::sql::<BigInt>(wrong)).get_result::<i64>(conn)
        });
        assert_none(name, found.await?)?;
    }
    Ok(())
}

#[cfg(feature = "postgres")]
async fn on_postgres(url: &str) -> Result<(), JobError> {
    use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
    let store = ractor_housekeeper::PostgresStore::connect(url)?;
    store.migrate(&[Schema::Housekeeper]).await?;
    let rows = rows(store.clock_now().await?);
    let filled = store.transaction("fill the tables", async |conn| {
        conn.batch_execute(include_str!("postgres.sql")).await?;
        conn.batch_execute(&rows).await
    });
    filled.await?;

    let arguments = HousekeeperArguments::new(Vec::new())
        .with_job(store.rule(session_cleaner())?)
        .with_job(store.rule(booking_expirer())?);
    clean(arguments.with_history(store.clone())).await?;

    for (name, wrong) in WRONG {
        let found = store.read("look at the tables", async |conn| {
            let query = diesel::select(diesel::dsl::sql::<BigInt>(wrong));
            query.get_result::<i64>(conn).await
        });
        assert_none(name, found.await?)?;
    }
    Ok(())
}

/// Previews both jobs, and runs them.
async fn clean(mut arguments: HousekeeperArguments) -> Result<(), JobError> {
    // Nothing runs before the preview, and batches are small enough to need several.
    arguments.config.job.schedule.at_start = false;
    arguments.config.job.pace = Pace::fixed(const { NonZeroU32::new(100).expect("is not zero") });
    let jobs: Vec<JobName> = arguments.jobs.iter().map(|job| job.name()).collect();
    let housekeeper = start(None, arguments).await?.housekeeper;
    let page = Page::first(const { NonZeroU32::new(3).expect("is not zero") });
    for job in jobs {
        println!(
            "{}",
            housekeeper
                .preview(job.clone(), Scope::All, page.clone())
                .await?
        );
        let report = housekeeper.run_now(job, Scope::All).await?;
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    println!("{}", housekeeper.status().await?);
    housekeeper.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

fn assert_none(name: &str, found: i64) -> Result<(), JobError> {
    if found == 0 {
        return Ok(());
    }
    Err(format!("{found} {name}").into())
}

/// Rows that must not be there afterwards, or are missing. The ids say what must become of a row.
const WRONG: [(&str, &str); 4] = [
    (
        "sessions must be gone",
        "(select count(*) from sessions where id like 'goes%')",
    ),
    (
        "sessions are missing",
        "(select 3 - count(*) from sessions where id like 'stays%')",
    ),
    (
        "image or video records are wrong",
        "(select abs(6 - count(*)) from (select id from \"imageSent\" union all select id from \"videoSent\") records)",
    ),
    (
        "bookings are wrong",
        "(select count(*) from bookings where (booking_id like 'expires%') <> (updated_at > created_at) \
         or (booking_id like 'expires%' and status <> 'Expired'))",
    ),
];

/// Statements that insert rows on both sides of both cutoffs, for either database.
fn rows(now: DateTime<Utc>) -> String {
    // The margin is longer than this program runs.
    let margin = TimeDelta::seconds(30);
    let (day, quarter) = (now - TimeDelta::days(1), now - TimeDelta::minutes(15));
    let (old, new, older) = (day - margin, day + margin, day - TimeDelta::days(1));
    let mut sql = String::new();
    let mut user = 0;
    let mut session = |id: &str, created: DateTime<Utc>, messages: &[(&str, DateTime<Utc>)]| {
        user += 1;
        let owner = format!("'00000000-0000-4000-8000-{user:012}'");
        sql.extend([format!("insert into users values ({owner});")]);
        sql.extend([format!(
            "insert into sessions values ('{id}', {owner}, {});",
            text(created)
        )]);
        for (number, (sender, at)) in messages.iter().enumerate() {
            sql.extend([format!(
                "insert into messages values ('{id}-{number}', {owner}, '{sender}', '', {});",
                text(*at)
            )]);
        }
        sql.extend([format!(
            "insert into \"imageSent\" values ('{id}', '{id}', null); insert into \"videoSent\" values ('{id}', '{id}', null);"
        )]);
    };
    session("goes-never-written", old, &[]);
    session("goes-quiet", older, &[("user", old)]);
    // The bot's own messages keep no session.
    session(
        "goes-only-the-bot-talks",
        older,
        &[("user", old), ("bot", new)],
    );
    session("stays-young", new, &[]);
    session("stays-chatting", older, &[("user", old), ("user", new)]);
    // A session counts from its creation at least.
    session("stays-back-after-long", new, &[("user", older)]);
    for number in 0..250 {
        session(&format!("goes-crowd-{number}"), older, &[]);
    }
    let mut booking = |id: &str, status: &str, created: DateTime<Utc>| {
        let (owner, at) = ("'00000000-0000-4000-8000-000000000001'", text(created));
        sql.extend([format!(
            "insert into bookings (booking_id, user_id, status, created_at, updated_at) values ('{id}', {owner}, '{status}', {at}, {at});"
        )]);
    };
    for status in ["Waiting", "Confirmed", "Cancelled", "Completed", "Expired"] {
        booking(&format!("stays-{status}"), status, quarter - margin);
    }
    booking("stays-young", "Pending", quarter + margin);
    for number in 0..250 {
        booking(&format!("expires-{number}"), "Pending", quarter - margin);
    }
    sql
}

/// UTC, as the application writes it.
fn text(at: DateTime<Utc>) -> String {
    at.format("'%Y-%m-%d %H:%M:%S%.6f'").to_string()
}
