//! Previews and histories: checked and queued.

use ractor::RpcReplyPort;

use super::pending_reads::{PendingRead, ReadReply};
use super::shared::answer;
use super::state::State;
use crate::actors::reader::ReadRequest;
use crate::job::{JobName, Page, Preview, Scope};
use crate::model::{History, RequestError};

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
                largest: Page::MAX_SIZE,
            };
            return answer(reply, Err(error));
        }
        let job = self.jobs.enabled(name);
        let job = match job.and_then(|job| job.check_scope(&scope).map(|()| job)) {
            Ok(job) => job,
            Err(error) => return answer(reply, Err(error)),
        };
        let read = PendingRead {
            request: ReadRequest::Preview {
                job: job.job.clone(),
                scope,
                page,
            },
            timeout: job.config.step_timeout,
            reply: ReadReply::Preview(reply),
        };
        self.reads.push(read, &self.shared).await;
    }

    pub(super) async fn history(
        &mut self,
        name: &JobName,
        limit: u32,
        reply: RpcReplyPort<Result<History, RequestError>>,
    ) {
        let job = match self.jobs.get(name) {
            Ok(job) => job,
            Err(error) => return answer(reply, Err(error)),
        };
        let read = PendingRead {
            request: ReadRequest::History {
                job: name.clone(),
                limit,
                store: self.shared.history.clone(),
                memory: job.recent.clone(),
                unsaved: job.unsaved.clone(),
            },
            timeout: job.config.step_timeout,
            reply: ReadReply::History(reply),
        };
        self.reads.push(read, &self.shared).await;
    }
}
