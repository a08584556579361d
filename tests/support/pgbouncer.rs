//! A pooler before a private Postgres.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// A pooler that ends with its owner.
pub(crate) struct PgBouncer {
    /// Of the database, through the pooler.
    pub(crate) url: String,
    process: Child,
    folder: std::path::PathBuf,
}

impl PgBouncer {
    /// Starts one with these settings, such as `pool_mode = session`, before the database of this
    /// URL. `None` if it is not installed, or older than the version it needs.
    pub(crate) fn before(url: &str, needs: (u32, u32), settings: &[&str]) -> Option<Self> {
        let version = Self::version();
        if version.is_none_or(|version| version < needs) {
            let required = std::env::var_os("HOUSEKEEPER_REQUIRE_PGBOUNCER");
            assert!(
                version.is_some() || required.is_none(),
                "PgBouncer is required but not installed"
            );
            println!("left out: PgBouncer is {version:?}, and this needs {needs:?}");
            return None;
        }
        let (_, place) = url.split_once('@').expect("a user is in it");
        let (host, database) = place.split_once('/').expect("a database is in it");
        let host = host.replace("%2F", "/");
        let folder = std::env::temp_dir().join(format!("pgbouncer-{}", Uuid::new_v4().simple()));
        fs::create_dir(&folder).expect("a folder");
        // It refuses to run as root, as Postgres does.
        let owner = fs::metadata(&host).expect("the server's folder");
        chown(&folder, Some(owner.uid()), Some(owner.gid())).expect("is ours");
        let config = folder.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n{database} = host={host} port=5432 user=housekeeper\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = {folder}\n\
             listen_port = 6432\nauth_type = any\nignore_startup_parameters = extra_float_digits\n{settings}\n",
            folder = folder.display(),
            settings = settings.join("\n"),
        );
        fs::write(&config, text).expect("is written");
        let process = start(&config, owner.uid(), owner.gid());
        let socket = folder.join(".s.PGSQL.6432");
        let began = Instant::now();
        while !socket.exists() {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "PgBouncer does not start"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let place = folder.to_string_lossy().replace('/', "%2F");
        Some(Self {
            url: format!("postgres://housekeeper@{place}:6432/{database}"),
            process,
            folder,
        })
    }

    fn version() -> Option<(u32, u32)> {
        let output = Command::new("pgbouncer").arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut numbers = text.split_whitespace().nth(1)?.split('.');
        let mut next = || numbers.next()?.parse().ok();
        Some((next()?, next()?))
    }
}

fn start(config: &Path, uid: u32, gid: u32) -> Child {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("pgbouncer");
    command.arg(config).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    if uid != 0 {
        command.uid(uid).gid(gid);
    }
    command.spawn().expect("it starts")
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
