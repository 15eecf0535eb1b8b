//! Compact JWS (RFC 7515 §5.2, §7.1): token → authenticated payload.
//!
//! **In:** a token and the keys it may be signed with. **Out:** the payload's bytes, not looked at.
//! **Invariant:** the key chooses the algorithm, the header must agree (RFC 8725 §3.1); key material and
//! extensions a token brings along (`jku`, `jwk`, `x5u`, `x5c`, `b64`, any `crit`) are refused, never followed;
//! equal names are refused; the payload is decoded after the signature held.
//! **Source:** RFC 7515, RFC 7797 (`b64`), RFC 8725, RFC 9068 §2.1 (`at+jwt`).
//! The rules one by one: `filter/README.md`, "JOSE rules".
//! **Cost:** linear in the token, at most [`MAX_KEYS_TRIED`] signatures.

use alloc::string::String;
use alloc::vec::Vec;

use super::algorithm::Algorithm;
use super::base64url;
use super::key::Key;
use super::public::MAX_MODULUS_BITS;
use crate::budget::MAX_TOKEN_BYTES;
use crate::env::Outside;
use crate::json::{self, Event, Reader, Text};

/// Keys tried for one token: a rotation needs two, a forged token must not cost more than a few signatures.
pub const MAX_KEYS_TRIED: usize = 8;

/// Members of a header; registered ones are twelve (RFC 7515 §4.1, RFC 7797).
const MAX_HEADER_MEMBERS: usize = 16;

/// Bytes of the longest signature: RSA with the largest modulus.
const MAX_SIGNATURE_BYTES: usize = MAX_MODULUS_BITS / 8;

/// Bytes of the longest `kid`, in headers and key sets: it is compared, kept and shown.
pub const MAX_KID_BYTES: usize = 256;

/// Why a token is no JWS of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwsError {
    /// Not three parts of base64url, or the header is no JSON object with distinct names and an `alg`.
    Malformed,
    /// The header has `crit`, `b64`, `jku`, `jwk`, `x5u` or `x5c`.
    Extension,
    /// `typ` is neither `JWT` nor `at+jwt`.
    Type,
    /// No key serves the header's `alg` and `kid`.
    UnknownKey,
    /// No key verifies the signature.
    Signature,
}

impl JwsError {
    /// Its word for findings.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Extension => "extension",
            Self::Type => "type",
            Self::UnknownKey => "key",
            Self::Signature => "signature",
        }
    }
}

/// The three parts of a token, header and signature decoded; nothing is authenticated yet.
pub(super) struct Compact<'t, 'r> {
    /// Its header as sent: base64url.
    pub(super) header: &'t [u8],
    /// What the signature covers.
    pub(super) signed: &'t [u8],
    /// Its payload as sent: base64url.
    pub(super) payload: &'t [u8],
    /// Its signature; never empty.
    pub(super) signature: &'r [u8],
}

/// Room for a decoded signature.
pub(super) type SignatureRoom = [u8; MAX_SIGNATURE_BYTES];

impl<'t, 'r> Compact<'t, 'r> {
    /// Takes a token apart. Five parts are a JWE, which is refused like every other number but three.
    pub(super) fn read(token: &'t [u8], room: &'r mut SignatureRoom) -> Result<Self, JwsError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(JwsError::Malformed);
        }
        let (signed, signature) = super::split_last(token, b'.').ok_or(JwsError::Malformed)?;
        let (header, payload) = super::split_first(signed, b'.').ok_or(JwsError::Malformed)?;
        if signature.is_empty() || payload.contains(&b'.') {
            return Err(JwsError::Malformed);
        }
        let signature = base64url::decode(signature, room).ok_or(JwsError::Malformed)?;
        Ok(Self {
            header,
            signed,
            payload,
            signature,
        })
    }

    /// The payload's bytes.
    pub(super) fn decode_payload(&self) -> Result<Vec<u8>, JwsError> {
        base64url::decode_vec(self.payload).ok_or(JwsError::Malformed)
    }
}

