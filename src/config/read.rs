//! Settings are read so that an error names the one that is wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_path_to_error::{Deserializer as Tracked, Track};

use super::{Ages, BackoffConfig, HousekeeperConfig, JobConfig, KeptConfig, RestartConfig};
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
    restart: RestartConfig,
    retry: BackoffConfig,
    kept: KeptConfig,
}

/// The fields of [`Ages`], as serde reads them.
#[derive(Deserialize)]
#[serde(default = "Ages::default", deny_unknown_fields, remote = "Ages")]
struct AgesFields {
    #[serde(with = "humantime_serde::option")]
    idle_after: Option<Duration>,
    #[serde(with = "humantime_serde::option")]
    expire_after: Option<Duration>,
}

impl<'de> Deserialize<'de> for HousekeeperConfig {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let mut track = Track::new();
        HousekeeperFields::deserialize(Tracked::new(source, &mut track))
            .map_err(|error| named(track, error))
    }
}

impl<'de> Deserialize<'de> for Ages {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let mut track = Track::new();
        AgesFields::deserialize(Tracked::new(source, &mut track))
            .map_err(|error| named(track, error))
    }
}

fn named<E: Error>(track: Track, error: E) -> E {
    let path = track.path();
    if path.iter().next().is_none() {
        return error;
    }
    E::custom(format_args!("{path}: {error}"))
}
