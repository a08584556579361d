//! Reports of a child that crashes are handled first, whatever else is in the mailbox.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use ractor::{ActorCell, ActorRef, call_t};
use ractor_housekeeper::actors::ignore_reply;
use ractor_housekeeper::model::{Event, RunHistory, RunRecord, StoreError};
use ractor_housekeeper::testing::MemoryBooking;
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{HousekeeperMsg, JobName, Outcome, Report, Scope};
use uuid::Uuid;

use crate::support::host::{Host, Setup, children};

const ROUNDS: u64 = 1_000;

/// Statuses that wait in the mailbox when the report and the death come.
const BUSY: usize = 20;

#[tokio::test(start_paused = true)]
async fn a_worker_that_exits_behind_its_report_has_not_crashed() {
    for death in [ActorCell::kill, |worker: &ActorCell| worker.stop(None)] {
        for mailbox in [0, BUSY] {
            let (mut host, history) = start(death, mailbox).await;

            for round in 0..ROUNDS {
                add_overdue(&host, round);
                let report = host.run_now(Scope::All).await.expect("is not refused");

                assert_eq!(report.outcome, Outcome::Completed, "round {round}");
                assert_eq!(report.counts.total(), 1, "round {round}");
                assert_eq!(reports_told(&mut host), [report], "round {round}");
            }

            assert_eq!(history.deaths(), ROUNDS);
            assert_eq!(host.status().await.restarts, ROUNDS);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_report_and_an_exit_on_several_threads_arrive_in_order() {
    let (mut host, history) = start(ActorCell::kill, 0).await;
    let housekeeper = host.housekeeper.clone();
    // With a limit: a question that crosses a kill may stay in the mailbox, unread and
    // ignore_reply, as long as we hold the reference.
    let crowd = tokio::spawn(async move {
        while call_t!(housekeeper, HousekeeperMsg::Status, 10_000).is_ok() {}
    });

    for round in 0..ROUNDS {
        add_overdue(&host, round);
        let report = host.run_now(Scope::All).await.expect("is not refused");

        assert_eq!(report.outcome, Outcome::Completed, "round {round}");
        assert_eq!(reports_told(&mut host), [report], "round {round}");
    }

    assert_eq!(history.deaths(), ROUNDS);
    host.housekeeper.kill();
    crowd.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_exits_before_its_report_has_crashed() {
    let (host, history) = start(|_| panic!("before the report"), BUSY).await;

    for round in 0..ROUNDS {
        add_overdue(&host, round);
        let report = host.run_now(Scope::All).await.expect("is not refused");

        assert!(
            matches!(&report.outcome, Outcome::Crashed { reason, rows_at_least: 1 } if reason.contains("before the report")),
            "round {round}: {report}"
        );
        // The retry finds nothing, writes the unsaved records, and crashes again.
    }
    assert!(history.deaths() >= ROUNDS);
}

async fn start(end: fn(&ActorCell), mailbox: usize) -> (Host, WorkerKillingHistory) {
    let mut setup = Setup::new();
    setup.config.restart.max_restarts = u32::MAX;
    setup.config.restart.backoff.first = Duration::from_millis(1);
    setup.config.restart.backoff.max = Duration::from_millis(1);
    let history = WorkerKillingHistory {
        housekeeper: Arc::default(),
        mailbox,
        end,
        deaths: Arc::default(),
    };
    setup.arguments = setup.arguments.with_history(history.clone());
    let host = setup.start().await;
    let [worker, sibling, _] = children(&host.housekeeper);
    let known = (host.housekeeper.clone(), worker, sibling);
    assert!(history.housekeeper.set(known).is_ok());
    (host, history)
}

fn add_overdue(host: &Host, round: u64) {
    let made = host.clock.now() - TimeDelta::hours(1);
    let booking = MemoryBooking::pending(round.to_string(), Uuid::nil(), made);
    host.store.add_booking(booking);
}

/// The reports that subscribers received since the last call.
fn reports_told(host: &mut Host) -> Vec<Report> {
    let mut reported = Vec::new();
    while let Ok(event) = host.events.try_recv() {
        assert_eq!(event.missed, 0);
        if let Event::RunFinished(report) = &*event.event {
            reported.push(Report::clone(report));
        }
    }
    reported
}

/// A history that ends the worker that writes to it: the last it does before it reports.
#[derive(Clone)]
struct WorkerKillingHistory {
    housekeeper: Arc<OnceLock<(ActorRef<HousekeeperMsg>, ActorCell, ActorCell)>>,
    /// Statuses that it puts before the report.
    mailbox: usize,
    end: fn(&ActorCell),
    deaths: Arc<AtomicU64>,
}

impl WorkerKillingHistory {
    fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl RunHistory for WorkerKillingHistory {
    async fn record(&self, _: &[RunRecord], _: u32) -> Result<(), StoreError> {
        let (housekeeper, first, sibling) = self.housekeeper.get().expect("it is set");
        let children = housekeeper.get_children().into_iter();
        let worker = children
            .filter(|child| child.get_type_id() == first.get_type_id())
            .filter(|child| child.get_id() != sibling.get_id())
            .max_by_key(ActorCell::get_id)
            .expect("it writes");
        self.deaths.fetch_add(1, Ordering::SeqCst);
        for _ in 0..self.mailbox {
            let status = HousekeeperMsg::Status(ignore_reply());
            housekeeper.cast(status).expect("it runs");
        }
        (self.end)(&worker);
        Ok(())
    }

    async fn runs(&self, _: &JobName, _: u32) -> Result<Vec<RunRecord>, StoreError> {
        Ok(Vec::new())
    }
}
