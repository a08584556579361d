//! Guests and housekeepers on the same rows of real databases: the first one wins, no row is
//! handled twice, none is lost.
//!
//! Each case counts who won, and fails where one side never did. `HOUSEKEEPER_RACE_ROWS` sets how
//! many rows are fought for on each database: 20,000 unless it is set, because 100,000 take minutes
//! without optimization.
#![cfg(any(feature = "sqlite", feature = "postgres"))]

mod audit;
mod bookings;
mod database;
mod kept;
#[cfg(feature = "sqlite")]
#[path = "../support/listening_pool.rs"]
mod listening_pool;
mod paced_writes;
#[cfg(feature = "sqlite")]
mod processes;
mod replica;
mod sessions;
mod triggers;

/// The result of a test.
type TestResult<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// This share of all the rows that are fought for on a database, in percent.
fn rows(percent: usize) -> usize {
    let all = std::env::var("HOUSEKEEPER_RACE_ROWS");
    let all: usize = all.map_or(20_000, |rows| {
        rows.parse().expect("HOUSEKEEPER_RACE_ROWS is a number")
    });
    (all * percent / 100).max(1_000)
}

/// The races over one database. `$open` makes one, or `None` where it is not installed.
macro_rules! races {
    ($database:ident, $open:expr) => {
        mod $database {
            races!(@cases $open,
                bookings: a_booking_is_either_confirmed_or_expired
                bookings: a_booking_does_not_expire_while_it_is_held
                sessions: a_session_that_was_written_to_in_time_stays
                triggers: all_triggers_at_four_replicas_expire_each_row_once
                kept: a_hundred_rows_that_must_stay_cost_what_one_does
            );
        }
    };
    (@cases $open:expr, $($module:ident: $case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() -> crate::TestResult {
                match $open.await? {
                    Some(database) => crate::$module::$case(&std::sync::Arc::new(database)).await,
                    None => Ok(()),
                }
            }
        )*
    };
}

#[cfg(feature = "sqlite")]
races!(sqlite, crate::database::Database::sqlite());
#[cfg(feature = "postgres")]
races!(postgres, crate::database::Database::postgres());

#[cfg(not(feature = "postgres"))]
#[test]
fn postgres_is_skipped_without_its_feature() {
    println!("left out: Postgres, which needs the feature `postgres`");
}
