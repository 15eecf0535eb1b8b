//! Whatever a guest is or does, the host answers with a named error that says which guest and which callback; it never panics, and never
//! calls a guest's fault its own.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a failure is the test's"
)]

use palisade_host::{Error, Limits, Module, Outcome, Request, Response, Vm, VmConfig};

fn limits() -> Limits {
    Limits {
        fuel: Some(1_000_000),
        memory_bytes: 1 << 20,
        ..Limits::default()
    }
}

fn load(bytes: &[u8]) -> Result<Module, Error> {
    Module::load_named("bad", bytes, limits())
}

fn run(text: &str) -> Result<Outcome, Error> {
    let mut vm = Vm::start(&load(text.as_bytes())?, VmConfig::default())?;
    vm.exchange(&Request::post("/", "body"), |_| Response::new(200, "hello"))
}

/// A whole guest of parts: `{head}` comes first, and each export that is not given is a plain one.
fn guest(head: &str, exports: &[(&str, &str)]) -> String {
    let mut text = format!("(module {head}\n");
    for (name, plain) in [
        ("memory", "(memory (export \"memory\") 1)"),
        ("marker", "(func (export \"proxy_abi_version_0_2_1\"))"),
        (
            "malloc",
            "(func (export \"malloc\") (param i32) (result i32) (i32.const 1024))",
        ),
    ] {
        let given = exports.iter().find(|(export, _)| *export == name);
        text.push_str(given.map_or(plain, |(_, given)| given));
        text.push('\n');
    }
    for (name, body) in exports {
        if !["memory", "marker", "malloc"].contains(name) {
            text.push_str(body);
        }
    }
    text + ")"
}

fn plain() -> String {
    guest("", &[])
}

/// The binary form of a guest, without a crate for it: the smallest plugin.
fn binary() -> Vec<u8> {
    let mut wasm = b"\0asm\x01\0\0\0".to_vec();
    let mut section = |id: u8, body: &[u8]| {
        wasm.push(id);
        wasm.push(u8::try_from(body.len()).unwrap());
        wasm.extend_from_slice(body);
    };
    section(1, b"\x02\x60\x00\x00\x60\x01\x7f\x01\x7f");
    section(3, b"\x02\x00\x01");
    section(5, b"\x01\x00\x01");
    let mut exports = b"\x03".to_vec();
    for (name, kind, index) in [
        ("memory", 2, 0),
        ("proxy_abi_version_0_2_1", 0, 0),
        ("malloc", 0, 1),
    ] {
        exports.push(u8::try_from(name.len()).unwrap());
        exports.extend_from_slice(name.as_bytes());
        exports.extend_from_slice(&[kind, index]);
    }
    section(7, &exports);
    section(10, b"\x02\x02\x00\x0b\x05\x00\x41\x80\x08\x0b");
    wasm
}

#[test]
fn bytes_that_are_no_plugin() {
    let elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0";
    let component = b"\0asm\x0d\0\x01\0";
    let version = b"\0asm\x02\0\0\0";
    let cases: [(&str, &[u8]); 7] = [
        ("empty", b""),
        ("text", b"hello"),
        ("ELF", elf),
        ("component", component),
        ("version", version),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0"),
        ("text format, unclosed", b"(module"),
    ];
    for (name, bytes) in cases {
        let error = load(bytes).unwrap_err();
        assert!(matches!(error, Error::NotWasm { .. }), "{name}: {error}");
        assert!(error.to_string().contains("guest `bad`"), "{name}: {error}");
        assert!(error.is_guest_fault(), "{name}");
    }
    let whole = binary();
    load(&whole).unwrap();
    for cut in 0..whole.len() {
        // A cut after a whole section is a module, which then lacks an export.
        match load(&whole[..cut]) {
            Err(Error::NotWasm { .. } | Error::NotPlugin { .. }) => {}
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            if let Err(error) = load(&flipped) {
                assert!(error.is_guest_fault(), "byte {at}, bit {bit}: {error}");
            }
        }
    }
}

