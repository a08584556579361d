//! An expected failure of a job.

use std::error::Error;
use std::fmt;

/// An expected failure of a job: the database is away, a lock was refused, a table is missing.
///
/// Any error converts into one with `?`. It ends the run as
/// [`Outcome::Failed`](crate::Outcome::Failed) and is retried with backoff; it never costs a
/// restart. Only a panic does.
pub struct JobError {
    source: Box<dyn Error + Send + Sync>,
}

impl JobError {
    /// The error and everything that caused it, in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.source.to_string();
        let mut cause = self.source.source();
        while let Some(error) = cause {
            let part = error.to_string();
            if !text.contains(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
            cause = error.source();
        }
        text
    }
}

// `JobError` itself is no `Error`, or this conversion would overlap with the reflexive one.
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for JobError {
    fn from(error: E) -> Self {
        Self {
            source: error.into(),
        }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the run could not begin")]
    struct Outer(#[source] std::fmt::Error);

    #[test]
    fn an_error_is_told_with_its_causes_and_debugged_as_itself() {
        let error = JobError::from(Outer(std::fmt::Error));
        let cause = std::fmt::Error.to_string();

        assert_eq!(
            error.to_string(),
            format!("the run could not begin: {cause}")
        );
        assert_eq!(format!("{error:?}"), "Outer(Error)");
    }
}
