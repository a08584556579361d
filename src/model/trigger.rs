//! The reason of a run.

use serde::{Deserialize, Serialize};

/// The reason of a run. Merged triggers report the last of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The previous run failed or crashed.
    Retry,
    /// A row fell due.
    Deadline,
    /// The schedule ticked, or the job was resumed.
    Tick,
    /// The housekeeper started.
    Start,
    /// A message requested it.
    Manual,
}
