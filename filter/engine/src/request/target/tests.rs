//! Tables for splitting, judging and patterns; Envoy's own vectors; every byte, raw and encoded.

use alloc::string::String;

use super::*;

#[test]
fn targets_split() {
    type Parts = (
        Option<&'static [u8]>,
        &'static [u8],
        Option<&'static [u8]>,
        &'static [u8],
    );
    type Case = (&'static [u8], &'static [u8], Parts, Option<PathFault>);
    const CASES: &[Case] = &[
        (b"GET", b"/", (None, b"/", None, b"/"), None),
        (b"GET", b"/a?", (None, b"/a", Some(b""), b"/a"), None),
        (
            b"GET",
            b"/a?b=//../%00?c",
            (None, b"/a", Some(b"b=//../%00?c"), b"/a"),
            None,
        ),
        (b"OPTIONS", b"*", (None, b"*", None, b"*"), None),
        (
            b"GET",
            b"http://h:8/a/./b?q",
            (Some(b"h:8"), b"/a/./b", Some(b"q"), b"/a/b"),
            None,
        ),
        (b"GET", b"HTTP+x://h", (Some(b"h"), b"", None, b"/"), None),
        (
            b"GET",
            b"http://h?q",
            (Some(b"h"), b"", Some(b"q"), b"/"),
            None,
        ),
        (b"GET", b"http:///a", (Some(b""), b"/a", None, b"/a"), None),
        (b"GET", b"://h/a", (None, b"://h/a", None, b"/:/h/a"), None),
        (
            b"GET",
            b"/x?u=http://h",
            (None, b"/x", Some(b"u=http://h"), b"/x"),
            None,
        ),
        (b"CONNECT", b"h:443", (None, b"h:443", None, b""), None),
        (b"CONNECT", b"", (None, b"", None, b""), None),
        (b"CONNECT", b"/chat", (None, b"/chat", None, b"/chat"), None),
        (b"GET", b"", (None, b"", None, b"/"), None),
        (b"GET", b"a/b", (None, b"a/b", None, b"/a/b"), None),
        (
            b"GET",
            b"/a#/../b",
            (None, b"/a", Some(b"/../b"), b"/a"),
            Some(PathFault::Fragment),
        ),
        (
            b"GET",
            b"/a?b#c",
            (None, b"/a", Some(b"b#c"), b"/a"),
            Some(PathFault::Fragment),
        ),
        (
            b"GET",
            b"/%00#",
            (None, b"/%00", Some(b""), b"/\x00"),
            Some(PathFault::Control),
        ),
    ];
    for (method, target, parts, fault) in CASES {
        let read = Target::decode(method, target);
        let seen = (
            read.authority,
            read.raw_path,
            read.query,
            read.path.as_ref(),
        );
        assert_eq!(
            (seen, read.fault),
            (*parts, *fault),
            "{}",
            target.escape_ascii()
        );
    }
}

