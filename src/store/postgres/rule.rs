//! A declared rule as a job on Postgres.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;

use super::attempt::transact;
use super::commits_in_doubt::Doubts;
use super::flight::Purpose;
use super::{Durability, PostgresStore};
use crate::job::{
    Batch, BatchRequest, Cursor, Forecast, Job, JobError, JobName, OldSnapshot, Page, PreviewRows,
    ReplicaPause, RunBounds, Scope,
};
use crate::model::StoreError;
use crate::rule::{Finding, Findings, Rule, RuleError};
use crate::store::tx_error::{TxError, TxResult};

mod activity;
mod altered;
mod bulk;
mod careful;
mod catalogue;
mod check;
mod children;
mod codes;
mod contention;
mod cursor;
mod dialect;
mod failing_rows;
mod floor;
mod functions;
mod noting_trigger;
mod overloads;
mod parts;
mod plan;
mod probe;
mod queries;
mod row_by_row;
mod row_lock;
mod run_batch;
mod slow_rows;
mod stamp;
mod statements;
mod steps;
mod typed;
mod writing;

use contention::Contention;
use failing_rows::Search;
use floor::Floor;
use plan::{Plan, Values};
pub(in crate::store) use typed::text as text_of;

impl PostgresStore {
    /// Makes a job of a declared rule.
    ///
    /// The database is asked about the tables by [`Job::check`], before a worker's first run: a
    /// rule may be made while the database is away.
    ///
    /// # Errors
    ///
    /// The part of the rule that is wrong, whatever the database is.
    pub fn rule(&self, rule: Rule) -> Result<impl Job + use<>, RuleError> {
        rule.validate()?;
        let durable = match self.durability {
            Durability::HandedOn => rule.hands_on(),
            Durability::Always => true,
            Durability::Default => false,
        };
        Ok(RuleJob {
            store: self.clone(),
            doubts: Doubts::new(durable),
            rule,
            plan: Mutex::default(),
            under_way: AtomicBool::new(false),
            contention: Contention::default(),
            floor: Floor::default(),
            mark: Mutex::default(),
            suspects: AtomicBool::new(false),
            careful: AtomicBool::new(false),
            failing: Mutex::default(),
            next_search: Mutex::default(),
            advised: AtomicBool::new(false),
            found: Mutex::default(),
        })
    }

    /// Checks a rule against the database: what it cannot run with, and what would make it better,
    /// all at once.
    ///
    /// # Errors
    ///
    /// The rule is wrong by itself, or the database cannot be asked.
    pub async fn check_rule(&self, rule: &Rule) -> Result<Findings, JobError> {
        rule.validate()?;
        let what = "check a rule";
        let mut careful = None;
        loop {
            let mut refused = None;
            let found = transact!(self, Purpose::Look, what, |flight| {
                let now = self.instant(flight).await?;
                let found = check::findings(flight, rule, now, careful).await?;
                if !found.refused.is_empty() {
                    // Another connection may find the tables.
                    let text = lines(&found.refused);
                    refused = Some(found);
                    return Err(TxError::Schema(text));
                }
                found
            });
            match found {
                Err(StoreError::Schema(_)) if refused.is_some() => {
                    *self.search_path() = None;
                    return Ok(refused.unwrap_or_default());
                }
                Err(error) if failing_rows::may_fail(rule, &error) && careful.is_none() => {
                    careful = Some(self.timeouts.statement);
                }
                found => return Ok(found?),
            }
        }
    }
}

