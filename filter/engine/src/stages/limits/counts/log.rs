//! An exact log of times: `sliding_window` for small quotas.
//!
//! ```text
//! first u48 · (last - first) varint · length varint · (time - the one before) varint*        nothing for an empty log
//! ```
//! **Invariant:** no span of the window's length ever holds more charges than the quota, and a place comes back the
//! millisecond after its window, since times are cut to milliseconds. A cost of N is N times.
//! **Cost:** one step a time that leaves the window, none for those that stay: their bytes are copied.

use alloc::vec::Vec;

use super::{Exhausted, Rule, varint_bytes};
use crate::stages::limits::bytes::{Reader, push_time, push_varint};

/// The largest quota that is counted by a log.
pub const MAX_LOG_QUOTA: u32 = 128;

/// Times of charges, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::stages::limits) struct Log {
    count: u32,
    first: u64,
    last: u64,
    /// From each time to the next.
    steps: Vec<u8>,
}

pub(super) fn most_bytes(quota: u32, window_ms: u64) -> u64 {
    let span = varint_bytes(window_ms);
    let steps = u64::from(quota).saturating_mul(span);
    steps.saturating_add(6).saturating_add(3)
}

impl Log {
    /// Times ascending, at most [`MAX_LOG_QUOTA`] of them.
    pub(super) fn of_times(times: &[u64]) -> Self {
        let mut log = Self::default();
        for time in times {
            log.push(*time);
        }
        log
    }

    pub(super) fn times(&self) -> impl Iterator<Item = u64> {
        let mut reader = Reader::new(&self.steps);
        let mut next = Some(self.first);
        (0..self.count).map_while(move |_| {
            let this = next?;
            next = reader.varint().map(|step| this.saturating_add(step));
            Some(this)
        })
    }

    pub(super) fn total(&self) -> u64 {
        u64::from(self.count)
    }

    fn push(&mut self, time: u64) {
        if self.count == 0 {
            self.first = time;
            self.steps.clear();
        } else {
            push_varint(&mut self.steps, time.saturating_sub(self.last));
        }
        self.last = time;
        self.count = self.count.saturating_add(1);
    }

    pub(super) fn admit(&mut self, rule: Rule, now: u64, cost: u32) -> Result<u64, Exhausted> {
        let free = rule.quota.saturating_sub(cost);
        if self.count <= free {
            for _ in 0..cost {
                self.push(now);
            }
            return Ok(now);
        }
        let must_go = usize::try_from(self.count.saturating_sub(free)).unwrap_or(usize::MAX);
        let last_to_go = self.times().nth(must_go.saturating_sub(1));
        let until_ms = last_to_go.map_or_else(
            || now.saturating_add(rule.window_ms),
            |time| time.saturating_add(rule.window_ms).saturating_add(1),
        );
        Err(Exhausted { until_ms })
    }

    pub(super) fn give_back(&mut self, mark: u64, cost: u32) -> bool {
        let mut left = cost;
        let mut log = Self::default();
        for time in self.times() {
            if time == mark && left > 0 {
                left = left.saturating_sub(1);
            } else {
                log.push(time);
            }
        }
        *self = log;
        left < cost
    }

    /// The maximum of the n-th newest times.
    pub(super) fn join(&mut self, other: &Self) {
        let (long, short) = if self.count >= other.count {
            (&*self, other)
        } else {
            (other, &*self)
        };
        let lead = long.count.saturating_sub(short.count);
        let mut lead = usize::try_from(lead).unwrap_or(usize::MAX);
        let mut others = short.times();
        let mut joined = Self::default();
        for time in long.times() {
            if lead > 0 {
                lead = lead.saturating_sub(1);
                joined.push(time);
            } else {
                joined.push(others.next().map_or(time, |other| time.max(other)));
            }
        }
        drop(others);
        *self = joined;
    }

    pub(super) const fn shape(&self) -> u32 {
        self.count
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        if self.count == 0 {
            return;
        }
        push_time(out, self.first);
        push_varint(out, self.last.saturating_sub(self.first));
        push_varint(out, u64::try_from(self.steps.len()).unwrap_or(u64::MAX));
        out.extend_from_slice(&self.steps);
    }

    pub(super) fn decode(
        reader: &mut Reader<'_>,
        shape: u32,
        rule: Rule,
        now: u64,
    ) -> Option<Self> {
        if shape > MAX_LOG_QUOTA {
            return None;
        }
        if shape == 0 {
            return Some(Self::default());
        }
        let mut first = reader.time()?;
        let last = reader.varint()?.saturating_add(first);
        let length = usize::try_from(reader.varint()?).ok()?;
        let mut steps = Reader::new(reader.take(length)?);
        let mut count = shape;
        while now.saturating_sub(first) > rule.window_ms {
            count = count.saturating_sub(1);
            if count == 0 {
                return Some(Self::default());
            }
            first = first.saturating_add(steps.varint()?);
        }
        let mut kept = Vec::with_capacity(steps.rest.len().saturating_add(8));
        kept.extend_from_slice(steps.rest);
        Some(Self {
            count,
            first,
            last: last.max(first),
            steps: kept,
        })
    }
}
