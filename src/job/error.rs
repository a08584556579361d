//! An expected failure of a job.

use std::error::Error;
use std::fmt;

/// An expected failure of a job, such as an unreachable database, a lock timeout or a missing
/// table.
///
/// Any error converts into one with `?`. It ends the run as
/// [`Outcome::Failed`](crate::Outcome::Failed), and the housekeeper retries with backoff. Only a
/// panic restarts the worker.
pub struct JobError {
    source: Box<dyn Error + Send + Sync>,
}

impl JobError {
    /// Returns the error as its own type, if it is an `E`.
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.source.downcast_ref()
    }

    /// Returns the error and its chain of causes in one line. Skips a cause whose text is already
    /// part of the line.
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

// `JobError` does not implement `Error`: this conversion would overlap with the reflexive one.
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for JobError {
    fn from(error: E) -> Self {
        Self {
            source: error.into(),
        }
    }
}

/// So that `?` takes it in a `main` that returns `Box<dyn Error>`.
impl From<JobError> for Box<dyn Error> {
    fn from(error: JobError) -> Self {
        error.source
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
    #[error("could not begin the run")]
    struct Outer(#[source] std::fmt::Error);

    #[test]
    fn an_error_displays_its_causes() {
        let error = JobError::from(Outer(std::fmt::Error));
        let cause = std::fmt::Error.to_string();

        assert_eq!(
            error.to_string(),
            format!("could not begin the run: {cause}")
        );
        assert_eq!(format!("{error:?}"), "Outer(Error)");
        assert!(error.downcast_ref::<Outer>().is_some());
        assert!(error.downcast_ref::<std::fmt::Error>().is_none());
        let boxed: Box<dyn Error> = error.into();
        assert!(boxed.downcast_ref::<Outer>().is_some());
    }
}
