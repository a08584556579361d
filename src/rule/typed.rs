//! Conditions that diesel's types check.

use std::fmt;

use serde::{Serialize, Serializer};

/// A condition that diesel's types check, for Postgres.
///
/// Made with `Filter::postgres`. It is code, so a rule that has one cannot be written to a file.
#[derive(Clone, Default)]
pub struct Typed {
    #[cfg(feature = "postgres")]
    pub(crate) postgres: Option<Fragment>,
}

/// A part of a statement whose type is forgotten.
#[cfg(feature = "postgres")]
pub(crate) type Fragment =
    std::sync::Arc<dyn diesel::query_builder::QueryFragment<diesel::pg::Pg> + Send + Sync>;

/// The name of a column that diesel's types check.
#[cfg(feature = "_store")]
#[must_use]
pub fn name<C: diesel::Column>(_column: C) -> &'static str {
    C::NAME
}

impl fmt::Debug for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").finish_non_exhaustive()
    }
}

/// Code is compared by where it is.
impl PartialEq for Typed {
    #[cfg(feature = "postgres")]
    fn eq(&self, other: &Self) -> bool {
        match (&self.postgres, &other.postgres) {
            (None, None) => true,
            (Some(one), Some(other)) => std::sync::Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    #[cfg(not(feature = "postgres"))]
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Serialize for Typed {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(
            "a condition typed by diesel is code and cannot be written",
        ))
    }
}
