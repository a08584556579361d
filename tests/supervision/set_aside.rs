//! Rows that could not be handled are known also when the worker dies before it reports.

use async_trait::async_trait;
use chrono::DateTime;
use ractor::call;
use ractor_housekeeper::testing::{Fault, FaultyJob, Step};
use ractor_housekeeper::{
    Batch, Cursor, HousekeeperArguments, HousekeeperMsg, Job, JobError, JobName, News, Outcome,
    Outlook, Page, Pass, PreviewRows, Scope, SetAside, Subscriber, Window, start,
};

use crate::support::Setup;

#[tokio::test(start_paused = true)]
async fn a_crashed_run_names_the_rows_that_its_batches_set_aside() {
    let (job, faults) = FaultyJob::new(Stuck);
    let arguments = HousekeeperArguments::new(vec![]).with_job(job);
    let arguments = arguments.with_config(Setup::new().config);
    let housekeeper = start(None, arguments).await.expect("it starts").housekeeper;
    let (subscriber, mut events) = Subscriber::channel();
    housekeeper
        .cast(HousekeeperMsg::Subscribe(subscriber))
        .expect("it runs");
    faults.once(Step::Batch, 3, Fault::Panic);

    let report = call!(
        housekeeper,
        HousekeeperMsg::RunNow,
        Stuck.name(),
        Scope::All
    )
    .expect("it runs")
    .expect("is not refused");

    assert!(
        matches!(
            report.outcome,
            Outcome::Crashed {
                rows_at_least: 0,
                ..
            }
        ),
        "{report}"
    );
    assert_eq!((report.set_aside_count, report.batches), (2, 2));
    assert_eq!(report.set_aside, [refused(1), refused(2)]);
    while let Ok(event) = events.try_recv() {
        // Nothing was committed.
        assert!(!matches!(&*event.news, News::BatchCommitted { .. }));
    }
}

/// A job of the host's that never gets a row done.
struct Stuck;

fn refused(row: i64) -> SetAside {
    SetAside {
        id: row.to_string(),
        error: "somebody needs it".to_owned(),
    }
}

#[async_trait]
impl Job for Stuck {
    fn name(&self) -> JobName {
        JobName::new("stuck")
    }

    async fn open(&self) -> Result<Window, JobError> {
        Ok(Window {
            now: DateTime::UNIX_EPOCH,
            cutoff: DateTime::UNIX_EPOCH,
        })
    }

    async fn batch(&self, pass: &Pass) -> Result<Batch, JobError> {
        let row = pass
            .after
            .as_ref()
            .map_or(1, |last| last.since.timestamp() + 1);
        let since = DateTime::from_timestamp(row, 0);
        Ok(Batch {
            set_aside: vec![refused(row)],
            reached: since.map(|since| Cursor {
                since,
                id: String::new(),
            }),
            ..Batch::default()
        })
    }

    async fn preview(&self, _: &Scope, _: &Page) -> Result<PreviewRows, JobError> {
        Ok(PreviewRows::none(DateTime::UNIX_EPOCH))
    }

    async fn outlook(&self, _: &[String]) -> Result<Outlook, JobError> {
        Ok(Outlook::default())
    }
}
