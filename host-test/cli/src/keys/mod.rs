//! Signing keys for tools and tests: made, read from JWK and PEM, written as both, used to sign.
//!
//! **In:** the operating system's randomness, or a file's bytes. **Out:** [`Private`] and [`Public`] keys, JOSE signatures.
//! **Invariant:** a private key is never shown: `Debug` names its kind, errors name the place. The engine has the other half,
//! verification, and its own reader of public keys: what is made here is not checked by the code that made it.
//! **Source:** RFC 7515 §3.1, RFC 7518 §3 and §6, RFC 8037 §2, RFC 7638; the mathematics are the RustCrypto crates'.

mod jwk;
mod pem;

use std::fmt;

use anyhow::{Context, Result, bail};
use ed25519_dalek::SigningKey as Ed25519;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::{SignatureEncoding, Signer};
use p256::elliptic_curve::Generate;
use rsa::rand_core::UnwrapErr;
use rsa::signature::RandomizedSigner;
use rsa::{RsaPrivateKey, RsaPublicKey, pkcs1v15, pss};
use sha2::{Digest, Sha256, Sha384, Sha512};

pub use jwk::Described;

/// Names of the signature algorithms, in the order help texts list them.
pub const ALGORITHMS: [&str; 13] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
    "ES384", "ES512", "EdDSA",
];

/// Bits of an RSA key made here, unless said otherwise.
pub const RSA_BITS: usize = 2048;

/// A key that signs.
#[derive(Clone)]
pub enum Private {
    /// A shared secret.
    Secret(Vec<u8>),
    /// RSA.
    Rsa(Box<RsaPrivateKey>),
    /// P-256.
    P256(p256::SecretKey),
    /// P-384.
    P384(p384::SecretKey),
    /// P-521.
    P521(p521::SecretKey),
    /// Ed25519.
    Ed25519(Box<Ed25519>),
}

/// A key that verifies.
#[derive(Debug, Clone)]
pub enum Public {
    /// RSA.
    Rsa(Box<RsaPublicKey>),
    /// P-256.
    P256(p256::PublicKey),
    /// P-384.
    P384(p384::PublicKey),
    /// P-521.
    P521(p521::PublicKey),
    /// Ed25519.
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Private({}, redacted)", self.kind())
    }
}

