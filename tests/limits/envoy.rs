//! Races, leases and reloads in a real Envoy: two workers, many connections, one key.
//!
//! **Invariant:** what reached the upstream is counted by the upstream. A run is no function of a seed: its rows have the seed 0.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use palisade_tests::discovery::Discovery;
use palisade_tests::envoy::Envoy;
use palisade_tests::http::{self, Connection};
use palisade_tests::upstream::Upstream;
use serde_json::json;

use crate::kinds::{Kind, Limit};
use crate::support::{start, with_policy};
use crate::{Chosen, Promise, Row};

pub(crate) const WORKERS: u64 = 2;
pub(crate) const CONNECTIONS: u64 = 64;
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

pub(crate) fn leases(chosen: &Chosen) -> Vec<Row> {
    let mut rows = chosen.runs("lease", "envoy-sliding-window", 1, |_| lease_comes_back());
    rows.extend(chosen.runs("lease", "envoy-token-bucket", 1, |_| lease_of_a_bucket()));
    rows
}

pub(crate) fn reloads(chosen: &Chosen) -> Vec<Row> {
    chosen.runs("reload", "envoy-under-load", 1, |_| reload_under_load())
}

/// Two workers behind a policy.
fn envoy(policy: &str, upstream: &Upstream) -> Envoy {
    let mut setup = with_policy(policy, upstream);
    setup.workers = u32::try_from(WORKERS).unwrap();
    start(&setup)
}

