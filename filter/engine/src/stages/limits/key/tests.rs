//! What tells counters apart, and what must not.

use core::net::{Ipv4Addr, Ipv6Addr};

use super::*;

const SECRET: [u8; 16] = [1; 16];

fn named(name: &[u8], folded: bool) -> Named {
    Named {
        name: name.to_vec(),
        folded,
    }
}

fn of_client(part: KeyPart, client: IpAddr) -> u64 {
    hash(&SECRET, &[part], Missing::Usual, &Facts::of(client)).unwrap()
}

fn of_head(part: &KeyPart, missing: Missing, pairs: &[(&str, &[u8])]) -> Option<u64> {
    let pairs = pairs.iter().map(|(name, value)| (name.as_bytes(), *value));
    let head = RequestHead::decode(pairs);
    let facts = Facts {
        head: Some(&head),
        ..Facts::of(IpAddr::V4(Ipv4Addr::LOCALHOST))
    };
    hash(&SECRET, core::slice::from_ref(part), missing, &facts)
}

fn of_fields(key: &[KeyPart], form: bool, list: &[(&str, &str)]) -> u64 {
    let pairs: Vec<(Vec<u8>, Vec<u8>)> = list
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect();
    let fields = Fields {
        pairs: &pairs,
        form,
        length: None,
    };
    with_fields(&SECRET, 7, key, Missing::Usual, fields).unwrap()
}

#[test]
fn clients_are_networks() {
    let v4 = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
    let v6 = |third, last| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, third, 9, 9, 9, last));
    let usual = KeyPart::CLIENT;
    assert_eq!(
        of_client(usual.clone(), v6(1, 1)),
        of_client(usual.clone(), v6(1, 2))
    );
    assert_ne!(
        of_client(usual.clone(), v6(1, 1)),
        of_client(usual.clone(), v6(2, 1))
    );
    assert_ne!(
        of_client(usual.clone(), v4(1)),
        of_client(usual.clone(), v4(2))
    );
    let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped());
    assert_eq!(of_client(usual.clone(), v4(1)), of_client(usual, mapped));
    // Prefixes, and whether addresses that differ in their last 8 bits (IPv6: in bits 48 to 64) are one client.
    for (bits, wide, one, other) in [
        (32, 64, false, false),
        (24, 48, true, true),
        (8, 32, true, true),
    ] {
        let key = || KeyPart::Client { v4: bits, v6: wide };
        assert_eq!(of_client(key(), v4(1)) == of_client(key(), v4(2)), one);
        assert_eq!(
            of_client(key(), v6(1, 1)) == of_client(key(), v6(2, 1)),
            other
        );
    }
    let whole = || KeyPart::Client { v4: 32, v6: 128 };
    assert_ne!(of_client(whole(), v6(1, 1)), of_client(whole(), v6(1, 2)));
    // The same network under two prefixes is two counters.
    let zero = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    assert_ne!(
        of_client(KeyPart::Client { v4: 32, v6: 64 }, zero),
        of_client(KeyPart::Client { v4: 32, v6: 56 }, zero)
    );
}

#[test]
fn values_never_run_together() {
    let key = [
        KeyPart::Field(named(b"u", false)),
        KeyPart::Field(named(b"v", false)),
    ];
    let lists: [&[(&str, &str)]; 9] = [
        &[],
        &[("u", "")],
        &[("v", "")],
        &[("u", "ab")],
        &[("u", "a"), ("v", "b")],
        &[("u", "ab\0")],
        &[("u", "b"), ("v", "a")],
        &[("u", "a"), ("u", "b")],
        &[("u", "\u{1}\u{14}")],
    ];
    for (i, a) in lists.iter().enumerate() {
        for b in lists.iter().skip(i + 1) {
            assert_ne!(
                of_fields(&key, true, a),
                of_fields(&key, true, b),
                "{a:?} {b:?}"
            );
        }
    }
    assert_eq!(
        of_fields(&key, true, &[("x", "1")]),
        of_fields(&key, true, &[])
    );
}

#[test]
fn spellings_of_an_account_are_one_counter() {
    let key = [KeyPart::Field(named(b"username", true))];
    let usual = of_fields(&key, true, &[("username", "alice")]);
    for list in [
        &[("username", "Alice ")][..],
        &[("username", "\tALICE\u{a0}")],
        &[("USERNAME", "alice")],
        &[("username", "alice"), ("UserName", "Alice")],
    ] {
        assert_eq!(of_fields(&key, true, list), usual, "{list:?}");
    }
    assert_ne!(of_fields(&key, true, &[("username", "alicia")]), usual);
    let exact = [KeyPart::Field(named(b"username", false))];
    assert_ne!(
        of_fields(&exact, true, &[("username", "alice")]),
        of_fields(&exact, true, &[("username", "Alice")])
    );
}

