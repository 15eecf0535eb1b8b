//! What the C-like languages have in common: words, gaps with comments, calls, strings that are joined.
//!
//! **In:** a decoded value and a position. **Out:** what stands around the position.
//! **Invariant:** two names side by side are no code in any of these languages, so a call behind a plain word is a mention.
//! **Cost:** every look is bounded by a constant ([`REACH`]).

use super::bytes::{byte, folded, has_at, is_space, is_word, part, rest, upto};
use super::words::{Key, Words};

/// Bytes looked at on either side of a position.
const REACH: usize = 64;

/// What stands between a name and its bracket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// Nothing.
    None,
    /// One blank, as in a sentence.
    Blank,
    /// More: line ends, comments.
    Odd,
}

/// Skips blanks and comments from `at` on.
#[inline]
pub(super) fn gap(value: &[u8], at: usize) -> (usize, Gap) {
    let here = byte(value, at);
    if here == b'#' || here == b'/' || is_space(here) {
        skip(value, at)
    } else {
        (at, Gap::None)
    }
}

#[inline(never)]
fn skip(value: &[u8], at: usize) -> (usize, Gap) {
    let limit = at.saturating_add(REACH);
    let mut next = at;
    while next < limit {
        let here = byte(value, next);
        let second = byte(value, next.saturating_add(1));
        if is_space(here) {
            next = next.saturating_add(1);
        } else if here == b'/' && second == b'*' {
            let Some(end) = within(value, next.saturating_add(2), b"*/") else {
                break;
            };
            next = end;
        } else if here == b'#' || (here == b'/' && second == b'/') {
            let Some(end) = within(value, next, b"\n") else {
                break;
            };
            next = end;
        } else {
            break;
        }
    }
    let kind = match next.saturating_sub(at) {
        0 => Gap::None,
        1 if byte(value, at) == b' ' => Gap::Blank,
        _ => Gap::Odd,
    };
    (next, kind)
}

/// Whether [`gap`] may lead to a bracket from what stands behind a word: where it is no bracket, blanks and a comment must be.
pub(super) fn may_call(behind: &[u8]) -> bool {
    let blanks = behind.first().is_some_and(|&byte| is_space(byte));
    let sign = if blanks {
        upto(behind, REACH.saturating_add(1))
            .iter()
            .find(|byte| !is_space(**byte))
    } else {
        behind.first()
    };
    matches!(sign, Some(b'(' | b'#' | b'/'))
}

/// The end of `text` (one or two bytes) within reach of `from`.
fn within(value: &[u8], from: usize, text: &[u8]) -> Option<usize> {
    let (&first, second) = text.split_first()?;
    let tail = part(value, from, REACH);
    let mut at = 0_usize;
    while let Some(step) = rest(tail, at).iter().position(|&byte| byte == first) {
        at = at.saturating_add(step).saturating_add(1);
        if rest(tail, at).starts_with(second) {
            return Some(from.saturating_add(at).saturating_add(second.len()));
        }
    }
    None
}

/// A text of many lines, where programs are quoted; empty lines make none.
pub(super) fn is_document(value: &[u8]) -> bool {
    const LINES: usize = 4;
    let lines = value
        .split(|&byte| byte == b'\n')
        .filter(|line| line.len() >= 8);
    super::bytes::tally(lines.take(LINES)) == LINES
}

/// Whether a text goes on in a line behind the first; one that begins with a bracket belongs to the call before it.
pub(super) fn has_lines(value: &[u8]) -> bool {
    let mut lines = value.split(|&byte| byte == b'\n');
    lines.next();
    lines.any(|line| {
        let first = line.trim_ascii_start().first();
        first.is_some_and(|&first| first != b'(')
    })
}

/// The end of the word that starts at `at`, and its key.
pub(super) fn word(value: &[u8], at: usize) -> (usize, Key) {
    let mut key = Key::EMPTY;
    let mut end = at;
    for &letter in rest(value, at) {
        let letter = folded(letter);
        if letter == 0 {
            break;
        }
        key.push_folded(letter);
        end = end.saturating_add(1);
    }
    (end, key)
}

