//! Tables that are missing, or of another version: found at the start, which is the first run.

use ractor_housekeeper::model::StoreError;
use ractor_housekeeper::store::Schema;

use super::Outage;
use crate::Done;
use crate::ground::Ground;

async fn a_schema_of_another_version_is_found_at_the_start<G: Ground>(ground: &G) -> Done {
    let table = [
        (
            "alter table bookings rename column held_until to reserved_until",
            "alter table bookings rename column reserved_until to held_until",
            [
                "incomplete: column bookings.held_until does not exist",
                "incomplete: no such column: bookings.held_until",
            ],
        ),
        (
            "alter table video_sent rename to films_sent",
            "alter table films_sent rename to video_sent",
            ["incomplete: table `video_sent` is missing"; 2],
        ),
    ];
    for (away, back, words) in table {
        ground.sow().await?;
        ground.sql(away).await?;
        let mut outage = Outage::at_start(ground, &ground.store().await?, &words).await?;

        outage.goes_on().await?;
        ground.sql(back).await?;

        outage.heals().await?;
    }
    Ok(())
}

/// The tables of `G` are made by `migrate`.
async fn a_missing_schema<G: Ground>(
    ground: &G,
    store: &G::Store,
    migrate: impl Future<Output = Result<(), StoreError>>,
) -> Done {
    let words = ["the booking schema is missing: call migrate(&[Schema::Booking])"];
    let mut outage = Outage::at_start(ground, store, &words).await?;

    outage.goes_on().await?;
    outage.pause(true).await?;
    migrate.await?;
    ground.prepare().await?;
    ground.sow().await?;
    outage.pause(false).await?;

    outage.heals().await
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;
    use crate::ground::sqlite::SqliteGround;

    crate::ground::on_sqlite! {
        a_schema_of_another_version_is_found_at_the_start
    }

    #[tokio::test]
    async fn a_missing_schema_is_found_at_the_start() -> Done {
        let ground = SqliteGround::bare().await?;
        let store = ground.store().await?;
        a_missing_schema(&ground, &store, store.migrate(Schema::ALL)).await
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use ractor_housekeeper::testing::PrivatePostgres;

    use super::*;
    use crate::ground::postgres::PostgresGround;

    crate::ground::on_postgres! {
        a_schema_of_another_version_is_found_at_the_start
    }

    #[tokio::test]
    async fn a_missing_schema_is_found_at_the_start() -> Done {
        let Some(server) = PrivatePostgres::shared()? else {
            return Ok(());
        };
        let ground = PostgresGround::bare(server)?;
        let store = ground.store().await?;
        a_missing_schema(&ground, &store, store.migrate(Schema::ALL)).await
    }
}
