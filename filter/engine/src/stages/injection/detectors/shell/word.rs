//! Reads one word as a shell reads it: what tears it apart is taken out.
//!
//! **In:** a value and where a word starts. **Out:** what command it names, where it ends, what was taken out.
//! **Invariant:** reads at most [`LONGEST`] bytes; quotes, escapes, empty expansions and classes of one letter vanish.
//! **Source:** POSIX shell §2.2, §2.6, §2.13; cmd.exe's caret; bash brackets.
//! **Cost:** one bounded pass a word.

use super::super::super::bytes::{byte, has_at, is_space, is_word, part, rest, upto};
use super::super::trigger_words;
use super::super::words::Key;
use super::list::{ALONE, MAYBE, SURE};

/// Bytes of a word that are read.
pub(super) const LONGEST: usize = 96;

/// A word in command position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    /// Kind of the command, 0 when it is none.
    pub(super) kind: u8,
    /// Where it starts.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// What stood inside the word and vanished.
    pub(super) torn: u8,
    /// `?` and `*` in a path of programs: whatever they match runs.
    pub(super) globbed: bool,
    /// A path stood in front of it.
    pub(super) path: bool,
    /// Kind of the command, however many quotes vanished.
    pub(super) named: u8,
    /// As `globbed`, for any path within the word.
    pub(super) globs: bool,
    /// Where the first expansion starts that holds a `/`: a path that starts there is not read with this one.
    pub(super) skipped: usize,
}

impl Word {
    /// As it stands in the value.
    pub(super) fn name<'a>(&self, value: &'a [u8]) -> &'a [u8] {
        value.get(self.start..self.end).unwrap_or(&[])
    }
}

/// Reads the word at `at`: a path before its name is read through.
pub(super) fn read(value: &[u8], at: usize) -> Word {
    read_within(value, at, LONGEST)
}

