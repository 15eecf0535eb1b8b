//! What a request is charged.
//!
//! **In:** a limit's cost, and what is known of a request. **Out:** units; 0: the limit does not count this request.
//! **Invariant:** a client can claim no less than 1 and no more than the policy's `max`; what cannot be read costs the
//! most. A body whose length nobody can tell costs the whole quota.

use alloc::vec::Vec;

use super::Facts;
use crate::finding::Findings;
use crate::request::RequestHead;
use crate::request::cookie::trim;
use crate::verdict::Stage;

/// What a request costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cost {
    /// The same for all.
    Fixed(u32),
    /// What a header says.
    Header {
        /// Its name, lower case.
        name: Vec<u8>,
        /// The most, and the cost of what is no number.
        max: u32,
        /// The cost of a request without it.
        missing: u32,
    },
    /// One for each started so many bytes of the body, at least 1.
    Body(u64),
    /// One for each started so many points that injection detection has found so far; none: nothing.
    Score(u32),
}

/// What is known when a limit is charged last.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Bytes of the body.
    pub length: Option<u64>,
    /// Points of its findings.
    pub score: u32,
}

impl Known {
    /// A body of this length and what was found so far.
    #[must_use]
    pub fn new(length: Option<u64>, found: &Findings) -> Self {
        let found = found.as_slice().iter();
        let scores = found.filter(|it| it.stage == Stage::Injection);
        Self {
            length,
            score: scores.fold(0, |sum, it| sum.saturating_add(it.score)),
        }
    }
}

impl Cost {
    /// Whether it is known from such a head; else only when body and findings are.
    pub(super) const fn is_early(&self, length: Option<u64>) -> bool {
        match self {
            Self::Fixed(_) | Self::Header { .. } => true,
            Self::Body(_) => length.is_some(),
            Self::Score(_) => false,
        }
    }

    /// The cost by the head.
    pub(super) fn by_head(&self, facts: &Facts<'_>, quota: u32) -> u32 {
        match self {
            Self::Fixed(cost) => *cost,
            Self::Header { name, max, missing } => facts
                .head
                .and_then(|head| claimed(head, name, *max))
                .unwrap_or(*missing),
            Self::Body(unit) => by_length(facts.length, *unit, quota),
            Self::Score(_) => 1,
        }
    }

    /// The cost by what is known last; `None`: it was known before.
    pub(super) fn at_last(&self, known: Known, quota: u32) -> Option<u32> {
        match self {
            Self::Fixed(_) | Self::Header { .. } => None,
            Self::Body(unit) => Some(by_length(known.length, *unit, quota)),
            Self::Score(points) => Some(known.score.div_ceil((*points).max(1))),
        }
    }
}

fn by_length(length: Option<u64>, unit: u64, quota: u32) -> u32 {
    let Some(length) = length else {
        return quota.max(1);
    };
    u32::try_from(length.div_ceil(unit.max(1)))
        .unwrap_or(u32::MAX)
        .max(1)
}

/// The largest of all values, as whoever reads them may take any.
fn claimed(head: &RequestHead<'_>, name: &[u8], max: u32) -> Option<u32> {
    head.all(name)
        .map(|value| number(trim(value), max))
        .reduce(u32::max)
}

/// Digits only; `max` for anything else and for what is beyond it.
fn number(text: &[u8], max: u32) -> u32 {
    if text.is_empty() {
        return max;
    }
    let number = text.iter().try_fold(0_u32, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| byte.wrapping_sub(b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(u32::from(digit)))
    });
    number.unwrap_or(max).min(max).max(1)
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn facts<'a>(head: &'a RequestHead<'a>, length: Option<u64>) -> Facts<'a> {
        Facts {
            head: Some(head),
            length,
            ..Facts::of(IpAddr::V4(Ipv4Addr::LOCALHOST))
        }
    }

    #[test]
    fn what_a_client_claims_is_bounded() {
        const CASES: &[(&[&str], u32)] = &[
            (&[], 2),
            (&["1"], 1),
            (&["7"], 7),
            (&["007"], 7),
            (&[" 7 "], 7),
            (&["0"], 1),
            (&["50"], 50),
            (&["51"], 50),
            (&["4294967296"], 50),
            (&["99999999999999999999999999"], 50),
            (&["-1"], 50),
            (&["+1"], 50),
            (&["1.0"], 50),
            (&["1e3"], 50),
            (&["0x1"], 50),
            (&["1, 2"], 50),
            (&[""], 50),
            (&["\u{661}"], 50),
            (&["1", "3"], 3),
            (&["3", "1", "x"], 50),
        ];
        let cost = Cost::Header {
            name: b"x-cost".to_vec(),
            max: 50,
            missing: 2,
        };
        for (values, expected) in CASES {
            let pairs = values
                .iter()
                .map(|value| (&b"X-Cost"[..], value.as_bytes()));
            let head = RequestHead::decode(pairs);
            assert_eq!(
                cost.by_head(&facts(&head, None), 9),
                *expected,
                "{values:?}"
            );
        }
    }

    #[test]
    fn bodies_and_scores() {
        let head = RequestHead::decode(core::iter::empty());
        let body = Cost::Body(1024);
        for (length, expected) in [
            (Some(0), 1),
            (Some(1), 1),
            (Some(1024), 1),
            (Some(1025), 2),
            (Some(u64::MAX), u32::MAX),
            (None, 77),
        ] {
            assert_eq!(body.by_head(&facts(&head, length), 77), expected);
            let known = Known { length, score: 0 };
            assert_eq!(body.at_last(known, 77), Some(expected));
            assert_eq!(body.is_early(length), length.is_some());
        }
        for (score, expected) in [(0, 0), (1, 1), (3, 1), (4, 2), (u32::MAX, 1_431_655_765)] {
            let known = Known {
                length: None,
                score,
            };
            assert_eq!(Cost::Score(3).at_last(known, 77), Some(expected));
        }
        let known = Known {
            length: None,
            score: 9,
        };
        assert_eq!(Cost::Fixed(3).at_last(known, 77), None);
    }
}
