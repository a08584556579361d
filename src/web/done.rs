//! The act of a form, in the query of the page that it leads to.

use crate::model::RunId;

/// The act of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    Ran(RunId),
    Running,
    Cancelled(RunId),
    NotRunning,
    Paused,
    Resumed,
    RanAll,
    RunningAll,
}

impl Done {
    pub(crate) fn query(self) -> String {
        match self {
            Self::Ran(run) => format!("done=ran&run={run}"),
            Self::Cancelled(run) => format!("done=cancelled&run={run}"),
            other => format!("done={}", other.word()),
        }
    }

    /// The run that the result is about.
    pub(crate) fn run(self) -> Option<RunId> {
        match self {
            Self::Ran(run) | Self::Cancelled(run) => Some(run),
            _ => None,
        }
    }

    pub(crate) fn parse(word: &str, run: Option<RunId>) -> Option<Self> {
        let words = [
            Self::Running,
            Self::NotRunning,
            Self::Paused,
            Self::Resumed,
            Self::RanAll,
            Self::RunningAll,
        ];
        let with_run = run
            .into_iter()
            .flat_map(|run| [Self::Ran(run), Self::Cancelled(run)]);
        words
            .into_iter()
            .chain(with_run)
            .find(|done| done.word() == word)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Ran(_) => "ran",
            Self::Running => "running",
            Self::Cancelled(_) => "cancelled",
            Self::NotRunning => "not_running",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::RanAll => "ran_all",
            Self::RunningAll => "running_all",
        }
    }
}
