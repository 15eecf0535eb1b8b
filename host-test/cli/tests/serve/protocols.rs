//! What goes through: versions, TLS, trailers, big bodies, both ways at once; and what the access log and `/stats` say of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper::{HeaderMap, Request};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::guests;
use super::support::{Client, Gateway, file, framed, get, pieces, request, run, server};

#[test]
fn every_version_up_and_down() {
    run(async {
        let server = server().await;
        let module = guests::empty();
        for (scheme, upstream_version) in [("http", "HTTP/1.1"), ("h2c", "HTTP/2.0")] {
            let upstream = format!("{scheme}://{server}");
            let gateway = Gateway::start(&[
                "--module",
                module.to_str().unwrap(),
                "--upstream",
                &upstream,
                "--quiet",
            ]);
            for mut client in [
                Client::one(gateway.address).await,
                Client::two(gateway.address).await,
            ] {
                for (method, path, body) in [
                    ("GET", "/a%20b//%2e?q=%41&x=%2F", ""),
                    ("POST", "/form", "hello"),
                    ("PUT", "/", "x"),
                ] {
                    let (status, headers, text) = client.ask(request(method, path, body)).await;
                    assert_eq!(status, 200);
                    let path = path.split('?').next().unwrap();
                    assert_eq!(
                        text,
                        format!("{method} {path} {} {upstream_version}", body.len())
                    );
                    assert_eq!(headers["got-x-forwarded-proto"], "http");
                    assert_eq!(headers["got-x-forwarded-for"], "127.0.0.1");
                    assert_eq!(headers["got-x-request-id"].len(), 36);
                }
                let (status, _, body) = client.ask(request("HEAD", "/head", "")).await;
                assert_eq!((status, body.len()), (200, 0));
            }
        }
    });
}

fn authority() -> (String, String, rcgen::CertifiedKey<rcgen::KeyPair>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem(), made)
}

async fn tls(
    gateway: &Gateway,
    certificate: &rcgen::CertifiedKey<rcgen::KeyPair>,
    http2: bool,
) -> std::io::Result<Client> {
    tls_as(gateway, certificate, http2, None).await
}

/// The same, with a certificate of one's own and its key.
async fn tls_as(
    gateway: &Gateway,
    certificate: &rcgen::CertifiedKey<rcgen::KeyPair>,
    http2: bool,
    own: Option<(&rcgen::Certificate, &rcgen::KeyPair)>,
) -> std::io::Result<Client> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => config.with_no_client_auth(),
        Some((own, key)) => {
            let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
            let chain = vec![own.der().clone()];
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let wanted: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
    config.alpn_protocols = vec![wanted.to_vec()];
    let stream = TcpStream::connect(gateway.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(wanted));
    Ok(Client::over(stream, http2).await)
}

#[test]
fn tls_by_alpn_and_a_certificate_that_changes() {
    run(async {
        let module = guests::empty();
        let server = server().await;
        let (certificate, key, first) = authority();
        let (certificate_file, key_file) = (file("tls.pem", certificate), file("tls.key", key));
        let gateway = Gateway::start(&[
            "--module",
            module.to_str().unwrap(),
            "--upstream",
            &format!("http://{server}"),
            "--tls-cert",
            certificate_file.to_str().unwrap(),
            "--tls-key",
            key_file.to_str().unwrap(),
        ]);
        let mut old = tls(&gateway, &first, true).await.unwrap();
        for http2 in [false, true] {
            let mut client = tls(&gateway, &first, http2).await.unwrap();
            let (status, headers, _) = client.ask(request("GET", "/", "")).await;
            assert_eq!(status, 200);
            assert_eq!(headers["got-x-forwarded-proto"], "https");
        }
        // Half of a change is refused, the whole is taken; connections that are open stay.
        let (certificate, key, second) = authority();
        file("tls.pem", &certificate);
        gateway.line("the old certificate stays");
        assert!(tls(&gateway, &first, true).await.is_ok());
        file("tls.key", key);
        gateway.line("the certificate changed and was taken");
        assert!(tls(&gateway, &first, true).await.is_err());
        assert!(tls(&gateway, &second, false).await.is_ok());
        assert_eq!(old.ask(request("GET", "/", "")).await.0, 200);
        assert!(gateway.stat("gateway.downstream_tls_error").await >= 1);
    });
}

