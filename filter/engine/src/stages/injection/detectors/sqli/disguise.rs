//! Values as they are once somebody between the filter and the database has taken a disguise off.
//!
//! **In:** a value. **Out:** a copy of it without the disguise, if it wears one.
//! **Invariant:** a copy is never longer than the value.
//! **Source:** filters that strip comments (`UN/**/ION`), applications that escape a quote which the value escaped, too, servers
//! that map quotes of other scripts to their own (`′`), that take Latin-1's blank or all of Unicode's for one, that drop a stray `%` (ASP), tables of commas that double a quote, routers that
//! read `+` in a path as a blank.
//! **Cost:** one look for what a disguise needs; one pass and one copy when it is there.

use alloc::vec::Vec;

use super::super::bytes::{
    BACKSLASH, BLANK, DOLLAR, DOUBLE, HIGH, PERCENT, PLUS, QUOTE, SLASH, STAR, byte, has_at,
    is_word, next, pair, rest, skip_space, tally,
};
use super::super::triggers::{LIKE, LOGIC, SQL, TWINS};
use super::super::{Place, View};

/// Longest value in which quotes of other scripts are quotes: prose has them too.
const QUOTED: usize = 256;

/// `value` without comments that split a word and without escapes of quotes, with every quote a plain one, and `+` in a path a blank.
pub(super) fn removed(view: &View<'_>) -> Option<Vec<u8>> {
    let value = view.bytes;
    let glue = view.classes & (STAR | SLASH) == STAR | SLASH && is_split(value);
    let worded = view.words & (SQL | LOGIC | LIKE) != 0;
    let quotes = worded
        && (view.classes & DOLLAR != 0 && closes_dollars(value)
            || view.classes & HIGH != 0
                && value.len() <= QUOTED
                && value.iter().any(|&byte| matches!(byte, 0xCA | 0xE2))
                && (0..value.len()).any(|at| quote(value, at).is_some()));
    let blanks = view.classes & HIGH != 0
        && value.len() <= QUOTED
        && value.contains(&0xA0)
        && has_lone_blank(value);
    let escapes = view.classes & (BACKSLASH | QUOTE) == BACKSLASH | QUOTE
        && worded
        && pair(value, |first, second| {
            first == b'\\' && matches!(second, b'\'' | b'"')
        })
        .is_some();
    let percent = view.classes & PERCENT != 0 && is_marked(value);
    let path = view.place == Place::Path && view.classes & QUOTE != 0;
    let plus = view.classes & PLUS != 0
        && view.words & (SQL | LOGIC) != 0
        && (path
            || view.classes & BLANK == 0 && view.words & SQL != 0 && view.place != Place::Path);
    let doubled =
        worded && view.classes & DOUBLE != 0 && view.marks & TWINS != 0 && compares_doubled(value);
    if !(glue || quotes || blanks || escapes || percent || plus || doubled) {
        return None;
    }
    // What is taken off stands behind one of few signs; the rest is copied as it is.
    let mut special = [false; 256];
    let signs = [
        (quotes, b"\xCA\xE2$".as_slice()),
        (glue, b"/"),
        (escapes, b"\\"),
        (blanks, b"\xA0"),
        (percent, b"%"),
        (plus, b"+"),
        (doubled, b"\""),
    ];
    for &sign in signs
        .iter()
        .filter(|(on, _)| *on)
        .flat_map(|(_, signs)| *signs)
    {
        if let Some(slot) = special.get_mut(usize::from(sign)) {
            *slot = true;
        }
    }
    let is_special = |byte: u8| special.get(usize::from(byte)).is_some_and(|slot| *slot);
    let mut bare = Vec::new();
    let mut closer = Closer::default();
    let mut at = 0;
    loop {
        let sign = next(value, at, is_special).unwrap_or(value.len());
        bare.extend_from_slice(value.get(at..sign).unwrap_or(&[]));
        at = sign;
        let Some(&head) = value.get(at) else { break };
        let plain = if quotes { quote(value, at) } else { None };
        let comment = if glue {
            closer.comment(value, at)
        } else {
            None
        };
        at = at.saturating_add(match (plain, comment) {
            (Some(length), _) => {
                bare.push(b'\'');
                length
            }
            (_, Some(length)) => {
                // With something in it, it was the blank between two words.
                if length > 4 {
                    bare.extend_from_slice(b"/**/");
                }
                length
            }
            _ if escapes && head == b'\\' => {
                let next = byte(value, at.saturating_add(1));
                let third = byte(value, at.saturating_add(2));
                match next {
                    // An escaped quote is text, the one behind it is not.
                    b'\'' | b'"' if third == next => 2,
                    b'\'' | b'"' => 1,
                    _ => {
                        bare.push(head);
                        1
                    }
                }
            }
            _ if blanks && is_lone_blank(value, at) => {
                bare.push(b' ');
                1
            }
            _ if percent && head == b'%' => 1,
            // Of a run of quotes one is left.
            _ if doubled && head == b'"' && byte(value, at.saturating_add(1)) == b'"' => 1,
            _ => {
                bare.push(if plus && head == b'+' { b' ' } else { head });
                1
            }
        });
    }
    Some(bare)
}

