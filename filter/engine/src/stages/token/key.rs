//! Keys: a secret or a public key with its algorithm and id.
//!
//! **In:** a secret of the environment, a published key. **Out:** [`Key`].
//! **Invariant:** a key carries one algorithm and verifies nothing else (RFC 8725 §3.1): no header chooses. Only keys
//! made of a secret make MACs. `Debug` shows neither secret nor state.
//! **Source:** RFC 7518 §3, RFC 8037.
//! **Cost:** [`Key::verify`]: a MAC, or one verification of a signature (see [`super::public`]).

use alloc::vec::Vec;

use super::algorithm::Algorithm;
use super::jwk::JwkError;
use super::jws;
use super::mac::{HmacAlgorithm, MacState, Secret};
use super::public::PublicKey;
use crate::env::Outside;

/// A key that carries its algorithm and, where the format has one, its id.
#[derive(Clone)]
pub struct Key {
    id: Option<Vec<u8>>,
    algorithm: Algorithm,
    material: Material,
    /// The headers most tokens under this key have, in base64url, and whether they name the key's id.
    usual: Vec<(Vec<u8>, bool)>,
}

#[derive(Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "keys are few, and a MAC is computed from where its state lies"
)]
enum Material {
    Secret(MacState),
    Public(PublicKey),
}

impl Key {
    /// A key of a secret. `id` is the `kid` of a JWT header or session token; a key without one is tried for every
    /// token. `None` for an empty secret: anybody could compute its MACs.
    #[must_use]
    pub fn new(id: Option<Vec<u8>>, algorithm: HmacAlgorithm, secret: &Secret) -> Option<Self> {
        let state = MacState::new(algorithm, secret)?;
        Some(Self::with_usual(Self {
            id,
            algorithm: algorithm.algorithm(),
            material: Material::Secret(state),
            usual: Vec::new(),
        }))
    }

    /// A public key for one algorithm.
    pub(super) fn public(
        id: Option<Vec<u8>>,
        algorithm: Algorithm,
        key: PublicKey,
    ) -> Result<Self, JwkError> {
        if !key.serves(algorithm.family()) {
            return Err(JwkError::Algorithm);
        }
        Ok(Self::with_usual(Self {
            id,
            algorithm,
            material: Material::Public(key),
            usual: Vec::new(),
        }))
    }

    fn with_usual(mut key: Self) -> Self {
        key.usual = jws::usual_headers(&key);
        key
    }

    #[cfg(test)]
    pub(super) fn spki(&self) -> Option<&[u8]> {
        match &self.material {
            Material::Secret(_) => None,
            Material::Public(key) => Some(key.spki()),
        }
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
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether a token that names `kid` (or none) may be checked with this key.
    #[must_use]
    pub(super) fn serves(&self, kid: Option<&[u8]>) -> bool {
        match (&self.id, kid) {
            (Some(id), Some(kid)) => id == kid,
            (None, _) | (_, None) => true,
        }
    }

    /// Whether `signature` is one of `message` under this key, in the form JOSE gives it: a MAC, RSA's number as long
    /// as the modulus, ECDSA's `r‖s`, Ed25519's 64 bytes. MACs are compared in constant time.
    #[must_use]
    pub fn verify<S: Outside>(&self, outside: &mut S, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(state) => state.verify(message, signature),
            Material::Public(key) => key.verify(self.algorithm, outside, message, signature),
        }
    }

    /// Whether `mac` is the MAC of `message`, compared in constant time; never of a public key.
    #[must_use]
    pub fn verify_mac(&self, message: &[u8], mac: &[u8]) -> bool {
        match &self.material {
            Material::Secret(state) => state.verify(message, mac),
            Material::Public(_) => false,
        }
    }

    /// Whether `mac` is the start of the MAC of the concatenated `parts`, `bytes` long; never of a public key.
    #[must_use]
    pub(super) fn verify_start(&self, parts: &[&[u8]], bytes: usize, mac: &[u8]) -> bool {
        match &self.material {
            Material::Secret(state) => state.verify_start(parts, bytes, mac),
            Material::Public(_) => false,
        }
    }

    /// Calls `look` with the MAC of the concatenated `parts`; a public key makes none.
    pub(crate) fn with_mac<T>(&self, parts: &[&[u8]], look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        match &self.material {
            Material::Secret(state) => Some(state.with_mac(parts, look)),
            Material::Public(_) => None,
        }
    }
}

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Key")
            .field("algorithm", &self.algorithm)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::MemoryStore;

    #[test]
    fn nothing_secret_is_shown() {
        let secret = Secret(b"correct horse battery".to_vec());
        assert_eq!(alloc::format!("{secret:?}"), "Secret(redacted)");
        let key = Key::new(Some(b"k1".to_vec()), HmacAlgorithm::Sha256, &secret).unwrap();
        let shown = alloc::format!("{key:?}");
        assert!(shown.starts_with("Key { algorithm: Hs256"), "{shown}");
        assert!(
            !shown.contains("material") && !shown.contains("horse"),
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
            let mac = key
                .with_mac(&[b"what do ya want ", b"for nothing?"], <[u8]>::to_vec)
                .unwrap();
            assert_eq!(mac.len(), algorithm.mac_bytes());
            assert!(mac.starts_with(&start), "{algorithm:?}");
            assert!(key.verify(&mut MemoryStore::default(), message, &mac));
            assert!(key.verify_mac(message, &mac));
            assert!(key.verify_start(&[message], 4, &start));
            assert!(!key.verify_start(&[message], 5, &start));
            for cut in 0..mac.len() {
                assert!(!key.verify_mac(message, &mac[..cut]), "cut at {cut}");
            }
            for bit in 0..mac.len() * 8 {
                let mut other = mac.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(!key.verify_mac(message, &other), "bit {bit}");
            }
            let longer = [mac.as_slice(), b"\0"].concat();
            assert!(!key.verify_mac(message, &longer));
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
