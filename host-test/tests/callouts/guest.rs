//! Guests written by hand, put together from pieces of text, and what they said.

use std::time::Duration;

use palisade_host::{Callout, Clock, Clusters, Module, Vm, VmConfig};

/// A call that is complete: `idp`, GET / on host a, body `body`, 500 ms.
pub(crate) const CALL: &str =
    "(call $http (i32.const 0) (i32.const 3) (i32.const 64) (global.get $map)
    (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 500) (i32.const 600))";
/// The call's id.
pub(crate) const ID: &str = "(i32.load (i32.const 600))";

pub(crate) const IMPORTS: &str = r#"
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_http_call" (func $http (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_call"
    (func $grpc (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_stream" (func $open (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_send" (func $send (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_cancel" (func $cancel (param i32) (result i32)))
  (import "env" "proxy_grpc_close" (func $close (param i32) (result i32)))
  (import "env" "proxy_get_status" (func $status (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_size" (func $map_size (param i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $bytes (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_buffer_bytes" (func $set_bytes (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $context (param i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $period (param i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $resume (param i32) (result i32)))
  (import "env" "proxy_close_stream" (func $close_stream (param i32) (result i32)))
  (import "env" "proxy_done" (func $done (result i32)))
  (import "env" "proxy_call_foreign_function" (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#;

/// Logs a number below 1000, or text.
pub(crate) const HELPERS: &str = r#"
  (func $say (param $n i32)
    (i32.store8 (i32.const 700) (i32.add (i32.const 48) (i32.div_u (local.get $n) (i32.const 100))))
    (i32.store8 (i32.const 701) (i32.add (i32.const 48) (i32.rem_u (i32.div_u (local.get $n) (i32.const 10)) (i32.const 10))))
    (i32.store8 (i32.const 702) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
    (drop (call $log (i32.const 2) (i32.const 700) (i32.const 3))))
  (func $tell (param $at i32) (param $size i32) (drop (call $log (i32.const 2) (local.get $at) (local.get $size))))
  (func $told (drop (call $log (i32.const 2) (i32.load (i32.const 620)) (i32.load (i32.const 624)))))"#;

/// A guest of these callbacks. Memory: 0 `idp`, 16 `body`, 32 `name`, 64 a map, 600 a result, 620 pointer and size, 800 a GrpcService.
pub(crate) fn module(callbacks: &str) -> Module {
    let map = encode(&[(":method", "GET"), (":path", "/"), (":authority", "a")]);
    let size = map.len();
    let data = escape(&map);
    let service = escape(b"\x0a\x05\x0a\x03idp");
    let text = format!(
        r#"(module {IMPORTS}
          (memory (export "memory") 1)
          (global $map i32 (i32.const {size}))
          (data (i32.const 0) "idp") (data (i32.const 16) "body") (data (i32.const 32) "name")
          (data (i32.const 64) "{data}") (data (i32.const 800) "{service}")
          {HELPERS}
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) (i32.const 4096))
          {callbacks})"#
    );
    Module::load_named("asker", text.as_bytes(), Default::default()).unwrap()
}

pub(crate) fn escape(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// A map as the ABI serializes it.
pub(crate) fn encode(pairs: &[(&str, &str)]) -> Vec<u8> {
    let number = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    let mut out = number(pairs.len()).to_vec();
    for (name, value) in pairs {
        out.extend([number(name.len()), number(value.len())].concat());
    }
    for (name, value) in pairs {
        out.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    out
}

pub(crate) fn config() -> VmConfig {
    VmConfig {
        clusters: Clusters::named(["idp"]),
        clock: Clock::virtual_at(Duration::from_secs(1)),
        ..VmConfig::default()
    }
}

pub(crate) fn guest(callbacks: &str) -> Vm {
    Vm::start(&module(callbacks), config()).unwrap()
}

pub(crate) fn said(vm: &mut Vm) -> Vec<String> {
    let logs = vm.take_logs().into_iter();
    logs.map(|line| line.message).collect()
}

/// On a tick: do this.
pub(crate) fn on_tick(body: &str) -> String {
    format!(
        r#"(func (export "proxy_on_vm_start") (param i32 i32) (result i32)
             (drop (call $period (i32.const 1000))) (i32.const 1))
           (func (export "proxy_on_tick") (param i32) {body})"#
    )
}

/// On request headers: do this, and hold the stream.
pub(crate) fn on_headers(body: &str) -> String {
    format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {body} (i32.const 1))"#
    )
}

/// On a response: say context, headers, body, trailers, then do this.
pub(crate) fn on_response(body: &str) -> String {
    format!(
        r#"(func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
             (call $say (local.get 0)) (call $say (local.get 2)) (call $say (local.get 3)) (call $say (local.get 4))
             {body})"#
    )
}

pub(crate) fn ids(callouts: &[Callout]) -> Vec<u32> {
    callouts.iter().map(|call| call.id().number()).collect()
}
