//! How a limit counts: what a client was charged, as one of four kinds.
//!
//! | kind | for | bound | places come back |
//! |---|---|---|---|
//! | [`Log`] | `sliding_window`, quotas up to [`MAX_LOG_QUOTA`] | the quota in any window | exactly one window later |
//! | [`Ring`] | `sliding_window`, larger quotas | the quota in any window | at most 1/16 window later than that |
//! | [`Bucket`] | `token_bucket` | quota + burst in any window | one by one, a quota-th of the window each |
//! | [`Fixed`] | `fixed_window` | the quota in an aligned window, twice that in any | when the aligned window ends |
//!
//! **In:** what a client was charged, the time and the cost. **Out:** admitted (with a mark to give it back by) or
//! refused (with the wait).
//! **Invariant:** the kind's bound, in charges; a join counts at every later time at least as much as either side; a change
//! of the quota alone keeps the counts, and a sliding window that becomes a log or a ring by it never counts less for it.
//! A cost that the quota can never hold is refused.
//! **Cost:** ring 17 steps; log as many steps as times leave the window or stand before the one that is waited for;
//! bucket and fixed window a handful.

mod bucket;
mod fixed;
mod log;
mod ring;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::num::NonZeroU64;

use super::bytes::Reader;
use super::{Algorithm, Limit, lease};
use crate::units::Quota;
use bucket::Bucket;
use fixed::Fixed;
use log::Log;
pub use log::MAX_LOG_QUOTA;
use ring::Ring;

/// The longest window, about 49 days: keeps every product of a count and a window below 2^64.
pub(super) const MAX_WINDOW_MS: u64 = (1 << 32) - 1;

/// How charges are stored. The numbers stand in the packed records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ring,
    Log,
    Bucket,
    Fixed,
}

impl Kind {
    const fn code(self) -> u32 {
        match self {
            Self::Ring => 0,
            Self::Log => 1,
            Self::Bucket => 2,
            Self::Fixed => 3,
        }
    }
}

/// What the arithmetic needs of a limit and of the quota that judges a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) quota: u32,
    pub(super) window_ms: u64,
    /// Tokens a bucket holds.
    burst: u32,
    /// The smallest and the largest quota that the limit gives anybody.
    least: u32,
    most: u32,
    width_ms: NonZeroU64,
    kind: Kind,
}

impl Rule {
    /// `quota` is the one that judges this request: the limit's own, or that of a plan.
    pub(super) fn new(limit: &Limit, quota: Quota) -> Self {
        let window_ms = quota.window.ms.clamp(1, MAX_WINDOW_MS);
        let (least, most) = limit.quotas();
        let kind = match limit.algorithm {
            // A log would tell when a place was leased, not when it was used.
            Algorithm::SlidingWindow if most <= MAX_LOG_QUOTA && limit.lease == 0 => Kind::Log,
            Algorithm::SlidingWindow => Kind::Ring,
            Algorithm::TokenBucket => Kind::Bucket,
            Algorithm::FixedWindow => Kind::Fixed,
            // Never asked for: `concurrency.rs` counts these.
            Algorithm::Concurrency => Kind::Fixed,
        };
        let width = match kind {
            Kind::Ring | Kind::Log => ring::width(window_ms),
            Kind::Bucket | Kind::Fixed => window_ms,
        };
        Self {
            quota: quota.count,
            window_ms,
            burst: limit.burst,
            least: least.min(quota.count),
            most: most.max(quota.count),
            width_ms: NonZeroU64::new(width).unwrap_or(NonZeroU64::MIN),
            kind,
        }
    }

    /// The rule for records of clients whose quota is not known: what drains, drains at the slowest of the limit's.
    pub(super) const fn of_others(self) -> Self {
        Self {
            quota: self.least,
            ..self
        }
    }

    /// The sub-window or window of a time.
    fn part(self, now: u64) -> u64 {
        // By a `NonZero` type: the division has no panic.
        now / self.width_ms
    }

