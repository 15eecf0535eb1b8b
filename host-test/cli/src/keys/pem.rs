//! PEM: PKCS#8, SPKI, PKCS#1 and SEC1 ↔ keys.
//!
//! **Invariant:** the label chooses the form, never a guess over all of them; an encrypted key is refused by name.
//! **Source:** RFC 7468, RFC 5958, RFC 8017 appendix A, RFC 5915.

use anyhow::{Result, bail};
use ed25519_dalek::SigningKey as Ed25519;
use p256::elliptic_curve::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding,
};
use rsa::pkcs1::{DecodeRsaPrivateKey, DecodeRsaPublicKey};
use rsa::{RsaPrivateKey, RsaPublicKey};

use super::{Described, Private, Public};

pub(super) fn read(text: &str) -> Result<Described> {
    let text = text.trim_start();
    let label = text
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.split_once("-----"))
        .map_or("", |(label, _)| label);
    let private = match label {
        "PRIVATE KEY" => pkcs8(text),
        "RSA PRIVATE KEY" => RsaPrivateKey::from_pkcs1_pem(text)
            .ok()
            .map(|key| Private::Rsa(Box::new(key))),
        "EC PRIVATE KEY" => sec1(text),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => {
            return match public(text, label) {
                Some(public) => Ok(Described {
                    private: None,
                    public: Some(public),
                    id: None,
                    algorithm: None,
                }),
                None => bail!(
                    "the PEM `{label}` cannot be read; supported are RSA, P-256, P-384, P-521 and Ed25519"
                ),
            };
        }
        "ENCRYPTED PRIVATE KEY" => {
            bail!("the PEM is encrypted: decrypt it first (`openssl pkcs8 -in KEY -out PLAIN`)")
        }
        "CERTIFICATE" => bail!(
            "the PEM is a certificate: take its key out (`openssl x509 -in CERT -pubkey -noout`)"
        ),
        other => bail!("the PEM is `{other}`; supported are private and public keys"),
    };
    match private {
        Some(key) => Ok(key.into()),
        None => bail!(
            "the PEM `{label}` cannot be read; supported are RSA, P-256, P-384, P-521 and Ed25519"
        ),
    }
}

fn pkcs8(text: &str) -> Option<Private> {
    if let Ok(key) = RsaPrivateKey::from_pkcs8_pem(text) {
        return Some(Private::Rsa(Box::new(key)));
    }
    if let Ok(key) = Ed25519::from_pkcs8_pem(text) {
        return Some(Private::Ed25519(Box::new(key)));
    }
    sec1(text)
}

/// SEC1, and PKCS#8 around it.
fn sec1(text: &str) -> Option<Private> {
    if let Ok(key) = p256::SecretKey::from_pem(text) {
        return Some(Private::P256(key));
    }
    if let Ok(key) = p384::SecretKey::from_pem(text) {
        return Some(Private::P384(key));
    }
    p521::SecretKey::from_pem(text).ok().map(Private::P521)
}

fn public(text: &str, label: &str) -> Option<Public> {
    if label == "RSA PUBLIC KEY" {
        let key = RsaPublicKey::from_pkcs1_pem(text).ok()?;
        return Some(Public::Rsa(Box::new(key)));
    }
    if let Ok(key) = RsaPublicKey::from_public_key_pem(text) {
        return Some(Public::Rsa(Box::new(key)));
    }
    if let Ok(key) = p256::PublicKey::from_public_key_pem(text) {
        return Some(Public::P256(key));
    }
    if let Ok(key) = p384::PublicKey::from_public_key_pem(text) {
        return Some(Public::P384(key));
    }
    if let Ok(key) = p521::PublicKey::from_public_key_pem(text) {
        return Some(Public::P521(key));
    }
    let key = ed25519_dalek::VerifyingKey::from_public_key_pem(text).ok()?;
    Some(Public::Ed25519(Box::new(key)))
}

impl Private {
    /// PKCS#8 PEM.
    ///
    /// # Errors
    /// A shared secret has none.
    pub fn pem(&self) -> Result<String> {
        let pem = match self {
            Self::Secret(_) => bail!("a shared secret has no PEM"),
            Self::Rsa(key) => key.to_pkcs8_pem(LineEnding::LF)?,
            Self::P256(key) => key.to_pkcs8_pem(LineEnding::LF)?,
            Self::P384(key) => key.to_pkcs8_pem(LineEnding::LF)?,
            Self::P521(key) => key.to_pkcs8_pem(LineEnding::LF)?,
            Self::Ed25519(key) => key.to_pkcs8_pem(LineEnding::LF)?,
        };
        Ok(pem.to_string())
    }
}

impl Public {
    /// SPKI PEM.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn pem(&self) -> Result<String> {
        Ok(match self {
            Self::Rsa(key) => key.to_public_key_pem(LineEnding::LF)?,
            Self::P256(key) => key.to_public_key_pem(LineEnding::LF)?,
            Self::P384(key) => key.to_public_key_pem(LineEnding::LF)?,
            Self::P521(key) => key.to_public_key_pem(LineEnding::LF)?,
            Self::Ed25519(key) => key.to_public_key_pem(LineEnding::LF)?,
        })
    }
}
