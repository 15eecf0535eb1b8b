//! What one worker remembers of the fleet: whom a service has refused, what it must still be told, who does not answer.
//!
//! **Invariant:** fixed in size, whatever clients do: [`DENIED`] refusals (a new one takes an old one's place: that client
//! is asked about once more), [`PENDING`] keys with hits to tell. Places are found by keyed hashes: nobody can aim at one.
//! **Cost:** one look, or [`PROBES`] at most. Tables are made when first needed.

use alloc::vec::Vec;

use super::{Asked, Service};

/// Refusals that are remembered.
const DENIED: usize = 2048;
/// Keys whose hits wait for the next report.
pub const PENDING: usize = 1024;
/// Places of a key in the table of hits.
const PROBES: usize = 16;

/// Failures in a row after which a service is not asked for a while: an outage costs a time-out to some requests, not to all.
const MANY: u8 = 3;
/// How long. One request asks then, and the others go on without while it waits.
pub(super) const REST_MS: u64 = 1_000;

/// Services of a policy at most.
const MOST_SERVICES: usize = 64;

/// The memory of one worker.
#[derive(Debug, Default)]
pub struct Memory {
    denied: Vec<Denied>,
    pending: Vec<Option<Asked>>,
    /// How each service does, by its index; who is not there has not failed.
    health: Vec<Health>,
    /// Calls without an answer that can be read, since they were last taken.
    failures: u32,
    /// When each service is told next.
    next_ms: Vec<u64>,
}

/// How a service does.
#[derive(Debug, Clone, Copy, Default)]
struct Health {
    /// Calls in a row without an answer that can be read.
    failed: u8,
    /// Until when nobody waits for it, once they were [`MANY`].
    rests_until_ms: u64,
}

/// A refusal that is remembered.
#[derive(Debug, Clone, Copy, Default)]
struct Denied {
    mixed: u64,
    until_ms: u64,
}

/// Tells limits with the same key apart.
fn mixed(limit: usize, key: u64) -> u64 {
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).wrapping_add(1);
    // An odd constant spreads small numbers over all bits.
    key ^ limit.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn place(mixed: u64, size: usize) -> usize {
    let low = usize::try_from(mixed >> 20 & 0xffff_ffff).unwrap_or(0);
    low & size.saturating_sub(1)
}

impl Memory {
    /// How long a client is still refused.
    pub(super) fn denied_ms(&self, limit: usize, key: u64, now: u64) -> Option<u64> {
        let mixed = mixed(limit, key);
        let denied = self.denied.get(place(mixed, DENIED))?;
        (denied.mixed == mixed && denied.until_ms > now)
            .then(|| denied.until_ms.saturating_sub(now))
    }

    pub(super) fn deny(&mut self, limit: usize, key: u64, until_ms: u64) {
        if self.denied.is_empty() {
            self.denied.resize(DENIED, Denied::default());
        }
        let mixed = mixed(limit, key);
        if let Some(denied) = self.denied.get_mut(place(mixed, DENIED)) {
            *denied = Denied { mixed, until_ms };
        }
    }

    /// Keeps hits for the next report; `false`: there is no room.
    pub(super) fn keep(&mut self, asked: Asked) -> bool {
        if self.pending.is_empty() {
            self.pending.resize_with(PENDING, || None);
        }
        let first = place(mixed(asked.limit, asked.key), PENDING);
        let mut free = None;
        for probe in 0..PROBES {
            let at = first.wrapping_add(probe) & PENDING.wrapping_sub(1);
            match self.pending.get_mut(at) {
                Some(Some(known)) if known.limit == asked.limit && known.key == asked.key => {
                    known.hits = known.hits.saturating_add(asked.hits);
                    return true;
                }
                Some(None) if free.is_none() => free = Some(at),
                _ => {}
            }
        }
        let Some(place) = free.and_then(|at| self.pending.get_mut(at)) else {
            return false;
        };
        *place = Some(asked);
        true
    }

    /// Takes hits that are due, `most` keys at most.
    pub(super) fn take_due(
        &mut self,
        services: &[Service],
        service_of: impl Fn(usize) -> Option<usize>,
        now: u64,
        most: usize,
    ) -> Vec<Asked> {
        let mut taken: Vec<Asked> = Vec::new();
        if self.pending.is_empty() {
            return taken;
        }
        self.next_ms.resize(services.len(), 0);
        let mut left = false;
        for place in &mut self.pending {
            let service = place.as_ref().and_then(|asked| service_of(asked.limit));
            let due = service.and_then(|index| self.next_ms.get(index));
            if due.is_none_or(|due| *due > now) {
                continue;
            }
            if taken.len() >= most {
                left = true;
                break;
            }
            taken.extend(place.take());
        }
        // With some left over, the next tick goes on.
        if !left {
            for (next, service) in self.next_ms.iter_mut().zip(services) {
                if *next <= now {
                    *next = now.saturating_add(service.interval_ms);
                }
            }
        }
        taken
    }

    /// Whether a service did not answer last.
    pub(super) fn is_down(&self, service: usize) -> bool {
        self.health
            .get(service)
            .is_some_and(|health| health.failed > 0)
    }

    /// Whether a request may wait for a service. After [`MANY`] failures nobody does for [`REST_MS`], then one, with this
    /// time-out, to see whether it is back.
    pub(super) fn may_ask(&mut self, service: usize, now: u64, timeout_ms: u32) -> bool {
        let Some(health) = self.health.get_mut(service) else {
            return true;
        };
        let longest = REST_MS.saturating_add(u64::from(timeout_ms));
        let left = health.rests_until_ms.saturating_sub(now);
        // More than it can be: the clock was set back.
        if health.failed >= MANY && (1..=longest).contains(&left) {
            return false;
        }
        if health.failed >= MANY {
            health.rests_until_ms = now.saturating_add(longest);
        }
        true
    }

    /// Calls without an answer that can be read, since the last time.
    pub const fn take_failures(&mut self) -> u32 {
        core::mem::replace(&mut self.failures, 0)
    }

    /// Notes whether a service answered; whether that is news.
    pub(super) fn answered(&mut self, service: usize, answered: bool, now: u64) -> bool {
        if answered {
            let known = self.health.get_mut(service);
            return known.is_some_and(|health| core::mem::take(health).failed > 0);
        }
        self.failures = self.failures.saturating_add(1);
        if self.health.len() <= service {
            // A policy has 32 limits at most, and no more services.
            let length = service.saturating_add(1).min(MOST_SERVICES);
            self.health.resize(length, Health::default());
        }
        let Some(health) = self.health.get_mut(service) else {
            return false;
        };
        let news = health.failed == 0;
        health.failed = health.failed.saturating_add(1);
        health.rests_until_ms = now.saturating_add(REST_MS);
        news
    }
}

/// Bit of a service in a set of them.
pub(super) fn bit(service: usize) -> u64 {
    1_u64.wrapping_shl(u32::try_from(service).unwrap_or(0))
}
