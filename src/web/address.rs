//! Which housekeeper a page is of.

use ractor::ActorRef;

use super::problem::Problem;
use crate::actors::HousekeeperMsg;
use crate::actors::names::present;
use crate::model::HousekeeperState;

/// Where messages go.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    /// To this one, whether it lives or not.
    One(ActorRef<HousekeeperMsg>),
    /// To the housekeeper that has the name. Not remembered from one request to the next: a
    /// reference to one that stopped stays closed.
    Name(String),
}

impl Address {
    /// The housekeeper that is there now.
    pub(crate) fn housekeeper(&self) -> Result<ActorRef<HousekeeperMsg>, Problem> {
        match self {
            Self::One(housekeeper) => Ok(housekeeper.clone()),
            Self::Name(name) => present(name).map_err(|state| match state {
                HousekeeperState::NeverStarted => Problem::unavailable(
                    "never_started",
                    format!("no housekeeper was started under the name {name:?}"),
                ),
                _ => self.stopped(),
            }),
        }
    }

    /// The text for one that is gone.
    pub(crate) fn stopped(&self) -> Problem {
        let detail = match self {
            Self::One(_) => "the housekeeper has stopped".to_owned(),
            Self::Name(name) => format!("the housekeeper {name:?} has stopped"),
        };
        Problem::unavailable("stopped", detail)
    }
}