/// Guests that cannot start: text, words of the error.
#[test]
fn what_a_plugin_must_have() {
    load(plain().as_bytes()).unwrap();
    let import = |text: &str| guest(text, &[]);
    let with = |name: &str, text: &str| guest("", &[(name, text)]);
    let cases = [
        (with("marker", ""), "no export proxy_abi_version_0_2_1"),
        (with("memory", ""), "no export memory"),
        (
            with("memory", "(memory (export \"memory\") 1 2 shared)"),
            "threads must be enabled",
        ),
        (
            with("memory", "(memory (export \"memory\") i64 1)"),
            "no export memory",
        ),
        (
            with("memory", "(global (export \"memory\") i32 (i32.const 0))"),
            "no export memory",
        ),
        (with("malloc", ""), "no export proxy_on_memory_allocate"),
        (
            with("malloc", "(func (export \"malloc\"))"),
            "no export proxy_on_memory_allocate",
        ),
        (import("(import \"env\" \"no_such\" (func))"), "env.no_such"),
        (
            import("(import \"other\" \"proxy_log\" (func (param i32 i32 i32) (result i32)))"),
            "other.proxy_log",
        ),
        (
            import("(import \"env\" \"proxy_log\" (func (param i32) (result i32)))"),
            "env::proxy_log",
        ),
        (
            import("(import \"env\" \"proxy_log\" (global i32))"),
            "env::proxy_log",
        ),
        (
            import("(import \"env\" \"memory\" (memory 1))"),
            "env.memory",
        ),
        (
            import("(import \"wasi_snapshot_preview1\" \"fd_write\" (func (param i64)))"),
            "fd_write",
        ),
        (
            import("(import \"env\" \"proxy_continue_request\" (func (result i32)))"),
            "env.proxy_continue_request (of ABI 0.1.0; this guest is of 0.2.1)",
        ),
        (
            with("tick", "(func (export \"proxy_on_tick\") (param i64))"),
            "export proxy_on_tick has type i64 -> (), not i32 -> ()",
        ),
        (
            with(
                "headers",
                "(func (export \"proxy_on_request_headers\") (param i32) (result i32) (i32.const 0))",
            ),
            "export proxy_on_request_headers has type i32 -> i32, not (i32, i32, i32) -> i32",
        ),
    ];
    for (text, words) in cases {
        let error = run(&text).unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert!(error.to_string().contains("guest `bad`"), "{error}");
        assert!(error.is_guest_fault(), "{error}");
    }
}

const BODIES: [(&str, &str); 9] = [
    ("trap: wasm `unreachable`", "unreachable"),
    (
        "trap: wasm trap: integer divide by zero",
        "(drop (i32.div_u (i32.const 1) (i32.load (i32.const 0))))",
    ),
    (
        "trap: wasm trap: out of bounds memory access",
        "(drop (i32.load (i32.const 65536)))",
    ),
    (
        "trap: wasm trap: call stack exhausted",
        "(call $deep (i32.const 0))",
    ),
    (
        "trap: wasm trap: indirect call type mismatch",
        "(call_indirect (type $other) (i64.const 0) (i32.const 0))",
    ),
    (
        "trap: wasm trap: uninitialized element",
        "(call_indirect (type $other) (i64.const 0) (i32.const 1))",
    ),
    ("used all its 1000000 units of fuel", "(loop br 0)"),
    (
        "wanted more than its 1048576 bytes of memory",
        "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable",
    ),
    ("called proc_exit(7)", "(call $exit (i32.const 7))"),
];
const HELPERS: &str = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (type $other (func (param i64))) (table 2 funcref) (elem (i32.const 0) $deep)
  (func $deep (param i32) (call $deep (local.get 0)) (call $deep (local.get 0)))"#;

/// Every kind of fault in every callback.
#[test]
fn faults_are_named_wherever_they_happen() {
    let places = [
        ("instantiate", "(func $bad {}) (start $bad)"),
        ("_initialize", "(func (export \"_initialize\") {})"),
        ("_start", "(func (export \"_start\") {})"),
        (
            "proxy_on_context_create",
            "(func (export \"proxy_on_context_create\") (param i32 i32) {})",
        ),
        (
            "proxy_on_vm_start",
            "(func (export \"proxy_on_vm_start\") (param i32 i32) (result i32) {} i32.const 1)",
        ),
        (
            "proxy_on_configure",
            "(func (export \"proxy_on_configure\") (param i32 i32) (result i32) {} i32.const 1)",
        ),
        (
            "proxy_on_request_headers",
            "(func (export \"proxy_on_request_headers\") (param i32 i32 i32) (result i32) {} i32.const 0)",
        ),
        (
            "proxy_on_request_body",
            "(func (export \"proxy_on_request_body\") (param i32 i32 i32) (result i32) {} i32.const 0)",
        ),
        (
            "proxy_on_response_headers",
            "(func (export \"proxy_on_response_headers\") (param i32 i32 i32) (result i32) {} i32.const 0)",
        ),
        (
            "proxy_on_done",
            "(func (export \"proxy_on_done\") (param i32) (result i32) {} i32.const 1)",
        ),
        (
            "proxy_on_log",
            "(func (export \"proxy_on_log\") (param i32) {})",
        ),
        (
            "proxy_on_delete",
            "(func (export \"proxy_on_delete\") (param i32) {})",
        ),
    ];
    for (callback, place) in places {
        for (words, body) in BODIES {
            let text = guest(HELPERS, &[("place", &place.replace("{}", body))]);
            let error = run(&text).unwrap_err();
            let said = error.to_string();
            assert!(
                said.contains(words) && said.contains(&format!("guest `bad`, {callback}:")),
                "{callback}, {words}: {said}"
            );
            assert!(error.is_guest_fault() && error.is_fatal(), "{said}");
        }
    }
}

