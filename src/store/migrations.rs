//! placeholder, being written
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
/// Schema
pub enum Schema {
    /// history
    Housekeeper,
    /// booking
    Booking,
}
