//! A ring of sub-windows: `sliding_window` for large quotas.
//!
//! **Invariant:** no span of the window's length ever holds more charges than the quota. There are 17 counters of a
//! sixteenth window: sixteen cover the window, the seventeenth is the oldest, partly expired, and counts in full.
//! **Cost:** 17 steps.

use alloc::vec::Vec;

use super::log::MAX_LOG_QUOTA;
use super::{Exhausted, Rule, varint_bytes};
use crate::stages::limits::bytes::{Reader, push_u32, push_varint};

/// Sub-windows that make one window; one more is kept.
const PARTS: u64 = 16;
const RING: usize = 17;

/// Charges by age of the sub-window, the current one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stages::limits) struct Ring {
    /// The current sub-window.
    part: u64,
    by_age: [u32; RING],
}

/// Length of a sub-window.
pub(super) const fn width(window_ms: u64) -> u64 {
    window_ms.saturating_add(PARTS.saturating_sub(1)) / PARTS
}

/// How long a charge counts at most.
pub(super) const fn lifetime(width_ms: u64) -> u64 {
    width_ms.saturating_mul(PARTS.saturating_add(1))
}

pub(super) fn most_bytes(quota: u32) -> u64 {
    varint_bytes(u64::from(quota))
        .saturating_mul(PARTS.saturating_add(1))
        .saturating_add(4)
}

impl Ring {
    pub(super) fn empty(rule: Rule, now: u64) -> Self {
        Self {
            part: rule.part(now),
            by_age: [0; RING],
        }
    }

    /// As many charges as there are times, none counted for shorter than it was (times not after `now`).
    pub(super) fn of_times(times: impl Iterator<Item = u64>, rule: Rule, now: u64) -> Self {
        let mut ring = Self::empty(rule, now);
        for time in times {
            let age = ring.part.saturating_sub(rule.part(time));
            let at = usize::try_from(age).ok();
            if let Some(count) = at.and_then(|at| ring.by_age.get_mut(at)) {
                *count = count.saturating_add(1);
            }
        }
        ring
    }

    /// The newest charges as times, oldest first, each as late as it can have been; enough of them for any log.
    pub(super) fn times(&self, rule: Rule, now: u64) -> Vec<u64> {
        let mut times = Vec::new();
        for (count, age) in self.by_age.iter().zip(0..=PARTS) {
            let next = self.part.saturating_sub(age).saturating_add(1);
            let end = next.saturating_mul(rule.width_ms.get()).saturating_sub(1);
            for _ in 0..*count {
                if times.len() >= usize::try_from(MAX_LOG_QUOTA).unwrap_or(0) {
                    break;
                }
                times.push(end.min(now));
            }
        }
        times.reverse();
        times
    }

    pub(super) fn total(&self) -> u64 {
        self.by_age
            .iter()
            .fold(0_u64, |sum, count| sum.saturating_add(u64::from(*count)))
    }

    pub(super) fn admit(&mut self, rule: Rule, now: u64, cost: u32) -> Result<u64, Exhausted> {
        let free = u64::from(rule.quota).saturating_sub(u64::from(cost));
        let mut left = self.total();
        if left <= free {
            let [current, ..] = &mut self.by_age;
            *current = current.saturating_add(cost);
            return Ok(self.part);
        }
        let mut until_ms = now.saturating_add(rule.window_ms);
        for (count, age) in self.by_age.iter().rev().zip((0..=PARTS).rev()) {
            left = left.saturating_sub(u64::from(*count));
            if left <= free {
                let first = self.part.saturating_sub(age);
                let gone = first.saturating_add(PARTS).saturating_add(1);
                until_ms = gone.saturating_mul(rule.width_ms.get());
                break;
            }
        }
        Err(Exhausted { until_ms })
    }

    pub(super) fn give_back(&mut self, mark: u64, cost: u32) -> bool {
        let age = self.part.checked_sub(mark);
        let at = age.and_then(|age| usize::try_from(age).ok());
        match at.and_then(|at| self.by_age.get_mut(at)) {
            Some(count) if *count > 0 => {
                *count = count.saturating_sub(cost);
                true
            }
            _ => false,
        }
    }

    /// The maximum, sub-window by sub-window, of the charges since then (not of the counters, whose maxima would
    /// add up clients that came one after another).
    pub(super) fn join(&mut self, other: &Self) {
        let (mut ours_since, mut theirs_since, mut joined_since) = (0_u64, 0_u64, 0_u64);
        for (count, their) in self.by_age.iter_mut().zip(&other.by_age) {
            ours_since = ours_since.saturating_add(u64::from(*count));
            theirs_since = theirs_since.saturating_add(u64::from(*their));
            let joined = ours_since.max(theirs_since);
            *count = u32::try_from(joined.saturating_sub(joined_since)).unwrap_or(u32::MAX);
            joined_since = joined;
        }
    }

    /// A bit for each counter that is not zero.
    pub(super) fn shape(&self) -> u32 {
        self.by_age
            .iter()
            .rev()
            .fold(0, |mask, count| mask << 1 | u32::from(*count != 0))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        push_u32(out, low_half(self.part));
        for count in self.by_age.iter().filter(|count| **count != 0) {
            push_varint(out, u64::from(*count));
        }
    }

    pub(super) fn decode(
        reader: &mut Reader<'_>,
        shape: u32,
        rule: Rule,
        now: u64,
    ) -> Option<Self> {
        let part = rule.part(now);
        let stored = reader.u32()?;
        let shift = usize::try_from(low_half(part).wrapping_sub(stored)).unwrap_or(usize::MAX);
        let mut by_age = [0_u32; RING];
        for bit in 0..RING {
            if shape.checked_shr(u32::try_from(bit).ok()?)? & 1 == 0 {
                continue;
            }
            let count = u32::try_from(reader.varint()?).ok()?;
            if let Some(slot) = by_age.get_mut(bit.saturating_add(shift)) {
                *slot = count;
            }
        }
        Some(Self { part, by_age })
    }
}

/// The low 32 bits of a sub-window number: enough to tell ages apart for 2^32 sub-windows.
const fn low_half(part: u64) -> u32 {
    let [a, b, c, d, ..] = part.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
