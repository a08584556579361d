//! The host's switches: pause, resume, cancel, reschedule.

use super::state::State;
use crate::config::Schedule;
use crate::job::{JobName, Scope};
use crate::model::{Event, Outcome, RequestError, RunId, Trigger};

impl State {
    pub(super) fn pause(&mut self, job: &JobName) -> Result<bool, RequestError> {
        let desk = self.desk(job)?;
        let was_paused = desk.agenda.is_paused();
        desk.agenda.pause();
        // A tick or a retry that waits for its turn is held back as well; the resume runs once for
        // all of them.
        desk.queue.keep_asked();
        self.arm(job);
        if !was_paused {
            self.subscribers.tell(Event::JobPaused { job: job.clone() });
        }
        self.judge(job);
        Ok(!was_paused)
    }

    pub(super) async fn resume(&mut self, job: &JobName) -> Result<bool, RequestError> {
        let now = self.watch.now();
        let desk = self.desk(job)?;
        let was_paused = desk.agenda.is_paused();
        if was_paused {
            desk.agenda.resume(now);
            self.subscribers
                .tell(Event::JobResumed { job: job.clone() });
            self.request(job, Scope::All, Trigger::Tick, None).await;
        }
        Ok(was_paused)
    }

    pub(super) fn cancel(&mut self, job: &JobName) -> Result<Option<RunId>, RequestError> {
        let desk = self.desk(job)?;
        let Some(run) = desk.running.as_ref().map(|running| running.report.run) else {
            return Ok(None);
        };
        desk.end_run(Outcome::Cancelled);
        // Or a tick that came during the run would begin it anew at once.
        desk.queue.keep_asked();
        Ok(Some(run))
    }

    pub(super) fn reschedule(
        &mut self,
        job: &JobName,
        schedule: Schedule,
    ) -> Result<(), RequestError> {
        let now = self.watch.now();
        let desk = self.desk(job)?;
        schedule
            .check("schedule")
            .map_err(|error| RequestError::Schedule {
                problem: error.to_string(),
            })?;
        desk.agenda.reschedule(schedule.clone(), now);
        self.arm(job);
        self.subscribers.tell(Event::JobRescheduled {
            job: job.clone(),
            schedule,
        });
        self.judge(job);
        Ok(())
    }
}
