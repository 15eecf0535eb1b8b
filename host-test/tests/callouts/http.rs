//! HTTP calls and the life of the root context that makes them.

use std::time::Duration;

use palisade_host::{
    CallId, Callout, CalloutEvent, CalloutFailure, Error, Headers, Request, Response, Status, Step,
    StreamInfo, Vm, VmConfig,
};

use crate::guest::{
    CALL, config, encode, escape, guest, ids, module, on_headers, on_response, on_tick, said,
};

#[test]
fn a_call_is_handed_over_whole_and_answered_in_its_root() {
    let body = "(call $say (call $bytes (i32.const 4) (i32.const 0) (i32.const 9) (i32.const 620) (i32.const 624))) (call $told)
        (call $say (call $map_size (i32.const 6) (i32.const 600))) (call $say (call $map_size (i32.const 7) (i32.const 600)))
        (call $say (call $map_size (i32.const 4) (i32.const 600))) (call $say (call $map_size (i32.const 5) (i32.const 600)))
        (call $say (call $bytes (i32.const 5) (i32.const 0) (i32.const 9) (i32.const 620) (i32.const 624)))
        (call $say (call $set_bytes (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1)))
        (call $say (call $remove (i32.const 6) (i32.const 0) (i32.const 1)))
        (call $say (call $context (i32.const 2)))
        (call $say (call $map_size (i32.const 6) (i32.const 600)))
        (call $say (call $resume (i32.const 0)))";
    let callbacks = on_headers(&format!("(call $say {CALL})")) + &on_response(body);
    let mut vm = guest(&callbacks);
    let stream = vm.new_stream(StreamInfo::default()).unwrap();
    assert_eq!(
        vm.request_headers(stream, Request::get("/").headers, true)
            .unwrap(),
        Step::Paused
    );
    let callouts = vm.take_callouts();
    let id = callouts.first().unwrap().id();
    let expected = Callout::Http {
        id,
        cluster: "idp".to_owned(),
        headers: Headers::from([
            (":method", "GET"),
            (":path", "/"),
            (":authority", "a"),
            ("content-length", "4"),
        ]),
        body: b"body".to_vec(),
        trailers: Headers::new(),
        timeout: Duration::from_millis(500),
    };
    assert_eq!(callouts, [expected]);
    assert!(vm.take_callouts().is_empty());
    assert_eq!(said(&mut vm), ["000"]);
    let event = CalloutEvent::HttpResponse {
        headers: Headers::from([(":status", "200"), ("a", "b")]),
        body: b"hello".to_vec(),
        trailers: Headers::from([("t", "1")]),
    };
    // An answer to a call nobody made, and one of the wrong kind.
    assert_eq!(vm.deliver(CallId::new(400), event.clone()).unwrap(), []);
    assert!(matches!(
        vm.deliver(id, CalloutEvent::GrpcMessage(Vec::new())),
        Err(Error::Misuse { .. })
    ));
    assert_eq!(said(&mut vm), [""; 0]);
    let moved = vm.deliver(id, event.clone()).unwrap();
    assert!(
        matches!(&moved[..], [(moved, Step::Continue(forward))] if *moved == stream && forward.end),
        "{moved:?}"
    );
    // Root 1; two headers, five bytes, one trailer; the body; maps of HTTP; no maps and no message of gRPC; nothing can be written;
    // all of it from the stream's context too.
    let expected = [
        "001", "002", "005", "001", "000", "hello", "000", "000", "002", "002", "001", "002",
        "002", "000", "000", "000",
    ];
    assert_eq!(said(&mut vm), expected);
    // The call is over.
    assert_eq!(vm.deliver(id, event).unwrap(), []);
    assert_eq!(said(&mut vm), [""; 0]);
}

