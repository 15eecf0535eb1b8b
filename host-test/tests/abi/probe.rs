//! The probe: one guest that imports every function of the host and in any callback calls those a program tells it to.
//!
//! The program comes in, and the results go out, by shared data, which works in every callback. After each call the probe stores the first
//! 8 KiB of its memory: the status at 0, the results' slots at `SLOTS`, what its allocator gave out from `HEAP` on.
//! Invariant: nothing here is Palisade's; a host other than ours could run it.

use std::fmt::Write as _;

use crate::functions::Function;

/// A callback of the probe.
pub(crate) struct Phase {
    /// Its short name in the tables.
    pub(crate) name: &'static str,
    export: &'static str,
    params: usize,
    /// What it answers if no step says otherwise; `None`: it has no result.
    answer: Option<i32>,
    /// Whether `phases` lines run in it.
    pub(crate) matrix: bool,
}

const fn phase(
    name: &'static str,
    export: &'static str,
    params: usize,
    answer: Option<i32>,
) -> Phase {
    Phase {
        name,
        export,
        params,
        answer,
        matrix: true,
    }
}

pub(crate) const PHASES: &[Phase] = &[
    phase("initialize", "_initialize", 0, None),
    phase("context_create", "proxy_on_context_create", 2, None),
    phase("vm_start", "proxy_on_vm_start", 2, Some(1)),
    phase("configure", "proxy_on_configure", 2, Some(1)),
    phase("tick", "proxy_on_tick", 1, None),
    phase("queue_ready", "proxy_on_queue_ready", 2, None),
    phase("request_headers", "proxy_on_request_headers", 3, Some(0)),
    phase("request_body", "proxy_on_request_body", 3, Some(0)),
    phase("request_trailers", "proxy_on_request_trailers", 2, Some(0)),
    phase("response_headers", "proxy_on_response_headers", 3, Some(0)),
    phase("response_body", "proxy_on_response_body", 3, Some(0)),
    phase(
        "response_trailers",
        "proxy_on_response_trailers",
        2,
        Some(0),
    ),
    phase("http_call_response", "proxy_on_http_call_response", 5, None),
    phase(
        "grpc_initial_metadata",
        "proxy_on_grpc_receive_initial_metadata",
        3,
        None,
    ),
    phase("grpc_receive", "proxy_on_grpc_receive", 3, None),
    phase(
        "grpc_trailing_metadata",
        "proxy_on_grpc_receive_trailing_metadata",
        3,
        None,
    ),
    phase("grpc_close", "proxy_on_grpc_close", 3, None),
    phase("foreign_function", "proxy_on_foreign_function", 3, None),
    phase("new_connection", "proxy_on_new_connection", 1, Some(0)),
    phase("downstream_data", "proxy_on_downstream_data", 3, Some(0)),
    phase("upstream_data", "proxy_on_upstream_data", 3, Some(0)),
    phase(
        "downstream_close",
        "proxy_on_downstream_connection_close",
        2,
        None,
    ),
    phase(
        "upstream_close",
        "proxy_on_upstream_connection_close",
        2,
        None,
    ),
    phase("done", "proxy_on_done", 1, Some(1)),
    phase("log", "proxy_on_log", 1, None),
    phase("delete", "proxy_on_delete", 1, None),
];

/// Callbacks in a root context.
pub(crate) const ROOTS: &[&str] = &[
    "initialize",
    "context_create",
    "vm_start",
    "configure",
    "tick",
    "queue_ready",
    "http_call_response",
    "grpc_initial_metadata",
    "grpc_receive",
    "grpc_trailing_metadata",
    "grpc_close",
    "foreign_function",
];

/// Callbacks in the context of a TCP connection.
pub(crate) const TCP: &[&str] = &[
    "new_connection",
    "downstream_data",
    "upstream_data",
    "downstream_close",
    "upstream_close",
];

