//! Guests that misbehave, written by hand: each fault has a name, says which callback, and never hurts the host.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a failure is the test's"
)]

use palisade_host::{Error, Limits, LocalReply, Module, Request, Response, Status, Vm, VmConfig};

/// A guest with one page of memory, an allocator at 1024, and a request headers callback of the given body.
fn guest(imports: &str, on_request_headers: &str) -> Result<Vm, Error> {
    let text = format!(
        r#"(module {imports}
          (memory (export "memory") 1)
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) (i32.const 1024))
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {on_request_headers}))"#
    );
    let limits = Limits {
        fuel: Some(1_000_000),
        memory_bytes: 1 << 20,
        ..Limits::default()
    };
    Vm::start(
        &Module::load_named("wat", text.as_bytes(), limits)?,
        VmConfig::default(),
    )
}

fn run(vm: &mut Vm) -> Result<palisade_host::Outcome, Error> {
    vm.exchange(&Request::get("/"), |_| Response::new(200, "hello"))
}

#[test]
fn each_fault_has_its_name_and_kills_only_its_vm() {
    type Expected = fn(&Error) -> bool;
    let cases: &[(&str, &str, Expected)] = &[
        ("trap", "unreachable", |error| {
            matches!(
                error,
                Error::Trap {
                    callback: "proxy_on_request_headers",
                    ..
                }
            )
        }),
        ("endless loop", "(loop br 0) i32.const 0", |error| {
            matches!(error, Error::OutOfFuel { .. })
        }),
        (
            "memory bomb",
            "(if (i32.lt_s (memory.grow (i32.const 1000)) (i32.const 0)) (then unreachable)) i32.const 0",
            |error| {
                matches!(
                    error,
                    Error::OutOfMemory {
                        limit_bytes: 1_048_576,
                        ..
                    }
                )
            },
        ),
    ];
    for (name, body, expected) in cases {
        let mut vm = guest("", body).unwrap();
        let error = run(&mut vm).unwrap_err();
        assert!(expected(&error), "{name}: {error}");
        assert!(error.is_fatal() && error.is_guest_fault(), "{name}");
        assert!(
            vm.is_dead() && matches!(run(&mut vm), Err(Error::Dead { .. })),
            "{name}"
        );
    }
}

#[test]
fn what_cannot_load_says_why() {
    assert!(matches!(
        Module::load(b"not wasm"),
        Err(Error::NotWasm { .. })
    ));
    assert!(matches!(
        Module::load(b"(module)"),
        Err(Error::NotPlugin { .. })
    ));
    let unknown = r#"(import "env" "no_such" (func))"#;
    match guest(unknown, "i32.const 0") {
        Err(Error::Imports { missing, .. }) => assert_eq!(missing, ["env.no_such"]),
        other => panic!("{other:?}"),
    }
}

/// The status a hostcall gives is sent back as the local reply's status, plus 200.
fn status_of(imports: &str, call: &str) -> u16 {
    let imports = format!(
        r#"{imports} (import "env" "proxy_send_local_response"
          (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#
    );
    let body = format!(
        "(drop (call $reply (i32.add (i32.const 200) {call}) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
          (i32.const 0) (i32.const 0) (i32.const -1))) i32.const 1"
    );
    run(&mut guest(&imports, &body).unwrap()).unwrap().status - 200
}

#[test]
fn bad_pointers_are_answered_not_followed() {
    let log = r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))"#;
    let get = r#"(import "env" "proxy_get_header_map_pairs" (func $get (param i32 i32 i32) (result i32)))"#;
    let cases = [
        (
            log,
            "(call $log (i32.const 2) (i32.const 0) (i32.const 65536))",
            Status::Ok,
        ),
        (
            log,
            "(call $log (i32.const 2) (i32.const 1) (i32.const 65536))",
            Status::InvalidMemoryAccess,
        ),
        (
            log,
            "(call $log (i32.const 2) (i32.const -1) (i32.const -1))",
            Status::InvalidMemoryAccess,
        ),
        (
            log,
            "(call $log (i32.const 6) (i32.const 0) (i32.const 0))",
            Status::BadArgument,
        ),
        (
            get,
            "(call $get (i32.const 0) (i32.const 8) (i32.const 12))",
            Status::Ok,
        ),
        (
            get,
            "(call $get (i32.const 0) (i32.const 65533) (i32.const 12))",
            Status::InvalidMemoryAccess,
        ),
        (
            get,
            "(call $get (i32.const 0) (i32.const 8) (i32.const -4))",
            Status::InvalidMemoryAccess,
        ),
        (
            get,
            "(call $get (i32.const 2) (i32.const 8) (i32.const 12))",
            Status::Ok,
        ),
        (
            get,
            "(call $get (i32.const 99) (i32.const 8) (i32.const 12))",
            Status::BadArgument,
        ),
    ];
    for (imports, call, expected) in cases {
        assert_eq!(
            i32::from(status_of(imports, call)),
            expected.number(),
            "{call}"
        );
    }
}

#[test]
fn a_pause_nobody_ends_is_reported_and_the_upstream_sees_nothing() {
    let mut vm = guest("", "i32.const 1").unwrap();
    let outcome = run(&mut vm).unwrap();
    assert!(outcome.paused && outcome.upstream.is_none());
    assert_eq!((outcome.status, vm.stream_count()), (0, 0));
}

