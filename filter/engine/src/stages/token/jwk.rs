//! JSON Web Keys and sets of them (RFC 7517, RFC 7518 §6, RFC 8037): text → keys, each with one algorithm.
//!
//! **In:** a set an identity provider published, or a key of the policy; and [`JwkRules`]. **Out:** [`KeySet`].
//! **Invariant:** what could be read in two ways is no key: equal names, numbers with padding or leading zeros, a kid
//! used twice. A key that cannot be used is left out and counted with its reason ([`Skipped`]); a set fails as a whole
//! when it is no set, too large, mixes secrets with public keys, or has nothing usable. Certificates (`x5c`, `x5t`,
//! `x5u`) are not looked at: trust comes from where the set was fetched. The decisions one by one:
//! `filter/README.md`, "JOSE rules".
//! **Cost:** linear in the set, but for the comparison of at most [`MAX_KEYS`] kids; one point or modulus a key.

use alloc::vec::Vec;

use super::algorithm::{Algorithm, Family};
use super::base64url;
use super::claims::{owned, string};
use super::copy;
use super::der::Spki;
use super::jws::MAX_KID_BYTES;
use super::key::Key;
use super::mac::{HmacAlgorithm, Secret};
use super::public::PublicKey;
use crate::json::{self, Event, Reader};

/// Bytes of a set.
pub const MAX_SET_BYTES: usize = 256 * 1024;
/// Keys of a set.
pub const MAX_KEYS: usize = 64;
/// Bytes of one key: its numbers take 1.4 KiB at most, the rest is room for certificates.
pub const MAX_KEY_BYTES: usize = 16 * 1024;
/// Members of one key, or of the set.
const MAX_MEMBERS: usize = 32;

/// Why a key, or a set, cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwkError {
    /// No JSON object with distinct names, or a member is missing or of another type.
    Malformed,
    /// A number is not canonical base64url, has leading zeros, or is not as long as its field.
    Encoding,
    /// More bytes than are read.
    Size,
    /// `kty` is none of `EC`, `OKP`, `RSA`, `oct`.
    KeyType,
    /// `crv` is none of P-256, P-384, P-521, Ed25519, or not one of this `kty`.
    Curve,
    /// `alg` is no signature algorithm of ours, or not one for this key.
    Algorithm,
    /// The policy does not permit its algorithm.
    NotPermitted,
    /// Several algorithms are permitted for it where one is needed.
    Ambiguous,
    /// `use` is not `sig`.
    Use,
    /// `key_ops` does not hold `verify`, or repeats itself.
    Operations,
    /// It has private members: whoever can read the set can sign.
    Private,
    /// A shared secret where public keys are expected.
    Symmetric,
    /// A secret that is shorter than the hash.
    Short,
    /// An RSA modulus under 2048 or over 8192 bits, or even.
    Modulus,
    /// An RSA exponent that is even, 1, or over 33 bits.
    Exponent,
    /// A modulus made by the broken generator of CVE-2017-15361.
    Roca,
    /// Not a point of the curve, or one of small order.
    Point,
    /// `kid` is longer than is compared.
    KeyId,
    /// Two keys share `kid` and algorithm: which one is meant?
    DuplicateKeyId,
    /// The set has too many keys.
    Count,
    /// The set mixes secrets with public keys.
    Mixed,
    /// The set has no key that can be used.
    Unusable,
}

impl JwkError {
    /// Whether a set has such keys for others, not by mistake.
    #[must_use]
    pub const fn is_foreign(self) -> bool {
        matches!(
            self,
            Self::Algorithm
                | Self::Curve
                | Self::KeyType
                | Self::NotPermitted
                | Self::Operations
                | Self::Use
        )
    }

