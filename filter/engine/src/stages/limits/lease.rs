//! Leases: places that one worker has charged ahead for a client, and gives out without asking the shared store.
//!
//! **In:** a limit's id and a client's key. **Out:** a place charged before, with the mark that gives it back.
//! **Invariant:** every place was charged in the shared store before it is given out, once, and is given out before its
//! lease ends: in the sub-window or window in which it was charged. So sliding and fixed windows admit what they would
//! have admitted without leases, or less. A bucket drains meanwhile: it can admit `lease` more a worker, as a worker has
//! one lease a client. What is left at the end goes back to the store; until then others may be refused too early,
//! for at most `lease` places a worker.
//! **Memory:** [`SETS`] × [`WAYS`] leases a worker, from the first one on; a client for whom there is no room is charged
//! place by place. **Cost:** a scan of one set.

use alloc::vec::Vec;

use super::fields::Met;
use crate::units::{Quota, Span};

/// Sets of the table, a power of two, and leases in each.
const SETS: usize = 256;
const WAYS: usize = 4;

/// How long a lease lasts at most: a tick of the worker.
pub(super) const LONGEST_MS: u64 = 500;

/// How long a lease that is over waits to be returned.
const FORGOTTEN_MS: u64 = 10_000;

/// Places charged ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    /// The limit's id; 0 with nothing left: no lease.
    pub(super) limit: u32,
    /// The client's key.
    pub(super) key: u64,
    /// Places left.
    pub(super) left: u32,
    /// What gives them back.
    pub(super) mark: u64,
    /// The first time at which they are not given out any more.
    pub(super) until_ms: u64,
    /// Charges that counted when it was taken, the lease among them.
    pub(super) used: u64,
    /// Charges that could be made besides.
    pub(super) remaining: u64,
    /// When there is one more of them; nothing: all are there.
    pub(super) more_ms: Option<u64>,
    /// The quota that judged it.
    pub(super) quota: Quota,
}

impl Lease {
    /// What a client is told that was given `cost` of it. What others charge meanwhile, and what comes back, the lease does
    /// not know.
    pub(super) fn met(&self, index: usize, cost: u32, now: u64) -> Met {
        Met {
            index,
            quota: self.quota,
            remaining: self.remaining.saturating_add(u64::from(self.left)),
            wait_ms: self.more_ms.map(|more| more.saturating_sub(now)),
            key: Some(self.key),
            taken: cost,
        }
    }
}

/// The leases of a worker, of whatever policies it has.
#[derive(Debug, Default)]
pub(super) struct Leases {
    slots: Vec<Lease>,
    /// How many were taken, and how many went back unused or in part, since [`Leases::counted`].
    taken: u64,
    returned: u64,
}

impl Leases {
    /// Gives out `cost` places of a lease that has them and was judged by the same quota; the lease as it is then.
    pub(super) fn give(
        &mut self,
        limit: u32,
        key: u64,
        quota: Quota,
        cost: u32,
        now: u64,
    ) -> Option<Lease> {
        let lease = self.find(limit, key)?;
        if now >= lease.until_ms || lease.quota != quota {
            return None;
        }
        lease.left = lease.left.checked_sub(cost)?;
        Some(*lease)
    }

    /// Takes places back that a lease gave out; `false`: the lease is over, and they are the store's.
    pub(super) fn take_back(&mut self, limit: u32, key: u64, cost: u32, mark: u64) -> bool {
        match self.find(limit, key).filter(|lease| lease.mark == mark) {
            Some(lease) => {
                lease.left = lease.left.saturating_add(cost);
                true
            }
            None => false,
        }
    }

    /// A client's lease, whether or not anything is left of it.
    pub(super) fn of(&self, limit: u32, key: u64) -> Option<Lease> {
        let set = self.slots.get(range(limit, key))?;
        set.iter()
            .find(|lease| lease.limit == limit && lease.key == key)
            .copied()
    }

    /// What is left of a client's lease.
    pub(super) fn left(&self, limit: u32, key: u64) -> Option<Lease> {
        self.of(limit, key).filter(|lease| lease.left > 0)
    }

    /// Ends the lease of a client: what was left is the store's again.
    pub(super) fn end(&mut self, limit: u32, key: u64) {
        if let Some(lease) = self.find(limit, key) {
            lease.left = 0;
            self.returned = self.returned.saturating_add(1);
        }
    }

    /// Whether there is room for a lease of this client.
    pub(super) fn has_room(&mut self, limit: u32, key: u64) -> bool {
        if self.slots.is_empty() {
            let mut slots = Vec::new();
            slots.resize(SETS.saturating_mul(WAYS), NONE);
            self.slots = slots;
        }
        let set = self.slots.get(range(limit, key)).unwrap_or_default();
        set.iter()
            .any(|lease| lease.left == 0 || (lease.limit == limit && lease.key == key))
    }

    /// Keeps a lease, where there is room.
    pub(super) fn put(&mut self, new: Lease) {
        let set = self.slots.get_mut(range(new.limit, new.key));
        let mut free = None;
        for lease in set.into_iter().flatten() {
            let same = lease.limit == new.limit && lease.key == new.key;
            if same || (lease.left == 0 && free.is_none()) {
                free = Some(lease);
                if same {
                    break;
                }
            }
        }
        if let Some(lease) = free {
            *lease = new;
            self.taken = self.taken.saturating_add(1);
        }
    }

    /// Leases that are over at `now`, at most `most` of them; they stay until [`Leases::end`].
    pub(super) fn over(&self, now: u64, most: usize) -> Vec<Lease> {
        let mut over = Vec::new();
        for lease in &self.slots {
            if lease.left > 0 && now >= lease.until_ms && over.len() < most {
                over.push(*lease);
            }
        }
        over
    }

    /// Forgets leases that nobody returned for long: their limits are of a policy that is gone.
    pub(super) fn forget(&mut self, now: u64) {
        for lease in &mut self.slots {
            if now >= lease.until_ms.saturating_add(FORGOTTEN_MS) {
                lease.left = 0;
            }
        }
    }

    /// How many were taken and how many went back with places left, since the last call.
    pub(super) fn counted(&mut self) -> (u64, u64) {
        let counted = (self.taken, self.returned);
        (self.taken, self.returned) = (0, 0);
        counted
    }

    fn find(&mut self, limit: u32, key: u64) -> Option<&mut Lease> {
        let set = self.slots.get_mut(range(limit, key))?;
        set.iter_mut()
            .find(|lease| lease.limit == limit && lease.key == key)
    }
}

const NONE: Lease = Lease {
    limit: 0,
    key: 0,
    left: 0,
    mark: 0,
    until_ms: 0,
    used: 0,
    remaining: 0,
    more_ms: None,
    quota: Quota {
        count: 0,
        window: Span { ms: 0 },
    },
};

/// The set of a client: bits of its hash that neither its set in the table nor its tag there begin with.
fn range(limit: u32, key: u64) -> core::ops::Range<usize> {
    let [.., a, b, _, _] = key.to_le_bytes();
    let [low, ..] = limit.to_le_bytes();
    let set = usize::from(a ^ b.rotate_left(4) ^ low);
    let from = (set & (SETS - 1)).saturating_mul(WAYS);
    from..from.saturating_add(WAYS)
}

#[cfg(test)]
mod tests;
