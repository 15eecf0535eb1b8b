//! One exchange: a request from a client through the filter to the upstream, and its response back, both ways at once.
//!
//! **Invariant:** nothing reaches the upstream or the client but what the filter let go ([`Step::Continue`]). Each chunk is passed on as it
//! comes; a side is read only while the next hop takes what was read before. What was broken off is never made to look whole.
//! **Source:** where the end of a body falls (with the last data in HTTP/2, after it in HTTP/1.1), buffer limits and their replies, and
//! response code details: as Envoy has them.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Instant;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, Version};
use palisade_host::{FilterState, Forward, Headers, LocalReply, Step, StreamInfo};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

use super::access_log::{Format, Record};
use super::body::{GatewayBody, Outgoing, announced};
use super::client::{Client, status_only};
use super::connection::{Busy, Connection};
use super::guest::{Lost, Opened, Ticket};
use super::head::{self, fields};
use super::stats::{down, up};
use super::upstream::{self, Answered, Reusable, UpstreamBody};
use super::{Bounds, Worker};

/// Details of a reply in the place of a filter that has failed.
pub(super) const FILTER_FAILED: &str = "wasm_fail_stream";

/// Runs one exchange.
pub(crate) async fn handle(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<GatewayBody>, Reset> {
    let (parts, body) = request.into_parts();
    let opened = worker.open(|| info(&parts, &connection));
    let mut exchange = Exchange::new(worker, connection, &parts);
    let steps = match opened {
        Opened::Closed => return Ok(exchange.refuse(503, FILTER_FAILED)),
        Opened::Bare => {
            up(&exchange.worker.plan.stats.numbers.bypassed);
            None
        }
        Opened::Filtered(ticket, steps) => {
            exchange.ticket = Some(ticket);
            Some(steps)
        }
    };
    if parts.headers.len() > exchange.worker.plan.bounds.headers {
        return Ok(exchange.refuse(431, "request_headers_too_many"));
    }
    if let Some((status, details)) = head::refused(&parts) {
        return Ok(exchange.refuse(status, details));
    }
    let scheme = if exchange.connection.0.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let headers = head::of_request(&parts, &exchange.connection.0.peer_ip, scheme);
    if exchange.worker.plan.log == Format::Json {
        exchange.record.borrow_mut().request_id = headers.text("x-request-id").unwrap_or_default();
    }
    let http2 = parts.version == Version::HTTP_2;
    let (head, answer) = oneshot::channel();
    spawn_local(async move {
        let mut client = Client::new(head, parts.method == Method::HEAD);
        let source = Source::new(body, http2);
        if exchange
            .run(headers, source, steps, &mut client)
            .await
            .is_err()
        {
            client.fail(&exchange);
        }
    });
    answer.await.map_err(|_| Reset)
}

/// The stream ends without an answer: HTTP/1.1 closes the connection, HTTP/2 resets the stream.
#[derive(Debug)]
pub(crate) struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the stream was reset")
    }
}

impl std::error::Error for Reset {}

fn info(parts: &Parts, connection: &Connection) -> StreamInfo {
    StreamInfo {
        source_address: connection.peer.clone(),
        destination_address: connection.local.clone(),
        protocol: protocol(parts.version).to_owned(),
        properties: connection.tls.clone().unwrap_or_default(),
    }
}

/// As Envoy's `request.protocol`.
const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// The direction a piece belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Response,
}

/// What comes in.
enum Piece<'a> {
    Headers(Headers, bool),
    Body(&'a [u8], bool),
    Trailers(Headers),
}

/// An exchange; its end ends the stream in the VM and writes the access log.
pub(super) struct Exchange {
    pub(super) worker: Rc<Worker>,
    connection: Busy,
    /// `None`: no filter.
    ticket: Option<Ticket>,
    started: Instant,
    pub(super) record: RefCell<Record>,
}

