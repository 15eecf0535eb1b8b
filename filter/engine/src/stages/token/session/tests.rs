//! Sessions through the stage: idle time-outs, bindings, renewal, CSRF, revocation; and what attackers try.

use alloc::string::{String, ToString};
use alloc::{format, vec};

use super::*;
use crate::env::{
    Certificate, Connection, CounterStore, Env, MemoryStore, Outside, StoreError, Worker,
};
use crate::finding::Findings;
use crate::marks::Marks;
use crate::request::RequestHead;
use crate::stages::token::{
    Bindings, Csrf, HmacAlgorithm, Jwt, Memory, Need, Outcome, ProviderKind, Revocation,
    RouteToken, Secret, Source, Subject, TokenStage, jws,
};
use crate::units::Monotonic;
use crate::verdict::Edits;

const NOW: u64 = 1_800_000_000;
const DIGEST: &[u8] = b"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn key(id: &str, secret: &str) -> Key {
    let secret = Secret(secret.as_bytes().to_vec());
    Key::new(Some(id.as_bytes().to_vec()), HmacAlgorithm::Sha256, &secret).unwrap()
}

fn new() -> Key {
    key("k2", "new")
}

fn rules() -> Session {
    Session {
        keys: vec![new(), key("k1", "old")],
        format: SessionFormat::V1,
        lifetime: 3600,
        leeway: 5,
        idle: Some(900),
        bind: Bindings::default(),
        renewal: Some(Renewal::Cookie(CookieOut {
            name: b"sid".to_vec(),
            attributes: b"; HttpOnly; Path=/; Secure; SameSite=Lax".to_vec(),
        })),
        csrf: None,
        revocation: Revocation::default(),
    }
}

fn csrf() -> Csrf {
    Csrf {
        header: b"x-csrf-token".to_vec(),
        cookie: Some(CookieOut {
            name: b"csrf".to_vec(),
            attributes: b"; Path=/; Secure; SameSite=Lax".to_vec(),
        }),
        origins: vec![b"https://app.example.org".to_vec()],
        same_site: false,
        safe_methods: ["GET", "HEAD", "OPTIONS", "TRACE"]
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect(),
    }
}

fn stage(rules: Session) -> TokenStage {
    TokenStage {
        remembered: 0,
        providers: vec![Provider {
            name: b"web".to_vec(),
            from: vec![Source::Cookie(b"sid".to_vec())],
            kind: ProviderKind::Session(rules),
            forward: Vec::new(),
            roles: b"/roles".to_vec(),
            scopes: None,
            claims: Vec::new(),
            counted: Vec::new(),
            strip: false,
        }],
    }
}

/// A request; everything but its cookie has a default.
#[derive(Clone)]
struct Asked<'a> {
    now: u64,
    client: &'a str,
    certificate: Option<&'a [u8]>,
    method: &'a str,
    path: &'a str,
    fields: Vec<(&'a str, &'a str)>,
}

impl Default for Asked<'_> {
    fn default() -> Self {
        Self {
            now: NOW,
            client: "192.0.2.7",
            certificate: None,
            method: "GET",
            path: "/",
            fields: Vec::new(),
        }
    }
}

const ROUTE: RouteToken = RouteToken {
    need: Need::Required,
    providers: Vec::new(),
    all: false,
    roles: Vec::new(),
    revoke: true,
    scopes: Vec::new(),
    claims: Vec::new(),
};

