//! Errors inside a transaction, before the attempted step is known.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::result::Error;

use super::migrations::{Schema, missing_schema};
use crate::model::StoreError;
use crate::rule::OUTBOX;

mod refusal;

/// Returns the database's reason if it refused one row and may accept others: a constraint, or an
/// error that a trigger raised. `None` for an error that any row would meet.
///
/// diesel passes the codes of constraints, and hides all others, so the text of an error decides
/// whether it is one that any row would meet. A trigger whose text begins like an error of the
/// database ends the run, and an error of Postgres in another language rejects the row: declared
/// rules see the code, or the trigger.
///
/// A hand-written job reports such a row in [`Batch::rejected`](crate::job::Batch::rejected) and
/// continues. To undo the failed attempt alone, it tries each row in a transaction of its own
/// within the batch's, which diesel makes a savepoint.
///
/// # Examples
///
/// ```
/// use diesel::result::{DatabaseErrorKind, Error};
/// use ractor_housekeeper::store::refusal;
///
/// let text = Box::new("FOREIGN KEY constraint failed".to_owned());
/// let kept = Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, text);
///
/// assert_eq!(refusal(&kept).as_deref(), Some("FOREIGN KEY constraint failed"));
/// assert_eq!(refusal(&Error::BrokenTransactionManager), None);
/// ```
#[must_use]
pub fn refusal(error: &Error) -> Option<String> {
    refusal::refusal(error)
}

/// The result of a step inside a transaction.
pub(crate) type TxResult<T> = Result<T, TxError>;

/// Why a step failed.
#[derive(Debug)]
pub(crate) enum TxError {
    /// The database said no.
    Query(Error),
    /// The tables are not what they should be.
    Schema(String),
    /// The tables are not what they should be, on a connection whose settings were changed.
    #[cfg(feature = "postgres")]
    Session(String),
    /// A due row was neither changed nor refused: the host's trigger skips it.
    SuppressedByTrigger,
    /// A row was set, and the rule matches it as before. No trigger is the cause.
    #[cfg(feature = "sqlite")]
    StillDue,
}

impl From<Error> for TxError {
    fn from(error: Error) -> Self {
        Self::Query(error)
    }
}

impl TxError {
    /// Something that is not as it must be, and ends the transaction.
    pub(crate) fn other(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Query(Error::QueryBuilderError(reason.into()))
    }

    /// The caller was dropped and has reported a failure.
    #[cfg(feature = "sqlite")]
    pub(crate) fn unasked() -> Self {
        Self::other("its caller was dropped")
    }

    /// Rows are handled only if new activity is sure to touch them. A lag that is raised in the
    /// middle of a run is noticed at its next batch.
    pub(crate) fn unless_throttle_fits(
        now: DateTime<Utc>,
        cutoff: DateTime<Utc>,
        throttle_us: i64,
    ) -> TxResult<()> {
        match Self::lag_problem(crate::time::since(now, cutoff), throttle_us) {
            Some(problem) => Err(Self::Schema(problem)),
            None => Ok(()),
        }
    }

    /// Why rows of this age must not be handled, if their activity is noted so many microseconds
    /// late.
    pub(crate) fn lag_problem(age: Duration, lag_us: i64) -> Option<String> {
        match lag_us {
            NOT_NOTED => Some(
                "activity is not noted, because its trigger is missing, off or altered: a row that looks idle may be in use"
                    .to_owned(),
            ),
            NOT_READ => Some(
                "by how much noted activity may lag cannot be read: the table that says so has no row"
                    .to_owned(),
            ),
            _ => {
                let lag = Duration::from_micros(u64::try_from(lag_us).unwrap_or(0));
                StoreError::throttle_problem(age, lag)
            }
        }
    }

    /// Returns the error for the store's callers, as a failure of the step `what`.
    pub(crate) fn into_store_error(self, what: &'static str) -> StoreError {
        match self {
            Self::Schema(text) => StoreError::Schema(text),
            #[cfg(feature = "postgres")]
            Self::Session(text) => StoreError::Schema(text),
            Self::SuppressedByTrigger => Self::other(WITHHELD).into_store_error(what),
            #[cfg(feature = "sqlite")]
            Self::StillDue => Self::other(STILL_DUE).into_store_error(what),
            Self::Query(error) => match missing_table(&error) {
                Some(schema) => StoreError::Schema(missing_schema(schema)),
                None => StoreError::Query {
                    what,
                    source: error.into(),
                },
            },
        }
    }

    /// Whether the rows of a batch may fare better one by one.
    #[cfg(feature = "postgres")]
    pub(crate) fn goes_row_by_row(&self) -> bool {
        matches!(self, Self::SuppressedByTrigger) || self.concerns_statement()
    }

    /// Whether the database had something to say to the statement, and may say something else to
    /// another.
    #[cfg(feature = "postgres")]
    pub(crate) fn concerns_statement(&self) -> bool {
        use diesel::result::DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};
        matches!(self, Self::Query(Error::DatabaseError(kind, _))
            if !matches!(kind, ClosedConnection | UnableToSendCommand))
    }

    /// The database's text, if it refused a row and would accept others.
    #[cfg(feature = "sqlite")]
    pub(crate) fn refusal(&self) -> Option<String> {
        match self {
            Self::Query(error) => refusal::refusal(error),
            Self::Schema(_) => None,
            #[cfg(feature = "postgres")]
            Self::Session(_) => None,
            Self::SuppressedByTrigger => Some(WITHHELD.to_owned()),
            Self::StillDue => Some(STILL_DUE.to_owned()),
        }
    }
}

#[cfg(feature = "sqlite")]
impl TxError {
    /// Returns the text of an error of which diesel knows no kind.
    pub(crate) fn unknown(&self) -> Option<String> {
        use diesel::result::DatabaseErrorKind::Unknown;
        match self {
            Self::Query(Error::DatabaseError(Unknown, info)) => Some(info.message().to_owned()),
            _ => None,
        }
    }
}

/// Stands for the lag of activity whose trigger is missing or off.
pub(crate) const NOT_NOTED: i64 = -1;

/// Stands for a lag that is NULL.
pub(crate) const NOT_READ: i64 = -2;

/// The error for a row that a trigger skips silently.
pub(crate) const WITHHELD: &str = "a trigger of the database withholds it";

/// The error for a row that a rule sets in vain.
pub(crate) const STILL_DUE: &str =
    "the rule matches it as before once it is set: set what `only` or `due` reads";

/// The set of the crate's own tables that one is missing of. Neither database's error code gets
/// through diesel, so the text must do; one in another language stays as it is.
fn missing_table(error: &Error) -> Option<Schema> {
    let Error::DatabaseError(_, info) = error else {
        return None;
    };
    let message = info.message();
    let missing = message.starts_with("no such table")
        || (message.starts_with("relation") && message.ends_with("does not exist"));
    let tables = [
        ("housekeeper_runs", Schema::Housekeeper),
        ("housekeeper_pauses", Schema::Housekeeper),
        ("housekeeper_instances", Schema::Housekeeper),
        (OUTBOX, Schema::Outbox),
    ];
    let named = |(table, _): &(&str, Schema)| missing && message.contains(table);
    tables.into_iter().find(named).map(|(_, schema)| schema)
}