    /// Its word for events and messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Encoding => "encoding",
            Self::Size => "size",
            Self::KeyType => "kty",
            Self::Curve => "crv",
            Self::Algorithm => "alg",
            Self::NotPermitted => "not_permitted",
            Self::Ambiguous => "ambiguous",
            Self::Use => "use",
            Self::Operations => "key_ops",
            Self::Private => "private",
            Self::Symmetric => "symmetric",
            Self::Short => "short",
            Self::Modulus => "modulus",
            Self::Exponent => "exponent",
            Self::Roca => "roca",
            Self::Point => "point",
            Self::KeyId => "kid",
            Self::DuplicateKeyId => "duplicate_kid",
            Self::Count => "count",
            Self::Mixed => "mixed",
            Self::Unusable => "unusable",
        }
    }
}

/// What keys may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwkRules {
    /// Permitted algorithms. A key without `alg` serves each of them that fits it. Empty: those that keys name, and
    /// an RSA key without `alg` is ambiguous.
    pub algorithms: Vec<Algorithm>,
    /// Whether shared secrets (`oct`) are keys here. Never for what was fetched or stands in a policy.
    pub symmetric: bool,
    /// Whether an RSA key serves the permitted algorithms with a longer hash than its `alg` names, too.
    pub stronger_hash: bool,
}

impl JwkRules {
    /// Public keys for these algorithms.
    #[must_use]
    pub const fn public(algorithms: Vec<Algorithm>) -> Self {
        Self {
            algorithms,
            symmetric: false,
            stronger_hash: false,
        }
    }
}

/// The usable keys of a set.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<Skipped>,
}

/// A key of a set that is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skipped {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Why.
    pub error: JwkError,
}

impl KeySet {
    /// Reads a set; keys that cannot be used are left out.
    ///
    /// # Errors
    /// `Size`, `Malformed`, `Count`, `Mixed`, `Unusable`: the set as a whole.
    pub fn parse(jwks: &[u8], rules: &JwkRules) -> Result<Self, JwkError> {
        let set = Self::read(jwks, rules)?;
        if set.keys.is_empty() {
            return Err(JwkError::Unusable);
        }
        Ok(set)
    }

    /// As [`KeySet::parse`]; a set without usable keys says why each is none.
    ///
    /// # Errors
    /// `Size`, `Malformed`, `Count`, `Mixed`.
    pub fn read(jwks: &[u8], rules: &JwkRules) -> Result<Self, JwkError> {
        if jwks.len() > MAX_SET_BYTES {
            return Err(JwkError::Size);
        }
        let keys = Members::read(jwks)?
            .get(b"keys")
            .ok_or(JwkError::Malformed)?;
        let mut reader = Reader::new(keys, json_depth());
        if !matches!(reader.next_event(), Ok(Some(Event::ArrayStart))) {
            return Err(JwkError::Malformed);
        }
        let mut set = Self::default();
        let mut sources = Vec::new();
        let mut broken = Vec::new();
        let (mut secrets, mut others) = (false, false);
        let mut index = 0_usize;
        while let Some(jwk) = reader.value().map_err(|_| JwkError::Malformed)? {
            if index >= MAX_KEYS {
                return Err(JwkError::Count);
            }
            let before = set.keys.len();
            if let Err(error) = read_key(jwk, rules, &mut set.keys) {
                set.skipped.push(Skipped { index, error });
                if !error.is_foreign() {
                    broken.extend(key_id(jwk));
                }
            }
            match kind(jwk) {
                Some(Kind::Secret) => secrets = true,
                Some(Kind::Public) => others = true,
                None => {}
            }
            sources.extend((before..set.keys.len()).map(|_| index));
            index = index.saturating_add(1);
        }
        if rules.symmetric && secrets && others {
            return Err(JwkError::Mixed);
        }
        set.drop_duplicates(&sources, &broken);
        Ok(set)
    }

    /// Its keys, in the order of the set.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Its keys alone.
    #[must_use]
    pub fn into_keys(self) -> Vec<Key> {
        self.keys
    }