impl Asked<'_> {
    /// Subject or the finding's rule; and what the response is to carry.
    fn judge(&self, stage: &TokenStage, token: &str) -> (String, Vec<String>) {
        self.judge_with(stage, token, &mut MemoryStore::default())
    }

    fn judge_with<S: Outside>(
        &self,
        stage: &TokenStage,
        token: &str,
        store: &mut S,
    ) -> (String, Vec<String>) {
        let (word, subject) = self.ask(stage, token, store);
        let mut edits = Edits::default();
        if let Some(mut subject) = subject {
            let head = RequestHead::decode(core::iter::empty());
            stage.edit(&head, &mut subject, &mut edits);
        }
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let added = edits.add.into_iter();
        (
            word,
            added
                .map(|it| format!("{}: {}", text(it.name), text(it.value)))
                .collect(),
        )
    }

    fn ask<S: Outside>(
        &self,
        stage: &TokenStage,
        token: &str,
        store: &mut S,
    ) -> (String, Option<Subject>) {
        let cookie = format!("sid={token}");
        let pseudo = [
            (":method", self.method),
            (":path", self.path),
            (":scheme", "https"),
            (":authority", "shop.example.com"),
            ("cookie", &cookie),
        ];
        let pairs = pseudo.iter().chain(&self.fields);
        let head =
            RequestHead::decode(pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        let ask = Ask {
            head: &head,
            client: self.client.parse().unwrap(),
            connection: Connection {
                peer: None,
                certificate: self.certificate.map(|sha256| Certificate {
                    sha256,
                    ..Certificate::default()
                }),
            },
            body: None,
            marks: &Marks::default(),
            rehearses: false,
            waited: &[],
        };
        let mut env = Env {
            now: Monotonic(1_000),
            wall: UnixTime(self.now),
            counters: store,
        };
        let mut found = Findings::default();
        let route = RouteToken {
            providers: (0..stage.providers.len()).collect(),
            ..ROUTE
        };
        let memory = &mut Memory::default();
        match stage.verify(&route, &ask, memory, &mut env, &mut found) {
            Ok(Outcome::Known(subject)) => {
                let (_, name) = subject.known().unwrap();
                (String::from_utf8_lossy(name).to_string(), Some(subject))
            }
            Ok(Outcome::Awaits(awaited)) => panic!("{awaited:?}"),
            Err(denial) => {
                let rule = String::from_utf8_lossy(&found.as_slice()[0].rule).to_string();
                (format!("{:?} {rule}", denial.reason), None)
            }
        }
    }
}

fn session<'a>() -> V1<'a> {
    V1 {
        sub: "bob",
        sid: "s1",
        iat: NOW - 500,
        ..V1::default()
    }
}

/// The cookie's value in a `set-cookie` line.
fn value(line: &str) -> &str {
    let pair = line.strip_prefix("set-cookie: sid=").unwrap();
    pair.split(';').next().unwrap()
}

fn payload(token: &str) -> String {
    let middle = token.split('.').nth(1).unwrap();
    String::from_utf8(base64url::decode_vec(middle.as_bytes()).unwrap()).unwrap()
}

#[test]
fn idle_to_the_second() {
    let stage = stage(rules());
    let at = |iat, seen, now| {
        let token = V1 {
            iat,
            seen,
            ..session()
        };
        let asked = Asked {
            now,
            ..Asked::default()
        };
        asked.judge(&stage, &token.mint(&new())).0
    };
    // Issued, seen, asked.
    let cases: &[(u64, Option<u64>, u64, &str)] = &[
        (NOW, None, NOW + 899, "bob"),
        (NOW, None, NOW + 900, "TokenExpired web/idle"),
        (NOW, Some(NOW + 100), NOW + 999, "bob"),
        (NOW, Some(NOW + 100), NOW + 1000, "TokenExpired web/idle"),
        (NOW, Some(NOW + 3000), NOW + 3599, "bob"),
        (
            NOW,
            Some(NOW + 3000),
            NOW + 3600,
            "TokenExpired web/lifetime",
        ),
        // The clock went back: within the leeway, and beyond it.
        (NOW, Some(NOW + 100), NOW + 95, "bob"),
        (NOW, Some(NOW + 100), NOW + 94, "TokenClaims web/seen"),
        (NOW, Some(NOW - 1), NOW + 1, "TokenClaims web/seen"),
        (NOW, Some(u64::MAX), NOW, "TokenClaims web/seen"),
    ];
    for (iat, seen, now, expected) in cases {
        assert_eq!(at(*iat, *seen, *now), *expected, "{iat} {seen:?} {now}");
    }
    let text = mint_v1_with(
        &new(),
        br#"{"sub":"bob","sid":"s","iat":1800000000,"seen":"1800000000"}"#,
    );
    assert_eq!(
        Asked::default().judge(&stage, &text).0,
        "TokenClaims web/seen"
    );
}

