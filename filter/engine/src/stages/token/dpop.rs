//! Proofs of possession: a token that is bound to a key is used by whoever holds the key (DPoP).
//!
//! **In:** the head with its `DPoP` field, the token, the thumbprint it is bound to. **Out:** whether the proof holds.
//! **Invariant:** the one place where a key comes from the message, and there is nothing it could be good for but to match
//! the token's `cnf.jkt`: public members only, an algorithm of its own curve, one proof a request, for this method and
//! target, for this token, now, once. RSA is left out: whoever asks would choose the modulus we compute with.
//! **Source:** RFC 9449 §4.2, §4.3, §7; RFC 7638 (thumbprint). **Cost:** one key read, one signature verified, one mark.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};

use super::claims::{Claims, string};
use super::der::Spki;
use super::jws::{Compact, SignatureRoom};
use super::mac::equal;
use super::public::PublicKey;
use super::signed::{self, Replay, Window};
use super::{Algorithm, Ask, Failure, base64url, copy};
use crate::env::{Env, Outside};
use crate::finding::Findings;
use crate::verdict::Reason;

/// What a provider asks of proofs.
#[derive(Debug, Clone)]
pub struct Dpop {
    /// Whether every token must be bound and proved; if not, tokens that are bound must.
    pub required: bool,
    /// Seconds a proof is good for, before and after its time.
    pub window: u64,
    /// What is done when the table of marks cannot tell.
    pub replay: Replay,
}

/// What a client is told that should send a proof, or sent a wrong one (RFC 9449 §7.1).
pub(super) const CHALLENGE: &[u8] = b"DPoP realm=\"palisade\", algs=\"ES256 ES384 EdDSA\"";
pub(super) const WRONG_PROOF: &[u8] =
    b"DPoP realm=\"palisade\", error=\"invalid_dpop_proof\", algs=\"ES256 ES384 EdDSA\"";

/// Where a token with a proof is carried.
pub const SCHEME: &[u8] = b"dpop";

/// Bytes of a proof: a key, four claims and a signature take about 800.
const MOST_BYTES: usize = 4096;

/// Bytes of a `jti`.
const MOST_ID_BYTES: usize = 256;

const fn invalid(what: &'static str) -> Failure {
    Failure::new(Reason::DpopInvalid, what)
}

/// Judges a token whose claims hold: by its scheme, by what it is bound to, by the proof that came with it.
pub(super) fn judge_token<S: Outside>(
    rules: &Dpop,
    name: &[u8],
    token: &[u8],
    claims: &Claims,
    ask: &Ask<'_>,
    env: &mut Env<'_, S>,
    found: &mut Findings,
) -> Result<(), Failure> {
    let value = ask.head.first(b"authorization").unwrap_or_default();
    let scheme = value.trim_ascii_start().split_at_checked(SCHEME.len());
    let proved = scheme.is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME));
    let bound = match claims.get(b"cnf") {
        None => None,
        Some(confirmation) => {
            let confirmation = Claims::read(copy(confirmation)).map_err(|_| invalid("cnf"))?;
            match confirmation.get(b"jkt") {
                None => None,
                Some(_) => Some(copy(&text(&confirmation, b"jkt").ok_or(invalid("cnf"))?)),
            }
        }
    };
    match (proved, bound) {
        (true, Some(thumbprint)) => check(rules, name, token, &thumbprint, ask, env, found),
        (true, None) => Err(invalid("not_bound")),
        // What is bound is no bearer token (RFC 9449 §7.2).
        (false, Some(_)) => Err(invalid("no_proof")),
        (false, None) if rules.required => Err(invalid("no_proof")),
        (false, None) => Ok(()),
    }
}

/// Judges the proof of a request that carries `token`, which is bound to the key of `thumbprint` (`cnf.jkt`).
fn check<S: Outside>(
    rules: &Dpop,
    name: &[u8],
    token: &[u8],
    thumbprint: &[u8],
    ask: &Ask<'_>,
    env: &mut Env<'_, S>,
    found: &mut Findings,
) -> Result<(), Failure> {
    let mut proofs = ask.head.all(b"dpop");
    let (Some(proof), None) = (proofs.next(), proofs.next()) else {
        return Err(invalid("proof_count"));
    };
    if proof.len() > MOST_BYTES {
        return Err(invalid("proof_size"));
    }
    let mut room: SignatureRoom = [0; _];
    let compact = Compact::read(proof, &mut room).map_err(|_| invalid("proof_malformed"))?;
    let header = base64url::decode_vec(compact.header).ok_or(invalid("proof_malformed"))?;
    let header = Claims::read(header).map_err(|_| invalid("proof_malformed"))?;
    if text(&header, b"typ").is_none_or(|kind| !kind.eq_ignore_ascii_case(b"dpop+jwt")) {
        return Err(invalid("proof_type"));
    }
    let foreign = [&b"crit"[..], b"b64", b"jku", b"x5u", b"x5c"];
    if foreign.iter().any(|name| header.get(name).is_some()) {
        return Err(invalid("proof_extension"));
    }
    let algorithm = text(&header, b"alg").and_then(|name| Algorithm::from_name(&name));
    let algorithm = algorithm.ok_or(invalid("proof_algorithm"))?;
    let jwk = header.get(b"jwk").ok_or(invalid("proof_key"))?;
    let (key, print) = key_of(jwk, algorithm)?;
    let mut encoded = Vec::new();
    base64url::encode(&print, &mut encoded);
    if !equal(&encoded, thumbprint) {
        return Err(invalid("proof_other_key"));
    }
    let payload = compact
        .decode_payload()
        .map_err(|_| invalid("proof_malformed"))?;
    let claims = Claims::read(payload).map_err(|_| invalid("proof_malformed"))?;
    let (until, id) = judge(&claims, rules, token, ask, env)?;
    if !key.verify(algorithm, env.counters, compact.signed, compact.signature) {
        return Err(invalid("proof_signature"));
    }
    let named = [print.as_slice(), &id];
    signed::accept_proof(rules.replay, name, named, until, ask, env, found)
}

