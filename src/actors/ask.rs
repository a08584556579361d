//! One call of a housekeeper, and why it may return no answer.

use std::time::Duration;

use ractor::rpc::CallResult;
use ractor::{ActorRef, RpcReplyPort};
use thiserror::Error;

use super::message::HousekeeperMsg;
use crate::model::RequestError;

/// Why a call of a [`HousekeeperRef`](super::HousekeeperRef) returned no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AskError {
    /// No answer came within the handle's timeout.
    #[error("no answer within {}", humantime::format_duration(*timeout))]
    Timeout {
        /// The handle's timeout.
        timeout: Duration,
    },
    /// The housekeeper stopped, or was killed, before it answered.
    #[error("the housekeeper has stopped")]
    Stopped,
    /// The housekeeper rejected the request.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Calls the housekeeper and waits for its answer or its end.
///
/// A message that is sent in the instant in which a mailbox closes can stay in it unread, its port
/// open, for as long as a reference to the actor exists. The end shows that no answer
/// comes.
pub(super) async fn call<T: Send + 'static>(
    housekeeper: &ActorRef<HousekeeperMsg>,
    message: impl FnOnce(RpcReplyPort<T>) -> HousekeeperMsg,
    timeout: Option<Duration>,
) -> Result<T, AskError> {
    tokio::select! {
        biased;
        answer = housekeeper.call(message, timeout) => match answer {
            Ok(CallResult::Success(answer)) => Ok(answer),
            Ok(CallResult::Timeout) => Err(AskError::Timeout {
                timeout: timeout.unwrap_or_default(),
            }),
            Ok(CallResult::SenderError) | Err(_) => Err(AskError::Stopped),
        },
        _ = housekeeper.wait(None) => Err(AskError::Stopped),
    }
}
