//! Where the walk stops: one function a signature algorithm, behind which RustCrypto computes.
//!
//! Why at all: the arithmetic of these crates is written with indexes and assertions whose lengths the compiler cannot
//! always see to be right. Every length and range is checked before the boundary (`public.rs` of the token stage), none
//! of these panics has ever been seen (Wycheproof, and the mutations of the engine's tests), and the counts below keep
//! them from growing unseen. What the compiler proves away is not counted: `[profile.wasm.package.*]` turns off their
//! overflow checks, whose arithmetic wraps by design.
//! **Source:** the counts are those that `cargo xtask wasm` prints; lower one when it falls.

use super::walk::Boundary;

/// Their own code, and generic code of the standard library made for them.
const CURVES: &[&str] = &[
    "alloc",
    "core",
    "crypto_bigint",
    "ecdsa",
    "elliptic_curve",
    "hybrid_array",
    "p256",
    "p384",
    "p521",
    "primefield",
    "primeorder",
    "sec1",
    "wnaf",
];
const EDWARDS: &[&str] = &["alloc", "core", "curve25519_dalek", "ed25519_dalek"];
const RSA: &[&str] = &["alloc", "core", "crypto_bigint", "rsa"];

macro_rules! boundary {
    ($name:literal, $crates:expr, $most:literal) => {
        Boundary {
            function: concat!("palisade_engine::stages::token::software::", $name),
            crates: $crates,
            most: $most,
        }
    };
}

/// Functions of the engine that the walk counts behind.
pub(super) const BOUNDARIES: [Boundary; 11] = [
    boundary!("load_ed25519", EDWARDS, 1),
    boundary!("load_p256", CURVES, 9),
    boundary!("load_p384", CURVES, 4),
    boundary!("load_p521", CURVES, 5),
    boundary!("load_rsa", RSA, 47),
    boundary!("verify_ed25519", EDWARDS, 2),
    boundary!("verify_p256", CURVES, 19),
    boundary!("verify_p384", CURVES, 16),
    boundary!("verify_p521", CURVES, 16),
    boundary!("verify_rsa_pkcs1", RSA, 30),
    boundary!("verify_rsa_pss", RSA, 34),
];
