//! Validation of settings, addresses and requests: valid, invalid and extreme input.

mod addresses;
mod drive;
mod extremes;
mod questions;
mod seeds;
mod settings;
mod values;
