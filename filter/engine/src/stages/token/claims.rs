//! Claims: authenticated JSON → a verified subject, or the reason it is not accepted here.
//!
//! **In:** a payload whose signature held, the provider's rules, the wall clock. **Out:** [`VerifiedClaims`].
//! **Invariant:** names are distinct (RFC 8725 §2.4 in spirit), times are plain NumericDates, a claim that is to
//! become a header can stand in one unchanged. What cannot be read one way only is refused, never guessed.
//! **Source:** RFC 7519 §4.1, RFC 8725 §3.8–3.9, RFC 6901, RFC 9110 §5.5.
//! **Cost:** one pass over the JSON; a pointer below the top level one more over its part.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::revocation::Credential;
use super::{Ask, Failure, Jwt, Memory, Provider, Stop, VerifiedClaims, copy, split_first};
use crate::env::{Env, Outside};
use crate::json::{self, Event, Reader, Text};
use crate::marks::Purpose;
use crate::units::UnixTime;
use crate::verdict::Reason;

/// Members of a claims object; more is malformed (distinct names cost the square of it).
const MAX_CLAIMS: usize = 128;

/// Judges a JWT.
pub(super) fn verify<S: Outside>(
    index: usize,
    provider: &Provider,
    rules: &Jwt,
    token: &[u8],
    ask: &Ask<'_>,
    memory: &mut Memory,
    env: &mut Env<'_, S>,
) -> Result<VerifiedClaims, Stop> {
    let payload = rules.authentic(index, token, ask, memory, env)?;
    let claims = Claims::read(&payload)?;
    rules.judge(&claims, env.wall)?;
    let subject = match claims.get(b"sub") {
        None => Vec::new(),
        Some(value) => owned(string(value).ok_or(Failure::claims("sub"))?.decode()),
    };
    let mut verified = claims.collect(index, provider, subject)?;
    if rules.revocation.is_used() {
        verified.credential = Some(rules.credential(&claims)?);
    }
    Ok(verified)
}

impl Jwt {
    /// What the token is known by; one that has no `jti` cannot be told from others.
    fn credential(&self, claims: &Claims<'_>) -> Result<Credential, Failure> {
        let text = |name: &[u8]| claims.get(name).and_then(string).map(|text| text.decode());
        let id = text(b"jti").filter(|id| !id.is_empty());
        let expires = claims.time(b"exp", "exp")?.unwrap_or(u64::MAX);
        Ok(Credential {
            purpose: Purpose::Token,
            issuer: text(b"iss").map(owned).unwrap_or_default(),
            id: owned(id.ok_or(Failure::claims("jti"))?),
            issued: claims.time(b"iat", "iat")?.unwrap_or(0),
            until: expires.saturating_add(self.leeway).saturating_sub(1),
            leeway: self.leeway,
        })
    }

    fn judge(&self, claims: &Claims<'_>, now: UnixTime) -> Result<(), Failure> {
        if let Some(issuer) = &self.issuer {
            let given = claims.get(b"iss").and_then(string);
            if !given.is_some_and(|given| given.is(issuer)) {
                return Err(Failure::claims("iss"));
            }
        }
        if !self.audiences.is_empty() && !self.is_audience(claims.get(b"aud")) {
            return Err(Failure::claims("aud"));
        }
        let expires = claims.time(b"exp", "exp")?;
        let not_before = claims.time(b"nbf", "nbf")?;
        let issued_at = claims.time(b"iat", "iat")?;
        let UnixTime(now) = now;
        match expires {
            Some(expires) if now >= expires.saturating_add(self.leeway) => {
                return Err(Failure::new(Reason::TokenExpired, "exp"));
            }
            None if self.require_exp => return Err(Failure::claims("exp")),
            _ => {}
        }
        let latest = now.saturating_add(self.leeway);
        if not_before.is_some_and(|time| time > latest) {
            return Err(Failure::claims("nbf"));
        }
        if issued_at.is_some_and(|time| time > latest) {
            return Err(Failure::claims("iat"));
        }
        let present = |name: &Vec<u8>| claims.get(name).is_some_and(|value| value != b"null");
        if !self.require.iter().all(present) {
            return Err(Failure::claims("require"));
        }
        Ok(())
    }

    /// `aud` is a string or an array of strings (RFC 7519 §4.1.3); one of ours must be among them.
    fn is_audience(&self, value: Option<&[u8]>) -> bool {
        let ours = |text: Text<'_>| self.audiences.iter().any(|audience| text.is(audience));
        let Some(value) = value else { return false };
        if let Some(text) = string(value) {
            return ours(text);
        }
        let mut found = false;
        each_string(value, |text| {
            found |= ours(text);
            Ok(())
        })
        .is_ok()
            && found
    }
}

