//! The columns by which one table refers to another.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One column, or all columns of a composite key, in the order of the columns they refer to.
///
/// A name or an array of names converts into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub struct Columns(Vec<String>);

impl Columns {
    pub(crate) fn names(&self) -> &[String] {
        &self.0
    }
}

/// Writes the names with commas between them.
impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl From<&str> for Columns {
    fn from(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }
}

impl From<String> for Columns {
    fn from(name: String) -> Self {
        Self(vec![name])
    }
}

impl<const N: usize> From<[&str; N]> for Columns {
    fn from(names: [&str; N]) -> Self {
        Self(names.map(str::to_owned).to_vec())
    }
}

impl From<Vec<String>> for Columns {
    fn from(names: Vec<String>) -> Self {
        Self(names)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "a column's name, or a list of names")]
enum Form {
    One(String),
    Several(Vec<String>),
}

impl From<Form> for Columns {
    fn from(form: Form) -> Self {
        match form {
            Form::One(name) => Self(vec![name]),
            Form::Several(names) => Self(names),
        }
    }
}

impl From<Columns> for Form {
    fn from(Columns(mut names): Columns) -> Self {
        match names.pop() {
            Some(name) if names.is_empty() => Self::One(name),
            last => {
                names.extend(last);
                Self::Several(names)
            }
        }
    }
}
