//! Grammar tables, cuts at every byte, hostile bytes, depth bounds, and agreement with `serde_json`.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;

fn is_json(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes, MAX_JSON_DEPTH);
    loop {
        match reader.next_event() {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(error) => {
                assert!(error.offset <= bytes.len(), "offset within the text");
                assert_eq!(reader.next_event(), Err(error), "an error repeats");
                return false;
            }
        }
    }
}

const VALID: &[&[u8]] = &[
    b"{}",
    b"[]",
    b" [ ] ",
    b"\t\r\n null \n",
    b"true",
    b"false",
    b"\"\"",
    b"0",
    b"-0",
    b"-0.0e+10",
    b"10",
    b"1E3",
    b"1e-3",
    b"1.25",
    b"[1,2 ,3]",
    b"{\"a\":1,\"b\":[{},[],\"x\"]}",
    b"{\"a\" : {\"b\" : {\"c\":null}}}",
    b"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
    b"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
    b"\"\x7f\"",
    b"[[[[[[]]]]]]",
    b"{\"\":\"\"}",
    b"{\"a\":1,\"a\":2}",
];

const INVALID: &[&[u8]] = &[
    b"",
    b" ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"{]",
    b"[}",
    b"[1,]",
    b"[,1]",
    b"[1 2]",
    b"{\"a\"}",
    b"{\"a\":}",
    b"{\"a\":1,}",
    b"{,}",
    b"{a:1}",
    b"{1:1}",
    b"{\"a\":1 \"b\":2}",
    b"{\"a\":1}}",
    b"[]]",
    b"1 2",
    b"01",
    b"-",
    b"+1",
    b".5",
    b"1.",
    b"1e",
    b"1e+",
    b"1.e3",
    b"0x10",
    b"NaN",
    b"Infinity",
    b"tru",
    b"truE",
    b"nul",
    b"falsey",
    b"'a'",
    b"\"",
    b"\"a",
    b"\"\\\"",
    b"\"\\x\"",
    b"\"\\u12\"",
    b"\"\\u12g4\"",
    b"\"\\U0041\"",
    b"\"\x00\"",
    b"\"\x1f\"",
    b"\"\n\"",
    b"\"\xff\"",
    b"\"\xc0\xaf\"",
    b"\"\xed\xa0\x80\"",
    b"\"\xe2\x82\"",
    b"\xef\xbb\xbf{}",
    b"// c\n1",
    b"\x0b1",
    b"\xa01",
    b"[1]\x00",
];

#[test]
fn grammar() {
    for text in VALID {
        assert!(is_json(text), "{}", text.escape_ascii());
    }
    for text in INVALID {
        assert!(!is_json(text), "{}", text.escape_ascii());
    }
}

const DOCUMENT: &[u8] = b"{ \"a\" : [1, -2.5e+3, true, false, null, {\"\\u00e9\\ud83d\\ude00\": \"\xc3\xa9\\n\"}], \"b\":{\"c\":[[]]} }";

#[test]
fn every_cut_is_an_error() {
    assert!(is_json(DOCUMENT));
    for end in 0..DOCUMENT.len() {
        let cut = DOCUMENT.get(..end).unwrap_or_default();
        assert!(!is_json(cut), "{}", cut.escape_ascii());
    }
}

/// Every byte of the document replaced by every byte: same answer as `serde_json`.
#[test]
fn agrees_with_serde_json_on_every_changed_byte() {
    let mut text = DOCUMENT.to_vec();
    let mut compared = 0_usize;
    for at in 0..text.len() {
        let kept = text.get(at).copied().unwrap_or_default();
        for byte in 0..=255 {
            if let Some(slot) = text.get_mut(at) {
                *slot = byte;
            }
            let expected = match serde_json::from_slice::<serde_json::Value>(&text) {
                Ok(_) => true,
                Err(error) => {
                    let message = error.to_string();
                    // It refuses lone surrogates and numbers beyond f64; RFC 8259 allows both.
                    let stricter = ["surrogate", "hex escape", "out of range"];
                    if stricter.iter().any(|word| message.contains(word)) {
                        continue;
                    }
                    false
                }
            };
            assert_eq!(expected, is_json(&text), "{}", text.escape_ascii());
            compared += 1;
        }
        if let Some(slot) = text.get_mut(at) {
            *slot = kept;
        }
    }
    assert!(compared > 20_000, "{compared}");
}

#[test]
fn depth_is_bounded_at_n_and_n_plus_one() {
    for limit in [0, 1, 2, 63, 64] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let at = |depth: usize| {
                let inner = if open == "[" || depth == 0 { "" } else { "0" };
                let text = [open.repeat(depth), inner.into(), close.repeat(depth)].concat();
                let mut reader = Reader::new(text.as_bytes(), limit);
                loop {
                    match reader.next_event() {
                        Ok(Some(_)) => {}
                        Ok(None) => return Ok(()),
                        Err(error) => return Err((text, error)),
                    }
                }
            };
            if limit > 0 {
                assert_eq!(at(limit), Ok(()));
            }
            assert!(at(limit.saturating_add(1)).is_err());
        }
    }
    // A caller cannot ask for more than the stack holds; megabytes of brackets end at once.
    let deep = "[".repeat(1 << 20);
    let mut reader = Reader::new(deep.as_bytes(), usize::MAX);
    let mut events = 0_usize;
    while reader.next_event().is_ok() {
        events += 1;
    }
    assert_eq!(events, 64);
}

