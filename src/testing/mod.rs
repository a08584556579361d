//! A kit for tests of a host's own jobs (feature `testing`), and of what the host does with events
//! and reports.
//!
//! A month passes in milliseconds, the database fails when it is told to, and a test waits for
//! facts instead of sleeping. The suites of this crate use the same kit.
//!
//! ```toml
//! [dev-dependencies]
//! ractor-housekeeper = { version = "0.1", features = ["testing"] }
//! tokio = { version = "1", features = ["macros", "rt", "test-util"] }
//! ```
//!
//! | what | for |
//! |---|---|
//! | [`assert_conforms`] | what [`Job`](crate::Job) asks of every job |
//! | [`ManualClock`] | the wall clock in the test's hands, on tokio's paused time |
//! | [`next_event`], [`next_report`] | waiting for what a housekeeper tells |
//! | [`FaultyJob`], [`Faults`], [`Gate`] | errors, panics and hanging steps of any job, when the test wants them |
//! | [`MemoryStore`] | the built-in jobs without a database |
//! | `PrivatePostgres` | a real one, for as long as the test lasts (feature `postgres`) |
//!
//! # A job of one's own
//!
//! The examples test this one, which deletes old drafts. It keeps them in memory to be short; a job
//! over SQL is tested in the same way. It takes its time from a [`Clock`](crate::time::Clock),
//! which the test sets. (A job that asks the database for the time needs rows that are old by the
//! database's clock, and real time.)
//!
//! ```
#![doc = include_str!("../../tests/support/drafts.rs")]
//! ```
//!
//! # It keeps what every job must keep
//!
//! Preview, run and forecast agree, batches come forward and end:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/drafts.rs"));
//! use ractor_housekeeper::testing::{ManualClock, assert_conforms};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = ManualClock::frozen("2026-03-01T12:00:00Z".parse()?);
//! let saved = |days, title: &str| (clock.now() - TimeDelta::days(days), title.to_owned());
//! let drafts: Drafts = Arc::new(Mutex::new(vec![saved(40, "a"), saved(35, "b"), saved(31, "c"), saved(30, "d")]));
//! let job = DraftSweeper { drafts, clock: Arc::new(clock.clone()) };
//!
//! let handled = assert_conforms(&job, 2.try_into()?).await.map_err(|error| error.to_string())?;
//!
//! assert_eq!(handled, ["a", "b", "c"]);
//! # Ok(())
//! # }
//! ```
//!
//! # It is on time
//!
//! On tokio's paused clock, which jumps to the next timer when nothing else is left to do; a
//! [`ManualClock::new`] goes with it. Write `#[tokio::test(start_paused = true)]` in a test of your
//! own:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/drafts.rs"));
//! use ractor_housekeeper::testing::{ManualClock, next_report};
//! use ractor_housekeeper::{HousekeeperArguments, HousekeeperMsg, Subscriber, start};
//! use ractor_housekeeper::model::Trigger;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = ManualClock::new("2026-03-01T12:00:00Z".parse()?);
//! let saved = clock.now();
//! let drafts: Drafts = Arc::new(Mutex::new(vec![(saved, "a".to_owned())]));
//! let job = DraftSweeper { drafts, clock: Arc::new(clock.clone()) };
//! let mut arguments = HousekeeperArguments::new(vec![Arc::new(job)]).with_clock(clock.clone());
//! arguments.config.job.schedule.every = None;
//! let housekeeper = start(None, arguments).await?.housekeeper;
//! let (subscriber, mut events) = Subscriber::channel();
//! housekeeper.cast(HousekeeperMsg::Subscribe(subscriber))?;
//!
//! // `next_report` has the patience of an hour; the month is to pass before it.
//! tokio::time::sleep(DraftSweeper::AGE.to_std()?).await;
//! let report = next_report(&mut events, |report| report.counts.of("drafts") > 0).await;
//!
//! assert_eq!((report.trigger, report.ids), (Trigger::Deadline, vec!["a".to_owned()]));
//! let late = report.started_at - saved - DraftSweeper::AGE;
//! assert!(late > TimeDelta::zero() && late <= TimeDelta::seconds(1), "{late}");
//! # Ok(())
//! # }
//! ```
//!
//! # Its database goes away
//!
//! The run fails and says why, and is tried again by itself:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/drafts.rs"));
//! use ractor_housekeeper::testing::{Fault, FaultyJob, ManualClock, Step, next_report};
//! use ractor_housekeeper::{HousekeeperArguments, HousekeeperMsg, Subscriber, start};
//! use ractor_housekeeper::model::Trigger;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = ManualClock::new("2026-03-01T12:00:00Z".parse()?);
//! let drafts: Drafts = Arc::new(Mutex::new(vec![(clock.now() - TimeDelta::days(31), "a".to_owned())]));
//! let (job, faults) = FaultyJob::new(DraftSweeper { drafts, clock: Arc::new(clock.clone()) });
//! faults.once(Step::Batch, 1, Fault::Fail("the database is away".to_owned()));
//! let housekeeper = start(None, HousekeeperArguments::new(vec![Arc::new(job)]).with_clock(clock)).await?.housekeeper;
//! let (subscriber, mut events) = Subscriber::channel();
//! housekeeper.cast(HousekeeperMsg::Subscribe(subscriber))?;
//!
//! let first = next_report(&mut events, |_| true).await;
//! let second = next_report(&mut events, |_| true).await;
//!
//! assert_eq!(first.outcome.to_string(), "failed: the database is away");
//! assert_eq!((second.trigger, second.ids), (Trigger::Retry, vec!["a".to_owned()]));
//! # Ok(())
//! # }
//! ```
//!
//! # It crashes in the middle of a run
//!
//! Whoever asked is answered, with what is known to be done. The worker is started again and goes
//! on:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/drafts.rs"));
//! use ractor::call_t;
//! use ractor_housekeeper::testing::{Fault, FaultyJob, ManualClock, Step, next_report};
//! use ractor_housekeeper::{HousekeeperArguments, HousekeeperMsg, Outcome, Subscriber, start};
//! use ractor_housekeeper::config::Pace;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # std::panic::set_hook(Box::new(|_| {}));
//! let clock = ManualClock::new("2026-03-01T12:00:00Z".parse()?);
//! let saved = clock.now() - TimeDelta::days(31);
//! let drafts: Drafts = Arc::new(Mutex::new(["a", "b", "c"].map(|title| (saved, title.to_owned())).into()));
//! let (job, faults) = FaultyJob::new(DraftSweeper { drafts, clock: Arc::new(clock.clone()) });
//! faults.once(Step::Batch, 2, Fault::Panic);
//! let mut arguments = HousekeeperArguments::new(vec![Arc::new(job)]).with_clock(clock);
//! arguments.config.job.pace = Pace::fixed(2.try_into()?);
//! arguments.config.job.schedule.at_start = false;
//! let housekeeper = start(None, arguments).await?.housekeeper;
//! let (subscriber, mut events) = Subscriber::channel();
//! housekeeper.cast(HousekeeperMsg::Subscribe(subscriber))?;
//!
//! let report = call_t!(housekeeper, HousekeeperMsg::RunNow, 60_000, "draft-sweeper".into(), Scope::All)??;
//! let next = next_report(&mut events, |report| report.success()).await;
//!
//! assert!(matches!(report.outcome, Outcome::Crashed { rows_at_least: 2, .. }), "{report}");
//! assert_eq!(next.ids, ["c"]);
//! # Ok(())
//! # }
//! ```
//!
//! # It does what its preview showed
//!
//! [`assert_conforms`] has compared the two already. Through the housekeeper, as an operator does
//! it:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/drafts.rs"));
//! use ractor::call_t;
//! use ractor_housekeeper::testing::ManualClock;
//! use ractor_housekeeper::{HousekeeperArguments, HousekeeperMsg, start};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = ManualClock::new("2026-03-01T12:00:00Z".parse()?);
//! let drafts: Drafts = Arc::new(Mutex::new(vec![(clock.now() - TimeDelta::days(31), "a".to_owned())]));
//! let job = DraftSweeper { drafts, clock: Arc::new(clock.clone()) };
//! let mut arguments = HousekeeperArguments::new(vec![Arc::new(job)]).with_clock(clock);
//! arguments.config.job.schedule.at_start = false;
//! let housekeeper = start(None, arguments).await?.housekeeper;
//! let name: JobName = "draft-sweeper".into();
//!
//! let preview = call_t!(housekeeper, HousekeeperMsg::Preview, 60_000, name.clone(), Scope::All, Page::default())??;
//! let report = call_t!(housekeeper, HousekeeperMsg::RunNow, 60_000, name, Scope::All)??;
//!
//! let shown: Vec<String> = preview.rows.into_iter().map(|row| row.id).collect();
//! assert_eq!(report.ids, shown);
//! # Ok(())
//! # }
//! ```
//!
//! # On Postgres
//!
//! A server of the test's own, where Postgres is installed. Not on paused time, which would run
//! ahead of the server:
//!
//! ```
//! # #[cfg(not(all(feature = "postgres", unix)))]
//! # fn main() {}
//! # #[cfg(all(feature = "postgres", unix))]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ractor_housekeeper::store::Schema;
//! use ractor_housekeeper::testing::{PrivatePostgres, assert_conforms};
//! use ractor_housekeeper::PostgresStore;
//! use ractor_housekeeper::booking::{BookingPolicy, built_in};
//!
//! let Some(server) = PrivatePostgres::start()? else {
//!     println!("left out: Postgres is not installed");
//!     return Ok(());
//! };
//! let store = PostgresStore::connect(&server.fresh_database()?)?;
//! store.migrate(Schema::ALL).await?;
//! // Here a test adds rows of its own, through `store.pool()`.
//!
//! for job in built_in(store, &BookingPolicy::default())? {
//!     assert_conforms(&*job, 2.try_into()?).await.map_err(|error| error.to_string())?;
//! }
//! # Ok(())
//! # }
//! ```

mod clock;
mod conformance;
mod faults;
mod memory;
#[cfg(all(feature = "postgres", unix))]
mod postgres;
mod waiting;

pub use clock::ManualClock;
pub use conformance::assert_conforms;
pub use faults::{Answer, Call, Fault, Faults, FaultyJob, Gate, JobHook, Step};
pub use memory::{MemoryBooking, MemorySession, MemoryStore};
#[cfg(all(feature = "postgres", unix))]
pub use postgres::PrivatePostgres;
pub use waiting::{next_event, next_report};
