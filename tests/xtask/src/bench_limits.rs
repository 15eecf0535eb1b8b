//! `cargo xtask bench limits`: what a limit costs in a real Envoy.
//!
//! **In:** one worker and one direct response each: the bare Envoy, the SDK's empty filter, Palisade without limits, with one exact limit,
//! with one whose log has 100 entries, with a second limit on the same key, with a leased one; with a limit by client and with bans beside it.
//! **Out:** what each adds to the same policy without limits (a second limit and bans: to the one limit without them): medians over rounds of one interleaved run, in µs of CPU of the Envoy
//! process, and on the scale where the empty filter is 1.1. Absolute times drift with the machine: compare the columns of one run.
//! **Invariant:** every timed answer is 200; before timing, each limit is seen to refuse, and the bans to ban. All variants get the same bytes: keys are new in
//! each round, and each of them is asked for [`EACH`] times.

use anyhow::{Context as _, Result, bail, ensure};
use palisade_tests::envoy::Envoy;
use palisade_tests::http::{Connection, render};
use serde_json::{Value, json};

use crate::bench::{BROWSER, build_empty, median};
use crate::bench_tokens::{configuration, setup, wasm};
use crate::wasm_build;

const ROUNDS: usize = 15;
const CONNECTIONS: usize = 64;
/// Keys of a round and variant, and requests of each.
const KEYS: usize = 160;
const EACH: usize = 20;
/// Entries of the log before it is timed.
const LOG: usize = 100;

/// A variant: its name, its limits, requests of a key before those that are timed, what it may add (µs, on the scale).
struct Variant {
    name: &'static str,
    /// Each: a quota, and what else it has.
    limits: &'static [(&'static str, Extra)],
    before: usize,
    target: f64,
    /// What it is compared with.
    over: usize,
}

/// What a limit has beside its quota.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extra {
    Nothing,
    /// So many places charged ahead.
    Lease(u32),
    /// The key is the client: its address in `x-forwarded-for`.
    Client,
    /// The same, and a ban after excess.
    Ban,
}

/// Where variants begin; before them the bare Envoy and the empty filter.
const FIRST: usize = 2;

/// Without limits, then with.
const VARIANTS: [Variant; 7] = [
    Variant {
        name: "no limit",
        limits: &[],
        before: 0,
        target: 0.0,
        over: FIRST,
    },
    Variant {
        name: "one exact limit",
        limits: &[("100000/10m", Extra::Nothing)],
        before: 0,
        target: 1.3,
        over: FIRST,
    },
    Variant {
        name: "a log of 100",
        limits: &[("128/10m", Extra::Nothing)],
        before: LOG,
        target: 2.0,
        over: FIRST,
    },
    Variant {
        name: "a second limit on the key",
        limits: &[
            ("100000/10m", Extra::Nothing),
            ("1000000/1h", Extra::Nothing),
        ],
        before: 0,
        target: 0.4,
        over: FIRST + 1,
    },
    Variant {
        name: "a lease of 10",
        limits: &[("100000/10m", Extra::Lease(10))],
        // A lease is for clients that have used as much already.
        before: 10,
        target: 0.3,
        over: FIRST,
    },
    Variant {
        name: "one exact limit by client",
        limits: &[("100000/10m", Extra::Client)],
        before: 0,
        target: 1.3,
        over: FIRST,
    },
    Variant {
        name: "bans beside it",
        limits: &[("100000/10m", Extra::Ban)],
        before: 0,
        target: 0.4,
        over: FIRST + 5,
    },
];

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let out = match arguments {
        [] => None,
        ["--json", out] => Some(*out),
        _ => bail!("bench limits takes --json OUT"),
    };
    wasm_build()?;
    let mut names = vec!["base", "empty SDK filter"];
    let mut configs = vec![
        configuration(""),
        configuration(&wasm(&build_empty()?, None)),
    ];
    for variant in &VARIANTS {
        names.push(variant.name);
        configs.push(configuration(&palisade(variant.limits)));
        if !variant.limits.is_empty() {
            refuses(variant.limits)?;
        }
    }
    let mut envoys = Vec::new();
    for config in configs {
        envoys.push(Envoy::start(&setup(config))?);
    }
    let mut columns: Vec<Vec<f64>> = vec![Vec::new(); envoys.len()];
    for round in 0..=ROUNDS {
        for (at, envoy) in envoys.iter().enumerate() {
            let before = at
                .checked_sub(FIRST)
                .and_then(|at| VARIANTS.get(at))
                .map_or(0, |variant| variant.before);
            let us = time(envoy, round, before)?;
            // The first round is a warm-up: V8 optimises what it has run often.
            if round > 0
                && let Some(column) = columns.get_mut(at)
            {
                column.push(us);
            }
        }
        eprint!("\rround {round}/{ROUNDS}   ");
    }
    eprintln!();
    // Differences of each round, then their median: a slow round is slow for all.
    let added = |at: usize, over: usize| -> f64 {
        let (Some(own), Some(other)) = (columns.get(at), columns.get(over)) else {
            return f64::NAN;
        };
        median(
            own.iter()
                .zip(other)
                .map(|(own, other)| own - other)
                .collect(),
        )
    };
    let empty = added(1, 0);
    let scale = 1.1 / empty;
    println!(
        "base {:.1} µs; empty SDK filter +{empty:.2}, palisade without limits +{:.2}",
        median(columns.first().cloned().unwrap_or_default()),
        added(FIRST, 0)
    );
    let mut report = Vec::new();
    for (at, variant) in VARIANTS.iter().enumerate().skip(1) {
        let us = added(FIRST + at, variant.over);
        println!(
            "  {} adds {us:.2} µs, {:.2} on the scale where the empty filter is 1.1 (target {})",
            variant.name,
            us * scale,
            variant.target
        );
        report.push(json!({ "variant": variant.name, "adds_us": us, "scaled": us * scale, "target": variant.target }));
    }
    if let Some(out) = out {
        let rounds: serde_json::Map<String, Value> = names
            .iter()
            .zip(&columns)
            .map(|(name, column)| ((*name).to_owned(), json!(column)))
            .collect();
        let whole =
            json!({ "rounds": rounds, "requests": KEYS * EACH, "scale": scale, "limits": report });
        let text = serde_json::to_string_pretty(&whole)?;
        std::fs::write(out, text + "\n").with_context(|| format!("write {out}"))?;
    }
    Ok(())
}

