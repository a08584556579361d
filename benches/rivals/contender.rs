//! Alternatives in use today, and this crate.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ractor_housekeeper::config::Pace;
use ractor_housekeeper::rule::{Rule, at};
use ractor_housekeeper::{HousekeeperRef, Outcome, PostgresStore, Scope};

use crate::support::Result;
use crate::support::job::start_manual;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    Clearsessions,
    OneDelete,
    DeleteInBatches,
    DeleteUnderLock,
    FullSpeed,
    DefaultPace,
}

impl Contender {
    pub(crate) const ALL: [Self; 6] = [
        Self::Clearsessions,
        Self::OneDelete,
        Self::DeleteInBatches,
        Self::DeleteUnderLock,
        Self::FullSpeed,
        Self::DefaultPace,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Clearsessions => "Django's clearsessions",
            Self::OneDelete => "psql: one DELETE, as from cron",
            Self::DeleteInBatches => "psql: DELETE of 1,000, in a loop",
            Self::DeleteUnderLock => "psql: the same with SKIP LOCKED",
            Self::FullSpeed => "housekeeper, full speed",
            Self::DefaultPace => "housekeeper, default pace",
        }
    }

    pub(crate) fn is_there(self) -> bool {
        let mut command = match self {
            Self::Clearsessions => python("import django, psycopg2"),
            Self::OneDelete | Self::DeleteInBatches | Self::DeleteUnderLock => {
                let mut psql = Command::new("psql");
                psql.arg("--version");
                psql
            }
            Self::FullSpeed | Self::DefaultPace => return true,
        };
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// Starts what runs all the time, before there are rows. Its first run checks the table.
    pub(crate) async fn prepare(self, url: &str) -> Result<Option<HousekeeperRef>> {
        let pace = match self {
            Self::FullSpeed => Pace::full_speed(),
            Self::DefaultPace => Pace::default(),
            _ => return Ok(None),
        };
        let rule = Rule::new("sessions", "django_session")
            .due(at("expire_date"))
            .delete()
            .expect_backlog();
        let job = PostgresStore::connect(url)?.rule(rule)?;
        let housekeeper = start_manual(Arc::new(job), pace).await?;
        run(&housekeeper).await?;
        Ok(Some(housekeeper))
    }

    /// Handles all expired sessions.
    pub(crate) async fn run(self, url: &str, running: Option<HousekeeperRef>) -> Result<()> {
        if let Some(housekeeper) = running {
            let done = run(&housekeeper).await;
            housekeeper.shutdown(Duration::from_secs(5)).await;
            return done;
        }
        match self {
            Self::Clearsessions => wait(python(&CLEARSESSIONS.replace("{url}", url))).await,
            Self::OneDelete => wait(psql(url, ONE_DELETE)).await,
            Self::DeleteInBatches => wait(psql(url, &IN_BATCHES.replace("{lock}", ""))).await,
            Self::DeleteUnderLock => {
                wait(psql(
                    url,
                    &IN_BATCHES.replace("{lock}", "for update skip locked"),
                ))
                .await
            }
            Self::FullSpeed | Self::DefaultPace => Err("it was not started".into()),
        }
    }
}

fn python(script: &str) -> Command {
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(python);
    command.args(["-c", script]);
    command
}

fn psql(url: &str, statement: &str) -> Command {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1"]);
    command.args(["-c", statement, url]);
    command
}

async fn wait(mut command: Command) -> Result<()> {
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into())
}

async fn run(housekeeper: &HousekeeperRef) -> Result<()> {
    let report = housekeeper.run_now("sessions", Scope::All).await?;
    if report.outcome == Outcome::Completed {
        return Ok(());
    }
    Err(report.message().into())
}

/// A project of nothing but its sessions.
const CLEARSESSIONS: &str = r#"
from urllib.parse import urlsplit, unquote
import django
from django.conf import settings
from django.core.management import call_command
url = urlsplit("{url}")
settings.configure(USE_TZ=True, INSTALLED_APPS=["django.contrib.sessions"], DATABASES={"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": url.path[1:], "USER": url.username, "PASSWORD": url.password or "",
    "HOST": unquote(url.netloc.split("@")[-1].rsplit(":", 1)[0]), "PORT": url.netloc.rsplit(":", 1)[1] if ":" in url.netloc.split("@")[-1] else ""}})
django.setup()
call_command("clearsessions")
"#;

const ONE_DELETE: &str = "delete from django_session where expire_date < now()";

/// Commits each batch, as a script does. With row locks it can run beside others, as ours does.
const IN_BATCHES: &str = "
    do $$ declare gone bigint; begin loop
        delete from django_session where ctid = any (array(select ctid from django_session where expire_date < now() limit 1000 {lock}));
        get diagnostics gone = row_count;
        commit;
        exit when gone = 0;
    end loop; end $$";
