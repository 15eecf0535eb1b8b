//! Limits of a fleet: two real Envoys, one rate limit service, one Redis.
//!
//! The service is `tests/ratelimit-engine` (limitador), built and equipped by `cargo xtask ratelimit-engine`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: failing here is failing the test"
)]

#[expect(dead_code, reason = "this suite uses a part of it")]
#[path = "support.rs"]
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use palisade_tests::envoy::Envoy;
use palisade_tests::http::{self, Connection};
use palisade_tests::ratelimit::{self, Service};
use palisade_tests::upstream::Upstream;
use support::{get, start, with_policy};

/// An Envoy whose cluster `ratelimit` leads to the service.
fn envoy(policy: &str, service: &Service, upstream: &Upstream) -> Envoy {
    let mut setup = with_policy(policy, upstream);
    setup.workers = 2;
    ratelimit::cluster(&mut setup, service.address);
    start(&setup)
}

fn policy(members: &str) -> String {
    format!(
        "headers: {{ content_types: [] }}\nlimits: [{{ name: fleet, key: [client], quota: 100/1h, scope: fleet, \
         service: {{ cluster: ratelimit, domain: edge, {members} }} }}]"
    )
}

/// How many of `each` requests a connection are admitted, from `lanes` connections to each Envoy at once; the longest wait.
fn load(envoys: &[&Envoy], lanes: usize, each: usize) -> (usize, Duration) {
    let admitted = AtomicUsize::new(0);
    let longest = std::sync::Mutex::new(Duration::ZERO);
    std::thread::scope(|scope| {
        for envoy in envoys {
            for _ in 0..lanes {
                let (admitted, longest) = (&admitted, &longest);
                scope.spawn(move || {
                    let mut connection = Connection::open(envoy.address).unwrap();
                    for _ in 0..each {
                        let begun = Instant::now();
                        connection
                            .send(&http::render("GET", "/", &[], b""))
                            .unwrap();
                        let answer = connection.receive(false).unwrap();
                        let took = begun.elapsed();
                        match answer.status {
                            200 => admitted.fetch_add(1, Ordering::SeqCst),
                            429 | 503 => 0,
                            other => panic!("status {other}\n{}", envoy.log()),
                        };
                        let mut longest = longest.lock().unwrap();
                        *longest = took.max(*longest);
                    }
                });
            }
        }
    });
    (admitted.into_inner(), longest.into_inner().unwrap())
}

/// Enough for builds that run beside the tests.
const SLACK: Duration = Duration::from_secs(2);

#[test]
fn two_envoys_admit_the_quota_together_exactly() {
    let port = ratelimit::free_port().unwrap();
    let _redis = ratelimit::redis(port).unwrap();
    let service = Service::start(port, &["--limit", "fleet=100/3600"]).unwrap();
    let upstream = Upstream::start().unwrap();
    let policy = policy("timeout: 5s, on_failure: deny");
    let (one, two) = (
        envoy(&policy, &service, &upstream),
        envoy(&policy, &service, &upstream),
    );
    let (admitted, longest) = load(&[&one, &two], 8, 25);
    eprintln!("sync: quota 100, demand 400, admitted {admitted}, longest {longest:?}");
    assert_eq!(admitted, 100, "{}", one.log());
    assert_eq!(upstream.heads(), 100);
    // Both know by now, and ask nobody.
    assert_eq!(load(&[&one, &two], 2, 5).0, 0);
}

#[test]
fn redis_gone_and_back_follows_the_policy_and_nothing_hangs() {
    let port = ratelimit::free_port().unwrap();
    let store = ratelimit::redis(port).unwrap();
    let service = Service::start(port, &["--limit", "fleet=50/3600"]).unwrap();
    let upstream = Upstream::start().unwrap();
    let shared = envoy(&policy("timeout: 300ms, share: 1/10"), &service, &upstream);
    let strict = envoy(
        &policy("timeout: 300ms, on_failure: deny"),
        &service,
        &upstream,
    );
    assert_eq!(
        get(shared.address, "/", &[]).status,
        200,
        "{}",
        shared.log()
    );
    assert_eq!(
        get(strict.address, "/", &[]).status,
        200,
        "{}",
        strict.log()
    );
    drop(store);
    let (admitted, longest) = load(&[&shared], 4, 10);
    eprintln!("without Redis: share 10, one before, admitted {admitted}, longest {longest:?}");
    assert_eq!(admitted, 9, "{}", shared.log());
    assert!(longest < Duration::from_millis(300) + SLACK, "{longest:?}");
    assert!(
        shared.log().contains("fleet_unavailable"),
        "{}",
        shared.log()
    );
    let (admitted, longest) = load(&[&strict], 4, 5);
    assert_eq!(admitted, 0, "{}", strict.log());
    assert!(longest < Duration::from_millis(300) + SLACK, "{longest:?}");
    assert_eq!(get(strict.address, "/", &[]).status, 503);
    let _store = ratelimit::redis(port).unwrap();
    let begun = Instant::now();
    while get(strict.address, "/", &[]).status != 200 {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "it does not come back\n{}",
            strict.log()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn answers_that_are_garbage_late_or_never_there() {
    let port = ratelimit::free_port().unwrap();
    let _redis = ratelimit::redis(port).unwrap();
    let upstream = Upstream::start().unwrap();
    for fault in ["garbage", "late", "never"] {
        let service = Service::start(port, &["--fault", fault]).unwrap();
        let envoy = envoy(&policy("timeout: 200ms, share: 1/20"), &service, &upstream);
        let (admitted, longest) = load(&[&envoy], 4, 5);
        eprintln!("{fault}: share 5, demand 20, admitted {admitted}, longest {longest:?}");
        assert_eq!(admitted, 5, "{fault}\n{}", envoy.log());
        assert!(
            longest < Duration::from_millis(200) + SLACK,
            "{fault}: {longest:?}"
        );
        // A late answer finds nobody, and the worker alive.
        std::thread::sleep(Duration::from_millis(if fault == "late" {
            2_500
        } else {
            0
        }));
        assert_eq!(get(envoy.address, "/", &[]).status, 429, "{fault}");
        assert!(!envoy.log().contains("Proxy-Wasm trap"), "{}", envoy.log());
    }
}

#[test]
fn told_once_an_interval_the_excess_is_within_the_stated_bound() {
    let port = ratelimit::free_port().unwrap();
    let _redis = ratelimit::redis(port).unwrap();
    let service = Service::start(port, &["--limit", "fleet=20/3600"]).unwrap();
    let upstream = Upstream::start().unwrap();
    let policy = policy("mode: async, interval: 50ms");
    let (one, two) = (
        envoy(&policy, &service, &upstream),
        envoy(&policy, &service, &upstream),
    );
    // One request each 20 ms to each Envoy.
    let mut admitted = 0;
    for _ in 0..100 {
        for envoy in [&one, &two] {
            admitted += usize::from(get(envoy.address, "/", &[]).status == 200);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    eprintln!("async: service's quota 20, demand 200, admitted {admitted}");
    assert!((20..=100).contains(&admitted), "{admitted}");
    assert_eq!(get(one.address, "/", &[]).status, 429);
    assert_eq!(get(two.address, "/", &[]).status, 429);
}
