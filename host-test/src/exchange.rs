//! One whole exchange, request in, response out: the way most tests use a VM.

use std::time::Duration;

use crate::{
    agenda::MAX_AT_ONCE,
    error::Error,
    state::{callouts::Callout, headers::Headers, log::LogLine, trace::Trace},
    stream::{LocalReply, Step, StreamId, StreamInfo},
    vm::{FilterState, Vm},
    warning::Warning,
};

/// A request from a client.
#[derive(Clone, Debug)]
pub struct Request {
    /// All fields, pseudo-headers first.
    pub headers: Headers,
    /// Body chunks as they arrive.
    pub chunks: Vec<Vec<u8>>,
    /// Trailers, if any.
    pub trailers: Option<Headers>,
    /// Whether the last chunk carries the end of stream (HTTP/2) instead of an empty one after it (HTTP/1 in Envoy).
    pub end_on_last_chunk: bool,
    /// Addresses and properties.
    pub info: StreamInfo,
}

impl Request {
    /// A request without body, to `example.com` over `http`, from 203.0.113.7.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            headers: Headers::from([
                (":authority", "example.com"),
                (":path", path),
                (":method", method),
                (":scheme", "http"),
            ]),
            chunks: Vec::new(),
            trailers: None,
            end_on_last_chunk: false,
            info: StreamInfo {
                source_address: "203.0.113.7:40000".to_owned(),
                destination_address: "192.0.2.1:80".to_owned(),
                protocol: "HTTP/1.1".to_owned(),
                properties: Vec::new(),
            },
        }
    }

    /// A GET.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST with a body in one chunk and its length.
    #[must_use]
    pub fn post(path: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        Self::new("POST", path)
            .header("content-length", body.len().to_string())
            .chunk(body)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Adds a chunk of body.
    #[must_use]
    pub fn chunk(mut self, chunk: impl AsRef<[u8]>) -> Self {
        self.chunks.push(chunk.as_ref().to_vec());
        self
    }

    /// Adds a trailer.
    #[must_use]
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.trailers.get_or_insert_default().add(name, value);
        self
    }

    /// Sets where the request comes from, `address:port`.
    #[must_use]
    pub fn from_address(mut self, address: impl Into<String>) -> Self {
        self.info.source_address = address.into();
        self
    }
}

/// What reached the upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamRequest {
    /// Headers as the guest left them.
    pub headers: Headers,
    /// The whole body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Option<Headers>,
}

/// What the upstream answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Headers, `:status` among them.
    pub headers: Headers,
    /// Body chunks.
    pub chunks: Vec<Vec<u8>>,
    /// Trailers.
    pub trailers: Option<Headers>,
}

impl Response {
    /// A response with a text body.
    #[must_use]
    pub fn new(status: u16, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let headers = Headers::from([
            (":status", status.to_string()),
            ("content-type", "text/plain".to_owned()),
            ("content-length", body.len().to_string()),
        ]);
        let chunks = if body.is_empty() {
            Vec::new()
        } else {
            vec![body.to_vec()]
        };
        Self {
            headers,
            chunks,
            trailers: None,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value);
        self
    }
}

/// What came of an exchange.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Status the client sees; 0 if the exchange still waits (see `paused`).
    pub status: u16,
    /// Response headers the client sees.
    pub headers: Headers,
    /// Body the client sees.
    pub body: Vec<u8>,
    /// Trailers the client sees.
    pub trailers: Option<Headers>,
    /// What the upstream got, if anything did.
    pub upstream: Option<UpstreamRequest>,
    /// The local reply, if it was one.
    pub local_reply: Option<LocalReply>,
    /// The guest paused and nothing resumed it: the exchange was abandoned.
    pub paused: bool,
    /// Hostcalls that failed by the guest's doing.
    pub warnings: Vec<Warning>,
    /// What the guest logged.
    pub logs: Vec<LogLine>,
    /// Callbacks and hostcalls with what they cost.
    pub trace: Trace,
    /// What the guest asked other services, since the last exchange.
    pub callouts: Vec<Callout>,
    /// What the guest stored for access logs.
    pub filter_state: FilterState,
}

impl Outcome {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Moments in which something happens, given to a held exchange before it is given up.
const PATIENCE: usize = 100;

impl Vm {
    /// Runs one whole exchange; `upstream` answers what the guest lets through. A held stream is given ticks and the answers of
    /// [`crate::VmConfig::callouts`], whichever is due first, a virtual clock moving on to it; a call-out without an answer fails after
    /// its timeout. If nothing frees the stream, the outcome says `paused`.
    ///
    /// # Errors
    /// The guest's faults.
    pub fn exchange(
        &mut self,
        request: &Request,
        upstream: impl FnOnce(&UpstreamRequest) -> Response,
    ) -> Result<Outcome, Error> {
        self.take_warnings();
        self.take_logs();
        self.take_trace();
        self.advance(Duration::ZERO)?;
        let stream = self.new_stream(request.info.clone())?;
        let mut outcome = Outcome::default();
        self.run(stream, request, upstream, &mut outcome)?;
        outcome.filter_state = self.finish(stream)?;
        self.advance(Duration::ZERO)?;
        outcome.callouts = self.agenda.take_seen();
        outcome.warnings = self.take_warnings();
        outcome.logs = self.take_logs();
        outcome.trace = self.take_trace();
        Ok(outcome)
    }

