//! `cargo xtask bench tokens`: what verifying a token costs in a real Envoy, beside Envoy's own filter `jwt_authn`.
//!
//! **In:** one worker and one direct response each: the bare Envoy, the SDK's empty filter, Palisade without tokens, with
//! tokens, with tokens and its cache off, and `jwt_authn` with the same keys, without and with its cache.
//! **Out:** per algorithm what each adds to the bare Envoy: medians over rounds of one interleaved run, in µs of CPU
//! of the Envoy process. Absolute times drift with the machine: compare the columns of one run.
//! **Invariant:** every timed answer is the 200 of a verified token; before timing, one changed byte is 401 everywhere.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use palisade_cli::mint;
use palisade_tests::envoy::{Envoy, Setup};
use palisade_tests::http::{Connection, render};
use serde_json::{Value, json};

use crate::bench::{BROWSER, build_empty, median};
use crate::wasm_build;

const ROUNDS: usize = 15;
/// Requests per variant, algorithm and round.
const REQUESTS: usize = 3_200;
const CONNECTIONS: usize = 64;

/// Algorithms, each with what may be asked of it uncached: µs over native's own, or in all.
const ALGORITHMS: [(&str, Bound); 5] = [
    ("HS256", Bound::Total(4.0)),
    ("RS256", Bound::OverNative(5.0)),
    ("ES256", Bound::OverNative(0.0)),
    ("PS256", Bound::None),
    ("EdDSA", Bound::None),
];

#[derive(Clone, Copy)]
enum Bound {
    /// At most so much over the bare Envoy.
    Total(f64),
    /// At most so much over what `jwt_authn` adds.
    OverNative(f64),
    None,
}

/// What a cached token may add to the same policy without tokens.
const CACHED_TARGET_US: f64 = 0.7;

/// The variants of a round, in the order they are timed.
const VARIANTS: [&str; 7] = [
    "base",
    "empty SDK filter",
    "palisade, no tokens",
    "palisade, cached",
    "palisade, uncached",
    "jwt_authn, cached",
    "jwt_authn, uncached",
];

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let out = match arguments {
        [] => None,
        ["--json", out] => Some(*out),
        _ => bail!("bench tokens takes --json OUT"),
    };
    wasm_build()?;
    let keys = Keys::read()?;
    let mut envoys = Vec::new();
    for config in [
        configuration(""),
        configuration(&wasm(&build_empty()?, None)),
        configuration(&palisade(None)),
        configuration(&palisade(Some(&keys.policy(None)))),
        configuration(&palisade(Some(&keys.policy(Some(0))))),
        configuration(&keys.jwt_authn(true)),
        configuration(&keys.jwt_authn(false)),
    ] {
        envoys.push(Envoy::start(&setup(config))?);
    }
    let mut report = Vec::new();
    for (algorithm, bound) in ALGORITHMS {
        let token = keys.token(algorithm)?;
        for (envoy, variant) in envoys.iter().zip(VARIANTS).skip(3) {
            prove(envoy, variant, algorithm, &token)?;
        }
        let mut added: Vec<Vec<f64>> = vec![Vec::new(); VARIANTS.len()];
        for round in 0..=ROUNDS {
            let mut us = Vec::new();
            for envoy in &envoys {
                us.push(time(envoy, algorithm, &token)?);
            }
            eprint!("\r{algorithm}: round {round}/{ROUNDS}   ");
            if round == 0 {
                continue; // warm-up: V8 optimises what it has run often
            }
            let base = us.first().copied().unwrap_or_default();
            for (column, us) in added.iter_mut().zip(&us) {
                column.push(us - base);
            }
            if let Some(column) = added.first_mut() {
                column.pop();
                column.push(base);
            }
        }
        eprintln!();
        let medians: Vec<f64> = added.into_iter().map(median).collect();
        report.push(tell(algorithm, bound, &medians));
    }
    if let Some(out) = out {
        let rss: Vec<Value> = envoys
            .iter()
            .zip(VARIANTS)
            .map(|(envoy, name)| json!({ "variant": name, "rss_kib": envoy.rss_kib() }))
            .collect();
        let whole = json!({ "rounds": ROUNDS, "requests": REQUESTS, "cases": report, "rss": rss });
        let text = serde_json::to_string_pretty(&whole)?;
        std::fs::write(out, text + "\n").with_context(|| format!("write {out}"))?;
    }
    Ok(())
}

