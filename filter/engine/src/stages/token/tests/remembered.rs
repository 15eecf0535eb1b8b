//! A remembered token is judged like any other: only its signature is not computed again.

use super::*;

/// What one worker says of requests, one after the other.
struct Worker {
    stage: TokenStage,
    memory: Memory,
    now: UnixTime,
}

impl Worker {
    fn new(stage: TokenStage) -> Self {
        let memory = Memory::new(&stage, [3; 16]);
        Self {
            stage,
            memory,
            now: NOW,
        }
    }

    fn says(&mut self, route: &RouteToken, fields: &[(&str, &[u8])]) -> String {
        let head = head(fields);
        let ask = Ask {
            head: &head,
            client: CLIENT,
            connection: Connection::default(),
            body: None,
            marks: &Marks::default(),
            rehearses: false,
            waited: &[],
        };
        let mut env = Env {
            now: Monotonic(1_000),
            wall: self.now,
            counters: &mut MemoryStore::default(),
        };
        let mut found = Findings::default();
        let stage = &self.stage;
        let verdict = stage
            .verify(route, &ask, &mut self.memory, &mut env, &mut found)
            .and_then(|outcome| match outcome {
                Outcome::Known(subject) => {
                    stage.authorize(route, &subject, &mut found)?;
                    Ok(Some(subject))
                }
                Outcome::Awaits(_) => Ok(None),
            });
        match verdict {
            Ok(None) => "waits".to_string(),
            Ok(Some(subject)) => {
                let (provider, subject) = subject.known().unwrap();
                format!("{provider} {}", String::from_utf8_lossy(subject))
            }
            Err(_) => String::from_utf8_lossy(&found.as_slice()[0].rule).into_owned(),
        }
    }

