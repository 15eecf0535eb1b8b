//! One table of heads a reason, bounds at n and n + 1, every byte in names and values.

use super::*;

type Head = &'static [(&'static str, &'static [u8])];

fn policy() -> HeaderPolicy {
    let list = |items: &[&str]| items.iter().map(|item| item.as_bytes().to_vec()).collect();
    HeaderPolicy {
        methods: list(&["GET", "POST"]),
        hosts: list(&["shop.example", "*.shop.example"]),
        content_types: list(&["application/json", "text/*"]),
        require: list(&["user-agent"]),
        forbid: list(&["x-original-url"]),
        max: HeaderBounds {
            count: 10,
            bytes: 4000,
            value: 300,
            target: 100,
            params: 3,
            cookies: 2,
        },
        escaped_slash: EscapedSlash::Deny,
    }
}

const BASE: Head = &[
    (":path", b"/a?b=c"),
    (":authority", b"shop.example"),
    ("user-agent", b"t"),
];

/// Judges `more` before [`BASE`]; a `:method` of `GET` is added when there is none.
fn judge(policy: &HeaderPolicy, more: &[(&str, &[u8])]) -> (Option<Denial>, Findings) {
    let pairs: Vec<(&[u8], &[u8])> = more
        .iter()
        .chain(BASE)
        .map(|(name, value)| (name.as_bytes(), *value))
        .collect();
    let overrides = |name: &[u8]| {
        more.iter()
            .any(|(other, _)| other.as_bytes() == name && name.starts_with(b":"))
    };
    let mut pairs: Vec<_> = pairs
        .iter()
        .enumerate()
        .filter(|(at, (name, _))| *at < more.len() || !overrides(name))
        .map(|(_, pair)| *pair)
        .collect();
    if !overrides(b":method") {
        pairs.push((b":method", b"GET"));
    }
    let mut found = Findings::default();
    let head = RequestHead::decode(pairs.into_iter());
    let denial = policy.inspect(&head, &mut found).err();
    assert_eq!(
        denial.is_some(),
        !found.as_slice().is_empty(),
        "a denial has a finding"
    );
    if let Some(denial) = &denial {
        assert_eq!(denial.stage, Stage::Headers);
        assert_eq!(
            found.as_slice().first().map(|finding| finding.reason),
            Some(denial.reason)
        );
    }
    (denial, found)
}

