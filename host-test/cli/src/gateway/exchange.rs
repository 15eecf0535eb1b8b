//! One exchange: a request from hyper through the filter to the upstream, and its response back.
//!
//! **Invariant:** nothing reaches the upstream or the client but what the filter let go ([`Step::Continue`]); what
//! the filter saw as `:path` is byte for byte what is sent. Each chunk is passed on as it comes.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use palisade_host::{Forward, Headers, LocalReply, Step, StreamInfo};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

use super::body::{GatewayBody, Sender};
use super::upstream::Answered;
use super::{Lost, Ticket, Worker};

/// Runs one exchange.
pub(crate) async fn handle(
    worker: Rc<Worker>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<GatewayBody>, Infallible> {
    let (parts, body) = request.into_parts();
    let info = StreamInfo {
        source_address: peer.to_string(),
        destination_address: String::new(),
        protocol: format!("{:?}", parts.version),
        properties: Vec::new(),
    };
    let Ok((ticket, steps)) = worker.open(info) else {
        return Ok(unavailable());
    };
    let exchange = Rc::new(Exchange {
        worker,
        ticket,
        line: format!("{} {}", parts.method, parts.uri),
        started: Instant::now(),
        status: Cell::new(0),
        details: RefCell::default(),
    });
    let (head, answer) = oneshot::channel();
    spawn_local(async move {
        let mut client = Client {
            head: Some(head),
            body: None,
        };
        if exchange
            .run(head_of(&parts, peer), body, steps, &mut client)
            .await
            .is_err()
        {
            client.fail(&exchange).await;
        }
    });
    Ok(answer.await.unwrap_or_else(|_| unavailable()))
}

/// An exchange in a VM; its end ends the stream and writes the access log.
struct Exchange {
    worker: Rc<Worker>,
    ticket: Ticket,
    line: String,
    started: Instant,
    status: Cell<u16>,
    details: RefCell<String>,
}

/// The client's end: a head once, then pieces of a body.
struct Client {
    head: Option<oneshot::Sender<Response<GatewayBody>>>,
    body: Option<Sender>,
}

impl Exchange {
    async fn run(
        &self,
        headers: Headers,
        body: Incoming,
        mut steps: mpsc::UnboundedReceiver<Step>,
        client: &mut Client,
    ) -> Result<(), Lost> {
        match self.request(headers, body, &mut steps).await? {
            Ended::Reply(reply) => {
                client.reply(self, reply).await;
                Ok(())
            }
            Ended::Answered(Ok(answered)) => self.response(answered, steps, client).await,
            Ended::Answered(Err(why)) => {
                eprintln!("palisade: upstream: {why}");
                let reply = LocalReply {
                    status: 502,
                    details: "upstream_failure".to_owned(),
                    headers: Headers::from([(":status", "502"), ("content-length", "0")]),
                    ..LocalReply::default()
                };
                match self
                    .worker
                    .step(self.ticket, |vm, stream| vm.host_reply(stream, reply))?
                {
                    Step::LocalReply(reply) => {
                        client.reply(self, reply).await;
                        Ok(())
                    }
                    Step::Continue(_) | Step::Paused => Err(Lost),
                }
            }
        }
    }

    /// The request half: until the upstream has answered, or somebody else has.
    async fn request(
        &self,
        headers: Headers,
        mut body: Incoming,
        steps: &mut mpsc::UnboundedReceiver<Step>,
    ) -> Result<Ended, Lost> {
        let head_ends = body.is_end_stream();
        let mut read = head_ends;
        let mut step = self.worker.step(self.ticket, |vm, stream| {
            vm.request_headers(stream, headers, head_ends)
        })?;
        let mut upstream: Option<Sender> = None;
        let mut sent = false;
        let (answer, mut answered) = oneshot::channel();
        let mut answer = Some(answer);
        loop {
            match step {
                Step::LocalReply(reply) => {
                    if let Some(upstream) = &upstream {
                        upstream.abort().await;
                    }
                    return Ok(Ended::Reply(reply));
                }
                Step::Paused => {}
                Step::Continue(forward) => {
                    let Forward {
                        headers,
                        body,
                        trailers,
                        end,
                    } = forward;
                    if let (Some(headers), Some(answer)) = (headers, answer.take()) {
                        let outgoing = if end && body.is_empty() && trailers.is_none() {
                            GatewayBody::Whole(None)
                        } else {
                            let (sender, outgoing) = GatewayBody::pieces();
                            upstream = Some(sender);
                            outgoing
                        };
                        let Some(request) = request_of(&headers, outgoing) else {
                            return Ok(Ended::Answered(Err(
                                "the filter let go a request that cannot be sent".to_owned(),
                            )));
                        };
                        let worker = Rc::clone(&self.worker);
                        spawn_local(async move {
                            let sent = worker.pool.send(&worker.plan.target, request).await;
                            let _ = answer.send(sent.map_err(|error| format!("{error:#}")));
                        });
                    }
                    if let Some(sender) = &upstream {
                        let pass = async {
                            sender.data(body).await;
                            if let Some(trailers) = trailers {
                                sender.trailers(fields(&trailers)).await;
                            }
                        };
                        tokio::select! {
                            () = pass => {}
                            // Answered before the request was read: the rest is of no use to it.
                            early = &mut answered => return Ok(Ended::of(early)),
                        }
                    }
                    if end {
                        upstream = None;
                        sent = true;
                    }
                }
            }
            step = tokio::select! {
                early = &mut answered, if answer.is_none() => return Ok(Ended::of(early)),
                freed = steps.recv() => freed.ok_or(Lost)?,
                frame = body.frame(), if !read && !sent => match frame {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => self.worker.step(self.ticket, |vm, stream| vm.request_body(stream, &data, false))?,
                        Err(frame) => {
                            let trailers = frame.into_trailers().unwrap_or_default();
                            read = true;
                            let trailers = headers_of(&trailers);
                            self.worker.step(self.ticket, |vm, stream| vm.request_trailers(stream, trailers))?
                        }
                    },
                    // The client broke off: so do we.
                    Some(Err(_)) => {
                        if let Some(upstream) = &upstream {
                            upstream.abort().await;
                        }
                        return Err(Lost);
                    }
                    None => {
                        read = true;
                        self.worker.step(self.ticket, |vm, stream| vm.request_body(stream, b"", true))?
                    }
                },
            };
        }
    }

    /// The response half.
    async fn response(
        &self,
        answered: Answered,
        mut steps: mpsc::UnboundedReceiver<Step>,
        client: &mut Client,
    ) -> Result<(), Lost> {
        let (parts, mut body) = answered.response.into_parts();
        let mut headers = Headers::from([(":status", parts.status.as_str())]);
        add_fields(&parts.headers, &mut headers);
        let head_ends = body.is_end_stream();
        let mut read = head_ends;
        let mut step = self.worker.step(self.ticket, |vm, stream| {
            vm.response_headers(stream, headers, head_ends)
        })?;
        loop {
            match step {
                Step::LocalReply(reply) => {
                    client.reply(self, reply).await;
                    return Ok(());
                }
                Step::Paused => {}
                Step::Continue(Forward {
                    headers,
                    body,
                    trailers,
                    end,
                }) => {
                    if let Some(headers) = headers {
                        client.begin(self, &headers, end && body.is_empty() && trailers.is_none());
                    }
                    if let Some(sender) = &client.body {
                        let listens = sender.data(body).await;
                        if let Some(trailers) = trailers {
                            sender.trailers(fields(&trailers)).await;
                        }
                        if !listens {
                            return Ok(());
                        }
                    }
                    if end {
                        client.body = None;
                        if let Some(connection) = answered.connection {
                            self.worker.pool.give_back(connection);
                        }
                        return Ok(());
                    }
                }
            }
            step = tokio::select! {
                freed = steps.recv() => freed.ok_or(Lost)?,
                frame = body.frame(), if !read => match frame {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => self.worker.step(self.ticket, |vm, stream| vm.response_body(stream, &data, false))?,
                        Err(frame) => {
                            let trailers = frame.into_trailers().unwrap_or_default();
                            read = true;
                            let trailers = headers_of(&trailers);
                            self.worker.step(self.ticket, |vm, stream| vm.response_trailers(stream, trailers))?
                        }
                    },
                    Some(Err(error)) => {
                        eprintln!("palisade: upstream: {error}");
                        return Err(Lost);
                    }
                    None => {
                        read = true;
                        self.worker.step(self.ticket, |vm, stream| vm.response_body(stream, b"", true))?
                    }
                },
            };
        }
    }
}

