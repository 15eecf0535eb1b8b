//! HTTP Message Signatures: the examples of RFC 9421 B.2.
//!
//! **In:** `rfc9421/appendix_b.json`. **Out:** for each example the printed base under `Key::verify`, whole and with a byte changed; for each
//! that signs a request also the request itself against a policy, whole, with another signature and with another value of what it covers.
//! The engine's own test (`stages/token/signed/message/tests.rs`) has the base of each as it is built.

use std::path::Path;

use palisade_cli::keys::from_base64url;
use palisade_cli::scenario::native::Native;
use palisade_cli::scenario::{parse, run_file};
use palisade_engine::env::MemoryStore;
use palisade_engine::stages::token::jwk::JwkRules;
use palisade_engine::stages::token::{Algorithm, HmacAlgorithm, Key, Secret};
use serde_json::{Value, json};

use super::{INVALID, Row, VALID, vectors};

const SUITE: &str = "rfc9421-b2";
/// When all of them were made.
const CREATED: u64 = 1_618_884_473;

fn algorithm(name: &str) -> Algorithm {
    match name {
        "rsa-pss-sha512" => Algorithm::Ps512,
        "ecdsa-p256-sha256" => Algorithm::Es256,
        "hmac-sha256" => Algorithm::Hs256,
        "ed25519" => Algorithm::EdDsa,
        other => panic!("no algorithm {other}"),
    }
}

fn bytes(base64: &str) -> Vec<u8> {
    let text = base64.replace('+', "-").replace('/', "_");
    from_base64url(text.trim_end_matches('=')).unwrap()
}

fn key(entry: &Value, algorithm: Algorithm) -> Key {
    if let Some(secret) = entry["base64"].as_str() {
        return Key::new(None, HmacAlgorithm::Sha256, &Secret(bytes(secret))).unwrap();
    }
    let mut jwk = entry["jwk"].clone();
    let members = jwk.as_object_mut().unwrap();
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        members.remove(private);
    }
    let rules = JwkRules::public(vec![algorithm]);
    Key::from_jwk(jwk.to_string().as_bytes(), &rules).unwrap()
}

pub(crate) fn rows() -> Vec<Row> {
    let Some(file) = vectors("rfc9421/appendix_b.json") else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for case in file["cases"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap();
        let (label, algorithm) = (text("label"), algorithm(text("alg")));
        let entry = &file["keys"][text("keyid")];
        let (before, encoded) = text("signature").split_once('=').unwrap();
        assert_eq!(before, label);
        let signature = bytes(encoded.trim_matches(':'));
        let key = key(entry, algorithm);
        let verify = |base: &[u8]| {
            let holds = key.verify(&mut MemoryStore::default(), base, &signature);
            holds.then_some(()).ok_or_else(|| "signature".to_owned())
        };
        let base = text("signature_base");
        rows.push(Row::new(
            SUITE,
            format!("{label} base"),
            VALID,
            verify(base.as_bytes()),
        ));
        let other = format!("{base} ");
        rows.push(Row::new(
            SUITE,
            format!("{label} base changed"),
            INVALID,
            verify(other.as_bytes()),
        ));
        if text("message") != "test-request" {
            continue;
        }
        // The example's secret is no text, which the environment of a policy is: its MAC is shown by the rows above.
        let Some(pem) = entry["public_pem"].as_str() else {
            continue;
        };
        let message = file["test-request"].as_str().unwrap();
        // A policy requires something; what each example covers of it.
        let (require, decision) = match label {
            "sig-b21" => (
                "@method",
                Some("a signature of nothing: a policy must require something"),
            ),
            "sig-b22" => ("@authority", None),
            _ => ("@method", None),
        };
        let provider = json!({
            "type": "message_signature",
            "keys": [{ "id": text("keyid"), "algorithm": algorithm.name(), "pem": pem }],
            "require": [require],
        });
        let mut ask = |what: &str, message: &str, signature: &str, expected| {
            let sent = send(&provider, message, text("signature_input"), signature);
            let decision = decision.filter(|_| expected == VALID);
            rows.push(Row::new(SUITE, format!("{label} {what}"), expected, sent).decided(decision));
        };
        ask("request", message, text("signature"), VALID);
        let last = if encoded.get(20..21) == Some("A") {
            "B"
        } else {
            "A"
        };
        let mut changed = text("signature").to_owned();
        let at = before.len() + 1 + 20;
        changed.replace_range(at..=at, last);
        ask("request, another signature", message, &changed, INVALID);
        let covered = text("signature_input");
        for (component, right, wrong) in [
            ("\"@method\"", "POST ", "PUT "),
            ("\"@authority\"", "example.com", "example.org"),
            ("\"@query\"", "Pet=dog", "Pet=cat"),
            ("\"@query-param\";name=\"Pet\"", "Pet=dog", "Pet=cat"),
            ("\"date\"", "02:07:55", "02:07:56"),
            ("\"content-digest\"", "\"world\"", "\"earth\""),
        ] {
            let expected = if covered.contains(component) {
                INVALID
            } else {
                VALID
            };
            let name = format!("request, another {}", component.replace('"', ""));
            // A digest that is not covered is the sender's business.
            if expected == INVALID {
                ask(
                    &name,
                    &message.replacen(right, wrong, 1),
                    text("signature"),
                    expected,
                );
            }
        }
    }
    rows
}

/// A printed request, signed as printed, through the engine.
fn send(provider: &Value, message: &str, input: &str, signature: &str) -> Result<(), String> {
    let (head, body) = message.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let mut start = lines.next().unwrap().split(' ');
    let (method, path) = (start.next().unwrap(), start.next().unwrap());
    let mut headers = vec![
        json!(["signature-input", input]),
        json!(["signature", signature]),
    ];
    let mut host = "";
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        if name == "Host" {
            host = value;
        } else {
            headers.push(json!([name.to_ascii_lowercase(), value]));
        }
    }
    let text = json!({
        "policy": {
            "tokens": { "it": provider },
            "routes": [{ "name": "all", "match": { "path": "/*" }, "token": { "any": ["it"] } }],
        },
        "wall": CREATED,
        "cases": [{ "name": "it", "requests": [
            { "method": method, "path": path, "host": host, "headers": headers, "body": body.trim_end() },
        ] }],
    });
    let scenario = parse(&text.to_string(), Path::new("message-signatures")).unwrap();
    let reports = run_file(&scenario, &mut Native, "");
    assert!(!reports.is_empty(), "the request was not sent");
    let refused: Vec<String> = reports
        .iter()
        .flat_map(|report| &report.differences)
        .map(ToString::to_string)
        .collect();
    if refused.is_empty() {
        Ok(())
    } else {
        Err(refused.join("; "))
    }
}
