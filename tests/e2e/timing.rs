//! Secrets are compared in time that does not tell where they differ: requests whose MAC, session or key is wrong in its first, its middle
//! or its last byte cost the same number of instructions, in the shipped `.wasm` under wasmtime's fuel, which counts them.
//!
//! **Invariant:** a byte is replaced by one of its own class (capital, small, digit), since decoding base64 tells those apart: what the
//! client sent is no secret, what it is compared with is.

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

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use palisade_cli::keys::{base64url, from_base64url, sha256_hex};
use palisade_cli::mint;
use palisade_engine::stages::token::session::V1;
use palisade_host::{Clock, Module, Request, Response, Vm, VmConfig};
use support::SESSION_KEY;

const WALL: u64 = 1_800_000_000;
/// As long as the longest hash.
const JWT_KEY: &str = "a-key-of-the-timing-suite-a-key-of-the-timing-suite-a-key-of-the-timing-0";

fn filter() -> &'static Module {
    static MODULE: OnceLock<Module> = OnceLock::new();
    MODULE.get_or_init(|| {
        support::module();
        Module::from_file(palisade_tests::root().join("target/palisade.wasm")).unwrap()
    })
}

/// A kind of credential: its provider, where it is carried, a good one, and where its secret part is.
struct Kind {
    name: &'static str,
    provider: String,
    header: (&'static str, &'static str),
    credential: String,
    secret: std::ops::Range<usize>,
}

impl Kind {
    fn new(
        name: &'static str,
        provider: &str,
        header: (&'static str, &'static str),
        credential: Vec<u8>,
        separator: char,
    ) -> Self {
        let credential = String::from_utf8(credential).unwrap();
        let from = credential.rfind(separator).map_or(0, |at| at + 1);
        Self {
            name,
            provider: provider.to_owned(),
            header,
            secret: from..credential.len(),
            credential,
        }
    }

