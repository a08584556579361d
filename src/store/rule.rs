//! Shared by a rule's statements on both databases: their parts as text, and values bound into
//! them.

mod archive;
mod compiler;
mod failing_rows;
mod faults;
mod hand_on;
mod keeper;
mod keys;
mod lookups;
mod parts;
mod place;
mod placeholders;
mod related;
mod statement;
mod tables;

pub(crate) use failing_rows::{REASON, advice};
#[cfg(feature = "postgres")]
pub(crate) use keys::index;
#[cfg(feature = "sqlite")]
pub(crate) use keys::quoted_list;
pub(crate) use keys::{ForeignKey, OnDelete};
pub(crate) use lookups::without_lookups;
#[cfg(feature = "sqlite")]
pub(crate) use parts::chained;
pub(crate) use parts::{Dialect, alias, equal, identifier, qualified, table_name, tuple};
pub(crate) use place::{cursor, texts};
#[cfg(feature = "sqlite")]
pub(crate) use placeholders::places;
pub(crate) use placeholders::with_constants;
pub(crate) use related::overlap;
#[cfg(feature = "postgres")]
pub(crate) use statement::quoted_text;
pub(crate) use statement::{Bind, Template, param};
pub(crate) use tables::{
    Active, Basics, ColumnFacts, Compiler, HandedRows, Handing, Tables, fires,
};
