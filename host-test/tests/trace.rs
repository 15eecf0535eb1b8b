//! What a trace says: callbacks with their contexts and fuel, hostcalls with bytes, statuses and the callback they were made in.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a failure is the test's"
)]

use palisade_host::{Hostcall, Module, Request, Response, Vm, VmConfig};

/// Reads `:path` and the log level, logs 5 bytes, asks for a header that is not there, points outside its memory.
const GUEST: &str = r#"(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_log_level" (func $level (param i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) ":pathhello")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (drop (call $level (i32.const 64))) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $get (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 16) (i32.const 20)))
    (drop (call $log (i32.const 2) (i32.const 5) (i32.const 5)))
    (i32.const 0))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $get (i32.const 2) (i32.const 5) (i32.const 5) (i32.const 16) (i32.const 20)))
    (drop (call $log (i32.const 2) (i32.const -8) (i32.const 5)))
    (i32.const 0)))"#;

fn vm(trace: bool) -> Vm {
    let config = VmConfig {
        trace,
        ..VmConfig::default()
    };
    Vm::start(&Module::load(GUEST.as_bytes()).unwrap(), config).unwrap()
}

#[test]
fn hostcalls_carry_bytes_status_and_their_callback() {
    let mut vm = vm(true);
    let request = Request::get("/a");
    let outcome = vm.exchange(&request, |_| Response::new(200, "ok")).unwrap();
    let callbacks: Vec<_> = outcome
        .trace
        .callbacks
        .iter()
        .map(|callback| callback.name)
        .collect();
    assert_eq!(
        callbacks,
        ["proxy_on_request_headers", "proxy_on_response_headers"]
    );
    let calls: Vec<_> = outcome
        .trace
        .hostcalls
        .iter()
        .map(|call| {
            (
                call.name,
                call.callback,
                call.bytes_in,
                call.bytes_out,
                call.status,
            )
        })
        .collect();
    assert_eq!(
        calls,
        [
            // The name in; the value, its place and its size out. The allocator's own call stands after it.
            ("proxy_get_header_map_value", 0, 5, 2 + 4 + 4, 0),
            ("proxy_get_log_level", 0, 0, 4, 0),
            ("proxy_log", 0, 5, 0, 0),
            ("proxy_get_header_map_value", 1, 5, 0, 1),
            ("proxy_log", 1, 0, 0, 6),
        ]
    );
    assert_eq!(outcome.trace.count("proxy_log"), 2);
    assert_eq!(outcome.trace.names().len(), outcome.trace.hostcalls.len());
    let [first, second] = &outcome.trace.callbacks[..] else {
        panic!("{callbacks:?}")
    };
    assert!(first.fuel > 0 && first.nanos > 0 && first.context == second.context);
    assert_eq!(outcome.trace.fuel(), first.fuel + second.fuel);
    // Fuel at each call grows within a callback and never passes what the callback used.
    let fuel: Vec<_> = outcome
        .trace
        .hostcalls
        .iter()
        .map(|call| call.fuel)
        .collect();
    assert!(
        fuel[0] < fuel[1] && fuel[1] < fuel[2] && fuel[2] < first.fuel && fuel[3] < second.fuel,
        "{fuel:?} of {first:?} and {second:?}"
    );
    // The same request costs the same fuel again.
    let again = vm.exchange(&request, |_| Response::new(200, "ok")).unwrap();
    assert_eq!(again.trace.hostcalls, outcome.trace.hostcalls);
    assert_eq!(again.trace.fuel(), outcome.trace.fuel());
}

#[test]
fn a_call_the_guest_ended_in_says_so() {
    let text = r#"(module
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "proxy_abi_version_0_2_1"))
      (func (export "malloc") (param i32) (result i32) (i32.const 1024))
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $open (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i64.const 0)
          (i32.const 0) (i32.const 0)))
        (call $exit (i32.const 3)) (i32.const 0)))"#;
    let module = Module::load(text.as_bytes()).unwrap();
    let mut vm = Vm::start(&module, VmConfig::default()).unwrap();
    vm.take_trace();
    vm.exchange(&Request::get("/"), |_| Response::new(200, "ok"))
        .unwrap_err();
    let trace = vm.take_trace();
    assert_eq!(trace.names(), ["wasi_unsupported", "proc_exit"]);
    let statuses: Vec<_> = trace.hostcalls.iter().map(|call| call.status).collect();
    assert_eq!(statuses, [58, Hostcall::ENDED]);
}

#[test]
fn a_vm_without_a_trace_keeps_nothing() {
    let mut vm = vm(false);
    let outcome = vm
        .exchange(&Request::get("/a"), |_| Response::new(200, "ok"))
        .unwrap();
    assert_eq!(outcome.status, 200);
    assert_eq!(outcome.trace, palisade_host::Trace::default());
}
