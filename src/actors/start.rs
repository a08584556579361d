//! Starting, finding and stopping a housekeeper by name.

use std::time::Duration;

use ractor::rpc::CallResult;
use ractor::{Actor, ActorRef, RactorErr, RpcReplyPort, SpawnErr};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::task::JoinHandle;

use super::arguments::{HousekeeperArguments, StartError, check};
use super::housekeeper::Housekeeper;
use super::message::HousekeeperMsg;
use super::names::{find, present};
use crate::model::{HousekeeperState, Status};

/// A housekeeper that runs.
#[derive(Debug)]
pub struct Started {
    /// Where to send messages.
    pub housekeeper: ActorRef<HousekeeperMsg>,
    /// Ends when the housekeeper has stopped; `None` if one of this name was running already and
    /// was handed back.
    pub handle: Option<JoinHandle<()>>,
}

impl Started {
    fn running_already(name: &str, housekeeper: ActorRef<HousekeeperMsg>) -> Self {
        tracing::warn!(
            housekeeper.name = name,
            "the housekeeper {name} is running already; nothing was started"
        );
        Self {
            housekeeper,
            handle: None,
        }
    }

    /// Whether one of this name was running already.
    #[must_use]
    pub fn was_running(&self) -> bool {
        self.handle.is_none()
    }
}

/// There is no housekeeper of this name to stop.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("no housekeeper runs under the name {name:?}")]
pub struct NotRunning {
    /// The name that was given.
    pub name: String,
}

/// Starts a housekeeper, with a name or without.
///
/// If one runs under the name, no second is started: a warning is logged and the running one handed
/// back, its settings unchanged. One that is shutting down is waited for. Starting touches no
/// database, and so succeeds while it is away.
///
/// # Errors
///
/// A setting that cannot be, two jobs of one name, or a name that belongs to another kind of actor.
pub async fn start(
    name: Option<&str>,
    arguments: HousekeeperArguments,
) -> Result<Started, StartError> {
    check(&arguments)?;
    if let Some(name) = name {
        if let Some(housekeeper) = running(name).await? {
            return Ok(Started::running_already(name, housekeeper));
        }
    }
    match Actor::spawn(name.map(str::to_owned), Housekeeper, arguments).await {
        Ok((housekeeper, handle)) => Ok(Started {
            housekeeper,
            handle: Some(handle),
        }),
        // Another was started between our look and our spawn.
        Err(SpawnErr::ActorAlreadyRegistered(name)) => match running(&name).await? {
            Some(housekeeper) => Ok(Started::running_already(&name, housekeeper)),
            None => Err(StartError::Spawn(Box::new(
                SpawnErr::ActorAlreadyRegistered(name),
            ))),
        },
        Err(error) => Err(StartError::Spawn(Box::new(error))),
    }
}

/// The status of the housekeeper of this name; of one that was never started, or has stopped, it
/// says so.
pub async fn status(name: &str) -> Status {
    let housekeeper = match present(name) {
        Ok(housekeeper) => housekeeper,
        Err(state) => return Status::absent(name, state),
    };
    match ractor::call_t!(housekeeper, HousekeeperMsg::Status, STATUS_LIMIT_MS) {
        Ok(status) => status,
        Err(RactorErr::Timeout) => Status::absent(name, HousekeeperState::NotAnswering),
        Err(_) => Status::absent(name, HousekeeperState::Stopped),
    }
}

/// Shuts down the housekeeper of this name, and returns when it has stopped.
///
/// # Errors
///
/// None runs under this name.
pub async fn stop(name: &str, grace: Duration) -> Result<(), NotRunning> {
    let housekeeper = find(name).ok_or_else(|| NotRunning {
        name: name.to_owned(),
    })?;
    // Without an answer it is gone already, which is what was asked.
    let _ = ask(&housekeeper, |reply| HousekeeperMsg::Shutdown(grace, reply)).await;
    let _ = housekeeper.wait(None).await;
    Ok(())
}

/// A reply port for a message whose answer nobody wants:
/// `housekeeper.cast(HousekeeperMsg::RunAll(ignore_reply()))`.
#[must_use]
pub fn ignore_reply<T>() -> RpcReplyPort<T> {
    let (reply, _) = ractor::concurrency::oneshot();
    reply.into()
}

/// Asks without a limit; `None` if the housekeeper ends first.
///
/// Its end is waited for beside the answer: a question that is under way in the instant in which a
/// mailbox closes can stay in it unread, and its port open, for as long as somebody holds a
/// reference to the actor.
async fn ask<T: Send + 'static>(
    housekeeper: &ActorRef<HousekeeperMsg>,
    message: impl FnOnce(RpcReplyPort<T>) -> HousekeeperMsg,
) -> Option<T> {
    tokio::select! {
        biased;
        answer = housekeeper.call(message, None) => match answer {
            Ok(CallResult::Success(answer)) => Some(answer),
            _ => None,
        },
        _ = housekeeper.wait(None) => None,
    }
}

/// The housekeeper that runs under this name and is not about to stop.
async fn running(name: &str) -> Result<Option<ActorRef<HousekeeperMsg>>, StartError> {
    if ractor::registry::where_is(name).is_none() {
        return Ok(None);
    }
    let Some(housekeeper) = find(name) else {
        return Err(StartError::NameTaken {
            name: name.to_owned(),
        });
    };
    match ask(&housekeeper, HousekeeperMsg::Status).await {
        Some(status) if status.is_running() => Ok(Some(housekeeper)),
        _ => {
            let _ = housekeeper.wait(None).await;
            Ok(None)
        }
    }
}

/// Status is answered from memory; a housekeeper that takes longer is stuck or gone.
const STATUS_LIMIT_MS: u64 = 1_000;
