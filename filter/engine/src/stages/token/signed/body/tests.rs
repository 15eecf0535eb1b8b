//! What a head announces, and how a signed text may be cut. Whole requests are in `tests/corpora/verdicts/signed.yaml`.

use alloc::vec::Vec;

use super::*;
use crate::stages::token::{HmacAlgorithm, Secret};

fn head<'a>(pairs: &[(&'a str, &'a str)]) -> RequestHead<'a> {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    RequestHead::decode(pairs)
}

fn stripe() -> Layout {
    Layout {
        format: Format::Pairs {
            signature: b"v1".to_vec(),
        },
        encoding: MacEncoding::Hex,
        timestamp: Some(Place::Pair(b"t".to_vec())),
        signed: vec![Part::Timestamp, Part::Literal(b".".to_vec()), Part::Body],
    }
}

const WINDOW: Window = Window {
    now: 1000,
    seconds: 300,
};

fn announced(layout: &Layout, field: &str) -> Result<(usize, u64), (Reason, &'static str)> {
    layout
        .announced(&head(&[]), field.as_bytes(), WINDOW)
        .map(|it| (it.signatures.len(), it.until))
        .map_err(|failure| (failure.reason, failure.what))
}

#[test]
fn pairs() {
    let invalid = |what| Err((Reason::SignatureInvalid, what));
    let many = ["v1=00"; 9].join(",");
    let cases = [
        ("t=1000,v1=00ff", Ok((1, 1300))),
        ("v1=00, t=1000 ,v1=FF,v0=zz,x", Ok((2, 1300))),
        ("t=1000,v1=0,v1=00", Ok((1, 1300))),
        ("t=1000,v1=0", invalid("signature")),
        ("t=1000,v1=", Ok((1, 1300))),
        ("t=1000", invalid("signature")),
        ("v1=00", invalid("timestamp")),
        ("t=1000,t=1000,v1=00", invalid("timestamp")),
        ("t=,v1=00", invalid("timestamp")),
        ("t=-1,v1=00", invalid("timestamp")),
        ("t=1000.0,v1=00", invalid("timestamp")),
        ("t=1234567890123,v1=00", invalid("timestamp")),
        (many.as_str(), invalid("count")),
        ("", invalid("signature")),
    ];
    for (field, expected) in cases {
        assert_eq!(announced(&stripe(), field), expected, "{field}");
    }
}

#[test]
fn the_window_is_closed_on_both_sides() {
    for (time, expected) in [
        (700, Ok((1, 1000))),
        (699, Err((Reason::SignatureExpired, "old"))),
        (1300, Ok((1, 1600))),
        (1301, Err((Reason::SignatureExpired, "future"))),
    ] {
        let field = alloc::format!("t={time},v1=00");
        assert_eq!(announced(&stripe(), &field), expected, "{time}");
    }
}

#[test]
fn blanks_and_one() {
    let mut layout = Layout {
        format: Format::Blanks {
            prefix: b"v1,".to_vec(),
        },
        encoding: MacEncoding::Base64,
        timestamp: None,
        signed: vec![Part::Body],
    };
    for (field, count) in [
        ("v1,AAAA", 1),
        ("v1,AAAA v2,BBBB v1a,CCCC  v1,DDDD", 2),
        ("v1,AAA v1,AAAA", 1),
        ("v2,AAAA", 0),
        ("AAAA", 0),
    ] {
        let found = announced(&layout, field).map_or(0, |(count, _)| count);
        assert_eq!(found, count, "{field}");
    }
    layout.format = Format::One {
        prefix: b"sha256=".to_vec(),
    };
    layout.encoding = MacEncoding::Hex;
    let long = alloc::format!("sha256={}", "00".repeat(65));
    for (field, count) in [
        ("sha256=00", 1),
        ("00", 0),
        ("sha256=zz", 0),
        ("SHA256=00", 0),
        (long.as_str(), 0),
    ] {
        let found = announced(&layout, field).map_or(0, |(count, _)| count);
        assert_eq!(found, count, "{field}");
    }
}

#[test]
fn a_text_is_cut_in_one_way_only() {
    let layout = Layout {
        format: Format::One { prefix: Vec::new() },
        encoding: MacEncoding::Hex,
        timestamp: None,
        signed: vec![
            Part::Header(b"id".to_vec()),
            Part::Literal(b".".to_vec()),
            Part::Body,
        ],
    };
    let key = Key::new(
        None,
        HmacAlgorithm::Sha256,
        &Secret(b"a key of 16 byte".to_vec()),
    )
    .unwrap();
    let mac = key.with_mac(&[b"a.b.c"], <[u8]>::to_vec).unwrap();
    let field: String = mac
        .iter()
        .map(|byte| alloc::format!("{byte:02x}"))
        .collect();
    let judge = |pairs: &[(&str, &str)], body: &[u8]| {
        let head = head(pairs);
        let announced = layout
            .announced(&head, field.as_bytes(), WINDOW)
            .map_err(|failure| failure.what)?;
        let mut text = Vec::new();
        layout
            .text(&head, &announced, body, &mut text)
            .map_err(|failure| failure.what)?;
        Ok::<_, &'static str>(announced.is_signed(core::slice::from_ref(&key), &text))
    };
    assert_eq!(judge(&[("id", "a")], b"b.c"), Ok(true));
    assert_eq!(judge(&[("id", "a.b")], b"c"), Err("separator"));
    assert_eq!(judge(&[("id", "a")], b"b.d"), Ok(false));
    assert_eq!(judge(&[("id", "a"), ("id", "a")], b"b.c"), Err("header"));
    assert_eq!(judge(&[], b"b.c"), Err("header"));
}

/// Every way to fill a template in from a small alphabet: no two that are accepted make the same text.
#[test]
fn no_two_messages_are_signed_alike() {
    let mut texts = alloc::vec![String::new()];
    for at in 0..7 {
        for letter in ["x", "-"] {
            let longer = alloc::format!("{}{letter}", texts[at]);
            texts.push(longer);
        }
    }
    let literals = ["-", "--", "-x", "x-x", "--x--"];
    for (before, behind) in literals
        .iter()
        .flat_map(|one| literals.map(|two| (*one, two)))
    {
        let layout = Layout {
            format: Format::One { prefix: Vec::new() },
            encoding: MacEncoding::Hex,
            timestamp: None,
            signed: vec![
                Part::Header(b"a".to_vec()),
                Part::Literal(before.as_bytes().to_vec()),
                Part::Body,
                Part::Literal(behind.as_bytes().to_vec()),
                Part::Header(b"b".to_vec()),
            ],
        };
        let mut signed = alloc::collections::BTreeSet::new();
        for (a, b) in texts.iter().flat_map(|a| texts.iter().map(move |b| (a, b))) {
            let head = head(&[("a", a), ("b", b)]);
            for body in &texts {
                let announced = layout.announced(&head, b"00", WINDOW).unwrap();
                let mut parts = Vec::new();
                match layout.text(&head, &announced, body.as_bytes(), &mut parts) {
                    Ok(()) => assert!(
                        signed.insert(parts.concat()),
                        "{a}{before}{body}{behind}{b}"
                    ),
                    Err(failure) => assert_eq!(failure.what, "separator"),
                }
            }
        }
        assert!(signed.len() >= texts.len(), "{before} {behind}");
    }
}
