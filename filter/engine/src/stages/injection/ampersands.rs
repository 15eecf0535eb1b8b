//! `&amp;` and `&nbsp;` of HTML that mean the same to a reader who undoes them and to one who does not: a long text that has no other
//! entity is read once, not twice.
//!
//! **In:** a long value as an application sees it. **Out:** the value with those undone.
//! **Invariant:** undone is only what stands in a URL's query (`?a=1&amp;b=2`) or between plain words (`Q &amp; A`, `5&nbsp;m`). To
//! a language that reads it as it stands, `amp` and `nbsp` are names that it does not know: an expression ends there with an error,
//! and a shell goes on at the `&` or at the `;`, which parts commands alike. The word behind starts no statement and no command that is
//! listed anywhere, so that nothing begins at the `;` that does not begin at the `&`. What stands behind that word is in the text as before.
//! Anything else stays, and both readings are scanned.
//! **Cost:** a search for `&`, a word behind each that is one of these.

use alloc::vec::Vec;

use super::bytes::{byte, is_word, part, rest, tally};
use super::detectors;
use super::places::{Places, Set};

/// Bytes of a value below which two readings cost little.
pub(super) const LONG: usize = 512;

/// Bytes of a word behind an entity.
const WORD: usize = 32;

static SIGN: Set = Set::of(b"&");

/// Undoes them; `false`, and `out` is of no use, when there is none.
pub(super) fn undo(value: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut signs = Places::of(value, &SIGN);
    let (mut at, mut from) = (0_usize, 0_usize);
    while let Some(sign) = signs.from(at) {
        at = sign.saturating_add(1);
        let tail = rest(value, at);
        let (stands_for, length) = if tail.starts_with(b"amp;") {
            (b'&', 4)
        } else if tail.starts_with(b"nbsp;") {
            (b' ', 5)
        } else {
            continue;
        };
        let end = at.saturating_add(length);
        if !follows(value, sign) || !goes_on(value, end, stands_for == b'&') {
            continue;
        }
        out.extend_from_slice(value.get(from..sign).unwrap_or(&[]));
        out.push(stands_for);
        (at, from) = (end, end);
    }
    if from == 0 {
        return false;
    }
    out.extend_from_slice(rest(value, from));
    true
}

/// Whether plain text, a URL or another entity stands before `at`.
fn follows(value: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).map_or(0, |at| byte(value, at));
    is_word(before)
        || matches!(
            before,
            b' ' | b'>' | b';' | b',' | b'.' | b'/' | b'-' | b'='
        )
}

/// Whether `b=`, a plain word, a tag or another entity stands at `at`.
fn goes_on(value: &[u8], at: usize, joins: bool) -> bool {
    let blank = usize::from(byte(value, at) == b' ');
    let start = at.saturating_add(blank);
    let next = byte(value, start.saturating_add(1));
    match byte(value, start) {
        b'<' => return next.is_ascii_alphabetic() || next == b'/',
        b'&' => return !joins && next.is_ascii_alphabetic(),
        _ => {}
    }
    let head = part(value, start, WORD);
    let length = tally(head.iter().take_while(|&&byte| is_word(byte)));
    let word = part(value, start, length);
    let end = start.saturating_add(length);
    let behind = byte(value, end.saturating_add(1));
    match byte(value, end) {
        _ if length == 0 || length == WORD => false,
        b'=' => joins && blank == 0 && behind != b'=' && byte(word, 0).is_ascii_alphabetic(),
        b' ' | b'<' | b',' | b'\n' | b'\r' | b'&' => !detectors::knows(word),
        b'.' => matches!(behind, 0 | b' ' | b'<' | b'\n') && !detectors::knows(word),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::undo;

    fn undone(value: &str) -> Option<String> {
        let mut out = Vec::new();
        undo(value.as_bytes(), &mut out).then(|| String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn a_query_and_plain_words_are_undone() {
        for (value, wanted) in [
            ("<a href=\"/x?a=1&amp;b=2\">", "<a href=\"/x?a=1&b=2\">"),
            ("Questions &amp; answers.", "Questions & answers."),
            ("R&amp;D budget", "R&D budget"),
            ("5&nbsp;m and 6", "5 m and 6"),
            ("<td>&nbsp;</td>", "<td> </td>"),
            ("a&nbsp;&nbsp;&euro;", "a  &euro;"),
            (
                "1&lt;2 Birnen &amp; \u{c4}pfel, x",
                "1&lt;2 Birnen & \u{c4}pfel, x",
            ),
        ] {
            assert_eq!(undone(value).as_deref(), Some(wanted), "{value}");
        }
    }

    #[test]
    fn what_could_begin_something_stays() {
        for value in [
            "1&amp; drop table a",
            "a &amp; select b",
            "a&amp;cat /etc/passwd",
            "a&amp;&amp;id",
            "&amp;a=1",
            "'&amp;b=1",
            "(&amp;(uid=*))",
            "a&amp;lt;b",
            "a&amp;#60;b",
            "a&amp;f(1)",
            "a&nbsp;union select 1",
            "a&nbsp;x=1",
            "a&amp;b==1",
            "a&AMP;b=1",
            "a&ampb=1",
            "a&amp;b",
            "a&lt;b=1",
            "plain",
        ] {
            assert_eq!(undone(value), None, "{value}");
        }
    }
}
