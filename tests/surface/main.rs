//! The housekeeper from outside: settings and addresses, the web routes, the metrics, and the
//! documents.

mod documents;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(any(feature = "web", feature = "metrics"))]
#[cfg_attr(
    not(feature = "web"),
    expect(dead_code, reason = "the tests of the router use the rest")
)]
#[path = "../support/mod.rs"]
mod support;
mod validation;
#[cfg(feature = "web")]
mod web;