/// A body that is read.
struct Source<B> {
    body: B,
    /// The last data of the body says that it is the last.
    http2: bool,
    /// It is over.
    read: bool,
    /// Bytes the guest holds of it.
    held: usize,
}

impl<B: Body> Source<B> {
    fn new(body: B, http2: bool) -> Self {
        let read = body.is_end_stream();
        Self {
            body,
            http2,
            read,
            held: 0,
        }
    }
}

/// The response, being read.
type Down = Source<UpstreamBody>;

impl Exchange {
    fn new(worker: Rc<Worker>, connection: Rc<Connection>, parts: &Parts) -> Self {
        let numbers = &worker.plan.stats.numbers;
        up(&numbers.requests);
        up(&numbers.requests_active);
        let text = |name| {
            let value = parts.headers.get(name);
            value.map_or_else(String::new, |value| {
                String::from_utf8_lossy(value.as_bytes()).into_owned()
            })
        };
        let record = if worker.plan.log == Format::Off {
            Record::default()
        } else {
            let target = parts.uri.path_and_query();
            Record {
                method: parts.method.to_string(),
                authority: parts
                    .uri
                    .authority()
                    .map_or_else(|| text("host"), ToString::to_string),
                target: target.map_or_else(|| parts.uri.to_string(), ToString::to_string),
                protocol: protocol(parts.version),
                peer: connection.peer.clone(),
                ..Record::default()
            }
        };
        Self {
            worker,
            connection: Busy::new(connection),
            ticket: None,
            started: Instant::now(),
            record: RefCell::new(record),
        }
    }

    fn bounds(&self) -> &Bounds {
        &self.worker.plan.bounds
    }

    /// A reply without the guest, before it has seen anything.
    fn refuse(&self, status: u16, details: &str) -> Response<GatewayBody> {
        self.note(status, details);
        up(&self.worker.plan.stats.numbers.local_replies);
        status_only(status)
    }

    pub(super) fn note(&self, status: u16, details: &str) {
        let mut record = self.record.borrow_mut();
        record.status = status;
        details.clone_into(&mut record.details);
    }

    pub(super) fn detail(&self, details: &str) {
        details.clone_into(&mut self.record.borrow_mut().details);
    }

    /// Shows the guest a piece.
    fn show(&self, way: Way, piece: Piece<'_>) -> Result<Step, Lost> {
        let Some(ticket) = &self.ticket else {
            return Ok(Step::Continue(piece.let_go()));
        };
        self.worker.step(ticket, |vm, stream| match (way, piece) {
            (Way::Request, Piece::Headers(headers, end)) => {
                vm.request_headers(stream, headers, end)
            }
            (Way::Request, Piece::Body(data, end)) => vm.request_body(stream, data, end),
            (Way::Request, Piece::Trailers(trailers)) => vm.request_trailers(stream, trailers),
            (Way::Response, Piece::Headers(headers, end)) => {
                vm.response_headers(stream, headers, end)
            }
            (Way::Response, Piece::Body(data, end)) => vm.response_body(stream, data, end),
            (Way::Response, Piece::Trailers(trailers)) => vm.response_trailers(stream, trailers),
        })
    }

    /// A reply of the gateway's own, through the guest's response callbacks.
    fn reply(&self, status: u16, details: &str, text: &str) -> Result<Step, Lost> {
        let reply = LocalReply {
            status,
            details: details.to_owned(),
            headers: Headers::from([("content-type", "text/plain")]),
            body: text.as_bytes().to_vec(),
            ..LocalReply::default()
        };
        match &self.ticket {
            Some(ticket) => self
                .worker
                .step(ticket, |vm, stream| vm.host_reply(stream, reply)),
            None => {
                let mut reply = reply;
                reply.headers.set(":status", status.to_string());
                reply.headers.set("content-length", text.len().to_string());
                Ok(Step::LocalReply(reply))
            }
        }
    }

