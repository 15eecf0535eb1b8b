//! Secrets and the MACs under them.
//!
//! **In:** a secret, once, at configure time. **Out:** [`MacState`], which holds the two keyed hash states instead of
//! the secret, so that a request costs no key schedule.
//! **Invariant:** MACs are compared in constant time ([`MacState::verify`], the only comparison there is); neither
//! secret nor state is ever shown by `Debug`.
//! **Source:** RFC 2104 (HMAC) and RFC 7518 §3.2 over the `hmac` and `sha2` crates; nothing of ours in it.
//! **Cost:** linear in the message, two compressions more.

use alloc::vec::Vec;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use super::algorithm::Algorithm;

/// A secret; `Debug` never shows it.
#[derive(Clone)]
pub struct Secret(pub Vec<u8>);

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// HMAC hash of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HmacAlgorithm {
    /// HS256.
    Sha256,
    /// HS384.
    Sha384,
    /// HS512.
    Sha512,
}

impl HmacAlgorithm {
    /// Its `alg` name (RFC 7518 §3.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "HS256",
            Self::Sha384 => "HS384",
            Self::Sha512 => "HS512",
        }
    }

    /// As one of all algorithms.
    #[must_use]
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::Sha256 => Algorithm::Hs256,
            Self::Sha384 => Algorithm::Hs384,
            Self::Sha512 => Algorithm::Hs512,
        }
    }

    /// Bytes of its MAC; RFC 7518 §3.2 wants a secret at least as long.
    #[must_use]
    pub const fn mac_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// HMAC states after the padded key.
#[derive(Clone)]
pub(super) enum MacState {
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl MacState {
    /// The state of a secret; nothing for an empty one: anybody could compute its MACs.
    pub(super) fn new(algorithm: HmacAlgorithm, secret: &Secret) -> Option<Self> {
        let Secret(bytes) = secret;
        if bytes.is_empty() {
            return None;
        }
        Some(match algorithm {
            HmacAlgorithm::Sha256 => Self::Sha256(Hmac::new_from_slice(bytes).ok()?),
            HmacAlgorithm::Sha384 => Self::Sha384(Hmac::new_from_slice(bytes).ok()?),
            HmacAlgorithm::Sha512 => Self::Sha512(Hmac::new_from_slice(bytes).ok()?),
        })
    }

    /// Whether `mac` is the MAC of `message`, compared in constant time. A shorter or longer `mac` is not.
    pub(super) fn verify(&self, message: &[u8], mac: &[u8]) -> bool {
        self.with_mac(&[message], |expected| equal(expected, mac))
    }

    /// Whether `mac` is the start of the MAC of the concatenated `parts`, `bytes` long.
    pub(super) fn verify_start(&self, parts: &[&[u8]], bytes: usize, mac: &[u8]) -> bool {
        self.with_mac(parts, |expected| {
            expected
                .get(..bytes)
                .is_some_and(|expected| equal(expected, mac))
        })
    }

    /// Calls `look` with the MAC of the concatenated `parts`.
    pub(super) fn with_mac<T>(&self, parts: &[&[u8]], look: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Sha256(state) => look(&finish(state.clone(), parts)),
            Self::Sha384(state) => look(&finish(state.clone(), parts)),
            Self::Sha512(state) => look(&finish(state.clone(), parts)),
        }
    }
}

fn finish<M: Mac>(mut mac: M, parts: &[&[u8]]) -> hmac::digest::Output<M> {
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes()
}

/// In constant time for equal lengths; a word at a time, as `subtle` hides each comparison from the optimiser.
pub(super) fn equal(expected: &[u8], given: &[u8]) -> bool {
    if expected.len() != given.len() {
        return false;
    }
    let (expected, rest) = expected.as_chunks::<8>();
    let (given, other) = given.as_chunks::<8>();
    let mut same = rest.ct_eq(other);
    for (one, other) in expected.iter().zip(given) {
        same &= u64::from_ne_bytes(*one).ct_eq(&u64::from_ne_bytes(*other));
    }
    bool::from(same)
}
