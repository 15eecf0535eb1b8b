//! Public keys: what makes one acceptable, and how a signature is checked with it.
//!
//! **In:** numbers of a published key; then messages and signatures of attackers. **Out:** [`PublicKey`]; yes or no.
//! **Invariant:** whoever verifies, the verdict is the same: lengths and ranges are checked here first, so the host
//! never sees what RustCrypto would refuse; where the host has no verifier, or cannot use the key, RustCrypto answers.
//! PSS and EdDSA are always verified here: the host cannot.
//! **Source:** RFC 7518 §3.3–3.5, RFC 8037, FIPS 186-5 (sizes), CVE-2017-15361 (ROCA).
//! **Cost:** one verification; bounded by [`MAX_MODULUS_BITS`].

use alloc::boxed::Box;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::algorithm::{Algorithm, Family};
use super::der::{self, Spki};
use super::jwk::JwkError;
use super::software;
use crate::env::{HashName, HostVerdict, Outside};

/// Smallest modulus: RFC 7518 §3.3.
pub(super) const MIN_MODULUS_BITS: usize = 2048;
/// Largest modulus: what BoringSSL takes as well, and what a request may cost.
pub(super) const MAX_MODULUS_BITS: usize = 8192;
/// Largest exponent in bits: what BoringSSL takes; a large one costs (and nobody uses one).
const MAX_EXPONENT_BITS: usize = 33;

/// A checked public key.
#[derive(Clone)]
pub(super) struct PublicKey {
    point: Point,
    /// As `SubjectPublicKeyInfo`, for the host.
    spki: Vec<u8>,
}

#[derive(Clone)]
enum Point {
    P256(Box<software::P256>),
    P384(Box<software::P384>),
    P521(Box<software::P521>),
    Ed25519(Box<software::Ed25519>),
    Rsa(Box<Rsa>),
}

#[derive(Clone)]
struct Rsa {
    key: software::Rsa,
    /// The modulus, big-endian without leading zeros: a signature is as long and a smaller number.
    n: Vec<u8>,
}

impl PublicKey {
    /// Checks a key of these numbers.
    pub(super) fn new(spki: Spki<'_>) -> Result<Self, JwkError> {
        match spki {
            Spki::Rsa { n, e } => Ok(Self {
                point: Point::Rsa(Box::new(rsa(n, e)?)),
                spki: spki.write(),
            }),
            _ => Self::on_a_curve(spki),
        }
    }

    /// The same for points of curves: what a request may bring along.
    pub(super) fn on_a_curve(spki: Spki<'_>) -> Result<Self, JwkError> {
        let point = match spki {
            Spki::Rsa { .. } => return Err(JwkError::KeyType),
            Spki::P256(point) => {
                let point = point.try_into().map_err(|_| JwkError::Point)?;
                Point::P256(Box::new(software::load_p256(point).ok_or(JwkError::Point)?))
            }
            Spki::P384(point) => {
                let point = point.try_into().map_err(|_| JwkError::Point)?;
                Point::P384(Box::new(software::load_p384(point).ok_or(JwkError::Point)?))
            }
            Spki::P521(point) => {
                let point = point.try_into().map_err(|_| JwkError::Point)?;
                Point::P521(Box::new(software::load_p521(point).ok_or(JwkError::Point)?))
            }
            Spki::Ed25519(point) => {
                let point: &[u8; 32] = point.try_into().map_err(|_| JwkError::Point)?;
                if !is_canonical_edwards(point) {
                    return Err(JwkError::Point);
                }
                let key = software::load_ed25519(point).ok_or(JwkError::Point)?;
                Point::Ed25519(Box::new(key))
            }
        };
        Ok(Self {
            point,
            spki: spki.write(),
        })
    }

