//! Limits of a fleet: two real Envoys, one rate limit service, one Redis.
//!
//! The service is `tests/ratelimit-engine` (limitador), built and equipped by `cargo xtask ratelimit-engine`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
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

/// A second answer to a call that has one: each request gets one decision, and the next call works.
#[test]
fn a_service_that_answers_twice() {
    let port = ratelimit::free_port().unwrap();
    let _redis = ratelimit::redis(port).unwrap();
    let upstream = Upstream::start().unwrap();
    let service = Service::start(port, &["--fault", "twice"]).unwrap();
    let envoy = envoy(&policy("timeout: 5s, share: 1/20"), &service, &upstream);
    let (admitted, longest) = load(&[&envoy], 4, 10);
    eprintln!("twice: quota 100, share 5, demand 40, admitted {admitted}, longest {longest:?}");
    // Whichever answer Envoy hands on: OK, over the limit, or none.
    assert!(admitted <= 40, "{}", envoy.log());
    assert_eq!(upstream.heads(), admitted);
    assert!(longest < SLACK, "{longest:?}");
    let status = get(envoy.address, "/", &[]).status;
    assert!(status == 200 || status == 429, "{status}");
    assert!(!envoy.log().contains("Proxy-Wasm trap"), "{}", envoy.log());
}

/// How many calls to services an Envoy's workers have made.
fn calls(envoy: &Envoy) -> usize {
    // Counters are flushed twice a second.
    std::thread::sleep(Duration::from_millis(1_200));
    let stats = envoy.admin_get("/stats?filter=fleet.calls").unwrap();
    let last = stats.rsplit(' ').next().map(str::trim);
    last.and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no such counter: {stats}"))
}

/// A service that never answers costs a time-out to those who wait already, and then to one request a worker and rest.
#[test]
fn an_outage_holds_up_few_requests() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    const LANES: usize = 8;
    const EACH: usize = 400;
    let port = ratelimit::free_port().unwrap();
    let _redis = ratelimit::redis(port).unwrap();
    let upstream = Upstream::start().unwrap();
    let service = Service::start(port, &["--fault", "never"]).unwrap();
    let envoy = envoy(
        &policy("timeout: 300ms, on_failure: allow"),
        &service,
        &upstream,
    );
    let begun = Instant::now();
    let (admitted, longest) = load(&[&envoy], LANES, EACH);
    let took = begun.elapsed();
    let calls = calls(&envoy);
    eprintln!(
        "an outage: {} requests in {took:?}, {calls} of them asked, longest {longest:?}",
        LANES * EACH
    );
    // The table here counts on.
    assert_eq!(admitted, 100, "{}", envoy.log());
    assert!(longest < TIMEOUT + SLACK, "{longest:?}");
    // Two workers: those who come before the third failure, and then one for each rest of a second and time-out.
    let rests = usize::try_from(took.as_millis() / 1_300).unwrap() + 1;
    let most = LANES + 2 * (3 + rests);
    assert!(calls <= most, "{calls} calls, at most {most}");
}

/// `examples/fleet/limitador.yaml` counts what the filter sends, under what Limitador's server calls; one request at a time, as its
/// check and its count are two steps.
#[test]
fn the_example_for_limitador_counts_what_the_filter_sends() {
    let text =
        std::fs::read_to_string(palisade_tests::root().join("examples/fleet/limitador.yaml"));
    let mut limits: Vec<serde_json::Value> = serde_saphyr::from_str(&text.unwrap()).unwrap();
    // Fewer, so that the first limit is met as well.
    assert_eq!(limits[0]["max_value"], 600);
    limits[0]["max_value"] = 14.into();
    let file = palisade_tests::root()
        .join("target")
        .join(format!("limitador-{}.json", std::process::id()));
    std::fs::write(&file, serde_json::to_string(&limits).unwrap()).unwrap();
    let port = ratelimit::free_port().unwrap();
    let _redis = ratelimit::redis(port).unwrap();
    let service = Service::start(port, &["--stock", &file.display().to_string()]).unwrap();
    std::fs::remove_file(&file).unwrap();
    let upstream = Upstream::start().unwrap();
    let mut setup = support::shipped("fleet.yaml", &upstream);
    let port = format!("port_value: {}", service.address.port());
    setup.replace.push(("port_value: 8081".to_owned(), port));
    setup
        .replace
        .push(("timeout: 100ms".to_owned(), "timeout: 5s".to_owned()));
    let envoy = start(&setup);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let login = |name: &str| {
        let body = format!("username={name}&password=correct-horse");
        let answer = http::request(envoy.address, "POST", "/login", &form, body.as_bytes());
        answer.unwrap().status
    };
    for number in 0..10 {
        assert_eq!(login("ann"), 200, "login {number}\n{}", envoy.log());
    }
    assert_eq!(login("ann"), 429, "{}", envoy.log());
    // The account is full, the client is not; its place was not taken by the refusal.
    for number in 0..4 {
        assert_eq!(login("bob"), 200, "{number}\n{}", envoy.log());
    }
    assert_eq!(login("bob"), 429, "{}", envoy.log());
    assert!(
        !envoy.log().contains("fleet_unavailable"),
        "{}",
        envoy.log()
    );
}

