//! Roles with the least privileges: one of the host's chat, and one of the housekeeper.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use diesel_async::SimpleAsyncConnection;
use ractor_housekeeper::booking::{BookingPolicy, built_in};
use ractor_housekeeper::job::{BatchRequest, Job, Page, Scope};
use ractor_housekeeper::model::RunHistory;
use ractor_housekeeper::store::postgres::PostgresStore;
use uuid::Uuid;

use super::PostgresUnderTest;
use crate::TestResult;
use crate::world::{StoreUnderTest, clock, now, user};

/// A database with a role that has no privilege, and a store that works as this role.
struct Roles {
    world: PostgresUnderTest,
    role: String,
    store: PostgresStore,
}

impl Roles {
    async fn open() -> TestResult<Option<Self>> {
        let Some(world) = PostgresUnderTest::open().await? else {
            return Ok(None);
        };
        let role = format!("role_{}", Uuid::new_v4().simple());
        world.sql(&format!("create role {role}")).await?;
        let url = format!("{}?options=-crole%3D{role}", world.url);
        let store = PostgresStore::connect(&url)?.with_clock(clock());
        Ok(Some(Self { world, role, store }))
    }

    async fn grant(&self, what: &str) -> TestResult {
        let grant = format!("grant {what} to {}", self.role);
        self.world.sql(&grant).await
    }

    /// Runs SQL as the role.
    async fn sql(&self, sql: &str) -> TestResult {
        Ok(self.store.pool().get().await?.batch_execute(sql).await?)
    }

    /// Whether a message that the role inserts is noted in a session of long ago.
    async fn notes_activity(&self) -> TestResult<bool> {
        let long_ago = Utc::now() - TimeDelta::days(2);
        self.world.session("quiet", user(1), long_ago).await?;
        self.sql(&format!(
            "insert into messages (id, user_id, sender) values ('m', '{}', 'user')",
            user(1)
        ))
        .await?;
        Ok(self.world.last_activity_at("quiet").await?.is_some())
    }

    fn job(&self, name: &str) -> TestResult<Arc<dyn Job>> {
        let jobs = built_in(self.store.clone(), &BookingPolicy::default())?;
        let job = jobs.into_iter().find(|job| job.name().as_str() == name);
        Ok(job.ok_or("no such job")?)
    }
}

#[tokio::test]
async fn a_role_that_only_inserts_messages_notes_activity() -> TestResult {
    let Some(roles) = Roles::open().await? else {
        return Ok(());
    };
    roles.grant("select, insert on messages").await?;

    assert!(roles.notes_activity().await?);
    Ok(())
}

#[tokio::test]
async fn row_security_on_sessions_hides_no_activity() -> TestResult {
    let Some(roles) = Roles::open().await? else {
        return Ok(());
    };
    roles
        .grant("all on sessions, messages, housekeeper_activity")
        .await?;
    roles
        .world
        .sql("alter table sessions enable row level security")
        .await?;

    assert!(roles.notes_activity().await?);
    Ok(())
}

#[tokio::test]
async fn tables_in_front_of_the_search_path_take_no_activity() -> TestResult {
    let Some(roles) = Roles::open().await? else {
        return Ok(());
    };
    roles
        .grant("all on sessions, messages, housekeeper_activity")
        .await?;
    let decoys = format!("create schema decoy authorization {}", roles.role);
    roles.world.sql(&decoys).await?;
    let mut conn = roles.store.pool().get_owned().await?;
    conn.batch_execute(
        "set search_path = decoy, public; \
         create table decoy.sessions (like public.sessions); \
         create temp table sessions (like public.sessions); \
         create temp table housekeeper_activity (throttle_us bigint)",
    )
    .await?;
    let long_ago = Utc::now() - TimeDelta::days(2);
    roles.world.session("quiet", user(1), long_ago).await?;

    conn.batch_execute(&format!(
        "insert into public.messages (id, user_id, sender) values ('m', '{}', 'user')",
        user(1)
    ))
    .await?;

    assert!(roles.world.last_activity_at("quiet").await?.is_some());
    Ok(())
}

