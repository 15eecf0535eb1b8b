//! Which requests a limit counts.
//!
//! **In:** what is known of a request. **Out:** counted or not.

use alloc::vec::Vec;

/// Which requests a limit counts.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// Methods; empty: all.
    pub methods: Vec<Vec<u8>>,
    /// Path pattern; `None`: all.
    pub path: Option<crate::request::target::PathPattern>,
}

impl Condition {
    /// Whether a request is counted.
    #[must_use]
    pub fn matches(&self, method: &[u8], path: &[u8]) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|one| one == method))
            && self
                .path
                .as_ref()
                .is_none_or(|pattern| pattern.matches(path))
    }
}
