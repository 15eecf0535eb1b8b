//! The SDK's own kinds of filter (ours, in `examples/`), built and run here as a user of the library would.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a failure is the test's"
)]

use std::time::Duration;

use palisade_host::{
    Callout, CalloutEvent, CalloutFailure, Clock, Clusters, Error, Headers, Injected, Module,
    Outcome, Request, Response, Vm, VmConfig,
};

fn guest(name: &str) -> Module {
    Module::from_package(name).unwrap()
}

fn start(name: &str, config: VmConfig) -> Vm {
    Vm::start(&guest(name), config).unwrap()
}

#[test]
fn empty_lets_everything_pass_unchanged() {
    let mut vm = start("sdk-empty", VmConfig::default());
    let request = Request::post("/a?b", "body")
        .trailer("t", [0xff])
        .header("x", [0x80, 0xff]);
    let response = Response::new(201, "made").header("y", "1");
    let outcome = vm.exchange(&request, |_| response.clone()).unwrap();
    let upstream = outcome.upstream.unwrap();
    assert_eq!(
        (upstream.headers, upstream.body, upstream.trailers),
        (request.headers, b"body".to_vec(), request.trailers)
    );
    assert_eq!(
        (outcome.status, &outcome.headers, outcome.body.as_slice()),
        (201, &response.headers, &b"made"[..])
    );
}

#[test]
fn hello_ticks_on_a_virtual_clock() {
    let clock = Clock::virtual_at(Duration::from_secs(1_000));
    let mut vm = start(
        "sdk-hello",
        VmConfig {
            clock: clock.clone(),
            ..VmConfig::default()
        },
    );
    assert_eq!(vm.tick_period(), Some(Duration::from_secs(5)));
    for _ in 0..2 {
        clock.advance(Duration::from_secs(5));
        assert!(vm.tick().unwrap().is_empty());
    }
    let logs: Vec<String> = vm.take_logs().iter().map(ToString::to_string).collect();
    assert_eq!(
        logs,
        [
            "[info] hello",
            "[info] tick 1 at 1005",
            "[info] tick 2 at 1010"
        ]
    );
    assert_eq!(vm.shared().metric("hello_ticks"), Some(2));
}

#[test]
fn headers_are_read_written_and_answered() {
    let mut vm = start("sdk-headers", VmConfig::default());
    let request = Request::get("/")
        .header("x-secret", "1")
        .header("x-odd", [0xff, b'a']);
    let outcome = vm.exchange(&request, |_| Response::new(200, "hi")).unwrap();
    let upstream = outcome.upstream.unwrap();
    assert_eq!(upstream.headers.text("x-marked").as_deref(), Some("yes"));
    assert_eq!(upstream.headers.get("x-secret"), None);
    assert_eq!(
        outcome.headers.text("powered-by").as_deref(),
        Some("proxy-wasm")
    );
    assert!(
        outcome
            .logs
            .iter()
            .any(|line| line.message == "x-odd: \\xffa"),
        "{:?}",
        outcome.logs
    );
    assert_eq!(
        outcome.logs.last().map(|line| line.message.as_str()),
        Some("done: 200")
    );

    // A local reply passes the response callbacks.
    let outcome = vm
        .exchange(&Request::get("/hello"), |_| {
            panic!("the upstream must not see this")
        })
        .unwrap();
    assert_eq!(
        (outcome.status, outcome.text().as_str()),
        (200, "Hello, world!\n")
    );
    assert_eq!(outcome.headers.text("hello").as_deref(), Some("world"));
    assert_eq!(
        outcome.headers.text("content-length").as_deref(),
        Some("14")
    );
    assert_eq!(
        outcome.headers.text("powered-by").as_deref(),
        Some("proxy-wasm")
    );

    let outcome = vm
        .exchange(&Request::get("/forbidden"), |_| {
            panic!("the upstream must not see this")
        })
        .unwrap();
    assert_eq!(
        (outcome.status, outcome.body.len(), vm.stream_count()),
        (403, 0, 0)
    );
}

#[test]
fn bodies_are_held_judged_and_replaced() {
    let mut vm = start("sdk-body", VmConfig::default());
    let told = Response::new(200, "the sec").header("x", "y");
    let told = Response {
        chunks: vec![b"the sec".to_vec(), b"ret".to_vec()],
        ..told
    };
    let outcome = vm.exchange(&Request::get("/"), |_| told).unwrap();
    assert_eq!(
        (outcome.status, outcome.text().as_str()),
        (200, "redacted: 10 bytes\n")
    );
    assert_eq!(outcome.headers.get("content-length"), None);

    // The word is found wherever the body is cut; headers went on before, so the upstream saw them but no body.
    let body = b"an attack!";
    for cut in 0..=body.len() {
        let (first, second) = body.split_at(cut);
        let request = Request::new("POST", "/").chunk(first).chunk(second);
        let outcome = vm.exchange(&request, |_| panic!("cut at {cut}")).unwrap();
        assert_eq!(
            (outcome.status, outcome.text().as_str()),
            (403, "no\n"),
            "cut at {cut}"
        );
        assert_eq!(
            outcome.upstream.map(|upstream| upstream.body),
            Some(Vec::new()),
            "cut at {cut}"
        );
    }
}

