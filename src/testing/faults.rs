//! Planned faults in the steps of a job.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::gate::Gate;
use super::job_hook::{Call, JobHook, Step};
use crate::job::JobError;

/// The faults and the calls of a [`FaultyJob`](super::FaultyJob). Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<BTreeMap<Step, Plan>>>);

/// A fault of a step. It occurs before the step changes a row.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Fault {
    /// The step fails with this error.
    Fail(String),
    /// The step panics.
    Panic,
    /// The step never ends.
    Hang,
    /// The step waits until the gate opens, then runs.
    Hold(Gate),
}

#[derive(Debug, Default)]
struct Plan {
    calls: u64,
    /// By the number of the call.
    once: BTreeMap<u64, Fault>,
    always: Option<Fault>,
}

impl Faults {
    /// Sets the fault of one call, counted from now: 1 is the next.
    pub fn once(&self, step: Step, call: u64, fault: Fault) {
        let mut plans = self.plans();
        let plan = plans.entry(step).or_default();
        plan.once.insert(plan.calls + call, fault);
    }

    /// Sets the fault of every call that has none of its own, until [`Faults::clear`].
    pub fn always(&self, step: Step, fault: Fault) {
        self.plans().entry(step).or_default().always = Some(fault);
    }

    /// Removes all faults. A step that hangs continues to hang.
    pub fn clear(&self) {
        for plan in self.plans().values_mut() {
            plan.once.clear();
            plan.always = None;
        }
    }

    /// Returns the number of calls of a step, including those with a fault.
    #[must_use]
    pub fn calls(&self, step: Step) -> u64 {
        self.plans().get(&step).map_or(0, |plan| plan.calls)
    }

    fn plans(&self) -> MutexGuard<'_, BTreeMap<Step, Plan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl JobHook for Faults {
    async fn before(&self, call: &Call<'_>) -> Result<(), JobError> {
        let step = call.step();
        let fault = self.plans().entry(step).or_default().call();
        match fault {
            None => Ok(()),
            Some(Fault::Fail(error)) => Err(error.into()),
            Some(Fault::Panic) => panic!("a fault of {step:?}"),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Hold(gate)) => {
                gate.pass().await;
                Ok(())
            }
        }
    }
}

impl Plan {
    fn call(&mut self) -> Option<Fault> {
        self.calls += 1;
        let once = self.once.remove(&self.calls);
        once.or_else(|| self.always.clone())
    }
}