/// What ended the request half.
enum Ended {
    Reply(LocalReply),
    Answered(Result<Answered, String>),
}

impl Ended {
    fn of(answer: Result<Result<Answered, String>, oneshot::error::RecvError>) -> Self {
        Self::Answered(answer.unwrap_or_else(|_| Err("the request was given up".to_owned())))
    }
}

impl Client {
    /// Sends the head; the body follows unless this is all.
    fn begin(&mut self, exchange: &Exchange, headers: &Headers, ends: bool) {
        let (sender, body) = if ends {
            (None, GatewayBody::Whole(None))
        } else {
            let (sender, body) = GatewayBody::pieces();
            (Some(sender), body)
        };
        self.body = sender;
        self.send(exchange, headers, body);
    }

    /// Sends a whole reply in the upstream's place.
    async fn reply(&mut self, exchange: &Exchange, reply: LocalReply) {
        exchange.details.replace(reply.details);
        if let Some(body) = &self.body {
            // The head has gone: all that can be said is that the rest will not come.
            body.abort().await;
            return;
        }
        self.send(exchange, &reply.headers, GatewayBody::whole(reply.body));
    }

    fn send(&mut self, exchange: &Exchange, headers: &Headers, body: GatewayBody) {
        let status = headers
            .status()
            .and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
        exchange.status.set(status.as_u16());
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = fields(headers);
        if let Some(head) = self.head.take() {
            let _ = head.send(response);
        }
    }

