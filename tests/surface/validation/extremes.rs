//! The host's job that answers with the ends of every range.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use ractor_housekeeper::job::{
    Batch, BatchRequest, BoundedCount, Cursor, Forecast, JobError, Page, PreviewRows, RunBounds,
};
use ractor_housekeeper::testing::ManualClock;
use ractor_housekeeper::{HousekeeperArguments, HousekeeperMsg, Job, JobName, Scope, start};
use tokio::time::sleep;

use crate::validation::drive::ask;
use crate::validation::values::{instant, text, unsaved};

/// Its answer to every call.
#[derive(Debug, Clone)]
struct Extreme {
    bounds: RunBounds,
    counts: [u64; 2],
    id: String,
    next_cursor: Option<DateTime<Utc>>,
    forecast: Forecast,
}

#[async_trait]
impl Job for Extreme {
    fn name(&self) -> JobName {
        NAME
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        Ok(self.bounds.clone())
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        let next_cursor = self.next_cursor.filter(|_| request.after.is_none());
        let next_cursor = next_cursor.map(|since| Cursor::new(since, self.id.clone()));
        let batch = Batch::new(vec![self.id.clone()], next_cursor);
        let [some, others] = self.counts;
        Ok(batch.with_count("some", some).with_count("others", others))
    }

    async fn preview(&self, _: &Scope, _: &Page) -> Result<PreviewRows, JobError> {
        Ok(PreviewRows::none(self.bounds.cutoff))
    }

    async fn forecast(&self, _: &[String]) -> Result<Forecast, JobError> {
        Ok(self.forecast)
    }
}

proptest! {
    #![proptest_config(unsaved(256))]

    #[test]
    fn extreme_answers_of_a_job_kill_no_actor(job in extreme(), now in instant()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
        let status = runtime.block_on(async {
            let arguments = HousekeeperArguments::new(Vec::new()).with_job(job).with_clock(ManualClock::new(now));
            let housekeeper = start(None, arguments).await.expect("the settings are right").housekeeper;
            for _ in 0..2 {
                ask(&housekeeper, |reply| HousekeeperMsg::RunNow(NAME, Scope::All, reply)).await;
                ask(&housekeeper, |reply| HousekeeperMsg::Preview(NAME, Scope::All, Page::default(), reply)).await;
                ask(&housekeeper, HousekeeperMsg::Status).await;
                sleep(Duration::from_secs(2)).await;
            }
            ask(&housekeeper, HousekeeperMsg::Status).await.expect("it lives")
        });

        prop_assert_eq!((status.jobs[&NAME].restarts, status.timer_restarts), (0, 0), "{}", status);
        prop_assert!(status.jobs[&NAME].last.is_some(), "{}", status);
        let json = serde_json::to_string(&status).expect("is plain data");
        prop_assert_eq!(serde_json::from_str(&json).ok(), Some(status));
    }
}

prop_compose! {
    fn extreme()(
        now in instant(),
        cutoff in instant(),
        counts in prop::array::uniform2(prop_oneof![Just(u64::MAX), 0..9_u64]),
        id in text(),
        next_cursor in prop::option::of(instant()),
        count in prop_oneof![Just(u64::MAX), 0..9_u64],
        capped: bool,
        oldest_overdue in prop::option::of(wait()),
        times in prop::array::uniform2(prop::option::of(wait())),
    ) -> Extreme {
        let [next_due, max_age] = times;
        let due = BoundedCount { count, capped };
        let forecast = Forecast::default().with_due(due, oldest_overdue).with_next_due(next_due).with_max_age(max_age);
        Extreme { bounds: RunBounds::new(now, cutoff), counts, id, next_cursor, forecast }
    }
}

fn wait() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        any::<Duration>(),
        (0..9_u64).prop_map(Duration::from_secs)
    ]
}

const NAME: JobName = JobName::new("extreme");
