//! Which detectors have reason to look at a value: none at most values of fields, at many only those whose words it has.
//!
//! **In:** a view. **Out:** who has to look at it; hits of the detectors that have a word in it.
//! **Invariant:** an answer is a proof: what the others ask for at their starts (bytes, words, neighbours, how a value begins or ends) is
//! not there, so that they are silent. Wherever assertions are compiled in (all tests, the corpora) all detectors look all the same, and
//! must find the same.
//! **Cost:** the first and the last bytes, after the pass that every value takes; for a name with `_` and for URLs, one pass.

use alloc::vec::Vec;

use super::bytes::{
    AMP, BLANK, DOT, LOUD, OPERATOR, PAREN, PERCENT, PLUS, SCORE, SHELL, SLASH, byte, has_at,
    skip_space,
};
use super::sql_tokens::Token;
use super::triggers::{
    AT, BANG, CARET, COLON, COMMAND, CRLF, EQUALS, HOST, JAVA, JNDI, KINDS, LIKE, LOGIC, NODE,
    NOSQL, PATH, PHP, PHP_CALL, PROTOTYPE, QUESTION, RFI, SCRIPT, SQL, SSRF, SSTI, STORE,
    STORE_CALL, WEB, WRAPPER, XPATH,
};
use super::{
    Hits, Place, View, crlf, java, jndi, node, nosql, objects, php, prototype, rfi, shell, sqli,
    ssrf, ssti, traversal, upload, xpath, xss,
};

/// Who has to look at a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// No detector can find anything.
    Nobody,
    /// The detectors that have a word in it ([`scan`]).
    Worded,
    /// All of them.
    Everybody,
}

/// Classes of the bytes of names, numbers and sentences.
const CALM: u32 = BLANK | DOT | SCORE;

/// The same, and punctuation that no language begins with.
const TAME: u32 = CALM | SLASH | PAREN | SHELL | PLUS | OPERATOR | AMP | PERCENT;

/// Who has to look at the value.
pub(super) fn who(view: &View<'_>) -> Who {
    if view.classes & !TAME != 0 || view.is_file {
        return Who::Everybody;
    }
    let who = if is_calm(view) {
        Who::Nobody
    } else if is_tame(view) {
        Who::Worded
    } else {
        return Who::Everybody;
    };
    if is_sent(view) || objects::packed(view.bytes) {
        return Who::Everybody;
    }
    who
}

/// Whether a header names a file that somebody sends.
fn is_sent(view: &View<'_>) -> bool {
    view.place == Place::Header && (has_at(view.name, 0, b"x-file") || upload::is_file_name(view))
}