    fn start(&self) -> Vm {
        let policy = format!(
            r#"{{"tokens": {{"it": {}}}, "routes": [{{"name": "all", "match": {{"path": "/*"}}, "token": {{"any": ["it"]}}}}]}}"#,
            self.provider
        );
        let environment = [("JWT", JWT_KEY), ("SESSION", SESSION_KEY)];
        let config = VmConfig {
            plugin_configuration: policy.into_bytes(),
            environment: environment
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            clock: Clock::virtual_at(Duration::from_secs(WALL)),
            allow_on_headers_stop_iteration: true,
            seed: Some(7),
            ..VmConfig::default()
        };
        Vm::start(filter(), config).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn ask(&self, vm: &mut Vm, credential: &str) -> (u16, u64) {
        let (name, before) = self.header;
        let request = Request::get("/account/1").header(name, format!("{before}{credential}"));
        let outcome = vm.exchange(&request, |_| Response::new(200, "ok")).unwrap();
        (outcome.status, outcome.trace.fuel())
    }

    /// The credential with another byte of the same class at this place of its secret part.
    fn wrong_at(&self, place: usize) -> String {
        if self.name == "password" {
            return self.wrong_password(place);
        }
        let at = self.secret.start + place;
        let mut wrong = self.credential.clone().into_bytes();
        // The last character of base64url may have bits that must be zero.
        let last = at + 1 == wrong.len();
        let others: &[u8] = match wrong[at] {
            b'A'..=b'Z' if last => b"AEIMQUY",
            b'a'..=b'f' if !last => b"abcdef",
            b'a'..=b'z' if last => b"cgkosw",
            b'a'..=b'z' => b"mnopqr",
            b'A'..=b'Z' => b"ABCDEF",
            _ => b"048",
        };
        wrong[at] = *others.iter().find(|other| **other != wrong[at]).unwrap();
        String::from_utf8(wrong).unwrap()
    }
}

impl Kind {
    /// Another letter in the password, such that each character of the base64 keeps its class.
    fn wrong_password(&self, place: usize) -> String {
        let classes = |text: &str| -> Vec<u8> {
            let class = |byte: u8| match byte {
                b'A'..=b'Z' => 0,
                b'a'..=b'z' => 1,
                b'0'..=b'9' => 2,
                _ => 3,
            };
            text.bytes().map(class).collect()
        };
        let group = self.secret.start / 4 * 3;
        let mut bytes = from_base64url(&self.credential).unwrap();
        let at = group + place * 3 / 4;
        let right = bytes[at];
        for other in b'!'..=b'~' {
            bytes[at] = other;
            let wrong = base64url(&bytes);
            if other != right && classes(&wrong) == classes(&self.credential) {
                return wrong;
            }
        }
        panic!("no other letter at {place}");
    }
}

fn kinds() -> Vec<Kind> {
    let claims = format!(
        r#"{{"iss":"https://id.example.com","aud":"shop","sub":"alice","exp":{}}}"#,
        WALL + 600
    );
    let mut kinds: Vec<Kind> = ["HS256", "HS384", "HS512"]
        .into_iter()
        .map(|algorithm| {
            let provider = format!(
                r#"{{"type": "jwt", "issuer": "https://id.example.com", "audiences": ["shop"], "keys": [{{"algorithm": "{algorithm}", "env": "JWT"}}]}}"#
            );
            let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
            let token = mint::jwt(algorithm, JWT_KEY.as_bytes(), &header, &claims).unwrap();
            Kind::new(algorithm, &provider, ("authorization", "Bearer "), token, '.')
        })
        .collect();
    let session = V1 {
        sub: "alice",
        sid: "s-1",
        iat: WALL - 60,
        ..V1::default()
    };
    let session = mint::session(SESSION_KEY.as_bytes(), None, &session);
    kinds.push(Kind::new(
        "session",
        r#"{"type": "session", "from": {"cookie": "sid"}, "keys": [{"env": "SESSION"}], "lifetime": "1h"}"#,
        ("cookie", "sid="),
        session.unwrap(),
        '.',
    ));
    kinds.push(Kind::new(
        "colon session",
        r#"{"type": "session", "format": "colon", "from": {"header": "x-session"}, "keys": [{"env": "SESSION"}], "lifetime": "1h"}"#,
        ("x-session", ""),
        mint::colon(SESSION_KEY.as_bytes(), "alice", WALL - 60).unwrap(),
        ':',
    ));
    let secret = "aKeyOfTheTimingSuiteAsLongAsTheyUsuallyAre";
    let hash = sha256_hex(secret.as_bytes());
    kinds.push(Kind::new(
        "API key",
        &format!(r#"{{"type": "api_key", "from": {{"header": "x-api-key"}}, "keys": [{{"id": "acme", "sha256": "{hash}"}}, {{"id": "other", "sha256": "{}"}}]}}"#, sha256_hex(b"other")),
        ("x-api-key", ""),
        secret.into(),
        ':',
    ));
    // Whole groups of base64, so that the password's part has characters of its own.
    let (user, password) = ("bobby", "aPasswordOfTheTimingSuite00000");
    let mut passwords = Kind::new(
        "password",
        &format!(
            r#"{{"type": "basic", "users": [{{"name": "{user}", "password": "sha256:{}"}}]}}"#,
            sha256_hex(password.as_bytes())
        ),
        ("authorization", "Basic "),
        base64url(format!("{user}:{password}").as_bytes()).into_bytes(),
        ':',
    );
    passwords.secret.start = base64url(format!("{user}:").as_bytes()).len();
    kinds.push(passwords);
    kinds
}

#[test]
fn a_wrong_byte_costs_the_same_wherever_it_is() {
    for kind in kinds() {
        let size = kind.secret.len();
        let places = [0, 1, size / 4, size / 2, size - 2, size - 1];
        // After a good one, so that whatever is cached of it is there; in a VM each, so that nothing else differs.
        let costs: Vec<(usize, u64)> = places
            .iter()
            .map(|place| {
                let mut vm = kind.start();
                for _ in 0..2 {
                    assert_eq!(kind.ask(&mut vm, &kind.credential).0, 200, "{}", kind.name);
                }
                let (status, fuel) = kind.ask(&mut vm, &kind.wrong_at(*place));
                assert_eq!(status, 401, "{} at {place}", kind.name);
                (*place, fuel)
            })
            .collect();
        println!("{}: fuel by place of the wrong byte {costs:?}", kind.name);
        let fuels: BTreeSet<u64> = costs.iter().map(|(_, fuel)| *fuel).collect();
        assert_eq!(fuels.len(), 1, "{}: {costs:?}", kind.name);
    }
}
