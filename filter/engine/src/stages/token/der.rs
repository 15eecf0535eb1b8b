//! The little DER (X.690) that public keys and ECDSA signatures need: writing it, and reading what we could have
//! written.
//!
//! **In:** the numbers of a checked key or signature; a `SubjectPublicKeyInfo` of the policy. **Out:** DER; the
//! numbers again.
//! **Invariant:** [`Spki::read`] accepts exactly what [`Spki::write`] makes: a key is taken apart, written again and
//! compared, so every other spelling (BER lengths, other parameters, bytes behind) is refused.
//! **Source:** RFC 5280 §4.1, RFC 3279 §2.2.3 and §2.3.1, RFC 5480 §2.1, RFC 8410 §4.
//! **Cost:** linear. A signature is converted on the request path: at most 141 bytes.

use alloc::vec::Vec;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// 1.2.840.113549.1.1.1, NULL parameters.
const RSA: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
/// 1.2.840.10045.2.1 with 1.2.840.10045.3.1.7.
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];
/// 1.2.840.10045.2.1 with 1.3.132.0.34.
const P384: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
    0x00, 0x22,
];
/// 1.2.840.10045.2.1 with 1.3.132.0.35.
const P521: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
    0x00, 0x23,
];
/// 1.3.101.112.
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// A public key in numbers: big-endian, without leading zeros (RSA) or as long as the field (curves).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spki<'a> {
    Rsa {
        n: &'a [u8],
        e: &'a [u8],
    },
    /// SEC 1 uncompressed points, `04` first.
    P256(&'a [u8]),
    P384(&'a [u8]),
    P521(&'a [u8]),
    Ed25519(&'a [u8]),
}

impl<'a> Spki<'a> {
    /// As a `SubjectPublicKeyInfo`.
    pub(super) fn write(&self) -> Vec<u8> {
        let rsa;
        let (algorithm, key) = match *self {
            Self::Rsa { n, e } => {
                let mut numbers = Vec::new();
                unsigned(n, &mut numbers);
                unsigned(e, &mut numbers);
                let mut key = Vec::new();
                element(SEQUENCE, &[&numbers], &mut key);
                rsa = key;
                (RSA, rsa.as_slice())
            }
            Self::P256(point) => (P256, point),
            Self::P384(point) => (P384, point),
            Self::P521(point) => (P521, point),
            Self::Ed25519(point) => (ED25519, point),
        };
        let mut bits = Vec::new();
        // No unused bits.
        element(BIT_STRING, &[&[0], key], &mut bits);
        let mut out = Vec::new();
        element(SEQUENCE, &[algorithm, &bits], &mut out);
        out
    }

    /// Reads what [`Spki::write`] writes, and nothing else.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut rest = der;
        let mut inside = take(SEQUENCE, &mut rest)?;
        let start = inside;
        take(SEQUENCE, &mut inside)?;
        let algorithm = start.get(..start.len().checked_sub(inside.len())?)?;
        let key = take(BIT_STRING, &mut inside)?.strip_prefix(&[0])?;
        let read = match algorithm {
            RSA => {
                let mut key = key;
                let mut numbers = take(SEQUENCE, &mut key)?;
                let n = take(INTEGER, &mut numbers)?;
                let e = take(INTEGER, &mut numbers)?;
                Self::Rsa {
                    n: n.strip_prefix(&[0]).unwrap_or(n),
                    e: e.strip_prefix(&[0]).unwrap_or(e),
                }
            }
            P256 => Self::P256(key),
            P384 => Self::P384(key),
            P521 => Self::P521(key),
            ED25519 => Self::Ed25519(key),
            _ => return None,
        };
        (read.write() == der).then_some(read)
    }
}

/// An ECDSA signature `r‖s` as the `SEQUENCE` of two `INTEGER`s, each as short as it can be.
pub(super) fn ecdsa(signature: &[u8]) -> Vec<u8> {
    let half = signature.len() / 2;
    let (r, s) = signature.split_at_checked(half).unwrap_or_default();
    let mut numbers = Vec::new();
    unsigned(r, &mut numbers);
    unsigned(s, &mut numbers);
    let mut out = Vec::new();
    element(SEQUENCE, &[&numbers], &mut out);
    out
}

/// Appends a non-negative `INTEGER`.
fn unsigned(number: &[u8], out: &mut Vec<u8>) {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = number.get(zeros..).unwrap_or_default();
    let sign: &[u8] = match number {
        [0x80..=0xff, ..] | [] => &[0],
        _ => &[],
    };
    element(INTEGER, &[sign, number], out);
}

/// Appends an element; its content is the concatenated `parts`. Content of more than 64 KiB does not occur.
fn element(tag: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    let length = parts
        .iter()
        .fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    out.push(tag);
    let [low, high, ..] = length.to_le_bytes();
    match length {
        0..=0x7f => out.push(low),
        0x80..=0xff => out.extend_from_slice(&[0x81, low]),
        _ => out.extend_from_slice(&[0x82, high, low]),
    }
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Takes an element of this tag from the front: its content.
fn take<'a>(tag: u8, bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (first, rest) = bytes.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = match rest {
        [0x81, low, rest @ ..] => (usize::from(*low), rest),
        [0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        [low @ 0..=0x7f, rest @ ..] => (usize::from(*low), rest),
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_minimal() {
        const CASES: &[(&[u8], &[u8])] = &[
            (&[1, 2], &[0x30, 6, 2, 1, 1, 2, 1, 2]),
            (&[0x80, 0x7f], &[0x30, 7, 2, 2, 0, 0x80, 2, 1, 0x7f]),
            (
                &[0, 0, 0, 9, 0, 0, 0xff, 0],
                &[0x30, 8, 2, 1, 9, 2, 3, 0, 0xff, 0],
            ),
            (&[0, 0], &[0x30, 6, 2, 1, 0, 2, 1, 0]),
        ];
        for (signature, der) in CASES {
            assert_eq!(&ecdsa(signature), der, "{signature:x?}");
        }
        let long = ecdsa(&[0xff; 132]);
        assert_eq!(long.len(), 141);
        assert!(long.starts_with(&[0x30, 0x81, 138, 2, 67, 0, 0xff]));
    }

    #[test]
    fn keys_are_read_as_written_only() {
        let n = [0xc5; 256];
        let point = [4; 133];
        let keys = [
            Spki::Rsa {
                n: &n,
                e: &[1, 0, 1],
            },
            Spki::Rsa {
                n: &n[..200],
                e: &[0x80, 0, 1],
            },
            Spki::P256(&point[..65]),
            Spki::P384(&point[..97]),
            Spki::P521(&point),
            Spki::Ed25519(&point[..32]),
        ];
        for key in keys {
            let der = key.write();
            assert_eq!(Spki::read(&der), Some(key));
            for cut in 0..der.len() {
                assert_eq!(Spki::read(&der[..cut]), None, "{key:?} cut at {cut}");
            }
            assert_eq!(Spki::read(&[der.as_slice(), &[0]].concat()), None);
            for place in 0..der.len() {
                for byte in [0, 1, 0x30, 0x80, 0x81, 0x82, 0x83, 0x84, 0xff] {
                    let mut other = der.clone();
                    other[place] = byte;
                    let _ = Spki::read(&other).map(|key| assert_eq!(key.write(), other));
                }
            }
        }
        // A longer length than needed, the same content.
        let der = keys[5].write();
        let ber = [&[0x30, 0x81, der[1]], &der[2..]].concat();
        assert_eq!(Spki::read(&ber), None);
    }
}
