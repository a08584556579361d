//! Statements whose text is known when a rule is compiled, and whose values are bound when they
//! run.

use std::marker::PhantomData;
use std::sync::Arc;

use diesel::QueryResult;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::Text;

/// Encloses the name of a value in a text that becomes a [`Template`]. No SQL of a host holds it.
const MARK: char = '\u{1}';

/// The place of a value in a text that becomes a [`Template`].
pub(crate) fn param(name: &str) -> String {
    format!("{MARK}{name}{MARK}")
}

/// A statement with places for values, by name.
#[derive(Debug, Clone)]
pub(crate) struct Template(Arc<[Piece]>);

#[derive(Debug)]
enum Piece {
    Text(String),
    Value(String),
}

/// A value in a statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Bind {
    /// A text, which the statement casts to what it needs.
    Text(String),
    /// NULL.
    Null,
    /// Several texts. Postgres only.
    #[cfg(feature = "postgres")]
    Texts(Vec<String>),
    /// A whole number. SQLite only, which compares values by their types first.
    #[cfg(feature = "sqlite")]
    Integer(i64),
    /// A number.
    #[cfg(feature = "sqlite")]
    Real(f64),
    /// Bytes.
    #[cfg(feature = "sqlite")]
    Blob(Vec<u8>),
}

impl Template {
    /// Reads a text in which [`param`](super::param) marks the places for values.
    pub(crate) fn new(text: &str) -> Self {
        let pieces = text.split(MARK).enumerate().map(|(number, piece)| {
            if number % 2 == 0 {
                Piece::Text(piece.to_owned())
            } else {
                Piece::Value(piece.to_owned())
            }
        });
        Self(pieces.collect())
    }

    /// The same statement behind a word, such as `EXPLAIN`.
    #[cfg(feature = "sqlite")]
    pub(crate) fn prefixed(&self, word: &str) -> Self {
        let mut pieces = vec![Piece::Text(word.to_owned())];
        pieces.extend(self.0.iter().map(|piece| match piece {
            Piece::Text(text) => Piece::Text(text.clone()),
            Piece::Value(name) => Piece::Value(name.clone()),
        }));
        Self(pieces.into())
    }

    /// The statement with these values, whose rows are of `ST`.
    pub(crate) fn bind<ST>(&self, value: impl Fn(&str) -> Bind) -> Statement<ST> {
        let values = self.0.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Value(name) => Some(value(name)),
        });
        Statement {
            template: self.clone(),
            values: values.collect(),
            rows: PhantomData,
        }
    }

    /// The statement with the values in its text, for Postgres.
    #[cfg(feature = "postgres")]
    pub(crate) fn inline(&self, value: impl Fn(&str) -> Bind) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Value(name) => match value(name) {
                Bind::Text(text) => quoted_text(&text),
                Bind::Null => "NULL".to_owned(),
                Bind::Texts(texts) => {
                    let quoted: Vec<String> = texts.iter().map(|text| quoted_text(text)).collect();
                    format!("ARRAY[{}]::text[]", quoted.join(", "))
                }
                #[cfg(feature = "sqlite")]
                Bind::Integer(_) | Bind::Real(_) | Bind::Blob(_) => "NULL".to_owned(),
            },
        });
        pieces.collect()
    }
}

/// A text constant of Postgres.
#[cfg(feature = "postgres")]
pub(crate) fn quoted_text(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    // Says by itself what a backslash means, whatever `standard_conforming_strings` is.
    if text.contains('\\') {
        format!(" E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// A template with its values.
#[derive(Debug, Clone)]
pub(crate) struct Statement<ST> {
    template: Template,
    values: Vec<Bind>,
    rows: PhantomData<fn() -> ST>,
}

impl<ST> Query for Statement<ST> {
    type SqlType = ST;
}

impl<ST, Conn> diesel::RunQueryDsl<Conn> for Statement<ST> {}

/// The prepared statement is found again by its text.
impl<ST> QueryId for Statement<ST> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST> Statement<ST> {
    fn pieces(&self) -> impl Iterator<Item = Result<&str, &Bind>> {
        let mut values = self.values.iter();
        self.template.0.iter().filter_map(move |piece| match piece {
            Piece::Text(text) => Some(Ok(text.as_str())),
            Piece::Value(_) => values.next().map(Err),
        })
    }
}

#[cfg(feature = "postgres")]
impl<ST> QueryFragment<diesel::pg::Pg> for Statement<ST> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
        use diesel::sql_types::{Array, Nullable};
        for piece in self.pieces() {
            match piece {
                Ok(text) => out.push_sql(text),
                Err(Bind::Text(text)) => out.push_bind_param::<Text, _>(text)?,
                Err(Bind::Null) => out.push_bind_param::<Nullable<Text>, _>(&None::<String>)?,
                Err(Bind::Texts(texts)) => out.push_bind_param::<Array<Text>, _>(texts)?,
                #[cfg(feature = "sqlite")]
                Err(Bind::Integer(_) | Bind::Real(_) | Bind::Blob(_)) => return Err(foreign()),
            }
        }
        Ok(())
    }
}

#[cfg(feature = "sqlite")]
impl<ST> QueryFragment<diesel::sqlite::Sqlite> for Statement<ST> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        use diesel::sql_types::{BigInt, Binary, Double, Nullable};
        for piece in self.pieces() {
            match piece {
                Ok(text) => {
                    // SQLite does not prepare an `EXPLAIN` again once the schema was changed.
                    if text.starts_with("EXPLAIN") {
                        out.unsafe_to_cache_prepared();
                    }
                    out.push_sql(text);
                }
                Err(Bind::Text(text)) => out.push_bind_param::<Text, _>(text)?,
                Err(Bind::Null) => out.push_bind_param::<Nullable<Text>, _>(&None::<String>)?,
                Err(Bind::Integer(number)) => out.push_bind_param::<BigInt, _>(number)?,
                Err(Bind::Real(number)) => out.push_bind_param::<Double, _>(number)?,
                Err(Bind::Blob(bytes)) => out.push_bind_param::<Binary, _>(bytes)?,
                #[cfg(feature = "postgres")]
                Err(Bind::Texts(_)) => return Err(foreign()),
            }
        }
        Ok(())
    }
}

#[cfg(all(feature = "postgres", feature = "sqlite"))]
fn foreign() -> diesel::result::Error {
    diesel::result::Error::QueryBuilderError("a value of the other database".into())
}
