//! The rows that a run covers.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fmt::{is_unseen, log_line};

/// The rows that a run covers: all, or those of one user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every row the rule matches.
    #[default]
    All,
    /// Only rows of this user. The built-in jobs expect a UUID.
    User(String),
}

impl Scope {
    /// Creates the scope of one user, with a key of any type.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers have a key or a reference to one"
    )]
    pub fn user(id: impl ToString) -> Self {
        Self::User(id.to_string())
    }

    /// Returns what is wrong with a user that can be no key: blank, too long, with spaces at an
    /// end, or with characters that are not seen.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self::User(user) = self else {
            return Ok(());
        };
        let problem = if user.trim().is_empty() {
            "is blank; use the scope of all rows for everybody"
        } else if user.chars().count() > Self::MAX_USER {
            "is longer than 200 characters"
        } else if user.trim() != user {
            "has spaces at an end"
        } else if user.chars().any(is_unseen) {
            "has control or invisible characters"
        } else {
            return Ok(());
        };
        Err(format!("the user {problem}"))
    }

    /// The longest user, in characters.
    const MAX_USER: usize = 200;

    /// Returns the user as a UUID, for tables that key users by one; `None` for [`Scope::All`].
    ///
    /// # Errors
    ///
    /// Fails if the user is not a UUID.
    pub fn user_id(&self) -> Result<Option<Uuid>, uuid::Error> {
        match self {
            Self::All => Ok(None),
            Self::User(id) => id.parse().map(Some),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::User(id) => write!(f, "user {}", log_line(id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_all_or_a_user() {
        let user = Uuid::from_u128(7);

        assert_eq!(Scope::All.user_id(), Ok(None));
        assert_eq!(Scope::user(user).user_id(), Ok(Some(user)));
        assert!(Scope::user(7).user_id().is_err());
        let texts = [Scope::All, Scope::user(7)].map(|scope| scope.to_string());
        assert_eq!(texts, ["all", "user 7"]);
    }
}
