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
    fn old(&self, cutoff: DateTime<Utc>, after: Option<&Cursor>, limit: u32) -> Vec<Cursor> {
        let drafts = self.drafts.lock().unwrap();
        let places = drafts.iter().map(|(since, id)| Cursor { since: *since, id: id.clone() });
        let mut old: Vec<Cursor> = places
            .filter(|place| place.since < cutoff && after.is_none_or(|after| place > after))
            .collect();
        old.sort();
        old.truncate(limit as usize);
        old
    }
}

#[async_trait]
impl Job for DraftSweeper {
    fn name(&self) -> JobName {
        JobName::new("draft-sweeper")
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        let now = self.clock.now();
        Ok(RunBounds::new(now, now - Self::AGE))
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        let old = self.old(request.cutoff, request.after.as_ref(), request.limit.get());
        let full = old.len() == request.limit.get() as usize;
        self.drafts.lock().unwrap().retain(|(_, id)| old.iter().all(|place| place.id != *id));
        let next_cursor = old.last().filter(|_| full).cloned();
        let count = old.len() as u64;
        let ids = old.into_iter().map(|place| place.id).collect();
        Ok(Batch::new(ids, next_cursor).with_count("drafts", count))
    }

    async fn preview(&self, _scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        let RunBounds { cutoff, .. } = self.begin_run().await?;
        let size = page.size.get();
        let mut old = self.old(cutoff, page.after.as_ref(), size + 1);
        let more = old.len() > size as usize;
        old.truncate(size as usize);
        let due = BoundedCount::from_probe(self.old(cutoff, None, 10_001).len() as u64);
        let next = old.last().filter(|_| more).cloned();
        let row = |Cursor { since, id }| PreviewRow { id, user: None, since, details: [].into() };
        Ok(PreviewRows::new(cutoff, old.into_iter().map(row).collect(), due, next))
    }

    async fn forecast(&self, _rejected: &[String]) -> Result<Forecast, JobError> {
        let RunBounds { now, cutoff, .. } = self.begin_run().await?;
        let due = BoundedCount::from_probe(self.old(cutoff, None, 10_001).len() as u64);
        let oldest = self.drafts.lock().unwrap().iter().map(|(since, _)| *since).min();
        // Strictly older than the cutoff: a microsecond more than the age.
        let falls_due = oldest.map(|oldest| oldest + Self::AGE + TimeDelta::microseconds(1));
        let overdue = falls_due.filter(|_| due.count > 0).and_then(|at| (now - at).to_std().ok());
        let next_due = falls_due.map(|at| (at - now).to_std().unwrap_or_default());
        let forecast = Forecast::default().with_due(due, overdue).with_next_due(next_due);
        Ok(forecast.with_max_age(Self::AGE.to_std().ok()))
    }
}
