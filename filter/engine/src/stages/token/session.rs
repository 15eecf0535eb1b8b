//! Session tokens: an HMAC over who, which session and since when. No store: what changes is renewed, what ends early is
//! revoked (`revocation.rs`).
//!
//! **In:** a token, the provider's rules, what a verifier may look at, the wall clock. **Out:** [`VerifiedClaims`], and
//! what the response is to carry: a renewed token, a CSRF cookie.
//! **Formats.** `colon`: `subject:issued_at:hex`, split from the right (a subject may contain colons), the MAC
//! over `subject:issued_at`. `v1`: `v1.<payload>.<mac>` in base64url, the MAC over the text `v1.<payload>`;
//! the payload is an object with `sub`, `sid` (strings), `iat` (a NumericDate), and perhaps `seen` (a NumericDate),
//! `kid`, `cli`, `ua`, `tls` (`binding.rs`), `roles`, and anything else.
//! **Renewal:** an accepted `v1` token whose `seen` (else `iat`) is half the idle time-out ago, or that an older key
//! signed, comes back signed by the first key: same members, `seen` now, bound to the client it was just used by.
//! It never lives longer than its `iat` allows.
//! **Invariant:** one key may serve every format: what is signed for one can never be read as another (a
//! `colon` text has a colon and a JWT starts with an encoded `{`; neither can start with `v1.` and go on in
//! base64url; labels of other MACs have a NUL). Nothing unauthenticated is parsed: all keys are tried on the MAC
//! (at most [`MAX_KEYS_TRIED`]), then `kid` must name the one that fits.
//! **Cost:** linear, at most [`MAX_KEYS_TRIED`] MACs, one for each binding; those again, and two more, for a renewal.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::Key;
use super::binding::{self, Prefix};
use super::claims::{Claims, digits, owned, string};
use super::jws::MAX_KEYS_TRIED;
use super::revocation::Credential;
use super::{
    Ask, Failure, Provider, RouteToken, Session, SessionFormat, VerifiedClaims, base64url, copy,
    csrf, split_last,
};
use crate::addition::Addition;
use crate::budget::MAX_TOKEN_BYTES;
use crate::json;
use crate::marks::Purpose;
use crate::units::UnixTime;
use crate::verdict::Reason;

const MAX_MAC_BYTES: usize = 64;
/// Members of a payload that a renewal writes anew.
const RENEWED: [&[u8]; 5] = [b"seen", b"kid", b"cli", b"ua", b"tls"];

/// Where a renewed token goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// Into the cookie it came in.
    Cookie(CookieOut),
    /// Into this field of the response, lower case.
    Header(Vec<u8>),
}

/// A cookie that the filter sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieOut {
    /// Its name.
    pub name: Vec<u8>,
    /// What follows value and age, such as `; Path=/; Secure; HttpOnly; SameSite=Lax`.
    pub attributes: Vec<u8>,
}

impl CookieOut {
    pub(super) fn set(&self, value: &[u8], max_age: u64) -> Addition {
        let mut text = copy(&self.name);
        text.push(b'=');
        text.extend_from_slice(value);
        text.extend_from_slice(b"; Max-Age=");
        push_number(&mut text, max_age);
        text.extend_from_slice(&self.attributes);
        Addition {
            name: copy(b"set-cookie"),
            value: text,
            cookie: Some(copy(&self.name)),
            replaces: false,
        }
    }
}

/// Judges a session token.
pub(super) fn verify(
    index: usize,
    provider: &Provider,
    rules: &Session,
    route: &RouteToken,
    token: &[u8],
    ask: &Ask<'_>,
    now: UnixTime,
) -> Result<VerifiedClaims, Failure> {
    match rules.format {
        SessionFormat::V1 => verify_v1(index, provider, rules, route, token, ask, now),
        SessionFormat::Colon => verify_colon(index, provider, rules, token, now),
    }
}

