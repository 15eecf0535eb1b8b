//! `--admin`: statistics and health over HTTP, as Envoy's admin interface has them.
//!
//! **Invariant:** read only; nothing here stops, changes or reveals a policy.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use palisade_host::Shared;
use tokio::net::TcpListener;

use super::stats::Stats;

/// What the admin interface shows.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    pub(crate) stats: Arc<Stats>,
    pub(crate) shared: Shared,
    /// Set when the gateway no longer takes connections.
    pub(crate) stopping: Arc<AtomicBool>,
}

const HELP: &str =
    "/stats             name: value (?format=json, ?format=prometheus, ?filter=PREFIX)
/stats/prometheus  the same for Prometheus
/ready             200 LIVE, or 503 DRAINING
/healthz           200 as long as the process answers
";

impl Admin {
    /// Serves until the process ends.
    pub(crate) async fn serve(self, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let admin = self.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let answer = admin.answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let _ = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(Duration::from_secs(10))
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let query = request.uri().query().unwrap_or_default();
        let (mut format, mut filter) = ("", "");
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "format" => format = value,
                "filter" => filter = value,
                _ => {}
            }
        }
        let guest = || self.shared.metrics();
        let (status, kind, text) = match (request.method(), request.uri().path(), format) {
            (&(Method::GET | Method::HEAD), "/stats", "json") => {
                (200, "application/json", self.stats.json(&guest()))
            }
            (&(Method::GET | Method::HEAD), "/stats", "prometheus")
            | (&(Method::GET | Method::HEAD), "/stats/prometheus", _) => (
                200,
                "text/plain; version=0.0.4; charset=utf-8",
                self.stats.prometheus(&guest()),
            ),
            (&(Method::GET | Method::HEAD), "/stats", _) => {
                let text = self.stats.text(&guest());
                let lines = text.split_inclusive('\n');
                let shown = lines.filter(|line| line.starts_with(filter)).collect();
                (200, "text/plain", shown)
            }
            (_, "/ready", _) if self.stopping.load(Ordering::Relaxed) => {
                (503, "text/plain", "DRAINING\n".to_owned())
            }
            (_, "/ready", _) => (200, "text/plain", "LIVE\n".to_owned()),
            (_, "/healthz", _) => (200, "text/plain", "OK\n".to_owned()),
            (_, "/", _) => (200, "text/plain", HELP.to_owned()),
            (_, "/stats" | "/stats/prometheus", _) => (405, "text/plain", "use GET\n".to_owned()),
            _ => (404, "text/plain", HELP.to_owned()),
        };
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        if let Ok(kind) = kind.parse() {
            response.headers_mut().insert("content-type", kind);
        }
        response
    }
}