#[test]
fn a_reply_of_the_host_takes_the_gateways_form() {
    let mut vm = guest("", "i32.const 0").unwrap();
    let stream = vm.new_stream(Request::get("/").info).unwrap();
    vm.request_headers(stream, Request::get("/").headers, true)
        .unwrap();
    let reply = LocalReply {
        status: 503,
        body: b"no upstream".to_vec(),
        ..LocalReply::default()
    };
    let palisade_host::Step::LocalReply(reply) = vm.host_reply(stream, reply).unwrap() else {
        panic!("no reply")
    };
    assert_eq!(
        (
            reply.status,
            reply.headers.text("content-length").as_deref()
        ),
        (503, Some("11"))
    );
    assert_eq!(
        (reply.body.as_slice(), reply.reset),
        (&b"no upstream"[..], false)
    );
    vm.finish(stream).unwrap();
}

#[test]
fn a_vm_moves_to_another_thread() {
    let mut vm = guest("", "i32.const 0").unwrap();
    let outcome = std::thread::spawn(move || run(&mut vm).unwrap())
        .join()
        .unwrap();
    assert_eq!((outcome.status, outcome.text().as_str()), (200, "hello"));
    assert!(outcome.trace.fuel() > 0);
}

#[test]
fn wasi_serves_environment_randomness_output_and_errnos() {
    // Environment variables, random bytes and a file descriptor, written out as log lines.
    let text = r#"(module
      (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1)
      (func $check (param i32) (if (local.get 0) (then unreachable)))
      (func (export "proxy_abi_version_0_2_1"))
      (func (export "malloc") (param i32) (result i32) (i32.const 1024))
      (func (export "_start")
        (call $check (call $sizes (i32.const 0) (i32.const 4)))
        (call $check (i32.sub (i32.load (i32.const 0)) (i32.const 2)))
        (call $check (call $environ (i32.const 8) (i32.const 100)))
        (i32.store (i32.const 16) (i32.load (i32.const 8)))
        (i32.store (i32.const 20) (i32.load (i32.const 4)))
        (call $check (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))
        (call $check (i32.sub (call $write (i32.const 3) (i32.const 16) (i32.const 1) (i32.const 24)) (i32.const 8)))
        (call $check (call $random (i32.const 200) (i32.const 8)))
        (call $check (i64.eqz (i64.load (i32.const 200))))
        (call $check (i32.sub (call $random (i32.const 65535) (i32.const 8)) (i32.const 21)))
        (call $check (i32.sub (call $prestat (i32.const 3) (i32.const 0)) (i32.const 8)))
        (call $check (i32.sub (call $unlink (i32.const 3) (i32.const 0) (i32.const 0)) (i32.const 58))))
      (func (export "proxy_on_request_headers") (param i32 i32) (result i32) (call $exit (i32.const 3)) unreachable))"#;
    let environment = vec![
        ("A".to_owned(), "1".to_owned()),
        ("B".to_owned(), String::new()),
    ];
    let config = VmConfig {
        environment,
        seed: Some(1),
        ..VmConfig::default()
    };
    let mut vm = Vm::start(&Module::load(text.as_bytes()).unwrap(), config).unwrap();
    let logs = vm.take_logs();
    assert_eq!(
        logs.iter()
            .map(|line| line.message.as_str())
            .collect::<Vec<_>>(),
        ["A=1\0B=\0"]
    );
    assert!(matches!(
        run(&mut vm),
        Err(Error::Exit {
            code: 3,
            callback: "proxy_on_request_headers",
            ..
        })
    ));
}

#[test]
fn an_endless_loop_ends_by_the_clock_where_fuel_is_not_measured() {
    let time = Some(std::time::Duration::from_millis(50));
    let limits = Limits {
        fuel: None,
        time,
        ..Limits::default()
    };
    let text = r#"(module
      (memory (export "memory") 1)
      (func (export "proxy_abi_version_0_2_1"))
      (func (export "malloc") (param i32) (result i32) (i32.const 1024))
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (loop (br 0)) (unreachable)))"#;
    let module = Module::load_named("wat", text.as_bytes(), limits).unwrap();
    let mut vm = Vm::start(&module, VmConfig::default()).unwrap();
    let error = run(&mut vm).unwrap_err();
    assert_eq!(
        error.to_string(),
        "guest `wat`, proxy_on_request_headers: ran longer than its 50ms; an endless loop?"
    );
    assert!(error.is_fatal() && error.is_guest_fault());
}

#[test]
fn a_fault_carries_the_last_words_of_the_guest() {
    let log = r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
      (data (i32.const 0) "no such route")"#;
    let body = "(drop (call $log (i32.const 4) (i32.const 0) (i32.const 13))) unreachable";
    let imports = log.replace("(data", "(memory (export \"memory\") 1) (data");
    let text = format!(
        r#"(module {imports}
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) (i32.const 1024))
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {body}))"#
    );
    let module = Module::load(text.as_bytes()).unwrap();
    let mut vm = Vm::start(&module, VmConfig::default()).unwrap();
    let error = run(&mut vm).unwrap_err();
    let logged: Vec<&str> = error
        .logs()
        .iter()
        .map(|line| line.message.as_str())
        .collect();
    assert_eq!(logged, ["no such route"]);
    assert!(
        error.to_string().ends_with("\n  [error] no such route"),
        "{error}"
    );
    // The VM still has them, for whoever asks.
    assert_eq!(vm.take_logs(), error.logs());

    // A sink has shown them: not twice.
    let config = VmConfig {
        log_sink: Some(Box::new(|_| ())),
        ..VmConfig::default()
    };
    let error = run(&mut Vm::start(&module, config).unwrap()).unwrap_err();
    assert!(error.logs().is_empty(), "{error}");
}
