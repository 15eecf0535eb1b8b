//! Standard base64 with padding (RFC 4648 §4), strict: what signatures and digests of HTTP messages come in.
//!
//! **In:** text of an attacker. **Out:** its bytes, or nothing. **Invariant:** one text for one byte string: padding is
//! there, bits behind the last byte are zero, nothing else is in it. **Cost:** one pass.

use alloc::vec::Vec;

/// Whether `text` is the one spelling of some bytes.
pub(super) fn is_canonical(text: &[u8]) -> bool {
    decode_each(text, |_| {}).is_some()
}

/// Its bytes.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    decode_each(text, |byte| out.push(byte))?;
    Some(out)
}

fn decode_each(text: &[u8], mut put: impl FnMut(u8)) -> Option<()> {
    let (quads, rest) = text.as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    let Some((last, before)) = quads.split_last() else {
        return Some(());
    };
    for [a, b, c, d] in before {
        let (a, b, c, d) = (digit(*a)?, digit(*b)?, digit(*c)?, digit(*d)?);
        put(a.wrapping_shl(2) | b.wrapping_shr(4));
        put(b.wrapping_shl(4) | c.wrapping_shr(2));
        put(c.wrapping_shl(6) | d);
    }
    let [a, b, c, d] = last;
    let (first, second) = (digit(*a)?, digit(*b)?);
    put(first.wrapping_shl(2) | second.wrapping_shr(4));
    if (*c, *d) == (b'=', b'=') {
        return (second & 0x0f == 0).then_some(());
    }
    let third = digit(*c)?;
    put(second.wrapping_shl(4) | third.wrapping_shr(2));
    if *d == b'=' {
        return (third & 0x03 == 0).then_some(());
    }
    put(third.wrapping_shl(6) | digit(*d)?);
    Some(())
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte.wrapping_sub(b'A')),
        b'a'..=b'z' => Some(byte.wrapping_sub(b'a').wrapping_add(26)),
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0').wrapping_add(52)),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// Appends the encoding of `bytes`.
pub(in crate::stages::token) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut push = |digit: u8| out.extend(ALPHABET.get(usize::from(digit & 0x3f)));
    let (triples, rest) = bytes.as_chunks::<3>();
    for [a, b, c] in triples {
        push(a.wrapping_shr(2));
        push(a.wrapping_shl(4) | b.wrapping_shr(4));
        push(b.wrapping_shl(2) | c.wrapping_shr(6));
        push(*c);
    }
    match rest {
        [a] => {
            push(a.wrapping_shr(2));
            push(a.wrapping_shl(4));
            out.extend_from_slice(b"==");
        }
        [a, b] => {
            push(a.wrapping_shr(2));
            push(a.wrapping_shl(4) | b.wrapping_shr(4));
            push(b.wrapping_shl(2));
            out.push(b'=');
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648 §10, and each way to be wrong.
    #[test]
    fn texts() {
        const CASES: &[(&[u8], Option<&[u8]>)] = &[
            (b"", Some(b"")),
            (b"Zg==", Some(b"f")),
            (b"Zm8=", Some(b"fo")),
            (b"Zm9v", Some(b"foo")),
            (b"Zm9vYmFy", Some(b"foobar")),
            (b"/+8=", Some(b"\xff\xef")),
            (b"Zg", None),
            (b"Zm8", None),
            (b"Zh==", None),
            (b"Zm9=", None),
            (b"Zm9v====", None),
            (b"Z===", None),
            (b"====", None),
            (b"Zg==Zg==", None),
            (b"_-8=", None),
            (b"Zm 9", None),
            (b"Zm9\xff", None),
        ];
        for (text, bytes) in CASES {
            assert_eq!(decode(text).as_deref(), *bytes, "{text:?}");
            assert_eq!(is_canonical(text), bytes.is_some());
            if let Some(bytes) = bytes {
                let mut again = Vec::new();
                encode(bytes, &mut again);
                assert_eq!(again, *text);
            }
        }
    }
}
