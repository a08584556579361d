//! When and where figures were seen.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use chrono::Utc;

/// One line: the bench, the day, the machine, and what else had a part in it, such as the version
/// of a database.
pub(crate) fn heading(bench: &str, with: &[String]) -> String {
    let cores = available_parallelism().map_or("?".to_owned(), |cores| cores.to_string());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    let rustc = rustc.split(" (").next().unwrap_or_default();
    let mut parts = vec![
        format!("{cores} cores"),
        format!("{} {kernel}", std::env::consts::OS),
        rustc.trim().to_owned(),
    ];
    parts.extend_from_slice(with);
    format!(
        "{bench}, {}: {}",
        Utc::now().format("%Y-%m-%d"),
        parts.join(", ")
    )
}