    /// What was left out, in no certain order.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Leaves out every key whose kid and algorithm another one has as well, or whose kid a broken one has: which was
    /// meant?
    fn drop_duplicates(&mut self, sources: &[usize], broken: &[Vec<u8>]) {
        let mut doubled = Vec::new();
        for (key, source) in self.keys.iter().zip(sources) {
            let same = |(other, place): (&Key, &usize)| {
                place != source && other.algorithm() == key.algorithm() && other.id() == key.id()
            };
            let Some(id) = key.id() else { continue };
            if !doubled.contains(source)
                && (broken.iter().any(|other| other == id)
                    || self.keys.iter().zip(sources).any(same))
            {
                doubled.push(*source);
            }
        }
        if doubled.is_empty() {
            return;
        }
        let mut places = sources.iter();
        self.keys
            .retain(|_| places.next().is_none_or(|source| !doubled.contains(source)));
        for index in doubled {
            let error = JwkError::DuplicateKeyId;
            self.skipped.push(Skipped { index, error });
        }
    }
}

impl Key {
    /// Reads one key.
    ///
    /// # Errors
    /// Any of a key; `Ambiguous` when it has no `alg` and several permitted algorithms fit it.
    pub fn from_jwk(jwk: &[u8], rules: &JwkRules) -> Result<Self, JwkError> {
        let mut keys = Vec::new();
        read_key(jwk, rules, &mut keys)?;
        let key = keys.pop().ok_or(JwkError::NotPermitted)?;
        if keys.is_empty() {
            Ok(key)
        } else {
            Err(JwkError::Ambiguous)
        }
    }

    /// Reads a public key in `SubjectPublicKeyInfo` DER for one algorithm.
    ///
    /// # Errors
    /// `Malformed`, `Algorithm`, `Modulus`, `Exponent`, `Roca`, `Point`, `KeyId`.
    pub fn from_spki(
        der: &[u8],
        algorithm: Algorithm,
        id: Option<Vec<u8>>,
    ) -> Result<Self, JwkError> {
        let spki = Spki::read(der).ok_or(JwkError::Malformed)?;
        if id.as_ref().is_some_and(|id| id.len() > MAX_KID_BYTES) {
            return Err(JwkError::KeyId);
        }
        Self::public(id, algorithm, PublicKey::new(spki)?)
    }
}

/// Containers within a set: the object, its array, a key, and what a key we skip may hold.
const fn json_depth() -> usize {
    16
}

#[derive(Clone, Copy)]
enum Kind {
    Secret,
    Public,
}

/// The kid of an element of a set, when it can be read.
fn key_id(jwk: &[u8]) -> Option<Vec<u8>> {
    Members::read(jwk).ok()?.text(b"kid").ok()?
}

/// Whether an element of a set is a secret or a public key, as far as it says.
fn kind(jwk: &[u8]) -> Option<Kind> {
    let members = Members::read(jwk).ok()?;
    match &*string(members.get(b"kty")?)?.decode() {
        b"oct" => Some(Kind::Secret),
        b"RSA" | b"EC" | b"OKP" => Some(Kind::Public),
        _ => None,
    }
}

/// Adds the keys that a JWK is: one for each permitted algorithm that it may serve.
fn read_key(jwk: &[u8], rules: &JwkRules, keys: &mut Vec<Key>) -> Result<(), JwkError> {
    if jwk.len() > MAX_KEY_BYTES {
        return Err(JwkError::Size);
    }
    let members = Members::read(jwk)?;
    let kty = members.text(b"kty")?.ok_or(JwkError::Malformed)?;
    members.check_purpose()?;
    let id = members.text(b"kid")?;
    if id.as_ref().is_some_and(|id| id.len() > MAX_KID_BYTES) {
        return Err(JwkError::KeyId);
    }
    let named = match members.text(b"alg")? {
        None => None,
        Some(name) => Some(algorithm(&name).ok_or(JwkError::Algorithm)?),
    };
    if kty == b"oct" {
        return read_secret(&members, rules, id, named, keys);
    }
    let (numbers, families): (Numbers, &[Family]) = match kty.as_slice() {
        b"RSA" => {
            let numbers = Numbers::Rsa(members.number(b"n")?, members.number(b"e")?);
            (numbers, &[Family::RsaPkcs1, Family::RsaPss])
        }
        b"EC" => match members.text(b"crv")?.ok_or(JwkError::Malformed)?.as_slice() {
            b"P-256" => (Numbers::P256(members.point(32)?), &[Family::P256]),
            b"P-384" => (Numbers::P384(members.point(48)?), &[Family::P384]),
            b"P-521" => (Numbers::P521(members.point(66)?), &[Family::P521]),
            _ => return Err(JwkError::Curve),
        },
        b"OKP" => match members.text(b"crv")?.ok_or(JwkError::Malformed)?.as_slice() {
            b"Ed25519" => {
                let point = members.bytes(b"x")?;
                if point.len() != 32 {
                    return Err(JwkError::Encoding);
                }
                (Numbers::Ed25519(point), &[Family::Ed25519])
            }
            _ => return Err(JwkError::Curve),
        },
        _ => return Err(JwkError::KeyType),
    };
    if PRIVATE.iter().any(|name| members.get(name).is_some()) {
        return Err(JwkError::Private);
    }
    let algorithms = rules.serving(named, families)?;
    for algorithm in algorithms {
        // Made anew for each: a clone brings a way into a panic along.
        let public = PublicKey::new(numbers.spki())?;
        keys.push(Key::public(id.as_deref().map(copy), algorithm, public)?);
    }
    Ok(())
}

