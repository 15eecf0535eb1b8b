//! How applications read names and values: spellings that one of them takes for the same must not get counters of their own.
//!
//! **In:** names and values as decoded. **Out:** whether two names are one to some reader; the form of a value that spellings
//! of one account share. **Invariant:** errs towards "the same": a counter too few is a stricter limit, a counter too many is
//! a way around it. Nothing here changes what goes upstream.
//! **Source:** encoding/json of Go (names without regard to case, `K` and `ſ` included), variables of PHP (names are cut at NUL,
//! lose leading blanks, and have `_` for ` `, `.` and `[`), White_Space of Unicode. Not covered: letters beyond ASCII that
//! differ in case or form, such as `É` and `é`, or full-width ones.
//! **Cost:** linear.

use alloc::vec::Vec;

/// A value without blanks around it, in ASCII lower case.
#[must_use]
pub(super) fn fold(value: &[u8]) -> Vec<u8> {
    let mut folded = Vec::new();
    folded.extend_from_slice(trim(value));
    folded.make_ascii_lowercase();
    folded
}

/// Without ASCII control characters and blanks of any kind at its ends.
fn trim(mut value: &[u8]) -> &[u8] {
    loop {
        value = match value {
            [0..=0x20 | 0x7f, rest @ ..] | [rest @ .., 0..=0x20 | 0x7f] => rest,
            [0xc2, 0x85 | 0xa0, rest @ ..] | [rest @ .., 0xc2, 0x85 | 0xa0] => rest,
            [a, b, c, rest @ ..] if is_blank([*a, *b, *c]) => rest,
            [rest @ .., a, b, c] if is_blank([*a, *b, *c]) => rest,
            _ => return value,
        };
    }
}

/// Blanks and invisible characters of three bytes.
const fn is_blank(character: [u8; 3]) -> bool {
    matches!(
        character,
        [0xe1, 0x9a, 0x80]
            | [0xe1, 0xa0, 0x8e]
            | [0xe2, 0x80, 0x80..=0x8f | 0xa8 | 0xa9 | 0xaf]
            | [0xe2, 0x81, 0x9f | 0xa0]
            | [0xe3, 0x80, 0x80]
            | [0xef, 0xbb, 0xbf]
    )
}

/// Whether some reader takes `sent` for the field `name`.
pub(super) fn same_name(name: &[u8], sent: &[u8], form: bool) -> bool {
    name == sent || Letters::new(name, form).eq(Letters::new(sent, form))
}

/// Whether `sent` is an element or a member of a field `name`.
pub(super) fn is_below(name: &[u8], sent: &[u8], form: bool) -> bool {
    let opens: &[u8] = if form { b".[" } else { b"." };
    let mut rest = sent;
    let mut length = 0_usize;
    while let Some((byte, tail)) = rest.split_first() {
        if opens.contains(byte) && same_name(name, sent.get(..length).unwrap_or_default(), form) {
            return true;
        }
        // A name is not found below one that is longer than it in every spelling.
        if length > name.len().saturating_mul(4).saturating_add(16) {
            return false;
        }
        length = length.saturating_add(1);
        rest = tail;
    }
    false
}

/// The letters of a name as the freest reader takes them.
struct Letters<'a> {
    rest: &'a [u8],
    form: bool,
}

impl<'a> Letters<'a> {
    fn new(name: &'a [u8], form: bool) -> Self {
        let mut rest = name;
        if form {
            rest = rest.split(|byte| *byte == 0).next().unwrap_or_default();
        }
        Self {
            rest: trim(rest),
            form,
        }
    }
}

impl Iterator for Letters<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (letter, rest) = match self.rest {
            // The long s and the Kelvin sign.
            [0xc5, 0xbf, rest @ ..] => (b's', rest),
            [0xe2, 0x84, 0xaa, rest @ ..] => (b'k', rest),
            [b' ' | b'.' | b'[', rest @ ..] if self.form => (b'_', rest),
            [byte, rest @ ..] => (byte.to_ascii_lowercase(), rest),
            [] => return None,
        };
        self.rest = rest;
        Some(letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_an_account() {
        const CASES: &[(&str, &str)] = &[
            ("alice", "alice"),
            ("Alice", "alice"),
            (" ALICE\t\r\n", "alice"),
            ("alice\0\u{b}", "alice"),
            ("\u{a0}\u{feff}alice\u{2003}\u{3000}\u{85}", "alice"),
            ("alice\u{200b}\u{200d}\u{2060}", "alice"),
            ("al ice", "al ice"),
            ("Élan", "Élan"),
            ("", ""),
            (" \u{a0} ", ""),
        ];
        for (value, folded) in CASES {
            assert_eq!(fold(value.as_bytes()), folded.as_bytes(), "{value:?}");
        }
        assert_eq!(fold(b"\xa0A\xc2"), b"\xa0a\xc2", "not UTF-8: bytes stay");
    }

    #[test]
    fn names_that_some_reader_takes_for_one() {
        // Name in the policy, name as sent, the same in JSON, the same in a form.
        const CASES: &[(&str, &str, bool, bool)] = &[
            ("username", "username", true, true),
            ("username", "USERNAME", true, true),
            ("username", "u\u{17f}ername", true, true),
            ("kind", "\u{212a}ind", true, true),
            ("username", " username", true, true),
            ("username", "username\0x", false, true),
            ("user_name", "user.name", false, true),
            ("user_name", "user name", false, true),
            ("user_name", "user[name", false, true),
            ("user.name", "user.name", true, true),
            ("username", "usernam", false, false),
            ("username", "username2", false, false),
            ("username", "", false, false),
        ];
        for (name, sent, json, form) in CASES {
            let same = |form| same_name(name.as_bytes(), sent.as_bytes(), form);
            assert_eq!((same(false), same(true)), (*json, *form), "{sent:?}");
        }
    }

    #[test]
    fn elements_and_members() {
        const CASES: &[(&str, bool, bool)] = &[
            ("username.0", true, true),
            ("USERNAME.$ne", true, true),
            ("username[]", false, true),
            ("username[a]", false, true),
            ("username", false, false),
            ("user.username", false, false),
            ("", false, false),
        ];
        for (sent, json, form) in CASES {
            let below = |form| is_below(b"username", sent.as_bytes(), form);
            assert_eq!((below(false), below(true)), (*json, *form), "{sent:?}");
        }
        assert!(!is_below(b"a", &[b'.'; 100_000], false));
    }
}