#[test]
fn renewal_at_half_of_the_idle_time() {
    let stage = stage(rules());
    let token = V1 {
        iat: NOW,
        roles: &["a", "b\"c"],
        ..session()
    };
    let token = token.mint(&new());
    let at = |now, token: &str| {
        let asked = Asked {
            now,
            ..Asked::default()
        };
        asked.judge(&stage, token)
    };
    assert_eq!(at(NOW + 449, &token), ("bob".to_string(), Vec::new()));
    let (who, added) = at(NOW + 450, &token);
    assert_eq!((who.as_str(), added.len()), ("bob", 1));
    assert!(
        added[0].ends_with("; Max-Age=900; HttpOnly; Path=/; Secure; SameSite=Lax"),
        "{}",
        added[0]
    );
    let renewed = value(&added[0]).to_string();
    assert_eq!(
        payload(&renewed),
        r#"{"iat":1800000000,"roles":["a","b\"c"],"sid":"s1","sub":"bob","seen":1800000450,"kid":"k2"}"#
    );
    // The renewed session lives where the old one is idle, and no longer than its lifetime.
    assert_eq!(at(NOW + 900, &token).0, "TokenExpired web/idle");
    assert_eq!(at(NOW + 900, &renewed).0, "bob");
    let mut current = renewed;
    for now in (NOW + 900..NOW + 3600).step_by(450) {
        let (who, added) = at(now, &current);
        assert_eq!((who.as_str(), added.len()), ("bob", 1), "{now}");
        current = value(&added[0]).to_string();
        let left = (NOW + 3600 - now).min(900);
        assert!(added[0].contains(&format!("; Max-Age={left};")), "{now}");
    }
    assert_eq!(at(NOW + 3600, &current).0, "TokenExpired web/lifetime");
}

#[test]
fn an_old_key_verifies_and_the_new_one_signs() {
    let mut rules = rules();
    rules.idle = None;
    rules.bind = Bindings {
        client: Some(Prefix { v4: 24, v6: 64 }),
        user_agent: true,
        certificate: true,
    };
    let client = ("192.0.2.9".parse().unwrap(), Prefix { v4: 24, v6: 64 });
    let token = V1 {
        client: Some(client),
        user_agent: Some("agent/1"),
        certificate: Some(core::str::from_utf8(DIGEST).unwrap()),
        ..session()
    };
    let token = token.mint(&key("k1", "old"));
    let asked = Asked {
        certificate: Some(DIGEST),
        fields: vec![("user-agent", "agent/1")],
        ..Asked::default()
    };
    let both = stage(rules.clone());
    let (who, added) = asked.judge(&both, &token);
    assert_eq!((who.as_str(), added.len()), ("bob", 1));
    assert!(added[0].contains("; Max-Age=3100;"), "{}", added[0]);
    let renewed = value(&added[0]);
    // The old key is gone; the renewed session is bound as before.
    rules.keys.pop();
    let one = stage(rules);
    assert_eq!(asked.judge(&one, &token).0, "TokenInvalid web/signature");
    assert_eq!(asked.judge(&one, renewed), ("bob".to_string(), Vec::new()));
    let elsewhere = Asked {
        client: "192.0.3.9",
        ..asked
    };
    assert_eq!(elsewhere.judge(&one, renewed).0, "TokenNotBound web/client");
}

