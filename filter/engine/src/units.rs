//! Numbers with units: sizes, durations, quotas, times.
//!
//! **In:** policy text. **Out:** newtypes whose unit is in the type.

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ByteSize(pub u64);

/// A span of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span {
    /// Milliseconds.
    pub ms: u64,
}

/// `count` per `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests admitted in any window.
    pub count: u32,
    /// Length of the window.
    pub window: Span,
}

/// Seconds since 1970-01-01T00:00:00Z (wall clock; tokens and events only).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct UnixTime(pub u64);

/// Milliseconds on the monotonic clock (limits and bans only).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Monotonic(pub u64);
