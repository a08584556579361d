//! Activity in another table keeps a row alive, also without a column in which it is noted.

use std::time::Duration;

use ractor_housekeeper::rule::{Rule, Stamp, age, eq, newest};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Threads without a message for an hour.
fn threads() -> Rule {
    Rule::new("threads", "threads")
        .due(age("begun", HOUR).on_sqlite(Stamp::Seconds))
        .active(newest("posts", "thread_id", "sent").only(eq("kind", "post")))
        .delete()
}

/// The same, with a column in which a trigger notes activity.
fn noted_threads() -> Rule {
    let posts = newest("posts", "thread_id", "sent").only(eq("kind", "post"));
    Rule::new("threads", "threads")
        .due(age("begun", HOUR).on_sqlite(Stamp::Seconds))
        .active(posts.noted_in("noted", "note_posts", "60000000"))
        .delete()
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::collections::BTreeSet;

    use ractor_housekeeper::Job;
    use ractor_housekeeper::job::Page;
    use ractor_housekeeper::testing::assert_conforms;

    use super::super::demands::{Host, run};
    use super::*;

    const THREADS: &str = "
        create table users (id integer primary key);
        create table threads (id text primary key, user_id integer references users, begun timestamptz not null);
        create index on threads (begun);
        create table posts (id bigserial primary key, thread_id text, user_id integer references users, kind text default 'post', sent timestamptz not null);
        create index on posts (thread_id, sent); create index on posts (user_id, sent);
        insert into users values (1), (2), (3), (4);
        insert into threads values ('old', 1, '2026-01-10 10:00Z'), ('live', 2, '2026-01-10 10:00Z'), ('edited', 3, '2026-01-10 10:00Z'), ('new', 4, '2026-01-10 11:30Z');
        insert into posts (thread_id, user_id, sent) values ('old', 1, '2026-01-10 10:30Z'), ('live', 2, '2026-01-10 11:20Z');
        insert into posts (thread_id, user_id, kind, sent) values ('edited', 3, 'edit', '2026-01-10 11:59Z');";

    const KEY: &str =
        "alter table posts add foreign key (thread_id) references threads on delete cascade";

    fn ids<const N: usize>(ids: [&str; N]) -> BTreeSet<String> {
        ids.into_iter().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn a_row_lives_as_long_as_its_newest_activity() {
        let Some(host) = Host::new(THREADS).await else {
            return;
        };
        host.run(KEY).await;
        let job = host.store.rule(threads()).expect("a job");
        job.check().await.expect("is fine");

        let page = Page::default();
        let rows = job.preview(&ractor_housekeeper::Scope::All, &page);
        let rows = rows.await.expect("a preview").rows;
        let handled = assert_conforms(&job, 1.try_into().expect("is not zero")).await;
        let forecast = job.forecast(&[]).await.expect("a forecast");

        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].since.to_rfc3339(), "2026-01-10T10:00:00+00:00");
        assert_eq!(rows[1].since.to_rfc3339(), "2026-01-10T10:30:00+00:00");
        assert_eq!(handled.expect("conforms"), ["edited", "old"]);
        // The live one is due before the new one.
        let next = forecast.next_due.expect("one is next");
        assert_eq!(
            next,
            Duration::from_secs(20 * 60) + Duration::from_micros(1)
        );
    }

    #[tokio::test]
    async fn the_check_has_the_trigger_that_notes_activity() {
        let Some(host) = Host::new(THREADS).await else {
            return;
        };
        host.run("alter table threads add noted timestamptz").await;
        let findings = host.store.check_rule(&noted_threads()).await;
        let refused = findings.expect("a check").refused;
        assert_eq!(refused.len(), 1, "{refused:?}");
        let trigger = refused[0].statement.as_deref().expect("a trigger");

        host.run(trigger).await;

        host.run("insert into posts (thread_id, sent) values ('old', '2026-01-10 11:50Z'), ('new', '2026-01-10 11:30:30Z')").await;
        host.run("insert into posts (thread_id, kind, sent) values ('live', 'edit', '2026-01-10 11:59Z')").await;
        let notes = "select bool_and(noted is not distinct from case id when 'old' then timestamptz '2026-01-10 11:50Z' end) from threads";
        assert!(host.holds(notes).await);
        let findings = host.store.check_rule(&noted_threads()).await;
        assert_eq!(findings.expect("a check").refused, []);
        let job = host.store.rule(noted_threads()).expect("a job");
        assert_eq!(run(&job, 10).await.0, ids(["edited"]));
    }

    #[tokio::test]
    async fn activity_that_locks_nothing_is_refused() {
        let Some(host) = Host::new(THREADS).await else {
            return;
        };

        let refused = host
            .store
            .check_rule(&threads())
            .await
            .expect("is asked")
            .refused;
        let accepted = host.store.check_rule(&threads().may_race()).await;

        assert_eq!(refused.len(), 1, "{refused:?}");
        let text = refused[0].to_string();
        assert!(
            text.contains("no foreign key from `posts.thread_id`"),
            "{text}"
        );
        assert!(accepted.expect("is asked").refused.is_empty());
    }

    #[tokio::test]
    async fn activity_that_commits_while_rows_are_picked_keeps_its_row() {
        for through in [false, true] {
            let Some(host) = Host::new(THREADS).await else {
                return;
            };
            let rule = if through {
                let posts = newest("posts", "user_id", "sent").references("user_id");
                threads().active(posts.only(eq("kind", "post")).through("users", "id"))
            } else {
                host.run(KEY).await;
                threads()
            };
            let job = host.store.rule(rule).expect("a job");
            job.check().await.expect("is fine");
            // It is open while the rows are picked, and holds its thread or its user.
            let mut guest = host.connect().await;
            let post = "begin; insert into posts (thread_id, user_id, sent) values ('old', 1, '2026-01-10 11:59Z')";
            diesel_async::SimpleAsyncConnection::batch_execute(&mut guest, post)
                .await
                .expect("posts");

            let (first, _) = run(&job, 10).await;
            diesel_async::SimpleAsyncConnection::batch_execute(&mut guest, "commit")
                .await
                .expect("commits");
            let (second, _) = run(&job, 10).await;

            assert_eq!(first, ids(["edited"]), "{through}");
            assert_eq!(second, BTreeSet::new(), "{through}");
        }
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use ractor_housekeeper::Job;
    use ractor_housekeeper::testing::assert_conforms;

    use super::super::sqlite::host;
    use super::*;

    const THREADS: &str = "
        create table threads (id text primary key, begun integer not null);
        create index threads_begun on threads (begun);
        create table posts (id integer primary key, thread_id text references threads on delete cascade, kind text default 'post', sent integer not null);
        create index posts_of_thread on posts (thread_id, sent);
        insert into threads values ('old', unixepoch('2026-01-10 10:00')), ('live', unixepoch('2026-01-10 10:00')), ('new', unixepoch('2026-01-10 11:30'));
        insert into posts (thread_id, sent) values ('old', unixepoch('2026-01-10 10:30')), ('live', unixepoch('2026-01-10 11:20'));
        insert into posts (thread_id, kind, sent) values ('old', 'edit', unixepoch('2026-01-10 11:59'));";

    #[tokio::test]
    async fn a_row_lives_as_long_as_its_newest_activity() {
        let host = host(THREADS).await;
        let job = host.store.rule(threads()).expect("a job");
        job.check().await.expect("is fine");

        let handled = assert_conforms(&job, 1.try_into().expect("is not zero")).await;
        let forecast = job.forecast(&[]).await.expect("a forecast");

        assert_eq!(handled.expect("conforms"), ["old"]);
        let next = forecast.next_due.expect("one is next");
        assert_eq!(next, Duration::from_secs(20 * 60 + 1));
    }

    #[tokio::test]
    async fn the_check_has_the_trigger_that_notes_activity() {
        let host = host(THREADS).await;
        host.run("alter table threads add noted integer");
        let findings = host.store.check_rule(&noted_threads()).await;
        let refused = findings.expect("a check").refused;
        assert_eq!(refused.len(), 1, "{refused:?}");
        let trigger = refused[0].statement.as_deref().expect("a trigger");

        host.run(trigger);

        host.run(
            "insert into posts (thread_id, sent) values ('old', unixepoch('2026-01-10 11:50')), ('new', unixepoch('2026-01-10 11:30:30'));
            insert into posts (thread_id, kind, sent) values ('live', 'edit', unixepoch('2026-01-10 11:59'))",
        );
        assert!(host.holds(
            "select min(noted is case id when 'old' then unixepoch('2026-01-10 11:50') end) from threads"
        ));
        let findings = host.store.check_rule(&noted_threads()).await;
        assert_eq!(findings.expect("a check").refused, []);
        let job = host.store.rule(noted_threads()).expect("a job");
        let handled = assert_conforms(&job, 1.try_into().expect("is not zero")).await;
        assert_eq!(handled.expect("conforms"), [""; 0]);
    }
}
