//! What one worker remembers between requests under one policy.
//!
//! **Invariant:** made by the engine for its policy and gone with it; bounded whatever clients send. Nothing here is
//! shared: what workers must agree on lives in the counter store.

use alloc::vec::Vec;

use super::cache::{Place, TokenCache};
use super::remote::Remote;
use super::{TokenStage, introspection};

/// The memory of one worker.
#[derive(Debug, Default)]
pub struct Memory {
    /// Right passwords of late.
    pub(super) passwords: super::basic::Remembered,
    /// Verified tokens.
    pub(super) tokens: TokenCache,
    /// What is known of opaque tokens that are active.
    pub(super) introspected: TokenCache,
    /// Those that are not: anybody can fill this one.
    pub(super) inactive: TokenCache,
    /// Keys that are fetched, by the index of their provider.
    remotes: Vec<(usize, Remote)>,
}

impl Memory {
    /// An empty memory for these providers. `secret` keeps clients from choosing where their tokens stand.
    #[must_use]
    pub fn new(tokens: &TokenStage, secret: [u8; 16]) -> Self {
        let mut remotes = Vec::new();
        for (index, _) in tokens.remote_keys() {
            remotes.push((index, Remote::default()));
        }
        let timed = tokens.reads_clock();
        let room = |entries| TokenCache::new(if timed { entries } else { 0 }, secret);
        Self {
            passwords: super::basic::Remembered::default(),
            tokens: TokenCache::new(tokens.remembered, secret),
            introspected: room(introspection::REMEMBERED),
            inactive: room(introspection::REMEMBERED_INACTIVE),
            remotes,
        }
    }

    /// The fetched keys of a provider.
    pub fn remote(&mut self, provider: usize) -> Option<&mut Remote> {
        let mut remotes = self.remotes.iter_mut();
        remotes
            .find(|(index, _)| *index == provider)
            .map(|(_, remote)| remote)
    }

    /// Where a token of a provider is remembered, under the keys it has now; nothing while it has none that serve.
    pub(super) fn place(&self, provider: usize, token: &[u8]) -> Option<Place> {
        let remote = self.remotes.iter().find(|(index, _)| *index == provider);
        let generation = match remote {
            None => 0,
            Some((_, remote)) if remote.serves() => remote.stamp(),
            Some(_) => return None,
        };
        self.tokens.place(provider, generation, token)
    }
}