/// Verifies a token; the payload when it holds.
///
/// # Errors
/// See [`JwsError`]; the first that applies, in its order.
pub fn verify_compact<S: Outside>(
    keys: &[Key],
    outside: &mut S,
    token: &[u8],
) -> Result<Vec<u8>, JwsError> {
    let mut room = [0; MAX_SIGNATURE_BYTES];
    let compact = Compact::read(token, &mut room)?;
    let usual = keys
        .iter()
        .find_map(|key| Some((key, key.usual(compact.header)?)));
    if let Some((key, named)) = usual {
        let kid = if named { key.id() } else { None };
        check_signature(keys, Some(key.algorithm()), kid, outside, &compact)?;
    } else {
        let header = base64url::decode_vec(compact.header).ok_or(JwsError::Malformed)?;
        let Header { algorithm, kid } = Header::read(&header)?;
        let kid = kid.map(|kid| kid.decode());
        check_signature(keys, algorithm, kid.as_deref(), outside, &compact)?;
    }
    compact.decode_payload()
}

fn check_signature<S: Outside>(
    keys: &[Key],
    algorithm: Option<Algorithm>,
    kid: Option<&[u8]>,
    outside: &mut S,
    compact: &Compact<'_, '_>,
) -> Result<(), JwsError> {
    let mut error = JwsError::UnknownKey;
    let candidates = keys
        .iter()
        .filter(|key| algorithm == Some(key.algorithm()) && key.serves(kid));
    for key in candidates.take(MAX_KEYS_TRIED) {
        if key.verify(outside, compact.signed, compact.signature) {
            return Ok(());
        }
        error = JwsError::Signature;
    }
    Err(error)
}

/// What a token says of its key; nothing of it is authenticated.
pub(super) struct Named {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<Vec<u8>>,
}

/// What the header of a token names, if an algorithm of ours is among it.
pub(super) fn named(token: &[u8]) -> Option<Named> {
    let (header, _) = super::split_first(token, b'.')?;
    let header = base64url::decode_vec(header)?;
    let Header { algorithm, kid } = Header::read(&header).ok()?;
    let kid = kid.map(|kid| super::copy(&kid.decode()));
    Some(Named {
        algorithm: algorithm?,
        kid,
    })
}

/// Headers, encoded, that need not be read again: [`Header::read`] has said here what they say. `true`: with the
/// key's id. Where keys are read: at configure time, and when a fetched set arrives.
pub(super) fn usual_headers(key: &Key) -> Vec<(Vec<u8>, bool)> {
    let name: &[u8] = key.algorithm().name().as_bytes();
    let id = key.id().unwrap_or_default();
    let mut usual = Vec::new();
    let orders: [(&[&[u8]], bool); 8] = [
        (&[ALG, name, b"\",\"typ\":\"JWT\"}"], false),
        (&[b"{\"typ\":\"JWT\",\"alg\":\"", name, b"\"}"], false),
        (&[ALG, name, b"\"}"], false),
        (
            &[ALG, name, b"\",\"typ\":\"JWT\",\"kid\":\"", id, b"\"}"],
            true,
        ),
        (
            &[ALG, name, b"\",\"kid\":\"", id, b"\",\"typ\":\"JWT\"}"],
            true,
        ),
        (&[ALG, name, b"\",\"kid\":\"", id, b"\"}"], true),
        (
            &[
                b"{\"kid\":\"",
                id,
                b"\",\"typ\":\"JWT\",\"alg\":\"",
                name,
                b"\"}",
            ],
            true,
        ),
        (
            &[
                b"{\"typ\":\"JWT\",\"alg\":\"",
                name,
                b"\",\"kid\":\"",
                id,
                b"\"}",
            ],
            true,
        ),
    ];
    for (parts, named) in orders {
        let mut text = Vec::new();
        for part in parts {
            text.extend_from_slice(part);
        }
        // An id that JSON must escape, or that is none, ends here: the reader would not find it.
        let says_so = Header::read(&text).is_ok_and(|header| {
            let kid = header.kid.map(|kid| kid.decode());
            let expected = if named { key.id() } else { None };
            header.algorithm == Some(key.algorithm()) && kid.as_deref() == expected
        });
        if says_so && (!named || key.id().is_some()) {
            let mut header = Vec::new();
            base64url::encode(&text, &mut header);
            usual.push((header, named));
        }
    }
    usual
}

