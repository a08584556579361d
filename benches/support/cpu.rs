//! Processor time of this process and of the database's, from `/proc`.
//!
//! On a shared machine it is steadier than time: others take the processor away, not the work.

use std::collections::BTreeMap;
use std::fs;

use super::database::{Database, Kind};

/// Processor time, in seconds. Zero where there is no `/proc`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    /// Of this process, with SQLite in it.
    pub(crate) client: f64,
    /// Of all processes of the Postgres server.
    pub(crate) server: f64,
}

impl Cpu {
    /// User and system time, together.
    pub(crate) fn total(self) -> f64 {
        self.client + self.server
    }
}

/// A point in time from which processor time counts.
///
/// The time of a server's process that ends in between is lost unless the postmaster has waited for
/// it, which adds it to its own children's.
pub(crate) struct Mark {
    postmaster: Option<u32>,
    client: f64,
    server: f64,
}

impl Mark {
    pub(crate) fn now(database: &Database) -> Self {
        let postmaster = match &database.kind {
            Kind::Postgres { url, .. } => postmaster(url),
            Kind::Sqlite { .. } => None,
        };
        Self {
            postmaster,
            client: own(),
            server: postmaster.map_or(0.0, of_server),
        }
    }

    /// Processor time since the mark.
    pub(crate) fn elapsed(&self) -> Cpu {
        Cpu {
            client: own() - self.client,
            server: self.postmaster.map_or(0.0, of_server) - self.server,
        }
    }
}

/// The server's first process, from the file in its folder that the socket is in.
fn postmaster(url: &str) -> Option<u32> {
    let host = url.split('@').nth(1)?.split('/').next()?;
    let folder = host.replace("%2F", "/");
    let file = fs::read_to_string(format!("{folder}/data/postmaster.pid")).ok()?;
    file.lines().next()?.trim().parse().ok()
}

fn own() -> f64 {
    stat("/proc/self/stat").map_or(0.0, |stat| stat.own)
}

/// The postmaster, its children, and those it has waited for.
fn of_server(postmaster: u32) -> f64 {
    let mut processes = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().parse::<u32>();
        let folder = entry.path();
        let stat = stat(&format!("{}/stat", folder.display()));
        if let (Ok(pid), Some(mut stat)) = (pid, stat) {
            // To the nanosecond, but of one thread: a process of Postgres has no other.
            let exact = fs::read_to_string(folder.join("schedstat")).ok();
            let exact = exact.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
            stat.own = exact.map_or(stat.own, |nanoseconds| nanoseconds / 1e9);
            processes.insert(pid, stat);
        }
    }
    let children = processes.values().filter(|stat| stat.parent == postmaster);
    let first = processes.get(&postmaster);
    first.map_or(0.0, |stat| stat.own + stat.waited_for)
        + children.map(|stat| stat.own).sum::<f64>()
}

struct Stat {
    parent: u32,
    own: f64,
    waited_for: f64,
}

/// Reads fields 4 and 14 to 17 of proc(5). The name before them may have spaces and parentheses.
fn stat(file: &str) -> Option<Stat> {
    let text = fs::read_to_string(file).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| -> Option<f64> { fields.get(field - 3)?.parse().ok() };
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND,
        waited_for: (ticks(16)? + ticks(17)?) / TICKS_PER_SECOND,
    })
}

/// `USER_HZ`, which is 100 on every Linux that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;
