//! Bounded body → (name, value) pairs: urlencoded and JSON; multipart is split where it is inspected.
//!
//! **In:** the head (what a body is, whether it may be held) and a whole body. **Out:** pairs, raw
//! ([`FormPairs`], nothing allocated) or decoded ([`fields`], bounded).
//! **Invariant:** a body is what its one content type says; several or none: [`BodyKind::Other`].
//! **Source:** WHATWG URL §5.1 (urlencoded), RFC 8259, RFC 6839 (`+json`), RFC 9110 §7.8, RFC 8441.
//! **Cost:** linear; [`fields`] stops after [`MAX_FIELDS`].

use alloc::vec::Vec;

use super::cookie::trim;
use super::target::hex;
use super::{Known, RequestHead};
use crate::budget::MAX_JSON_DEPTH;
use crate::inflate::Coding;
use crate::json::{Event, Reader};

/// What the content type says a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`, `*+json`.
    Json,
    /// `multipart/*` with the one boundary that its content type names.
    Multipart(Boundary),
    /// `application/xml`, `text/xml`, `*+xml`.
    Xml,
    /// Anything else: inspected by what its bytes look like, and as one plain value.
    Other,
}

/// The boundary of a multipart body: 1 to 70 bytes (RFC 2046 §5.1.1), zeros behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boundary {
    bytes: [u8; 70],
    length: usize,
}

impl Boundary {
    /// A boundary that every reader reads alike: bytes of RFC 2046's `bchars`, no blank and no comma.
    #[must_use]
    pub fn new(text: &[u8]) -> Option<Self> {
        const MARKS: &[u8] = b"'()+_-./:=?";
        let good = |byte: &u8| byte.is_ascii_alphanumeric() || MARKS.contains(byte);
        if text.is_empty() || text.len() > 70 || !text.iter().all(good) {
            return None;
        }
        let mut bytes = [0; 70];
        for (to, from) in bytes.iter_mut().zip(text) {
            *to = *from;
        }
        Some(Self {
            bytes,
            length: text.len(),
        })
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The only `boundary` parameter of a content type. Some readers take the first place where the word stands, so
    /// it may stand in one place only.
    fn of(value: &[u8]) -> Option<Self> {
        let mut found = None;
        for parameter in value.split(|byte| *byte == b';') {
            let (name, text) = split_at_byte(parameter, b'=');
            let named = has_word(name);
            // Browsers write the word into the boundary itself (`----WebKitFormBoundary…`): it may stand there.
            if !named && (found.is_some() || !has_word(parameter)) {
                continue;
            }
            if found.is_some() || !trim(name).eq_ignore_ascii_case(b"boundary") {
                return None;
            }
            let text = trim(text.unwrap_or_default());
            let bare = text
                .strip_prefix(b"\"")
                .and_then(|text| text.strip_suffix(b"\""));
            found = Some(Self::new(bare.unwrap_or(text))?);
        }
        found
    }
}

/// Whether `boundary` stands in `text`, in any case.
fn has_word(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some((_, tail)) = rest.split_first() {
        let word = rest.get(..8);
        if word.is_some_and(|word| word.eq_ignore_ascii_case(b"boundary")) {
            return true;
        }
        rest = tail;
    }
    false
}

/// Fields that [`fields`] yields at most: counters look for one by name, nobody sends so many.
pub const MAX_FIELDS: usize = 1000;

/// Bytes of a dotted path in [`fields`]; a longer one is cut, so that deep names cannot multiply a body.
pub const MAX_FIELD_NAME: usize = 256;

/// The kind by content type.
#[must_use]
pub fn kind(head: &RequestHead<'_>) -> BodyKind {
    let mut types = head.all(b"content-type");
    let (Some(value), None) = (types.next(), types.next()) else {
        return BodyKind::Other;
    };
    let essence = essence(value);
    if essence.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
        BodyKind::Form
    } else if essence.eq_ignore_ascii_case(b"application/json")
        || ends_with_ignoring_case(essence, b"+json")
    {
        BodyKind::Json
    } else if essence.eq_ignore_ascii_case(b"application/xml")
        || essence.eq_ignore_ascii_case(b"text/xml")
        || ends_with_ignoring_case(essence, b"+xml")
    {
        BodyKind::Xml
    } else if essence
        .split_at_checked(10)
        .is_some_and(|(start, _)| start.eq_ignore_ascii_case(b"multipart/"))
    {
        Boundary::of(value).map_or(BodyKind::Other, BodyKind::Multipart)
    } else {
        BodyKind::Other
    }
}

