//! One verdict for a signature, whoever does the arithmetic: a real Envoy by its `verify_signature`, our host by its own, the filter's software
//! in our host without that function, and the engine natively.
//!
//! **In:** for each algorithm that Envoy can verify, tokens with a good signature, and with each kind of bad one. **Out:** a line for each
//! row; all four say the same, and what the row expects. **Invariant:** the host with the function was asked, the one without was not used.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests: failing here is failing the test"
)]

#[expect(dead_code, reason = "this suite uses a part of it")]
#[path = "support.rs"]
mod support;

use std::time::Duration;

use palisade_cli::keys::{Private, base64url};
use palisade_engine::env::MemoryStore;
use palisade_engine::stages::token::Algorithm;
use palisade_engine::stages::token::jwk::{JwkRules, KeySet};
use palisade_engine::stages::token::jws::verify_compact;
use palisade_host::{Clock, Module, Request, Response, Vm, VmConfig};
use palisade_tests::upstream::Upstream;

const CLAIMS: &str = r#"{"iss":"https://id.example.com","sub":"ann","exp":4102444800,"n":"#;

/// Algorithm, its key's file, and the order of its curve's group; empty for RSA.
const ALGORITHMS: [(&str, &str, &str); 6] = [
    ("RS256", "rsa", ""),
    ("RS384", "rsa", ""),
    ("RS512", "rsa", ""),
    (
        "ES256",
        "p256",
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    ),
    (
        "ES384",
        "p384",
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    ),
    (
        "ES512",
        "p521",
        "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
    ),
];

/// A token and what must be said of it.
struct Row {
    name: String,
    token: String,
    good: bool,
}

fn corpus(name: &str) -> Vec<u8> {
    let folder = palisade_tests::root().join("tests/corpora/verdicts/keys");
    std::fs::read(folder.join(name)).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex
        .chars()
        .map(|digit| digit.to_digit(16).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

/// `a - b`, as long as `a`.
fn minus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut out = a.to_vec();
    let mut borrow = 0;
    for (digit, less) in out.iter_mut().zip(b).rev() {
        let value = i32::from(*digit) - i32::from(*less) - borrow;
        borrow = i32::from(value < 0);
        *digit = u8::try_from(value.rem_euclid(256)).unwrap();
    }
    out
}

/// `r` and `s` in DER, as JOSE does not write them.
fn der(signature: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let from = bytes.iter().position(|byte| *byte != 0).unwrap();
        let mut out = vec![0; usize::from(bytes[from] > 0x7f)];
        out.extend(&bytes[from..]);
        [vec![2, u8::try_from(out.len()).unwrap()], out].concat()
    };
    let (r, s) = signature.split_at(signature.len() / 2);
    let body = [integer(r), integer(s)].concat();
    let size = u8::try_from(body.len()).unwrap();
    let head = if size > 0x7f {
        vec![0x30, 0x81, size]
    } else {
        vec![0x30, size]
    };
    [head, body].concat()
}

/// What is signed: number `n` tells tokens apart.
fn signed(algorithm: &str, n: usize) -> String {
    let kid = algorithm.to_ascii_lowercase();
    let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT","kid":"test-{kid}"}}"#);
    let claims = format!("{CLAIMS}{n}}}");
    format!(
        "{}.{}",
        base64url(header.as_bytes()),
        base64url(claims.as_bytes())
    )
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (algorithm, file, order) in ALGORITHMS {
        let key = Private::for_algorithm(algorithm, &corpus(&format!("test-{file}.pem"))).unwrap();
        let text = signed(algorithm, 0);
        let good = key.sign(algorithm, text.as_bytes()).unwrap();
        let mut row = |name: &str, text: &str, signature: &[u8], good: bool| {
            rows.push(Row {
                name: format!("{algorithm} {name}"),
                token: format!("{text}.{}", base64url(signature)),
                good,
            });
        };
        let size = good.len();
        let with = |at: usize, mask: u8| {
            let mut changed = good.clone();
            changed[at] ^= mask;
            changed
        };
        row("good", &text, &good, true);
        for at in [0, 1, size / 4, size / 2 - 1, size / 2, size - 2, size - 1] {
            row(
                &format!("bit flipped in byte {at}"),
                &text,
                &with(at, 1),
                false,
            );
            row(
                &format!("high bit flipped in byte {at}"),
                &text,
                &with(at, 0x80),
                false,
            );
        }
        row("cut by a byte", &text, &good[..size - 1], false);
        row("cut in half", &text, &good[..size / 2], false);
        row("without its first byte", &text, &good[1..], false);
        row("a byte longer", &text, &[&good[..], &[0]].concat(), false);
        row(
            "a zero before it",
            &text,
            &[&[0], &good[..]].concat(),
            false,
        );
        row("twice", &text, &[&good[..], &good[..]].concat(), false);
        row("all zeros", &text, &vec![0; size], false);
        row("all ones", &text, &vec![0xff; size], false);
        row("one", &text, &[vec![0; size - 1], vec![1]].concat(), false);
        row("of other claims", &signed(algorithm, 1), &good, false);
        let other = Private::generate(algorithm, 2048).unwrap();
        let forged = other.sign(algorithm, text.as_bytes()).unwrap();
        row("by another key", &text, &forged, false);
        if order.is_empty() {
            for wrong in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
                if wrong != algorithm {
                    let signature = key.sign(wrong, text.as_bytes()).unwrap();
                    row(&format!("made as {wrong}"), &text, &signature, false);
                }
            }
            continue;
        }
        let (order, (r, s)) = (bytes(order), good.split_at(size / 2));
        let zeros = vec![0; size / 2];
        row("the other s", &text, &[r, &minus(&order, s)].concat(), true);
        row(
            "the other r",
            &text,
            &[&minus(&order, r), s].concat(),
            false,
        );
        row("r is zero", &text, &[&zeros, s].concat(), false);
        row("s is zero", &text, &[r, &zeros].concat(), false);
        row("r is the order", &text, &[&order, s].concat(), false);
        row("s is the order", &text, &[r, &order].concat(), false);
        row("r and s exchanged", &text, &[s, r].concat(), false);
        row("in DER", &text, &der(&good), false);
        // Numbers that DER writes shorter or with a zero before them: the conversion must get them right.
        let mut wanted = vec![("r is short", 0, true), ("s is short", size / 2, true)];
        wanted.extend([("r is long", 0, false), ("s is long", size / 2, false)]);
        for n in 2..4000 {
            let text = signed(algorithm, n);
            let signature = key.sign(algorithm, text.as_bytes()).unwrap();
            // The top byte of P-521 has one bit.
            let first = usize::from(size == 132);
            wanted.retain(|(name, at, short)| {
                let lead = &signature[*at..][..=first];
                let small = lead.iter().all(|byte| *byte == 0);
                let found = if *short {
                    small
                } else {
                    lead[first] > 0x7f && lead[0] & 0x7f != 1
                };
                if found {
                    row(name, &text, &signature, true);
                }
                !found
            });
            if wanted.is_empty() {
                break;
            }
        }
        assert!(
            wanted.is_empty(),
            "{algorithm}: no signature where {wanted:?}"
        );
    }
    rows
}

