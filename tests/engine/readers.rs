//! Previews and histories, and what is answered in every state.

use std::time::Duration;

use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::model::{Event, HistorySource, WorkerStatus};
use ractor_housekeeper::testing::{Fault, Gate, Step, next_event};
use ractor_housekeeper::{HousekeeperMsg, RequestError, Scope};
use tokio::time::Instant;

use crate::helpers::degraded;
use crate::support::host::{Setup, seconds};

#[tokio::test(start_paused = true)]
async fn a_panicking_preview_is_rejected_and_costs_no_worker() {
    let host = Setup::new().start().await;
    host.faults.once(Step::Preview, 1, Fault::Panic);

    let refused = host.preview().await;
    let answered = host.preview().await;

    let Err(RequestError::Failed { error, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(error.contains("Preview was told to panic"), "{error}");
    assert!(answered.is_ok());
    assert_eq!(host.status().await.restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_preview_is_rejected_after_the_step_timeout() {
    let host = Setup::new().start().await;
    host.faults.once(Step::Preview, 1, Fault::Hang);

    let refused = host.preview().await;

    assert_eq!(
        refused.expect_err("is refused").to_string(),
        "could not preview booking-expirer: could not read the preview within 30s"
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
async fn two_reads_run_at_a_time_and_a_bounded_number_wait() {
    let host = Setup::new().start().await;
    let gate = Gate::closed();
    host.faults.always(Step::Preview, Fault::Hold(gate.clone()));

    let answers: Vec<_> = (0..2 + 64).map(|_| host.preview()).collect();
    let refused = host.preview().await;
    tokio::time::sleep(seconds(1)).await;
    let reading = host.faults.calls(Step::Preview);
    gate.open();

    assert_eq!(refused, Err(RequestError::Busy { waiting: 64 }));
    assert_eq!(reading, 2);
    for answer in answers {
        assert!(answer.await.is_ok());
    }
}