/// Prints and keeps the medians of an algorithm: base, then what each variant adds to it.
fn tell(algorithm: &str, bound: Bound, medians: &[f64]) -> Value {
    let at = |index: usize| medians.get(index).copied().unwrap_or(f64::NAN);
    let (empty, plain, cached, uncached) = (at(1), at(2), at(3), at(4));
    let (native_cached, native) = (at(5), at(6));
    let scale = 1.1 / empty;
    println!(
        "{algorithm}: base {:.1} µs; over it: empty SDK filter {empty:.2}, palisade without tokens {plain:.2}, cached \
         {cached:.2}, uncached {uncached:.2}; jwt_authn cached {native_cached:.2}, uncached {native:.2}",
        at(0)
    );
    println!(
        "  a cached token adds {:.2} µs, {:.2} on the scale where the empty filter is 1.1 (target {CACHED_TARGET_US})",
        cached - plain,
        (cached - plain) * scale
    );
    let verified = uncached - plain;
    match bound {
        Bound::Total(target) => println!(
            "  an uncached one adds {verified:.2} µs, {:.2} on that scale (target {target})",
            verified * scale
        ),
        Bound::OverNative(more) => println!(
            "  an uncached one adds {verified:.2} µs (target: jwt_authn's {native:.2} + {more})"
        ),
        Bound::None => println!("  an uncached one adds {verified:.2} µs"),
    }
    let columns: serde_json::Map<String, Value> = VARIANTS
        .iter()
        .zip(medians)
        .map(|(name, us)| ((*name).to_owned(), json!(us)))
        .collect();
    json!({ "algorithm": algorithm, "us": columns, "cached_adds_us": cached - plain,
            "uncached_adds_us": verified, "scale": scale })
}

/// The path of an algorithm's route.
fn path(algorithm: &str) -> String {
    format!("/{}/orders?page=2&sort=price", algorithm.to_lowercase())
}

fn request(algorithm: &str, token: &str) -> Vec<u8> {
    let mut headers = BROWSER.to_vec();
    let bearer = format!("Bearer {token}");
    headers.push(("authorization", &bearer));
    render("GET", &path(algorithm), &headers, b"")
}

/// The token passes, and with one changed byte it does not.
fn prove(envoy: &Envoy, variant: &str, algorithm: &str, token: &str) -> Result<()> {
    let forged = token.rsplit_once('.').map(|(signed, signature)| {
        let other = if signature.starts_with('A') { 'B' } else { 'A' };
        let rest = signature.get(1..).unwrap_or_default();
        format!("{signed}.{other}{rest}")
    });
    for (token, expected) in [(token, 200), (forged.as_deref().unwrap_or_default(), 401)] {
        let mut connection = Connection::open(envoy.address)?;
        connection.send(&request(algorithm, token))?;
        let status = connection.receive(false)?.status;
        ensure!(
            status == expected,
            "{variant}, {algorithm}: {status} instead of {expected}\n{}",
            envoy.log()
        );
    }
    Ok(())
}

