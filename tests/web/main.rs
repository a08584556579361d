//! The router of feature `web`: in the process, request by request, and in a browser.

mod actions;
mod browser;
mod errors;
mod escaping;
mod forgery;
mod headers;
mod health;
mod json;
mod named;
mod nesting;
mod pages;
mod reads;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod visitor;
mod webdriver;
