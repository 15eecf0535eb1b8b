//! Call-outs to a real server: HTTP, gRPC calls and streams; answers, refusals, silence, resets.

use std::time::{Duration, Instant};

use super::guests::{Asks, asking};
use super::support::{Gateway, get, run, server};

/// Asks once and gives back what the client got.
async fn ask(name: &str, asks: Asks<'_>, clusters: &str) -> (u16, String, Gateway) {
    let module = asking(&format!("{name}.wat"), &asks);
    let gateway = Gateway::start(&[
        "--module",
        module.to_str().unwrap(),
        "--clusters",
        clusters,
        "--workers",
        "1",
    ]);
    let (status, _, body) = get(gateway.address, "/").await;
    (status, String::from_utf8_lossy(&body).into_owned(), gateway)
}

#[test]
fn http_calls_are_answered() {
    run(async {
        let server = server().await;
        for (scheme, version) in [("http", "HTTP/1.1"), ("h2c", "HTTP/2.0")] {
            let clusters = format!("other={scheme}://{server},more=http://127.0.0.1:1");
            let name = format!("ok-{scheme}");
            let (status, body, gateway) = ask(&name, Asks::Http("/hello", 5000), &clusters).await;
            assert_eq!((status, body), (200, format!("GET /hello 0 {version}")));
            assert_eq!(gateway.stat("gateway.callouts_total").await, 1);
            assert_eq!(gateway.stat("gateway.callouts_active").await, 0);
            assert_eq!(gateway.stat("gateway.callouts_failed").await, 0);
        }
    });
}

#[test]
fn http_calls_fail_as_in_envoy() {
    run(async {
        let server = server().await;
        let there = format!("other=http://{server}");
        let connect = "upstream connect error or disconnect/reset before headers. reset reason: ";
        for (name, path, clusters, text) in [
            (
                "silent",
                "/silent",
                there.as_str(),
                "upstream request timeout".to_owned(),
            ),
            (
                "reset",
                "/reset",
                &there,
                format!("{connect}connection termination"),
            ),
            (
                "refused",
                "/",
                "other=http://127.0.0.1:1",
                format!("{connect}remote connection failure"),
            ),
        ] {
            let asked = Instant::now();
            let (status, body, gateway) = ask(name, Asks::Http(path, 300), clusters).await;
            assert_eq!((status, body), (200, text), "{name}");
            assert!(asked.elapsed() < Duration::from_secs(10));
            assert_eq!(gateway.stat("gateway.callouts_failed").await, 1, "{name}");
        }
        // More than is taken, and what breaks off, comes to the guest as no response at all.
        for (name, path) in [("huge", "/huge"), ("broken", "/broken")] {
            let (status, _, _) = ask(name, Asks::Http(path, 5000), &there).await;
            assert_eq!(status, 599, "{name}");
        }
        // A cluster that nobody named.
        let (status, _, _) = ask("unknown", Asks::Http("/", 300), "else=http://127.0.0.1:1").await;
        assert_eq!(status, 598);
    });
}

#[test]
fn grpc_calls_and_streams() {
    run(async {
        let server = server().await;
        // The URL's scheme does not matter: gRPC is HTTP/2.
        let there = format!("other=http://{server}");
        let (status, body, _) = ask("unary", Asks::Grpc("Ask", 5000), &there).await;
        assert_eq!((status, body.as_str()), (200, "ask"));
        let (status, body, gateway) = ask("stream", Asks::Stream("Talk"), &there).await;
        assert_eq!((status, body.as_str()), (200, "onetwo"));
        assert_eq!(gateway.stat("gateway.callouts_active").await, 0);
        for (name, asks, status) in [
            ("refuse", Asks::Grpc("Refuse", 5000), 507),
            ("late", Asks::Grpc("Late", 300), 514),
            ("refuse-stream", Asks::Stream("Refuse"), 507),
        ] {
            assert_eq!(ask(name, asks, &there).await.0, status, "{name}");
        }
        let nobody = "other=http://127.0.0.1:1";
        assert_eq!(ask("nobody", Asks::Grpc("Ask", 300), nobody).await.0, 514);
        assert_eq!(
            ask("nobody-stream", Asks::Stream("Talk"), nobody).await.0,
            514
        );
    });
}