/// CPU µs per request.
fn time(envoy: &Envoy, algorithm: &str, token: &str) -> Result<f64> {
    let mut lanes: Vec<Connection> = Vec::new();
    for _ in 0..CONNECTIONS {
        lanes.push(Connection::open(envoy.address)?);
    }
    let request = request(algorithm, token);
    let before = envoy.cpu_ns();
    for _ in 0..REQUESTS / CONNECTIONS {
        for lane in &mut lanes {
            lane.send(&request)?;
        }
        for lane in &mut lanes {
            let status = lane.receive(false)?.status;
            ensure!(status == 200, "a timed request got {status}, not 200");
        }
    }
    let spent = envoy.cpu_ns().saturating_sub(before);
    Ok(spent as f64 / 1_000.0 / REQUESTS as f64)
}

pub(crate) fn setup(config: String) -> Setup {
    Setup {
        config,
        workers: 1,
        upstream: SocketAddr::from(([127, 0, 0, 1], 1)),
        environment: vec![("BENCH_HMAC_KEY".to_owned(), HMAC_KEY.to_owned())],
        replace: Vec::new(),
        binary: None,
        verbose: false,
    }
}

/// One listener that answers 200 by itself, behind `filter`.
pub(crate) fn configuration(filter: &str) -> String {
    format!(
        r#"static_resources:
  listeners:
    - name: edge
      address: {{ socket_address: {{ address: 127.0.0.1, port_value: 10000 }} }}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: edge
                use_remote_address: true
                normalize_path: true
                http_filters:
{filter}                - name: envoy.filters.http.router
                  typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes:
                        - match: {{ prefix: "/" }}
                          direct_response: {{ status: 200, body: {{ inline_string: ok }} }}
admin:
  address: {{ socket_address: {{ address: 127.0.0.1, port_value: 9901 }} }}
"#
    )
}

/// A Wasm filter, with its configuration as JSON text.
pub(crate) fn wasm(module: &Path, policy: Option<&str>) -> String {
    let mut out = format!(
        r#"                - name: filter
                  typed_config:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
                    config:
                      name: filter
                      failure_policy: FAIL_RELOAD
                      vm_config:
                        vm_id: filter
                        runtime: envoy.wasm.runtime.v8
                        code: {{ local: {{ filename: "{}" }} }}
                        environment_variables: {{ host_env_keys: [BENCH_HMAC_KEY] }}
"#,
        module.display()
    );
    if let Some(policy) = policy {
        out.push_str(&format!(
            "                      configuration:\n                        \"@type\": \
             type.googleapis.com/google.protobuf.StringValue\n                        value: {}\n",
            Value::from(policy)
        ));
    }
    out
}

/// Palisade without tokens, or with the given sections of a policy.
fn palisade(tokens: Option<&Value>) -> String {
    let mut policy = json!({ "mode": "enforce" });
    let routes = match tokens {
        None => json!([{ "name": "all", "match": { "path": "/*" } }]),
        Some(_) => ALGORITHMS
            .iter()
            .map(|(algorithm, _)| {
                let path = format!("/{}/*", algorithm.to_lowercase());
                json!({ "name": algorithm, "match": { "path": path }, "token": { "any": [algorithm] } })
            })
            .collect(),
    };
    if let (Value::Object(policy), tokens) = (&mut policy, tokens) {
        policy.insert("routes".to_owned(), routes);
        if let Some(Value::Object(sections)) = tokens {
            policy.extend(sections.clone());
        }
    }
    let module = palisade_tests::root().join("target/palisade.wasm");
    wasm(&module, Some(&policy.to_string()))
}

/// The HMAC key of this bench. Public: it protects nothing.
const HMAC_KEY: &str = "bench-hmac-key-bench-hmac-key-bench-hmac";
const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "shop";

/// The test keys of the corpus.
struct Keys {
    /// Public halves: kid, JWK.
    public: Vec<(String, Value)>,
}

impl Keys {
    fn read() -> Result<Self> {
        let path = folder().join("test-keys.jwks.json");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let set: Value = serde_json::from_str(&text)?;
        let keys = set.get("keys").and_then(Value::as_array);
        let public = keys.into_iter().flatten().filter_map(|key| {
            let kid = key.get("kid")?.as_str()?;
            Some((kid.to_owned(), key.clone()))
        });
        Ok(Self {
            public: public.collect(),
        })
    }

