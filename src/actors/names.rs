//! The registry: actors by name.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use ractor::{ActorRef, Message};

use crate::model::HousekeeperState;

/// Remembers that a housekeeper of this name was started in this process.
pub(crate) fn remember(name: Option<String>) {
    known()
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .extend(name);
}

/// The housekeeper that has this name now; if none has, whether one was ever started.
pub(crate) fn present<M: Message>(name: &str) -> Result<ActorRef<M>, HousekeeperState> {
    find(name).ok_or_else(|| {
        let known = known().lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(name) {
            HousekeeperState::Stopped
        } else {
            HousekeeperState::NeverStarted
        }
    })
}

/// The actor that has this name now.
pub(crate) fn find<M: Message>(name: &str) -> Option<ActorRef<M>> {
    ActorRef::where_is(name)
}

/// Names are global to the process in ractor, and so is the memory of them.
fn known() -> &'static Mutex<BTreeSet<String>> {
    static KNOWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    &KNOWN
}
