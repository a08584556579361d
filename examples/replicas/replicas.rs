//! The replicas' processes: starts them, reads their events, kills one, ends the rest.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::thread;
use std::time::Duration;

use ractor_housekeeper::job::Counts;
use ractor_housekeeper::{JobName, Outcome};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout_at};

use crate::Error;
use crate::child::{ChildProcess, messages};
use crate::database::{replica_name, replica_url};
use crate::options::{Options, REPLICA};
use crate::protocol::{ReplicaEvent, Settings};

/// The processes and their events, each with the number of its replica.
pub(crate) struct Replicas {
    running: Vec<Replica>,
    events: UnboundedReceiver<(usize, ReplicaEvent)>,
    started: Instant,
}

struct Replica {
    process: ChildProcess,
    totals: Totals,
}

/// Sums over the events of one replica.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Rows of committed batches, by kind.
    pub(crate) reported: Counts,
    pub(crate) batches: u64,
    /// From the start of all replicas to the last batch of this one.
    pub(crate) worked: Duration,
    pub(crate) killed: bool,
    /// Failures of the process itself.
    pub(crate) problems: Vec<String>,
}

impl Replicas {
    /// Starts all processes, then sends their settings at one instant, the hardest case.
    pub(crate) fn start(options: &Options, database_url: &str) -> Result<Self, Error> {
        let (sender, events) = unbounded_channel();
        let mut replicas = Vec::new();
        for number in 0..options.replicas as usize {
            // Ctrl-C in the terminal reaches the parent alone, which ends the others.
            let (process, output) =
                ChildProcess::start(|command| command.arg(REPLICA).process_group(0))?;
            let sender = sender.clone();
            thread::spawn(move || {
                messages(output).try_for_each(|event| sender.send((number, event)))
            });
            replicas.push(Replica {
                process,
                totals: Totals::default(),
            });
        }
        for (number, replica) in replicas.iter_mut().enumerate() {
            replica.process.send(&Settings {
                database_url: replica_url(database_url, number),
                jobs: options.jobs.clone(),
                pace: options.pace(),
            })?;
        }
        Ok(Self {
            running: replicas,
            events,
            started: Instant::now(),
        })
    }

    /// Reads events until all processes have ended. Ends them when each job has reported that no
    /// row is due.
    pub(crate) async fn work(mut self, options: &Options, rows: u64) -> Result<Vec<Totals>, Error> {
        let mut unfinished: BTreeSet<JobName> = options.jobs.iter().cloned().collect();
        let mut kill_at = options.kill.then_some(rows / 3);
        let mut reported = 0;
        let mut last_batch = self.started;
        while let Some((number, event)) = self.next_event(last_batch + BATCH_TIMEOUT).await? {
            let Replica { process, totals } = &mut self.running[number];
            match event {
                ReplicaEvent::BatchCommitted(counts) => {
                    last_batch = Instant::now();
                    reported += counts.total();
                    totals.worked = last_batch - self.started;
                    totals.batches += 1;
                    totals.reported.merge(&counts);
                }
                ReplicaEvent::RunFinished(report) => {
                    if matches!(
                        report.outcome,
                        Outcome::Failed { .. } | Outcome::Crashed { .. }
                    ) {
                        // The housekeeper retries; the audit shows whether that was enough.
                        eprintln!("{}: {report}", replica_name(number));
                    }
                    let forecast = report.forecast;
                    if forecast.is_some_and(|forecast| forecast.due.count == 0) {
                        unfinished.remove(&report.job);
                    }
                }
                ReplicaEvent::Missed(events) => {
                    totals.problems.push(format!("{events} events were missed"));
                }
            }
            // The sender of this event is in the middle of a run. The pause lets the kill hit any
            // step of a batch.
            if kill_at.take_if(|rows| reported >= *rows).is_some() {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(..100))).await;
                println!("killing {} after {reported} rows", replica_name(number));
                process.kill()?;
                totals.killed = true;
            }
            if unfinished.is_empty() {
                for replica in &mut self.running {
                    replica.process.close_input();
                }
            }
        }
        self.finish()
    }

    /// Returns `None` when all processes have closed their standard output.
    async fn next_event(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<(usize, ReplicaEvent)>, Error> {
        let event = timeout_at(deadline, self.events.recv()).await;
        event.map_err(|_| "no replica has committed a batch for two minutes".into())
    }

    fn finish(self) -> Result<Vec<Totals>, Error> {
        let finished = self.running.into_iter().map(|replica| {
            let Replica {
                mut process,
                mut totals,
            } = replica;
            let status = process.wait()?;
            if !status.success() && !totals.killed {
                totals.problems.push(format!("ended with {status}"));
            }
            Ok(totals)
        });
        finished.collect()
    }
}

/// Longest time without a batch.
const BATCH_TIMEOUT: Duration = Duration::from_secs(120);