fn verify_v1(
    index: usize,
    provider: &Provider,
    rules: &Session,
    route: &RouteToken,
    token: &[u8],
    ask: &Ask<'_>,
    now: UnixTime,
) -> Result<VerifiedClaims, Failure> {
    let malformed = Failure::new(Reason::TokenInvalid, "malformed");
    let (signed, mac) = split_last(token, b'.').ok_or(malformed)?;
    let payload = signed.strip_prefix(b"v1.").ok_or(malformed)?;
    let mut room = [0; MAX_MAC_BYTES];
    let mac = base64url::decode(mac, &mut room).ok_or(malformed)?;
    let (key, newest) = rules.key_of(signed, mac)?;
    let payload = base64url::decode_vec(payload).ok_or(malformed)?;
    let claims = Claims::read(payload)?;
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
    let session = session.ok_or(Failure::claims("sid"))?.decode();
    if session.is_empty() {
        return Err(Failure::claims("sid"));
    }
    let issued_at = claims.time(b"iat", "iat")?.ok_or(Failure::claims("iat"))?;
    let left = rules.judge_age(issued_at, now)?;
    let last = rules.judge_idle(&claims, issued_at, now)?;
    rules.bind.judge(key, &claims, ask)?;
    if let Some(csrf) = &rules.csrf {
        csrf.judge(&rules.keys, &session, ask)?;
    }
    let mut verified = claims.collect(index, provider, route, owned(subject))?;
    if let Some(renewal) = &rules.renewal
        && rules.is_due(newest, last, now)
    {
        verified
            .additions
            .extend(rules.renew(renewal, claims.whole(), left, last, ask, now));
    }
    if let Some(csrf) = &rules.csrf {
        let cookie = csrf.cookie(&rules.keys, &session, left, ask.head);
        verified.additions.extend(cookie);
    }
    if rules.revocation.is_used() {
        verified.credential = Some(rules.credential(&session, issued_at));
    }
    Ok(verified)
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
    if rules.bind.any() || rules.idle.is_some() || rules.csrf.is_some() {
        // The format has no place for a binding: what cannot be shown to be bound is not.
        return Err(Failure::new(Reason::TokenNotBound, "client"));
    }
    let mut forward = Vec::new();
    for header in &provider.forward {
        let value = match header.claim.as_slice() {
            b"/sub" => subject,
            b"/iat" => issued_at_text,
            _ => continue,
        };
        forward.push((copy(&header.header), header.of_text(value)?));
    }
    Ok(VerifiedClaims {
        provider: index,
        subject: copy(subject),
        forward,
        credential: rules
            .revocation
            .is_used()
            .then(|| rules.credential(signed, issued_at)),
        ..VerifiedClaims::default()
    })
}

/// The subject that a token in `colon` format claims, right or not.
pub(super) fn claimed(token: &[u8]) -> Option<Vec<u8>> {
    let (signed, _) = split_last(token, b':')?;
    let (subject, _) = split_last(signed, b':')?;
    (!subject.is_empty()).then(|| copy(subject))
}

impl Session {
    /// The key whose MAC of `signed` is `mac`, and whether it is the first: the one that signs.
    fn key_of(&self, signed: &[u8], mac: &[u8]) -> Result<(&Key, bool), Failure> {
        let mut newest = true;
        for key in self.keys.iter().take(MAX_KEYS_TRIED) {
            if key.verify_mac(signed, mac) {
                return Ok((key, newest));
            }
            newest = false;
        }
        Err(Failure::new(Reason::TokenInvalid, "signature"))
    }

    /// The leeway is for clocks that run ahead of ours; the lifetime is exact. Gives the seconds that are left.
    fn judge_age(&self, issued_at: u64, now: UnixTime) -> Result<u64, Failure> {
        let UnixTime(now) = now;
        if issued_at > now.saturating_add(self.leeway) {
            return Err(Failure::claims("iat"));
        }
        match issued_at.saturating_add(self.lifetime).checked_sub(now) {
            Some(left) if left > 0 => Ok(left.min(self.lifetime)),
            _ => Err(Failure::new(Reason::TokenExpired, "lifetime")),
        }
    }

    /// When the session was seen last: `seen`, else `iat`; an idle time-out is counted from there.
    fn judge_idle(&self, claims: &Claims, issued_at: u64, now: UnixTime) -> Result<u64, Failure> {
        let Some(idle) = self.idle else {
            return Ok(issued_at);
        };
        let UnixTime(now) = now;
        let last = claims.time(b"seen", "seen")?.unwrap_or(issued_at);
        if last < issued_at || last > now.saturating_add(self.leeway) {
            return Err(Failure::claims("seen"));
        }
        if now >= last.saturating_add(idle) {
            return Err(Failure::new(Reason::TokenExpired, "idle"));
        }
        Ok(last)
    }

    fn is_due(&self, newest: bool, last: u64, now: UnixTime) -> bool {
        let UnixTime(now) = now;
        let idle = self
            .idle
            .is_some_and(|idle| now.saturating_sub(last) >= idle.div_ceil(2));
        idle || !newest
    }

    /// The same session, seen now, by the key that signs.
    fn renew(
        &self,
        renewal: &Renewal,
        payload: &[u8],
        left: u64,
        last: u64,
        ask: &Ask<'_>,
        now: UnixTime,
    ) -> Option<Addition> {
        let key = self.keys.first()?;
        let UnixTime(now) = now;
        let mut text = copy(b"{");
        for member in json::members(payload) {
            let (name, value) = member.ok()?;
            if RENEWED.iter().any(|renewed| name.is(renewed)) {
                continue;
            }
            text.push(b'"');
            text.extend_from_slice(name.raw);
            text.extend_from_slice(b"\":");
            text.extend_from_slice(value);
            text.push(b',');
        }
        text.extend_from_slice(b"\"seen\":");
        push_number(&mut text, now.max(last));
        push_kid(key, &mut text);
        self.bind.write(key, ask, &mut text);
        text.push(b'}');
        let token = sign_v1(key, &text);
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        // The cookie goes when the session would be refused anyway.
        let max_age = self.idle.map_or(left, |idle| idle.min(left));
        Some(match renewal {
            Renewal::Cookie(cookie) => cookie.set(&token, max_age),
            Renewal::Header(name) => Addition {
                name: copy(name),
                value: token,
                cookie: None,
                replaces: false,
            },
        })
    }

