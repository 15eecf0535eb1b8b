//! Attacks on the data path that only show when stages work together.

use super::*;
use crate::env::MemoryStore;
use crate::units::{Monotonic, UnixTime};

const POLICY: &[u8] = br#"{
    "headers": { "escaped_slash": "keep" },
    "tokens": { "app": { "type": "jwt", "from": "bearer", "issuer": "i", "audiences": ["a"],
        "keys": [{ "algorithm": "HS256", "env": "K" }] } },
    "limits": [{ "name": "login", "when": { "path": "/login" }, "key": ["client", { "field": "username" }],
        "quota": "2/1h" },
        { "name": "tree", "when": { "path": "/tree/*/end" }, "key": [{ "field": "username" }], "quota": "1/1h" }],
    "injection": { "inspect": ["target", "body"] },
    "routes": [
        { "name": "admin", "match": { "path": "/admin/*" }, "token": { "any": ["app"] } },
        { "name": "streamed", "match": { "path": "/events" }, "token": "none", "body": "stream" },
        { "name": "public", "match": { "path": "/*" }, "token": "none" }
    ]
}"#;

fn engine() -> Engine {
    let secret = |_: &str| Some(b"a key of thirty-two bytes or more".to_vec());
    Engine::new(Policy::from_plugin_bytes(POLICY, &secret).unwrap())
}

