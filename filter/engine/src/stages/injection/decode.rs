//! Decoding as bounded, linear steps into reused buffers.
//!
//! **In:** a raw value. **Out:** the natural view (what a form reader sees) and, if more hides in it, the deep view.
//! **Invariant:** the output of a round is never longer than its input (an entity or escape is longer than what it stands for).
//! **Cost:** a round is one pass; at most [`MAX_DECODE_ROUNDS`] rounds; allocates only when something was encoded.

use alloc::vec::Vec;

use super::bytes::{byte, next, rest};
use super::places::{Places, Set};
use super::{lanes, spend};
use crate::budget::MAX_DECODE_ROUNDS;

/// URL-decodes once, `+` as a blank when `plus`, as `application/x-www-form-urlencoded` says. Broken escapes stay as they are.
pub(super) fn form(input: &[u8], plus: bool, out: &mut Vec<u8>) {
    out.clear();
    out.reserve(input.len());
    let mut at = 0;
    while let Some(&head) = input.get(at) {
        let (value, taken) = match head {
            b'%' => percent(input, at).map_or((head, 1), |value| (value, 3)),
            b'+' if plus => (b' ', 1),
            _ => (head, 1),
        };
        out.push(value);
        at = at.saturating_add(taken);
    }
}

/// Undoes what may be nested in a value until nothing changes. Returns whether `out` differs from `input`, and
/// whether it would still change.
pub(super) fn deep(input: &[u8], out: &mut Vec<u8>, spare: &mut Vec<u8>, steps: &mut u64) -> Deep {
    if !round(input, out) {
        return Deep::Same;
    }
    let mut before = input.len();
    for _ in 1..MAX_DECODE_ROUNDS {
        // A pass, and what was undone: an escape is looked up in several lists.
        let undone = before.saturating_sub(out.len());
        before = out.len();
        spend(steps, before.saturating_add(undone));
        if *steps == 0 || !round(out, spare) {
            return Deep::Changed;
        }
        core::mem::swap(out, spare);
    }
    if round(out, spare) && url_encoded(out) {
        Deep::Endless
    } else {
        Deep::Changed
    }
}

/// What [`deep`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deep {
    /// Nothing was encoded.
    Same,
    /// Something was, and all is undone.
    Changed,
    /// Still URL-encoded after the last round.
    Endless,
}

/// Which encodings a round would undo, as bits.
fn encodings(input: &[u8]) -> u8 {
    let found = input.iter().enumerate().filter_map(|(at, &head)| {
        undo(input, at, head)?;
        Some(match head {
            b'%' if percent(input, at).is_some() => 1,
            b'%' => 2,
            b'&' => 4,
            b'\\' => 8,
            _ => 16,
        })
    });
    found.fold(0, |all, bit| all | bit)
}

/// Names of what [`encodings`] finds.
const ENCODINGS: [(u8, &[u8]); 5] = [
    (1, b"percent"),
    (2, b"%u"),
    (4, b"html entity"),
    (8, b"backslash escape"),
    (16, b"odd utf-8"),
];

/// One step that [`form`] and [`deep`] take with a value: what it undid, and what it left.
pub(super) fn steps(
    raw: &[u8],
    percent_coded: bool,
    plus: bool,
    mut each: impl FnMut(Vec<u8>, &[u8]),
) -> Vec<u8> {
    let mut view = Vec::new();
    view.extend_from_slice(raw);
    let has = |byte| raw.contains(&byte);
    if (percent_coded && has(b'%')) || (plus && has(b'+')) {
        form(raw, plus, &mut view);
        if view != raw {
            let mut by = Vec::new();
            if percent_coded
                && (0..raw.len()).any(|at| byte(raw, at) == b'%' && percent(raw, at).is_some())
            {
                by.extend_from_slice(b"percent");
            }
            if plus && has(b'+') {
                by.extend_from_slice(if by.is_empty() { b"plus" } else { b", plus" });
            }
            each(by, &view);
        }
    }
    let mut next = Vec::new();
    for _ in 0..MAX_DECODE_ROUNDS {
        let bits = encodings(&view);
        if !round(&view, &mut next) {
            break;
        }
        core::mem::swap(&mut view, &mut next);
        let mut by = Vec::new();
        for (bit, name) in ENCODINGS {
            if bits & bit != 0 {
                if !by.is_empty() {
                    by.extend_from_slice(b", ");
                }
                by.extend_from_slice(name);
            }
        }
        each(by, &view);
    }
    view
}

