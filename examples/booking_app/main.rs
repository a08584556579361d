//! A simulated booking application with a housekeeper.
//!
//! Guests chat, look at pictures, book, and pay or walk away. The policy's ages are seconds instead
//! of hours. An observer subscribes to the housekeeper's events. A final audit checks by SQL that
//! every booking is paid or expired on time and its guest gets a mail, that no active session is
//! lost, and that the reports add up. The exit status is the result of the audit.

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorRef, call_t};
use ractor_housekeeper::actors::{Destination, Started};
use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy, SessionCleaner};
use ractor_housekeeper::config::{JobConfig, Schedule};
use ractor_housekeeper::job::Page;
use ractor_housekeeper::testing::FaultyJob;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperRef, Outcome, Scope, Subscriber, start,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

use audit::Audit;
use guest::{Guest, Shared};
use guest_log::GuestLog;
use mailer::Post;
use observer::{Observer, ObserverMsg, Totals};
use options::{Command, Options, USAGE, parse};
use panic_once::PanicOnce;
use records::Records;
use records::sqlite::SqliteRecords;

mod audit;
mod guest;
mod guest_log;
mod mailer;
mod observer;
mod options;
mod panic_once;
mod records;
mod web;

type Error = Box<dyn std::error::Error + Send + Sync>;

const IDLE_AFTER: Duration = Duration::from_secs(5);
const EXPIRE_AFTER: Duration = Duration::from_secs(3);
const MIN_INTERVAL: Duration = Duration::from_millis(250);
const EVERY: Duration = Duration::from_secs(5);
/// Must stay under half of `IDLE_AFTER`.
const ACTIVITY_THROTTLE: Duration = Duration::from_secs(1);
/// As many as SQLite's single writer can serve.
const GUESTS: u64 = 180;

