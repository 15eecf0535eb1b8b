//! What the tables in the shared store have in common: a fixed set of keys, and how one is read and written.
//!
//! **Invariant:** a key is a table's prefix, its layout's version and a set index, nothing else: no request and no
//! reload can add one. A swap without a version from the store is never tried.

use alloc::vec::Vec;

use crate::env::{Cas, CounterStore, StoreError};
use crate::verdict::Reason;

/// Sets of a table at most: a set index has 16 bits.
pub(crate) const MAX_SETS: u32 = 65_536;

/// The first try and 32 more.
pub(crate) const MAX_TRIES: u32 = 33;

/// Bytes a key costs in Envoy's shared data besides key and value.
pub(crate) const KEY_OVERHEAD: u64 = 170;

/// The sets of one table: a power of two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sets {
    prefix: [u8; 2],
    layout: u8,
    mask: u64,
}

impl Sets {
    /// `count` is rounded down to a power of two, at most [`MAX_SETS`].
    pub(crate) fn new(prefix: [u8; 2], layout: u8, count: u32) -> Self {
        let above = count.clamp(1, MAX_SETS).leading_zeros().saturating_add(1);
        let mask = u64::from(u32::MAX.checked_shr(above).unwrap_or(0));
        Self {
            prefix,
            layout,
            mask,
        }
    }

    /// How many they are.
    pub(crate) const fn count(self) -> u64 {
        self.mask.saturating_add(1)
    }

    /// Bytes of the store when every set has a value of `value` bytes.
    pub(crate) fn most_bytes(self, value: u64) -> u64 {
        let name = u64::try_from(self.name(0).len()).unwrap_or(u64::MAX);
        let set = KEY_OVERHEAD.saturating_add(name).saturating_add(value);
        self.count().saturating_mul(set)
    }

    /// The key of a hash's set: prefix, the layout's version, and the set's index (the hash's low bits) in hexadecimal.
    pub(crate) fn name(self, hash: u64) -> [u8; 8] {
        let [low, high, ..] = (hash & self.mask).to_le_bytes();
        let [p, q] = self.prefix;
        [
            p,
            q,
            b'0'.wrapping_add(self.layout),
            b':',
            hex(high >> 4),
            hex(high & 15),
            hex(low >> 4),
            hex(low & 15),
        ]
    }
}

const fn hex(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0'.wrapping_add(nibble),
        _ => b'a'.wrapping_add(nibble).wrapping_sub(10),
    }
}

pub(crate) fn load<S: CounterStore>(
    store: &mut S,
    name: &[u8],
    out: &mut Vec<u8>,
) -> Result<Cas, Reason> {
    match store.load(name, out) {
        // A host that hands out 0 would make every swap unconditional.
        Ok(Cas(0)) | Err(_) => Err(Reason::CountersUnavailable),
        Ok(cas) => Ok(cas),
    }
}

/// `false`: somebody else wrote first.
pub(crate) fn swap<S: CounterStore>(
    store: &mut S,
    name: &[u8],
    new: &[u8],
    cas: Cas,
) -> Result<bool, Reason> {
    match store.compare_and_swap(name, new, cas) {
        Ok(()) => Ok(true),
        Err(StoreError::CasMismatch) => Ok(false),
        Err(StoreError::Failed) => Err(Reason::CountersUnavailable),
    }
}
