//! Answers, good and bad, and what of them is remembered.

use alloc::string::{String, ToString};
use alloc::{format, vec};

use super::*;
use crate::env::{Connection, MemoryStore};
use crate::finding::Findings;
use crate::marks::Marks;
use crate::request::RequestHead;
use crate::stages::token::{
    MAX_ANSWER_BYTES, Need, Outcome, ProviderKind, RouteToken, Source, TokenStage, Waited,
};
use crate::units::UnixTime;

const WALL: u64 = 1_800_000_000;

/// One worker: what it says of tokens, one after the other, and how often it asks.
struct Worker {
    stage: TokenStage,
    memory: Memory,
    now: u64,
    wall: u64,
    calls: usize,
}

fn stage(cache_ms: u64) -> TokenStage {
    let rules = Introspection {
        cluster: b"idp".to_vec(),
        authority: b"id.example.com".to_vec(),
        path: b"/introspect".to_vec(),
        authorization: client_credentials(b"shop", b"s e:cr&t"),
        timeout_ms: 2_000,
        cache_ms,
        rules: Jwt {
            keys: Vec::new(),
            remote: None,
            issuer: None,
            audiences: vec![b"shop".to_vec()],
            leeway: 0,
            require: Vec::new(),
            require_exp: false,
            revocation: crate::stages::token::Revocation::default(),
            max_lifetime: None,
            max_age: None,
            dpop: None,
        },
    };
    TokenStage {
        providers: vec![Provider {
            name: b"opaque".to_vec(),
            from: vec![Source::Header(b"x-token".to_vec())],
            kind: ProviderKind::Introspection(rules),
            forward: Vec::new(),
            roles: b"/roles".to_vec(),
            scopes: None,
            claims: Vec::new(),
            counted: Vec::new(),
            strip: false,
        }],
        remembered: 0,
    }
}

impl Worker {
    fn new(cache_ms: u64) -> Self {
        let stage = stage(cache_ms);
        Self {
            memory: Memory::new(&stage, [3; 16]),
            stage,
            now: 1_000,
            wall: WALL,
            calls: 0,
        }
    }

    /// The subject, or the finding's rule. `answer`: status and body, should it ask; `None`: nobody answers.
    fn says(&mut self, token: &[u8], answer: Option<(u16, &[u8])>) -> String {
        let fields: [(&[u8], &[u8]); 2] = [(b":path", b"/"), (b"x-token", token)];
        let head = RequestHead::decode(fields.into_iter());
        let route = RouteToken {
            need: Need::Required,
            providers: vec![0],
            ..RouteToken::nothing()
        };
        let mut waited = Vec::new();
        loop {
            let ask = Ask {
                head: &head,
                client: core::net::IpAddr::V4(core::net::Ipv4Addr::LOCALHOST),
                connection: Connection::default(),
                body: None,
                marks: &Marks::default(),
                rehearses: false,
                waited: &waited,
            };
            let mut env = Env {
                now: Monotonic(self.now),
                wall: UnixTime(self.wall),
                counters: &mut MemoryStore::default(),
            };
            let mut found = Findings::default();
            let said = self
                .stage
                .verify(&route, &ask, &mut self.memory, &mut env, &mut found);
            match said {
                Ok(Outcome::Known(subject)) => {
                    let (_, subject) = subject.known().unwrap();
                    return String::from_utf8_lossy(subject).into_owned();
                }
                Ok(Outcome::Awaits(Awaited::Callout(callout))) => {
                    assert_eq!(callout.provider, 0);
                    self.calls = self.calls.saturating_add(1);
                    waited.push(Waited {
                        provider: 0,
                        keys: false,
                        replied: answer.map(|(status, body)| Replied {
                            status,
                            body: body.to_vec(),
                        }),
                    });
                }
                Ok(Outcome::Awaits(other)) => panic!("{other:?}"),
                Err(denial) => {
                    let found = &found.as_slice()[0];
                    assert_eq!(denial.reason, found.reason);
                    let code = denial.reason.row().code;
                    let rule = String::from_utf8_lossy(&found.rule);
                    return format!("{code} {}", rule.strip_prefix("opaque/").unwrap());
                }
            }
        }
    }

    /// The same with an answer of 200; and then from memory, if that is what comes of it.
    fn told(&mut self, token: &str, answer: &str) -> String {
        self.says(token.as_bytes(), Some((200, answer.as_bytes())))
    }