/// Addresses in the probe's memory.
pub(crate) const CONTEXT: u32 = 8;
pub(crate) const ROOT: u32 = 12;
pub(crate) const STREAM: u32 = 16;
pub(crate) const TOKEN: u32 = 20;
/// Numbers of the queue and the calls that make `queue_ready` and the call-outs' callbacks come.
pub(crate) const WAITING: u32 = 64;
pub(crate) const SLOTS: u32 = 256;
pub(crate) const HEAP: u32 = 2048;
pub(crate) const DUMP: u32 = 8192;
const PROGRAM: u32 = 0x1_0000;
/// Where a program's bytes begin, after its steps.
pub(crate) const DATA: u32 = 0x2_0000;
const PAGES: u32 = 4;
/// The probe's memory in bytes.
pub(crate) const MEMORY: u32 = PAGES << 16;
/// Bytes of a step: callback and run, what to do, number, mask of loaded arguments, twelve arguments.
pub(crate) const STEP: usize = 16 + 12 * 8;
/// Steps other than calls.
pub(crate) const OP_RETURN: u32 = 1000;
pub(crate) const OP_ALLOCATE: u32 = 1001;

/// The probe's text.
pub(crate) fn text(functions: &[Function]) -> String {
    let mut imports = String::new();
    let mut calls = String::new();
    for (at, function) in functions.iter().enumerate() {
        let (module, name) = function.import();
        let mut params = String::new();
        let mut arguments = String::new();
        for (position, wide) in function.wide.iter().enumerate() {
            let value = format!("(call $arg (local.get $s) (i32.const {position}))");
            if *wide {
                params.push_str(" i64");
                arguments.push_str(&value);
            } else {
                params.push_str(" i32");
                let _ = write!(arguments, "(i32.wrap_i64 {value})");
            }
        }
        let result = if function.returns { "(result i32)" } else { "" };
        let _ = writeln!(
            imports,
            "(import \"{module}\" \"{name}\" (func $f{at} (param{params}) {result}))"
        );
        let back = if function.returns {
            ""
        } else {
            "(i32.const 0)"
        };
        let _ = writeln!(
            calls,
            "(if (i32.eq (local.get $op) (i32.const {at})) (then (return (call $f{at} {arguments}) {back})))"
        );
    }
    let find = |wanted: &str| {
        functions
            .iter()
            .position(|function| function.name == wanted)
            .unwrap_or_default()
    };
    let (get, set) = (find("proxy_get_shared_data"), find("proxy_set_shared_data"));
    let mut exports = String::new();
    for (at, phase) in PHASES.iter().enumerate() {
        let params = " i32".repeat(phase.params);
        let param = |n: usize| {
            if phase.params > n {
                format!("(local.get {n})")
            } else {
                "(i32.const 0)".to_owned()
            }
        };
        let run = format!(
            "(call $run (i32.const {at}) {} {} (i32.const {}))",
            param(0),
            param(1),
            phase.answer.unwrap_or(0)
        );
        let (result, run) = match phase.answer {
            Some(_) => ("(result i32)", run),
            None => ("", format!("(drop {run})")),
        };
        let _ = writeln!(
            exports,
            "(func (export \"{}\") (param{params}) {result} {run})",
            phase.export
        );
    }
    format!(
        r#"(module
{imports}
(memory (export "memory") {PAGES})
(global $loaded (mut i32) (i32.const 0))
(global $heap (mut i32) (i32.const {HEAP}))
;; -1: the allocator works; else what it answers
(global $broken (mut i32) (i32.const -1))
(func (export "proxy_abi_version_0_2_1"))
(func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
  (local $at i32)
  (if (i32.eqz (global.get $loaded)) (then (return (i32.const {PROGRAM}))))
  (if (i32.ne (global.get $broken) (i32.const -1)) (then (return (global.get $broken))))
  (local.set $at (global.get $heap))
  (if (i32.gt_u (i32.add (local.get $at) (local.get $size)) (i32.const 60000)) (then (return (i32.const 0))))
  (global.set $heap (i32.add (local.get $at) (local.get $size)))
  (local.get $at))
(data (i32.const 32) "program")
(data (i32.const 48) "r\00\00\00")
;; counts runs of callbacks from 160 on
(func $arg (param $s i32) (param $n i32) (result i64)
  (local $value i64)
  (local.set $value (i64.load (i32.add (i32.add (local.get $s) (i32.const 16)) (i32.shl (local.get $n) (i32.const 3)))))
  (if (i32.and (i32.shr_u (i32.load (i32.add (local.get $s) (i32.const 12))) (local.get $n)) (i32.const 1))
    (then (return (i64.load32_u (i32.wrap_i64 (local.get $value))))))
  (local.get $value))
(func $dispatch (param $op i32) (param $s i32) (result i32)
{calls} unreachable)
(func $run (param $phase i32) (param $context i32) (param $second i32) (param $answer i32) (result i32)
  (local $s i32) (local $left i32) (local $op i32) (local $nth i32)
  (if (i32.eqz (global.get $loaded)) (then
    (if (call $f{get} (i32.const 32) (i32.const 7) (i32.const 0) (i32.const 4) (i32.const 24)) (then unreachable))
    (i64.store (i32.const 0) (i64.const 0))
    (global.set $loaded (i32.const 1))))
  (i32.store (i32.const {CONTEXT}) (local.get $context))
  (i32.store (i32.const {TOKEN}) (local.get $second))
  (if (i32.eq (local.get $phase) (i32.const 1)) (then
    (if (local.get $second)
      (then (i32.store (i32.const {STREAM}) (local.get $context)))
      (else (i32.store (i32.const {ROOT}) (local.get $context))))))
  ;; callback and run as one number
  (local.set $nth (i32.load8_u offset=160 (local.get $phase)))
  (i32.store8 offset=160 (local.get $phase) (i32.add (local.get $nth) (i32.const 1)))
  (local.set $nth (i32.or (local.get $phase) (i32.shl (local.get $nth) (i32.const 16))))
  (local.set $left (i32.load (i32.const {PROGRAM})))
  (local.set $s (i32.const {PROGRAM_STEPS}))
  (block $end (loop $next
    (br_if $end (i32.eqz (local.get $left)))
    (if (i32.eq (i32.load (local.get $s)) (local.get $nth)) (then
      (local.set $op (i32.load offset=4 (local.get $s)))
      (if (i32.eq (local.get $op) (i32.const {OP_RETURN}))
        (then (local.set $answer (i32.load offset=16 (local.get $s))))
      (else (if (i32.eq (local.get $op) (i32.const {OP_ALLOCATE}))
        (then (global.set $broken (i32.load offset=16 (local.get $s))))
      (else
        (i32.store (i32.const 0) (call $dispatch (local.get $op) (local.get $s)))
        (i32.store (i32.const 52) (i32.load offset=8 (local.get $s)))
        (if (call $f{set} (i32.const 48) (i32.const 8) (i32.const 0) (i32.const {DUMP}) (i32.const 0)) (then unreachable))))))))
    (local.set $s (i32.add (local.get $s) (i32.const {STEP})))
    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
    (br $next)))
  (local.get $answer))
{exports})"#,
        PROGRAM_STEPS = PROGRAM + 16,
    )
}

/// Where the bytes of a program that are at `offset` of its data lie in the guest.
pub(crate) fn address(offset: usize) -> i64 {
    i64::from(DATA) + i64::try_from(offset).unwrap_or(i64::MAX)
}

/// The program as the probe reads it.
pub(crate) fn program(steps: &[[u8; STEP]], data: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(steps.len())
        .unwrap_or(0)
        .to_le_bytes()
        .to_vec();
    out.resize(16, 0);
    for step in steps {
        out.extend_from_slice(step);
    }
    let start = (DATA - PROGRAM) as usize;
    assert!(out.len() <= start, "too many steps");
    out.resize(start, 0);
    out.extend_from_slice(data);
    out
}
