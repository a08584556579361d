//! Previews, histories and other reads: checked, queued, and answered.

use std::num::NonZeroU32;
use std::time::Duration;

use ractor::{ActorId, RpcReplyPort};

use super::pending_read::{PendingRead, ReadReply};
use super::shared::answer;
use super::state::State;
use crate::actors::message::{ParkedAct, ParkedChange, ReadResult};
use crate::actors::reader::{ReadRequest, from_memory};
use crate::fmt::quantity;
use crate::job::{JobName, Page, Preview, Scope};
use crate::model::{
    Event, History, HistoryQuery, InstanceRuns, Instances, ParkedEntries, ParkedPage, RequestError,
    Requester, WhichEntries,
};
use crate::time;

impl State {
    pub(super) async fn preview(
        &mut self,
        name: &JobName,
        scope: Scope,
        page: Page,
        reply: RpcReplyPort<Result<Preview, RequestError>>,
    ) {
        let request = self.preview_request(name, scope, page);
        self.queue_read(name, request, ReadReply::Preview(reply))
            .await;
    }

    fn preview_request(
        &mut self,
        name: &JobName,
        scope: Scope,
        page: Page,
    ) -> Result<(ReadRequest, Duration), RequestError> {
        check_size(page.size)?;
        let job = self.jobs.enabled(name)?;
        job.check_scope(&scope)?;
        let timeout = job.config.read_timeout;
        let job = job.job.clone();
        Ok((ReadRequest::Preview { job, scope, page }, timeout))
    }

    pub(super) async fn parked(
        &mut self,
        rule: &JobName,
        page: ParkedPage,
        reply: RpcReplyPort<Result<ParkedEntries, RequestError>>,
    ) {
        let request = check_size(page.size).and_then(|()| {
            let request = ReadRequest::Parked {
                rule: rule.clone(),
                page,
                outbox: self.couriers.get(rule)?.outbox.clone(),
            };
            Ok((request, PARKED_TIMEOUT))
        });
        self.queue_read(rule, request, ReadReply::Parked(reply))
            .await;
    }

    pub(super) async fn change_parked(
        &mut self,
        rule: &JobName,
        (which, act): (WhichEntries, ParkedAct),
        by: Option<Requester>,
        reply: RpcReplyPort<Result<u64, RequestError>>,
    ) {
        if self.shutdown.is_some() {
            return answer(reply, Err(RequestError::ShuttingDown));
        }
        let request = self.couriers.get(rule).map(|courier| {
            let request = ReadRequest::Change {
                change: ParkedChange {
                    rule: rule.clone(),
                    act,
                    by,
                },
                which,
                outbox: courier.outbox.clone(),
            };
            (request, CHANGE_TIMEOUT)
        });
        self.queue_read(rule, request, ReadReply::Changed(reply))
            .await;
    }

    /// Reports a change of parked entries, and wakes the courier.
    pub(super) fn parked_changed(
        &mut self,
        ParkedChange { rule, act, by }: &ParkedChange,
        changed: &Result<u64, RequestError>,
    ) {
        // Redelivers go part by part: one that failed may have made entries due.
        self.couriers.wake(rule);
        let by_whom = by.as_ref().map(|by| format!(" by {by}"));
        let by_whom = by_whom.unwrap_or_default();
        let what = act.what();
        let entries = match changed {
            Ok(entries) => *entries,
            Err(error) => {
                tracing::warn!(job.name = %rule, requested_by = by.as_ref().map(tracing::field::display), %error, "could not {what} of {rule}, or not all of them{by_whom}");
                return;
            }
        };
        let done = match act {
            ParkedAct::Redeliver => "made due again",
            ParkedAct::Discard => "discarded",
        };
        let count = quantity(entries, "parked entry", "parked entries");
        tracing::info!(job.name = %rule, requested_by = by.as_ref().map(tracing::field::display), entries, "{count} of {rule} {done}{by_whom}");
        if entries > 0 {
            let (rule, requested_by) = (rule.clone(), by.clone());
            self.publisher.emit(match act {
                ParkedAct::Redeliver => Event::EntriesRedelivered {
                    rule,
                    entries,
                    requested_by,
                },
                ParkedAct::Discard => Event::EntriesDiscarded {
                    rule,
                    entries,
                    requested_by,
                },
            });
        }
    }

