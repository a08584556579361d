//! Advice on rules whose entries no courier delivers, and on couriers without a rule.
//!
//! Neither is an error: another process may have the other half.

use super::couriers::Couriers;
use super::jobs::Jobs;
use crate::job::{Finding, JobName};

/// Logs and notes the advice for the status.
pub(super) fn advise(jobs: &mut Jobs, couriers: &mut Couriers) {
    let hands_on: Vec<JobName> = jobs
        .iter()
        .filter(|job| job.job.hands_on())
        .map(|job| job.name.clone())
        .collect();
    for slot in couriers.iter_mut() {
        if hands_on.contains(&slot.rule) {
            continue;
        }
        let text = if jobs.get(&slot.rule).is_ok() {
            "the job of this name hands nothing on to the outbox".to_owned()
        } else {
            format!("no rule of this process has this name: {OTHER_PROCESS}")
        };
        tracing::warn!(job.name = %slot.rule, "the courier of {}: {text}", slot.rule);
        slot.advise(text);
    }
    for job in jobs.iter_mut().filter(|job| job.enabled) {
        if hands_on.contains(&job.name) && couriers.get(&job.name).is_err() {
            let text = format!("no courier of this process delivers its entries: {OTHER_PROCESS}");
            let finding = Finding::new(job.name.as_str(), "hand_on outbox", text);
            tracing::warn!(job.name = %job.name, "{finding}");
            job.advice.push(finding);
        }
    }
}

const OTHER_PROCESS: &str = "right if another process has it, else add it or check the name";