/// The proof's own claims: the last second it is good in, and its id.
fn judge<'c, S>(
    claims: &'c Claims,
    rules: &Dpop,
    token: &[u8],
    ask: &Ask<'_>,
    env: &Env<'_, S>,
) -> Result<(u64, Cow<'c, [u8]>), Failure> {
    if text(claims, b"htm").as_deref() != Some(ask.head.method) {
        return Err(invalid("htm"));
    }
    let target = text(claims, b"htu").ok_or(invalid("htu"))?;
    if !signed::is_target(&target, ask.head) {
        return Err(invalid("htu"));
    }
    let mut hash = Vec::new();
    base64url::encode(&Sha256::digest(token), &mut hash);
    let given = text(claims, b"ath").ok_or(invalid("ath"))?;
    if !equal(&hash, &given) {
        return Err(invalid("ath"));
    }
    let issued = claims.time(b"iat", "iat").map_err(|_| invalid("iat"))?;
    let issued = issued.ok_or(invalid("iat"))?;
    let until = Window::new(env.wall, rules.window)
        .judge(issued)
        .map_err(|_| invalid("iat"))?;
    let id = text(claims, b"jti").ok_or(invalid("jti"))?;
    if id.is_empty() || id.len() > MOST_ID_BYTES {
        return Err(invalid("jti"));
    }
    Ok((until, id))
}

/// The public key of a proof and its thumbprint (RFC 7638 §3).
fn key_of(jwk: &[u8], algorithm: Algorithm) -> Result<(PublicKey, [u8; 32]), Failure> {
    const PRIVATE: [&[u8]; 8] = [b"d", b"p", b"q", b"dp", b"dq", b"qi", b"oth", b"k"];
    let wrong = invalid("proof_key");
    let jwk = Claims::read(copy(jwk)).map_err(|_| wrong)?;
    if PRIVATE.iter().any(|name| jwk.get(name).is_some()) {
        return Err(invalid("proof_private_key"));
    }
    let (kind, curve, length): (&[u8], &[u8], usize) = match algorithm {
        Algorithm::Es256 => (b"EC", b"P-256", 32),
        Algorithm::Es384 => (b"EC", b"P-384", 48),
        Algorithm::EdDsa => (b"OKP", b"Ed25519", 32),
        _ => return Err(invalid("proof_algorithm")),
    };
    let named = match jwk.get(b"alg") {
        None => true,
        Some(_) => text(&jwk, b"alg").as_deref() == Some(algorithm.name().as_bytes()),
    };
    if text(&jwk, b"kty").as_deref() != Some(kind)
        || text(&jwk, b"crv").as_deref() != Some(curve)
        || !named
    {
        return Err(wrong);
    }
    let mut print = Sha256::new();
    for part in [b"{\"crv\":\"", curve, b"\",\"kty\":\"", kind] {
        print.update(part);
    }
    let mut point = Vec::new();
    if kind == b"EC" {
        point.push(4);
    }
    let names: &[&[u8]] = if kind == b"EC" {
        &[b"x", b"y"]
    } else {
        &[b"x"]
    };
    for name in names {
        let number = text(&jwk, name).ok_or(wrong)?;
        let bytes = base64url::decode_vec(&number).filter(|bytes| bytes.len() == length);
        point.extend_from_slice(&bytes.ok_or(wrong)?);
        for part in [b"\",\"", *name, b"\":\"", &number] {
            print.update(part);
        }
    }
    print.update(b"\"}");
    let spki = match algorithm {
        Algorithm::Es256 => Spki::P256(&point),
        Algorithm::Es384 => Spki::P384(&point),
        _ => Spki::Ed25519(&point),
    };
    let key = PublicKey::on_a_curve(spki).map_err(|_| wrong)?;
    Ok((key, print.finalize().into()))
}

/// A member that is a string.
fn text<'c>(members: &'c Claims, name: &[u8]) -> Option<Cow<'c, [u8]>> {
    members.get(name).and_then(string).map(|text| text.decode())
}

#[cfg(test)]
mod tests;
