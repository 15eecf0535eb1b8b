//! What a limit may say.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::policy::node::Node;
use crate::policy::{Policy, PolicyError};
use crate::stages::limits::{KeyPart, Named, Phase};

fn compile(text: &str) -> Result<Policy, Vec<PolicyError>> {
    Policy::check(&Node::from_json(text).unwrap())
}

/// A policy with one limit, an API key, a JWT provider and two routes.
fn policy(limit: &str) -> String {
    format!(
        r#"{{ "tokens": {{ "app": {{ "type": "jwt", "keys": [{{ "algorithm": "HS256", "env": "K" }}] }} }},
            "limits": [{{ "name": "a", "quota": "5/1h", {limit} }}],
            "routes": [{{ "name": "shop", "token": {{ "any": ["app"] }} }},
                       {{ "name": "admin", "match": {{ "path": "/admin" }}, "token": "none" }}] }}"#
    )
}

/// Each text of a limit has one error, which begins so.
fn refused(cases: &[(&str, &str)]) {
    for (limit, expected) in cases {
        let errors = compile(&policy(limit)).err().unwrap_or_default();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(
            matches!(&texts[..], [only] if only.starts_with(expected)),
            "{limit}: {texts:?}"
        );
    }
}

#[test]
fn keys_and_conditions_that_cannot_be() {
    refused(&[
        (r#""key": []"#, "limits[0].key: an empty list"),
        (
            r#""key": ["client", "client"]"#,
            "limits[0].key: the same part twice",
        ),
        (
            r#""key": ["client", "method", "route", "path", "subject"]"#,
            "limits[0].key: the same part twice, or more than 4",
        ),
        (
            r#""key": ["clients"]"#,
            "limits[0].key[0]: `clients` is not a part of a key",
        ),
        (
            r#""key": [{ "header": "a", "cookie": "b" }]"#,
            "limits[0].key[0]: a map is not a part of a key",
        ),
        (
            r#""key": [{ "normalize": true }]"#,
            "limits[0].key[0]: a map is not a part of a key",
        ),
        (
            r#""key": [{ "claim": "/a", "normalize": true }]"#,
            "limits[0].key[0]: a map is not a part of a key",
        ),
        (
            r#""key": [{ "client": { "ipv6": 31 } }]"#,
            "limits[0].key[0].client.ipv6: `31` is out of range",
        ),
        (
            r#""key": [{ "client": { "ipv4": 33 } }]"#,
            "limits[0].key[0].client.ipv4: `33` is out of range",
        ),
        (
            r#""key": [{ "tls": "serial" }]"#,
            "limits[0].key[0].tls: `serial` is not a property",
        ),
        (
            r#""key": ["api_key"]"#,
            "limits[0].key: `api_key`, and no provider of that type",
        ),
        (
            r#""missing": "ignore""#,
            "limits[0].missing: `ignore` is not a choice",
        ),
        (
            r#""when": { "routes": ["shop", "admln"] }"#,
            "limits[0].when.routes[1]: `admln` is not a route; did you mean `admin`?",
        ),
        (
            r#""when": { "header": { "name": "x", "equals": "a", "present": true } }"#,
            "limits[0].when.header: says two things",
        ),
        (
            r#""when": { "header": { "name": "x", "one_of": [] } }"#,
            "limits[0].when.header: says two things",
        ),
        (
            r#""when": { "subject": "optional" }"#,
            "limits[0].when.subject: `optional` is not a choice",
        ),
        (
            r#""when": { "subject": "none" }, "count": { "failures": "authentication" }"#,
            "limits[0].key: `when.subject` or `plans`, and failures are counted before",
        ),
        (
            r#""key": [{ "claim": "/a" }], "count": { "failures": "authentication" }"#,
            "limits[0].key: what is known only after",
        ),
    ]);
}

#[test]
fn costs_and_plans_that_cannot_be() {
    refused(&[
        (r#""cost": 0"#, "limits[0].cost: `0` is out of range"),
        (r#""cost": 6"#, "limits[0].cost: `6` is more than all"),
        (r#""cost": {}"#, "limits[0].cost: not one cost"),
        (
            r#""cost": { "header": "x" }"#,
            "limits[0].cost: not one cost",
        ),
        (
            r#""cost": { "header": "x", "max": 6 }"#,
            "limits[0].cost: `6` is more than all",
        ),
        (
            r#""cost": { "header": "x", "max": 2, "missing": 3 }"#,
            "limits[0].cost.missing: more than `max`",
        ),
        (
            r#""cost": { "body": "0B" }"#,
            "limits[0].cost: not one cost",
        ),
        (
            r#""cost": { "body": "1KiB", "max": 3 }"#,
            "limits[0].cost: not one cost",
        ),
        (
            r#""cost": { "body": "1KiB" }, "count": { "failures": "authentication" }"#,
            "limits[0].cost: known only after",
        ),
        (
            r#""cost": { "injection_score": 3 }"#,
            "limits[0].cost: `injection_score` without `injection`",
        ),
        (
            r#""cost": 3, "algorithm": "token_bucket", "burst": 2"#,
            "limits[0].cost: `3` is more than all",
        ),
        (
            r#""cost": 3, "plans": { "claim": "/p", "quotas": { "low": "2/1h" } }"#,
            "limits[0].cost: `3` is more than all",
        ),
        (
            r#""plans": { "claim": "/p", "quotas": {} }"#,
            "limits[0].plans.quotas: no plans",
        ),
        (
            r#""plans": { "claim": "/p", "quotas": { "gold": "9/2h" } }"#,
            "limits[0].plans.quotas.gold: another window",
        ),
        (
            r#""plans": { "claim": "/p", "quotas": { "gold": "9" } }"#,
            "limits[0].plans.quotas.gold: another window",
        ),
    ]);
    let good = r#""plans": { "claim": "/p", "quotas": { "gold": "9/60m" } }, "key": [{ "claim": "/t" }, { "claim": "/p" }]"#;
    let policy = compile(&policy(good)).unwrap();
    let limit = &policy.limits.limits[0];
    let plans = limit.plans.as_ref().unwrap();
    assert_eq!((plans.place, limit.quotas()), (1, (5, 9)));
    assert_eq!(policy.tokens.providers[0].counted.len(), 2);
}

#[test]
fn keys_as_written() {
    let good = policy(
        r#""key": [{ "client": {} }, { "claim": "a.b" }, { "field": "User", "normalize": "false" }, { "header": "X-A" }]"#,
    );
    let policy = compile(&good).unwrap();
    let named = |name: &[u8]| Named {
        name: name.to_vec(),
        folded: false,
    };
    let limit = &policy.limits.limits[0];
    assert_eq!(
        limit.key,
        [
            KeyPart::CLIENT,
            KeyPart::Claim(b"/a/b".to_vec(), 0),
            KeyPart::Field(named(b"User")),
            KeyPart::Header(named(b"x-a")),
        ]
    );
    assert_eq!(limit.phase(None), Phase::Field);
    assert_eq!(policy.tokens.providers[0].counted, [b"/a/b".to_vec()]);
    assert!(!policy.certificate_parts().any());
}

#[test]
fn properties_of_certificates_are_read_when_a_key_asks() {
    let good = policy(r#""key": [{ "tls": "sha256" }, { "tls": "dns" }]"#);
    let parts = compile(&good).unwrap().certificate_parts();
    assert_eq!(
        (parts.sha256, parts.dns, parts.uri, parts.subject),
        (true, true, false, false)
    );
}
