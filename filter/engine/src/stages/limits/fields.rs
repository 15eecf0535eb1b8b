//! What a client is told: `retry-after` and the `RateLimit` fields of draft-ietf-httpapi-ratelimit-headers, on request the older
//! `x-ratelimit-*`.
//!
//! **In:** the limits that a request met. **Out:** fields of a [`Denial`] or of the upstream's response.
//! **Invariant:** `t` and `retry-after` are rounded up and `retry-after` is the longest wait: never before the reset. Requests in
//! flight have neither window nor reset. A partition key is a hash of its own: it tells nothing of where counters stand.
//! Names were proved fit for a structured-field string by the policy; what is not is left out here as well.
//! **Source:** draft-ietf-httpapi-ratelimit-headers, RFC 9651 §4.1.

use alloc::vec::Vec;

use super::cost::Cost;
use super::{Limit, Refusal};
use crate::sip::Sip;
use crate::units::Quota;
use crate::verdict::{Denial, Reason, Stage};

/// When a client is told of a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shown {
    /// When a request is refused.
    #[default]
    Denied,
    /// On every response.
    Always,
    /// Never.
    Never,
}

/// What a client is told of a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Telling {
    /// When.
    pub shown: Shown,
    /// Also by `x-ratelimit-limit`, `-remaining` and `-reset`.
    pub legacy: bool,
    /// With a partition key.
    pub partition: bool,
}

/// A limit that a request met, as it stood right after.
#[derive(Debug, Clone, Copy)]
pub(super) struct Met {
    pub(super) index: usize,
    pub(super) quota: Quota,
    pub(super) remaining: u64,
    /// Until more is there; nothing: all is there, or nobody knows.
    pub(super) wait_ms: Option<u64>,
    /// Of its counter, where that is ours.
    pub(super) key: Option<u64>,
    /// What this request took of it.
    pub(super) taken: u32,
}

impl Met {
    /// After another limit refused the request: what it took was given back.
    pub(super) fn forget(&mut self) {
        self.remaining = self.remaining.saturating_add(u64::from(self.taken));
    }
}

type Fields = Vec<(&'static str, Vec<u8>)>;

/// The fields that tell of limits, in their order; none without any.
pub(super) fn write<'l>(
    told: impl Iterator<Item = (&'l Limit, Met)>,
    secret: &[u8; 16],
    out: &mut Fields,
) {
    let (mut state, mut policy) = (Vec::new(), Vec::new());
    let mut tightest: Option<(Met, &Limit)> = None;
    for (limit, one) in told {
        if !state.is_empty() {
            state.extend_from_slice(b", ");
            policy.extend_from_slice(b", ");
        }
        let unit = limit.unit();
        push_string(&mut state, &limit.name);
        state.extend_from_slice(b";r=");
        push_number(&mut state, one.remaining.saturating_mul(unit));
        if let Some(wait_ms) = one.wait_ms {
            state.extend_from_slice(b";t=");
            push_number(&mut state, seconds(wait_ms));
        }
        push_string(&mut policy, &limit.name);
        policy.extend_from_slice(b";q=");
        push_number(&mut policy, u64::from(one.quota.count).saturating_mul(unit));
        let window_ms = one.quota.window.ms;
        if window_ms == 0 {
            policy.extend_from_slice(b";qu=\"concurrent-requests\"");
        } else {
            if let Cost::Body(_) = limit.cost {
                policy.extend_from_slice(b";qu=\"content-bytes\"");
            }
            policy.extend_from_slice(b";w=");
            push_number(&mut policy, seconds(window_ms));
        }
        if limit.telling.partition {
            push_partition(&mut state, one.key, limit, secret);
            push_partition(&mut policy, one.key, limit, secret);
        }
        let tighter = |(other, _): &(Met, &Limit)| {
            (one.remaining, other.wait_ms) < (other.remaining, one.wait_ms)
        };
        if limit.telling.legacy && tightest.as_ref().is_none_or(tighter) {
            tightest = Some((one, limit));
        }
    }
    if state.is_empty() {
        return;
    }
    out.push(("ratelimit", state));
    out.push(("ratelimit-policy", policy));
    if let Some((one, limit)) = tightest {
        let unit = limit.unit();
        let mut number = |name, number| {
            let mut value = Vec::new();
            push_number(&mut value, number);
            out.push((name, value));
        };
        let quota = u64::from(one.quota.count).saturating_mul(unit);
        number("x-ratelimit-limit", quota);
        number("x-ratelimit-remaining", one.remaining.saturating_mul(unit));
        number("x-ratelimit-reset", one.wait_ms.map_or(0, seconds));
    }
}

impl Limit {
    /// What one unit of the quota is in the units of the fields: bytes, where bodies are counted.
    pub(super) const fn unit(&self) -> u64 {
        match self.cost {
            Cost::Body(unit) => unit,
            Cost::Fixed(_) | Cost::Header { .. } | Cost::Score(_) => 1,
        }
    }
}

/// The same for requests that are counted together, and for no others.
fn push_partition(out: &mut Vec<u8>, key: Option<u64>, limit: &Limit, secret: &[u8; 16]) {
    let Some(key) = key else {
        return;
    };
    let mut sip = Sip::new(secret);
    sip.text(b"partition key");
    sip.text(&limit.name);
    sip.word(key);
    out.extend_from_slice(b";pk=:");
    push_base64(out, sip.finish());
    out.push(b':');
}

/// Eight bytes in base64 (RFC 4648 §4), padded.
fn push_base64(out: &mut Vec<u8>, bytes: u64) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for digit in 0..11_u32 {
        // Of the last digit two bits are padding.
        let left = 58_u32.wrapping_sub(digit.wrapping_mul(6));
        let six = if digit == 10 {
            bytes.wrapping_shl(2)
        } else {
            bytes.wrapping_shr(left)
        };
        let [low, ..] = (six & 63).to_le_bytes();
        out.extend(DIGITS.get(usize::from(low)));
    }
    out.push(b'=');
}

/// The denial of the strictest limit.
pub(super) fn denial(refusal: &Refusal<'_>) -> Denial {
    after(Reason::RateLimited, seconds(refusal.wait_ms))
}

/// The same where only this limit is to be told of.
pub(super) fn denial_alone(refusal: &Refusal<'_>) -> Denial {
    let mut denial = denial(refusal);
    let limit = refusal.limit;
    if limit.telling.shown != Shown::Never {
        let met = Met {
            index: 0,
            quota: refusal.quota,
            remaining: refusal.remaining,
            wait_ms: Some(refusal.wait_ms),
            key: None,
            taken: 0,
        };
        let told = core::iter::once((limit, met));
        write(told, &[0; 16], &mut denial.headers);
        denial.violated = super::violated(core::iter::once(limit));
    }
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
pub(super) fn push_number(out: &mut Vec<u8>, number: u64) {
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
mod tests;
