//! Fixed tables of Brotli: the words of its dictionary, what is done to them, what a literal follows.
//!
//! **In:** numbers of an attacker. **Out:** bytes of tables, or nothing where a table ends.
//! **Invariant:** the tables have the check sums that the RFC publishes (tests).
//! **Source:** RFC 7932 §7.1, §8, appendices A and B.
//! **Cost:** bounded by the longest word: 24 bytes, and 13 around it.

use alloc::vec::Vec;

use brotli_decompressor::dictionary::{
    kBrotliDictionary as WORDS, kBrotliDictionaryOffsetsByLength as OFFSETS,
    kBrotliDictionarySizeBitsByLength as SIZES,
};

/// The base word of a length, and the number of what is done to it.
pub(super) fn word(length: usize, number: usize) -> Option<(&'static [u8], usize)> {
    let bits = u32::from(*SIZES.get(length).filter(|bits| **bits > 0)?);
    let place = number & 1_usize.wrapping_shl(bits).wrapping_sub(1);
    let start = usize::try_from(*OFFSETS.get(length)?).ok()?;
    let start = start.saturating_add(place.saturating_mul(length));
    let word = WORDS.get(start..)?.get(..length)?;
    Some((word, number.wrapping_shr(bits)))
}

/// What is done to a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Nothing.
    Keep,
    /// Its first letter becomes a capital.
    First,
    /// All of them do.
    All,
    /// So many bytes at its beginning are left out.
    Behind(u8),
    /// So many at its end.
    Less(u8),
}

use Change::{All, Behind, First, Keep, Less};

/// Writes a changed word; `None`: there is no such change.
pub(super) fn changed(word: &[u8], number: usize, out: &mut Vec<u8>) -> Option<()> {
    let &(before, change, after) = CHANGES.get(number)?;
    out.clear();
    out.extend_from_slice(before);
    match change {
        Keep => out.extend_from_slice(word),
        Behind(bytes) => out.extend_from_slice(word.get(usize::from(bytes)..).unwrap_or_default()),
        Less(bytes) => {
            let end = word.len().saturating_sub(usize::from(bytes));
            out.extend_from_slice(word.get(..end).unwrap_or_default());
        }
        First => capitals(word, true, out),
        All => capitals(word, false, out),
    }
    out.extend_from_slice(after);
    Some(())
}

/// Capitals as the RFC defines them, of what is UTF-8 in a simple world.
fn capitals(word: &[u8], only_first: bool, out: &mut Vec<u8>) {
    let mut rest = word;
    while let Some((&lead, tail)) = rest.split_first() {
        rest = tail;
        match lead {
            b'a'..=b'z' => out.push(lead ^ 32),
            ..0xC0 => out.push(lead),
            _ => {
                out.push(lead);
                if lead >= 0xE0
                    && let Some((&second, tail)) = rest.split_first()
                {
                    out.push(second);
                    rest = tail;
                }
                if let Some((&last, tail)) = rest.split_first() {
                    out.push(last ^ if lead < 0xE0 { 32 } else { 5 });
                    rest = tail;
                }
            }
        }
        if only_first {
            out.extend_from_slice(rest);
            return;
        }
    }
}

/// How the code of a literal follows from the two bytes before it, by the number of the mode.
pub(super) fn context(mode: u8, last: u8, before: u8) -> u8 {
    match mode {
        0 => last & 0x3F,
        1 => last.wrapping_shr(2),
        2 => text_last(last) | text_before(before),
        _ => signed(last).wrapping_shl(3) | signed(before),
    }
}

/// Of texts: the last byte.
fn text_last(byte: u8) -> u8 {
    match byte {
        128..192 => byte & 1,
        192.. => 2 | (byte & 1),
        b'A' | b'E' | b'I' | b'O' | b'U' => 48,
        b'A'..=b'Z' => 52,
        b'a' | b'e' | b'i' | b'o' | b'u' => 56,
        b'a'..=b'z' => 60,
        b'0'..=b'9' => 44,
        b'\t' | b'\n' | b'\r' => 4,
        b' ' => 8,
        b'!' | b'#' | b'$' | b'&' | b'*' | b'+' | b'-' | b'/' | b'?' | b'@' => 12,
        b'\\' | b'^' | b'_' | b'`' | b'|' | b'~' => 12,
        b'"' | b'\'' => 16,
        b'%' => 20,
        b'(' | b'<' | b'[' | b'{' => 24,
        b')' | b'>' | b']' | b'}' => 28,
        b',' | b':' | b';' => 32,
        b'.' => 36,
        b'=' => 40,
        _ => 0,
    }
}