impl Private {
    /// A new key for `algorithm`; `bits` are those of RSA.
    ///
    /// # Errors
    /// Another algorithm, an RSA key below 2048 bits or above 4096, no randomness.
    pub fn generate(algorithm: &str, bits: usize) -> Result<Self> {
        // RSA's generator has no way to say that there is no randomness: it is seen here.
        let mut random = random_bytes(64)?;
        Ok(match algorithm {
            "HS256" => {
                random.truncate(32);
                Self::Secret(random)
            }
            "HS384" => {
                random.truncate(48);
                Self::Secret(random)
            }
            "HS512" => Self::Secret(random),
            "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => {
                if !(2048..=4096).contains(&bits) || !bits.is_multiple_of(8) {
                    bail!(
                        "an RSA key of {bits} bits: write 2048 to 4096, a multiple of 8 (RFC 7518 section 3.3)"
                    );
                }
                let mut system = UnwrapErr(getrandom::SysRng);
                let key = RsaPrivateKey::new(&mut system, bits).context("an RSA key")?;
                Self::Rsa(Box::new(key))
            }
            "ES256" => Self::P256(p256::SecretKey::try_generate_from_rng(
                &mut getrandom::SysRng,
            )?),
            "ES384" => Self::P384(p384::SecretKey::try_generate_from_rng(
                &mut getrandom::SysRng,
            )?),
            "ES512" => Self::P521(p521::SecretKey::try_generate_from_rng(
                &mut getrandom::SysRng,
            )?),
            "EdDSA" | "Ed25519" => {
                let seed: [u8; 32] = random.first_chunk().copied().context("randomness")?;
                Self::Ed25519(Box::new(Ed25519::from_bytes(&seed)))
            }
            other => bail!("`{other}` is not one of {}", ALGORITHMS.join(", ")),
        })
    }

    /// The key in a file's bytes, for signing with `algorithm`: a private JWK or PEM. For HMAC any other bytes are the secret
    /// themselves.
    ///
    /// # Errors
    /// It is none of these, or cannot sign with the algorithm.
    pub fn for_algorithm(algorithm: &str, bytes: &[u8]) -> Result<Self> {
        let symmetric = algorithm.starts_with("HS") || algorithm == "none";
        let key = match Described::read(bytes) {
            Ok(Described {
                private: Some(key @ Self::Secret(_)),
                ..
            }) if symmetric => key,
            // A PEM, a public key: whoever signs with HMAC may take any bytes for a secret, as an attacker would.
            _ if symmetric => Self::Secret(bytes.to_vec()),
            Ok(described) => described
                .private
                .context("it is a public key: signing needs the private one")?,
            Err(error) => return Err(error),
        };
        if !symmetric && !key.algorithms().contains(&algorithm) {
            bail!(
                "{} does not sign with {algorithm}, only with {}",
                key.kind(),
                key.algorithms().join(", ")
            );
        }
        Ok(key)
    }

    /// What it is, in words.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Secret(_) => "a secret",
            Self::Rsa(_) => "an RSA key",
            Self::P256(_) => "a P-256 key",
            Self::P384(_) => "a P-384 key",
            Self::P521(_) => "a P-521 key",
            Self::Ed25519(_) => "an Ed25519 key",
        }
    }

    /// What it can sign with.
    #[must_use]
    pub const fn algorithms(&self) -> &'static [&'static str] {
        match self {
            Self::Secret(_) => &["HS256", "HS384", "HS512"],
            Self::Rsa(_) => &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
            Self::P256(_) => &["ES256"],
            Self::P384(_) => &["ES384"],
            Self::P521(_) => &["ES512"],
            Self::Ed25519(_) => &["EdDSA"],
        }
    }

    /// The other half; a secret has none.
    #[must_use]
    pub fn public(&self) -> Option<Public> {
        Some(match self {
            Self::Secret(_) => return None,
            Self::Rsa(key) => Public::Rsa(Box::new(key.to_public_key())),
            Self::P256(key) => Public::P256(key.public_key()),
            Self::P384(key) => Public::P384(key.public_key()),
            Self::P521(key) => Public::P521(key.public_key()),
            Self::Ed25519(key) => Public::Ed25519(Box::new(key.verifying_key())),
        })
    }

    /// The signature of `message` in its JOSE form. `none` is empty, whatever the key.
    ///
    /// # Errors
    /// The key does not sign with this algorithm.
    pub fn sign(&self, algorithm: &str, message: &[u8]) -> Result<Vec<u8>> {
        let mut system = getrandom::SysRng;
        macro_rules! mac {
            ($hash:ty, $secret:expr) => {{
                let mut mac = Hmac::<$hash>::new_from_slice($secret).context("key")?;
                mac.update(message);
                mac.finalize().into_bytes().to_vec()
            }};
        }
        macro_rules! pkcs1 {
            ($hash:ty, $key:expr) => {
                pkcs1v15::SigningKey::<$hash>::new(RsaPrivateKey::clone($key))
                    .try_sign_with_rng(&mut system, message)?
                    .to_vec()
            };
        }
        macro_rules! pss {
            ($hash:ty, $key:expr) => {
                pss::SigningKey::<$hash>::new(RsaPrivateKey::clone($key))
                    .try_sign_with_rng(&mut system, message)?
                    .to_vec()
            };
        }
        macro_rules! ecdsa {
            ($curve:ident, $key:expr) => {{
                let signature: $curve::ecdsa::Signature =
                    $curve::ecdsa::SigningKey::from($key).try_sign(message)?;
                signature.to_vec()
            }};
        }
        Ok(match (self, algorithm) {
            (_, "none") => Vec::new(),
            (Self::Secret(secret), "HS256") => mac!(Sha256, secret),
            (Self::Secret(secret), "HS384") => mac!(Sha384, secret),
            (Self::Secret(secret), "HS512") => mac!(Sha512, secret),
            (Self::Rsa(key), "RS256") => pkcs1!(Sha256, key),
            (Self::Rsa(key), "RS384") => pkcs1!(Sha384, key),
            (Self::Rsa(key), "RS512") => pkcs1!(Sha512, key),
            (Self::Rsa(key), "PS256") => pss!(Sha256, key),
            (Self::Rsa(key), "PS384") => pss!(Sha384, key),
            (Self::Rsa(key), "PS512") => pss!(Sha512, key),
            (Self::P256(key), "ES256") => ecdsa!(p256, key),
            (Self::P384(key), "ES384") => ecdsa!(p384, key),
            (Self::P521(key), "ES512") => ecdsa!(p521, key),
            (Self::Ed25519(key), "EdDSA" | "Ed25519") => key.try_sign(message)?.to_vec(),
            (_, other) if !ALGORITHMS.contains(&other) => {
                bail!("`{other}` is not one of {}", ALGORITHMS.join(", "))
            }
            _ => bail!(
                "{} does not sign with {algorithm}, only with {}",
                self.kind(),
                self.algorithms().join(", ")
            ),
        })
    }
}

/// Bytes of the operating system's randomness.
///
/// # Errors
/// It has none.
pub fn random_bytes(count: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes).context("the operating system gives no randomness")?;
    Ok(bytes)
}

/// Unpadded base64url (RFC 4648 §5).
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    use base64ct::{Base64UrlUnpadded, Encoding};
    Base64UrlUnpadded::encode_string(bytes)
}

/// Reads unpadded base64url.
#[must_use]
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    use base64ct::{Base64UrlUnpadded, Encoding};
    Base64UrlUnpadded::decode_vec(text).ok()
}

/// SHA-256 in lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests;
