//! The stage as a whole: sources, claims, sessions, challenges, edits.

use alloc::string::{String, ToString};
use alloc::{format, vec};

use super::*;
use crate::env::MemoryStore;
use crate::finding::Findings;
use crate::units::{Monotonic, UnixTime};
use crate::verdict::Edits;

const NOW: UnixTime = UnixTime(1_800_000_000);
const CLIENT: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 7));

fn key(id: Option<&str>, secret: &str) -> Key {
    let id = id.map(|id| id.as_bytes().to_vec());
    Key::new(
        id,
        HmacAlgorithm::Sha256,
        &Secret(secret.as_bytes().to_vec()),
    )
    .unwrap()
}

fn jwt_rules() -> Jwt {
    Jwt {
        keys: vec![key(None, "jwt secret")],
        remote: None,
        issuer: Some(b"https://id".to_vec()),
        audiences: vec![b"shop".to_vec()],
        leeway: 10,
        require: vec![b"scope".to_vec()],
        require_exp: true,
        revocation: Revocation::default(),
        max_lifetime: None,
        max_age: None,
        dpop: None,
    }
}

fn provider(name: &str, from: Source, kind: ProviderKind) -> Provider {
    Provider {
        name: name.as_bytes().to_vec(),
        from: vec![from],
        kind,
        forward: vec![
            plain("x-user", "/sub"),
            plain("x-roles", "/roles"),
            plain("x-extra", "/extra"),
        ],
        roles: b"/roles".to_vec(),
        scopes: None,
        claims: Vec::new(),
        counted: Vec::new(),
        strip: false,
    }
}

fn plain(header: &str, claim: &str) -> Forward {
    Forward {
        header: header.as_bytes().to_vec(),
        claim: claim.as_bytes().to_vec(),
        form: Form::Plain,
    }
}

fn session_rules(format: SessionFormat) -> Session {
    Session {
        keys: vec![key(Some("k2"), "new"), key(Some("k1"), "old")],
        format,
        lifetime: 3600,
        leeway: 5,
        idle: None,
        bind: Bindings::default(),
        renewal: None,
        csrf: None,
        revocation: Revocation::default(),
    }
}

fn mint_v1(
    key: &Key,
    sub: &str,
    sid: &str,
    iat: UnixTime,
    client: Option<IpAddr>,
    roles: &[&str],
) -> String {
    let session = session::V1 {
        sub,
        sid,
        iat: iat.0,
        client: client.map(|client| (client, Prefix::default())),
        roles,
        ..session::V1::default()
    };
    session.mint(key)
}

/// `app` (JWT, bearer), `session` (v1, cookie sid), `guide` (colon, cookie sid), `other` (JWT, header x-token).
fn stage() -> TokenStage {
    let other = Jwt {
        keys: vec![key(None, "other secret")],
        remote: None,
        issuer: None,
        audiences: Vec::new(),
        leeway: 0,
        require: Vec::new(),
        require_exp: false,
        revocation: Revocation::default(),
        max_lifetime: None,
        max_age: None,
        dpop: None,
    };
    let sid = || Source::Cookie(b"sid".to_vec());
    TokenStage {
        remembered: 64,
        providers: vec![
            provider("app", Source::Bearer, ProviderKind::Jwt(jwt_rules())),
            provider(
                "session",
                sid(),
                ProviderKind::Session(session_rules(SessionFormat::V1)),
            ),
            provider(
                "guide",
                sid(),
                ProviderKind::Session(session_rules(SessionFormat::Colon)),
            ),
            provider(
                "other",
                Source::Header(b"x-token".to_vec()),
                ProviderKind::Jwt(other),
            ),
        ],
    }
}

fn route(need: Need, any: &[usize]) -> RouteToken {
    RouteToken {
        need,
        providers: any.to_vec(),
        all: false,
        roles: Vec::new(),
        revoke: false,
        scopes: Vec::new(),
        claims: Vec::new(),
    }
}

fn head<'a>(fields: &[(&'a str, &'a [u8])]) -> RequestHead<'a> {
    RequestHead::decode(fields.iter().map(|(name, value)| (name.as_bytes(), *value)))
}

/// The stage's word at `NOW` for `CLIENT`.
fn judge(
    stage: &TokenStage,
    route: &RouteToken,
    head: &RequestHead<'_>,
    found: &mut Findings,
) -> Result<Subject, Denial> {
    let verdict = with_env(head, |ask, memory, env| {
        stage.verify(route, ask, memory, env, found)
    });
    match verdict? {
        Outcome::Known(subject) => Ok(subject),
        Outcome::Awaits(awaited) => panic!("waits for {awaited:?}"),
    }
}

