//! Connections that live and are of no use any more: each is closed, and the work goes on at once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use diesel::ConnectionError;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy, built_in};
use ractor_housekeeper::job::{BatchRequest, Page};
use ractor_housekeeper::model::RunHistory;
use ractor_housekeeper::rule::{Rule, age, eq};
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::store::postgres::{Pool, PostgresStore};
use ractor_housekeeper::testing::MemoryBooking;
use ractor_housekeeper::{Job, Scope};

use super::PostgresUnderTest;
use crate::TestResult;
use crate::pgbouncer::PgBouncer;
use crate::rules::record;
use crate::world::{StoreUnderTest, clock, now, user};

/// A world with ten overdue bookings and ten idle sessions, and a store on our pool or the
/// host's.
async fn worlds() -> TestResult<Vec<(PostgresUnderTest, PostgresStore)>> {
    let mut worlds = Vec::new();
    for ours in [true, false] {
        let Some(world) = PostgresUnderTest::open().await? else {
            return Ok(Vec::new());
        };
        let long_ago = now() - TimeDelta::days(30);
        for number in 0..10 {
            let booking = MemoryBooking::pending(format!("b{number}"), user(1), long_ago);
            world.booking(&booking).await?;
            world
                .session(&format!("s{number}"), user(number), long_ago)
                .await?;
        }
        let store = if ours {
            PostgresStore::connect(&world.url)?
        } else {
            let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(&world.url);
            PostgresStore::with_pool(Pool::builder().max_size(6).build(manager).await?)
        };
        worlds.push((world, store.with_clock(clock())));
    }
    Ok(worlds)
}

/// The built-in jobs, and the expirer as a declared rule.
fn jobs(store: &PostgresStore) -> TestResult<Vec<Arc<dyn Job>>> {
    let rule = Rule::new("expire", "bookings")
        .due(age("created_at", Duration::from_secs(900)))
        .only(eq("status", "Pending"))
        .held_until("held_until")
        .set("status", "Expired");
    let mut jobs: Vec<Arc<dyn Job>> = vec![Arc::new(store.rule(rule)?)];
    jobs.extend(built_in(store.clone(), &BookingPolicy::default())?);
    Ok(jobs)
}

/// Does everything on every connection of the pool, so that each has it prepared.
async fn warm(store: &PostgresStore, jobs: &[Arc<dyn Job>]) -> TestResult {
    let mut held = Vec::new();
    for _ in 0..6 {
        use_all(store, jobs, 1).await?;
        held.push(store.pool().get_owned().await?);
    }
    Ok(())
}

/// One batch of `limit` rows, a preview and a forecast of each job, and the history. Returns the
/// rows handled and rejected.
async fn use_all(
    store: &PostgresStore,
    jobs: &[Arc<dyn Job>],
    limit: u32,
) -> TestResult<(usize, usize)> {
    let (mut handled, mut rejected) = (0, 0);
    for job in jobs {
        let said = |error: ractor_housekeeper::job::JobError| error.to_string();
        let bounds = job.begin_run().await.map_err(said)?;
        let request = BatchRequest {
            scope: Scope::All,
            now: bounds.now,
            cutoff: bounds.cutoff,
            limit: NonZeroU32::new(limit).ok_or("is zero")?,
            after: None,
        };
        job.preview(&Scope::All, &Page::default())
            .await
            .map_err(said)?;
        let batch = job.batch(&request).await.map_err(said)?;
        job.forecast(&[]).await.map_err(said)?;
        handled += batch.ids.len();
        rejected += batch.rejected.len();
    }
    let key = uuid::Uuid::new_v4().to_string();
    let run = record(&key, "booking-expirer", 0, 1);
    store.record(&[run], 10).await?;
    store.runs(&BookingExpirer::NAME, 10).await?;
    Ok((handled, rejected))
}

#[tokio::test]
async fn altered_tables_make_no_connection_useless() -> TestResult {
    for (world, store) in worlds().await? {
        let jobs = jobs(&store)?;
        warm(&store, &jobs).await?;
        world
            .sql(
                "alter table sessions alter id type varchar(64); alter table bookings alter booking_id type varchar(64), alter status type varchar(20);
                 alter table housekeeper_runs alter key type varchar(200)",
            )
            .await?;
        let began = Instant::now();

        let (_, rejected) = use_all(&store, &jobs, 100).await?;

        assert_eq!(rejected, 0);
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(world.count("sessions").await?, 0);
        assert_eq!(world.count("bookings where status = 'Pending'").await?, 0);
    }
    Ok(())
}

