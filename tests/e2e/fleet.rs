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

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use palisade_tests::envoy::Envoy;
use palisade_tests::http::{self, Connection};
use palisade_tests::upstream::Upstream;
use support::{get, start, with_policy};

/// A process that ends with its value, by its id.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Redis on a port, without anything on disk.
fn redis(port: u16) -> Running {
    let mut command = Command::new("redis-server");
    command.args([
        "--bind",
        "127.0.0.1",
        "--port",
        &port.to_string(),
        "--save",
        "",
        "--appendonly",
        "no",
    ]);
    let child = command.stdout(Stdio::null()).spawn();
    let child = Running(child.unwrap_or_else(|error| {
        panic!("redis-server does not start ({error}): `cargo xtask ratelimit-engine` installs it")
    }));
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "Redis does not listen"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

/// The service; its address.
fn engine(redis: u16, arguments: &[&str]) -> (Running, SocketAddr) {
    let program = palisade_tests::root().join("target/ratelimit-engine/debug/ratelimit-engine");
    let mut command = Command::new(&program);
    command.args([
        "--redis",
        &format!("redis://127.0.0.1:{redis}"),
        "--domain",
        "edge",
    ]);
    let child = command.args(arguments).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| {
        panic!(
            "{} does not start ({error}): `cargo xtask ratelimit-engine` builds it",
            program.display()
        )
    });
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let running = Running(child);
    let address = line
        .trim()
        .strip_prefix("listening ")
        .unwrap_or_else(|| panic!("it says {line:?}"));
    (running, address.parse().unwrap())
}

/// An Envoy whose cluster `ratelimit` leads to the service.
fn envoy(policy: &str, service: SocketAddr, upstream: &Upstream) -> Envoy {
    let mut setup = with_policy(policy, upstream);
    setup.workers = 2;
    let cluster = format!(
        "  clusters:
    - name: ratelimit
      type: STATIC
      connect_timeout: 0.25s
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {{ http2_protocol_options: {{}} }}
      load_assignment:
        cluster_name: ratelimit
        endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {} }} }} }} }}] }}]
",
        service.port()
    );
    setup.config = setup.config.replacen("  clusters:\n", &cluster, 1);
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
    let port = free_port();
    let _redis = redis(port);
    let (_engine, service) = engine(port, &["--limit", "fleet=100/3600"]);
    let upstream = Upstream::start().unwrap();
    let policy = policy("timeout: 5s, on_failure: deny");
    let (one, two) = (
        envoy(&policy, service, &upstream),
        envoy(&policy, service, &upstream),
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
    let port = free_port();
    let store = redis(port);
    let (_engine, service) = engine(port, &["--limit", "fleet=50/3600"]);
    let upstream = Upstream::start().unwrap();
    let shared = envoy(&policy("timeout: 300ms, share: 1/10"), service, &upstream);
    let strict = envoy(
        &policy("timeout: 300ms, on_failure: deny"),
        service,
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
    let _store = redis(port);
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
    let port = free_port();
    let _redis = redis(port);
    let upstream = Upstream::start().unwrap();
    for fault in ["garbage", "late", "never"] {
        let (_engine, service) = engine(port, &["--fault", fault]);
        let envoy = envoy(&policy("timeout: 200ms, share: 1/20"), service, &upstream);
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
    let port = free_port();
    let _redis = redis(port);
    let (_engine, service) = engine(port, &["--limit", "fleet=20/3600"]);
    let upstream = Upstream::start().unwrap();
    let policy = policy("mode: async, interval: 50ms");
    let (one, two) = (
        envoy(&policy, service, &upstream),
        envoy(&policy, service, &upstream),
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
