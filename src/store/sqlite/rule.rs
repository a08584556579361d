//! A declared rule as a job on SQLite.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::SqliteConnection;

use super::row_id_buffer::Windows;
use super::{SqliteStore, pauses};
use crate::job::{
    Batch, BatchRequest, Cursor, Forecast, Job, JobError, JobName, Page, PreviewRows, RunBounds,
    Scope,
};
use crate::model::StoreError;
use crate::rule::{Finding, Findings, Rule, RuleError};
use crate::store::rule::texts;
use crate::store::tx_error::{TxError, TxResult};

mod act;
mod activity;
mod catalogue;
mod check;
mod dialect;
mod done;
mod failing_rows;
mod host_text;
mod keys;
mod noting_trigger;
mod one_by_one;
mod parts;
mod plan;
mod probe;
mod queries;
mod quoted;
mod refused;
mod stamp;
mod statements;
mod typed;
mod write;
mod writing;

pub(in crate::store) use typed::text as text_of;

use catalogue::Version;
use done::Done;
pub(super) use host_text::HostText;
use plan::{Plan, Values};
use probe::FailingRow;

impl SqliteStore {
    /// Makes a job of a declared rule.
    ///
    /// The file is asked about the tables by [`Job::check`], before a worker's first run.
    ///
    /// # Errors
    ///
    /// The part of the rule that is wrong, whatever the database is.
    pub fn rule(&self, rule: Rule) -> Result<impl Job + use<>, RuleError> {
        rule.validate()?;
        Ok(RuleJob {
            store: self.clone(),
            known: Arc::new(Known::new(rule)),
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
        let (known, now) = (Known::new(rule.clone()), self.instant());
        let findings = self.run("check a rule", move |conn| {
            known.carefully(conn, |conn| {
                let failing = known.failing();
                check::findings(
                    conn,
                    &known.rule,
                    now,
                    failing.as_deref().map(Vec::as_slice),
                )
            })
        });
        Ok(findings.await?)
    }
}

struct RuleJob {
    store: SqliteStore,
    known: Arc<Known>,
}

/// The state that a plan is compiled for: the schema, whether keys are suspected, and the rows that
/// fail.
type PlanKey = (Version, bool, Option<Arc<Vec<FailingRow>>>);

/// A rule, and what is known of its tables.
struct Known {
    rule: Rule,
    plan: Mutex<Option<(PlanKey, Arc<Plan>)>>,
    windows: Windows,
    /// Whether a key that is not declared is thought to keep rows: the database has refused some.
    ///
    /// Before that it is a guess: a trigger may clear the way, or another key cascade first.
    suspects: AtomicBool,
    /// The rows that fail the host's SQL, once a statement has failed. Each run judges them again.
    failing: Mutex<Option<Arc<Vec<FailingRow>>>>,
    /// Whether the log has what could be better.
    advised: AtomicBool,
    /// Findings of the last check.
    found: Mutex<Findings>,
    done: Done,
}

impl Known {
    fn new(rule: Rule) -> Self {
        Self {
            rule,
            plan: Mutex::default(),
            windows: Windows::default(),
            suspects: AtomicBool::new(false),
            failing: Mutex::default(),
            advised: AtomicBool::new(false),
            found: Mutex::default(),
            done: Done::default(),
        }
    }

    fn failing(&self) -> Option<Arc<Vec<FailingRow>>> {
        let failing = self.failing.lock();
        failing.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The plan, compiled anew once the schema has changed.
    fn plan(&self, conn: &mut SqliteConnection) -> TxResult<Arc<Plan>> {
        let version = catalogue::version(conn)?;
        // Keys that this connection does not mind keep nothing.
        let suspects = version.1 && self.suspects.load(Ordering::Relaxed);
        let failing = self.failing();
        let version = (version, suspects, failing.clone());
        let mut known = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, plan)) = known.as_ref().filter(|(of, _)| *of == version) {
            return Ok(plan.clone());
        }
        let catalogue = catalogue::read(conn, &self.rule)?;
        let failing = failing.as_deref().map(Vec::as_slice);
        let plan = Plan::compile(&self.rule, &catalogue, suspects, failing)
            .map_err(|refused| TxError::Schema(lines(&refused)))?;
        let plan = Arc::new(plan);
        *known = Some((version, plan.clone()));
        Ok(plan)
    }

    /// Notes that the database has refused rows. Returns whether keys are suspected for it.
    fn suspect_keys(&self) -> bool {
        self.suspects
            .store(self.rule.keeps_referenced, Ordering::Relaxed);
        self.rule.keeps_referenced
    }

    fn cutoff(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let after = self.rule.due.as_ref().and_then(|due| due.after);
        crate::time::before(now, after.unwrap_or_default())
    }
}

#[async_trait]
impl Job for RuleJob {
    fn name(&self) -> JobName {
        JobName::from(self.known.rule.name.clone())
    }

