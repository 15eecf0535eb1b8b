//! The filter in a real Envoy: what a user of the shipped configurations sees.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    clippy::indexing_slicing,
    reason = "helpers of tests: failing here is failing the test"
)]

#[path = "support.rs"]
mod support;

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use palisade_tests::http::{self, Connection};
use palisade_tests::upstream::Upstream;
use support::{get, shipped, start, token, with_policy};

#[test]
fn every_shipped_configuration_boots_and_answers() {
    let upstream = Upstream::start().unwrap();
    let mut names: Vec<String> = std::fs::read_dir(palisade_tests::root().join("envoy"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.ends_with(".yaml") && name != "tls.yaml")
        .collect();
    names.sort();
    assert!(names.len() >= 4, "{names:?}");
    for name in names {
        let envoy = start(&shipped(&name, &upstream));
        assert_eq!(
            get(envoy.address, "/search?q=red+shoes", &[]).status,
            200,
            "{name}\n{}",
            envoy.log()
        );
        let denied = get(envoy.address, "/search?q=%27%20OR%201=1--", &[]);
        assert_eq!(denied.status, 403, "{name}\n{}", envoy.log());
        assert_eq!(
            denied.header("content-type").as_deref(),
            Some("application/problem+json"),
            "{name}"
        );
        // Slack against this machine's noise: the claim is measured by `xtask bench envoy`.
        assert!(
            envoy.ready_after < Duration::from_secs(20),
            "{name}: {:?}",
            envoy.ready_after
        );
    }
}

#[test]
fn tls_wants_a_client_certificate() {
    let upstream = Upstream::start().unwrap();
    let folder = palisade_tests::root()
        .join("target/tls-test")
        .join(std::process::id().to_string());
    palisade_tests::certificates::write(&folder).unwrap();
    let mut setup = shipped("tls.yaml", &upstream);
    setup
        .replace
        .push(("target/tls/".to_owned(), format!("{}/", folder.display())));
    let envoy = start(&setup);
    let script = r#"
import ssl, sys, http.client
folder, port, with_cert, maximum = sys.argv[1:5]
context = ssl.create_default_context(cafile=folder + "/ca.pem")
if maximum == "1.1":
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
if with_cert == "yes":
    context.load_cert_chain(folder + "/client.pem", folder + "/client.key")
try:
    connection = http.client.HTTPSConnection("127.0.0.1", int(port), context=context, timeout=10)
    connection.request("GET", sys.argv[5], headers={"host": "shop.example.com"})
    print(connection.getresponse().status)
except (ssl.SSLError, OSError) as error:
    print("refused", type(error).__name__)
"#;
    let ask = |with_cert: &str, maximum: &str, target: &str| {
        let out = Command::new("python3")
            .args(["-W", "ignore", "-c", script])
            .arg(&folder)
            .args([
                &envoy.address.port().to_string(),
                with_cert,
                maximum,
                target,
            ])
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
            + String::from_utf8_lossy(&out.stderr).trim()
    };
    assert_eq!(ask("yes", "1.3", "/search?q=shoes"), "200");
    assert_eq!(ask("yes", "1.3", "/search?q=%27%20OR%201=1--"), "403");
    assert!(
        ask("no", "1.3", "/").starts_with("refused"),
        "no client certificate"
    );
    assert!(ask("yes", "1.1", "/").starts_with("refused"), "TLS 1.1");
    let _ = std::fs::remove_dir_all(folder);
}

/// The README's examples.
#[test]
fn the_examples_of_the_readme() {
    let upstream = Upstream::start().unwrap();
    let mut setup = shipped("body.yaml", &upstream);
    setup.workers = 2;
    let envoy = start(&setup);
    let bearer = format!("Bearer {}", token("alice", "admin"));

    let passed = get(
        envoy.address,
        "/account/orders",
        &[("authorization", &bearer), ("X-User", "root")],
    );
    assert_eq!(passed.status, 200, "{}", envoy.log());
    let seen = upstream.take().pop().unwrap();
    assert_eq!(
        seen.all("x-user"),
        ["alice"],
        "the client's own copy is stripped"
    );
    assert_eq!(seen.all("x-roles"), ["admin"]);
    // Spoofed copies are stripped on routes without a token, too.
    assert_eq!(
        get(
            envoy.address,
            "/",
            &[("x-user", "root"), ("X-USER", "admin")]
        )
        .status,
        200
    );
    assert!(upstream.take().pop().unwrap().all("x-user").is_empty());

    let forged = get(
        envoy.address,
        "/account/orders",
        &[("authorization", &format!("{bearer}x"))],
    );
    assert_eq!(forged.status, 401);
    assert!(
        forged
            .header("www-authenticate")
            .unwrap()
            .contains("invalid_token")
    );
    assert_eq!(forged.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(get(envoy.address, "/account/orders", &[]).status, 401);
    let user = format!("Bearer {}", token("bob", "user"));
    assert_eq!(
        get(envoy.address, "/admin/users", &[("authorization", &user)]).status,
        403
    );
    assert_eq!(
        get(envoy.address, "/admin/users", &[("authorization", &bearer)]).status,
        200
    );

    let denied = get(envoy.address, "/search?q=%27%20OR%201=1--", &[]);
    assert_eq!(denied.status, 403);
    let problem: serde_json::Value = serde_json::from_slice(&denied.body).unwrap();
    assert_eq!(problem["code"], "injection");
    assert_eq!(denied.count("x-content-type-options"), 1);
    let head = http::request(
        envoy.address,
        "HEAD",
        "/search?q=%27%20OR%201=1--",
        &[],
        b"",
    )
    .unwrap();
    assert_eq!((head.status, head.body.len()), (403, 0));
    let json = [("content-type", "application/json")];
    let body = br#"{"name":"<script>alert(1)</script>"}"#;
    assert_eq!(
        http::request(envoy.address, "POST", "/comments", &json, body)
            .unwrap()
            .status,
        403
    );
    let body = br#"{"name":"Conan O'Brien"}"#;
    assert_eq!(
        http::request(envoy.address, "POST", "/comments", &json, body)
            .unwrap()
            .status,
        200
    );

    let mut statuses = Vec::new();
    for _ in 0..110 {
        statuses.push(get(envoy.address, "/", &[]).status);
    }
    assert_eq!(statuses.last(), Some(&429), "{}", envoy.log());
    let limited = get(envoy.address, "/", &[]);
    assert!(limited.header("retry-after").is_some() && limited.header("ratelimit").is_some());
    // The event of a denial: one JSON line, without the credential.
    let log = envoy.log();
    assert!(log.contains("\"reason\":\"injection\""), "{log}");
    assert!(!log.contains(&bearer[10..]), "a credential in the log");
    // Response details, in the access log.
    wait_for(&envoy, "palisade_rate_limited");
}

#[test]
fn a_body_denied_never_shows_its_head_upstream() {
    let upstream = Upstream::start().unwrap();
    let envoy = start(&shipped("body.yaml", &upstream));
    let heads = upstream.heads();
    let mut connection = Connection::open(envoy.address).unwrap();
    let head = "POST /comments HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    connection.send(head.as_bytes()).unwrap();
    for piece in [r#"{"name":"<scr"#, r#"ipt>alert(1)"#, r#"</script>"}"#] {
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(
            upstream.heads(),
            heads,
            "the head left before the body was judged"
        );
        connection
            .send(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes())
            .unwrap();
    }
    connection.send(b"0\r\nx-trailer: yes\r\n\r\n").unwrap();
    assert_eq!(
        connection.receive(false).unwrap().status,
        403,
        "{}",
        envoy.log()
    );
    assert_eq!(upstream.heads(), heads);
    // A benign one arrives whole.
    let mut connection = Connection::open(envoy.address).unwrap();
    connection.send(head.as_bytes()).unwrap();
    for piece in [r#"{"name":"#, r#""Anna"#, r#""}"#] {
        connection
            .send(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes())
            .unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    connection.send(b"0\r\n\r\n").unwrap();
    assert_eq!(
        connection.receive(false).unwrap().status,
        200,
        "{}",
        envoy.log()
    );
    assert_eq!(upstream.take().pop().unwrap().body, br#"{"name":"Anna"}"#);
    // Over the policy's bound: ours answers, declared or not.
    let big = format!(r#"{{"name":"{}"}}"#, "a".repeat(200 * 1024));
    let json = [("content-type", "application/json")];
    assert_eq!(
        http::request(envoy.address, "POST", "/comments", &json, big.as_bytes())
            .unwrap()
            .status,
        413
    );
    let mut connection = Connection::open(envoy.address).unwrap();
    connection.send(head.as_bytes()).unwrap();
    let _ = connection.send(format!("{:x}\r\n{big}\r\n0\r\n\r\n", big.len()).as_bytes());
    assert_eq!(
        connection.receive(false).unwrap().status,
        413,
        "{}",
        envoy.log()
    );
    wait_for(&envoy, "palisade_body_too_large");
}

/// Without `allow_on_headers_stop_iteration` a held body never comes: the tick answers, naming the flag.
#[test]
fn a_held_stream_without_the_flag_is_answered_by_the_tick() {
    let upstream = Upstream::start().unwrap();
    let mut setup = shipped("body.yaml", &upstream);
    setup.replace.push((
        "allow_on_headers_stop_iteration: true".to_owned(),
        "allow_on_headers_stop_iteration: false".to_owned(),
    ));
    let envoy = start(&setup);
    let json = [("content-type", "application/json")];
    let started = Instant::now();
    let answer = http::request(envoy.address, "POST", "/comments", &json, br#"{"a":1}"#).unwrap();
    assert_eq!(answer.status, 503, "{}", envoy.log());
    assert!(started.elapsed() < Duration::from_secs(8));
    assert!(
        envoy.log().contains("allow_on_headers_stop_iteration"),
        "{}",
        envoy.log()
    );
    assert_eq!(upstream.heads(), 0);
    assert_eq!(get(envoy.address, "/", &[]).status, 200);
}

/// 500 parallel wrong passwords where the filter itself verifies them: at most 5 of 500 are verified, and the right one no more.
#[test]
fn of_500_parallel_wrong_passwords_at_most_5_are_verified() {
    const ALLOWED: &str = "Basic Ym9iOnRyMHViNGRvciYzOndpdGggY29sb24=";
    let upstream = Upstream::start().unwrap();
    let policy = "tokens:\n  staff:\n    type: basic\n    users:\n      - { name: bob, password: \"pbkdf2-sha256$1000$\
                  c2FsdC1vZi1ib2ItMDAwMA==$T0mvKoXvJLs8ODbAiHzg5vloszFUwUpXhVfCuFxScFk=\" }\n\
                  limits: [{ name: guesses, key: [client, account], quota: 5/1h, count: { failures: authentication } }]\n\
                  routes: [{ name: all, token: { any: [staff] } }]\n";
    let mut setup = with_policy(policy, &upstream);
    setup.workers = 2;
    let envoy = start(&setup);
    for _ in 0..12 {
        let answer = get(envoy.address, "/", &[("authorization", ALLOWED)]);
        assert_eq!(answer.status, 200, "{}", envoy.log());
    }
    let (verified, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                for _ in 0..10 {
                    match get(
                        envoy.address,
                        "/",
                        &[("authorization", "Basic Ym9iOndyb25n")],
                    )
                    .status
                    {
                        401 => verified.fetch_add(1, Ordering::SeqCst),
                        429 => refused.fetch_add(1, Ordering::SeqCst),
                        other => panic!("{other}\n{}", envoy.log()),
                    };
                }
            });
        }
    });
    assert_eq!((verified.into_inner(), refused.into_inner()), (5, 495));
    let answer = get(envoy.address, "/", &[("authorization", ALLOWED)]);
    assert_eq!(answer.status, 429);
}

/// What was judged is what the upstream gets: the event's path equals the upstream's.
#[test]
fn the_path_judged_is_the_path_the_upstream_got() {
    let upstream = Upstream::start().unwrap();
    let policy = "events: { log: all }\ninjection: { inspect: [headers] }";
    let envoy = start(&with_policy(policy, &upstream));
    let mut passed = 0;
    for (number, path) in [
        "/",
        "/a/b",
        "/a/./b",
        "/a/../b",
        "//a///b",
        "/a/%2e%2e/b",
        "/%61dmin",
        "/a%20b",
        "/caf%C3%A9",
        "/a/b/",
        "/a/%2E/b",
        "/a/..",
        "/a;x=1/b",
        "/a%2fb",
        "/a%5cb",
        "/a\\b",
        "/..%2f..%2fetc",
        "/%252e%252e/x",
        "/a/..;/b",
        "/%c0%ae%c0%ae/",
        "/%00",
        "/100%25",
        "/a?b=/../c",
        "/a/%2e%2e%2fb",
        "/%zz",
        "/%",
    ]
    .iter()
    .enumerate()
    {
        let mut connection = Connection::open(envoy.address).unwrap();
        let id = format!("{number:08}-0000-4000-8000-000000000000");
        let raw = format!("GET {path} HTTP/1.1\r\nhost: shop.example.com\r\nx-probe: {id}\r\n\r\n");
        connection.send(raw.as_bytes()).unwrap();
        let status = connection.receive(false).unwrap().status;
        let seen = upstream.take();
        if status != 200 {
            assert!(
                seen.is_empty(),
                "{path}: refused with {status}, yet it arrived"
            );
            assert_eq!(status / 100, 4, "{path}: {status}");
            continue;
        }
        passed += 1;
        let got = seen
            .first()
            .unwrap()
            .target
            .split('?')
            .next()
            .unwrap()
            .to_owned();
        let id = seen
            .first()
            .unwrap()
            .all("x-request-id")
            .first()
            .copied()
            .unwrap()
            .to_owned();
        let line = wait_for(&envoy, &id);
        let start = line.find("\"path\":\"").map(|at| at + 8).unwrap();
        let judged = line[start..].split('"').next().unwrap();
        assert_eq!(decode(&got), judged, "{path} arrived as {got}");
    }
    assert!(passed >= 10, "only {passed} passed");
}

fn wait_for(envoy: &palisade_tests::envoy::Envoy, needle: &str) -> String {
    for _ in 0..100 {
        if let Some(line) = envoy.log().lines().find(|line| line.contains(needle)) {
            return line.to_owned();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no `{needle}` in\n{}", envoy.log());
}

/// Percent-decodes once, as the judged path has it: an encoded `%` stays.
fn decode(path: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), path.as_bytes());
    while let [first, tail @ ..] = rest {
        let hex = tail
            .get(..2)
            .and_then(|d| std::str::from_utf8(d).ok())
            .and_then(|d| u8::from_str_radix(d, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) if byte != b'%' => {
                out.push(byte);
                rest = &tail[2..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Does Envoy choose the route again when the filter writes or removes a header? Envoy 1.40 does.
#[test]
fn envoy_chooses_the_route_again_when_headers_are_written() {
    let (first, second) = (Upstream::start().unwrap(), Upstream::start().unwrap());
    let mut setup = shipped("body.yaml", &first);
    setup.replace.push((
        "                        - match: { prefix: \"/\" }\n".to_owned(),
        "                        - match: { prefix: \"/\", headers: [{ name: x-user, present_match: true }] }\n                          \
         route: { cluster: second }\n                        - match: { prefix: \"/\" }\n"
            .to_owned(),
    ));
    setup.replace.push((
        "  clusters:\n".to_owned(),
        format!(
            "  clusters:\n    - name: second\n      type: STATIC\n      load_assignment:\n        cluster_name: second\n        \
             endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {} }} }} }} }}] }}]\n",
            second.address.port()
        ),
    ));
    let envoy = start(&setup);
    let bearer = format!("Bearer {}", token("alice", "user"));
    // Written by the filter: the route that asks for it is taken.
    assert_eq!(
        get(envoy.address, "/account", &[("authorization", &bearer)]).status,
        200,
        "{}",
        envoy.log()
    );
    assert_eq!((first.heads(), second.heads()), (0, 1));
    assert_eq!(second.take().pop().unwrap().all("x-user"), ["alice"]);
    // Sent by the client: the filter strips it, and the route it would have chosen is not taken.
    assert_eq!(get(envoy.address, "/", &[("x-user", "root")]).status, 200);
    assert_eq!((first.heads(), second.heads()), (1, 1));
    assert!(first.take().pop().unwrap().all("x-user").is_empty());
}

/// `monitor` blocks nothing, holds nothing, reports all.
#[test]
fn monitor_blocks_nothing_and_reports_all() {
    let upstream = Upstream::start().unwrap();
    let policy = "mode: monitor\nlimits: [{ name: per-client, key: [client], quota: 1/10m }]\n\
                  injection: { inspect: [target, headers, cookies, body] }\nheaders: { methods: [GET, POST] }";
    let envoy = start(&with_policy(policy, &upstream));
    assert_eq!(get(envoy.address, "/?q=%27%20OR%201=1--", &[]).status, 200);
    assert_eq!(get(envoy.address, "/", &[]).status, 200);
    assert_eq!(
        http::request(envoy.address, "PUT", "/", &[], b"")
            .unwrap()
            .status,
        200
    );
    let mut connection = Connection::open(envoy.address).unwrap();
    let heads = upstream.heads();
    connection.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 36\r\n\r\n").unwrap();
    let waited = Instant::now();
    while upstream.heads() == heads && waited.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(
        upstream.heads(),
        heads + 1,
        "the head was held in monitor mode"
    );
    connection
        .send(br#"{"name":"<script>alert(1)</script>"}"#)
        .unwrap();
    assert_eq!(connection.receive(false).unwrap().status, 200);
    for reason in ["injection", "rate_limited", "method_not_allowed"] {
        assert!(
            envoy.log().contains(&format!("\"reason\":\"{reason}\"")),
            "{reason} not reported:\n{}",
            envoy.log()
        );
    }
    wait_for(&envoy, "body:name");
}

/// Hostile heads as far as Envoy lets them through: an answer each, and the filter lives on.
#[test]
fn hostile_heads_get_an_answer_and_the_filter_lives_on() {
    let upstream = Upstream::start().unwrap();
    let setup = with_policy(
        "injection: { inspect: [target, headers, cookies, body] }",
        &upstream,
    );
    let envoy = start(&setup);
    let mut raw: Vec<Vec<u8>> = Vec::new();
    let mut all_high = b"GET / HTTP/1.1\r\nhost: a\r\nx-high: ".to_vec();
    all_high.extend(0x80..=0xFF_u8);
    all_high.extend_from_slice(b"\r\n\r\n");
    raw.push(all_high);
    for count in [95, 200, 1024, 1100] {
        let fields: String = (0..count).map(|n| format!("x-{n}: {n}\r\n")).collect();
        raw.push(format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n").into_bytes());
    }
    for field in [
        "cookie: ".to_owned() + &"a".repeat(1 << 20),
        "x-empty:".to_owned(),
        "authorization: Bearer".to_owned(),
        "authorization: Bearer a.b.c\r\nauthorization: Bearer d.e.f".to_owned(),
        "content-length: 1, 1".to_owned(),
        "content-length: 0\r\ntransfer-encoding: chunked".to_owned(),
        "x-forwarded-for: ,,,[::1, 999.1.1.1".to_owned(),
        "cookie: =;;;=a; b; c==".to_owned(),
        format!("authorization: Bearer {}", "é".repeat(500)),
    ] {
        raw.push(format!("GET /account HTTP/1.1\r\nhost: a\r\n{field}\r\n\r\n").into_bytes());
    }
    for target in [
        "/%",
        "/%zz",
        "/%00",
        "/%252e%252e/",
        "/%c0%ae",
        "*",
        "/?%",
        "/?a=%zz",
        "/?a=%c0%ae%c0%ae/",
        "http://x/y",
        "/a#b",
    ] {
        raw.push(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes());
    }
    for (number, bytes) in raw.iter().enumerate() {
        let mut connection = Connection::open(envoy.address).unwrap();
        let _ = connection.send(bytes);
        // An answer, or a closed connection by Envoy's own HTTP parser; never a hang, never a 5xx.
        if let Ok(response) = connection.receive(false) {
            assert!(
                response.status < 500,
                "request {number}: {}\n{}",
                response.status,
                envoy.log()
            );
        }
        assert_eq!(
            get(envoy.address, "/", &[]).status,
            200,
            "after request {number}\n{}",
            envoy.log()
        );
    }
    assert!(
        !envoy.log().contains("Proxy-Wasm plugin in-VM backtrace"),
        "{}",
        envoy.log()
    );
}

/// Envoy's YAML reader makes a boolean of the word `off`; `on` is a key to it, as to us.
#[test]
fn on_and_off_mean_what_they_say() {
    let upstream = Upstream::start().unwrap();
    let policy = "limits: [{ name: quiet, key: [client], quota: 1/1h, when: { path: /quiet }, headers: off }]\n\
                  injection: { inspect: [target] }\n\
                  signals: { ban: [{ on: injection, after: 2, window: 1m, for: 1h }] }";
    let envoy = start(&with_policy(policy, &upstream));
    assert_eq!(
        get(envoy.address, "/quiet", &[]).status,
        200,
        "{}",
        envoy.log()
    );
    let refused = get(envoy.address, "/quiet", &[]);
    assert_eq!((refused.status, refused.header("ratelimit")), (429, None));
    for expected in [403, 403, 429] {
        let answer = get(envoy.address, "/?q=%27%20OR%201=1--", &[]);
        assert_eq!(answer.status, expected, "{}", envoy.log());
    }
}
