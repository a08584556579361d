//! Parts of a rule that diesel's types check.

use std::fmt;

use serde::{Serialize, Serializer};

/// A part of a rule that diesel's types check: a condition, or a changeset.
///
/// `Filter::postgres`, `Filter::sqlite` and `Filter::typed` create a condition, and
/// `Rule::set_postgres`, `Rule::set_sqlite` and `Rule::set_typed` take a changeset. It is code, so
/// a rule that has one cannot be written to a file.
#[derive(Clone, Default)]
pub struct Typed {
    #[cfg(feature = "postgres")]
    pub(crate) postgres: Option<Fragment>,
    #[cfg(feature = "sqlite")]
    pub(crate) sqlite: Option<SqliteFragment>,
}

/// A part of a statement for Postgres, of any type.
#[cfg(feature = "postgres")]
pub(crate) type Fragment =
    std::sync::Arc<dyn diesel::query_builder::QueryFragment<diesel::pg::Pg> + Send + Sync>;

/// A part of a statement for SQLite, of any type.
#[cfg(feature = "sqlite")]
pub(crate) type SqliteFragment =
    std::sync::Arc<dyn diesel::query_builder::QueryFragment<diesel::sqlite::Sqlite> + Send + Sync>;

impl Typed {
    /// Returns whether it is empty for both databases.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { .. } = self;
        #[cfg(feature = "postgres")]
        if self.postgres.is_some() {
            return false;
        }
        #[cfg(feature = "sqlite")]
        if self.sqlite.is_some() {
            return false;
        }
        true
    }

    #[cfg(feature = "postgres")]
    pub(super) fn of_postgres<F>(part: F) -> Self
    where
        F: diesel::query_builder::QueryFragment<diesel::pg::Pg> + Send + Sync + 'static,
    {
        Self {
            postgres: Some(std::sync::Arc::new(part)),
            #[cfg(feature = "sqlite")]
            sqlite: None,
        }
    }

    #[cfg(feature = "sqlite")]
    pub(super) fn of_sqlite<F>(part: F) -> Self
    where
        F: diesel::query_builder::QueryFragment<diesel::sqlite::Sqlite> + Send + Sync + 'static,
    {
        Self {
            sqlite: Some(std::sync::Arc::new(part)),
            #[cfg(feature = "postgres")]
            postgres: None,
        }
    }

    #[cfg(all(feature = "postgres", feature = "sqlite"))]
    pub(super) fn of_both<F>(part: F) -> Self
    where
        F: diesel::query_builder::QueryFragment<diesel::pg::Pg>
            + diesel::query_builder::QueryFragment<diesel::sqlite::Sqlite>
            + Send
            + Sync
            + 'static,
    {
        let part = std::sync::Arc::new(part);
        Self {
            postgres: Some(part.clone()),
            sqlite: Some(part),
        }
    }
}

/// Returns the name of a column, so that the compiler checks that diesel's table has it.
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

/// Two parts are equal if they are clones of one.
impl PartialEq for Typed {
    fn eq(&self, other: &Self) -> bool {
        let Self { .. } = other;
        #[cfg(feature = "postgres")]
        let differs = match (&self.postgres, &other.postgres) {
            (Some(one), Some(other)) => !std::sync::Arc::ptr_eq(one, other),
            (one, other) => one.is_some() || other.is_some(),
        };
        #[cfg(feature = "postgres")]
        if differs {
            return false;
        }
        #[cfg(feature = "sqlite")]
        let differs = match (&self.sqlite, &other.sqlite) {
            (Some(one), Some(other)) => !std::sync::Arc::ptr_eq(one, other),
            (one, other) => one.is_some() || other.is_some(),
        };
        #[cfg(feature = "sqlite")]
        if differs {
            return false;
        }
        true
    }
}

impl Serialize for Typed {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(
            "a part typed by diesel is code and cannot be written",
        ))
    }
}