/// What can be checked of `examples/fleet` without containers.
#[test]
fn the_examples_for_containers_fit_the_policy() {
    fn read(path: &str) -> serde_json::Value {
        let text = std::fs::read_to_string(palisade_tests::root().join(path)).unwrap();
        serde_saphyr::from_str(&text).unwrap()
    }
    let policy = read("examples/policies/fleet.yaml");
    let compose = read("examples/fleet/compose.yaml");
    let envoy = read("envoy/fleet.yaml");
    let clusters = envoy["static_resources"]["clusters"].as_array().unwrap();
    let cluster = clusters
        .iter()
        .find(|it| it["name"] == "ratelimit")
        .unwrap();
    let endpoint = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
    let port = &endpoint["address"]["socket_address"]["port_value"];
    for service in ["ratelimit", "limitador"] {
        let published = compose["services"][service]["ports"][0].as_str().unwrap();
        assert_eq!(published, format!("127.0.0.1:{port}:8081"), "{service}");
    }
    let limitador = read("examples/fleet/limitador.yaml");
    let mut seen = 0;
    for limit in policy["limits"].as_array().unwrap() {
        if limit["scope"] != "fleet" {
            continue;
        }
        seen += 1;
        let name = limit["name"].as_str().unwrap();
        let (count, window) = limit["quota"].as_str().unwrap().split_once('/').unwrap();
        let count: u64 = count.parse().unwrap();
        let (unit, seconds) = match window {
            "1m" => ("minute", 60),
            "1h" => ("hour", 3600),
            other => panic!("envoyproxy/ratelimit has no unit for {other}"),
        };
        let domain = limit["service"]["domain"].as_str().unwrap();
        let stock = read(&format!("examples/fleet/ratelimit/{domain}.yaml"));
        assert_eq!(stock["domain"], domain);
        let rules = stock["descriptors"].as_array().unwrap();
        let rule = rules.iter().find(|rule| rule["value"] == name).unwrap();
        assert_eq!(rule["key"], "limit");
        let inner = &rule["descriptors"][0];
        assert_eq!(inner["key"], "key");
        assert_eq!(inner["rate_limit"]["unit"], unit);
        assert_eq!(inner["rate_limit"]["requests_per_unit"], count);
        let rules = limitador.as_array().unwrap();
        let rule = rules.iter().find(|rule| rule["name"] == name).unwrap();
        assert_eq!(rule["namespace"], domain);
        assert_eq!(rule["max_value"], count);
        assert_eq!(rule["seconds"], seconds);
    }
    assert_eq!(seen, 2);
}

#[test]
fn told_once_an_interval_the_excess_is_within_the_stated_bound() {
    let port = ratelimit::free_port().unwrap();
    let _redis = ratelimit::redis(port).unwrap();
    let service = Service::start(port, &["--limit", "fleet=20/3600"]).unwrap();
    let upstream = Upstream::start().unwrap();
    let policy = policy("mode: async, interval: 50ms, timeout: 250ms");
    let (one, two) = (
        envoy(&policy, &service, &upstream),
        envoy(&policy, &service, &upstream),
    );
    // The bound: what came, in the interval, a tick that is late and the answer's time, to each of them.
    const SPAN: Duration = Duration::from_millis(50 + 50 + 250);
    let begun = Instant::now();
    let (mut admitted, mut times) = (0, Vec::new());
    for _ in 0..100 {
        for envoy in [&one, &two] {
            admitted += usize::from(get(envoy.address, "/", &[]).status == 200);
        }
        times.push(begun.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    let within = |from: Duration| {
        let of = times.iter().filter(|at| (from..from + SPAN).contains(*at));
        of.count()
    };
    let most = times.iter().map(|from| within(*from)).max().unwrap();
    let bound = 20 + 2 * most;
    eprintln!("async: service's quota 20, demand 200, admitted {admitted}, bound {bound}");
    assert!((20..=bound).contains(&admitted), "{admitted}");
    assert!(bound < 100, "the bound says nothing: {bound}");
    assert_eq!(get(one.address, "/", &[]).status, 429);
    assert_eq!(get(two.address, "/", &[]).status, 429);
}