#[test]
fn what_a_session_is_bound_to() {
    let mut rules = rules();
    rules.bind = Bindings {
        client: Some(Prefix { v4: 24, v6: 56 }),
        user_agent: true,
        certificate: true,
    };
    let stage = stage(rules);
    let mint = |client: &str| {
        let token = V1 {
            client: Some((client.parse().unwrap(), Prefix { v4: 24, v6: 56 })),
            user_agent: Some("agent/1"),
            certificate: Some(core::str::from_utf8(DIGEST).unwrap()),
            ..session()
        };
        token.mint(&new())
    };
    let agent = ("user-agent", "agent/1");
    let other: &[u8] = b"0f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let (v4, v6) = (mint("192.0.2.1"), mint("2001:db8:1:200::1"));
    type Case<'a> = (
        &'a str,
        &'a str,
        Vec<(&'a str, &'a str)>,
        Option<&'a [u8]>,
        &'a str,
    );
    let cases: &[Case<'_>] = &[
        (&v4, "192.0.2.7", vec![agent], Some(DIGEST), "bob"),
        (&v4, "::ffff:192.0.2.255", vec![agent], Some(DIGEST), "bob"),
        (&v4, "192.0.3.1", vec![agent], Some(DIGEST), "client"),
        (
            &v4,
            "2001:db8:1:200::1",
            vec![agent],
            Some(DIGEST),
            "client",
        ),
        (&v6, "2001:db8:1:2ff::9", vec![agent], Some(DIGEST), "bob"),
        (
            &v6,
            "2001:db8:1:300::1",
            vec![agent],
            Some(DIGEST),
            "client",
        ),
        (
            &v4,
            "192.0.2.1",
            vec![("user-agent", "agent/2")],
            Some(DIGEST),
            "user_agent",
        ),
        (&v4, "192.0.2.1", vec![], Some(DIGEST), "user_agent"),
        (
            &v4,
            "192.0.2.1",
            vec![agent, agent],
            Some(DIGEST),
            "user_agent",
        ),
        (&v4, "192.0.2.1", vec![agent], Some(other), "tls"),
        (&v4, "192.0.2.1", vec![agent], Some(b""), "tls"),
        (&v4, "192.0.2.1", vec![agent], None, "tls"),
    ];
    for (token, client, fields, certificate, expected) in cases {
        let asked = Asked {
            client,
            certificate: *certificate,
            fields: fields.clone(),
            ..Asked::default()
        };
        let word = asked.judge(&stage, token).0;
        let word = word.strip_prefix("TokenNotBound web/").unwrap_or(&word);
        assert_eq!(word, *expected, "{client} {fields:?}");
    }
    // Bindings of one kind are not those of another, and a token without one is not bound.
    let plain = payload(&v4);
    for (from, to) in [
        ("\"cli\"", "\"ua\""),
        ("\"ua\"", "\"tls\""),
        ("\"tls\"", "\"x\""),
    ] {
        let swapped = plain.replace(to, "\"gone\"").replace(from, to);
        let token = mint_v1_with(&new(), swapped.as_bytes());
        let asked = Asked {
            client: "192.0.2.1",
            certificate: Some(DIGEST),
            fields: vec![agent],
            ..Asked::default()
        };
        assert!(
            asked.judge(&stage, &token).0.starts_with("TokenNotBound"),
            "{swapped}"
        );
    }
}