/// A rule, and what is known of its tables.
struct RuleJob {
    store: PostgresStore,
    doubts: Doubts,
    rule: Rule,
    plan: Mutex<Option<Compiled>>,
    /// Set while rows are written together. Still set at the next batch, the one before was dropped
    /// or ran out of time.
    under_way: AtomicBool,
    contention: Contention,
    floor: Floor,
    /// The tables as the last check found them.
    mark: Mutex<Option<String>>,
    /// Whether a key that is not declared is thought to keep rows: the database has refused some.
    ///
    /// Before that it is a guess: a trigger may clear the way, or another key cascade first.
    suspects: AtomicBool,
    /// Whether a row may fail the host's SQL, or a sum of an instant and a span be larger than its
    /// type holds: a statement has failed. Forgotten with each run, because no index serves what
    /// is written carefully, unless rows fail still.
    careful: AtomicBool,
    /// The rows that fail the host's SQL.
    failing: Mutex<Search>,
    /// When the whole table may be searched again, after a search that found no such row.
    next_search: Mutex<Option<Instant>>,
    /// Whether the log has what could be better.
    advised: AtomicBool,
    /// Findings of the last check.
    found: Mutex<Findings>,
}

/// A plan, and when it was compiled.
#[derive(Clone)]
struct Compiled {
    plan: Arc<Plan>,
    at: Instant,
}

impl RuleJob {
    /// The plan, compiled anew if it was forgotten, or if the keys that keep rows may be others.
    async fn plan(&self) -> Result<Arc<Plan>, StoreError> {
        let known = self.known().clone();
        let suspects = self.suspects.load(Ordering::Relaxed);
        match known {
            Some(known) if !suspects || known.at.elapsed() < TRUST => Ok(known.plan),
            _ => self.compile().await,
        }
    }

    async fn compile(&self) -> Result<Arc<Plan>, StoreError> {
        let what = "read the tables of a rule";
        let store = &self.store;
        let plan = Arc::new(transact!(store, Purpose::Look, what, |flight| {
            self.compile_in(flight).await?
        })?);
        *self.known() = Some(Compiled {
            plan: plan.clone(),
            at: Instant::now(),
        });
        Ok(plan)
    }

    async fn compile_in(&self, conn: &mut AsyncPgConnection) -> TxResult<Plan> {
        let catalogue = overloads::read(conn, &self.rule).await?;
        let suspects = self.suspects.load(Ordering::Relaxed);
        let careful = self.careful.load(Ordering::Relaxed);
        let mut plan = Plan::compile(&self.rule, &catalogue, suspects, careful)
            .map_err(|refused| TxError::Schema(lines(&refused)))?;
        if careful {
            plan.failing = self.failing_rows(conn, &plan).await?;
        }
        let now = self.store.instant(conn).await?;
        plan.is_served = check::has_index(conn, &plan, now).await?;
        Ok(plan)
    }

    /// Reads the clock, the [`mark`](altered::mark) of the tables, and the pause for all replicas.
    async fn look_again(
        &self,
    ) -> Result<(DateTime<Utc>, String, Option<ReplicaPause>), StoreError> {
        let (store, what) = (&self.store, "read the database's clock");
        let name = self.name();
        let looked = transact!(store, Purpose::Read, what, |flight| {
            let mark = altered::mark(flight, &self.rule).await?;
            let (now, pause) = store.opening(flight, &name).await?;
            (now, mark, pause)
        });
        store.note_pauses(&looked);
        looked
    }

    fn mark(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<Compiled>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cutoff(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let after = self.rule.due.as_ref().and_then(|due| due.after);
        crate::time::before(now, after.unwrap_or_default())
    }
}

/// Reads rows of a rule. The tables may have changed since the plan was made, so what fails is read
/// once more under a new plan.
macro_rules! look {
    ($job:expr, $what:expr, |$flight:ident, $plan:ident, $now:ident| $work:expr) => {{
        let (store, mut again) = (&$job.store, false);
        loop {
            let plan = $job.plan().await?;
            let $plan = &*plan;
            let found = transact!(store, plan.to_read(), $what, |$flight| {
                let $now = store.instant($flight).await?;
                $work
            });
            match found {
                Err(error @ StoreError::Query { .. }) if !again => {
                    // A row may fail it, or a sum may have been too large.
                    if failing_rows::may_fail(&$job.rule, &error) {
                        $job.set_careful(true, Search::All);
                    }
                    *$job.known() = None;
                }
                found => break found,
            }
            again = true;
        }
    }};
}

#[async_trait]
impl Job for RuleJob {
    fn name(&self) -> JobName {
        JobName::from(self.rule.name.clone())
    }

