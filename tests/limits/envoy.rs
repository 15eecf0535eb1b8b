//! Races in a real Envoy: two workers, many connections, one key.
//!
//! **Invariant:** what reached the upstream is counted by the upstream. A run is no function of a seed: its rows have the seed 0.

use std::sync::atomic::{AtomicU64, Ordering};

use palisade_tests::envoy::Envoy;
use palisade_tests::http::{self, Connection};
use palisade_tests::upstream::Upstream;
use serde_json::json;

use crate::kinds::{Kind, Limit};
use crate::support::{start, with_policy};
use crate::{Chosen, Row};

const CONNECTIONS: u64 = 64;
const REQUESTS: u64 = 2_000;
/// So long that no place comes back while it runs.
const WINDOW_MS: u64 = 30 * 24 * 3_600_000;

type Case = (&'static str, fn() -> Row);

pub(crate) fn rows(chosen: &Chosen) -> Vec<Row> {
    let cases: [Case; 5] = [
        ("envoy-small-quota", || {
            race("envoy-small-quota", Kind::Sliding, 100)
        }),
        ("envoy-large-quota", || {
            race("envoy-large-quota", Kind::Sliding, 500)
        }),
        ("envoy-token-bucket", || {
            race("envoy-token-bucket", Kind::Bucket, 100)
        }),
        ("envoy-fixed-window", || {
            race("envoy-fixed-window", Kind::Fixed, 100)
        }),
        ("envoy-wrong-passwords", wrong_passwords),
    ];
    let mut rows = Vec::new();
    for (case, run) in cases {
        rows.extend(chosen.runs("race", case, 1, |_| run()));
    }
    rows
}

/// Two workers behind a policy.
fn envoy(policy: &str, upstream: &Upstream) -> Envoy {
    let mut setup = with_policy(policy, upstream);
    setup.workers = 2;
    start(&setup)
}

/// Sends `requests` over 64 connections at once; answers how many got 200.
fn rush(envoy: &Envoy, requests: u64) -> u64 {
    let (admitted, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let left = AtomicU64::new(requests);
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut connection = Connection::open(envoy.address).unwrap();
                while left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                    .is_ok()
                {
                    connection
                        .send(&http::render("GET", "/", &[], b""))
                        .unwrap();
                    match connection.receive(false).unwrap().status {
                        200 => admitted.fetch_add(1, Ordering::SeqCst),
                        429 => refused.fetch_add(1, Ordering::SeqCst),
                        other => panic!("{other}\n{}", envoy.log()),
                    };
                }
            });
        }
    });
    assert_eq!(
        admitted.load(Ordering::SeqCst) + refused.into_inner(),
        requests
    );
    admitted.into_inner()
}

fn race(case: &str, kind: Kind, quota: u64) -> Row {
    let limit = Limit {
        kind,
        quota,
        window_ms: WINDOW_MS,
        burst: quota / 2,
    };
    let upstream = Upstream::start().unwrap();
    let policy = format!("{}\ninjection: {{ inspect: [target] }}", limit.policy());
    let envoy = envoy(&policy, &upstream);
    let answered = rush(&envoy, REQUESTS);
    let mut row = Row::new("race", case, "envoy", 0);
    row.algorithm = kind.name();
    row.quota = quota;
    row.demand = REQUESTS;
    row.admitted = u64::try_from(upstream.heads()).unwrap();
    (row.worst, row.bound, row.least) = (row.admitted, limit.at_once(), limit.at_once());
    row.more = json!({ "workers": 2, "connections": CONNECTIONS });
    if answered != row.admitted {
        row.wrong = Some(format!("{answered} clients got 200"));
    }
    row
}

/// 500 parallel wrong passwords, counted by their status; right ones before them cost nothing.
fn wrong_passwords() -> Row {
    const QUOTA: u64 = 5;
    let upstream = Upstream::start().unwrap();
    let policy = "limits:\n  - { name: login, when: { methods: [POST], path: /login }, key: [client], quota: 5/1h, \
                  count: { status: [401, 403] } }\n";
    let envoy = envoy(policy, &upstream);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let post = |body: &str| {
        let answer = http::request(envoy.address, "POST", "/login", &form, body.as_bytes());
        answer.unwrap().status
    };
    let mut row = Row::new("race", "envoy-wrong-passwords", "envoy", 0);
    for _ in 0..12 {
        let status = post("user=a&password=correct-horse");
        if status != 200 {
            row.wrong = Some(format!("a right password got {status}\n{}", envoy.log()));
        }
    }
    let before = upstream.heads();
    let refused = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for lane in 0..50 {
            let (refused, post) = (&refused, &post);
            scope.spawn(move || {
                for number in 0..10 {
                    // A connection each: Envoy closes one whose request it answers before the body was read.
                    if post(&format!("user=a&password=wrong-{lane}-{number}")) == 429 {
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    row.demand = 500;
    row.quota = QUOTA;
    row.admitted = u64::try_from(upstream.heads() - before).unwrap();
    (row.worst, row.bound, row.least) = (row.admitted, QUOTA, QUOTA);
    row.more = json!({ "workers": 2, "connections": 50 });
    let refused = refused.into_inner();
    if refused + row.admitted != row.demand {
        row.wrong = Some(format!("{refused} were refused"));
    }
    row
}
