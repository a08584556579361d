//! Reads settings so that an error names the invalid one.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_path_to_error::{Deserializer as Tracked, Track};

use super::{
    BackoffConfig, CourierConfig, HistoryConfig, HousekeeperConfig, JobConfig, RestartConfig,
};
use crate::job::JobName;

/// The fields of a [`HousekeeperConfig`], as serde reads them.
#[derive(Deserialize)]
#[serde(
    default = "HousekeeperConfig::default",
    deny_unknown_fields,
    remote = "HousekeeperConfig"
)]
struct HousekeeperFields {
    job: JobConfig,
    jobs: BTreeMap<JobName, JobConfig>,
    courier: CourierConfig,
    couriers: BTreeMap<JobName, CourierConfig>,
    restart: RestartConfig,
    retry: BackoffConfig,
    history: HistoryConfig,
}

impl<'de> Deserialize<'de> for HousekeeperConfig {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let mut track = Track::new();
        HousekeeperFields::deserialize(Tracked::new(source, &mut track))
            .map_err(|error| named(track, error))
    }
}

/// Puts the path of the setting in front of the error.
pub(crate) fn named<E: Error>(track: Track, error: E) -> E {
    let path = track.path();
    if path.iter().next().is_none() {
        return error;
    }
    E::custom(format_args!("{path}: {error}"))
}

#[cfg(test)]
mod tests;
