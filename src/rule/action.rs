//! What is done to due rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::value::Value;

/// What is done to due rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// They are deleted.
    Delete,
    /// These columns are set.
    Set(BTreeMap<String, Value>),
    /// They are copied into this table and deleted.
    Archive(String),
}

/// A row that is inserted into a table of the host for each row that was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOn {
    pub(crate) into: String,
    pub(crate) columns: BTreeMap<String, Value>,
}

/// A row of `into` for each row that was written.
pub fn hand_on(into: impl Into<String>) -> HandOn {
    HandOn {
        into: into.into(),
        columns: BTreeMap::new(),
    }
}

impl HandOn {
    /// Fills a column of the inserted row.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.columns.insert(name.into(), value.into());
        self
    }
}