fn url_encoded(input: &[u8]) -> bool {
    input
        .iter()
        .enumerate()
        .any(|(at, &head)| head == b'%' && percent(input, at).is_some())
}

/// Bytes that an encoding may start with (`bytes::ENCODED`).
static CODES: Set = Set::of(b"%&\\\xC0\xC1\xE0\xEF\xF0");

/// One round over all encodings; whether anything changed (`out` is empty if not).
fn round(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut codes = Places::of(input, &CODES);
    let mut at = 0_usize;
    // Where what is not copied yet begins: nothing is before there is something to undo.
    let mut from = 0_usize;
    while let Some(start) = codes.from(at) {
        at = start;
        let Some((value, taken)) = undo(input, at, byte(input, at)) else {
            at = at.saturating_add(1);
            continue;
        };
        if from < at {
            out.extend_from_slice(input.get(from..at).unwrap_or(&[]));
        }
        out.push(value);
        at = at.saturating_add(taken);
        from = at;
    }
    if from == 0 {
        return false;
    }
    out.extend_from_slice(rest(input, from));
    true
}

/// What the encoding that starts at `at` stands for, and its length.
fn undo(input: &[u8], at: usize, head: u8) -> Option<(u8, usize)> {
    match head {
        b'%' => percent_or_unicode(input, at),
        b'&' => entity(input, at),
        b'\\' => escape(input, at),
        0xC0 | 0xC1 | 0xE0 | 0xEF | 0xF0 => wide(input, at),
        _ => None,
    }
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        b'A'..=b'F' => Some(digit.wrapping_sub(b'A').wrapping_add(10)),
        _ => None,
    }
}

fn hex_pair(input: &[u8], at: usize) -> Option<u8> {
    let high = hex(byte(input, at))?;
    let low = hex(byte(input, at.saturating_add(1)))?;
    Some((high << 4) | low)
}

fn percent(input: &[u8], at: usize) -> Option<u8> {
    hex_pair(input, at.saturating_add(1))
}

/// `%41`, and IIS's `%u0041`.
fn percent_or_unicode(input: &[u8], at: usize) -> Option<(u8, usize)> {
    if let Some(value) = percent(input, at) {
        return Some((value, 3));
    }
    unicode(input, at)
}

/// `\u0041` and `%u0041` when they stand for ASCII or full-width ASCII.
fn unicode(input: &[u8], at: usize) -> Option<(u8, usize)> {
    if !matches!(byte(input, at.saturating_add(1)), b'u' | b'U') {
        return None;
    }
    let high = hex_pair(input, at.saturating_add(2))?;
    let low = hex_pair(input, at.saturating_add(4))?;
    match (high, low) {
        (0, 0..=0x7F) => Some((low, 6)),
        (0xFF, 0x01..=0x5E) => Some((low.wrapping_add(0x20), 6)),
        // Look-alikes that best-fit mappings turn into ASCII.
        (0x22, 0x15 | 0x16) => Some((if low == 0x15 { b'/' } else { b'\\' }, 6)),
        (0x20, 0x24) => Some((b'.', 6)),
        (0x20, 0x18 | 0x19) | (0x02, 0xB9 | 0xBC) => Some((b'\'', 6)),
        _ => None,
    }
}

/// `\u0041`, `\x41`; a plain backslash stays.
fn escape(input: &[u8], at: usize) -> Option<(u8, usize)> {
    match byte(input, at.saturating_add(1)) {
        b'u' | b'U' if byte(input, at.saturating_add(2)) == b'{' => code_point(input, at),
        b'u' | b'U' => unicode(input, at),
        b'x' | b'X' => {
            let value = hex_pair(input, at.saturating_add(2))?;
            Some((value, 4))
        }
        b'0'..=b'7' => octal(input, at).or_else(|| of_style(input, at)),
        _ => None,
    }
}

