//! Whether the file is still the one that was opened.
//!
//! A file that is removed, or replaced by a backup, lives on for the processes that have it open.
//! Their writes would be invisible to all others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::store::tx_error::{TxError, TxResult};

/// A file by its path. Clones share what is known of it.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) path: Arc<str>,
    /// Every file that was found under the path, in the order of their appearance.
    seen: Arc<Mutex<Vec<Identity>>>,
}

/// Distinguishes a file from another of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

#[derive(QueryableByName)]
struct Opened {
    #[diesel(sql_type = BigInt)]
    user_version: i64,
}

impl File {
    pub(super) fn at(path: String) -> Self {
        Self {
            path: path.into(),
            seen: Arc::default(),
        }
    }

    /// Which file is about to be opened. Fails if an empty one would be made in the place of one
    /// that was there.
    pub(super) fn before_opening(&self) -> Result<Option<Identity>, String> {
        match identity(&self.path) {
            None if !self.seen().is_empty() => Err(self.gone()),
            found => Ok(found),
        }
    }

    /// That the file that was there before is there still.
    pub(super) fn is_still(&self, before: Identity) -> Result<(), String> {
        match identity(&self.path) {
            None => Err(self.gone()),
            Some(found) if found != before => Err(self.replaced()),
            Some(_) => Ok(()),
        }
    }

    /// Notes which file a new connection has opened, in a number that every connection has for
    /// itself.
    pub(super) fn note(&self, conn: &mut SqliteConnection, found: Identity) -> QueryResult<()> {
        let number = {
            let mut seen = self.seen();
            seen.iter()
                .position(|file| *file == found)
                .unwrap_or_else(|| {
                    seen.push(found);
                    seen.len() - 1
                })
        };
        conn.batch_execute(&format!("pragma temp.user_version = {}", number + 1))
    }

    /// That a connection works on the file that is there now.
    pub(super) fn check(&self, conn: &mut SqliteConnection) -> TxResult<()> {
        let Opened { user_version } =
            diesel::sql_query("pragma temp.user_version").get_result(conn)?;
        let number = usize::try_from(user_version).unwrap_or(0);
        let Some(opened) = number
            .checked_sub(1)
            .and_then(|at| self.seen().get(at).copied())
        else {
            return Ok(());
        };
        self.is_still(opened).map_err(TxError::other)
    }

    fn replaced(&self) -> String {
        format!("the file {} was replaced by another", self.path)
    }

    fn gone(&self) -> String {
        format!("the file {} is gone", self.path)
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Identity>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(unix)]
fn identity(path: &str) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path).ok()?;
    Some(Identity(found.dev(), found.ino()))
}

/// A file that is open cannot be removed here.
#[cfg(not(unix))]
fn identity(path: &str) -> Option<Identity> {
    std::fs::metadata(path).ok().map(|_| Identity(0, 0))
}