    /// Whether the guest takes more of a body: it buffers or lets it flow; `false`: it has stopped the direction.
    fn sees_body(&self, way: Way) -> bool {
        let Some(ticket) = &self.ticket else {
            return true;
        };
        self.worker
            .step(ticket, |vm, stream| {
                Ok(vm.sees_body(stream, way == Way::Response))
            })
            .unwrap_or(true)
    }

    async fn run(
        &self,
        headers: Headers,
        mut request: Source<Incoming>,
        mut steps: Option<mpsc::Receiver<Step>>,
        client: &mut Client,
    ) -> Result<(), Lost> {
        let plan = &self.worker.plan;
        let mut upward = Outgoing::default();
        let mut asked: Option<Asked> = None;
        let mut response: Option<Down> = None;
        let mut connection: Option<Reusable> = None;
        // A reply of our own is held by the guest: nothing else counts any more.
        let mut replying = false;
        let mut moved = Instant::now();
        let mut alarm = std::pin::pin!(tokio::time::sleep_until(self.due(moved).into()));
        let read = request.read;
        let mut next = Some((
            Way::Request,
            self.show(Way::Request, Piece::Headers(headers, read))?,
        ));
        loop {
            match next.take() {
                Some((_, Step::LocalReply(reply))) => {
                    client.reply(self, reply);
                    return Ok(());
                }
                Some((Way::Request, Step::Continue(forward))) => {
                    request.held = 0;
                    let mut length = Ok(());
                    if let Some(headers) = &forward.headers {
                        let announced = announced(headers);
                        length = announced.map(|_| ());
                        let (outgoing, mut body) = GatewayBody::pieces(announced.ok().flatten());
                        if forward.is_only_headers() {
                            body = GatewayBody::Whole(None);
                        }
                        upward = outgoing;
                        match head::to_request(headers, body, plan.target.is_http2()) {
                            Some(request) => asked = Some(self.ask(request)),
                            None => {
                                complain!(
                                    "palisade: the filter let go a request that cannot be sent"
                                );
                                next = Some((
                                    Way::Response,
                                    self.reply(502, "request_cannot_be_sent", "")?,
                                ));
                                replying = true;
                                continue;
                            }
                        }
                    }
                    let trailers = forward.trailers.as_ref().map(fields);
                    if length
                        .and_then(|()| upward.put(forward.body, trailers, forward.end))
                        .is_err()
                    {
                        // Of a request that was not yet awaited nothing has gone; another breaks off with its body.
                        asked = None;
                        upward = Outgoing::default();
                        connection = None;
                        request.read = true;
                        self.wrong_length("request", "upstream");
                        const DETAILS: &str = "request_content_length_mismatch";
                        if client.head.is_none() {
                            self.detail(DETAILS);
                            return Err(Lost);
                        }
                        replying = true;
                        next = Some((Way::Response, self.reply(502, DETAILS, "")?));
                        continue;
                    }
                }
                Some((Way::Response, Step::Continue(forward))) => {
                    if let Some(source) = &mut response {
                        source.held = 0;
                    }
                    if !client.bodiless {
                        self.record.borrow_mut().sent += length(&forward.body);
                    }
                    if client.forward(self, forward).is_err() {
                        self.wrong_length("response", "client");
                        client.refuse(self, 502, "response_content_length_mismatch");
                        return Ok(());
                    }
                }
                Some((_, Step::Paused)) | None => {}
            }
            if client.out.is_done() {
                // An answer that came before all of the request had gone leaves the connection in the middle of it.
                if let Some(connection) = connection.filter(|_| upward.is_done()) {
                    self.worker.pool.give_back(connection);
                }
                return Ok(());
            }
            let takes_request = !request.read
                && !replying
                && !upward.is_pending()
                && !upward.is_unread()
                && (request.held < plan.bounds.held || self.sees_body(Way::Request));
            let takes_response = !replying
                && !client.out.is_pending()
                && response.as_ref().is_some_and(|response| {
                    !response.read
                        && (response.held < plan.bounds.held || self.sees_body(Way::Response))
                });
            next = tokio::select! {
                biased;
                () = client.work() => {
                    if client.gone {
                        self.note(0, "downstream_remote_disconnect");
                        return Ok(());
                    }
                    None
                }
                freed = freed(&mut steps) => {
                    let step = freed.ok_or(Lost)?;
                    let way = match &step {
                        Step::Continue(forward) if !forward.of_response => Way::Request,
                        _ => Way::Response,
                    };
                    Some((way, step))
                }
                _ = upward.work(), if upward.is_pending() => None,
                answer = answer(&mut asked), if asked.is_some() && !replying => {
                    asked = None;
                    match answer {
                        Ok(answered) => {
                            connection = answered.connection;
                            let (parts, body) = answered.response.into_parts();
                            let source = Source::new(body, parts.version == Version::HTTP_2);
                            let mut headers = Headers::from([(":status", parts.status.as_str())]);
                            head::add_fields(&parts.headers, &mut headers);
                            let piece = Piece::Headers(headers, source.read);
                            response = Some(source);
                            Some((Way::Response, self.show(Way::Response, piece)?))
                        }
                        Err(why) => {
                            complain!("palisade: upstream {}: {why:#}", plan.target.address());
                            up(&plan.stats.numbers.upstream_failures);
                            replying = true;
                            let reply = upstream::kind_of(&why).reply();
                            let (status, text, details) = reply.unwrap_or_default();
                            let step = self.reply(status, details, &text)?;
                            Some((Way::Response, step))
                        }
                    }
                }
                frame = request.body.frame(), if takes_request => {
                    let step = match frame {
                        Some(Err(_)) => {
                            // The client broke off; so do we.
                            self.note(0, "downstream_remote_disconnect");
                            client.head = None;
                            return Ok(());
                        }
                        Some(Ok(frame)) => match frame.into_data() {
                            Ok(data) => {
                                let end = request.http2 && request.body.is_end_stream();
                                request.read = end;
                                request.held += data.len();
                                self.record.borrow_mut().received += length(&data);
                                let step = self.show(Way::Request, Piece::Body(&data, end))?;
                                if request.held > plan.bounds.held && step == Step::Paused && self.sees_body(Way::Request) {
                                    replying = true;
                                    self.reply(413, "request_payload_too_large", "Payload Too Large")?
                                } else {
                                    step
                                }
                            }
                            Err(frame) => {
                                request.read = true;
                                let trailers = frame.into_trailers().unwrap_or_default();
                                self.show(Way::Request, Piece::Trailers(head::of_trailers(&trailers)))?
                            }
                        },
                        None => {
                            request.read = true;
                            self.show(Way::Request, Piece::Body(b"", true))?
                        }
                    };
                    Some((Way::Request, step))
                }
                frame = next_frame(&mut response), if takes_response => {
                    let Some(source) = &mut response else { continue };
                    let step = match frame {
                        Some(Err(error)) => {
                            complain!("palisade: upstream {}: {error}", plan.target.address());
                            up(&plan.stats.numbers.upstream_failures);
                            self.detail("upstream_reset_after_response_started");
                            if client.head.is_none() {
                                return Err(Lost);
                            }
                            replying = true;
                            self.reply(502, "upstream_reset_after_response_started", "upstream failure")?
                        }
                        Some(Ok(frame)) => match frame.into_data() {
                            Ok(data) => {
                                let end = source.http2 && source.body.is_end_stream();
                                source.read = end;
                                source.held += data.len();
                                let over = source.held > plan.bounds.held;
                                let step = self.show(Way::Response, Piece::Body(&data, end))?;
                                if over && step == Step::Paused && self.sees_body(Way::Response) {
                                    replying = true;
                                    self.reply(500, "response_payload_too_large", "Internal Server Error")?
                                } else {
                                    step
                                }
                            }
                            Err(frame) => {
                                source.read = true;
                                let trailers = frame.into_trailers().unwrap_or_default();
                                self.show(Way::Response, Piece::Trailers(head::of_trailers(&trailers)))?
                            }
                        },
                        None => {
                            source.read = true;
                            self.show(Way::Response, Piece::Body(b"", true))?
                        }
                    };
                    Some((Way::Response, step))
                }
                () = alarm.as_mut() => {
                    let due = self.due(moved);
                    if Instant::now() < due {
                        alarm.as_mut().reset(due.into());
                        continue;
                    }
                    if replying || client.head.is_none() {
                        self.detail("stream_timeout");
                        return Err(Lost);
                    }
                    replying = true;
                    alarm.as_mut().reset((Instant::now() + plan.bounds.stream_idle).into());
                    let step = if upward.is_done() || asked.is_some() && request.read {
                        self.reply(504, "response_timeout", "upstream request timeout")?
                    } else {
                        self.reply(408, "stream_idle_timeout", "stream timeout")?
                    };
                    Some((Way::Response, step))
                }
            };
            moved = Instant::now();
        }
    }

