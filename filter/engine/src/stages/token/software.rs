//! The verifiers of RustCrypto, one function each: the boundary behind which the call-graph walk counts.
//!
//! **In:** keys whose numbers, and signatures whose lengths, were checked by [`super::public`]. **Out:** yes or no.
//! **Invariant:** nothing here decides anything; each function is `#[inline(never)]` and named in the walk
//! (`tests/xtask/src/wasm/boundary.rs`). Panics that the compiler cannot rule out inside these crates lie behind
//! these functions and nowhere else.
//! **Source:** FIPS 186-5 (ECDSA), RFC 8017 (RSA), RFC 8032 (Ed25519), as the crates implement them.
//! **Cost:** fixed by the key's size; see the measurements in `filter/README.md`.

use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::pss::Pss;
use rsa::{BoxedUint, RsaPublicKey};
use sha2::{Sha256, Sha384, Sha512};

use crate::env::HashName;

/// A point on P-256.
pub(super) type P256 = p256::ecdsa::VerifyingKey;
/// A point on P-384.
pub(super) type P384 = p384::ecdsa::VerifyingKey;
/// A point on P-521.
pub(super) type P521 = p521::ecdsa::VerifyingKey;
/// A point on the Edwards curve.
pub(super) type Ed25519 = ed25519_dalek::VerifyingKey;
/// An RSA modulus and exponent.
pub(super) type Rsa = RsaPublicKey;

/// Reads an uncompressed point; nothing when it is not on the curve.
#[inline(never)]
pub(super) fn load_p256(point: &[u8; 65]) -> Option<P256> {
    P256::from_sec1_bytes(point).ok()
}

/// As [`load_p256`].
#[inline(never)]
pub(super) fn load_p384(point: &[u8; 97]) -> Option<P384> {
    P384::from_sec1_bytes(point).ok()
}

/// As [`load_p256`].
#[inline(never)]
pub(super) fn load_p521(point: &[u8; 133]) -> Option<P521> {
    P521::from_sec1_bytes(point).ok()
}

/// Reads a compressed point; nothing when it is not on the curve, or of small order: such a key accepts signatures
/// that nobody made.
#[inline(never)]
pub(super) fn load_ed25519(point: &[u8; 32]) -> Option<Ed25519> {
    let key = Ed25519::from_bytes(point).ok()?;
    (!key.is_weak()).then_some(key)
}

/// Prepares the arithmetic of a modulus; both numbers big-endian, checked by the caller.
#[inline(never)]
pub(super) fn load_rsa(n: &[u8], e: &[u8]) -> Option<Rsa> {
    let n = BoxedUint::from_be_slice_vartime(n);
    let e = BoxedUint::from_be_slice_vartime(e);
    RsaPublicKey::new(n, e).ok()
}

/// ECDSA over a hash that was made already; `r‖s`. Refuses zeros and numbers that are not below the group's order.
#[inline(never)]
pub(super) fn verify_p256(key: &P256, hash: &[u8; 32], signature: &[u8; 64]) -> bool {
    p256::ecdsa::Signature::from_bytes(&(*signature).into())
        .is_ok_and(|signature| key.verify_prehash(hash, &signature).is_ok())
}

/// As [`verify_p256`].
#[inline(never)]
pub(super) fn verify_p384(key: &P384, hash: &[u8; 48], signature: &[u8; 96]) -> bool {
    p384::ecdsa::Signature::from_bytes(&(*signature).into())
        .is_ok_and(|signature| key.verify_prehash(hash, &signature).is_ok())
}

/// As [`verify_p256`].
#[inline(never)]
pub(super) fn verify_p521(key: &P521, hash: &[u8; 64], signature: &[u8; 132]) -> bool {
    p521::ecdsa::Signature::from_bytes(&(*signature).into())
        .is_ok_and(|signature| key.verify_prehash(hash, &signature).is_ok())
}

/// Ed25519, strict: S below the order, R and the key not of small order, the equation without cofactor.
#[inline(never)]
pub(super) fn verify_ed25519(key: &Ed25519, message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    key.verify_strict(message, &signature).is_ok()
}

/// RSASSA-PKCS1-v1_5 over a hash that was made already; the whole encoded message is compared.
#[inline(never)]
pub(super) fn verify_rsa_pkcs1(key: &Rsa, hash: HashName, hashed: &[u8], signature: &[u8]) -> bool {
    let scheme = match hash {
        HashName::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
        HashName::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
        HashName::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
    };
    key.verify(scheme, hashed, signature).is_ok()
}

/// RSASSA-PSS over a hash that was made already: MGF1 with the same hash, a salt of its length (RFC 7518 §3.5).
#[inline(never)]
pub(super) fn verify_rsa_pss(key: &Rsa, hash: HashName, hashed: &[u8], signature: &[u8]) -> bool {
    match hash {
        HashName::Sha256 => key.verify(Pss::<Sha256>::new(), hashed, signature),
        HashName::Sha384 => key.verify(Pss::<Sha384>::new(), hashed, signature),
        HashName::Sha512 => key.verify(Pss::<Sha512>::new(), hashed, signature),
    }
    .is_ok()
}
