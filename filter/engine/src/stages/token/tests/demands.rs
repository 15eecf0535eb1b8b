//! What routes ask: sources, `all`, scopes, claim rules, what is told of each provider, what goes on.

use super::*;

fn rule(claim: &str, test: Test) -> Rule {
    Rule {
        name: claim.as_bytes().to_vec(),
        claim: claim.as_bytes().to_vec(),
        tests: vec![test],
    }
}

fn request<'a>(target: &'a str, fields: &[(&'a str, &'a [u8])]) -> RequestHead<'a> {
    let path = [(&b":path"[..], target.as_bytes())];
    let fields = fields.iter().map(|(name, value)| (name.as_bytes(), *value));
    RequestHead::decode(path.into_iter().chain(fields))
}

/// Subject, or reason; then each finding's rule.
fn told(stage: &TokenStage, route: &RouteToken, head: &RequestHead<'_>) -> String {
    let mut found = Findings::default();
    let verdict = judge(stage, route, head, &mut found).and_then(|subject| {
        stage.authorize(route, &subject, &mut found)?;
        Ok(subject)
    });
    let mut out = match verdict {
        Ok(Subject::Anonymous) => "anonymous".to_string(),
        Ok(Subject::Verified(claims)) => String::from_utf8_lossy(claims.subject()).into_owned(),
        Err(denial) => format!("{:?}", denial.reason),
    };
    for finding in found.as_slice() {
        out = format!("{out} {}", String::from_utf8_lossy(&finding.rule));
    }
    out
}

fn token(changes: &str) -> String {
    jws::mint(&key(None, "jwt secret"), &claims(changes))
}

#[test]
fn places() {
    let mut stage = stage();
    stage.providers[0].from = vec![
        Source::Bearer,
        Source::Scheme {
            header: b"x-auth".to_vec(),
            prefix: b"JWT".to_vec(),
        },
        Source::Scheme {
            header: b"x-key".to_vec(),
            prefix: b"key=".to_vec(),
        },
        Source::Cookie(b"at".to_vec()),
        Source::Query(b"access_token".to_vec()),
    ];
    let route = route(Need::Required, &[0]);
    let good = token("{}");
    type Case<'c> = (&'c str, &'c [(&'c str, &'c str)], &'c str);
    let cases: &[Case<'_>] = &[
        ("/?access_token=T", &[], "ann"),
        ("/?a=1&access%5Ftoken=T&b", &[], "ann"),
        ("/?access_token=%T", &[], "ann"),
        ("/?Access_Token=T", &[], "TokenMissing app"),
        ("/?access_token=", &[], "TokenMissing app"),
        (
            "/?access_token=T&access_token=T",
            &[],
            "MultipleCredentials ",
        ),
        (
            "/?access_token=T&access%5ftoken=",
            &[],
            "MultipleCredentials ",
        ),
        (
            "/?access_token=T",
            &[("cookie", "at=T")],
            "MultipleCredentials ",
        ),
        (
            "/?access_token=T;access_token=T",
            &[],
            "TokenInvalid app/malformed",
        ),
        ("/", &[("x-auth", "JWT T")], "ann"),
        ("/", &[("x-auth", "jwt   T")], "ann"),
        ("/", &[("x-auth", "T")], "TokenMissing app"),
        ("/", &[("x-auth", "JWTT")], "TokenMissing app"),
        ("/", &[("x-auth", "JWT")], "TokenInvalid app/malformed"),
        ("/", &[("x-auth", "JWT ")], "TokenInvalid app/malformed"),
        (
            "/",
            &[("x-auth", "JWT T"), ("x-auth", "other")],
            "MultipleCredentials ",
        ),
        ("/", &[("x-key", "key=T")], "ann"),
        ("/", &[("cookie", "a=b; at=T")], "ann"),
        ("/", &[("cookie", "at=T; at=T")], "MultipleCredentials "),
        (
            "/",
            &[("cookie", "at=T"), ("cookie", "at=")],
            "MultipleCredentials ",
        ),
        (
            "/",
            &[("cookie", "at=T"), ("x-auth", "JWT T")],
            "MultipleCredentials ",
        ),
        (
            "/",
            &[("authorization", "Bearer T"), ("cookie", "at=T")],
            "MultipleCredentials ",
        ),
    ];
    for (target, fields, expected) in cases {
        // The token's first byte, escaped, where a case says `%T`.
        let (first, rest) = good.split_at(1);
        let escaped = format!("%{:02x}{rest}", first.as_bytes()[0]);
        let fill = |text: &str| {
            text.replace("%T", &escaped)
                .replace("=T", &format!("={good}"))
        };
        let target_text = fill(target);
        let values: Vec<(&str, String)> = fields
            .iter()
            .map(|(name, value)| {
                let value = fill(value).replace(" T", &format!(" {good}"));
                (*name, if value == "T" { good.clone() } else { value })
            })
            .collect();
        let fields: Vec<(&str, &[u8])> = values
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        let head = request(&target_text, &fields);
        assert_eq!(
            told(&stage, &route, &head),
            *expected,
            "{target} {values:?}"
        );
    }
}

