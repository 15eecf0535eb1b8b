//! Where requests go: an HTTP/1.1 server, or the built-in demo that shows what it received.

use std::cell::RefCell;

use anyhow::{Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::task::spawn_local;

use super::body::GatewayBody;

/// An upstream.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// Built in.
    Demo,
    /// `host:port`.
    Server(String),
}

/// A response's body, wherever it comes from.
pub(crate) type UpstreamBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

impl Target {
    /// Reads a URL.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let uri: Uri = url.parse()?;
        let (Some("http"), Some(authority), "" | "/") =
            (uri.scheme_str(), uri.authority(), uri.path())
        else {
            bail!("`{url}`: write the upstream as http://HOST:PORT");
        };
        Ok(Self::Server(format!(
            "{}:{}",
            authority.host(),
            authority.port_u16().unwrap_or(80)
        )))
    }
}

/// Idle connections of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pool(RefCell<Vec<SendRequest<GatewayBody>>>);

/// A response, and the connection to give back when its body was read.
pub(crate) struct Answered {
    pub(crate) response: Response<UpstreamBody>,
    pub(crate) connection: Option<SendRequest<GatewayBody>>,
}

impl Pool {
    /// Idle connections kept.
    const MOST: usize = 256;

    pub(crate) fn give_back(&self, connection: SendRequest<GatewayBody>) {
        let mut idle = self.0.borrow_mut();
        if idle.len() < Self::MOST && !connection.is_closed() {
            idle.push(connection);
        }
    }

    /// Sends a request.
    pub(crate) async fn send(
        &self,
        target: &Target,
        mut request: Request<GatewayBody>,
    ) -> Result<Answered> {
        let Target::Server(address) = target else {
            return Ok(Answered {
                response: demo(request).await?,
                connection: None,
            });
        };
        // An idle connection may have been closed meanwhile; hyper hands the request back if nothing of it was sent.
        loop {
            let idle = self.0.borrow_mut().pop();
            let Some(mut connection) = idle else { break };
            if connection.ready().await.is_err() {
                continue;
            }
            match connection.try_send_request(request).await {
                Ok(response) => {
                    return Ok(Answered {
                        response: boxed(response),
                        connection: Some(connection),
                    });
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (mut connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        spawn_local(driver);
        let response = connection.send_request(request).await?;
        Ok(Answered {
            response: boxed(response),
            connection: Some(connection),
        })
    }
}

fn boxed(response: Response<hyper::body::Incoming>) -> Response<UpstreamBody> {
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}

/// Shows what it received. `/status/NNN` answers that status; `/login` wants `correct-horse`.
async fn demo(request: Request<GatewayBody>) -> Result<Response<UpstreamBody>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let status = if let Some(status) = parts.uri.path().strip_prefix("/status/") {
        status
            .parse()
            .ok()
            .and_then(|status: u16| StatusCode::from_u16(status).ok())
            .filter(|status| status.as_u16() >= 200)
    } else if parts.uri.path() == "/login"
        && !body.windows(13).any(|window| window == b"correct-horse")
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
    let shown = json!({ "method": parts.method.as_str(), "path": path, "headers": headers, "body_bytes": body.len() });
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
