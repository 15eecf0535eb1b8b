//! Serialised objects: what a deserialiser of PHP, Java, .NET, Python or Ruby would build.
//!
//! **In:** a value, decoded or still in base64. **Out:** hits of class `php`, and of class `java` for the other platforms.
//! **Invariant:** only what a stream starts with, or an object's own grammar, counts: a stream that is no object (arrays, numbers)
//! is no hit.
//! **Source:** PHP's `serialize` grammar; Java Object Serialization Protocol (stream magic `AC ED 00 05`); MS-NRBF (header record);
//! Python `pickletools` (PROTO, FRAME, GLOBAL); Ruby `Marshal` 4.8.
//! **Cost:** the first bytes of a value; for PHP one pass over values with `":`.

use super::bytes::{BRACE, DOUBLE, byte, has_at, part, rest};
use super::{Class, Hits, Strength, View};

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    let value = view.bytes;
    if packed(value) || stream(value) {
        let class = if value.first() == Some(&b'T') {
            Class::Php
        } else {
            Class::Java
        };
        hits.add(class, Strength::Decisive, 0);
    }
    if view.classes & DOUBLE != 0 && view.classes & BRACE != 0 {
        super::spend(steps, value.len());
        php(value, hits);
    }
}

/// Base64 of a stream: its first letters are fixed.
pub(super) fn packed(value: &[u8]) -> bool {
    let Some(&first) = value.first() else {
        return false;
    };
    match first {
        // Java, at each of the three places that base64 can start at.
        b'r' => value.starts_with(b"rO0AB"),
        b'K' => value.starts_with(b"KztAAU"),
        b'C' => value.starts_with(b"Cs7QAF"),
        // .NET: record 0, root 1, header -1.
        b'A' => value.starts_with(b"AAEAAAD/////"),
        // Pickle 2 to 5 with a frame, or a class right at its start.
        b'g' => {
            let frame = matches!(value.get(..4), Some(b"gASV" | b"gAWV"))
                && rest(value, 7).starts_with(b"AAAAAAA");
            let class = matches!(value.get(..4), Some(b"gAJj" | b"gANj" | b"gARj"));
            frame || class
        }
        // Marshal: an object, a class or a module at its start.
        b'B' => matches!(value.get(..4), Some(b"BAhv" | b"BAhj" | b"BAhV" | b"BAhl")),
        // PHP: `O:` and a digit.
        b'T' => {
            value.starts_with(b"Tzo")
                && matches!(byte(value, 3), b'w'..=b'z' | b'0'..=b'5')
                && value.len() >= 16
                && value
                    .iter()
                    .take(16)
                    .all(|&letter| letter.is_ascii_alphanumeric() || matches!(letter, b'+' | b'/'))
        }
        _ => has_at(value, 0, b"aced0005"),
    }
}

/// A stream's first bytes.
fn stream(value: &[u8]) -> bool {
    match value.first() {
        Some(0xAC) => value.starts_with(b"\xAC\xED\x00\x05"),
        // The same, read as Latin-1 and written as UTF-8.
        Some(0xC2) => value.starts_with(b"\xC2\xAC\xC3\xAD\x00\x05"),
        Some(0) => value.starts_with(b"\0\x01\0\0\0\xFF\xFF\xFF\xFF"),
        Some(0x80) => matches!(value, [0x80, 2..=5, 0x95 | b'c', ..]),
        Some(4) => matches!(value, [4, 8, b'o' | b'c' | b'U' | b'e', ..]),
        Some(b'c' | b'(' | b'i') => pickle(value),
        _ => false,
    }
}

/// `cos\nsystem\n(`: the text protocol's GLOBAL of a module that runs something.
fn pickle(value: &[u8]) -> bool {
    let start = part(value, 0, 4)
        .iter()
        .position(|&byte| byte == b'c' || byte == b'i')
        .map_or(0, |at| at.saturating_add(1));
    [
        &b"os\n"[..],
        b"posix\n",
        b"nt\n",
        b"subprocess\n",
        b"builtins\n",
        b"__builtin__\n",
        b"sys\n",
        b"commands\n",
        b"importlib\n",
        b"runpy\n",
        b"pty\n",
        b"code\n",
    ]
    .iter()
    .any(|module| rest(value, start).starts_with(module))
}

