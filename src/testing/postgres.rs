//! A private Postgres server for tests.

use std::fs;
use std::io::{self, Error, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use uuid::Uuid;

/// A private Postgres server in a temporary folder, with its socket there. It stops when this
/// process ends, even if the process is killed.
///
/// It runs the installed binaries. It trades durability for speed, unless
/// [configured](Self::start_with) otherwise, and accepts every user of this machine.
///
/// # Examples
///
/// ```no_run
/// use ractor_housekeeper::testing::PrivatePostgres;
///
/// # fn main() -> std::io::Result<()> {
/// let Some(server) = PrivatePostgres::shared()? else {
///     println!("left out: Postgres is not installed");
///     return Ok(());
/// };
/// let url = server.fresh_database()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PrivatePostgres {
    folder: PathBuf,
    binaries: PathBuf,
    owner: Option<Owner>,
    /// A shell that starts and stops the server by commands from its standard input. The input
    /// closes when this process ends in any way; then the shell stops the server and removes the
    /// folder.
    watchdog: Child,
}

/// The user that Postgres runs as, because it refuses to run as root.
#[derive(Debug, Clone, Copy)]
struct Owner {
    uid: u32,
    gid: u32,
}

impl PrivatePostgres {
    /// Starts a server and waits until it is ready. Returns `None` if Postgres is not installed.
    ///
    /// # Errors
    ///
    /// Fails if the server does not start, or if Postgres is not installed and the environment has
    /// `HOUSEKEEPER_REQUIRE_POSTGRES=1`, so that CI does not skip tests unnoticed.
    pub fn start() -> io::Result<Option<Self>> {
        Self::start_with(&[])
    }

    /// Starts a server like [`start`](Self::start), with settings such as `fsync=on` that override
    /// the defaults of private servers.
    pub fn start_with(settings: &[&str]) -> io::Result<Option<Self>> {
        let Some(binaries) = find_binaries() else {
            if std::env::var_os("HOUSEKEEPER_REQUIRE_POSTGRES").is_some_and(|value| value == "1") {
                return Err(Error::new(
                    io::ErrorKind::NotFound,
                    "Postgres is required but not installed: neither PATH nor /usr/lib/postgresql has its binaries",
                ));
            }
            return Ok(None);
        };
        let folder = std::env::temp_dir().join(format!("housekeeper-{}", Uuid::new_v4().simple()));
        fs::create_dir(&folder)?;
        let started = Self::start_in(&folder, binaries, settings);
        if started.is_err() {
            let _ = fs::remove_dir_all(&folder);
        }
        started.map(Some)
    }

