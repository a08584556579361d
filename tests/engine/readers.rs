//! Previews and histories, and what is answered in every state.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ractor_housekeeper::actors::AskError;
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::job::{
    Batch, BatchRequest, Forecast, JobError, Page, PreviewRows, RunBounds,
};
use ractor_housekeeper::model::{
    Event, HistorySource, RunHistory, RunRecord, StoreError, WorkerStatus,
};
use ractor_housekeeper::testing::{Fault, Gate, Step, next_event};
use ractor_housekeeper::{HousekeeperMsg, Job, JobName, RequestError, Scope, start};
use tokio::time::Instant;

use crate::helpers::degraded;
use crate::support::host::{Host, Setup, minutes, seconds};

#[tokio::test(start_paused = true)]
async fn a_panicking_preview_is_rejected_and_costs_no_worker() {
    let host = Setup::new().start().await;
    host.faults.once(Step::Preview, 1, Fault::Panic);

    let refused = host.preview().await;
    let answered = host.preview().await;

    let Err(RequestError::Failed { error, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(error.contains("a fault of Preview"), "{error}");
    assert!(answered.is_ok());
    assert_eq!(host.status().await.restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_preview_is_rejected_after_the_read_timeout() {
    let host = Setup::new().start().await;
    host.faults.once(Step::Preview, 1, Fault::Hang);

    let refused = host.preview().await;

    assert_eq!(
        refused.expect_err("is refused").to_string(),
        "could not preview booking-expirer within 10s"
    );
}

#[tokio::test(start_paused = true)]
async fn status_preview_and_history_are_answered_in_every_state() {
    type State = (&'static str, fn(&WorkerStatus) -> bool);
    let table: [State; 4] = [
        ("restarting", |worker| {
            matches!(worker, WorkerStatus::Restarting { .. })
        }),
        ("degraded", |worker| {
            matches!(worker, WorkerStatus::Degraded { .. })
        }),
        ("hung", |worker| matches!(worker, WorkerStatus::Running(_))),
        ("paused", |worker| matches!(worker, WorkerStatus::Idle)),
    ];

    for (name, is_state) in table {
        let mut host = if name == "degraded" {
            degraded().await
        } else {
            Setup::new().start().await
        };
        host.add_overdue(3);
        match name {
            "restarting" => {
                host.worker().kill();
                next_event(&mut host.events, |news| {
                    matches!(news, Event::WorkerRestarting { .. })
                })
                .await;
            }
            "hung" => {
                let gate = Gate::closed();
                host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
                drop(host.run_now(Scope::All));
                gate.reached().await;
            }
            "paused" => {
                let _ = host
                    .ask(|reply| HousekeeperMsg::Pause(BookingExpirer::NAME, reply))
                    .await;
            }
            _ => {}
        }
        let asked = Instant::now();

        let status = host.status().await;
        let preview = host.preview().await.expect("is not refused");
        let history = host
            .ask(|reply| HousekeeperMsg::History(BookingExpirer::NAME, 10, reply))
            .await
            .expect("is not refused");

        assert!(is_state(&status.worker), "{name}: {status:?}");
        assert_eq!(preview.due.count, 3, "{name}");
        assert!(
            matches!(history.source, HistorySource::Memory { .. }),
            "{name}"
        );
        assert_eq!(asked.elapsed(), Duration::ZERO, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_has_one_preview_in_progress_and_a_bounded_queue() {
    let host = Setup::new().start().await;
    let gate = Gate::closed();
    host.faults.always(Step::Preview, Fault::Hold(gate.clone()));

    let answers: Vec<_> = (0..=16).map(|_| host.preview()).collect();
    let refused = host.preview().await;
    tokio::time::sleep(seconds(1)).await;
    let reading = host.faults.calls(Step::Preview);
    gate.open();

    let job = BookingExpirer::NAME;
    assert_eq!(refused, Err(RequestError::Busy { job, waiting: 16 }));
    assert_eq!(reading, 1);
    for answer in answers {
        assert!(answer.await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_preview_delays_no_other_job_and_no_history() {
    let host = with_history(SlowHistory(Duration::ZERO)).await;
    host.faults.always(Step::Preview, Fault::Hang);
    let hanging: Vec<_> = (0..20).map(|_| host.preview()).collect();
    let asked = Instant::now();

    let preview = host.ask(|reply| {
        HousekeeperMsg::Preview(SessionCleaner::NAME, Scope::All, Page::default(), reply)
    });
    let preview = preview.await.expect("the sibling's preview");
    let histories = [BookingExpirer::NAME, SessionCleaner::NAME];
    for job in histories {
        let history = host
            .ask(|reply| HousekeeperMsg::History(job, 10, reply))
            .await;
        assert_eq!(history.expect("a history").source, HistorySource::Database);
    }

    assert_eq!(preview.job, SessionCleaner::NAME);
    assert_eq!(asked.elapsed(), Duration::ZERO);
    drop(hanging);
}

#[tokio::test(start_paused = true)]
async fn callers_that_hung_up_are_skipped() {
    let host = Setup::new().start().await;
    let gate = Gate::closed();
    host.faults
        .once(Step::Preview, 1, Fault::Hold(gate.clone()));
    let first = host.preview();
    gate.reached().await;

    // As many as may wait hang up, and make room for one that stays.
    drop((0..16).map(|_| host.preview()).collect::<Vec<_>>());
    let last = host.preview();
    gate.open();

    assert!(first.await.is_ok() && last.await.is_ok());
    assert_eq!(host.faults.calls(Step::Preview), 2);
}

#[tokio::test(start_paused = true)]
async fn every_read_is_answered_within_its_timeout() {
    let host = with_history(SlowHistory(minutes(60))).await;
    for faults in [&host.faults, &host.sibling_faults] {
        faults.always(Step::Preview, Fault::Hang);
    }
    let asked = Instant::now();
    let mut previews = Vec::new();
    let mut histories = Vec::new();

    for _ in 0..8 {
        for job in [BookingExpirer::NAME, SessionCleaner::NAME] {
            let (of, page) = (job.clone(), Page::default());
            previews.push(host.ask(|reply| HousekeeperMsg::Preview(of, Scope::All, page, reply)));
            histories.push(host.ask(|reply| HousekeeperMsg::History(job, 10, reply)));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    for preview in previews {
        let error = preview.await.expect_err("it hangs");
        assert!(matches!(error, RequestError::ReadTimeout { .. }), "{error}");
    }
    for history in histories {
        let HistorySource::Memory { reason } = history.await.expect("a history").source else {
            panic!("the database is silent");
        };
        let reasons = ["could not read the history", "has not answered for 1s"];
        assert!(
            reasons.iter().any(|known| reason.contains(known)),
            "{reason}"
        );
    }
    assert!(asked.elapsed() < seconds(12), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_silent_database_sends_later_histories_to_memory() {
    let host = with_history(SlowHistory(minutes(60))).await;
    host.add_overdue(1);
    host.run_now(Scope::All).await.expect("a report");
    let history = || host.ask(|reply| HousekeeperMsg::History(BookingExpirer::NAME, 10, reply));
    let first = history();
    tokio::time::sleep(seconds(3)).await;
    let asked = Instant::now();

    let second = history().await.expect("a history");

    assert_eq!(asked.elapsed(), Duration::ZERO);
    let reason = "the database has not answered for 3s".to_owned();
    assert_eq!(second.source, HistorySource::Memory { reason });
    assert_eq!(second.runs.len(), 1);
    assert_eq!(first.await.expect("a history").runs.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_preview_that_blocks_its_thread_holds_up_its_own_job_only() {
    let mut setup = Setup::new();
    setup.config.job.read_timeout = Duration::from_millis(200);
    let (unblock, block) = std::sync::mpsc::channel::<()>();
    let blocking = Arc::new(BlockingPreview(block.into()));
    setup.arguments.jobs.push(blocking);
    let arguments = setup.arguments.with_config(setup.config);
    let housekeeper = start(None, arguments).await.expect("it starts").housekeeper;
    let preview = async |job| housekeeper.preview(job, Scope::All, Page::default()).await;

    for _ in 0..2 {
        let blocked = preview(BlockingPreview::NAME).await;
        assert!(
            matches!(
                &blocked,
                Err(AskError::Request(RequestError::ReadTimeout { .. }))
            ),
            "{blocked:?}"
        );
    }
    for other in [BookingExpirer::NAME, SessionCleaner::NAME] {
        preview(other).await.expect("a preview");
    }
    unblock.send(()).expect("it waits");
}

async fn with_history(history: impl RunHistory) -> Host {
    let mut setup = Setup::new();
    setup.arguments = setup.arguments.with_history(history);
    setup.start().await
}

/// A history that answers each read after this long, and keeps nothing.
struct SlowHistory(Duration);

#[async_trait]
impl RunHistory for SlowHistory {
    async fn record(&self, _: &[RunRecord], _: u32) -> Result<(), StoreError> {
        Ok(())
    }

    async fn runs(&self, _: &JobName, _: u32) -> Result<Vec<RunRecord>, StoreError> {
        tokio::time::sleep(self.0).await;
        Ok(Vec::new())
    }
}

/// A job whose previews block their thread until the channel ends the wait.
struct BlockingPreview(Mutex<Receiver<()>>);

impl BlockingPreview {
    const NAME: JobName = JobName::new("blocking-preview");
}

#[async_trait]
impl Job for BlockingPreview {
    fn name(&self) -> JobName {
        Self::NAME
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        Ok(RunBounds::new(Utc::now(), DateTime::UNIX_EPOCH))
    }

    async fn batch(&self, _: &BatchRequest) -> Result<Batch, JobError> {
        Ok(Batch::default())
    }

    async fn preview(&self, _: &Scope, _: &Page) -> Result<PreviewRows, JobError> {
        // The timeout cannot end this step, and the runtime does not know that it blocks.
        self.0.lock().expect("no panic").recv()?;
        Ok(PreviewRows::none(DateTime::UNIX_EPOCH))
    }

    async fn forecast(&self, _: &[String]) -> Result<Forecast, JobError> {
        Ok(Forecast::default())
    }
}
