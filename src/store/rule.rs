//! What a rule's statements share on both databases: their parts as text, and values bound into
//! them.

mod keeper;
mod keys;
mod parts;
mod statement;

pub(crate) use keeper::Keepers;
pub(crate) use keys::{ForeignKey, OnDelete};
pub(crate) use parts::{Dialect, MissingSql, identifier, table_name};
#[cfg(feature = "postgres")]
pub(crate) use statement::quoted_text;
pub(crate) use statement::{Bind, Template, param};

/// Said of a row whose instant cannot be read.
pub(crate) const UNREADABLE: &str = "its instant cannot be read";