fn read_secret(
    members: &Members<'_>,
    rules: &JwkRules,
    id: Option<Vec<u8>>,
    named: Option<Algorithm>,
    keys: &mut Vec<Key>,
) -> Result<(), JwkError> {
    if !rules.symmetric {
        return Err(JwkError::Symmetric);
    }
    let secret = Secret(members.bytes(b"k")?);
    let length = secret.0.len();
    let mut error = JwkError::NotPermitted;
    let before = keys.len();
    for algorithm in rules.serving(named, &[Family::Hmac])? {
        let hash = match algorithm {
            Algorithm::Hs256 => HmacAlgorithm::Sha256,
            Algorithm::Hs384 => HmacAlgorithm::Sha384,
            _ => HmacAlgorithm::Sha512,
        };
        if length < hash.mac_bytes() {
            error = JwkError::Short;
        } else {
            keys.extend(Key::new(id.as_deref().map(copy), hash, &secret));
        }
    }
    if keys.len() == before {
        Err(error)
    } else {
        Ok(())
    }
}

/// Members of RSA, EC and OKP keys that only their owner has.
const PRIVATE: [&[u8]; 7] = [b"d", b"p", b"q", b"dp", b"dq", b"qi", b"oth"];

/// The algorithm an `alg` names. `ES521` is how some write the one whose curve is P-521.
fn algorithm(name: &[u8]) -> Option<Algorithm> {
    match name {
        b"ES521" => Some(Algorithm::Es512),
        _ => Algorithm::from_name(name),
    }
}

impl JwkRules {
    /// The algorithms a key of one of these families serves: that of its `alg`, or each permitted one that fits.
    fn serving(
        &self,
        named: Option<Algorithm>,
        families: &[Family],
    ) -> Result<Vec<Algorithm>, JwkError> {
        let fits = |algorithm: &Algorithm| families.contains(&algorithm.family());
        if named.is_some_and(|named| !fits(&named)) {
            return Err(JwkError::Algorithm);
        }
        let mut serving = Vec::new();
        for algorithm in Algorithm::ALL {
            let serves = match named {
                None => fits(&algorithm),
                Some(named) => {
                    algorithm == named || (self.stronger_hash && is_stronger(algorithm, named))
                }
            };
            if serves && (self.algorithms.is_empty() || self.algorithms.contains(&algorithm)) {
                serving.push(algorithm);
            }
        }
        if self.algorithms.is_empty() && serving.len() > 1 {
            return Err(JwkError::Ambiguous);
        }
        if serving.is_empty() {
            return Err(JwkError::NotPermitted);
        }
        Ok(serving)
    }
}

/// The same padding with a longer hash; secrets and curves have one hash each.
fn is_stronger(algorithm: Algorithm, named: Algorithm) -> bool {
    algorithm.family() == named.family()
        && !named.is_symmetric()
        && algorithm.hash_bits() > named.hash_bits()
}

