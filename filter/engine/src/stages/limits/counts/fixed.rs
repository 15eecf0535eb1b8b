//! One counter for each aligned window: `fixed_window`.
//!
//! ```text
//! window number u48 · count varint
//! ```
//! **Invariant:** no aligned window (a multiple of its length on the monotonic clock) holds more charges than the quota;
//! a span of the window's length touches two of them, and holds at most twice the quota.

use alloc::vec::Vec;

use super::{Exhausted, Rule, varint_bytes};
use crate::stages::limits::bytes::{Reader, push_time, push_varint};

/// Charges of the current window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stages::limits) struct Fixed {
    window: u64,
    count: u32,
}

pub(super) fn most_bytes(quota: u32) -> u64 {
    varint_bytes(u64::from(quota)).saturating_add(6)
}

impl Fixed {
    pub(super) fn empty(rule: Rule, now: u64) -> Self {
        Self {
            window: rule.part(now),
            count: 0,
        }
    }

    pub(super) fn total(self) -> u64 {
        u64::from(self.count)
    }

    pub(super) fn admit(&mut self, rule: Rule, cost: u32) -> Result<u64, Exhausted> {
        if self.count <= rule.quota.saturating_sub(cost) {
            self.count = self.count.saturating_add(cost);
            return Ok(self.window);
        }
        let next = self.window.saturating_add(1);
        Err(Exhausted {
            until_ms: next.saturating_mul(rule.width_ms.get()),
        })
    }

    pub(super) const fn give_back(&mut self, mark: u64, cost: u32) -> bool {
        let there = self.window == mark && self.count > 0;
        if there {
            self.count = self.count.saturating_sub(cost);
        }
        there
    }

    pub(super) fn join(&mut self, other: Self) {
        self.count = self.count.max(other.count);
    }

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        push_time(out, self.window);
        push_varint(out, u64::from(self.count));
    }

    pub(super) fn decode(reader: &mut Reader<'_>, rule: Rule, now: u64) -> Option<Self> {
        let window = reader.time()?;
        let count = u32::try_from(reader.varint()?).ok()?;
        let current = rule.part(now);
        Some(Self {
            window: current,
            count: if window == current { count } else { 0 },
        })
    }
}
