//! Guests of each version of the ABI, and guests with the imports that Go, TinyGo, Rust and C++ toolchains give them.
//!
//! Source: the registration of hostcalls in proxy-wasm's C++ host; the import sections of modules those toolchains build.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a failure is the test's"
)]

use std::time::Duration;

use palisade_host::{Abi, Clock, Error, Module, Outcome, Request, Response, Vm, VmConfig};

fn start(text: &str) -> Result<Vm, Error> {
    let config = VmConfig {
        plugin_configuration: b"configuration".to_vec(),
        environment: vec![("KEY".to_owned(), "value".to_owned())],
        clock: Clock::virtual_at(Duration::from_secs(1_785_542_400)),
        seed: Some(1),
        ..VmConfig::default()
    };
    Vm::start(&Module::load(text.as_bytes())?, config)
}

fn run(vm: &mut Vm) -> Outcome {
    vm.exchange(&Request::post("/", "body"), |_| Response::new(200, "hello"))
        .unwrap()
}

/// Functions that every version has, declared as a guest of any version may import them.
const COMMON: &str = r#"
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $period (param i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))"#;

const PARTS: &str = r#"
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 2048))
  (func (export "malloc") (param i32) (result i32)
    (global.get $heap) (global.set $heap (i32.add (global.get $heap) (local.get 0))))
  (data (i32.const 16) "x-none")
  (func $check (param i32) (if (local.get 0) (then unreachable)))"#;

#[test]
fn version_0_1_0() {
    let text = format!(
        r#"(module {COMMON}
      (import "env" "proxy_get_configuration" (func $configuration (param i32 i32) (result i32)))
      (import "env" "proxy_continue_request" (func $continue_request (result i32)))
      (import "env" "proxy_continue_response" (func $continue_response (result i32)))
      (import "env" "proxy_clear_route_cache" (func $clear (result i32)))
      {PARTS}
      (func (export "proxy_abi_version_0_1_0"))
      (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (call $check (call $configuration (i32.const 0) (i32.const 4)))
        (call $check (call $log (i32.const 2) (i32.load (i32.const 0)) (i32.load (i32.const 4))))
        (call $check (call $period (i32.const 10)))
        (i32.const 1))
      ;; without end_of_stream, and a missing field is an empty one
      (func (export "proxy_on_request_headers") (param i32 i32) (result i32)
        (call $check (call $clear))
        (call $check (call $get (i32.const 0) (i32.const 16) (i32.const 6) (i32.const 0) (i32.const 4)))
        (call $check (i32.load (i32.const 4)))
        (i32.const 1))
      (func (export "proxy_on_response_headers") (param i32 i32) (result i32) (i32.const 1))
      (func (export "proxy_on_tick") (param i32)
        (call $check (call $effective (i32.const 2)))
        (call $check (call $continue_request))
        (call $check (call $continue_response))))"#
    );
    let mut vm = start(&text).unwrap();
    assert_eq!(vm.take_logs()[0].message, "configuration");
    let outcome = run(&mut vm);
    assert_eq!((outcome.status, outcome.text().as_str()), (200, "hello"));
    assert!(!outcome.paused);
    assert_eq!(Module::load(text.as_bytes()).unwrap().abi(), Abi::V0_1_0);
}

#[test]
fn version_0_2_0() {
    let text = format!(
        r#"(module {COMMON}
      (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
      (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
      {PARTS}
      (func (export "proxy_abi_version_0_2_0"))
      (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (call $check (call $period (i32.const 10))) (i32.const 1))
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        ;; NOT_FOUND
        (call $check (i32.sub (call $get (i32.const 0) (i32.const 16) (i32.const 6) (i32.const 0) (i32.const 4)) (i32.const 1)))
        (i32.const 1))
      (func (export "proxy_on_tick") (param i32)
        (call $check (call $effective (i32.const 2)))
        (call $check (call $continue (i32.const 0)))))"#
    );
    let mut vm = start(&text).unwrap();
    assert_eq!(run(&mut vm).status, 200);
    assert_eq!(Module::load(text.as_bytes()).unwrap().abi(), Abi::V0_2_0);
}

/// Envoy links a guest with the functions of its own version only.
#[test]
fn functions_of_other_versions_are_not_there() {
    let only = [
        ("proxy_get_configuration", "(param i32 i32)", "0_1_0"),
        ("proxy_continue_request", "", "0_1_0"),
        ("proxy_continue_response", "", "0_1_0"),
        ("proxy_clear_route_cache", "", "0_1_0"),
        ("proxy_continue_stream", "(param i32)", "0_2_0 0_2_1"),
        ("proxy_close_stream", "(param i32)", "0_2_0 0_2_1"),
        ("proxy_get_log_level", "(param i32)", "0_2_1"),
    ];
    for (name, params, versions) in only {
        for version in ["0_1_0", "0_2_0", "0_2_1"] {
            let text = format!(
                "(module (import \"env\" \"{name}\" (func {params} (result i32))) {PARTS} (func (export \"proxy_abi_version_{version}\")))"
            );
            match (start(&text), versions.contains(version)) {
                (Ok(_), true) => {}
                (Err(Error::Imports { missing, .. }), false) => {
                    assert!(
                        missing[0].starts_with(&format!("env.{name} (of ABI ")),
                        "{missing:?}"
                    );
                }
                (other, _) => panic!("{name} in {version}: {other:?}"),
            }
        }
    }
}

