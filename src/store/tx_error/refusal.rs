//! Which errors are about a row, and which about the database or the statement.

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error};

/// Returns the database's text if it refused one row: a constraint, or a host's trigger that raised
/// an error.
pub(super) fn refusal(error: &Error) -> Option<String> {
    use DatabaseErrorKind::{
        CheckViolation, ExclusionViolation, ForeignKeyViolation, NotNullViolation,
        RestrictViolation, UniqueViolation, Unknown,
    };
    let Error::DatabaseError(kind, info) = error else {
        return None;
    };
    let is_refusal = match kind {
        CheckViolation | ExclusionViolation | ForeignKeyViolation | NotNullViolation
        | RestrictViolation | UniqueViolation => true,
        // An error raised by a trigger shares this kind with most other errors.
        Unknown => !concerns_all_rows(info.as_ref()),
        _ => false,
    };
    is_refusal.then(|| match info.details() {
        Some(details) => format!("{} ({details})", info.message()),
        None => info.message().to_owned(),
    })
}

/// An error that another row would meet as well.
///
/// diesel passes the codes of constraints as kinds, and hides all others
/// (<https://github.com/diesel-rs/diesel/pull/5232>), so the text must do. The texts of SQLite are
/// the same everywhere. Rules on Postgres do not ask here: they write row by row inside the server,
/// which knows the SQLSTATE. In a hand-written job an error of Postgres in another language counts
/// as a refusal: its row is rejected, with the text, and tried again in the next run.
fn concerns_all_rows(info: &dyn DatabaseErrorInformation) -> bool {
    let message = info.message();
    // Postgres points at a place only in a statement it cannot make sense of: syntax, a missing
    // table or column.
    info.statement_position().is_some()
        || STARTS.iter().any(|start| message.starts_with(start))
        || (message.ends_with("does not exist")
            && MISSING.iter().any(|kind| message.starts_with(kind)))
        || message.contains("No space left on device")
        || (message.starts_with("near \"") && message.ends_with("syntax error"))
        || STATEMENT.iter().any(|part| message.contains(part))
        || (message.starts_with("error in ") && message.contains(": no such "))
}

/// How the messages begin. Long enough that the host's trigger is unlikely to say the same
/// about a row.
const STARTS: &[&str] = &[
    // SQLite: locks, and a statement that was ended.
    "database is locked",
    "database table is locked",
    "database schema is locked",
    "database schema has changed",
    "locking protocol",
    "interrupted",
    // SQLite: the file, the disk, the memory.
    "attempt to write a readonly database",
    "database or disk is full",
    "disk I/O error",
    "database disk image is malformed",
    "unable to open database file",
    "file is not a database",
    "out of memory",
    "access permission denied",
    "not authorized",
    // SQLite: the statement, or the tables it meets.
    "no such ",
    "unknown database",
    "incomplete input",
    "unrecognized token",
    "ambiguous column name",
    "bad parameter or other API misuse",
    // SQLite: a trigger ended the whole transaction, and there is nothing left to go back to.
    "cannot rollback",
    "cannot commit",
    "cannot start a transaction within a transaction",
    "cannot release savepoint",
    // Postgres: locks, limits, and a server that goes away.
    "canceling ",
    "deadlock detected",
    "could not obtain lock",
    "could not serialize access",
    "terminating connection",
    "connection closed",
    "current transaction is aborted",
    "the database system is ",
    "sorry, too many clients already",
    "remaining connection slots",
    // Postgres: the disk, the memory.
    "could not extend file",
    "could not write ",
    "could not read ",
    "could not open ",
    "could not access ",
    "could not fsync ",
    "could not resize shared memory",
    "could not create file",
    "invalid page in block",
    "out of shared memory",
    "stack depth limit exceeded",
    "temporary file size exceeds",
    "database is not accepting commands",
    // Postgres: the statement, or the tables it meets.
    "syntax error",
    "permission denied",
    "must be owner of",
    "cannot execute ",
    "cached plan must not change result type",
    "record \"",
    // Postgres: the session, and what it has prepared.
    "prepared statement \"",
    "unnamed prepared statement",
    "type of parameter ",
    "bind message supplies ",
    "cache lookup failed ",
    "tuple concurrently updated",
    "connection to client lost",
    // PgBouncer.
    "query_wait_timeout",
    "server conn crashed",
    "unsupported startup parameter",
];

