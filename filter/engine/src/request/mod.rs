//! The request head, decoded once: an immutable view every stage reads.
//!
//! **In:** the header pairs of a Proxy-Wasm map (raw bytes, pseudo-header names start with `:`) and the
//! peer's address. **Out:** [`RequestHead`], which borrows those bytes.
//! **Invariant:** nothing is dropped: every occurrence of every header stays visible, and what cannot be
//! read in one way only is in [`Faults`], judged by the headers stage.
//! **Source:** RFC 9110 §5, RFC 9113 §8.3.
//! **Cost:** one pass over the pairs, one `Vec`; well-known names are told apart once, so that a lookup of
//! one that is absent costs nothing.

pub mod body;
pub mod client_addr;
pub mod cookie;
pub mod host;
pub mod target;

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::budget::MAX_PAIRS;

/// One header field: names as the host gives them (lower case in Envoy), raw value bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Name.
    pub name: &'a [u8],
    /// Value, raw.
    pub value: &'a [u8],
}

/// The decoded head. Built by [`RequestHead::decode`] only.
#[derive(Debug, Clone)]
pub struct RequestHead<'a> {
    /// `:method`; empty when the host sent none.
    pub method: &'a [u8],
    /// `:authority`, else the authority of an absolute target, else `host`; empty when absent.
    pub authority: &'a [u8],
    /// `:scheme`.
    pub scheme: &'a [u8],
    /// `:protocol` of an extended CONNECT (RFC 8441); empty otherwise.
    pub protocol: &'a [u8],
    /// The whole request target as received.
    pub target: &'a [u8],
    /// Path part of the target as received.
    pub raw_path: &'a [u8],
    /// Query after the first `?`, without it; `None` when there is no `?`.
    pub query: Option<&'a [u8]>,
    /// Path as judged: percent-decoded, dot segments removed, slashes merged. Routes match on this.
    pub path: Cow<'a, [u8]>,
    /// Regular fields in order, known pseudo-headers excluded.
    pub fields: Vec<Field<'a>>,
    /// Faults seen while decoding that the headers stage turns into a denial.
    pub faults: Faults,
    /// Where each well-known name stands.
    known: KnownPlaces,
}

/// Faults of the head; judged (not dropped) so that monitor mode can report them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// A pseudo-header is repeated.
    pub repeated_pseudo: bool,
    /// `:authority`, `host` and an absolute target do not name the same host.
    pub several_hosts: bool,
    /// The path cannot be read in one way only: see `target.rs`.
    pub path: Option<target::PathFault>,
    /// More pairs than [`crate::budget::MAX_PAIRS`].
    pub too_many: bool,
}

impl<'a> RequestHead<'a> {
    /// Decodes the pairs of a header map.
    #[must_use]
    pub fn decode(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut head = Self {
            method: b"",
            authority: b"",
            scheme: b"",
            protocol: b"",
            target: b"",
            raw_path: b"",
            query: None,
            path: Cow::Borrowed(b""),
            fields: Vec::with_capacity(32),
            faults: Faults::default(),
            known: KnownPlaces([Place::default(); KNOWN_COUNT]),
        };
        let mut pseudo = Pseudo::default();
        let mut left = MAX_PAIRS;
        for (name, value) in pairs {
            match left.checked_sub(1) {
                Some(less) => left = less,
                None => head.faults.too_many = true,
            }
            let slot = match name {
                b":method" => &mut pseudo.method,
                b":path" => &mut pseudo.path,
                b":authority" => &mut pseudo.authority,
                b":scheme" => &mut pseudo.scheme,
                b":protocol" => &mut pseudo.protocol,
                _ => {
                    if let Some(known) = Known::of(name) {
                        head.known.note(known, head.fields.len());
                    }
                    head.fields.push(Field { name, value });
                    continue;
                }
            };
            if slot.is_some() {
                head.faults.repeated_pseudo = true;
            } else {
                *slot = Some(value);
            }
        }
        head.method = pseudo.method.unwrap_or_default();
        head.scheme = pseudo.scheme.unwrap_or_default();
        head.protocol = pseudo.protocol.unwrap_or_default();
        head.target = pseudo.path.unwrap_or_default();
        head.read_target(pseudo.authority);
        head
    }

    fn read_target(&mut self, authority: Option<&'a [u8]>) {
        let target = target::Target::decode(self.method, self.target);
        self.raw_path = target.raw_path;
        self.query = target.query;
        self.path = target.path;
        self.faults.path = target.fault;
        let host = self.first(b"host");
        for candidate in [authority, target.authority, host].into_iter().flatten() {
            if self.authority.is_empty() {
                self.authority = candidate;
            } else if !self.authority.eq_ignore_ascii_case(candidate) {
                self.faults.several_hosts = true;
            }
        }
    }