    /// What it says without asking; `?` when it asks.
    fn knows(&mut self, token: &str) -> String {
        let before = self.calls;
        let said = self.says(token.as_bytes(), None);
        if self.calls == before {
            said
        } else {
            "?".to_string()
        }
    }
}

const ANN: &str = r#"{"active":true,"sub":"ann","aud":"shop"}"#;

#[test]
fn a_call_out_has_the_token_and_the_client_encoded() {
    let Provider {
        kind: ProviderKind::Introspection(rules),
        ..
    } = &stage(0).providers[0]
    else {
        panic!("another kind");
    };
    let callout = rules.callout(0, b"a+b/c=~&x=1");
    assert_eq!(
        callout.body,
        b"token=a%2Bb%2Fc%3D%7E%26x%3D1&token_type_hint=access_token"
    );
    let value = |name: &[u8]| {
        let mut fields = callout.headers.iter();
        fields
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_slice())
    };
    // shop:s+e%3Acr%26t
    assert_eq!(
        value(b"authorization"),
        Some(&b"Basic c2hvcDpzK2UlM0FjciUyNnQ="[..])
    );
    assert_eq!(value(b":method"), Some(&b"POST"[..]));
    assert_eq!(value(b"accept"), Some(&b"application/json"[..]));
    assert!(!format!("{rules:?}{callout:?}").contains("c2hvc"));
}