#[test]
fn nobody_gets_a_counter_by_leaving_a_value_out_or_sending_several() {
    let header = KeyPart::Header(named(b"x-tenant", false));
    let cookie = KeyPart::Cookie(named(b"sid", false));
    let query = KeyPart::Query(named(b"q", false));
    type Lists = [&'static [(&'static str, &'static [u8])]; 6];
    // None; one; the same twice; two that differ; two others that differ; another one.
    let cases: [(KeyPart, Lists); 3] = [
        (
            header,
            [
                &[],
                &[("X-Tenant", b"a")],
                &[("x-tenant", b"a"), ("X-TENANT", b"a")],
                &[("x-tenant", b"a"), ("x-tenant", b"b")],
                &[
                    ("x-tenant", b"c"),
                    ("x-tenant", b"\xff"),
                    ("x-tenant", b"c"),
                ],
                &[("x-tenant", b"")],
            ],
        ),
        (
            cookie,
            [
                &[("cookie", b"other=a")],
                &[("cookie", b"sid=a; other=b")],
                &[("cookie", b"sid=a"), ("cookie", b"x=1; sid=a")],
                &[("cookie", b"sid=a; sid=b")],
                &[("cookie", b"sid=c"), ("cookie", b"sid=d")],
                &[("cookie", b"sid=")],
            ],
        ),
        (
            query,
            [
                &[(":path", b"/?Q2=a")],
                &[(":path", b"/?q=a")],
                &[(":path", b"/?x&q=%61&%71=a&Q=a")],
                &[(":path", b"/?q=a&q=b")],
                &[(":path", b"/?q=c&q%00x=d")],
                &[(":path", b"/?q")],
            ],
        ),
    ];
    for (part, [none, one, twice, two, others, empty]) in cases {
        let of = |list| of_head(&part, Missing::Usual, list).unwrap();
        assert_eq!(of(one), of(twice));
        assert_eq!(of(two), of(others));
        let distinct = [of(none), of(one), of(two), of(empty)];
        for (at, hash) in distinct.iter().enumerate() {
            assert!(!distinct.iter().skip(at + 1).any(|other| other == hash));
        }
        assert_eq!(of_head(&part, Missing::Skip, none), None);
        assert_eq!(
            of_head(&part, Missing::Skip, two),
            Some(of(two)),
            "no way out"
        );
        assert_eq!(of_head(&part, Missing::Count, none), Some(of(none)));
    }
}

#[test]
fn who_was_verified() {
    let claims = [Some(b"\"a".to_vec()), None];
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let known = Facts {
        subject: Some((b"idp", b"s")),
        api_key: true,
        claims: &claims,
        ..Facts::of(client)
    };
    let jwt = Facts {
        api_key: false,
        ..known
    };
    let nobody = Facts::of(client);
    let there = KeyPart::Claim(b"/t".to_vec(), 0);
    let absent = KeyPart::Claim(b"/u".to_vec(), 1);
    // Part, facts, and whether it is counted as usual, always, or never where it is missing.
    let cases = [
        (KeyPart::Subject, known, [true, true, true]),
        (KeyPart::Subject, nobody, [false, true, false]),
        (KeyPart::ApiKey, known, [true, true, true]),
        (KeyPart::ApiKey, jwt, [false, true, false]),
        (KeyPart::Account, nobody, [false, true, false]),
        (there.clone(), known, [true, true, true]),
        (there, nobody, [false, true, false]),
        (absent, known, [true, true, false]),
        (KeyPart::Tls(Property::Uri), known, [true, true, false]),
        (KeyPart::Method, nobody, [true, true, true]),
        (KeyPart::Route, nobody, [true, true, true]),
        (KeyPart::Path, nobody, [true, true, true]),
    ];
    for (part, facts, counted) in cases {
        let modes = [Missing::Usual, Missing::Count, Missing::Skip];
        let seen = modes
            .map(|missing| hash(&SECRET, core::slice::from_ref(&part), missing, &facts).is_some());
        assert_eq!(seen, counted, "{part:?}");
    }
    // Another provider's subject of the same name is somebody else; a subject is no API key.
    let other = Facts {
        subject: Some((b"other", b"s")),
        ..known
    };
    let of = |part: KeyPart, facts: &Facts<'_>| hash(&SECRET, &[part], Missing::Usual, facts);
    assert_ne!(of(KeyPart::Subject, &known), of(KeyPart::Subject, &other));
    assert_ne!(of(KeyPart::Subject, &known), of(KeyPart::ApiKey, &known));
}

#[test]
fn fields_that_readers_may_take_differently() {
    let field = named(b"username", true);
    let contradict = |form, list: &[(&str, &str)]| {
        let pairs: Vec<(Vec<u8>, Vec<u8>)> = list
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect();
        let fields = Fields {
            pairs: &pairs,
            form,
            length: None,
        };
        fields.contradict(&field)
    };
    for (list, json, form) in [
        (&[("username", "a")][..], false, false),
        (&[("username", "a"), ("username", "A ")], false, false),
        (&[("username", "a"), ("username", "b")], true, true),
        (&[("username", "a"), ("USERNAME", "b")], true, true),
        (&[("username", "a"), ("username.0", "b")], true, true),
        (&[("username", "a"), ("username[]", "b")], false, true),
        (&[("username.0", "a"), ("username.1", "b")], false, false),
    ] {
        assert_eq!(contradict(false, list), json, "{list:?}");
        assert_eq!(contradict(true, list), form, "{list:?}");
    }
}

#[test]
fn any_bytes_of_any_length() {
    let parts = |folded| {
        [
            KeyPart::Header(named(b"x-tenant", folded)),
            KeyPart::Cookie(named(b"sid", folded)),
            KeyPart::Query(named(b"q", folded)),
        ]
    };
    let every: Vec<u8> = (0..=255).collect();
    let long = alloc::vec![0xc2_u8; 1 << 20];
    for value in [&every[..], &long, b"", b"\0", b"\xe2\x80"] {
        let mut query = b"/?q=".to_vec();
        query.extend_from_slice(value);
        let mut cookie = b"sid=".to_vec();
        cookie.extend_from_slice(value);
        for part in parts(true).iter().chain(&parts(false)) {
            let pairs = [
                ("x-tenant", value),
                ("cookie", &cookie[..]),
                (":path", &query[..]),
            ];
            assert!(of_head(part, Missing::Usual, &pairs).is_some());
        }
    }
}
