//! Replies made here instead of by the upstream: the guest's own and the host's.
//!
//! In: a wish noted by a hostcall, or the host's reply. Out: the reply as a `Step`.
//! Invariant: before response headers were seen, a reply passes the guest's response callbacks; from a response callback it goes straight
//! out, in the place of an earlier reply too; after response headers have gone on there is only a reset.
//! Source: what Envoy was seen to do, `ENVOY.md`.

use crate::{
    error::Error,
    state::headers::Headers,
    stream::{
        Forward, LocalReply, Step, StreamId,
        flow::{OUT_OF_ORDER, UNKNOWN_STREAM},
        state::{GuestReply, Hold, Way},
    },
    vm::Vm,
};

/// What Envoy says of a response without a valid status.
const NO_STATUS: &str = "missing required header: :status";

impl Vm {
    /// Sends a reply of the host's own (502, 503, 413 …) through the guest's response callbacks, as Envoy does, and returns it as the guest
    /// left it; `Paused` if the guest holds it.
    ///
    /// # Errors
    /// The guest's faults.
    pub fn host_reply(&mut self, stream: StreamId, reply: LocalReply) -> Result<Step, Error> {
        let LocalReply {
            status,
            details,
            headers,
            body,
            grpc_status,
            ..
        } = reply;
        let reply = GuestReply {
            status,
            details,
            headers,
            body,
            grpc_status,
        };
        self.reply(stream, reply)
    }

    /// A forward of a resumed direction; if it is the rest of a local reply that was held, the reply.
    pub(super) fn hand_on(
        &mut self,
        id: StreamId,
        way: Way,
        forward: Forward,
    ) -> Result<Step, Error> {
        let stream = self
            .store
            .data_mut()
            .streams
            .get_mut(&id.0)
            .ok_or(UNKNOWN_STREAM)?;
        let Some(reply) = stream
            .reply
            .as_mut()
            .filter(|_| way == Way::Response && stream.replied)
        else {
            return Ok(Step::Continue(forward));
        };
        if let Some(headers) = forward.headers {
            reply.headers = headers;
        }
        reply.body.extend(forward.body);
        if !forward.end {
            return Ok(Step::Paused);
        }
        reply.status = reply.headers.status().unwrap_or(reply.status);
        Ok(Step::LocalReply(reply.clone()))
    }

    /// What the guest asked for in the callback that has just returned, if it ends the stream.
    pub(super) fn interrupted(&mut self, id: StreamId) -> Result<Option<Step>, Error> {
        let state = self.store.data_mut();
        let stream = state.streams.get_mut(&id.0).ok_or(UNKNOWN_STREAM)?;
        if stream.closed {
            stream.replied = true;
            stream.reply = None;
            return Ok(Some(Step::LocalReply(LocalReply {
                reset: true,
                ..LocalReply::default()
            })));
        }
        match stream.guest_reply.take() {
            Some(reply) => self.reply(id, reply).map(Some),
            None => Ok(None),
        }
    }

    /// The proxy's own answer in place of a response that the guest left without a status.
    pub(super) fn without_status(&mut self, id: StreamId) -> Result<Step, Error> {
        let direction = self.store.data_mut().streams.get_mut(&id.0);
        if let Some(stream) = direction {
            stream.response.sent = false;
        }
        self.reply(
            id,
            GuestReply {
                status: 502,
                details: "missing_required_status".to_owned(),
                headers: Headers::new(),
                body: NO_STATUS.as_bytes().to_vec(),
                grpc_status: None,
            },
        )
    }

    /// Makes the local reply of a stream.
    fn reply(&mut self, id: StreamId, asked: GuestReply) -> Result<Step, Error> {
        let stream = self
            .store
            .data_mut()
            .streams
            .get_mut(&id.0)
            .ok_or(UNKNOWN_STREAM)?;
        if stream.replied && stream.reply.is_none() {
            return Err(OUT_OF_ORDER);
        }
        stream.replied = true;
        let reset = stream.response.sent;
        let reply = compose(&stream.request.headers, asked, reset);
        if stream.response.seen {
            stream.reply = None;
            return Ok(Step::LocalReply(reply));
        }
        let (headers, body) = (reply.headers.clone(), reply.body.clone());
        stream.request.hold = Hold::Flowing;
        stream.reply = Some(LocalReply {
            headers: Headers::new(),
            body: Vec::new(),
            ..reply
        });
        let mut forward = Forward::default();
        match self.headers(id, Way::Response, headers, body.is_empty())? {
            Step::Continue(more) => forward.append(more),
            Step::Paused => {}
            other @ Step::LocalReply(_) => return Ok(other),
        }
        if !body.is_empty() {
            match self.body(id, Way::Response, &body, true)? {
                Step::Continue(more) => forward.append(more),
                Step::Paused => {}
                Step::LocalReply(other) => {
                    // Of a reply that was cut by another the client has what went before.
                    let headers = forward.headers.filter(|_| other.reset);
                    return Ok(Step::LocalReply(match headers {
                        Some(headers) => LocalReply {
                            status: headers.status().unwrap_or_default(),
                            headers,
                            body: forward.body,
                            ..other
                        },
                        None => other,
                    }));
                }
            }
        }
        self.hand_on(id, Way::Response, forward)
    }
}

/// A local reply as Envoy makes it: length and type of a body, gRPC's form for a gRPC request, no body for HEAD.
fn compose(request: &Headers, asked: GuestReply, reset: bool) -> LocalReply {
    let GuestReply {
        status,
        details,
        headers: extra,
        mut body,
        grpc_status,
    } = asked;
    let mut headers = Headers::from([(":status", status.to_string())]);
    for (name, value) in extra.iter().filter(|(name, _)| *name != b":status") {
        headers.add(name, value);
    }
    let is_grpc = request
        .get("content-type")
        .and_then(|kind| kind.strip_prefix(b"application/grpc"));
    if is_grpc.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';'))) {
        headers.set(":status", "200");
        headers.set("content-type", "application/grpc");
        headers.set(
            "grpc-status",
            grpc_status
                .unwrap_or_else(|| grpc_status_of(status))
                .to_string(),
        );
        if !body.is_empty() {
            headers.set("grpc-message", percent_encode(&body));
        }
        headers.remove("content-length");
        body.clear();
    } else if body.is_empty() {
        headers.remove("content-length");
    } else {
        headers.set("content-length", body.len().to_string());
        if headers.get("content-type").is_none() {
            headers.set("content-type", "text/plain");
        }
        if request.get(":method") == Some(b"HEAD") {
            body.clear();
        }
    }
    LocalReply {
        status: headers.status().unwrap_or(status),
        details,
        headers,
        body,
        grpc_status,
        reset,
    }
}

/// Source: gRPC's mapping of HTTP statuses.
const fn grpc_status_of(status: u16) -> i32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// gRPC's encoding of a message: printable ASCII but `%` as it is.
fn percent_encode(message: &[u8]) -> String {
    let mut out = String::new();
    for byte in message {
        match byte {
            b' '..=b'$' | b'&'..=b'~' => out.push(char::from(*byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
