//! The router of feature `web`: in the process, request by request, and in a browser.

mod acting;
mod actions;
mod browser;
mod browser_reading;
mod browser_states;
mod browser_streams;
mod clients;
mod contract;
mod couriers;
mod errors;
mod escaping;
mod fleet;
mod forgery;
#[cfg(feature = "postgres")]
mod frozen;
mod headers;
mod health;
mod hosts;
mod json;
mod load;
mod named;
mod nesting;
mod pages;
mod privacy;
mod reads;
mod replicas;
mod runs;
mod stranger;
mod streams;
mod strict;
mod triage;
mod visitor;
mod webdriver;