fn policy(set: &str) -> String {
    let set: serde_json::Value = serde_json::from_str(set).unwrap();
    let algorithms: Vec<&str> = ALGORITHMS.iter().map(|(name, ..)| *name).collect();
    let keys: Vec<&serde_json::Value> = set["keys"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| algorithms.iter().any(|name| key["alg"] == *name))
        .collect();
    serde_json::json!({
        "tokens": { "idp": { "type": "jwt", "issuer": "https://id.example.com", "keys": [{ "jwks": { "keys": keys } }] } },
        "routes": [{ "name": "all", "match": { "path": "/*" }, "token": { "any": ["idp"] } }],
    })
    .to_string()
}

fn start(module: &Module, policy: &str, without: &[&str]) -> Vm {
    let config = VmConfig {
        plugin_configuration: policy.as_bytes().to_vec(),
        clock: Clock::virtual_at(Duration::from_secs(1_800_000_000)),
        allow_on_headers_stop_iteration: true,
        without_functions: without.iter().map(|name| (*name).to_owned()).collect(),
        ..VmConfig::default()
    };
    Vm::start(module, config).unwrap_or_else(|error| panic!("{error}"))
}

/// Whether the token passed, and how many times a foreign function answered OK.
fn ask(vm: &mut Vm, token: &str) -> (bool, usize) {
    let request = Request::get("/account/1").header("authorization", format!("Bearer {token}"));
    let outcome = vm.exchange(&request, |_| Response::new(200, "ok")).unwrap();
    assert!(matches!(outcome.status, 200 | 401), "{}", outcome.status);
    let calls = outcome.trace.hostcalls.iter();
    let answered =
        calls.filter(|call| call.name == "proxy_call_foreign_function" && call.status == 0);
    (outcome.status == 200, answered.count())
}

#[test]
fn every_way_to_verify_says_the_same() {
    support::module();
    let set = String::from_utf8(corpus("test-keys.jwks.json")).unwrap();
    let policy = policy(&set);
    let module = Module::from_file(palisade_tests::root().join("target/palisade.wasm")).unwrap();
    let mut with = start(&module, &policy, &[]);
    let mut without = start(&module, &policy, &["verify_signature"]);
    let native = KeySet::parse(set.as_bytes(), &JwkRules::public(Algorithm::ALL.to_vec())).unwrap();
    let upstream = Upstream::start().unwrap();
    let setup = support::with_policy(&policy, &upstream);
    let envoy = support::start(&setup);
    let (mut wrong, mut asked) = (Vec::new(), 0);
    let rows = rows();
    for row in &rows {
        let (ours, calls) = ask(&mut with, &row.token);
        let (software, none) = ask(&mut without, &row.token);
        assert_eq!(none, 0, "{}: there is no such function", row.name);
        asked += usize::from(calls > 0);
        let engine = verify_compact(
            native.keys(),
            &mut MemoryStore::default(),
            row.token.as_bytes(),
        );
        let authorization = format!("Bearer {}", row.token);
        let reply = support::get(
            envoy.address,
            "/account/1",
            &[("authorization", &authorization)],
        );
        assert!(matches!(reply.status, 200 | 401), "{}", reply.status);
        let seen = [reply.status == 200, ours, software, engine.is_ok()];
        println!(
            "{:<44} Envoy {:<5} host {:<5} software {:<5} native {}",
            row.name, seen[0], seen[1], seen[2], seen[3]
        );
        if seen != [row.good; 4] {
            wrong.push((&row.name, row.good, seen));
        }
    }
    println!("{} rows, {asked} with the host's arithmetic", rows.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(
        asked * 2 > rows.len(),
        "the host's function was asked for {asked} rows only"
    );
}
