//! A table that rows are copied into before they are deleted.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::forms::text_or_table;
use super::value::Value;

/// A table that rows are copied into before they are deleted. Each column is copied into the column
/// of the same name.
///
/// A table's name converts into an archive of all columns.
///
/// # Examples
///
/// ```
/// use ractor_housekeeper::rule::{Value, archive};
///
/// let slim = archive("old_orders").without(["payload"]).column("archived_at", Value::Now);
/// # let _ = slim;
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(into = "ArchiveForm")]
pub struct Archive {
    pub(crate) into: String,
    pub(crate) without: Vec<String>,
    pub(crate) columns: BTreeMap<String, Value>,
}

/// Copies all columns of due rows into this table.
pub fn archive(into: impl Into<String>) -> Archive {
    Archive {
        into: into.into(),
        without: Vec::new(),
        columns: BTreeMap::new(),
    }
}

impl Archive {
    /// Leaves columns out. Their values are lost with the row.
    #[must_use]
    pub fn without<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.without.extend(columns.into_iter().map(Into::into));
        self
    }

    /// Fills a column of the archive with a value, instead of the row's column of that name.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.columns.insert(name.into(), value.into());
        self
    }
}

impl<T: Into<String>> From<T> for Archive {
    fn from(into: T) -> Self {
        archive(into)
    }
}

impl<'de> Deserialize<'de> for Archive {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let expecting = "a table's name, or `into` with `without` and `columns`";
        text_or_table::<_, ArchivePart, _>(source, expecting, archive)
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum ArchiveForm {
    Whole(String),
    Part(ArchivePart),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchivePart {
    into: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    without: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    columns: BTreeMap<String, Value>,
}

impl From<ArchivePart> for Archive {
    fn from(part: ArchivePart) -> Self {
        let ArchivePart {
            into,
            without,
            columns,
        } = part;
        Self {
            into,
            without,
            columns,
        }
    }
}

impl From<Archive> for ArchiveForm {
    fn from(archive: Archive) -> Self {
        let Archive {
            into,
            without,
            columns,
        } = archive;
        if without.is_empty() && columns.is_empty() {
            return Self::Whole(into);
        }
        Self::Part(ArchivePart {
            into,
            without,
            columns,
        })
    }
}
