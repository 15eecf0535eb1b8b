//! Session tokens: an HMAC over who, which session and since when. No store, lifetime only.
//!
//! **In:** a token, the provider's rules, the client's address, the wall clock. **Out:** [`VerifiedClaims`].
//! **Formats.** `colon`: `subject:issued_at:hex`, split from the right (a subject may contain colons), the MAC
//! over `subject:issued_at`. `v1`: `v1.<payload>.<mac>` in base64url, the MAC over the text `v1.<payload>`;
//! the payload is an object with `sub`, `sid` (strings), `iat` (a NumericDate), and perhaps `kid`, `cli`, `roles`.
//! `cli` is the hex of the first 16 bytes of the key's MAC over `palisade client binding`, a NUL and the 4 or
//! 16 octets of the address (an IPv4-mapped address is its IPv4 address).
//! **Invariant:** one key may serve every format: what is signed for one can never be read as another (a
//! `colon` text has a colon and a JWT starts with an encoded `{`; neither can start with `v1.` and go on in
//! base64url; the binding's text has a NUL). Nothing unauthenticated is parsed: all keys are tried on the MAC
//! (at most [`MAX_KEYS_TRIED`]), then `kid` must name the one that fits.
//! **Cost:** linear, at most [`MAX_KEYS_TRIED`] MACs and one for the binding.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::claims::{Claims, can_be_field_value, digits, owned, string};
use super::jws::MAX_KEYS_TRIED;
use super::key::Key;
use super::{
    Failure, Provider, Session, SessionFormat, VerifiedClaims, base64url, copy, split_last,
};
use crate::units::UnixTime;
use crate::verdict::Reason;

const BINDING_LABEL: &[u8] = b"palisade client binding\0";
const BINDING_BYTES: usize = 16;
const MAX_MAC_BYTES: usize = 64;

/// Judges a session token.
pub(super) fn verify(
    index: usize,
    provider: &Provider,
    rules: &Session,
    token: &[u8],
    client: IpAddr,
    now: UnixTime,
) -> Result<VerifiedClaims, Failure> {
    match rules.format {
        SessionFormat::V1 => verify_v1(index, provider, rules, token, client, now),
        SessionFormat::Colon => verify_colon(index, provider, rules, token, now),
    }
}

fn verify_v1(
    index: usize,
    provider: &Provider,
    rules: &Session,
    token: &[u8],
    client: IpAddr,
    now: UnixTime,
) -> Result<VerifiedClaims, Failure> {
    let malformed = Failure::new(Reason::TokenInvalid, "malformed");
    let (signed, mac) = split_last(token, b'.').ok_or(malformed)?;
    let payload = signed.strip_prefix(b"v1.").ok_or(malformed)?;
    let mut room = [0; MAX_MAC_BYTES];
    let mac = base64url::decode(mac, &mut room).ok_or(malformed)?;
    let key = rules.key_of(signed, mac)?;
    let payload = base64url::decode_vec(payload).ok_or(malformed)?;
    let claims = Claims::read(&payload)?;
    let kid = match claims.get(b"kid") {
        None => None,
        Some(kid) => Some(string(kid).ok_or(malformed)?.decode()),
    };
    if !key.serves(kid.as_deref()) {
        return Err(Failure::new(Reason::TokenInvalid, "key"));
    }
    let subject = claims.get(b"sub").and_then(string);
    let subject = subject.ok_or(Failure::claims("sub"))?.decode();
    if subject.is_empty() {
        return Err(Failure::claims("sub"));
    }
    let session = claims.get(b"sid").and_then(string);
    if session.is_none_or(|session| session.raw.is_empty()) {
        return Err(Failure::claims("sid"));
    }
    let issued_at = claims.time(b"iat", "iat")?.ok_or(Failure::claims("iat"))?;
    rules.judge_age(issued_at, now)?;
    if rules.bind_client
        && !is_bound(
            key,
            claims.get(b"cli").and_then(string).map(|t| t.raw),
            client,
        )
    {
        return Err(Failure::new(Reason::TokenNotBound, "client"));
    }
    claims.collect(index, provider, owned(subject))
}

fn verify_colon(
    index: usize,
    provider: &Provider,
    rules: &Session,
    token: &[u8],
    now: UnixTime,
) -> Result<VerifiedClaims, Failure> {
    let malformed = Failure::new(Reason::TokenInvalid, "malformed");
    let (signed, mac) = split_last(token, b':').ok_or(malformed)?;
    let (subject, issued_at) = split_last(signed, b':').ok_or(malformed)?;
    let mut room = [0; MAX_MAC_BYTES];
    let mac = unhex(mac, &mut room).ok_or(malformed)?;
    rules.key_of(signed, mac)?;
    let issued_at_text = issued_at;
    let issued_at = digits(issued_at).ok_or(Failure::claims("iat"))?;
    if subject.is_empty() {
        return Err(Failure::claims("sub"));
    }
    rules.judge_age(issued_at, now)?;
    if rules.bind_client {
        // The format has no place for a binding: what cannot be shown to be bound is not.
        return Err(Failure::new(Reason::TokenNotBound, "client"));
    }
    let mut forward = Vec::new();
    for (name, pointer) in &provider.forward {
        let value = match pointer.as_slice() {
            b"/sub" => subject,
            b"/iat" => issued_at_text,
            _ => continue,
        };
        if !can_be_field_value(value) {
            return Err(Failure::claims("forward"));
        }
        forward.push((copy(name), copy(value)));
    }
    Ok(VerifiedClaims {
        provider: index,
        subject: copy(subject),
        roles: Vec::new(),
        forward,
    })
}