fn ask(
    engine: &Engine,
    store: &mut MemoryStore,
    pairs: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Option<Denial> {
    let head = RequestHead::decode(
        pairs
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
    );
    let mut env = Env {
        now: Monotonic(1),
        wall: UnixTime(1),
        counters: store,
    };
    let mut memory = engine.memory();
    let connection = Connection::default();
    let verdict = engine.decide_head(&head, connection, body.is_none(), &mut memory, &mut env);
    let verdict = match (verdict, body) {
        (Verdict::Need(_, suspended), Some(body)) => {
            let resumed = Resumed {
                body: None,
                answer: Answer::Body(body),
                head: Some(&head),
                connection,
            };
            engine.resume(suspended, resumed, &mut memory, &mut env)
        }
        (verdict, _) => verdict,
    };
    match verdict {
        Verdict::Allow(_) => None,
        Verdict::Deny(refusal) => Some(refusal.denial),
        Verdict::Need(..) => panic!("a second wait"),
    }
}

fn reason(denial: &Option<Denial>) -> Option<Reason> {
    denial.as_ref().map(|denial| denial.reason)
}

#[test]
fn a_coded_body_that_nobody_undoes_is_refused() {
    type Case = (
        &'static str,
        &'static str,
        Option<&'static [u8]>,
        Option<Reason>,
    );
    const CASES: &[Case] = &[
        ("/", "zstd", Some(b"x"), Some(Reason::ContentTypeNotAllowed)),
        (
            "/",
            "gzip, br",
            Some(b"x"),
            Some(Reason::ContentTypeNotAllowed),
        ),
        ("/", "Br", Some(b"x"), Some(Reason::MalformedBody)),
        ("/", "br", Some(b""), None),
        (
            "/",
            "gzip, gzip",
            Some(b"\x1f\x8b"),
            Some(Reason::ContentTypeNotAllowed),
        ),
        ("/", "gzip", Some(b"\x1f\x8b"), Some(Reason::MalformedBody)),
        ("/", "deflate", Some(b"a=b"), Some(Reason::MalformedBody)),
        ("/", "gzip", Some(b""), None),
        ("/", "identity", Some(b"a=b"), None),
        ("/", "gzip", None, None),
        ("/events", "zstd", Some(b"\x1f\x8b"), None),
    ];
    let engine = engine();
    for (path, coding, body, expected) in CASES {
        let pairs = [
            (":method", "POST"),
            (":path", path),
            ("content-type", "application/x-www-form-urlencoded"),
            ("content-encoding", coding),
        ];
        let denial = ask(&engine, &mut MemoryStore::default(), &pairs, *body);
        assert_eq!(reason(&denial), *expected, "{path} {coding}");
        if *expected == Some(Reason::ContentTypeNotAllowed) {
            let headers = denial.map(|denial| denial.headers);
            let others = b"gzip, deflate, br, identity".to_vec();
            assert_eq!(headers, Some(vec![("accept-encoding", others)]));
        }
    }
}

/// Who logs in is read from what a compressed form stands for.
#[test]
fn a_compressed_login_is_counted_by_its_account() {
    // `username=alice`, stored.
    let body = [&b"\x01\x0e\x00\xf1\xff"[..], b"username=alice"].concat();
    let engine = engine();
    let mut store = MemoryStore::default();
    let pairs = [
        (":method", "POST"),
        (":path", "/login"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-encoding", "deflate"),
    ];
    let mut reasons = Vec::new();
    for _ in 0..3 {
        reasons.push(reason(&ask(&engine, &mut store, &pairs, Some(&body))));
    }
    assert_eq!(reasons, [None, None, Some(Reason::RateLimited)]);
    let plain = &pairs[..3];
    let denial = ask(&engine, &mut store, plain, Some(b"username=alice"));
    assert_eq!(reason(&denial), Some(Reason::RateLimited));
}

#[test]
fn a_path_with_parameters_takes_the_route_it_has_without_them() {
    const CASES: &[(&str, Option<Reason>)] = &[
        ("/admin/x", Some(Reason::TokenMissing)),
        ("/admin;x/y", Some(Reason::MalformedPath)),
        ("/admin;/y", Some(Reason::MalformedPath)),
        ("/;/admin/y", Some(Reason::MalformedPath)),
        ("/;x;y/admin/y", Some(Reason::MalformedPath)),
        ("/admin%3bx/y", Some(Reason::MalformedPath)),
        ("/login;x", Some(Reason::MalformedPath)),
        ("/admin/x;y", Some(Reason::TokenMissing)),
        ("/list;v=1/x;y=2", None),
        ("/;", None),
        ("/administrator;x", None),
    ];
    let engine = engine();
    for (path, expected) in CASES {
        let pairs = [(":method", "GET"), (":path", *path)];
        let denial = ask(&engine, &mut MemoryStore::default(), &pairs, None);
        assert_eq!(reason(&denial), *expected, "{path}");
    }
}

#[test]
fn a_repeated_field_does_not_make_new_counters() {
    const CASES: &[(&[u8], Option<Reason>)] = &[
        (b"username=a&password=1", None),
        (b"username=a&username=a", None),
        (b"username=a&username=b", Some(Reason::MalformedBody)),
        (b"username=a&user%6eame=", Some(Reason::MalformedBody)),
        (b"other=a&other=b", None),
    ];
    let engine = engine();
    for (body, expected) in CASES {
        let pairs = [
            (":method", "POST"),
            (":path", "/login"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let denial = ask(&engine, &mut MemoryStore::default(), &pairs, Some(body));
        assert_eq!(reason(&denial), *expected, "{}", body.escape_ascii());
    }
}

/// The event's path is cut; the limit's is not.
#[test]
fn a_long_path_does_not_leave_a_field_limit() {
    let engine = engine();
    let mut store = MemoryStore::default();
    let path = format!("/tree/{}/end", "a".repeat(600));
    let pairs = [
        (":method", "POST"),
        (":path", path.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let mut ask = || reason(&ask(&engine, &mut store, &pairs, Some(b"username=a")));
    assert_eq!(ask(), None);
    assert_eq!(ask(), Some(Reason::RateLimited));
}

/// The table promises 64 marks and has room for 256: what finds its set full is refused or told of, what is held
/// stays exact, and nobody without the key can fill it.
#[test]
fn a_full_table_of_marks_refuses_or_tells() {
    use crate::stages::token::{HmacAlgorithm, Key, Secret};
    const SECRET: &[u8] = b"a key of thirty-two bytes or more";
    let text = br#"{
        "tokens": {
            "strict": { "type": "hmac", "scheme": "github", "keys": [{ "env": "K" }] },
            "eager": { "type": "hmac", "scheme": "github", "keys": [{ "env": "K" }], "replay": { "on_full": "allow" } } },
        "table": { "marks": 64 },
        "routes": [
            { "name": "strict", "match": { "path": "/strict" }, "token": { "any": ["strict"] } },
            { "name": "eager", "match": { "path": "/eager" }, "token": { "any": ["eager"] } }]
    }"#;
    let policy = Policy::from_plugin_bytes(text, &|_| Some(SECRET.to_vec())).unwrap();
    assert_eq!((policy.marks.sets, policy.implied().marks), (4, 96));
    let engine = Engine::new(policy);
    let key = Key::new(None, HmacAlgorithm::Sha256, &Secret(SECRET.to_vec())).unwrap();
    let mut store = MemoryStore::default();
    let mut post = |path: &str, body: u32, forged: bool| {
        let body = body.to_le_bytes();
        let mac = key.with_mac(&[&body], <[u8]>::to_vec).unwrap();
        let mut field = String::from("sha256=");
        for byte in mac {
            field.push_str(&alloc::format!("{byte:02x}"));
        }
        if forged {
            field.replace_range(7..9, "zz");
        }
        let pairs = [
            (":method", "POST"),
            (":path", path),
            (":authority", "a"),
            ("x-hub-signature-256", field.as_str()),
        ];
        reason(&ask(&engine, &mut store, &pairs, Some(&body)))
    };
    for body in 0..1000 {
        assert_eq!(
            post("/strict", body, true),
            Some(Reason::SignatureInvalid),
            "{body}"
        );
    }
    assert_eq!(post("/strict", 0, false), None);
    let mut fresh = Vec::new();
    for body in 0..2000 {
        assert_eq!(post("/eager", body, false), None, "{body}");
        fresh.push(body);
    }
    assert_eq!(post("/strict", 0, false), Some(Reason::Replayed));
    assert_eq!(post("/eager", 0, false), Some(Reason::Replayed));
    for body in 2000..2100 {
        assert_eq!(post("/strict", body, false), Some(Reason::ReplayCapacity));
    }
    let replayed = fresh
        .iter()
        .filter(|body| post("/eager", **body, false) == Some(Reason::Replayed))
        .count();
    assert_eq!(
        replayed, 255,
        "four sets of 64, one mark of `strict` among them"
    );
    assert_eq!(store.len(), 4);
}

/// Who is counted and banned by provider and subject stays so when the policy lists its providers in another order.
#[test]
fn another_order_of_providers_keeps_subjects() {
    let policy = |order: [&str; 2]| {
        let provider = |name: &str| {
            let digest = match name {
                // Of `key-a` and `key-b`.
                "a" => "f10f781241e2246678b6b45c857069208152a53863e47fac33f607ab405006f4",
                _ => "a30534a53b23547377ddccbd1ac85a8a84c13db43493c16e55a6abc7b0eba634",
            };
            alloc::format!(
                r#""{name}": {{ "type": "api_key", "from": {{ "header": "x-{name}" }}, "keys": [{{ "id": "me", "sha256": "{digest}" }}] }}"#
            )
        };
        let text = alloc::format!(
            r#"{{ "tokens": {{ {}, {} }},
                "limits": [{{ "name": "each", "key": ["subject"], "quota": "1/1h" }}],
                "routes": [{{ "name": "all", "match": {{ "path": "/*" }}, "token": {{ "any": ["a", "b"] }} }}] }}"#,
            provider(order[0]),
            provider(order[1]),
        );
        Engine::new(Policy::from_plugin_bytes(text.as_bytes(), &|_| None).unwrap())
    };
    let mut store = MemoryStore::default();
    let mut asks = |engine: &Engine, name: &str| {
        let (header, key) = (alloc::format!("x-{name}"), alloc::format!("key-{name}"));
        let pairs = [(":method", "GET"), (":path", "/"), (&*header, &*key)];
        reason(&ask(engine, &mut store, &pairs, None))
    };
    let before = policy(["a", "b"]);
    assert_eq!(asks(&before, "a"), None);
    assert_eq!(asks(&before, "a"), Some(Reason::RateLimited));
    let after = policy(["b", "a"]);
    assert_eq!(asks(&after, "a"), Some(Reason::RateLimited));
    assert_eq!(asks(&after, "b"), None, "somebody else");
    assert_eq!(asks(&before, "b"), Some(Reason::RateLimited));
}