/// `\u{3c}`.
fn code_point(input: &[u8], at: usize) -> Option<(u8, usize)> {
    let (value, digits) = hex_digits(input, at.saturating_add(3));
    let end = at.saturating_add(3).saturating_add(digits);
    if digits == 0 || byte(input, end) != b'}' {
        return None;
    }
    let length = end.saturating_sub(at).saturating_add(1);
    Some((printable(value)?, length))
}

/// `\101`: JavaScript's and the shells' octal escapes, of three digits.
fn octal(input: &[u8], at: usize) -> Option<(u8, usize)> {
    let mut value = 0_u32;
    for &digit in rest(input, at.saturating_add(1)).iter().take(3) {
        let digit = hex(digit).filter(|digit| *digit < 8)?;
        value = (value << 3) | u32::from(digit);
    }
    let value = match value {
        // `\040`: blanks are letters of a cookie and of a shell's word.
        9 | 10 | 13 | 32 => u8::try_from(value).ok()?,
        other => printable(other)?,
    };
    Some((value, 4))
}

/// `\3c `, `\00003c`: a style sheet's escapes, of two to six digits and a blank that belongs to them.
fn of_style(input: &[u8], at: usize) -> Option<(u8, usize)> {
    let (value, digits) = hex_digits(input, at.saturating_add(1));
    if digits < 2 {
        return None;
    }
    let mut length = digits.saturating_add(1);
    if byte(input, at.saturating_add(length)) == b' ' {
        length = length.saturating_add(1);
    }
    Some((printable(value)?, length))
}

/// Up to six hex digits, and how many there are.
fn hex_digits(input: &[u8], at: usize) -> (u32, usize) {
    let (mut value, mut digits) = (0_u32, 0_usize);
    for &digit in rest(input, at).iter().take(6) {
        let Some(digit) = hex(digit) else { break };
        value = (value << 4) | u32::from(digit);
        digits = digits.saturating_add(1);
    }
    (value, digits)
}

/// ASCII that shows.
fn printable(value: u32) -> Option<u8> {
    u8::try_from(value).ok().filter(u8::is_ascii_graphic)
}

/// Names of brackets behind their first letter, `l` or `r`.
const BRACKETS: [(&[u8], [u8; 2]); 5] = [
    (b"par;", *b"()"),
    (b"brack;", *b"[]"),
    (b"sqb;", *b"[]"),
    (b"brace;", *b"{}"),
    (b"cub;", *b"{}"),
];

/// Numeric character references (with or without `;`) and the named ones that matter.
fn entity(input: &[u8], at: usize) -> Option<(u8, usize)> {
    if byte(input, at.saturating_add(1)) == b'#' {
        return numeric(input, at);
    }
    let name = input
        .get(at..at.saturating_add(9))
        .unwrap_or_else(|| rest(input, at));
    let after = at.saturating_add(1);
    if !name.contains(&b';') {
        // Three of the names that HTML knows without their end.
        const BARE: [(&[u8], u8); 3] = [(b"lt", b'<'), (b"gt", b'>'), (b"quot", b'"')];
        return BARE
            .iter()
            .find(|(name, _)| {
                let behind = byte(input, after.saturating_add(name.len()));
                super::bytes::has_at(input, after, name)
                    && !behind.is_ascii_alphanumeric()
                    && behind != b'='
            })
            .map(|(name, value)| (*value, name.len().saturating_add(1)));
    }
    let first = byte(input, after) | 0x20;
    if matches!(first, b'l' | b'r')
        && let Some((name, [left, right])) = BRACKETS
            .iter()
            .find(|(name, _)| super::bytes::has_at(input, after.saturating_add(1), name))
    {
        let value = if first == b'l' { left } else { right };
        return Some((*value, name.len().saturating_add(2)));
    }
    // By their first letter.
    let named: &[(&[u8], u8)] = match first {
        b'a' => &[(b"apos;", b'\''), (b"amp;", b'&'), (b"ast;", b'*')],
        b'b' => &[(b"bsol;", b'\\')],
        b'c' => &[(b"colon;", b':'), (b"comma;", b','), (b"commat;", b'@')],
        b'd' => &[(b"dollar;", b'$')],
        b'e' => &[(b"equals;", b'='), (b"excl;", b'!')],
        b'g' => &[(b"gt;", b'>'), (b"grave;", b'`')],
        b'h' => &[(b"hat;", b'^')],
        b'l' => &[(b"lt;", b'<'), (b"lowbar;", b'_')],
        b'm' => &[(b"midast;", b'*')],
        b'n' => &[(b"newline;", b'\n'), (b"nbsp;", b' '), (b"num;", b'#')],
        b'p' => &[(b"period;", b'.'), (b"percnt;", b'%'), (b"plus;", b'+')],
        b'q' => &[(b"quot;", b'"'), (b"quest;", b'?')],
        b's' => &[(b"sol;", b'/'), (b"semi;", b';')],
        b't' => &[(b"tab;", b'\t')],
        b'v' => &[(b"vert;", b'|'), (b"verbar;", b'|')],
        _ => return None,
    };
    named
        .iter()
        .find(|(name, _)| super::bytes::has_at(input, after, name))
        .map(|(name, value)| (*value, name.len().saturating_add(1)))
}