/// The subject that a token in `colon` format claims, right or not.
pub(super) fn claimed(token: &[u8]) -> Option<Vec<u8>> {
    let (signed, _) = split_last(token, b':')?;
    let (subject, _) = split_last(signed, b':')?;
    (!subject.is_empty()).then(|| copy(subject))
}

impl Session {
    /// The key whose MAC of `signed` is `mac`.
    fn key_of(&self, signed: &[u8], mac: &[u8]) -> Result<&Key, Failure> {
        self.keys
            .iter()
            .take(MAX_KEYS_TRIED)
            .find(|key| key.verify_mac(signed, mac))
            .ok_or(Failure::new(Reason::TokenInvalid, "signature"))
    }

    /// The leeway is for clocks that run ahead of ours; the lifetime is exact.
    fn judge_age(&self, issued_at: u64, now: UnixTime) -> Result<(), Failure> {
        let UnixTime(now) = now;
        if issued_at > now.saturating_add(self.leeway) {
            return Err(Failure::claims("iat"));
        }
        if now >= issued_at.saturating_add(self.lifetime) {
            return Err(Failure::new(Reason::TokenExpired, "lifetime"));
        }
        Ok(())
    }
}

fn is_bound(key: &Key, given: Option<&[u8]>, client: IpAddr) -> bool {
    let mut room = [0; BINDING_BYTES];
    let Some(given) = given.and_then(|given| unhex(given, &mut room)) else {
        return false;
    };
    with_octets(client, |octets| {
        key.verify_start(&[BINDING_LABEL, octets], BINDING_BYTES, given)
    })
}

fn with_octets<T>(address: IpAddr, look: impl FnOnce(&[u8]) -> T) -> T {
    match address.to_canonical() {
        IpAddr::V4(address) => look(&address.octets()),
        IpAddr::V6(address) => look(&address.octets()),
    }
}

/// Hex digits of either case; `None` when one is not, or `out` is too short.
pub(super) fn unhex<'o>(text: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let out = out.get_mut(..pairs.len())?;
    for ([high, low], byte) in pairs.iter().zip(&mut *out) {
        *byte = hex_digit(*high)?.wrapping_shl(4) | hex_digit(*low)?;
    }
    Some(out)
}

const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
        b'A'..=b'F' => Some(byte.wrapping_sub(b'A').wrapping_add(10)),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| alloc::format!("{byte:02x}"))
        .collect()
}

/// Makes a `v1` token, for tools and tests; no request leads here. `client` binds it to an address.
#[must_use]
pub fn mint_v1(
    key: &Key,
    sub: &str,
    sid: &str,
    iat: UnixTime,
    client: Option<IpAddr>,
    roles: &[&str],
) -> String {
    let mut payload = serde_json::Map::new();
    payload.insert("sub".into(), sub.into());
    payload.insert("sid".into(), sid.into());
    payload.insert("iat".into(), iat.0.into());
    if let Some(id) = key.id() {
        payload.insert("kid".into(), String::from_utf8_lossy(id).into());
    }
    if let Some(client) = client {
        let bytes = with_octets(client, |octets| {
            key.with_mac(&[BINDING_LABEL, octets], |mac| {
                mac.iter().take(BINDING_BYTES).copied().collect::<Vec<u8>>()
            })
        });
        payload.insert("cli".into(), hex(&bytes.unwrap_or_default()).into());
    }
    if !roles.is_empty() {
        payload.insert("roles".into(), roles.into());
    }
    let payload = serde_json::Value::Object(payload);
    mint_v1_with(key, alloc::format!("{payload}").as_bytes())
}

/// Makes a `v1` token of any payload.
pub(super) fn mint_v1_with(key: &Key, payload: &[u8]) -> String {
    let mut token = b"v1.".to_vec();
    base64url::encode(payload, &mut token);
    let mac = key.with_mac(&[&token], <[u8]>::to_vec).unwrap_or_default();
    token.push(b'.');
    base64url::encode(&mac, &mut token);
    String::from_utf8_lossy(&token).into_owned()
}

/// Makes a `colon` token, for tools and tests; no request leads here.
#[must_use]
pub fn mint_colon(key: &Key, sub: &str, iat: UnixTime) -> String {
    let signed = alloc::format!("{sub}:{}", iat.0);
    let mac = key.with_mac(&[signed.as_bytes()], hex).unwrap_or_default();
    alloc::format!("{signed}:{mac}")
}