/// gRPC: `content-type: application/grpc`, also with `+proto`, `+json` and the like; not gRPC-Web, whose
/// clients read plain HTTP answers.
#[must_use]
pub fn is_grpc(head: &RequestHead<'_>) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    head.all(b"content-type").any(|value| {
        let essence = essence(value);
        essence
            .split_at_checked(GRPC.len())
            .is_some_and(|(start, rest)| {
                start.eq_ignore_ascii_case(GRPC) && matches!(rest, [] | [b'+', ..])
            })
    })
}

/// gRPC, CONNECT (plain or extended) or an upgrade: never held. An event stream is an answer: a request
/// that accepts one has an ordinary body. A request that announces a body is no upgrade whatever its header
/// says, or one `upgrade: x` would hide every body.
#[must_use]
pub fn is_streaming(head: &RequestHead<'_>) -> bool {
    let upgrades = head.count(Known::Upgrade) > 0
        && head.count(Known::TransferEncoding) == 0
        && head
            .all(b"content-length")
            .all(|value| length(value) == Some(0));
    upgrades || head.method == b"CONNECT" || is_grpc(head)
}

/// How the bytes of a body stand for what the application reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coded {
    /// They are it.
    Plain,
    /// Compressed in one way that can be undone here.
    In(Coding),
    /// Coded in another way, or in several.
    Otherwise,
}

/// The coding of the body (RFC 9110 §8.4). `identity` is none.
#[must_use]
pub fn coded(head: &RequestHead<'_>) -> Coded {
    if head.count(Known::ContentEncoding) == 0 {
        return Coded::Plain;
    }
    let codings = head
        .all(b"content-encoding")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
    codings.fold(Coded::Plain, |before, coding| {
        let gzip = coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip");
        match before {
            Coded::Plain if gzip => Coded::In(Coding::Gzip),
            Coded::Plain if coding.eq_ignore_ascii_case(b"deflate") => Coded::In(Coding::Deflate),
            Coded::Plain if coding.eq_ignore_ascii_case(b"br") => Coded::In(Coding::Brotli),
            _ => Coded::Otherwise,
        }
    })
}

/// `content-length`, when it is sent once and is one number.
#[must_use]
pub fn declared_length(head: &RequestHead<'_>) -> Option<usize> {
    let mut lengths = head.all(b"content-length");
    let (Some(value), None) = (lengths.next(), lengths.next()) else {
        return None;
    };
    length(value)
}

/// How long the body will be, where the head tells and the host holds the client to it: one length, and no coding that
/// overrules it (RFC 9112 §6.3).
#[must_use]
pub fn told_length(head: &RequestHead<'_>) -> Option<u64> {
    if head.count(Known::TransferEncoding) > 0 {
        return None;
    }
    declared_length(head).and_then(|length| u64::try_from(length).ok())
}

/// A `content-length` value: digits only. A number too large to count is the largest there is.
pub(crate) fn length(value: &[u8]) -> Option<usize> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_usize, |sum, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        Some(
            sum.saturating_mul(10)
                .saturating_add(usize::try_from(digit).ok()?),
        )
    })
}

/// `type/subtype` of a media type, as written.
pub(crate) fn essence(value: &[u8]) -> &[u8] {
    trim(value.split(|byte| *byte == b';').next().unwrap_or_default())
}

fn ends_with_ignoring_case(bytes: &[u8], end: &[u8]) -> bool {
    let start = bytes.len().saturating_sub(end.len());
    bytes
        .get(start..)
        .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

/// Raw (name, value) pairs of urlencoded text, in order, split on `&` only. A piece without `=` is a name
/// with an empty value; empty pieces are left out.
#[derive(Debug, Clone)]
pub struct FormPairs<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> FormPairs<'a> {
    /// Pairs of a query or a form body.
    #[must_use]
    pub const fn new(text: &'a [u8]) -> Self {
        Self { rest: Some(text) }
    }
}

impl<'a> Iterator for FormPairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (piece, rest) = split_at_byte(self.rest?, b'&');
            self.rest = rest;
            if !piece.is_empty() {
                let (name, value) = split_at_byte(piece, b'=');
                return Some((name, value.unwrap_or_default()));
            }
        }
    }
}

/// Before and after the first `byte`.
fn split_at_byte(bytes: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    let place = bytes.iter().position(|candidate| *candidate == byte);
    match place.and_then(|place| bytes.split_at_checked(place)) {
        Some((before, after)) => (before, after.get(1..)),
        None => (bytes, None),
    }
}

