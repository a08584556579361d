//! The checks of the fuzz targets on a text, shared with the tests of their seeds.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ractor::{ActorRef, RpcReplyPort};
use ractor_housekeeper::actors::ignore_reply;
use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy, built_in};
use ractor_housekeeper::config::Schedule;
use ractor_housekeeper::job::Page;
use ractor_housekeeper::testing::{ManualClock, MemoryBooking, MemoryStore};
use ractor_housekeeper::{HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, Scope, start};
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// The settings of a host, with a housekeeper's among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) ages: BookingPolicy,
    pub(crate) housekeeper: HousekeeperConfig,
    /// The clock's time at the start.
    pub(crate) now: DateTime<Utc>,
    /// How far it is corrected in between.
    #[serde(with = "humantime_serde")]
    pub(crate) step: Duration,
    pub(crate) reschedule: Schedule,
    pub(crate) scope: Scope,
    pub(crate) page: Page,
    #[serde(with = "humantime_serde")]
    pub(crate) grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ages: BookingPolicy::default(),
            housekeeper: HousekeeperConfig::default(),
            now: DateTime::UNIX_EPOCH,
            step: Duration::from_secs(60),
            reschedule: Schedule::default(),
            scope: Scope::All,
            page: Page::default(),
            grace: Duration::from_secs(10),
        }
    }
}

/// Reads settings, and if they can be, lets a housekeeper live by them for some seconds. Says why
/// not, if they cannot.
pub(crate) fn settings(text: &str) -> Result<(), String> {
    let settings: Settings = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let written = serde_json::to_string(&settings).expect("is plain data");
    let read: Settings = serde_json::from_str(&written).expect("was written by us");
    assert_eq!(read, settings, "{written}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(live(settings))
}

/// No address panics, whatever it is. Nothing is connected to, and no file is made.
pub(crate) fn address(text: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let _guard = runtime.enter();
    let mut reported = Vec::new();
    #[cfg(feature = "sqlite")]
    reported.push(
        match runtime.block_on(ractor_housekeeper::SqliteStore::open(text)) {
            Ok(store) => format!("{store:?}"),
            Err(error) => format!("{error} {error:?}"),
        },
    );
    #[cfg(feature = "postgres")]
    reported.push(match ractor_housekeeper::PostgresStore::connect(text) {
        Ok(store) => format!("{store:?}"),
        Err(error) => format!("{error} {error:?}"),
    });
    reported
}

async fn live(settings: Settings) -> Result<(), String> {
    let clock = ManualClock::new(settings.now);
    let store = MemoryStore::new().with_clock(Arc::new(clock.clone()));
    for (id, hours) in [("a", 0), ("b", 48)] {
        let made = settings.now.checked_sub_signed(TimeDelta::hours(hours));
        let made = made.unwrap_or(settings.now);
        store.add_booking(MemoryBooking::pending(id, Uuid::nil(), made));
        store.add_session(id, Uuid::nil(), made);
    }
    let jobs = built_in(store.clone(), &settings.ages).map_err(|error| error.to_string())?;
    let arguments = HousekeeperArguments::new(jobs)
        .with_config(settings.housekeeper)
        .with_history(store)
        .with_clock(clock.clone());
    let started = start(None, arguments)
        .await
        .map_err(|error| error.to_string())?;
    let housekeeper = started.housekeeper;

    sleep(SHORT).await;
    let job = BookingExpirer::NAME;
    let scope = settings.scope;
    let asked = scope.clone();
    ask(&housekeeper, |reply| {
        HousekeeperMsg::RunNow(job, asked, reply)
    })
    .await;
    let page = settings.page;
    ask(&housekeeper, |reply| {
        HousekeeperMsg::Preview(BookingExpirer::NAME, scope, page, reply)
    })
    .await;
    let step = TimeDelta::from_std(settings.step).unwrap_or(TimeDelta::MAX);
    clock.advance_wall(step);
    sleep(SHORT).await;
    clock.advance_wall(-step);
    let schedule = settings.reschedule;
    ask(&housekeeper, |reply| {
        HousekeeperMsg::Reschedule(BookingExpirer::NAME, schedule, reply)
    })
    .await;
    for message in [HousekeeperMsg::Pause, HousekeeperMsg::Resume] {
        ask(&housekeeper, |reply| message(BookingExpirer::NAME, reply)).await;
    }
    ask(&housekeeper, |reply| {
        HousekeeperMsg::History(BookingExpirer::NAME, u32::MAX, reply)
    })
    .await;
    sleep(SHORT).await;
    ask(&housekeeper, |reply| {
        HousekeeperMsg::Cancel(BookingExpirer::NAME, reply)
    })
    .await;

    let status = ask(&housekeeper, HousekeeperMsg::Status)
        .await
        .expect("it lives");
    assert_eq!(status.timer_restarts, 0, "the timer crashed\n{status}");
    for job in status.jobs.values() {
        assert_eq!(job.restarts, 0, "the worker crashed\n{status}");
    }
    let written = serde_json::to_string(&status).expect("is plain data");
    assert_eq!(serde_json::from_str(&written).ok(), Some(status));
    let shutdown = HousekeeperMsg::Shutdown(settings.grace, ignore_reply());
    housekeeper.cast(shutdown).expect("it lives");
    let handle = started.handle;
    handle.await.expect("it stopped by itself");
    Ok(())
}

/// The answer, if it comes soon: a run may have settings by which it pauses for a century.
pub(crate) async fn ask<T: Send + 'static>(
    housekeeper: &ActorRef<HousekeeperMsg>,
    message: impl FnOnce(RpcReplyPort<T>) -> HousekeeperMsg,
) -> Option<T> {
    let (reply, answer) = ractor::concurrency::oneshot();
    housekeeper.cast(message(reply.into())).expect("it lives");
    match timeout(SHORT, answer).await {
        Ok(answer) => Some(answer.expect("it lives")),
        Err(_) => None,
    }
}

/// A second would be a thousand ticks for settings that want one each millisecond.
const SHORT: Duration = Duration::from_millis(200);
