//! The replicas, as their parent sees them: started, heard, one killed, all sent home.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use ractor_housekeeper::job::Counts;
use ractor_housekeeper::{JobName, Outcome};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};

use crate::Error;
use crate::database;
use crate::line::{Line, Orders};
use crate::options::{Options, REPLICA};

/// The processes, and the lines they say, each with the number of the replica.
pub(crate) struct Crew {
    replicas: Vec<Replica>,
    lines: UnboundedReceiver<(usize, Line)>,
    began: Instant,
}

struct Replica {
    process: Child,
    input: Option<ChildStdin>,
    account: Account,
}

/// What is known of one replica from what it said.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Rows of committed batches, by kind.
    pub(crate) told: Counts,
    pub(crate) batches: u64,
    /// From the start of all until its last batch.
    pub(crate) worked: Duration,
    pub(crate) killed: bool,
    /// What went wrong with the process itself.
    pub(crate) troubles: Vec<String>,
}

impl Crew {
    /// Starts all processes, and then sets them to work at one instant, which is the hardest case.
    pub(crate) fn start(options: &Options, database_url: &str) -> Result<Self, Error> {
        let (teller, lines) = unbounded_channel();
        let mut replicas = Vec::new();
        for number in 0..options.replicas as usize {
            replicas.push(Replica::start(number, &teller)?);
        }
        for (number, replica) in replicas.iter_mut().enumerate() {
            let orders = Orders {
                database_url: database::named(database_url, number),
                jobs: options.jobs.clone(),
                pace: options.pace(),
            };
            let input = replica.input.as_mut().ok_or("no standard input")?;
            let line = serde_json::to_string(&orders)? + "\n";
            input.write_all(line.as_bytes())?;
        }
        Ok(Self {
            replicas,
            lines,
            began: Instant::now(),
        })
    }

    /// Listens until all have left: they are sent home when a report of each job says that nothing
    /// is due any more.
    pub(crate) async fn work(
        mut self,
        options: &Options,
        rows: u64,
    ) -> Result<Vec<Account>, Error> {
        let mut unfinished: BTreeSet<JobName> = options.jobs.iter().cloned().collect();
        let mut kill_at = options.kill.then_some(rows / 3);
        let mut told = 0;
        let mut progress = self.began;
        while let Some((number, line)) = self.next_line(progress + PATIENCE).await? {
            let replica = &mut self.replicas[number];
            match line {
                Line::Committed(counts) => {
                    progress = Instant::now();
                    told += counts.total();
                    replica.account.worked = progress - self.began;
                    replica.account.batches += 1;
                    replica.account.told.merge(&counts);
                }
                Line::Finished(report) => {
                    if matches!(
                        report.outcome,
                        Outcome::Failed { .. } | Outcome::Crashed { .. }
                    ) {
                        // It is tried again; the balance says whether that was enough.
                        eprintln!("{}: {report}", database::name(number));
                    }
                    if report
                        .forecast
                        .is_some_and(|forecast| forecast.due.count == 0)
                    {
                        unfinished.remove(&report.job);
                    }
                }
                Line::Missed(events) => {
                    replica
                        .account
                        .troubles
                        .push(format!("{events} events were missed"));
                }
            }
            // The one that was just heard is in the middle of a run, and then at any moment of a
            // batch.
            if kill_at.take_if(|rows| told >= *rows).is_some() {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(..100))).await;
                println!(
                    "killing {} when {told} rows are done",
                    database::name(number)
                );
                replica.process.kill()?;
                replica.account.killed = true;
            }
            if unfinished.is_empty() {
                self.send_home();
            }
        }
        self.farewell()
    }

    /// `None` when all have closed their standard output.
    async fn next_line(&mut self, until: Instant) -> Result<Option<(usize, Line)>, Error> {
        let line = timeout_at(until, self.lines.recv()).await;
        line.map_err(|_| "no replica has committed anything for two minutes".into())
    }

    fn send_home(&mut self) {
        for replica in &mut self.replicas {
            drop(replica.input.take());
        }
    }

    fn farewell(mut self) -> Result<Vec<Account>, Error> {
        let mut accounts = Vec::new();
        for replica in &mut self.replicas {
            let status = replica.process.wait()?;
            let mut account = std::mem::take(&mut replica.account);
            if !status.success() && !account.killed {
                account.troubles.push(format!("it ended with {status}"));
            }
            accounts.push(account);
        }
        Ok(accounts)
    }
}

impl Replica {
    fn start(number: usize, teller: &UnboundedSender<(usize, Line)>) -> Result<Self, Error> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(REPLICA)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C in the terminal reaches the parent alone, which ends the others.
            .process_group(0)
            .spawn()?;
        let output = process.stdout.take().ok_or("no standard output")?;
        let teller = teller.clone();
        thread::spawn(move || listen(number, output, &teller));
        Ok(Self {
            input: process.stdin.take(),
            process,
            account: Account::default(),
        })
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // One that has left already cannot be killed, and need not be.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn listen(number: usize, output: ChildStdout, teller: &UnboundedSender<(usize, Line)>) {
    // The last line of a killed replica may be a piece of one.
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    for line in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
        if teller.send((number, line)).is_err() {
            return;
        }
    }
}

/// Longest time without a batch.
const PATIENCE: Duration = Duration::from_secs(120);