    fn credential(&self, id: &[u8], issued: u64) -> Credential {
        Credential {
            purpose: Purpose::Session,
            issuer: Vec::new(),
            id: copy(id),
            issued,
            until: issued.saturating_add(self.lifetime.saturating_sub(1)),
            leeway: self.leeway,
        }
    }
}

fn push_kid(key: &Key, out: &mut Vec<u8>) {
    let Some(id) = key.id() else { return };
    out.extend_from_slice(b",\"kid\":\"");
    for byte in id {
        if let b'"' | b'\\' = byte {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// Decimal digits.
fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [b'0'; 20];
    let mut left = number;
    let mut from = digits.len();
    for digit in digits.iter_mut().rev() {
        let [low, ..] = (left % 10).to_le_bytes();
        *digit = b'0'.wrapping_add(low);
        left /= 10;
        from = from.saturating_sub(1);
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(from..).unwrap_or_default());
}

fn sign_v1(key: &Key, payload: &[u8]) -> Vec<u8> {
    let mut token = copy(b"v1.");
    base64url::encode(payload, &mut token);
    let mut mac = Vec::new();
    key.with_mac(&[&token], |bytes| mac.extend_from_slice(bytes));
    token.push(b'.');
    base64url::encode(&mac, &mut token);
    token
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

/// Appends lower-case hex digits.
pub(super) fn hex_into(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        for digit in [byte.wrapping_shr(4), byte & 0x0f] {
            out.push(DIGITS.get(usize::from(digit)).copied().unwrap_or(b'0'));
        }
    }
}

/// A `v1` token to mint: what an application writes.
#[derive(Debug, Clone, Copy, Default)]
pub struct V1<'a> {
    /// Subject.
    pub sub: &'a str,
    /// Session id: unique for each session, hard to guess.
    pub sid: &'a str,
    /// When it was issued.
    pub iat: u64,
    /// When it was seen last, if later.
    pub seen: Option<u64>,
    /// The client it is bound to, and how much of the address counts.
    pub client: Option<(IpAddr, Prefix)>,
    /// The `user-agent` it is bound to.
    pub user_agent: Option<&'a str>,
    /// SHA-256 of the client certificate it is bound to, in lower-case hex.
    pub certificate: Option<&'a str>,
    /// Roles.
    pub roles: &'a [&'a str],
}

impl V1<'_> {
    /// The token, for tools and tests; no request leads here.
    #[must_use]
    pub fn mint(&self, key: &Key) -> String {
        let mut payload = serde_json::Map::new();
        payload.insert("sub".into(), self.sub.into());
        payload.insert("sid".into(), self.sid.into());
        payload.insert("iat".into(), self.iat.into());
        if let Some(seen) = self.seen {
            payload.insert("seen".into(), seen.into());
        }
        if !self.roles.is_empty() {
            payload.insert("roles".into(), self.roles.into());
        }
        let payload = alloc::format!("{}", serde_json::Value::Object(payload));
        let mut text = copy(payload.strip_suffix('}').unwrap_or_default().as_bytes());
        push_kid(key, &mut text);
        if let Some((client, prefix)) = self.client {
            binding::write_client(key, client, prefix, &mut text);
        }
        if let Some(agent) = self.user_agent {
            binding::write_user_agent(key, agent.as_bytes(), &mut text);
        }
        if let Some(digest) = self.certificate {
            binding::write_certificate(key, digest.as_bytes(), &mut text);
        }
        text.push(b'}');
        mint_v1_with(key, &text)
    }
}

/// Makes a `v1` token of any payload.
pub(super) fn mint_v1_with(key: &Key, payload: &[u8]) -> String {
    String::from_utf8_lossy(&sign_v1(key, payload)).into_owned()
}

/// Makes a `colon` token, for tools and tests; no request leads here.
#[must_use]
pub fn mint_colon(key: &Key, sub: &str, iat: UnixTime) -> String {
    let signed = alloc::format!("{sub}:{}", iat.0);
    let mut mac = Vec::new();
    key.with_mac(&[signed.as_bytes()], |bytes| hex_into(bytes, &mut mac));
    alloc::format!("{signed}:{}", String::from_utf8_lossy(&mac))
}

/// The CSRF token of the session `sid`, for applications and tools: with the key that signs.
#[must_use]
pub fn csrf_token(key: &Key, sid: &str) -> String {
    String::from_utf8_lossy(&csrf::token(key, sid.as_bytes())).into_owned()
}

#[cfg(test)]
mod tests;
