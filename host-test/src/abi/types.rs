//! The numbers of the ABI: statuses, stream, map and buffer types.
//!
//! Source: ABI v0.2.1; 5, 9 and 11 are of earlier versions and still in use by guests.

/// What a hostcall answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// No such key, metric, queue, property, call.
    NotFound = 1,
    /// An argument is out of range, or the call does not belong in this phase.
    BadArgument = 2,
    /// Could not be serialized.
    SerializationFailure = 3,
    /// Could not be parsed.
    ParseFailure = 4,
    /// An expression is wrong.
    BadExpression = 5,
    /// A guest pointer is out of the guest's memory.
    InvalidMemoryAccess = 6,
    /// The queue is empty.
    Empty = 7,
    /// The value has changed since it was read.
    CasMismatch = 8,
    /// Unexpected result.
    ResultMismatch = 9,
    /// The host failed.
    InternalFailure = 10,
    /// The connection broke.
    BrokenConnection = 11,
    /// The host does not do this.
    Unimplemented = 12,
}

impl Status {
    /// The number the guest gets.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }
}