/// Names and values of a form or JSON body (JSON names are paths: `user.name`, `items.0`), decoded, bounded.
/// Of JSON only strings and numbers; of a text that is not JSON, what came before the fault.
#[must_use]
pub fn fields(kind: BodyKind, body: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    match kind {
        BodyKind::Form => FormPairs::new(body)
            .take(MAX_FIELDS)
            .map(|(name, value)| (decode_form(name), decode_form(value)))
            .collect(),
        BodyKind::Json => json_fields(body),
        BodyKind::Multipart(_) | BodyKind::Xml | BodyKind::Other => Vec::new(),
    }
}

/// Undoes `+` and `%xx` once; a `%` without two hex digits stays.
#[must_use]
pub fn decode_form(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = raw;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        let byte = match (first, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, tail @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = tail;
                    high.wrapping_shl(4) | low
                }
                _ => b'%',
            },
            (other, _) => other,
        };
        out.push(byte);
    }
    out
}

/// A container on the way to a value.
struct Level {
    /// Length of the path outside of it.
    outside: usize,
    /// Index of the next element, of an array.
    next: Option<usize>,
}

fn json_fields(body: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut out = Vec::new();
    let mut path = Vec::new();
    let mut levels: Vec<Level> = Vec::new();
    let mut reader = Reader::new(body, MAX_JSON_DEPTH);
    while let Ok(Some(event)) = reader.next_event() {
        match event {
            Event::ObjectEnd | Event::ArrayEnd => {
                levels.pop();
                continue;
            }
            Event::Key(name) => {
                let outside = levels.last().map_or(0, |level| level.outside);
                path.truncate(outside);
                push_step(&mut path, &name.decode());
                continue;
            }
            _ => {}
        }
        // A value begins: in an array its path ends in its index.
        if let Some(Level {
            outside,
            next: Some(next),
        }) = levels.last_mut()
        {
            path.truncate(*outside);
            push_step(&mut path, decimal(*next, &mut [0; 20]));
            *next = next.saturating_add(1);
        }
        let value = match event {
            Event::ObjectStart => {
                levels.push(Level {
                    outside: path.len(),
                    next: None,
                });
                continue;
            }
            Event::ArrayStart => {
                levels.push(Level {
                    outside: path.len(),
                    next: Some(0),
                });
                continue;
            }
            Event::String(text) => text.decode().into_owned(),
            Event::Number(number) => number.to_vec(),
            _ => continue,
        };
        out.push((path.clone(), value));
        if out.len() >= MAX_FIELDS {
            break;
        }
    }
    out
}

fn push_step(path: &mut Vec<u8>, step: &[u8]) {
    if !path.is_empty() {
        path.push(b'.');
    }
    path.extend_from_slice(step);
    path.truncate(MAX_FIELD_NAME);
}

