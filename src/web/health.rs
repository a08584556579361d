//! Paths for probes and monitors.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use super::json::Json;
use super::problem::Problem;
use super::site::Site;
use crate::job::JobName;
use crate::model::{Health, HousekeeperState};

#[derive(Serialize)]
pub(crate) struct Well {
    status: HousekeeperState,
}

/// Whether the housekeeper answers.
pub(crate) async fn live(State(site): State<Arc<Site>>) -> Result<Json<Well>, Problem> {
    let status = site.states().await?.state;
    Ok(Json(Well { status }))
}

/// Whether it takes runs. Says nothing of jobs: a host is not taken out of traffic because a row
/// could not be deleted.
pub(crate) async fn ready(State(site): State<Arc<Site>>) -> Result<Json<Well>, Problem> {
    let status = site.states().await?;
    if !status.is_running() {
        return Err(Problem::unavailable(
            "shutting_down",
            format!("the housekeeper is {}", status.state),
        ));
    }
    Ok(Json(Well {
        status: status.state,
    }))
}

/// Whether every job does its work. Says no reasons: probes come without a login, and a reason may
/// quote a row.
pub(crate) async fn jobs(
    State(site): State<Arc<Site>>,
) -> Result<Json<BTreeMap<JobName, Health>>, Problem> {
    let jobs = site.states().await?.jobs;
    let unwell: Vec<String> = jobs
        .values()
        .filter_map(|job| {
            let state = &job.health;
            (*state != Health::Healthy).then(|| format!("{} is {state}", job.job))
        })
        .collect();
    if !unwell.is_empty() {
        return Err(Problem::unavailable("unhealthy", unwell.join("; ")));
    }
    let health = jobs.into_iter().map(|(name, job)| (name, job.health));
    Ok(Json(health.collect()))
}
