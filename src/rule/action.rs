//! The action on due rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::archive::Archive;
use super::value::Value;

/// The action on due rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Deletes them.
    Delete,
    /// Sets these columns.
    Set(BTreeMap<String, Value>),
    /// Copies them into a table and deletes them.
    Archive(Archive),
}