/// Reads the word at `at` that is at most `longest` bytes long.
pub(super) fn read_within(value: &[u8], at: usize, longest: usize) -> Word {
    let nothing = |end, torn, path, skipped| Word {
        kind: 0,
        start: at,
        end,
        torn,
        globbed: false,
        path,
        named: 0,
        globs: false,
        skipped,
    };
    let mut key = Key::EMPTY;
    let mut stem = Key::EMPTY;
    let mut base = Key::EMPTY;
    let mut end = at;
    let mut length = 0_u8;
    let mut torn = 0_u8;
    let mut quotes = 0_u8;
    let mut programs = false;
    let mut path = false;
    let mut capital = false;
    let mut wild = 0_u8;
    let mut apart = 0_u8;
    let mut extension = 0_usize;
    let mut version = true;
    let mut based = false;
    let mut skipped = usize::MAX;
    let drive = byte(value, at.saturating_add(1)) == b':'
        && matches!(byte(value, at.saturating_add(2)), b'\\' | b'/')
        && byte(value, at).is_ascii_alphabetic();
    if drive {
        end = at.saturating_add(2);
    }
    let limit = at.saturating_add(longest);
    while end < limit
        && let Some(&letter) = value.get(end)
    {
        if letter.is_ascii_alphabetic() {
            (based, version) = (false, false);
            push(&mut key, letter, &mut length, &mut capital);
            if length > 28 {
                return nothing(end, torn, path, skipped);
            }
            end = end.saturating_add(1);
            continue;
        }
        let next = byte(value, end.saturating_add(1));
        let taken = match letter {
            b'\\' if drive => folder(value, end),
            b'/' => folder(value, end),
            _ => 0,
        };
        // `bcdboot/r`: an option of cmd's, glued.
        let option = taken != 0
            && !path
            && next.is_ascii_alphabetic()
            && !is_word(byte(value, end.saturating_add(2)))
            && matches!(trigger_words::command(key), SURE | ALONE);
        if option {
            break;
        }
        if taken != 0 {
            // Only what lies in a folder of programs is one.
            programs = taken == 2 || drive;
            key = Key::EMPTY;
            (length, path, capital) = (0, true, false);
            (based, version) = (false, true);
            extension = 0;
            end = end.saturating_add(1);
            continue;
        }
        let gone = vanishing(value, end, length > 0);
        if gone > 0 {
            let inside = length > 0 && is_part(byte(value, end.saturating_add(gone)));
            quotes = quotes.saturating_add(1);
            // A quote at the start that closes behind a letter tears as well.
            torn = torn.saturating_add(u8::from(inside || (length == 0 && next == letter)));
            if gone > 3 && part(value, end, gone).contains(&b'/') {
                skipped = skipped.min(end);
            }
            end = end.saturating_add(gone);
            continue;
        }
        match letter {
            b'[' if byte(value, end.saturating_add(2)) == b']' && next.is_ascii_alphabetic() => {
                push(&mut key, next, &mut length, &mut capital);
                torn = torn.saturating_add(2);
                end = end.saturating_add(3);
                continue;
            }
            b'[' if path && has_range(value, end) => {
                wild = wild.saturating_add(2);
                length = length.saturating_add(1);
                end = end.saturating_add(5);
                continue;
            }
            // `*id*`: emphasis; the folder at hand decides what a shell makes of it.
            b'*' if length == 0 && !path => break,
            // `/** Returns`: a comment of a program; `/**To list**`: emphasis.
            b'*' if next == b'*'
                && !programs
                && byte(value, end.saturating_sub(1)) == b'/'
                && (is_space(byte(value, end.saturating_add(2)))
                    || byte(value, end.saturating_add(2)).is_ascii_uppercase()) =>
            {
                break;
            }
            // `/properties/*/name`: a pattern of paths, as APIs and pointers write it.
            b'*' if length == 0
                && wild == 0
                && end > at.saturating_add(6)
                && matches!(next, b'/' | 0)
                && !has_at(value, at, b"/usr/") =>
            {
                apart = apart.saturating_add(1);
            }
            b'?' | b'*' if path || is_part(next) || matches!(next, b'?' | b'/') => {
                wild = wild.saturating_add(1);
                length = length.saturating_add(1);
            }
            _ if is_word(letter) || matches!(letter, b'.' | b'-') => {
                if letter == b'.' {
                    stem = key;
                    extension = end;
                }
                if letter.is_ascii_digit() || letter == b'.' {
                    if !based {
                        (base, based, version) = (key, true, true);
                    }
                } else {
                    (based, version) = (false, false);
                }
                push(&mut key, letter, &mut length, &mut capital);
                if length > 28 {
                    return nothing(end, torn, path, skipped);
                }
            }
            _ => break,
        }
        end = end.saturating_add(1);
    }
    // `Sed modi`, `Touch;`: a name or the start of a sentence, no command.
    let flagged = is_space(byte(value, end))
        && byte(value, end.saturating_add(1)) == b'-'
        && byte(value, end.saturating_add(2)).is_ascii_alphanumeric();
    let capital = capital && !flagged;
    let shredded = quotes > 48;
    let odd = (path && !programs) || (capital && length > 1 && !path);
    let mut kind = if odd || length == 0 {
        0
    } else {
        trigger_words::command(key)
    };
    if kind == 0 && !odd && extension > 0 {
        let name = value.get(extension..end).unwrap_or(&[]);
        if [&b".exe"[..], b".com", b".bat", b".cmd"]
            .iter()
            .any(|last| name.eq_ignore_ascii_case(last))
        {
            kind = trigger_words::command(stem);
        }
    }
    // `python3.11`; `more.` ends a sentence.
    let dotted = byte(value, end.saturating_sub(1)) == b'.';
    if kind == 0 && !odd && based && version && length > 3 && !dotted {
        kind = trigger_words::command(base);
    }
    // A name torn apart is no word of a sentence.
    if torn > 0 && kind == MAYBE {
        kind = SURE;
    }
    Word {
        kind: if shredded { 0 } else { kind },
        start: at,
        end,
        torn,
        globbed: wild > 0 && path && (programs || wild > 1),
        path,
        named: kind,
        globs: wild.saturating_add(apart) > 0
            && path
            && (programs || wild.saturating_add(apart) > 1),
        skipped,
    }
}

/// Whether the word at `at` is plain, ends with the value or at a sign that ends any word, and names no command: what [`read`] would
/// say of it. A number at its end may be a version.
pub(super) fn is_no_command(value: &[u8], at: usize) -> bool {
    let mut key = Key::EMPTY;
    let mut before = 0;
    for &letter in part(value, at, LONGEST) {
        match letter {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => key.push(letter),
            b'=' | b'&' | b',' | b';' | b')' => {
                return is_word(before)
                    && !before.is_ascii_digit()
                    && trigger_words::command(key) == 0;
            }
            _ => return false,
        }
        before = letter;
    }
    false
}

