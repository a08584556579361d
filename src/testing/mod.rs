//! A kit for tests of a host's jobs, receivers, and code for events and reports (feature
//! `testing`).
//!
//! A month passes in milliseconds, steps fail on demand, and tests wait for events instead of
//! sleeping. The tests of this crate use the same kit.
//!
//! ```toml
//! [dev-dependencies]
//! ractor-housekeeper = { version = "0.1", features = ["testing"] }
//! tokio = { version = "1", features = ["macros", "rt", "test-util"] }
//! ```
//!
//! | item | purpose |
//! |---|---|
//! | [`assert_conforms`], [`Conformance`] | check the contract of [`Job`](crate::Job) |
//! | [`ManualClock`] | a wall clock that the test sets, on tokio's paused time |
//! | [`next_event`], [`next_report`] | wait for an event or a report |
//! | [`FaultyJob`], [`Faults`], [`Gate`] | errors, panics and hanging steps in any job |
//! | [`MemoryStore`] | the built-in jobs without a database |
//! | [`MemoryOutbox`] | entries for a receiver without a database |
//! | [`drain`] | take the entries that a rule handed on, in a test of the rule |
//! | [`FaultyReceiver`] | a receiver that refuses, hangs, panics or answers late on request |
//! | `PrivatePostgres` | a Postgres server for the duration of a test (feature `postgres`) |
//! | `PostgresProxy` | a proxy in front of a private Postgres that fails one exchange or commit, or goes silent (feature `postgres`) |
//!
//! # The job under test
//!
//! The examples test this job, which deletes old drafts. For brevity it has no SQL; tests of a job
//! with SQL look the same. It reads a [`Clock`](crate::time::Clock) that the test sets. (A job that
//! reads the database's clock needs rows that are old by that clock, and real time.)
//!
//! ```
#![doc = include_str!("../../tests/support/drafts.rs")]
//! ```
//!
//! # The contract
//!
//! [`Conformance`] checks that preview, run and forecast agree, and that batches make progress and
//! end:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/drafts.rs"));
//! use ractor_housekeeper::testing::{Conformance, ManualClock};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Arc::new(ManualClock::frozen("2026-03-01T12:00:00Z".parse()?));
//! let saved = |days, title: &str| (clock.now() - TimeDelta::days(days), title.to_owned());
//! let drafts = vec![saved(40, "a"), saved(35, "b"), saved(31, "c"), saved(30, "d")];
//! let drafts: Drafts = Arc::new(Mutex::new(drafts));
//! let job = DraftSweeper { drafts, clock: clock.clone() };
//!
//! let check = Conformance::new(2.try_into()?).clock(clock);
//! let conformed = check.check(&job).await.map_err(|error| error.to_string())?;
//!
//! assert_eq!(conformed.handled, ["a", "b", "c"]);
//! # Ok(())
//! # }
//! ```
//!
//! # Deadlines
//!
//! tokio's paused time jumps to the next timer when all tasks wait, and [`ManualClock::new`]
//! follows it. Tests of your own have `#[tokio::test(start_paused = true)]`:
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
//! // `next_report` times out after an hour, so let the month pass first.
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
//! # An outage
//!
//! The run fails with the error, and the housekeeper retries it:
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
//! let saved = clock.now() - TimeDelta::days(31);
//! let drafts: Drafts = Arc::new(Mutex::new(vec![(saved, "a".to_owned())]));
//! let (job, faults) = FaultyJob::new(DraftSweeper { drafts, clock: Arc::new(clock.clone()) });
//! faults.once(Step::Batch, 1, Fault::Fail("the database is away".to_owned()));
//! let arguments = HousekeeperArguments::new(vec![Arc::new(job)]).with_clock(clock);
//! let housekeeper = start(None, arguments).await?.housekeeper;
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
//! # A crash in the middle of a run
//!
//! The caller gets a report with the committed rows. The worker restarts and handles the rest:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/drafts.rs"));
//! use ractor_housekeeper::testing::{Fault, FaultyJob, ManualClock, Step, next_report};
//! use ractor_housekeeper::{HousekeeperArguments, HousekeeperMsg, Outcome, Subscriber, start};
//! use ractor_housekeeper::config::Pace;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # std::panic::set_hook(Box::new(|_| {}));
//! let clock = ManualClock::new("2026-03-01T12:00:00Z".parse()?);
//! let saved = clock.now() - TimeDelta::days(31);
//! let drafts = ["a", "b", "c"].map(|title| (saved, title.to_owned()));
//! let drafts: Drafts = Arc::new(Mutex::new(drafts.into()));
//! let (job, faults) = FaultyJob::new(DraftSweeper { drafts, clock: Arc::new(clock.clone()) });
//! faults.once(Step::Batch, 2, Fault::Panic);
//! let mut arguments = HousekeeperArguments::new(vec![Arc::new(job)]).with_clock(clock);
//! arguments.config.job.pace = Pace::fixed(2.try_into()?);
//! arguments.config.job.schedule.at_start = false;
//! let housekeeper = start(None, arguments).await?.housekeeper;
//! let (subscriber, mut events) = Subscriber::channel();
//! housekeeper.cast(HousekeeperMsg::Subscribe(subscriber))?;
//!
//! let report = housekeeper.run_now("draft-sweeper", Scope::All).await?;
//! let next = next_report(&mut events, |report| report.success()).await;
//!
//! assert!(matches!(report.outcome, Outcome::Crashed { rows_at_least: 2, .. }), "{report}");
//! assert_eq!(next.ids, ["c"]);
//! # Ok(())
//! # }
//! ```
//!
//! # Preview and run
//!
//! [`assert_conforms`] compares the two on the job itself. This test goes through the housekeeper,
//! as an operator does:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/drafts.rs"));
//! use ractor_housekeeper::testing::ManualClock;
//! use ractor_housekeeper::{HousekeeperArguments, start};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = ManualClock::new("2026-03-01T12:00:00Z".parse()?);
//! let saved = clock.now() - TimeDelta::days(31);
//! let drafts: Drafts = Arc::new(Mutex::new(vec![(saved, "a".to_owned())]));
//! let job = DraftSweeper { drafts, clock: Arc::new(clock.clone()) };
//! let mut arguments = HousekeeperArguments::new(vec![Arc::new(job)]).with_clock(clock);
//! arguments.config.job.schedule.at_start = false;
//! let housekeeper = start(None, arguments).await?.housekeeper;
//!
//! let preview = housekeeper.preview("draft-sweeper", Scope::All, Page::default()).await?;
//! let report = housekeeper.run_now("draft-sweeper", Scope::All).await?;
//!
//! let shown: Vec<String> = preview.rows.into_iter().map(|row| row.id).collect();
//! assert_eq!(report.ids, shown);
//! # Ok(())
//! # }
//! ```
//!
//! # On Postgres
//!
//! The test starts a private server, if Postgres is installed. It needs real time, because paused
//! time runs ahead of the server:
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
//!     println!("skipped: Postgres is not installed");
//!     return Ok(());
//! };
//! let store = PostgresStore::connect(&server.fresh_database()?)?;
//! store.migrate(Schema::ALL).await?;
//! // Insert rows here, through `store.pool()`.
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
mod faulty_job;
mod gate;
mod job_hook;
mod memory;
mod outbox;
#[cfg(all(feature = "postgres", unix))]
mod postgres;
#[cfg(all(feature = "postgres", unix))]
mod proxy;
mod receiver;
mod waiting;

pub use clock::ManualClock;
pub use conformance::{Conformance, Conformed, Guest, Neighbour, assert_conforms};
pub use faults::{Fault, Faults};
pub use faulty_job::FaultyJob;
pub use gate::Gate;
pub use job_hook::{Answer, Call, JobHook, Step};
pub use memory::{MemoryBooking, MemorySession, MemoryStore};
pub use outbox::{MemoryOutbox, drain};
#[cfg(all(feature = "postgres", unix))]
pub use postgres::PrivatePostgres;
#[cfg(all(feature = "postgres", unix))]
pub use proxy::{PostgresProxy, WireFault};
pub use receiver::{FaultyReceiver, ReceiverFault};
pub use waiting::{next_event, next_report};
