//! A fleet: two real Envoys, one rate limit service, one Redis.
//!
//! **Invariant:** what reached the upstream is counted by the upstream. Where each request waits for the service, both Envoys together
//! admit its quota. Where it is told once an interval, what comes from then until its answer is there, at most: by the times of the requests
//! that were sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use palisade_tests::envoy::Envoy;
use palisade_tests::http::{self, Connection};
use palisade_tests::ratelimit::{self, Service};
use palisade_tests::upstream::Upstream;
use serde_json::json;

use crate::envoy::WORKERS;
use crate::support::{start, with_policy};
use crate::{Chosen, Promise, Row, world};

const SUITE: &str = "fleet";
const ENVOYS: u64 = 2;
/// Of the service.
const QUOTA: u64 = 100;
/// Connections to each Envoy.
const CONNECTIONS: u64 = 32;

pub(crate) fn rows(chosen: &Chosen) -> Vec<Row> {
    let mut rows = chosen.runs(SUITE, "sync", 1, |_| sync());
    rows.extend(chosen.runs(SUITE, "async", 1, |_| told()));
    rows
}

/// Envoys with a limit of the fleet whose own quota is `local`.
fn envoys(local: u64, members: &str, service: &Service, upstream: &Upstream) -> Vec<Envoy> {
    let policy = format!(
        "limits: [{{ name: fleet, key: [client], quota: {local}/1h, scope: fleet, service: {{ cluster: ratelimit, domain: edge, \
         {members} }} }}]"
    );
    let envoy = |_| {
        let mut setup = with_policy(&policy, upstream);
        setup.workers = u32::try_from(WORKERS).unwrap();
        ratelimit::cluster(&mut setup, service.address);
        start(&setup)
    };
    (0..ENVOYS).map(envoy).collect()
}

/// 64 connections to both at once.
fn sync() -> Row {
    const EACH: u64 = 10;
    let port = ratelimit::free_port().unwrap();
    let _redis = ratelimit::redis(port).unwrap();
    let service = Service::start(port, &["--limit", &format!("fleet={QUOTA}/3600")]).unwrap();
    let upstream = Upstream::start().unwrap();
    let members = "timeout: 5s, on_failure: deny";
    let envoys = envoys(QUOTA, members, &service, &upstream);
    let admitted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for envoy in &envoys {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    let mut connection = Connection::open(envoy.address).unwrap();
                    for _ in 0..EACH {
                        connection
                            .send(&http::render("GET", "/", &[], b""))
                            .unwrap();
                        match connection.receive(false).unwrap().status {
                            200 => admitted.fetch_add(1, Ordering::SeqCst),
                            429 => 0,
                            other => panic!("{other}\n{}", envoy.log()),
                        };
                    }
                });
            }
        }
    });
    let mut row = Row::new(SUITE, "sync", "envoy", 0);
    row.algorithm = "fixed_window";
    (row.quota, row.bound, row.least) = (QUOTA, QUOTA, QUOTA);
    row.demand = ENVOYS * CONNECTIONS * EACH;
    row.admitted = u64::try_from(upstream.heads()).unwrap();
    row.worst = row.admitted;
    row.more = json!({ "envoys": ENVOYS, "workers": WORKERS, "connections": ENVOYS * CONNECTIONS });
    if admitted.into_inner() != row.admitted {
        row.wrong = Some("the clients say otherwise".to_owned());
    }
    row
}

/// A request each few milliseconds to each of them, over a connection to each of their workers.
fn told() -> Row {
    const INTERVAL_MS: u64 = 50;
    const TIMEOUT_MS: u64 = 250;
    /// A tick may be late by so much where others build.
    const LATE_MS: u64 = 50;
    let port = ratelimit::free_port().unwrap();
    let _redis = ratelimit::redis(port).unwrap();
    let service = Service::start(port, &["--limit", &format!("fleet={QUOTA}/3600")]).unwrap();
    let upstream = Upstream::start().unwrap();
    let members = format!(
        "mode: async, interval: {INTERVAL_MS}ms, timeout: {TIMEOUT_MS}ms, on_failure: deny"
    );
    let envoys = envoys(10 * QUOTA, &members, &service, &upstream);
    let begun = Instant::now();
    let mut sent = vec![Vec::new(); envoys.len()];
    let mut statuses = std::collections::BTreeMap::<u16, u64>::new();
    std::thread::scope(|scope| {
        let mut lanes = Vec::new();
        for (envoy, sent) in envoys.iter().zip(&mut sent) {
            lanes.push(scope.spawn(move || {
                let mut statuses = Vec::new();
                let mut connections: Vec<_> = (0..4)
                    .map(|_| Connection::open(envoy.address).unwrap())
                    .collect();
                for number in 0..200_usize {
                    let connection = &mut connections[number % 4];
                    connection
                        .send(&http::render("GET", "/", &[], b""))
                        .unwrap();
                    statuses.push(connection.receive(false).unwrap().status);
                    sent.push(u64::try_from(begun.elapsed().as_millis()).unwrap());
                    std::thread::sleep(Duration::from_millis(5));
                }
                statuses
            }));
        }
        for lane in lanes {
            for status in lane.join().unwrap() {
                *statuses.entry(status).or_default() += 1;
            }
        }
    });
    let span = INTERVAL_MS + TIMEOUT_MS + LATE_MS;
    let mut row = Row::new(SUITE, "async", "envoy", 0);
    row.promise = Promise::Told;
    row.algorithm = "fixed_window";
    row.quota = QUOTA;
    row.added = sent.iter().map(|times| world::worst(times, span)).sum();
    row.bound = QUOTA + row.added;
    row.demand = sent
        .iter()
        .map(|times| u64::try_from(times.len()).unwrap())
        .sum();
    row.admitted = u64::try_from(upstream.heads()).unwrap();
    row.worst = row.admitted;
    // A report that goes over the quota is refused whole, and what it tells of was admitted.
    row.least = QUOTA;
    if statuses.keys().any(|status| ![200, 429].contains(status)) {
        row.wrong = Some("another status".to_owned());
    }
    row.more = json!({ "envoys": ENVOYS, "workers": WORKERS, "interval_ms": INTERVAL_MS, "statuses": statuses });
    row
}
