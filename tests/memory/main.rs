//! Heap, tasks, files and connections stay flat. These tests read figures of the whole process, so
//! they have a binary of their own and take turns.

use peak_alloc::PeakAlloc;
use tokio::sync::Mutex;

mod runs;
#[cfg(feature = "sqlite")]
mod start_stop;
#[cfg(feature = "sqlite")]
#[expect(dead_code, reason = "other test binaries use the rest")]
#[path = "../support/mod.rs"]
mod support;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Held by the one test that runs.
static ALONE: Mutex<()> = Mutex::const_new(());
