//! Values of punctuation that no language begins with: in them a detector can find nothing but by its own words.
//!
//! **In:** a view. **Out:** whether it is such a value; hits of the detectors whose words it has.
//! **Invariant:** a yes is a proof: what every detector asks for beside its words (bytes, neighbours, how the value begins or ends) is not
//! there, so that each that has no word is silent. Wherever assertions are compiled in, all detectors look at it all the same, and must
//! find the same.
//! **Cost:** the first and the last bytes, after the pass that every value takes; where there are URLs, one pass.

use alloc::vec::Vec;

use super::bytes::{
    AMP, BLANK, DOT, LOUD, OPERATOR, PAREN, PERCENT, PLUS, SCORE, SHELL, SLASH, byte, has_at,
};
use super::sql_tokens::Token;
use super::triggers::{
    AT, BANG, CARET, COLON, COMMAND, CRLF, EQUALS, HOST, JAVA, JNDI, KINDS, LIKE, LOGIC, NODE,
    NOSQL, PATH, PHP, PROTOTYPE, QUESTION, RFI, SCRIPT, SQL, SSRF, SSTI, STORE, STORE_CALL, WEB,
    WRAPPER, XPATH,
};
use super::{
    Hits, Place, View, crlf, java, jndi, node, nosql, objects, php, prototype, rfi, shell, sqli,
    ssrf, ssti, traversal, upload, xpath, xss,
};

/// The classes of a tame value's bytes.
const CLASSES: u32 = BLANK | DOT | SCORE | SLASH | PAREN | SHELL | PLUS | OPERATOR | AMP | PERCENT;

/// Neighbours that say nothing by themselves.
const MARKS: u32 = AT | COLON | QUESTION | CARET | BANG | EQUALS;

/// Words that no detector asks for where the value is tame, or that [`scan`] judges by itself.
const SILENT: u32 = LIKE | KINDS | HOST | WEB;

/// Whether a detector needs a word of its own to find anything in the value.
pub(super) fn is_tame(view: &View<'_>) -> bool {
    let View {
        bytes: value,
        classes,
        marks,
        ..
    } = *view;
    if classes & !CLASSES != 0
        || classes & LOUD == 0
        || marks & !MARKS != 0
        || view.is_name
        || view.is_file
    {
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
    begins
        && ends
        && !objects::packed(value)
        && !(classes & PERCENT != 0 && sqli::is_marked(value))
        && is_no_file(view)
}

/// Whether the value neither names a file that somebody sends nor begins with a folder of the machine, nor ends as a climb does.
fn is_no_file(view: &View<'_>) -> bool {
    let value = view.bytes;
    let sent = view.place == Place::Header
        && (has_at(view.name, 0, b"x-file") || upload::is_file_name(view));
    if view.classes & SLASH != 0 {
        !sent && (view.place == Place::Path || !traversal::is_on_drive(value))
    } else {
        !sent && (view.classes & BLANK != 0 || !traversal::is_end_of_climb(value))
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
    each!(JAVA => java::scan, NODE => node::scan, PHP => php::scan, PROTOTYPE => prototype::scan);
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
    use super::{COMMAND, is_tame};

    fn view(place: Place, value: &str) -> View<'_> {
        View::new(place, b"q", value.as_bytes(), classes(value.as_bytes()))
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
            assert!(is_tame(&view(Place::Header, value)), "{value}");
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
            assert!(!is_tame(&view(Place::Query, value)), "{value}");
        }
    }

    #[test]
    fn a_compound_command_without_a_listed_word_is_found() {
        for value in ["x;while x;do w;done", "x;for i in y; do w;done"] {
            let view = view(Place::Header, value);
            assert!(is_tame(&view) && view.words & COMMAND == 0, "{value}");
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

    /// Whatever stands beside whatever: `scan` asserts that all detectors find what those with a word find.
    #[test]
    fn the_detectors_find_in_what_is_tame_what_their_words_say() {
        const PIECES: [&str; 109] = [
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
        ];
        let mut state = 11_u64;
        let mut pick = |most: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % most
        };
        let (mut seen, mut found) = (0, 0);
        for _ in 0..120_000 {
            let mut value = String::new();
            for _ in 0..=pick(7) {
                value.push_str(PIECES[pick(PIECES.len())]);
                if pick(3) == 0 {
                    value.push(' ');
                }
            }
            let place = [
                Place::Path,
                Place::Query,
                Place::Header,
                Place::Cookie,
                Place::Body,
            ][pick(5)];
            if is_tame(&view(place, &value)) {
                seen += 1;
                found += usize::from(!hits_of_named(place, b"q", value.as_bytes()).is_empty());
            }
        }
        assert!(seen > 10_000 && found > 500, "{seen} {found}");
    }
}
