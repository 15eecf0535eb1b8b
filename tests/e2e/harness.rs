//! The shipped `.wasm` in our host: cost, hostcalls, hostile input, a host that answers anything.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "helpers of tests: failing here is failing the test"
)]

#[expect(dead_code, reason = "this suite uses a part of it")]
#[path = "support.rs"]
mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use palisade_host::{
    Clock, Error, Injected, Module, Outcome, Request, Response, Shared, Vm, VmConfig,
};
use support::{JWT_KEY, SESSION_KEY, token};

/// The filter, compiled once per test binary.
fn filter() -> &'static Module {
    static MODULE: OnceLock<Module> = OnceLock::new();
    MODULE.get_or_init(|| {
        support::module();
        Module::from_file(palisade_tests::root().join("target/palisade.wasm")).unwrap()
    })
}

/// `examples/policies/shop.yaml` as the JSON text a control plane would send.
fn shop() -> Vec<u8> {
    let text = std::fs::read_to_string(palisade_tests::root().join("examples/policies/shop.yaml"))
        .unwrap();
    let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    serde_json::to_vec(&value).unwrap()
}

fn config(policy: &[u8]) -> VmConfig {
    VmConfig {
        plugin_configuration: policy.to_vec(),
        environment: vec![
            ("PALISADE_JWT_KEY".to_owned(), JWT_KEY.to_owned()),
            ("PALISADE_SESSION_KEY".to_owned(), SESSION_KEY.to_owned()),
        ],
        clock: Clock::virtual_at(Duration::from_secs(1_800_000_000)),
        allow_on_headers_stop_iteration: true,
        seed: Some(7),
        ..VmConfig::default()
    }
}

fn browser(path: &str) -> Request {
    Request::get(path)
        .header(
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36",
        )
        .header(
            "accept",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        )
        .header("accept-language", "en-US,en;q=0.9,de;q=0.8")
        .header("accept-encoding", "gzip, deflate, br, zstd")
        .header(
            "referer",
            "https://shop.example.com/catalogue/shoes?page=2&sort=price",
        )
        .header("sec-fetch-site", "same-origin")
        .header(
            "cookie",
            "theme=dark; cart=8f14e45fceea167a; _ga=GA1.2.1890834871.1718000000",
        )
        .header(
            "authorization",
            format!("Bearer {}", token("alice", "admin")),
        )
        .from_address("192.0.2.7:4711")
}

fn ok(_: &palisade_host::UpstreamRequest) -> Response {
    Response::new(200, "ok")
}