const JUDGED: &[(&[u8], &[u8], Option<PathFault>)] = &[
    (b"/a/b.c/d..e/f.", b"/a/b.c/d..e/f.", None),
    (b"/.well-known/x", b"/.well-known/x", None),
    (b"/...", b"/...", None),
    (b"/a/./b/../c", b"/a/c", None),
    (b"/a/..", b"/", None),
    (b"/a/b/..", b"/a/", None),
    (b"/a/b/.", b"/a/b/", None),
    (b"/../../a", b"/a", None),
    (b"//a///b//", b"/a/b/", None),
    (b"/%41%7a%2D", b"/Az-", None),
    (b"/caf%c3%a9", b"/caf\xc3\xa9", None),
    (b"/latin%e9", b"/latin\xe9", None),
    (b"/raw\xff\x80", b"/raw\xff\x80", None),
    (b"/100%25", b"/100%25", None),
    (b"/100%25off", b"/100%25off", None),
    (b"/a%3Fb%23c%3b", b"/a?b#c;", None),
    (b"/a;v=1/b", b"/a;v=1/b", None),
    (b"/..a;/b", b"/..a;/b", None),
    // Hidden dots.
    (b"/a/%2e%2e/b", b"/b", Some(PathFault::HiddenDots)),
    (b"/a/.%2E/b", b"/b", Some(PathFault::HiddenDots)),
    (b"/a/%2e/b", b"/a/b", Some(PathFault::HiddenDots)),
    (b"/a/..;/b", b"/b", Some(PathFault::HiddenDots)),
    (b"/a/..;x=1/b", b"/b", Some(PathFault::HiddenDots)),
    (b"/a/.;/b", b"/a/b", Some(PathFault::HiddenDots)),
    (b"/a/..%3b/b", b"/b", Some(PathFault::HiddenDots)),
    (b"/a//../b", b"/b", Some(PathFault::HiddenDots)),
    // Slashes: an encoded one gives way to any other fault.
    (b"/a%2fb", b"/a%2Fb", Some(PathFault::HiddenSlash)),
    (b"/a%5Cb", b"/a%5Cb", Some(PathFault::HiddenSlash)),
    (b"/a\\b", b"/a\\b", Some(PathFault::Backslash)),
    (b"/a%2fb\\c", b"/a%2Fb\\c", Some(PathFault::Backslash)),
    (
        b"/x%2f..%2f..%2fetc",
        b"/x%2F..%2F..%2Fetc",
        Some(PathFault::HiddenDots),
    ),
    (b"/x%5c..", b"/x%5C..", Some(PathFault::HiddenDots)),
    (b"/..%2fx", b"/..%2Fx", Some(PathFault::HiddenDots)),
    (b"/..\\x", b"/..\\x", Some(PathFault::Backslash)),
    (b"/a..%2fb", b"/a..%2Fb", Some(PathFault::HiddenSlash)),
    // Escapes.
    (b"/%", b"/%25", Some(PathFault::BadEscape)),
    (b"/%4", b"/%254", Some(PathFault::BadEscape)),
    (b"/%zz", b"/%25zz", Some(PathFault::BadEscape)),
    (b"/%%32e", b"/%252e", Some(PathFault::BadEscape)),
    (b"/%u002e", b"/%25u002e", Some(PathFault::BadEscape)),
    (b"/%00", b"/\x00", Some(PathFault::Control)),
    (b"/%0d%0a", b"/\r\n", Some(PathFault::Control)),
    (b"/\x7f", b"/\x7f", Some(PathFault::Control)),
    (
        b"/%252e%252e/",
        b"/%252e%252e/",
        Some(PathFault::DoubleEncoded),
    ),
    (b"/%252f", b"/%252f", Some(PathFault::DoubleEncoded)),
    (b"/%255c", b"/%255c", Some(PathFault::DoubleEncoded)),
    (b"/%2500", b"/%2500", Some(PathFault::DoubleEncoded)),
    (b"/%25252e", b"/%25252e", Some(PathFault::DoubleEncoded)),
    (b"/%25%32e", b"/%252e", Some(PathFault::DoubleEncoded)),
    (b"/%2541", b"/%2541", None),
    // Overlong.
    (
        b"/%c0%ae%c0%ae/",
        b"/\xc0\xae\xc0\xae/",
        Some(PathFault::Overlong),
    ),
    (b"/%c0%af", b"/\xc0\xaf", Some(PathFault::Overlong)),
    (b"/%e0%80%af", b"/\xe0\x80\xaf", Some(PathFault::Overlong)),
    (
        b"/%f0%80%80%af",
        b"/\xf0\x80\x80\xaf",
        Some(PathFault::Overlong),
    ),
    (b"/\xc1\x9c", b"/\xc1\x9c", Some(PathFault::Overlong)),
    (
        b"/%e0%a0%80%f0%90%80%80",
        b"/\xe0\xa0\x80\xf0\x90\x80\x80",
        None,
    ),
];

#[test]
fn paths_are_judged() {
    for (raw, judged, fault) in JUDGED {
        let (path, seen) = judge(raw);
        assert_eq!(
            (path.as_ref(), seen),
            (*judged, *fault),
            "{}",
            raw.escape_ascii()
        );
        assert_settles(raw);
    }
}

