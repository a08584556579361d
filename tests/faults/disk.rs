//! A disk of a few megabytes, which can be full.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::TestResult;

/// A piece of memory, mounted as a disk.
pub(crate) struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` where this process may not mount anything, which is said.
    pub(crate) fn mount() -> TestResult<Option<Self>> {
        let disk = tempfile::tempdir()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m,mode=0777", "tmpfs"])
            .arg(disk.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Ok(Some(Self(disk)));
        }
        println!("left out: a disk that is really full, because nothing can be mounted here");
        Ok(None)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) -> TestResult {
        let mut ballast = fs::File::create(self.ballast())?;
        loop {
            match ballast.write_all(&[0; 4096]) {
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                done => done?,
            }
        }
    }

    /// Gives it back.
    pub(crate) fn make_room(&self) -> TestResult {
        Ok(fs::remove_file(self.ballast())?)
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Fails while a process has one of its files open.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
