//! Keys and places that only Postgres has.

use super::PostgresUnderTest;
use crate::TestResult;
use crate::rules::idle_request;
use crate::world::{StoreUnderTest, micro, now, user};

#[tokio::test]
async fn sessions_that_point_at_each_other_go_together() -> TestResult {
    let Some(world) = PostgresUnderTest::open().await? else {
        return Ok(());
    };
    for id in ["a", "b"] {
        world.session(id, user(1), now() - micro()).await?;
    }
    world
        .sql("alter table sessions add column twin text references sessions (id); update sessions set twin = case id when 'a' then 'b' else 'a' end")
        .await?;
    world.jobs.check().await?;

    let batch = world
        .jobs
        .delete_idle_sessions(&idle_request(now(), 10))
        .await?;

    assert_eq!((batch.ids.len(), batch.rejected.len()), (2, 0));
    Ok(())
}

#[tokio::test]
async fn a_trigger_that_deletes_the_referencing_rows_may_do_so() -> TestResult {
    let Some(world) = PostgresUnderTest::open().await? else {
        return Ok(());
    };
    world.session("a", user(1), now() - micro()).await?;
    world
        .sql(
            "create table invoices (session_id text references sessions (id));
             insert into invoices values ('a');
             create function clear() returns trigger language plpgsql as
                $$ begin delete from invoices where session_id = old.id; return old; end $$;
             create trigger clear before delete on sessions for each row execute function clear()",
        )
        .await?;
    world.jobs.check().await?;

    let batch = world
        .jobs
        .delete_idle_sessions(&idle_request(now(), 10))
        .await?;

    assert_eq!(batch.ids, ["a"]);
    assert_eq!(world.count("invoices").await?, 0);
    Ok(())
}

/// An address is unique in one table only.
#[tokio::test]
async fn partitioned_sessions_are_rejected() -> TestResult {
    let Some(world) = PostgresUnderTest::open().await? else {
        return Ok(());
    };
    world
        .sql("create table old_sessions () inherits (sessions)")
        .await?;

    let checked = world.jobs.check().await;

    let error = checked.expect_err("sessions have a child").to_string();
    assert!(error.contains("inherit"), "{error}");
    Ok(())
}