    /// All values of a header, in order. `name` must be lower case; the comparison ignores ASCII case.
    pub fn all<'s>(&'s self, name: &'s [u8]) -> impl Iterator<Item = &'a [u8]> + 's {
        self.since_first(name)
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }

    /// The first value of a header. Only for headers the headers stage proved single.
    #[must_use]
    pub fn first(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.since_first(name)
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }

    /// The first value of a well-known header.
    #[inline]
    pub(crate) fn first_known(&self, known: Known) -> Option<&'a [u8]> {
        let place = self.known.place(known);
        if place.count == 0 {
            return None;
        }
        self.fields.get(place.first).map(|field| field.value)
    }

    /// Occurrences of a well-known header.
    #[inline]
    pub(crate) fn count(&self, known: Known) -> usize {
        self.known.place(known).count
    }

    /// Raw names and values of the query, in order, split on `&` only: `;` is data, as in the URL standard
    /// (WHATWG §5.1). A piece without `=` is a name with an empty value; empty pieces are left out.
    pub fn params(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        body::FormPairs::new(self.query.unwrap_or_default())
    }

    /// The fields from the first with this name on, or all when the name is not a well-known one.
    #[inline]
    fn since_first(&self, name: &[u8]) -> &[Field<'a>] {
        let Some(known) = Known::of(name) else {
            return &self.fields;
        };
        let place = self.known.place(known);
        if place.count == 0 {
            return &[];
        }
        self.fields.get(place.first..).unwrap_or_default()
    }
}

#[derive(Default)]
struct Pseudo<'a> {
    method: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
}

/// Names that stages ask for in every request, or that must be single.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Accept,
    Authorization,
    Connection,
    ContentEncoding,
    ContentLength,
    ContentRange,
    ContentType,
    Cookie,
    Date,
    Expect,
    From,
    Host,
    IfModifiedSince,
    IfRange,
    IfUnmodifiedSince,
    MaxForwards,
    Origin,
    ProxyAuthorization,
    Range,
    Referer,
    Te,
    TransferEncoding,
    Upgrade,
    UserAgent,
    XForwardedFor,
    XRequestId,
}

const KNOWN_COUNT: usize = 26;

impl Known {
    /// The well-known name that `name` is, without regard to ASCII case.
    #[inline]
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        let exact = Self::of_lower_case(name);
        if exact.is_none() && name.iter().any(u8::is_ascii_uppercase) {
            return Self::of_mixed_case(name);
        }
        exact
    }

    /// Hosts give lower case: this compares words, not bytes.
    fn of_lower_case(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"accept" => Self::Accept,
            b"authorization" => Self::Authorization,
            b"connection" => Self::Connection,
            b"content-encoding" => Self::ContentEncoding,
            b"content-length" => Self::ContentLength,
            b"content-range" => Self::ContentRange,
            b"content-type" => Self::ContentType,
            b"cookie" => Self::Cookie,
            b"date" => Self::Date,
            b"expect" => Self::Expect,
            b"from" => Self::From,
            b"host" => Self::Host,
            b"if-modified-since" => Self::IfModifiedSince,
            b"if-range" => Self::IfRange,
            b"if-unmodified-since" => Self::IfUnmodifiedSince,
            b"max-forwards" => Self::MaxForwards,
            b"origin" => Self::Origin,
            b"proxy-authorization" => Self::ProxyAuthorization,
            b"range" => Self::Range,
            b"referer" => Self::Referer,
            b"te" => Self::Te,
            b"transfer-encoding" => Self::TransferEncoding,
            b"upgrade" => Self::Upgrade,
            b"user-agent" => Self::UserAgent,
            b"x-forwarded-for" => Self::XForwardedFor,
            b"x-request-id" => Self::XRequestId,
            _ => return None,
        })
    }

    #[cold]
    fn of_mixed_case(name: &[u8]) -> Option<Self> {
        const LONGEST: usize = 19;
        if name.len() > LONGEST {
            return None;
        }
        let mut lower = [0; LONGEST];
        for (slot, byte) in lower.iter_mut().zip(name) {
            *slot = byte.to_ascii_lowercase();
        }
        Self::of_lower_case(lower.get(..name.len())?)
    }

    const fn index(self) -> usize {
        match self {
            Self::Accept => 0,
            Self::Authorization => 1,
            Self::Connection => 2,
            Self::ContentEncoding => 3,
            Self::ContentLength => 4,
            Self::ContentRange => 5,
            Self::ContentType => 6,
            Self::Cookie => 7,
            Self::Date => 8,
            Self::Expect => 9,
            Self::From => 10,
            Self::Host => 11,
            Self::IfModifiedSince => 12,
            Self::IfRange => 13,
            Self::IfUnmodifiedSince => 14,
            Self::MaxForwards => 15,
            Self::Origin => 16,
            Self::ProxyAuthorization => 17,
            Self::Range => 18,
            Self::Referer => 19,
            Self::Te => 20,
            Self::TransferEncoding => 21,
            Self::Upgrade => 22,
            Self::UserAgent => 23,
            Self::XForwardedFor => 24,
            Self::XRequestId => 25,
        }
    }
}

/// Where a well-known name stands in `fields`.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Index of its first occurrence, when there is one.
    first: usize,
    /// Number of occurrences.
    count: usize,
}

#[derive(Debug, Clone)]
struct KnownPlaces([Place; KNOWN_COUNT]);

