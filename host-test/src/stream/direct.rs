//! Callbacks called one at a time, without a proxy around them: what a unit test of a filter does.
//!
//! In: the headers, or one chunk of a body, and whether it is the last. Out: what the guest returned, and what it left in the map or
//! the buffer. Invariant: nothing is held from one call to the next, and a local reply passes no response callbacks; the rules
//! of a proxy are in `flow.rs`.

use crate::{
    abi::exports::OnHeaders,
    error::Error,
    state::headers::Headers,
    stream::{StreamId, state::Way},
    vm::{Vm, size},
};

const UNKNOWN_STREAM: Error = Error::Misuse {
    what: "no such stream",
};

/// What one callback did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Called {
    /// What it returned, as a number of the ABI; 0 if the guest has no such callback.
    pub action: i32,
    /// The headers as it left them (a headers callback).
    pub headers: Headers,
    /// The chunk as it left it (a body callback).
    pub body: Vec<u8>,
    /// The local reply that it asked for.
    pub reply: Option<AskedReply>,
}

/// A local reply exactly as the guest asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedReply {
    /// Status.
    pub status: u16,
    /// Response code details.
    pub details: String,
    /// The guest's own header fields, nothing added.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
    /// gRPC status, if it gave one.
    pub grpc_status: Option<i32>,
}

impl Vm {
    /// Runs one headers callback, of the response if `response`.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` for an unknown stream.
    pub fn call_headers(
        &mut self,
        id: StreamId,
        response: bool,
        headers: Headers,
        end: bool,
    ) -> Result<Called, Error> {
        let way = way(response);
        let count = size(headers.len());
        let direction = self.direct(id, way)?;
        direction.headers = headers;
        direction.seen = true;
        direction.headers_open = true;
        let (name, callback) = if response {
            (
                "proxy_on_response_headers",
                self.exports.response.headers.clone(),
            )
        } else {
            (
                "proxy_on_request_headers",
                self.exports.request.headers.clone(),
            )
        };
        let context = id.0.cast_signed();
        let action = match callback {
            OnHeaders::Absent => 0,
            OnHeaders::Three(callback) => {
                self.call(name, id.0, &callback, (context, count, i32::from(end)))?
            }
            OnHeaders::Two(callback) => self.call(name, id.0, &callback, (context, count))?,
        };
        let direction = self.direct(id, way)?;
        direction.headers_open = false;
        let headers = direction.headers.clone();
        let reply = self.asked(id)?;
        Ok(Called {
            action,
            headers,
            body: Vec::new(),
            reply,
        })
    }

    /// Runs one body callback over this chunk alone.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` for an unknown stream.
    pub fn call_body(
        &mut self,
        id: StreamId,
        response: bool,
        chunk: &[u8],
        end: bool,
    ) -> Result<Called, Error> {
        let way = way(response);
        let direction = self.direct(id, way)?;
        direction.body = chunk.to_vec();
        direction.body_open = true;
        direction.ended = end;
        let (name, callback) = if response {
            ("proxy_on_response_body", self.exports.response.body.clone())
        } else {
            ("proxy_on_request_body", self.exports.request.body.clone())
        };
        let action = match callback {
            None => 0,
            Some(callback) => {
                let parameters = (id.0.cast_signed(), size(chunk.len()), i32::from(end));
                self.call(name, id.0, &callback, parameters)?
            }
        };
        let direction = self.direct(id, way)?;
        direction.body_open = false;
        let body = std::mem::take(&mut direction.body);
        let reply = self.asked(id)?;
        Ok(Called {
            action,
            headers: Headers::new(),
            body,
            reply,
        })
    }

    fn direct(
        &mut self,
        id: StreamId,
        way: Way,
    ) -> Result<&mut crate::stream::state::Direction, Error> {
        self.check_alive()?;
        self.store
            .data_mut()
            .streams
            .get_mut(&id.0)
            .filter(|stream| !stream.ended)
            .map(|stream| stream.way(way))
            .ok_or(UNKNOWN_STREAM)
    }

    /// The reply asked for in the callback that has just returned; wishes to resume mean nothing here.
    fn asked(&mut self, id: StreamId) -> Result<Option<AskedReply>, Error> {
        let state = self.store.data_mut();
        state.touched.retain(|touched| *touched != id.0);
        let stream = state.streams.get_mut(&id.0).ok_or(UNKNOWN_STREAM)?;
        stream.request.resume = false;
        stream.response.resume = false;
        let reply = stream.guest_reply.take();
        stream.replied |= reply.is_some();
        Ok(reply.map(|reply| AskedReply {
            status: reply.status,
            details: reply.details,
            headers: reply.headers,
            body: reply.body,
            grpc_status: reply.grpc_status,
        }))
    }
}

const fn way(response: bool) -> Way {
    if response {
        Way::Response
    } else {
        Way::Request
    }
}
