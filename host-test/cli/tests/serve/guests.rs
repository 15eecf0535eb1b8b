//! Guests written by hand: each does one thing.

use super::support::file;
use std::path::PathBuf;

/// What all have: a marker, memory, an allocator that never frees, and things to call.
fn guest(body: &str) -> String {
    format!(
        r#"(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_property" (func $set_property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_http_call" (func $http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_call" (func $grpc_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_stream" (func $grpc_stream (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_send" (func $grpc_send (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 64)
  (global $heap (mut i32) (i32.const 65536))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32) (local $at i32)
    (local.set $at (global.get $heap))
    (global.set $heap (i32.add (global.get $heap) (local.get $size)))
    (if (i32.gt_u (global.get $heap) (i32.const 4000000)) (then (global.set $heap (i32.const 65536))))
    (local.get $at))
{body})"#
    )
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

fn pairs(fields: &[(&str, &str)]) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let mut map = number(fields.len()).to_vec();
    for (name, value) in fields {
        map.extend(number(name.len()));
        map.extend(number(value.len()));
    }
    for (name, value) in fields {
        map.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    map
}

/// Lets everything pass.
pub(crate) fn empty() -> PathBuf {
    file("empty.wat", guest(""))
}

/// Marks each response with this text and with its configuration, refuses the configuration `bad`, counts, and leaves a property.
pub(crate) fn marking(name: &str, mark: &str) -> PathBuf {
    let size = mark.len();
    file(
        name,
        guest(&format!(
            r#"
  (data (i32.const 16) "x-module") (data (i32.const 32) "{mark}") (data (i32.const 64) "x-config")
  (data (i32.const 80) "note\00") (data (i32.const 96) "seen it") (data (i32.const 112) "marked.requests")
  (global $config (mut i32) (i32.const 0)) (global $size (mut i32) (i32.const 0)) (global $metric (mut i32) (i32.const 0))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $buffer (i32.const 7) (i32.const 0) (i32.const 1000) (i32.const 4) (i32.const 8)))
    (drop (call $define (i32.const 0) (i32.const 112) (i32.const 15) (i32.const 12)))
    (global.set $metric (i32.load (i32.const 12)))
    (if (i32.eq (local.get 1) (i32.const 3)) (then (return (i32.const 0))))
    ;; Out of the allocator's way.
    (memory.copy (i32.const 1024) (i32.load (i32.const 4)) (local.get 1))
    (global.set $config (i32.const 1024))
    (global.set $size (local.get 1))
    (i32.const 1))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $increment (global.get $metric) (i64.const 1)))
    (drop (call $set_property (i32.const 80) (i32.const 5) (i32.const 96) (i32.const 7)))
    (i32.const 0))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 16) (i32.const 8) (i32.const 32) (i32.const {size})))
    (drop (call $add (i32.const 2) (i32.const 64) (i32.const 8) (global.get $config) (global.get $size)))
    (i32.const 0))"#
        )),
    )
}

/// Answers each request with a property of its connection.
pub(crate) fn telling(name: &str) -> PathBuf {
    let path = format!("connection\\00{name}");
    let size = "connection".len() + 1 + name.len();
    file(
        &format!("telling-{name}.wat"),
        guest(&format!(
            r#"
  (data (i32.const 16) "{path}")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (call $property (i32.const 16) (i32.const {size}) (i32.const 4) (i32.const 8))
      (then (drop (call $reply (i32.const 404) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1))))
      (else (drop (call $reply (i32.const 200) (i32.const 0) (i32.const 0) (i32.load (i32.const 4)) (i32.load (i32.const 8)) (i32.const 0) (i32.const 0) (i32.const -1)))))
    (i32.const 1))"#
        )),
    )
}

/// Traps on a POST, loops for ever on a request with more than 20 fields.
pub(crate) fn failing() -> PathBuf {
    file(
        "failing.wat",
        guest(
            r#"
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (i32.gt_s (local.get 1) (i32.const 20)) (then (loop (br 0))))
    (i32.const 0))
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) unreachable)"#,
        ),
    )
}

