//! The person or program behind a request.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::fmt::line;

/// A person or a program behind a request, as the host names it: a login, an address, a ticket.
///
/// The name is text for people. It fits on a line: control characters are escaped, and a name
/// longer than [`MAX_CHARS`](Requester::MAX_CHARS) is cut. A blank name reads as `unnamed`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(from = "String", into = "String")]
pub struct Requester(Arc<str>);

impl Requester {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 100;

    /// Creates a requester from a name.
    pub fn new(name: impl AsRef<str>) -> Self {
        let name = line(name.as_ref().trim());
        match name.char_indices().nth(Self::MAX_CHARS) {
            _ if name.is_empty() => Self(Arc::from("unnamed")),
            Some((end, _)) => Self(Arc::from(format!("{}..", &name[..end]))),
            None => Self(Arc::from(name)),
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Adds a name to those of a run. Each stands once, and beyond [`MAX_REQUESTERS`] none is
    /// added.
    pub(crate) fn add(names: &mut Vec<Self>, name: Self) {
        if names.len() < MAX_REQUESTERS && !names.contains(&name) {
            names.push(name);
        }
    }

    /// Writes names as ` by anna and ben`, or nothing.
    pub(crate) fn by(names: &[Self]) -> String {
        match names {
            [] => String::new(),
            [one] => format!(" by {one}"),
            [first @ .., last] => {
                let first: Vec<&str> = first.iter().map(Self::as_str).collect();
                format!(" by {} and {last}", first.join(", "))
            }
        }
    }
}

impl fmt::Display for Requester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for Requester {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Requester {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl From<Requester> for String {
    fn from(requester: Requester) -> Self {
        requester.as_str().to_owned()
    }
}

/// A pause of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Pause {
    /// When it began.
    pub since: DateTime<Utc>,
    /// The requester, if the message names one.
    #[serde(default)]
    pub by: Option<Requester>,
    /// Whether it holds for all replicas, and not for this instance alone.
    #[serde(default)]
    pub all_replicas: bool,
}

/// Requesters that one run keeps.
const MAX_REQUESTERS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_on_a_line_and_is_cut() {
        let long = "x".repeat(Requester::MAX_CHARS + 1);
        let names = [" anna ", "a\nb\u{1b}[2J", "", " \t", &long];

        let names = names.map(|name| Requester::new(name).to_string());

        assert_eq!(names[..2], ["anna", "a\\nb\\u{1b}[2J"]);
        assert_eq!(names[2..4], ["unnamed", "unnamed"]);
        assert_eq!(names[4].chars().count(), Requester::MAX_CHARS + 2);
    }

    #[test]
    fn names_of_a_run_stand_once_and_end_somewhere() {
        let mut names = Vec::new();

        for number in 0..2 * MAX_REQUESTERS {
            Requester::add(&mut names, Requester::new(format!("{}", number / 2)));
            Requester::add(&mut names, Requester::new(format!("{}", number / 2)));
        }

        assert_eq!(names.len(), MAX_REQUESTERS);
        assert_eq!(Requester::by(&names[..0]), "");
        assert_eq!(Requester::by(&names[..1]), " by 0");
        assert_eq!(Requester::by(&names[..3]), " by 0, 1 and 2");
    }

    #[test]
    fn a_name_from_json_is_fitted_as_well() {
        let name: Requester = serde_json::from_str(r#""a\nb""#).expect("is text");

        assert_eq!(name.as_str(), "a\\nb");
        assert_eq!(
            serde_json::to_string(&name).ok().as_deref(),
            Some(r#""a\\nb""#)
        );
    }
}
