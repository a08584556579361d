//! The router of feature `web`: in the process, request by request, and in a browser.

mod acting;
mod actions;
mod browser;
mod contract;
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
mod runs;
mod streams;
mod visitor;
mod webdriver;