#[tokio::test]
async fn no_other_role_makes_a_trigger_of_the_function() -> TestResult {
    let Some(roles) = Roles::open().await? else {
        return Ok(());
    };
    let schema = format!("create schema own authorization {}", roles.role);
    roles.world.sql(&schema).await?;

    let made = roles
        .sql(
            "create table own.messages (id text); \
             create trigger t after insert on own.messages for each row \
             execute function public.housekeeper_note_activity()",
        )
        .await;

    let error = made.expect_err("it would write as the owner").to_string();
    assert!(
        error.contains("permission denied for function public.housekeeper_note_activity"),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn the_grants_of_the_guide_suffice() -> TestResult {
    let guide = include_str!("../../../docs/guides/postgres_and_replicas.md");
    let grants = |role: &str| -> Vec<String> {
        let end = format!(" to {role};");
        guide
            .lines()
            .filter_map(|line| Some(line.strip_prefix("grant ")?.strip_suffix(&end)?.to_owned()))
            .collect()
    };
    let jobs: [(&str, &[&str]); 2] = [
        (
            "session-cleaner",
            &[
                "sessions",
                "messages",
                "image_sent",
                "housekeeper_runs",
                "housekeeper_instances",
            ],
        ),
        (
            "booking-expirer",
            &["bookings", "housekeeper_runs", "housekeeper_instances"],
        ),
    ];
    for (name, tables) in jobs {
        let Some(roles) = Roles::open().await? else {
            return Ok(());
        };
        // Each job with its own lines alone.
        let own: Vec<String> = grants("housekeeper")
            .into_iter()
            .filter(|grant| tables.iter().any(|table| grant.contains(table)))
            .collect();
        assert_eq!(own.len(), tables.len(), "{own:?}");
        for grant in &own {
            roles.grant(grant).await?;
        }
        let long_ago = now() - TimeDelta::days(2);
        roles.world.session("idle", user(1), long_ago).await?;
        roles.world.image("idle").await?;
        roles.world.video("idle").await?;
        let booking =
            ractor_housekeeper::testing::MemoryBooking::pending("late", user(1), long_ago);
        roles.world.booking(&booking).await?;

        let job = roles.job(name)?;
        let done = handle_all(&*job).await.map_err(|error| error.chain())?;

        assert_eq!(done.len(), 1, "{name}: {done:?}");
        roles.store.runs(&job.name(), 10).await?;
        roles.store.note_instance("here").await?;
        let instances = roles.store.instances(now()).await?;
        assert_eq!(instances.len(), 1, "{instances:?}");
    }
    let Some(roles) = Roles::open().await? else {
        return Ok(());
    };
    for grant in grants("chat") {
        roles.grant(&grant).await?;
    }
    assert!(roles.notes_activity().await?);
    Ok(())
}

/// All steps of a run.
async fn handle_all(job: &dyn Job) -> Result<Vec<String>, ractor_housekeeper::job::JobError> {
    job.check().await?;
    let bounds = job.begin_run().await?;
    job.preview(&Scope::All, &Page::default()).await?;
    let request = BatchRequest {
        scope: Scope::All,
        now: bounds.now,
        cutoff: bounds.cutoff,
        limit: 10.try_into().expect("is not zero"),
        after: None,
    };
    let batch = job.batch(&request).await?;
    job.forecast(&[]).await?;
    Ok(batch.ids)
}

#[tokio::test]
async fn a_missing_grant_is_named_with_its_statement() -> TestResult {
    let table: [(&[&str], &str); 6] = [
        (&["select on bookings"], "grant update on \"bookings\" to"),
        (&["update on bookings"], "grant select on \"bookings\" to"),
        (&[], "grant select, update on \"bookings\" to"),
        // The rows are found by their place, which no grant on columns shows.
        (
            &[
                "select (booking_id, user_id, status, held_until, created_at) on bookings",
                "update on bookings",
            ],
            "grant select on \"bookings\" to",
        ),
        (
            &["select on bookings", "update (total_cost) on bookings"],
            "grant update on \"bookings\" to",
        ),
        (
            &["select on bookings", "update (status) on bookings"],
            "grant update on \"bookings\" to",
        ),
    ];
    for (grants, expected) in table {
        let Some(roles) = Roles::open().await? else {
            return Ok(());
        };
        for grant in grants {
            roles.grant(grant).await?;
        }

        let checked = roles.job("booking-expirer")?.check().await;

        let error = checked.expect_err("it may not update").chain();
        let expected = format!("{expected} \"{}\"", roles.role);
        assert!(error.contains(&expected), "{grants:?}: {error}");
    }
    Ok(())
}

/// Also a check of the host's SQL reads rows, and a statement plans.
#[tokio::test]
async fn grants_are_named_before_anything_is_read() -> TestResult {
    use ractor_housekeeper::rule::{Rule, at, column, eq, sql};

    let Some(roles) = Roles::open().await? else {
        return Ok(());
    };
    roles
        .world
        .sql(
            "create schema closed; create table closed.docs (id text primary key, kind text, at timestamptz, n int);
             create function closed.f(text) returns boolean language sql immutable as 'select true';
             revoke execute on function closed.f(text) from public",
        )
        .await?;
    let rule = Rule::new("docs", "closed.docs")
        .due(at("at"))
        .only(eq("kind", "open"))
        .only(sql("closed.f(docs.id)"))
        .set("kind", "gone")
        .set("n", column("n"));
    let steps = [
        ("", "grant usage on schema \"closed\" to"),
        (
            "usage on schema closed",
            "grant select, update on \"closed\".\"docs\" to",
        ),
        (
            "select on closed.docs",
            "grant update on \"closed\".\"docs\" to",
        ),
        (
            "update (kind) on closed.docs",
            "grant update on \"closed\".\"docs\" to",
        ),
        (
            "update (n) on closed.docs",
            "permission denied for function f",
        ),
        ("execute on function closed.f(text)", ""),
    ];
    for (grant, expected) in steps {
        if !grant.is_empty() {
            roles.grant(grant).await?;
        }

        let refused = roles.store.check_rule(&rule).await;

        let refused = refused.map_err(|error| error.chain())?.refused;
        let text = refused
            .iter()
            .map(|one| format!("{one} {:?}", one.statement));
        let text = text.collect::<Vec<_>>().join("\n");
        assert!(
            text.replace("\\\"", "\"").contains(expected),
            "{grant}: {text}"
        );
        assert_eq!(refused.is_empty(), expected.is_empty(), "{grant}: {text}");
    }
    Ok(())
}