    /// Until when places charged at `now` can be given out as if they were charged then: in the same sub-window or window
    /// they count alike. A bucket drains all the time; how long it may is only a matter of its bound.
    pub(super) fn lease_until(self, now: u64) -> u64 {
        let longest = now.saturating_add(lease::LONGEST_MS);
        match self.kind {
            Kind::Ring | Kind::Fixed => {
                let next = self.part(now).saturating_add(1);
                next.saturating_mul(self.width_ms.get()).min(longest)
            }
            Kind::Bucket => longest,
            Kind::Log => now,
        }
    }

    /// When everything charged by `now` has gone.
    pub(super) fn gone_by(self, now: u64) -> u64 {
        let longest = match self.kind {
            Kind::Ring | Kind::Log => {
                let late = self.width_ms.get().saturating_mul(2);
                self.window_ms.saturating_add(late)
            }
            Kind::Bucket => bucket::full_ms(self.burst, self.window_ms, self.least),
            Kind::Fixed => self.window_ms,
        };
        now.saturating_add(longest)
    }

    /// Places that a floor must have filled to refuse a newcomer, and within how many milliseconds others must have
    /// been charged them in each of a set's ways (`capacity.rs`).
    pub(super) fn horizon(self) -> (u64, u64) {
        let quota = u64::from(self.least);
        match self.kind {
            Kind::Log => (quota, self.window_ms.saturating_add(1).saturating_mul(2)),
            Kind::Ring => (quota, ring::lifetime(self.width_ms.get()).saturating_mul(2)),
            Kind::Fixed => (quota, self.window_ms),
            Kind::Bucket => (
                u64::from(self.burst),
                bucket::full_ms(self.burst, self.window_ms, self.least),
            ),
        }
    }

    /// The most that can be charged at once.
    pub(super) fn capacity(self) -> u32 {
        match self.kind {
            Kind::Bucket => self.burst,
            Kind::Ring | Kind::Log | Kind::Fixed => self.quota,
        }
    }

    /// Bytes of the longest encoding of [`Counts`].
    pub(super) fn most_bytes(self) -> u64 {
        match self.kind {
            Kind::Ring => ring::most_bytes(self.most),
            Kind::Log => log::most_bytes(self.most, self.window_ms),
            Kind::Bucket => bucket::BYTES,
            Kind::Fixed => fixed::most_bytes(self.most),
        }
    }
}

/// What one client was charged under one limit, as of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Counts {
    Ring(Ring),
    Log(Log),
    Bucket(Bucket),
    Fixed(Fixed),
}

/// What a client asked for is not there; `until_ms` is when it will be, if nothing else is charged. A cost that never
/// fits waits for a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted {
    pub(super) until_ms: u64,
}

impl Counts {
    pub(super) fn empty(rule: Rule, now: u64) -> Self {
        match rule.kind {
            Kind::Ring => Self::Ring(Ring::empty(rule, now)),
            Kind::Log => Self::Log(Log::default()),
            Kind::Bucket => Self::Bucket(Bucket::empty(now)),
            Kind::Fixed => Self::Fixed(Fixed::empty(rule, now)),
        }
    }

    /// Charges that count at the time this was decoded for; what has partly drained counts whole.
    pub(super) fn total(&self, rule: Rule) -> u64 {
        match self {
            Self::Ring(ring) => ring.total(),
            Self::Log(log) => log.total(),
            Self::Bucket(bucket) => bucket.total(rule),
            Self::Fixed(fixed) => fixed.total(),
        }
    }

    /// Charges that could still be made now.
    pub(super) fn remaining(&self, rule: Rule) -> u64 {
        u64::from(rule.capacity()).saturating_sub(self.total(rule))
    }

    /// A measure of what counts, to compare clients of one limit by; 0: nothing does.
    pub(super) fn weight(&self) -> u64 {
        match self {
            Self::Ring(ring) => ring.total(),
            Self::Log(log) => log.total(),
            Self::Bucket(bucket) => bucket.weight(),
            Self::Fixed(fixed) => fixed.total(),
        }
    }

    /// Charges `cost`, or says until when not. The mark gives the charge back.
    pub(super) fn admit(&mut self, rule: Rule, now: u64, cost: u32) -> Result<u64, Exhausted> {
        if cost > rule.capacity() {
            return Err(Exhausted {
                until_ms: now.saturating_add(rule.window_ms),
            });
        }
        match self {
            Self::Ring(ring) => ring.admit(rule, now, cost),
            Self::Log(log) => log.admit(rule, now, cost),
            Self::Bucket(bucket) => bucket.admit(rule, now, cost),
            Self::Fixed(fixed) => fixed.admit(rule, cost),
        }
    }

