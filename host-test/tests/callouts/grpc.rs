//! gRPC calls and streams.

use palisade_host::{Callout, CalloutEvent, Headers, Status};

use crate::guest::{ID, guest, on_tick, said};

/// Opens a stream on the first tick and then does this on each tick.
fn streaming(body: &str) -> String {
    let open = "(call $say (call $open (i32.const 800) (i32.const 7) (i32.const 32) (i32.const 4) (i32.const 16) (i32.const 4)
        (i32.const 64) (global.get $map) (i32.const 600)))";
    let event = |name: &str, map: u32| {
        format!(
            r#"(func (export "{name}") (param i32 i32 i32) (call $say (i32.const {map})) (call $say (local.get 2))
                 (call $say (call $map_size (i32.const {map}) (i32.const 604))))"#
        )
    };
    on_tick(&format!("(if (i32.eqz {ID}) (then {open}) (else {body}))"))
        + &event("proxy_on_grpc_receive_initial_metadata", 4)
        + &event("proxy_on_grpc_receive_trailing_metadata", 5)
        + r#"(func (export "proxy_on_grpc_receive") (param i32 i32 i32)
               (call $say (call $bytes (i32.const 5) (i32.const 0) (i32.const 99) (i32.const 620) (i32.const 624))) (call $told))
             (func (export "proxy_on_grpc_close") (param i32 i32 i32) (call $say (local.get 2))
               (call $say (call $status (i32.const 608) (i32.const 620) (i32.const 624)))
               (call $say (i32.load (i32.const 608))) (call $told))"#
}

#[test]
fn a_grpc_stream_talks_both_ways_until_both_sides_end() {
    let send = format!("(call $say (call $send {ID} (i32.const 16) (i32.const 4) (i32.const 0)))");
    let close = format!("(call $say (call $close {ID}))");
    let mut vm = guest(&streaming(&send));
    vm.tick().unwrap();
    let callouts = vm.take_callouts();
    let [
        Callout::GrpcOpen {
            id,
            cluster,
            service,
            method,
            metadata,
        },
    ] = &callouts[..]
    else {
        panic!("{callouts:?}")
    };
    let id = *id;
    assert_eq!(
        (
            cluster.as_str(),
            service.as_str(),
            method.as_str(),
            metadata.len()
        ),
        ("idp", "name", "body", 3)
    );
    vm.tick().unwrap();
    let message = b"body".to_vec();
    let sent = Callout::GrpcSend {
        id,
        message,
        end: false,
    };
    assert_eq!(vm.take_callouts(), [sent]);
    let map = Headers::from([("a", "b"), ("c", "")]);
    vm.deliver(id, CalloutEvent::GrpcInitialMetadata(map.clone()))
        .unwrap();
    for text in ["one", "two"] {
        vm.deliver(id, CalloutEvent::GrpcMessage(text.into()))
            .unwrap();
    }
    vm.deliver(id, CalloutEvent::GrpcTrailingMetadata(map))
        .unwrap();
    let status = 5;
    let message = "gone".to_owned();
    vm.deliver(id, CalloutEvent::GrpcClose { status, message })
        .unwrap();
    let expected = [
        "000", "000", "004", "002", "000", "000", "one", "000", "two", "005", "002", "000", "005",
        "000", "005", "gone",
    ];
    assert_eq!(said(&mut vm), expected);
    // The service ended the stream: nothing comes any more, what is sent is lost.
    vm.deliver(id, CalloutEvent::GrpcMessage(Vec::new()))
        .unwrap();
    vm.tick().unwrap();
    assert_eq!(
        (said(&mut vm), vm.take_callouts()),
        (vec!["000".to_owned()], Vec::new())
    );

    // The guest ends its side; what comes is delivered still; after the other end the stream is unknown.
    let mut vm = guest(&streaming(&close));
    vm.tick().unwrap();
    vm.tick().unwrap();
    let id = vm.take_callouts().first().unwrap().id();
    vm.deliver(id, CalloutEvent::GrpcMessage(b"late".to_vec()))
        .unwrap();
    let closed = CalloutEvent::GrpcClose {
        status: 0,
        message: String::new(),
    };
    vm.deliver(id, closed).unwrap();
    vm.tick().unwrap();
    assert_eq!(
        said(&mut vm),
        ["000", "000", "000", "late", "000", "000", "000", "", "001"]
    );

    // The guest cancels: nothing comes any more.
    let cancel = format!("(call $say (call $cancel {ID}))");
    let mut vm = guest(&streaming(&cancel));
    for _ in 0..3 {
        vm.tick().unwrap();
    }
    let callouts = vm.take_callouts();
    let id = callouts.first().unwrap().id();
    assert_eq!(callouts.last(), Some(&Callout::Cancel { id }));
    vm.deliver(id, CalloutEvent::GrpcMessage(Vec::new()))
        .unwrap();
    assert_eq!(said(&mut vm), ["000", "000", "001"]);
}