    fn jwt(&mut self) -> &mut Jwt {
        match &mut self.stage.providers[0].kind {
            ProviderKind::Jwt(rules) => rules,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn all_but_the_signature_is_judged_on_every_request() {
    let mut worker = Worker::new(stage());
    let value = app_token(&claims(
        r#"{"nbf":1799999000,"iat":1799999000,"roles":["clerk"],"scope":"read","tier":"gold","jti":"id-7"}"#,
    ));
    let fields: &[(&str, &[u8])] = &[("authorization", &value)];
    let plain = route(Need::Required, &[0]);
    assert_eq!(worker.says(&plain, fields), "0 ann");
    // No key verifies it any more, and it is known: the signature is remembered.
    worker.jwt().keys = vec![key(None, "another secret")];
    assert_eq!(worker.says(&plain, fields), "0 ann");

    for (now, expected) in [
        (NOW.0 + 109, "0 ann"),
        (NOW.0 + 110, "app/exp"),
        (1_799_998_989, "app/nbf"),
        (NOW.0, "0 ann"),
    ] {
        worker.now = UnixTime(now);
        assert_eq!(worker.says(&plain, fields), expected, "{now}");
    }
    let mut asks = plain.clone();
    asks.roles = vec![b"admin".to_vec()];
    assert_eq!(worker.says(&asks, fields), "app", "a role");
    asks.roles = vec![b"clerk".to_vec()];
    asks.scopes = vec![b"write".to_vec()];
    assert_eq!(worker.says(&asks, fields), "app/write", "a scope");
    asks.scopes = vec![b"read".to_vec()];
    let rule = |value: &str| Rule {
        name: b"tier".to_vec(),
        claim: b"/tier".to_vec(),
        tests: vec![Test::OneOf(vec![value.as_bytes().to_vec()])],
    };
    asks.claims = vec![rule("tin")];
    assert_eq!(worker.says(&asks, fields), "app/tier", "a claim");
    asks.claims = vec![rule("gold")];
    assert_eq!(worker.says(&asks, fields), "0 ann");

    worker.jwt().audiences = vec![b"till".to_vec()];
    assert_eq!(worker.says(&plain, fields), "app/aud");
    worker.jwt().audiences = Vec::new();
    worker.jwt().issuer = Some(b"https://other".to_vec());
    assert_eq!(worker.says(&plain, fields), "app/iss");
    worker.jwt().issuer = None;
    worker.jwt().require = vec![b"azp".to_vec()];
    assert_eq!(worker.says(&plain, fields), "app/require");
    worker.jwt().require = Vec::new();
    worker.jwt().max_lifetime = Some(60);
    assert_eq!(worker.says(&plain, fields), "app/max_lifetime");
    worker.jwt().max_lifetime = None;
    worker.jwt().max_age = Some(60);
    assert_eq!(worker.says(&plain, fields), "app/max_age");
    worker.jwt().max_age = None;
    worker.stage.providers[0].claims = vec![rule("tin")];
    assert_eq!(worker.says(&plain, fields), "app/claim:tier");
    worker.stage.providers[0].claims = Vec::new();
    assert_eq!(worker.says(&plain, fields), "0 ann");

    // Revoked meanwhile.
    worker.jwt().revocation = Revocation {
        list: vec![Revocation::entry(b"id-7")],
        ..Revocation::default()
    };
    assert_eq!(worker.says(&plain, fields), "app/listed");
    worker.jwt().revocation = Revocation::default();
    assert_eq!(worker.says(&plain, fields), "0 ann");

    worker.memory = Memory::new(&worker.stage, [3; 16]);
    assert_eq!(worker.says(&plain, fields), "app/signature", "a new policy");
}

#[test]
fn what_is_not_accepted_is_not_remembered() {
    let mut worker = Worker::new(stage());
    let route = route(Need::Required, &[0]);
    let late = app_token(&claims(r#"{"exp":1}"#));
    assert_eq!(worker.says(&route, &[("authorization", &late)]), "app/exp");
    let mut forged = app_token(&claims("{}"));
    let last = forged.len() - 3;
    forged[last] ^= 1;
    assert_eq!(
        worker.says(&route, &[("authorization", &forged)]),
        "app/signature"
    );
    worker.jwt().keys = Vec::new();
    assert_eq!(worker.says(&route, &[("authorization", &late)]), "app/key");
    assert_eq!(
        worker.says(&route, &[("authorization", &forged)]),
        "app/key"
    );
}

#[test]
fn providers_share_no_entry() {
    let mut both = stage();
    both.providers[3].from = vec![Source::Bearer];
    let mut worker = Worker::new(both);
    let value = app_token(&claims("{}"));
    let fields: &[(&str, &[u8])] = &[("authorization", &value)];
    assert_eq!(worker.says(&route(Need::Required, &[0]), fields), "0 ann");
    assert_eq!(
        worker.says(&route(Need::Required, &[3]), fields),
        "other/signature"
    );
    worker.jwt().keys = Vec::new();
    assert_eq!(worker.says(&route(Need::Required, &[0]), fields), "0 ann");
}

#[test]
fn keys_that_move_take_their_tokens_along() {
    use crate::stages::token::jwk::JwkRules;
    use crate::stages::token::remote::{Control, Plan, RemoteKeys, Want};
    const SECRETS: [&str; 2] = [
        "the first secret of thirty-two b",
        "another secret of thirty-two byt",
    ];
    let rules = RemoteKeys {
        cluster: b"idp".to_vec(),
        authority: b"id.example.com".to_vec(),
        path: b"/jwks.json".to_vec(),
        refresh_ms: 600_000,
        max_stale_ms: 3_600_000,
        wait_ms: 2_000,
        rules: JwkRules {
            symmetric: true,
            ..JwkRules::public(vec![Algorithm::Hs256])
        },
        name: [0; 16],
    };
    let document = |secret: &str| {
        let mut encoded = Vec::new();
        encode_base64url(secret.as_bytes(), &mut encoded);
        let encoded = String::from_utf8(encoded).unwrap();
        format!(r#"{{"keys":[{{"kty":"oct","alg":"HS256","k":"{encoded}"}}]}}"#)
    };
    let mut fetched = stage();
    match &mut fetched.providers[0].kind {
        ProviderKind::Jwt(jwt) => (jwt.remote, jwt.keys) = (Some(rules.clone()), Vec::new()),
        other => panic!("{other:?}"),
    }
    let mut worker = Worker::new(fetched);
    let token = jws::mint(&key(None, SECRETS[0]), &claims("{}"));
    let value = format!("Bearer {token}").into_bytes();
    let fields: &[(&str, &[u8])] = &[("authorization", &value)];
    let route = route(Need::Required, &[0]);
    let Plan::Fetch(flying) = Control::default().plan(Want::Cold, 0, 600_000) else {
        panic!("nothing was fetched yet");
    };
    let control = flying
        .succeeded(flying.lease, true, 50, rules.refresh_ms, 7)
        .unwrap();
    let install = |worker: &mut Worker, stamp: u64, secret: &str| {
        let remote = worker.memory.remote(0).unwrap();
        remote
            .install(stamp, document(secret).as_bytes(), &rules.rules)
            .unwrap();
        remote.look(&control, 100, &rules);
    };
    install(&mut worker, 1, SECRETS[0]);
    assert_eq!(worker.says(&route, fields), "0 ann");
    // Too old to serve: what they verified is not accepted either.
    let remote = worker.memory.remote(0).unwrap();
    remote.look(&control, 3_700_000, &rules);
    assert_eq!(worker.says(&route, fields), "waits");
    // They serve again, and the token is still known.
    worker.memory.remote(0).unwrap().look(&control, 100, &rules);
    assert_eq!(worker.says(&route, fields), "0 ann");
    install(&mut worker, 2, SECRETS[1]);
    assert_eq!(worker.says(&route, fields), "waits");
}
