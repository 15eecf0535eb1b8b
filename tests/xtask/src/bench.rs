//! `cargo xtask bench envoy`: CPU per request of the filter in a real Envoy, beside the bare Envoy and an
//! empty SDK filter, interleaved in the same run.
//!
//! **In:** `envoy/body.yaml` with the example policy unchanged; one worker; 10,000 client addresses.
//! **Out:** per case the base, what the empty SDK filter adds, what ours adds: medians over rounds, in µs of
//! CPU of the Envoy process (`/proc/PID/task/*/schedstat`). Absolute times drift with the machine: compare the
//! ratio to the empty filter (1.1 µs on the scale of the targets).
//! **Invariant:** every timed answer is the upstream's 200; before timing, one changed byte gives 401, 403, 429.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use palisade_tests::envoy::{Envoy, Setup};
use palisade_tests::http::{Connection, render};
use serde_json::{Value, json};

use crate::{demo, wasm_build};

/// Rounds; a round times every variant of a case once.
const ROUNDS: usize = 15;
/// Requests per variant, case and round.
const REQUESTS: usize = 6_400;
/// Keep-alive connections. One thread asks on all of them, then reads all answers, so that Envoy finds many
/// requests at each wake-up, as it does under load, and the cost of waking is shared alike by all variants.
const CONNECTIONS: usize = 64;
/// Distinct client addresses.
const CLIENTS: usize = 10_000;

/// Adds up to the same header bytes whatever the client: `10.1.000.000`-style addresses of one length.
fn client(index: usize) -> String {
    format!(
        "10.{}.{}.{}",
        100 + index / 10_000 % 100,
        100 + index / 100 % 100,
        100 + index % 100
    )
}

struct Case {
    name: &'static str,
    /// Renders the request of a client.
    request: fn(&str, &str, Change) -> Vec<u8>,
    target_us: f64,
}

/// One changed byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    Token,
    Payload,
}

const CASES: [Case; 2] = [
    Case {
        name: "get_full",
        request: get_full,
        target_us: 8.0,
    },
    Case {
        name: "post_1k",
        request: post_1k,
        target_us: 25.0,
    },
];

/// Headers of a desktop browser.
pub(crate) const BROWSER: [(&str, &str); 13] = [
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    ),
    (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    ),
    ("accept-language", "en-US,en;q=0.9,de;q=0.8"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    (
        "referer",
        "https://shop.example.com/catalogue/shoes?page=2&sort=price",
    ),
    (
        "sec-ch-ua",
        "\"Chromium\";v=\"126\", \"Not.A/Brand\";v=\"24\"",
    ),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
    ("upgrade-insecure-requests", "1"),
    (
        "cookie",
        "theme=dark; cart=8f14e45fceea167a; _ga=GA1.2.1890834871.1718000000",
    ),
];

fn get_full(address: &str, token: &str, change: Change) -> Vec<u8> {
    let token = changed_token(token, change);
    let digit = if change == Change::Payload { "C" } else { "D" };
    let target = format!("/account/orders?q=shoes%3{digit}script%3E&page=2&sort=price_asc");
    let mut headers = BROWSER.to_vec();
    headers.push(("x-forwarded-for", address));
    headers.push(("authorization", &token));
    render("GET", &target, &headers, b"")
}

