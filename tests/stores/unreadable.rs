//! Records of the history that this version cannot read hide no others, and a pause is one whatever
//! its instant is.

/// The cases over one database. `$open` makes a world, or `None`; `$since` are
/// instants of a pause.
macro_rules! unreadable {
    ($store:ident, $open:expr, $since:expr) => {
        mod $store {
            use ractor_housekeeper::JobName;
            use ractor_housekeeper::model::{HistoryCursor, HistoryPage, HistoryQuery, OutcomeKind, RunHistory};

            use super::{DAMAGED, JOB};
            use crate::TestResult;
            use crate::rules::record;
            use crate::world::user;

            /// The job stays paused.
            #[tokio::test]
            async fn a_pause_whose_instant_does_not_read_is_a_pause() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let job = crate::runs::built_in_job(world.store.clone(), "booking-expirer")?;
                for since in $since {
                    let pause = format!("delete from housekeeper_pauses; insert into housekeeper_pauses (job, since) values ('booking-expirer', '{since}')");
                    world.sql(&pause).await?;

                    let begun = job.begin_run().await.map_err(|error| error.chain())?;

                    let begun = format!("{begun:?}");
                    assert!(begun.contains("Paused"), "{since}: {begun}");
                }
                Ok(())
            }

            #[tokio::test]
            async fn an_unreadable_record_is_skipped_and_counted() -> TestResult {
                for (number, damage) in DAMAGED.iter().enumerate() {
                    let Some(world) = $open.await? else {
                        return Ok(());
                    };
                    for second in 0..5 {
                        let mut run = record(&format!("k{second}"), JOB, second, 1);
                        if second == 2 {
                            run.key = user(1).to_string();
                        }
                        world.store.record(&[run], 10).await?;
                    }
                    let damaged = user(1);
                    world
                        .sql(&format!(
                            "update housekeeper_runs set report = {damage} where key in ('k0', '{damaged}', 'k4')"
                        ))
                        .await?;
                    let job = JobName::new(JOB);

                    let page = world.store.page(&job, &HistoryQuery::newest(10)).await?;
                    let mut pages = Vec::new();
                    let mut after = None;
                    loop {
                        let query = HistoryQuery::newest(1).after(after.clone());
                        let page = world.store.page(&job, &query).await?;
                        pages.push((page.runs.len(), page.unreadable));
                        let Some(last) = page.runs.last() else { break };
                        after = Some(HistoryCursor::of(last));
                    }
                    let other = JobName::new("other");
                    world.store.record(&[record("o", &other.to_string(), 9, 1)], 10).await?;
                    let behind = HistoryQuery::newest(10).after(HistoryCursor::from("o".to_owned()));
                    let behind = world.store.page(&job, &behind).await?;
                    let newest = world.store.runs(&job, 2).await?;
                    let failed = HistoryQuery::newest(10).outcomes([OutcomeKind::Failed]);
                    let failed = world.store.page(&job, &failed).await?;
                    let known = world.store.run(damaged.to_string().parse()?).await;

                    let keys: Vec<&str> = page.runs.iter().map(|run| run.key.as_str()).collect();
                    assert_eq!((keys, page.unreadable), (vec!["k3", "k1"], 3), "{number}");
                    assert_eq!(pages, [(1, 1), (1, 1), (0, 1)], "{number}");
                    assert_eq!(newest.len(), 2, "{number}");
                    assert_eq!(behind, HistoryPage::default(), "a place of another job");
                    assert_eq!(failed.runs.len(), 2, "{number}");
                    let known = known.expect_err("it cannot be read");
                    let text = std::error::Error::source(&known).map(ToString::to_string);
                    let text = text.unwrap_or_default();
                    assert!(text.contains("another version wrote it"), "{number}: {text}");
                }
                Ok(())
            }

            #[tokio::test]
            async fn a_run_is_recorded_behind_the_last_number() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                world.store.record(&[record("k0", JOB, 0, 1)], 10).await?;
                world
                    .sql("update housekeeper_runs set number = 9223372036854775807")
                    .await?;

                for second in 1..3 {
                    let run = record(&format!("k{second}"), JOB, second, 1);
                    world.store.record(&[run], 2).await?;
                }

                let page = world.store.page(&JobName::new(JOB), &HistoryQuery::newest(10)).await?;
                let keys: Vec<&str> = page.runs.iter().map(|run| run.key.as_str()).collect();
                assert_eq!(keys, ["k2", "k1"]);
                Ok(())
            }

            #[tokio::test]
            async fn an_instance_that_cannot_be_read_hides_no_other() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let mut run = record("k0", JOB, 0, 1);
                run.report.instance = Some("b".to_owned());
                world.store.record(&[run], 10).await?;
                world.store.note_instance("a").await?;
                for seen_at in $since {
                    let seen = format!("insert into housekeeper_instances values ('{seen_at}', '{seen_at}')");
                    world.sql(&seen).await?;
                }

                let instances = world.store.instances(chrono::DateTime::UNIX_EPOCH).await?;

                let names = instances.iter().map(|one| one.instance.as_str());
                assert_eq!(names.collect::<std::collections::BTreeSet<_>>(), ["a", "b"].into());
                Ok(())
            }

            #[tokio::test]
            async fn a_page_behind_many_unreadable_records_is_full() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                for second in 0..150 {
                    let run = record(&format!("k{second:03}"), JOB, second, 1);
                    world.store.record(&[run], 1_000).await?;
                }
                world
                    .sql("update housekeeper_runs set report = 'null' where key >= 'k003'")
                    .await?;
                let job = JobName::new(JOB);

                let page = world.store.page(&job, &HistoryQuery::newest(2)).await?;

                let keys: Vec<&str> = page.runs.iter().map(|run| run.key.as_str()).collect();
                assert_eq!((keys, page.unreadable), (vec!["k002", "k001"], 147));
                Ok(())
            }

            /// Replicas of two versions write one history.
            #[tokio::test]
            async fn a_run_is_recorded_beside_an_unreadable_line() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                world.store.record(&[record("minute", JOB, 0, 1)], 10).await?;
                let newer = r#"replace(report, '"tick"', '"webhook_manual"')"#;
                world
                    .sql(&format!("update housekeeper_runs set report = {newer}"))
                    .await?;

                for bookings in 2..=4 {
                    let run = record("minute", JOB, 0, bookings);
                    // Its first write is not confirmed.
                    for _ in 0..2 {
                        world.store.record(std::slice::from_ref(&run), 10).await?;
                    }
                }

                let job = JobName::new(JOB);
                let page = world.store.page(&job, &HistoryQuery::newest(10)).await?;
                assert_eq!((page.runs.len(), page.unreadable), (1, 1));
                assert_eq!(page.runs[0].runs, 3);
                assert_eq!(page.runs[0].report.counts.of("bookings"), 2 + 3 + 4);
                let kept = r#"housekeeper_runs where report like '%"webhook_manual"%'"#;
                assert_eq!(world.count(kept).await?, 1);
                Ok(())
            }
        }
    };
}

