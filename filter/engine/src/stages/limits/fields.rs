//! What a refused client is told: `retry-after` and the `RateLimit` fields of draft-ietf-httpapi-ratelimit-headers.
//!
//! **In:** the limit that refuses longest and its wait. **Out:** header fields of a [`Denial`].
//! **Invariant:** `retry-after` and `t` are the same number of seconds, rounded up: never before the reset. Requests in
//! flight have neither window nor reset.
//! Names were proved fit for a structured-field string by the policy; what is not is left out here as well.

use alloc::vec::Vec;

use super::Refusal;
use crate::verdict::{Denial, Reason, Stage};

/// The denial of the strictest limit.
pub(super) fn denial(refusal: &Refusal<'_>) -> Denial {
    let limit = refusal.limit;
    let seconds = seconds(refusal.wait_ms);
    let mut denial = after(Reason::RateLimited, seconds);

    let mut state = Vec::new();
    push_string(&mut state, &limit.name);
    state.extend_from_slice(b";r=");
    push_number(&mut state, refusal.remaining);
    let window_ms = refusal.quota.window.ms;
    // When a place in flight is given back, nobody knows.
    if window_ms > 0 {
        state.extend_from_slice(b";t=");
        push_number(&mut state, seconds);
    }

    let mut policy = Vec::new();
    push_string(&mut policy, &limit.name);
    policy.extend_from_slice(b";q=");
    push_number(&mut policy, u64::from(refusal.quota.count));
    if window_ms > 0 {
        policy.extend_from_slice(b";w=");
        push_number(&mut policy, self::seconds(window_ms));
    } else {
        policy.extend_from_slice(b";qu=\"concurrent-requests\"");
    }

    denial.headers.push(("ratelimit", state));
    denial.headers.push(("ratelimit-policy", policy));
    denial
}

/// The denial of a ban that ends in `wait_ms`: it has no quota to tell of.
pub(super) fn banned(wait_ms: u64) -> Denial {
    after(Reason::Banned, seconds(wait_ms))
}

fn after(reason: Reason, seconds: u64) -> Denial {
    let mut denial = Denial::new(Stage::Limits, reason);
    let mut retry_after = Vec::new();
    push_number(&mut retry_after, seconds);
    denial.headers.push(("retry-after", retry_after));
    denial
}

/// Whole seconds, rounded up, at least 1 (the draft's `w` is never 0).
fn seconds(ms: u64) -> u64 {
    ms.div_ceil(1000).max(1)
}

/// A structured-field string (RFC 9651 §3.3.3): visible ASCII and spaces.
fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0x20..=0x7e => out.push(*byte),
            _ => {}
        }
    }
    out.push(b'"');
}

/// A structured-field integer: at most 15 digits (RFC 9651 §3.3.1).
fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut left = number.min(999_999_999_999_999);
    let mut digits = [b'0'; 15];
    let mut used = 0_usize;
    for digit in digits.iter_mut().rev() {
        let [low, ..] = (left % 10).to_le_bytes();
        *digit = b'0'.wrapping_add(low);
        left /= 10;
        used = used.saturating_add(1);
        if left == 0 {
            break;
        }
    }
    let from = digits.len().saturating_sub(used);
    out.extend_from_slice(digits.get(from..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::limits::Limit;

    #[test]
    fn fields_are_structured() {
        type Case<'a> = (&'a [u8], u32, u64, u64, [&'a str; 3]);
        let cases: [Case<'_>; 6] = [
            (
                b"per-client",
                100,
                600_000,
                0,
                ["1", "\"per-client\";r=0;t=1", "\"per-client\";q=100;w=600"],
            ),
            (
                b"a",
                5,
                3_600_000,
                1000,
                ["1", "\"a\";r=0;t=1", "\"a\";q=5;w=3600"],
            ),
            (
                b"f",
                50,
                0,
                1000,
                ["1", "\"f\";r=0", "\"f\";q=50;qu=\"concurrent-requests\""],
            ),
            (b"a", 0, 1, 1001, ["2", "\"a\";r=0;t=2", "\"a\";q=0;w=1"]),
            (
                b"q\"\\\r\n\x80",
                u32::MAX,
                1001,
                59_000,
                [
                    "59",
                    "\"q\\\"\\\\\";r=0;t=59",
                    "\"q\\\"\\\\\";q=4294967295;w=2",
                ],
            ),
            (
                b"",
                1,
                u64::MAX,
                u64::MAX,
                [
                    "999999999999999",
                    "\"\";r=0;t=999999999999999",
                    "\"\";q=1;w=999999999999999",
                ],
            ),
        ];
        for (name, count, window, wait, expected) in cases {
            let limit = Limit::sample(name, count, window);
            let denial = denial(&Refusal {
                limit: &limit,
                quota: limit.quota,
                remaining: 0,
                wait_ms: wait,
            });
            let names: Vec<_> = denial.headers.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, ["retry-after", "ratelimit", "ratelimit-policy"]);
            for ((_, value), expected) in denial.headers.iter().zip(expected) {
                assert_eq!(String::from_utf8_lossy(value), expected);
            }
        }
    }
}