/// `O:8:"stdClass":1:{`, `C:3:"Foo":2:{`, anywhere where a value of the grammar may start.
fn php(value: &[u8], hits: &mut Hits) {
    let mut from = 0_usize;
    while let Some(step) = rest(value, from).iter().position(|&byte| byte == b':') {
        let at = from.saturating_add(step);
        from = at.saturating_add(1);
        let Some(start) = at.checked_sub(1) else {
            continue;
        };
        let before = start.checked_sub(1).map_or(b';', |at| byte(value, at));
        if matches!(byte(value, start), b'O' | b'C' | b'o' | b'c')
            && !before.is_ascii_alphanumeric()
            && object(value, from)
        {
            hits.add(Class::Php, Strength::Decisive, start);
            return;
        }
    }
}

/// `8:"stdClass":1:{`, the quotes escaped or not, the numbers signed or not.
fn object(value: &[u8], at: usize) -> bool {
    let Some(at) = number(value, at) else {
        return false;
    };
    let mut name = at.saturating_add(1);
    if byte(value, at) != b':' {
        return false;
    }
    while byte(value, name) == b'\\' && name < at.saturating_add(4) {
        name = name.saturating_add(1);
    }
    if byte(value, name) != b'"' {
        return false;
    }
    name = name.saturating_add(1);
    let length = part(value, name, 96).iter().position(|&letter| {
        !(letter.is_ascii_alphanumeric() || matches!(letter, b'_' | b'\\') || letter >= 0x80)
    });
    let Some(length) = length.filter(|&length| length > 0) else {
        return false;
    };
    let mut end = name.saturating_add(length);
    if byte(value, end) != b'"' || byte(value, end.saturating_add(1)) != b':' {
        return false;
    }
    end = end.saturating_add(2);
    number(value, end).is_some_and(|end| rest(value, end).starts_with(b":{"))
}

/// The position behind a number of at most ten digits.
fn number(value: &[u8], at: usize) -> Option<usize> {
    let start = if matches!(byte(value, at), b'+' | b' ' | b'-') {
        at.saturating_add(1)
    } else {
        at
    };
    let digits = part(value, start, 11)
        .iter()
        .position(|letter| !letter.is_ascii_digit())?;
    (1..=10)
        .contains(&digits)
        .then(|| start.saturating_add(digits))
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Strength, hits_of};

    #[test]
    fn objects_are_found_by_their_grammar() {
        for value in [
            &b"O:8:\"stdClass\":0:{}"[..],
            b"O:+4:\"Evil\":1:{s:1:\"a\";i:1;}",
            b"a:1:{i:0;O:3:\"Foo\":0:{}}",
            b"x|O:7:\"Foo\\Bar\":1:{s:1:\"x\";N;}",
            b"C:11:\"ArrayObject\":37:{x:i:0;a:0:{};m:a:0:{}}",
            b"Tzo4OiJzdGRDbGFzcyI6MDp7fQ==",
        ] {
            let hits = hits_of(value);
            assert!(
                hits.contains(&(Class::Php, Strength::Decisive)),
                "{}: {hits:?}",
                value.escape_ascii()
            );
        }
        for value in [
            &b"\xAC\xED\x00\x05sr\x00\x11java.util.HashMap"[..],
            b"rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcA==",
            b"aced000573720011",
            b"AAEAAAD/////AQAAAAAAAAAMAgAAAE",
            b"gASVIAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOU",
            b"BAhvOgtFeHBsb2l0",
            b"cos\nsystem\n(S'id'\ntR.",
            b"\x80\x04\x95\x20\0\0\0\0\0\0\0",
        ] {
            let hits = hits_of(value);
            assert!(
                hits.contains(&(Class::Java, Strength::Decisive)),
                "{}: {hits:?}",
                value.escape_ascii()
            );
        }
    }

    #[test]
    fn data_is_no_object() {
        for value in [
            &b"a:2:{i:0;s:3:\"foo\";i:1;i:7;}"[..],
            b"{\"O\":8,\"C\":\"x\"}",
            b"ratio: O:8:\"x\"",
            b"gASleeping",
            b"rO0mForRent",
            b"TzoneEurope",
            b"AAEAAAB",
            b"BAhamas",
            b"close\nto me",
        ] {
            assert!(
                hits_of(value).is_empty(),
                "{}: {:?}",
                value.escape_ascii(),
                hits_of(value)
            );
        }
    }
}