/// Whether no word reaches into `at` from before.
pub(super) fn starts(value: &[u8], at: usize) -> bool {
    at.checked_sub(1)
        .is_none_or(|before| !is_word(byte(value, before)) && byte(value, before) != b'$')
}

const KEYWORD: u8 = 1;

/// Words after which an expression may stand, in PHP, JavaScript, Java, Python or Ruby.
static KEYWORDS: Words<128> = Words::new(&[
    (b"and", KEYWORD),
    (b"await", KEYWORD),
    (b"case", KEYWORD),
    (b"clone", KEYWORD),
    (b"delete", KEYWORD),
    (b"die", KEYWORD),
    (b"do", KEYWORD),
    (b"echo", KEYWORD),
    (b"else", KEYWORD),
    (b"in", KEYWORD),
    (b"instanceof", KEYWORD),
    (b"lambda", KEYWORD),
    (b"new", KEYWORD),
    (b"not", KEYWORD),
    (b"or", KEYWORD),
    (b"print", KEYWORD),
    (b"return", KEYWORD),
    (b"throw", KEYWORD),
    (b"typeof", KEYWORD),
    (b"void", KEYWORD),
    (b"xor", KEYWORD),
    (b"yield", KEYWORD),
    (b"include", KEYWORD),
    (b"include_once", KEYWORD),
    (b"require", KEYWORD),
    (b"require_once", KEYWORD),
]);

/// Whether what stands before `at` is a sentence, whose next word would start at `at`.
pub(super) fn in_sentence(value: &[u8], at: usize) -> bool {
    let mut end = at;
    // A quote, a backtick, a bracket: how sentences mark a mention.
    for _ in 0..3 {
        let Some(before) = end.checked_sub(1) else {
            return false;
        };
        if !matches!(
            byte(value, before),
            b'"' | b'\'' | b'`' | b'*' | b'(' | b'<' | b'[' | b'\\' | b'@'
        ) {
            break;
        }
        end = before;
    }
    let Some(blank) = end.checked_sub(1).filter(|&at| byte(value, at) == b' ') else {
        return false;
    };
    let mut end = blank;
    for _ in 0..8 {
        match end.checked_sub(1) {
            Some(before) if byte(value, before) == b' ' => end = before,
            _ => break,
        }
    }
    let Some(last) = end.checked_sub(1) else {
        return false;
    };
    match byte(value, last) {
        letter if is_word(letter) => plain_word(value, end).is_some(),
        // `Use this, exec(…)` has two words before its comma; `f(a, exec(…))` has not.
        b',' | b':' | b'.' | b'?' | b'!' => plain_word(value, last).is_some_and(|start| {
            start
                .checked_sub(1)
                .filter(|&blank| byte(value, blank) == b' ')
                .is_some_and(|blank| plain_word(value, blank).is_some())
        }),
        _ => false,
    }
}

/// The start of the word that ends at `end`, when it is one of a sentence: letters, and no keyword of a language.
fn plain_word(value: &[u8], end: usize) -> Option<usize> {
    let text = value.get(..end)?;
    let text = text.get(end.saturating_sub(24)..)?;
    let from = text.iter().rposition(|&letter| {
        !(letter.is_ascii_alphabetic() || matches!(letter, b'\'' | b'-') || letter >= 0x80)
    });
    let length = from.map_or(text.len(), |at| {
        text.len().saturating_sub(at).saturating_sub(1)
    });
    let start = end.saturating_sub(length);
    if length == 0 || length >= 24 {
        return None;
    }
    let before = start.checked_sub(1).map_or(b' ', |at| byte(value, at));
    if matches!(before, b'$' | b'\\' | b'_' | b'?') {
        return None;
    }
    let (_, key) = word(value.get(..end).unwrap_or(value), start);
    (KEYWORDS.kind(key) == 0).then_some(start)
}

/// What stands in the brackets of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arguments {
    /// Nothing.
    None,
    /// The value ends.
    Open,
    /// One name or path.
    Name,
    /// A string, a variable, a number, an expression.
    Code,
    /// Words.
    Text,
}

/// The arguments behind the bracket at `open`, and the position behind the closing bracket when it is within reach.
pub(super) fn arguments(value: &[u8], open: usize) -> (Arguments, Option<usize>) {
    let (start, _) = gap(value, open.saturating_add(1));
    (kind(value, start), close(value, open))
}

