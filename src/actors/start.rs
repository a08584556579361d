//! Starting, finding and stopping a housekeeper by name.

use std::time::Duration;

use ractor::{Actor, ActorRef, RactorErr, RpcReplyPort, SpawnErr};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::task::JoinHandle;

use super::arguments::{HousekeeperArguments, StartError, check};
use super::ask::call;
use super::handle::HousekeeperRef;
use super::housekeeper::Housekeeper;
use super::message::HousekeeperMsg;
use super::names::{find, present};
use crate::model::{HousekeeperState, Status};

/// A housekeeper that was started.
#[derive(Debug)]
pub struct Started {
    /// The handle to send it messages.
    pub housekeeper: HousekeeperRef,
    /// Ends when the housekeeper has stopped.
    pub handle: JoinHandle<()>,
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
/// Waits for one of this name that is shutting down. Touches no database, and so succeeds while the
/// database is away.
///
/// # Errors
///
/// - [`StartError::AlreadyRunning`], beside a warning in the log, if a housekeeper runs under the
///   name: it goes on unchanged, and the error carries its handle.
///   [`StartError::into_running`] returns it.
/// - The others name an invalid setting, two jobs of one name, or a name of another kind of actor.
pub async fn start(
    name: Option<&str>,
    arguments: HousekeeperArguments,
) -> Result<Started, StartError> {
    check(&arguments)?;
    if let Some(name) = name {
        if let Some(housekeeper) = running(name).await? {
            return Err(already_running(name, housekeeper));
        }
    }
    match Actor::spawn(name.map(str::to_owned), Housekeeper, arguments).await {
        Ok((housekeeper, handle)) => Ok(Started {
            housekeeper: housekeeper.into(),
            handle,
        }),
        // Another one started between the look-up and the spawn.
        Err(SpawnErr::ActorAlreadyRegistered(name)) => match running(&name).await? {
            Some(housekeeper) => Err(already_running(&name, housekeeper)),
            None => Err(StartError::Spawn(Box::new(
                SpawnErr::ActorAlreadyRegistered(name),
            ))),
        },
        Err(error) => Err(StartError::Spawn(Box::new(error))),
    }
}

fn already_running(name: &str, housekeeper: ActorRef<HousekeeperMsg>) -> StartError {
    tracing::warn!(
        housekeeper.name = name,
        "the housekeeper {name} is already running; nothing was started"
    );
    StartError::AlreadyRunning {
        name: name.to_owned(),
        housekeeper: housekeeper.into(),
    }
}

/// Returns the status of the housekeeper of this name. The status of one that was never started, or
/// has stopped, says so.
pub async fn status(name: &str) -> Status {
    let housekeeper = match present(name) {
        Ok(housekeeper) => housekeeper,
        Err(state) => return Status::absent(name, state),
    };
    match ractor::call_t!(housekeeper, HousekeeperMsg::Status, STATUS_TIMEOUT_MS) {
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
    HousekeeperRef::from(housekeeper).shutdown(grace).await;
    Ok(())
}

/// Returns a reply port that drops the answer:
/// `housekeeper.cast(HousekeeperMsg::RunAll(ignore_reply()))`.
#[must_use]
pub fn ignore_reply<T>() -> RpcReplyPort<T> {
    let (reply, _) = ractor::concurrency::oneshot();
    reply.into()
}

/// Returns the housekeeper that runs under this name, after the end of one that is stopping.
async fn running(name: &str) -> Result<Option<ActorRef<HousekeeperMsg>>, StartError> {
    if ractor::registry::where_is(name).is_none() {
        return Ok(None);
    }
    let Some(housekeeper) = find(name) else {
        return Err(StartError::NameTaken {
            name: name.to_owned(),
        });
    };
    match call(&housekeeper, HousekeeperMsg::Status, None).await {
        Ok(status) if status.is_running() => Ok(Some(housekeeper)),
        _ => {
            let _ = housekeeper.wait(None).await;
            Ok(None)
        }
    }
}

/// Status is answered from memory; a housekeeper that takes longer is stuck or gone.
const STATUS_TIMEOUT_MS: u64 = 1_000;
