//! `cargo xtask bench injection`: what injection detection costs in a real Envoy.
//!
//! **In:** one worker and one direct response each: the bare Envoy, the SDK's empty filter, Palisade without `injection`, with it.
//! **Out:** for each load what `injection` adds to the same policy without it: medians over rounds of one interleaved run, in µs of
//! CPU of the Envoy process, and on the scale where the empty filter is 1.1; for long bodies nanoseconds a byte besides.
//! The filter does not look again at fields of heads in which it found nothing: GETs are timed once with fields that were seen before, and once with a
//! number in path, query, user agent, referer and cookie that no request had before.
//! Envoy's buffer filter gathers bodies before each variant; the filter's own copy of them is part of what is added. Absolute times drift with
//! the machine: compare the columns of one run.
//! **Invariant:** every timed answer is 200; before timing, an attack is seen to be refused. All variants get the same bytes.

use std::borrow::Cow;

use anyhow::{Context as _, Result, bail, ensure};
use palisade_tests::envoy::Envoy;
use palisade_tests::http::{Connection, render};
use serde_json::{Value, json};

use crate::bench::{BROWSER, build_empty, median};
use crate::bench_limits::ask;
use crate::bench_tokens::{configuration, setup, wasm};
use crate::wasm_build;

const ROUNDS: usize = 11;
const CONNECTIONS: usize = 32;
/// Bytes of a long body: below the default bound of what is held.
const LONG: usize = 100 * 1024;

/// Envoy's own buffer filter, before all variants: a direct response does not wait for a body.
const BUFFER: &str = r#"                - name: buffer
                  typed_config:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer
                    max_request_bytes: 1048576
"#;

/// A GET: target and headers.
#[derive(Clone)]
struct Get {
    target: String,
    headers: Vec<(String, String)>,
}

impl Get {
    fn render(&self) -> Vec<u8> {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        render("GET", &self.target, &headers, b"")
    }

    /// With a number in all that tells clients and visits apart; what a browser sends from everywhere stays.
    fn numbered(&self, number: usize) -> Self {
        let target = match self.target.split_once('?') {
            Some((path, query)) => format!("{path}{number}?{query}{number}"),
            None => format!("{}{number}", self.target),
        };
        let headers = self.headers.iter().map(|(name, value)| {
            let own = ["user-agent", "referer", "cookie"]
                .iter()
                .any(|own| name.eq_ignore_ascii_case(own));
            let value = if own {
                format!("{value}{number}")
            } else {
                value.clone()
            };
            (name.clone(), value)
        });
        Self {
            target,
            headers: headers.collect(),
        }
    }
}

/// What is sent in a round.
enum Requests {
    /// The same each time.
    Same(Vec<Vec<u8>>),
    /// Each with a number of its own.
    Numbered(Vec<Get>),
}

impl Requests {
    const fn len(&self) -> usize {
        match self {
            Self::Same(requests) => requests.len(),
            Self::Numbered(gets) => gets.len(),
        }
    }

    /// Those of one round; `next` is the first number that nobody had.
    fn of_round(&self, next: &mut usize) -> Cow<'_, [Vec<u8>]> {
        match self {
            Self::Same(requests) => Cow::Borrowed(requests),
            Self::Numbered(gets) => gets
                .iter()
                .map(|get| {
                    *next += 1;
                    get.numbered(*next).render()
                })
                .collect(),
        }
    }
}

/// The first number; all have as many digits.
const FIRST: usize = 1_000_000;

