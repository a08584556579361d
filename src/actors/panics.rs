//! Panics in host code that the supervisor calls itself.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls host code. Returns the panic's message as the error.
pub(crate) fn catch_panic<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    // Unwind safe: no state of the supervisor is borrowed, and the host's code that panicked is
    // dropped or called afresh.
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("no message").to_owned()
    })
}
