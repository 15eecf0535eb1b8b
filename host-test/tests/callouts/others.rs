//! Foreign functions, TCP connections, properties.

use palisade_host::{Error, Peer, Request, Response, Status, Step, StreamInfo, Vm, VmConfig};

use crate::guest::{config, escape, guest, module, on_headers, on_tick, said};

#[test]
fn foreign_functions_go_both_ways() {
    let call = "(call $say (call $foreign (i32.const 32) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 620) (i32.const 624)))
        (call $told) (call $say (call $foreign (i32.const 0) (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))";
    let callbacks = on_tick(call)
        + r#"(func (export "proxy_on_foreign_function") (param i32 i32 i32)
             (call $say (local.get 0)) (call $say (local.get 1)) (call $say (local.get 2))
             (call $say (call $bytes (i32.const 8) (i32.const 1) (i32.const 9) (i32.const 620) (i32.const 624))) (call $told))"#;
    let mut config = config();
    config.foreign_functions.insert(
        "name".to_owned(),
        Box::new(|bytes| Ok(bytes.to_ascii_uppercase())),
    );
    config
        .foreign_functions
        .insert("idp".to_owned(), Box::new(|_| Err(Status::InternalFailure)));
    let mut vm = Vm::start(&module(&callbacks), config).unwrap();
    vm.tick().unwrap();
    assert_eq!(said(&mut vm), ["000", "BODY", "010"]);
    vm.foreign_function(7, b"abc").unwrap();
    assert_eq!(said(&mut vm), ["001", "007", "003", "000", "bc"]);
    // It is there, and the host does without it.
    let mut config = crate::guest::config();
    let upper: palisade_host::ForeignFunction = Box::new(|bytes| Ok(bytes.to_ascii_uppercase()));
    config.foreign_functions.insert("name".to_owned(), upper);
    config.without_functions.insert("name".to_owned());
    let mut vm = Vm::start(&module(&callbacks), config).unwrap();
    vm.tick().unwrap();
    assert_eq!(said(&mut vm).first().map(String::as_str), Some("001"));
    // Nobody registered them here.
    let mut vm = guest(&callbacks);
    vm.tick().unwrap();
    assert_eq!(said(&mut vm).first().map(String::as_str), Some("001"));
}

#[test]
fn a_connection_is_held_shown_whole_and_resumed() {
    let action = "(if (result i32) (i32.lt_u (local.get 1) (i32.const 4)) (then (i32.const 1)) (else (i32.const 0)))";
    let callbacks = on_tick(
        "(drop (call $context (i32.const 2))) (call $say (call $resume (i32.const 2))) (call $say (call $resume (i32.const 3)))",
    ) + &format!(
        r#"(func (export "proxy_on_new_connection") (param i32) (result i32) (call $say (local.get 0)) (i32.const 0))
           (func (export "proxy_on_downstream_data") (param i32 i32 i32) (result i32)
             (call $say (call $bytes (i32.const 2) (i32.const 0) (i32.const 9) (i32.const 620) (i32.const 624))) (call $told)
             (call $say (call $bytes (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 620) (i32.const 624)))
             {action})
           (func (export "proxy_on_upstream_data") (param i32 i32 i32) (result i32)
             (drop (call $set_bytes (i32.const 3) (i32.const 0) (i32.const 9) (i32.const 16) (i32.const 4)))
             (if (i32.eqz (local.get 1)) (then (drop (call $close_stream (i32.const 3))))) (i32.const 0))
           (func (export "proxy_on_downstream_connection_close") (param i32 i32) (call $say (local.get 1)))
           (func (export "proxy_on_upstream_connection_close") (param i32 i32) (call $say (local.get 1)))
           (func (export "proxy_on_log") (param i32) (call $say (i32.const 88)))"#
    );
    let mut vm = guest(&callbacks);
    let (id, step) = vm.new_connection(StreamInfo::default()).unwrap();
    assert!(matches!(step, Step::Continue(_)));
    assert_eq!(vm.downstream_data(id, b"ab", false).unwrap(), Step::Paused);
    assert_eq!(vm.downstream_data(id, b"c", false).unwrap(), Step::Paused);
    let body = |step: &Step| match step {
        Step::Continue(forward) if forward.headers.is_none() => {
            Some((forward.body.clone(), forward.end))
        }
        _ => None,
    };
    let step = vm.downstream_data(id, b"d", false).unwrap();
    assert_eq!(body(&step), Some((b"abcd".to_vec(), false)));
    assert_eq!(
        said(&mut vm),
        [
            "002", "000", "ab", "000", "000", "abc", "000", "000", "abcd", "000"
        ]
    );
    assert_eq!(vm.downstream_data(id, b"x", true).unwrap(), Step::Paused);
    let moved = vm.tick().unwrap();
    assert_eq!(
        moved.iter().map(|(_, step)| body(step)).collect::<Vec<_>>(),
        [Some((b"x".to_vec(), true))]
    );
    assert_eq!(said(&mut vm)[3..], ["000", "012"]);
    assert!(matches!(
        vm.downstream_data(id, b"y", false),
        Err(Error::Misuse { .. })
    ));
    // What the guest makes of upstream's bytes; the end of them; the guest closes.
    let step = vm.upstream_data(id, b"zzz", false).unwrap();
    assert_eq!(body(&step), Some((b"body".to_vec(), false)));
    let step = vm.upstream_data(id, b"", true).unwrap();
    assert!(matches!(step, Step::LocalReply(reply) if reply.reset));
    vm.downstream_close(id, Peer::Remote).unwrap();
    vm.finish(id).unwrap();
    assert_eq!(said(&mut vm), ["000", "002", "088"]);
    assert!(matches!(
        vm.downstream_close(id, Peer::Local),
        Err(Error::Misuse { .. })
    ));
}

#[test]
fn properties_of_the_proxy_and_of_the_stream() {
    // Reads the property at 900 and says status, and the value if it is there.
    let read = |path: &str| {
        let size = path.len();
        format!(
            r#"(data (i32.const 900) "{}")"#,
            escape(path.replace('.', "\0").as_bytes())
        ) + &on_headers(&format!(
            "(call $say (call $property (i32.const 900) (i32.const {size}) (i32.const 620) (i32.const 624)))
             (if (i32.load (i32.const 624)) (then (call $told)))"
        ))
    };
    for (path, value) in [
        ("node.id", Some("node-1")),
        ("cluster_name", Some("of the stream")),
        ("request.headers.x", Some("1")),
        ("listener_direction", None),
        ("connection.mtls", Some("\0")),
        ("connection.id", Some("\u{2}\0\0\0\0\0\0\0")),
        ("response.flags", Some("\0\0\0\0\0\0\0\0")),
        ("route_name", None),
        ("upstream.address", None),
        ("connection.tls_version", None),
        ("response.grpc_status", None),
        ("no.such", None),
    ] {
        let named = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let config = VmConfig {
            properties: vec![
                named("node.id", "node-1"),
                named("cluster_name", "of the proxy"),
            ],
            ..config()
        };
        let mut vm = Vm::start(&module(&read(path)), config).unwrap();
        let mut request = Request::get("/").header("x", "1");
        request.info.properties = vec![named("cluster_name", "of the stream")];
        let outcome = vm.exchange(&request, |_| Response::new(200, "")).unwrap();
        let said: Vec<&str> = outcome
            .logs
            .iter()
            .map(|line| line.message.as_str())
            .collect();
        let expected: Vec<&str> = match value {
            None => vec!["001"],
            Some("") => vec!["000"],
            Some(value) => vec!["000", value],
        };
        assert_eq!(said, expected, "{path}");
    }
}