/// After a failover a pool keeps its connections to what is a standby now.
#[tokio::test]
async fn connections_that_only_read_are_left_for_others() -> TestResult {
    for (world, store) in worlds().await? {
        let jobs = jobs(&store)?;
        let mut held = Vec::new();
        for _ in 0..6 {
            let mut conn = store.pool().get_owned().await?;
            conn.batch_execute("set default_transaction_read_only = on")
                .await?;
            held.push(conn);
        }
        drop(held);
        let began = Instant::now();

        let (handled, rejected) = use_all(&store, &jobs, 100).await?;

        assert_eq!((handled, rejected), (20, 0));
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(world.count("sessions").await?, 0);
    }
    Ok(())
}

/// Others share the pool of a host.
#[tokio::test]
async fn settings_that_others_left_disturb_no_job() -> TestResult {
    let settings = [
        "set search_path = nowhere",
        "set role pg_monitor",
        "set default_transaction_isolation = serializable; set default_transaction_deferrable = on",
        "set datestyle = 'German, DMY'; set timezone = 'Pacific/Kiritimati'; set intervalstyle = 'sql_standard'",
        "set bytea_output = 'escape'; set extra_float_digits = -15; set standard_conforming_strings = off",
        "set client_encoding = latin1; set array_nulls = off; set transform_null_equals = on",
        "set statement_timeout = 1; set lock_timeout = 1",
        "set plan_cache_mode = force_generic_plan; set work_mem = 64",
        "discard all",
        "begin",
        "begin; savepoint a",
    ];
    for setting in settings {
        for (world, store) in worlds().await? {
            let jobs = jobs(&store)?;
            warm(&store, &jobs).await?;
            let mut held = Vec::new();
            for _ in 0..6 {
                let mut conn = store.pool().get_owned().await?;
                conn.batch_execute(setting).await?;
                held.push(conn);
            }
            drop(held);
            for job in &jobs {
                let checked = job.check().await;
                checked.map_err(|error| format!("{setting}: {error}"))?;
            }

            let used = use_all(&store, &jobs, 100).await;

            let (_, rejected) = used.map_err(|error| format!("{setting}: {error}"))?;
            assert_eq!(rejected, 0, "{setting}");
            assert_eq!(world.count("sessions").await?, 0, "{setting}");
        }
    }
    Ok(())
}

/// Others share the pool of a host, and may leave what hides the tables.
#[tokio::test]
async fn tables_of_the_same_names_elsewhere_are_left_alone() -> TestResult {
    for hide in ["set search_path = t1, public", HIDE_TEMP] {
        for is_known in [true, false] {
            for (world, store) in worlds().await? {
                world.sql(COPY).await?;
                let jobs = jobs(&store)?;
                if is_known {
                    warm(&store, &jobs).await?;
                }
                let mut held = Vec::new();
                for _ in 0..6 {
                    let mut conn = store.pool().get_owned().await?;
                    conn.batch_execute(hide).await?;
                    held.push(conn);
                }
                drop(held);
                for job in &jobs {
                    job.check().await.map_err(|error| error.to_string())?;
                }

                use_all(&store, &jobs, 100).await?;

                let open = "bookings where status = 'Pending'";
                assert_eq!(world.count(&format!("t1.{open}")).await?, 10, "{hide}");
                assert_eq!(world.count(open).await?, 0, "{hide}");
                assert_eq!(world.count("sessions").await?, 0, "{hide}");
            }
        }
    }
    Ok(())
}

const HIDE_TEMP: &str = "create temp table bookings (like public.bookings including all);
    create temp table sessions (like public.sessions including all)";

const COPY: &str = "create schema t1;
    create table t1.bookings (like bookings including all);
    insert into t1.bookings select * from bookings;
    create table t1.sessions (like sessions including all)";

