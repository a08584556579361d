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
    /// They are deleted.
    Delete,
    /// These columns are set.
    Set(BTreeMap<String, Value>),
    /// They are copied into a table and deleted.
    Archive(Archive),
}
