//! What the program is asked on its command line.

use std::net::SocketAddr;
use std::str::FromStr;

pub(crate) const USAGE: &str = "\
usage: booking_app [options]

  --seconds N          how long guests come and go, 12 to 3600; 15 if not given, 600 with --web
  --seed N             makes the guests' choices repeatable; random if not given
  --database-url URL   an empty Postgres database, as in postgres://user:password@host/database;
                       without it, a temporary SQLite file
  --web ADDRESS        serves the housekeeper's page while they do, as in 127.0.0.1:8080; Ctrl-C sends the
                       guests home. On an address of this machine alone the page can act, else it only reads.
                       Rows that fall due while a job is paused are late, and the balance will say so
  --help               this text";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    pub(crate) database_url: Option<String>,
    pub(crate) web: Option<SocketAddr>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Run(Options),
    Help,
}

pub(crate) fn asked(mut arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut seconds = None;
    let mut options = Options {
        seconds: 15,
        seed: fastrand::u64(..),
        database_url: None,
        web: None,
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => return Ok(Asked::Help),
            "--seconds" => seconds = Some(number(&argument, arguments.next())?),
            "--seed" => options.seed = number(&argument, arguments.next())?,
            "--database-url" => {
                let url = arguments.next().ok_or("--database-url needs a URL")?;
                options.database_url = Some(url);
            }
            "--web" => {
                let address = arguments.next().and_then(|address| address.parse().ok());
                let address =
                    address.ok_or("--web needs an address and a port, as in 127.0.0.1:8080")?;
                options.web = Some(address);
            }
            unknown => return Err(format!("unknown option {unknown}")),
        }
    }
    // Long enough to look at, which ends by Ctrl-C.
    let usual = if options.web.is_some() {
        600
    } else {
        options.seconds
    };
    options.seconds = seconds.unwrap_or(usual);
    if !(12..=3_600).contains(&options.seconds) {
        return Err("--seconds must be from 12 to 3600: in less, too little happens".to_owned());
    }
    Ok(Asked::Run(options))
}

fn number<N: FromStr>(option: &str, value: Option<String>) -> Result<N, String> {
    let value = value.ok_or_else(|| format!("{option} needs a number"))?;
    value
        .parse()
        .map_err(|_| format!("{option} needs a number, and {value:?} is none"))
}
