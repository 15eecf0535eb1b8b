//! A token bucket, as its debt (GCRA): `token_bucket`.
//!
//! ```text
//! time u48 · debt u64          a token owed is one window of debt, and a quota of it is paid each millisecond
//! ```
//! **Invariant:** the debt is never above `burst` tokens, so any span of the window's length holds at most quota + burst
//! charges; nothing is rounded. A charge that is given back gives what has surely not been paid since.

use alloc::vec::Vec;
use core::num::NonZeroU64;

use super::{Exhausted, Rule};
use crate::stages::limits::bytes::{Reader, push_time};

pub(super) const BYTES: u64 = 6 + 8;

/// What is owed, as of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stages::limits) struct Bucket {
    at: u64,
    debt: u64,
}

/// How long a full debt takes to pay.
pub(super) fn full_ms(burst: u32, window_ms: u64, quota: u32) -> u64 {
    pay_ms(u64::from(burst).saturating_mul(window_ms), quota)
}

/// How long `debt` takes to pay, rounded up.
fn pay_ms(debt: u64, quota: u32) -> u64 {
    match NonZeroU64::new(u64::from(quota)) {
        Some(quota) => debt.saturating_add(quota.get().saturating_sub(1)) / quota,
        None => u64::MAX,
    }
}

impl Bucket {
    pub(super) const fn empty(now: u64) -> Self {
        Self { at: now, debt: 0 }
    }

    pub(super) fn total(self, rule: Rule) -> u64 {
        let late = rule.width_ms.get().saturating_sub(1);
        self.debt.saturating_add(late) / rule.width_ms
    }

    pub(super) const fn weight(self) -> u64 {
        self.debt
    }

    pub(super) fn admit(&mut self, rule: Rule, now: u64, cost: u32) -> Result<u64, Exhausted> {
        // A token is worth a window.
        let token = rule.width_ms.get();
        let owed = self
            .debt
            .saturating_add(u64::from(cost).saturating_mul(token));
        let most = u64::from(rule.burst).saturating_mul(token);
        // Without a quota nothing is ever paid.
        if owed <= most && rule.quota > 0 {
            self.debt = owed;
            return Ok(now);
        }
        let wait_ms = pay_ms(owed.saturating_sub(most), rule.quota);
        Err(Exhausted {
            until_ms: now.saturating_add(wait_ms),
        })
    }

    pub(super) fn give_back(&mut self, rule: Rule, now: u64, mark: u64, cost: u32) -> bool {
        let charged = u64::from(cost).saturating_mul(rule.width_ms.get());
        let paid = now
            .saturating_sub(mark)
            .saturating_mul(u64::from(rule.quota));
        let left = charged.saturating_sub(paid).min(self.debt);
        self.debt = self.debt.saturating_sub(left);
        left > 0
    }

    pub(super) fn join(&mut self, other: Self) {
        self.debt = self.debt.max(other.debt);
    }

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        push_time(out, self.at);
        out.extend_from_slice(&self.debt.to_le_bytes());
    }

    pub(super) fn decode(reader: &mut Reader<'_>, rule: Rule, now: u64) -> Option<Self> {
        let at = reader.time()?;
        let debt = reader.u64()?;
        let paid = now.saturating_sub(at).saturating_mul(u64::from(rule.quota));
        Some(Self {
            at: now,
            debt: debt.saturating_sub(paid),
        })
    }
}