#[test]
fn cookies_put_together_from_others() {
    let stage = stage(rules());
    let (alice, bob) = (
        V1 {
            sub: "alice",
            sid: "s2",
            ..session()
        }
        .mint(&new()),
        session().mint(&new()),
    );
    let part = |token: &str, at: usize| token.split('.').nth(at).unwrap().to_string();
    let word = |token: &str| Asked::default().judge(&stage, token).0;
    assert_eq!(word(&alice), "alice");
    let swapped = format!("v1.{}.{}", part(&alice, 1), part(&bob, 2));
    assert_eq!(word(&swapped), "TokenInvalid web/signature");
    // Signed by one key, naming the other.
    let kid = payload(&bob).replace("k2", "k1");
    assert_eq!(
        word(&mint_v1_with(&new(), kid.as_bytes())),
        "TokenInvalid web/key"
    );
    // Members written twice, however they are spelled.
    for twice in [
        r#"{"sub":"bob","sid":"s","iat":1800000000,"sid":"t"}"#,
        r#"{"sub":"bob","sid":"s","iat":1800000000,"seen":1800000000,"s\u0065en":1}"#,
    ] {
        let token = mint_v1_with(&new(), twice.as_bytes());
        assert_eq!(word(&token), "TokenInvalid web/payload");
    }
    // A CSRF token is no session's MAC.
    let token = csrf_token(&new(), "v1.e30");
    assert_eq!(
        word(&format!("v1.e30.{token}")),
        "TokenInvalid web/signature"
    );
}

#[test]
fn nothing_is_renewed_that_would_be_refused() {
    let mut rules = rules();
    rules.idle = None;
    rules.keys = vec![key(&"k".repeat(13_000), "long id"), key("k1", "old")];
    let token = session().mint(&key("k1", "old"));
    let (who, added) = Asked::default().judge(&stage(rules), &token);
    assert_eq!((who.as_str(), added.len()), ("bob", 0));
}

#[test]
fn a_renewed_header() {
    let mut rules = rules();
    rules.renewal = Some(Renewal::Header(b"x-session".to_vec()));
    let token = session().mint(&new());
    let asked = Asked::default();
    let (_, added) = asked.judge(&stage(rules.clone()), &token);
    assert!(added[0].starts_with("x-session: v1."), "{added:?}");
    rules.renewal = None;
    assert!(asked.judge(&stage(rules), &token).1.is_empty());
}

/// Method, path, fields; the word.
type Sent<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);

