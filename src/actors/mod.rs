//! The actors: they carry out the decisions of the policies.

mod arguments;
mod ask;
mod courier;
mod delayed;
mod destination;
mod handle;
mod history_writer;
mod housekeeper;
pub(crate) mod message;
pub(crate) mod names;
mod opening;
pub(crate) mod panics;
mod reader;
mod run_state;
mod start;
mod subscribers;
mod timeout;
mod timer;
mod worker;

pub use arguments::{CourierOf, HousekeeperArguments, StartError};
pub use ask::AskError;
pub use destination::{Destination, Refusal};
pub use handle::HousekeeperRef;
pub use housekeeper::Housekeeper;
pub use message::HousekeeperMsg;
pub use start::{NotRunning, Started, ignore_reply, start, status, stop};
pub use subscribers::{Delivery, Subscriber};
