//! Tokens and sealed secrets, both ways between us and PyPI `PyJWT` and `cryptography`.
//!
//! **In:** the test keys, and the packages where `PALISADE_PYTHON` says (`cargo xtask test interop` installs them). **Out:** a row for each
//! algorithm and way: made there and verified by the engine, made by `palisade`'s code and verified there, and each of them altered.
//! **Invariant:** without the packages it says so and runs nothing: the step `interop` is what CI runs.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests: failing here is failing the test"
)]

use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

use palisade_cli::keys::Private;
use palisade_cli::mint;
use palisade_engine::env::MemoryStore;
use palisade_engine::policy::sealed::{self, SealKey};
use palisade_engine::stages::token::jwk::{JwkRules, KeySet};
use palisade_engine::stages::token::jws::verify_compact;
use palisade_engine::stages::token::{Algorithm, HmacAlgorithm, Key, Secret};
use serde_json::{Value, json};

const SECRET: &str =
    "a-secret-of-the-interop-suite-as-long-as-the-longest-hash-of-all-three-of-them";
const FERNET: &str = "cGFsaXNhZGUtaW50ZXJvcC1mZXJuZXQta2V5LTMyYnk=";
const TEXT: &str = "caf\u{e9} \u{2603}";

fn file(name: &str) -> String {
    let folder = palisade_tests::root().join("tests/corpora/verdicts/keys");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// The pair of an algorithm in PEM; of HMAC the secret, twice.
fn pair(algorithm: Algorithm) -> (String, String) {
    let name = match algorithm.name() {
        "ES256" => "p256",
        "ES384" => "p384",
        "ES512" => "p521",
        "EdDSA" => "ed25519",
        name if name.starts_with("HS") => return (SECRET.to_owned(), SECRET.to_owned()),
        _ => "rsa",
    };
    (
        file(&format!("test-{name}.pem")),
        file(&format!("test-{name}.public.pem")),
    )
}

/// The other side's answer.
fn ask(packages: &std::ffi::OsStr, what: &str, order: &Value) -> Value {
    let mut python = Command::new("python3")
        .arg(palisade_tests::root().join("tests/interop/other.py"))
        .arg(what)
        .env("PYTHONPATH", packages)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("python3: {error}"));
    let mut input = python.stdin.take().unwrap();
    input.write_all(order.to_string().as_bytes()).unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "other.py {what} failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the engine makes of a token.
fn subject(set: &[Key], algorithm: Algorithm, token: &str) -> Option<String> {
    let keys: Vec<Key> = set
        .iter()
        .filter(|key| key.algorithm() == algorithm)
        .cloned()
        .collect();
    let payload = verify_compact(&keys, &mut MemoryStore::default(), token.as_bytes()).ok()?;
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    Some(claims["sub"].as_str().unwrap().to_owned())
}

/// A character in the middle of the last part, replaced.
fn altered(token: &str) -> String {
    let mut bytes = token.as_bytes().to_vec();
    let at = bytes.len() - 20;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).unwrap()
}

/// Something to look at: its name, what it must be, what it is.
struct Row(String, Option<&'static str>, Option<String>);

fn main() -> ExitCode {
    let Some(packages) = std::env::var_os("PALISADE_PYTHON") else {
        println!(
            "skipped: `cargo xtask test interop` installs PyJWT and cryptography and runs this"
        );
        return ExitCode::SUCCESS;
    };
    let mut keys = KeySet::parse(
        file("test-keys.jwks.json").as_bytes(),
        &JwkRules::public(Algorithm::ALL.to_vec()),
    )
    .unwrap()
    .into_keys();
    for algorithm in [
        HmacAlgorithm::Sha256,
        HmacAlgorithm::Sha384,
        HmacAlgorithm::Sha512,
    ] {
        keys.extend(Key::new(
            None,
            algorithm,
            &Secret(SECRET.as_bytes().to_vec()),
        ));
    }
    let fernet = SealKey::parse(FERNET.as_bytes()).unwrap();
    let mut rows = Vec::new();
    // Theirs, read by us.
    let private: serde_json::Map<String, Value> = Algorithm::ALL
        .iter()
        .map(|algorithm| (algorithm.name().to_owned(), pair(*algorithm).0.into()))
        .collect();
    let made = ask(
        &packages,
        "make",
        &json!({ "keys": private, "fernet": FERNET }),
    );
    for algorithm in Algorithm::ALL {
        let name = algorithm.name();
        let token = made["tokens"][name].as_str().unwrap();
        let got = subject(&keys, algorithm, token);
        rows.push(Row(format!("{name} theirs, here"), Some("ann"), got));
        let got = subject(&keys, algorithm, &altered(token));
        rows.push(Row(format!("{name} theirs, altered, here"), None, got));
    }
    let open = |token: &str| {
        let secret = sealed::open(&fernet, token).ok()?;
        Some(String::from_utf8(secret).unwrap())
    };
    let token = made["sealed"].as_str().unwrap();
    rows.push(Row(
        "Fernet theirs, here".to_owned(),
        Some(TEXT),
        open(token),
    ));
    rows.push(Row(
        "Fernet theirs, altered, here".to_owned(),
        None,
        open(&altered(token)),
    ));
    // Ours, read by them.
    let (mut names, mut order) = (Vec::new(), Vec::new());
    for algorithm in Algorithm::ALL {
        let name = algorithm.name();
        let (private, public) = pair(algorithm);
        let key = Private::for_algorithm(name, private.as_bytes()).unwrap();
        let header = format!(r#"{{"alg":"{name}","typ":"JWT"}}"#);
        let claims = br#"{"iss":"https://id.example.com","sub":"bob","exp":4102444800}"#;
        let token = mint::jws(name, &key, &header, claims).unwrap();
        let token = String::from_utf8(token).unwrap();
        for (what, token, expected) in [
            ("there", token.clone(), Some("bob")),
            ("altered, there", altered(&token), None),
        ] {
            names.push((format!("{name} ours, {what}"), expected));
            order.push(json!({ "algorithm": name, "key": public, "token": token }));
        }
    }
    let token = sealed::seal(
        &fernet,
        *b"sixteen bytes iv",
        1_700_000_000,
        TEXT.as_bytes(),
    );
    let sealed = [token.clone(), altered(&token)];
    let said = ask(
        &packages,
        "check",
        &json!({ "rows": order, "fernet": FERNET, "sealed": sealed }),
    );
    let text = |value: &Value| value.as_str().map(str::to_owned);
    for (at, (name, expected)) in names.into_iter().enumerate() {
        rows.push(Row(name, expected, text(&said["rows"][at])));
    }
    rows.push(Row(
        "Fernet ours, there".to_owned(),
        Some(TEXT),
        text(&said["sealed"][0]),
    ));
    rows.push(Row(
        "Fernet ours, altered, there".to_owned(),
        None,
        text(&said["sealed"][1]),
    ));
    let wrong: Vec<&Row> = rows
        .iter()
        .filter(|Row(_, expected, got)| *expected != got.as_deref())
        .collect();
    for Row(name, expected, got) in &wrong {
        println!("FAILED {name}: expected {expected:?}, got {got:?}");
    }
    println!(
        "interop with PyJWT and cryptography: {} rows, {} failed",
        rows.len(),
        wrong.len()
    );
    ExitCode::from(u8::from(!wrong.is_empty()))
}
