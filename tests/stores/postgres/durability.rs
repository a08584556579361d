//! Which batches raise `synchronous_commit`.

use std::time::Duration;

use ractor_housekeeper::Job;
use ractor_housekeeper::rule::{Rule, age, eq, outbox};
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::store::postgres::{Durability, PostgresStore};

use super::PostgresUnderTest;
use crate::TestResult;
use crate::runs::run;
use crate::world::clock;

/// The setting is read by a trigger at the commit, which is when it counts.
#[tokio::test]
async fn batches_that_hand_on_commit_durably_unless_told_otherwise() -> TestResult {
    use Durability::{Always, Default, HandedOn};
    let table = [
        ("off", HandedOn, "off", "on"),
        ("off", Always, "on", "on"),
        ("off", Default, "off", "off"),
        ("local", HandedOn, "local", "on"),
        ("remote_apply", Always, "remote_apply", "remote_apply"),
        ("on", HandedOn, "on", "on"),
    ];
    for (default, durability, plain, handed_on) in table {
        let Some(world) = PostgresUnderTest::empty()? else {
            return Ok(());
        };
        world.store.migrate(&[Schema::Outbox]).await?;
        world
            .sql(&format!(
                "create table drafts (id text primary key, state text not null, at timestamptz not null); \
                 create table seen (setting text not null); \
                 create function look() returns trigger language plpgsql as $$ begin \
                     insert into seen values (current_setting('synchronous_commit')); return null; end $$; \
                 create constraint trigger look after update on drafts deferrable initially deferred \
                     for each row execute function look(); \
                 do $$ begin execute format('alter database %I set synchronous_commit = {default}', current_database()); end $$"
            ))
            .await?;
        let store = PostgresStore::connect(&world.url)?
            .with_clock(clock())
            .with_durability(durability);
        let rule = || {
            Rule::new("expirer", "drafts")
                .due(age("at", Duration::from_secs(60)))
                .only(eq("state", "open"))
                .set("state", "expired")
        };
        let jobs: [Box<dyn Job>; 2] = [
            Box::new(store.rule(rule())?),
            Box::new(store.rule(rule().hand_on(outbox(["state"])))?),
        ];
        for (job, expected) in jobs.iter().zip([plain, handed_on]) {
            world
                .sql(
                    "delete from seen; delete from drafts; \
                     insert into drafts values ('a', 'open', '2020-01-01Z')",
                )
                .await?;

            let done = run(&**job, 10).await?;

            assert_eq!(done.ids, ["a"], "{default} {durability:?}");
            let seen = format!("seen where setting = '{expected}'");
            assert_eq!(world.count(&seen).await?, 1, "{default} {durability:?}");
        }
    }
    Ok(())
}
