//! The router of feature `web`: in the process, request by request, and in a browser.

mod acting;
mod actions;
mod browser;
mod browser_states;
mod browser_streams;
mod contract;
mod couriers;
mod errors;
mod escaping;
mod fleet;
mod forgery;
mod headers;
mod health;
mod hosts;
mod json;
mod named;
mod nesting;
mod pages;
mod privacy;
mod reads;
mod runs;
mod streams;
mod strict;
mod triage;
mod visitor;
mod webdriver;
