//! Introspection: opaque tokens, which only the server that issued them can judge.
//!
//! **In:** the token, what the server answered, what this worker remembers. **Out:** [`VerifiedClaims`], a [`Callout`], or why not.
//! **Invariant:** only `active: true` in a whole, unambiguous answer lets a token pass; everything else but `active: false`
//! is no answer, and without an answer nobody passes. What is remembered is an answer, never that a token is
//! accepted: times, issuer, audience, claim rules, roles and scopes are judged by the same code on every request. Tokens that are not
//! active are remembered in a table of their own, so that guesses push no good token out. The whole token is compared,
//! in constant time.
//! **Source:** RFC 7662, RFC 6749 §2.3.1 and appendix B (client credentials), RFC 6750 §2.
//! **Cost:** a call-out for each request whose token is not remembered; else one keyed hash in each of two tables.

use alloc::vec::Vec;

use super::callout::{Callout, Replied};
use super::claims::{Claims, print};
use super::mac::Secret;
use super::signed::base64;
use super::{Ask, Awaited, Failure, Jwt, Memory, Provider, RouteToken, Stop, VerifiedClaims, copy};
use crate::env::{Env, Outside};
use crate::units::Monotonic;
use crate::verdict::Reason;

/// Active tokens that a worker remembers.
pub(super) const REMEMBERED: usize = 1024;

/// Tokens that are not active that it remembers.
pub(super) const REMEMBERED_INACTIVE: usize = 256;

/// Claims that name who a token is for, the best first.
const SUBJECT: &[(u64, &str)] = &[
    (print(b"sub"), "sub"),
    (print(b"username"), "username"),
    (print(b"client_id"), "client_id"),
];

/// How long it remembers at most that a token is not active.
const INACTIVE_MS: u64 = 10_000;

/// The server and what its answers must say.
#[derive(Debug, Clone)]
pub struct Introspection {
    /// Name of the cluster.
    pub cluster: Vec<u8>,
    /// Its `:authority`.
    pub authority: Vec<u8>,
    /// Its `:path`.
    pub path: Vec<u8>,
    /// `authorization`: see [`client_credentials`].
    pub authorization: Secret,
    /// How long an answer is waited for.
    pub timeout_ms: u32,
    /// How long an answer is remembered; 0: not at all.
    pub cache_ms: u64,
    /// What claims must be: the rules of a JWT, of which no key is asked.
    pub rules: Jwt,
}

/// The value of `authorization` for a client: both parts are form-encoded first (RFC 6749 §2.3.1).
#[must_use]
pub fn client_credentials(id: &[u8], secret: &[u8]) -> Secret {
    let mut pair = Vec::new();
    form_encode(id, &mut pair);
    pair.push(b':');
    form_encode(secret, &mut pair);
    let mut value = copy(b"Basic ");
    base64::encode(&pair, &mut value);
    Secret(value)
}

/// `application/x-www-form-urlencoded`; a blank is written as `+`.
fn form_encode(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(*byte),
            b' ' => out.push(b'+'),
            other => {
                out.push(b'%');
                out.extend(HEX.get(usize::from(other.wrapping_shr(4))));
                out.extend(HEX.get(usize::from(other & 0x0f)));
            }
        }
    }
}

impl Introspection {
    #[expect(
        clippy::too_many_arguments,
        reason = "facts of one request; a struct for them would have one user"
    )]
    pub(super) fn verify<S: Outside>(
        &self,
        index: usize,
        provider: &Provider,
        route: &RouteToken,
        token: &[u8],
        ask: &Ask<'_>,
        memory: &mut Memory,
        env: &Env<'_, S>,
    ) -> Result<VerifiedClaims, Stop> {
        // Every form of an access token (RFC 6750 §2.1, RFC 6749 A.12) but blanks: nothing else is shown to anybody.
        if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
            return Err(Failure::new(Reason::TokenInvalid, "characters").into());
        }
        let inactive = Failure::new(Reason::TokenInvalid, "inactive");
        let Monotonic(now) = env.now;
        if let Some(waited) = ask.waited(index) {
            let replied = waited.replied.as_ref();
            let replied = replied.ok_or(unavailable("unanswered"))?;
            let (active, claims) = read(replied)?;
            let accepted = if active {
                let wall = env.wall;
                self.rules
                    .accept(index, provider, route, &claims, SUBJECT, wall)
            } else {
                Err(inactive)
            };
            self.remember(index, token, active, claims, memory, now);
            return Ok(accepted?);
        }
        if self.cache_ms > 0 {
            let refused = &mut memory.inactive;
            if let Some(place) = refused.place(index, 0, token)
                && refused.get_fresh(&place, token, now).is_some()
            {
                return Err(inactive.into());
            }
            let known = &mut memory.introspected;
            if let Some(place) = known.place(index, 0, token)
                && let Some(claims) = known.get_fresh(&place, token, now)
            {
                let wall = env.wall;
                let accepted = self
                    .rules
                    .accept(index, provider, route, claims, SUBJECT, wall);
                return Ok(accepted?);
            }
        }
        Err(Stop::Awaits(Awaited::Callout(self.callout(index, token))))
    }

    fn remember(
        &self,
        index: usize,
        token: &[u8],
        active: bool,
        claims: Claims,
        memory: &mut Memory,
        now: u64,
    ) {
        if self.cache_ms == 0 {
            return;
        }
        let (cache, ms, claims) = if active {
            (&mut memory.introspected, self.cache_ms, claims)
        } else {
            let ms = self.cache_ms.min(INACTIVE_MS);
            (&mut memory.inactive, ms, Claims::none())
        };
        if let Some(place) = cache.place(index, 0, token) {
            cache.insert_until(place, token, claims, now.saturating_add(ms));
        }
    }

    fn callout(&self, provider: usize, token: &[u8]) -> Callout {
        let Secret(authorization) = &self.authorization;
        let fields: [(&[u8], &[u8]); 7] = [
            (b":method", b"POST"),
            (b":path", &self.path),
            (b":authority", &self.authority),
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"accept", b"application/json"),
            (b"user-agent", b"palisade"),
            (b"authorization", authorization),
        ];
        let mut headers = Vec::new();
        for (name, value) in fields {
            headers.push((copy(name), copy(value)));
        }
        let mut body = copy(b"token=");
        form_encode(token, &mut body);
        body.extend_from_slice(b"&token_type_hint=access_token");
        Callout {
            provider,
            cluster: copy(&self.cluster),
            headers,
            body,
            timeout_ms: self.timeout_ms,
        }
    }
}

const fn unavailable(what: &'static str) -> Failure {
    Failure::new(Reason::IntrospectionUnavailable, what)
}

/// Whether the token is active, and all that is said of it.
fn read(replied: &Replied) -> Result<(bool, Claims), Failure> {
    if replied.status != 200 {
        return Err(unavailable("status"));
    }
    let claims = Claims::read(copy(&replied.body)).map_err(|_| unavailable("answer"))?;
    match claims.get(b"active") {
        Some(b"true") => Ok((true, claims)),
        Some(b"false") => Ok((false, claims)),
        _ => Err(unavailable("answer")),
    }
}

#[cfg(test)]
mod tests;