/// Palisade with these limits, by the header `x-key` or by client: Envoy adds its own peer behind the address that is sent.
fn palisade(limits: &[(&str, Extra)]) -> String {
    let limits: Vec<Value> = limits
        .iter()
        .enumerate()
        .map(|(at, (quota, extra))| {
            let name = format!("limit-{at}");
            let header = json!([{ "header": "x-key" }]);
            match extra {
                Extra::Nothing => json!({ "name": name, "key": header, "quota": quota }),
                Extra::Lease(places) => {
                    json!({ "name": name, "key": header, "quota": quota, "lease": places })
                }
                Extra::Client => json!({ "name": name, "key": ["client"], "quota": quota }),
                Extra::Ban => json!({
                    "name": name, "key": ["client"], "quota": quota,
                    "penalty": { "after": 1, "ban": "1h" },
                }),
            }
        })
        .collect();
    let policy = json!({
        "mode": "enforce", "client": { "trusted_hops": 2 }, "limits": limits,
        "routes": [{ "name": "all", "match": { "path": "/*" } }],
    });
    let module = palisade_tests::root().join("target/palisade.wasm");
    wasm(&module, Some(&policy.to_string()))
}

/// That such limits count at all: with small quotas, a key that has used them up is refused, and by another code where that
/// bans; another key is not.
fn refuses(limits: &[(&str, Extra)]) -> Result<()> {
    let leases = limits
        .iter()
        .any(|(_, extra)| matches!(extra, Extra::Lease(_)));
    let (quota, asked) = if leases { ("40/10m", 40) } else { ("1/10m", 1) };
    let small: Vec<(&str, Extra)> = limits.iter().map(|(_, extra)| (quota, *extra)).collect();
    let envoy = Envoy::start(&setup(configuration(&palisade(&small))))?;
    let code = if limits.iter().any(|(_, extra)| *extra == Extra::Ban) {
        "banned"
    } else {
        "rate_limited"
    };
    let used_up = std::iter::repeat_n((1, 200), asked);
    for (key, expected) in used_up.chain([(1, 429), (2, 200)]) {
        let mut connection = Connection::open(envoy.address)?;
        connection.send(&request(0, key))?;
        let response = connection.receive(false)?;
        let body = String::from_utf8_lossy(&response.body).into_owned();
        ensure!(
            response.status == expected && (expected == 200 || body.contains(code)),
            "{} limits: {} {body} instead of {expected} {code}\n{}",
            limits.len(),
            response.status,
            envoy.log()
        );
    }
    Ok(())
}

/// A request of one of a round's keys, which is another client's each.
fn request(round: usize, key: usize) -> Vec<u8> {
    let name = format!("{round:04}-{key:04}");
    let address = format!("10.{round}.{}.{}", key / 256, key % 256);
    let mut headers = BROWSER.to_vec();
    headers.push(("x-key", &name));
    headers.push(("x-forwarded-for", &address));
    render("GET", "/orders?page=2&sort=price", &headers, b"")
}

/// CPU µs per request of a round's keys, each asked for `before` times first.
fn time(envoy: &Envoy, round: usize, before: usize) -> Result<f64> {
    let mut lanes: Vec<Connection> = Vec::new();
    for _ in 0..CONNECTIONS {
        lanes.push(Connection::open(envoy.address)?);
    }
    let keys: Vec<Vec<u8>> = (0..KEYS).map(|key| request(round, key)).collect();
    ask(
        &mut lanes,
        keys.iter().flat_map(|key| std::iter::repeat_n(key, before)),
    )?;
    let started = envoy.cpu_ns();
    let asked = ask(
        &mut lanes,
        keys.iter().flat_map(|key| std::iter::repeat_n(key, EACH)),
    )?;
    let spent = envoy.cpu_ns().saturating_sub(started);
    Ok(spent as f64 / 1_000.0 / asked as f64)
}

/// Sends them, as many at once as there are lanes; answers how many.
pub(crate) fn ask<'r>(
    lanes: &mut [Connection],
    requests: impl Iterator<Item = &'r Vec<u8>>,
) -> Result<usize> {
    let mut asked = 0;
    let mut requests = requests.peekable();
    while requests.peek().is_some() {
        let mut sent = 0;
        for (lane, request) in lanes.iter_mut().zip(requests.by_ref()) {
            lane.send(request)?;
            sent += 1;
        }
        for lane in lanes.iter_mut().take(sent) {
            let status = lane.receive(false)?.status;
            ensure!(status == 200, "a timed request got {status}, not 200");
        }
        asked += sent;
    }
    Ok(asked)
}