#[test]
fn csrf_of_requests_that_change_something() {
    let mut rules = rules();
    rules.csrf = Some(csrf());
    let stage = stage(rules);
    let token = V1 {
        iat: NOW,
        ..session()
    };
    let token = token.mint(&new());
    let good = csrf_token(&new(), "s1");
    let old = csrf_token(&key("k1", "old"), "s1");
    let foreign = csrf_token(&new(), "s2");
    let unkeyed = csrf_token(&key("k2", "x"), "s1");
    const fn field(token: &str) -> (&str, &str) {
        ("x-csrf-token", token)
    }
    let (own, site) = (
        ("origin", "https://shop.example.com"),
        ("sec-fetch-site", "same-origin"),
    );
    let origin = |value| ("origin", value);
    let fetch = |value| ("sec-fetch-site", value);
    let listed = origin("https://app.example.org");
    let cases: &[Sent<'_>] = &[
        // Safe methods, also from elsewhere.
        ("GET", "/", &[], "bob"),
        ("HEAD", "/", &[origin("https://evil.example")], "bob"),
        ("OPTIONS", "/", &[fetch("cross-site")], "bob"),
        ("TRACE", "/", &[], "bob"),
        // Those that change something.
        ("POST", "/", &[own, site, field(&good)], "bob"),
        ("POST", "/", &[field(&good)], "bob"),
        ("DELETE", "/", &[fetch("none"), field(&good)], "bob"),
        ("POST", "/", &[own, site], "csrf_token_missing"),
        ("POST", "/", &[], "csrf_token_missing"),
        ("PATCH", "/", &[own, field("")], "csrf_token"),
        ("PUT", "/", &[own, field(&foreign)], "csrf_token"),
        ("PUT", "/", &[own, field(&unkeyed)], "csrf_token"),
        (
            "POST",
            "/",
            &[own, field(good.get(..42).unwrap())],
            "csrf_token",
        ),
        (
            "POST",
            "/",
            &[own, field(&good), field(&good)],
            "csrf_repeated",
        ),
        // A page that was loaded before the keys were rotated.
        ("POST", "/", &[own, field(&old)], "bob"),
        ("get", "/", &[], "csrf_token_missing"),
        ("PROPFIND", "/", &[], "csrf_token_missing"),
        // Where it comes from.
        ("POST", "/", &[origin("null"), field(&good)], "csrf_origin"),
        ("POST", "/", &[origin(""), field(&good)], "csrf_origin"),
        (
            "POST",
            "/",
            &[origin("https://"), field(&good)],
            "csrf_origin",
        ),
        (
            "POST",
            "/",
            &[origin("https://evil.example"), field(&good)],
            "csrf_origin",
        ),
        (
            "POST",
            "/",
            &[
                origin("https://shop.example.com.evil.example"),
                field(&good),
            ],
            "csrf_origin",
        ),
        (
            "POST",
            "/",
            &[origin("https://shop.example.com:8443"), field(&good)],
            "csrf_origin",
        ),
        (
            "POST",
            "/",
            &[origin("http://shop.example.com"), field(&good)],
            "csrf_origin",
        ),
        (
            "POST",
            "/",
            &[origin("https://SHOP.example.com"), field(&good)],
            "bob",
        ),
        ("POST", "/", &[own, own, field(&good)], "csrf_repeated"),
        (
            "POST",
            "/",
            &[own, fetch("cross-site"), field(&good)],
            "csrf_site",
        ),
        (
            "POST",
            "/",
            &[own, fetch("same-site"), field(&good)],
            "csrf_site",
        ),
        (
            "POST",
            "/",
            &[own, fetch("Same-Origin"), field(&good)],
            "csrf_site",
        ),
        (
            "POST",
            "/",
            &[own, site, site, field(&good)],
            "csrf_repeated",
        ),
        (
            "POST",
            "/",
            &[listed, fetch("cross-site"), field(&good)],
            "bob",
        ),
        (
            "POST",
            "/",
            &[listed, fetch("cross-site")],
            "csrf_token_missing",
        ),
        // Another method than it looks.
        (
            "GET",
            "/",
            &[("x-http-method-override", "DELETE")],
            "csrf_token_missing",
        ),
        ("GET", "/", &[("X-HTTP-Method", "PUT"), field(&good)], "bob"),
        ("GET", "/?a=1&_method=delete", &[], "csrf_token_missing"),
        ("GET", "/?%5fMETHOD=delete", &[], "csrf_token_missing"),
        ("GET", "/?x_method=delete", &[], "bob"),
        // WebSockets carry no header; their origin is sent always.
        ("GET", "/", &[("upgrade", "websocket"), own], "bob"),
        ("GET", "/", &[("upgrade", "websocket"), listed], "bob"),
        ("GET", "/", &[("upgrade", "websocket")], "csrf_origin"),
        (
            "GET",
            "/",
            &[("upgrade", "websocket"), origin("https://evil.example")],
            "csrf_origin",
        ),
        ("CONNECT", "/", &[(":protocol", "websocket"), own], "bob"),
        ("POST", "/", &[("upgrade", "x"), own], "csrf_token_missing"),
    ];
    for (method, path, fields, expected) in cases {
        let asked = Asked {
            method,
            path,
            fields: fields.to_vec(),
            ..Asked::default()
        };
        let word = asked.judge(&stage, &token).0;
        let word = word.strip_prefix("CsrfFailed web/").unwrap_or(&word);
        assert_eq!(word, *expected, "{method} {path} {fields:?}");
    }
}