/// Whether an empty comment stands in a word: `a/**/b`. A comment instead of every blank is read as it stands.
fn is_split(value: &[u8]) -> bool {
    let mut before = 0;
    let mut at = 0;
    while let Some(&head) = value.get(at) {
        if head == b'/' && before != 0 && has_at(value, at, b"/**/") {
            let after = byte(value, at.saturating_add(4));
            if u8::is_ascii_alphabetic(&before) && after.is_ascii_alphabetic() {
                return true;
            }
        }
        before = head;
        at = at.saturating_add(1);
    }
    false
}

/// `""a""=""a""`: quotes as a table of commas doubles them, and a comparison of two of them.
fn compares_doubled(value: &[u8]) -> bool {
    let mut left = value;
    while let [_, after @ ..] = left {
        if left.starts_with(b"\"\"") && is_compared(rest(left, 2)) {
            return true;
        }
        left = after;
    }
    false
}

/// `=""`, ` <> ""`
fn is_compared(value: &[u8]) -> bool {
    let at = skip_space(value, 0).min(4);
    let length = tally(
        rest(value, at)
            .iter()
            .take(2)
            .take_while(|byte| matches!(byte, b'=' | b'<' | b'>' | b'!')),
    );
    let next = at.saturating_add(length);
    length > 0
        && has_at(
            value,
            next.saturating_add(skip_space(rest(value, next), 0).min(4)),
            b"\"\"",
        )
}

/// Whether every byte has a `%` before it, which servers of the ASP kind drop.
pub(in super::super) fn is_marked(value: &[u8]) -> bool {
    let marks = tally(value.iter().filter(|&&byte| byte == b'%'));
    marks >= 8 && marks.saturating_mul(5) >= value.len().saturating_mul(2)
}

/// Where the next comment ends.
#[derive(Debug, Default)]
struct Closer(usize);

impl Closer {
    /// Length of the comment at `at`.
    fn comment(&mut self, value: &[u8], at: usize) -> Option<usize> {
        if !has_at(value, at, b"/*") || byte(value, at.saturating_add(2)) == b'!' {
            return None;
        }
        let inside = at.saturating_add(2);
        if self.0 < inside {
            let close = pair(rest(value, inside), |first, second| {
                first == b'*' && second == b'/'
            });
            self.0 = close.map_or(usize::MAX, |step| inside.saturating_add(step));
        }
        let close = self.0.saturating_sub(inside);
        (close < COMMENT.saturating_sub(1)).then_some(close.saturating_add(4))
    }
}

/// Bytes of a comment that splits a word.
const COMMENT: usize = 64;

/// Whether the first `$$` stands right behind a word: it ends one. Prices have it alone.
fn closes_dollars(value: &[u8]) -> bool {
    let at = pair(value, |first, second| first == b'$' && second == b'$');
    at.and_then(|at| at.checked_sub(1))
        .is_some_and(|at| is_word(byte(value, at)) || byte(value, at) == b'%')
}

/// Whether the byte at `at` is a blank of Latin-1, which no UTF-8 character holds.
fn is_lone_blank(value: &[u8], at: usize) -> bool {
    byte(value, at) == 0xA0
        && at
            .checked_sub(1)
            .is_none_or(|before| byte(value, before) < 0x80)
}

fn has_lone_blank(value: &[u8]) -> bool {
    (0..value.len()).any(|at| is_lone_blank(value, at))
}

/// Length of a quote that is not the plain one: primes, modifier letters, curly quotes, PostgreSQL's dollars.
fn quote(value: &[u8], at: usize) -> Option<usize> {
    match rest(value, at) {
        [0xE2, 0x80, 0x98 | 0x99 | 0x9B | 0xB2 | 0xB5, ..] => Some(3),
        // PostgreSQL's other quote.
        [0xCA, 0xB9 | 0xBB | 0xBC, ..] | [b'$', b'$', ..] => Some(2),
        _ => None,
    }
}

/// The value with a blank for each of Unicode's blanks, which SQL Server and Oracle take for one; `None` without.
pub(super) fn spaced(view: &View<'_>) -> Option<Vec<u8>> {
    let value = view.bytes;
    if view.classes & HIGH == 0 || !is_spaced(value) {
        return None;
    }
    let mut bare = Vec::with_capacity(value.len());
    let mut left = value;
    while let Some((&head, after)) = left.split_first() {
        let width = blank(left);
        bare.push(if width > 0 { b' ' } else { head });
        left = if width > 0 { rest(left, width) } else { after };
    }
    Some(bare)
}

/// Whether one of Unicode's blanks beyond ASCII is in `value`, which has bytes beyond ASCII.
pub(in super::super) fn is_spaced(value: &[u8]) -> bool {
    let mut left = value;
    while let [_, after @ ..] = left {
        if blank(left) > 0 {
            return true;
        }
        left = after;
    }
    false
}

/// Bytes of the Unicode blank that `value` starts with, 0 for none.
const fn blank(value: &[u8]) -> usize {
    match value {
        [0xC2, 0xA0, ..] => 2,
        [0xE1, 0x9A, 0x80, ..]
        | [0xE2, 0x80, 0x80..=0x8A | 0xAF, ..]
        | [0xE2, 0x81, 0x9F, ..]
        | [0xE3, 0x80, 0x80, ..] => 3,
        _ => 0,
    }
}
