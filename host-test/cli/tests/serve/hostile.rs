//! Heads that two parsers could read in two ways, and servers that answer what was not asked.
//!
//! **Invariant:** the upstream gets nothing of a request that is refused here.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::guests::{self, storming};
use super::support::{Gateway, get, raw, run, server};

/// A server that answers each connection's first bytes with this.
async fn answering(answer: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                if stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    address
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    run(async {
        let upstream =
            answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
        let gateway = Gateway::start(&[
            "--module",
            guests::empty().to_str().unwrap(),
            "--upstream",
            &format!("http://{upstream}"),
        ]);
        for (head, status) in [
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 200),
            ("GET / HTTP/1.0\r\n\r\n", 200),
            ("GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n", 200),
            ("CONNECT b:80 HTTP/1.1\r\nhost: b:80\r\n\r\n", 403),
            ("CONNECT / HTTP/1.1\r\nhost: b\r\n\r\n", 403),
            ("GET b:80 HTTP/1.1\r\nhost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: u@a\r\n\r\n", 400),
            ("GET http://u@a/ HTTP/1.1\r\nhost: a\r\n\r\n", 400),
            (
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
                400,
            ),
            (
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\na",
                400,
            ),
            (
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
                400,
            ),
            (
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
                400,
            ),
            ("GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: a\r\nx: y\rz: a\r\n\r\n", 400),
        ] {
            let answer = raw(gateway.address, head).await;
            let begins = |version: &str| answer.starts_with(&format!("HTTP/{version} {status} "));
            assert!(begins("1.1") || begins("1.0"), "{head:?}: {answer:?}");
        }
        // Of a content length beside chunks the chunks count, and the connection ends after them.
        let both = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
        let answer = raw(gateway.address, both).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer:?}");
        assert!(gateway.find("/smuggled").is_none());
        assert_eq!(gateway.stat("gateway.downstream_rq_active").await, 0);
    });
}

#[test]
fn a_protocol_nobody_asked_for_is_an_upstream_failure() {
    run(async {
        let upstream = answering("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").await;
        let gateway = Gateway::start(&[
            "--module",
            guests::empty().to_str().unwrap(),
            "--upstream",
            &format!("http://{upstream}"),
        ]);
        assert_eq!(get(gateway.address, "/").await.0, 502);
        gateway.line("101");
    });
}

#[test]
fn a_storm_of_call_outs_is_bounded_and_the_gateway_works_on() {
    run(async {
        let server = server().await;
        let gateway = Gateway::start(&[
            "--module",
            storming().to_str().unwrap(),
            "--clusters",
            &format!("other=http://{server}"),
            "--workers",
            "1",
        ]);
        // Each request makes 3000 calls that are never answered.
        for _ in 0..3 {
            assert_eq!(get(gateway.address, "/").await.0, 200);
        }
        let active = gateway.stat("gateway.callouts_active").await;
        assert!(active <= 1024, "{active}");
        assert!(gateway.stat("gateway.callouts_failed").await > 0);
    });
}

#[test]
fn a_body_that_is_not_as_long_as_its_head_says_is_broken_off() {
    run(async {
        // It answers before it has read the body, as one that refuses does.
        let upstream = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        for held in [true, false] {
            let module = guests::changing(&format!("changing-{held}.wat"), held);
            let gateway = Gateway::start(&[
                "--module",
                module.to_str().unwrap(),
                "--upstream",
                &format!("http://{upstream}"),
                "--workers",
                "1",
            ]);
            let ask = async |fields: &str, body: &str| {
                let length = body.len();
                let head = format!(
                    "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n{fields}\r\n{body}"
                );
                raw(gateway.address, &head).await
            };
            for fields in ["x-request: grow\r\n", "x-request: cut\r\n"] {
                let answer = ask(fields, "abc").await;
                assert!(
                    answer.starts_with("HTTP/1.1 502 "),
                    "{fields:?}: {answer:?}"
                );
                gateway.line("request broken off");
            }
            for fields in ["x-response: grow\r\n", "x-response: cut\r\n"] {
                let answer = ask(fields, "abc").await;
                let whole = answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\n\r\nok");
                assert!(!whole, "{fields:?}: {answer:?}");
                assert!(
                    answer.starts_with("HTTP/1.1 502 ") || !held,
                    "{fields:?}: {answer:?}"
                );
                gateway.line("response broken off");
            }
            assert!(ask("", "abc").await.ends_with("\r\n\r\nok"));
            assert!(ask("x-request: grow\r\n", "").await.ends_with("\r\n\r\nok"));
        }
    });
}