#[test]
fn a_failure_has_a_status_and_nothing_to_read() {
    let status = "(call $say (call $status (i32.const 600) (i32.const 620) (i32.const 624)))
        (call $say (i32.load (i32.const 600))) (call $told)";
    let body =
        format!("(call $say (call $map_size (i32.const 6) (i32.const 600))) {status} {CALL} drop");
    let callbacks = on_tick(&format!("{status} {CALL} drop")) + &on_response(&body);
    let mut vm = guest(&callbacks);
    vm.tick().unwrap();
    assert_eq!(said(&mut vm), ["000", "000", ""]);
    let first = vm.take_callouts().first().unwrap().id();
    vm.deliver(first, CalloutEvent::HttpFailure).unwrap();
    assert_eq!(
        said(&mut vm),
        ["001", "000", "000", "000", "002", "000", "011", "reset"]
    );
    // Asked again from within the callback, under another id. Outside the callback the code stays, the text is gone.
    let second = vm.take_callouts().first().unwrap().id();
    assert_ne!(first, second);
    vm.tick().unwrap();
    assert_eq!(said(&mut vm), ["000", "011", ""]);
}

#[test]
fn what_a_call_lacks_is_a_status_and_leaves_no_trace() {
    let broken = [
        // Unknown cluster; no cluster; negative timeout.
        (
            CALL.replacen(
                "(i32.const 0) (i32.const 3)",
                "(i32.const 16) (i32.const 4)",
                1,
            ),
            Status::BadArgument,
        ),
        (
            CALL.replacen("(i32.const 3)", "(i32.const 0)", 1),
            Status::BadArgument,
        ),
        (
            CALL.replace("(i32.const 500)", "(i32.const -1)"),
            Status::BadArgument,
        ),
        // No headers; headers cut off; trailers that are no map.
        (
            CALL.replace("(global.get $map)", "(i32.const 0)"),
            Status::BadArgument,
        ),
        (
            CALL.replace("(global.get $map)", "(i32.const 20)"),
            Status::BadArgument,
        ),
        (
            CALL.replace(
                "(i32.const 0) (i32.const 0) (i32.const 500)",
                "(i32.const 0) (i32.const 3) (i32.const 500)",
            ),
            Status::BadArgument,
        ),
        // Pointers out of memory.
        (
            CALL.replacen(
                "(i32.const 0) (i32.const 3)",
                "(i32.const 65534) (i32.const 3)",
                1,
            ),
            Status::InvalidMemoryAccess,
        ),
        (
            CALL.replace("(i32.const 64)", "(i32.const -1)"),
            Status::InvalidMemoryAccess,
        ),
        (
            CALL.replace("(i32.const 600)", "(i32.const 65533)"),
            Status::InvalidMemoryAccess,
        ),
    ];
    for (call, status) in broken {
        let mut vm = guest(&on_tick(&format!("(call $say {call})")));
        vm.tick().unwrap();
        assert_eq!(said(&mut vm), [format!("{:03}", status.number())], "{call}");
        assert!(vm.take_callouts().is_empty(), "{call}");
    }
    // A map that lacks one of the three names.
    for lacks in [":method", ":path", ":authority"] {
        let all = [(":method", "GET"), (":path", "/"), (":authority", "a")];
        let rest: Vec<_> = all.into_iter().filter(|(name, _)| *name != lacks).collect();
        let map = encode(&rest);
        let callbacks = format!(r#"(data (i32.const 900) "{}")"#, escape(&map))
            + &on_tick(&format!(
                "(call $say {})",
                CALL.replace("(i32.const 64)", "(i32.const 900)")
                    .replace("(global.get $map)", &format!("(i32.const {})", map.len()))
            ));
        let mut vm = guest(&callbacks);
        vm.tick().unwrap();
        assert_eq!(said(&mut vm), ["002"], "{lacks}");
    }
    // Before there is a root context nothing can be called.
    let mut vm = guest(&format!(r#"(func (export "_start") (call $say {CALL}))"#));
    assert_eq!(said(&mut vm), ["002"]);
}

#[test]
fn a_stream_that_ends_cancels_nothing_but_its_root_does() {
    let callbacks = on_headers(&format!("{CALL} drop")) + &on_response("");
    let mut vm = guest(&callbacks);
    let ask = |vm: &mut Vm| {
        let stream = vm.new_stream(StreamInfo::default()).unwrap();
        vm.request_headers(stream, Request::get("/").headers, true)
            .unwrap();
        (stream, vm.take_callouts().first().unwrap().id())
    };
    // As in Envoy the call is the root's: the answer comes though the stream went.
    let (stream, id) = ask(&mut vm);
    vm.finish(stream).unwrap();
    assert!(vm.take_callouts().is_empty());
    vm.deliver(id, CalloutEvent::response(204, "")).unwrap();
    assert_eq!(said(&mut vm), ["001", "001", "000", "000"]);
    // Another configuration: the old root goes with its last stream, and takes its calls along.
    let (stream, id) = ask(&mut vm);
    vm.configure(b"new").unwrap();
    assert!(vm.take_callouts().is_empty());
    vm.finish(stream).unwrap();
    assert_eq!(vm.take_callouts(), [Callout::Cancel { id }]);
    assert_eq!(vm.deliver(id, CalloutEvent::HttpFailure).unwrap(), []);
    assert_eq!(said(&mut vm), [""; 0]);
}

#[test]
fn a_root_that_is_not_done_gets_its_answers_until_it_is() {
    let callbacks = on_headers("")
        + &on_response("(call $say (call $done)) (call $say (call $done))")
        + &format!(
            r#"(func (export "proxy_on_done") (param i32) (result i32) {CALL} drop (call $say (i32.const 77)) (i32.const 0))
               (func (export "proxy_on_delete") (param i32) (call $say (i32.const 99)))"#
        );
    let mut vm = guest(&callbacks);
    vm.configure(b"new").unwrap();
    // It asked once more, and was not deleted.
    assert_eq!(said(&mut vm), ["077"]);
    let id = vm.take_callouts().first().unwrap().id();
    vm.deliver(id, CalloutEvent::response(200, "")).unwrap();
    assert_eq!(
        said(&mut vm),
        ["001", "001", "000", "000", "000", "001", "099"]
    );
    // A second change asks the second root, not the first one again.
    vm.configure(b"newer").unwrap();
    assert_eq!(said(&mut vm), ["077"]);
}

#[test]
fn a_reply_from_the_callback_goes_out_and_a_trap_in_it_is_named() {
    let reply = "(drop (call $context (i32.const 2)))
        (drop (call $reply (i32.const 418) (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const -1)))";
    let asks = on_headers(&format!("{CALL} drop"));
    let script = || -> VmConfig {
        VmConfig {
            callouts: Some(Box::new(|call| {
                let failed = call.failed(CalloutFailure::Garbage);
                failed
                    .into_iter()
                    .map(|event| (Duration::from_millis(5), event))
                    .collect()
            })),
            ..config()
        }
    };
    let exchange = |callbacks: &str| {
        let mut vm = Vm::start(&module(callbacks), script()).unwrap();
        vm.exchange(&Request::get("/"), |_| Response::new(200, ""))
    };
    let outcome = exchange(&(asks.clone() + &on_response(reply))).unwrap();
    assert_eq!((outcome.status, outcome.text().as_str()), (418, "body"));
    assert_eq!(ids(&outcome.callouts), [4]);
    let error = exchange(&(asks.clone() + &on_response("unreachable"))).unwrap_err();
    assert!(
        matches!(&error, Error::Trap { guest, callback: "proxy_on_http_call_response", .. } if guest == "asker"),
        "{error}"
    );
    // A guest without the callback, and a call that nobody answers in time.
    let outcome = exchange(&asks).unwrap();
    assert!(outcome.paused);
}

#[test]
fn time_brings_ticks_and_answers_in_their_order() {
    let callbacks = on_tick(&format!("(call $say (i32.const 500)) {CALL} drop")) + &on_response("");
    let after = Duration::from_millis;
    let config = VmConfig {
        // The first call is answered between two ticks, the second at the moment of one, the third never.
        callouts: Some(Box::new(move |call| match call.id().number() {
            4 => vec![(after(400), CalloutEvent::response(200, ""))],
            8 => vec![(after(1_000), CalloutEvent::response(200, "in time"))],
            _ => Vec::new(),
        })),
        ..config()
    };
    let untimed = callbacks.replace(
        "(i32.const 500) (i32.const 600)",
        "(i32.const 0) (i32.const 600)",
    );
    let mut vm = Vm::start(&module(&untimed), config).unwrap();
    vm.advance(after(999)).unwrap();
    assert_eq!(said(&mut vm), [""; 0]);
    vm.advance(after(1)).unwrap();
    assert_eq!(said(&mut vm), ["500"]);
    vm.advance(after(399)).unwrap();
    assert_eq!(said(&mut vm), [""; 0]);
    vm.advance(after(1)).unwrap();
    assert_eq!(said(&mut vm), ["001", "001", "000", "000"]);
    // The answer comes before the tick of the same moment; a call without a timeout and an answer waits for ever.
    vm.advance(after(2_600)).unwrap();
    assert_eq!(
        said(&mut vm),
        ["500", "001", "001", "007", "000", "500", "500"]
    );
    vm.advance(Duration::from_secs(10)).unwrap();
    assert_eq!(said(&mut vm), ["500"; 10]);
    assert_eq!(vm.clock().wall_nanos(), 15_000_000_000);
}

#[test]
fn a_guest_that_answers_each_answer_with_a_call_does_not_stop_time() {
    let callbacks = on_headers(&format!("{CALL} drop")) + &on_response(&format!("{CALL} drop"));
    let config = VmConfig {
        callouts: Some(Box::new(|_| {
            vec![(Duration::ZERO, CalloutEvent::response(200, ""))]
        })),
        ..config()
    };
    let mut vm = Vm::start(&module(&callbacks), config).unwrap();
    let outcome = vm
        .exchange(&Request::get("/"), |_| Response::new(200, ""))
        .unwrap();
    assert!(outcome.paused && outcome.callouts.len() > 1_000);
    vm.advance(Duration::from_secs(1)).unwrap();
    assert_eq!(vm.clock().wall_nanos(), 2_000_000_000);
}

#[test]
fn a_vm_is_shut_down_when_its_guest_is_done() {
    let callbacks = on_headers("")
        + &on_response("(drop (call $done))")
        + &format!(
            r#"(func (export "proxy_on_done") (param i32) (result i32) (call $say (local.get 0))
                 (if (i32.eq (local.get 0) (i32.const 1)) (then (drop {CALL})))
                 (i32.ne (local.get 0) (i32.const 1)))
               (func (export "proxy_on_delete") (param i32) (call $say (local.get 0)))"#
        );
    let mut vm = guest(&callbacks);
    let stream = vm.new_stream(StreamInfo::default()).unwrap();
    vm.request_headers(stream, Request::get("/").headers, true)
        .unwrap();
    // The stream goes; the root waits for an answer.
    assert!(!vm.shutdown().unwrap());
    assert_eq!(said(&mut vm), ["002", "002", "001"]);
    assert!(!vm.shutdown().unwrap());
    assert_eq!(said(&mut vm), [""; 0]);
    let id = vm.take_callouts().first().unwrap().id();
    vm.deliver(id, CalloutEvent::HttpFailure).unwrap();
    assert_eq!(said(&mut vm), ["001", "000", "000", "000", "001"]);
    assert!(vm.shutdown().unwrap());
    assert!(vm.take_callouts().is_empty());
}
