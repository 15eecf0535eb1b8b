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
use super::{
    Ask, Failure, Jwt, Memory, Provider, RouteToken, Stop, VerifiedClaims, around, copy, dpop,
    split_first,
};
use crate::env::{Env, Outside};
use crate::finding::Findings;
use crate::json::{self, Text};
use crate::marks::Purpose;
use crate::units::UnixTime;
use crate::verdict::Reason;

/// Members of a claims object; more is malformed (distinct names cost the square of it).
const MAX_CLAIMS: usize = 128;

/// The claim that names who a JWT is for.
const SUBJECT: &[(u64, &str)] = &[(SUB, "sub")];

/// Judges a JWT: whether its signature holds is computed or remembered, everything else is looked at now.
#[expect(
    clippy::too_many_arguments,
    reason = "facts of one request; a struct for them would have one user"
)]
pub(super) fn verify<S: Outside>(
    index: usize,
    provider: &Provider,
    rules: &Jwt,
    route: &RouteToken,
    token: &[u8],
    ask: &Ask<'_>,
    memory: &mut Memory,
    env: &mut Env<'_, S>,
    found: &mut Findings,
) -> Result<VerifiedClaims, Stop> {
    let place = memory.place(index, token);
    let known = place
        .as_ref()
        .and_then(|place| memory.tokens.get(place, token));
    if let Some(claims) = known {
        let accepted = rules.accept(index, provider, route, claims, SUBJECT, env.wall)?;
        rules.judge_proof(provider, token, claims, ask, env, found)?;
        return Ok(accepted);
    }
    let payload = rules.authentic(index, token, ask, memory, env)?;
    let claims = Claims::read(payload)?;
    let accepted = rules.accept(index, provider, route, &claims, SUBJECT, env.wall)?;
    rules.judge_proof(provider, token, &claims, ask, env, found)?;
    if let Some(place) = place {
        memory.tokens.insert(place, token, claims);
    }
    Ok(accepted)
}