    /// Says what is wrong with a guest that changes a body's length.
    fn wrong_length(&self, what: &str, whom: &str) {
        complain!(
            "palisade: {what} broken off: the body the filter let go is not as long as its content-length, and the {whom} would take a part for the whole; a filter that changes a body removes content-length in the {what} headers callback, or sets it"
        );
    }

    /// When the exchange has taken too long.
    fn due(&self, moved: Instant) -> Instant {
        let bounds = self.bounds();
        let idle = moved + bounds.stream_idle;
        match bounds.request {
            Some(all) => idle.min(self.started + all),
            None => idle,
        }
    }

    fn ask(&self, request: Request<GatewayBody>) -> Asked {
        let worker = Rc::clone(&self.worker);
        Box::pin(async move { worker.pool.send(&worker.plan.target, request).await })
    }
}

/// A request that was sent, to be awaited.
type Asked = Pin<Box<dyn Future<Output = anyhow::Result<Answered>>>>;

async fn answer(asked: &mut Option<Asked>) -> anyhow::Result<Answered> {
    match asked {
        Some(asked) => asked.await,
        None => std::future::pending().await,
    }
}

async fn freed(steps: &mut Option<mpsc::Receiver<Step>>) -> Option<Step> {
    match steps {
        Some(steps) => steps.recv().await,
        None => std::future::pending().await,
    }
}