/// What the arguments are that start at `start`.
fn kind(value: &[u8], start: usize) -> Arguments {
    match byte(value, start) {
        b')' => Arguments::None,
        0 if start >= value.len() => Arguments::Open,
        letter if letter.is_ascii_alphabetic() || letter >= 0x80 => {
            let name = part(value, start, REACH);
            let end = name
                .iter()
                .position(|&letter| {
                    !is_word(letter) && !matches!(letter, b'.' | b'/' | b'-' | b':' | b'\\')
                })
                .unwrap_or(name.len());
            let (next, _) = gap(value, start.saturating_add(end));
            match byte(value, next) {
                b')' => Arguments::Name,
                b'(' | b',' | b'.' | b'[' | b'+' | b';' | b'=' => Arguments::Code,
                0 => Arguments::Name,
                _ => Arguments::Text,
            }
        }
        _ => Arguments::Code,
    }
}

/// What a byte means for a closer: 0 nothing, else [`OPENS`], [`CLOSES`] or [`QUOTES`].
#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "runs while compiling: a fault is a build error"
)]
static PAIRS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'(' | b'[' | b'{' => OPENS,
            b')' | b']' | b'}' => CLOSES,
            b'"' | b'\'' | b'`' => QUOTES,
            _ => 0,
        };
        byte += 1;
    }
    table
};
const OPENS: u8 = 1;
const CLOSES: u8 = 2;
const QUOTES: u8 = 3;

/// The position behind the bracket that closes the one at `open`.
fn close(value: &[u8], open: usize) -> Option<usize> {
    let text = part(value, open, REACH);
    let mut left = text;
    let mut depth = 0_u8;
    while let Some((&here, after)) = left.split_first() {
        left = after;
        match PAIRS.get(usize::from(here)).copied().unwrap_or(0) {
            0 => {}
            OPENS => depth = depth.wrapping_add(1),
            CLOSES => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    let length = text.len().saturating_sub(left.len());
                    return Some(open.saturating_add(length));
                }
            }
            _ => left = behind_string(left, here)?,
        }
    }
    None
}

/// What follows the string whose first quote stands before `text`.
fn behind_string(text: &[u8], quote: u8) -> Option<&[u8]> {
    let mut left = text;
    loop {
        let step = left
            .iter()
            .position(|&byte| byte == quote || byte == b'\\')?;
        if byte(left, step) == quote {
            return left.get(step.saturating_add(1)..);
        }
        left = left.get(step.saturating_add(2)..)?;
    }
}

/// Whether a sentence goes on at `at`, behind a call.
pub(super) fn goes_on(value: &[u8], at: usize) -> bool {
    let mut at = at;
    for _ in 0..3 {
        if !matches!(
            byte(value, at),
            b'"' | b'\'' | b'`' | b'*' | b',' | b'.' | b'?' | b'!' | b':' | b')'
        ) {
            break;
        }
        at = at.saturating_add(1);
    }
    if byte(value, at) != b' ' {
        return false;
    }
    let start = at.saturating_add(1);
    // Words of a script that no code is written in.
    if byte(value, start) >= 0x80 && byte(value, start) != 0xC2 {
        return true;
    }
    let length = part(value, start, 24)
        .iter()
        .position(|letter| !letter.is_ascii_alphabetic())
        .unwrap_or(24);
    let next = byte(value, start.saturating_add(length));
    let sentence = matches!(next, b' ' | b',' | b'.' | b'?' | b'!' | b'\n' | b'\r' | 0);
    if length < 2 || !sentence {
        return false;
    }
    let (_, key) = word(value, start);
    KEYWORDS.kind(key) == 0 && !has_at(value, start, b"as ")
}

/// A call: what stands between name and bracket, and in the brackets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) gap: Gap,
    pub(super) arguments: Arguments,
    /// First byte in the brackets.
    pub(super) first: u8,
    /// Where the first argument starts.
    pub(super) inside: usize,
    start: usize,
    open: usize,
}

impl Call {
    /// Where its bracket stands.
    pub(super) const fn open(&self) -> usize {
        self.open
    }