#[test]
fn pages_are_told_their_token() {
    let mut rules = rules();
    rules.csrf = Some(csrf());
    let told = |rules: &Session, cookie: &str| {
        let token = V1 {
            iat: NOW,
            ..session()
        };
        let asked = Asked {
            fields: vec![("cookie", cookie)],
            ..Asked::default()
        };
        asked.judge(&stage(rules.clone()), &token.mint(&new())).1
    };
    let good = csrf_token(&new(), "s1");
    let set = format!("set-cookie: csrf={good}; Max-Age=3600; Path=/; Secure; SameSite=Lax");
    for cookie in ["a=b", "csrf=", "csrf=planted"] {
        assert_eq!(told(&rules, cookie), [set.as_str()], "{cookie}");
    }
    let old = format!("csrf={}", csrf_token(&key("k1", "old"), "s1"));
    assert_eq!(told(&rules, &old), [set.as_str()]);
    let held = format!("csrf={good}");
    assert!(told(&rules, &held).is_empty());
    assert_eq!(told(&rules, &format!("{held}; {held}")), [set.as_str()]);
    if let Some(csrf) = &mut rules.csrf {
        csrf.cookie = None;
    }
    assert!(told(&rules, "a=b").is_empty());
}

/// A store whose host fails.
#[derive(Default)]
struct Broken(Worker);

impl Outside for Broken {
    fn worker(&mut self) -> &mut Worker {
        &mut self.0
    }
}

