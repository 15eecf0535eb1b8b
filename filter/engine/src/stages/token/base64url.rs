//! Base64url without padding (RFC 4648 §5, RFC 7515 §2), strict.
//!
//! **In:** text of an attacker. **Out:** its bytes, or nothing.
//! **Invariant:** one text for one byte string: padding, blanks, other alphabets and non-zero trailing bits are
//! refused, so a token cannot be respelled. An encoding, not a cipher: nothing here need be constant-time.
//! **Cost:** one pass, a table look-up a byte.

use alloc::vec::Vec;

/// No letter of the alphabet: bit 7 is set in no digit.
const NONE: u8 = 0xff;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Byte → digit.
const DIGITS: [u8; 256] = digits();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "a table made at compile time"
)]
const fn digits() -> [u8; 256] {
    let mut table = [NONE; 256];
    let mut digit = 0;
    while digit < ALPHABET.len() {
        table[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    table
}

fn digit(byte: u8) -> u8 {
    DIGITS.get(usize::from(byte)).copied().unwrap_or(NONE)
}

/// Bytes that `text` stands for, when it is valid.
const fn decoded_len(text: &[u8]) -> usize {
    let whole = text.len() / 4;
    let rest = text.len() & 3;
    whole.wrapping_mul(3).wrapping_add(rest.saturating_sub(1))
}

/// Decodes into `out`, which must be long enough; gives the part that was written.
pub(super) fn decode<'o>(text: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
    let out = out.get_mut(..decoded_len(text))?;
    let (quads, rest) = text.as_chunks::<4>();
    let (triples, tail) = out.as_chunks_mut::<3>();
    let mut seen = 0;
    for ([a, b, c, d], [x, y, z]) in quads.iter().zip(triples) {
        let (a, b, c, d) = (digit(*a), digit(*b), digit(*c), digit(*d));
        seen |= a | b | c | d;
        *x = a.wrapping_shl(2) | b.wrapping_shr(4);
        *y = b.wrapping_shl(4) | c.wrapping_shr(2);
        *z = c.wrapping_shl(6) | d;
    }
    match (rest, tail) {
        ([], []) => {}
        ([a, b], [x]) => {
            let (a, b) = (digit(*a), digit(*b));
            seen |= a | b;
            *x = a.wrapping_shl(2) | b.wrapping_shr(4);
            if b & 0x0f != 0 {
                return None;
            }
        }
        ([a, b, c], [x, y]) => {
            let (a, b, c) = (digit(*a), digit(*b), digit(*c));
            seen |= a | b | c;
            *x = a.wrapping_shl(2) | b.wrapping_shr(4);
            *y = b.wrapping_shl(4) | c.wrapping_shr(2);
            if c & 0x03 != 0 {
                return None;
            }
        }
        _ => return None,
    }
    (seen & 0x80 == 0).then_some(&*out)
}

/// Decodes into a vector.
pub(super) fn decode_vec(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = alloc::vec![0; decoded_len(text)];
    decode(text, &mut out)?;
    Some(out)
}

/// Appends the encoding of `bytes`. For minting and tests.
pub(crate) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let mut push = |digit: u8| out.extend(ALPHABET.get(usize::from(digit & 0x3f)));
    for group in bytes.chunks(3) {
        let (a, b, c) = match group {
            [a, b, c] => (*a, *b, Some(Some(*c))),
            [a, b] => (*a, *b, Some(None)),
            [a] => (*a, 0, None),
            _ => continue,
        };
        push(a.wrapping_shr(2));
        push(a.wrapping_shl(4) | b.wrapping_shr(4));
        if let Some(third) = c {
            push(b.wrapping_shl(2) | third.unwrap_or(0).wrapping_shr(6));
            if let Some(c) = third {
                push(c);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(bytes, &mut out);
        out
    }

    /// RFC 4648 §10, and each way to be wrong.
    #[test]
    fn texts() {
        const CASES: &[(&[u8], Option<&[u8]>)] = &[
            (b"", Some(b"")),
            (b"Zg", Some(b"f")),
            (b"Zm8", Some(b"fo")),
            (b"Zm9v", Some(b"foo")),
            (b"Zm9vYg", Some(b"foob")),
            (b"Zm9vYmE", Some(b"fooba")),
            (b"Zm9vYmFy", Some(b"foobar")),
            (b"_-8", Some(b"\xff\xef")),
            (b"Zg==", None),
            (b"Zm8=", None),
            (b"Zm9vY", None),
            (b"Z", None),
            (b"Zh", None),
            (b"Zm9", None),
            (b"/+8", None),
            (b" Zm9v", None),
            (b"Zm9v\n", None),
            (b"Zm9\xff", None),
            (b"Z\0", None),
        ];
        for (text, bytes) in CASES {
            assert_eq!(
                decode_vec(text).as_deref(),
                *bytes,
                "{:?}",
                text.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn every_byte_at_every_place() {
        for length in 1..=8_usize {
            for place in 0..length {
                for byte in 0..=255_u8 {
                    let mut text = alloc::vec![b'A'; length];
                    text[place] = byte;
                    if let Some(bytes) = decode_vec(&text) {
                        assert_eq!(encoded(&bytes), text, "one text for one byte string");
                    } else {
                        let known = ALPHABET.contains(&byte);
                        let last = place == length - 1;
                        assert!(
                            !known || length % 4 == 1 || (last && length % 4 != 0),
                            "{text:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn round_trip_and_room() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..bytes.len() {
            let text = encoded(&bytes[..length]);
            assert_eq!(decode_vec(&text).as_deref(), Some(&bytes[..length]));
            let mut room = alloc::vec![0; length];
            assert!(decode(&text, &mut room).is_some());
            if length > 0 {
                assert!(
                    decode(&text, &mut room[..length - 1]).is_none(),
                    "too little room"
                );
            }
        }
    }
}
