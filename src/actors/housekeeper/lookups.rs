//! Runs by their id: in the queue, in progress, or ended.

use ractor::RpcReplyPort;

use super::dispatch::take_up;
use super::pending_read::ReadReply;
use super::publisher::Waiter;
use super::runs::log_request;
use super::shared::answer;
use super::state::State;
use crate::actors::reader::ReadRequest;
use crate::job::{JobName, Scope};
use crate::model::{Report, RequestError, Requester, RunId, RunStatus, Trigger};

type Reply = RpcReplyPort<Result<RunStatus, RequestError>>;

impl State {
    /// Requests a run and returns its id.
    pub(super) async fn enqueue(
        &mut self,
        name: &JobName,
        scope: Scope,
        by: Option<Requester>,
    ) -> Result<RunId, RequestError> {
        if self.shutdown.is_some() {
            return Err(RequestError::ShuttingDown);
        }
        let job = self.jobs.enabled(name)?;
        job.check_scope(&scope)?;
        log_request(name, &scope, by.as_ref());
        let waiting = job.queue.len();
        let run = job.enqueue(scope, Trigger::Manual, None, by);
        let run = run.ok_or_else(|| RequestError::TooManyScopes {
            job: name.clone(),
            waiting,
        })?;
        let escalation = take_up(job, &self.shared, &self.timer, &mut self.publisher).await;
        self.escalate_if(escalation).await;
        Ok(run)
    }

    /// Answers with a run as it is, or, if `wait` is set, once it has ended.
    pub(super) async fn run(&mut self, run: RunId, wait: bool, reply: Reply) {
        for job in self.jobs.iter_mut() {
            let (name, in_progress) = (job.name.clone(), usize::from(job.active.is_some()));
            if let Some((before, queued)) = job.queue.find(run) {
                // Other runs may leave the queue without a report.
                if wait && queued.trigger == Trigger::Manual {
                    return queued.waiters.push(Waiter::Run(reply));
                }
                let status = RunStatus::Queued {
                    run,
                    job: name,
                    scope: queued.scope.clone(),
                    trigger: queued.trigger,
                    requested_by: queued.requested_by.clone(),
                    ahead: before + in_progress,
                };
                return answer(reply, Ok(status));
            }
            if let Some(active) = job.active.as_mut().filter(|active| active.id() == run) {
                let requested = active.account.report.trigger == Trigger::Manual;
                if wait && (active.began || requested) {
                    return active.waiters.push(Waiter::Run(reply));
                }
                let current = active.status();
                return answer(reply, Ok(RunStatus::Running { job: name, current }));
            }
        }
        if let Some(report) = self.ended(run) {
            return answer(reply, Ok(report.clone().into()));
        }
        let Some(store) = self.shared.history.clone() else {
            return answer(reply, Err(RequestError::UnknownRun { run }));
        };
        let request = ReadRequest::Run { run, store };
        let timeout = self.shared.config.job.read_timeout;
        let lane = JobName::new("runs");
        self.queue_read(&lane, Ok((request, timeout)), ReadReply::Run(reply))
            .await;
    }

    /// Returns the report of a run that ended, if it is still in memory.
    fn ended(&self, run: RunId) -> Option<&Report> {
        self.publisher.ended(run).or_else(|| {
            let mut records = self.jobs.iter().flat_map(|job| &job.records.recent);
            let record = records.find(|record| record.report.run == run)?;
            Some(&record.report)
        })
    }
}
