//! What the host keeps for one stream.
//!
//! Invariant: plain data. Hostcalls note wishes here (`resume`, `guest_reply`, `closed`); `flow.rs` carries them out after the callback.

use crate::{
    state::headers::Headers,
    stream::{LocalReply, StreamInfo},
    vm::FilterState,
};

/// One of the two directions of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Request,
    Response,
}

/// How a direction is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    /// It flows.
    #[default]
    Flowing,
    /// Held, but the next callbacks come, with the body so far.
    Buffering,
    /// Held, but the next callbacks come, each with its own piece of the body.
    Apart,
    /// Held, and no callback comes before it is resumed.
    Stopped,
}

#[derive(Default)]
pub(crate) struct Direction {
    pub(crate) headers: Headers,
    /// The guest may read and change the headers.
    pub(crate) headers_open: bool,
    /// The headers callback has been reached.
    pub(crate) seen: bool,
    /// The headers have gone on.
    pub(crate) sent: bool,
    /// The body the guest sees in its callback, and what is held of it.
    pub(crate) body: Vec<u8>,
    /// Body that is held before it and that the guest does not see.
    pub(crate) apart: Vec<u8>,
    pub(crate) body_open: bool,
    pub(crate) trailers: Option<Headers>,
    pub(crate) trailers_open: bool,
    pub(crate) hold: Hold,
    /// Body that came while stopped: the guest has not seen it.
    pub(crate) unseen: Option<Vec<u8>>,
    pub(crate) unseen_trailers: bool,
    /// The last piece has come in.
    pub(crate) ended: bool,
    /// The last piece has gone on.
    pub(crate) finished: bool,
    /// The guest asked to go on.
    pub(crate) resume: bool,
}

/// A local reply as the guest asked for it.
pub(crate) struct GuestReply {
    pub(crate) status: u16,
    pub(crate) details: String,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) grpc_status: Option<i32>,
}

#[derive(Default)]
pub(crate) struct StreamState {
    pub(crate) root: u32,
    /// A TCP connection: the request is what comes from downstream, the response what comes from upstream.
    pub(crate) tcp: bool,
    pub(crate) info: StreamInfo,
    pub(crate) request: Direction,
    pub(crate) response: Direction,
    /// Asked for in this callback.
    pub(crate) guest_reply: Option<GuestReply>,
    /// A local reply has been made; there is no other.
    pub(crate) replied: bool,
    /// The local reply, kept while the guest's response callbacks hold it, and for the logs.
    pub(crate) reply: Option<LocalReply>,
    pub(crate) closed: bool,
    pub(crate) filter_state: FilterState,
    /// In `proxy_on_log`: all maps can be read.
    pub(crate) logging: bool,
    /// Ended for the host.
    pub(crate) ended: bool,
}

impl StreamState {
    pub(crate) const fn way(&mut self, way: Way) -> &mut Direction {
        match way {
            Way::Request => &mut self.request,
            Way::Response => &mut self.response,
        }
    }
}