    /// Whether a sentence tells of it. Asked last, and only where the answer decides: it is what a call costs most for.
    pub(super) fn is_mention(&self, value: &[u8]) -> bool {
        in_sentence(value, self.start)
            || close(value, self.open).is_some_and(|end| goes_on(value, end))
    }
}

/// The call whose name stands from `start` to `end`; nothing when no bracket follows.
pub(super) fn call(value: &[u8], start: usize, end: usize) -> Option<Call> {
    let (open, between) = gap(value, end);
    if byte(value, open) != b'(' {
        return None;
    }
    let (inside, _) = gap(value, open.saturating_add(1));
    Some(Call {
        gap: between,
        arguments: kind(value, inside),
        first: byte(value, inside),
        inside,
        start,
        open,
    })
}

/// Bytes of a declaration that are read back.
const DECLARATION: usize = 256;

/// `const x = f(`, `let { a, b: c } = await f(`, at the start of a line: JavaScript, and in PHP no program at all.
pub(super) fn declares(value: &[u8], start: usize) -> bool {
    let lead = value
        .get(start.saturating_sub(DECLARATION)..start)
        .unwrap_or(&[]);
    let lead = lead.trim_ascii_end();
    let lead = lead.strip_suffix(b"await").unwrap_or(lead).trim_ascii_end();
    let Some(lead) = lead.strip_suffix(b"=") else {
        return false;
    };
    let lead = lead.trim_ascii_end();
    let bare = |byte: &u8| !(is_word(*byte) && *byte != b'$');
    let name = match lead.last() {
        Some(b'}') => {
            let Some(open) = lead.iter().rposition(|&byte| byte == b'{') else {
                return false;
            };
            let inner = lead.get(open.saturating_add(1)..lead.len().saturating_sub(1));
            let plain = |byte: &u8| {
                is_space(*byte) || matches!(byte, b',' | b':') || (is_word(*byte) && *byte != b'$')
            };
            if !inner.unwrap_or(b"$").iter().all(plain) {
                return false;
            }
            open
        }
        _ => lead
            .iter()
            .rposition(bare)
            .map_or(0, |at| at.saturating_add(1)),
    };
    let lead = lead.get(..name).unwrap_or(&[]);
    let word = lead.trim_ascii_end();
    [&b"const"[..], b"let", b"var"].iter().any(|keyword| {
        word.strip_suffix(*keyword).is_some_and(|before| {
            let line = before
                .iter()
                .rposition(|&byte| !matches!(byte, b' ' | b'\t'))
                .map_or(b'\n', |at| byte(before, at));
            matches!(line, b'\n' | b'\r' | b';')
        })
    })
}

/// Whether the name at `start` is a member of what stands before it: `regex.exec`, `$db->exec`.
pub(super) fn is_member(value: &[u8], start: usize) -> bool {
    let Some(dot) = start.checked_sub(1) else {
        return false;
    };
    let before = dot.checked_sub(1).map_or(0, |at| byte(value, at));
    match byte(value, dot) {
        b'.' => is_word(before) || matches!(before, b')' | b']'),
        b'>' => before == b'-',
        b':' => before == b':',
        _ => false,
    }
}

/// The word that adjacent strings from the quote at `at` on make together, when there are two or more.
pub(super) fn joined(value: &[u8], at: usize) -> Option<Key> {
    let mut key = Key::EMPTY;
    let mut quote = 0_u8;
    let mut joins = 0_u8;
    let mut pending = false;
    for &here in part(value, at, REACH) {
        if quote != 0 {
            if here == quote {
                quote = 0;
                continue;
            }
            let letter = folded(here);
            if letter == 0 {
                return None;
            }
            key.push_folded(letter);
            continue;
        }
        match here {
            b'"' | b'\'' | b'`' if pending || joins == 0 => {
                quote = here;
                joins = joins.saturating_add(1);
                pending = false;
            }
            b'.' | b'+' if !pending => pending = true,
            _ if is_space(here) => {}
            _ => break,
        }
    }
    (joins > 1 && quote == 0).then_some(key)
}