fn ask(vm: &mut Vm, request: &Request) -> Outcome {
    vm.exchange(request, ok)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The hostcalls of the allowed GET, by name: at most 8 in all callbacks, at most 3 that return data. The policy can ban:
/// whether a client is banned stands where its limit counts.
#[test]
fn the_allowed_get_makes_these_hostcalls_and_no_others() {
    let mut policy: serde_json::Value = serde_json::from_slice(&shop()).unwrap();
    assert!(policy.pointer("/limits/0/penalty").is_some());
    for penalty in [true, false] {
        if !penalty {
            let limit = policy.pointer_mut("/limits/0").unwrap();
            limit.as_object_mut().unwrap().remove("penalty");
        }
        let text = serde_json::to_vec(&policy).unwrap();
        let mut vm = Vm::start(filter(), config(&text)).unwrap();
        let request = browser("/account/orders?q=red+shoes&page=2&sort=price_asc");
        assert_eq!(ask(&mut vm, &request).status, 200);
        let outcome = ask(&mut vm, &request);
        assert_eq!(outcome.status, 200);
        let calls = outcome.trace.names();
        let returning = [
            "proxy_get_header_map_pairs",
            "proxy_get_property",
            "proxy_get_shared_data",
        ];
        let expected: BTreeSet<&str> = [
            "proxy_get_header_map_pairs",
            "proxy_get_property",
            "proxy_get_shared_data",
            "proxy_set_shared_data",
            "clock_time_get",
            "proxy_get_current_time_nanoseconds",
            "proxy_replace_header_map_value",
            "proxy_add_header_map_value",
        ]
        .into();
        let unexpected: Vec<_> = calls
            .iter()
            .filter(|call| !expected.contains(*call))
            .collect();
        assert!(unexpected.is_empty(), "{unexpected:?}");
        let data = calls.iter().filter(|call| returning.contains(call)).count();
        assert!(
            calls.len() <= 8 && data <= 3,
            "{} hostcalls, {data} that return data: {calls:?}",
            calls.len()
        );
        eprintln!(
            "hostcalls of the allowed GET: {calls:?}; fuel {}",
            outcome.trace.fuel()
        );
    }
}

/// A stage that the policy does not configure costs nothing.
#[test]
fn an_empty_policy_reads_the_head_and_nothing_else() {
    let mut vm = Vm::start(filter(), config(b"{\"mode\":\"enforce\"}")).unwrap();
    let request = browser("/");
    ask(&mut vm, &request);
    let outcome = ask(&mut vm, &request);
    assert_eq!(outcome.status, 200);
    assert!(
        outcome.trace.count("proxy_get_shared_data") == 0,
        "{:?}",
        outcome.trace.names()
    );
    assert!(
        outcome.trace.hostcalls.len() <= 4,
        "{:?}",
        outcome.trace.names()
    );
}

fn requests() -> Vec<Request> {
    let json = |body: &str| {
        let mut request =
            Request::new("POST", "/comments").header("content-type", "application/json");
        for chunk in body.as_bytes().chunks(7) {
            request = request.chunk(chunk);
        }
        request.from_address("192.0.2.8:1")
    };
    vec![
        browser("/account/orders?q=shoes"),
        browser("/search?q=%27%20OR%201=1--"),
        json(r#"{"name":"Conan O'Brien"}"#),
        json(r#"{"name":"<script>alert(1)</script>"}"#).trailer("x-end", "1"),
        Request::new("POST", "/login")
            .header("content-type", "application/x-www-form-urlencoded")
            .chunk("user=a&password=b"),
    ]
}

/// Any hostcall may answer any status: an answer or a closed stream each time, never a trap, never a hang.
#[test]
fn a_host_that_answers_any_hostcall_with_any_status() {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let policy = shop();
    let watching = seen.clone();
    let mut watched = config(&policy);
    watched.fault = Some(Box::new(move |name| {
        watching.lock().unwrap().insert(name);
        None
    }));
    let mut vm = Vm::start(filter(), watched).unwrap();
    for request in requests() {
        ask(&mut vm, &request);
    }
    let _ = vm.tick();
    let names: Vec<&'static str> = seen.lock().unwrap().iter().copied().collect();
    assert!(names.len() > 8, "{names:?}");
    let mut runs = 0;
    for name in names {
        for status in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99, -1, i32::MIN] {
            // From the start, or only once requests flow.
            for from_start in [true, false] {
                let armed = Arc::new(AtomicUsize::new(usize::from(from_start)));
                let trigger = armed.clone();
                let mut faulty = config(&policy);
                faulty.fault = Some(Box::new(move |called| {
                    (trigger.load(Ordering::SeqCst) == 1 && called == name)
                        .then_some(Injected::Status(status))
                }));
                let mut vm = match Vm::start(filter(), faulty) {
                    Ok(vm) => vm,
                    Err(Error::Rejected { .. }) => continue,
                    Err(error) => panic!("{name} answering {status} at start: {error}"),
                };
                armed.store(1, Ordering::SeqCst);
                for request in requests() {
                    let outcome = vm
                        .exchange(&request, |_| Response::new(401, "wrong"))
                        .unwrap_or_else(|error| panic!("{name} answering {status}: {error}"));
                    // Without a reply the filter closes the stream, which is an end too.
                    let closed = outcome
                        .local_reply
                        .as_ref()
                        .is_some_and(|reply| reply.reset);
                    assert!(
                        outcome.status >= 200 || outcome.paused || closed,
                        "{name} answering {status}: {outcome:?}"
                    );
                    runs += 1;
                }
                vm.tick()
                    .unwrap_or_else(|error| panic!("{name} answering {status}, tick: {error}"));
            }
        }
    }
    eprintln!("{runs} exchanges under injected statuses, none trapped");
}

/// An attack never passes because a hostcall failed.
#[test]
fn a_failing_host_never_opens_the_gate() {
    let policy = br#"{"injection":{"inspect":["target"]},"limits":[{"name":"a","key":["client"],"quota":"5/1m"}]}"#;
    for name in [
        "proxy_get_header_map_pairs",
        "proxy_get_shared_data",
        "proxy_set_shared_data",
    ] {
        for status in [1, 2, 6, 7, 10, 12] {
            let armed = Arc::new(AtomicUsize::new(0));
            let trigger = armed.clone();
            let mut faulty = config(policy);
            faulty.fault = Some(Box::new(move |called| {
                (trigger.load(Ordering::SeqCst) == 1 && called == name)
                    .then_some(Injected::Status(status))
            }));
            let mut vm = Vm::start(filter(), faulty).unwrap();
            armed.store(1, Ordering::SeqCst);
            let attack = ask(
                &mut vm,
                &Request::get("/?q=%27%20OR%201=1--").from_address("192.0.2.9:1"),
            );
            assert!(
                attack.status >= 400 && attack.upstream.is_none(),
                "{name} answering {status}: {}",
                attack.status
            );
        }
    }
}

/// Workers on threads of their own over one store: exactly the quota.
#[test]
fn four_workers_admit_exactly_the_quota() {
    let shared = Shared::new();
    let policy = br#"{"limits":[{"name":"per-client","key":["client"],"quota":"100/10m"}]}"#;
    let admitted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut config = config(policy);
            config.shared = shared.clone();
            let admitted = &admitted;
            scope.spawn(move || {
                let mut vm = Vm::start(filter(), config).unwrap();
                for _ in 0..250 {
                    match ask(&mut vm, &Request::get("/").from_address("192.0.2.1:5")).status {
                        200 => admitted.fetch_add(1, Ordering::SeqCst),
                        429 => 0,
                        other => panic!("{other}"),
                    };
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 100);
}

/// A full table says so: who made room, the floor that newcomers met, and races that were lost.
#[test]
fn the_table_of_limits_tells_what_happens_to_it() {
    let shared = Shared::new();
    let losses = Arc::new(AtomicUsize::new(0));
    let left = losses.clone();
    let mut start = config(
        br#"{"table":{"clients":64,"ways":2},"limits":[{"name":"per-client","key":["client"],"quota":"2/10m"}]}"#,
    );
    start.shared = shared.clone();
    start.fault = Some(Box::new(move |called| {
        let lose = called == "proxy_set_shared_data"
            && left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                })
                .is_ok();
        // CAS_MISMATCH.
        lose.then_some(Injected::Status(8))
    }));
    let mut vm = Vm::start(filter(), start).unwrap();
    let metric = |name: &str| shared.metric(&format!("palisade.table.{name}"));
    vm.tick().unwrap();
    assert_eq!(metric("evictions"), Some(0));
    assert_eq!(metric("floor"), Some(0));
    losses.store(3, Ordering::SeqCst);
    let mut refused = 0;
    for client in 0..1000 {
        let from = format!("192.0.{}.{}:5", client / 250, client % 250);
        let status = ask(&mut vm, &Request::get("/").from_address(&from)).status;
        refused += u64::from(status == 429);
    }
    vm.tick().unwrap();
    // 32 sets of 2: all but 64 of those who were charged made room.
    assert!(refused > 0);
    assert_eq!(metric("evictions"), Some(1000 - refused - 64));
    assert_eq!(metric("conflicts"), Some(3));
    assert_eq!(metric("floor"), Some(1000));
    vm.tick().unwrap();
    assert_eq!(metric("floor"), Some(0));
}

/// Clocks that go backwards: a verdict each, never more than the quota.
#[test]
fn clocks_going_backwards() {
    let clock = Clock::virtual_at(Duration::from_secs(1_800_000_000));
    clock.set_monotonic(Duration::from_secs(100_000));
    let mut start =
        config(br#"{"limits":[{"name":"per-client","key":["client"],"quota":"10/1m"}]}"#);
    start.clock = clock.clone();
    let mut vm = Vm::start(filter(), start).unwrap();
    let mut admitted = 0;
    for step in 0..200_u64 {
        clock.set_monotonic(Duration::from_millis(100_000_000 - step * 400_000));
        clock.set_wall(Duration::from_secs(1_800_000_000 - step * 400));
        admitted +=
            usize::from(ask(&mut vm, &Request::get("/").from_address("192.0.2.1:5")).status == 200);
    }
    assert_eq!(admitted, 10);
}

/// Heads and bodies nobody sends in earnest: an answer each, the guest lives on.
#[test]
fn hostile_requests_never_trap() {
    let mut vm = Vm::start(filter(), config(&shop())).unwrap();
    let mut peer = 0_u32;
    let mut send = |mut request: Request| {
        peer += 1;
        request.info.source_address = format!("198.51.{}.{}:1", peer / 250 % 250, peer % 250);
        let outcome = ask(&mut vm, &request);
        assert!(!outcome.paused && outcome.status >= 200, "{outcome:?}");
        outcome.status
    };
    let every: Vec<u8> = (0..=255).collect();
    let high: Vec<u8> = (0x80..=0xFF).collect();
    let names = [
        "user-agent",
        "cookie",
        "authorization",
        "x-forwarded-for",
        "content-type",
        "content-length",
        "host",
        "referer",
        "x-request-id",
        "te",
    ];
    for name in names {
        for value in [
            &every[..],
            &high[..],
            b"",
            b"\0",
            b"%",
            b"=;=;",
            b"Bearer ",
            b"Bearer a.b.c",
            b"Bearer ....",
            b",",
        ] {
            send(Request::get("/account/x").header(name, value));
            send(
                Request::get("/account/x")
                    .header(name, value)
                    .header(name, value),
            );
        }
    }
    for count in [100, 101, 1023, 1024, 1500] {
        let request = (0..count).fold(Request::get("/"), |request, n| {
            request.header(format!("x-{n}"), "1")
        });
        send(request);
    }
    send(Request::get("/").header("cookie", "a".repeat(1 << 20)));
    send(Request::get("/").header("cookie", "a=b; ".repeat(200_000)));
    for target in [
        "",
        "%",
        "/%",
        "/%zz",
        "/%00",
        "/%252e",
        "/%c0%ae",
        "*",
        "?",
        "/?%",
        "/?%zz=%",
        "http://a/b",
        "//",
        "/..",
        "/../..",
        "#",
        "/?a=%u0041",
    ] {
        send(Request::get(target));
    }
    send(Request::get(&format!("/{}", "%25".repeat(20_000))));
    for byte in 0..=255_u8 {
        let mut request = Request::get("/");
        request
            .headers
            .set(":path", [b"/a?b=".as_slice(), &[byte, b'c']].concat());
        send(request);
    }
    let json = || Request::new("POST", "/comments").header("content-type", "application/json");
    for body in [
        "[".repeat(100_000),
        "{\"a\":".repeat(50_000),
        "[".repeat(70) + &"]".repeat(70),
        "\"\\ud800\"".to_owned(),
        "{\"a\":1,\"a\":2}".to_owned(),
        "1e999999999".to_owned(),
        "nul".to_owned(),
        String::new(),
    ] {
        send(json().chunk(body.as_bytes()));
    }
    send(json().chunk(&every));
    // Cut at every byte, and cut short at every byte; trailers or not.
    let body = br#"{"name":"Jos\u00e9 <b>","list":[1,-2.5e3,null,true,{"x":"' OR 1=1--"}]}"#;
    let whole = send(json().chunk(body));
    for at in 0..body.len() {
        let (first, second) = body.split_at(at);
        assert_eq!(
            send(json().chunk(first).chunk(second)),
            whole,
            "cut at {at}"
        );
        assert_eq!(
            send(json().chunk(first).chunk(second).trailer("x", "y")),
            whole,
            "cut at {at}, trailers"
        );
        send(json().chunk(first));
    }
    let form = || {
        Request::new("POST", "/login").header("content-type", "application/x-www-form-urlencoded")
    };
    for body in [
        "&&&&",
        "=",
        "%",
        "a=%zz&%=",
        "a=1&a=2&a=%27+OR+1=1--",
        "a[]=1&a[b]=2",
    ] {
        send(form().chunk(body));
    }
    send(form().chunk(&every));
    send(form().chunk("a=b&".repeat(30_000)));
}

/// Every error of a broken policy is in the log, and the VM says no.
#[test]
fn a_broken_policy_is_rejected_with_all_its_errors() {
    let policy = br#"{"modes":"enforce","limits":[{"name":"a","key":["client"],"quota":"10x"}],"injection":{"level":9}}"#;
    let Err(Error::Rejected { logs, .. }) = Vm::start(filter(), config(policy)) else {
        panic!("it was accepted")
    };
    let text: String = logs
        .iter()
        .map(|line| line.message.clone() + "\n")
        .collect();
    for needed in [
        "modes",
        "`mode`",
        "limits[0].quota",
        "`10x`",
        "injection.level",
    ] {
        assert!(text.contains(needed), "no {needed} in\n{text}");
    }
    for garbage in [
        &b""[..],
        b"{",
        b"\x0a",
        b"\x0a\xff\xff\xff\xff\x0f",
        &[0x0a; 300],
        b"[]",
        b"null",
        b"\xff\xfe",
    ] {
        assert!(
            matches!(
                Vm::start(filter(), config(garbage)),
                Err(Error::Rejected { .. })
            ),
            "{garbage:?}"
        );
    }
}
