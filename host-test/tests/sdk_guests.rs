//! The SDK's own kinds of filter (ours, in `examples/`), built and run here as a user of the library would.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a failure is the test's"
)]

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Once,
    time::Duration,
};

use palisade_host::{Clock, Error, Module, Request, Response, Vm, VmConfig};

const GUESTS: [&str; 5] = [
    "sdk-body",
    "sdk-config",
    "sdk-empty",
    "sdk-headers",
    "sdk-hello",
];

/// Builds the guests once, in a target folder of their own, and loads one.
fn guest(name: &str) -> Module {
    static BUILT: Once = Once::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(PathBuf::from)
        .unwrap();
    let target = root.join("target/guests");
    BUILT.call_once(|| {
        eprintln!("building {} for wasm32-unknown-unknown", GUESTS.join(", "));
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(&root).args([
            "build",
            "--release",
            "--target",
            "wasm32-unknown-unknown",
            "--target-dir",
        ]);
        cargo.arg(&target);
        for guest in GUESTS {
            cargo.args(["-p", guest]);
        }
        assert!(cargo.status().unwrap().success(), "the guests do not build");
    });
    let file = format!(
        "wasm32-unknown-unknown/release/{}.wasm",
        name.replace('-', "_")
    );
    Module::from_file(target.join(file)).unwrap()
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
            let fault = Box::new(move |call: &'static str| (call == name).then_some(status));
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
