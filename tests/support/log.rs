//! What is logged, read by a test in a process of its own.

use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::Level;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::format::FmtSpan;

/// Runs this test once more where no other runs, and says whether it has: then there is nothing left to do.
///
/// A place in the code that another thread reaches while this one begins to listen may be left out for good.
pub(crate) fn played_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return false;
    }
    let itself = std::env::current_exe().expect("it runs");
    let played = Command::new(itself)
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .expect("it runs once more");
    let said = String::from_utf8_lossy(&played.stdout);
    assert!(
        played.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&played.stderr)
    );
    true
}

/// Set for the process that plays one test.
const ALONE: &str = "HOUSEKEEPER_PLAYED_ALONE";

/// What this thread logs, and the spans it opens, a line each, with the level first.
pub(crate) struct Log {
    lines: Lines,
    _listening: DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn listen() -> Self {
        let lines = Lines::default();
        let written = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .with_span_events(FmtSpan::NEW)
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .with_writer(move || written.clone())
            .finish();
        Self {
            lines,
            _listening: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The levels of the lines that say this.
    pub(crate) fn of(&self, message: &str) -> Vec<String> {
        let text = String::from_utf8(self.lines.lock().clone()).expect("it is text");
        let lines = text.lines().filter(|line| line.contains(message));
        lines
            .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
            .collect()
    }
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.lock().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
