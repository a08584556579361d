//! Code of the host's that the housekeeper itself calls: a panic there costs only what panicked.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls it. The error is what the panic said.
pub(crate) fn catch_panic<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    // Nothing of ours is changed halfway: whoever panicked is not asked again, or asked anew.
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("it did not say why").to_owned()
    })
}
