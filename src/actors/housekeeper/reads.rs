//! Previews and histories: checked and queued.

use std::time::Duration;

use ractor::RpcReplyPort;

use super::pending_read::{PendingRead, ReadReply};
use super::shared::answer;
use super::state::State;
use crate::actors::reader::{Change, ReadRequest, from_memory};
use crate::job::{JobName, Page, Preview, Scope};
use crate::model::{
    History, HistoryQuery, ParkedEntries, ParkedPage, RequestError, Requester, WhichEntries,
};

impl State {
    pub(super) async fn preview(
        &mut self,
        name: &JobName,
        scope: Scope,
        page: Page,
        reply: RpcReplyPort<Result<Preview, RequestError>>,
    ) {
        if page.size.get() > Page::MAX_SIZE {
            let error = RequestError::Page {
                size: page.size.get(),
                max: Page::MAX_SIZE,
            };
            return answer(reply, Err(error));
        }
        let job = self.jobs.enabled(name);
        let job = match job.and_then(|job| job.check_scope(&scope).map(|()| job)) {
            Ok(job) => job,
            Err(error) => return answer(reply, Err(error)),
        };
        let timeout = job.config.read_timeout;
        let request = ReadRequest::Preview {
            job: job.job.clone(),
            scope,
            page,
        };
        let reply = ReadReply::Preview(reply);
        let read = PendingRead::new(name.clone(), request, reply, timeout, &self.shared);
        self.reads.push(read, &self.shared).await;
    }

    pub(super) async fn parked(
        &mut self,
        rule: &JobName,
        page: ParkedPage,
        reply: RpcReplyPort<Result<ParkedEntries, RequestError>>,
    ) {
        if page.size.get() > Page::MAX_SIZE {
            let error = RequestError::Page {
                size: page.size.get(),
                max: Page::MAX_SIZE,
            };
            return answer(reply, Err(error));
        }
        let outbox = match self.couriers.get(rule) {
            Ok(courier) => courier.outbox.clone(),
            Err(error) => return answer(reply, Err(error)),
        };
        let request = ReadRequest::Parked {
            rule: rule.clone(),
            page,
            outbox,
        };
        let (name, reply) = (rule.clone(), ReadReply::Parked(reply));
        let read = PendingRead::new(name, request, reply, PARKED_TIMEOUT, &self.shared);
        self.reads.push(read, &self.shared).await;
    }

    pub(super) async fn change_parked(
        &mut self,
        rule: &JobName,
        (which, change): (WhichEntries, Change),
        by: Option<Requester>,
        reply: RpcReplyPort<Result<u64, RequestError>>,
    ) {
        if self.shutdown.is_some() {
            return answer(reply, Err(RequestError::ShuttingDown));
        }
        let outbox = match self.couriers.get(rule) {
            Ok(courier) => courier.outbox.clone(),
            Err(error) => return answer(reply, Err(error)),
        };
        let request = ReadRequest::Change {
            rule: rule.clone(),
            which,
            change,
            by,
            outbox,
        };
        let (name, reply) = (rule.clone(), ReadReply::Changed(reply));
        let read = PendingRead::new(name, request, reply, CHANGE_TIMEOUT, &self.shared);
        self.reads.push(read, &self.shared).await;
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
        let timeout = job.config.read_timeout;
        let memory = job.recent.clone();
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
            unsaved: job.unsaved.clone(),
        };
        let reply = ReadReply::History(reply);
        let read = PendingRead::new(name.clone(), request, reply, timeout, &self.shared);
        self.reads.push(read, &self.shared).await;
    }
}

/// Timeout of a list of parked entries.
const PARKED_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout of a change of parked entries, which goes part by part.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