/// The members of a claims object, names distinct.
pub(super) struct Claims<'a> {
    whole: &'a [u8],
    members: Vec<Claim<'a>>,
}

struct Claim<'a> {
    /// Of the name: compared first.
    print: u64,
    name: Cow<'a, [u8]>,
    value: &'a [u8],
}

/// Length (8: more than seven) and last bytes of a name, in one number; up to seven bytes they are the whole of it.
const fn print(name: &[u8]) -> u64 {
    let mut rest = name;
    let mut print = 0_u64;
    let mut left = 7_u32;
    while let (Some((last, before)), Some(less)) = (rest.split_last(), left.checked_sub(1)) {
        print = print.wrapping_shl(8) | u64::from_le_bytes([*last, 0, 0, 0, 0, 0, 0, 0]);
        rest = before;
        left = less;
    }
    let [length, ..] = if name.len() > 7 {
        8_u32
    } else {
        7_u32.wrapping_sub(left)
    }
    .to_le_bytes();
    print | u64::from_be_bytes([length, 0, 0, 0, 0, 0, 0, 0])
}

impl<'a> Claims<'a> {
    /// Reads an object.
    pub(super) fn read(whole: &'a [u8]) -> Result<Self, Failure> {
        let malformed = Failure::new(Reason::TokenInvalid, "payload");
        let mut members: Vec<Claim<'a>> = Vec::with_capacity(16);
        for member in json::members(whole) {
            let Ok(member) = member else {
                return Err(malformed);
            };
            let (name, value) = member;
            let name = name.decode();
            let print = print(&name);
            let same = |other: &Claim<'_>| other.print == print && other.name == name;
            if members.len() >= MAX_CLAIMS || members.iter().any(same) {
                return Err(malformed);
            }
            members.push(Claim { print, name, value });
        }
        Ok(Self { whole, members })
    }

    /// The value of a top-level member as written.
    #[inline]
    pub(super) fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        let print = print(name);
        self.members
            .iter()
            .find(|claim| claim.print == print && (name.len() <= 7 || &*claim.name == name))
            .map(|claim| claim.value)
    }

    /// A NumericDate in whole seconds; a fraction is cut off, the clock has none.
    pub(super) fn time(&self, name: &[u8], what: &'static str) -> Result<Option<u64>, Failure> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match numeric_date(value) {
                None => Err(Failure::claims(what)),
                time => Ok(time),
            },
        }
    }

    fn pointer(&self, pointer: &[u8]) -> Result<Option<&'a [u8]>, json::JsonError> {
        let Some(path) = pointer.strip_prefix(b"/") else {
            return Ok(None);
        };
        if path.contains(&b'~') {
            return json::pointer(self.whole, pointer);
        }
        match split_first(path, b'/') {
            None => Ok(self.get(path)),
            Some((first, _)) => {
                let below = path.get(first.len()..).unwrap_or_default();
                self.get(first)
                    .map_or(Ok(None), |value| json::pointer(value, below))
            }
        }
    }

    /// Roles and forwarded claims.
    pub(super) fn collect(
        &self,
        index: usize,
        provider: &Provider,
        subject: Vec<u8>,
    ) -> Result<VerifiedClaims, Failure> {
        let mut roles = Vec::new();
        if let Ok(value) = self.pointer(&provider.roles) {
            read_roles(value, &mut roles)?;
        } else {
            return Err(Failure::claims("roles"));
        }
        let mut forward = Vec::new();
        for (name, pointer) in &provider.forward {
            let value = self
                .pointer(pointer)
                .map_err(|_| Failure::claims("forward"))?;
            let Some(value) = value else { continue };
            if let Some(value) = header_value(value)? {
                forward.push((copy(name), value));
            }
        }
        Ok(VerifiedClaims {
            provider: index,
            subject,
            roles,
            forward,
            additions: Vec::new(),
            credential: None,
        })
    }
}

/// The text of a value that was read as JSON, when it is a string.
pub(super) fn string(value: &[u8]) -> Option<Text<'_>> {
    let raw = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    Some(Text {
        raw,
        escaped: raw.contains(&b'\\'),
    })
}

/// The bytes of a decoded text.
pub(super) fn owned(text: Cow<'_, [u8]>) -> Vec<u8> {
    match text {
        Cow::Borrowed(bytes) => copy(bytes),
        Cow::Owned(bytes) => bytes,
    }
}

