//! Guides, one for each question that comes up after the first hour.
//!
//! The same text lies under `docs/guides` in the repository. All its code is compiled and run by
//! the tests.

// Each begins with where its links to the others lead, which is another place here than in the
// repository. The first definition of a link counts.

/// [tables]: own_tables
/// [postgres]: postgres_and_replicas
/// [testing]: testing_your_host
#[doc = include_str!("../docs/guides/embedding.md")]
pub mod embedding {}

/// [pace]: tuning_the_pace
/// [testing]: testing_your_host
#[doc = include_str!("../docs/guides/own_tables.md")]
pub mod own_tables {}

/// [embedding]: embedding
/// [upgrading]: upgrading
// It speaks of a driver that is only there with the feature.
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
