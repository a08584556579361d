//! The host's actor that subscribes to the housekeeper's events and sums them up.

use chrono::{DateTime, Utc};
use ractor::{ActorProcessingErr, ActorRef, RpcReplyPort};
use ractor_housekeeper::actors::Delivery;
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::job::Counts;
use ractor_housekeeper::model::Event;
use ractor_housekeeper::{Outcome, Report};

pub(crate) struct Observer;

pub(crate) enum ObserverMsg {
    Event(Delivery),
    Totals(RpcReplyPort<Totals>),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    /// Rows by kind, summed over reports.
    pub(crate) reported: Counts,
    /// Rows by kind, summed over batches.
    pub(crate) committed: Counts,
    /// Bookings that events report as expired, with the time of arrival.
    pub(crate) expiries: Vec<(String, DateTime<Utc>)>,
    pub(crate) outages: Vec<Outage>,
    pub(crate) missed: u64,
    pub(crate) runs: u64,
    /// The start of the run that crashed last.
    crashed: Option<DateTime<Utc>>,
}

/// From the start of a crashed run to the announced restart of its worker.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    pub(crate) from: DateTime<Utc>,
    pub(crate) until: DateTime<Utc>,
}

#[ractor::actor(message = ObserverMsg, state = Totals, arguments = ())]
impl Observer {
    async fn pre_start(
        &self,
        _: ActorRef<ObserverMsg>,
        (): (),
    ) -> Result<Totals, ActorProcessingErr> {
        Ok(Totals::default())
    }

    async fn handle(
        &self,
        _: ActorRef<ObserverMsg>,
        message: ObserverMsg,
        totals: &mut Totals,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ObserverMsg::Event(event) => totals.add(&event),
            ObserverMsg::Totals(reply) => {
                // Fails when the caller has timed out.
                let _ = reply.send(totals.clone());
            }
        }
        Ok(())
    }
}

impl Totals {
    fn add(&mut self, event: &Delivery) {
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
            Event::RunFinished(report) => self.add_report(report),
            Event::WorkerRestarting { job, reason, at } => {
                let wait = (*at - Utc::now()).num_milliseconds().max(0);
                println!("  {job}: the worker crashed ({reason}) and restarts in {wait} ms");
                let from = self.crashed.take();
                self.outages
                    .extend(from.map(|from| Outage { from, until: *at }));
            }
            Event::JobDegraded { job, reason, .. } => println!("  {job} is degraded: {reason}"),
            _ => {}
        }
    }

    fn add_report(&mut self, report: &Report) {
        self.runs += 1;
        self.reported.merge(&report.counts);
        if matches!(report.outcome, Outcome::Crashed { .. }) {
            self.crashed = Some(report.started_at);
        }
        // Most of the four runs a second change nothing.
        if report.counts.total() > 0 || !report.success() {
            println!("  {report}");
        }
    }
}
