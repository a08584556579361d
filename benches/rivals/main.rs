//! This crate beside what users of one public table run today: Django's sessions, on one server.
//!
//! `cargo bench --features postgres --bench rivals -- --rows 200_000 --rounds 5`
//!
//! `psql` must be on the path. Django takes part where `python3` has it: `python3 -m pip install
//! "django<6" psycopg2-binary`; the variable `PYTHON` names another interpreter. A fifth of the
//! rows has expired. The housekeeper is started, and checks the table, before there are rows: it
//! runs all the time. Meanwhile clients look up live sessions at a fixed rate and the latency
//! counts from the scheduled start; each round measures them without a rival first. In the end the
//! connection of each is cut once, halfway.

use std::time::{Duration, Instant};

mod clients;
mod contender;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "what benches share is more than one needs")]
mod support;

use contender::Contender;
use support::Result;
use support::cpu::Mark;
use support::database::{Database, Kind};
use support::figures::{Bound, Spread, percentile, target};
use support::machine::heading;
use support::options::Options;

/// Results of a contender, per round.
#[derive(Default)]
struct Seen {
    seconds: Vec<f64>,
    /// Microseconds of the server for each row.
    server: Vec<f64>,
    /// The 99th percentile of the clients' latency, against that of the same round without rivals.
    latency: Vec<f64>,
    longest: Vec<f64>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::read(&[("rows", 20_000), ("rounds", 3), ("rate", 200)])?;
    let rows: u64 = options.number("rows")?;
    let rounds: usize = options.number("rounds")?;
    let rate: u32 = options.number("rate")?;
    let Some(mut database) = Database::postgres().await? else {
        return Ok(());
    };
    let version = database.version().await?;
    println!("{}, load {}", heading("rivals", &[version]), load());
    database.execute(TABLE).await?;
    let Kind::Postgres { url, .. } = &database.kind else {
        return Err("the table is Postgres'".into());
    };
    let url = url.clone();

    let mut all: Vec<(Contender, Seen)> = Vec::new();
    for contender in Contender::ALL {
        if contender.is_there() {
            all.push((contender, Seen::default()));
        } else {
            println!("{} is not installed: left out", contender.name());
        }
    }
    for _ in 0..rounds {
        let idle = clients::start(&url, rows, rate).await?;
        tokio::time::sleep(IDLE).await;
        let idle = percentile(&idle.finish().await?, 99.0);
        for (contender, seen) in &mut all {
            database.execute("truncate django_session").await?;
            let running = contender.prepare(&url).await?;
            fill(&mut database, rows).await?;
            let clients = clients::start(&url, rows, rate).await?;
            let mark = Mark::now(&database);
            let began = Instant::now();
            contender.run(&url, running).await?;
            let took = began.elapsed();
            let cpu = mark.elapsed();
            let latencies = clients.finish().await?;
            let left = database.number(LEFT).await?;
            if left > 0 {
                return Err(format!("{} left {left} rows", contender.name()).into());
            }
            #[expect(clippy::cast_precision_loss, reason = "a few million rows at most")]
            seen.server.push(cpu.server * 1e6 / (rows / 5) as f64);
            seen.seconds.push(took.as_secs_f64());
            seen.latency.push(percentile(&latencies, 99.0) / idle);
            seen.longest.push(percentile(&latencies, 100.0));
        }
    }

    println!(
        "{:<36}{:>20}{:>22}{:>26}{:>24}",
        "contender", "seconds", "server us/row", "clients' p99 / idle", "longest ms"
    );
    for (contender, seen) in &all {
        let text = |values: &[f64]| Spread::of(values).to_string();
        println!(
            "{:<36}{:>20}{:>22}{:>26}{:>24}",
            contender.name(),
            text(&seen.seconds),
            text(&seen.server),
            text(&seen.latency),
            text(&seen.longest),
        );
    }
    let of = |searched: Contender| all.iter().find(|(contender, _)| *contender == searched);
    if let (Some((_, ours)), Some((_, one))) = (of(Contender::FullSpeed), of(Contender::OneDelete))
    {
        let ratios = |of: fn(&Seen) -> &[f64]| -> Vec<f64> {
            let rounds = of(ours).iter().zip(of(one));
            rounds.map(|(ours, one)| ours / one).collect()
        };
        let cpu = ratios(|seen| &seen.server);
        target(
            "full speed, server's processor time per row against one DELETE",
            Bound::AtMost(1.15),
            "x",
            &cpu,
        );
        let time = ratios(|seen| &seen.seconds);
        target(
            "full speed, time against one DELETE",
            Bound::AtMost(1.25),
            "x",
            &time,
        );
    }
    for (contender, seen) in &all {
        let half = Spread::of(&seen.seconds).median / 2.0;
        let left = cut_halfway(&mut database, &url, *contender, rows, half).await?;
        println!(
            "{}: {left} of {} rows left after its connection was cut halfway",
            contender.name(),
            rows / 5
        );
    }
    println!("load {}", load());
    Ok(())
}

/// Rows that a contender leaves if the server ends its connection after these seconds.
async fn cut_halfway(
    database: &mut Database,
    url: &str,
    contender: Contender,
    rows: u64,
    after: f64,
) -> Result<i64> {
    database.execute("truncate django_session").await?;
    let started = contender.prepare(url).await?;
    fill(database, rows).await?;
    let url = url.to_owned();
    let running = tokio::spawn(async move { contender.run(&url, started).await.is_ok() });
    tokio::time::sleep(Duration::from_secs_f64(after)).await;
    database.execute(CUT).await?;
    running.await?;
    database.number(LEFT).await
}

async fn fill(database: &mut Database, rows: u64) -> Result<()> {
    let statement = FILL.replace("{rows}", &rows.to_string());
    database.execute(&statement).await?;
    database.settle().await
}

/// How busy the machine is: figures of a shared one mean little without.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split(' ').take(2).collect();
    load.join(" ")
}

/// As Django's migration makes it, without the index for `like`.
const TABLE: &str = "
    create table django_session (session_key varchar(40) primary key, session_data text not null, expire_date timestamptz not null);
    create index django_session_expire_date on django_session (expire_date);
    alter table django_session set (autovacuum_enabled = false)";

/// Sessions of two weeks, with data of about 200 bytes.
const FILL: &str = "
    insert into django_session select md5(n::text), repeat(md5('data' || n), 6),
        now() + case when n % 5 = 0 then interval '-14 days' else interval '14 days' end + n * interval '1 ms'
    from generate_series(1::bigint, {rows}) as n";

const LEFT: &str =
    "select count(*) as value from django_session where expire_date < now() - interval '1 minute'";

const CUT: &str = "
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()";

const IDLE: Duration = Duration::from_secs(3);
