//! Limits: heads that do not come, connections that do nothing, too many of anything; and how the gateway ends.

use std::time::{Duration, Instant};

use hyper::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::guests;
use super::support::{Client, Gateway, get, request, run, server, whole};

#[test]
fn a_slow_head_and_an_idle_connection_are_closed_while_others_are_served() {
    run(async {
        let module = guests::empty();
        let gateway = Gateway::start(&[
            "--module",
            module.to_str().unwrap(),
            "--workers",
            "1",
            "--header-timeout",
            "400ms",
            "--idle-timeout",
            "1500ms",
        ]);
        let started = Instant::now();
        // Byte by byte, nothing at all, and HTTP/2 without a request.
        let mut slow = Vec::new();
        for begin in [
            "GET / HTTP/1.1\r\nhost: x\r\nx-",
            "",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        ] {
            for _ in 0..50 {
                let mut stream = TcpStream::connect(gateway.address).await.unwrap();
                stream.write_all(begin.as_bytes()).await.unwrap();
                slow.push((begin.len(), stream));
            }
        }
        let dripping = tokio::spawn(async move {
            let mut ended = Vec::new();
            let mut bytes = [0; 4096];
            while !slow.is_empty() && started.elapsed() < Duration::from_secs(10) {
                let mut kept = Vec::new();
                for (kind, mut stream) in slow {
                    if kind == 28 {
                        let _ = stream.write_all(b"a").await;
                    }
                    match stream.try_read(&mut bytes) {
                        Ok(0) => ended.push((kind, started.elapsed())),
                        Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => {
                            ended.push((kind, started.elapsed()));
                        }
                        _ => kept.push((kind, stream)),
                    }
                }
                slow = kept;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            ended
        });
        let mut client = Client::one(gateway.address).await;
        for _ in 0..50 {
            assert_eq!(client.ask(request("GET", "/", "")).await.0, 200);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let ended = dripping.await.unwrap();
        assert_eq!(ended.len(), 150, "{ended:?}");
        for (kind, after) in ended {
            let (least, most) = if kind == 28 {
                (390, 1400)
            } else {
                (1400, 4000)
            };
            let after = after.as_millis();
            assert!(after >= least && after < most, "{kind}: {after} ms");
        }
        assert!(gateway.stat("gateway.downstream_cx_idle_timeout").await >= 150);
    });
}

#[test]
fn many_connections_and_one_more_than_allowed() {
    run(async {
        let module = guests::empty();
        let gateway = Gateway::start(&[
            "--module",
            module.to_str().unwrap(),
            "--max-connections",
            "100",
        ]);
        let mut clients = Vec::new();
        for number in 0..100 {
            let mut client = if number % 2 == 0 {
                Client::one(gateway.address).await
            } else {
                Client::two(gateway.address).await
            };
            assert_eq!(client.ask(request("GET", "/", "")).await.0, 200);
            clients.push(client);
        }
        assert_eq!(gateway.stat("gateway.downstream_cx_active").await, 100);
        // The next one waits until another goes.
        let mut next = tokio::spawn({
            let address = gateway.address;
            async move { get(address, "/").await.0 }
        });
        let waited = tokio::time::timeout(Duration::from_millis(300), &mut next).await;
        assert!(waited.is_err());
        clients.pop();
        assert_eq!(next.await.unwrap(), 200);
        let mut tasks = tokio::task::JoinSet::new();
        for mut client in clients {
            tasks.spawn(async move {
                for _ in 0..20 {
                    assert_eq!(client.ask(request("POST", "/", "x")).await.0, 200);
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert_eq!(gateway.stat("gateway.downstream_rq_active").await, 0);
    });
}

#[test]
fn heads_and_held_bodies_have_bounds() {
    run(async {
        let module = guests::holding();
        let gateway = Gateway::start(&[
            "--module",
            module.to_str().unwrap(),
            "--max-headers",
            "10",
            "--buffer-limit",
            "100000",
        ]);
        // `host` is a field too.
        for (fields, status) in [(9, 200), (10, 431)] {
            let mut many = Request::builder().uri("/");
            for number in 0..fields {
                many = many.header(format!("x-{number}"), "v");
            }
            let mut client = Client::one(gateway.address).await;
            let (got, _, _) = client.ask(many.body(whole("")).unwrap()).await;
            assert_eq!(got, status, "{fields}");
        }
        for http2 in [false, true] {
            // In HTTP/2 the last piece says that it is the last, and the guest lets go what it held before it.
            let over = if http2 { 150_000 } else { 100_001 };
            for (length, status) in [(1, 200), (99_999, 200), (100_000, 200), (over, 413)] {
                let mut client = if http2 {
                    Client::two(gateway.address).await
                } else {
                    Client::one(gateway.address).await
                };
                let (got, _, body) = client.ask(request("POST", "/", vec![b'x'; length])).await;
                assert_eq!(got, status, "{length} {http2}");
                if status == 200 {
                    let text = String::from_utf8_lossy(&body).into_owned();
                    assert!(
                        text.contains(&format!("\"body_bytes\": {length}")),
                        "{text}"
                    );
                }
            }
        }
        gateway.line("413 POST / request_payload_too_large");
    });
}

#[test]
fn a_request_that_takes_too_long_is_answered() {
    run(async {
        let server = server().await;
        let module = guests::empty();
        for flag in ["--request-timeout", "--stream-idle-timeout"] {
            let gateway = Gateway::start(&[
                "--module",
                module.to_str().unwrap(),
                "--upstream",
                &format!("http://{server}"),
                flag,
                "300ms",
            ]);
            let asked = Instant::now();
            assert_eq!(get(gateway.address, "/silent").await.0, 504);
            assert!(asked.elapsed() < Duration::from_secs(5));
            gateway.line("504 GET /silent response_timeout");
            assert_eq!(get(gateway.address, "/").await.0, 200);
        }
    });
}

#[test]
fn a_stop_waits_for_what_is_under_way_and_no_longer() {
    run(async {
        let server = server().await;
        let module = guests::empty();
        let upstream = format!("http://{server}");
        let start = |drain| {
            Gateway::start(&[
                "--module",
                module.to_str().unwrap(),
                "--upstream",
                &upstream,
                "--drain",
                drain,
            ])
        };
        // What is under way ends well, on both protocols; nothing new comes in.
        let mut gateway = start("10s");
        let mut asking = Vec::new();
        for mut client in [
            Client::one(gateway.address).await,
            Client::two(gateway.address).await,
        ] {
            asking.push(tokio::spawn(async move {
                client.ask(request("GET", "/slow", "")).await.0
            }));
        }
        let idle = Client::one(gateway.address).await;
        while gateway.stat("gateway.downstream_rq_active").await < 2 {}
        gateway.signal("-TERM");
        gateway.line("palisade: stopping");
        for asked in asking {
            assert_eq!(asked.await.unwrap(), 200);
        }
        assert_eq!(gateway.ended().code(), Some(0));
        assert!(TcpStream::connect(gateway.address).await.is_err());
        drop(idle);

        // Not for ever.
        let mut gateway = start("300ms");
        let address = gateway.address;
        let silent = tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = b"GET /silent HTTP/1.1\r\nhost: x\r\n\r\n";
            stream.write_all(head).await.unwrap();
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all).await;
        });
        while gateway.stat("gateway.downstream_rq_active").await < 1 {}
        let told = Instant::now();
        gateway.signal("-INT");
        assert_eq!(gateway.ended().code(), Some(0));
        assert!(told.elapsed() < Duration::from_secs(5));
        silent.await.unwrap();

        // The second signal does not wait at all.
        let mut gateway = start("1h");
        let address = gateway.address;
        let silent = tokio::spawn(async move {
            let _ = Client::one(address)
                .await
                .send(request("GET", "/silent", ""))
                .await;
        });
        while gateway.stat("gateway.downstream_rq_active").await < 1 {}
        gateway.signal("-INT");
        gateway.line("palisade: stopping");
        gateway.signal("-INT");
        assert_eq!(gateway.ended().code(), Some(130));
        silent.await.unwrap();
    });
}
