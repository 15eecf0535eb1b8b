//! Envoy's own cases of its basic_auth filter: files of passwords, and requests.
//!
//! **In:** `envoy/envoy_basic_auth.json`. **Out:** a row for each file (whether a policy with it loads) and each request (whether it passes).
//! Envoy takes `{SHA}` alone, which is unsalted SHA-1; we take SHA-256 and PBKDF2 and refuse that.

use std::path::Path;

use palisade_cli::scenario::native::Native;
use palisade_cli::scenario::{parse, run_file};
use palisade_engine::policy::Policy;
use serde_json::{Value, json};

use super::{INVALID, Row, VALID, vectors};

const SUITE: &str = "envoy-basic-auth";

/// The file's passwords, hashed by Python's `hashlib`; as bare SHA-256 they are refused, being among those that everybody tries.
const PASSWORDS: [(&str, &str); 2] = [
    (
        "test1",
        "pbkdf2-sha256$1000$c2FsdC1vZi10aGUtcm93cw==$B9su/Y1R7Wa2QSlbPTfKjcEftEd3la4IVemNdAah58A=",
    ),
    (
        "test2",
        "pbkdf2-sha256$1000$c2FsdC1vZi10aGUtcm93cw==$mprB5/DQ+BiPEq8I95/6GtonvucSs+xPLAt/Bax55Ac=",
    ),
];

fn policy(provider: &Value) -> Value {
    json!({
        "tokens": { "staff": provider },
        "routes": [{ "name": "all", "match": { "path": "/*" }, "token": { "any": ["staff"] } }],
    })
}

pub(crate) fn rows() -> Vec<Row> {
    let Some(file) = vectors("envoy/envoy_basic_auth.json") else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for (at, case) in file["config"].as_array().unwrap().iter().enumerate() {
        let text = case["htpasswd"].as_str().unwrap();
        let said = case["accepted_by_envoy_1_40"] == true;
        let policy = policy(&json!({ "type": "basic", "htpasswd": text }));
        let document = palisade_cli::policy_file::Document::parse(&policy.to_string());
        let loaded = document
            .map_err(|error| error.problem)
            .and_then(|document| {
                let first = |errors: Vec<_>| errors.first().map(ToString::to_string);
                Policy::check(&document.node)
                    .map(drop)
                    .map_err(|errors: Vec<_>| first(errors).unwrap_or_default())
            });
        let decision = if text.contains("{SHA}") && said {
            Some("SHA-1 without salt: refused with the reason, SHA-256 and PBKDF2 are taken")
        } else if text.contains("{SHA256}") {
            Some("SHA-256, which Envoy does not take: for passwords that are random")
        } else {
            None
        };
        let expected = if said { VALID } else { INVALID };
        rows.push(Row::new(SUITE, format!("file {at}"), expected, loaded).decided(decision));
    }
    let users: Vec<Value> = file["users"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, password)| {
            let known = PASSWORDS.iter().find(|(text, _)| password == text);
            let (_, hash) = known.unwrap_or_else(|| panic!("{password}: no hash of it here"));
            json!({ "name": name, "password": hash })
        })
        .collect();
    for (at, case) in file["requests"].as_array().unwrap().iter().enumerate() {
        let headers: Vec<Value> = case["authorization"]
            .as_str()
            .map(|value| json!(["authorization", value]))
            .into_iter()
            .collect();
        let text = json!({
            "policy": policy(&json!({ "type": "basic", "users": users })),
            "cases": [{ "name": "it", "requests": [{ "headers": headers }] }],
        });
        let scenario = parse(&text.to_string(), Path::new("basic-auth")).unwrap();
        let reports = run_file(&scenario, &mut Native, "");
        assert!(!reports.is_empty(), "the request was not sent");
        let refused: Vec<String> = reports
            .iter()
            .flat_map(|report| &report.differences)
            .map(ToString::to_string)
            .collect();
        let verdict = if refused.is_empty() {
            Ok(())
        } else {
            Err(refused.join("; "))
        };
        let expected = if case["result"] == "continue" {
            VALID
        } else {
            INVALID
        };
        rows.push(Row::new(SUITE, format!("request {at}"), expected, verdict));
    }
    rows
}
