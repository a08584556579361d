//! Another process that holds the lock of a file.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use diesel::connection::SimpleConnection;

use crate::TestResult;
use crate::database::sqlite::establish;

/// This very program, started again to do nothing but that.
pub(super) struct Locker {
    process: Child,
    /// Open until the process has ended: it still has something to say then.
    output: BufReader<ChildStdout>,
}

impl Locker {
    /// Returns when it has the lock.
    pub(super) fn of(path: &Path) -> TestResult<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "--exact",
                "outages::sqlite::locker::child_process_holds_a_lock",
                "--nocapture",
            ])
            .env(FILE, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("it is piped")?;
        let mut output = BufReader::new(output);
        let has_lock = output
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .any(|line| line.ends_with(LOCKED));
        assert!(has_lock, "the other process has the lock");
        Ok(Self {
            process: child,
            output,
        })
    }

    /// Returns when the lock is free.
    pub(super) fn leave(mut self) -> TestResult {
        // Its input ends, which it waits for.
        drop(self.process.stdin.take());
        self.output.lines().for_each(drop);
        self.process.wait()?;
        Ok(())
    }
}

/// The code of the other process. Without arguments it does nothing.
#[test]
fn child_process_holds_a_lock() -> TestResult {
    let Some(path) = std::env::var_os(FILE) else {
        return Ok(());
    };
    let mut conn = establish(&path.to_string_lossy())?;
    conn.batch_execute("begin immediate")?;
    println!("{LOCKED}");
    std::io::stdin().lines().for_each(drop);
    conn.batch_execute("rollback")?;
    Ok(())
}

const FILE: &str = "HOUSEKEEPER_FAULTS_LOCK";
const LOCKED: &str = "the file is locked";
