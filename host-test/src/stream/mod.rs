//! The life of one HTTP stream in a guest: phases, pauses, buffering, local replies.

mod direct;
mod flow;
mod reply;
pub(crate) mod state;
mod tcp;

pub use self::tcp::Peer;
use crate::state::headers::Headers;

pub use direct::{AskedReply, Called};

/// A stream of one VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub(crate) u32);

/// What the host knows of a stream besides its headers.
#[derive(Clone, Debug, Default)]
pub struct StreamInfo {
    /// Property `source.address`, e.g. `203.0.113.7:4711`.
    pub source_address: String,
    /// Property `destination.address`.
    pub destination_address: String,
    /// Property `request.protocol`, e.g. `HTTP/1.1`.
    pub protocol: String,
    /// Further properties or overrides: path segments joined by `.`, and the raw value.
    pub properties: Vec<(String, Vec<u8>)>,
}

/// What to do next with one direction of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this on.
    Continue(Forward),
    /// Hold everything; feed further body if there is, then wait for a tick or a call-out to resume the stream.
    Paused,
    /// Answer this instead; the stream's request and response go no further.
    LocalReply(LocalReply),
}

/// What goes on to the next hop now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forward {
    /// The headers, if they have not gone on before.
    pub headers: Option<Headers>,
    /// Body bytes to send on (those held before among them).
    pub body: Vec<u8>,
    /// The trailers, if they go on now.
    pub trailers: Option<Headers>,
    /// Whether this ends the direction.
    pub end: bool,
    /// In what was resumed from outside ([`Vm::poll`](crate::Vm::poll), `tick`, `deliver`): this is of the response.
    pub of_response: bool,
}

/// A reply made by the guest or the host instead of the upstream's, after the guest's response callbacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalReply {
    /// The status.
    pub status: u16,
    /// Response code details, for access logs.
    pub details: String,
    /// Headers, `:status` and `content-length` among them.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
    /// The gRPC status, if the guest gave one (-1 is none).
    pub grpc_status: Option<i32>,
    /// Response headers went to the client before: nothing can be answered, the stream must be reset.
    pub reset: bool,
}