fn numeric(input: &[u8], at: usize) -> Option<(u8, usize)> {
    let (code, length) = reference(input, at)?;
    let value = match code {
        1..=0xFF => u8::try_from(code).ok()?,
        0xFF01..=0xFF5E => u8::try_from(code.wrapping_sub(0xFEE0)).ok()?,
        _ => return None,
    };
    Some((value, length))
}

/// The code point of `&#60;` or `&#x3C;`, with or without `;`, and its length.
fn reference(input: &[u8], at: usize) -> Option<(u32, usize)> {
    let mut next = at.saturating_add(2);
    let base = if matches!(byte(input, next), b'x' | b'X') {
        next = next.saturating_add(1);
        16_u32
    } else {
        10
    };
    // As many zeros as one likes stand before it.
    let zeros = rest(input, next).iter().position(|&byte| byte != b'0');
    let zeros = zeros.unwrap_or_default();
    next = next.saturating_add(zeros);
    let mut value = 0_u32;
    let mut digits = u8::from(zeros > 0);
    for &digit in rest(input, next).iter().take(10) {
        let Some(number) = hex(digit).map(u32::from).filter(|&number| number < base) else {
            break;
        };
        value = value.saturating_mul(base).saturating_add(number);
        digits = digits.saturating_add(1);
        next = next.saturating_add(1);
    }
    if digits == 0 {
        return None;
    }
    if byte(input, next) == b';' {
        next = next.saturating_add(1);
    }
    Some((value, next.saturating_sub(at)))
}

/// Undoes what XML lets a text write otherwise: character references and the five entities that need no declaration. `false`, and
/// `out` is of no use, when there is none.
pub(super) fn xml(input: &[u8], out: &mut Vec<u8>) -> bool {
    const NAMED: [(&[u8], u8); 5] = [
        (b"&lt;", b'<'),
        (b"&gt;", b'>'),
        (b"&quot;", b'"'),
        (b"&apos;", b'\''),
        (b"&amp;", b'&'),
    ];
    if !input.contains(&b'&') {
        return false;
    }
    out.clear();
    let mut at = 0;
    while let Some(&head) = input.get(at) {
        let mut taken = 1;
        if head != b'&' {
            out.push(head);
        } else if let Some((name, value)) = NAMED
            .iter()
            .find(|(name, _)| rest(input, at).starts_with(name))
        {
            out.push(*value);
            taken = name.len();
        } else if let Some((code, length)) = reference(input, at)
            .filter(|_| byte(input, at.saturating_add(1)) == b'#')
            .and_then(|(code, length)| Some((char::from_u32(code)?, length)))
        {
            out.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
            taken = length;
        } else {
            out.push(head);
        }
        at = at.saturating_add(taken);
    }
    true
}

