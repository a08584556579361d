//! Checks that a run for one user touches no other user's rows.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use uuid::Uuid;

use super::walk::{ids, preview, run};
use crate::job::{Job, JobError, PreviewRow, Scope};

/// Runs the job for a user without rows, and for one of several users, if it accepts such scopes.
/// Returns the handled ids.
pub(super) async fn assert_one_user(
    job: &dyn Job,
    limit: NonZeroU32,
) -> Result<Vec<String>, JobError> {
    let rows = preview(job, &Scope::All, limit).await?;
    let users: BTreeSet<&str> = rows.iter().filter_map(|row| row.user.as_deref()).collect();
    let strangers = [
        // One user for each common type of key. No row of a test belongs to them.
        Uuid::from_u128(0xdead_beef_dead_4eef_8ead_beef_dead_beef).to_string(),
        "2147483646".to_owned(),
        "stranger".to_owned(),
    ];
    for stranger in strangers {
        let scope = Scope::User(stranger);
        if job.check_scope(&scope).is_err() {
            continue;
        }
        // Fails if the column has another type.
        let Ok(shown) = preview(job, &scope, limit).await else {
            continue;
        };
        assert_eq!(ids(&shown), [""; 0], "a preview for a stranger lists rows");
        let (handled, rejected) = run(job, &scope, limit).await?;
        assert!(
            handled.is_empty() && rejected.is_empty(),
            "a run for a stranger handled rows of others: {handled:?} {rejected:?}"
        );
        break;
    }
    // With only one user, the run over all rows tests more.
    let Some(user) = users.first().filter(|_| users.len() > 1) else {
        return Ok(Vec::new());
    };
    let scope = Scope::user(user);
    if job.check_scope(&scope).is_err() {
        return Ok(Vec::new());
    }
    assert_rows_of(job, limit, &scope, &rows).await
}

async fn assert_rows_of(
    job: &dyn Job,
    limit: NonZeroU32,
    scope: &Scope,
    all: &[PreviewRow],
) -> Result<Vec<String>, JobError> {
    let is_theirs = |row: &&PreviewRow| {
        row.user
            .as_deref()
            .is_some_and(|user| Scope::user(user) == *scope)
    };
    let theirs: BTreeSet<String> = all
        .iter()
        .filter(is_theirs)
        .map(|row| row.id.clone())
        .collect();
    let shown = ids(&preview(job, scope, limit).await?);
    let shown: BTreeSet<String> = shown.into_iter().collect();
    assert_eq!(
        shown, theirs,
        "a preview for {scope} (left) lists other rows than theirs (right)"
    );
    let (handled, rejected) = run(job, scope, limit).await?;
    let done: BTreeSet<String> = handled.iter().chain(&rejected).cloned().collect();
    assert_eq!(
        done, theirs,
        "a run for {scope} (left) handled other rows than theirs (right)"
    );
    Ok(handled)
}