    fn run(
        &mut self,
        stream: StreamId,
        request: &Request,
        upstream: impl FnOnce(&UpstreamRequest) -> Response,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let mut sent = Sent::default();
        let pieces = pieces(
            &request.headers,
            &request.chunks,
            request.trailers.as_ref(),
            request.end_on_last_chunk,
        );
        for piece in pieces {
            let step = match piece {
                Piece::Headers(headers, end) => {
                    self.request_headers(stream, headers.clone(), end)?
                }
                Piece::Body(chunk, end) => self.request_body(stream, chunk, end)?,
                Piece::Trailers(trailers) => self.request_trailers(stream, trailers.clone())?,
            };
            if sent.take(step, outcome) {
                break;
            }
        }
        for (touched, step) in self.deliver_queues()? {
            if touched == stream {
                sent.take(step, outcome);
            }
        }
        if outcome.local_reply.is_none() && !sent.end {
            self.wait(stream, &mut sent, outcome)?;
        }
        if sent.begun {
            outcome.upstream = Some(UpstreamRequest {
                headers: sent.headers,
                body: sent.body,
                trailers: sent.trailers,
            });
        }
        let Some(seen) = outcome
            .upstream
            .as_ref()
            .filter(|_| sent.end && outcome.local_reply.is_none())
        else {
            return Ok(());
        };
        let response = upstream(seen);
        let mut sent = Sent::default();
        for piece in pieces_of(&response) {
            let step = match piece {
                Piece::Headers(headers, end) => {
                    self.response_headers(stream, headers.clone(), end)?
                }
                Piece::Body(chunk, end) => self.response_body(stream, chunk, end)?,
                Piece::Trailers(trailers) => self.response_trailers(stream, trailers.clone())?,
            };
            if sent.take(step, outcome) {
                sent.before_a_reset(outcome);
                return Ok(());
            }
        }
        if !sent.end {
            self.wait(stream, &mut sent, outcome)?;
            sent.before_a_reset(outcome);
        }
        if sent.begun && outcome.local_reply.is_none() {
            outcome.status = sent.headers.status().unwrap_or_default();
            outcome.headers = sent.headers;
            outcome.body = sent.body;
            outcome.trailers = sent.trailers;
        }
        Ok(())
    }

    /// Time passes until the stream is free or patience ends.
    fn wait(
        &mut self,
        stream: StreamId,
        sent: &mut Sent,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let mut steps = self.poll()?;
        let (mut waited, mut at_once) = (0, 0);
        while waited <= PATIENCE && at_once <= MAX_AT_ONCE {
            for (touched, step) in steps {
                if touched == stream && (sent.take(step, outcome) || sent.end) {
                    return Ok(());
                }
            }
            let Some((passed, moved)) = self.next_event(Duration::MAX)? else {
                break;
            };
            if passed.is_zero() {
                at_once += 1;
            } else {
                (waited, at_once) = (waited + 1, 0);
            }
            steps = self.deliver_queues()?;
            steps.extend(moved);
        }
        outcome.paused = true;
        Ok(())
    }
}

/// What has gone on so far in one direction.
#[derive(Default)]
struct Sent {
    begun: bool,
    headers: Headers,
    body: Vec<u8>,
    trailers: Option<Headers>,
    end: bool,
}

impl Sent {
    /// The client of a response that was broken off saw what went before.
    fn before_a_reset(&mut self, outcome: &mut Outcome) {
        let reset = outcome
            .local_reply
            .as_ref()
            .is_some_and(|reply| reply.reset);
        if reset && self.begun {
            outcome.status = self.headers.status().unwrap_or_default();
            outcome.headers = std::mem::take(&mut self.headers);
            outcome.body = std::mem::take(&mut self.body);
        }
    }

    /// Takes a step in; true if a local reply ended the exchange.
    fn take(&mut self, step: Step, outcome: &mut Outcome) -> bool {
        match step {
            Step::Continue(forward) => {
                if let Some(headers) = forward.headers {
                    self.begun = true;
                    self.headers = headers;
                }
                self.body.extend(forward.body);
                self.trailers = self.trailers.take().or(forward.trailers);
                self.end |= forward.end;
                false
            }
            Step::Paused => false,
            Step::LocalReply(reply) => {
                outcome.status = reply.status;
                outcome.headers = reply.headers.clone();
                outcome.body.clone_from(&reply.body);
                outcome.local_reply = Some(reply);
                true
            }
        }
    }
}

enum Piece<'a> {
    Headers(&'a Headers, bool),
    Body(&'a [u8], bool),
    Trailers(&'a Headers),
}

fn pieces_of(response: &Response) -> Vec<Piece<'_>> {
    pieces(
        &response.headers,
        &response.chunks,
        response.trailers.as_ref(),
        false,
    )
}

/// A message in the pieces Envoy hands to a filter.
fn pieces<'a>(
    headers: &'a Headers,
    chunks: &'a [Vec<u8>],
    trailers: Option<&'a Headers>,
    end_on_last: bool,
) -> Vec<Piece<'a>> {
    let mut pieces = vec![Piece::Headers(
        headers,
        chunks.is_empty() && trailers.is_none(),
    )];
    let last = chunks.len().saturating_sub(1);
    for (position, chunk) in chunks.iter().enumerate() {
        pieces.push(Piece::Body(
            chunk,
            end_on_last && trailers.is_none() && position == last,
        ));
    }
    match trailers {
        Some(trailers) => pieces.push(Piece::Trailers(trailers)),
        None if !chunks.is_empty() && !end_on_last => pieces.push(Piece::Body(b"", true)),
        None => {}
    }
    pieces
}
