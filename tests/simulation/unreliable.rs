//! Jobs and a history over a database that fails: before a step has touched a row, or after it has.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ractor::ActorCell;
use ractor_housekeeper::job::{Batch, JobError, Page, PreviewRows};
use ractor_housekeeper::model::{RunHistory, RunRecord, StoreError};
use ractor_housekeeper::testing::{Answer, Call, FaultyJob, JobHook, MemoryStore, Step};
use ractor_housekeeper::{Job, JobName, Scope};
use tokio::time::sleep;

use crate::world::{World, is_expirer};

/// The history of one replica, with faults in every step.
pub(crate) struct UnreliableHistory {
    pub(crate) inner: MemoryStore,
    pub(crate) fault_source: FaultSource,
}

/// The link of a step to its replica.
#[derive(Clone)]
pub(crate) struct FaultSource {
    pub(crate) world: World,
    pub(crate) replica: usize,
    /// The housekeeper, once it runs.
    pub(crate) housekeeper: Arc<std::sync::OnceLock<ActorCell>>,
}

#[derive(Clone, Copy)]
enum Fault {
    Error,
    Slow(Duration),
    Hang,
    Panic,
    KillChildren,
    KillHousekeeper,
}

impl FaultSource {
    /// A place in a step where a fault may strike.
    pub(crate) async fn pass(&self, place: &'static str) -> Result<(), &'static str> {
        let fault = self.draw(place);
        match fault {
            None => Ok(()),
            Some(Fault::Error) => Err(ERROR),
            Some(Fault::Slow(wait)) => {
                sleep(wait).await;
                Ok(())
            }
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Panic) => panic!("{PANIC}"),
            Some(Fault::KillChildren) => {
                let mut children = self
                    .housekeeper
                    .get()
                    .map(ActorCell::get_children)
                    .unwrap_or_default();
                children.sort_by_key(ActorCell::get_id);
                for child in children {
                    child.kill();
                }
                std::future::pending().await
            }
            Some(Fault::KillHousekeeper) => {
                if let Some(housekeeper) = self.housekeeper.get() {
                    self.world.lock().killed.insert(self.replica);
                    housekeeper.kill();
                }
                std::future::pending().await
            }
        }
    }

    fn draw(&self, place: &'static str) -> Option<Fault> {
        let mut world = self.world.lock();
        let trouble = world.trouble;
        if trouble == 0 || !world.chance(trouble) {
            return None;
        }
        let (fault, kind) = match world.rng.u8(0..100) {
            0..40 => (Fault::Error, "error"),
            40..65 => {
                let wait = Duration::from_millis(world.rng.u64(1..3_000));
                (Fault::Slow(wait), "slow statement")
            }
            65..80 => (Fault::Hang, "timeout"),
            80..92 if place == "before check" => (Fault::Panic, "failed restart"),
            80..92 => (Fault::Panic, "panic"),
            92..99 => (Fault::KillChildren, "kill of all children in a step"),
            _ => (Fault::KillHousekeeper, "kill of the housekeeper in a step"),
        };
        world.totals.fault(kind);
        let replica = self.replica;
        world.note(&(replica, place, kind));
        Some(fault)
    }
}

/// The faults of one job, and the checks of each of its steps.
pub(crate) struct UnreliableJob {
    is_expirer: bool,
    fault_source: FaultSource,
}

impl UnreliableJob {
    pub(crate) fn around(job: impl Job, fault_source: &FaultSource) -> Arc<dyn Job> {
        let hook = Self {
            is_expirer: is_expirer(&job.name()),
            fault_source: fault_source.clone(),
        };
        Arc::new(FaultyJob::with_hook(Arc::new(job), hook))
    }

    /// A batch names and counts just the rows that it changed.
    fn check_batch(&self, batch: &Batch) {
        let mut world = self.fault_source.world.lock();
        let change = world.audit(self.is_expirer);
        let mut changed: Vec<&str> = change.rows.iter().map(|(id, ..)| id.as_str()).collect();
        if self.is_expirer {
            let keys: Vec<String> = change.rows.iter().map(|(id, ..)| id.clone()).collect();
            world.hand_on(&keys);
        }
        let mut named: Vec<&str> = batch.ids.iter().map(String::as_str).collect();
        changed.sort_unstable();
        named.sort_unstable();
        if changed != named || change.counts != batch.counts.total() {
            let counts = &batch.counts;
            world.break_promise(format!(
                "changed {changed:?}, named {named:?}, counted {counts}"
            ));
        }
        world.totals.outcome("rows handled", batch.ids.len() as u64);
    }

    /// A first page shows just the rows that a run would handle now.
    fn compare(&self, scope: &Scope, page: &Page, preview: &PreviewRows) {
        let mut world = self.fault_source.world.lock();
        let user = scope.user_id().ok().flatten();
        let (bookings, sessions) = world.guests.due_since(world.now(), user, world.ages);
        let due = if self.is_expirer { bookings } else { sessions };
        let mut shown: Vec<&str> = preview.rows.iter().map(|row| row.id.as_str()).collect();
        shown.sort_unstable();
        let all_shown = due.len() <= page.size.get() as usize;
        if page.after.is_none() && all_shown && shown != due {
            let broken = format!("the preview shows {shown:?}, due are {due:?}");
            world.break_promise(broken);
        }
    }
}

#[async_trait]
impl JobHook for UnreliableJob {
    async fn before(&self, call: &Call<'_>) -> Result<(), JobError> {
        let place = match call.step() {
            Step::Check => "before check",
            Step::BeginRun => "before open",
            Step::Batch => "before batch",
            Step::Preview => "before preview",
            Step::Forecast => "before forecast",
        };
        Ok(self.fault_source.pass(place).await?)
    }

    async fn after(&self, call: &Call<'_>, answer: &Answer<'_>) -> Result<(), JobError> {
        match (call, answer) {
            (Call::Preview(scope, page), Answer::Preview(preview)) => {
                self.compare(scope, page, preview);
                self.fault_source.pass("after preview").await?;
            }
            (_, Answer::Batch(batch)) => {
                self.check_batch(batch);
                // Committed, and the answer is lost on its way.
                self.fault_source.pass("after commit").await?;
                let replica = self.fault_source.replica;
                self.fault_source.world.lock().handled(replica, &batch.ids);
            }
            (_, Answer::BeginRun(_)) => self.fault_source.pass("after open").await?,
            (_, Answer::Forecast(_)) => self.fault_source.pass("after forecast").await?,
            _ => {}
        }
        Ok(())
    }
}

#[async_trait]
impl RunHistory for UnreliableHistory {
    async fn record(&self, runs: &[RunRecord], keep: u32) -> Result<(), StoreError> {
        self.fault_source
            .pass("before record")
            .await
            .map_err(as_store)?;
        self.inner.record(runs, keep).await?;
        self.fault_source
            .pass("after record")
            .await
            .map_err(as_store)
    }

    async fn runs(&self, job: &JobName, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
        self.fault_source
            .pass("before history")
            .await
            .map_err(as_store)?;
        self.inner.runs(job, limit).await
    }
}

pub(crate) fn as_store(error: &'static str) -> StoreError {
    StoreError::Query {
        what: "use the history",
        source: error.into(),
    }
}

/// The error of a database that fails here.
pub(crate) const ERROR: &str = "simulated error";

/// The panic message of a bug here.
pub(crate) const PANIC: &str = "simulated panic";