/// Every WASI function of preview 1 is there under both names, and answers a guest that only asks.
const WASI: &[(&str, &str, i32)] = &[
    ("args_get", "i32 i32", 0),
    ("args_sizes_get", "i32 i32", 0),
    ("clock_res_get", "i32 i32", 0),
    ("environ_sizes_get", "i32 i32", 0),
    ("fd_advise", "i32 i64 i64 i32", 8),
    ("fd_allocate", "i32 i64 i64", 8),
    ("fd_close", "i32", 0),
    ("fd_datasync", "i32", 8),
    ("fd_fdstat_get", "i32 i32", 0),
    ("fd_fdstat_set_flags", "i32 i32", 0),
    ("fd_fdstat_set_rights", "i32 i64 i64", 8),
    ("fd_filestat_get", "i32 i32", 8),
    ("fd_filestat_set_size", "i32 i64", 8),
    ("fd_filestat_set_times", "i32 i64 i64 i32", 8),
    ("fd_pread", "i32 i32 i32 i64 i32", 8),
    ("fd_prestat_dir_name", "i32 i32 i32", 8),
    ("fd_prestat_get", "i32 i32", 8),
    ("fd_pwrite", "i32 i32 i32 i64 i32", 8),
    ("fd_read", "i32 i32 i32 i32", 0),
    ("fd_readdir", "i32 i32 i32 i64 i32", 8),
    ("fd_renumber", "i32 i32", 8),
    ("fd_seek", "i32 i64 i32 i32", 70),
    ("fd_sync", "i32", 8),
    ("fd_tell", "i32 i32", 8),
    ("path_create_directory", "i32 i32 i32", 58),
    ("path_filestat_get", "i32 i32 i32 i32 i32", 58),
    ("path_filestat_set_times", "i32 i32 i32 i32 i64 i64 i32", 58),
    ("path_link", "i32 i32 i32 i32 i32 i32 i32", 58),
    ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32", 58),
    ("path_readlink", "i32 i32 i32 i32 i32 i32", 58),
    ("path_remove_directory", "i32 i32 i32", 58),
    ("path_rename", "i32 i32 i32 i32 i32 i32", 58),
    ("path_symlink", "i32 i32 i32 i32 i32", 58),
    ("path_unlink_file", "i32 i32 i32", 58),
    ("poll_oneoff", "i32 i32 i32 i32", 28),
    ("proc_raise", "i32", 58),
    ("random_get", "i32 i32", 0),
    ("sched_yield", "", 0),
    ("sock_accept", "i32 i32 i32", 58),
    ("sock_recv", "i32 i32 i32 i32 i32 i32", 58),
    ("sock_send", "i32 i32 i32 i32 i32", 58),
    ("sock_shutdown", "i32 i32", 58),
];

#[test]
fn all_of_wasi_answers() {
    for module in ["wasi_snapshot_preview1", "wasi_unstable"] {
        let mut imports = String::new();
        let mut calls = String::new();
        for (name, params, errno) in WASI {
            let zeros = params
                .replace("i32", "(i32.const 0)")
                .replace("i64", "(i64.const 0)");
            imports.push_str(&format!(
                "(import \"{module}\" \"{name}\" (func ${name} (param {params}) (result i32)))\n"
            ));
            calls.push_str(&format!(
                "(call $check (i32.sub (call ${name} {zeros}) (i32.const {errno})))\n"
            ));
        }
        let text = format!(
            "(module {imports} {PARTS} (func (export \"proxy_abi_version_0_2_1\")) (func (export \"_start\") {calls}))"
        );
        let mut vm = start(&text).unwrap_or_else(|error| panic!("{module}: {error}"));
        assert_eq!(run(&mut vm).status, 200);
    }
}

/// Sleeping returns at once: an event for each clock, an errno for the rest.
#[test]
fn poll_oneoff_does_not_sleep() {
    let text = format!(
        r#"(module
      (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      {PARTS}
      (func (export "proxy_abi_version_0_2_1"))
      (func (export "_initialize")
        (i64.store (i32.const 256) (i64.const 77)) ;; a clock
        (i64.store (i32.const 304) (i64.const 78)) (i32.store8 (i32.const 312) (i32.const 1)) ;; a descriptor
        (call $check (call $poll (i32.const 256) (i32.const 512) (i32.const 2) (i32.const 64)))
        (call $check (i32.sub (i32.load (i32.const 64)) (i32.const 2)))
        (call $check (i64.ne (i64.load (i32.const 512)) (i64.const 77)))
        (call $check (i32.load (i32.const 520)))
        (call $check (i64.ne (i64.load (i32.const 544)) (i64.const 78)))
        (call $check (i32.sub (i32.load (i32.const 552)) (i32.const 0x1003a)))
        ;; FAULT
        (call $check (i32.sub (call $poll (i32.const 65500) (i32.const 512) (i32.const 1) (i32.const 64)) (i32.const 21)))
        (call $check (i32.sub (call $poll (i32.const 256) (i32.const 65520) (i32.const 1) (i32.const 64)) (i32.const 21)))
        (call $check (i32.sub (call $poll (i32.const 256) (i32.const 512) (i32.const 1) (i32.const -1)) (i32.const 21)))))"#
    );
    start(&text).unwrap();
}

