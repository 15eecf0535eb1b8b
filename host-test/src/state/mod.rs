//! What the host keeps for its guests: time, logs, headers, shared data, and the state of one VM.

pub(crate) mod clock;
pub(crate) mod headers;
pub(crate) mod log;
pub(crate) mod shared;