/// Of texts: the byte before that.
fn text_before(byte: u8) -> u8 {
    match byte {
        ..=b' ' | 127..224 => 0,
        b'a'..=b'z' => 3,
        b'0'..=b'9' | b'A'..=b'Z' | 224.. => 2,
        _ => 1,
    }
}

/// Of small numbers with a sign.
fn signed(byte: u8) -> u8 {
    match byte {
        0 => 0,
        1..16 => 1,
        16..64 => 2,
        64..128 => 3,
        128..192 => 4,
        192..240 => 5,
        240..255 => 6,
        255 => 7,
    }
}

/// What stands before and behind a word, and what is done to it.
const CHANGES: [(&[u8], Change, &[u8]); 121] = [
    (b"", Keep, b""),
    (b"", Keep, b" "),
    (b" ", Keep, b" "),
    (b"", Behind(1), b""),
    (b"", First, b" "),
    (b"", Keep, b" the "),
    (b" ", Keep, b""),
    (b"s ", Keep, b" "),
    (b"", Keep, b" of "),
    (b"", First, b""),
    (b"", Keep, b" and "),
    (b"", Behind(2), b""),
    (b"", Less(1), b""),
    (b", ", Keep, b" "),
    (b"", Keep, b", "),
    (b" ", First, b" "),
    (b"", Keep, b" in "),
    (b"", Keep, b" to "),
    (b"e ", Keep, b" "),
    (b"", Keep, b"\""),
    (b"", Keep, b"."),
    (b"", Keep, b"\">"),
    (b"", Keep, b"\n"),
    (b"", Less(3), b""),
    (b"", Keep, b"]"),
    (b"", Keep, b" for "),
    (b"", Behind(3), b""),
    (b"", Less(2), b""),
    (b"", Keep, b" a "),
    (b"", Keep, b" that "),
    (b" ", First, b""),
    (b"", Keep, b". "),
    (b".", Keep, b""),
    (b" ", Keep, b", "),
    (b"", Behind(4), b""),
    (b"", Keep, b" with "),
    (b"", Keep, b"'"),
    (b"", Keep, b" from "),
    (b"", Keep, b" by "),
    (b"", Behind(5), b""),
    (b"", Behind(6), b""),
    (b" the ", Keep, b""),
    (b"", Less(4), b""),
    (b"", Keep, b". The "),
    (b"", All, b""),
    (b"", Keep, b" on "),
    (b"", Keep, b" as "),
    (b"", Keep, b" is "),
    (b"", Less(7), b""),
    (b"", Less(1), b"ing "),
    (b"", Keep, b"\n\t"),
    (b"", Keep, b":"),
    (b" ", Keep, b". "),
    (b"", Keep, b"ed "),
    (b"", Behind(9), b""),
    (b"", Behind(7), b""),
    (b"", Less(6), b""),
    (b"", Keep, b"("),
    (b"", First, b", "),
    (b"", Less(8), b""),
    (b"", Keep, b" at "),
    (b"", Keep, b"ly "),
    (b" the ", Keep, b" of "),
    (b"", Less(5), b""),
    (b"", Less(9), b""),
    (b" ", First, b", "),
    (b"", First, b"\""),
    (b".", Keep, b"("),
    (b"", All, b" "),
    (b"", First, b"\">"),
    (b"", Keep, b"=\""),
    (b" ", Keep, b"."),
    (b".com/", Keep, b""),
    (b" the ", Keep, b" of the "),
    (b"", First, b"'"),
    (b"", Keep, b". This "),
    (b"", Keep, b","),
    (b".", Keep, b" "),
    (b"", First, b"("),
    (b"", First, b"."),
    (b"", Keep, b" not "),
    (b" ", Keep, b"=\""),
    (b"", Keep, b"er "),
    (b" ", All, b" "),
    (b"", Keep, b"al "),
    (b" ", All, b""),
    (b"", Keep, b"='"),
    (b"", All, b"\""),
    (b"", First, b". "),
    (b" ", Keep, b"("),
    (b"", Keep, b"ful "),
    (b" ", First, b". "),
    (b"", Keep, b"ive "),
    (b"", Keep, b"less "),
    (b"", All, b"'"),
    (b"", Keep, b"est "),
    (b" ", First, b"."),
    (b"", All, b"\">"),
    (b" ", Keep, b"='"),
    (b"", First, b","),
    (b"", Keep, b"ize "),
    (b"", All, b"."),
    (b"\xC2\xA0", Keep, b""),
    (b" ", Keep, b","),
    (b"", First, b"=\""),
    (b"", All, b"=\""),
    (b"", Keep, b"ous "),
    (b"", All, b", "),
    (b"", First, b"='"),
    (b" ", First, b","),
    (b" ", All, b"=\""),
    (b" ", All, b", "),
    (b"", All, b","),
    (b"", All, b"("),
    (b"", All, b". "),
    (b" ", All, b"."),
    (b"", All, b"='"),
    (b" ", All, b". "),
    (b" ", First, b"=\""),
    (b" ", All, b"='"),
    (b" ", First, b"='"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(bytes: impl IntoIterator<Item = u8>) -> u32 {
        let all = bytes.into_iter().fold(u32::MAX, |sum, byte| {
            (0..8).fold(sum ^ u32::from(byte), |sum, _| {
                sum >> 1 ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 }
            })
        });
        !all
    }

    #[test]
    fn tables_have_the_published_check_sums() {
        assert_eq!(WORDS.len(), 122_784);
        assert_eq!(checksum(WORDS), 0x5136_CB04);
        assert_eq!(checksum((0..=255).map(text_last)), 0x8E91_EFB7);
        assert_eq!(checksum((0..=255).map(text_before)), 0xD01A_32F4);
        assert_eq!(checksum((0..=255).map(signed)), 0x0DD7_A0D6);
        let mut changes = Vec::new();
        for (before, change, after) in CHANGES {
            changes.extend_from_slice(before);
            changes.extend([
                0,
                match change {
                    Keep => 0,
                    First => 1,
                    All => 2,
                    Behind(bytes) => 2 + bytes,
                    Less(bytes) => 11 + bytes,
                },
            ]);
            changes.extend_from_slice(after);
            changes.push(0);
        }
        assert_eq!((changes.len(), checksum(changes)), (648, 0x3D96_5F81));
    }

    #[test]
    fn words_are_found_and_changed() {
        let show = |length, number| {
            let (word, change) = word(length, number)?;
            let mut out = Vec::new();
            changed(word, change, &mut out)?;
            Some(String::from_utf8(out).unwrap())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(show(4, 0), some("time"));
        assert_eq!(show(4, 1 + (1 << 10)), some("down "));
        assert_eq!(show(4, 4 << 10), some("Time "));
        assert_eq!(show(4, 3 << 10), some("ime"));
        assert_eq!(show(4, 120 << 10), some(" Time='"));
        assert_eq!(show(4, 121 << 10), None);
        assert_eq!((show(3, 0), show(25, 0), show(0, 0)), (None, None, None));
        // Of the shortest words nothing may be left.
        let shortest = (0..121).filter(|number| show(4, number << 10) == some(""));
        assert_ne!(shortest.count(), 0);
        let mut out = Vec::new();
        capitals("äб€c\u{e9}".as_bytes(), false, &mut out);
        let expected = [0xC3, 0x84, 0xD0, 0x91, 0xE2, 0x82, 0xA9, b'C', 0xC3, 0x89];
        assert_eq!(out, expected);
        for cut in [&b"\xC3"[..], b"\xE2", b"\xE2\x82"] {
            out.clear();
            capitals(cut, true, &mut out);
            assert_eq!(out, cut);
        }
    }
}
