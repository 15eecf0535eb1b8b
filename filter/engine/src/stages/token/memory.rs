//! What one worker remembers between requests under one policy.
//!
//! **Invariant:** made by the engine for its policy and gone with it; bounded whatever clients send. Nothing here is
//! shared: what workers must agree on lives in the counter store.

use alloc::vec::Vec;

use super::TokenStage;
use super::remote::Remote;

/// The memory of one worker.
#[derive(Debug, Default)]
pub struct Memory {
    /// Right passwords of late.
    pub(super) passwords: super::basic::Remembered,
    /// Keys that are fetched, by the index of their provider.
    remotes: Vec<(usize, Remote)>,
}

impl Memory {
    /// An empty memory for these providers.
    #[must_use]
    pub fn new(tokens: &TokenStage) -> Self {
        let mut remotes = Vec::new();
        for (index, _) in tokens.remote_keys() {
            remotes.push((index, Remote::default()));
        }
        Self {
            remotes,
            ..Self::default()
        }
    }

    /// The fetched keys of a provider.
    pub fn remote(&mut self, provider: usize) -> Option<&mut Remote> {
        let mut remotes = self.remotes.iter_mut();
        remotes
            .find(|(index, _)| *index == provider)
            .map(|(_, remote)| remote)
    }
}
