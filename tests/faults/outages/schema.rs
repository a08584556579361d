//! Tables that are missing, or of another version: found at the start, which is the first run.

use ractor_housekeeper::model::StoreError;
use ractor_housekeeper::store::Schema;

use super::Outage;
use crate::TestResult;
use crate::database::TestDatabase;

async fn a_schema_of_another_version_is_found_at_the_start<G: TestDatabase>(
    database: &G,
) -> TestResult {
    let table = [
        (
            "alter table bookings rename column held_until to reserved_until",
            "alter table bookings rename column reserved_until to held_until",
            [
                "incomplete: column bookings.held_until is missing",
                "incomplete: no such column: bookings.held_until",
            ],
        ),
        (
            "alter table video_sent rename to films_sent",
            "alter table films_sent rename to video_sent",
            ["incomplete: table `video_sent` is missing"; 2],
        ),
    ];
    for (away, back, messages) in table {
        database.insert_due_rows().await?;
        database.sql(away).await?;
        let mut outage = Outage::at_start(database, &database.store().await?, &messages).await?;

        outage.repeats().await?;
        database.sql(back).await?;

        outage.recovers().await?;
    }
    Ok(())
}

/// The tables of `G` are made by `migrate`.
async fn a_missing_schema<G: TestDatabase>(
    database: &G,
    store: &G::Store,
    migrate: impl Future<Output = Result<(), StoreError>>,
) -> TestResult {
    let messages = ["the booking schema is missing: call migrate(&[Schema::Booking])"];
    let mut outage = Outage::at_start(database, store, &messages).await?;

    outage.repeats().await?;
    outage.pause(true).await?;
    migrate.await?;
    database.prepare().await?;
    database.insert_due_rows().await?;
    outage.pause(false).await?;

    outage.recovers().await
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;
    use crate::database::sqlite::SqliteDatabase;

    crate::database::on_sqlite! {
        a_schema_of_another_version_is_found_at_the_start
    }

    #[tokio::test]
    async fn a_missing_schema_is_found_at_the_start() -> TestResult {
        let database = SqliteDatabase::bare().await?;
        let store = database.store().await?;
        Box::pin(a_missing_schema(
            &database,
            &store,
            store.migrate(Schema::ALL),
        ))
        .await
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use ractor_housekeeper::testing::PrivatePostgres;

    use super::*;
    use crate::database::postgres::PostgresDatabase;

    crate::database::on_postgres! {
        a_schema_of_another_version_is_found_at_the_start
    }

    #[tokio::test]
    async fn a_missing_schema_is_found_at_the_start() -> TestResult {
        let Some(server) = PrivatePostgres::shared()? else {
            return Ok(());
        };
        let database = PostgresDatabase::bare(server)?;
        let store = database.store().await?;
        Box::pin(a_missing_schema(
            &database,
            &store,
            store.migrate(Schema::ALL),
        ))
        .await
    }
}