/// Overlong forms of ASCII and full-width ASCII (U+FF01–FF5E).
fn wide(input: &[u8], at: usize) -> Option<(u8, usize)> {
    let b1 = byte(input, at.saturating_add(1));
    let b2 = byte(input, at.saturating_add(2));
    let b3 = byte(input, at.saturating_add(3));
    match byte(input, at) {
        // A lenient decoder drops the high bits of whatever follows.
        lead @ (0xC0 | 0xC1) if b1 & 0x80 != 0 => Some((((lead & 1) << 6) | (b1 & 0x3F), 2)),
        0xC0 | 0xC1 if matches!(b1, b'/' | b'\\' | b'.') => Some((b1, 2)),
        0xE0 if matches!(b1, 0x80 | 0x81) && b2 & 0xC0 == 0x80 => {
            Some((((b1 & 1) << 6) | (b2 & 0x3F), 3))
        }
        0xF0 if b1 == 0x80 && matches!(b2, 0x80 | 0x81) && b3 & 0xC0 == 0x80 => {
            Some((((b2 & 1) << 6) | (b3 & 0x3F), 4))
        }
        0xEF if b1 == 0xBC && matches!(b2, 0x81..=0xBF) => Some((b2.wrapping_sub(0x60), 3)),
        0xEF if b1 == 0xBD && matches!(b2, 0x80..=0x9E) => Some((b2.wrapping_sub(0x20), 3)),
        _ => None,
    }
}

const fn sextet(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter.wrapping_sub(b'A')),
        b'a'..=b'z' => Some(letter.wrapping_sub(b'a').wrapping_add(26)),
        b'0'..=b'9' => Some(letter.wrapping_sub(b'0').wrapping_add(52)),
        b'+' | b'-' | b' ' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// A byte of text; NUL too, which old readers of mark-up drop.
const fn is_printable(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7E | b'\t' | b'\n' | b'\r' | 0)
}

/// UTF-7 (RFC 2152): `+ADw-` is `<`. `false` when nothing that shows is written so.
pub(super) fn utf7(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut at = 0_usize;
    // Where what is not copied yet begins: nothing is before there is something to undo.
    let mut from = 0_usize;
    while let Some(sign) = next(input, at, |byte| byte == b'+') {
        at = sign.saturating_add(1);
        let run = rest(input, at);
        if shifted(run, &mut |_| {}) == 0 {
            continue;
        }
        out.extend_from_slice(input.get(from..sign).unwrap_or(&[]));
        at = at.saturating_add(shifted(run, &mut |letter| out.push(letter)));
        from = at;
    }
    out.extend_from_slice(rest(input, from));
    from > 0
}

/// What stands between `+` and `-`: its length, or 0 when it is not ASCII that shows.
fn shifted(input: &[u8], write: &mut impl FnMut(u8)) -> usize {
    let (mut bits, mut held, mut taken) = (0_u32, 0_u8, 0_usize);
    let mut written = false;
    for &letter in input.iter().take(MAX_SHIFTED) {
        let Some(value) =
            sextet(letter).filter(|_| letter.is_ascii_alphanumeric() || letter == b'/')
        else {
            taken = taken.saturating_add(usize::from(letter == b'-'));
            break;
        };
        taken = taken.saturating_add(1);
        bits = (bits << 6) | u32::from(value);
        held = held.wrapping_add(6);
        if held >= 16 {
            held = held.wrapping_sub(16);
            let Some(unit) = printable((bits >> (held & 15)) & 0xFFFF) else {
                return 0;
            };
            write(unit);
            written = true;
        }
    }
    if written { taken } else { 0 }
}

/// Letters of one shifted run.
const MAX_SHIFTED: usize = 256;

/// Whether a body may be UTF-16, big and little end first: by its mark, or by four letters of ASCII in it (of a short
/// one two).
pub(super) fn utf16_sides(input: &[u8]) -> [bool; 2] {
    match input {
        [0xFE, 0xFF, ..] => return [true, false],
        [0xFF, 0xFE, ..] => return [false, true],
        _ if !lanes::has(input, 0) => return [false, false],
        _ => {}
    }
    let (pairs, _) = input.as_chunks::<2>();
    let seen = pairs
        .iter()
        .fold([0_usize; 2], |[big, little], pair| match pair {
            [0, 1..=0x7F] => [big.saturating_add(1), little],
            [1..=0x7F, 0] => [big, little.saturating_add(1)],
            _ => [big, little],
        });
    let least = if pairs.len() < 8 { 2 } else { 4 };
    seen.map(|letters| letters >= least)
}