fn with_env<T>(
    head: &RequestHead<'_>,
    look: impl FnOnce(&Ask<'_>, &mut Memory, &mut Env<'_, MemoryStore>) -> T,
) -> T {
    let ask = Ask {
        head,
        client: CLIENT,
        connection: Connection::default(),
        body: None,
        waited: &[],
        marks: &Marks::default(),
        rehearses: false,
    };
    let mut env = Env {
        now: Monotonic(1_000),
        wall: NOW,
        counters: &mut MemoryStore::default(),
    };
    look(&ask, &mut Memory::default(), &mut env)
}

/// Subject or reason, and the rule and place of the finding.
fn ask(stage: &TokenStage, route: &RouteToken, fields: &[(&str, &[u8])]) -> String {
    let mut found = Findings::default();
    let verdict = judge(stage, route, &head(fields), &mut found);
    match verdict {
        Ok(subject) => {
            assert_eq!(found.as_slice(), [], "nothing is found in what passes");
            match subject {
                Subject::Anonymous => "anonymous".to_string(),
                Subject::Verified(claims) => format!(
                    "{} {}",
                    claims.provider(),
                    String::from_utf8_lossy(claims.subject())
                ),
            }
        }
        Err(denial) => {
            let [finding, others @ ..] = found.as_slice() else {
                panic!("a finding a refusal");
            };
            assert_eq!(
                (finding.stage, finding.reason),
                (Stage::Token, denial.reason)
            );
            assert!(
                others.len() < route.providers.len().max(1),
                "one a provider"
            );
            for finding in found.as_slice() {
                assert!(finding.evidence.is_empty(), "never a credential");
            }
            let [("www-authenticate", challenge)] = denial.headers.as_slice() else {
                panic!("a challenge: {denial:?}");
            };
            assert!(challenge.starts_with(b"Bearer realm=\"palisade\""));
            assert_eq!(
                challenge.windows(6).any(|part| part == b"error="),
                denial.reason != Reason::TokenMissing,
                "RFC 6750 section 3.1: no error when there was no token"
            );
            format!(
                "{:?} {} {}",
                denial.reason,
                String::from_utf8_lossy(&finding.rule),
                String::from_utf8_lossy(&finding.place)
            )
        }
    }
}

fn app_token(claims: &str) -> Vec<u8> {
    let token = jws::mint(&key(None, "jwt secret"), claims);
    format!("Bearer {token}").into_bytes()
}

/// Good claims with some replaced (`null` value: left out; names may be new).
fn claims(changes: &str) -> String {
    let mut all: serde_json::Value = serde_json::from_str(
        r#"{"iss":"https://id","aud":"shop","exp":1800000100,"sub":"ann","scope":"x"}"#,
    )
    .unwrap();
    let changes: serde_json::Value = serde_json::from_str(changes).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value == "-" {
            all.as_object_mut().unwrap().remove(name);
        } else {
            all[name] = value.clone();
        }
    }
    all.to_string()
}