fn assert_settles(raw: &[u8]) {
    let once = judge(raw).0.into_owned();
    assert_eq!(judge(&once).0.as_ref(), once, "{}", raw.escape_ascii());
    assert!(once.starts_with(b"/"), "{}", raw.escape_ascii());
    if is_settled(raw) {
        assert_eq!(once, raw);
    }
}

/// Every path over a small hostile alphabet: judging twice changes nothing, and no dot segment is left.
#[test]
fn judging_is_idempotent() {
    const PIECES: &[&[u8]] = &[
        b"/", b".", b"%2e", b"%2F", b"%25", b"%", b"2", b"e", b";", b"\\", b"a", b"\xc0", b"%00",
    ];
    let count = PIECES.len();
    for number in 0..count.pow(5) {
        let mut raw = Vec::new();
        let mut rest = number;
        for _ in 0..5 {
            raw.extend_from_slice(PIECES.get(rest % count).copied().unwrap_or_default());
            rest /= count;
        }
        assert_settles(&raw);
        let judged = judge(&raw).0;
        assert!(
            !judged
                .split(|byte| *byte == b'/')
                .any(|part| part == b".." || part == b".")
        );
    }
}

#[test]
fn every_byte_raw_and_encoded() {
    for byte in 0..=255_u8 {
        let control = byte < 0x20 || byte == 0x7f;
        let raw = judge(&[b'/', b'a', byte]).1;
        let expected = match byte {
            _ if control => Some(PathFault::Control),
            b'\\' => Some(PathFault::Backslash),
            b'%' => Some(PathFault::BadEscape),
            0xc0 | 0xc1 => Some(PathFault::Overlong),
            _ => None,
        };
        assert_eq!(raw, expected, "raw {byte:#x}");
        for text in [
            alloc::format!("/a%{byte:02x}b"),
            alloc::format!("/a%{byte:02X}b"),
        ] {
            let expected = match byte {
                b'%' => None,
                b'/' | b'\\' => Some(PathFault::HiddenSlash),
                _ => expected,
            };
            assert_eq!(judge(text.as_bytes()).1, expected, "{text}");
        }
    }
}

#[test]
fn plain_paths_are_borrowed() {
    for path in ["/", "/a", "/a/b.js", "/a/b/", "/~user/a-b_c/(1)!$&'*+,=:@"] {
        assert!(
            matches!(judge(path.as_bytes()), (Cow::Borrowed(_), None)),
            "{path}"
        );
    }
}

/// Envoy's vectors. Differences, all on purpose: we merge slashes always; a `\` is a fault and stays where
/// Envoy turns it into `/`; `%c0%af` is decoded (and a fault); relative targets get their `/`.
#[test]
fn agrees_with_envoy() {
    const OURS: &[(&str, &[u8])] = &[
        ("/a/..\\c", b"/a/..\\c"),
        ("/%c0%af", b"/\xc0\xaf"),
        ("a//b/c", b"/a/b/c"),
        ("a//b/c/", b"/a/b/c/"),
        ("", b"/"),
    ];
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let folder = std::env::var("PALISADE_VECTORS")
        .unwrap_or_else(|_| alloc::format!("{root}/../shared/vectors"));
    let Ok(text) = std::fs::read_to_string(alloc::format!("{folder}/envoy/path_utility_test.json"))
    else {
        assert!(
            std::env::var_os("CI").is_none(),
            "no Envoy path vectors in {folder}: CI skips nothing"
        );
        std::eprintln!("SKIPPED: no Envoy path vectors in {folder}");
        return;
    };
    let vectors: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let mut seen = 0;
    for (suite, most_merge) in [("normalize", false), ("merge_slashes", true)] {
        let cases: Vec<(String, String)> =
            serde_json::from_value(vectors.get(suite).cloned().unwrap_or_default())
                .unwrap_or_default();
        for (raw, expected) in cases {
            seen += 1;
            let read = Target::decode(b"GET", raw.as_bytes());
            let expected = expected.split('?').next().unwrap_or_default();
            let ours = OURS
                .iter()
                .find(|(name, _)| *name == raw)
                .map(|(_, path)| *path);
            let mut wanted = ours.unwrap_or(expected.as_bytes()).to_vec();
            if !most_merge && ours.is_none() {
                wanted = judge(&wanted).0.into_owned();
            }
            assert_eq!(read.path.as_ref(), wanted, "{suite}: {raw}");
        }
    }
    let invalid: Vec<String> = serde_json::from_value(
        vectors
            .get("normalize_invalid")
            .cloned()
            .unwrap_or_default(),
    )
    .unwrap_or_default();
    for raw in invalid {
        seen += 1;
        assert!(
            Target::decode(b"GET", raw.as_bytes()).fault.is_some(),
            "{raw}"
        );
    }
    assert_eq!(seen, 34);
}

