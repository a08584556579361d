//! A booking application at work, and a housekeeper keeping it tidy.
//!
//! Guests chat, look at pictures, book, and pay or walk away. BookingPolicy are shortened so that
//! what takes a day happens within seconds. A reception desk is told all the housekeeper does. In
//! the end a balance is struck by SQL: every booking is paid or expired on time, no session of a
//! living chat is lost, and the reports add up. The exit status says whether it holds.

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorRef, call_t};
use ractor_housekeeper::actors::Started;
use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy, SessionCleaner};
use ractor_housekeeper::config::{JobConfig, Schedule};
use ractor_housekeeper::job::Page;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, Job, Outcome, Scope, Subscriber, start,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

use balance::Balance;
use drill::{Drill, TimerHandle};
use guest::{Guest, House};
use ledger::Ledger;
use options::{Asked, Options, USAGE, asked};
use reception::{Account, Reception, ReceptionMsg};
use records::Records;
use records::sqlite::SqliteRecords;

mod balance;
mod drill;
mod guest;
mod ledger;
mod options;
mod reception;
mod records;
mod web;

type Error = Box<dyn std::error::Error + Send + Sync>;

const IDLE_AFTER: Duration = Duration::from_secs(5);
const EXPIRE_AFTER: Duration = Duration::from_secs(3);
const RESOLUTION: Duration = Duration::from_millis(250);
const TICK: Duration = Duration::from_secs(5);
/// Must stay under half of `IDLE_AFTER`.
const ACTIVITY_THROTTLE: Duration = Duration::from_secs(1);
/// Enough for something to happen every moment, and few enough for one writer at a time.
const GUESTS: u64 = 180;