fn post_1k(address: &str, token: &str, change: Change) -> Vec<u8> {
    let token = changed_token(token, change);
    let sign = if change == Change::Payload { "<" } else { "=" };
    let mut body = format!(r#"{{"note":"shoes {sign}script>","items":["#);
    let mut number = 0;
    while body.len() < 960 {
        number += 1;
        body.push_str(&format!(
            r#"{{"sku":"SHOE-{number:04}","size":42,"colour":"dark red"}},"#
        ));
    }
    body.push_str(r#"{"sku":"LACE-0001"}],"gift":false}"#);
    let mut headers = BROWSER.to_vec();
    headers.push(("x-forwarded-for", address));
    headers.push(("authorization", &token));
    headers.push(("content-type", "application/json"));
    render("POST", "/account/orders", &headers, body.as_bytes())
}

fn changed_token(token: &str, change: Change) -> String {
    let mut token = format!("Bearer {token}");
    if change == Change::Token {
        // The first character of the signature: the last one may hold unused bits.
        if let Some(dot) = token.rfind('.') {
            let at = dot + 1;
            let other = if token.as_bytes().get(at) == Some(&b'A') {
                "B"
            } else {
                "A"
            };
            token.replace_range(at..=at, other);
        }
    }
    token
}

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let out = match arguments {
        [] => None,
        ["--json", out] => Some(*out),
        _ => bail!("bench envoy takes --json OUT"),
    };
    let module = wasm_build()?;
    let empty = build_empty()?;
    let token = demo::token();
    let upstream = start_upstream()?;
    let base = Envoy::start(&setup(upstream.address, &Filter::None)?)?;
    let sdk = Envoy::start(&setup(upstream.address, &Filter::Module(&empty))?)?;
    let ours = Envoy::start(&setup(upstream.address, &Filter::Palisade)?)?;
    eprintln!(
        "ready: base {} ms, empty SDK filter {} ms, palisade {} ms; RSS {} / {} / {} KiB",
        base.ready_after.as_millis(),
        sdk.ready_after.as_millis(),
        ours.ready_after.as_millis(),
        base.rss_kib(),
        sdk.rss_kib(),
        ours.rss_kib()
    );
    let mut report = Vec::new();
    for (number, case) in CASES.iter().enumerate() {
        prove(&ours, case, &token, number)?;
        let mut added = Vec::new();
        let (mut base_us, mut empty_us) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let offset = (number * (ROUNDS + 1) + round) * REQUESTS;
            let mut us = [0.0; 3];
            for (slot, envoy) in us.iter_mut().zip([&base, &sdk, &ours]) {
                *slot = time(envoy, case, &token, offset)?;
            }
            if round == 0 {
                continue; // warm-up: V8 optimises what it has run often
            }
            let [plain, with_empty, with_ours] = us;
            eprint!(
                "\r{} round {round}/{ROUNDS}: base {plain:.1} µs, +{:.2}, +{:.2}   ",
                case.name,
                with_empty - plain,
                with_ours - plain
            );
            base_us.push(plain);
            empty_us.push(with_empty - plain);
            added.push(with_ours - plain);
        }
        eprintln!();
        let (base_us, empty_us, added) = (median(base_us), median(empty_us), median(added));
        let scaled = added / empty_us * 1.1;
        println!(
            "{}: base {base_us:.1} µs, empty SDK filter +{empty_us:.2} µs, palisade +{added:.2} µs; on the scale where the \
             empty filter is 1.1: {scaled:.2} (target {})",
            case.name, case.target_us
        );
        report.push(json!({
            "case": case.name, "base_us": base_us, "added_us": added, "empty_sdk_us": empty_us, "scaled_us": scaled,
            "target_us": case.target_us, "rounds": ROUNDS, "requests": REQUESTS, "policy": "examples/policies/shop.yaml",
            "module_sha256": sha256(&module)?, "hostcalls": hostcalls(&(case.request)("192.0.2.1", &token, Change::None))?,
        }));
    }
    let rss = json!({ "base_kib": base.rss_kib(), "empty_sdk_kib": sdk.rss_kib(), "palisade_kib": ours.rss_kib() });
    let ready = json!({ "base_ms": base.ready_after.as_millis() as u64, "palisade_ms": ours.ready_after.as_millis() as u64 });
    println!("RSS {rss}, ready {ready}");
    if let Some(out) = out {
        let text =
            serde_json::to_string_pretty(&json!({ "cases": report, "rss": rss, "ready": ready }))?;
        std::fs::write(out, text + "\n").with_context(|| format!("write {out}"))?;
    }
    Ok(())
}

/// Shows that every function is at work: one changed byte each gives 401, 403 and 429.
fn prove(envoy: &Envoy, case: &Case, token: &str, number: usize) -> Result<()> {
    let spent = format!("10.99.{}.{}", 100 + number, 100);
    let fresh = format!("10.99.{}.{}", 100 + number, 101);
    let ask = |bytes: &[u8]| -> Result<u16> {
        // A connection each: Envoy closes one whose request is answered before its body was read.
        let mut connection = Connection::open(envoy.address)?;
        connection.send(bytes)?;
        Ok(connection.receive(false)?.status)
    };
    for sent in 0..100 {
        let status = ask(&(case.request)(&spent, token, Change::None))?;
        ensure!(
            status == 200,
            "{}: request {sent} of a fresh client got {status}, not 200\n{}",
            case.name,
            envoy.log()
        );
    }
    for (what, address, change, expected) in [
        ("the spent client", &spent, Change::None, 429),
        ("one changed byte of the address", &fresh, Change::None, 200),
        ("one changed byte of the token", &fresh, Change::Token, 401),
        (
            "one changed byte of the payload",
            &fresh,
            Change::Payload,
            403,
        ),
    ] {
        let status = ask(&(case.request)(address, token, change))?;
        ensure!(
            status == expected,
            "{}: {what} got {status}, not {expected}\n{}",
            case.name,
            envoy.log()
        );
    }
    eprintln!("{}: 200, and by one changed byte 401, 403, 429", case.name);
    Ok(())
}