/// Parts of what is said of a statement that cannot be run, whatever the row is.
const STATEMENT: &[&str] = &[
    // SQLite: a trigger, or a key, that no longer fits its tables.
    " has no column named ",
    "foreign key mismatch - ",
    "wrong number of arguments to function ",
    "because it is a view",
    " is circularly defined",
    "malformed database schema",
    " values were supplied",
    " values for ",
    "unsafe use of ",
    // Postgres.
    "does not match that when preparing the plan",
];

/// Missing objects, on Postgres, without which no row can be handled.
const MISSING: &[&str] = &[
    "relation ",
    "column ",
    "function ",
    "schema ",
    "type ",
    "operator ",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_about_a_row_is_a_refusal() {
        let table = [
            (
                DatabaseErrorKind::ForeignKeyViolation,
                "FOREIGN KEY constraint failed",
                true,
            ),
            (
                DatabaseErrorKind::ExclusionViolation,
                "conflicting key value",
                true,
            ),
            (
                DatabaseErrorKind::Unknown,
                "the guest has an open invoice",
                true,
            ),
            (DatabaseErrorKind::Unknown, "the room is locked", true),
            (
                DatabaseErrorKind::Unknown,
                "no longer than a column does not exist",
                true,
            ),
            (
                DatabaseErrorKind::SerializationFailure,
                "could not serialize access",
                false,
            ),
            (
                DatabaseErrorKind::ReadOnlyTransaction,
                "cannot execute UPDATE",
                false,
            ),
            (
                DatabaseErrorKind::ClosedConnection,
                "connection closed",
                false,
            ),
            (DatabaseErrorKind::UnableToSendCommand, "anything", false),
            (DatabaseErrorKind::Unknown, "database is locked", false),
            (
                DatabaseErrorKind::Unknown,
                "database or disk is full",
                false,
            ),
            (DatabaseErrorKind::Unknown, "disk I/O error", false),
            (
                DatabaseErrorKind::Unknown,
                "attempt to write a readonly database",
                false,
            ),
            (DatabaseErrorKind::Unknown, "interrupted", false),
            (
                DatabaseErrorKind::Unknown,
                "no such column: held_until",
                false,
            ),
            (
                DatabaseErrorKind::Unknown,
                "no such savepoint: diesel_savepoint_1",
                false,
            ),
            (
                DatabaseErrorKind::Unknown,
                "near \"fro\": syntax error",
                false,
            ),
            (
                DatabaseErrorKind::Unknown,
                "canceling statement due to lock timeout",
                false,
            ),
            (
                DatabaseErrorKind::Unknown,
                "canceling statement due to user request",
                false,
            ),
            (DatabaseErrorKind::Unknown, "deadlock detected", false),
            (
                DatabaseErrorKind::Unknown,
                "terminating connection due to administrator command",
                false,
            ),
            (
                DatabaseErrorKind::Unknown,
                "column \"held_until\" does not exist",
                false,
            ),
            (
                DatabaseErrorKind::Unknown,
                "could not extend file \"base/1\": No space left on device",
                false,
            ),
        ];

        for (kind, message, expected) in table {
            let error = Error::DatabaseError(kind, Box::new(message.to_owned()));

            let said = refusal(&error);

            assert_eq!(said.is_some(), expected, "{message}");
        }
        assert_eq!(refusal(&Error::NotFound), None);
    }

    #[test]
    fn an_error_of_the_session_or_of_a_trigger_is_no_refusal() {
        let texts = [
            "prepared statement \"s453\" already exists",
            "type of parameter 17 (text) does not match that when preparing the plan",
            "table log has no column named booking",
            "foreign key mismatch - \"notes\" referencing \"bookings\"",
        ];

        for text in texts {
            let kind = DatabaseErrorKind::Unknown;
            let error = Error::DatabaseError(kind, Box::new(text.to_owned()));

            assert_eq!(refusal(&error), None, "{text}");
        }
    }
}