#[test]
fn a_grpc_call_is_answered_once_and_misuse_has_a_status() {
    let call = "(call $grpc (i32.const 0) (i32.const 3) (i32.const 32) (i32.const 4) (i32.const 16) (i32.const 4)
        (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 500) (i32.const 600))";
    let mut vm = guest(&streaming("").replace("$open (i32.const 800) (i32.const 7) (i32.const 32) (i32.const 4) (i32.const 16) (i32.const 4)
        (i32.const 64) (global.get $map)", "$grpc (i32.const 0) (i32.const 3) (i32.const 32) (i32.const 4) (i32.const 16) (i32.const 4)
        (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 500)"));
    vm.tick().unwrap();
    let id = vm.take_callouts().first().unwrap().id();
    // Metadata is not told of a call; a message ends it.
    vm.deliver(id, CalloutEvent::GrpcInitialMetadata(Headers::new()))
        .unwrap();
    vm.deliver(id, CalloutEvent::GrpcMessage(b"m".to_vec()))
        .unwrap();
    vm.deliver(id, CalloutEvent::GrpcMessage(b"n".to_vec()))
        .unwrap();
    assert_eq!(said(&mut vm), ["000", "000", "m"]);

    // what is called, status
    let unknown = call.replacen(
        "(i32.const 0) (i32.const 3)",
        "(i32.const 16) (i32.const 4)",
        1,
    );
    let cut = call.replacen(
        "(i32.const 0) (i32.const 3)",
        "(i32.const 800) (i32.const 6)",
        1,
    );
    let map = call.replacen(
        "(i32.const 0) (i32.const 0)",
        "(i32.const 64) (i32.const 20)",
        1,
    );
    let out = call.replace("(i32.const 600)", "(i32.const -1)");
    for (call, status) in [
        (unknown.as_str(), Status::ParseFailure),
        (&cut, Status::ParseFailure),
        (&map, Status::BadArgument),
        (&out, Status::InvalidMemoryAccess),
        (
            "(call $send (i32.const 6) (i32.const 16) (i32.const 4) (i32.const 0))",
            Status::NotFound,
        ),
        (
            "(call $send (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 0))",
            Status::BadArgument,
        ),
        (
            "(call $send (i32.const 6) (i32.const -1) (i32.const 4) (i32.const 0))",
            Status::InvalidMemoryAccess,
        ),
        ("(call $cancel (i32.const 5))", Status::NotFound),
        ("(call $cancel (i32.const 3))", Status::BadArgument),
        ("(call $close (i32.const 6))", Status::NotFound),
        ("(call $close (i32.const -1))", Status::BadArgument),
    ] {
        let mut vm = guest(&on_tick(&format!("(call $say {call})")));
        vm.tick().unwrap();
        assert_eq!(said(&mut vm), [format!("{:03}", status.number())], "{call}");
        assert!(vm.take_callouts().is_empty(), "{call}");
    }
    // Sending on a call, and closing it, which cancels.
    let mut vm = guest(&on_tick(&format!(
        "(call $say {call}) (call $say (call $send {ID} (i32.const 16) (i32.const 4) (i32.const 0))) (call $say (call $close {ID}))"
    )));
    vm.tick().unwrap();
    assert_eq!(said(&mut vm), ["000", "002", "000"]);
    assert!(matches!(
        vm.take_callouts()[..],
        [Callout::Grpc { .. }, Callout::Cancel { .. }]
    ));
}
