//! Byte classes and small readers shared by the detectors.
//!
//! **In:** bytes. **Out:** class bits, single bytes past the end as NUL.
//! **Invariant:** no reader can leave its slice.
//! **Cost:** [`classes`] is one table look-up and one `or` a byte: what proves that most values are plain.

/// `%`: something may be URL-encoded.
pub(super) const PERCENT: u16 = 1;
/// `+`: a blank in forms.
pub(super) const PLUS: u16 = 1 << 1;
/// `&`.
pub(super) const AMP: u16 = 1 << 2;
/// `\`.
pub(super) const BACKSLASH: u16 = 1 << 3;
/// Lead bytes of overlong and full-width UTF-8.
pub(super) const WIDE: u16 = 1 << 4;
/// `'`, `"`, backtick.
pub(super) const QUOTE: u16 = 1 << 5;
/// `<`, `>`.
pub(super) const ANGLE: u16 = 1 << 6;
/// `(`, `)`, `{`, `}`, `[`, `]`.
pub(super) const PAREN: u16 = 1 << 7;
/// `=`, `*`, `!`, `^`, `?`.
pub(super) const OPERATOR: u16 = 1 << 8;
/// `;`, `|`, `$`.
pub(super) const SHELL: u16 = 1 << 9;
/// `/`.
pub(super) const SLASH: u16 = 1 << 10;
/// Blank.
pub(super) const BLANK: u16 = 1 << 11;
/// `#`.
pub(super) const HASH: u16 = 1 << 12;
/// Line ends and tabs.
pub(super) const LINE: u16 = 1 << 13;
/// Other control bytes.
pub(super) const CONTROL: u16 = 1 << 14;

/// What may hide other bytes.
pub(super) const ENCODED: u16 = PERCENT | AMP | BACKSLASH | WIDE;

const fn class(byte: u8) -> u16 {
    match byte {
        b'%' => PERCENT,
        b'+' => PLUS,
        b'&' => AMP,
        b'\\' => BACKSLASH,
        0xC0 | 0xC1 | 0xE0 | 0xEF | 0xF0 => WIDE,
        b'\'' | b'"' | b'`' => QUOTE,
        b'<' | b'>' => ANGLE,
        b'(' | b')' | b'{' | b'}' | b'[' | b']' => PAREN,
        b'=' | b'*' | b'!' | b'^' | b'?' => OPERATOR,
        b';' | b'|' | b'$' => SHELL,
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
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "runs while compiling: a fault is a build error"
)]
static CLASSES: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = class(byte as u8);
        byte += 1;
    }
    table
};

/// The union of the classes of all bytes.
pub(super) fn classes(bytes: &[u8]) -> u16 {
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

/// Whether `bytes` has `word` (lower case) at `at`, ASCII case ignored.
pub(super) fn has_at(bytes: &[u8], at: usize, word: &[u8]) -> bool {
    bytes
        .get(at..at.saturating_add(word.len()))
        .is_some_and(|part| part.eq_ignore_ascii_case(word))
}

/// Whether `bytes` contains `word` (lower case), ASCII case ignored. `word` is short and constant.
pub(super) fn contains(bytes: &[u8], word: &[u8]) -> bool {
    !word.is_empty()
        && bytes
            .windows(word.len())
            .any(|part| part.eq_ignore_ascii_case(word))
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