    fn is_irreversible(&self) -> bool {
        self.known.rule.is_irreversible()
    }

    fn check_scope(&self, scope: &Scope) -> Result<(), String> {
        match scope {
            Scope::User(_) if self.known.rule.scope.is_none() => Err(format!(
                "rule `{}` has no `scope`, so a run of one user's rows is not possible",
                self.known.rule.name
            )),
            _ => Ok(()),
        }
    }

    async fn check(&self) -> Result<(), JobError> {
        let findings = self.store.check_rule(&self.known.rule).await?;
        *self
            .known
            .found
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = findings.clone();
        if !findings.refused.is_empty() {
            return Err(StoreError::Schema(lines(&findings.refused)).into());
        }
        if !self.known.advised.swap(true, Ordering::Relaxed) {
            for finding in &findings.advice {
                tracing::warn!(job.name = self.known.rule.name, "{finding}");
            }
        }
        Ok(())
    }

    fn hands_on(&self) -> bool {
        self.known.rule.hands_on_to_outbox()
    }

    fn findings(&self) -> Findings {
        let found = self.known.found.lock();
        found.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        let (known, name) = (self.known.clone(), self.name());
        let read = self.store.run("read the pause of a job", move |conn| {
            known.judge_again(conn)?;
            pauses::read(conn, &name)
        });
        let pause = read.await?;
        let now = self.store.instant();
        Ok(RunBounds::new(now, self.known.cutoff(now)).with_pause(pause))
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        let (known, request) = (self.known.clone(), request.clone());
        let next_cursor = self.store.run("handle due rows", move |conn| {
            let batch = known.carefully(conn, |conn| write::batch(conn, &known, &request))?;
            Ok(known.done.note(batch))
        });
        let next_cursor = next_cursor.await?;
        Ok(self.known.done.take(next_cursor))
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        let (known, scope, page) = (self.known.clone(), scope.clone(), page.clone());
        let now = self.store.instant();
        let rows = self.store.run("list due rows", move |conn| {
            known.carefully(conn, |conn| {
                let plan = known.plan(conn)?;
                let after = place(page.after.as_ref(), &plan)?;
                let values = Values {
                    scope: user(&scope),
                    after: &after,
                    ..Values::at(now, known.cutoff(now))
                };
                queries::preview(conn, &plan, &values, &page)
            })
        });
        Ok(rows.await?)
    }

    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        let (known, rejected) = (self.known.clone(), rejected.to_vec());
        let now = self.store.instant();
        let forecast = self.store.run_last("look ahead", move |conn| {
            known.carefully(conn, |conn| {
                let plan = known.plan(conn)?;
                let values = Values {
                    rejected: &rejected,
                    ..Values::at(now, known.cutoff(now))
                };
                queries::forecast(conn, &plan, &values)
            })
        });
        Ok(forecast.await?)
    }
}

/// The values in a place: the instant and the key, as SQLite quotes them. Behind a zero byte, a
/// window counts its slices.
fn place(cursor: Option<&Cursor>, plan: &Plan) -> TxResult<Vec<String>> {
    texts(cursor, &[plan.keys + 1]).map_err(TxError::Schema)
}

fn lines(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

fn user(scope: &Scope) -> Option<&str> {
    match scope {
        Scope::All => None,
        Scope::User(user) => Some(user),
    }
}