/// UTF-16 as UTF-8, its mark left out.
pub(super) fn utf16(input: &[u8], big: bool, out: &mut Vec<u8>) {
    let text = match input {
        [0xFE, 0xFF, text @ ..] | [0xFF, 0xFE, text @ ..] => text,
        text => text,
    };
    out.clear();
    let (pairs, _) = text.as_chunks::<2>();
    let units = pairs.iter().map(|pair| {
        if big {
            u16::from_be_bytes(*pair)
        } else {
            u16::from_le_bytes(*pair)
        }
    });
    for letter in char::decode_utf16(units) {
        let letter = letter.unwrap_or(char::REPLACEMENT_CHARACTER);
        out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Base64 of anything.
pub(super) fn binary(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let input = unpadded(input);
    let (mut bits, mut held) = (0_u32, 0_u8);
    for &letter in input {
        let Some(value) = sextet(letter) else {
            return false;
        };
        bits = (bits << 6) | u32::from(value);
        held = held.wrapping_add(6);
        if held >= 8 {
            held = held.wrapping_sub(8);
            out.push(((bits >> (held & 7)) & 0xFF).to_le_bytes()[0]);
        }
    }
    true
}

/// Base64 (either alphabet, padded or not) that holds text, also in UTF-16. Random tokens fail within a few letters. What is no letter
/// of it is passed over, as PHP, Python and Node do.
pub(super) fn base64(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let input = unpadded(input);
    if input.len() < MIN_BASE64 {
        return false;
    }
    let mut bits = 0_u32;
    let mut held = 0_u8;
    // A zero behind every letter.
    let mut zeros = 0_usize;
    // Signs between letters; more of them are a text of another kind.
    let mut strange = 0_usize;
    for &letter in input {
        let Some(value) = sextet(letter) else {
            strange = strange.saturating_add(1);
            if letter == b'=' || strange > MAX_STRANGE.saturating_add(out.len()) {
                return false;
            }
            continue;
        };
        bits = (bits << 6) | u32::from(value);
        held = held.wrapping_add(6);
        if held >= 8 {
            held = held.wrapping_sub(8);
            let byte = u8::try_from((bits >> (held & 7)) & 0xFF).unwrap_or(0);
            if byte == 0 && zeros.saturating_add(1) == out.len() {
                zeros = zeros.saturating_add(1);
                continue;
            }
            if !is_printable(byte) {
                return false;
            }
            out.push(byte);
        }
    }
    out.len() >= MIN_TEXT && (zeros == 0 || zeros.saturating_add(1) >= out.len())
}

/// Signs that are no letters of base64 before its first letter.
const MAX_STRANGE: usize = 4;

/// Bytes of text that base64 stands for at least.
const MIN_TEXT: usize = 8;

/// Base64 without what fills it up.
fn unpadded(input: &[u8]) -> &[u8] {
    let input = input.trim_ascii();
    let end = input
        .iter()
        .rposition(|&byte| byte != b'=')
        .map_or(0, |at| at.saturating_add(1));
    input.get(..end).unwrap_or(input)
}

/// Letters below which base64 is not looked for: shorter texts are words by chance.
pub(super) const MIN_BASE64: usize = 11;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{Deep, deep};

    #[test]
    fn brackets_have_names_on_both_sides() {
        let undone = |text: &str| {
            let (mut out, mut spare) = (Vec::new(), Vec::new());
            let found = deep(text.as_bytes(), &mut out, &mut spare, &mut 1000);
            (found, String::from_utf8_lossy(&out).into_owned())
        };
        for (name, left, right) in [
            ("par", '(', ')'),
            ("brack", '[', ']'),
            ("sqb", '[', ']'),
            ("brace", '{', '}'),
            ("cub", '{', '}'),
        ] {
            let text = format!("a&l{name};1&R{name};&LT;");
            assert_eq!(undone(&text), (Deep::Changed, format!("a{left}1{right}<")));
        }
        for text in ["&xpar;", "&lpar", "&rt;", "&l;", "&r"] {
            assert_eq!(undone(text).0, Deep::Same, "{text}");
        }
    }
}