const ALG: &[u8] = b"{\"alg\":\"";

/// What counts of a header.
struct Header<'a> {
    /// `None`: one we have no key for, `none` among them.
    algorithm: Option<Algorithm>,
    kid: Option<Text<'a>>,
}

impl<'a> Header<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, JwsError> {
        let mut names: [Option<Text<'a>>; MAX_HEADER_MEMBERS] = [None; MAX_HEADER_MEMBERS];
        let mut free = names.iter_mut();
        let mut seen = 0;
        let (mut algorithm, mut kid, mut kind) = (None, None, None);
        let mut extension = false;
        for member in json::members(bytes) {
            let (name, value) = member.map_err(|_| JwsError::Malformed)?;
            let slot = free.next().ok_or(JwsError::Malformed)?;
            *slot = Some(name);
            seen = usize::saturating_add(seen, 1);
            let decoded = name.decode();
            match &*decoded {
                b"alg" => algorithm = Some(string(value)?),
                b"kid" => kid = Some(string(value)?),
                b"typ" => kind = Some(string(value)?),
                b"crit" | b"b64" | b"jku" | b"jwk" | b"x5u" | b"x5c" => extension = true,
                _ => {}
            }
        }
        let mut rest = names.iter().take(seen).flatten();
        while let Some(name) = rest.next() {
            if rest.clone().any(|other| super::same_text(name, other)) {
                return Err(JwsError::Malformed);
            }
        }
        let algorithm = algorithm.ok_or(JwsError::Malformed)?;
        if extension {
            return Err(JwsError::Extension);
        }
        if kind.is_some_and(|kind| !is_jwt(&kind.decode())) {
            return Err(JwsError::Type);
        }
        if kid.is_some_and(|kid| kid.raw.len() > MAX_KID_BYTES) {
            return Err(JwsError::Malformed);
        }
        let algorithm = Algorithm::from_name(&algorithm.decode());
        Ok(Self { algorithm, kid })
    }
}

fn string(value: &[u8]) -> Result<Text<'_>, JwsError> {
    match Reader::new(value, 0).next_event() {
        Ok(Some(Event::String(text))) => Ok(text),
        _ => Err(JwsError::Malformed),
    }
}

/// Media types compare without regard to case, `application/` may be left out (RFC 7515 §4.1.9).
fn is_jwt(kind: &[u8]) -> bool {
    const PREFIX: &[u8] = b"application/";
    let short = match kind.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => kind,
    };
    short.eq_ignore_ascii_case(b"jwt") || short.eq_ignore_ascii_case(b"at+jwt")
}

/// Signs claims with a key of a secret, for tools and tests; no request leads here. A public key signs nothing: its
/// token has no signature.
#[must_use]
pub fn mint(key: &Key, claims: &str) -> String {
    let mut header = serde_json::Map::new();
    header.insert("alg".into(), key.algorithm().name().into());
    header.insert("typ".into(), "JWT".into());
    if let Some(id) = key.id() {
        header.insert("kid".into(), String::from_utf8_lossy(id).into());
    }
    let header = serde_json::Value::Object(header);
    mint_with(key, &alloc::format!("{header}"), claims.as_bytes())
}

/// Signs any header and payload.
pub(super) fn mint_with(key: &Key, header: &str, payload: &[u8]) -> String {
    let mut token = Vec::new();
    base64url::encode(header.as_bytes(), &mut token);
    token.push(b'.');
    base64url::encode(payload, &mut token);
    let mac = key.with_mac(&[&token], <[u8]>::to_vec).unwrap_or_default();
    token.push(b'.');
    base64url::encode(&mac, &mut token);
    String::from_utf8_lossy(&token).into_owned()
}

#[cfg(test)]
mod tests;