#[test]
fn a_configuration_is_read_replaced_and_refused() {
    let config = VmConfig {
        plugin_configuration: b"one".to_vec(),
        ..VmConfig::default()
    };
    let mut vm = start("sdk-config", config);
    let header = |vm: &mut Vm| {
        let outcome = vm
            .exchange(&Request::get("/"), |_| Response::new(200, ""))
            .unwrap();
        outcome.headers.text("custom-header")
    };
    assert_eq!(header(&mut vm).as_deref(), Some("one"));
    vm.configure(b"two").unwrap();
    assert_eq!(header(&mut vm).as_deref(), Some("two"));
    match vm.configure(b"\xff") {
        Err(Error::Rejected {
            callback: "proxy_on_configure",
            logs,
            ..
        }) => {
            assert_eq!(logs.len(), 1);
            assert_eq!(logs[0].message, "the configuration must be a text");
        }
        other => panic!("{other:?}"),
    }
    // The old one stays.
    assert_eq!(header(&mut vm).as_deref(), Some("two"));
    assert!(matches!(
        Vm::start(&guest("sdk-config"), VmConfig::default()),
        Err(Error::Rejected { .. })
    ));
}

/// Every answer any hostcall can give, for every hostcall the guest makes: the SDK may panic (a trap), the host may not.
#[test]
fn a_host_that_answers_anything_is_survived() {
    for status in [1, 2, 3, 4, 6, 7, 8, 10, 12, 99, -1] {
        for name in [
            "proxy_get_header_map_pairs",
            "proxy_get_header_map_value",
            "proxy_log",
            "proxy_send_local_response",
        ] {
            let fault = Box::new(move |call: &'static str| {
                (call == name).then_some(Injected::Status(status))
            });
            let mut vm = start(
                "sdk-headers",
                VmConfig {
                    fault: Some(fault),
                    ..VmConfig::default()
                },
            );
            match vm.exchange(&Request::get("/hello"), |_| Response::new(200, "")) {
                Ok(_) | Err(Error::Trap { .. }) => {}
                Err(other) => panic!("{name} answering {status}: {other}"),
            }
        }
    }
}

/// The guest that asks `auth`, in virtual time, with these answers.
fn asking(answers: impl Fn(&Callout) -> Vec<(Duration, CalloutEvent)> + Send + 'static) -> Vm {
    let config = VmConfig {
        clock: Clock::virtual_at(Duration::from_secs(1_000)),
        clusters: Clusters::named(["auth"]),
        callouts: Some(Box::new(answers)),
        ..VmConfig::default()
    };
    start("sdk-callout", config)
}

fn ask(vm: &mut Vm, path: &str) -> Outcome {
    vm.exchange(&Request::get(path), |_| Response::new(200, "ok"))
        .unwrap()
}

fn messages(outcome: &Outcome) -> Vec<&str> {
    let lines = outcome.logs.iter();
    lines.map(|line| line.message.as_str()).collect()
}

