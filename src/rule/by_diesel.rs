//! Conditions and changes that diesel's types check.

use super::Rule;
use super::action::Action;
use super::filter::Filter;
use super::typed::Typed;

/// Defines a constructor of conditions on a row of `T`, for the given databases.
macro_rules! conditions {
    ($(#[$doc:meta])* $name:ident, $of:ident, $($database:ty),+) => {
        $(#[$doc])*
        pub fn $name<T, P>(_table: T, predicate: P) -> Self
        where
            P: diesel::Expression<SqlType = diesel::sql_types::Bool>
                + diesel::AppearsOnTable<T>
                + diesel::expression::ValidGrouping<()>
                $(+ diesel::query_builder::QueryFragment<$database>)+
                + Send
                + Sync
                + 'static,
        {
            Self::Typed(Typed::$of(predicate))
        }
    };
}

impl Filter {
    #[cfg(feature = "postgres")]
    conditions! {
        /// Creates a condition typed by diesel, for Postgres: `Filter::postgres(orders::table,
        /// orders::status.eq("Pending"))`.
        ///
        /// Its constants are literals in the statement, so that a partial index can be used.
        postgres, of_postgres, diesel::pg::Pg
    }

    #[cfg(feature = "sqlite")]
    conditions! {
        /// Creates a condition typed by diesel, for SQLite: `Filter::sqlite(orders::table,
        /// orders::status.eq("Pending"))`.
        ///
        /// Its constants are literals in the statement, so that a partial index can be used.
        sqlite, of_sqlite, diesel::sqlite::Sqlite
    }

    #[cfg(all(feature = "postgres", feature = "sqlite"))]
    conditions! {
        /// Creates a condition typed by diesel, for both databases: `Filter::typed(orders::table,
        /// orders::status.eq("Pending"))`.
        ///
        /// Its constants are literals in the statement, so that a partial index can be used.
        typed, of_both, diesel::pg::Pg, diesel::sqlite::Sqlite
    }
}

/// Defines a method that sets columns by a changeset, for the given databases.
macro_rules! changes {
    ($(#[$doc:meta])* $name:ident, $of:ident, $($database:ty),+) => {
        $(#[$doc])*
        #[must_use]
        pub fn $name<V>(mut self, changes: V) -> Self
        where
            V: diesel::AsChangeset,
            V::Changeset: Send + Sync + 'static $(+ diesel::query_builder::QueryFragment<$database>)+,
        {
            self.changes = Typed::$of(changes.as_changeset());
            if !matches!(self.action, Some(Action::Set(_))) {
                self.action = Some(Action::Set(std::collections::BTreeMap::new()));
            }
            self
        }
    };
}

impl Rule {
    #[cfg(feature = "postgres")]
    changes! {
        /// Sets columns of due rows by diesel's changeset, for Postgres:
        /// `rule.set_postgres(orders::status.eq("Expired"))`, or a tuple of such.
        ///
        /// Replaces an earlier changeset. [`Rule::set`] can set further columns.
        set_postgres, of_postgres, diesel::pg::Pg
    }

    #[cfg(feature = "sqlite")]
    changes! {
        /// Sets columns of due rows by diesel's changeset, for SQLite:
        /// `rule.set_sqlite(orders::status.eq("Expired"))`, or a tuple of such.
        ///
        /// Replaces an earlier changeset. [`Rule::set`] can set further columns.
        set_sqlite, of_sqlite, diesel::sqlite::Sqlite
    }

    #[cfg(all(feature = "postgres", feature = "sqlite"))]
    changes! {
        /// Sets columns of due rows by diesel's changeset, for both databases:
        /// `rule.set_typed(orders::status.eq("Expired"))`, or a tuple of such.
        ///
        /// Replaces an earlier changeset. [`Rule::set`] can set further columns.
        set_typed, of_both, diesel::pg::Pg, diesel::sqlite::Sqlite
    }
}
