//! What the program is asked on its command line.

use std::str::FromStr;

pub(crate) const USAGE: &str = "\
usage: booking_app [options]

  --seconds N          how long guests come and go, 12 to 3600; 15 if not given
  --seed N             makes the guests' choices repeatable; random if not given
  --database-url URL   an empty Postgres database, as in postgres://user:password@host/database;
                       without it, a temporary SQLite file
  --help               this text";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    pub(crate) database_url: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Run(Options),
    Help,
}

pub(crate) fn asked(mut arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut options = Options {
        seconds: 15,
        seed: fastrand::u64(..),
        database_url: None,
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => return Ok(Asked::Help),
            "--seconds" => options.seconds = number(&argument, arguments.next())?,
            "--seed" => options.seed = number(&argument, arguments.next())?,
            "--database-url" => {
                let url = arguments.next().ok_or("--database-url needs a URL")?;
                options.database_url = Some(url);
            }
            unknown => return Err(format!("unknown option {unknown}")),
        }
    }
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