    /// Takes back `cost` charged under `mark`; `false` when it has gone already. Of what drains, only what is surely
    /// still there comes back.
    pub(super) fn give_back(&mut self, rule: Rule, now: u64, mark: u64, cost: u32) -> bool {
        match self {
            Self::Ring(ring) => ring.give_back(mark, cost),
            Self::Log(log) => log.give_back(mark, cost),
            Self::Bucket(bucket) => bucket.give_back(rule, now, mark, cost),
            Self::Fixed(fixed) => fixed.give_back(mark, cost),
        }
    }

    /// The least state that is at least both: at every later time it counts at least as many charges as either.
    pub(super) fn join(&mut self, other: &Self) {
        match (self, other) {
            (Self::Ring(ours), Self::Ring(theirs)) => ours.join(theirs),
            (Self::Log(ours), Self::Log(theirs)) => ours.join(theirs),
            (Self::Bucket(ours), Self::Bucket(theirs)) => ours.join(*theirs),
            (Self::Fixed(ours), Self::Fixed(theirs)) => ours.join(*theirs),
            // The rule decides the kind of everything that is read for it; two kinds never meet.
            (Self::Ring(_) | Self::Log(_) | Self::Bucket(_) | Self::Fixed(_), _) => {}
        }
    }

    /// A number below 2^20 that the reader needs first: the kind and, below 2^17, which counters follow, or how many times.
    pub(super) fn shape(&self) -> u32 {
        let (kind, rest) = match self {
            Self::Ring(ring) => (Kind::Ring, ring.shape()),
            Self::Log(log) => (Kind::Log, log.shape()),
            Self::Bucket(_) => (Kind::Bucket, 0),
            Self::Fixed(_) => (Kind::Fixed, 0),
        };
        kind.code() << KIND_AT | rest & (KIND_ONE - 1)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ring(ring) => ring.encode(out),
            Self::Log(log) => log.encode(out),
            Self::Bucket(bucket) => bucket.encode(out),
            Self::Fixed(fixed) => fixed.encode(out),
        }
    }

    /// Reads a state and brings it to `now`: what no longer counts is left out. `None`: not ours.
    pub(super) fn decode(
        reader: &mut Reader<'_>,
        shape: u32,
        rule: Rule,
        now: u64,
    ) -> Option<Self> {
        let code = shape >> KIND_AT;
        let shape = shape & (KIND_ONE - 1);
        match rule.kind {
            Kind::Ring if code == Kind::Ring.code() => {
                Ring::decode(reader, shape, rule, now).map(Self::Ring)
            }
            Kind::Ring if code == Kind::Log.code() => {
                let log = Log::decode(reader, shape, rule, now)?;
                Some(Self::Ring(Ring::of_times(log.times(), rule, now)))
            }
            Kind::Log if code == Kind::Log.code() => {
                Log::decode(reader, shape, rule, now).map(Self::Log)
            }
            Kind::Log if code == Kind::Ring.code() => {
                let ring = Ring::decode(reader, shape, rule, now)?;
                Some(Self::Log(Log::of_times(&ring.times(rule, now))))
            }
            Kind::Bucket if code == Kind::Bucket.code() => {
                Bucket::decode(reader, rule, now).map(Self::Bucket)
            }
            Kind::Fixed if code == Kind::Fixed.code() => {
                Fixed::decode(reader, rule, now).map(Self::Fixed)
            }
            Kind::Ring | Kind::Log | Kind::Bucket | Kind::Fixed => None,
        }
    }
}

const KIND_AT: u32 = 17;
const KIND_ONE: u32 = 1 << KIND_AT;

/// Bytes that LEB128 takes for a number of at most 49 bits.
const fn varint_bytes(number: u64) -> u64 {
    let bits = 64_u32.saturating_sub(number.leading_zeros());
    #[expect(clippy::as_conversions, reason = "u32 to u64 in a const fn")]
    let bytes = bits.div_ceil(7) as u64;
    if bytes == 0 { 1 } else { bytes }
}