/// A request headers callback that asks for all headers, and an allocator of the given body.
fn allocating(allocator: &str) -> String {
    guest(
        &format!(
            r#"(import "env" "proxy_get_header_map_pairs" (func $get (param i32 i32 i32) (result i32)))
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32))) {HELPERS}"#
        ),
        &[
            (
                "malloc",
                &format!("(func (export \"malloc\") (param i32) (result i32) {allocator})"),
            ),
            (
                "headers",
                r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
              (i32.store8 (i32.const 16) (i32.add (i32.const 48) (call $get (i32.const 0) (i32.const 0) (i32.const 4))))
              (drop (call $log (i32.const 2) (i32.const 16) (i32.const 1))) i32.const 0)"#,
            ),
        ],
    )
}

#[test]
fn allocators_that_misbehave() {
    // Faults in the allocator are the callback's that needed it.
    for (words, body) in BODIES {
        let error = run(&allocating(&format!("{body} i32.const 1024"))).unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains(words) && said.contains("guest `bad`, proxy_on_request_headers:"),
            "{words}: {said}"
        );
    }
    // What it answers is looked at: the guest gets INVALID_MEMORY_ACCESS (6), and its author a warning.
    for (answer, words) in [
        ("i32.const 0", "allocator had no memory for"),
        ("i32.const 65536", "allocator answered 0x10000 for"),
        ("i32.const 65500", "allocator answered 0xffdc for"),
        ("i32.const -1", "allocator answered 0xffffffff for"),
    ] {
        let outcome = run(&allocating(answer)).unwrap();
        assert_eq!(outcome.logs[0].message, "6", "{answer}");
        let warning = outcome.warnings[0].to_string();
        assert!(
            warning.contains(words)
                && warning.starts_with(
                    "guest `bad`, proxy_on_request_headers: proxy_get_header_map_pairs: "
                ),
            "{answer}: {warning}"
        );
    }
    // Not aligned is fine.
    let outcome = run(&allocating("i32.const 1025")).unwrap();
    assert_eq!(outcome.logs[0].message, "0");
    assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
    // It may make hostcalls, even one that needs it again, but not without end.
    let outcome = run(&allocating(
        "(drop (call $log (i32.const 2) (i32.const 0) (i32.const 0))) i32.const 1024",
    ))
    .unwrap();
    assert_eq!(outcome.logs.last().unwrap().message, "0");
    let error = run(&allocating(
        "(drop (call $get (i32.const 0) (i32.const 0) (i32.const 4))) i32.const 1024",
    ))
    .unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("proxy_get_header_map_pairs from within the guest's allocator"),
        "{said}"
    );
}

#[test]
fn memory_bombs() {
    for (text, words) in [
        (
            "(memory (export \"memory\") 17)",
            "guest `bad`, instantiate: wanted more than its 1048576 bytes of memory",
        ),
        (
            "(memory (export \"memory\") 65536)",
            "guest `bad`, instantiate: wanted more than its",
        ),
        (
            "(memory (export \"memory\") 1) (table 100000000 funcref)",
            "guest `bad`, instantiate: wanted more than its",
        ),
        (
            "(memory (export \"memory\") 1) (data (i32.const 65535) \"ab\")",
            "guest `bad`, instantiate: trap: wasm trap: out of bounds memory access",
        ),
        (
            "(memory (export \"memory\") 1) (table 1 funcref) (func $f) (elem (i32.const 1) $f)",
            "guest `bad`, instantiate: trap: wasm trap: undefined element",
        ),
    ] {
        let error = run(&guest("", &[("memory", text)])).unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert!(error.is_guest_fault(), "{error}");
    }
}