#[test]
fn patterns_match() {
    const CASES: &[(&str, &[&str], &[&str])] = &[
        ("/", &["/"], &["", "/a", "*"]),
        (
            "/a/b",
            &["/a/b"],
            &["/a/b/", "/a/bc", "/a", "/A/b", "/a/b/c"],
        ),
        (
            "/a/*",
            &["/a", "/a/", "/a/b", "/a/b/c"],
            &["/ab", "/", "", "/b/a"],
        ),
        ("/*", &["/", "/a", "/a/b"], &["", "*"]),
        ("/a*", &["/a", "/ab"], &["/a/b", "/b"]),
        ("/a/*/c", &["/a/b/c"], &["/a/c", "/a/b/c/d", "/a/b/d/c"]),
        ("/*/c/*", &["/a/c", "/a/c/d"], &["/c", "/a/b/c"]),
        (
            "/f/*.php",
            &["/f/x.php", "/f/.php", "/f/x.php.php"],
            &["/f/x.phpx", "/f/x/y.php"],
        ),
        (
            "/a*b*c",
            &["/abc", "/aXbYc", "/abbcc"],
            &["/acb", "/ab", "/abcX"],
        ),
        ("/a*a", &["/aa", "/aba"], &["/a"]),
    ];
    for (text, yes, no) in CASES {
        let Ok(pattern) = PathPattern::new(text.as_bytes()) else {
            unreachable_case(text);
            continue;
        };
        for path in *yes {
            assert!(pattern.matches(path.as_bytes()), "{text} {path}");
        }
        for path in *no {
            assert!(!pattern.matches(path.as_bytes()), "{text} {path}");
        }
    }
}

fn unreachable_case(text: &str) {
    assert!(text.is_empty(), "{text} does not compile");
}

#[test]
fn bad_patterns_are_refused() {
    for text in [
        "", "a", "*", "/a?b", "/a#", "/a/**", "/a//b", "/a/../b", "/./a", "/%41", "/%zz", "/a\\b",
        "/a\n", "/%2f",
    ] {
        assert!(PathPattern::new(text.as_bytes()).is_err(), "{text}");
    }
    assert!(PathPattern::new(b"/a%2Fb").is_ok());
}

#[test]
fn specific_patterns_go_first() {
    const ORDER: &[&str] = &["/a/b/c", "/a", "/a/b/*/d", "/a/b/*", "/a*", "/a/*", "/*"];
    let ranks: Vec<_> = ORDER
        .iter()
        .filter_map(|text| PathPattern::new(text.as_bytes()).ok())
        .map(|pattern| pattern.specificity())
        .collect();
    assert_eq!(ranks.len(), ORDER.len());
    assert!(
        ranks.windows(2).all(|pair| pair.first() > pair.last()),
        "{ranks:?}"
    );
}

/// Ten thousand bytes against many stars: no backtracking blow-up.
#[test]
fn wildcards_are_linear() {
    let pattern = [b"/".as_slice(), &b"a*".repeat(50), b"b"].concat();
    let path = [b"/".as_slice(), &b"a".repeat(100_000)].concat();
    let pattern = PathPattern::new(&pattern);
    assert_eq!(pattern.map(|pattern| pattern.matches(&path)), Ok(false));
}
