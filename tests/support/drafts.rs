use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ractor_housekeeper::{Job, JobName, Scope};
use ractor_housekeeper::job::{Batch, BatchRequest, BoundedCount, Cursor, Forecast, JobError, Page, PreviewRow, PreviewRows, RunBounds};
use ractor_housekeeper::time::Clock;

/// Drafts of letters: when each was saved, and its title.
type Drafts = Arc<Mutex<Vec<(DateTime<Utc>, String)>>>;

/// Deletes drafts that were last saved 30 days ago.
struct DraftSweeper {
    drafts: Drafts,
    clock: Arc<dyn Clock>,
}

impl DraftSweeper {
    const AGE: TimeDelta = TimeDelta::days(30);

    /// The rule. Run, preview and forecast all ask here.
    fn old(&self, cutoff: DateTime<Utc>, after: Option<&Cursor>, limit: i64) -> Vec<Cursor> {
        let drafts = self.drafts.lock().unwrap();
        let places = drafts.iter().map(|(since, id)| Cursor::new(*since, id.as_str()));
        let mut old: Vec<Cursor> = places
            .filter(|place| place.since() < cutoff && after.is_none_or(|after| place > after))
            .collect();
        old.sort();
        old.truncate(limit as usize);
        old
    }

    fn due(&self, cutoff: DateTime<Utc>) -> BoundedCount {
        BoundedCount::from_probe(self.old(cutoff, None, BoundedCount::PROBE).len() as u64)
    }
}

#[async_trait]
impl Job for DraftSweeper {
    fn name(&self) -> JobName {
        JobName::new("draft-sweeper")
    }

    /// Drafts have no owner.
    fn check_scope(&self, scope: &Scope) -> Result<(), String> {
        match scope {
            Scope::All => Ok(()),
            Scope::User(_) => Err("drafts are not kept by user".to_owned()),
        }
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        let now = self.clock.now();
        Ok(RunBounds::new(now, now - Self::AGE))
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        let old = self.old(request.cutoff, request.after.as_ref(), request.limit.get().into());
        let batch = Batch::claimed(request, old);
        self.drafts.lock().unwrap().retain(|(_, id)| !batch.ids.contains(id));
        let count = batch.ids.len() as u64;
        Ok(batch.with_count("drafts", count))
    }

    async fn preview(&self, _scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        let RunBounds { cutoff, .. } = self.begin_run().await?;
        let old = self.old(cutoff, page.after.as_ref(), page.probe());
        let rows = old.into_iter().map(|row| PreviewRow { id: row.id().to_owned(), user: None, since: row.since(), details: [].into() });
        Ok(PreviewRows::of_page(page, cutoff, self.due(cutoff), rows))
    }

    async fn forecast(&self, _rejected: &[String]) -> Result<Forecast, JobError> {
        let bounds = self.begin_run().await?;
        let oldest = self.drafts.lock().unwrap().iter().map(|(since, _)| *since).min();
        Ok(Forecast::from_oldest(&bounds, oldest, self.due(bounds.cutoff)))
    }
}
