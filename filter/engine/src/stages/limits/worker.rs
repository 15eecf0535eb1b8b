//! What one worker (a VM) keeps for limits between requests, whatever policies come and go.
//!
//! **Invariant:** a place in flight is in one hand at a time: the worker's from the moment it is charged until the engine
//! has judged, then its stream's, which gives it back once.

use alloc::vec::Vec;

use super::concurrency::Taken;
use super::lease::Leases;
use super::presence::Presence;
use crate::env::{Env, Outside};
use crate::units::Quota;
use crate::verdict::Reason;

/// What one worker keeps.
#[derive(Debug, Default)]
pub struct Worker {
    pub(super) presence: Presence,
    pub(super) leases: Leases,
    /// Places that the request now judged has taken.
    pub(super) taken: Vec<Place>,
}

/// A place in flight: given back once, when its stream ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the limit.
    pub(super) limit: usize,
    /// Hashed key.
    pub(super) key: u64,
    /// The quota that judged it.
    pub(super) quota: Quota,
    pub(super) taken: Taken,
}

impl Worker {
    /// Hands over what the request judged last has taken. The caller gives it to `Engine::leave` when
    /// the request is refused or its stream ends, whichever comes first.
    #[must_use]
    pub fn take_places(&mut self) -> Vec<Place> {
        core::mem::take(&mut self.taken)
    }

    /// On the tick, after all policies have returned leases: how many leases were taken since the last call, and how many
    /// were returned with places left.
    #[must_use]
    pub fn count_leases(&mut self, now_ms: u64) -> (u64, u64) {
        self.leases.forget(now_ms);
        self.leases.counted()
    }
}

/// On the tick: others are told that this worker lives, and it hears who does. `joins`: its policy counts requests in
/// flight, so that it should know who is dead before its first one.
///
/// # Errors
/// `CountersUnavailable`, `CountersContended`: the next tick tries again, and so does the next request that needs a place.
pub fn tick<S: Outside>(env: &mut Env<'_, S>, joins: bool) -> Result<(), Reason> {
    let now = env.now.0;
    let mut presence = core::mem::take(&mut env.counters.worker().presence);
    let beaten = presence.tick(env.counters, now, joins);
    env.counters.worker().presence = presence;
    beaten
}
