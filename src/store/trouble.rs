//! What can go wrong inside a transaction, before it is known what was tried.

use diesel::result::{DatabaseErrorKind, Error};

use super::error::StoreError;
use super::migrations::{Schema, missing_schema};

/// The result of a step inside a transaction.
pub(crate) type Tried<T> = Result<T, Trouble>;

/// Why a step failed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The database said no.
    Query(Error),
    /// The tables are not what they should be.
    Schema(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Query(error)
    }
}

impl Trouble {
    /// Something that is not as it must be, and ends the transaction.
    pub(crate) fn other(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Query(Error::QueryBuilderError(reason.into()))
    }

    /// The error as the store's callers see it.
    pub(crate) fn tell(self, what: &'static str) -> StoreError {
        match self {
            Self::Schema(text) => StoreError::Schema(text),
            Self::Query(error) => match missing_table(&error) {
                Some(schema) => StoreError::Schema(missing_schema(schema)),
                None => StoreError::Query {
                    what,
                    source: error.into(),
                },
            },
        }
    }

    /// What the database said, if it refused to let a row go because of other rows: a foreign key, or what it sets off.
    pub(crate) fn refusal(&self) -> Option<String> {
        use DatabaseErrorKind::{
            CheckViolation, ForeignKeyViolation, NotNullViolation, RestrictViolation,
            UniqueViolation,
        };
        match self {
            Self::Query(Error::DatabaseError(
                CheckViolation | ForeignKeyViolation | NotNullViolation | RestrictViolation
                | UniqueViolation,
                info,
            )) => Some(match info.details() {
                Some(details) => format!("{} ({details})", info.message()),
                None => info.message().to_owned(),
            }),
            _ => None,
        }
    }
}

/// The set a missing table belongs to. Neither database's error code gets through diesel, so the text must do; one in another
/// language is told as it is.
fn missing_table(error: &Error) -> Option<Schema> {
    let Error::DatabaseError(_, info) = error else {
        return None;
    };
    let message = info.message();
    let missing = message.starts_with("no such table")
        || (message.starts_with("relation") && message.ends_with("does not exist"));
    missing.then(|| {
        if message.contains("housekeeper_runs") {
            Schema::Housekeeper
        } else {
            Schema::Booking
        }
    })
}