#[test]
fn an_http_call_decides_and_time_passes() {
    let delay = Duration::from_millis(300);
    let mut vm = asking(move |call| {
        let Callout::Http { headers, .. } = call else {
            return Vec::new();
        };
        match headers.text(":path").as_deref() {
            Some("/silent") => Vec::new(),
            Some("/late") => vec![(delay * 2, CalloutEvent::response(200, ""))],
            Some("/broken") => vec![(delay, CalloutEvent::HttpFailure)],
            Some("/refused") => {
                let failed = call.failed(CalloutFailure::Refused);
                failed.into_iter().map(|event| (delay, event)).collect()
            }
            Some("/no") => vec![(delay, CalloutEvent::response(401, "go away"))],
            _ => vec![(delay, CalloutEvent::response(200, "alice"))],
        }
    });
    // path, status, body, milliseconds it took, what the guest saw
    for (path, status, body, took, seen) in [
        ("/", 200, "ok", 300, "answer: 1 headers, status 200"),
        ("/no", 403, "go away", 300, "answer: 1 headers, status 401"),
        ("/broken", 503, "no answer\n", 300, "no answer"),
        (
            "/silent",
            403,
            "upstream request timeout",
            500,
            "answer: 3 headers, status 504",
        ),
        (
            "/late",
            403,
            "upstream request timeout",
            500,
            "answer: 3 headers, status 504",
        ),
        (
            "/refused",
            403,
            "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
            300,
            "answer: 3 headers, status 503",
        ),
    ] {
        let before = vm.clock().wall_nanos();
        let outcome = ask(&mut vm, path);
        assert_eq!(
            (outcome.status, outcome.text().as_str()),
            (status, body),
            "{path}"
        );
        assert_eq!(messages(&outcome), [seen], "{path}");
        assert_eq!(vm.clock().wall_nanos() - before, took * 1_000_000, "{path}");
        let upstream = outcome.upstream.map(|upstream| upstream.headers);
        let marked = upstream.as_ref().and_then(|headers| headers.text("x-auth"));
        assert_eq!(
            marked.as_deref(),
            (status == 200).then_some("alice"),
            "{path}"
        );
        assert!(
            matches!(&outcome.callouts[..], [Callout::Http { cluster, timeout, .. }]
                if cluster == "auth" && *timeout == Duration::from_millis(500)),
            "{path}: {:?}",
            outcome.callouts
        );
    }
    // No such cluster.
    let mut vm = start("sdk-callout", VmConfig::default());
    let outcome = ask(&mut vm, "/");
    assert_eq!(
        (outcome.status, outcome.text().as_str()),
        (500, "not asked\n")
    );
    assert_eq!(messages(&outcome), ["not asked: BadArgument"]);
}

#[test]
fn a_grpc_call_and_a_stream_decide() {
    let after = Duration::from_millis;
    let mut vm = asking(move |call| match call {
        Callout::Grpc {
            service,
            method,
            message,
            ..
        } => {
            let answer = format!("{service}/{method} {}", message.escape_ascii());
            vec![(after(10), CalloutEvent::GrpcMessage(answer.into_bytes()))]
        }
        Callout::GrpcOpen { .. } => {
            vec![(
                after(1),
                CalloutEvent::GrpcInitialMetadata([("a", "b")].into()),
            )]
        }
        Callout::GrpcSend { message, end, .. } => {
            let echo = CalloutEvent::GrpcMessage(message.to_ascii_uppercase());
            let status = 0;
            let message = String::new();
            let close = CalloutEvent::GrpcClose { status, message };
            let trailing = CalloutEvent::GrpcTrailingMetadata(Headers::new());
            let mut events = vec![(after(2), echo)];
            if *end {
                events.extend([(after(3), trailing), (after(3), close)]);
            }
            events
        }
        _ => Vec::new(),
    });
    let outcome = ask(&mut vm, "/grpc");
    let auth = |outcome: &Outcome| outcome.upstream.as_ref()?.headers.text("x-auth");
    assert_eq!(auth(&outcome).as_deref(), Some("auth.Auth/Check ask"));
    let outcome = ask(&mut vm, "/stream");
    assert_eq!(auth(&outcome).as_deref(), Some("ONE+TWO"));
    assert_eq!(
        messages(&outcome),
        ["metadata: 1", "trailing metadata: 0", "closed: 0"]
    );

    let mut vm = asking(|_| Vec::new());
    let outcome = ask(&mut vm, "/grpc");
    assert_eq!(outcome.status, 503);
    assert_eq!(
        messages(&outcome),
        ["gRPC: 14 upstream request timeout{response_timeout}"]
    );
    // A stream has no timeout: it waits for ever, its context goes, and what comes then finds nobody.
    let outcome = ask(&mut vm, "/stream");
    assert!(outcome.paused);
}

#[test]
fn a_tick_asks_on_its_own_and_time_can_be_let_pass() {
    let mut vm = asking(|_| vec![(Duration::from_secs(1), CalloutEvent::response(200, "keys"))]);
    // The call's timeout of half a second comes first.
    vm.advance(Duration::from_secs(59)).unwrap();
    assert!(vm.take_logs().is_empty());
    vm.advance(Duration::from_secs(1)).unwrap();
    assert!(vm.take_logs().is_empty());
    vm.advance(Duration::from_millis(500)).unwrap();
    let logs: Vec<String> = vm
        .take_logs()
        .into_iter()
        .map(|line| line.message)
        .collect();
    assert_eq!(logs, ["keys: 3 headers, 24 bytes"]);
    vm.advance(Duration::from_secs(600)).unwrap();
    assert_eq!(vm.take_logs().len(), 10);
    assert_eq!(vm.clock().wall_nanos(), 1_660_500_000_000);
}
