//! How a limit counts: a ring of sub-windows, or an exact log of times.
//!
//! **In:** what a client was charged, and the time. **Out:** admitted (with a mark to give it back by) or
//! refused (with the wait).
//! **Invariant:** no span of the window's length ever holds more admissions than the quota. The ring has 17
//! counters of a sixteenth window: sixteen cover the window, the seventeenth is the oldest, partly expired, and counts in
//! full. The log counts a time until the millisecond after its window, since times are cut to milliseconds.
//! **Cost:** ring 17 steps, log at most [`MAX_LOG_QUOTA`] steps.

use alloc::vec::Vec;
use core::num::NonZeroU64;

use super::bytes::{Reader, push_time, push_u32, push_varint};
use super::{Algorithm, Limit};

/// The largest quota an exact log keeps; a limit with a larger one counts by the ring.
pub const MAX_LOG_QUOTA: u32 = 128;

/// Sub-windows that make one window; one more is kept.
const PARTS: u64 = 16;
const RING: usize = 17;

/// What the arithmetic needs of a limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) quota: u32,
    pub(super) window_ms: u64,
    width_ms: NonZeroU64,
    log: bool,
}

impl Rule {
    pub(super) fn new(limit: &Limit) -> Self {
        let window_ms = limit.quota.window.ms.clamp(1, MAX_WINDOW_MS);
        let width = window_ms.saturating_add(PARTS.saturating_sub(1)) / PARTS;
        Self {
            quota: limit.quota.count,
            window_ms,
            width_ms: NonZeroU64::new(width).unwrap_or(NonZeroU64::MIN),
            log: limit.algorithm == Algorithm::ExactLog && limit.quota.count <= MAX_LOG_QUOTA,
        }
    }

    /// The sub-window of a time.
    fn part(self, now: u64) -> u64 {
        // By a `NonZero` type: the division has no panic.
        now / self.width_ms
    }

    /// When everything charged by `now` has gone.
    pub(super) const fn gone_by(self, now: u64) -> u64 {
        let late = self.width_ms.get().saturating_mul(2);
        now.saturating_add(self.window_ms).saturating_add(late)
    }

    /// Bytes of the longest encoding of [`Counts`].
    pub(super) fn most_bytes(self) -> u64 {
        if self.log {
            let step = varint_bytes(self.window_ms.saturating_add(1));
            return u64::from(self.quota).saturating_mul(step).saturating_add(6);
        }
        varint_bytes(u64::from(self.quota))
            .saturating_mul(PARTS.saturating_add(1))
            .saturating_add(4)
    }
}

/// The longest window, about four years; keeps every sum below 2^48 ms.
pub(super) const MAX_WINDOW_MS: u64 = 1 << 37;

const fn varint_bytes(number: u64) -> u64 {
    let bits = 64_u32.saturating_sub(number.leading_zeros());
    #[expect(clippy::as_conversions, reason = "u32 to u64 in a const fn")]
    let bytes = bits.div_ceil(7) as u64;
    if bytes == 0 { 1 } else { bytes }
}

/// What one client was charged under one limit, as of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Counts {
    /// Charges by age of the sub-window, the current one first.
    Ring {
        /// The current sub-window.
        part: u64,
        /// Charges.
        by_age: [u32; RING],
    },
    /// Times of charges, oldest first.
    Log(Vec<u64>),
}

/// What a client asked for is not there; `until_ms` is when it will be, if nothing else is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted {
    pub(super) until_ms: u64,
}

impl Counts {
    pub(super) fn empty(rule: Rule, now: u64) -> Self {
        if rule.log {
            Self::Log(Vec::new())
        } else {
            Self::Ring {
                part: rule.part(now),
                by_age: [0; RING],
            }
        }
    }

    /// Charges that count at the time this was decoded for.
    pub(super) fn total(&self) -> u64 {
        match self {
            Self::Ring { by_age, .. } => by_age
                .iter()
                .fold(0_u64, |sum, count| sum.saturating_add(u64::from(*count))),
            Self::Log(times) => u64::try_from(times.len()).unwrap_or(u64::MAX),
        }
    }

    /// Charges one, or says until when not. The mark gives the charge back.
    pub(super) fn admit(&mut self, rule: Rule, now: u64) -> Result<u64, Exhausted> {
        let quota = u64::from(rule.quota);
        let total = self.total();
        match self {
            Self::Ring { part, by_age } => {
                if total < quota {
                    let [current, ..] = by_age;
                    *current = current.saturating_add(1);
                    return Ok(*part);
                }
                let mut left = total;
                let mut until_ms = now.saturating_add(rule.window_ms);
                let ages = by_age.iter().rev().zip((0..=PARTS).rev());
                for (count, age) in ages {
                    left = left.saturating_sub(u64::from(*count));
                    if left < quota {
                        let gone = part
                            .saturating_sub(age)
                            .saturating_add(PARTS)
                            .saturating_add(1);
                        until_ms = gone.saturating_mul(rule.width_ms.get());
                        break;
                    }
                }
                Err(Exhausted { until_ms })
            }
            Self::Log(times) => {
                if total < quota {
                    times.push(now);
                    return Ok(now);
                }
                let first = usize::try_from(total.saturating_sub(quota)).unwrap_or(usize::MAX);
                let until_ms = times.get(first).map_or_else(
                    || now.saturating_add(rule.window_ms),
                    |time| time.saturating_add(rule.window_ms).saturating_add(1),
                );
                Err(Exhausted { until_ms })
            }
        }
    }