/// What stands before `at`, blanks left out.
pub(super) fn last(value: &[u8], at: usize) -> u8 {
    let start = at.saturating_sub(REACH);
    let before = value.get(start..at).unwrap_or_default();
    if let Some(&last) = before.last()
        && !is_space(last)
    {
        return last;
    }
    let end = before.iter().rposition(|&byte| !is_space(byte));
    end.map_or(0, |at| byte(before, at))
}

#[cfg(test)]
mod tests {
    use super::{
        Arguments, Gap, arguments, call, gap, goes_on, in_sentence, joined, may_call, word,
    };

    #[test]
    fn gaps_are_blanks_and_comments() {
        for (text, end, kind) in [
            (&b"("[..], 0, Gap::None),
            (b" (", 1, Gap::Blank),
            (b"  (", 2, Gap::Odd),
            (b"/*x*/ (", 6, Gap::Odd),
            (b"//x\n(", 4, Gap::Odd),
            (b"#x\n (", 4, Gap::Odd),
            (b"//x(", 0, Gap::None),
            (b"/*x(", 0, Gap::None),
        ] {
            assert_eq!(gap(text, 0), (end, kind), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn what_may_be_called_is() {
        let long = [&[b' '; 80][..], b"("].concat();
        let longest = [&[b' '; super::REACH][..], b"("].concat();
        assert!(may_call(&longest) && call(&longest, 0, 0).is_some());
        for text in [
            &b"("[..],
            b" (",
            b"\n\t(",
            b"/*x*/(",
            b" /**/ (",
            b"#x\n(",
            b"//x\n (",
            b" x(",
            b"x",
            b"",
            b".(",
            b"=(",
            b"  ",
            &long,
        ] {
            let called = call(text, 0, 0).is_some();
            assert!(!called || may_call(text), "{}", text.escape_ascii());
        }
        assert!(may_call(b" (") && !may_call(b" x(") && !may_call(b"") && !may_call(b": ("));
    }

    #[test]
    fn a_call_behind_a_plain_word_is_a_mention() {
        for text in [
            &b"you can use f("[..],
            b"I called `f(",
            b"Use it like this: f(",
            b"the function \"f(",
        ] {
            assert!(in_sentence(text, text.len() - 2), "{}", text.escape_ascii());
        }
        for text in [
            &b"f("[..],
            b"; f(",
            b"return f(",
            b"echo f(",
            b"x' . f(",
            b"a, f(",
            b"1 f(",
            b"<?php f(",
            b"hello\nf(",
        ] {
            assert!(
                !in_sentence(text, text.len() - 2),
                "{}",
                text.escape_ascii()
            );
        }
        assert!(goes_on(b") returns null", 1));
        assert!(!goes_on(b"); return", 1));
        assert!(!goes_on(b") or die", 1));
        assert!(
            call(b"f('x') is slow", 0, 1).is_some_and(|call| call.is_mention(b"f('x') is slow"))
        );
        assert!(call(b"f('x');", 0, 1).is_some_and(|call| !call.is_mention(b"f('x');")));
    }

    #[test]
    fn arguments_are_told_apart() {
        for (text, kind, end) in [
            (&b"()"[..], Arguments::None, Some(2)),
            (b"(", Arguments::Open, None),
            (b"(whoami)", Arguments::Name, Some(8)),
            (b"('a)')", Arguments::Code, Some(6)),
            (b"($x)", Arguments::Code, Some(4)),
            (b"(a(b))", Arguments::Code, Some(6)),
            (b"(two words)", Arguments::Text, Some(11)),
            (b"('a\\')', [{\"(\"}])", Arguments::Code, Some(17)),
            (b"('a\\')", Arguments::Code, None),
            (b"('a\\", Arguments::Code, None),
            (b"(`)`", Arguments::Code, None),
        ] {
            assert_eq!(arguments(text, 0), (kind, end), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn strings_are_joined() {
        let key = word(b"system", 0).1;
        for text in [
            &b"'sys'.'tem'"[..],
            b"\"s\" . \"ys\" . 'tem'",
            b"'sys'+'tem'",
        ] {
            assert_eq!(joined(text, 0), Some(key), "{}", text.escape_ascii());
        }
        assert_eq!(joined(b"'system'", 0), None);
        assert_eq!(joined(b"'sys', 'tem'", 0), None);
    }
}
