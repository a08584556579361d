//! Pauses for all replicas, and the instances of a shared history.

use chrono::{DateTime, TimeDelta, Utc};
use ractor_housekeeper::job::{JobName, ReplicaPause};

use crate::TestResult;
use crate::rules::record;
use crate::world::{StoreUnderTest, now};

pub(crate) async fn a_pause_is_kept_once_and_ended_once(world: &impl StoreUnderTest) -> TestResult {
    let history = world.history();
    let [job, other] = [
        JobName::new("booking-expirer"),
        JobName::new("it's \"other\""),
    ];
    let pause = ReplicaPause::new(now(), Some("anna's\nson".to_owned()));
    let later = ReplicaPause::new(now() + TimeDelta::hours(1), None);

    assert_eq!(history.pause(&job).await?, None);
    assert!(history.set_pause(&job, Some(&pause)).await?);
    assert!(!history.set_pause(&job, Some(&later)).await?);
    assert!(history.set_pause(&other, Some(&later)).await?);

    assert_eq!(history.pause(&job).await?, Some(pause));
    assert_eq!(history.pause(&other).await?, Some(later));
    assert!(history.set_pause(&job, None).await?);
    assert!(!history.set_pause(&job, None).await?);
    assert_eq!(history.pause(&job).await?, None);
    Ok(())
}

pub(crate) async fn instances_are_listed_the_latest_first(
    world: &impl StoreUnderTest,
) -> TestResult {
    let history = world.history();
    assert_eq!(history.instances(now()).await?, []);

    for (number, instance) in [Some("a"), Some("b"), None, Some("a")]
        .into_iter()
        .enumerate()
    {
        let mut record = record(&format!("line {number}"), "expirer", 0, 1);
        record.report.instance = instance.map(str::to_owned);
        record.report.started_at = Utc::now();
        history.record(&[record], 10).await?;
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let known = history.instances(Utc::now() - TimeDelta::hours(1)).await?;
    let future = history.instances(Utc::now() + TimeDelta::hours(1)).await?;

    let known: Vec<_> = known
        .iter()
        .map(|one| (&*one.instance, one.lines))
        .collect();
    assert_eq!(known, [("a", 2), ("b", 1)]);
    assert_eq!(future, []);

    for instance in ["it's idle", "b", "it's idle"] {
        history.note_instance(instance).await?;
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    // Stores may have clocks of their own.
    let known = history.instances(DateTime::UNIX_EPOCH).await?;
    let future = history.instances(Utc::now() + TimeDelta::hours(1)).await?;

    let mut known: Vec<_> = known
        .iter()
        .map(|one| (&*one.instance, one.lines))
        .collect();
    known.sort_unstable();
    assert_eq!(known, [("a", 2), ("b", 1), ("it's idle", 0)]);
    assert_eq!(future, []);
    Ok(())
}
