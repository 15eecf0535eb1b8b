//! Policy reloads in a real Envoy under load, and memory over many clients.
//!
//! The filter's configuration comes by extension configuration discovery from a file, so that Envoy keeps its
//! listener, connections and VM: only the plugin configuration changes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "helpers of tests: failing here is failing the test"
)]

#[expect(dead_code, reason = "this suite uses a part of it")]
#[path = "support.rs"]
mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use palisade_tests::discovery::Discovery;
use palisade_tests::envoy::Envoy;
use palisade_tests::http::{self, Connection};
use palisade_tests::upstream::Upstream;
use support::{get, start, with_policy};

fn policy(methods: &str, clients: u32) -> String {
    format!(
        "table: {{ clients: {clients} }}\nheaders: {{ methods: {methods} }}\ninjection: {{ inspect: [target] }}\n\
         limits: [{{ name: per-client, key: [client], quota: 1000000/10m }}]"
    )
}

/// Waits until `PUT /` gets `expected`.
fn effective(envoy: &Envoy, expected: u16) {
    let begun = Instant::now();
    while http::request(envoy.address, "PUT", "/", &[], b"")
        .unwrap()
        .status
        != expected
    {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the update did not take effect\n{}",
            envoy.log()
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// 50 reloads under load: no request dropped, none unfiltered; then a broken update keeps the old policy.
#[test]
fn reloads_under_load_drop_nothing_and_let_nothing_through() {
    let upstream = Upstream::start().unwrap();
    let mut setup = with_policy(&policy("[GET]", 4096), &upstream);
    setup.workers = 2;
    let discovery = Discovery::of(&mut setup, "load").unwrap();
    let first = &discovery.text;
    let envoy = start(&setup);
    assert_eq!(get(envoy.address, "/", &[]).status, 200, "{}", envoy.log());
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut memory = Vec::new();
    std::thread::scope(|scope| {
        for lane in 0..4 {
            let (stop, asked, envoy) = (&stop, &asked, &envoy);
            scope.spawn(move || {
                let mut connection = Connection::open(envoy.address).unwrap();
                while !stop.load(Ordering::SeqCst) {
                    let (target, expected) = if lane % 2 == 0 {
                        ("/?q=shoes", 200)
                    } else {
                        ("/?q=%27%20OR%201=1--", 403)
                    };
                    connection
                        .send(&http::render("GET", target, &[], b""))
                        .unwrap();
                    let answer = connection.receive(false).unwrap();
                    assert_eq!(answer.status, expected, "{target}\n{}", envoy.log());
                    asked.fetch_add(1, Ordering::SeqCst);
                    if answer
                        .header("connection")
                        .is_some_and(|value| value == "close")
                    {
                        connection = Connection::open(envoy.address).unwrap();
                    }
                }
            });
        }
        for round in 0..50_u32 {
            let put = round % 2 == 0;
            let clients = 1024 << (round % 7);
            let text = first
                .replace(
                    "methods: [GET]",
                    if put {
                        "methods: [GET, PUT]"
                    } else {
                        "methods: [GET]"
                    },
                )
                .replace("clients: 4096", &format!("clients: {clients}"));
            discovery.write(&text).unwrap();
            effective(&envoy, if put { 200 } else { 405 });
            if round % 10 == 9 {
                memory.push(envoy.rss_kib());
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
    eprintln!(
        "{} requests over 50 reloads, RSS in KiB at every tenth: {memory:?}",
        asked.load(Ordering::SeqCst)
    );
    assert!(asked.into_inner() > 500);
    let (early, late) = (memory[1], memory[4]);
    assert!(
        late < early + 24 * 1024,
        "memory grows with reloads: {memory:?}"
    );

    let broken = first.replace("quota: 1000000/10m", "quota: 10x");
    discovery.write(&broken).unwrap();
    let begun = Instant::now();
    while !envoy.log().contains("limits[0].quota") {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "no error for the broken update\n{}",
            envoy.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(
        get(envoy.address, "/?q=shoes", &[]).status,
        200,
        "{}",
        envoy.log()
    );
    assert_eq!(get(envoy.address, "/?q=%27%20OR%201=1--", &[]).status, 403);
}

/// Many distinct clients: shared data and VM memory flat once the table is full. `PALISADE_LONG=1`: a million.
#[test]
fn memory_is_flat_over_distinct_clients() {
    let upstream = Upstream::start().unwrap();
    let policy =
        "table: { clients: 4096 }\nlimits: [{ name: per-client, key: [client], quota: 100/10m }]";
    let mut setup = with_policy(policy, &upstream);
    setup.replace.push((
        "xff_num_trusted_hops: 0".to_owned(),
        "xff_num_trusted_hops: 1".to_owned(),
    ));
    setup.replace.push((
        "route: { cluster: upstream }".to_owned(),
        "direct_response: { status: 200 }".to_owned(),
    ));
    setup.workers = 2;
    let envoy = start(&setup);
    let clients: u32 = if std::env::var_os("PALISADE_LONG").is_some() {
        1_000_000
    } else {
        60_000
    };
    let next = AtomicUsize::new(0);
    let mut memory = Vec::new();
    for fifth in 1..=5 {
        let until = clients as usize / 5 * fifth;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut connection = Connection::open(envoy.address).unwrap();
                    loop {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        if number >= until {
                            break;
                        }
                        let [_, a, b, c] = u32::try_from(number).unwrap().to_be_bytes();
                        let client = format!("11.{a}.{b}.{c}");
                        connection
                            .send(&http::render(
                                "GET",
                                "/",
                                &[("x-forwarded-for", &client)],
                                b"",
                            ))
                            .unwrap();
                        let status = connection.receive(false).unwrap().status;
                        assert!(status == 200 || status == 429, "{status}\n{}", envoy.log());
                    }
                });
            }
        });
        next.store(until, Ordering::SeqCst);
        memory.push(envoy.rss_kib());
    }
    eprintln!("{clients} distinct clients, RSS in KiB at every fifth: {memory:?}");
    assert!(
        memory[4] < memory[1] + 8 * 1024,
        "memory grows with clients: {memory:?}"
    );
}

fn sessions(methods: &str) -> String {
    format!(
        "headers: {{ methods: {methods} }}\n\
         tokens:\n  \
         web: {{ type: session, from: {{ cookie: sid }}, keys: [{{ env: PALISADE_SESSION_KEY }}], idle: 15m, csrf: true, revocable: true }}\n\
         routes:\n\
         - {{ name: logout, match: {{ path: /logout }}, token: {{ any: [web], revoke: true }} }}\n\
         - {{ name: open, match: {{ path: /open }}, token: none }}\n\
         - {{ name: all, token: {{ any: [web] }} }}"
    )
}

/// A logout on one worker holds on the other at once, for the renewed cookie too, and after a reload.
#[test]
fn a_logout_holds_on_all_workers_and_across_reloads() {
    use palisade_engine::stages::token::session::{V1, csrf_token};
    use palisade_engine::stages::token::{HmacAlgorithm, Key, Secret};

    let upstream = Upstream::start().unwrap();
    let mut setup = with_policy(&sessions("[GET, POST]"), &upstream);
    setup.workers = 2;
    let discovery = Discovery::of(&mut setup, "logout").unwrap();
    let envoy = start(&setup);
    let secret = Secret(support::SESSION_KEY.as_bytes().to_vec());
    let key = Key::new(None, HmacAlgorithm::Sha256, &secret).unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let session = V1 {
        sub: "alice",
        sid: "s-1",
        iat: now - 500,
        ..V1::default()
    };
    let cookie = format!("sid={}", session.mint(&key));
    let other = V1 {
        sid: "s-2",
        ..session
    };
    let other = format!("sid={}", other.mint(&key));
    let ask = |cookie: &str| get(envoy.address, "/", &[("cookie", cookie)]);

    let first = ask(&cookie);
    assert_eq!(first.status, 200, "{}", envoy.log());
    let set: Vec<String> = first
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie")
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .collect();
    assert_eq!(set.len(), 2, "{set:?}");
    let (session_line, csrf_line) = (set.first().unwrap(), set.last().unwrap());
    let (renewed, attributes) = session_line.split_once("; ").unwrap();
    assert!(renewed.starts_with("sid=v1."), "{set:?}");
    assert_eq!(
        attributes,
        "Max-Age=900; HttpOnly; Path=/; Secure; SameSite=Lax"
    );
    let csrf = csrf_token(&key, "s-1");
    assert!(csrf_line.starts_with(&format!("csrf={csrf}; Max-Age=3")));
    let again = ask(&format!("{renewed}; csrf={csrf}"));
    assert_eq!((again.status, again.count("set-cookie")), (200, 0));

    let logout = |headers: &[(&str, &str)]| {
        http::request(envoy.address, "POST", "/logout", headers, b"").unwrap()
    };
    assert_eq!(logout(&[("cookie", &cookie)]).status, 403);
    assert_eq!(ask(&cookie).status, 200);
    let gone = logout(&[("cookie", &cookie), ("x-csrf-token", &csrf)]);
    assert_eq!((gone.status, gone.count("set-cookie")), (200, 0));
    let revoked = |when: &str| {
        // Each connection of its own: both workers answer some.
        for _ in 0..40 {
            for cookie in [cookie.as_str(), renewed] {
                let answer = ask(cookie);
                assert_eq!(answer.status, 401, "{when}\n{}", envoy.log());
            }
            assert_eq!(ask(&other).status, 200, "{when}");
        }
    };
    revoked("after the logout");
    let next = discovery.text.replace("[GET, POST]", "[GET, POST, PUT]");
    discovery.write(&next).unwrap();
    let begun = Instant::now();
    while http::request(envoy.address, "PUT", "/open", &[], b"")
        .unwrap()
        .status
        != 200
    {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", envoy.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    revoked("after the reload");
}
