//! Tests that need a process of their own.

use std::process::Command;

/// Runs the test again in a process of its own and returns `true`, or returns `false` if this is
/// that process. The test returns at once on `true`.
///
/// Tracing caches which call sites are enabled, and recorders and hooks belong to the process:
/// other tests in the same process would change what the test sees.
pub(crate) fn ran_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return false;
    }
    let program = std::env::current_exe().expect("the path of this program");
    let run = Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .expect("the program starts");
    let output = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && output.contains("1 passed"),
        "{output}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    print!("{output}");
    true
}

/// Set in the process that runs one test.
const ALONE: &str = "HOUSEKEEPER_TEST_ALONE";