/// CPU µs per request over [`REQUESTS`] requests on [`CONNECTIONS`] connections.
fn time(envoy: &Envoy, case: &Case, token: &str, offset: usize) -> Result<f64> {
    let turns = REQUESTS / CONNECTIONS;
    let mut lanes: Vec<Connection> = Vec::new();
    for _ in 0..CONNECTIONS {
        lanes.push(Connection::open(envoy.address)?);
    }
    let requests: Vec<Vec<u8>> = (0..turns * CONNECTIONS)
        .map(|at| (case.request)(&client((offset + at) % CLIENTS), token, Change::None))
        .collect();
    let before = envoy.cpu_ns();
    for turn in requests.chunks(CONNECTIONS) {
        for (lane, request) in lanes.iter_mut().zip(turn) {
            lane.send(request)?;
        }
        for lane in &mut lanes {
            let status = lane.receive(false)?.status;
            ensure!(status == 200, "a timed request got {status}, not 200");
        }
    }
    let spent = envoy.cpu_ns().saturating_sub(before);
    Ok(spent as f64 / 1_000.0 / requests.len() as f64)
}

enum Filter<'a> {
    None,
    Module(&'a Path),
    Palisade,
}

/// `envoy/body.yaml` without its access log, with one trusted hop so that `x-forwarded-for` names the client.
fn setup(upstream: SocketAddr, filter: &Filter<'_>) -> Result<Setup> {
    let mut setup = Setup::shipped("body.yaml", upstream)?;
    setup.environment = demo::KEYS
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    setup.config = cut(
        &setup.config,
        "                access_log:\n",
        "                http_filters:\n",
    )?;
    setup.replace.push((
        "xff_num_trusted_hops: 0".to_owned(),
        "xff_num_trusted_hops: 1".to_owned(),
    ));
    let (from, to) = (
        "                - name: palisade\n",
        "                - name: envoy.filters.http.router\n",
    );
    match filter {
        Filter::Palisade => {}
        Filter::None => setup.config = cut(&setup.config, from, to)?,
        Filter::Module(path) => {
            setup.config = cut(&setup.config, "                      configuration:\n", to)?;
            setup.replace.push((
                "target/palisade.wasm".to_owned(),
                path.display().to_string(),
            ));
        }
    }
    Ok(setup)
}

fn cut(text: &str, from: &str, to: &str) -> Result<String> {
    let (before, rest) = text
        .split_once(from)
        .with_context(|| format!("no `{}` in the configuration", from.trim()))?;
    let (_, after) = rest
        .split_once(to)
        .with_context(|| format!("no `{}` in the configuration", to.trim()))?;
    Ok(format!("{before}{to}{after}"))
}

/// The upstream: another Envoy that answers by itself; it is not measured.
fn start_upstream() -> Result<Envoy> {
    let mut setup = setup(SocketAddr::from(([127, 0, 0, 1], 1)), &Filter::None)?;
    setup.replace.push((
        "route: { cluster: upstream }".to_owned(),
        "direct_response: { status: 200, body: { inline_string: ok } }".to_owned(),
    ));
    // It reads the whole request before it answers: an early answer would cost a connection a request.
    setup.replace.push((
        "                - name: envoy.filters.http.router\n".to_owned(),
        "                - name: envoy.filters.http.buffer\n                  typed_config: { \"@type\": \
         type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer, max_request_bytes: 65536 }\n                - \
         name: envoy.filters.http.router\n"
            .to_owned(),
    ));
    Envoy::start(&setup)
}

pub(crate) fn build_empty() -> Result<std::path::PathBuf> {
    crate::run(
        "cargo",
        &[
            "build",
            "--package",
            "sdk-empty",
            "--target",
            "wasm32-unknown-unknown",
            "--release",
            "--target-dir",
            "target/guests",
        ],
    )?;
    Ok(palisade_tests::root().join("target/guests/wasm32-unknown-unknown/release/sdk_empty.wasm"))
}

/// The hostcalls of a request, by name, as our host counts them.
fn hostcalls(request: &[u8]) -> Result<Value> {
    let mut child = crate::command("cargo")
        .args([
            "run",
            "--quiet",
            "--package",
            "palisade-tests",
            "--example",
            "hostcalls",
            "--",
            "examples/policies/shop.yaml",
        ])
        .envs(demo::KEYS)
        .current_dir(palisade_tests::root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start the hostcalls example")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(request)?;
    }
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "the hostcalls example failed ({})",
        output.status
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn sha256(path: &Path) -> Result<Value> {
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(std::fs::read(path)?);
    Ok(hash
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>()
        .into())
}