const CASES: &[(Head, Option<Reason>)] = &[
    (&[], None),
    // Methods.
    (&[(":method", b"POST")], None),
    (&[(":method", b"get")], Some(Reason::MethodNotAllowed)),
    (&[(":method", b"TRACE")], Some(Reason::MethodNotAllowed)),
    (&[(":method", b"")], Some(Reason::MalformedHeader)),
    (&[(":method", b"GET ")], Some(Reason::MalformedHeader)),
    (
        &[(":method", b"GET"), (":method", b"GET")],
        Some(Reason::RepeatedHeader),
    ),
    (&[(":scheme", b"ht tp")], Some(Reason::MalformedHeader)),
    // Targets.
    (&[(":path", b"/a/%2e%2e/b")], Some(Reason::MalformedPath)),
    (&[(":path", b"/a%2Fb")], Some(Reason::MalformedPath)),
    (&[(":path", b"/%00")], Some(Reason::MalformedPath)),
    (&[(":path", b"/%zz")], Some(Reason::MalformedPath)),
    (&[(":path", b"/%252e")], Some(Reason::MalformedPath)),
    (&[(":path", b"/a\\b")], Some(Reason::MalformedPath)),
    (&[(":path", b"/a#b")], Some(Reason::MalformedPath)),
    (&[(":path", b"/a/../b?%00")], None),
    (&[(":path", b"/a?\x01")], Some(Reason::MalformedHeader)),
    (&[(":path", b"/a?\t")], Some(Reason::MalformedHeader)),
    (&[(":path", b"/a?\xff")], None),
    // Hosts.
    (&[(":authority", b"A.Shop.Example.:8443")], None),
    (
        &[(":authority", b"other.example")],
        Some(Reason::HostNotAllowed),
    ),
    (&[(":authority", b"")], Some(Reason::HostNotAllowed)),
    (
        &[(":authority", b"shop.example@evil")],
        Some(Reason::MalformedHeader),
    ),
    (
        &[(":authority", b"shop.example/x")],
        Some(Reason::MalformedHeader),
    ),
    (
        &[(":authority", b"shop.example"), ("host", b"shop.example")],
        None,
    ),
    (&[("host", b"evil.example")], Some(Reason::RepeatedHeader)),
    (
        &[("host", b"shop.example"), ("host", b"shop.example")],
        Some(Reason::RepeatedHeader),
    ),
    // Names and values.
    (&[("x-a", b"\x80\xff\t text")], None),
    (&[("x-a", b"")], None),
    (&[("x-a", b"12345678\x00")], Some(Reason::MalformedHeader)),
    (
        &[("x-a", b"1234567\r\nx: y")],
        Some(Reason::MalformedHeader),
    ),
    (&[("", b"v")], Some(Reason::MalformedHeader)),
    (&[("x a", b"v")], Some(Reason::MalformedHeader)),
    (
        &[("transfer-encoding ", b"chunked")],
        Some(Reason::MalformedHeader),
    ),
    (&[(":odd", b"v")], Some(Reason::MalformedHeader)),
    // Repeats, near or far, in any case.
    (
        &[
            ("content-type", b"a/b"),
            ("x-a", b""),
            ("Content-Type", b"a/b"),
        ],
        Some(Reason::RepeatedHeader),
    ),
    (&[("user-agent", b"second")], Some(Reason::RepeatedHeader)),
    (&[("authorization", b"a"), ("authorization", b"b")], None),
    (
        &[
            ("accept", b"a"),
            ("accept", b"b"),
            ("cookie", b"a=1"),
            ("cookie", b"b=2"),
        ],
        None,
    ),
    // Framing.
    (&[("content-length", b"0")], None),
    (
        &[("content-length", b"5"), ("content-length", b"5")],
        Some(Reason::FramingAmbiguous),
    ),
    (
        &[("content-length", b"5, 5")],
        Some(Reason::FramingAmbiguous),
    ),
    (&[("content-length", b"+5")], Some(Reason::FramingAmbiguous)),
    (
        &[("content-length", b"0x5")],
        Some(Reason::FramingAmbiguous),
    ),
    (&[("content-length", b"")], Some(Reason::FramingAmbiguous)),
    (&[("content-length", b"5 ")], Some(Reason::FramingAmbiguous)),
    (&[("content-length", b"-1")], Some(Reason::FramingAmbiguous)),
    (
        &[
            ("transfer-encoding", b"chunked"),
            ("content-type", b"text/css"),
        ],
        None,
    ),
    (
        &[
            ("transfer-encoding", b"Chunked"),
            ("content-type", b"text/css"),
        ],
        None,
    ),
    (
        &[("transfer-encoding", b"chunked"), ("content-length", b"5")],
        Some(Reason::FramingAmbiguous),
    ),
    (
        &[
            ("transfer-encoding", b"chunked"),
            ("transfer-encoding", b"chunked"),
        ],
        Some(Reason::FramingAmbiguous),
    ),
    (
        &[("transfer-encoding", b"gzip, chunked")],
        Some(Reason::FramingAmbiguous),
    ),
    (
        &[("transfer-encoding", b"chunked, identity")],
        Some(Reason::FramingAmbiguous),
    ),
    (
        &[("transfer-encoding", b"xchunked")],
        Some(Reason::FramingAmbiguous),
    ),
    (
        &[("transfer-encoding", b"\x0bchunked")],
        Some(Reason::MalformedHeader),
    ),
    (
        &[("transfer-encoding", b"")],
        Some(Reason::FramingAmbiguous),
    ),
    (&[("te", b"trailers")], None),
    (&[("te", b"chunked")], Some(Reason::FramingAmbiguous)),
    (
        &[("te", b"trailers"), ("te", b"gzip")],
        Some(Reason::FramingAmbiguous),
    ),
    // Presence.
    (
        &[("x-original-url", b"/admin")],
        Some(Reason::ForbiddenHeader),
    ),
    (&[("X-Original-URL", b"")], Some(Reason::ForbiddenHeader)),
    // Content types: asked of bodies only.
    (&[("content-type", b"image/png")], None),
    (
        &[("content-type", b"image/png"), ("content-length", b"0")],
        None,
    ),
    (
        &[("content-type", b"image/png"), ("content-length", b"1")],
        Some(Reason::ContentTypeNotAllowed),
    ),
    (
        &[("content-length", b"1")],
        Some(Reason::ContentTypeNotAllowed),
    ),
    (
        &[("transfer-encoding", b"chunked")],
        Some(Reason::ContentTypeNotAllowed),
    ),
    (
        &[(":method", b"POST"), ("content-type", b"image/png")],
        Some(Reason::ContentTypeNotAllowed),
    ),
    (&[(":method", b"POST")], None),
    (
        &[
            (":method", b"POST"),
            ("content-type", b"Application/JSON; charset=utf-8"),
        ],
        None,
    ),
    (
        &[(":method", b"POST"), ("content-type", b"text/plain")],
        None,
    ),
    (
        &[(":method", b"POST"), ("content-type", b"application/jsonx")],
        Some(Reason::ContentTypeNotAllowed),
    ),
    (
        &[(":method", b"POST"), ("content-type", b"textual/plain")],
        Some(Reason::ContentTypeNotAllowed),
    ),
];

#[test]
fn heads() {
    for (head, expected) in CASES {
        let (denial, _) = judge(&policy(), head);
        assert_eq!(denial.map(|denial| denial.reason), *expected, "{head:?}");
    }
}

#[test]
fn the_refused_method_learns_the_allowed_ones() {
    let (denial, found) = judge(&policy(), &[(":method", b"PUT")]);
    let headers = denial.map(|denial| denial.headers).unwrap_or_default();
    assert_eq!(headers, [("allow", b"GET, POST".to_vec())]);
    let finding = found.as_slice().first().cloned();
    assert_eq!(
        finding.map(|finding| (finding.rule, finding.evidence)),
        Some((b":method".to_vec(), b"PUT".to_vec()))
    );
}