/// All connections of a host's pool may have a path of their own, which is the right one.
#[tokio::test]
async fn a_search_path_that_every_connection_has_counts() -> TestResult {
    let Some(world) = PostgresUnderTest::open().await? else {
        return Ok(());
    };
    let tables = "create schema t1; create table t1.docs (id int primary key, at timestamptz);
        create table docs (like t1.docs including all);
        insert into docs values (1, 'epoch'); insert into t1.docs values (1, 'epoch'), (2, 'epoch')";
    world.sql(tables).await?;
    let mut config = ManagerConfig::<AsyncPgConnection>::default();
    config.custom_setup = Box::new(|url| {
        let opened = async move {
            let mut conn = AsyncPgConnection::establish(url).await?;
            let set = conn.batch_execute("set search_path = t1, public").await;
            set.map_err(ConnectionError::CouldntSetupConfiguration)?;
            Ok(conn)
        };
        Box::pin(opened)
    });
    let manager = AsyncDieselConnectionManager::new_with_config(&world.url, config);
    let store = PostgresStore::with_pool(Pool::builder().max_size(2).build(manager).await?);
    let rule = Rule::new("docs", "docs")
        .due(age("at", Duration::from_secs(60)))
        .delete();
    let jobs: Vec<Arc<dyn Job>> = vec![Arc::new(store.clone().with_clock(clock()).rule(rule)?)];

    let used = use_all(&store, &jobs, 10).await?;

    assert_eq!(used, (2, 0));
    assert_eq!(world.count("public.docs").await?, 1);
    Ok(())
}

/// Another client's `deallocate all`, as poolers send it, leaves statements that only the client
/// knows.
#[tokio::test]
async fn statements_that_the_server_forgot_are_prepared_anew() -> TestResult {
    for (_, store) in worlds().await? {
        let jobs = jobs(&store)?;
        warm(&store, &jobs).await?;
        let mut held = Vec::new();
        for _ in 0..6 {
            let mut conn = store.pool().get_owned().await?;
            conn.batch_execute("deallocate all").await?;
            held.push(conn);
        }
        drop(held);
        let began = Instant::now();

        let (_, rejected) = use_all(&store, &jobs, 100).await?;

        assert_eq!(rejected, 0);
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    }
    Ok(())
}

/// Fails soon and names the cause if no connection can do it.
#[tokio::test]
async fn a_fault_of_every_connection_fails_within_a_second() -> TestResult {
    for (world, store) in worlds().await? {
        let jobs = jobs(&store)?;
        warm(&store, &jobs).await?;
        world.sql("drop table housekeeper_runs").await?;
        let began = Instant::now();

        let read = store.runs(&BookingExpirer::NAME, 10).await;

        let error = read.expect_err("there is no table").to_string();
        assert!(
            error.contains("the housekeeper schema is missing"),
            "{error}"
        );
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
    }
    Ok(())
}

#[tokio::test]
async fn jobs_run_behind_a_pooler_in_the_documented_modes() -> TestResult {
    let modes: [((u32, u32), &[&str]); 2] = [
        ((1, 0), &["pool_mode = session"]),
        (
            (1, 21),
            &["pool_mode = transaction", "max_prepared_statements = 200"],
        ),
    ];
    for (needs, settings) in modes {
        for (world, _) in worlds().await? {
            let Some(bouncer) = PgBouncer::before(&world.url, needs, settings) else {
                continue;
            };
            let store = PostgresStore::connect(&bouncer.url)?.with_clock(clock());
            let jobs = jobs(&store)?;
            for job in &jobs {
                job.check().await.map_err(|error| error.to_string())?;
            }
            warm(&store, &jobs).await?;

            use_all(&store, &jobs, 100).await?;

            assert_eq!(world.count("sessions").await?, 0);
            assert_eq!(world.count("bookings where status = 'Pending'").await?, 0);
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_check_names_a_pooler_that_loses_prepared_statements() -> TestResult {
    for (world, _) in worlds().await? {
        let settings = ["pool_mode = transaction", "max_prepared_statements = 0"];
        let settings = if PgBouncer::before(&world.url, (1, 21), &[]).is_some() {
            &settings[..]
        } else {
            &settings[..1]
        };
        let Some(bouncer) = PgBouncer::before(&world.url, (1, 0), settings) else {
            continue;
        };
        let store = PostgresStore::connect(&bouncer.url)?.with_clock(clock());
        for job in jobs(&store)? {
            let error = job.check().await.expect_err("it loses them").to_string();

            assert!(
                error.contains("statements do not stay prepared on this connection"),
                "{error}"
            );
            assert!(error.contains("max_prepared_statements"), "{error}");
        }
        assert_eq!(world.count("bookings where status = 'Pending'").await?, 10);
        // Without a pooler nothing is said.
        for job in jobs(&world.store)? {
            job.check().await.map_err(|error| error.to_string())?;
        }
        world.store.migrate(Schema::ALL).await?;
    }
    Ok(())
}