    /// The VM was lost or somebody broke off: 503 if the client has seen nothing, else the body breaks off too.
    async fn fail(&mut self, exchange: &Exchange) {
        if let Some(head) = self.head.take() {
            exchange.status.set(503);
            exchange.details.replace("stream_lost".to_owned());
            let _ = head.send(unavailable());
        }
        if let Some(body) = &self.body {
            body.abort().await;
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let state = self.worker.close(self.ticket);
        if self.worker.plan.quiet {
            return;
        }
        let details = self.details.borrow();
        let verdict = match state.get("wasm.verdict") {
            Some(verdict) => String::from_utf8_lossy(verdict).into_owned(),
            None if details.is_empty() => "allowed".to_owned(),
            None => details.clone(),
        };
        let ms = self.started.elapsed().as_secs_f64() * 1000.0;
        say!("{} {} {verdict} {ms:.1}ms", self.status.get(), self.line);
    }
}

fn unavailable() -> Response<GatewayBody> {
    let mut response = Response::new(GatewayBody::Whole(None));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// Fields that hold between two hops only (RFC 9110 §7.6.1).
const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The head as the filter sees it: pseudo-headers, then what the client sent without hop-by-hop fields, with our
/// request id and the peer added to the forwarding chain.
fn head_of(parts: &Parts, peer: SocketAddr) -> Headers {
    let mut headers = Headers::new();
    let mut hosts = parts.headers.get_all("host").iter();
    let host = hosts.next().map(|host| host.as_bytes().to_vec());
    // RFC 9112 §3.2.2: the authority of an absolute target goes before `host`.
    let authority = parts
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes().to_vec())
        .or(host);
    let path = match parts.uri.path_and_query() {
        Some(path) => path.as_str(),
        None => parts.uri.path(),
    };
    headers.add(":method", parts.method.as_str());
    headers.add(":scheme", "http");
    headers.add(":authority", authority.unwrap_or_default());
    headers.add(":path", if path.is_empty() { "/" } else { path });
    for host in hosts {
        headers.add("host", host);
    }
    add_fields(&parts.headers, &mut headers);
    if headers.get("x-request-id").is_none() {
        headers.add("x-request-id", request_id());
    }
    headers.add("x-forwarded-for", peer.ip().to_string());
    headers.add("x-forwarded-proto", "http");
    headers
}

fn add_fields(from: &HeaderMap, to: &mut Headers) {
    let named: Vec<String> = from
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    for (name, value) in from {
        let name = name.as_str();
        if name != "host" && !HOP_BY_HOP.contains(&name) && !named.iter().any(|hop| hop == name) {
            to.add(name, value);
        }
    }
}

fn headers_of(map: &HeaderMap) -> Headers {
    map.iter()
        .map(|(name, value)| (name.as_str(), value))
        .collect()
}

/// Regular fields for hyper; what HTTP/1 cannot carry is left out.
fn fields(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(b":")) {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            map.append(name, value);
        }
    }
    map
}

/// The request to send: exactly the target that the filter let go.
fn request_of(headers: &Headers, body: GatewayBody) -> Option<Request<GatewayBody>> {
    let path = headers.get(":path")?;
    let uri = if path == b"*" {
        Uri::from_static("*")
    } else {
        PathAndQuery::try_from(path)
            .ok()
            .filter(|uri| uri.as_str().as_bytes() == path)?
            .into()
    };
    let mut request = Request::new(body);
    *request.method_mut() = Method::from_bytes(headers.get(":method")?).ok()?;
    *request.uri_mut() = uri;
    let mut map = fields(headers);
    map.insert(
        "host",
        HeaderValue::from_bytes(headers.get(":authority").unwrap_or_default()).ok()?,
    );
    *request.headers_mut() = map;
    Some(request)
}

/// 128 random bits, in the form of a UUID.
fn request_id() -> String {
    let bits = u128::from(RandomState::new().hash_one(0)) << 64
        | u128::from(RandomState::new().hash_one(1));
    let hex = format!("{bits:032x}");
    let mut id = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            id.push('-');
        }
        id.push(digit);
    }
    id
}