    /// Its `SubjectPublicKeyInfo` in DER.
    #[cfg(test)]
    pub(super) fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Whether an algorithm of this family can use it.
    pub(super) const fn serves(&self, family: Family) -> bool {
        matches!(
            (&self.point, family),
            (Point::P256(_), Family::P256)
                | (Point::P384(_), Family::P384)
                | (Point::P521(_), Family::P521)
                | (Point::Ed25519(_), Family::Ed25519)
                | (Point::Rsa(_), Family::RsaPkcs1 | Family::RsaPss)
        )
    }

    /// Whether `signature`, in JOSE's form, is one of `message` by `algorithm`.
    pub(super) fn verify<S: Outside>(
        &self,
        algorithm: Algorithm,
        outside: &mut S,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let hash = algorithm.hash();
        match (&self.point, algorithm.family()) {
            (Point::P256(key), Family::P256) => {
                let Ok(fixed) = signature.try_into() else {
                    return false;
                };
                match self.ask_ecdsa(outside, hash, message, signature, &P256_ORDER) {
                    HostVerdict::Valid => true,
                    HostVerdict::Invalid => false,
                    HostVerdict::Absent => {
                        software::verify_p256(key, &Sha256::digest(message).into(), fixed)
                    }
                }
            }
            (Point::P384(key), Family::P384) => {
                let Ok(fixed) = signature.try_into() else {
                    return false;
                };
                match self.ask_ecdsa(outside, hash, message, signature, &P384_ORDER) {
                    HostVerdict::Valid => true,
                    HostVerdict::Invalid => false,
                    HostVerdict::Absent => {
                        software::verify_p384(key, &Sha384::digest(message).into(), fixed)
                    }
                }
            }
            (Point::P521(key), Family::P521) => {
                let Ok(fixed) = signature.try_into() else {
                    return false;
                };
                match self.ask_ecdsa(outside, hash, message, signature, &P521_ORDER) {
                    HostVerdict::Valid => true,
                    HostVerdict::Invalid => false,
                    HostVerdict::Absent => {
                        software::verify_p521(key, &Sha512::digest(message).into(), fixed)
                    }
                }
            }
            (Point::Ed25519(key), Family::Ed25519) => signature
                .try_into()
                .is_ok_and(|signature| software::verify_ed25519(key, message, signature)),
            (Point::Rsa(rsa), Family::RsaPkcs1) => {
                if !rsa.may_sign(signature) {
                    return false;
                }
                match outside.verify_signature(hash, &self.spki, message, signature) {
                    HostVerdict::Valid => true,
                    HostVerdict::Invalid => false,
                    HostVerdict::Absent => with_hash(hash, message, |hashed| {
                        software::verify_rsa_pkcs1(&rsa.key, hash, hashed, signature)
                    }),
                }
            }
            (Point::Rsa(rsa), Family::RsaPss) => {
                rsa.may_sign(signature)
                    && with_hash(hash, message, |hashed| {
                        software::verify_rsa_pss(&rsa.key, hash, hashed, signature)
                    })
            }
            _ => false,
        }
    }

    /// Asks the host for ECDSA, unless a number is out of range: then nobody need be asked.
    fn ask_ecdsa<S: Outside>(
        &self,
        outside: &mut S,
        hash: HashName,
        message: &[u8],
        signature: &[u8],
        order: &[u8],
    ) -> HostVerdict {
        let (r, s) = signature.split_at_checked(order.len()).unwrap_or_default();
        if !is_scalar(r, order) || !is_scalar(s, order) {
            return HostVerdict::Invalid;
        }
        outside.verify_signature(hash, &self.spki, message, &der::ecdsa(signature))
    }
}

impl Rsa {
    /// RFC 8017 §8.1.2 and §8.2.2, step 1, and RSAVP1's range.
    fn may_sign(&self, signature: &[u8]) -> bool {
        signature.len() == self.n.len() && signature < self.n.as_slice()
    }
}

