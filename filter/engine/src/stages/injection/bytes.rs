//! Byte classes and small readers shared by the detectors.
//!
//! **In:** bytes. **Out:** class bits, single bytes past the end as NUL.
//! **Invariant:** no reader can leave its slice.
//! **Cost:** [`classes`] tells 16 bytes at a time (`lanes`), and proves that most values are plain.

use super::lanes;

/// `%`: something may be URL-encoded.
pub(super) const PERCENT: u32 = 1 << 5;
/// `+`: a blank in forms.
pub(super) const PLUS: u32 = 1 << 10;
/// `&`.
pub(super) const AMP: u32 = 1 << 6;
/// `\`.
pub(super) const BACKSLASH: u32 = 1 << 20;
/// Lead bytes of overlong and full-width UTF-8.
pub(super) const WIDE: u32 = 1 << 28;
/// `'`, `"`, backtick.
pub(super) const QUOTE: u32 = 1 << 31;
/// `<`, `>`.
pub(super) const ANGLE: u32 = 1 << 17;
/// `(`, `)`, `{`, `}`, `[`, `]`.
pub(super) const PAREN: u32 = 1 << 8;
/// `=`, `!`, `^`, `?`.
pub(super) const OPERATOR: u32 = 1 << 1;
/// `;`, `|`.
pub(super) const SHELL: u32 = 1 << 16;
/// `/`.
pub(super) const SLASH: u32 = 1 << 12;
/// Blank.
pub(super) const BLANK: u32 = 1;
/// `#`.
pub(super) const HASH: u32 = 1 << 3;
/// Line ends and tabs.
pub(super) const LINE: u32 = 1 << 26;
/// Other control bytes.
pub(super) const CONTROL: u32 = 1 << 27;
/// `*`.
pub(super) const STAR: u32 = 1 << 9;
/// `|`, beside [`SHELL`].
pub(super) const PIPE: u32 = 1 << 25;
/// `$`.
pub(super) const DOLLAR: u32 = 1 << 4;
/// `.`
pub(super) const DOT: u32 = 1 << 11;
/// `_`.
pub(super) const SCORE: u32 = 1 << 22;
/// `'`, beside [`QUOTE`].
pub(super) const SINGLE: u32 = 1 << 7;
/// `"`, beside [`QUOTE`].
pub(super) const DOUBLE: u32 = 1 << 2;
/// Backtick, beside [`QUOTE`].
pub(super) const TICK: u32 = 1 << 23;
/// `{`, `}`, beside [`PAREN`].
pub(super) const BRACE: u32 = 1 << 24;

/// Bytes beyond ASCII.
pub(super) const HIGH: u32 = 1 << 13;

/// Classes without which a value is a name, a number or a word: only detectors of names look at it.
pub(super) const LOUD: u32 = !(DOT | SCORE | HIGH);

/// What may hide other bytes.
pub(super) const ENCODED: u32 = PERCENT | AMP | BACKSLASH | WIDE;

const fn class(byte: u8) -> u32 {
    match byte {
        b'%' => PERCENT,
        b'+' => PLUS,
        b'&' => AMP,
        b'\\' => BACKSLASH,
        0xC0 | 0xC1 | 0xE0 | 0xEF | 0xF0 => WIDE | HIGH,
        0x80.. => HIGH,
        b'\'' => QUOTE | SINGLE,
        b'"' => QUOTE | DOUBLE,
        b'`' => QUOTE | TICK,
        b'<' | b'>' => ANGLE,
        b'{' | b'}' => PAREN | BRACE,
        b'(' | b')' | b'[' | b']' => PAREN,
        b'=' | b'!' | b'^' | b'?' => OPERATOR,
        b'*' => STAR,
        b'$' => DOLLAR,
        b'.' => DOT,
        b'_' => SCORE,
        b';' => SHELL,
        b'|' => SHELL | PIPE,
        b'/' => SLASH,
        b' ' => BLANK,
        b'#' => HASH,
        b'\t' | b'\n' | b'\r' | 0x0B | 0x0C => LINE,
        0..=0x1F | 0x7F => CONTROL,
        _ => 0,
    }
}

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "runs while compiling: a fault is a build error"
)]
static CLASSES: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = class(byte as u8);
        byte += 1;
    }
    table
};

/// The union of the classes of all bytes.
pub(super) fn classes(bytes: &[u8]) -> u32 {
    // Without vectors one by one is quicker.
    let lanes = if cfg!(any(test, target_arch = "wasm32")) {
        lanes::classes(bytes)
    } else {
        None
    };
    lanes.unwrap_or_else(|| each(bytes))
}

fn each(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |all, &byte| {
        all | CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
    })
}

/// The byte at `at`, NUL past the end.
pub(super) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// The rest from `at`, empty past the end.
pub(super) fn rest(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(at..).unwrap_or(&[])
}

