//! Guests that make the host keep more and more: each ends bounded, and the guest's author is told by name what the host does not keep.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a failure is the test's"
)]

use palisade_host::{Clusters, Limits, Module, Request, Response, Shared, Vm, VmConfig};

/// Runs `call` again and again until it answers something else than OK, at most 100,000 times; 32 KiB at 0 are there to be sent.
fn flood(name: &str, types: &str, call: &str, shared: Shared) -> String {
    let text = format!(
        r#"(module
          (import "env" "{name}" (func $call (param {types}) (result i32)))
          (memory (export "memory") 1)
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) (i32.const 40000))
          (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (local $n i32)
            (loop
              (i32.store (i32.const 16) (local.get $n))
              (if (call $call {call}) (then (return (i32.const 0))))
              (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100000))))
            (i32.const 0)))"#
    );
    let limits = Limits {
        memory_bytes: 1 << 20,
        ..Limits::default()
    };
    let module = Module::load_named("flood", text.as_bytes(), limits).unwrap();
    let config = VmConfig {
        shared,
        clusters: Clusters::any(),
        trace: false,
        ..VmConfig::default()
    };
    let mut vm = Vm::start(&module, config).unwrap();
    let request = Request::post("/", "body");
    let outcome = vm.exchange(&request, |_| Response::new(200, "")).unwrap();
    let why: Vec<_> = outcome.warnings.iter().map(ToString::to_string).collect();
    why.first().cloned().unwrap_or_default()
}

#[test]
fn each_flood_ends_with_its_name() {
    let callback = "bytes of one callback's hostcalls";
    // A key of 20 bytes of which four count.
    let key = "(i32.const 0) (i32.const 20)";
    let large = "(i32.const 0) (i32.const 32000)";
    let cases: [(&str, &str, String, &str); 9] = [
        (
            "proxy_log",
            "i32 i32 i32",
            format!("(i32.const 2) {large}"),
            callback,
        ),
        (
            "proxy_log",
            "i32 i32 i32",
            "(i32.const 2) (i32.const 0) (i32.const 0)".to_owned(),
            callback,
        ),
        (
            "proxy_add_header_map_value",
            "i32 i32 i32 i32 i32",
            format!("(i32.const 2) {key} {large}"),
            "BAD_ARGUMENT",
        ),
        (
            "proxy_set_property",
            "i32 i32 i32 i32",
            format!("{key} {large}"),
            callback,
        ),
        (
            "proxy_set_buffer_bytes",
            "i32 i32 i32 i32 i32",
            format!("(i32.const 0) (i32.const -1) (i32.const 0) {large}"),
            "bytes of",
        ),
        (
            "proxy_set_shared_data",
            "i32 i32 i32 i32 i32",
            format!("{key} {large} (i32.const 0)"),
            "shared data, queues and metrics",
        ),
        (
            "proxy_define_metric",
            "i32 i32 i32 i32",
            format!("(i32.const 0) {key} (i32.const 50000)"),
            "shared data, queues and metrics",
        ),
        (
            "proxy_register_shared_queue",
            "i32 i32 i32",
            format!("{key} (i32.const 50000)"),
            "shared data, queues and metrics",
        ),
        (
            "proxy_send_local_response",
            "i32 i32 i32 i32 i32 i32 i32 i32",
            format!(
                "(i32.const 200) (i32.const 0) (i32.const 0) {large} (i32.const 30000) (i32.const 4) (i32.const -1)"
            ),
            callback,
        ),
    ];
    for (name, types, call, expected) in cases {
        let why = flood(name, types, &call, Shared::with_limit(1 << 18));
        assert!(
            why.contains(expected) && why.contains(name),
            "{name}: {why}"
        );
    }
}
