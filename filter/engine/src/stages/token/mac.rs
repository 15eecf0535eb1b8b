//! Keys: a secret with its algorithm and id, ready to compute MACs.
//!
//! **In:** a secret from the environment, once, at configure time. **Out:** [`Key`], which holds the two keyed
//! hash states instead of the secret, so that a request costs no key schedule.
//! **Invariant:** MACs are compared in constant time ([`Key::verify`], the only comparison there is); neither
//! secret nor state is ever shown by `Debug`.
//! **Source:** RFC 2104 (HMAC) and RFC 7518 §3.2 over the `hmac` and `sha2` crates; nothing of ours in it.
//! **Cost:** linear in the message, two compressions more.

use alloc::vec::Vec;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use super::jws;

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

/// A key that carries its algorithm and, where the format has one, its id.
#[derive(Clone)]
pub struct Key {
    id: Option<Vec<u8>>,
    state: State,
    /// The headers most tokens under this key have, in base64url, and whether they name the key's id.
    usual: Vec<(Vec<u8>, bool)>,
}

/// HMAC states after the padded key.
#[derive(Clone)]
enum State {
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl Key {
    /// A key. `id` is the `kid` of a JWT header or session token; a key without one is tried for every token.
    /// `None` for an empty secret: anybody could compute its MACs.
    #[must_use]
    pub fn new(id: Option<Vec<u8>>, algorithm: HmacAlgorithm, secret: &Secret) -> Option<Self> {
        let Secret(bytes) = secret;
        if bytes.is_empty() {
            return None;
        }
        let state = match algorithm {
            HmacAlgorithm::Sha256 => State::Sha256(Hmac::new_from_slice(bytes).ok()?),
            HmacAlgorithm::Sha384 => State::Sha384(Hmac::new_from_slice(bytes).ok()?),
            HmacAlgorithm::Sha512 => State::Sha512(Hmac::new_from_slice(bytes).ok()?),
        };
        let mut key = Self {
            id,
            state,
            usual: Vec::new(),
        };
        key.usual = jws::usual_headers(&key);
        Some(key)
    }

    /// What an encoded header says, when it is a usual one of this key: whether it names the key's id.
    #[must_use]
    pub(super) fn usual(&self, header: &[u8]) -> Option<bool> {
        self.usual
            .iter()
            .find(|(text, _)| text == header)
            .map(|(_, named)| *named)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> Option<&[u8]> {
        self.id.as_deref()
    }

    /// Its algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> HmacAlgorithm {
        match self.state {
            State::Sha256(_) => HmacAlgorithm::Sha256,
            State::Sha384(_) => HmacAlgorithm::Sha384,
            State::Sha512(_) => HmacAlgorithm::Sha512,
        }
    }

    /// Whether a token that names `kid` (or none) may be checked with this key.
    #[must_use]
    pub(super) fn serves(&self, kid: Option<&[u8]>) -> bool {
        match (&self.id, kid) {
            (Some(id), Some(kid)) => id == kid,
            (None, _) | (_, None) => true,
        }
    }

    /// Whether `mac` is the MAC of `message`, compared in constant time. A shorter or longer `mac` is not.
    #[must_use]
    pub(super) fn verify(&self, message: &[u8], mac: &[u8]) -> bool {
        self.with_mac(&[message], |expected| equal(expected, mac))
    }

    /// Whether `mac` is the start of the MAC of the concatenated `parts`, `bytes` long.
    #[must_use]
    pub(super) fn verify_start(&self, parts: &[&[u8]], bytes: usize, mac: &[u8]) -> bool {
        self.with_mac(parts, |expected| {
            expected
                .get(..bytes)
                .is_some_and(|expected| equal(expected, mac))
        })
    }

    /// Calls `look` with the MAC of the concatenated `parts`.
    pub(crate) fn with_mac<T>(&self, parts: &[&[u8]], look: impl FnOnce(&[u8]) -> T) -> T {
        match &self.state {
            State::Sha256(state) => look(&finish(state.clone(), parts)),
            State::Sha384(state) => look(&finish(state.clone(), parts)),
            State::Sha512(state) => look(&finish(state.clone(), parts)),
        }
    }
}

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Key")
            .field("algorithm", &self.algorithm())
            .field("id", &self.id)
            .finish_non_exhaustive()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown() {
        let secret = Secret(b"correct horse battery".to_vec());
        assert_eq!(alloc::format!("{secret:?}"), "Secret(redacted)");
        let key = Key::new(Some(b"k1".to_vec()), HmacAlgorithm::Sha256, &secret).unwrap();
        let shown = alloc::format!("{key:?}");
        assert!(shown.starts_with("Key { algorithm: Sha256"), "{shown}");
        assert!(
            !shown.contains("state") && !shown.contains("horse"),
            "{shown}"
        );
    }

    #[test]
    fn an_empty_secret_makes_no_key() {
        for algorithm in [
            HmacAlgorithm::Sha256,
            HmacAlgorithm::Sha384,
            HmacAlgorithm::Sha512,
        ] {
            assert!(Key::new(None, algorithm, &Secret(Vec::new())).is_none());
            assert!(Key::new(None, algorithm, &Secret(alloc::vec![0])).is_some());
        }
    }

    /// RFC 4231 §4.3, test case 2.
    #[test]
    fn known_macs() {
        let cases: [(HmacAlgorithm, [u8; 4]); 3] = [
            (HmacAlgorithm::Sha256, [0x5b, 0xdc, 0xc1, 0x46]),
            (HmacAlgorithm::Sha384, [0xaf, 0x45, 0xd2, 0xe3]),
            (HmacAlgorithm::Sha512, [0x16, 0x4b, 0x7a, 0x7b]),
        ];
        for (algorithm, start) in cases {
            let key = Key::new(None, algorithm, &Secret(b"Jefe".to_vec())).unwrap();
            let message: &[u8] = b"what do ya want for nothing?";
            let mac = key.with_mac(&[b"what do ya want ", b"for nothing?"], <[u8]>::to_vec);
            assert_eq!(mac.len(), algorithm.mac_bytes());
            assert!(mac.starts_with(&start), "{algorithm:?}");
            assert!(key.verify(message, &mac));
            assert!(key.verify_start(&[message], 4, &start));
            assert!(!key.verify_start(&[message], 5, &start));
            for cut in 0..mac.len() {
                assert!(!key.verify(message, &mac[..cut]), "cut at {cut}");
            }
            for bit in 0..mac.len() * 8 {
                let mut other = mac.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(!key.verify(message, &other), "bit {bit}");
            }
            let longer = [mac.as_slice(), b"\0"].concat();
            assert!(!key.verify(message, &longer));
        }
    }

    #[test]
    fn which_key_serves() {
        let key = |id: Option<&[u8]>| {
            Key::new(
                id.map(<[u8]>::to_vec),
                HmacAlgorithm::Sha256,
                &Secret(b"s".to_vec()),
            )
            .unwrap()
        };
        assert!(key(Some(b"a")).serves(Some(b"a")));
        assert!(!key(Some(b"a")).serves(Some(b"b")));
        assert!(key(Some(b"a")).serves(None));
        assert!(key(None).serves(Some(b"a")));
        assert!(key(None).serves(None));
    }
}