#[test]
fn required_headers_are_present_and_not_empty() {
    let mut policy = policy();
    policy.require = alloc::vec![b"x-key".to_vec(), b"host".to_vec()];
    for (head, good) in [
        (&[("x-key", &b" "[..])][..], false),
        (&[("X-Key", b"1")], true),
        (&[], false),
    ] {
        let (denial, _) = judge(&policy, head);
        assert_eq!(
            denial.map(|denial| denial.reason),
            (!good).then_some(Reason::MissingHeader),
            "{head:?}"
        );
    }
}

#[test]
fn escaped_slashes_can_be_kept() {
    let mut policy = policy();
    policy.escaped_slash = EscapedSlash::Keep;
    for (path, good) in [
        (&b"/a%2Fb"[..], true),
        (b"/a%5cb", true),
        (b"/a%2f..%2fb", false),
        (b"/a\\b", false),
        (b"/a%2f%00", false),
    ] {
        assert_eq!(
            judge(&policy, &[(":path", path)]).0.is_none(),
            good,
            "{}",
            path.escape_ascii()
        );
    }
}

#[test]
fn bounds_hold_at_n_and_n_plus_one() {
    let policy = policy();
    let reason = |more: &[(&str, &[u8])]| judge(&policy, more).0.map(|denial| denial.reason);
    // BASE has one field.
    let fields = |count: usize| alloc::vec![("x-a", &b"v"[..]); count - 1];
    assert_eq!(reason(&fields(10)), None);
    assert_eq!(reason(&fields(11)), Some(Reason::HeadersTooLarge));
    let value = |length: usize| b"v".repeat(length);
    assert_eq!(reason(&[("x-a", &value(300))]), None);
    assert_eq!(
        reason(&[("x-a", &value(301))]),
        Some(Reason::HeadersTooLarge)
    );
    let target = |length: usize| [b"/".as_slice(), &b"t".repeat(length - 1)].concat();
    assert_eq!(reason(&[(":path", &target(100))]), None);
    assert_eq!(
        reason(&[(":path", &target(101))]),
        Some(Reason::TargetTooLarge)
    );
    assert_eq!(reason(&[(":path", b"/?a&b&&c")]), None);
    assert_eq!(
        reason(&[(":path", b"/?a&b&c&d")]),
        Some(Reason::TargetTooLarge)
    );
    assert_eq!(reason(&[("cookie", b"a=1"), ("cookie", b"b=1")]), None);
    assert_eq!(
        reason(&[("cookie", b"a=1"), ("cookie", b"b=1;c")]),
        Some(Reason::HeadersTooLarge)
    );

    let mut tight = self::policy();
    tight.max.bytes = "user-agent".len() + 1 + "x-a".len() + 20;
    assert!(judge(&tight, &[("x-a", &value(20))]).0.is_none());
    assert!(
        judge(&tight, &[("x-a", &value(21))])
            .0
            .is_some_and(|denial| denial.reason == Reason::HeadersTooLarge)
    );
    tight.max = HeaderBounds {
        count: 5000,
        bytes: usize::MAX,
        ..tight.max
    };
    assert!(judge(&tight, &fields(1021)).0.is_none());
    assert!(
        judge(&tight, &fields(1023)).0.is_some(),
        "1,025 pairs and more, whatever the policy says"
    );
}

#[test]
fn every_byte_in_names_and_values_at_every_place() {
    for byte in 0..=255_u8 {
        let control = (byte < 0x20 && byte != b'\t') || byte == 0x7f;
        for length in [1, 7, 8, 9, 23] {
            for at in 0..length {
                // Neighbours that could confuse a word-wise scan.
                for fill in [b'a', 0x20, 0x80, 0xff, b'\t', b'~'] {
                    let mut value = alloc::vec![fill; length];
                    if let Some(slot) = value.get_mut(at) {
                        *slot = byte;
                    }
                    assert_eq!(has_control(&value), control, "{}", value.escape_ascii());
                }
            }
        }
        let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        assert_eq!(is_token(&[b'a', byte]), token, "{byte:#x}");
    }
    assert!(!is_token(b""));
}

#[test]
fn credentials_are_no_evidence_and_findings_are_one_a_reason() {
    for name in ["authorization", "Cookie", "proxy-authorization"] {
        let (_, found) = judge(&policy(), &[(name, b"secret\x00")]);
        assert!(
            found
                .as_slice()
                .iter()
                .all(|finding| finding.evidence.is_empty()),
            "{name}"
        );
    }
    let many: Vec<(&str, &[u8])> = alloc::vec![("x a", b"\x00"); 500];
    let (denial, found) = judge(&policy(), &many);
    let reasons: Vec<_> = found
        .as_slice()
        .iter()
        .map(|finding| finding.reason)
        .collect();
    assert_eq!(reasons, [Reason::HeadersTooLarge, Reason::MalformedHeader]);
    assert_eq!(
        denial.map(|denial| denial.reason),
        Some(Reason::HeadersTooLarge)
    );
}