/// Asks over 64 connections until the time is over; how many got 200, and how many 429.
pub(crate) fn rush_until(envoy: &Envoy, end: Instant) -> (u64, u64) {
    let (admitted, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut connection = Connection::open(envoy.address).unwrap();
                while Instant::now() < end {
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
    (admitted.into_inner(), refused.into_inner())
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
        lease: 0,
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
    row.more = json!({ "workers": WORKERS, "connections": CONNECTIONS });
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
    row.more = json!({ "workers": WORKERS, "connections": 50 });
    let refused = refused.into_inner();
    if refused + row.admitted != row.demand {
        row.wrong = Some(format!("{refused} were refused"));
    }
    row
}

/// A window that outlasts the run: what leases still hold after the first rush is there a second later, and no more.
fn lease_comes_back() -> Row {
    const LEASE: u64 = 20;
    let limit = Limit {
        kind: Kind::Sliding,
        quota: 500,
        window_ms: WINDOW_MS,
        burst: 0,
        lease: LEASE,
    };
    let upstream = Upstream::start().unwrap();
    let envoy = envoy(&limit.policy(), &upstream);
    let raced = rush(&envoy, REQUESTS);
    std::thread::sleep(Duration::from_millis(1_500));
    let later = rush(&envoy, REQUESTS);
    let stats = envoy.admin_get("/stats?filter=leases.taken").unwrap();
    let taken = stats
        .rsplit(' ')
        .next()
        .and_then(|last| last.trim().parse::<u64>().ok());
    let mut row = Row::new("lease", "envoy-sliding-window", "envoy", 0);
    row.promise = Promise::Lease;
    (row.quota, row.bound, row.least) = (limit.quota, limit.quota, limit.quota);
    row.demand = 2 * REQUESTS;
    row.admitted = u64::try_from(upstream.heads()).unwrap();
    row.worst = row.admitted;
    row.more = json!({ "workers": WORKERS, "connections": CONNECTIONS, "lease": LEASE, "raced": raced, "leases": taken });
    if taken.is_none_or(|taken| taken < 10) {
        row.wrong = Some(format!("leases are not in use: {stats}"));
    }
    if raced + later != row.admitted || raced + LEASE * WORKERS < limit.quota {
        row.wrong = Some(format!("{raced} and then {later} got 200"));
    }
    row
}

/// A bucket that is refilled all the time: over the whole run its burst, what came in, and a lease a worker.
fn lease_of_a_bucket() -> Row {
    let limit = Limit {
        kind: Kind::Bucket,
        quota: 200,
        window_ms: 1_000,
        burst: 50,
        lease: 20,
    };
    let upstream = Upstream::start().unwrap();
    let envoy = envoy(&limit.policy(), &upstream);
    let begun = Instant::now();
    let (admitted, refused) = rush_until(&envoy, begun + Duration::from_secs(4));
    let took = u64::try_from(begun.elapsed().as_millis()).unwrap();
    let mut row = Row::new("lease", "envoy-token-bucket", "envoy", 0);
    row.promise = Promise::Lease;
    row.algorithm = limit.kind.name();
    row.quota = limit.quota;
    row.added = limit.leased(WORKERS);
    row.bound = limit.burst + (limit.quota * took).div_ceil(limit.window_ms) + row.added;
    (row.demand, row.admitted) = (admitted + refused, admitted);
    row.worst = u64::try_from(upstream.heads()).unwrap();
    // A lease that is returned gives back less than it took: at most one for each worker and half a second is lost.
    row.least = limit.quota * 4 - limit.lease * WORKERS * 8;
    row.more =
        json!({ "workers": WORKERS, "connections": CONNECTIONS, "lease": limit.lease, "ms": took });
    row
}

/// Configurations change under load: the limit that stays as it is admits its quota once, nobody gets an error.
fn reload_under_load() -> Row {
    const QUOTA: u64 = 3_000;
    const RELOADS: u64 = 12;
    let upstream = Upstream::start().unwrap();
    let kept = format!("{{ name: kept, key: [client], quota: {QUOTA}/{WINDOW_MS}ms }}");
    let policy = format!(
        "limits:\n  - {kept}\nheaders: {{ methods: [GET] }}\ninjection: {{ inspect: [target] }}"
    );
    let mut setup = with_policy(&policy, &upstream);
    setup.workers = u32::try_from(WORKERS).unwrap();
    let discovery = Discovery::of(&mut setup, "limits").unwrap();
    let envoy = start(&setup);
    let put = || {
        let answer = http::request(envoy.address, "PUT", "/", &[], b"");
        answer.unwrap().status
    };
    let (stop, demand) = (AtomicBool::new(false), AtomicU64::new(0));
    let (admitted, odd) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut wrong = None;
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut connection = Connection::open(envoy.address).unwrap();
                while !stop.load(Ordering::SeqCst) {
                    demand.fetch_add(1, Ordering::SeqCst);
                    connection
                        .send(&http::render("GET", "/", &[], b""))
                        .unwrap();
                    let answer = connection.receive(false).unwrap();
                    match answer.status {
                        200 => admitted.fetch_add(1, Ordering::SeqCst),
                        429 => 0,
                        _ => odd.fetch_add(1, Ordering::SeqCst),
                    };
                    if answer.header("connection").as_deref() == Some("close") {
                        connection = Connection::open(envoy.address).unwrap();
                    }
                    // So that the quota lasts over some reloads.
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
        for round in 0..RELOADS {
            // Around the limit others come and go; `PUT` tells when the new policy is there.
            let (methods, expected) = if round % 2 == 0 {
                ("methods: [GET, PUT]", 429)
            } else {
                ("methods: [GET]", 405)
            };
            let text = discovery.text.replace("methods: [GET]", methods);
            let text = text.replace(
                &format!("- {kept}"),
                &format!(
                    "- {{ name: r{round}, key: [method], quota: 1000000/1h }}\n{}- {kept}",
                    " ".repeat(14)
                ),
            );
            discovery.write(&text).unwrap();
            let begun = Instant::now();
            loop {
                let status = put();
                if status == expected || (expected == 429 && status == 200) {
                    break;
                }
                if begun.elapsed() > Duration::from_secs(10) {
                    wrong = Some(format!(
                        "reload {round} did not take effect\n{}",
                        envoy.log()
                    ));
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let begun = Instant::now();
        while admitted.load(Ordering::SeqCst) < QUOTA / 2
            && begun.elapsed() < Duration::from_secs(20)
        {
            std::thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Ordering::SeqCst);
    });
    // What is left is there, and no more.
    rush(&envoy, QUOTA + 500);
    let mut row = Row::new("reload", "envoy-under-load", "envoy", 0);
    (row.quota, row.bound, row.least) = (QUOTA, QUOTA, QUOTA);
    row.demand = demand.into_inner() + QUOTA + 500;
    row.admitted = u64::try_from(upstream.heads()).unwrap();
    row.worst = row.admitted;
    let odd = odd.into_inner();
    row.more = json!({ "reloads": RELOADS, "workers": WORKERS, "connections": CONNECTIONS, "other_statuses": odd });
    row.wrong =
        wrong.or_else(|| (odd > 0).then(|| format!("{odd} neither 200 nor 429\n{}", envoy.log())));
    row
}