/// Requests of one kind.
struct Load {
    name: String,
    requests: Requests,
    /// Bytes of each body, when that is what is measured.
    bytes: Option<usize>,
    /// What a request may add (µs, on the scale), or a byte (ns).
    target: Option<f64>,
}

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let out = match arguments {
        [] => None,
        ["--json", out] => Some(*out),
        _ => bail!("bench injection takes --json OUT"),
    };
    wasm_build()?;
    let configs = [
        String::new(),
        wasm(&build_empty()?, None),
        palisade(None),
        palisade(Some(json!({}))),
    ];
    let mut envoys = Vec::new();
    for config in configs {
        envoys.push(Envoy::start(&setup(configuration(&format!(
            "{BUFFER}{config}"
        ))))?);
    }
    let [bare, .., inspecting] = envoys.as_slice() else {
        bail!("no Envoys");
    };
    refuses(inspecting)?;
    let loads = loads(bare, inspecting)?;
    let mut times: Vec<Vec<Vec<f64>>> = vec![vec![Vec::new(); envoys.len()]; loads.len()];
    let mut next = FIRST;
    for round in 0..=ROUNDS {
        for (load, columns) in loads.iter().zip(&mut times) {
            let requests = load.requests.of_round(&mut next);
            for (envoy, column) in envoys.iter().zip(columns) {
                let us = time(envoy, &requests)?;
                // The first round is a warm-up: V8 optimises what it has run often.
                if round > 0 {
                    column.push(us);
                }
            }
        }
        eprint!("\rround {round}/{ROUNDS}   ");
    }
    eprintln!();
    let mut report = Vec::new();
    // The empty filter does the same for every load: its rounds are one sample.
    let empties = times.iter().flat_map(|columns| match columns.as_slice() {
        [base, empty, ..] => differences(empty, base),
        _ => Vec::new(),
    });
    let empty = median(empties.collect());
    let scale = 1.1 / empty;
    println!("the empty filter takes {empty:.1} µs: 1.1 on the scale");
    for (load, columns) in loads.iter().zip(&times) {
        let [base, empty, without, with] = columns.as_slice() else {
            continue;
        };
        let us = added(with, without);
        print!(
            "{}: base {:.1} µs, without injection +{:.1}; injection adds {us:.2} µs, {:.2} on the scale",
            load.name,
            median(base.clone()),
            added(without, base),
            us * scale
        );
        let per_byte = load.bytes.map(|bytes| us * 1_000.0 / bytes as f64);
        if let Some(ns) = per_byte {
            print!(", {ns:.2} ns a byte");
        }
        match load.target {
            Some(target) => println!(" (target {target})"),
            None => println!(),
        }
        report.push(json!({
            "load": load.name, "requests": load.requests.len(), "adds_us": us, "scaled": us * scale,
            "ns_per_byte": per_byte, "target": load.target,
            "rounds": { "base": base, "empty": empty, "without": without, "with": with },
        }));
    }
    if let Some(out) = out {
        let text = serde_json::to_string_pretty(&json!({ "scale": scale, "loads": report }))?;
        std::fs::write(out, text + "\n").with_context(|| format!("write {out}"))?;
    }
    Ok(())
}

/// Differences of each round, then their median: a slow round is slow for all.
fn added(own: &[f64], other: &[f64]) -> f64 {
    median(differences(own, other))
}

fn differences(own: &[f64], other: &[f64]) -> Vec<f64> {
    own.iter()
        .zip(other)
        .map(|(own, other)| own - other)
        .collect()
}

/// Palisade with this `injection` section.
fn palisade(injection: Option<Value>) -> String {
    let mut policy =
        json!({ "mode": "enforce", "routes": [{ "name": "all", "match": { "path": "/*" } }] });
    if let (Some(injection), Some(policy)) = (injection, policy.as_object_mut()) {
        policy.insert("injection".to_owned(), injection);
    }
    let module = palisade_tests::root().join("target/palisade.wasm");
    let filter = wasm(&module, Some(&policy.to_string()));
    filter.replace(
        "failure_policy: FAIL_RELOAD\n",
        "failure_policy: FAIL_RELOAD\n                      allow_on_headers_stop_iteration: true\n",
    )
}

fn refuses(envoy: &Envoy) -> Result<()> {
    let attack = "a=1%27%20OR%201=1--";
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for request in [
        render("GET", &format!("/?{attack}"), &BROWSER, b""),
        render("POST", "/", &form, attack.as_bytes()),
    ] {
        let status = status(envoy, &request)?;
        ensure!(status == 403, "an attack got {status}\n{}", envoy.log());
    }
    Ok(())
}

fn status(envoy: &Envoy, request: &[u8]) -> Result<u16> {
    let mut connection = Connection::open(envoy.address)?;
    connection.send(request)?;
    Ok(connection.receive(false)?.status)
}