    /// Returns the server that all tests of this process share. The first call starts it.
    pub fn shared() -> io::Result<Option<&'static Self>> {
        // A static is never dropped, but the watchdog notices the end of the process.
        static SHARED: OnceLock<Result<Option<PrivatePostgres>, String>> = OnceLock::new();
        match SHARED.get_or_init(|| Self::start().map_err(|error| error.to_string())) {
            Ok(server) => Ok(server.as_ref()),
            Err(text) => Err(Error::other(text.as_str())),
        }
    }

    /// Returns the URL of the database `postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Creates an empty database and returns its URL. It orders texts by their bytes, or by the ICU
    /// locale in the environment's `HOUSEKEEPER_POSTGRES_LOCALE`.
    pub fn fresh_database(&self) -> io::Result<String> {
        let locale = std::env::var(LOCALE_VARIABLE).unwrap_or_default();
        self.create_database(&locale)
    }

    /// Locales for [`fresh_database_in`](Self::fresh_database_in) that do not order texts by their
    /// bytes: they put capitals beside small letters, order numbers by value, or ignore marks such
    /// as hyphens at first.
    pub const ODD_LOCALES: [&str; 3] = ["en-US", "en-US-u-kn-true", "en-US-u-ka-shifted"];

    /// Creates an empty database that orders texts by an ICU locale, such as `en-US`, and returns
    /// its URL. In such a database `a` comes before `B`, other than in Rust.
    ///
    /// # Errors
    ///
    /// Fails if the server is older than Postgres 15, was built without ICU, or does not know the
    /// locale.
    pub fn fresh_database_in(&self, locale: &str) -> io::Result<String> {
        self.create_database(locale)
    }

    fn create_database(&self, locale: &str) -> io::Result<String> {
        let name = format!("d{}", Uuid::new_v4().simple());
        let mut createdb = self.command("createdb");
        createdb.arg("-h").arg(&self.folder);
        createdb.args(["-U", USER, "-T", "template0", &name]);
        if !locale.is_empty() {
            createdb.args(["--locale-provider=icu", "--locale=C"]);
            createdb.arg(format!("--icu-locale={locale}"));
        }
        succeed(createdb)?;
        Ok(self.url_of(&name))
    }

    /// Shuts the server down: it closes all connections and keeps all commits. Returns when it has
    /// stopped.
    pub fn stop(&self) -> io::Result<()> {
        self.send("INT")?;
        self.wait_until_gone()
    }

    /// Kills the server like a crash. It recovers at the next start. Returns when it has stopped.
    ///
    /// The last commits may be lost unless the server was started with `synchronous_commit=on`.
    pub fn kill(&self) -> io::Result<()> {
        self.send("QUIT")?;
        self.wait_until_gone()
    }

    /// Starts a server that was stopped or killed, and waits until it is ready. Its databases and
    /// URLs are unchanged.
    pub fn start_again(&self) -> io::Result<()> {
        self.send("start")?;
        self.wait_until_ready()
    }

    fn start_in(folder: &Path, binaries: PathBuf, settings: &[&str]) -> io::Result<Self> {
        let mode = fs::Permissions::from_mode(0o700);
        fs::set_permissions(folder, mode)?;
        let owner = owner_for(folder)?;
        if let Some(Owner { uid, gid }) = owner {
            chown(folder, Some(uid), Some(gid))?;
        }
        let data = folder.join("data");
        let mut initdb = command(&binaries, owner, folder, "initdb");
        initdb.arg("-D").arg(&data);
        initdb.args(["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]);
        succeed(initdb)?;
        let mut watchdog = base_command(Path::new("/bin/sh"), owner, folder);
        watchdog
            .args(["-c", WATCHDOG, "sh"])
            .arg(&binaries)
            .arg(folder)
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in the terminal must not end the shell before the server.
            .process_group(0);
        let server = Self {
            folder: folder.to_owned(),
            binaries,
            owner,
            watchdog: watchdog.spawn()?,
        };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Sends the watchdog a command: `start`, or the signal that ends the server.
    fn send(&self, command: &str) -> io::Result<()> {
        let mut input = self
            .watchdog
            .stdin
            .as_ref()
            .ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(input, "{command}")
    }

    fn wait_until_ready(&self) -> io::Result<()> {
        // The last line of the file is the state of the server.
        self.wait_until("start", |status| {
            status.is_some_and(|status| status.trim_end().ends_with("ready"))
        })
    }

    fn wait_until_gone(&self) -> io::Result<()> {
        self.wait_until("stop", |status| status.is_none())
    }

    /// Polls the file with the state of the server, which exists while it runs.
    fn wait_until(&self, what: &str, done: impl Fn(Option<&str>) -> bool) -> io::Result<()> {
        let started = Instant::now();
        loop {
            let status = fs::read_to_string(self.folder.join("data/postmaster.pid")).ok();
            if done(status.as_deref()) {
                return Ok(());
            }
            if started.elapsed() > TIMEOUT {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(Error::other(format!("Postgres did not {what}: {log}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn url_of(&self, database: &str) -> String {
        let host = self.folder.to_string_lossy().replace('/', "%2F");
        format!("postgres://{USER}@{host}/{database}")
    }

    fn command(&self, program: &str) -> Command {
        command(&self.binaries, self.owner, &self.folder, program)
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// Finds the folder with the binaries: in PATH, or in Debian's, the newest version first.
fn find_binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut installed: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    let version =
        |folder: &PathBuf| -> Option<u32> { folder.parent()?.file_name()?.to_str()?.parse().ok() };
    installed.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
    in_path
        .into_iter()
        .chain(installed)
        // PATH may have a link to a single binary; the others are beside its target.
        .filter_map(|folder| {
            Some(
                folder
                    .join("initdb")
                    .canonicalize()
                    .ok()?
                    .parent()?
                    .to_owned(),
            )
        })
        .find(|folder| {
            let needed = ["initdb", "postgres", "createdb"];
            needed.iter().all(|program| folder.join(program).is_file())
        })
}

/// Returns the user to run Postgres as, if this process runs as root.
fn owner_for(folder: &Path) -> io::Result<Option<Owner>> {
    if fs::metadata(folder)?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let find = |name: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_it = fields.next() == Some(name);
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            is_it.then_some(Owner { uid, gid })
        })
    };
    find("postgres")
        .or_else(|| find("nobody"))
        .map(Some)
        .ok_or_else(|| Error::other("Postgres refuses to run as root; add a user `postgres`"))
}

fn command(binaries: &Path, owner: Option<Owner>, folder: &Path, program: &str) -> Command {
    base_command(&binaries.join(program), owner, folder)
}

fn base_command(program: &Path, owner: Option<Owner>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    if let Some(Owner { uid, gid }) = owner {
        command.uid(uid).gid(gid);
    }
    command
}

fn succeed(mut command: Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::other(format!(
        "{} failed: {}",
        command.get_program().to_string_lossy(),
        String::from_utf8_lossy(&output.stderr)
    )))
}

/// The script of the watchdog. It gets paths as arguments, so none needs quoting.
const WATCHDOG: &str = include_str!("postgres/watchdog.sh");

const USER: &str = "housekeeper";

/// The variable with the locale of new databases.
const LOCALE_VARIABLE: &str = "HOUSEKEEPER_POSTGRES_LOCALE";

/// Timeout of the server's start and stop.
const TIMEOUT: Duration = Duration::from_secs(30);
