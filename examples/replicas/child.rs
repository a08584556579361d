//! A second process of this program that exchanges lines of JSON with the first.
//! `tests/races/processes.rs` includes this file.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A running child. Dropping it kills the process.
pub(crate) struct ChildProcess {
    process: Child,
    input: Option<ChildStdin>,
}

impl ChildProcess {
    /// Starts the program with what `configure` adds. Returns the child and its standard output.
    pub(crate) fn start(
        configure: impl FnOnce(&mut Command) -> &mut Command,
    ) -> io::Result<(Self, ChildStdout)> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = configure(&mut command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take();
        let output = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((Self { process, input }, output))
    }

    pub(crate) fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let input = self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(input, "{}", serde_json::to_string(message)?)
    }

    /// Closes the child's standard input, at which it ends. Returns its status.
    pub(crate) fn wait(&mut self) -> io::Result<ExitStatus> {
        self.close_input();
        self.process.wait()
    }

    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.process.kill()
    }

    pub(crate) fn close_input(&mut self) {
        drop(self.input.take());
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // Both fail on a process that has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The messages among a child's lines. Skips other lines: a killed child leaves a part of one, and
/// a test program adds its own.
pub(crate) fn messages<Message: DeserializeOwned>(
    output: ChildStdout,
) -> impl Iterator<Item = Message> {
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    lines.filter_map(|line| serde_json::from_str(&line).ok())
}

/// Writes a message to this process's standard output.
pub(crate) fn write_message(message: &impl Serialize) -> io::Result<()> {
    writeln!(io::stdout(), "{}", serde_json::to_string(message)?)
}
