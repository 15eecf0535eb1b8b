//! How streams move: pauses of both kinds, resuming from a tick, replies at every phase, several VMs on one store.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a failure is the test's"
)]

use std::time::Duration;

use palisade_host::{
    Clock, Error, Forward, Headers, Module, Request, Response, Shared, Step, Vm, VmConfig,
};

/// A guest whose headers callback pauses, whose body callback answers `body_action`, and whose tick runs `tick` in the
/// context of the first stream (2).
fn guest(headers_action: i32, body_action: &str, tick: &str, config: VmConfig) -> Vm {
    let text = format!(
        r#"(module
          (import "env" "proxy_set_tick_period_milliseconds" (func $period (param i32) (result i32)))
          (import "env" "proxy_set_effective_context" (func $context (param i32) (result i32)))
          (import "env" "proxy_continue_stream" (func $resume (param i32) (result i32)))
          (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
          (import "env" "proxy_done" (func $done (result i32)))
          (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
          (import "env" "proxy_set_buffer_bytes" (func $set (param i32 i32 i32 i32 i32) (result i32)))
          (import "env" "proxy_send_local_response"
            (func $send (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
          (func $reply (result i32)
            (call $send (i32.const 429) (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 4) (i32.const 0)
              (i32.const 0) (i32.const -1)))
          (memory (export "memory") 1)
          (data (i32.const 0) "wait")
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
          (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
            (drop (call $period (i32.const 1000))) (i32.const 1))
          (func (export "proxy_on_tick") (param i32) (drop (call $context (i32.const 2))) (drop {tick}))
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const {headers_action}))
          (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) {body_action})
          (func (export "proxy_on_done") (param i32) (result i32) (i32.const 1)))"#
    );
    Vm::start(&Module::load(text.as_bytes()).unwrap(), config).unwrap()
}

const RESUME: &str = "(call $resume (i32.const 0))";
const NOTHING: &str = "(i32.const 0)";

fn virtual_time(allow: bool) -> VmConfig {
    let clock = Clock::virtual_at(Duration::from_secs(1));
    VmConfig {
        clock,
        allow_on_headers_stop_iteration: allow,
        ..VmConfig::default()
    }
}

#[test]
fn a_pause_on_headers_depends_on_envoys_flag() {
    let request = Request::new("POST", "/").chunk("ab").chunk("cd");
    // With the flag the body comes, and its verdict lets the headers go.
    let mut vm = guest(1, NOTHING, NOTHING, virtual_time(true));
    let outcome = vm
        .exchange(&request, |upstream| Response::new(200, &upstream.body))
        .unwrap();
    assert_eq!((outcome.status, outcome.text().as_str()), (200, "abcd"));
    assert_eq!(
        outcome
            .trace
            .callbacks
            .iter()
            .filter(|callback| callback.name == "proxy_on_request_body")
            .count(),
        3
    );
    // Without it nothing comes, whatever is sent.
    let mut vm = guest(1, NOTHING, NOTHING, virtual_time(false));
    let outcome = vm.exchange(&request, |_| panic!("held")).unwrap();
    assert!(outcome.paused && outcome.upstream.is_none());
    assert!(
        outcome
            .trace
            .callbacks
            .iter()
            .all(|callback| callback.name != "proxy_on_request_body")
    );
}

#[test]
fn a_resume_lets_headers_go_and_shows_the_body_that_waited() {
    for action in [1, 3, 4, 99] {
        let mut vm = guest(action, NOTHING, RESUME, virtual_time(false));
        let stream = vm.new_stream(Request::get("/").info).unwrap();
        let headers = Request::new("POST", "/").headers;
        assert_eq!(
            vm.request_headers(stream, headers.clone(), false).unwrap(),
            Step::Paused,
            "{action}"
        );
        assert_eq!(
            vm.request_body(stream, b"ab", false).unwrap(),
            Step::Paused,
            "{action}"
        );
        let trailers = Headers::from([("t", "1")]);
        assert_eq!(
            vm.request_trailers(stream, trailers.clone()).unwrap(),
            Step::Paused,
            "{action}"
        );
        vm.take_trace();
        let forward = Forward {
            headers: Some(headers),
            body: b"ab".to_vec(),
            trailers: Some(trailers),
            end: true,
            of_response: false,
        };
        assert_eq!(
            vm.tick().unwrap(),
            [(stream, Step::Continue(forward))],
            "{action}"
        );
        let callbacks: Vec<_> = vm
            .take_trace()
            .callbacks
            .into_iter()
            .map(|callback| callback.name)
            .collect();
        assert_eq!(
            callbacks,
            ["proxy_on_tick", "proxy_on_request_body"],
            "{action}"
        );
        // A second resume finds nothing to resume.
        assert_eq!(vm.tick().unwrap(), [], "{action}");
        vm.finish(stream).unwrap();
        assert!(matches!(vm.finish(stream), Err(Error::Misuse { .. })));
    }
}

#[test]
fn a_tick_answers_or_closes_a_held_stream() {
    let mut vm = guest(1, NOTHING, "(call $reply)", virtual_time(false));
    let outcome = vm.exchange(&Request::get("/"), |_| panic!("held")).unwrap();
    let reply = outcome.local_reply.unwrap();
    assert_eq!(
        (
            outcome.status,
            outcome.body.as_slice(),
            reply.details.as_str()
        ),
        (429, &b"wait"[..], "wait")
    );

    let mut vm = guest(
        1,
        NOTHING,
        "(call $close (i32.const 0))",
        virtual_time(false),
    );
    let outcome = vm.exchange(&Request::get("/"), |_| panic!("held")).unwrap();
    assert!(outcome.local_reply.unwrap().reset);
}

#[test]
fn a_reply_on_the_body_hides_the_request_and_ends_it() {
    let mut vm = guest(1, "(call $reply)", NOTHING, virtual_time(true));
    let stream = vm.new_stream(Request::get("/").info).unwrap();
    assert_eq!(
        vm.request_headers(stream, Request::new("POST", "/").headers, false)
            .unwrap(),
        Step::Paused
    );
    let Step::LocalReply(reply) = vm.request_body(stream, b"x", false).unwrap() else {
        panic!("no reply")
    };
    assert_eq!((reply.status, reply.reset), (429, false));
    assert!(matches!(
        vm.request_body(stream, b"y", true),
        Err(Error::Misuse { .. })
    ));
    assert!(matches!(
        vm.response_headers(stream, Headers::new(), true),
        Err(Error::Misuse { .. })
    ));
    vm.finish(stream).unwrap();
}

#[test]
fn replies_take_grpcs_and_heads_form() {
    let mut vm = guest(1, NOTHING, "(call $reply)", virtual_time(false));
    let outcome = vm
        .exchange(
            &Request::get("/").header("content-type", "application/grpc"),
            |_| panic!(),
        )
        .unwrap();
    assert_eq!((outcome.status, outcome.body.len()), (200, 0));
    assert_eq!(outcome.headers.text("grpc-status").as_deref(), Some("14"));
    assert_eq!(
        outcome.headers.text("grpc-message").as_deref(),
        Some("wait")
    );

    let mut vm = guest(1, NOTHING, "(call $reply)", virtual_time(false));
    let outcome = vm
        .exchange(&Request::new("HEAD", "/"), |_| panic!())
        .unwrap();
    assert_eq!((outcome.status, outcome.body.len()), (429, 0));
    assert_eq!(outcome.headers.text("content-length").as_deref(), Some("4"));
}

#[test]
fn set_buffer_prepends_replaces_and_appends_as_envoy_does() {
    // start, size, what becomes of "abcd"
    for (start, size, expected) in [
        (0, 0, "waitabcd"),
        (0, 2, "waitcd"),
        (0, 4, "wait"),
        (0, -1, "wait"),
        (4, 0, "abcdwait"),
        (9, 9, "abcdwait"),
        (1, 1, "abcd"),
    ] {
        let set = format!(
            "(drop (call $set (i32.const 0) (i32.const {start}) (i32.const {size}) (i32.const 0) (i32.const 4))) (i32.const 0)"
        );
        let mut vm = guest(0, &set, NOTHING, virtual_time(false));
        let mut request = Request::new("POST", "/").chunk("abcd");
        request.end_on_last_chunk = true;
        let outcome = vm.exchange(&request, |_| Response::new(200, "")).unwrap();
        assert_eq!(
            outcome.upstream.unwrap().body,
            expected.as_bytes(),
            "{start} {size}"
        );
    }
}

/// Adds one to a shared counter by compare-and-swap; with cas 0 in its place the test below was seen to lose updates.
fn counter(shared: &Shared) -> Vm {
    let text = r#"(module
          (import "env" "proxy_get_shared_data" (func $get (param i32 i32 i32 i32 i32) (result i32)))
          (import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "k")
          (func (export "proxy_abi_version_0_2_0"))
          (func (export "malloc") (param i32) (result i32) (i32.const 1024))
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (loop $again
              (drop (call $get (i32.const 0) (i32.const 1) (i32.const 16) (i32.const 20) (i32.const 24)))
              (i32.store (i32.const 1024) (i32.add (i32.load (i32.const 1024)) (i32.const 1)))
              (br_if $again
                (call $set (i32.const 0) (i32.const 1) (i32.const 1024) (i32.const 4) (i32.load (i32.const 24)))))
            (i32.const 0)))"#;
    let config = VmConfig {
        shared: shared.clone(),
        ..VmConfig::default()
    };
    Vm::start(&Module::load(text.as_bytes()).unwrap(), config).unwrap()
}

#[test]
fn vms_in_threads_count_exactly_over_one_store() {
    const THREADS: u32 = 4;
    const REQUESTS: u32 = 500;
    let shared = Shared::new();
    shared.set(b"k", &0_u32.to_le_bytes(), 0).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let mut vm = counter(&shared);
            scope.spawn(move || {
                for _ in 0..REQUESTS {
                    vm.exchange(&Request::get("/"), |_| Response::new(200, ""))
                        .unwrap();
                }
            });
        }
    });
    let (value, _) = shared.get(b"k").unwrap();
    assert_eq!(value, (THREADS * REQUESTS).to_le_bytes());
}