/// Digits of a number.
fn decimal(mut number: usize, buffer: &mut [u8; 20]) -> &[u8] {
    let mut start = buffer.len();
    for (slot, place) in buffer.iter_mut().rev().zip(1_usize..) {
        let digit = number.wrapping_rem(10).to_le_bytes()[0];
        *slot = b'0'.wrapping_add(digit);
        start = 20_usize.saturating_sub(place);
        number = number.wrapping_div(10);
        if number == 0 {
            break;
        }
    }
    buffer.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn with(pairs: &[(&str, &[u8])], check: impl FnOnce(&RequestHead<'_>) -> bool) -> bool {
        let pairs = pairs.iter().map(|(name, value)| (name.as_bytes(), *value));
        check(&RequestHead::decode(pairs))
    }

    #[test]
    fn kinds() {
        const CASES: &[(&[&[u8]], BodyKind)] = &[
            (&[], BodyKind::Other),
            (&[b"application/x-www-form-urlencoded"], BodyKind::Form),
            (
                &[b"Application/X-WWW-Form-Urlencoded; charset=utf-8"],
                BodyKind::Form,
            ),
            (&[b"application/json"], BodyKind::Json),
            (&[b" application/JSON ; a=b"], BodyKind::Json),
            (&[b"application/problem+json"], BodyKind::Json),
            (&[b"application/jsonx"], BodyKind::Other),
            (&[b"+json"], BodyKind::Json),
            (&[b"text/XML; charset=utf-8"], BodyKind::Xml),
            (&[b"application/xml"], BodyKind::Xml),
            (&[b"application/soap+xml"], BodyKind::Xml),
            (&[b"text/xmlx"], BodyKind::Other),
            (&[b"text/plain; x=application/json"], BodyKind::Other),
            (&[b"application/json", b"text/plain"], BodyKind::Other),
            (&[b""], BodyKind::Other),
        ];
        for (values, expected) in CASES {
            let pairs = values.iter().map(|value| (&b"content-type"[..], *value));
            assert_eq!(kind(&RequestHead::decode(pairs)), *expected, "{values:?}");
        }
    }

    #[test]
    fn codings() {
        const CASES: &[(&[&[u8]], Coded)] = &[
            (&[], Coded::Plain),
            (&[b""], Coded::Plain),
            (&[b"Identity"], Coded::Plain),
            (&[b"identity, identity"], Coded::Plain),
            (&[b"GZip"], Coded::In(Coding::Gzip)),
            (&[b"identity", b"deflate"], Coded::In(Coding::Deflate)),
            (&[b"identity,x-gzip"], Coded::In(Coding::Gzip)),
            (&[b"identity", b"Br"], Coded::In(Coding::Brotli)),
            (&[b"zstd"], Coded::Otherwise),
            (&[b"gzip, gzip"], Coded::Otherwise),
            (&[b"gzip", b"deflate"], Coded::Otherwise),
            (&[b"br, gzip"], Coded::Otherwise),
        ];
        for (values, expected) in CASES {
            let pairs = values
                .iter()
                .map(|value| (&b"content-encoding"[..], *value));
            assert_eq!(coded(&RequestHead::decode(pairs)), *expected, "{values:?}");
        }
    }

    #[test]
    fn boundaries() {
        const CASES: &[(&[u8], Option<&[u8]>)] = &[
            (b"multipart/form-data; boundary=B", Some(b"B")),
            (
                b"Multipart/Form-Data;charset=utf-8;Boundary=\"----WebKit1\"",
                Some(b"----WebKit1"),
            ),
            (
                b"multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
                Some(b"----WebKitFormBoundary7MA4YWxkTrZu0gW"),
            ),
            (
                b"multipart/form-data; boundary=---------------------------9051914041544843365972754266",
                Some(b"---------------------------9051914041544843365972754266"),
            ),
            (b"multipart/form-data; x=\"boundary=a\"; boundary=b", None),
            (b"multipart/form-data; boundary =a; boundary=b", None),
            (b"multipart/form-data; boundaryx=a; boundary=b", None),
            (b"multipart/form-data; boundary=b; boundary*=a", None),
            (b"multipart/form-data", None),
            (b"multipart/form-data; boundary=", None),
            (b"multipart/form-data; boundary=\"a;b\"", None),
            (b"multipart/form-data; boundary=a,b", None),
            (b"multipart/form-data; boundary=a; boundary=a", None),
            (b"multipart/form-data; xboundary=a", None),
        ];
        for (value, expected) in CASES {
            let pairs = [(&b"content-type"[..], *value)];
            let kind = kind(&RequestHead::decode(pairs.into_iter()));
            match (kind, expected) {
                (BodyKind::Multipart(boundary), Some(expected)) => {
                    assert_eq!(boundary.bytes(), *expected);
                }
                (BodyKind::Other, None) => {}
                _ => panic!("{kind:?} {expected:?}"),
            }
        }
        assert!(Boundary::new(&[b'b'; 70]).is_some());
        assert!(Boundary::new(&[b'b'; 71]).is_none());
    }

    #[test]
    fn streams() {
        type Heads = &'static [(&'static str, &'static [u8])];
        const CASES: &[(Heads, bool, bool)] = &[
            (&[], false, false),
            (&[("content-type", b"application/grpc")], true, true),
            (&[("content-type", b"application/grpc+proto")], true, true),
            (&[("content-type", b"Application/gRPC; x")], true, true),
            (&[("content-type", b"application/grpc-web")], false, false),
            (&[("content-type", b"application/grpcx")], false, false),
            (&[(":method", b"CONNECT"), (":path", b"a:443")], false, true),
            (
                &[
                    (":method", b"CONNECT"),
                    (":protocol", b"websocket"),
                    (":path", b"/"),
                ],
                false,
                true,
            ),
            (&[("upgrade", b"x"), ("content-length", b"0")], false, true),
            (&[("upgrade", b"x"), ("content-length", b"5")], false, false),
            (
                &[
                    ("upgrade", b"x"),
                    ("content-length", b"0"),
                    ("content-length", b"5"),
                ],
                false,
                false,
            ),
            (
                &[("upgrade", b"x"), ("transfer-encoding", b"chunked")],
                false,
                false,
            ),
            (
                &[(":method", b"GET"), ("upgrade", b"websocket")],
                false,
                true,
            ),
            (
                &[(":method", b"POST"), ("accept", b"text/event-stream")],
                false,
                false,
            ),
        ];
        for (pairs, grpc, streaming) in CASES {
            assert_eq!(with(pairs, is_grpc), *grpc, "{pairs:?}");
            assert_eq!(with(pairs, is_streaming), *streaming, "{pairs:?}");
        }
    }

    #[test]
    fn lengths() {
        const CASES: &[(&[&[u8]], Option<usize>)] = &[
            (&[], None),
            (&[b"0"], Some(0)),
            (&[b"0012"], Some(12)),
            (&[b""], None),
            (&[b"+1"], None),
            (&[b"1,1"], None),
            (&[b" 1"], None),
            (&[b"1", b"1"], None),
            (&[b"99999999999999999999999"], Some(usize::MAX)),
        ];
        for (values, expected) in CASES {
            let pairs = values.iter().map(|value| (&b"content-length"[..], *value));
            assert_eq!(
                declared_length(&RequestHead::decode(pairs)),
                *expected,
                "{values:?}"
            );
        }
    }

    type Pairs = &'static [(&'static [u8], &'static [u8])];

    #[test]
    fn form_pairs() {
        const CASES: &[(&[u8], Pairs)] = &[
            (b"", &[]),
            (b"&&", &[]),
            (b"a", &[(b"a", b"")]),
            (b"=", &[(b"", b"")]),
            (
                b"a=1&b=2=3&&c;d=4&",
                &[(b"a", b"1"), (b"b", b"2=3"), (b"c;d", b"4")],
            ),
            (b"a%3d=%26+", &[(b"a%3d", b"%26+")]),
        ];
        for (text, expected) in CASES {
            assert_eq!(FormPairs::new(text).collect::<Vec<_>>(), *expected);
        }
    }

    fn read(kind: BodyKind, body: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        fields(kind, body)
    }

    #[test]
    fn decoded_fields() {
        const CASES: &[(BodyKind, &[u8], Pairs)] = &[
            (BodyKind::Form, b"user+name=a%20b%2Bc&x=%zz%4", &[(b"user name", b"a b+c"), (b"x", b"%zz%4")]),
            (BodyKind::Other, b"a=b", &[]),
            (BodyKind::Json, b"\"top\"", &[(b"", b"top")]),
            (
                BodyKind::Json,
                b"{\"user\":{\"name\":\"\\u0061b\",\"ok\":true},\"items\":[1,{\"k\":[\"x\"]},null,-2e3],\"z\":[]}",
                &[
                    (b"user.name", b"ab"),
                    (b"items.0", b"1"),
                    (b"items.1.k.0", b"x"),
                    (b"items.3", b"-2e3"),
                ],
            ),
            (BodyKind::Json, b"[[1],[[2,3]]]", &[(b"0.0", b"1"), (b"1.0.0", b"2"), (b"1.0.1", b"3")]),
            (BodyKind::Json, b"{\"a\":1,\"b\":", &[(b"a", b"1")]),
        ];
        for (kind, body, expected) in CASES {
            let read = read(*kind, body);
            let read: Vec<_> = read
                .iter()
                .map(|(name, value)| (&name[..], &value[..]))
                .collect();
            assert_eq!(read, *expected, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn fields_are_bounded_at_n_and_n_plus_one() {
        for count in [MAX_FIELDS - 1, MAX_FIELDS, MAX_FIELDS + 1] {
            let form = b"a=1&".repeat(count);
            assert_eq!(read(BodyKind::Form, &form).len(), count.min(MAX_FIELDS));
            let json = [b"[0".as_slice(), &b",0".repeat(count - 1), b"]"].concat();
            assert_eq!(read(BodyKind::Json, &json).len(), count.min(MAX_FIELDS));
        }
        let long = b"k".repeat(MAX_FIELD_NAME + 1);
        let json = [b"{\"", &long[..], b"\":{\"b\":1}}"].concat();
        let read = read(BodyKind::Json, &json);
        assert_eq!(
            read.first().map(|(name, _)| name.len()),
            Some(MAX_FIELD_NAME)
        );
    }

    #[test]
    fn numbers_are_written() {
        for number in [0, 7, 10, 999, 1000, 4_294_967_295, usize::MAX] {
            let text = number.to_string();
            assert_eq!(decimal(number, &mut [0; 20]), text.as_bytes());
        }
    }

    #[test]
    fn every_cut_of_a_body_is_read() {
        let body = b"{\"a\":[\"\\ud83d\\ude00\",1],\"b\":{\"c\":\"d\"}}";
        for end in 0..=body.len() {
            let cut = body.get(..end).unwrap_or_default();
            for kind in [BodyKind::Form, BodyKind::Json, BodyKind::Other] {
                assert!(read(kind, cut).len() <= 3);
            }
        }
    }
}