/// Whether the value has no word and no sign that any language needs.
fn is_calm(view: &View<'_>) -> bool {
    if view.place == Place::Path
        || view.classes & !CALM != 0
        || view.classes == 0
        || view.words & !(LOGIC | KINDS | HOST) != 0
    {
        return false;
    }
    if view.classes & LOUD != 0 {
        !view.is_name && view.marks == 0 && begins_calm(view)
    } else {
        is_quiet(view)
    }
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

/// Neighbours that say nothing by themselves.
const MARKS: u32 = AT | COLON | QUESTION | CARET | BANG | EQUALS;

/// Words that no detector asks for where the value is tame, or that [`scan`] judges by itself.
const SILENT: u32 = LIKE | KINDS | HOST | WEB;

/// Whether a detector needs a word of its own to find anything in the value.
fn is_tame(view: &View<'_>) -> bool {
    let View {
        bytes: value,
        classes,
        marks,
        ..
    } = *view;
    if classes & LOUD == 0 || marks & !MARKS != 0 || view.is_name {
        return false;
    }
    // Filters of a directory, templates, options of cmd's, calls of signs.
    if classes & PAREN != 0 && (classes & (OPERATOR | AMP | PERCENT) != 0 || marks & BANG != 0) {
        return false;
    }
    let second = byte(value, 1);
    let last = value.last().copied().unwrap_or(0);
    let begins = match byte(value, 0) {
        b'/' => second.is_ascii_alphanumeric() || value.len() == 1,
        b'i' | b'I' | b'f' | b'F' => !shell::is_statement(value, 0),
        letter => letter.is_ascii_alphabetic(),
    };
    let ends = last != b' '
        && last != b'('
        && !(last == b'/' && classes & (PAREN | SHELL) == PAREN | SHELL && value.ends_with(b";//"));
    begins && ends && !(classes & PERCENT != 0 && sqli::is_marked(value)) && is_no_folder(view)
}

/// Whether the value neither begins with a folder of the machine nor ends as a climb does.
fn is_no_folder(view: &View<'_>) -> bool {
    let value = view.bytes;
    if view.classes & SLASH != 0 {
        view.place == Place::Path || !traversal::is_on_drive(value)
    } else {
        view.classes & BLANK != 0 || !traversal::is_end_of_climb(value)
    }
}

/// Whether the value is SQL's to look at: a word of it, or a beginning or an end of a comparison, a statement without one.
fn is_sql(view: &View<'_>) -> bool {
    let View {
        bytes: value,
        classes,
        words,
        marks,
        ..
    } = *view;
    let stated = match byte(value, 0) | 0x20 {
        // `in (1`, `print @@`, `from x where y=`, `backup database`, `restore log`.
        b'i' => words & LIKE != 0,
        b'p' => marks & AT != 0,
        b'b' | b'f' | b'r' => classes & (OPERATOR | BLANK) == OPERATOR | BLANK,
        _ => false,
    };
    // `like null`.
    let ended = words & LIKE != 0 && matches!(value.last(), Some(b'l' | b'L'));
    words & (SQL | LOGIC) != 0 || marks & EQUALS != 0 || stated || ended
}

/// The detectors that have a word in a tame value, in turn, until the steps are spent.
pub(super) fn scan(view: &View<'_>, tokens: &mut Vec<Token>, steps: &mut u64, hits: &mut Hits) {
    let words = view.words;
    let sql = is_sql(view);
    let command = words & COMMAND != 0 || shell::goes_on(view);
    if words & !(SILENT | RFI) == 0 && !sql && !command && (words & WEB == 0 || is_silent(view)) {
        return;
    }
    macro_rules! each {
        ($($bits:expr => $scan:path),*) => {
            $(
                if words & ($bits) != 0 {
                    $scan(view, steps, hits);
                    if *steps == 0 {
                        return;
                    }
                }
            )*
        };
    }
    each!(JAVA => java::scan, NODE => node::scan, PHP | PHP_CALL => php::scan, PROTOTYPE => prototype::scan);
    if sql {
        sqli::scan(view, tokens, steps, hits);
    }
    if words & SSRF != 0 || (words & WEB != 0 && !ssrf::leads_out(view)) {
        ssrf::scan(view, steps, hits);
    }
    each!(
        CRLF => crlf::scan, JNDI => jndi::scan, NOSQL | STORE | STORE_CALL => nosql::scan, RFI => rfi::scan
    );
    if command {
        shell::scan(view, steps, hits);
        if *steps == 0 {
            return;
        }
    }
    each!(SSTI => ssti::scan, PATH | WRAPPER => traversal::scan, XPATH => xpath::scan, SCRIPT => xss::scan);
}

/// Whether the URLs in a value without other words lead nowhere.
fn is_silent(view: &View<'_>) -> bool {
    let included = view.words & RFI != 0 && !matches!(view.place, Place::Header | Place::Path);
    !included && ssrf::leads_out(view)
}

#[cfg(test)]
mod tests {
    use super::super::super::bytes::classes;
    use super::super::{Place, View, hits_of_named, ssrf};
    use super::{COMMAND, Who, who};
    use crate::testing::Random;

    fn view(place: Place, value: &str) -> View<'_> {
        View::new(place, b"q", value.as_bytes(), classes(value.as_bytes()))
    }

    fn name(name: &str) -> View<'_> {
        View {
            is_name: true,
            ..view(Place::Body, name)
        }
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
            assert_eq!(who(&view(Place::Body, value)), Who::Nobody, "{value}");
            assert_eq!(who(&view(Place::Header, value)), Who::Nobody, "{value}");
            assert_ne!(who(&view(Place::Path, value)), Who::Nobody, "{value}");
        }
        assert_eq!(who(&name("first_name")), Who::Nobody);
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
            assert_ne!(who(&view(Place::Body, value)), Who::Nobody, "{value}");
        }
        assert_ne!(who(&name("user__password__startswith")), Who::Nobody);
        for name in [&b"x-filename"[..], b"X_File-Name", b"x-file"] {
            let view = View::new(Place::Header, name, b"a.php", classes(b"a.php"));
            assert_eq!(who(&view), Who::Everybody, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn what_browsers_send_is_tame_and_what_detectors_want_is_not() {
        for value in [
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "https://shop.example.com/catalogue/shoes?page=2&sort=price",
            "/catalogue/shoes",
            "application/x-www-form-urlencoded; charset=utf-8",
            "leave it at the door (or not); thanks",
        ] {
            assert_eq!(who(&view(Place::Header, value)), Who::Worded, "{value}");
        }
        for value in [
            "//10.0.0.1/x",
            "if true; then x",
            "a; b && c",
            "a/../b",
            "c:/windows/win",
            "a|b/c",
            "a(b=c)",
            "x[0]/y",
            "${a}",
            "it's/",
            "a -- b/",
            "program files/a",
            "round(",
            "?a?b/c",
        ] {
            assert_eq!(who(&view(Place::Query, value)), Who::Everybody, "{value}");
        }
    }

    #[test]
    fn a_compound_command_without_a_listed_word_is_found() {
        for value in ["x;while x;do w;done", "x;for i in y; do w;done"] {
            let view = view(Place::Header, value);
            assert_eq!(who(&view), Who::Worded, "{value}");
            assert_eq!(view.words & COMMAND, 0, "{value}");
            assert!(
                !hits_of_named(Place::Header, b"q", value.as_bytes()).is_empty(),
                "{value}"
            );
        }
    }

    #[test]
    fn plain_urls_lead_out_and_others_are_read() {
        for value in [
            "https://shop.example.com/a?b=c&d=1",
            "see http://example.org, and https://www.example.com!",
            "Bot/1.0 (+http://example.com/bot; rv:1.0)",
            "HTTPS://example.com",
        ] {
            assert!(ssrf::leads_out(&view(Place::Header, value)), "{value}");
        }
        for value in [
            "http:2130706433",
            "http:/10.0.0.1/",
            "http://127.0.0.1/",
            "http://0x7f000001/",
            "https://example.com:80/",
            "https://a@b.example/",
            "https://example.com/?u=ftp://a.example",
            "https://example.com/?u=http://localhost/",
            "https://example.com/?u=http://169.254.169.254/",
            "https://example.com/169.254.169.254/",
            "http://a.nip.io/",
            "http://x.oastify.com/",
            "http://1u.ms/",
            "http://[::1]/",
            "http://",
            "http://%31/",
            "svn:/0x7f.1 http://a.example",
            "xhttp://a.example/",
            "url=//10.0.0.1/?http",
        ] {
            assert!(!ssrf::leads_out(&view(Place::Header, value)), "{value}");
        }
    }

    /// Whatever stands beside whatever: `scan` asserts that all detectors find what those find who have to look.
    #[test]
    fn the_detectors_find_what_those_find_who_have_to_look() {
        const PIECES: [&str; 137] = [
            "if",
            "for",
            "xor",
            "and",
            "or",
            "in",
            "like",
            "null",
            "select",
            "from",
            "where",
            "limit",
            "union",
            "print",
            "set",
            "backup database",
            "disk",
            "version",
            "sleep",
            "cat",
            "id",
            "ls",
            "ping",
            "while true",
            "then ",
            "do ",
            "trap ",
            "done",
            "date",
            "match (",
            "return",
            "_all_docs?",
            "echo",
            "eval",
            "alert",
            "php",
            "system",
            "require",
            "this",
            "constructor",
            "prototype",
            "os",
            "java.lang",
            "Runtime",
            "subprocess",
            "rO0AB",
            "aced0005",
            "etc",
            "passwd",
            "boot.ini",
            ".env",
            "bin",
            "usr",
            "sh",
            "dev",
            "proc",
            "local",
            "localhost",
            "metadata",
            "nip.io",
            "a",
            "b_c",
            "x",
            "X",
            "p",
            "i",
            "f",
            "b",
            "r",
            "0",
            "1",
            "2.5",
            "0x2e0x2e",
            "17_5",
            "Mozilla/5.0",
            "Gecko",
            "http:",
            "https:",
            "http://",
            "https://",
            "ftp://",
            "url:",
            "url=",
            "file:",
            "svn:",
            "example.com",
            "10.0.0.1",
            "169.254.169.254",
            "0x7f.1",
            "/",
            "//",
            "/",
            ".",
            "..",
            ";",
            ";//",
            "(",
            ")",
            "(",
            ")",
            "?",
            "=",
            "&",
            "+",
            "%",
            "@",
            "!",
            ",",
            ":",
            "not",
            "is",
            "between",
            "true",
            "order",
            "by",
            "all",
            "as",
            "on",
            "table",
            "users",
            "at",
            "exec",
            "self",
            "class",
            "__x",
            "1.e",
            "0x2e",
            "1e3",
            "-1",
            "--",
            "-",
            "::",
            "...",
            "@@",
            "div",
            "mod",
            "\u{a0}",
        ];
        const PLACES: [Place; 5] = [
            Place::Path,
            Place::Query,
            Place::Header,
            Place::Cookie,
            Place::Body,
        ];
        let mut random = Random::new(11);
        let (mut nobody, mut worded, mut found) = (0, 0, 0);
        for _ in 0..150_000 {
            let mut value = String::new();
            for _ in 0..=random.below(7) {
                value.push_str(PIECES[random.below(PIECES.len())]);
                if random.below(3) == 0 {
                    value.push(' ');
                }
            }
            let place = PLACES[random.below(5)];
            let who = who(&view(place, &value));
            if who == Who::Everybody {
                continue;
            }
            let hits = hits_of_named(place, b"q", value.as_bytes());
            if who == Who::Nobody {
                nobody += 1;
                assert!(hits.is_empty(), "{value} {hits:?}");
            } else {
                worded += 1;
                found += usize::from(!hits.is_empty());
            }
        }
        assert!(
            nobody > 3_000 && worded > 10_000 && found > 500,
            "{nobody} {worded} {found}"
        );
    }
}
