//! The reception desk: an actor of the host's that is told what the housekeeper does, and keeps
//! account of it.

use chrono::{DateTime, Utc};
use ractor::{ActorProcessingErr, ActorRef, RpcReplyPort};
use ractor_housekeeper::actors::Delivery;
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::job::Counts;
use ractor_housekeeper::model::Event;
use ractor_housekeeper::{Outcome, Report};

pub(crate) struct Reception;

pub(crate) enum ReceptionMsg {
    /// The housekeeper did something.
    Housekeeping(Delivery),
    /// Tell what it has done so far.
    Account(RpcReplyPort<Account>),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    /// Rows by kind, summed over reports.
    pub(crate) reported: Counts,
    /// Rows by kind, summed over batches.
    pub(crate) committed: Counts,
    /// Bookings heard to have expired, and when we heard.
    pub(crate) expiries: Vec<(String, DateTime<Utc>)>,
    pub(crate) outages: Vec<Outage>,
    pub(crate) missed: u64,
    pub(crate) runs: u64,
    /// When the run that crashed last had begun.
    crashed: Option<DateTime<Utc>>,
}

/// From the beginning of a run that crashed until the announced restart of its worker.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    pub(crate) from: DateTime<Utc>,
    pub(crate) until: DateTime<Utc>,
}

#[ractor::actor(message = ReceptionMsg, state = Account, arguments = ())]
impl Reception {
    async fn pre_start(
        &self,
        _: ActorRef<ReceptionMsg>,
        (): (),
    ) -> Result<Account, ActorProcessingErr> {
        Ok(Account::default())
    }

    async fn handle(
        &self,
        _: ActorRef<ReceptionMsg>,
        message: ReceptionMsg,
        account: &mut Account,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ReceptionMsg::Housekeeping(event) => account.note(&event),
            ReceptionMsg::Account(reply) => {
                // The caller may have timed out.
                let _ = reply.send(account.clone());
            }
        }
        Ok(())
    }
}

impl Account {
    fn note(&mut self, event: &Delivery) {
        self.missed += event.missed;
        match &*event.event {
            Event::BatchCommitted {
                job, counts, ids, ..
            } => {
                self.committed.merge(counts);
                if *job == BookingExpirer::NAME {
                    let now = Utc::now();
                    self.expiries.extend(ids.iter().map(|id| (id.clone(), now)));
                }
            }
            Event::RunFinished(report) => self.note_report(report),
            Event::WorkerRestarting { job, reason, at } => {
                let wait = (*at - Utc::now()).num_milliseconds().max(0);
                println!("  {job}: its worker died ({reason}) and starts again in {wait}ms");
                let from = self.crashed.take();
                self.outages
                    .extend(from.map(|from| Outage { from, until: *at }));
            }
            Event::JobDegraded { job, reason, .. } => println!("  {job} is degraded: {reason}"),
            _ => {}
        }
    }

    fn note_report(&mut self, report: &Report) {
        self.runs += 1;
        self.reported.merge(&report.counts);
        if matches!(report.outcome, Outcome::Crashed { .. }) {
            self.crashed = Some(report.started_at);
        }
        // Runs that met nothing are the rule at four a second.
        if report.counts.total() > 0 || !report.success() {
            println!("  {report}");
        }
    }
}
