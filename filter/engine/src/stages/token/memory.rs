//! What one worker remembers between requests under one policy.
//!
//! **Invariant:** made by the engine for its policy and gone with it; bounded whatever clients send. Nothing here is
//! shared: what workers must agree on lives in the counter store.

/// The memory of one worker.
#[derive(Debug, Default)]
pub struct Memory {
    /// Right passwords of late.
    pub(super) passwords: super::basic::Remembered,
}
