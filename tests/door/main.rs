//! Input at the door: settings, addresses and questions, as right and as wrong as they come.

mod addresses;
mod drive;
mod extremes;
mod questions;
mod seeds;
mod settings;
mod values;