#[tokio::main]
async fn main() -> ExitCode {
    let options = match asked(std::env::args().skip(1)) {
        Ok(Asked::Run(options)) => options,
        Ok(Asked::Help) => {
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
            println!("the balance holds");
            ExitCode::SUCCESS
        }
        Ok(faults) => {
            eprintln!("the balance does not hold:\n  {}", faults.join("\n  "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns what is wrong with the balance.
async fn simulate(options: &Options) -> Result<Vec<String>, Error> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("bookings.db");
    let records = open(options.database_url.as_deref(), &file.display().to_string()).await?;
    let alarm = TimerHandle::default();
    let arguments = arguments(&*records, &alarm)?;
    let Started {
        housekeeper,
        handle,
    } = start(None, arguments).await?;
    let (reception, _) = Actor::spawn(None, Reception, ()).await?;
    let subscriber = Subscriber::actor(&reception, ReceptionMsg::Housekeeping).with_buffer(10_000);
    housekeeper.cast(HousekeeperMsg::Subscribe(subscriber))?;

    if let Some(address) = options.web {
        web::serve(address, &housekeeper).await?;
    }
    let ledger = Arc::new(Ledger::default());
    let day = Day {
        records: records.clone(),
        ledger: ledger.clone(),
        housekeeper: housekeeper.actor().clone(),
        reception: reception.clone(),
        alarm,
    };
    let passed = day.pass(options).await?;
    day.settle().await?;

    call_t!(
        housekeeper,
        HousekeeperMsg::Shutdown,
        10_000,
        Duration::from_secs(5)
    )?;
    handle.await?;
    // What the housekeeper said came before this question.
    let account = call_t!(reception, ReceptionMsg::Account, 5_000)?;
    reception.stop(None);
    let balance = Balance {
        stock: &records.stock().await?,
        ledger: &ledger.entries(),
        account: &account,
        passed: &passed,
    };
    Ok(balance.strike())
}

async fn open(url: Option<&str>, file: &str) -> Result<Arc<dyn Records>, Error> {
    match url {
        None => Ok(Arc::new(SqliteRecords::open(file).await?)),
        #[cfg(feature = "postgres")]
        Some(url) => Ok(Arc::new(
            records::postgres::PostgresRecords::connect(url).await?,
        )),
        #[cfg(not(feature = "postgres"))]
        Some(_) => Err("this build knows SQLite only; add `--features postgres`".into()),
    }
}

fn arguments(records: &dyn Records, alarm: &TimerHandle) -> Result<HousekeeperArguments, Error> {
    let ages = BookingPolicy {
        idle_after: Some(IDLE_AFTER),
        expire_after: Some(EXPIRE_AFTER),
    };
    let config = HousekeeperConfig {
        job: JobConfig {
            schedule: Schedule {
                every: Some(TICK),
                start_jitter: Duration::ZERO,
                min_interval: RESOLUTION,
                ..Schedule::default()
            },
            ..JobConfig::default()
        },
        ..HousekeeperConfig::default()
    };
    let mut arguments = records.housekeeper(&ages)?.with_config(config);
    for job in &mut arguments.jobs {
        if job.name() == BookingExpirer::NAME {
            *job = Arc::new(Drill::new(job.clone(), alarm.clone())) as Arc<dyn Job>;
        }
    }
    Ok(arguments)
}

/// What was seen of a day.
#[derive(Default)]
struct Passed {
    /// Whether it lasted as long as it was to.
    whole: bool,
    /// How many who waited for a report were told of a crash.
    answers_of_crash: usize,
}

/// A day at the application, some seconds long.
struct Day {
    records: Arc<dyn Records>,
    ledger: Arc<Ledger>,
    housekeeper: ActorRef<HousekeeperMsg>,
    reception: ActorRef<ReceptionMsg>,
    alarm: TimerHandle,
}

impl Day {
    /// Lets guests come and go, until it is over or Ctrl-C ends it.
    async fn pass(&self, options: &Options) -> Result<Passed, Error> {
        println!("seed {}", options.seed);
        let (closing, closed) = watch::channel(false);
        let mut guests = self.guests(options.seed, &closed);
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut passed = Passed::default();
        for second in 0..=options.seconds {
            tokio::select! {
                _ = seconds.tick() => {}
                _ = tokio::signal::ctrl_c() => break,
            }
            passed.whole = second == options.seconds;
            self.tell(second).await?;
            if second == options.seconds / 3 {
                self.clean_now().await?;
            }
            if second == options.seconds / 2 {
                passed.answers_of_crash += usize::from(self.hold_drill().await?);
            }
        }
        closing.send_replace(true);
        while let Some(guest) = guests.join_next().await {
            guest??;
        }
        Ok(passed)
    }

    fn guests(&self, seed: u64, closing: &watch::Receiver<bool>) -> JoinSet<Result<(), Error>> {
        let house = House {
            records: self.records.clone(),
            ledger: self.ledger.clone(),
            closing: closing.clone(),
        };
        (0..GUESTS)
            .map(|number| Guest::new(house.clone(), seed.wrapping_add(number)).visit())
            .collect()
    }

    /// A line on how things are.
    async fn tell(&self, second: u64) -> Result<(), Error> {
        let ledger = self.ledger.entries();
        let Account {
            committed, runs, ..
        } = call_t!(self.reception, ReceptionMsg::Account, 5_000)?;
        println!(
            "{second:>3} s: {} bookings, {} paid, {} expired; {} sessions opened, {} deleted; {} messages; {runs} runs",
            ledger.booked.len(),
            ledger.paid.len(),
            committed.of("bookings"),
            ledger.sessions.len(),
            committed.of("sessions"),
            ledger.messages,
        );
        Ok(())
    }

    /// Has sessions cleaned by a message, and looks at the status.
    async fn clean_now(&self) -> Result<(), Error> {
        let report = call_t!(
            self.housekeeper,
            HousekeeperMsg::RunNow,
            10_000,
            SessionCleaner::NAME,
            Scope::All
        )??;
        println!("by message: {report}");
        let status = call_t!(self.housekeeper, HousekeeperMsg::Status, 1_000)?;
        println!("{}", indented(&status));
        Ok(())
    }

    /// Has a worker crash in a run that we wait for. Returns whether we were told.
    async fn hold_drill(&self) -> Result<bool, Error> {
        println!("now a drill: the next run for one guest panics");
        let scope = Scope::user(Uuid::new_v4());
        self.alarm.set_off(scope.clone());
        let report = call_t!(
            self.housekeeper,
            HousekeeperMsg::RunNow,
            10_000,
            BookingExpirer::NAME,
            scope
        )??;
        println!("the waiter was answered: {report}");
        // While the worker is away a few bookings fall due.
        let size = const { NonZeroU32::new(5).expect("5 is not zero") };
        let preview = call_t!(
            self.housekeeper,
            HousekeeperMsg::Preview,
            10_000,
            BookingExpirer::NAME,
            Scope::All,
            Page::first(size)
        )??;
        println!("{}", indented(&preview));
        Ok(matches!(report.outcome, Outcome::Crashed { .. }))
    }

    /// Waits until the last booking has expired by itself, and has everything looked at once more.
    async fn settle(&self) -> Result<(), Error> {
        println!("the guests have left");
        let settled = async {
            while self.records.stock().await?.pending() > 0 {
                tokio::time::sleep(RESOLUTION).await;
            }
            Ok::<(), Error>(())
        };
        // If it takes longer, the balance tells which bookings are still pending.
        if let Ok(settled) = timeout(SETTLED_WITHIN, settled).await {
            settled?;
        }
        for report in call_t!(self.housekeeper, HousekeeperMsg::RunAll, 10_000)?? {
            println!("in the end: {report}");
        }
        let (job, newest) = (BookingExpirer::NAME, 5);
        let history = call_t!(
            self.housekeeper,
            HousekeeperMsg::History,
            10_000,
            job,
            newest
        )??;
        println!("{}", indented(&history).trim_end());
        Ok(())
    }
}

/// Apart from the lines of the day, with a line's distance to them.
fn indented(shown: &impl std::fmt::Display) -> String {
    format!("\n{shown}\n")
        .replace('\n', "\n    ")
        .trim_end()
        .to_owned()
        + "\n"
}

/// An expiry, the longest hold, and some.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);
