//! Tokens for trying a policy: well-formed ones, and JWTs with any header and any claims for tests.
//!
//! **Invariant:** JWTs are made here, apart from the engine's code, so that a test does not ask the verifier to
//! check itself; session formats are ours alone and are made by the engine.
//! **Source:** RFC 7515 §3.1, RFC 7518 §3, RFC 8037 §3.1.

use std::net::IpAddr;

use anyhow::{Context, Result};
use palisade_engine::stages::token::session::V1;
use palisade_engine::stages::token::{HmacAlgorithm, Key, Prefix, Secret, session};
use palisade_engine::units::UnixTime;

use crate::keys::{Private, base64url};

/// A JWT in compact form, signed by the key in `key`: any bytes for HMAC, a private JWK or PEM else. `algorithm` chooses the
/// signature, whatever the header says; `none` leaves it empty.
///
/// # Errors
/// Another algorithm, or a key of another kind.
pub fn jwt(algorithm: &str, key: &[u8], header: &str, claims: &str) -> Result<Vec<u8>> {
    jws(
        algorithm,
        &Private::for_algorithm(algorithm, key)?,
        header,
        claims.as_bytes(),
    )
}

/// Any header and payload in compact form.
///
/// # Errors
/// The key does not sign with `algorithm`.
pub fn jws(algorithm: &str, key: &Private, header: &str, payload: &[u8]) -> Result<Vec<u8>> {
    let mut token = base64url(header.as_bytes());
    token.push('.');
    token.push_str(&base64url(payload));
    let signature = key.sign(algorithm, token.as_bytes())?;
    token.push('.');
    token.push_str(&base64url(&signature));
    Ok(token.into_bytes())
}

/// A `v1` session token.
///
/// # Errors
/// An empty key.
pub fn session(key: &[u8], key_id: Option<&str>, session: &V1<'_>) -> Result<Vec<u8>> {
    Ok(session.mint(&session_key(key, key_id)?).into_bytes())
}

/// The CSRF token of the session with this id.
///
/// # Errors
/// An empty key.
pub fn csrf(key: &[u8], session_id: &str) -> Result<Vec<u8>> {
    Ok(session::csrf_token(&session_key(key, None)?, session_id).into_bytes())
}

/// The client a session is bound to: an address, or a network such as `192.0.2.0/24`; the prefix is the policy's
/// `client_prefix`, whose default it has when it is not written.
///
/// # Errors
/// No address, or no prefix of one.
pub fn client(text: &str) -> Result<(IpAddr, Prefix)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address
        .parse()
        .with_context(|| format!("`{text}` is no address"))?;
    let mut prefix = Prefix::default();
    if let Some(bits) = bits {
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.parse().ok().filter(|bits| *bits <= most);
        let bits = bits.with_context(|| format!("`{text}` has no prefix of 0 to {most} bits"))?;
        prefix = Prefix { v4: bits, v6: bits };
    }
    Ok((address, prefix))
}

/// A `subject:issued_at:hex-hmac` token.
///
/// # Errors
/// An empty key.
pub fn colon(key: &[u8], subject: &str, issued_at: u64) -> Result<Vec<u8>> {
    Ok(session::mint_colon(&session_key(key, None)?, subject, UnixTime(issued_at)).into_bytes())
}

fn session_key(key: &[u8], id: Option<&str>) -> Result<Key> {
    Key::new(
        id.map(|id| id.as_bytes().to_vec()),
        HmacAlgorithm::Sha256,
        &Secret(key.to_vec()),
    )
    .context("the key is empty")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jwt_of_rfc_7515_a1() {
        // The header and claims of appendix A.1.1 with its key; the signature is the appendix's own.
        let key = [
            3, 35, 53, 75, 43, 15, 165, 188, 131, 126, 6, 101, 119, 123, 166, 143, 90, 179, 40,
            230, 240, 84, 201, 40, 169, 15, 132, 178, 210, 80, 46, 191, 211, 251, 90, 146, 210, 6,
            71, 239, 150, 138, 180, 195, 119, 98, 61, 34, 61, 46, 33, 114, 5, 46, 79, 8, 192, 205,
            154, 245, 103, 208, 128, 163,
        ];
        let token = jwt(
            "HS256",
            &key,
            "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}",
            "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}",
        )
        .expect("HS256");
        assert!(token.ends_with(b".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert!(jwt("RS256", b"k", "{}", "{}").is_err());
    }
}