enum Numbers {
    Rsa(Vec<u8>, Vec<u8>),
    P256(Vec<u8>),
    P384(Vec<u8>),
    P521(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Numbers {
    fn spki(&self) -> Spki<'_> {
        match self {
            Self::Rsa(n, e) => Spki::Rsa { n, e },
            Self::P256(point) => Spki::P256(point),
            Self::P384(point) => Spki::P384(point),
            Self::P521(point) => Spki::P521(point),
            Self::Ed25519(point) => Spki::Ed25519(point),
        }
    }
}

/// The members of an object, names distinct.
struct Members<'a>(Vec<(Vec<u8>, &'a [u8])>);

impl<'a> Members<'a> {
    fn read(object: &'a [u8]) -> Result<Self, JwkError> {
        let mut members: Vec<(Vec<u8>, &'a [u8])> = Vec::new();
        for member in json::members(object) {
            let (name, value) = member.map_err(|_| JwkError::Malformed)?;
            let name = owned(name.decode());
            if members.len() >= MAX_MEMBERS || members.iter().any(|(other, _)| *other == name) {
                return Err(JwkError::Malformed);
            }
            members.push((name, value));
        }
        Ok(Self(members))
    }

    fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        let Self(members) = self;
        let mut members = members.iter();
        members
            .find(|(other, _)| other == name)
            .map(|(_, value)| *value)
    }

    /// A member that must be a string when it is there.
    fn text(&self, name: &[u8]) -> Result<Option<Vec<u8>>, JwkError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let text = string(value).ok_or(JwkError::Malformed)?;
        Ok(Some(owned(text.decode())))
    }

    /// A member that must be there, in base64url.
    fn bytes(&self, name: &[u8]) -> Result<Vec<u8>, JwkError> {
        let text = self.text(name)?.ok_or(JwkError::Malformed)?;
        base64url::decode_vec(&text).ok_or(JwkError::Encoding)
    }

    /// A positive number without leading zeros (RFC 7518 §2).
    fn number(&self, name: &[u8]) -> Result<Vec<u8>, JwkError> {
        let bytes = self.bytes(name)?;
        match bytes.first() {
            None | Some(0) => Err(JwkError::Encoding),
            Some(_) => Ok(bytes),
        }
    }

    /// `x` and `y`, each as long as the field (RFC 7518 §6.2.1.2), as an uncompressed point.
    fn point(&self, length: usize) -> Result<Vec<u8>, JwkError> {
        let (x, y) = (self.bytes(b"x")?, self.bytes(b"y")?);
        if x.len() != length || y.len() != length {
            return Err(JwkError::Encoding);
        }
        let mut point = Vec::new();
        point.push(4);
        point.extend_from_slice(&x);
        point.extend_from_slice(&y);
        Ok(point)
    }

    /// `use` and `key_ops`: each, when it is there, must allow verifying (RFC 7517 §4.2, §4.3).
    fn check_purpose(&self) -> Result<(), JwkError> {
        if self.text(b"use")?.is_some_and(|purpose| purpose != b"sig") {
            return Err(JwkError::Use);
        }
        let Some(operations) = self.get(b"key_ops") else {
            return Ok(());
        };
        let mut reader = Reader::new(operations, 1);
        if !matches!(reader.next_event(), Ok(Some(Event::ArrayStart))) {
            return Err(JwkError::Malformed);
        }
        let mut seen: Vec<Vec<u8>> = Vec::new();
        loop {
            match reader.next_event() {
                Ok(Some(Event::String(text))) => {
                    let operation = owned(text.decode());
                    if seen.len() >= MAX_MEMBERS || seen.contains(&operation) {
                        return Err(JwkError::Operations);
                    }
                    seen.push(operation);
                }
                Ok(Some(Event::ArrayEnd)) => break,
                _ => return Err(JwkError::Malformed),
            }
        }
        if seen.iter().any(|operation| operation == b"verify") {
            Ok(())
        } else {
            Err(JwkError::Operations)
        }
    }
}

#[cfg(test)]
mod tests;