impl CounterStore for Broken {
    fn load(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<crate::env::Cas, StoreError> {
        Err(StoreError::Failed)
    }

    fn compare_and_swap(
        &mut self,
        _: &[u8],
        _: &[u8],
        _: crate::env::Cas,
    ) -> Result<(), StoreError> {
        Err(StoreError::Failed)
    }
}

fn revoke<S: Outside>(
    stage: &TokenStage,
    subject: &Subject,
    attacked: bool,
    store: &mut S,
) -> bool {
    let mut env = Env {
        now: Monotonic(1_000),
        wall: UnixTime(NOW),
        counters: store,
    };
    let route = RouteToken {
        providers: vec![0],
        ..ROUTE
    };
    let Some(credential) = stage.to_revoke(&route, subject, attacked) else {
        return false;
    };
    let found = &mut Findings::default();
    stage
        .revoke(&credential, &Marks::default(), &mut env, found)
        .is_ok()
}

#[test]
fn a_revoked_session_stays_revoked_however_it_comes() {
    let mut rules = rules();
    rules.revocation.marks = true;
    let stage = stage(rules);
    let store = &mut MemoryStore::default();
    let token = session().mint(&new());
    let other = V1 {
        sid: "s2",
        ..session()
    };
    let other = other.mint(&new());
    let asked = Asked::default();
    let (who, added) = asked.judge_with(&stage, &token, store);
    assert_eq!((who.as_str(), added.len()), ("bob", 1));
    let renewed = value(&added[0]);
    let (_, subject) = asked.ask(&stage, &token, store);
    assert!(revoke(&stage, &subject.unwrap(), false, store));
    let revoked = "TokenRevoked web/revoked";
    for token in [token.as_str(), renewed, &session().mint(&key("k1", "old"))] {
        assert_eq!(asked.judge_with(&stage, token, store).0, revoked);
    }
    assert_eq!(asked.judge_with(&stage, &other, store).0, "bob");
    // To its last second, after which the lifetime says so.
    let last = |now| {
        let token = V1 {
            seen: Some(NOW + 3000),
            ..session()
        };
        let asked = Asked {
            now,
            ..Asked::default()
        };
        asked.judge_with(&stage, &token.mint(&new()), &mut *store).0
    };
    let mut last = last;
    assert_eq!(last(NOW + 3099), revoked);
    assert_eq!(last(NOW + 3100), "TokenExpired web/lifetime");
    // A table that cannot be read lets nobody in.
    assert_eq!(
        asked.judge_with(&stage, &other, &mut Broken::default()).0,
        "CountersUnavailable web/revocation"
    );
}

#[test]
fn only_what_is_asked_for_is_revoked() {
    let mut rules = rules();
    rules.revocation.marks = true;
    let calm = stage(rules.clone());
    rules.revocation.on_injection = true;
    let strict = stage(rules.clone());
    rules.revocation = Revocation::default();
    let off = stage(rules);
    let token = session().mint(&new());
    let asked = Asked::default();
    for (stage, by_route, by_attack) in [
        (&calm, true, false),
        (&strict, true, true),
        (&off, false, false),
    ] {
        let store = &mut MemoryStore::default();
        let (_, subject) = asked.ask(stage, &token, store);
        let subject = subject.unwrap();
        assert_eq!(revoke(stage, &subject, false, store), by_route);
        assert_eq!(revoke(stage, &subject, true, store), by_attack);
        assert!(!revoke(stage, &Subject::Anonymous, false, store));
        assert!(
            !revoke(stage, &subject, false, &mut Broken::default()),
            "a host that fails"
        );
    }
}

#[test]
fn the_list_of_the_policy() {
    let mut rules = rules();
    rules.revocation.list = vec![Revocation::entry(b"s0"), Revocation::entry(b"s1")];
    let stage = stage(rules);
    let fresh = |sid| {
        let token = V1 {
            sid,
            iat: NOW,
            ..session()
        };
        Asked::default()
            .judge_with(&stage, &token.mint(&new()), &mut Broken::default())
            .0
    };
    assert_eq!(fresh("s0"), "TokenRevoked web/listed");
    assert_eq!(fresh("s1"), "TokenRevoked web/listed");
    assert_eq!(fresh("s"), "bob");
}

#[test]
fn a_colon_session_is_known_by_what_was_signed() {
    let mut rules = rules();
    rules.format = SessionFormat::Colon;
    rules.idle = None;
    rules.renewal = None;
    rules.revocation.list = vec![Revocation::entry(b"bob:1800000000")];
    let stage = stage(rules);
    let word = |iat| {
        let token = mint_colon(&new(), "bob", UnixTime(iat));
        Asked::default().judge(&stage, &token).0
    };
    assert_eq!(word(NOW), "TokenRevoked web/listed");
    assert_eq!(word(NOW - 1), "bob");
}

#[test]
fn a_token_is_known_by_issuer_and_id() {
    let jwt = |revocation| Jwt {
        keys: vec![new()],
        remote: None,
        issuer: None,
        audiences: Vec::new(),
        leeway: 10,
        require: Vec::new(),
        require_exp: true,
        max_lifetime: None,
        dpop: None,
        max_age: None,
        revocation,
    };
    let stage = |revocation| TokenStage {
        remembered: 0,
        providers: vec![Provider {
            name: b"api".to_vec(),
            from: vec![Source::Cookie(b"sid".to_vec())],
            kind: ProviderKind::Jwt(jwt(revocation)),
            forward: Vec::new(),
            roles: b"/roles".to_vec(),
            scopes: None,
            claims: Vec::new(),
            counted: Vec::new(),
            strip: false,
        }],
    };
    let marked = stage(Revocation {
        marks: true,
        ..Revocation::default()
    });
    let store = &mut MemoryStore::default();
    let mint = |iss: &str, jti: &str| {
        let claims = format!(r#"{{"sub":"bob","iss":"{iss}","jti":{jti},"exp":1800000100}}"#);
        jws::mint(&new(), &claims)
    };
    let one = mint("https://a", r#""1""#);
    let asked = Asked::default();
    let (who, subject) = asked.ask(&marked, &one, store);
    assert_eq!(who, "bob");
    assert!(revoke(&marked, &subject.unwrap(), false, store));
    assert_eq!(
        asked.judge_with(&marked, &one, store).0,
        "TokenRevoked api/revoked"
    );
    for other in [mint("https://b", r#""1""#), mint("https://a", r#""11""#)] {
        assert_eq!(asked.judge_with(&marked, &other, store).0, "bob");
    }
    for nameless in ["null", "1", r#""""#] {
        let token = mint("https://a", nameless);
        assert_eq!(
            asked.judge_with(&marked, &token, store).0,
            "TokenClaims api/jti"
        );
        assert_eq!(
            asked.judge(&stage(Revocation::default()), &token).0,
            "bob",
            "nobody asks for one"
        );
    }
}
