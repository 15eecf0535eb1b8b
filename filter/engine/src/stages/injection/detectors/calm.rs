//! Values of fields in which no detector can find anything: the words of names, numbers and sentences that no language needs.
//!
//! **In:** a view. **Out:** a yes or no.
//! **Invariant:** a yes is a proof: a value has none of the bytes, words and neighbours that the detectors ask for at their starts,
//! and does not begin or end as those of them want it that ask for no byte. Wherever assertions are compiled in (all tests, the corpora)
//! the detectors look at it all the same, and must find nothing.
//! **Cost:** the first and the last bytes, after the pass that every value takes; for a name with `_`, one pass.

use super::bytes::{BLANK, DOT, LOUD, SCORE, byte, has_at, skip_space};
use super::triggers::{AT, COLON, HOST, KINDS, LOGIC};
use super::{Place, View, node, objects, shell, sqli, traversal, upload};

/// Whether no detector can find anything in the value.
pub(super) fn is_calm(view: &View<'_>) -> bool {
    let value = view.bytes;
    if view.place == Place::Path
        || is_sent(view)
        || view.is_file
        || view.classes & !(BLANK | DOT | SCORE) != 0
        || view.classes == 0
        || view.words & !(LOGIC | KINDS | HOST) != 0
        || objects::packed(value)
    {
        return false;
    }
    if view.classes & LOUD != 0 {
        !view.is_name && view.marks == 0 && begins_calm(view)
    } else {
        is_quiet(view)
    }
}

/// Whether a header names a file that somebody sends.
fn is_sent(view: &View<'_>) -> bool {
    view.place == Place::Header && (has_at(view.name, 0, b"x-file") || upload::is_file_name(view))
}

/// Of a value with blanks.
fn begins_calm(view: &View<'_>) -> bool {
    let value = view.bytes;
    let start = skip_space(value, 0);
    match byte(value, start) {
        b'i' | b'I' | b'f' | b'F' => !shell::is_statement(value, start),
        // `xor 1`.
        b'x' | b'X' => view.words & LOGIC == 0,
        b'0'..=b'9' => view.words & LOGIC == 0 && !sqli::follows_number(view),
        letter => letter.is_ascii_alphabetic(),
    }
}

/// Of a value or a name of letters, digits, dots and underscores (and hyphens, commas, colons, at signs).
fn is_quiet(view: &View<'_>) -> bool {
    let value = view.bytes;
    // Words and neighbours of longer ones were not looked at.
    if value.len() > super::LONG || view.marks & !(AT | COLON) != 0 {
        return false;
    }
    let begins = match byte(value, 0) {
        b'h' | b'H' => !has_at(value, 0, b"http:"),
        b'0'..=b'9' => !sqli::follows_number(view),
        letter => letter.is_ascii_alphabetic() || letter == b'_',
    };
    begins
        && !(view.is_name && view.classes & SCORE != 0 && node::leaks(value))
        && !traversal::is_end_of_climb(value)
}

#[cfg(test)]
mod tests {
    use super::super::super::bytes::classes;
    use super::super::{Place, View, hits_of_named};
    use super::is_calm;

    fn calm(place: Place, value: &str, is_name: bool) -> bool {
        let mut view = View::new(place, b"q", value.as_bytes(), classes(value.as_bytes()));
        view.is_name = is_name;
        is_calm(&view)
    }

    #[test]
    fn what_people_write_is_calm_and_what_detectors_want_is_not() {
        for value in [
            "leave it at the door, thanks.",
            "Blue widget, large",
            "fair and square",
            "2 pieces of 12.50",
            "19.99",
            "anna_b@shop.example",
            "example.com",
        ] {
            assert!(calm(Place::Body, value, false), "{value}");
            assert!(calm(Place::Header, value, false), "{value}");
            assert!(!calm(Place::Path, value, false), "{value}");
        }
        assert!(calm(Place::Body, "first_name", true));
        for value in [
            "if true then",
            "for x in y",
            "xor 1 and 2",
            "1 and 1",
            "5 limit 1",
            "1.e.table_name",
            "a -- b",
            "rO0ABXNy and so on",
            "..x boot.ini",
            "@@version",
            "http:1.2",
            "x@0x2e0x2e.win.ini",
            "it's late",
            "union all select a",
        ] {
            assert!(!calm(Place::Body, value, false), "{value}");
        }
        assert!(!calm(Place::Body, "user__password__startswith", true));
        for name in [&b"x-filename"[..], b"X_File-Name", b"x-file"] {
            let view = View::new(Place::Header, name, b"a.php", classes(b"a.php"));
            assert!(!is_calm(&view), "{}", name.escape_ascii());
        }
    }

    /// Whatever stands beside whatever: `scan` asserts that the detectors find nothing in what is calm.
    #[test]
    fn the_detectors_find_nothing_in_what_is_calm() {
        const PIECES: [&str; 72] = [
            "if",
            "for",
            "xor",
            "and",
            "or",
            "not",
            "in",
            "is",
            "like",
            "between",
            "null",
            "true",
            "select",
            "from",
            "where",
            "limit",
            "order",
            "by",
            "all",
            "as",
            "on",
            "table",
            "users",
            "set",
            "at",
            "cat",
            "id",
            "ls",
            "ping",
            "echo",
            "sleep",
            "exec",
            "eval",
            "alert",
            "php",
            "system",
            "require",
            "self",
            "this",
            "class",
            "a",
            "b_c",
            "__x",
            "x",
            "0",
            "1",
            "2.5",
            "1.e",
            "0x2e",
            "1e3",
            "-1",
            "--",
            "-",
            ",",
            ":",
            "::",
            ".",
            "..",
            "...",
            "@",
            "@@",
            "http:",
            "file:",
            "java.lang",
            "rO0AB",
            "etc",
            "passwd",
            "boot.ini",
            ".env",
            "div",
            "mod",
            "\u{a0}",
        ];
        let mut state = 5_u64;
        let mut pick = |most: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % most
        };
        let mut seen = 0;
        for _ in 0..60_000 {
            let mut value = String::new();
            for _ in 0..=pick(5) {
                value.push_str(PIECES[pick(PIECES.len())]);
                if pick(3) > 0 {
                    value.push(' ');
                }
            }
            let place = [Place::Query, Place::Header, Place::Cookie, Place::Body][pick(4)];
            if calm(place, &value, false) {
                seen += 1;
                assert!(hits_of_named(place, b"q", value.as_bytes()).is_empty());
            }
        }
        assert!(seen > 3_000, "{seen}");
    }
}
