//! One suite over every store: SQLite, Postgres, and the store in memory that is the model of both.

use std::error::Error;

mod jobs;
mod outbox;
mod replicas;
mod rules;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod runs;
mod world;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod activity;
#[cfg(feature = "sqlite")]
mod hand_written;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod keys;
#[cfg(feature = "sqlite")]
#[path = "../support/listening_pool.rs"]
mod listening_pool;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod model;
#[cfg(all(feature = "postgres", unix))]
#[path = "../support/pgbouncer.rs"]
mod pgbouncer;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod plans;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod recorder;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod refusals;
#[cfg(all(feature = "postgres", unix))]
mod secrets;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
#[expect(dead_code, reason = "other test binaries use the rest")]
#[path = "../support/mod.rs"]
mod support;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod tables;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod unreadable;

/// The result of a test.
type TestResult<T = ()> = Result<T, Box<dyn Error>>;

/// The suite over one store. `$open` makes a world, or `None` where its database is not installed.
macro_rules! conformance {
    ($store:ident, $open:expr) => {
        mod $store {
            conformance!(@cases $open, rules:
                a_session_is_idle_strictly_after_the_cutoff
                a_message_of_the_guest_keeps_a_session_to_the_microsecond
                messages_of_others_keep_nothing
                a_users_messages_keep_every_session_of_the_user
                records_of_each_kind_are_deleted_and_counted
                a_booking_expires_strictly_after_the_cutoff
                a_hold_keeps_a_booking_until_it_ends
                other_statuses_are_never_touched
                a_scope_covers_one_user_only
                a_scope_that_is_no_uuid_is_rejected
                batches_walk_all_rows_once
                pages_are_complete_and_without_doubles
                the_forecast_of_sessions_is_exact
                the_forecast_of_bookings_is_exact
                an_empty_store_has_nothing_to_do
                rejected_rows_do_not_count
                equal_keys_fold_in_the_history
                runs_written_again_count_once_in_the_history
                the_history_is_trimmed_in_the_order_it_was_written
                the_history_keeps_the_newest_of_each_job
                the_history_is_read_by_page_date_and_outcome
            );
            conformance!(@cases $open, replicas:
                a_pause_is_kept_once_and_ended_once
                instances_are_listed_the_latest_first
            );
        }
    };
    (@cases $open:expr, $module:ident: $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() -> crate::TestResult {
                match $open.await? {
                    Some(world) => crate::$module::$case(&world).await,
                    None => {
                        println!("left out: its database is not installed");
                        Ok(())
                    }
                }
            }
        )*
    };
}

conformance!(memory_store, crate::world::MemoryUnderTest::open());
#[cfg(feature = "sqlite")]
conformance!(sqlite_store, crate::sqlite::SqliteUnderTest::open());
#[cfg(feature = "postgres")]
conformance!(postgres_store, crate::postgres::PostgresUnderTest::open());