    pub(super) async fn history(
        &mut self,
        name: &JobName,
        query: HistoryQuery,
        reply: RpcReplyPort<Result<History, RequestError>>,
    ) {
        let job = match self.jobs.get(name) {
            Ok(job) => job,
            Err(error) => return answer(reply, Err(error)),
        };
        let memory = job.records.recent.clone();
        let Some(store) = self.shared.history.clone() else {
            let reason = "no history store was given".to_owned();
            let history = from_memory(name.clone(), &query, memory, reason);
            return answer(reply, Ok(history));
        };
        let request = ReadRequest::History {
            job: name.clone(),
            query,
            store,
            memory,
            unsaved: job.records.unsaved.clone(),
        };
        let request = Ok((request, job.config.read_timeout));
        self.queue_read(name, request, ReadReply::History(reply))
            .await;
    }

    /// Queues a request with its timeout in the lane of this name, or rejects it.
    pub(super) async fn queue_read(
        &mut self,
        lane: &JobName,
        request: Result<(ReadRequest, Duration), RequestError>,
        reply: ReadReply,
    ) {
        match request {
            Ok((request, timeout)) => {
                let read = PendingRead::new(lane.clone(), request, reply, timeout, &self.shared);
                self.reads.push(read, &self.shared).await;
            }
            Err(error) => reply.reject(error),
        }
    }

    /// Lists the instances that ended a run within this time.
    pub(super) async fn instances(
        &mut self,
        within: Duration,
        reply: RpcReplyPort<Result<Instances, RequestError>>,
    ) {
        let this = self.shared.instance_name.clone();
        let since = time::before(self.shared.now().wall, within);
        let Some(store) = self.shared.history.clone() else {
            let lines = self.jobs.iter().flat_map(|job| &job.records.recent);
            let lines = lines.map(|line| (line.report.started_at, 1));
            let last = self.jobs.iter().filter_map(|job| job.last.as_ref());
            let runs = lines.chain(last.map(|report| (report.started_at, 0)));
            let recent = runs.filter(|(at, _)| *at >= since);
            let instances = InstanceRuns::of(recent.map(|(at, lines)| (this.clone(), at, lines)));
            let instances = Instances::new(this, since, instances);
            return answer(reply, Ok(instances));
        };
        let request = ReadRequest::Instances { this, since, store };
        let timeout = self.shared.config.job.read_timeout;
        let lane = JobName::new("instances");
        self.queue_read(&lane, Ok((request, timeout)), ReadReply::Instances(reply))
            .await;
    }

    /// Answers the caller of a read, and applies its result.
    pub(super) async fn read_ended(&mut self, reader: ActorId, result: ReadResult) {
        match &result {
            // Before the answer, because its caller may ask for the status next.
            ReadResult::Changed(change, changed) => self.parked_changed(change, changed),
            ReadResult::PauseWritten(change, Ok(changed)) => {
                self.replicas_switched(change.clone(), *changed).await;
            }
            ReadResult::Pause(job, read) => self.pause_read(job, read.clone()).await,
            _ => {}
        }
        self.reads.answer(reader, result);
        self.reads.start_next(&self.shared).await;
    }
}

fn check_size(size: NonZeroU32) -> Result<(), RequestError> {
    let (size, max) = (size.get(), Page::MAX_SIZE);
    if size > max {
        return Err(RequestError::Page { size, max });
    }
    Ok(())
}

/// Timeout of a list of parked entries.
const PARKED_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout of a change of parked entries, which goes part by part.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