/// A refusal to grow that the guest lives with is not what a later trap is blamed on.
#[test]
fn an_old_refusal_is_not_the_cause_of_a_new_trap() {
    let text = guest(
        "",
        &[(
            "callbacks",
            r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (drop (memory.grow (i32.const 100))) i32.const 1)
              (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable)"#,
        )],
    );
    assert!(matches!(run(&text), Err(Error::Trap { .. })));
}

#[test]
fn the_start_function_may_make_hostcalls() {
    let text = guest(
        r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (import "env" "proxy_get_buffer_bytes" (func $get (param i32 i32 i32 i32 i32) (result i32)))
        (func $start
          (if (call $log (i32.const 2) (i32.const 0) (i32.const 5)) (then unreachable))
          (if (call $get (i32.const 6) (i32.const 0) (i32.const 9) (i32.const 64) (i32.const 68)) (then unreachable))
          (if (i32.ne (i32.load (i32.const 64)) (i32.const 1024)) (then unreachable)))
        (data (i32.const 0) "hello") (start $start)"#,
        &[],
    );
    let config = VmConfig {
        vm_configuration: b"vm".to_vec(),
        ..VmConfig::default()
    };
    let mut vm = Vm::start(&load(text.as_bytes()).unwrap(), config).unwrap();
    assert_eq!(vm.take_logs()[0].message, "hello");
}

#[test]
fn a_failed_hostcall_is_a_warning_and_part_of_the_trap_it_led_to() {
    let call = r#"(import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))"#;
    let body = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (drop (call $get (i32.const 0) (i32.const 8) (i32.const 5) (i32.const -16) (i32.const 4)))
          (drop (call $get (i32.const 2) (i32.const 8) (i32.const 5) (i32.const 0) (i32.const 4)))
          (drop (call $get (i32.const 0) (i32.const 9) (i32.const 5) (i32.const 0) (i32.const 4)))
          (drop (call $log (i32.const 2) (i32.const 65530) (i32.const 7))) {})
          (data (i32.const 8) ":path")"#;
    let text = guest(call, &[("headers", &body.replace("{}", "i32.const 0"))]);
    let outcome = run(&text).unwrap();
    let warnings: Vec<String> = outcome.warnings.iter().map(ToString::to_string).collect();
    let before = "guest `bad`, proxy_on_request_headers: ";
    // NOT_FOUND, the third call's answer, is no mistake.
    assert_eq!(
        warnings,
        [
            format!(
                "{before}proxy_get_header_map_value: argument return_value_data = 0xfffffff0 is outside the guest's 65536 bytes \
                 of memory, or its 4 bytes do not fit (INVALID_MEMORY_ACCESS)"
            ),
            format!(
                "{before}proxy_get_header_map_value: answered BAD_ARGUMENT to (map_id = 2, key_data = 8, key_size = 5, \
                 return_value_data = 0, return_value_size = 4)"
            ),
            format!(
                "{before}proxy_log: argument message_data = 0xfffa is outside the guest's 65536 bytes of memory, or its 7 bytes \
                 do not fit (INVALID_MEMORY_ACCESS)"
            ),
        ]
    );
    assert_eq!(
        outcome.warnings[0].argument,
        Some(("return_value_data", 0xffff_fff0))
    );
    let text = guest(call, &[("headers", &body.replace("{}", "unreachable"))]);
    let said = run(&text).unwrap_err().to_string();
    assert!(
        said.contains(
            "before that: guest `bad`, proxy_on_request_headers: proxy_log: argument message_data"
        ),
        "{said}"
    );
}

#[test]
fn malformed_maps_are_said_to_be_so() {
    let text = guest(
        r#"(import "env" "proxy_set_header_map_pairs" (func $set (param i32 i32 i32) (result i32)))"#,
        &[(
            "headers",
            r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (drop (call $set (i32.const 0) (i32.const 8) (i32.const 5))) i32.const 0)
          (data (i32.const 8) "\01")"#,
        )],
    );
    let outcome = run(&text).unwrap();
    assert!(
        outcome.warnings[0]
            .to_string()
            .ends_with("argument serialized_pairs_data = 0x8 is no serialized map (BAD_ARGUMENT)"),
        "{}",
        outcome.warnings[0]
    );
    assert_eq!(outcome.status, 200);
}