#[test]
fn all_of_several() {
    let stage = stage();
    let mut route = route(Need::Required, &[0, 3]);
    route.all = true;
    let app = app_token(&claims("{}"));
    let bad = app_token(&claims(r#"{"iss":"x"}"#));
    let other = |claims: &str| jws::mint(&key(None, "other secret"), claims).into_bytes();
    let bob = other(r#"{"sub":"bob","extra":"e"}"#);
    let wrong = other(r#"{"sub":1}"#);
    type Case<'c> = (&'c [(&'c str, &'c [u8])], &'c str);
    let cases: &[Case<'_>] = &[
        (&[("authorization", &app), ("x-token", &bob)], "ann"),
        (&[("authorization", &app)], "TokenMissing other"),
        (&[("x-token", &bob)], "TokenMissing app"),
        (&[], "TokenMissing app"),
        (
            &[("authorization", &bad), ("x-token", &bob)],
            "TokenClaims app/iss",
        ),
        (
            &[("authorization", &app), ("x-token", &wrong)],
            "TokenClaims other/sub",
        ),
        (
            &[("authorization", &app), ("x-token", &app)],
            "TokenInvalid other/malformed",
        ),
        (
            &[
                ("authorization", &app),
                ("x-token", &bob),
                ("x-token", &bob),
            ],
            "MultipleCredentials ",
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(
            told(&stage, &route, &head(fields)),
            *expected,
            "{}",
            fields.len()
        );
    }
    route.need = Need::Optional;
    assert_eq!(told(&stage, &route, &head(&[])), "anonymous");
    assert_eq!(
        told(&stage, &route, &head(&[("x-token", &bob)])),
        "TokenMissing app"
    );
    let fields: &[(&str, &[u8])] = &[("authorization", &app), ("x-token", &bob)];
    let mut found = Findings::default();
    let Ok(Subject::Verified(claims)) = judge(&stage, &route, &head(fields), &mut found) else {
        panic!("both hold");
    };
    assert_eq!(claims.provider(), 0, "the first named is the subject");
    assert_eq!(claims.forward().len(), 3, "{:?}", claims.forward());
}

#[test]
fn each_provider_that_was_tried_is_told_the_closest_first() {
    let mut stage = stage();
    stage.providers[3].from = vec![Source::Bearer];
    let route = route(Need::Required, &[3, 0]);
    let fields = app_token(&claims(r#"{"exp":1}"#));
    let head = head(&[("authorization", &fields)]);
    assert_eq!(
        told(&stage, &route, &head),
        "TokenExpired app/exp other/signature"
    );
}

#[test]
fn scopes_and_route_claims() {
    let stage = stage();
    let mut route = route(Need::Required, &[0]);
    route.scopes = vec![b"orders:read".to_vec(), b"orders:write".to_vec()];
    let cases: &[(&str, &str)] = &[
        (r#"{"scope":"orders:read orders:write x"}"#, "ann"),
        (r#"{"scope":["orders:write","orders:read"]}"#, "ann"),
        (
            r#"{"scope":"orders:readorders:write"}"#,
            "MissingScope app/orders:read",
        ),
        (
            r#"{"scope":"orders:read orders:writer"}"#,
            "MissingScope app/orders:write",
        ),
        (
            r#"{"scope":["orders:read orders:write"]}"#,
            "MissingScope app/orders:read",
        ),
        (
            r#"{"scope":"Orders:read orders:write"}"#,
            "MissingScope app/orders:read",
        ),
        (
            r#"{"scope":"x","scp":"orders:read orders:write"}"#,
            "MissingScope app/orders:read",
        ),
        (r#"{"scope":7}"#, "TokenClaims app/scopes"),
        (r#"{"scope":["orders:read",7]}"#, "TokenClaims app/scopes"),
        (r#"{"scope":{"orders:read":1}}"#, "TokenClaims app/scopes"),
        (
            r#"{"scope":["orders:read\u0000orders:write"]}"#,
            "TokenClaims app/scopes",
        ),
    ];
    for (changes, expected) in cases {
        let value = app_token(&claims(changes));
        let head = head(&[("authorization", &value)]);
        assert_eq!(told(&stage, &route, &head), *expected, "{changes}");
    }
    let mut found = Findings::default();
    let denial = stage.authorize(&route, &Subject::Anonymous, &mut found);
    assert_eq!(
        denial.unwrap_err().headers,
        [(
            "www-authenticate",
            b"Bearer realm=\"palisade\", error=\"insufficient_scope\", scope=\"orders:read orders:write\""
                .to_vec()
        )]
    );

    route.scopes = Vec::new();
    route.claims = vec![
        rule("/tenant", Test::OneOf(vec![b"a".to_vec()])),
        rule("/level", Test::Min(b"2".to_vec())),
    ];
    let cases: &[(&str, &str)] = &[
        (r#"{"tenant":"a","level":2}"#, "ann"),
        (r#"{"tenant":"a","level":1}"#, "MissingClaim app//level"),
        (r#"{"tenant":"b","level":2}"#, "MissingClaim app//tenant"),
        (r#"{"level":2}"#, "MissingClaim app//tenant"),
    ];
    for (changes, expected) in cases {
        let value = app_token(&claims(changes));
        let head = head(&[("authorization", &value)]);
        assert_eq!(told(&stage, &route, &head), *expected, "{changes}");
    }
    // A credential without claims never holds a route's rules.
    route.providers = vec![2];
    let colon = format!("sid={}", session::mint_colon(&key(None, "new"), "bob", NOW));
    let head = head(&[("cookie", colon.as_bytes())]);
    assert_eq!(told(&stage, &route, &head), "MissingClaim guide//tenant");
}

#[test]
fn provider_claims_lifetime_and_age() {
    let mut stage = stage();
    stage.providers[0].claims = vec![rule("/tier", Test::OneOf(vec![b"gold".to_vec()]))];
    let ProviderKind::Jwt(rules) = &mut stage.providers[0].kind else {
        panic!("a JWT");
    };
    rules.max_lifetime = Some(600);
    rules.max_age = Some(300);
    let route = route(Need::Required, &[0]);
    let cases: &[(&str, &str)] = &[
        (r#"{"tier":"gold","iat":1799999900}"#, "ann"),
        (
            r#"{"tier":"tin","iat":1799999900}"#,
            "TokenClaims app/claim:/tier",
        ),
        (r#"{"iat":1799999900}"#, "TokenClaims app/claim:/tier"),
        (r#"{"tier":"gold"}"#, "TokenClaims app/max_lifetime"),
        (
            r#"{"tier":"gold","iat":1799999800,"exp":1800000400}"#,
            "ann",
        ),
        (
            r#"{"tier":"gold","iat":1799999800,"exp":1800000401}"#,
            "TokenClaims app/max_lifetime",
        ),
        (
            r#"{"tier":"gold","iat":1799999691,"exp":1800000001}"#,
            "ann",
        ),
        (
            r#"{"tier":"gold","iat":1799999690,"exp":1800000001}"#,
            "TokenExpired app/max_age",
        ),
    ];
    for (changes, expected) in cases {
        let value = app_token(&claims(changes));
        let head = head(&[("authorization", &value)]);
        assert_eq!(told(&stage, &route, &head), *expected, "{changes}");
    }
}

#[test]
fn a_verified_credential_can_stay_behind() {
    let mut stage = stage();
    let provider = &mut stage.providers[0];
    provider.strip = true;
    provider.forward = vec![plain("x-user", "/sub")];
    provider.from = vec![
        Source::Bearer,
        Source::Cookie(b"at".to_vec()),
        Source::Query(b"t".to_vec()),
    ];
    let route = route(Need::Optional, &[0]);
    let good = token("{}");
    let bearer = format!("Bearer {good}");
    let cookie = format!("at = {good} ; a=1;;b; at2=x");
    let alone = format!("at={good}");
    let query = format!("/p?x=1&t={good}&&y=%26t=2");
    let only = format!("/p?t={good}");
    let user = ("x-user", "ann");
    type Case<'c> = (
        &'c str,
        &'c [(&'c str, &'c [u8])],
        &'c [&'c str],
        &'c [(&'c str, &'c str)],
    );
    let cases: &[Case<'_>] = &[
        (
            "/",
            &[("authorization", bearer.as_bytes())],
            &["authorization"],
            &[user],
        ),
        (
            "/",
            &[("cookie", cookie.as_bytes())],
            &[],
            &[("cookie", "a=1; b; at2=x"), user],
        ),
        ("/", &[("cookie", alone.as_bytes())], &["cookie"], &[user]),
        (
            "/",
            &[("cookie", b"z=0"), ("cookie", alone.as_bytes())],
            &[],
            &[("cookie", "z=0"), user],
        ),
        (&query, &[], &[], &[(":path", "/p?x=1&&y=%26t=2"), user]),
        (&only, &[], &[], &[(":path", "/p"), user]),
        ("/", &[("cookie", b"z=0")], &[], &[]),
    ];
    for (target, fields, removed, set) in cases {
        let head = request(target, fields);
        let mut found = Findings::default();
        let mut subject = judge(&stage, &route, &head, &mut found).unwrap();
        let mut edits = Edits::default();
        stage.edit(&head, &mut subject, &mut edits);
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let given: Vec<String> = edits.remove.iter().map(text).collect();
        assert_eq!(given, *removed, "{target}");
        let given: Vec<(String, String)> = edits
            .set
            .iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        let expected: Vec<(String, String)> = set
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        assert_eq!(given, expected, "{target}");
    }
}