/// From 1 to the order less 1; both big-endian and equally long.
fn is_scalar(number: &[u8], order: &[u8]) -> bool {
    number.len() == order.len() && number < order && number.iter().any(|byte| *byte != 0)
}

fn with_hash<T>(hash: HashName, message: &[u8], look: impl FnOnce(&[u8]) -> T) -> T {
    match hash {
        HashName::Sha256 => look(&Sha256::digest(message)),
        HashName::Sha384 => look(&Sha384::digest(message)),
        HashName::Sha512 => look(&Sha512::digest(message)),
    }
}

/// Every check of an RSA key that is ours.
fn rsa(n: &[u8], e: &[u8]) -> Result<Rsa, JwkError> {
    let bits = bits(n).ok_or(JwkError::Modulus)?;
    if !(MIN_MODULUS_BITS..=MAX_MODULUS_BITS).contains(&bits) || !is_odd(n) {
        return Err(JwkError::Modulus);
    }
    // 1 signs nothing; even has no inverse; 3 and its like are sound where the whole padding is compared, as here.
    if !self::bits(e).is_some_and(|bits| (2..=MAX_EXPONENT_BITS).contains(&bits)) || !is_odd(e) {
        return Err(JwkError::Exponent);
    }
    if has_roca_fingerprint(n) {
        return Err(JwkError::Roca);
    }
    let key = software::load_rsa(n, e).ok_or(JwkError::Modulus)?;
    let mut copy = Vec::new();
    copy.extend_from_slice(n);
    Ok(Rsa { key, n: copy })
}

/// Bits of a big-endian number; nothing for none, or with a leading zero.
fn bits(number: &[u8]) -> Option<usize> {
    let (first, rest) = number.split_first()?;
    let zeros = usize::try_from(first.leading_zeros()).ok()?;
    let first = 8_usize.checked_sub(zeros).filter(|bits| *bits > 0)?;
    rest.len().checked_mul(8)?.checked_add(first)
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|last| last & 1 == 1)
}

/// Whether a modulus has the form of the keys of CVE-2017-15361: modulo each of these primes it is a power of 65537.
/// That holds by chance for less than one modulus in 2^27.
fn has_roca_fingerprint(n: &[u8]) -> bool {
    ROCA_PRIMES.iter().all(|prime| {
        let remainder = n.iter().fold(0_u32, |rest, byte| {
            rest.wrapping_shl(8)
                .wrapping_add(u32::from(*byte))
                .checked_rem(*prime)
                .unwrap_or(0)
        });
        let mut power = 1_u32;
        for _ in 0..*prime {
            if power == remainder {
                return true;
            }
            power = power.wrapping_mul(65537).checked_rem(*prime).unwrap_or(0);
        }
        false
    })
}

/// The odd primes of the smallest generator of such keys.
const ROCA_PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Whether the y of a compressed point is below the field's prime 2^255 - 19 (RFC 8032 §5.1.3, step 1).
fn is_canonical_edwards(point: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = point;
    !(*first >= 0xed && middle.iter().all(|byte| *byte == 0xff) && last & 0x7f == 0x7f)
}

/// Order of P-256.
const P256_ORDER: [u8; 32] =
    hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
/// Order of P-384.
const P384_ORDER: [u8; 48] = hex(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
);
/// Order of P-521.
const P521_ORDER: [u8; 66] = hex(
    "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
);

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "constants made at compile time"
)]
const fn hex<const N: usize>(text: &str) -> [u8; N] {
    const fn digit(byte: u8) -> u8 {
        match byte {
            b'0'..=b'9' => byte - b'0',
            _ => byte - b'a' + 10,
        }
    }
    let text = text.as_bytes();
    assert!(text.len() == 2 * N, "two digits a byte");
    let mut out = [0; N];
    let mut at = 0;
    while at < N {
        out[at] = digit(text[2 * at]) * 16 + digit(text[2 * at + 1]);
        at += 1;
    }
    out
}

#[cfg(test)]
mod tests;
