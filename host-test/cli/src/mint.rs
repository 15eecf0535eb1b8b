//! Tokens for trying a policy: well-formed ones, and JWTs with any header and any claims for tests.
//!
//! **Invariant:** JWTs are made here, apart from the engine's code, so that a test does not ask the verifier to
//! check itself; session formats are ours alone and are made by the engine.
//! **Source:** RFC 7515 §3.1, RFC 7518 §3.2.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use hmac::{Hmac, KeyInit, Mac};
use palisade_engine::stages::token::{HmacAlgorithm, Key, Secret, session};
use palisade_engine::units::UnixTime;
use sha2::{Sha256, Sha384, Sha512};

/// A JWT in compact form. `algorithm` chooses the MAC, whatever the header says; `none` leaves it empty.
///
/// # Errors
/// Another algorithm.
pub fn jwt(algorithm: &str, key: &[u8], header: &str, claims: &str) -> Result<Vec<u8>> {
    let mut token = base64url(header.as_bytes());
    token.push(b'.');
    token.extend(base64url(claims.as_bytes()));
    macro_rules! sign {
        ($hash:ty) => {{
            let mut mac = Hmac::<$hash>::new_from_slice(key).context("key")?;
            mac.update(&token);
            mac.finalize().into_bytes().to_vec()
        }};
    }
    let signature = match algorithm {
        "HS256" => sign!(Sha256),
        "HS384" => sign!(Sha384),
        "HS512" => sign!(Sha512),
        "none" => Vec::new(),
        other => bail!("`{other}` is not one of HS256, HS384, HS512"),
    };
    token.push(b'.');
    token.extend(base64url(&signature));
    Ok(token)
}

/// A `v1` session token.
///
/// # Errors
/// An empty key, or a client that is no address.
pub fn session(
    key: &[u8],
    key_id: Option<&str>,
    subject: &str,
    session_id: &str,
    issued_at: u64,
    client: Option<&str>,
    roles: &[String],
) -> Result<Vec<u8>> {
    let client = client
        .map(|text| {
            text.parse::<IpAddr>()
                .with_context(|| format!("`{text}` is no address"))
        })
        .transpose()?;
    let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
    let key = session_key(key, key_id)?;
    Ok(session::mint_v1(
        &key,
        subject,
        session_id,
        UnixTime(issued_at),
        client,
        &roles,
    )
    .into_bytes())
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

/// Unpadded base64url (RFC 4648 §5).
fn base64url(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = Vec::new();
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0_u32, |group, at| {
            group << 8 | u32::from(chunk.get(at).copied().unwrap_or(0))
        });
        for at in 0..=chunk.len() {
            let digit = usize::try_from(group >> (18 - 6 * at) & 63).unwrap_or(0);
            out.extend(DIGITS.get(digit));
        }
    }
    out
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
