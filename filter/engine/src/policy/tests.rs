//! The policy language from outside: text and wire agree, every error in one pass, no panic on hostile bytes.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::node::{MAX_DEPTH, Node};
use super::read::{Errors, FromNode, Path};
use super::{Policy, PolicyError};
use crate::request::RequestHead;
use crate::stages::token::{
    HmacAlgorithm, Key, Need, ProviderKind, Secret, SessionFormat, Source, jws,
};

/// The JSON equivalent of `examples/policies/shop.yaml`.
const SHOP: &str = r#"{
  "mode": "enforce",
  "client": { "trusted_hops": 0 },
  "headers": {
    "methods": ["GET", "HEAD", "POST", "PUT", "DELETE"],
    "max": { "count": 100, "bytes": "32KiB", "value": "8KiB", "target": "8KiB", "params": 256, "cookies": 64 },
    "forbid": ["x-original-url", "x-rewrite-url"]
  },
  "tokens": {
    "app": {
      "type": "jwt", "from": "bearer", "issuer": "https://id.example.com", "audiences": ["shop"],
      "keys": [{ "algorithm": "HS256", "env": "PALISADE_JWT_KEY" }],
      "forward": { "x-user": "/sub", "x-roles": "/roles" }
    },
    "session": {
      "type": "session", "from": { "cookie": "sid" }, "format": "v1",
      "keys": [{ "id": "k1", "env": "PALISADE_SESSION_KEY" }], "lifetime": "1h", "bind": ["client"]
    }
  },
  "limits": [
    { "name": "per-client", "key": ["client"], "quota": "100/10m", "algorithm": "sliding_window",
      "penalty": { "after": 100, "ban": "10m" } },
    { "name": "login", "when": { "methods": ["POST"], "path": "/login" }, "key": ["client"], "quota": "5/1h",
      "count": { "status": [401, 403] } }
  ],
  "injection": { "level": 1, "threshold": 5, "inspect": ["target", "headers", "cookies", "body"] },
  "body": { "max": "128KiB" },
  "routes": [
    { "name": "admin", "match": { "path": "/admin/*" }, "token": { "any": ["app"], "roles": ["admin"] } },
    { "name": "account", "match": { "path": "/account/*" }, "token": { "any": ["app", "session"] } },
    { "name": "search", "match": { "path": "/search" }, "token": { "any": ["app"], "optional": true } },
    { "name": "events", "match": { "path": "/events" }, "token": "none", "body": "stream" },
    { "name": "public", "match": { "path": "/*" }, "token": "none" }
  ],
  "responses": { "security_headers": "strict" },
  "events": { "log": "denied", "redact": ["authorization", "cookie", "password"] }
}"#;

fn environment(_: &str) -> Option<Vec<u8>> {
    Some(b"0123456789abcdef0123456789abcdef".to_vec())
}

fn compile(text: &str) -> Result<Policy, Vec<PolicyError>> {
    Policy::from_plugin_bytes(text.as_bytes(), &environment)
}

fn errors(text: &str) -> Vec<String> {
    compile(text)
        .err()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// Writes a tree as a `Struct`, as Envoy does: numbers are doubles.
fn wire(node: &Node) -> Vec<u8> {
    let Node::Map(entries) = node else {
        panic!("a Struct is a map")
    };
    let mut out = Vec::new();
    for (key, value) in entries {
        let mut entry = Vec::new();
        field(&mut entry, 1, key.as_bytes());
        field(&mut entry, 2, &wire_value(value));
        field(&mut out, 1, &entry);
    }
    out
}

fn wire_value(node: &Node) -> Vec<u8> {
    let mut out = Vec::new();
    match node {
        Node::Null => out.extend([0x08, 0]),
        Node::Number(text) => {
            out.push(0x11);
            out.extend(text.parse::<f64>().unwrap().to_le_bytes());
        }
        Node::String(text) => field(&mut out, 3, text.as_bytes()),
        Node::Bool(value) => out.extend([0x20, u8::from(*value)]),
        Node::Map(_) => field(&mut out, 5, &wire(node)),
        Node::List(list) => {
            let mut inner = Vec::new();
            list.iter()
                .for_each(|item| field(&mut inner, 1, &wire_value(item)));
            field(&mut out, 6, &inner);
        }
    }
    out
}

fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7F).unwrap() | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap());
    out.extend(bytes);
}

#[test]
fn the_shop_compiles() {
    let policy = compile(SHOP).unwrap();
    let names: Vec<_> = policy
        .routes
        .iter()
        .map(|route| String::from_utf8_lossy(&route.name))
        .collect();
    assert_eq!(names, ["search", "events", "account", "admin", "public"]);
    let session = &policy.tokens.providers[1];
    assert_eq!(session.from, [Source::Cookie(b"sid".to_vec())]);
    let ProviderKind::Session(rules) = &session.kind else {
        panic!("session")
    };
    assert_eq!(
        (rules.format, rules.lifetime, rules.bind.client.is_some()),
        (SessionFormat::V1, 3600, true)
    );
    assert_eq!(policy.limits.limits[1].statuses, [401, 403]);
    assert_eq!(policy.routes[0].token.need, Need::Optional);
    assert_eq!(
        policy.implied().env,
        ["PALISADE_JWT_KEY", "PALISADE_SESSION_KEY"]
    );
    assert_eq!(policy.implied().keys, 2);
    assert_eq!(
        (policy.limits.sets, policy.implied().table_clients),
        (8192, 65_536)
    );
    assert_eq!(policy.implied().table_bytes, policy.limits.memory_bytes());
}

#[test]
fn text_and_struct_give_the_same_policy() {
    let node = Node::from_json(SHOP).unwrap();
    let bytes = wire(&node);
    assert_eq!(bytes[0], 0x0A);
    let from_wire = Policy::from_plugin_bytes(&bytes, &environment).unwrap();
    // Maps of a `Struct` come sorted: providers and forwarded headers change places, so the text is sorted too.
    let sorted = Node::from_struct_wire(&bytes).unwrap();
    let from_text = Policy::from_node(&sorted, &environment).unwrap();
    assert_eq!(format!("{from_wire:?}"), format!("{from_text:?}"));
    let direct = compile(SHOP).unwrap();
    assert_eq!(
        format!("{:?}", from_wire.limits),
        format!("{:?}", direct.limits)
    );
    assert_eq!(
        format!("{:?}", from_wire.routes),
        format!("{:?}", direct.routes)
    );
    assert_eq!(
        format!("{:?}", from_wire.headers),
        format!("{:?}", direct.headers)
    );
}

