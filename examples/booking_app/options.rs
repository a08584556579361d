//! The command line.

use std::net::SocketAddr;
use std::str::FromStr;

pub(crate) const USAGE: &str = "\
usage: booking_app [options]

  --seconds N          length of the simulation, 12 to 3600; 15 if not given, 600 with --web
  --seed N             makes the guests' choices repeatable; random if not given
  --database-url URL   an empty Postgres database, as in postgres://user:password@host/database;
                       without it, a temporary SQLite file
  --web ADDRESS        serves the housekeeper's page meanwhile, as in 127.0.0.1:8080; Ctrl-C ends the
                       simulation. The page can act on a loopback address, and is read-only on others.
                       Rows that fall due while a job is paused expire late, and the audit fails
  --help               this text";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    pub(crate) database_url: Option<String>,
    pub(crate) web: Option<SocketAddr>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Run(Options),
    Help,
}

pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut seconds = None;
    let mut options = Options {
        seconds: 15,
        seed: fastrand::u64(..),
        database_url: None,
        web: None,
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
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
    // Long enough to look at the page; Ctrl-C ends it.
    let default = if options.web.is_some() {
        600
    } else {
        options.seconds
    };
    options.seconds = seconds.unwrap_or(default);
    if !(12..=3_600).contains(&options.seconds) {
        return Err("--seconds must be from 12 to 3600: too little happens in less".to_owned());
    }
    Ok(Command::Run(options))
}

fn number<N: FromStr>(option: &str, value: Option<String>) -> Result<N, String> {
    let value = value.ok_or_else(|| format!("{option} needs a number"))?;
    value
        .parse()
        .map_err(|_| format!("{option} needs a number, not {value:?}"))
}
