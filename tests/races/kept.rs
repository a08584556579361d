//! Rows that the host's foreign key keeps: what they cost is counted, not timed.

use std::sync::Arc;
#[cfg(feature = "sqlite")]
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
#[cfg(feature = "sqlite")]
use diesel::connection::InstrumentationEvent;
#[cfg(feature = "sqlite")]
use ractor_housekeeper::SqliteStore;
use ractor_housekeeper::booking::SessionCleaner;
use ractor_housekeeper::store::Store;
use ractor_housekeeper::{Report, Scope};

use crate::TestResult;
use crate::bookings::{text, user};
use crate::database::Database;
#[cfg(feature = "sqlite")]
use crate::listening_pool;
use crate::paced_writes::id;
use crate::replica::{Replica, messages_only};

const ROWS: usize = 10_000;

/// The duration of a run over all rows.
struct Cost {
    report: Report,
    /// On Postgres transactions committed, on SQLite statements.
    steps: usize,
    /// Transactions, on Postgres.
    rolled_back: usize,
}

pub(crate) async fn a_hundred_rows_that_must_stay_cost_what_one_does(
    database: &Arc<Database>,
) -> TestResult {
    database
        .connect()
        .await?
        .run(
            "create table invoices (session_id text not null references sessions (id));
             create index invoices_session_id on invoices (session_id)",
        )
        .await?;
    let mut costs = Vec::new();

    for kept in [0, 1, 100] {
        let anew = "delete from invoices; delete from sessions";
        database.connect().await?.run(anew).await?;
        let made = text(Utc::now() - TimeDelta::days(30));
        let sessions = (0..ROWS).map(|row| format!("('{}', '{}', '{made}')", id(row), user(row)));
        database
            .insert("sessions (id, user_id, created_at)", sessions)
            .await?;
        let all = ROWS / kept.max(1);
        let invoices = (0..kept).map(|number| format!("('{}')", id(number * all)));
        database.insert("invoices (session_id)", invoices).await?;

        let cost = run(database).await?;

        println!(
            "{}, {kept} of {ROWS} must stay: {} batches, {} steps, {} rolled back",
            database.name(),
            cost.report.batches,
            cost.steps,
            cost.rolled_back
        );
        assert_eq!(cost.report.rejected_count, kept as u64);
        assert_eq!(cost.report.counts.of("sessions"), (ROWS - kept) as u64);
        assert!(
            cost.report
                .rejected
                .iter()
                .all(|row| row.error == "kept by invoices.session_id")
        );
        assert_eq!(database.count("sessions").await?, kept);
        costs.push(cost);
    }

    // One batch is refused, the keys are looked at, and it is done again; from then on such rows
    // are found beforehand, which is part of the statement on Postgres, and three reads in each
    // batch on SQLite.
    let [none, one, many] = costs.try_into().map_err(|_| "three runs")?;
    let batches = usize::try_from(none.report.batches)?;
    let looking = if database.name() == "sqlite" {
        3 * batches
    } else {
        0
    };
    for cost in [&one, &many] {
        assert_eq!(cost.report.batches, none.report.batches);
        assert!(
            cost.steps <= none.steps + looking + FEW,
            "{} steps",
            cost.steps
        );
        assert!(
            cost.rolled_back <= none.rolled_back + FEW,
            "{} rolled back",
            cost.rolled_back
        );
    }
    assert!(
        many.steps <= one.steps + FEW,
        "{} steps, {} for one",
        many.steps,
        one.steps
    );
    Ok(())
}

/// A run by a housekeeper that knows nothing of the keys yet.
async fn run(database: &Database) -> TestResult<Cost> {
    match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite(_) => {
            let statements = Arc::new(AtomicUsize::new(0));
            let counted = statements.clone();
            let count = move |event: InstrumentationEvent<'_>| {
                let is_one = matches!(event, InstrumentationEvent::StartQuery { .. });
                counted.fetch_add(usize::from(is_one), Ordering::SeqCst);
            };
            let pool = listening_pool::pool(database.address().as_ref(), count).await?;
            let report = clean(Arc::new(SqliteStore::with_pool(pool))).await?;
            Ok(Cost {
                report,
                steps: statements.load(Ordering::SeqCst),
                rolled_back: 0,
            })
        }
        #[cfg(feature = "postgres")]
        Database::Postgres(address) => {
            let before = transactions(address).await?;
            let report = clean(database.store(None).await?).await?;
            let after = transactions(address).await?;
            Ok(Cost {
                report,
                steps: after[0] - before[0],
                rolled_back: after[1] - before[1],
            })
        }
    }
}

async fn clean(store: Arc<dyn Store>) -> TestResult<Report> {
    let job = SessionCleaner::new(store, Some(Duration::from_secs(24 * 60 * 60)))?;
    let replica = Replica::start(Arc::new(job), messages_only()).await?;
    let report = replica.run(Scope::All).await?;
    replica.shut_down().await?;
    Ok(report)
}

/// Committed and rolled back. Each connection adds what it did when it ends, so they have to be
/// gone; and who looks does so from another database.
#[cfg(feature = "postgres")]
async fn transactions(address: &str) -> TestResult<[usize; 2]> {
    let (server, name) = address.rsplit_once('/').ok_or("no database")?;
    let server = Database::Postgres(format!("{server}/postgres"));
    let mut outside = server.connect().await?;
    let look = format!(
        "select xact_commit::text as one, xact_rollback::text as two,
            (select count(*)::text from pg_stat_activity where datname = '{name}') as three
         from pg_stat_database where datname = '{name}'"
    );
    loop {
        let rows = outside.rows(&look).await?;
        let seen = rows.into_iter().next().ok_or("no such database")?;
        if seen.three == "0" {
            return Ok([seen.one.parse()?, seen.two.parse()?]);
        }
    }
}

/// Steps that do not grow with the rows, and far fewer than there are batches: the batch that is
/// done again, a look at the keys every minute, and whatever the server does by itself, such as a
/// vacuum.
const FEW: usize = 30;
