//! Where requests and call-outs go: an HTTP/1.1 or HTTP/2 server, or the built-in demo that shows what it received.
//!
//! **Invariant:** a request of which anything may have been read is never sent twice. Connections belong to one worker.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use palisade_host::CalloutFailure;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::task::spawn_local;

use super::body::GatewayBody;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection that was used may take to be ready again.
const READY: Duration = Duration::from_millis(100);
/// Idle HTTP/1.1 connections that a worker keeps for one server.
const MOST_IDLE: usize = 256;
/// Of a login's body the demo looks at so much.
const DEMO_BODY: usize = 1 << 16;

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Built in.
    Demo,
    /// `host:port`, and whether it is spoken to in HTTP/2.
    Server { address: Arc<str>, http2: bool },
}

impl Target {
    /// Reads a URL: `http://HOST:PORT`, or `h2c://` or `http2://` for HTTP/2 without TLS.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        const FIX: &str = "write http://HOST:PORT, or h2c://HOST:PORT for HTTP/2 (TLS to an upstream is not spoken)";
        let uri: Uri = url.parse().with_context(|| format!("`{url}`: {FIX}"))?;
        let http2 = match uri.scheme_str() {
            Some("http") => false,
            Some("h2c" | "http2") => true,
            _ => bail!("`{url}`: {FIX}"),
        };
        let (Some(authority), "" | "/") = (uri.authority(), uri.path()) else {
            bail!("`{url}`: {FIX}");
        };
        let address = format!(
            "{}:{}",
            authority.host(),
            authority.port_u16().unwrap_or(80)
        );
        Ok(Self::Server {
            address: address.into(),
            http2,
        })
    }

    /// Whether it speaks HTTP/2.
    pub(crate) const fn is_http2(&self) -> bool {
        matches!(self, Self::Server { http2: true, .. })
    }

    /// The same server, spoken to in HTTP/2.
    pub(crate) fn in_http2(&self) -> Self {
        match self {
            Self::Demo => Self::Demo,
            Self::Server { address, .. } => Self::Server {
                address: Arc::clone(address),
                http2: true,
            },
        }
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        match self {
            Self::Demo => "demo",
            Self::Server { address, .. } => address,
        }
    }
}

/// A response's body, wherever it comes from.
pub(crate) type UpstreamBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A connection to give back when its response was read and its request written.
pub(crate) struct Reusable {
    address: Arc<str>,
    connection: http1::SendRequest<GatewayBody>,
}

/// A response, and its connection.
pub(crate) struct Answered {
    pub(crate) response: Response<UpstreamBody>,
    pub(crate) connection: Option<Reusable>,
}

/// Connections of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: RefCell<HashMap<Arc<str>, Vec<http1::SendRequest<GatewayBody>>>>,
    shared: RefCell<HashMap<Arc<str>, http2::SendRequest<GatewayBody>>>,
}

/// Runs hyper's tasks on the worker's own thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        spawn_local(async move {
            future.await;
        });
    }
}

impl Pool {
    pub(crate) fn give_back(&self, reusable: Reusable) {
        let mut idle = self.idle.borrow_mut();
        let idle = idle.entry(reusable.address).or_default();
        if idle.len() < MOST_IDLE && !reusable.connection.is_closed() {
            idle.push(reusable.connection);
        }
    }

    /// Sends a request that was made for this target.
    pub(crate) async fn send(
        &self,
        target: &Target,
        request: Request<GatewayBody>,
    ) -> Result<Answered> {
        let answered = match target {
            Target::Demo => Answered {
                response: demo(request).await?,
                connection: None,
            },
            Target::Server {
                address,
                http2: true,
            } => Answered {
                response: self.send_http2(address, request).await?,
                connection: None,
            },
            Target::Server {
                address,
                http2: false,
            } => self.send_http1(address, request).await?,
        };
        // Nothing was asked that this would answer; what follows on its connection is not HTTP.
        if answered.response.status() == StatusCode::SWITCHING_PROTOCOLS {
            bail!(Switched);
        }
        Ok(answered)
    }