/// At most `length` bytes from `at` on.
pub(super) fn part(bytes: &[u8], at: usize, length: usize) -> &[u8] {
    let tail = rest(bytes, at);
    tail.get(..length).unwrap_or(tail)
}

/// The first position at or after `at` whose byte is wanted.
pub(super) fn next(bytes: &[u8], at: usize, wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let step = rest(bytes, at).iter().position(|&byte| wanted(byte))?;
    Some(at.saturating_add(step))
}

/// Where the first pair of neighbours is that `wanted` says yes to.
pub(super) fn pair(bytes: &[u8], wanted: impl Fn(u8, u8) -> bool) -> Option<usize> {
    let mut at = 0_usize;
    let mut left = bytes;
    while let [first, after @ ..] = left {
        if wanted(*first, *after.first()?) {
            return Some(at);
        }
        at = at.saturating_add(1);
        left = after;
    }
    None
}

/// At most the first `length` bytes. (`take` before `position` counts with an addition that can overflow in the compiler's eyes.)
pub(super) fn upto(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(..length).unwrap_or(bytes)
}

/// Whether `bytes` has `word` (lower case) at `at`, ASCII case ignored.
#[inline]
pub(super) fn has_at(bytes: &[u8], at: usize, word: &[u8]) -> bool {
    // Most places differ in the first byte: told where the word is known, without a call.
    let begins = match (bytes.get(at), word.first()) {
        (Some(here), Some(first)) => here.eq_ignore_ascii_case(first),
        (None, Some(_)) => false,
        (_, None) => true,
    };
    begins && has_all(bytes, at, word)
}

#[inline(never)]
fn has_all(bytes: &[u8], at: usize, word: &[u8]) -> bool {
    bytes
        .get(at..at.saturating_add(word.len()))
        .is_some_and(|part| part.eq_ignore_ascii_case(word))
}

/// Whether `bytes` contains `word` (lower case), ASCII case ignored. `word` is short and constant.
pub(super) fn contains(bytes: &[u8], word: &[u8]) -> bool {
    let Some((&first, tail)) = word.split_first() else {
        return false;
    };
    let upper = first.to_ascii_uppercase();
    let mut left = bytes;
    while let Some((&head, after)) = left.split_first() {
        if (head == first || head == upper) && has_at(after, 0, tail) {
            return true;
        }
        left = after;
    }
    false
}

/// Whether `bytes` contains any of `words` (lower case), ASCII case ignored, in one pass. The words are short and constant.
pub(super) fn contains_any(bytes: &[u8], words: &[&[u8]]) -> bool {
    // A bit for what a word begins with; two bytes that share one differ in the comparison.
    let bit = |byte: u8| 1_u64.wrapping_shl(u32::from(byte | 0x20));
    let firsts = words.iter().fold(0, |all, word| {
        all | word.first().map_or(0, |&first| bit(first))
    });
    let mut left = bytes;
    while let Some((&head, after)) = left.split_first() {
        if firsts & bit(head) != 0 && words.iter().any(|word| has_at(left, 0, word)) {
            return true;
        }
        left = after;
    }
    false
}

/// How many items there are (`Iterator::count` can overflow in the compiler's eyes).
pub(super) fn tally(items: impl Iterator) -> usize {
    items.fold(0_usize, |count, _| count.saturating_add(1))
}

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "runs while compiling: a fault is a build error"
)]
static FOLDED: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        if is_word(byte as u8) || byte as u8 == b'$' {
            table[byte] = (byte as u8).to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

/// The byte in lower case when it belongs to a word (or is `$`), else 0.
pub(super) fn folded(byte: u8) -> u8 {
    FOLDED.get(usize::from(byte)).copied().unwrap_or(0)
}

/// A byte of a word: letter, digit, `_`, or not ASCII.
pub(super) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Blank, tab, line end, form feed.
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C)
}

/// The first position at or after `at` that is no blank.
pub(super) fn skip_space(bytes: &[u8], at: usize) -> usize {
    rest(bytes, at)
        .iter()
        .position(|&byte| !is_space(byte))
        .map_or(bytes.len(), |step| at.saturating_add(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_several_words_is_found() {
        let words = [&b"@import"[..], b"-o-link", b"/**/"];
        for text in [&b"a @IMPORT"[..], b"-O-Link", b"x/**/", b"@-/-o-link"] {
            assert!(contains_any(text, &words), "{}", text.escape_ascii());
        }
        for text in [&b"`import"[..], b"-o-lin", b"", b"/ ** /", b"@@@"] {
            assert!(!contains_any(text, &words), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn many_at_once_are_as_one_by_one() {
        let mut bytes = [b'a'; 50];
        for at in 0..bytes.len() {
            for byte in 0..=255 {
                let before = core::mem::replace(&mut bytes[at], byte);
                for end in [15, 16, 17, 31, 32, 50] {
                    let part = &bytes[..end];
                    assert_eq!(classes(part), each(part), "{byte:#x} at {at} of {end}");
                }
                bytes[at] = before;
            }
        }
    }
}
