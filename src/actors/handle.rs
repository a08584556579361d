//! A typed handle to a housekeeper.

use std::ops::Deref;
use std::time::Duration;

use ractor::{ActorRef, RpcReplyPort};

use super::ask::{AskError, call};
use super::message::HousekeeperMsg;
use super::subscribers::Subscriber;
use crate::model::{RequestError, Requester};

mod controls;
mod deliveries;
mod runs;

/// A handle to a housekeeper: each [`HousekeeperMsg`] as a function that returns its answer.
///
/// Each call waits at most for the handle's timeout, [`HousekeeperRef::DEFAULT_TIMEOUT`] unless
/// [`with_timeout`](HousekeeperRef::with_timeout) changes it. A timeout does not cancel
/// the request: a run continues, and subscribers receive its report.
///
/// The handle derefs to the [`ActorRef`], so ractor's own calls work on it, too.
///
/// # Examples
///
/// ```no_run
/// use ractor_housekeeper::actors::AskError;
/// use ractor_housekeeper::{HousekeeperRef, Scope};
///
/// # async fn example(housekeeper: HousekeeperRef) -> Result<(), AskError> {
/// let report = housekeeper.run_now("draft-sweeper", Scope::All).await?;
/// println!("{report}\n{}", housekeeper.status().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HousekeeperRef {
    actor: ActorRef<HousekeeperMsg>,
    timeout: Duration,
    requested_by: Option<Requester>,
}

impl HousekeeperRef {
    /// The timeout of a new handle: one minute.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

    /// Returns the same handle with another timeout for each call.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Returns the same handle whose calls carry this name, for reports, events, the status and the
    /// log.
    #[must_use]
    pub fn requested_by(self, by: impl Into<Requester>) -> Self {
        Self {
            requested_by: Some(by.into()),
            ..self
        }
    }

    /// Returns the actor behind the handle.
    #[must_use]
    pub fn actor(&self) -> &ActorRef<HousekeeperMsg> {
        &self.actor
    }

    /// Sends events to this subscriber from now on.
    ///
    /// # Errors
    ///
    /// [`AskError::Stopped`].
    pub fn subscribe(&self, subscriber: Subscriber) -> Result<(), AskError> {
        let message = HousekeeperMsg::Subscribe(subscriber);
        self.actor.cast(message).map_err(|_| AskError::Stopped)
    }

    /// Rejects new runs, lets batches in progress end within the grace, and returns when the
    /// housekeeper has stopped. Waits for as long as that takes, whatever the handle's timeout is;
    /// one that has stopped already is no error.
    pub async fn shutdown(&self, grace: Duration) {
        let shutdown = |reply| HousekeeperMsg::Shutdown(grace, reply);
        // Without an answer it has stopped, which was the request.
        let _ = call(&self.actor, shutdown, None).await;
        let _ = self.actor.wait(None).await;
    }

    async fn request<T: Send + 'static>(
        &self,
        message: impl FnOnce(RpcReplyPort<Result<T, RequestError>>) -> HousekeeperMsg,
    ) -> Result<T, AskError> {
        Ok(self.ask(message).await??)
    }

    async fn ask<T: Send + 'static>(
        &self,
        message: impl FnOnce(RpcReplyPort<T>) -> HousekeeperMsg,
    ) -> Result<T, AskError> {
        let by = self.requested_by.clone();
        let message = |reply| match by {
            Some(by) => message(reply).requested_by(by),
            None => message(reply),
        };
        call(&self.actor, message, Some(self.timeout)).await
    }
}

impl From<ActorRef<HousekeeperMsg>> for HousekeeperRef {
    fn from(actor: ActorRef<HousekeeperMsg>) -> Self {
        Self {
            actor,
            timeout: Self::DEFAULT_TIMEOUT,
            requested_by: None,
        }
    }
}

impl From<HousekeeperRef> for ActorRef<HousekeeperMsg> {
    fn from(housekeeper: HousekeeperRef) -> Self {
        housekeeper.actor
    }
}

impl Deref for HousekeeperRef {
    type Target = ActorRef<HousekeeperMsg>;

    fn deref(&self) -> &Self::Target {
        &self.actor
    }
}