/// What toolchains import from WASI in a plugin: name and parameters, each with one result.
const TOOLCHAINS: [(&str, &[&str], &str); 4] = [
    // GOOS=wasip1 GOARCH=wasm -buildmode=c-shared
    (
        "go",
        &[
            "sched_yield",
            "args_get",
            "args_sizes_get",
            "clock_time_get",
            "environ_get",
            "environ_sizes_get",
            "fd_write",
            "random_get",
            "poll_oneoff",
            "fd_close",
            "fd_read",
            "fd_fdstat_get",
            "fd_fdstat_set_flags",
            "fd_prestat_get",
            "fd_prestat_dir_name",
        ],
        "_initialize",
    ),
    // tinygo -target=wasip1 -buildmode=c-shared
    (
        "tinygo",
        &[
            "fd_write",
            "clock_time_get",
            "args_sizes_get",
            "args_get",
            "random_get",
            "poll_oneoff",
            "fd_close",
            "fd_read",
            "fd_seek",
        ],
        "_initialize",
    ),
    // cargo build --target wasm32-wasip1, with std
    (
        "rust",
        &[
            "fd_write",
            "environ_get",
            "environ_sizes_get",
            "random_get",
            "clock_time_get",
        ],
        "_initialize",
    ),
    // wasi-sdk and Emscripten
    (
        "c++",
        &[
            "fd_write",
            "fd_seek",
            "fd_close",
            "fd_fdstat_get",
            "environ_get",
            "environ_sizes_get",
            "clock_time_get",
        ],
        "_start",
    ),
];

#[test]
fn guests_of_toolchains_load_and_run() {
    let types = |name: &str| match name {
        "clock_time_get" => "i32 i64 i32",
        "environ_get" => "i32 i32",
        "fd_write" => "i32 i32 i32 i32",
        name => WASI.iter().find(|(known, _, _)| *known == name).unwrap().1,
    };
    for (name, imports, entry) in TOOLCHAINS {
        let imports: String = imports
            .iter()
            .map(|name| {
                format!(
                    "(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param {}) (result i32)))\n",
                    types(name)
                )
            })
            .collect();
        let has = |name: &str, call: &str| {
            if imports.contains(&format!("${name} ")) {
                call.to_owned()
            } else {
                String::new()
            }
        };
        // What their runtimes do before anything else: look for preopened directories until BADF, ask for arguments, the environment,
        // the time and randomness, write a line.
        let calls = [
            has(
                "fd_prestat_get",
                "(call $check (i32.sub (call $fd_prestat_get (i32.const 3) (i32.const 0)) (i32.const 8)))",
            ),
            has(
                "fd_fdstat_get",
                "(call $check (call $fd_fdstat_get (i32.const 1) (i32.const 256)))",
            ),
            has(
                "args_sizes_get",
                "(call $check (call $args_sizes_get (i32.const 0) (i32.const 4))) (call $check (i32.load (i32.const 0)))",
            ),
            has(
                "environ_sizes_get",
                "(call $check (call $environ_sizes_get (i32.const 0) (i32.const 4))) (call $check (i32.sub (i32.load (i32.const 0)) (i32.const 1)))",
            ),
            has(
                "environ_get",
                "(call $check (call $environ_get (i32.const 32) (i32.const 64)))",
            ),
            has(
                "clock_time_get",
                "(call $check (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 128)))",
            ),
            has(
                "random_get",
                "(call $check (call $random_get (i32.const 136) (i32.const 8)))",
            ),
            has(
                "fd_write",
                "(i32.store (i32.const 144) (i32.const 16)) (i32.store (i32.const 148) (i32.const 6))
                 (call $check (call $fd_write (i32.const 2) (i32.const 144) (i32.const 1) (i32.const 152)))",
            ),
        ]
        .concat();
        let exit = "(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))";
        // A command ends with an exit of 0 and is a plugin from then on.
        let end = if entry == "_start" {
            "(call $exit (i32.const 0))"
        } else {
            ""
        };
        let text = format!(
            r#"(module {imports} {exit} {PARTS}
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "{entry}") {calls} {end})
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0)))"#
        );
        let mut vm = start(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(vm.take_logs()[0].to_string(), "[error] x-none", "{name}");
        assert_eq!(run(&mut vm).status, 200, "{name}");
    }
}