#[test]
fn events_in_order() {
    let plain = |raw| Text {
        raw,
        escaped: false,
    };
    let expected = [
        Event::ObjectStart,
        Event::Key(plain(b"a")),
        Event::ArrayStart,
        Event::Number(b"-1.5e3"),
        Event::Bool(true),
        Event::Null,
        Event::ArrayEnd,
        Event::Key(Text {
            raw: b"\\n",
            escaped: true,
        }),
        Event::String(plain(b"x")),
        Event::ObjectEnd,
    ];
    let mut reader = Reader::new(b" {\"a\":[-1.5e3 ,true,null],\"\\n\":\"x\"} ", 8);
    for event in expected {
        assert_eq!(reader.next_event(), Ok(Some(event)));
    }
    assert_eq!(reader.next_event(), Ok(None));
    assert_eq!(reader.next_event(), Ok(None));
}

#[test]
fn texts_decode() {
    const CASES: &[(&[u8], &str)] = &[
        (b"plain", "plain"),
        (b"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\u{8}\u{c}\n\r\t"),
        (b"\\u0041\\u007f\\u0080\\u07ff", "A\u{7f}\u{80}\u{7ff}"),
        (b"\\u0800\\uffff\\u20AC", "\u{800}\u{ffff}€"),
        (b"\\ud83d\\ude00!", "😀!"),
        (b"\\uD800\\uDC00\\uDBFF\\uDFFF", "\u{10000}\u{10ffff}"),
        (b"\\ud83dx", "\u{fffd}x"),
        (b"\\ude00", "\u{fffd}"),
        (b"\\ud83d\\u0041", "\u{fffd}A"),
        (b"\\ud83d\\ud83d\\ude00", "\u{fffd}😀"),
        (b"\\u0000", "\0"),
    ];
    for (raw, expected) in CASES {
        let escaped = raw.contains(&b'\\');
        let text = Text { raw, escaped };
        assert_eq!(
            text.decode().as_ref(),
            expected.as_bytes(),
            "{}",
            raw.escape_ascii()
        );
        assert!(text.is(expected.as_bytes()));
        assert!(!text.is(b"other"));
    }
    // Unchecked text loses nothing and does not panic.
    for raw in [&b"\\"[..], b"\\u", b"\\u12", b"a\\uzzzz"] {
        assert_eq!(Text { raw, escaped: true }.decode().as_ref(), raw);
    }
    let scalars = (0_u32..0x11_0000).filter_map(char::from_u32);
    for scalar in scalars {
        let mut out = Vec::new();
        push_scalar(&mut out, u32::from(scalar));
        assert_eq!(out, scalar.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

#[test]
fn members_validate_the_whole_text() {
    let text = b" {\"a\" : [1, {}] , \"\\u0062\":\"x\", \"c\":-0.5 } ";
    let read: Result<Vec<_>, _> = members(text).collect();
    let read: Vec<_> = read.unwrap_or_default();
    let names: Vec<_> = read
        .iter()
        .map(|(name, _)| name.decode().into_owned())
        .collect();
    let values: Vec<_> = read.iter().map(|(_, value)| *value).collect();
    assert_eq!(names, [b"a", b"b", b"c"]);
    assert_eq!(values, [&b"[1, {}]"[..], b"\"x\"", b"-0.5"]);
    for bad in [
        &b"[]"[..],
        b"1",
        b"",
        b"{\"a\":1",
        b"{\"a\":1} x",
        b"{\"a\":[}",
        b"{\"a\":1,}",
    ] {
        assert!(
            members(bad).any(|member| member.is_err()),
            "{}",
            bad.escape_ascii()
        );
        assert_eq!(members(bad).filter(Result::is_err).count(), 1);
    }
    assert_eq!(members(b"{}").count(), 0);
}

#[test]
fn names_are_unique() {
    const CASES: &[(&[u8], Option<bool>)] = &[
        (b"{}", Some(true)),
        (b"{\"a\":1,\"b\":1}", Some(true)),
        (b"{\"a\":1,\"a\":1}", Some(false)),
        (b"{\"a\":1,\"\\u0061\":1}", Some(false)),
        (b"{\"a\":{\"b\":1,\"b\":2}}", Some(true)),
        (b"{\"a\":1,\"b\":1,\"c\":1}", Some(true)),
        (b"{\"a\":1,\"b\":1,\"c\":1,\"d\":1}", Some(false)),
        (b"{\"a\":1,\"a\":1", None),
    ];
    for (text, expected) in CASES {
        assert_eq!(
            unique_names(text, 3).ok(),
            *expected,
            "{}",
            text.escape_ascii()
        );
    }
}

#[test]
fn pointers() {
    const TEXT: &[u8] = b"{\"sub\":\"u\",\"realm\":{\"roles\":[\"a\",\"b\"]},\"a/b\":1,\"m~n\":2,\"\":3,\"\\u0078\":4,
        \"list\":[[10,11],{\"k\":5}],\"d\":{\"k\":1,\"k\":2}}";
    const CASES: &[(&[u8], Option<&[u8]>)] = &[
        (b"/sub", Some(b"\"u\"")),
        (b"/realm/roles", Some(b"[\"a\",\"b\"]")),
        (b"/realm/roles/1", Some(b"\"b\"")),
        (b"/realm/roles/2", None),
        (b"/realm/roles/01", None),
        (b"/realm/roles/-", None),
        (b"/realm/roles/", None),
        (b"/realm/roles/99999999999999999999999", None),
        (b"/a~1b", Some(b"1")),
        (b"/m~0n", Some(b"2")),
        (b"/m~2n", None),
        (b"/m~", None),
        (b"/", Some(b"3")),
        (b"/x", Some(b"4")),
        (b"/list/0/1", Some(b"11")),
        (b"/list/1/k", Some(b"5")),
        (b"/sub/0", None),
        (b"/none/deeper", None),
        (b"sub", None),
        (b"", Some(TEXT)),
    ];
    for (path, expected) in CASES {
        assert_eq!(
            pointer(TEXT, path),
            Ok(*expected),
            "{}",
            path.escape_ascii()
        );
    }
    assert!(
        pointer(TEXT, b"/d/k").is_err(),
        "an ambiguous name on the way"
    );
    assert!(pointer(TEXT, b"/d").is_ok());
    assert!(
        pointer(b"{\"a\":1} x", b"/a").is_err(),
        "the whole text is validated"
    );
    assert!(pointer(b"{\"a\":1,\"b\":}", b"/a").is_err());
}

#[test]
fn plain_bytes_are_counted() {
    for length in 0..34 {
        for place in 0..=length {
            for byte in 0..=255_u8 {
                let mut bytes = alloc::vec![b'#'; length];
                if let Some(slot) = bytes.get_mut(place) {
                    *slot = byte;
                }
                // Bytes whose marks a borrow may set must not count before it.
                if let Some(slot) = bytes.get_mut(place + 1) {
                    *slot = byte ^ 1;
                }
                let expected = bytes.iter().take_while(|byte| is_plain(**byte)).count();
                assert_eq!(plain_len(&bytes), expected, "{bytes:?}");
            }
        }
    }
}

/// `value` takes a short way for strings: it must yield and refuse what the events do.
#[test]
fn elements_are_what_events_say() {
    const ARRAYS: &[&str] = &[
        "[]",
        "[ ]",
        r#"["a"]"#,
        r#"[ "a" , "b\"" ,"" ]"#,
        r#"["a",1,"b",null,true]"#,
        r#"[1,"a"]"#,
        r#"["a",]"#,
        r#"[,"a"]"#,
        r#"["a" "b"]"#,
        r#"["a",,"b"]"#,
        r#"["a":"b"]"#,
        r#"["a","b"}"#,
        r#"["a","b"#,
        r#"["a",["b","c"],"d"]"#,
        r#"["a",{"b":"c"},"d"]"#,
        "[\"a\",\"\u{1}\"]",
        r#"["\x"]"#,
        r#"["a"]x"#,
        r#"["a"],"b""#,
    ];
    for whole in ARRAYS {
        for cut in 0..=whole.len() {
            let text = &whole.as_bytes()[..cut];
            let mut events = Reader::new(text, 8);
            let mut starts = alloc::vec::Vec::new();
            let expected = loop {
                match events.next_event() {
                    Ok(Some(event)) => {
                        let container = matches!(event, Event::ArrayStart | Event::ObjectStart);
                        let end = matches!(event, Event::ArrayEnd | Event::ObjectEnd);
                        if !end && events.depth() == 1 + usize::from(container) {
                            starts.push(events.token);
                        }
                    }
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            let mut values = Reader::new(text, 8);
            if values.next_event() != Ok(Some(Event::ArrayStart)) {
                continue;
            }
            let mut places = alloc::vec::Vec::new();
            let outcome = loop {
                match values.value() {
                    Ok(Some(_)) => places.push(values.at),
                    Ok(None) => break values.next_event().map(|_| ()),
                    Err(error) => {
                        assert_eq!(values.value(), Err(error), "an error repeats");
                        break Err(error);
                    }
                }
            };
            assert_eq!(outcome, expected, "{}", text.escape_ascii());
            if outcome.is_ok() {
                assert_eq!(places.len(), starts.len(), "{}", text.escape_ascii());
            }
        }
    }
}