fn loads(bare: &Envoy, inspecting: &Envoy) -> Result<Vec<Load>> {
    let json = [
        ("content-type", "application/json"),
        ("user-agent", "orders/2.1"),
    ];
    let text = [("content-type", "text/plain")];
    let post =
        |headers: &[(&str, &str)], body: &str| render("POST", "/orders", headers, body.as_bytes());
    let browser = Get {
        target: "/catalogue/shoes?page=2&sort=price&q=red+shoes".to_owned(),
        headers: BROWSER
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    };
    let mut loads = vec![
        Load {
            name: "browser GET, 3 parameters, seen before".to_owned(),
            requests: Requests::Same(vec![browser.render(); 2000]),
            bytes: None,
            target: Some(1.0),
        },
        Load {
            name: "browser GET, 3 parameters, never seen before".to_owned(),
            requests: Requests::Numbered(vec![browser; 2000]),
            bytes: None,
            target: Some(1.0),
        },
        Load {
            name: "POST, 1 KB JSON".to_owned(),
            requests: Requests::Same(vec![post(&json, &order()); 1000]),
            bytes: None,
            target: Some(6.0),
        },
        Load {
            name: "POST, 100 KiB of plain text".to_owned(),
            requests: Requests::Same(vec![post(&text, &"a".repeat(LONG)); 40]),
            bytes: Some(LONG),
            target: Some(1.0),
        },
    ];
    for (name, piece) in [
        (
            "quotes and words of SQL",
            "it's a 'select' from the union, or not? ",
        ),
        ("brackets of templates", "{{a}} ${b} #{c} <d e=f> "),
        (
            "paths and words of shells",
            "a/b/../c.txt and find the cat (who else) ",
        ),
        ("escapes", "%2541&#x41;\\u0041+"),
    ] {
        let body: String = piece.chars().cycle().take(LONG / 2).collect();
        // What is refused early costs nothing: the longest part that passes is what an attacker would send.
        let passing = (0..)
            .map(|halved| LONG >> (halved + 1))
            .take_while(|most| *most > 512)
            .find_map(|most| {
                let request = post(&text, body.get(..most)?);
                (status(inspecting, &request).ok()? == 200).then_some((most, request))
            });
        let Some((bytes, request)) = passing else {
            println!("{name}: refused at every length");
            continue;
        };
        loads.push(Load {
            name: format!("POST, {bytes} B of {name}"),
            requests: Requests::Same(vec![request; 20]),
            bytes: Some(bytes),
            target: Some(20.0),
        });
    }
    if let Some(gets) = real(bare, inspecting)? {
        let count = gets.len();
        let seen = gets.iter().map(Get::render).collect();
        for (name, requests) in [
            ("never seen before", Requests::Numbered(gets)),
            ("seen before", Requests::Same(seen)),
        ] {
            loads.insert(
                2,
                Load {
                    name: format!("{count} real GETs of the corpora, {name}"),
                    requests,
                    bytes: None,
                    target: Some(1.0),
                },
            );
        }
    }
    Ok(loads)
}

/// An order of 1 KB.
fn order() -> String {
    let mut body =
        r#"{"customer":{"name":"Alice Example","email":"alice@example.com"},"items":["#.to_owned();
    while body.len() < 950 {
        body.push_str(r#"{"sku":"AB-0815","name":"Blue widget, large","quantity":2,"note":"leave at the door"},"#);
    }
    body.push_str(r#"{"sku":"END"}]}"#);
    body
}

/// The real tier of the corpora, as far as Envoy takes the requests; none without `PALISADE_CORPORA`.
fn real(bare: &Envoy, inspecting: &Envoy) -> Result<Option<Vec<Get>>> {
    let Some(folder) = std::env::var_os("PALISADE_CORPORA") else {
        println!("real GETs: not run, PALISADE_CORPORA does not name the corpora");
        return Ok(None);
    };
    let mut gets = Vec::new();
    for source in ["benign_weblog", "benign_ua"] {
        let path = std::path::Path::new(&folder).join(format!("{source}.jsonl"));
        let rows =
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        for row in rows.lines() {
            let row: Value = serde_json::from_str(row)?;
            let Some(request) = row.get("request") else {
                continue;
            };
            let (Some("GET"), Some(path), Some(headers)) = (
                request.get("method").and_then(Value::as_str),
                request.get("path").and_then(Value::as_str),
                request.get("headers").and_then(Value::as_array),
            ) else {
                continue;
            };
            let headers = headers
                .iter()
                .filter_map(|pair| Some((pair.get(0)?.as_str()?, pair.get(1)?.as_str()?)))
                .filter(|(name, _)| !name.eq_ignore_ascii_case("host"))
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
            gets.push(Get {
                target: path.to_owned(),
                headers: headers.collect(),
            });
        }
    }
    gets.retain(|get| {
        [get.render(), get.numbered(FIRST).render()]
            .iter()
            .all(|request| {
                [bare, inspecting]
                    .into_iter()
                    .all(|envoy| status(envoy, request).is_ok_and(|status| status == 200))
            })
    });
    Ok(Some(gets))
}

/// CPU µs per request.
fn time(envoy: &Envoy, requests: &[Vec<u8>]) -> Result<f64> {
    let mut lanes: Vec<Connection> = Vec::new();
    for _ in 0..CONNECTIONS.min(requests.len()) {
        lanes.push(Connection::open(envoy.address)?);
    }
    let started = envoy.cpu_ns();
    let asked = ask(&mut lanes, requests.iter())?;
    let spent = envoy.cpu_ns().saturating_sub(started);
    Ok(spent as f64 / 1_000.0 / asked as f64)
}