/// Makes 3000 calls about each request, to where nobody answers, and lets it pass.
pub(crate) fn storming() -> PathBuf {
    let map = pairs(&[
        (":method", "GET"),
        (":path", "/silent"),
        (":authority", "other"),
    ]);
    file(
        "storming.wat",
        guest(&format!(
            r#"
  (data (i32.const 16) "other") (data (i32.const 256) "{}")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (local $left i32)
    (local.set $left (i32.const 3000))
    (loop
      (drop (call $http_call (i32.const 16) (i32.const 5) (i32.const 256) (i32.const {}) (i32.const 0) (i32.const 0) (i32.const 512) (i32.const 4) (i32.const 60000) (i32.const 4)))
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.const 0))"#,
            escaped(&map),
            map.len()
        )),
    )
}

/// Holds a request until its body is whole.
pub(crate) fn holding() -> PathBuf {
    file(
        "holding.wat",
        guest(
            r#"
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (i32.eqz (local.get 2)))
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
    (i32.eqz (local.get 2)))"#,
        ),
    )
}

/// What a guest asks of another service.
pub(crate) enum Asks<'a> {
    /// GET this path with so many milliseconds.
    Http(&'a str, u32),
    /// This method of `test.Echo` with the message `ask`.
    Grpc(&'a str, u32),
    /// This method of `test.Echo`, to which it says `one` and `two`.
    Stream(&'a str),
}

/// Asks the cluster `other` about each request and answers with what came: 200 and the body; 500 and the gRPC status, or 599, for a failure.
pub(crate) fn asking(name: &str, asks: &Asks<'_>) -> PathBuf {
    let reply = "(drop (call $effective (global.get $stream)))
    (drop (call $reply (local.get $status) (i32.const 0) (i32.const 0) (i32.const 2048) (global.get $got) (i32.const 0) (i32.const 0) (i32.const -1)))";
    let method = |method: &str| {
        format!(
            r#"(data (i32.const 64) "test.Echo") (data (i32.const 80) "{method}") (data (i32.const 112) "ask") (data (i32.const 120) "one") (data (i32.const 128) "two")"#
        )
    };
    let (data, ask) = match asks {
        Asks::Http(path, millis) => {
            let map = pairs(&[(":method", "GET"), (":path", path), (":authority", "other")]);
            (
                format!(r#"(data (i32.const 256) "{}")"#, escaped(&map)),
                format!(
                    "(call $http_call (i32.const 16) (i32.const 5) (i32.const 256) (i32.const {}) (i32.const 0) (i32.const 0) (i32.const 512) (i32.const 4) (i32.const {millis}) (i32.const 4))",
                    map.len()
                ),
            )
        }
        Asks::Grpc(name, millis) => (
            method(name),
            format!(
                "(call $grpc_call (i32.const 16) (i32.const 5) (i32.const 64) (i32.const 9) (i32.const 80) (i32.const {}) (i32.const 512) (i32.const 4) (i32.const 112) (i32.const 3) (i32.const {millis}) (i32.const 4))",
                name.len()
            ),
        ),
        Asks::Stream(name) => (
            method(name),
            format!(
                "(call $grpc_stream (i32.const 16) (i32.const 5) (i32.const 64) (i32.const 9) (i32.const 80) (i32.const {}) (i32.const 512) (i32.const 4) (i32.const 4))
    (drop (call $grpc_send (i32.load (i32.const 4)) (i32.const 120) (i32.const 3) (i32.const 0)))
    (drop (call $grpc_send (i32.load (i32.const 4)) (i32.const 128) (i32.const 3) (i32.const 1)))",
                name.len()
            ),
        ),
    };
    let answers_at_once = i32::from(!matches!(asks, Asks::Stream(_)));
    file(
        name,
        guest(&format!(
            r#"
  (data (i32.const 16) "other") {data}
  (global $stream (mut i32) (i32.const 0)) (global $got (mut i32) (i32.const 0))
  (func $keep (param $kind i32) (param $size i32)
    (drop (call $buffer (local.get $kind) (i32.const 0) (local.get $size) (i32.const 8) (i32.const 12)))
    (memory.copy (i32.add (i32.const 2048) (global.get $got)) (i32.load (i32.const 8)) (i32.load (i32.const 12)))
    (global.set $got (i32.add (global.get $got) (i32.load (i32.const 12)))))
  (func $answer (param $status i32)
    {reply}
    (global.set $got (i32.const 0)))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (global.set $stream (local.get 0))
    (if {ask} (then (call $answer (i32.const 598))))
    (i32.const 1))
  (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
    (if (i32.eqz (local.get 2)) (then (call $answer (i32.const 599)) (return)))
    (call $keep (i32.const 4) (local.get 3))
    (call $answer (i32.const 200)))
  (func (export "proxy_on_grpc_receive") (param i32 i32 i32)
    (call $keep (i32.const 5) (local.get 2))
    (if (i32.const {answers_at_once}) (then (call $answer (i32.const 200)))))
  (func (export "proxy_on_grpc_close") (param i32 i32 i32)
    (if (local.get 2)
      (then (call $answer (i32.add (i32.const 500) (local.get 2))))
      (else (call $answer (i32.const 200)))))"#
        )),
    )
}

/// Appends `XXXXX` to each piece of a body for `x-request: grow` or `x-response: grow`, or empties it for `cut`, and leaves the length alone.
/// With `held` it does so when the body is whole, and lets nothing go before.
pub(crate) fn changing(name: &str, held: bool) -> PathBuf {
    let headers = i32::from(held);
    let early = if held {
        "(if (i32.eqz (local.get 2)) (then (return (i32.const 1))))"
    } else {
        ""
    };
    let change = |kind: i32, mode: &str| {
        format!(
            r#"
    {early}
    (if (i32.eq (global.get {mode}) (i32.const 1)) (then
      (if (local.get 1) (then (drop (call $set_buffer (i32.const {kind}) (local.get 1) (i32.const 0) (i32.const 16) (i32.const 5)))))))
    (if (i32.eq (global.get {mode}) (i32.const 2)) (then
      (drop (call $set_buffer (i32.const {kind}) (i32.const 0) (local.get 1) (i32.const 16) (i32.const 0)))))
    (i32.const 0)"#
        )
    };
    let (request, response) = (change(0, "$request"), change(1, "$response"));
    let text = guest(&format!(
        r#"
  (data (i32.const 16) "XXXXX") (data (i32.const 32) "x-request") (data (i32.const 48) "x-response")
  (global $request (mut i32) (i32.const 0)) (global $response (mut i32) (i32.const 0))
  (func $mode (param $name i32) (param $size i32) (result i32)
    (i32.store (i32.const 8) (i32.const 0)) (i32.store (i32.const 12) (i32.const 0))
    (drop (call $get (i32.const 0) (local.get $name) (local.get $size) (i32.const 8) (i32.const 12)))
    ;; `grow` or `cut`.
    (if (i32.eq (i32.load (i32.const 12)) (i32.const 4)) (then (return (i32.const 1))))
    (if (i32.eq (i32.load (i32.const 12)) (i32.const 3)) (then (return (i32.const 2))))
    (i32.const 0))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (global.set $request (call $mode (i32.const 32) (i32.const 9)))
    (global.set $response (call $mode (i32.const 48) (i32.const 10)))
    (select (i32.const 0) (i32.const {headers}) (local.get 2)))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (select (i32.const 0) (i32.const {headers}) (local.get 2)))
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) {request})
  (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) {response})"#
    ));
    let imports = r#"(module
  (import "env" "proxy_set_buffer_bytes" (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))"#;
    file(name, text.replacen("(module", imports, 1))
}