#[test]
fn a_line_feed_before_text_is_not_a_struct() {
    for before in ["\n", "\r\n", " \t\n\n"] {
        assert!(compile(&format!("{before}{SHOP}")).is_ok(), "{before:?}");
    }
}

#[test]
fn numbers_and_bools_may_be_text() {
    let text = r#"{ "client": { "trusted_hops": "2.0" }, "headers": { "max": { "count": "50", "bytes": 1024.0 } },
        "limits": [{ "name": 7, "quota": "1/1s", "count": { "status": ["401", 403.0] } }] }"#;
    let policy = compile(text).unwrap();
    assert_eq!(policy.trusted_hops, 2);
    assert_eq!(
        (policy.headers.max.count, policy.headers.max.bytes),
        (50, 1024)
    );
    assert_eq!(policy.limits.limits[0].name, b"7");
    assert_eq!(policy.limits.limits[0].statuses, [401, 403]);
}

#[test]
fn every_error_is_found_in_document_order() {
    let text = r#"{
      "mode": "enforec",
      "heders": {},
      "tokens": {
        "app": { "type": "jwt", "keys": [{ "algorithm": "none", "env": "K" }, { "algorithm": "HS512", "env": "K" }] },
        "old": { "type": "session", "from": { "cookie": "a", "header": "b" }, "keys": [{ "env": "my secret" }] },
        "sid": { "type": "session", "from": { "cookie": "a" }, "format": "colon", "bind": ["client"],
                 "keys": [{ "env": "K" }], "forward": { "X-User": "/sub", "host": "/sub", "x-a": "a..b" } }
      },
      "limits": [{ "name": "a", "quota": "10x" }, { "name": "b", "quota": "1/31d" }, { "name": "b", "quota": "1/1s" }],
      "access": { "deny": ["10.0.0.0/33"], "deny": [], "mode": null },
      "body": { "max": "2MiB" },
      "routes": [{ "match": {} }, { "name": "x", "token": { "any": ["ap", "nobody"], "optional": true, "roles": ["r"] } }]
    }"#;
    let expected = [
        "mode: `enforec` is not a mode; write one of `enforce`, `monitor`",
        "heders: unknown key; did you mean `headers`?",
        "tokens.app.keys[0].algorithm: `none` is not a supported algorithm; write one of `HS256`, `HS384`, `HS512`",
        "tokens.app.keys[1].env: the key in `K` has 32 bytes, HS512 needs at least 64; use a longer random key (RFC 7518 section 3.2)",
        "tokens.old.from: a map is not a place for a credential; write `bearer`, `{ header: NAME }`, `{ cookie: NAME }`, `{ query: NAME }`, or a list of them",
        "tokens.old.keys[0].env: not the name of an environment variable (value not shown); write the name of the variable that holds the key, such as `JWT_KEY`, never the key itself",
        "tokens.sid.bind: the format `colon` cannot be bound; use the format `v1`, or leave `bind` out",
        "tokens.sid.forward.X-User: `X-User` is not a lower-case header name; write a name such as `x-user`",
        "tokens.sid.forward.host: `host` belongs to the connection or the client; write a name of your own such as `x-user`",
        "tokens.sid.forward.x-a: `a..b` is not a JSON Pointer or a dotted name; write a path such as `/sub` or `realm_access.roles`; a name with a dot or a slash of its own needs the pointer: `/a.b~1c`",
        "limits[0].quota: `10x` is not a quota; write a count and a window such as `100/10m`, or a count such as `50` for requests in flight",
        "limits[1].quota: the window is out of range; write a window from `1s` to `30d`",
        "limits[2].name: `b` is taken by an earlier one; give each its own name",
        "access.deny: written more than once; keep one of them",
        "access.deny[0]: `10.0.0.0/33` is not an address or network; write an address such as `203.0.113.7` or a network such as `203.0.113.0/24`",
        "access.mode: empty; write one of `enforce`, `monitor`",
        "body.max: `2097152` bytes are out of range; write a size from `1` to `1024KiB`",
        "routes[0].name: missing; write letters, digits, `-`, `_` or `.`, at most 64, such as `per-client`",
        "routes[1].token.any[0]: `ap` is not a provider of `tokens`; did you mean `app`?",
        "routes[1].token.any[1]: `nobody` is not a provider of `tokens`; write one of `app`, `old`, `sid`",
        "routes[1].token.roles: roles are asked of an optional token; leave `optional` out: a request without a token has no roles",
    ];
    let found = errors(text);
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found, expected, "error {place}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn single_faults() {
    const CASES: &[(&str, &str)] = &[
        ("", "policy: the plugin configuration is empty"),
        (" \n", "policy: the plugin configuration is empty"),
        (
            "[]",
            "policy: the plugin configuration is neither JSON text nor a `Struct`",
        ),
        ("{", "policy: not JSON: EOF while parsing"),
        (
            r#"{"routes": []}"#,
            "routes: an empty list takes no request",
        ),
        (
            r#"{"routes": [{"name": "a"}, {"name": "b"}]}"#,
            "routes[1].match: the same as that of `a`",
        ),
        (
            r#"{"routes": [{"name": "a", "match": {"path": "a"}}]}"#,
            "routes[0].match.path: `a` is not a path",
        ),
        (r#"{"injection": null}"#, "injection: empty"),
        (
            r#"{"injection": {"except": [{}]}}"#,
            "injection.except[0]: excepts everything",
        ),
        (
            r#"{"injection": {"adjust": [{"route": "x", "level": 2}]}}"#,
            "injection.adjust[0].route: `x` is not a route",
        ),
        (
            r#"{"injection": {"adjust": [{"classes": ["xss"]}]}}"#,
            "injection.adjust[0]: adjusts nothing",
        ),
        (
            r#"{"injection": {"except": [{"name": "a", "field": "x"}, {"name": "a", "field": "y"}]}}"#,
            "injection.except[1].name: `a` is taken by an earlier one",
        ),
        (
            r#"{"injection": {"except": [{"field": "x", "expires": "tomorrow"}]}}"#,
            "injection.except[0].expires: `tomorrow`",
        ),
        (
            r#"{"injection": {"except": [{"route": "x"}]}}"#,
            "injection.except[0].route: `x` is not a route",
        ),
        (
            r#"{"injection": {"level": 5}}"#,
            "injection.level: `5` is out of range; write a whole number from 1 to 4",
        ),
        (
            r#"{"injection": {"level": 1.5}}"#,
            "injection.level: `1.5` is not a whole number",
        ),
        (
            r#"{"injection": {"patterns": [{"name": "a", "pattern": "(?=a)"}]}}"#,
            "injection.patterns[0].pattern: `(?=a)`",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": "5/1m", "algorithm": "exact_log"}]}"#,
            "limits[0].algorithm: `exact_log` is not an algorithm of limits; write `sliding_window`: it keeps an exact log",
        ),
        (
            r#"{"table": {"clients": 524288, "ways": 4}}"#,
            "table.clients: `524288` is too many for 4 ways; write at most 262144, or more `ways`",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": "5/1m", "algorithm": "leaky"}]}"#,
            "limits[0].algorithm: `leaky` is not an algorithm of limits; write one of",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": "5/1m", "algorithm": "token_bucket"}]}"#,
            "limits[0].burst: missing; write how many may come at once",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": "5/1m", "algorithm": "concurrency"}]}"#,
            "limits[0].quota: `concurrency` has no window; write how many may be in flight at a time, such as `50`",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": 50}]}"#,
            "limits[0].quota: without a window; write a count and a window such as `100/10m`; a count alone goes with `algorithm: concurrency`",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": 50, "algorithm": "concurrency", "penalty": {"after": 3, "ban": "1h"}}]}"#,
            "limits[0].penalty: refusals are counted in a window",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": 50, "algorithm": "concurrency", "count": {"status": [401]}}]}"#,
            "limits[0].count: a request in flight has no outcome yet",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": 50, "algorithm": "concurrency", "burst": 3}]}"#,
            "limits[0].burst: only a `token_bucket` has a burst",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": 50, "algorithm": "concurrency", "lease": 5}]}"#,
            "limits[0].lease: places in flight are taken one by one",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": "5/1m", "lease": 6}]}"#,
            "limits[0].lease: more than the quota",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": "9/1m", "algorithm": "token_bucket", "burst": 3, "lease": 4}]}"#,
            "limits[0].lease: more than the burst",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": "5/1m", "lease": 1}]}"#,
            "limits[0].lease: `1` is out of range",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": "5/1m", "burst": 3}]}"#,
            "limits[0].burst: only a `token_bucket` has a burst",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": "1/1m", "penalty": {"after": 0, "ban": "31d"}}]}"#,
            "limits[0].penalty.after: `0`",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": "1/1m", "penalty": {"after": 1, "ban": "31d"}}]}"#,
            "limits[0].penalty.ban: out of range",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": "1/1m", "penalty": {"after": 1, "ban": "1h", "decay": "1ms"}}]}"#,
            "limits[0].penalty.decay: out of range",
        ),
        (
            r#"{"limits": [{"name": "a", "quota": "1/1m", "penalty": {"after": 1, "ban": "1h", "scope": "subject"}}]}"#,
            "limits[0].penalty.scope: the subject is not known yet",
        ),
        (
            r#"{"signals": {"ban": [{"on": "limits", "window": "1m", "for": "1h"}]}}"#,
            "signals.ban[0]: needs one of `after` and `score`",
        ),
        (
            r#"{"signals": {"ban": [{"on": "limits", "score": 9, "window": "1m", "for": "1h"}]}}"#,
            "signals.ban[0].score: only attacks have points",
        ),
        (
            r#"{"signals": {"ban": [{"on": "injection", "after": 1, "window": "1m", "for": "31d"}]}}"#,
            "signals.ban[0].for: out of range",
        ),
        (
            r#"{"signals": {"ban": [{"on": "authentication", "after": 1, "window": "1m", "for": "1h", "scope": "subject"}]}}"#,
            "signals.ban[0].scope: a credential that is not right has no subject",
        ),
        (
            r#"{"signals": {"ban": [{"on": "limits", "after": 1, "window": "1m", "for": "1h"}, {"on": "limits", "after": 2, "window": "1m", "for": "1h"}]}}"#,
            "signals.ban[1]: the same cause and scope",
        ),
        (
            r#"{"headers": {"methods": ["get"]}}"#,
            "headers.methods[0]: `get` is not a method",
        ),
        (
            r#"{"tokens": {"a": {"type": "session", "from": "bearer", "keys": [{"env": "K"}]}}}"#,
            "tokens: no route takes",
        ),
        (
            r#"{"tokens": {"a": {"type": "jwt", "from": [], "keys": [{"algorithm": "HS256", "env": "K"}]}}}"#,
            "tokens.a.from: an empty list",
        ),
        (
            r#"{"tokens": {"a": {"type": "jwt", "from": ["bearer", "bearer"], "keys": [{"algorithm": "HS256", "env": "K"}]}}}"#,
            "tokens.a.from[1]: a place that is named before",
        ),
        (
            r#"{"tokens": {"a": {"type": "jwt", "from": {"cookie": "a", "prefix": "b"}, "keys": [{"algorithm": "HS256", "env": "K"}]}}}"#,
            "tokens.a.from: a map is not a place for a credential",
        ),
        (
            r#"{"tokens": {"a": {"type": "jwt", "claims": [{"claim": "a"}], "keys": [{"algorithm": "HS256", "env": "K"}]}}}"#,
            "tokens.a.claims[0]: a rule that asks nothing",
        ),
        (
            r#"{"tokens": {"a": {"type": "jwt", "claims": [{"claim": "https://a.b/c", "exists": true}], "keys": [{"algorithm": "HS256", "env": "K"}]}}}"#,
            "tokens.a.claims[0].claim: `https://a.b/c` is not a JSON Pointer or a dotted name",
        ),
        (
            r#"{"tokens": {"a": {"type": "jwt", "claims": [{"claim": "a", "one_of": []}], "keys": [{"algorithm": "HS256", "env": "K"}]}}}"#,
            "tokens.a.claims[0].one_of: an empty list",
        ),
        (
            r#"{"tokens": {"a": {"type": "jwt", "claims": [{"claim": "a", "exists": true, "min": "0x1"}], "keys": [{"algorithm": "HS256", "env": "K"}]}}}"#,
            "tokens.a.claims[0].min: `0x1` is not a number",
        ),
        (
            r#"{"tokens": {"a": {"type": "jwt", "forward": {"x-a": {"claim": "", "as": "list"}}, "keys": [{"algorithm": "HS256", "env": "K"}]}}}"#,
            "tokens.a.forward.x-a.as: a payload is no scalar and no list",
        ),
        (
            r#"{"tokens": {"a": {"type": "session", "from": {"cookie": "a"}, "format": "colon", "claims": [{"claim": "a", "equals": 1}], "keys": [{"env": "K"}]}}}"#,
            "tokens.a.claims: the format `colon` has no claims",
        ),
        (
            r#"{"tokens": {"a": {"type": "jwt", "keys": [{"algorithm": "HS256", "env": "K"}]}},
                "routes": [{"name": "r", "token": {"any": ["a"], "all": ["a"]}}]}"#,
            "routes[0].token.all: `any` is written too",
        ),
        (
            r#"{"tokens": {"a": {"type": "jwt", "keys": [{"algorithm": "HS256", "env": "K"}]}},
                "routes": [{"name": "r", "token": {"any": ["a"], "optional": true, "scopes": ["x"]}}]}"#,
            "routes[0].token.scopes: scopes are asked of an optional token",
        ),
        (
            r#"{"tokens": {"a": {"type": "jwt", "keys": [{"algorithm": "HS256", "env": "K"}]}},
                "routes": [{"name": "r", "token": {"any": ["a"], "scopes": ["read write"]}}]}"#,
            "routes[0].token.scopes[0]: `read write` is not a scope",
        ),
        (
            r#"{"tokens": {"a": {"type": "jwt", "keys": [{"algorithm": "HS256", "env": "K"}]},
                           "b": {"type": "jwt", "from": {"header": "authorization", "prefix": "JWT"}, "keys": [{"algorithm": "HS256", "env": "K"}]}},
                "routes": [{"name": "r", "token": {"all": ["a", "b"]}}]}"#,
            "routes[0].token.all[1]: `b` and `a` read the same place",
        ),
        (
            r#"{"tokens": {"a": {"type": "jwt", "forward": {"x-u": "sub"}, "keys": [{"algorithm": "HS256", "env": "K"}]},
                           "b": {"type": "jwt", "from": {"query": "t"}, "forward": {"x-u": "sub"}, "keys": [{"algorithm": "HS256", "env": "K"}]}},
                "routes": [{"name": "r", "token": {"all": ["a", "b"]}}]}"#,
            "routes[0].token.all[1]: `b` and `a` both set `x-u`",
        ),
        (
            r#"{"tokens": {"a": {"type": "x"}}}"#,
            "tokens.a.type: `x` is not a type of token",
        ),
    ];
    for (text, expected) in CASES {
        let found = errors(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with(expected), "{text}: {}", found[0]);
    }
    assert!(
        errors(r#"{"limits": [{"name": "a", "quota": "9/1m", "algorithm": "token_bucket", "burst": 3}]}"#)
            .is_empty()
    );
    for quota in ["50", "\"50\"", "50.0", "\"50.0\""] {
        let text = format!(
            r#"{{"limits": [{{"name": "a", "quota": {quota}, "algorithm": "concurrency"}}]}}"#
        );
        assert!(errors(&text).is_empty(), "{text}");
    }
    assert!(errors(r#"{"body": {"max": "1MiB"}}"#).is_empty());
    assert_eq!(errors(r#"{"body": {"max": 1048577}}"#).len(), 1);
    assert!(errors(r#"{"limits": [{"name": "a", "quota": "1/30d"}]}"#).is_empty());
}

#[test]
fn secrets_are_never_shown() {
    let text = r#"{"tokens": {"a": {"type": "jwt", "keys": [{"algorithm": "HS256", "env": "K", "encoding": "hex"}]}}}"#;
    for value in [
        &b"hunter2"[..],
        b"hunter2hunter2hunter2hunter2hunter2",
        b"",
        b"\xFF",
    ] {
        let lookup = |_: &str| Some(value.to_vec());
        let found = Policy::from_plugin_bytes(text.as_bytes(), &lookup).unwrap_err();
        assert!(
            found
                .iter()
                .any(|error| error.path == "tokens.a.keys[0].env"),
            "{found:?}"
        );
        assert!(!format!("{found:?}").contains("hunter"), "{found:?}");
    }
    let missing = Policy::from_plugin_bytes(text.as_bytes(), &|_| None).unwrap_err();
    assert!(missing[0].problem.contains("`K` is not set"), "{missing:?}");
    let checked = Policy::check(&Node::from_json(SHOP).unwrap()).unwrap();
    let ProviderKind::Jwt(jwt) = &checked.tokens.providers[0].kind else {
        panic!("jwt")
    };
    assert!(jwt.keys.is_empty(), "an assumed key must verify nothing");
}

/// A sealed secret is the secret; what cannot be opened says which key of the policy is wrong, and shows nothing.
#[test]
fn sealed_secrets() {
    use crate::policy::sealed::{SealKey, seal};
    const OPENER: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    const SECRET: &[u8] = b"hunter2-hunter2-hunter2-hunter2-";
    let opener = SealKey::parse(OPENER.as_bytes()).unwrap();
    let sealed = |secret: &[u8]| seal(&opener, [7; 16], 0, secret);
    let policy = |sealed: &str, more: &str| {
        format!(
            r#"{{"tokens": {{"a": {{"type": "jwt", "keys": [{{"algorithm": "HS256", "env": "POLICY_KEY", "sealed": "{sealed}"{more}}}]}},
                "b": {{"type": "session", "from": {{"cookie": "sid"}}, "keys": [{{"env": "POLICY_KEY", "sealed": "{sealed}"{more}}}]}}}},
                "routes": [{{"name": "r", "token": {{"any": ["a", "b"]}}}}]}}"#
        )
    };
    let compile = |text: &str, opener: &str| {
        let opener = opener.as_bytes().to_vec();
        Policy::from_plugin_bytes(text.as_bytes(), &|name| {
            (name == "POLICY_KEY").then(|| opener.clone())
        })
    };
    let good = compile(&policy(&sealed(SECRET), ""), OPENER).unwrap();
    assert_eq!(good.implied().env, ["POLICY_KEY"]);
    let key = Key::new(None, HmacAlgorithm::Sha256, &Secret(SECRET.to_vec())).unwrap();
    let token = jws::mint(&key, "{}");
    let ProviderKind::Jwt(jwt) = &good.tokens.providers[0].kind else {
        panic!("jwt")
    };
    assert!(
        jws::verify_compact(
            &jwt.keys,
            &mut crate::env::MemoryStore::default(),
            token.as_bytes()
        )
        .is_ok()
    );
    let hex = b"68756e746572322d68756e746572322d68756e746572322d68756e746572322d";
    assert!(compile(&policy(&sealed(hex), r#", "encoding": "hex""#), OPENER).is_ok());

    let altered = sealed(SECRET).replace("gAAAAAAAAAAAB", "gAAAAAAAAAAAC");
    let other = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let long = "g".repeat(20_000);
    for (token, more, opener, path, said) in [
        (
            sealed(SECRET).as_str(),
            "",
            other,
            "sealed",
            "the key in `POLICY_KEY` does not open it",
        ),
        (&altered, "", OPENER, "sealed", "another key, or altered"),
        (
            &sealed(SECRET),
            "",
            "hunter2",
            "env",
            "not a key that opens sealed secrets",
        ),
        (
            &sealed(b"hunter2"),
            "",
            OPENER,
            "sealed",
            "the key in `sealed` has 7 bytes",
        ),
        (
            &sealed(b"hunter2!"),
            r#", "encoding": "hex""#,
            OPENER,
            "sealed",
            "the value of `sealed` is not in the encoding",
        ),
        ("gAAAA", "", OPENER, "sealed", "not a sealed secret"),
        ("hunter2", "", OPENER, "sealed", "not a sealed secret"),
        ("gAAAAhunter 2", "", OPENER, "sealed", "not a sealed secret"),
        (&long, "", OPENER, "sealed", "not a sealed secret"),
    ] {
        let found = compile(&policy(token, more), opener).unwrap_err();
        for provider in ["a", "b"] {
            let path = format!("tokens.{provider}.keys[0].{path}");
            let error = found.iter().find(|error| error.path == path);
            let error = error.unwrap_or_else(|| panic!("{path}: {found:?}"));
            assert!(error.problem.contains(said), "{said}: {error}");
        }
        let shown = format!("{found:?}");
        assert!(
            !shown.contains("hunter") && !shown.contains(opener),
            "{shown}"
        );
    }
    let missing = Policy::from_plugin_bytes(policy(&sealed(SECRET), "").as_bytes(), &|_| None);
    assert!(
        missing.unwrap_err()[0]
            .problem
            .contains("`POLICY_KEY` is not set")
    );
}

#[test]
fn routes_are_chosen_by_specificity() {
    let text = r#"{"routes": [
        {"name": "all"}, {"name": "any", "match": {"path": "/*"}}, {"name": "a", "match": {"path": "/a/*"}},
        {"name": "a-post", "match": {"path": "/a/*", "methods": ["POST"]}},
        {"name": "a-host", "match": {"path": "/a/*", "hosts": ["Shop.example.com", "*.shop.test"]}},
        {"name": "ab", "match": {"path": "/a/b"}}, {"name": "abc", "match": {"path": "/a/b/*"}},
        {"name": "v6", "match": {"path": "/v6", "hosts": ["[::1]"]}}
    ]}"#;
    let policy = compile(text).unwrap();
    const CASES: &[(&str, &str, &str, &str)] = &[
        ("GET", "x", "/", "any"),
        ("GET", "x", "/a", "a"),
        ("GET", "x", "/a/x", "a"),
        ("POST", "x", "/a/x", "a-post"),
        ("POST", "shop.example.com:8443", "/a/x", "a-host"),
        ("GET", "SHOP.example.com.", "/a/x", "a-host"),
        ("GET", "eu.shop.test", "/a/x", "a-host"),
        ("GET", "shop.test", "/a/x", "a"),
        ("GET", ".shop.test", "/a/x", "a"),
        ("GET", "evilshop.test", "/a/x", "a"),
        ("GET", "x", "/a/b", "ab"),
        ("GET", "x", "/a/b/c", "abc"),
        ("GET", "[::1]:80", "/v6", "v6"),
        ("GET", "[::1]", "/v6", "v6"),
        ("GET", "[::2]", "/v6", "any"),
        ("GET", ":", "/v6", "any"),
    ];
    for (method, host, path, expected) in CASES {
        let pairs = [
            (":method", *method),
            (":authority", *host),
            (":path", *path),
        ];
        let head = RequestHead::decode(
            pairs
                .iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
        );
        let name = policy
            .route_of(&head)
            .map(|index| policy.routes[index].name.clone());
        assert_eq!(
            name.as_deref(),
            Some(expected.as_bytes()),
            "{method} {host}{path}"
        );
    }
}

#[test]
fn depth_is_bounded() {
    for (depth, fits) in [(MAX_DEPTH, true), (MAX_DEPTH + 1, false)] {
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(Node::from_json(&text).is_ok(), fits, "{depth}");
        // The same in a `Struct`: the outer map, then lists.
        let mut value = wire_value(&Node::List(Vec::new()));
        for _ in 2..depth {
            let mut inner = Vec::new();
            field(&mut inner, 1, &value);
            value = Vec::new();
            field(&mut value, 6, &inner);
        }
        let mut entry = Vec::new();
        field(&mut entry, 1, b"a");
        field(&mut entry, 2, &value);
        let mut bytes = Vec::new();
        field(&mut bytes, 1, &entry);
        assert_eq!(Node::from_struct_wire(&bytes).is_ok(), fits, "{depth}");
    }
}

#[test]
fn hostile_bytes_never_panic() {
    let text = SHOP.as_bytes().to_vec();
    let wire = wire(&Node::from_json(SHOP).unwrap());
    for whole in [text, wire] {
        for cut in 0..whole.len() {
            assert!(
                Policy::from_plugin_bytes(&whole[..cut], &environment).is_err() || whole[0] == 0x0A
            );
        }
        for at in (0..whole.len()).step_by(3) {
            for value in [0x00, 0x0A, 0x22, 0x7B, 0x7F, 0x80, 0xFF] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = Policy::from_plugin_bytes(&bytes, &environment);
            }
        }
    }
}

/// Every default reads as a value of its own type, and the checked-in schema is the one the types give.
#[test]
fn the_schema_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/policy.schema.json");
    let current = format!(
        "{}\n",
        serde_json::to_string_pretty(&Policy::schema()).unwrap()
    );
    if std::env::var_os("PALISADE_UPDATE").is_some() {
        std::fs::write(path, &current).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == current,
        "stale schema: run the test with PALISADE_UPDATE=1"
    );
    assert!(compile("{}").is_ok());
}

/// Credentials that the policy lists: each refusal says what to write instead, and never shows what is stored.
#[test]
fn faults_of_listed_credentials() {
    const HEX: &str = "869a511c65e22199acdeaf0893906e2935eb6862d16c0c4c304653edd4e0e90e";
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    const STORED: &str =
        "pbkdf2-sha256$4096$c2FsdC1vZi1hbGljZS0wMA==$VJsqdRBetNEGICxy9aKLAGOcVQDunTM282Y5TGgnT+0=";
    let policy = |token: &str| {
        format!(
            r#"{{ "tokens": {{ "t": {token} }}, "routes": [{{ "name": "all", "token": {{ "any": ["t"] }} }}] }}"#
        )
    };
    let keys = |key: &str| {
        policy(&format!(
            r#"{{ "type": "api_key", "from": {{ "header": "x-key" }}, "keys": [{key}], "forward": {{ "x-a": "/sub" }} }}"#
        ))
    };
    let user = |password: &str| {
        policy(&format!(
            r#"{{ "type": "basic", "users": [{{ "name": "a", "password": "{password}" }}] }}"#
        ))
    };
    let rule = |rule: &str| {
        policy(&format!(
            r#"{{ "type": "certificate", "rules": [{rule}] }}"#
        ))
    };
    let pbkdf2 =
        |count: &str, salt: &str, hash: &str| user(&format!("pbkdf2-sha256${count}${salt}${hash}"));
    const SALT: &str = "c2FsdC1vZi1hbGljZS0wMA==";
    const HASH: &str = "VJsqdRBetNEGICxy9aKLAGOcVQDunTM282Y5TGgnT+0=";
    let cases = [
        (
            r#"{ "tokens": { "t": { "type": "hmac", "scheme": "github", "keys": [{ "env": "SESSION_KEY" }] } },
                "routes": [{ "name": "all", "body": "stream", "token": { "any": ["t"] } }] }"#
                .to_owned(),
            "routes[0].body: `stream` with a provider that verifies the body: none that streams is ever held",
        ),
        (
            keys(&format!(r#"{{ "id": "a", "sha256": "{EMPTY}" }}"#)),
            "tokens.t.keys[0].sha256: the hash of ``, which everybody tries",
        ),
        (
            keys(&format!(r#"{{ "id": "a", "sha256": "{SECRET}" }}"#)),
            "tokens.t.keys[0].sha256: the hash of `secret`, which everybody tries",
        ),
        (
            keys(r#"{ "id": "a", "sha256": "acme-key" }"#),
            "tokens.t.keys[0].sha256: not a SHA-256 (value not shown)",
        ),
        (
            keys(&format!(
                r#"{{ "id": "a", "sha256": "{HEX}" }}, {{ "id": "b", "sha256": "{}" }}"#,
                HEX.to_uppercase()
            )),
            "tokens.t.keys[1].sha256: the hash of an earlier key",
        ),
        (
            keys(&format!(
                r#"{{ "id": "a", "sha256": "{HEX}", "expires": "2027-02-29" }}"#
            )),
            "tokens.t.keys[0].expires: `2027-02-29` is not a day or a time",
        ),
        (
            keys(&format!(r#"{{ "id": " a", "sha256": "{HEX}" }}"#)),
            "tokens.t.keys[0]: what `forward` takes of it cannot stand in a header",
        ),
        (
            keys(&format!(
                r#"{{ "id": "a", "sha256": "{HEX}", "scopes": ["a b"] }}"#
            )),
            "tokens.t.keys[0].scopes: a scope with a blank in it",
        ),
        (keys(""), "tokens.t.keys: an empty list"),
        (
            policy(r#"{ "type": "basic" }"#),
            "tokens.t.users: an empty list",
        ),
        (
            user("$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC"),
            "tokens.t.users[0].password: `$2y$` is not accepted (value not shown); it is made to be slow",
        ),
        (
            user("$argon2id$v=19$m=1,t=1,p=1$YQ$YQ"),
            "tokens.t.users[0].password: `$argon2id$` is not accepted (value not shown); it is made to be slow",
        ),
        (
            user("{SHA}tESsBmE/yNY3lb6a0L6vVQEZNqw="),
            "tokens.t.users[0].password: `{SHA}` is not accepted (value not shown); SHA-1 is broken",
        ),
        (
            user("$apr1$0vAnUTEB$4EJJr0GR3y48WF2AiieWs."),
            "tokens.t.users[0].password: `$apr1$` is not accepted (value not shown); MD5 is broken",
        ),
        (
            user("hunter2"),
            "tokens.t.users[0].password: not a stored password (value not shown)",
        ),
        (
            user(&format!("sha256:{SECRET}")),
            "tokens.t.users[0].password: the hash of `secret`, which everybody tries",
        ),
        (
            pbkdf2("100000", SALT, HASH),
            "tokens.t.users[0].password: `100000` iterations are out of range; write 1000 to 10000: a check holds its worker",
        ),
        (
            pbkdf2("999", SALT, HASH),
            "tokens.t.users[0].password: `999` iterations are out of range",
        ),
        (
            pbkdf2("+1000", SALT, HASH),
            "tokens.t.users[0].password: the iterations are not a number",
        ),
        (
            pbkdf2("1000", "c2FsdA==", HASH),
            "tokens.t.users[0].password: the salt is not 8 to 48 bytes",
        ),
        (
            pbkdf2("1000", SALT, "YQ=="),
            "tokens.t.users[0].password: the hash is not 32 bytes",
        ),
        (
            policy(&format!(
                r#"{{ "type": "basic", "users": [{{ "name": "a", "password": "{STORED}" }}], "htpasswd": "a:{STORED}" }}"#
            )),
            "tokens.t.htpasswd: `a` is written twice",
        ),
        (
            policy(r#"{ "type": "basic", "htpasswd": "\n# x\nuser1{SHA}x" }"#),
            "tokens.t.htpasswd: line 3: has no colon",
        ),
        (
            policy(r#"{ "type": "basic", "htpasswd": ":{SHA256}x" }"#),
            "tokens.t.htpasswd: line 1: names nobody",
        ),
        (
            policy(&format!(
                r#"{{ "type": "basic", "realm": "a\"b", "htpasswd": "a:{STORED}" }}"#
            )),
            "tokens.t.realm: `a\"b` is not a realm",
        ),
        (
            policy(&format!(
                r#"{{ "type": "basic", "cache": "2h", "htpasswd": "a:{STORED}" }}"#
            )),
            "tokens.t.cache: `7200000ms` is out of range",
        ),
        (
            rule(r#"{ "match": {} }"#),
            "tokens.t.rules[0].match: fits every certificate",
        ),
        (
            rule(r#"{ "match": { "uri": "spiffe://*/web" } }"#),
            "tokens.t.rules[0].match.uri: `spiffe://*/web` is not a URI",
        ),
        (
            rule(r#"{ "match": { "uri": "spiffe://td/we*" } }"#),
            "tokens.t.rules[0].match.uri: `spiffe://td/we*` is not a URI",
        ),
        (
            rule(r#"{ "match": { "dns": "*.com" } }"#),
            "tokens.t.rules[0].match.dns: `*.com` is not a DNS name",
        ),
        (
            rule(r#"{ "match": { "dns": "a.*.com" } }"#),
            "tokens.t.rules[0].match.dns: `a.*.com` is not a DNS name",
        ),
        (
            rule(r#"{ "match": { "sha256": "ab" } }"#),
            "tokens.t.rules[0].match.sha256: `ab` is not a SHA-256 in hex",
        ),
    ];
    for (text, expected) in &cases {
        let found = errors(text);
        assert!(
            found
                .first()
                .is_some_and(|first| first.starts_with(expected)),
            "{expected}: {found:#?}"
        );
        let shown = found.join("\n");
        for hidden in ["hunter2", "acme-key", HASH, SALT, "0BRqC", "tESsBmE"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
    for good in [
        keys(&format!(
            r#"{{ "id": "a", "sha256": "{HEX}", "expires": "2028-02-29T23:59:60.5-01:30" }}"#
        )),
        user(STORED),
        rule(r#"{ "match": { "uri": "spiffe://td/ns/*/sa/*", "dns": "*.a.b" } }"#),
    ] {
        let policy = compile(&good).unwrap();
        let shown = format!("{policy:?}");
        for hidden in [HASH, "84, 155, 42", "134, 154, 81"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
}

/// A provider, and a route for it.
const PROVIDER: &str = r#""tokens": {"t": {"type": "jwt", "keys": [{"algorithm": "HS256", "env": "SESSION_KEY"}]}},
    "routes": [{"name": "all", "token": {"any": ["t"]}}]"#;

/// What looks at who was verified, where nobody ever is.
#[test]
fn limits_that_would_never_count() {
    let limit = |rest: &str| {
        alloc::format!(r#"{{ "limits": [{{ "name": "a", "quota": "5/1h", {rest} }}] }}"#)
    };
    for (rest, expected) in [
        (r#""key": ["subject"]"#, "limits[0].key: who was verified"),
        (
            r#""key": ["client", {"claim": "/tenant"}]"#,
            "limits[0].key: who was verified",
        ),
        (
            r#""when": {"subject": "required"}"#,
            "limits[0].when.subject: `required`",
        ),
        (
            r#""plans": {"claim": "/plan", "quotas": {"gold": "9/1h"}}"#,
            "limits[0].plans: by a claim",
        ),
    ] {
        let text = limit(rest);
        let found = errors(&text);
        assert!(found[0].starts_with(expected), "{expected}: {found:#?}");
        let good = text.replacen('{', &alloc::format!("{{ {PROVIDER},"), 1);
        assert!(compile(&good).is_ok(), "{good}: {:?}", compile(&good).err());
    }
    let both = r#""key": ["subject"], "when": {"subject": "none"}"#;
    let both = limit(both).replacen('{', &alloc::format!("{{ {PROVIDER},"), 1);
    let found = errors(&both);
    assert!(
        found[0].starts_with("limits[0].key: who was verified, and `when.subject: none`"),
        "{found:#?}"
    );
    // One counter for all of them was asked for.
    assert!(compile(&limit(r#""key": ["subject"], "missing": "count""#)).is_ok());
}

/// Bans that follow from what the policy never tells of.
#[test]
fn signals_that_nothing_gives() {
    for (on, more) in [
        ("injection", r#""injection": {}"#),
        ("authentication", PROVIDER),
        ("limits", r#""limits": [{ "name": "a", "quota": "5/1h" }]"#),
    ] {
        let signals = alloc::format!(
            r#""signals": {{ "ban": [{{ "on": "{on}", "after": 3, "window": "1m", "for": "1h" }}] }}"#
        );
        let found = errors(&alloc::format!("{{ {signals} }}"));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].starts_with("signals.ban[0].on: nothing"),
            "{found:#?}"
        );
        let good = alloc::format!("{{ {signals}, {more} }}");
        assert!(compile(&good).is_ok(), "{on}: {:?}", compile(&good).err());
    }
}

/// YAML readers make booleans of `on` and `off`: where a word is expected they are words.
#[test]
fn off_is_a_word() {
    use crate::stages::limits::Shown;
    let shown = |word: &str| {
        let text = alloc::format!(
            r#"{{ "limits": [{{ "name": "a", "quota": "5/1h", "headers": {word} }}] }}"#
        );
        compile(&text).map(|policy| policy.limits.limits[0].telling.shown)
    };
    for word in [r#""off""#, "false"] {
        assert_eq!(shown(word).unwrap(), Shown::Never, "{word}");
    }
    for word in ["true", r#""false""#, r#""on""#, "0"] {
        assert!(shown(word).is_err(), "{word}");
    }
}

#[test]
fn limits_on_failures() {
    let limit =
        |rest: &str| format!(r#"{{ "limits": [{{ "name": "a", "quota": "5/1h", {rest} }}] }}"#);
    for (rest, expected) in [
        (r#""count": {}"#, "limits[0].count: counts nothing"),
        (
            r#""count": { "status": [401], "failures": "authentication" }"#,
            "limits[0].count: counts two things",
        ),
        (
            r#""count": { "status": [] }"#,
            "limits[0].count.status: an empty list",
        ),
        (
            r#""count": { "failures": "all" }"#,
            "limits[0].count.failures: `all` is not a kind of failure",
        ),
        (
            r#""key": ["account"]"#,
            "limits[0].key: `account` without `count",
        ),
        (
            r#""key": ["subject"], "count": { "failures": "authentication" }"#,
            "limits[0].key: what is known only after",
        ),
        (
            r#""key": [{ "field": "u" }], "count": { "failures": "authentication" }"#,
            "limits[0].key: what is known only after",
        ),
    ] {
        let found = errors(&limit(rest));
        assert!(found[0].starts_with(expected), "{expected}: {found:#?}");
    }
    let good = r#""key": ["client", "account"], "count": { "failures": "authentication" }"#;
    let never = errors(&limit(good));
    assert!(
        never[0].starts_with("limits[0].count.failures: failed authentications, and no provider"),
        "{never:#?}"
    );
    let good = limit(good).replacen('{', &alloc::format!("{{ {PROVIDER},"), 1);
    assert!(compile(&good).unwrap().limits.limits[0].failures);
}

#[test]
fn days_and_times() {
    let read = |text: &str| {
        let mut errors = Errors::default();
        let node = Node::String(text.to_owned());
        super::values::Time::read(&node, &Path::default(), &mut errors).map(|time| time.0)
    };
    for (text, seconds) in [
        ("1970-01-01", Some(0)),
        ("2000-02-29", Some(951_782_400)),
        ("2000-03-01", Some(951_868_800)),
        ("2027-01-01", Some(1_798_761_600)),
        ("2100-03-01", Some(4_107_542_400)),
        ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
        ("2027-01-01T01:30:00+01:30", Some(1_798_761_600)),
        ("2026-12-31t22:30:00.999-01:30", Some(1_798_761_600)),
        ("2027-01-01 00:00:01z", Some(1_798_761_601)),
        ("2100-02-29", None),
        ("2027-13-01", None),
        ("2027-00-01", None),
        ("2027-1-1", None),
        ("2027-01-01T00:00:00", None),
        ("2027-01-01T24:00:00Z", None),
        ("2027-01-01T00:00:00.Z", None),
        ("2027-01-01T00:00:00+1:30", None),
        ("2027-01-01Z", None),
        ("1969-12-31", None),
        ("+027-01-01", None),
        ("next year", None),
        ("", None),
    ] {
        assert_eq!(read(text), seconds, "{text}");
    }
}

/// RFC 8725 §2.1: a public key that stands where a secret is expected verifies what anybody signs with it.
#[test]
fn a_public_key_is_no_secret() {
    let pem = "\n-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAQ/dxUkVd5oTsT7LPYY3PprDdz0wy8WCNkW2FxXLqyjA=\n-----END PUBLIC KEY-----";
    for provider in [
        r#"{ "type": "jwt", "keys": [{ "algorithm": "HS256", "env": "K" }] }"#,
        r#"{ "type": "session", "from": { "cookie": "a" }, "keys": [{ "env": "K" }] }"#,
        r#"{ "type": "message_signature", "keys": [{ "algorithm": "HS256", "env": "K", "id": "a" }] }"#,
    ] {
        let text = alloc::format!(
            r#"{{ "tokens": {{ "app": {provider} }}, "routes": [{{ "name": "all", "token": {{ "any": ["app"] }} }}] }}"#
        );
        let judged = |secret: &str| {
            let secrets = |_: &str| Some(secret.as_bytes().to_vec());
            Policy::from_plugin_bytes(text.as_bytes(), &secrets)
        };
        assert!(judged(&"x".repeat(64)).is_ok(), "{provider}");
        let shown = alloc::format!("{:?}", judged(pem).unwrap_err());
        assert!(shown.contains("PEM") && !shown.contains("MCow"), "{shown}");
    }
}

/// Whom a ban stops, how long it gets, and what that takes.
#[test]
fn penalties() {
    use crate::stages::limits::Scope;
    let text = r#"{"table": {"bans": 64}, PROVIDER, "limits": [
        {"name": "a", "quota": "1/1m", "penalty": {"after": 1, "ban": "8d"}, "mode": "monitor"},
        {"name": "b", "quota": "1/2m", "key": ["client", "subject"], "penalty": {"after": 1, "ban": "1h", "max": "1s", "escalate": 2}},
        {"name": "c", "quota": "1/1m", "penalty": {"after": 1, "ban": "1h", "scope": "route"}},
        {"name": "d", "quota": "1/1m", "key": ["subject"], "penalty": {"after": 1, "ban": "1h", "scope": "client"}},
        {"name": "e", "quota": "1/1m"}]}"#
        .replace("PROVIDER", PROVIDER);
    let policy = compile(&text).unwrap();
    let penalty = |at: usize| policy.limits.limits[at].penalty;
    let scopes = [0, 1, 2, 3].map(|at| penalty(at).unwrap().scope);
    assert_eq!(
        scopes,
        [Scope::Client, Scope::Subject, Scope::Route, Scope::Client]
    );
    let days = 86_400_000;
    assert_eq!(penalty(0).unwrap().max.ms, 8 * days, "never below `ban`");
    let second = penalty(1).unwrap();
    assert_eq!((second.max, second.window.ms), (second.ban, 120_000));
    assert!(penalty(4).is_none());
    let bans = &policy.limits.bans;
    assert!(bans.clients && bans.subjects && bans.enforces);
    assert_eq!(
        (policy.implied.table_sets, policy.implied.bans),
        (8192, 8192)
    );
    assert_eq!(policy.implied.table_bytes, policy.limits.memory_bytes());
    // A table for few clients grows to hold the bans.
    let few = text.replace(r#""bans": 64"#, r#""bans": 600, "clients": 64"#);
    let policy = compile(&few).unwrap();
    assert_eq!((policy.implied.table_sets, policy.implied.bans), (64, 640));
    assert_eq!((policy.limits.sets, policy.limits.bans.sets), (64, 64));
    let one = r#"{"limits": [{"name": "a", "quota": "1/1m", "mode": "monitor", "penalty": {"after": 1, "ban": "1h"}}]}"#;
    let bans = compile(one).unwrap().limits.bans;
    assert!(bans.clients && !bans.subjects && !bans.enforces);
    let nothing = compile("{}").unwrap().implied;
    assert_eq!(
        (nothing.table_bytes, nothing.table_sets, nothing.bans),
        (0, 0, 0)
    );
}