#[test]
fn one_credential() {
    let stage = stage();
    let good = app_token(&claims("{}"));
    let lower = [b"bearer  ", &good[7..], b" "].concat();
    let sid = mint_v1(&key(Some("k2"), "new"), "bob", "s1", NOW, None, &[]);
    let cookie = format!("a=b; sid={sid}; c=d").into_bytes();
    let twice = format!("sid={sid}; sid={sid}").into_bytes();
    let half = format!("sid={sid}; sid=").into_bytes();
    let raw = good[7..].to_vec();
    let other = jws::mint(&key(None, "other secret"), r#"{"sub":"eve"}"#).into_bytes();
    let app: &[usize] = &[0];
    let both: &[usize] = &[0, 1];
    type Fields<'a> = &'a [(&'a str, &'a [u8])];
    let cases: &[(Need, &[usize], Fields<'_>, &str)] = &[
        (Need::Required, app, &[("authorization", &good)], "0 ann"),
        (Need::Required, app, &[("Authorization", &lower)], "0 ann"),
        (Need::Optional, app, &[("authorization", &good)], "0 ann"),
        (
            Need::None,
            app,
            &[("authorization", b"Bearer x")],
            "anonymous",
        ),
        (
            Need::Required,
            app,
            &[],
            "TokenMissing app header:authorization",
        ),
        (Need::Optional, app, &[], "anonymous"),
        (Need::Required, &[1], &[], "TokenMissing session cookie:sid"),
        (
            Need::Required,
            &[],
            &[("authorization", &good)],
            "TokenMissing  ",
        ),
        (
            Need::Required,
            &[9],
            &[("authorization", &good)],
            "TokenMissing  ",
        ),
        // Other schemes are no bearer token, and never verified.
        (
            Need::Required,
            app,
            &[("authorization", b"Basic YTpi")],
            "TokenMissing app header:authorization",
        ),
        (
            Need::Optional,
            app,
            &[("authorization", b"Basic YTpi")],
            "anonymous",
        ),
        (
            Need::Required,
            app,
            &[("authorization", &raw)],
            "TokenMissing app header:authorization",
        ),
        (
            Need::Required,
            app,
            &[("authorization", b"Bearerx y")],
            "TokenMissing app header:authorization",
        ),
        (
            Need::Required,
            app,
            &[("authorization", b"")],
            "TokenMissing app header:authorization",
        ),
        (
            Need::Required,
            app,
            &[("authorization", b"Bearer")],
            "TokenInvalid app/malformed header:authorization",
        ),
        (
            Need::Optional,
            app,
            &[("authorization", b"Bearer ")],
            "TokenInvalid app/malformed header:authorization",
        ),
        (
            Need::Optional,
            app,
            &[("authorization", b"Bearer a.b.c")],
            "TokenInvalid app/malformed header:authorization",
        ),
        // Two of one kind.
        (
            Need::Required,
            app,
            &[("authorization", &good), ("authorization", &good)],
            "MultipleCredentials  header:authorization",
        ),
        (
            Need::Required,
            app,
            &[("authorization", b"Basic x"), ("Authorization", &good)],
            "MultipleCredentials  header:authorization",
        ),
        (
            Need::Optional,
            &[1],
            &[("authorization", b"Basic x"), ("authorization", b"")],
            "MultipleCredentials  header:authorization",
        ),
        (
            Need::Required,
            &[1],
            &[("cookie", &twice)],
            "MultipleCredentials  cookie:sid",
        ),
        (
            Need::Required,
            &[1],
            &[("cookie", &half)],
            "MultipleCredentials  cookie:sid",
        ),
        (
            Need::Required,
            &[1],
            &[("cookie", &cookie), ("cookie", b"sid=x")],
            "MultipleCredentials  cookie:sid",
        ),
        (
            Need::Required,
            &[3],
            &[("x-token", &other), ("x-token", &other)],
            "MultipleCredentials  header:x-token",
        ),
        // Two kinds: both count where both are accepted.
        (
            Need::Required,
            both,
            &[("authorization", &good), ("cookie", &cookie)],
            "MultipleCredentials  cookie:sid",
        ),
        (
            Need::Required,
            both,
            &[("authorization", b"Basic x"), ("cookie", &cookie)],
            "1 bob",
        ),
        (
            Need::Required,
            both,
            &[("authorization", &good), ("cookie", b"sid=")],
            "0 ann",
        ),
        (
            Need::Required,
            app,
            &[("authorization", &good), ("cookie", &cookie)],
            "0 ann",
        ),
        (
            Need::Required,
            &[1],
            &[("authorization", &good), ("cookie", &cookie)],
            "1 bob",
        ),
        (
            Need::Required,
            &[0, 3],
            &[("authorization", &good), ("x-token", &other)],
            "MultipleCredentials  header:x-token",
        ),
        (Need::Required, both, &[("cookie", &cookie)], "1 bob"),
        (Need::Required, &[3], &[("X-Token", &other)], "3 eve"),
        (
            Need::Required,
            &[3],
            &[("x-token", b"")],
            "TokenMissing other header:x-token",
        ),
        // A cookie of another name, or of another case, is another cookie.
        (
            Need::Required,
            &[1],
            &[("cookie", b"SID=x; sidd=y")],
            "TokenMissing session cookie:sid",
        ),
        // A place that several providers read: the first that verifies, or the failure that came closest.
        (Need::Required, &[2, 1], &[("cookie", &cookie)], "1 bob"),
        (
            Need::Required,
            &[2, 1],
            &[("cookie", b"sid=x")],
            "TokenInvalid guide/malformed cookie:sid",
        ),
    ];
    for (number, (need, any, fields, expected)) in cases.iter().enumerate() {
        assert_eq!(
            ask(&stage, &route(*need, any), fields),
            *expected,
            "case {number}"
        );
    }
}

#[test]
fn size() {
    let stage = stage();
    for (length, rule) in [
        (MAX_TOKEN_BYTES, "malformed"),
        (MAX_TOKEN_BYTES + 1, "size"),
    ] {
        let value = [b"Bearer ".to_vec(), vec![b'a'; length]].concat();
        assert_eq!(
            ask(
                &stage,
                &route(Need::Required, &[0]),
                &[("authorization", &value)]
            ),
            format!("TokenInvalid app/{rule} header:authorization")
        );
    }
}

#[test]
fn jwt_claims() {
    const CASES: &[(&str, &str)] = &[
        ("{}", "0 ann"),
        // exp: the leeway is 10, now is 1800000000.
        (r#"{"exp":1799999991}"#, "0 ann"),
        (r#"{"exp":1799999990}"#, "TokenExpired app/exp"),
        (r#"{"exp":1799999990.9}"#, "TokenExpired app/exp"),
        (r#"{"exp":1799999991.5}"#, "0 ann"),
        (r#"{"exp":18446744073709551615}"#, "0 ann"),
        (r#"{"exp":0}"#, "TokenExpired app/exp"),
        (r#"{"exp":"-"}"#, "TokenClaims app/exp"),
        (r#"{"exp":null}"#, "TokenClaims app/exp"),
        (r#"{"exp":"1900000000"}"#, "TokenClaims app/exp"),
        (r#"{"exp":-1}"#, "TokenClaims app/exp"),
        (r#"{"exp":true}"#, "TokenClaims app/exp"),
        (r#"{"exp":[1900000000]}"#, "TokenClaims app/exp"),
        // nbf, iat
        (r#"{"nbf":1800000010}"#, "0 ann"),
        (r#"{"nbf":1800000011}"#, "TokenClaims app/nbf"),
        (r#"{"nbf":1800000010.9}"#, "0 ann"),
        (r#"{"nbf":"0"}"#, "TokenClaims app/nbf"),
        (r#"{"iat":1800000010}"#, "0 ann"),
        (r#"{"iat":1800000011}"#, "TokenClaims app/iat"),
        (r#"{"iat":{}}"#, "TokenClaims app/iat"),
        // iss, aud
        (r#"{"iss":"-"}"#, "TokenClaims app/iss"),
        (r#"{"iss":"https://id/"}"#, "TokenClaims app/iss"),
        (r#"{"iss":["https://id"]}"#, "TokenClaims app/iss"),
        (r#"{"aud":"-"}"#, "TokenClaims app/aud"),
        (r#"{"aud":"Shop"}"#, "TokenClaims app/aud"),
        (r#"{"aud":["blog","shop"]}"#, "0 ann"),
        (r#"{"aud":["blog"]}"#, "TokenClaims app/aud"),
        (r#"{"aud":[]}"#, "TokenClaims app/aud"),
        (r#"{"aud":["shop",1]}"#, "TokenClaims app/aud"),
        (r#"{"aud":["shop",["shop"]]}"#, "TokenClaims app/aud"),
        (r#"{"aud":{"shop":1}}"#, "TokenClaims app/aud"),
        // A wrong issuer is not told that its token expired.
        (r#"{"iss":"x","exp":1}"#, "TokenClaims app/iss"),
        // Required claims, subject
        (r#"{"scope":"-"}"#, "TokenClaims app/require"),
        (r#"{"scope":null}"#, "TokenClaims app/require"),
        (r#"{"scope":""}"#, "0 ann"),
        (r#"{"sub":"-"}"#, "0 "),
        (r#"{"sub":7}"#, "TokenClaims app/sub"),
        (r#"{"sub":null}"#, "TokenClaims app/sub"),
        // Roles
        (r#"{"roles":[]}"#, "0 ann"),
        (r#"{"roles":null}"#, "0 ann"),
        (r#"{"roles":["a",1]}"#, "TokenClaims app/roles"),
        (r#"{"roles":{"a":1}}"#, "TokenClaims app/roles"),
        (r#"{"roles":7}"#, "TokenClaims app/roles"),
        (r#"{"roles":["a\u0000admin"]}"#, "TokenClaims app/roles"),
        // Forwarded claims
        (r#"{"extra":"a\r\nx-admin: 1"}"#, "TokenClaims app/forward"),
        (r#"{"extra":"a\u0000"}"#, "TokenClaims app/forward"),
        (r#"{"extra":"a\tb"}"#, "TokenClaims app/forward"),
        (r#"{"extra":"\u007f"}"#, "TokenClaims app/forward"),
        (r#"{"extra":" a"}"#, "TokenClaims app/forward"),
        (r#"{"extra":"a "}"#, "TokenClaims app/forward"),
        (r#"{"extra":{"a":"b"}}"#, "TokenClaims app/forward"),
        (r#"{"extra":["a,b"]}"#, "TokenClaims app/forward"),
        (r#"{"extra":["a",""]}"#, "TokenClaims app/forward"),
        (r#"{"extra":["a",1]}"#, "TokenClaims app/forward"),
        (r#"{"extra":[["a"]]}"#, "TokenClaims app/forward"),
    ];
    let stage = stage();
    for (changes, expected) in CASES {
        let value = app_token(&claims(changes));
        let verdict = ask(
            &stage,
            &route(Need::Required, &[0]),
            &[("authorization", &value)],
        );
        let verdict = verdict.trim_end_matches(" header:authorization");
        assert_eq!(verdict, *expected, "{changes}");
    }
}

/// Payloads as written, which `serde_json` would not write.
#[test]
fn payloads() {
    const GOOD: &str = r#""iss":"https://id","aud":"shop","sub":"ann","scope":"x""#;
    const CASES: &[(&str, &str)] = &[
        (r#"{GOOD,"exp":1800000100}"#, "0 ann"),
        (r#"{GOOD,"exp":1.8e9}"#, "TokenClaims app/exp"),
        (r#"{GOOD,"exp":18000001E2}"#, "TokenClaims app/exp"),
        (
            r#"{GOOD,"exp":18446744073709551616}"#,
            "TokenClaims app/exp",
        ),
        (r#"{GOOD,"exp":-0}"#, "TokenClaims app/exp"),
        (r#"{GOOD,"exp":1800000100.5e3}"#, "TokenClaims app/exp"),
        (
            r#"{GOOD,"exp":1,"exp":1800000100}"#,
            "TokenInvalid app/payload",
        ),
        (
            r#"{GOOD,"exp":1800000100,"e\u0078p":1}"#,
            "TokenInvalid app/payload",
        ),
        (
            r#"{GOOD,"exp":1800000100,"x":1,"x":1}"#,
            "TokenInvalid app/payload",
        ),
        (r#"{GOOD,"exp":1800000100}}"#, "TokenInvalid app/payload"),
        (r#"{GOOD,"exp":1800000100"#, "TokenInvalid app/payload"),
        (r#"[{GOOD,"exp":1800000100}]"#, "TokenInvalid app/payload"),
        (r#""x""#, "TokenInvalid app/payload"),
        ("", "TokenInvalid app/payload"),
    ];
    let stage = stage();
    for (payload, expected) in CASES {
        let value = app_token(&payload.replace("GOOD", GOOD));
        let verdict = ask(
            &stage,
            &route(Need::Required, &[0]),
            &[("authorization", &value)],
        );
        let verdict = verdict.trim_end_matches(" header:authorization");
        assert_eq!(verdict, *expected, "{payload}");
    }
    for (count, good) in [(128, true), (129, false)] {
        let many: String = (5..count)
            .map(|number| format!(",\"c{number}\":0"))
            .collect();
        let value = app_token(&format!("{{{GOOD},\"exp\":1800000100{many}}}"));
        let verdict = ask(
            &stage,
            &route(Need::Required, &[0]),
            &[("authorization", &value)],
        );
        assert_eq!(verdict == "0 ann", good, "{count} members: {verdict}");
    }
}

#[test]
fn forwarded_headers_and_roles() {
    const CASES: &[(&str, &str, &str)] = &[
        (
            r#"{"roles":["a","b c"]}"#,
            "x-user=ann x-roles=a,b c",
            "a|b c",
        ),
        (r#"{"roles":"a  b "}"#, "", ""),
        (r#"{"roles":"a  b"}"#, "x-user=ann x-roles=a  b", "a|b"),
        (r#"{"roles":[]}"#, "x-user=ann", ""),
        (
            r#"{"sub":"J\u00f6rg","extra":1.50}"#,
            "x-user=J\u{f6}rg x-extra=1.5",
            "",
        ),
        (r#"{"sub":"-","extra":false}"#, "x-extra=false", ""),
        (r#"{"extra":null}"#, "x-user=ann", ""),
        (r#"{"extra":""}"#, "x-user=ann x-extra=", ""),
        (r#"{"extra":["one"]}"#, "x-user=ann x-extra=one", ""),
    ];
    let stage = stage();
    for (changes, headers, roles) in CASES {
        let value = app_token(&claims(changes));
        let mut found = Findings::default();
        let head = head(&[("authorization", &value)]);
        let verdict = judge(&stage, &route(Need::Required, &[0]), &head, &mut found);
        let Ok(Subject::Verified(claims)) = &verdict else {
            assert_eq!(*headers, "", "{changes}: {verdict:?}");
            continue;
        };
        let shown: Vec<String> = claims
            .forward()
            .iter()
            .map(|(name, value)| {
                format!("{}={}", name.escape_ascii(), String::from_utf8_lossy(value))
            })
            .collect();
        assert_eq!(shown.join(" "), *headers, "{changes}");
        let shown: Vec<String> = claims
            .roles()
            .map(|role| String::from_utf8_lossy(role).into_owned())
            .collect();
        assert_eq!(shown.join("|"), *roles, "{changes}");
    }
}

#[test]
fn pointers() {
    const CASES: &[(&str, &str)] = &[
        ("/realm/roles", "in"),
        ("/realm/roles/0", "in"),
        ("/a~1b", "slash"),
        ("/a~0b", "tilde"),
        ("/flat.name", "flat"),
        ("/realm/none", ""),
        ("/none", ""),
        ("roles", ""),
    ];
    let text =
        claims(r#"{"realm":{"roles":["in"]},"a/b":"slash","a~b":"tilde","flat.name":"flat"}"#);
    let value = app_token(&text);
    for (pointer, expected) in CASES {
        let mut stage = stage();
        stage.providers[0].roles = pointer.as_bytes().to_vec();
        stage.providers[0].forward = vec![plain("x", pointer)];
        let mut found = Findings::default();
        let head = head(&[("authorization", &value)]);
        let route = route(Need::Required, &[0]);
        let Ok(Subject::Verified(claims)) = judge(&stage, &route, &head, &mut found) else {
            panic!("{pointer}: {found:?}");
        };
        let roles: Vec<&[u8]> = claims.roles().collect();
        assert_eq!(roles.concat(), expected.as_bytes(), "{pointer}");
        let values: Vec<&[u8]> = claims.forward().iter().map(|(_, value)| &**value).collect();
        assert_eq!(values.concat(), expected.as_bytes(), "{pointer}");
    }
}

#[test]
fn roles_of_a_route() {
    let stage = stage();
    let mut route = route(Need::Required, &[0]);
    let value = app_token(&claims(r#"{"roles":["user","ops"]}"#));
    let head = head(&[("authorization", &value)]);
    let mut found = Findings::default();
    let subject = judge(&stage, &route, &head, &mut found).unwrap();
    for (asked, good) in [
        (&[][..], true),
        (&["user"], true),
        (&["admin", "ops"], true),
        (&["admin"], false),
        (&["use"], false),
        (&["User"], false),
        (&[""], false),
        (&["user\0ops"], false),
    ] {
        route.roles = asked.iter().map(|role| role.as_bytes().to_vec()).collect();
        let mut found = Findings::default();
        let verdict = stage.authorize(&route, &subject, &mut found);
        assert_eq!(verdict.is_ok(), good, "{asked:?}");
        assert_eq!(found.as_slice().is_empty(), good);
        if let Err(denial) = verdict {
            assert_eq!(
                (denial.stage, denial.reason),
                (Stage::Authorize, Reason::MissingRole)
            );
            let (_, challenge) = &denial.headers[0];
            assert_eq!(
                challenge,
                b"Bearer realm=\"palisade\", error=\"insufficient_scope\""
            );
            assert_eq!(found.as_slice()[0].rule, b"app");
        }
        let nobody = stage.authorize(&route, &Subject::Anonymous, &mut Findings::default());
        assert_eq!(nobody.is_ok(), asked.is_empty());
    }
}

fn ask_session(stage: &TokenStage, index: usize, token: &str) -> String {
    let cookie = format!("sid={token}").into_bytes();
    let verdict = ask(
        stage,
        &route(Need::Required, &[index]),
        &[("cookie", &cookie)],
    );
    verdict.trim_end_matches(" cookie:sid").to_string()
}

#[test]
fn sessions_v1() {
    let (new, old) = (key(Some("k2"), "new"), key(Some("k1"), "old"));
    let stage = stage();
    let at = |iat| mint_v1(&new, "bob", "s1", UnixTime(iat), None, &["a"]);
    let raw = |payload: &str| session::mint_v1_with(&new, payload.as_bytes());
    let cases: &[(String, &str)] = &[
        (at(NOW.0), "1 bob"),
        (mint_v1(&old, "bob", "s1", NOW, None, &[]), "1 bob"),
        (at(NOW.0 - 3599), "1 bob"),
        (at(NOW.0 - 3600), "TokenExpired session/lifetime"),
        (at(0), "TokenExpired session/lifetime"),
        (at(NOW.0 + 5), "1 bob"),
        (at(NOW.0 + 6), "TokenClaims session/iat"),
        (at(u64::MAX), "TokenClaims session/iat"),
        (
            mint_v1(&key(Some("k2"), "x"), "bob", "s1", NOW, None, &[]),
            "TokenInvalid session/signature",
        ),
        (raw(r#"{"sub":"bob","sid":"s","iat":1800000000}"#), "1 bob"),
        (
            raw(r#"{"sub":"bob","sid":"s","iat":1800000000,"kid":"k2"}"#),
            "1 bob",
        ),
        (
            raw(r#"{"sub":"bob","sid":"s","iat":1800000000,"kid":"k1"}"#),
            "TokenInvalid session/key",
        ),
        (
            raw(r#"{"sub":"bob","sid":"s","iat":1800000000,"kid":"k9"}"#),
            "TokenInvalid session/key",
        ),
        (
            raw(r#"{"sub":"bob","sid":"s","iat":1800000000,"kid":null}"#),
            "TokenInvalid session/malformed",
        ),
        (
            raw(r#"{"sub":"bob","sid":"s","iat":1800000000,"sub":"eve"}"#),
            "TokenInvalid session/payload",
        ),
        (raw(r#"{"sub":"bob","sid":"s"}"#), "TokenClaims session/iat"),
        (
            raw(r#"{"sub":"bob","sid":"s","iat":"1800000000"}"#),
            "TokenClaims session/iat",
        ),
        (
            raw(r#"{"sid":"s","iat":1800000000}"#),
            "TokenClaims session/sub",
        ),
        (
            raw(r#"{"sub":"","sid":"s","iat":1800000000}"#),
            "TokenClaims session/sub",
        ),
        (
            raw(r#"{"sub":"bob","iat":1800000000}"#),
            "TokenClaims session/sid",
        ),
        (
            raw(r#"{"sub":"bob","sid":"","iat":1800000000}"#),
            "TokenClaims session/sid",
        ),
        (raw("[]"), "TokenInvalid session/payload"),
        (raw(""), "TokenInvalid session/payload"),
        ("v1..".into(), "TokenInvalid session/signature"),
        ("v1.".into(), "TokenInvalid session/malformed"),
        ("v2.e30.AA".into(), "TokenInvalid session/malformed"),
        ("x".into(), "TokenInvalid session/malformed"),
        // Signed for something else with the same key.
        (
            session::mint_colon(&new, "v1.e30", NOW),
            "TokenInvalid session/malformed",
        ),
        (
            jws::mint(&new, r#"{"sub":"bob","sid":"s","iat":1800000000}"#),
            "TokenInvalid session/malformed",
        ),
    ];
    for (token, expected) in cases {
        assert_eq!(ask_session(&stage, 1, token), *expected, "{token}");
    }
}

#[test]
fn sessions_colon() {
    let new = key(Some("k2"), "new");
    let stage = stage();
    let at = |iat| session::mint_colon(&new, "bob", UnixTime(iat));
    let sign = |text: &str| {
        let minted = session::mint_colon(&new, text, UnixTime(0));
        assert!(minted.starts_with(text));
        minted
    };
    let upper = {
        let token = at(NOW.0);
        let (signed, mac) = token.rsplit_once(':').unwrap();
        format!("{signed}:{}", mac.to_uppercase())
    };
    let cases: &[(String, &str)] = &[
        (at(NOW.0), "2 bob"),
        (upper, "2 bob"),
        (session::mint_colon(&key(None, "old"), "bob", NOW), "2 bob"),
        (session::mint_colon(&new, "urn:user:7", NOW), "2 urn:user:7"),
        (at(NOW.0 - 3599), "2 bob"),
        (at(NOW.0 - 3600), "TokenExpired guide/lifetime"),
        (at(NOW.0 + 5), "2 bob"),
        (at(NOW.0 + 6), "TokenClaims guide/iat"),
        (session::mint_colon(&new, "", NOW), "TokenClaims guide/sub"),
        (
            session::mint_colon(&key(None, "x"), "bob", NOW),
            "TokenInvalid guide/signature",
        ),
        (
            sign("x").replacen(":0:", ":1:", 1),
            "TokenInvalid guide/signature",
        ),
        (
            sign("bob:1800000000").replacen(":0:", ":", 1),
            "TokenInvalid guide/signature",
        ),
        ("bob:1800000000:".into(), "TokenInvalid guide/signature"),
        ("bob:1800000000:0".into(), "TokenInvalid guide/malformed"),
        ("bob:1800000000:zz".into(), "TokenInvalid guide/malformed"),
        (
            format!("bob:1:{}", "0".repeat(128)),
            "TokenInvalid guide/signature",
        ),
        (
            format!("bob:1:{}", "0".repeat(130)),
            "TokenInvalid guide/malformed",
        ),
        ("bob".into(), "TokenInvalid guide/malformed"),
        (":".into(), "TokenInvalid guide/malformed"),
        ("::".into(), "TokenInvalid guide/signature"),
        (
            mint_v1(&new, "bob", "s", NOW, None, &[]),
            "TokenInvalid guide/malformed",
        ),
    ];
    for (token, expected) in cases {
        assert_eq!(ask_session(&stage, 2, token), *expected, "{token}");
    }
}

#[test]
fn sessions_cut_flipped_and_garbled() {
    let new = key(Some("k2"), "new");
    let stage = stage();
    for (index, token) in [
        (1, mint_v1(&new, "bob", "s1", NOW, Some(CLIENT), &["a"])),
        (2, session::mint_colon(&new, "bob", NOW)),
    ] {
        assert!(ask_session(&stage, index, &token).ends_with(" bob"));
        let verdict = |bytes: &[u8]| {
            let provider = &stage.providers[index];
            with_env(&head(&[]), |ask, memory, env| {
                let (found, route) = (&mut Findings::default(), route(Need::Required, &[]));
                provider
                    .verify(index, &route, bytes, ask, memory, env, found)
                    .is_ok()
            })
        };
        for cut in 0..token.len() {
            assert!(!verdict(&token.as_bytes()[..cut]), "{index}: cut at {cut}");
        }
        for place in 0..token.len() {
            for byte in 0..=255_u8 {
                let mut other = token.clone().into_bytes();
                let old = core::mem::replace(&mut other[place], byte);
                let same =
                    old == byte || (index == 2 && place > 14 && old.eq_ignore_ascii_case(&byte));
                assert_eq!(verdict(&other), same, "{index}: {byte} at {place}");
            }
        }
    }
}

#[test]
fn client_binding() {
    let new = key(Some("k2"), "new");
    let mut stage = stage();
    for provider in &mut stage.providers {
        if let ProviderKind::Session(rules) = &mut provider.kind {
            rules.bind.client = Some(Prefix::default());
        }
    }
    let for_client =
        |client: &str| mint_v1(&new, "bob", "s1", NOW, Some(client.parse().unwrap()), &[]);
    let with_cli = |cli: &str| {
        let payload = format!(r#"{{"sub":"bob","sid":"s","iat":1800000000,"cli":{cli}}}"#);
        session::mint_v1_with(&new, payload.as_bytes())
    };
    let unbound = "TokenNotBound session/client";
    let cases: &[(String, &str)] = &[
        (for_client("192.0.2.7"), "1 bob"),
        (for_client("::ffff:192.0.2.7"), "1 bob"),
        (for_client("192.0.2.8"), unbound),
        (for_client("2001:db8::7"), unbound),
        (mint_v1(&new, "bob", "s1", NOW, None, &[]), unbound),
        (with_cli("\"\""), unbound),
        (with_cli("\"00\""), unbound),
        (with_cli("null"), unbound),
        (with_cli("\"00112233445566778899aabbccddeeff\""), unbound),
        (with_cli("\"00112233445566778899aabbccddeeff00\""), unbound),
    ];
    for (token, expected) in cases {
        assert_eq!(ask_session(&stage, 1, token), *expected, "{token}");
    }
    let colon = session::mint_colon(&new, "bob", NOW);
    assert_eq!(ask_session(&stage, 2, &colon), "TokenNotBound guide/client");
}

/// Several providers on one place: expired says more than claims, claims more than unbound, that more than invalid.
#[test]
fn the_closest_failure() {
    let base = stage();
    let bearer = |name: &str, kind| provider(name, Source::Bearer, ProviderKind::Jwt(kind));
    let strict = Jwt {
        issuer: Some(b"nobody".to_vec()),
        ..jwt_rules()
    };
    let wrong = Jwt {
        keys: vec![key(None, "wrong")],
        ..jwt_rules()
    };
    let stage = TokenStage {
        remembered: 0,
        providers: vec![
            bearer("wrong", wrong),
            bearer("strict", strict),
            bearer("app", jwt_rules()),
            base.providers[1].clone(),
        ],
    };
    let expired = app_token(&claims(r#"{"exp":1}"#));
    let good = app_token(&claims("{}"));
    for (any, value, expected) in [
        (&[0, 1, 2][..], &good, "2 ann"),
        (&[2, 1, 0], &good, "2 ann"),
        (
            &[0, 1],
            &good,
            "TokenClaims strict/iss header:authorization",
        ),
        (
            &[1, 0],
            &good,
            "TokenClaims strict/iss header:authorization",
        ),
        (
            &[0, 1, 2],
            &expired,
            "TokenExpired app/exp header:authorization",
        ),
        (
            &[0, 3],
            &good,
            "TokenInvalid wrong/signature header:authorization",
        ),
    ] {
        let verdict = ask(
            &stage,
            &route(Need::Required, any),
            &[("authorization", value)],
        );
        assert_eq!(verdict, expected, "{any:?}");
    }
}

#[test]
fn edits() {
    let stage = stage();
    let copies = head(&[
        ("accept", b"*/*"),
        ("X-User", b"admin"),
        ("x_roles", b"admin"),
        ("X-User", b"root"),
        ("x-users", b"kept"),
    ]);
    let mut edits = Edits::default();
    stage.edit(&copies, &mut Subject::Anonymous, &mut edits);
    assert_eq!(edits.remove, [b"X-User".to_vec(), b"x_roles".to_vec()]);
    assert_eq!(edits.set, []);

    let value = app_token(&claims("{}"));
    let plain = head(&[("authorization", &value)]);
    let mut subject = judge(
        &stage,
        &route(Need::Required, &[0]),
        &plain,
        &mut Findings::default(),
    )
    .unwrap();
    let mut edits = Edits::default();
    stage.edit(&plain, &mut subject, &mut edits);
    assert_eq!(edits.remove, Vec::<Vec<u8>>::new(), "nothing to remove");
    assert_eq!(edits.set, [(b"x-user".to_vec(), b"ann".to_vec())]);
}

mod demands;
mod remembered;
