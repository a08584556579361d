//! Paths for probes and monitors.

use ractor_housekeeper::model::Event;
use ractor_housekeeper::testing::{Fault, Gate, Step, next_event};
use ractor_housekeeper::web::Web;
use ractor_housekeeper::{HousekeeperMsg, Scope};

use crate::support::host::seconds;
use crate::web::visitor::{Visitor, host};

#[tokio::test(start_paused = true)]
async fn a_new_housekeeper_is_healthy() {
    let host = host().await;
    let visitor = Visitor::reader(&host);

    for path in ["/health/live", "/health/ready", "/health/jobs"] {
        assert_eq!(visitor.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_job_fails_the_health_check_but_not_readiness() {
    let host = host().await;
    host.faults.always(
        Step::BeginRun,
        Fault::Fail("the database is away".to_owned()),
    );
    host.run_now(Scope::All).await.expect("a report");
    let visitor = Visitor::reader(&host);

    let jobs = visitor.get("/health/jobs").await;

    assert_eq!(
        (jobs.status.as_u16(), jobs.problem().as_str()),
        (503, "unhealthy")
    );
    let detail = jobs.json()["detail"].as_str().map(str::to_owned);
    assert_eq!(detail.as_deref(), Some("booking-expirer is failing"));
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(visitor.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_housekeeper_in_shutdown_is_live_and_not_ready() {
    let mut host = host().await;
    host.add_overdue(1);
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let run = host.run_now(Scope::All);
    next_event(&mut host.events, |news| {
        matches!(news, Event::RunStarted { .. })
    })
    .await;
    let stopping = host.ask(|reply| HousekeeperMsg::Shutdown(seconds(60), reply));
    next_event(&mut host.events, |news| *news == Event::ShuttingDown).await;
    let visitor = Visitor::actor(&host);

    let live = visitor.get("/health/live").await;
    let ready = visitor.get("/health/ready").await;
    let run_now = visitor.post("/api/v1/jobs/booking-expirer/run").await;
    gate.open();
    stopping.await;

    assert_eq!(live.status, 200);
    assert_eq!(
        (ready.status.as_u16(), ready.problem().as_str()),
        (503, "shutting_down")
    );
    assert_eq!(
        (run_now.status.as_u16(), run_now.problem().as_str()),
        (503, "shutting_down")
    );
    run.await.expect("a report");
}

#[tokio::test(start_paused = true)]
async fn probes_may_have_these_paths_and_nothing_else() {
    let host = host().await;
    let visitor = Visitor(
        Web::new(host.housekeeper.clone())
            .with_actions()
            .with_hosts(["a.example"])
            .health(),
    );

    assert_eq!(visitor.get("/health/ready").await.status, 200);
    for path in ["/", "/api/v1/status", "/events"] {
        assert_eq!(visitor.get(path).await.problem(), "not_found", "{path}");
    }
    assert_eq!(visitor.post("/api/v1/run").await.problem(), "not_found");
}
