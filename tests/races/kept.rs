//! Rows that a foreign key of the host's keeps: what they cost is counted, not timed.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use ractor_housekeeper::{Report, Scope, SessionCleaner};

use crate::Verdict;
use crate::bookings::{text, user};
use crate::chase::id;
use crate::database::{Database, Done};
use crate::replica::{Replica, messages_only};

const ROWS: usize = 10_000;

/// What a run over all the rows took.
struct Cost {
    report: Report,
    /// On Postgres, committed and rolled back.
    transactions: Option<(i64, i64)>,
}

pub(crate) async fn rows_that_must_stay_cost_one_more_batch_however_many(
    database: &Arc<Database>,
) -> Verdict {
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
            "{}, {kept} of {ROWS} must stay: {} batches, transactions (committed, rolled back) {:?}",
            database.name(),
            cost.report.batches,
            cost.transactions
        );
        assert_eq!(cost.report.set_aside_count, kept as u64);
        assert_eq!(cost.report.counts.of("sessions"), (ROWS - kept) as u64);
        assert!(
            cost.report
                .set_aside
                .iter()
                .all(|row| row.error == "kept by invoices.session_id")
        );
        assert_eq!(database.count("sessions").await?, kept);
        costs.push(cost);
    }

    // One batch is refused, the keys are looked at, and it is done again; from then on such rows are found beforehand.
    let [none, one, many] = costs.try_into().map_err(|_| "three runs")?;
    for cost in [&one, &many] {
        assert_eq!(cost.report.batches, none.report.batches);
        if let (Some((committed, rolled_back)), Some((base, base_back))) =
            (cost.transactions, none.transactions)
        {
            assert!(
                committed <= base + 10,
                "{committed} committed, {base} without"
            );
            assert!(
                rolled_back <= base_back + 1,
                "{rolled_back} rolled back, {base_back} without"
            );
        }
    }
    Ok(())
}

/// A run by a housekeeper that knows nothing of the keys yet.
async fn run(database: &Arc<Database>) -> Done<Cost> {
    let before = transactions(database).await?;
    let job = SessionCleaner::new(
        database.store(None).await?,
        Some(Duration::from_secs(24 * 60 * 60)),
    )?;
    let replica = Replica::start(Arc::new(job), messages_only()).await?;
    let report = replica.run(Scope::All).await?;
    replica.leave().await?;
    let after = transactions(database).await?;
    let difference = |((committed, rolled_back), (committed_then, rolled_back_then))| {
        (committed - committed_then, rolled_back - rolled_back_then)
    };
    Ok(Cost {
        report,
        transactions: after.zip(before).map(difference),
    })
}

#[cfg(not(feature = "postgres"))]
#[expect(clippy::unused_async, reason = "as on Postgres")]
async fn transactions(_: &Database) -> Done<Option<(i64, i64)>> {
    Ok(None)
}

/// Each connection adds what it did when it ends, so they have to be gone; and who looks does so from another database.
#[cfg(feature = "postgres")]
async fn transactions(database: &Database) -> Done<Option<(i64, i64)>> {
    let address = database.address();
    let Some((server, name)) = address
        .rsplit_once('/')
        .filter(|_| database.name() == "postgres")
    else {
        return Ok(None);
    };
    let mut outside = Database::Postgres(format!("{server}/postgres"))
        .connect()
        .await?;
    let look = format!(
        "select xact_commit::text as one, xact_rollback::text as two,
            (select count(*)::text from pg_stat_activity where datname = '{name}') as three
         from pg_stat_database where datname = '{name}'"
    );
    loop {
        let rows = outside.rows(&look).await?;
        let seen = rows.into_iter().next().ok_or("no such database")?;
        if seen.three == "0" {
            return Ok(Some((seen.one.parse()?, seen.two.parse()?)));
        }
    }
}