#[test]
fn a_client_without_a_certificate_is_turned_away() {
    run(async {
        let module = guests::empty();
        let (ca, _, _) = authority();
        let (certificate, key, ours) = authority();
        let gateway = Gateway::start(&[
            "--module",
            module.to_str().unwrap(),
            "--tls-cert",
            file("mtls.pem", certificate).to_str().unwrap(),
            "--tls-key",
            file("mtls.key", key).to_str().unwrap(),
            "--tls-client-ca",
            file("mtls-ca.pem", ca).to_str().unwrap(),
        ]);
        // In TLS 1.3 the client learns of it with the first answer.
        if let Ok(mut client) = tls(&gateway, &ours, false).await {
            assert!(client.send(request("GET", "/", "")).await.is_err());
        }
        assert_eq!(gateway.stat("gateway.downstream_rq_total").await, 0);
    });
}

#[test]
fn a_filter_sees_the_certificate_of_its_client() {
    run(async {
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut authority_of = rcgen::CertificateParams::default();
        authority_of.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = authority_of.self_signed(&authority_key).unwrap();
        let issuer = rcgen::Issuer::new(authority_of, authority_key);
        let mut client = rcgen::CertificateParams::new(["client.example.com".to_owned()]).unwrap();
        let uri = "spiffe://example.com/client".try_into().unwrap();
        client.subject_alt_names.push(rcgen::SanType::URI(uri));
        client.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in [
            (rcgen::DnType::OrganizationName, "Shop"),
            (rcgen::DnType::CommonName, "client"),
        ] {
            client.distinguished_name.push(kind, value);
        }
        let client_key = rcgen::KeyPair::generate().unwrap();
        let client = client.signed_by(&client_key, &issuer).unwrap();
        let (certificate, key, ours) = authority();
        let rows: [(&str, &[u8]); 6] = [
            ("mtls", &[1]),
            ("tls_version", b"TLSv1.3"),
            ("subject_peer_certificate", b"CN=client,O=Shop"),
            ("uri_san_peer_certificate", b"spiffe://example.com/client"),
            ("dns_san_peer_certificate", b"client.example.com"),
            ("requested_server_name", b"localhost"),
        ];
        for (name, value) in rows {
            let gateway = Gateway::start(&[
                "--module",
                guests::telling(name).to_str().unwrap(),
                "--tls-cert",
                file("seen.pem", &certificate).to_str().unwrap(),
                "--tls-key",
                file("seen.key", &key).to_str().unwrap(),
                "--tls-client-ca",
                file("seen-ca.pem", root.pem()).to_str().unwrap(),
            ]);
            let own = Some((&client, &client_key));
            let mut client = tls_as(&gateway, &ours, false, own).await.unwrap();
            let (status, _, body) = client.ask(request("GET", "/", "")).await;
            assert_eq!((status, &body[..]), (200, value), "{name}");
        }
    });
}

#[test]
fn grpc_passes_with_trailers_and_both_ways_at_once() {
    run(async {
        let server = server().await;
        let module = guests::empty();
        let gateway = Gateway::start(&[
            "--module",
            module.to_str().unwrap(),
            "--upstream",
            &format!("h2c://{server}"),
        ]);
        let mut client = Client::two(gateway.address).await;
        let (sender, body) = pieces();
        let call = Request::builder()
            .method("POST")
            .uri("/test.Echo/Talk")
            .header("te", "trailers")
            .header("content-type", "application/grpc")
            .body(body)
            .unwrap();
        let mut response = client.send(call).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/grpc");
        for message in ["one", "two", "three"] {
            sender
                .send(Ok(Frame::data(framed(message.as_bytes()))))
                .await
                .unwrap();
            // The answer to each comes before the next is sent.
            let frame = response.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), framed(message.as_bytes()));
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-last", "word".parse().unwrap());
        sender.send(Ok(Frame::trailers(trailers))).await.unwrap();
        drop(sender);
        let frame = response.frame().await.unwrap().unwrap();
        let trailers = frame.into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
        assert_eq!(trailers["x-last"], "word");
        assert!(response.frame().await.is_none());
    });
}

/// 48 MB each way, while the gateway holds next to nothing of it.
#[test]
fn big_bodies_flow() {
    run(async {
        let server = server().await;
        let module = guests::empty();
        for scheme in ["http", "h2c"] {
            let gateway = Gateway::start(&[
                "--module",
                module.to_str().unwrap(),
                "--upstream",
                &format!("{scheme}://{server}"),
                "--buffer-limit",
                "1000",
                "--workers",
                "1",
            ]);
            let before = gateway.peak_memory();
            for http2 in [false, true] {
                let mut client = if http2 {
                    Client::two(gateway.address).await
                } else {
                    Client::one(gateway.address).await
                };
                let big = Bytes::from(vec![b'u'; 48_000_000]);
                let (status, _, text) = client.ask(request("POST", "/up", big)).await;
                assert_eq!(status, 200);
                assert!(text.starts_with(b"POST /up 48000000 "), "{text:?}");
                // A client that does not read for a while: the gateway does not read on for it.
                let response = client.send(request("GET", "/huge", "")).await.unwrap();
                tokio::time::sleep(Duration::from_millis(200)).await;
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body.len(), 700 * 65_536);
            }
            let grown = gateway.peak_memory().saturating_sub(before);
            assert!(grown < 40_000_000, "{scheme}: {grown} bytes more");
        }
    });
}

