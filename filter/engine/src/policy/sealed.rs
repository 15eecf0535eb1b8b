//! Sealed secrets: what a policy may hold of a secret, opened with a key from the environment.
//!
//! **In:** a Fernet token and its key as text. **Out:** the secret, or why not; [`seal`] is the way back, for tools.
//! **Invariant:** the MAC is compared first, in constant time, and nothing is decrypted before it held. The token's time is not
//! judged: a policy's secret is valid as long as it stands in the policy. No error holds a byte of secret, key or token.
//! **Source:** github.com/fernet/spec (version 0x80: AES-128-CBC, PKCS#7, HMAC-SHA256, URL-safe base64 with padding).
//! **Cost:** linear, once a secret when the policy is compiled; no request leads here.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use aes::Aes128;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::tokens::decode_base64;
use crate::stages::token::encode_base64url;

/// First byte of every token of this version.
const VERSION: u8 = 0x80;
/// Version and time.
const HEAD: usize = 9;
const BLOCK: usize = 16;
const MAC: usize = 32;

/// Longest token in a policy, in characters: a PEM of an RSA key of 4096 bits fits twice.
pub const MAX_SEALED: usize = 16 * 1024;

/// A key that seals: half of it signs, half of it encrypts.
#[derive(Clone)]
pub struct SealKey {
    signing: [u8; BLOCK],
    encryption: [u8; BLOCK],
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(redacted)")
    }
}

/// Why a sealed secret is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// The key is not 32 bytes in base64url.
    Key,
    /// The token is not base64url, too short or too long, of another version, or no whole number of blocks.
    Malformed,
    /// Sealed with another key, or altered.
    Mac,
    /// The padding is wrong although the MAC held: sealed by a faulty program.
    Padding,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "the key is not 32 bytes in URL-safe base64",
            Self::Malformed => {
                "not a sealed secret: one is URL-safe base64 that begins with `gAAAA`"
            }
            Self::Mac => "it was sealed with another key, or altered since",
            Self::Padding => "its padding is wrong: it was not sealed as Fernet says",
        })
    }
}

impl core::error::Error for SealError {}

impl SealKey {
    /// Reads a key as `palisade token keygen --algorithm fernet` writes it.
    ///
    /// # Errors
    /// [`SealError::Key`].
    pub fn parse(text: &[u8]) -> Result<Self, SealError> {
        let bytes = decode_base64(text).ok_or(SealError::Key)?;
        match bytes.as_chunks::<BLOCK>() {
            ([signing, encryption], []) => Ok(Self {
                signing: *signing,
                encryption: *encryption,
            }),
            _ => Err(SealError::Key),
        }
    }

    fn mac(&self, bytes: &[u8]) -> Option<[u8; MAC]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.signing).ok()?;
        mac.update(bytes);
        Some(mac.finalize().into_bytes().into())
    }
}

/// Opens a token.
///
/// # Errors
/// All but [`SealError::Key`]; the first that applies.
pub fn open(key: &SealKey, token: &str) -> Result<Vec<u8>, SealError> {
    if token.len() > MAX_SEALED {
        return Err(SealError::Malformed);
    }
    let bytes = decode_base64(token.as_bytes()).ok_or(SealError::Malformed)?;
    let (signed, mac) = bytes
        .len()
        .checked_sub(MAC)
        .and_then(|at| bytes.split_at_checked(at))
        .ok_or(SealError::Malformed)?;
    let (head, rest) = signed.split_at_checked(HEAD).ok_or(SealError::Malformed)?;
    let (iv, sealed) = rest
        .split_first_chunk::<BLOCK>()
        .ok_or(SealError::Malformed)?;
    let whole = sealed.len().is_multiple_of(BLOCK) && !sealed.is_empty();
    if head.first() != Some(&VERSION) || !whole {
        return Err(SealError::Malformed);
    }
    let expected = key.mac(signed).ok_or(SealError::Mac)?;
    if !bool::from(expected.ct_eq(mac)) {
        return Err(SealError::Mac);
    }
    // Block by block: whatever makes several at a time would be code that a secret of a few blocks has no use for.
    let mut cipher = cbc::Decryptor::<Aes128>::new(&key.encryption.into(), &(*iv).into());
    let mut opened = Vec::new();
    for block in sealed.as_chunks::<BLOCK>().0 {
        let mut block = (*block).into();
        cipher.decrypt_block(&mut block);
        opened.extend_from_slice(&block);
    }
    unpad(&opened).map(<[u8]>::to_vec)
}

/// PKCS#7: as many bytes as the last one says, all of that value.
fn unpad(opened: &[u8]) -> Result<&[u8], SealError> {
    let last = opened.last().copied().unwrap_or(0);
    let (secret, padding) = opened
        .len()
        .checked_sub(usize::from(last))
        .and_then(|at| opened.split_at_checked(at))
        .ok_or(SealError::Padding)?;
    let right = (1..=BLOCK).contains(&padding.len()) && padding.iter().all(|byte| *byte == last);
    right.then_some(secret).ok_or(SealError::Padding)
}

