//! Conditions on a row.

use serde::{Deserialize, Serialize};

use super::sql::Sql;
use super::typed::Typed;
use super::value::Literal;

/// A condition on a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "snake_case",
    expecting = "a condition, such as `{ eq = [\"status\", \"open\"] }`"
)]
#[non_exhaustive]
pub enum Filter {
    /// The column has this value.
    Eq(String, Literal),
    /// The column has one of these values.
    OneOf(String, Vec<Literal>),
    /// The column has none of these values, or is NULL.
    NoneOf(String, Vec<Literal>),
    /// The column is NULL.
    IsNull(String),
    /// The column is not NULL.
    NotNull(String),
    /// All conditions hold.
    And(Vec<Filter>),
    /// At least one condition holds.
    Or(Vec<Filter>),
    /// The condition does not hold, or is NULL.
    Not(Box<Filter>),
    /// The host's own expression.
    Sql(Sql),
    /// A condition that diesel's types check.
    #[serde(skip_deserializing)]
    Typed(Typed),
}

/// Holds if the column has this value.
pub fn eq(column: impl Into<String>, value: impl Into<Literal>) -> Filter {
    Filter::Eq(column.into(), value.into())
}

/// Holds if the column has one of these values.
pub fn one_of<V: Into<Literal>>(
    column: impl Into<String>,
    values: impl IntoIterator<Item = V>,
) -> Filter {
    Filter::OneOf(column.into(), values.into_iter().map(Into::into).collect())
}

/// Holds if the column has none of these values, or is NULL.
pub fn none_of<V: Into<Literal>>(
    column: impl Into<String>,
    values: impl IntoIterator<Item = V>,
) -> Filter {
    Filter::NoneOf(column.into(), values.into_iter().map(Into::into).collect())
}

/// Holds if the column is NULL.
pub fn is_null(column: impl Into<String>) -> Filter {
    Filter::IsNull(column.into())
}

/// Holds if the column is not NULL.
pub fn not_null(column: impl Into<String>) -> Filter {
    Filter::NotNull(column.into())
}

/// Holds if all conditions hold.
pub fn and(filters: impl IntoIterator<Item = Filter>) -> Filter {
    Filter::And(filters.into_iter().collect())
}

/// Holds if at least one condition holds.
pub fn or(filters: impl IntoIterator<Item = Filter>) -> Filter {
    Filter::Or(filters.into_iter().collect())
}

/// Holds if the condition does not, or is NULL.
#[must_use]
pub fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

impl Filter {
    /// Holds if both conditions hold.
    #[must_use]
    pub fn and(self, other: impl Into<Self>) -> Self {
        let other = other.into();
        match self {
            Self::And(mut all) => {
                all.push(other);
                Self::And(all)
            }
            first => Self::And(vec![first, other]),
        }
    }

    /// Holds if at least one of the two conditions holds.
    #[must_use]
    pub fn or(self, other: impl Into<Self>) -> Self {
        let other = other.into();
        match self {
            Self::Or(mut all) => {
                all.push(other);
                Self::Or(all)
            }
            first => Self::Or(vec![first, other]),
        }
    }

    /// Returns the columns it names, without those in expressions.
    pub(crate) fn columns(&self) -> Vec<&str> {
        match self {
            Self::Eq(column, _)
            | Self::OneOf(column, _)
            | Self::NoneOf(column, _)
            | Self::IsNull(column)
            | Self::NotNull(column) => vec![column],
            Self::And(all) | Self::Or(all) => all.iter().flat_map(Self::columns).collect(),
            Self::Not(inner) => inner.columns(),
            Self::Sql(_) | Self::Typed(_) => Vec::new(),
        }
    }

    /// Returns the columns that are compared with constants, and these constants.
    #[cfg(feature = "_store")]
    pub(crate) fn constants(&self) -> Vec<(&str, &[Literal])> {
        match self {
            Self::Eq(column, value) => vec![(column, std::slice::from_ref(value))],
            Self::OneOf(column, values) | Self::NoneOf(column, values) => vec![(column, values)],
            Self::And(all) | Self::Or(all) => all.iter().flat_map(Self::constants).collect(),
            Self::Not(inner) => inner.constants(),
            _ => Vec::new(),
        }
    }

    /// Returns the columns that have one value in all rows that meet it.
    #[cfg(feature = "sqlite")]
    pub(crate) fn fixed(&self) -> Vec<&str> {
        match self {
            Self::Eq(column, _) | Self::IsNull(column) => vec![column],
            Self::And(all) => all.iter().flat_map(Self::fixed).collect(),
            _ => Vec::new(),
        }
    }

    /// Returns whether a part of it is an expression or typed by diesel, whose columns are unknown.
    #[cfg(any(feature = "_store", test))]
    pub(crate) fn is_opaque(&self) -> bool {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().any(Self::is_opaque),
            Self::Not(inner) => inner.is_opaque(),
            Self::Sql(_) | Self::Typed(_) => true,
            _ => false,
        }
    }

    /// Returns the host's expressions in it.
    pub(crate) fn texts(&self) -> Vec<&Sql> {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().flat_map(Self::texts).collect(),
            Self::Not(inner) => inner.texts(),
            Self::Sql(text) => vec![text],
            _ => Vec::new(),
        }
    }

    /// Returns whether a row that matched certainly still matches after some columns are set. `set`
    /// returns the new value of a column (`Some(None)` is NULL), and `unknown` returns whether a
    /// column is set to an unknown value.
    #[cfg(any(feature = "_store", test))]
    pub(crate) fn stays_true<'s>(
        &self,
        set: &impl Fn(&str) -> Option<Option<&'s Literal>>,
        unknown: &impl Fn(&str) -> bool,
    ) -> bool {
        match self {
            Self::And(all) => all.iter().all(|one| one.stays_true(set, unknown)),
            one => {
                let columns = one.columns();
                let untouched = !columns
                    .iter()
                    .any(|name| set(name).is_some() || unknown(name));
                untouched || one.holds(set) == Some(true)
            }
        }
    }

    /// Returns whether it holds, if the columns that are set decide that.
    #[cfg(any(feature = "_store", test))]
    fn holds<'s>(&self, set: &impl Fn(&str) -> Option<Option<&'s Literal>>) -> Option<bool> {
        Some(match self {
            Self::Eq(name, wanted) => set(name)? == Some(wanted),
            Self::OneOf(name, wanted) => set(name)?.is_some_and(|value| wanted.contains(value)),
            Self::NoneOf(name, unwanted) => {
                !set(name)?.is_some_and(|value| unwanted.contains(value))
            }
            Self::IsNull(name) => set(name)?.is_none(),
            Self::NotNull(name) => set(name)?.is_some(),
            Self::Not(inner) => !inner.holds(set)?,
            Self::And(all) => {
                let mut parts = all.iter().map(|one| one.holds(set));
                return if parts.clone().any(|part| part == Some(false)) {
                    Some(false)
                } else {
                    parts.all(|part| part == Some(true)).then_some(true)
                };
            }
            Self::Or(all) => {
                let mut parts = all.iter().map(|one| one.holds(set));
                return if parts.clone().any(|part| part == Some(true)) {
                    Some(true)
                } else {
                    parts.all(|part| part == Some(false)).then_some(false)
                };
            }
            Self::Sql(_) | Self::Typed(_) => return None,
        })
    }
}

impl From<Sql> for Filter {
    fn from(sql: Sql) -> Self {
        Self::Sql(sql)
    }
}
