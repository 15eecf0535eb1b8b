//! Byte classes and small readers shared by the detectors.
//!
//! **In:** bytes. **Out:** class bits, single bytes past the end as NUL.
//! **Invariant:** no reader can leave its slice.
//! **Cost:** [`classes`] is one table look-up and one `or` a byte: what proves that most values are plain.

/// `%`: something may be URL-encoded.
pub(super) const PERCENT: u32 = 1;
/// `+`: a blank in forms.
pub(super) const PLUS: u32 = 1 << 1;
/// `&`.
pub(super) const AMP: u32 = 1 << 2;
/// `\`.
pub(super) const BACKSLASH: u32 = 1 << 3;
/// Lead bytes of overlong and full-width UTF-8.
pub(super) const WIDE: u32 = 1 << 4;
/// `'`, `"`, backtick.
pub(super) const QUOTE: u32 = 1 << 5;
/// `<`, `>`.
pub(super) const ANGLE: u32 = 1 << 6;
/// `(`, `)`, `{`, `}`, `[`, `]`.
pub(super) const PAREN: u32 = 1 << 7;
/// `=`, `!`, `^`, `?`.
pub(super) const OPERATOR: u32 = 1 << 8;
/// `;`, `|`.
pub(super) const SHELL: u32 = 1 << 9;
/// `/`.
pub(super) const SLASH: u32 = 1 << 10;
/// Blank.
pub(super) const BLANK: u32 = 1 << 11;
/// `#`.
pub(super) const HASH: u32 = 1 << 12;
/// Line ends and tabs.
pub(super) const LINE: u32 = 1 << 13;
/// Other control bytes.
pub(super) const CONTROL: u32 = 1 << 14;
/// `*`.
pub(super) const STAR: u32 = 1 << 15;
/// `|`, beside [`SHELL`].
pub(super) const PIPE: u32 = 1 << 17;
/// `$`.
pub(super) const DOLLAR: u32 = 1 << 16;
/// `.`
pub(super) const DOT: u32 = 1 << 18;
/// `_`.
pub(super) const SCORE: u32 = 1 << 19;
/// `'`, beside [`QUOTE`].
pub(super) const SINGLE: u32 = 1 << 20;
/// `"`, beside [`QUOTE`].
pub(super) const DOUBLE: u32 = 1 << 21;
/// Backtick, beside [`QUOTE`].
pub(super) const TICK: u32 = 1 << 23;
/// `{`, `}`, beside [`PAREN`].
pub(super) const BRACE: u32 = 1 << 22;

/// Classes without which a value is a name, a number or a word: only detectors of names look at it.
pub(super) const LOUD: u32 = !(DOT | SCORE);

/// What may hide other bytes.
pub(super) const ENCODED: u32 = PERCENT | AMP | BACKSLASH | WIDE;

const fn class(byte: u8) -> u32 {
    match byte {
        b'%' => PERCENT,
        b'+' => PLUS,
        b'&' => AMP,
        b'\\' => BACKSLASH,
        0xC0 | 0xC1 | 0xE0 | 0xEF | 0xF0 => WIDE,
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

/// Classes of single bytes that plain values have too.
const QUIET: [(u8, u32); 4] = [(b' ', BLANK), (b'/', SLASH), (b'.', DOT), (b'_', SCORE)];

/// The union of the classes of all bytes. Most values are plain but for blanks, slashes, dots and underscores: that is seen 16
/// bytes at a time.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub(super) fn classes(bytes: &[u8]) -> u32 {
    let (chunks, tail) = bytes.as_chunks::<16>();
    let mut odd = [0_u8; 16];
    let [mut blank, mut slash, mut dot, mut score] = [[0_u8; 16]; 4];
    for chunk in chunks {
        let quiet = blank
            .iter_mut()
            .zip(&mut slash)
            .zip(&mut dot)
            .zip(&mut score);
        for ((odd, (((blank, slash), dot), score)), &byte) in odd.iter_mut().zip(quiet).zip(chunk) {
            *odd |= u8::from(!(is_plain(byte) | is_quiet(byte)));
            *blank |= u8::from(byte == b' ');
            *slash |= u8::from(byte == b'/');
            *dot |= u8::from(byte == b'.');
            *score |= u8::from(byte == b'_');
        }
    }
    let any = |lanes: [u8; 16]| u128::from_ne_bytes(lanes) != 0;
    if any(odd) {
        return each(bytes);
    }
    let found = [blank, slash, dot, score].into_iter().zip(QUIET);
    found.fold(each(tail), |all, (lanes, (_, class))| {
        all | if any(lanes) { class } else { 0 }
    })
}

const fn is_quiet(byte: u8) -> bool {
    (byte == b' ') | (byte == b'/') | (byte == b'.') | (byte == b'_')
}

fn each(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |all, &byte| {
        all | CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
    })
}

/// Bytes of no class that plain values are made of, without a branch: the compiler does 16 of them at once.
const fn is_plain(byte: u8) -> bool {
    (byte.wrapping_sub(b',') < 2)
        | (byte.wrapping_sub(b'0') < 11)
        | (byte.wrapping_sub(b'@') < 27)
        | (byte.wrapping_sub(b'a') < 26)
        | (byte == b'~')
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
pub(super) fn has_at(bytes: &[u8], at: usize, word: &[u8]) -> bool {
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
    fn what_is_plain_has_no_class() {
        for byte in 0..=255 {
            let quiet = QUIET.iter().find(|(quiet, _)| *quiet == byte);
            assert_eq!(is_quiet(byte), quiet.is_some(), "{byte:#x}");
            if let Some((_, single)) = quiet {
                assert_eq!(class(byte), *single, "{byte:#x}");
            } else if is_plain(byte) {
                assert_eq!(class(byte), 0, "{byte:#x}");
            } else if class(byte) == 0 {
                assert!(byte >= 0x80, "{byte:#x}");
            }
        }
    }

    #[test]
    fn many_at_once_are_as_one_by_one() {
        let mut bytes = [b'a'; 50];
        for at in 0..bytes.len() {
            for byte in 0..=255 {
                let before = core::mem::replace(&mut bytes[at], byte);
                assert_eq!(classes(&bytes), each(&bytes), "{byte:#x} at {at}");
                bytes[at] = before;
            }
        }
    }
}