fn push(key: &mut Key, letter: u8, length: &mut u8, capital: &mut bool) {
    *capital = if *length == 0 {
        letter.is_ascii_uppercase()
    } else {
        *capital && !letter.is_ascii_uppercase()
    };
    key.push(letter);
    *length = length.saturating_add(1);
}

const fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'\'' | b'"' | b'\\' | b'$' | b'^' | b'`' | b'-' | b'.' | b'/'
        )
}

/// 1 for a separator of folders, 2 when the folder before it holds programs: `bin`, `system32`, `syswow64`, and the patterns
/// of a shell that match `bin`.
fn folder(value: &[u8], at: usize) -> u8 {
    let back = |step: usize| {
        at.checked_sub(step)
            .map_or(0, |at| byte(value, at).to_ascii_lowercase())
    };
    let before = |name: &[u8]| {
        at.checked_sub(name.len())
            .is_some_and(|start| has_at(value, start, name))
    };
    let programs = match back(1) {
        b'n' => back(2) == b'i' || back(2) == b'?' && matches!(back(3), b'b' | b'?'),
        b'?' => matches!(back(2), b'i' | b'?') && matches!(back(3), b'b' | b'?'),
        b'*' => back(2) == b'i' && back(3) == b'b',
        b']' => before(b"i[n]"),
        b'2' => before(b"system32"),
        b'4' => before(b"syswow64"),
        _ => false,
    };
    if programs { 2 } else { 1 }
}

/// `[a-z]`
fn has_range(value: &[u8], at: usize) -> bool {
    byte(value, at.saturating_add(2)) == b'-' && byte(value, at.saturating_add(4)) == b']'
}

/// Length of what a shell takes out of a word at `at`: quotes, escapes, carets, expansions to nothing; 0 when nothing is.
fn vanishing(value: &[u8], at: usize, inside: bool) -> usize {
    let next = byte(value, at.saturating_add(1));
    let third = byte(value, at.saturating_add(2));
    match byte(value, at) {
        b'\'' | b'"'
            if inside
                || next.is_ascii_alphabetic()
                || next == byte(value, at)
                || matches!(next, b'/' | b'.') =>
        {
            1
        }
        // `\n` and `\r` as text end a line.
        b'\\' if inside && matches!(next, b'n' | b'r') && !is_word(third) => 0,
        b'\\' if inside || next.is_ascii_alphabetic() => usize::from(is_part(next)),
        b'^' if inside || next.is_ascii_alphabetic() => usize::from(is_part(next)),
        b'`' if next == b'`' && (inside || is_word(third)) => 2,
        b'<' | b'>' if inside && next == b'(' && third == b')' => 3,
        b'$' => expansion(value, at, inside),
        _ => 0,
    }
}

/// `$@`, `$u`, `${x}`, `$()`, `$'`: an expansion to nothing in or right behind a word.
pub(super) fn expansion(value: &[u8], at: usize, inside: bool) -> usize {
    let one = at.saturating_add(1);
    let next = byte(value, one);
    let third = byte(value, one.saturating_add(1));
    if matches!(next, b'i' | b'I' | b'{')
        && (has_at(value, one, b"ifs") || has_at(value, one, b"{ifs"))
    {
        return 0;
    }
    match next {
        b'\'' | b'"' if is_word(third) => 1,
        b'(' if third == b')' => 3,
        _ if !inside => 0,
        b'@' | b'*' | b'-' | b'_' | b'$' | b'!' | b'?' | b'#'
            if is_part(third) || third == b'?' =>
        {
            2
        }
        b'1'..=b'9' => 2,
        b'a'..=b'z' | b'A'..=b'Z' => {
            let name = rest(value, one).iter().take(16);
            let length = super::super::super::bytes::tally(name.take_while(|byte| is_word(**byte)));
            length.saturating_add(1)
        }
        b'{' => {
            let close = upto(rest(value, one), 24)
                .iter()
                .position(|&byte| byte == b'}' || is_space(byte));
            close
                .filter(|&close| byte(value, one.saturating_add(close)) == b'}')
                .map_or(0, |close| close.saturating_add(2))
        }
        _ => 0,
    }
}
