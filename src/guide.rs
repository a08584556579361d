//! Guides for users.
//!
//! The same text is under `docs/guides` in the repository. CI compiles and runs all of its code.

// The links between guides differ here from the repository, so each guide starts with its own. Of
// two definitions of a link, the first counts.

/// [tables]: own_tables
/// [postgres]: postgres_and_replicas
/// [testing]: testing_your_host
#[doc = include_str!("../docs/guides/embedding.md")]
pub mod embedding {}

/// [others]: telling_others
/// [pace]: tuning_the_pace
/// [testing]: testing_your_host
#[doc = include_str!("../docs/guides/own_tables.md")]
pub mod own_tables {}

#[doc = include_str!("../docs/guides/telling_others.md")]
pub mod telling_others {}

/// [embedding]: embedding
/// [upgrading]: upgrading
// Its code needs a driver that only the feature builds.
#[cfg(any(not(doctest), feature = "postgres"))]
#[doc = include_str!("../docs/guides/postgres_and_replicas.md")]
pub mod postgres_and_replicas {}

#[doc = include_str!("../docs/guides/tuning_the_pace.md")]
pub mod tuning_the_pace {}

/// [tables]: own_tables
#[doc = include_str!("../docs/guides/testing_your_host.md")]
pub mod testing_your_host {}

#[doc = include_str!("../docs/guides/upgrading.md")]
pub mod upgrading {}

/// [embedding]: embedding
/// [pace]: tuning_the_pace
#[doc = include_str!("../docs/guides/operating.md")]
pub mod operating {}