#[test]
fn only_a_plain_yes_lets_pass() {
    let mut worker = Worker::new(0);
    assert_eq!(worker.told("t", ANN), "ann");
    for answer in [
        "",
        "<html>",
        "[]",
        "true",
        "{}",
        r#"{"active":"true"}"#,
        r#"{"active":1}"#,
        r#"{"active":null}"#,
        r#"{"active":[true]}"#,
        r#"{"Active":true,"aud":"shop"}"#,
        r#"{"active":false,"active":true,"aud":"shop"}"#,
        r#"{"active":true,"active":true,"aud":"shop"}"#,
        r#"{"active":false,"\u0061ctive":true,"aud":"shop"}"#,
        r#"{"active":true,"aud":"shop","sub":"ann","sub":"bob"}"#,
        r#"{"active":true,"aud":"shop"} {"#,
        r#"{"active":true,"aud":"shop""#,
        r#"{"active":TRUE,"aud":"shop"}"#,
    ] {
        let said = worker.told("t", answer);
        assert_eq!(said, "introspection_unavailable answer", "{answer}");
    }
    for status in [0, 100, 201, 204, 302, 400, 401, 403, 404, 500, 503] {
        let said = worker.says(b"t", Some((status, ANN.as_bytes())));
        assert_eq!(said, "introspection_unavailable status", "{status}");
    }
    assert_eq!(
        worker.says(b"t", None),
        "introspection_unavailable unanswered"
    );
    let deep = format!(
        r#"{{"active":true,"aud":"shop","x":{}1{}}}"#,
        "[".repeat(99),
        "]".repeat(99)
    );
    assert_eq!(worker.told("t", &deep), "introspection_unavailable answer");
    let many: Vec<String> = (0..200).map(|n| format!(r#""c{n}":1"#)).collect();
    let many = format!(r#"{{"active":true,{}}}"#, many.join(","));
    assert_eq!(worker.told("t", &many), "introspection_unavailable answer");
}

#[test]
fn what_is_said_is_judged() {
    let mut worker = Worker::new(0);
    for (claims, said) in [
        (
            r#""aud":["x","shop"],"username":"bob","client_id":"c""#,
            "bob",
        ),
        (r#""aud":"shop","client_id":"batch""#, "batch"),
        (r#""aud":"shop""#, ""),
        (r#""aud":"bank","sub":"ann""#, "token_claims aud"),
        (r#""sub":"ann""#, "token_claims aud"),
        (
            r#""aud":"shop","sub":7,"username":"ann""#,
            "token_claims sub",
        ),
        (r#""aud":"shop","exp":1799999999"#, "token_expired exp"),
        (r#""aud":"shop","exp":1800000000"#, "token_expired exp"),
        (r#""aud":"shop","exp":"never""#, "token_claims exp"),
        (r#""aud":"shop","nbf":1800000001"#, "token_claims nbf"),
        (r#""aud":"shop","iat":1800000001"#, "token_claims iat"),
    ] {
        let answer = format!(r#"{{"active":true,{claims}}}"#);
        assert_eq!(worker.told("t", &answer), said, "{claims}");
    }
    let inactive = r#"{"active":false,"sub":"ann","aud":"shop"}"#;
    assert_eq!(worker.told("t", inactive), "token_invalid inactive");
}

#[test]
fn nobody_is_shown_what_is_no_token() {
    let mut worker = Worker::new(0);
    for byte in 0..=255_u8 {
        let token = [b'a', byte, b'b'];
        let said = worker.says(&token, Some((200, ANN.as_bytes())));
        let good = (0x21..=0x7e).contains(&byte);
        assert_eq!(said == "ann", good, "{byte}: {said}");
        if !good {
            assert_eq!(said, "token_invalid characters");
        }
    }
    assert_eq!(worker.calls, 0x7e - 0x21 + 1);
    let long = vec![b'a'; crate::budget::MAX_TOKEN_BYTES + 1];
    assert_eq!(worker.says(&long, None), "token_invalid size");
    assert_eq!(worker.calls, 0x7e - 0x21 + 1);
}

#[test]
fn an_answer_is_remembered_and_judged_anew() {
    let mut worker = Worker::new(60_000);
    let answer = r#"{"active":true,"sub":"ann","aud":"shop","exp":1800000030}"#;
    assert_eq!(worker.told("t", answer), "ann");
    assert_eq!(worker.knows("t"), "ann");
    for other in ["T", "t2", "s"] {
        assert_eq!(worker.knows(other), "?");
    }
    // `exp` comes before the end of what is remembered, and the audience is no longer right.
    worker.wall += 30;
    assert_eq!(worker.knows("t"), "token_expired exp");
    worker.wall -= 30;
    let ProviderKind::Introspection(rules) = &mut worker.stage.providers[0].kind else {
        panic!("another kind");
    };
    rules.rules.audiences = vec![b"bank".to_vec()];
    assert_eq!(worker.knows("t"), "token_claims aud");
    worker.now += 59_999;
    assert_eq!(worker.knows("t"), "token_claims aud");
    worker.now += 1;
    assert_eq!(worker.knows("t"), "?");
    // No answer is none to remember.
    assert_eq!(
        worker.says(b"u", Some((500, b""))),
        "introspection_unavailable status"
    );
    assert_eq!(worker.knows("u"), "?");
    let mut never = Worker::new(0);
    assert_eq!(never.told("t", ANN), "ann");
    assert_eq!(never.knows("t"), "?");
}

#[test]
fn inactive_is_remembered_for_less_and_beside() {
    let mut worker = Worker::new(60_000);
    assert_eq!(worker.told("good", ANN), "ann");
    for number in 0..5_000 {
        let said = worker.told(&format!("guess{number}"), r#"{"active":false}"#);
        assert_eq!(said, "token_invalid inactive");
    }
    assert_eq!(worker.knows("good"), "ann", "guesses push nothing out");
    let known = (0..5_000).filter(|number| worker.knows(&format!("guess{number}")) != "?");
    let known = known.count();
    assert!((100..=REMEMBERED_INACTIVE).contains(&known), "{known}");
    assert_eq!(worker.knows("guess4999"), "token_invalid inactive");
    worker.now += INACTIVE_MS;
    assert_eq!(worker.knows("guess4999"), "?");
    // Told otherwise, it is no longer what it was.
    assert_eq!(worker.told("guess4999", ANN), "ann");
    assert_eq!(worker.knows("guess4999"), "ann");
}

#[test]
fn active_tokens_are_bounded() {
    let mut worker = Worker::new(60_000);
    for number in 0..5_000 {
        assert_eq!(worker.told(&format!("t{number}"), ANN), "ann");
    }
    let known = (0..5_000).filter(|number| worker.knows(&format!("t{number}")) == "ann");
    let known = known.count();
    assert!((512..=REMEMBERED).contains(&known), "{known}");
    let pad = "x".repeat(MAX_ANSWER_BYTES - 100);
    let large = format!(r#"{{"active":true,"sub":"ann","aud":"shop","x":"{pad}"}}"#);
    assert_eq!(worker.told("large", &large), "ann");
    assert_eq!(worker.knows("large"), "ann");
}