#[cfg(feature = "sqlite")]
unreadable!(
    sqlite_unreadable,
    crate::sqlite::SqliteUnderTest::open(),
    ["2026-02-30T00:00:00.000000Z", "2026-01-10T25:00:00.000000Z"]
);
/// Text of SQLite is any bytes.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn texts_of_any_bytes_hide_no_run_no_pause_and_no_instance() -> crate::TestResult {
    use ractor_housekeeper::JobName;
    use ractor_housekeeper::model::{HistoryQuery, RunHistory};

    let Some(world) = crate::sqlite::SqliteUnderTest::open().await? else {
        return Ok(());
    };
    let job = JobName::new(JOB);
    for second in 0..4 {
        let mut run = crate::rules::record(&format!("k{second}"), JOB, second, 1);
        run.report.instance = Some("a".to_owned());
        world.store.record(&[run], 10).await?;
    }
    world
        .sql(
            "update housekeeper_runs set key = cast(x'6b80' as text), instance = cast(x'80' as text) where key = 'k1';
             insert into housekeeper_instances values (cast(x'81' as text), '2999-01-01T00:00:00.000000Z'), ('b', '2026-01-10T12:00:00.000000Z');
             insert into housekeeper_pauses values ('booking-expirer', '2026-01-10T12:00:00.000000Z', cast(x'80' as text))",
        )
        .await?;

    let page = world.store.page(&job, &HistoryQuery::newest(10)).await?;
    let pause = world.store.pause(&job).await?.ok_or("is paused")?;
    let instances = world.store.instances(chrono::DateTime::UNIX_EPOCH).await?;
    world
        .store
        .record(&[crate::rules::record("k4", JOB, 4, 1)], 2)
        .await?;
    let kept = world.store.page(&job, &HistoryQuery::newest(10)).await?;

    assert_eq!(page.runs.len() + usize::try_from(page.unreadable)?, 4);
    assert_eq!(pause.by.as_deref(), Some("\u{fffd}"));
    assert_eq!(instances.len(), 3, "{instances:?}");
    assert_eq!(kept.runs.len(), 2, "{kept:?}");
    Ok(())
}

#[cfg(feature = "postgres")]
unreadable!(
    postgres_unreadable,
    crate::postgres::PostgresUnderTest::open(),
    ["infinity", "-infinity", "294276-01-01", "4713-01-01 BC"]
);

const JOB: &str = "booking-expirer";

/// Reports as expressions of SQL over the one that was written.
const DAMAGED: &[&str] = &[
    // Of a newer version.
    r#"replace(report, '"tick"', '"webhook_manual"')"#,
    r#"replace(report, '"kind":"failed"', '"kind":"failed","kind2":1,"error":7,"was":"half_done"')"#,
    r#"replace(report, '"scope":"all"', '"scope":{"tenant":"a"}')"#,
    r#"replace(report, '"batches":1', '"batches":-1')"#,
    // Without a field.
    r#"replace(report, '"started_at"', '"began_at"')"#,
    // Damaged.
    "substr(report, 1, 60)",
    "''",
    "'null'",
    "'[]'",
    "'{'",
    "replace(report, '{', '[')",
];