    fn is_irreversible(&self) -> bool {
        self.rule.is_irreversible()
    }

    fn prepare_run(&self, from_start: bool) {
        self.floor.begin(from_start);
    }

    fn check_scope(&self, scope: &Scope) -> Result<(), String> {
        match scope {
            Scope::User(_) if self.rule.scope.is_none() => Err(format!(
                "rule `{}` has no `scope`, so a run of one user's rows is not possible",
                self.rule.name
            )),
            _ => Ok(()),
        }
    }

    async fn check(&self) -> Result<(), JobError> {
        self.store.check_pooler().await?;
        let (_, mark, _) = self.look_again().await?;
        let findings = self.store.check_rule(&self.rule).await?;
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = findings.clone();
        if !findings.refused.is_empty() {
            return Err(StoreError::Schema(lines(&findings.refused)).into());
        }
        if !self.advised.swap(true, Ordering::Relaxed) {
            for finding in &findings.advice {
                tracing::warn!(job.name = self.rule.name, "{finding}");
            }
        }
        self.compile().await?;
        *self.mark() = Some(mark);
        self.doubts.see_server(&self.store).await;
        Ok(())
    }

    fn hands_on(&self) -> bool {
        self.rule.hands_on_to_outbox()
    }

    fn findings(&self) -> Findings {
        let found = self.found.lock();
        found.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        self.judge_again();
        let (now, mark, pause) = self.look_again().await?;
        let known = self.mark().get_or_insert_with(|| mark.clone()).clone();
        if known != mark {
            tracing::info!(
                job.name = self.rule.name,
                "its tables were altered: checks them again"
            );
            *self.known() = None;
            self.check().await?;
        }
        let cutoff = self.cutoff(now);
        self.floor.follow_clock(cutoff);
        Ok(RunBounds::new(now, cutoff).with_pause(pause))
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        self.doubts.resolve(&self.store).await;
        if self.doubts.is_answered() {
            // At once, because the batch to come may be in doubt as well.
            let again = again_at(request.after.as_ref());
            return Ok(self.doubts.join(Batch::new(Vec::new(), Some(again))));
        }
        let last = self.doubts.last();
        let mut done = RuleJob::batch(self, request).await;
        if self.grows_careful(&done) {
            done = RuleJob::batch(self, request).await;
        }
        let batch = match done {
            Err(error) => self.confirm(error, last).await?,
            Ok(batch) => batch,
        };
        Ok(self.doubts.join(batch))
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        Ok(look!(self, "list due rows", |flight, plan, now| {
            queries::preview(flight, plan, (now, self.cutoff(now)), scope, page).await?
        })?)
    }

    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        let floor = self.floor.get();
        let (forecast, floor, cutoff) = look!(self, "look ahead", |flight, plan, now| {
            let values = Values {
                rejected,
                floor: floor.as_deref(),
                ..Values::at(now, self.cutoff(now))
            };
            let (forecast, floor) = queries::forecast(flight, plan, &values).await?;
            (forecast, floor, values.cutoff)
        })?;
        self.floor.set(floor, cutoff);
        Ok(forecast)
    }

    async fn oldest_snapshot(&self) -> Option<OldSnapshot> {
        self.store.oldest_snapshot().await
    }
}

/// The place where a run is, as another cursor: what a run is given back must not be where it was.
fn again_at(after: Option<&Cursor>) -> Cursor {
    match after {
        Some(cursor) => Cursor {
            id: format!("{} ", cursor.id),
            ..cursor.clone()
        },
        None => Cursor {
            since: DateTime::<Utc>::MIN_UTC,
            id: String::new(),
        },
    }
}

fn lines(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

/// How long keys that were read are believed, once the database has refused a batch, and that no
/// row fails, once a search has found none.
const TRUST: Duration = Duration::from_secs(60);