    fn jwk(&self, algorithm: &str) -> Option<&Value> {
        let kid = kid(algorithm);
        self.public
            .iter()
            .find(|(other, _)| *other == kid)
            .map(|(_, key)| key)
    }

    /// A token as identity providers mint them, good for ten years.
    fn token(&self, algorithm: &str) -> Result<String> {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)?
            .as_secs();
        let header = json!({ "alg": algorithm, "typ": "JWT", "kid": kid(algorithm) });
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "0f7c4b9e-5a1d-4c62-9a52-6f1d0c3b7e88", "iat": now,
            "exp": now.saturating_add(315_360_000), "jti": "b5c1f3c0-1f0e-4d6a-8b8e-2f6a3f5d9a11",
            "scope": "openid profile orders:read", "roles": ["customer"], "email": "alice@example.com",
        });
        let key = match algorithm {
            "HS256" => HMAC_KEY.as_bytes().to_vec(),
            "ES256" => std::fs::read(folder().join("test-p256.pem"))?,
            "EdDSA" => std::fs::read(folder().join("test-ed25519.pem"))?,
            _ => std::fs::read(folder().join("test-rsa.pem"))?,
        };
        let token = mint::jwt(algorithm, &key, &header.to_string(), &claims.to_string())?;
        Ok(String::from_utf8(token)?)
    }

    /// `tokens` with a provider per algorithm, and the size of the cache.
    fn policy(&self, entries: Option<u32>) -> Value {
        let tokens: serde_json::Map<String, Value> = ALGORITHMS
            .iter()
            .map(|(algorithm, _)| {
                let key = match self.jwk(algorithm) {
                    Some(jwk) => json!({ "jwk": jwk }),
                    None => json!({ "algorithm": algorithm, "env": "BENCH_HMAC_KEY", "id": kid(algorithm) }),
                };
                let provider = json!({
                    "type": "jwt", "issuer": ISSUER, "audiences": [AUDIENCE], "keys": [key],
                });
                ((*algorithm).to_owned(), provider)
            })
            .collect();
        match entries {
            None => json!({ "tokens": tokens }),
            Some(entries) => json!({ "tokens": tokens, "token_cache": { "entries": entries } }),
        }
    }

    /// Envoy's own filter, with the same keys, issuer and audience.
    fn jwt_authn(&self, cached: bool) -> String {
        let mut providers = serde_json::Map::new();
        let mut rules = Vec::new();
        for (algorithm, _) in ALGORITHMS {
            let jwk = self.jwk(algorithm).cloned().unwrap_or_else(|| {
                json!({ "kty": "oct", "alg": algorithm, "kid": kid(algorithm),
                        "k": palisade_cli::keys::base64url(HMAC_KEY.as_bytes()) })
            });
            let set = json!({ "keys": [jwk] }).to_string();
            let mut provider = json!({
                "issuer": ISSUER, "audiences": [AUDIENCE], "local_jwks": { "inline_string": set },
            });
            if cached && let Value::Object(provider) = &mut provider {
                provider.insert(
                    "jwt_cache_config".to_owned(),
                    json!({ "jwt_cache_size": 1000 }),
                );
            }
            providers.insert(algorithm.to_owned(), provider);
            rules.push(json!({
                "match": { "prefix": format!("/{}/", algorithm.to_lowercase()) },
                "requires": { "provider_name": algorithm },
            }));
        }
        let config = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": providers, "rules": rules,
        });
        format!("                - name: jwt_authn\n                  typed_config: {config}\n")
    }
}

fn kid(algorithm: &str) -> String {
    format!("test-{}", algorithm.to_lowercase())
}

fn folder() -> std::path::PathBuf {
    palisade_tests::root().join("tests/corpora/verdicts/keys")
}