/// Seals a secret, for tools and tests: `iv` must be random and never used again, `time` is in seconds since 1970.
#[must_use]
pub fn seal(key: &SealKey, iv: [u8; 16], time: u64, secret: &[u8]) -> String {
    let mut token = alloc::vec![VERSION];
    token.extend_from_slice(&time.to_be_bytes());
    token.extend_from_slice(&iv);
    let mut room = secret.to_vec();
    let missing = BLOCK.saturating_sub(secret.len().wrapping_rem(BLOCK));
    room.resize(
        secret.len().saturating_add(missing),
        u8::try_from(missing).unwrap_or_default(),
    );
    let mut cipher = cbc::Encryptor::<Aes128>::new(&key.encryption.into(), &iv.into());
    for block in room.as_chunks::<BLOCK>().0 {
        let mut block = (*block).into();
        cipher.encrypt_block(&mut block);
        token.extend_from_slice(&block);
    }
    if let Some(mac) = key.mac(&token) {
        token.extend_from_slice(&mac);
    }
    let mut text = Vec::new();
    encode_base64url(&token, &mut text);
    while !text.len().is_multiple_of(4) {
        text.push(b'=');
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    /// Of the specification's own vectors.
    const KEY: &[u8] = b"cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    const TOKEN: &str = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
    const IV: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    /// 1985-10-26T01:20:00-07:00.
    const TIME: u64 = 499_162_800;

    fn key() -> SealKey {
        SealKey::parse(KEY).unwrap()
    }

    /// `generate.json` and `verify.json`.
    #[test]
    fn the_specification_s_vector() {
        assert_eq!(open(&key(), TOKEN).as_deref(), Ok(&b"hello"[..]));
        assert_eq!(seal(&key(), IV, TIME, b"hello"), TOKEN);
        // However old: the time is not judged. Padding may be left out, as some tools do.
        assert!(open(&key(), TOKEN.trim_end_matches('=')).is_ok());
        assert!(open(&key(), &format!("{TOKEN}\n")).is_ok());
        assert_eq!(format!("{:?}", key()), "SealKey(redacted)");
    }

    #[test]
    fn every_length_goes_both_ways() {
        for length in [0, 1, 15, 16, 17, 31, 32, 33, 255, 4096] {
            let secret = alloc::vec![0xA5; length];
            let token = seal(&key(), IV, TIME, &secret);
            assert_eq!(open(&key(), &token), Ok(secret), "{length}");
            assert!(token.starts_with("gAAAA"));
        }
    }

    /// Each byte of the token counts, and each cut of it fails.
    #[test]
    fn what_was_altered_is_not_opened() {
        let mut bytes = decode_base64(TOKEN.as_bytes()).unwrap();
        let text = |bytes: &[u8]| {
            let mut text = Vec::new();
            encode_base64url(bytes, &mut text);
            String::from_utf8(text).unwrap()
        };
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            let error = open(&key(), &text(&bytes)).unwrap_err();
            let expected = if at == 0 {
                SealError::Malformed
            } else {
                SealError::Mac
            };
            assert_eq!(error, expected, "byte {at}");
            bytes[at] ^= 1;
        }
        for cut in 0..bytes.len() {
            assert!(open(&key(), &text(&bytes[..cut])).is_err(), "cut at {cut}");
        }
        for token in [
            "",
            "gAAAA",
            "%%%%",
            "gAAAAA\u{e9}=",
            TOKEN.trim_start_matches('g'),
        ] {
            assert_eq!(open(&key(), token), Err(SealError::Malformed), "{token}");
        }
        let long = "g".repeat(MAX_SEALED + 1);
        assert_eq!(open(&key(), &long), Err(SealError::Malformed));
    }

    /// `invalid.json`: the MAC holds, but what it covers is no sealed secret.
    #[test]
    fn what_was_sealed_wrongly_is_not_opened() {
        let signed = |bytes: &[u8]| {
            let mut token = bytes.to_vec();
            token.extend(key().mac(bytes).unwrap());
            let mut text = Vec::new();
            encode_base64url(&token, &mut text);
            String::from_utf8(text).unwrap()
        };
        let bytes = decode_base64(TOKEN.as_bytes()).unwrap();
        let good = &bytes[..bytes.len() - MAC];
        assert!(open(&key(), &signed(good)).is_ok());
        let mut wrong = good.to_vec();
        wrong[HEAD] ^= 0x55;
        assert_eq!(
            open(&key(), &signed(&wrong)),
            Ok(b"\x3dello".to_vec()),
            "an IV"
        );
        // The IV's last byte is the last of the padding, in the only block.
        let mut wrong = good.to_vec();
        wrong[HEAD + 15] ^= 0x55;
        assert_eq!(open(&key(), &signed(&wrong)), Err(SealError::Padding));
        for (bytes, what) in [
            (&good[..good.len() - 1], "no whole block"),
            (&good[..HEAD + 16], "no block at all"),
            (&good[..HEAD + 12], "no whole IV"),
            (&[VERSION][..], "nothing"),
        ] {
            assert_eq!(
                open(&key(), &signed(bytes)),
                Err(SealError::Malformed),
                "{what}"
            );
        }
        let mut other = good.to_vec();
        other[0] = 0x81;
        assert_eq!(open(&key(), &signed(&other)), Err(SealError::Malformed));
    }

    #[test]
    fn keys() {
        for text in [
            "",
            "c2hvcnQ=",
            "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4A",
            "*",
        ] {
            assert_eq!(SealKey::parse(text.as_bytes()).unwrap_err(), SealError::Key);
        }
        let other = SealKey::parse(b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        let error = open(&other, TOKEN).unwrap_err();
        assert_eq!(error, SealError::Mac);
        assert!(error.to_string().contains("another key"));
    }
}