#[test]
fn what_was_broken_off_does_not_look_whole() {
    run(async {
        let server = server().await;
        let module = guests::empty();
        let gateway = Gateway::start(&[
            "--module",
            module.to_str().unwrap(),
            "--upstream",
            &format!("http://{server}"),
        ]);
        for mut client in [
            Client::one(gateway.address).await,
            Client::two(gateway.address).await,
        ] {
            let response = client.send(request("GET", "/broken", "")).await.unwrap();
            assert_eq!(response.status(), 200);
            assert!(response.into_body().collect().await.is_err());
        }
        gateway.line("upstream_reset_after_response_started");
        // No answer at all is answered in the upstream's place.
        let (status, _, text) = get(gateway.address, "/reset").await;
        assert_eq!(status, 503, "{text:?}");
        assert!(text.starts_with(b"upstream connect error"), "{text:?}");
    });
}

#[test]
fn the_log_and_the_statistics_tell_what_was() {
    run(async {
        let server = server().await;
        let module = guests::marking("told.wat", "told");
        let gateway = Gateway::start(&[
            "--module",
            module.to_str().unwrap(),
            "--config-text",
            "quiet",
            "--upstream",
            &format!("http://{server}"),
            "--log",
            "json",
        ]);
        let mut client = Client::one(gateway.address).await;
        client.ask(request("POST", "/told?x=1", "12345")).await;
        client.ask(request("GET", "/reset", "")).await;
        let line = gateway.line(r#""path":"/told?x=1""#);
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        for (key, value) in [
            ("status", serde_json::json!(200)),
            ("method", "POST".into()),
            ("authority", "test".into()),
            ("protocol", "HTTP/1.1".into()),
            ("details", "via_upstream".into()),
            ("bytes_received", 5.into()),
            ("bytes_sent", 21.into()),
            ("filter_state", serde_json::json!({"wasm.note": "seen it"})),
        ] {
            assert_eq!(json[key], value, "{key} in {line}");
        }
        assert!(json["duration_ms"].as_f64().unwrap() > 0.0);
        gateway.line(r#""details":"upstream_reset_before_response_started{"#);
        for (name, value) in [
            ("gateway.downstream_rq_total", 2),
            ("gateway.downstream_rq_2xx", 1),
            ("gateway.downstream_rq_5xx", 1),
            ("gateway.downstream_rq_active", 0),
            ("gateway.downstream_cx_active", 1),
            ("gateway.upstream_rq_failed", 1),
            ("wasmcustom.marked.requests", 2),
        ] {
            assert_eq!(gateway.stat(name).await, value, "{name}");
        }
        assert!(gateway.stat("gateway.worker_0.vm_memory_bytes").await >= 64 * 65_536);
        let json: serde_json::Value =
            serde_json::from_str(&gateway.admin("/stats?format=json").await).unwrap();
        let stats = json["stats"].as_array().unwrap();
        assert!(
            stats.contains(&serde_json::json!({"name": "wasmcustom.marked.requests", "value": 2}))
        );
        let text = gateway.admin("/stats/prometheus").await;
        assert!(
            text.contains("# TYPE marked_requests counter\nmarked_requests 2\n"),
            "{text}"
        );
        // Each line is a type or a sample with a number; a histogram's last bucket is its count.
        for line in text.lines().filter(|line| !line.starts_with("# TYPE ")) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let name = name.split('{').next().unwrap();
            assert!(
                name.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_:".contains(c)),
                "{line}"
            );
        }
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().parse::<u64>().unwrap()
        };
        assert_eq!(number("palisade_gateway_request_seconds_count"), 2);
        assert_eq!(
            number("palisade_gateway_request_seconds_bucket{le=\"+Inf\"}"),
            2
        );
        assert!(number("palisade_gateway_callback_seconds_count") >= 8);
        assert_eq!(gateway.admin("/ready").await, "LIVE\n");
        assert_eq!(gateway.admin("/healthz").await, "OK\n");
    });
}
