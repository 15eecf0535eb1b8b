//! `verify_signature`, as Envoy 1.40 has it: RSA PKCS#1 v1.5 and ECDSA signatures of a text, by a public key.
//!
//! In: `VerifySignatureArguments`: hash name, key (SPKI in DER or PEM form, not both), signature (ECDSA: DER), text. Out:
//! `VerifySignatureResult`: a flag and, when it is false, why. Arguments that are no message, or name no key or two, are BAD_ARGUMENT;
//! a key that cannot be read, or is for signatures without a hash of their own (Ed25519), is a reason.
//! Invariant: the same verdict as Envoy's, but for keys on P-224, which are not read here.
//! Source: Envoy's `verify_signature.proto`, and what it answers (`verify-*` in tests/corpora/semantics); the arithmetic is RustCrypto's.

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use pkcs1::der::{
    Decode, Reader, SliceReader,
    asn1::{AnyRef, BitStringRef, UintRef},
};
use rsa::{BoxedUint, Pkcs1v15Sign, RsaPublicKey};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use spki::{AlgorithmIdentifier, Document, ObjectIdentifier, SubjectPublicKeyInfo};

use super::protobuf;
use crate::abi::types::Status;

/// Where `rsaEncryption`, `id-ecPublicKey` and the curves are in the tree of object identifiers.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// Sizes of an RSA modulus that Envoy's library reads.
const RSA_BITS: std::ops::RangeInclusive<usize> = 512..=8192;

/// A key that Envoy's library reads, and uses with a hash.
enum Key {
    Rsa(RsaPublicKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
}

#[derive(Clone, Copy)]
enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// The function: arguments to result.
pub(super) fn call(arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let fields = protobuf::fields(arguments).ok_or(Status::BadArgument)?;
    let last = |number| {
        let mut named = fields.iter().rev().filter(|(at, _)| *at == number);
        named.next().map(|(_, bytes)| *bytes).unwrap_or_default()
    };
    let (hash, der, signature, text, pem) = (last(1), last(2), last(3), last(4), last(5));
    // `string` fields are text, each of them.
    let texts = fields.iter().filter(|(number, _)| matches!(number, 1 | 5));
    for (_, bytes) in texts {
        std::str::from_utf8(bytes).map_err(|_| Status::BadArgument)?;
    }
    let hash = String::from_utf8_lossy(hash);
    if der.is_empty() == pem.is_empty() {
        return Err(Status::BadArgument);
    }
    let Some(algorithm) = Hash::named(&hash) else {
        let error = format!("{hash} is not supported.");
        return Ok(protobuf::flag_and_text(false, &error));
    };
    let key = if pem.is_empty() {
        Key::from_der(der)
    } else {
        Key::from_pem(&String::from_utf8_lossy(pem))
    };
    let error = match key.map(|key| key.verify(algorithm, text, signature)) {
        Some(true) => "",
        Some(false) => "Failed to verify digest. Error code: 0",
        None => "Failed to initialize digest verify.",
    };
    Ok(protobuf::flag_and_text(error.is_empty(), error))
}

impl Hash {
    fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "sha1" => Self::Sha1,
            "sha224" => Self::Sha224,
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            _ => return None,
        })
    }

    fn of(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(text).to_vec(),
            Self::Sha224 => Sha224::digest(text).to_vec(),
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Sha384 => Sha384::digest(text).to_vec(),
            Self::Sha512 => Sha512::digest(text).to_vec(),
        }
    }

    fn padding(self) -> Pkcs1v15Sign {
        match self {
            Self::Sha1 => Pkcs1v15Sign::new::<Sha1>(),
            Self::Sha224 => Pkcs1v15Sign::new::<Sha224>(),
            Self::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
            Self::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
            Self::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
        }
    }
}

impl Key {
    /// A key in DER form; what follows it does not count.
    fn from_der(bytes: &[u8]) -> Option<Self> {
        let mut reader = SliceReader::new(bytes).ok()?;
        let spki: SubjectPublicKeyInfo<AnyRef<'_>, BitStringRef<'_>> = reader.decode().ok()?;
        let AlgorithmIdentifier { oid, parameters } = spki.algorithm;
        let key = spki.subject_public_key.as_bytes()?;
        match oid {
            RSA => parameters?.is_null().then(|| rsa_key(key))?,
            EC => match parameters?.decode_as::<ObjectIdentifier>().ok()? {
                P256 => Some(Self::P256(
                    p256::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?,
                )),
                P384 => Some(Self::P384(
                    p384::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?,
                )),
                P521 => Some(Self::P521(
                    p521::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?,
                )),
                _ => None,
            },
            _ => None,
        }
    }

    fn from_pem(text: &str) -> Option<Self> {
        let (label, document) = Document::from_pem(text).ok()?;
        (label == "PUBLIC KEY").then(|| Self::from_der(document.as_bytes()))?
    }

    /// Whether the signature holds.
    fn verify(&self, hash: Hash, text: &[u8], signature: &[u8]) -> bool {
        let digest = hash.of(text);
        match self {
            Self::Rsa(key) => key.verify(hash.padding(), &digest, signature).is_ok(),
            Self::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
            Self::P384(key) => p384::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
            Self::P521(key) => p521::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
        }
    }
}

fn rsa_key(bytes: &[u8]) -> Option<Key> {
    let key = pkcs1::RsaPublicKey::<UintRef<'_>>::from_der(bytes).ok()?;
    let number = |number: &UintRef<'_>| {
        let bytes = number.as_bytes();
        let bits = u32::try_from(bytes.len()).ok()?.checked_mul(8)?;
        BoxedUint::from_be_slice(bytes, bits).ok()
    };
    let (n, e) = (number(&key.modulus)?, number(&key.public_exponent)?);
    let key = RsaPublicKey::new_with_size_limits(n, e, RSA_BITS).ok()?;
    Some(Key::Rsa(key))
}
