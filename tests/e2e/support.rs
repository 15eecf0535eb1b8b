//! What the Envoy suites share.

use std::net::SocketAddr;
use std::sync::OnceLock;

use palisade_tests::envoy::{Envoy, Setup};
use palisade_tests::http::{self, Response};
use palisade_tests::upstream::Upstream;

/// Keys of the suites, as in the demo.
pub(crate) const JWT_KEY: &str = "demo-jwt-key-demo-jwt-key-demo-jwt-key-0";
pub(crate) const SESSION_KEY: &str = "demo-session-key-demo-session-key-demo-0";

pub(crate) const FLEET_KEY: &str = "demo-fleet-key-demo-fleet-key-demo-fleet";

/// The filter as shipped; built once per test binary.
pub(crate) fn module() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let path = palisade_tests::root().join("target/palisade.wasm");
        assert!(
            path.is_file(),
            "{} is missing: `cargo xtask wasm` builds it, `cargo xtask test` does so first",
            path.display()
        );
    });
}

pub(crate) fn shipped(name: &str, upstream: &Upstream) -> Setup {
    module();
    let mut setup = Setup::shipped(name, upstream.address).unwrap();
    setup.environment = vec![
        ("PALISADE_JWT_KEY".to_owned(), JWT_KEY.to_owned()),
        ("PALISADE_SESSION_KEY".to_owned(), SESSION_KEY.to_owned()),
        ("PALISADE_FLEET_KEY".to_owned(), FLEET_KEY.to_owned()),
    ];
    setup
}

/// `envoy/body.yaml` under another policy (YAML text).
pub(crate) fn with_policy(policy: &str, upstream: &Upstream) -> Setup {
    let mut setup = shipped("body.yaml", upstream);
    let value = "                        value:\n";
    let at = setup.config.find(value).unwrap() + value.len();
    let end = at
        + setup.config[at..]
            .find("                - name: envoy.filters.http.router")
            .unwrap();
    let indented: String = policy
        .lines()
        .map(|line| format!("{}{line}\n", " ".repeat(26)))
        .collect();
    setup.config.replace_range(at..end, &indented);
    setup
}

/// Starts, or fails the test with what Envoy logged.
pub(crate) fn start(setup: &Setup) -> Envoy {
    Envoy::start(setup).unwrap_or_else(|error| panic!("{error:#}"))
}

pub(crate) fn get(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Response {
    http::request(address, "GET", target, headers, b"").unwrap()
}

/// A bearer token of the example policy.
pub(crate) fn token(subject: &str, role: &str) -> String {
    use palisade_engine::stages::token::{HmacAlgorithm, Key, Secret, jws};
    let claims = format!(
        r#"{{"iss":"https://id.example.com","aud":"shop","sub":"{subject}","roles":["{role}"],"exp":4102444800}}"#
    );
    let key = Key::new(
        None,
        HmacAlgorithm::Sha256,
        &Secret(JWT_KEY.as_bytes().to_vec()),
    )
    .unwrap();
    jws::mint(&key, &claims)
}
