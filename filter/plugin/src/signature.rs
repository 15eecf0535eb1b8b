//! The messages of Envoy's foreign function `verify_signature`: RSA PKCS#1 v1.5 and ECDSA at the host's speed.
//!
//! **In:** a hash, a key in SPKI DER, a message, a signature in the host's form; then the host's answer. **Out:** the
//! argument's bytes; [`HostVerdict`].
//! **Invariant:** only an answer that says so in so many words is a verdict.
//! **Source:** Envoy 1.40, `source/extensions/common/wasm/ext/verify_signature.proto`; protobuf encoding guide.
//! **Cost:** one copy of what it is given.

use palisade_engine::env::{HashName, HostVerdict};

/// What the function is called.
pub const NAME: &[u8] = b"verify_signature";

/// `VerifySignatureArguments`: 1 hash_function, 2 public_key, 3 signature, 4 text.
#[must_use]
pub fn arguments(hash: HashName, key: &[u8], message: &[u8], signature: &[u8]) -> Vec<u8> {
    let hash: &[u8] = match hash {
        HashName::Sha256 => b"sha256",
        HashName::Sha384 => b"sha384",
        HashName::Sha512 => b"sha512",
    };
    let mut out = Vec::new();
    for (tag, bytes) in [
        (0x0a, hash),
        (0x12, key),
        (0x1a, signature),
        (0x22, message),
    ] {
        out.push(tag);
        let mut length = bytes.len();
        while length >= 0x80 {
            let [low, ..] = length.to_le_bytes();
            out.push(low | 0x80);
            length >>= 7;
        }
        let [low, ..] = length.to_le_bytes();
        out.push(low);
        out.extend_from_slice(bytes);
    }
    out
}

/// `VerifySignatureResult`: 1 result, 2 error. Nothing for other bytes.
#[must_use]
pub fn verdict(answer: &[u8]) -> Option<HostVerdict> {
    let mut verdict = HostVerdict::Invalid;
    let mut rest = answer;
    loop {
        match rest {
            [] => return Some(verdict),
            [0x08, 1, after @ ..] => {
                verdict = HostVerdict::Valid;
                rest = after;
            }
            [0x08, 0, after @ ..] => {
                verdict = HostVerdict::Invalid;
                rest = after;
            }
            [0x12, after @ ..] => {
                let (mut length, mut shift, mut after) = (0_usize, 0_u32, after);
                loop {
                    let (byte, next) = after.split_first()?;
                    length |= usize::from(byte & 0x7f).checked_shl(shift)?;
                    shift = shift.checked_add(7).filter(|shift| *shift < 28)?;
                    after = next;
                    if *byte < 0x80 {
                        break;
                    }
                }
                rest = after.get(length..)?;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_on_the_wire() {
        let bytes = arguments(HashName::Sha256, b"K", b"text", b"S");
        assert_eq!(bytes, b"\x0a\x06sha256\x12\x01K\x1a\x01S\x22\x04text");
        let long = arguments(HashName::Sha512, &[7; 300], b"", &[]);
        assert_eq!(long[..12], *b"\x0a\x06sha512\x12\xac\x02\x07");
        assert_eq!(long.len(), 8 + 3 + 300 + 2 + 2);
    }

    #[test]
    fn answers() {
        const CASES: &[(&[u8], Option<HostVerdict>)] = &[
            (b"\x08\x01", Some(HostVerdict::Valid)),
            (b"\x08\x01\x12\x00", Some(HostVerdict::Valid)),
            (b"\x12\x00\x08\x01", Some(HostVerdict::Valid)),
            (b"", Some(HostVerdict::Invalid)),
            (b"\x08\x00", Some(HostVerdict::Invalid)),
            (b"\x12\x03bad", Some(HostVerdict::Invalid)),
            (b"\x08\x01\x08\x00", Some(HostVerdict::Invalid)),
            (b"\x08\x02", None),
            (b"\x08", None),
            (b"\x08\x01\x12\x04bad", None),
            (b"\x08\x01\x12", None),
            (b"\x08\x01\x12\xff\xff\xff\xff\xff\x01", None),
            (b"\x10\x01", None),
            (b"\x01", None),
        ];
        for (answer, expected) in CASES {
            assert_eq!(verdict(answer), *expected, "{answer:x?}");
        }
        let mut long = b"\x08\x01\x12\xc8\x01".to_vec();
        long.extend([b'e'; 200]);
        assert_eq!(verdict(&long), Some(HostVerdict::Valid));
    }
}