#[tokio::main]
async fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Command::Run(options)) => options,
        Ok(Command::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match simulate(&options).await {
        Ok(faults) if faults.is_empty() => {
            println!("the audit passed");
            ExitCode::SUCCESS
        }
        Ok(faults) => {
            eprintln!("the audit failed:\n  {}", faults.join("\n  "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the faults that the audit found.
async fn simulate(options: &Options) -> Result<Vec<String>, Error> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("bookings.db");
    let records = open(options.database_url.as_deref(), &file.display().to_string()).await?;
    let panic = PanicOnce::default();
    let post = Post::default();
    let mailer = post.open(format!("mailer-{}", Uuid::new_v4()));
    let arguments = arguments(&*records, &panic, mailer)?;
    let Started {
        housekeeper,
        handle,
    } = start(None, arguments).await?;
    let (observer, _) = Actor::spawn(None, Observer, ()).await?;
    let subscriber = Subscriber::actor(&observer, ObserverMsg::Event).with_buffer(10_000);
    housekeeper.subscribe(subscriber)?;

    if let Some(address) = options.web {
        web::serve(address, &housekeeper).await?;
    }
    let log = Arc::new(GuestLog::default());
    let simulation = Simulation {
        records: records.clone(),
        log: log.clone(),
        housekeeper: housekeeper.clone(),
        observer: observer.clone(),
        panic,
        post: post.clone(),
    };
    let progress = simulation.run(options).await?;
    simulation.settle().await?;

    housekeeper.shutdown(Duration::from_secs(5)).await;
    handle.await?;
    // The observer's mailbox delivers the housekeeper's last events before this message.
    let totals = call_t!(observer, ObserverMsg::Totals, 5_000)?;
    observer.stop(None);
    let audit = Audit {
        tables: &records.contents().await?,
        guests: &log.entries(),
        events: &totals,
        progress: &progress,
        post: &post.sent(),
    };
    Ok(audit.run())
}

async fn open(url: Option<&str>, file: &str) -> Result<Arc<dyn Records>, Error> {
    match url {
        None => Ok(Arc::new(SqliteRecords::open(file).await?)),
        #[cfg(feature = "postgres")]
        Some(url) => Ok(Arc::new(
            records::postgres::PostgresRecords::connect(url).await?,
        )),
        #[cfg(not(feature = "postgres"))]
        Some(_) => Err("this build supports SQLite only; add `--features postgres`".into()),
    }
}

fn arguments(
    records: &dyn Records,
    panic: &PanicOnce,
    mailer: Destination,
) -> Result<HousekeeperArguments, Error> {
    let policy = BookingPolicy {
        idle_after: Some(IDLE_AFTER),
        expire_after: Some(EXPIRE_AFTER),
    };
    let config = HousekeeperConfig {
        job: JobConfig {
            schedule: Schedule {
                every: Some(EVERY),
                start_jitter: Duration::ZERO,
                min_interval: MIN_INTERVAL,
                ..Schedule::default()
            },
            ..JobConfig::default()
        },
        ..HousekeeperConfig::default()
    };
    let mut arguments = records.housekeeper(&policy, mailer)?.with_config(config);
    for job in &mut arguments.jobs {
        if job.name() == BookingExpirer::NAME {
            *job = Arc::new(FaultyJob::with_hook(job.clone(), panic.clone()));
        }
    }
    Ok(arguments)
}

/// How far a simulation came.
#[derive(Default)]
struct Progress {
    /// Whether it reached its end without Ctrl-C.
    complete: bool,
    /// Callers that received the report of a crashed run.
    crash_answers: usize,
}

/// The application's actors and data.
struct Simulation {
    records: Arc<dyn Records>,
    log: Arc<GuestLog>,
    housekeeper: HousekeeperRef,
    observer: ActorRef<ObserverMsg>,
    panic: PanicOnce,
    post: Post,
}

impl Simulation {
    /// Runs the guests for the given seconds or until Ctrl-C.
    async fn run(&self, options: &Options) -> Result<Progress, Error> {
        println!("seed {}", options.seed);
        let (closing, closed) = watch::channel(false);
        let mut guests = self.guests(options.seed, &closed);
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut progress = Progress::default();
        for second in 0..=options.seconds {
            tokio::select! {
                _ = seconds.tick() => {}
                _ = tokio::signal::ctrl_c() => break,
            }
            progress.complete = second == options.seconds;
            self.print_totals(second).await?;
            if second == options.seconds / 3 {
                self.clean_now().await?;
            }
            if second == options.seconds / 2 {
                progress.crash_answers += usize::from(self.crash_worker().await?);
            }
        }
        closing.send_replace(true);
        while let Some(guest) = guests.join_next().await {
            guest??;
        }
        Ok(progress)
    }

    fn guests(&self, seed: u64, closing: &watch::Receiver<bool>) -> JoinSet<Result<(), Error>> {
        let shared = Shared {
            records: self.records.clone(),
            log: self.log.clone(),
            closing: closing.clone(),
        };
        (0..GUESTS)
            .map(|number| Guest::new(shared.clone(), seed.wrapping_add(number)).visit())
            .collect()
    }

    async fn print_totals(&self, second: u64) -> Result<(), Error> {
        let guests = self.log.entries();
        let Totals {
            committed, runs, ..
        } = call_t!(self.observer, ObserverMsg::Totals, 5_000)?;
        println!(
            "{second:>3} s: {} bookings, {} paid, {} expired; {} sessions opened, {} deleted; {} messages; {runs} runs",
            guests.booked.len(),
            guests.paid.len(),
            committed.of("bookings"),
            guests.sessions.len(),
            committed.of("sessions"),
            guests.messages,
        );
        Ok(())
    }

    /// Runs the session cleaner by message and prints the status.
    async fn clean_now(&self) -> Result<(), Error> {
        let report = self
            .housekeeper
            .run_now(SessionCleaner::NAME, Scope::All)
            .await?;
        println!("by message: {report}");
        let status = self.housekeeper.status().await?;
        println!("{}", indented(&status));
        Ok(())
    }

    /// Crashes a worker during a run that waits for its report. Returns whether the report says so.
    async fn crash_worker(&self) -> Result<bool, Error> {
        println!("the next run for one guest panics on purpose");
        let scope = Scope::user(Uuid::new_v4());
        self.panic.arm(scope.clone());
        let report = self
            .housekeeper
            .run_now(BookingExpirer::NAME, scope)
            .await?;
        println!("the caller received: {report}");
        // Bookings fall due while the worker waits for its restart.
        let size = const { NonZeroU32::new(5).expect("5 is not zero") };
        let preview = self
            .housekeeper
            .preview(BookingExpirer::NAME, Scope::All, Page::first(size))
            .await?;
        println!("{}", indented(&preview));
        Ok(matches!(report.outcome, Outcome::Crashed { .. }))
    }

    /// Waits until the schedule has expired the last booking, then runs all jobs once more.
    async fn settle(&self) -> Result<(), Error> {
        println!("the guests have left");
        let settled = async {
            while self.records.contents().await?.pending() > 0 {
                tokio::time::sleep(MIN_INTERVAL).await;
            }
            Ok::<(), Error>(())
        };
        // After a timeout the audit lists the bookings that are still pending.
        if let Ok(settled) = timeout(SETTLE_TIMEOUT, settled).await {
            settled?;
        }
        let mailed = async {
            loop {
                let expired = self.records.contents().await?.expired();
                if self.post.sent().mails.len() >= expired {
                    return Ok::<(), Error>(());
                }
                tokio::time::sleep(MIN_INTERVAL).await;
            }
        };
        if let Ok(mailed) = timeout(SETTLE_TIMEOUT, mailed).await {
            mailed?;
        }
        for report in self.housekeeper.run_all().await? {
            println!("final run: {report}");
        }
        let (job, newest) = (BookingExpirer::NAME, 5);
        let history = self.housekeeper.history(job, newest).await?;
        println!("{}", indented(&history).trim_end());
        Ok(())
    }
}

/// Indents a text and sets it off by empty lines.
fn indented(text: &impl std::fmt::Display) -> String {
    format!("\n{text}\n")
        .replace('\n', "\n    ")
        .trim_end()
        .to_owned()
        + "\n"
}

/// Longer than the expiry age plus the longest hold.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