impl Jwt {
    /// Judges claims whose signature held, now or when they were remembered. The first claim of `names` that is there names
    /// the subject.
    pub(super) fn accept(
        &self,
        index: usize,
        provider: &Provider,
        route: &RouteToken,
        claims: &Claims,
        names: &[(u64, &'static str)],
        now: UnixTime,
    ) -> Result<VerifiedClaims, Failure> {
        self.judge(claims, now)?;
        let mut named = names.iter();
        let named =
            named.find_map(|(print, name)| Some((*name, claims.find(*print, name.as_bytes())?)));
        let subject = match named {
            None => Vec::new(),
            Some((name, value)) => {
                owned(string(value).ok_or_else(|| Failure::claims(name))?.decode())
            }
        };
        let mut verified = claims.collect(index, provider, route, subject)?;
        if self.revocation.is_used() {
            verified.credential = Some(self.credential(claims)?);
        }
        Ok(verified)
    }

    /// What the token is known by; one that has no `jti` cannot be told from others.
    fn credential(&self, claims: &Claims) -> Result<Credential, Failure> {
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

    /// The last of all: it leaves a mark.
    fn judge_proof<S: Outside>(
        &self,
        provider: &Provider,
        token: &[u8],
        claims: &Claims,
        ask: &Ask<'_>,
        env: &mut Env<'_, S>,
        found: &mut Findings,
    ) -> Result<(), Failure> {
        match &self.dpop {
            None => Ok(()),
            Some(rules) => dpop::judge_token(rules, &provider.name, token, claims, ask, env, found),
        }
    }

    fn judge(&self, claims: &Claims, now: UnixTime) -> Result<(), Failure> {
        if let Some(issuer) = &self.issuer {
            let given = claims.find(ISS, b"iss").and_then(string);
            if !given.is_some_and(|given| given.is(issuer)) {
                return Err(Failure::claims("iss"));
            }
        }
        if !self.audiences.is_empty() && !self.is_audience(claims.find(AUD, b"aud")) {
            return Err(Failure::claims("aud"));
        }
        let expires = claims.time_at(EXP, b"exp", "exp")?;
        let not_before = claims.time_at(NBF, b"nbf", "nbf")?;
        let issued_at = claims.time_at(IAT, b"iat", "iat")?;
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
        if let Some(longest) = self.max_lifetime {
            // A token that does not say how long it lives cannot be shown to live no longer.
            let (Some(expires), Some(issued_at)) = (expires, issued_at) else {
                return Err(Failure::claims("max_lifetime"));
            };
            if expires.saturating_sub(issued_at) > longest {
                return Err(Failure::claims("max_lifetime"));
            }
        }
        if let Some(oldest) = self.max_age {
            let issued_at = issued_at.ok_or(Failure::claims("max_age"))?;
            if now >= issued_at.saturating_add(oldest).saturating_add(self.leeway) {
                return Err(Failure::new(Reason::TokenExpired, "max_age"));
            }
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

/// The members of a claims object, names distinct. It owns the text, so that it can be remembered.
#[derive(Debug)]
pub(super) struct Claims {
    /// The payload, then names whose escapes were undone.
    text: Vec<u8>,
    /// Bytes of the payload.
    whole: usize,
    members: Vec<Claim>,
}

#[derive(Debug, Clone, Copy)]
struct Claim {
    /// Of the name: compared first.
    print: u64,
    name: Place,
    value: Place,
}

/// A part of a text.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: u32,
    length: u32,
}

impl Place {
    /// Where `part` stands in the text it was taken from.
    fn of(part: &[u8], text: &[u8]) -> Option<Self> {
        let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        Self::at(start, part.len())
    }

    fn at(start: usize, length: usize) -> Option<Self> {
        Some(Self {
            start: u32::try_from(start).ok()?,
            length: u32::try_from(length).ok()?,
        })
    }

    fn of_text(self, text: &[u8]) -> &[u8] {
        let start = usize::try_from(self.start).unwrap_or(usize::MAX);
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        text.get(start..)
            .and_then(|rest| rest.get(..length))
            .unwrap_or_default()
    }
}

/// Length (8: more than seven) and last bytes of a name, in one number; up to seven bytes they are the whole of it.
pub(super) const fn print(name: &[u8]) -> u64 {
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

const AUD: u64 = print(b"aud");
const EXP: u64 = print(b"exp");
const IAT: u64 = print(b"iat");
const ISS: u64 = print(b"iss");
const NBF: u64 = print(b"nbf");
const SUB: u64 = print(b"sub");

impl Claims {
    /// No members.
    pub(super) const fn none() -> Self {
        Self {
            text: Vec::new(),
            whole: 0,
            members: Vec::new(),
        }
    }

    /// Reads an object.
    pub(super) fn read(payload: Vec<u8>) -> Result<Self, Failure> {
        let malformed = Failure::new(Reason::TokenInvalid, "payload");
        let whole = payload.len();
        let mut members: Vec<Claim> = Vec::with_capacity(16);
        let mut names: Vec<u8> = Vec::new();
        for member in json::members(&payload) {
            let Ok((name, value)) = member else {
                return Err(malformed);
            };
            let place = if name.escaped {
                let name = name.decode();
                let place = Place::at(whole.saturating_add(names.len()), name.len());
                names.extend_from_slice(&name);
                place
            } else {
                Place::of(name.raw, &payload)
            };
            let (Some(place), Some(value)) = (place, Place::of(value, &payload)) else {
                return Err(malformed);
            };
            let text_of = |place: Place| match usize::try_from(place.start) {
                Ok(start) if start >= whole => Place {
                    start: u32::try_from(start.saturating_sub(whole)).unwrap_or(u32::MAX),
                    ..place
                }
                .of_text(&names),
                _ => place.of_text(&payload),
            };
            let name = text_of(place);
            let print = print(name);
            let same = |other: &Claim| {
                other.print == print && (name.len() <= 7 || text_of(other.name) == name)
            };
            if members.len() >= MAX_CLAIMS || members.iter().any(same) {
                return Err(malformed);
            }
            members.push(Claim {
                print,
                name: place,
                value,
            });
        }
        let mut text = payload;
        text.extend_from_slice(&names);
        Ok(Self {
            text,
            whole,
            members,
        })
    }

    /// The payload.
    pub(super) fn whole(&self) -> &[u8] {
        self.text.get(..self.whole).unwrap_or_default()
    }

    /// Bytes it takes to remember.
    pub(super) const fn bytes(&self) -> usize {
        self.text
            .capacity()
            .saturating_add(self.members.capacity().saturating_mul(size_of::<Claim>()))
    }

    /// The value of a top-level member as written.
    #[inline]
    pub(super) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.find(print(name), name)
    }

    /// The same for a name whose print was made at compile time.
    fn find(&self, print: u64, name: &[u8]) -> Option<&[u8]> {
        self.members
            .iter()
            .find(|claim| {
                claim.print == print && (name.len() <= 7 || claim.name.of_text(&self.text) == name)
            })
            .map(|claim| claim.value.of_text(&self.text))
    }

    /// A NumericDate in whole seconds; a fraction is cut off, the clock has none.
    pub(super) fn time(&self, name: &[u8], what: &'static str) -> Result<Option<u64>, Failure> {
        self.time_at(print(name), name, what)
    }

    fn time_at(&self, print: u64, name: &[u8], what: &'static str) -> Result<Option<u64>, Failure> {
        match self.find(print, name) {
            None => Ok(None),
            Some(value) => match numeric_date(value) {
                None => Err(Failure::claims(what)),
                time => Ok(time),
            },
        }
    }

    /// The value at a JSON Pointer. A name on the way that its object has twice is an error.
    pub(super) fn pointer(&self, pointer: &[u8]) -> Result<Option<&[u8]>, json::JsonError> {
        let Some(path) = pointer.strip_prefix(b"/") else {
            return Ok(None);
        };
        if path.contains(&b'~') {
            return json::pointer(self.whole(), pointer);
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

    /// Claim rules, roles, scopes and forwarded claims: the same for every credential whose claims are JSON.
    pub(super) fn collect(
        &self,
        index: usize,
        provider: &Provider,
        route: &RouteToken,
        subject: Vec<u8>,
    ) -> Result<VerifiedClaims, Failure> {
        if let Some(rule) = provider.claims.iter().position(|rule| !rule.holds(self)) {
            return Err(Failure::rule(rule));
        }
        let mut roles = Vec::new();
        let value = self.pointer(&provider.roles);
        let value = value.map_err(|_| Failure::claims("roles"))?;
        read_words(value, &mut roles).map_err(|()| Failure::claims("roles"))?;
        let mut scopes = Vec::new();
        if !route.scopes.is_empty() {
            let refused = Failure::claims("scopes");
            let value = match &provider.scopes {
                Some(scopes) => self.pointer(scopes).map_err(|_| refused)?,
                None => self.get(b"scope").or_else(|| self.get(b"scp")),
            };
            read_words(value, &mut scopes).map_err(|()| refused)?;
        }
        let mut forward = Vec::with_capacity(provider.forward.len().min(64));
        for header in &provider.forward {
            if let Some(value) = header.of_claims(self)? {
                forward.push((copy(&header.header), value));
            }
        }
        let mut counted = Vec::new();
        for pointer in &provider.counted {
            // What cannot be found in one way only is not there.
            counted.push(self.pointer(pointer).ok().flatten().and_then(countable));
        }
        let held = route.claims.iter().take_while(|rule| rule.holds(self));
        Ok(VerifiedClaims {
            provider: index,
            subject,
            roles,
            scopes,
            held: held.count(),
            counted,
            forward,
            additions: Vec::new(),
            credential: None,
            carried: Vec::new(),
        })
    }
}

/// A claim as limits count by it: see [`VerifiedClaims::counted`].
fn countable(value: &[u8]) -> Option<Vec<u8>> {
    match value.first() {
        Some(b'"') => {
            let mut text = copy(b"\"");
            text.extend_from_slice(&string(value)?.decode());
            Some(text)
        }
        Some(b'{' | b'[' | b'n') | None => None,
        Some(_) => Some(copy(value)),
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
pub(super) fn each_string<'a>(
    value: &'a [u8],
    mut visit: impl FnMut(Text<'a>) -> Result<(), ()>,
) -> Result<(), ()> {
    let Some(mut rest) = value.strip_prefix(b"[") else {
        return Err(());
    };
    // It was read as JSON before: only where strings end is looked for.
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => {
                let (text, after) = split_text(rest).ok_or(())?;
                visit(text)?;
                rest = after;
            }
            b' ' | b'\n' | b'\r' | b'\t' | b',' => {}
            b']' => return Ok(()),
            _ => return Err(()),
        }
    }
    Err(())
}

/// A string of JSON that was read before, after its opening quote; and what follows its closing one.
fn split_text(rest: &[u8]) -> Option<(Text<'_>, &[u8])> {
    let mut escaped = false;
    let mut skip = false;
    let end = rest.iter().position(|byte| {
        if core::mem::replace(&mut skip, false) {
            return false;
        }
        if *byte == b'\\' {
            escaped = true;
            skip = true;
        }
        *byte == b'"'
    })?;
    let (raw, after) = around(rest, end)?;
    Some((Text { raw, escaped }, after))
}

/// Seconds since 1970: digits, and a fraction that is cut off. No sign, no exponent.
fn numeric_date(value: &[u8]) -> Option<u64> {
    if value.len() < 20
        && let Some(whole) = digits(value)
    {
        return Some(whole);
    }
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
    let mut number = 0_u64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = if text.len() < 20 {
            // Nineteen digits fit.
            number.wrapping_mul(10).wrapping_add(u64::from(digit))
        } else {
            number.checked_mul(10)?.checked_add(u64::from(digit))?
        };
    }
    Some(number)
}

/// Roles or scopes: a string with blanks between, or an array of strings. Each is followed by a NUL, which none may
/// contain.
fn read_words(value: Option<&[u8]>, words: &mut Vec<u8>) -> Result<(), ()> {
    let Some(value) = value else { return Ok(()) };
    if value == b"null" {
        return Ok(());
    }
    words.reserve(value.len());
    let mut push = |word: &[u8]| {
        if word.contains(&0) {
            return Err(());
        }
        words.extend_from_slice(word);
        words.push(0);
        Ok(())
    };
    match string(value) {
        Some(text) => text
            .decode()
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty())
            .try_for_each(push),
        None => each_string(value, |text| push(&text.decode())),
    }
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
                let claims = Claims::read(text.into_bytes()).unwrap();
                assert_eq!(claims.get(short), None);
                assert_eq!(claims.get(&long), Some(&b"1"[..]));
            }
        }
    }
}