type UpstreamFrame =
    Result<hyper::body::Frame<bytes::Bytes>, Box<dyn std::error::Error + Send + Sync>>;

async fn next_frame(response: &mut Option<Down>) -> Option<UpstreamFrame> {
    match response {
        Some(source) => source.body.frame().await,
        None => std::future::pending().await,
    }
}

pub(super) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

impl Piece<'_> {
    /// What goes on where there is no filter.
    fn let_go(self) -> Forward {
        let mut forward = Forward::default();
        match self {
            Self::Headers(headers, end) => {
                forward.headers = Some(headers);
                forward.end = end;
            }
            Self::Body(data, end) => {
                forward.body = data.to_vec();
                forward.end = end;
            }
            Self::Trailers(trailers) => {
                forward.trailers = Some(trailers);
                forward.end = true;
            }
        }
        forward
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let state = self
            .ticket
            .as_ref()
            .map_or_else(FilterState::new, |ticket| self.worker.close(ticket));
        let plan = &self.worker.plan;
        let record = self.record.borrow();
        let time = self.started.elapsed();
        down(&plan.stats.numbers.requests_active);
        plan.stats.answered(record.status);
        plan.stats.requests.record(time);
        let add = std::sync::atomic::AtomicU64::fetch_add;
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        add(&plan.stats.numbers.bytes_received, record.received, relaxed);
        add(&plan.stats.numbers.bytes_sent, record.sent, relaxed);
        if plan.log != Format::Off {
            say!("{}", record.line(plan.log, time, &state));
        }
    }
}