/// Calls `visit` with each string of an array; an error for anything else.
fn each_string<'a>(
    value: &'a [u8],
    mut visit: impl FnMut(Text<'a>) -> Result<(), ()>,
) -> Result<(), ()> {
    let mut reader = Reader::new(value, 1);
    if !matches!(reader.next_event(), Ok(Some(Event::ArrayStart))) {
        return Err(());
    }
    loop {
        match reader.next_event() {
            Ok(Some(Event::String(text))) => visit(text)?,
            Ok(Some(Event::ArrayEnd)) => return Ok(()),
            _ => return Err(()),
        }
    }
}

/// Seconds since 1970: digits, and a fraction that is cut off. No sign, no exponent.
fn numeric_date(value: &[u8]) -> Option<u64> {
    let (whole, fraction) = split_first(value, b'.').unwrap_or((value, b"0"));
    if whole.is_empty() || fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits(whole)
}

/// A decimal number without sign that fits.
pub(super) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        if number > u64::MAX / 10 {
            return None;
        }
        number.wrapping_mul(10).checked_add(u64::from(digit))
    })
}

/// A string with blanks between, or an array of strings; each role is followed by a NUL, which none may contain.
fn read_roles(value: Option<&[u8]>, roles: &mut Vec<u8>) -> Result<(), Failure> {
    let Some(value) = value else { return Ok(()) };
    if value == b"null" {
        return Ok(());
    }
    let mut push = |role: &[u8]| {
        if role.contains(&0) {
            return Err(());
        }
        roles.extend_from_slice(role);
        roles.push(0);
        Ok(())
    };
    let result = match string(value) {
        Some(text) => text
            .decode()
            .split(|byte| *byte == b' ')
            .filter(|role| !role.is_empty())
            .try_for_each(push),
        None => each_string(value, |text| push(&text.decode())),
    };
    result.map_err(|()| Failure::claims("roles"))
}

/// A claim as a header value: strings as they are, numbers and booleans as written, arrays of strings joined
/// with `,`. Nothing for `null` and an empty array. Refused: objects, other arrays, an item with a comma, and
/// text a recipient could read otherwise: control bytes, blanks at an end.
fn header_value(value: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
    let refused = Failure::claims("forward");
    if let Some(text) = string(value) {
        return match text.decode() {
            text if can_be_field_value(&text) => Ok(Some(owned(text))),
            _ => Err(refused),
        };
    }
    match Reader::new(value, 1).next_event() {
        Ok(Some(Event::Number(_) | Event::Bool(_))) => Ok(Some(copy(value))),
        Ok(Some(Event::Null)) => Ok(None),
        Ok(Some(Event::ArrayStart)) => {
            let mut joined = Vec::new();
            let mut first = true;
            let result = each_string(value, |text| {
                let item: Cow<'_, [u8]> = text.decode();
                if item.is_empty() || item.contains(&b',') || !can_be_field_value(&item) {
                    return Err(());
                }
                if !core::mem::replace(&mut first, false) {
                    joined.push(b',');
                }
                joined.extend_from_slice(&item);
                Ok(())
            });
            match result {
                Ok(()) if first => Ok(None),
                Ok(()) => Ok(Some(joined)),
                Err(()) => Err(refused),
            }
        }
        _ => Err(refused),
    }
}

/// RFC 9110 §5.5, without tabs: bytes from 0x80 on are text to us and opaque to a recipient.
pub(super) fn can_be_field_value(text: &[u8]) -> bool {
    text.first() != Some(&b' ')
        && text.last() != Some(&b' ')
        && !text.iter().any(|byte| *byte < 0x20 || *byte == 0x7f)
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    /// A long name that ends in NULs and a short one's bytes is another name.
    #[test]
    fn prints_tell_names_apart() {
        const NAMES: &[&[u8]] = &[
            b"",
            b"\0",
            b"a",
            b"a\0",
            b"\0a",
            b"iss",
            b"sis",
            b"\0iss",
            b"seven77",
            b"\0seven77",
            b"eseven77",
        ];
        for (one, name) in NAMES.iter().enumerate() {
            for (two, other) in NAMES.iter().enumerate() {
                let long = name.len() > 7 && other.len() > 7;
                assert_eq!(
                    print(name) == print(other),
                    one == two || long,
                    "{name:?} {other:?}"
                );
            }
        }
        for length in 8..600 {
            for short in NAMES.iter().filter(|name| name.len() <= 7) {
                let mut long = alloc::vec![0; length - short.len()];
                long.extend_from_slice(short);
                assert_ne!(print(&long), print(short));
                let text = alloc::format!(
                    "{{\"{}{}\":1}}",
                    "\\u0000".repeat(length - short.len()),
                    String::from_utf8_lossy(short).replace('\0', "\\u0000")
                );
                let claims = Claims::read(text.as_bytes()).unwrap();
                assert_eq!(claims.get(short), None);
                assert_eq!(claims.get(&long), Some(&b"1"[..]));
            }
        }
    }
}