impl KnownPlaces {
    fn note(&mut self, known: Known, place: usize) {
        if let Some(slot) = self.0.get_mut(known.index()) {
            if slot.count == 0 {
                slot.first = place;
            }
            slot.count = slot.count.saturating_add(1);
        }
    }

    fn place(&self, known: Known) -> Place {
        self.0.get(known.index()).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn head<'a>(pairs: &[(&'a str, &'a [u8])]) -> RequestHead<'a> {
        RequestHead::decode(pairs.iter().map(|(name, value)| (name.as_bytes(), *value)))
    }

    #[test]
    fn parts_of_a_head() {
        let head = head(&[
            (":method", b"GET"),
            (":path", b"/a%41/../b?x=1&y"),
            (":authority", b"shop.example"),
            (":scheme", b"https"),
            (":protocol", b"websocket"),
            ("Accept", b"one"),
            ("x-odd", b"\xff\x80"),
            ("accept", b"two"),
        ]);
        assert_eq!(head.method, b"GET");
        assert_eq!(head.authority, b"shop.example");
        assert_eq!(head.scheme, b"https");
        assert_eq!(head.protocol, b"websocket");
        assert_eq!(head.raw_path, b"/a%41/../b");
        assert_eq!(head.query, Some(&b"x=1&y"[..]));
        assert_eq!(head.path.as_ref(), b"/b");
        assert_eq!(head.faults, Faults::default());
        assert_eq!(
            head.all(b"accept").collect::<Vec<_>>(),
            [&b"one"[..], b"two"]
        );
        assert_eq!(head.first(b"accept"), Some(&b"one"[..]));
        assert_eq!(head.first(b"x-odd"), Some(&b"\xff\x80"[..]));
        assert_eq!(head.first(b"cookie"), None);
        assert_eq!(head.all(b"x-none").count(), 0);
        assert_eq!(
            head.params().collect::<Vec<_>>(),
            [(&b"x"[..], &b"1"[..]), (b"y", b"")]
        );
    }

    #[test]
    fn every_known_name_is_found_in_any_case() {
        const NAMES: &[&str] = &[
            "accept",
            "authorization",
            "connection",
            "content-encoding",
            "content-length",
            "content-range",
            "content-type",
            "cookie",
            "date",
            "expect",
            "from",
            "host",
            "if-modified-since",
            "if-range",
            "if-unmodified-since",
            "max-forwards",
            "origin",
            "proxy-authorization",
            "range",
            "referer",
            "te",
            "transfer-encoding",
            "upgrade",
            "user-agent",
            "x-forwarded-for",
            "x-request-id",
        ];
        assert_eq!(NAMES.len(), KNOWN_COUNT);
        for (at, name) in NAMES.iter().enumerate() {
            let upper = name.to_ascii_uppercase();
            assert_eq!(
                Known::of(upper.as_bytes()).map(Known::index),
                Some(at),
                "{name}"
            );
            let head = head(&[("a", b"0"), (&upper, b"1"), (name, b"2")]);
            assert_eq!(head.first(name.as_bytes()), Some(&b"1"[..]));
            assert_eq!(head.all(name.as_bytes()).count(), 2);
        }
    }

    #[test]
    fn repeated_pseudo_headers_are_noted_and_the_first_is_kept() {
        for name in [":method", ":path", ":authority", ":scheme", ":protocol"] {
            let twice = head(&[(name, b""), (name, b"/x")]);
            assert!(twice.faults.repeated_pseudo, "{name}");
            assert!(!head(&[(name, b"/x")]).faults.repeated_pseudo);
        }
        assert_eq!(
            head(&[(":path", b"/1"), (":path", b"/2")]).path.as_ref(),
            b"/1"
        );
    }

    #[test]
    fn hosts() {
        type Pairs = &'static [(&'static str, &'static [u8])];
        const CASES: &[(Pairs, &[u8], bool)] = &[
            (&[], b"", false),
            (&[("host", b"a.example")], b"a.example", false),
            (
                &[(":authority", b"a.example"), ("host", b"A.example")],
                b"a.example",
                false,
            ),
            (
                &[(":authority", b"a.example"), ("host", b"b.example")],
                b"a.example",
                true,
            ),
            (&[(":path", b"http://c.example/x")], b"c.example", false),
            (
                &[(":path", b"http://c.example/x"), ("host", b"a.example")],
                b"c.example",
                true,
            ),
            (
                &[
                    (":path", b"http://c.example/x"),
                    (":authority", b"a.example"),
                ],
                b"a.example",
                true,
            ),
            (&[(":authority", b""), ("host", b"a")], b"a", false),
        ];
        for (pairs, authority, several) in CASES {
            let head = head(pairs);
            assert_eq!(
                (head.authority, head.faults.several_hosts),
                (*authority, *several),
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn pairs_are_counted_at_n_and_n_plus_one_and_none_is_dropped() {
        for (count, too_many) in [(MAX_PAIRS, false), (MAX_PAIRS + 1, true)] {
            let pairs = core::iter::repeat_n((&b"a"[..], &b"b"[..]), count);
            let head = RequestHead::decode(pairs);
            assert_eq!((head.faults.too_many, head.fields.len()), (too_many, count));
        }
    }
}
