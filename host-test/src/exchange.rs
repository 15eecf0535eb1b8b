//! One whole exchange, request in, response out: the way most tests use a VM.

use crate::{
    error::Error,
    state::{headers::Headers, log::LogLine},
    stream::{LocalReply, StreamInfo},
    vm::{FilterState, Trace, Vm},
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
    /// What the guest logged.
    pub logs: Vec<LogLine>,
    /// Hostcalls and callbacks with their fuel.
    pub trace: Trace,
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

impl Vm {
    /// Runs one whole exchange; `upstream` answers what the guest lets through.
    ///
    /// # Errors
    /// The guest's faults.
    pub fn exchange(
        &mut self,
        _request: &Request,
        _upstream: impl FnOnce(&UpstreamRequest) -> Response,
    ) -> Result<Outcome, Error> {
        Err(Error::Misuse {
            what: "not built yet",
        })
    }
}