    /// Takes back one charge made under `mark`; `false` when it has gone already.
    pub(super) fn give_back(&mut self, mark: u64) -> bool {
        match self {
            Self::Ring { part, by_age } => {
                let age = part
                    .checked_sub(mark)
                    .and_then(|age| usize::try_from(age).ok());
                match age.and_then(|age| by_age.get_mut(age)) {
                    Some(count) if *count > 0 => {
                        *count = count.saturating_sub(1);
                        true
                    }
                    _ => false,
                }
            }
            Self::Log(times) => {
                let mut found = false;
                times.retain(|time| {
                    let this = !found && *time == mark;
                    found |= this;
                    !this
                });
                found
            }
        }
    }

    /// The least state that is at least both: at every later time it counts at least as many charges as either.
    ///
    /// Ring: the maximum, sub-window by sub-window, of the charges since then (not of the counters, whose maxima
    /// would add up clients that came one after another). Log: the maximum of the n-th newest times.
    pub(super) fn join(&mut self, other: &Self) {
        match (self, other) {
            (Self::Ring { by_age, .. }, Self::Ring { by_age: theirs, .. }) => {
                let (mut ours_since, mut theirs_since, mut joined_since) = (0_u64, 0_u64, 0_u64);
                for (count, their) in by_age.iter_mut().zip(theirs) {
                    ours_since = ours_since.saturating_add(u64::from(*count));
                    theirs_since = theirs_since.saturating_add(u64::from(*their));
                    let joined = ours_since.max(theirs_since);
                    *count = u32::try_from(joined.saturating_sub(joined_since)).unwrap_or(u32::MAX);
                    joined_since = joined;
                }
            }
            (Self::Log(ours), Self::Log(theirs)) => {
                let (long, short) = if ours.len() >= theirs.len() {
                    (&*ours, theirs)
                } else {
                    (theirs, &*ours)
                };
                let lead = long.len().saturating_sub(short.len());
                let mut joined = Vec::new();
                for (at, time) in long.iter().enumerate() {
                    let other = at.checked_sub(lead).and_then(|at| short.get(at));
                    joined.push(other.map_or(*time, |other| *time.max(other)));
                }
                *ours = joined;
            }
            // The rule decides the kind for a whole group; two kinds never meet.
            (Self::Ring { .. }, Self::Log(_)) | (Self::Log(_), Self::Ring { .. }) => {}
        }
    }

    /// A number below 2^17 that the reader needs first: which counters follow, or how many times.
    pub(super) fn shape(&self) -> u32 {
        match self {
            Self::Ring { by_age, .. } => by_age
                .iter()
                .rev()
                .fold(0, |mask, count| mask << 1 | u32::from(*count != 0)),
            Self::Log(times) => u32::try_from(times.len()).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ring { part, by_age } => {
                push_u32(out, low_half(*part));
                for count in by_age.iter().filter(|count| **count != 0) {
                    push_varint(out, u64::from(*count));
                }
            }
            Self::Log(times) => {
                let mut last = None;
                for time in times {
                    match last {
                        None => push_time(out, *time),
                        Some(last) => push_varint(out, time.saturating_sub(last)),
                    }
                    last = Some(*time);
                }
            }
        }
    }

    /// Reads a state and brings it to `now`: what no longer counts is left out. `None`: not ours.
    pub(super) fn decode(
        reader: &mut Reader<'_>,
        shape: u32,
        rule: Rule,
        now: u64,
    ) -> Option<Self> {
        if rule.log {
            if shape > MAX_LOG_QUOTA {
                return None;
            }
            let mut times = Vec::new();
            let mut last = None;
            for _ in 0..shape {
                let time: u64 = match last {
                    None => reader.time()?,
                    Some(last) => reader.varint()?.saturating_add(last),
                };
                last = Some(time);
                if now.saturating_sub(time) <= rule.window_ms {
                    times.push(time);
                }
            }
            return Some(Self::Log(times));
        }
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
        Some(Self::Ring { part, by_age })
    }
}

/// The low 32 bits of a sub-window number: enough to tell ages apart for 2^32 sub-windows.
const fn low_half(part: u64) -> u32 {
    let [a, b, c, d, ..] = part.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