    async fn send_http1(
        &self,
        address: &Arc<str>,
        mut request: Request<GatewayBody>,
    ) -> Result<Answered> {
        let answered = |response, connection| Answered {
            response: boxed(response),
            connection: Some(Reusable {
                address: Arc::clone(address),
                connection,
            }),
        };
        // An idle connection may have been closed meanwhile; hyper hands the request back if nothing of it was sent.
        loop {
            let idle = self.idle.borrow_mut().get_mut(address).and_then(Vec::pop);
            let Some(mut connection) = idle else { break };
            // One that is still at its last request's body is of no use now.
            let ready = tokio::time::timeout(READY, connection.ready()).await;
            if !matches!(ready, Ok(Ok(()))) {
                continue;
            }
            match connection.try_send_request(request).await {
                Ok(response) => return Ok(answered(response, connection)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let stream = connect(address).await?;
        let (mut connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        spawn_local(driver);
        let response = connection.send_request(request).await?;
        Ok(answered(response, connection))
    }

    async fn send_http2(
        &self,
        address: &Arc<str>,
        mut request: Request<GatewayBody>,
    ) -> Result<Response<UpstreamBody>> {
        let open = self.shared.borrow().get(address).cloned();
        if let Some(mut connection) = open {
            if connection.ready().await.is_ok() {
                match connection.try_send_request(request).await {
                    Ok(response) => return Ok(boxed(response)),
                    Err(mut error) => match error.take_message() {
                        Some(unsent) => request = unsent,
                        None => return Err(error.into_error().into()),
                    },
                }
            }
            self.shared.borrow_mut().remove(address);
        }
        let stream = connect(address).await?;
        let (mut connection, driver) = http2::Builder::new(Local)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(1 << 22)
            .handshake(TokioIo::new(stream))
            .await?;
        spawn_local(driver);
        self.shared
            .borrow_mut()
            .insert(Arc::clone(address), connection.clone());
        Ok(boxed(connection.send_request(request).await?))
    }
}

/// There is no connection to the server.
#[derive(Debug)]
struct Unreachable(std::io::Error);

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no connection: {}", self.0)
    }
}

impl std::error::Error for Unreachable {}

/// The server changed the protocol without being asked to.
#[derive(Debug)]
struct Switched;

impl std::fmt::Display for Switched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it answered 101 to a request without `upgrade`")
    }
}

impl std::error::Error for Switched {}

/// What Envoy would call the failure of a request that got no response.
pub(crate) fn kind_of(error: &anyhow::Error) -> CalloutFailure {
    let protocol = |error: &hyper::Error| error.is_parse() || error.is_parse_too_large();
    if error.is::<Unreachable>() {
        CalloutFailure::Refused
    } else if error.is::<Switched>() || error.downcast_ref::<hyper::Error>().is_some_and(protocol) {
        CalloutFailure::Garbage
    } else {
        CalloutFailure::Reset
    }
}

async fn connect(address: &str) -> Result<TcpStream> {
    let stream = tokio::time::timeout(CONNECT, TcpStream::connect(address))
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
        .map_err(Unreachable)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn boxed(response: Response<hyper::body::Incoming>) -> Response<UpstreamBody> {
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}

/// Shows what it received. `/status/NNN` answers that status; `/login` wants `correct-horse`.
async fn demo(request: Request<GatewayBody>) -> Result<Response<UpstreamBody>> {
    let (parts, mut body) = request.into_parts();
    let (mut seen, mut length) = (Vec::<u8>::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            length = length.saturating_add(data.len());
            seen.extend(data.iter().take(DEMO_BODY.saturating_sub(seen.len())));
        }
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let status = if let Some(status) = parts.uri.path().strip_prefix("/status/") {
        status
            .parse()
            .ok()
            .and_then(|status: u16| StatusCode::from_u16(status).ok())
            .filter(|status| status.as_u16() >= 200)
    } else if parts.uri.path() == "/login"
        && !seen.windows(13).any(|window| window == b"correct-horse")
    {
        Some(StatusCode::UNAUTHORIZED)
    } else {
        None
    };
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in &parts.headers {
        let value = Value::from(String::from_utf8_lossy(value.as_bytes()).into_owned());
        match headers.get_mut(name.as_str()) {
            Some(Value::Array(values)) => values.push(value),
            Some(one) => *one = json!([one.clone(), value]),
            None => {
                headers.insert(name.to_string(), value);
            }
        }
    }
    let shown = json!({ "method": parts.method.as_str(), "path": path, "headers": headers, "body_bytes": length });
    let text = format!("{shown:#}\n");
    Ok(Response::builder()
        .status(status.unwrap_or(StatusCode::OK))
        .header("content-type", "application/json")
        .header("content-length", text.len())
        .body(
            Full::from(text)
                .map_err(|never| match never {})
                .boxed_unsync(),
        )?)
}
