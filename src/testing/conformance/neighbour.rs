//! Checks that a row that another client locks does not keep the others.

use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;

use super::walk::{ids, preview, run};
use crate::job::{Job, JobError, Scope};

/// A client of the host's database that locks a due row, or another row that writing it needs: a
/// child, or a row that a trigger updates.
///
/// It needs its own connection. [`Conformance`](super::Conformance) calls the methods in order,
/// with a run between them.
#[async_trait]
pub trait Neighbour: Send {
    /// Begins a transaction that locks the due row `id`, or a row that writing it needs, and
    /// changes nothing.
    async fn lock(&mut self, id: &str) -> Result<(), JobError>;

    /// Rolls the transaction back.
    async fn release(&mut self) -> Result<(), JobError>;
}

/// Runs the job while the neighbour locks the first row, and returns the handled ids; `None` if
/// there is no other row.
pub(super) async fn assert_others_go(
    job: &dyn Job,
    limit: NonZeroU32,
    neighbour: &mut dyn Neighbour,
) -> Result<Option<Vec<String>>, JobError> {
    let due = ids(&preview(job, &Scope::All, limit).await?);
    let Some((held, others)) = due.split_first().filter(|(_, others)| !others.is_empty()) else {
        return Ok(None);
    };
    neighbour.lock(held).await?;
    let done = tokio::time::timeout(WITHIN, run(job, &Scope::All, limit)).await;
    neighbour.release().await?;
    let Ok(done) = done else {
        panic!(
            "a run takes longer than ten seconds while another client holds {held}: skip rows that \
             are locked, or limit the wait for them"
        );
    };
    let (handled, _) = done.unwrap_or_else(|error| {
        panic!(
            "a run fails while another client holds {held}: {}. Skip rows that are locked",
            error.chain()
        )
    });
    let gone = others.iter().filter(|id| handled.contains(id)).count();
    assert!(
        gone * 10 >= others.len() * 9,
        "a run handled {gone} of {} free rows while another client held {held}",
        others.len()
    );
    Ok(Some(handled))
}

/// Longest run beside a locked row.
const WITHIN: Duration = Duration::from_secs(10);
