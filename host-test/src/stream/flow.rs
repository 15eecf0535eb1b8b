//! How a stream moves: what callbacks run, what their return values hold or let go, how a reply of the guest's own gets out.
//!
//! In: pieces of a request and a response in order. Out: a `Step` for each: send on, hold, answer.
//! Invariant: nothing goes on that the guest holds; what was held goes on once, in order; a stream gets at most one local reply, which
//! passes the guest's response callbacks when no response headers have gone to the client.
//! Source: return values as Envoy's wasm extension converts them; buffering and resuming as its filter manager does.

use crate::{
    abi::exports::OnHeaders,
    error::Error,
    state::headers::Headers,
    stream::{
        Forward, LocalReply, Step, StreamId, StreamInfo,
        state::{Direction, GuestReply, Hold, StreamState, Way},
    },
    vm::{FilterState, Vm, size},
};

const UNKNOWN_STREAM: Error = Error::Misuse {
    what: "no such stream",
};
const OUT_OF_ORDER: Error = Error::Misuse {
    what: "piece of a stream out of order, or after its end",
};

impl Vm {
    /// Begins a stream.
    ///
    /// # Errors
    /// The guest's faults.
    pub fn new_stream(&mut self, info: StreamInfo) -> Result<StreamId, Error> {
        let root = self.root;
        let state = StreamState {
            root,
            info,
            ..StreamState::default()
        };
        let context = self.create_context(root, |host, context| {
            host.streams.insert(context, state);
        })?;
        Ok(StreamId(context))
    }

    /// Request headers, `:method`, `:path`, `:authority`, `:scheme` among them; `end`: no body follows.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` out of order.
    pub fn request_headers(
        &mut self,
        stream: StreamId,
        headers: Headers,
        end: bool,
    ) -> Result<Step, Error> {
        self.headers(stream, Way::Request, headers, end)
    }

    /// A chunk of request body; `end`: the last one (it may be empty, as it is in Envoy over HTTP/1).
    ///
    /// # Errors
    /// The guest's faults; `Misuse` out of order.
    pub fn request_body(
        &mut self,
        stream: StreamId,
        chunk: &[u8],
        end: bool,
    ) -> Result<Step, Error> {
        self.body(stream, Way::Request, chunk, end)
    }

    /// Request trailers, which end the request.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` out of order.
    pub fn request_trailers(&mut self, stream: StreamId, trailers: Headers) -> Result<Step, Error> {
        self.trailers(stream, Way::Request, trailers)
    }

    /// Response headers, `:status` among them.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` out of order.
    pub fn response_headers(
        &mut self,
        stream: StreamId,
        headers: Headers,
        end: bool,
    ) -> Result<Step, Error> {
        self.headers(stream, Way::Response, headers, end)
    }

    /// A chunk of response body.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` out of order.
    pub fn response_body(
        &mut self,
        stream: StreamId,
        chunk: &[u8],
        end: bool,
    ) -> Result<Step, Error> {
        self.body(stream, Way::Response, chunk, end)
    }

    /// Response trailers, which end the response.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` out of order.
    pub fn response_trailers(
        &mut self,
        stream: StreamId,
        trailers: Headers,
    ) -> Result<Step, Error> {
        self.trailers(stream, Way::Response, trailers)
    }

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

    /// Whether the guest is shown the body as it comes, be it that it holds what it was shown; `false`: it has stopped the direction, and
    /// what comes waits unseen. A host that bounds what it holds answers 413 in the first case and stops reading in the second.
    #[must_use]
    pub fn sees_body(&self, stream: StreamId, of_response: bool) -> bool {
        let stream = self.store.data().streams.get(&stream.0);
        stream.is_none_or(|stream| {
            let direction = if of_response {
                &stream.response
            } else {
                &stream.request
            };
            direction.hold != Hold::Stopped
        })
    }

    /// What has happened to streams outside their own callbacks: resumed, answered or closed, from a tick or from another stream's callback.
    ///
    /// # Errors
    /// The guest's faults.
    pub fn poll(&mut self) -> Result<Vec<(StreamId, Step)>, Error> {
        self.check_alive()?;
        let mut steps = Vec::new();
        // A resumed callback may touch further streams; each turn of the loop empties the list.
        while let Some(context) = self.store.data_mut().touched.pop() {
            let id = StreamId(context);
            let Some(stream) = self.store.data_mut().streams.get_mut(&context) else {
                self.end_root(context)?;
                continue;
            };
            if stream.ended {
                if !stream.awaits_done {
                    self.delete(id)?;
                }
                continue;
            }
            if stream.closed || stream.guest_reply.is_some() {
                if let Some(step) = self.interrupted(id, Way::Request)? {
                    steps.push((id, step));
                }
                continue;
            }
            for way in [Way::Request, Way::Response] {
                let direction = self.direction(id, way)?;
                let resume = std::mem::take(&mut direction.resume);
                if resume && direction.hold != Hold::Flowing {
                    let mut step = self.resume(id, way)?;
                    if let Step::Continue(forward) = &mut step {
                        forward.of_response = way == Way::Response;
                    }
                    steps.push((id, step));
                }
            }
        }
        Ok(steps)
    }

    /// Ends a stream, whatever its state: `proxy_on_done`, `proxy_on_log`, `proxy_on_delete`. Its filter state is returned; what the guest
    /// adds after a `proxy_on_done` that said no is lost.
    ///
    /// # Errors
    /// The guest's faults.
    pub fn finish(&mut self, id: StreamId) -> Result<FilterState, Error> {
        let stream = self
            .store
            .data_mut()
            .streams
            .get_mut(&id.0)
            .filter(|stream| !stream.ended)
            .ok_or(UNKNOWN_STREAM)?;
        stream.ended = true;
        stream.awaits_done = true;
        if let Some(done) = self.exports.done.clone()
            && self.call("proxy_on_done", id.0, &done, id.0.cast_signed())? == 0
        {
            return Ok(self
                .store
                .data()
                .streams
                .get(&id.0)
                .map(|stream| stream.filter_state.clone())
                .unwrap_or_default());
        }
        self.delete(id)
    }

    fn delete(&mut self, id: StreamId) -> Result<FilterState, Error> {
        if let Some(stream) = self.store.data_mut().streams.get_mut(&id.0) {
            stream.logging = true;
            stream.awaits_done = false;
        }
        if let Some(log) = self.exports.log.clone() {
            self.call("proxy_on_log", id.0, &log, id.0.cast_signed())?;
        }
        if let Some(stream) = self.store.data_mut().streams.get_mut(&id.0) {
            stream.logging = false;
        }
        if let Some(delete) = self.exports.delete.clone() {
            self.call("proxy_on_delete", id.0, &delete, id.0.cast_signed())?;
        }
        let state = self.store.data_mut();
        let stream = state.streams.remove(&id.0);
        state.touched.retain(|touched| *touched != id.0);
        self.drop_idle_roots()?;
        Ok(stream.map(|stream| stream.filter_state).unwrap_or_default())
    }

    pub(super) fn direction(&mut self, id: StreamId, way: Way) -> Result<&mut Direction, Error> {
        self.store
            .data_mut()
            .streams
            .get_mut(&id.0)
            .map(|stream| stream.way(way))
            .ok_or(UNKNOWN_STREAM)
    }

    /// The direction, if the next piece may come in.
    pub(super) fn open(
        &mut self,
        id: StreamId,
        way: Way,
        begun: bool,
    ) -> Result<&mut Direction, Error> {
        self.check_alive()?;
        let stream = self
            .store
            .data_mut()
            .streams
            .get_mut(&id.0)
            .filter(|stream| !stream.ended)
            .ok_or(UNKNOWN_STREAM)?;
        if stream.closed || (stream.replied && (way == Way::Request || stream.reply.is_none())) {
            return Err(OUT_OF_ORDER);
        }
        Some(stream.way(way))
            .filter(|direction| direction.seen == begun && !direction.ended)
            .ok_or(OUT_OF_ORDER)
    }

    fn headers(
        &mut self,
        id: StreamId,
        way: Way,
        headers: Headers,
        end: bool,
    ) -> Result<Step, Error> {
        let direction = self.open(id, way, false)?;
        let count = size(headers.len());
        direction.headers = headers;
        direction.seen = true;
        direction.headers_open = true;
        direction.ended = end;
        let (name, callback) = match way {
            Way::Request => (
                "proxy_on_request_headers",
                self.exports.request.headers.clone(),
            ),
            Way::Response => (
                "proxy_on_response_headers",
                self.exports.response.headers.clone(),
            ),
        };
        let context = id.0.cast_signed();
        let action = match callback {
            OnHeaders::Absent => 0,
            OnHeaders::Three(callback) => {
                self.call(name, id.0, &callback, (context, count, i32::from(end)))?
            }
            OnHeaders::Two(callback) => self.call(name, id.0, &callback, (context, count))?,
        };
        if let Some(step) = self.interrupted(id, way)? {
            return Ok(step);
        }
        let lets_body_come = self.allow_on_headers_stop_iteration;
        let direction = self.direction(id, way)?;
        match action {
            // 2 goes on but does not end the stream here.
            0 | 2 => {
                direction.headers_open = false;
                let mut forward = direction.flush();
                forward.end &= action == 0;
                Ok(Step::Continue(forward))
            }
            1 if lets_body_come => {
                direction.hold = Hold::Buffering;
                Ok(Step::Paused)
            }
            _ => {
                direction.hold = Hold::Stopped;
                Ok(Step::Paused)
            }
        }
    }

    fn body(&mut self, id: StreamId, way: Way, chunk: &[u8], end: bool) -> Result<Step, Error> {
        let direction = self.open(id, way, true)?;
        direction.ended = end;
        if direction.hold == Hold::Stopped {
            direction
                .unseen
                .get_or_insert_default()
                .extend_from_slice(chunk);
            return Ok(Step::Paused);
        }
        direction.body.extend_from_slice(chunk);
        direction.body_open = true;
        let seen = size(direction.body.len());
        let (name, callback) = match way {
            Way::Request => ("proxy_on_request_body", self.exports.request.body.clone()),
            Way::Response => ("proxy_on_response_body", self.exports.response.body.clone()),
        };
        let action = match callback {
            None => 0,
            Some(callback) => self.call(
                name,
                id.0,
                &callback,
                (id.0.cast_signed(), seen, i32::from(end)),
            )?,
        };
        if let Some(step) = self.interrupted(id, way)? {
            return Ok(step);
        }
        let direction = self.direction(id, way)?;
        match action {
            0 => Ok(Step::Continue(direction.flush())),
            1 => {
                direction.hold = Hold::Buffering;
                Ok(Step::Paused)
            }
            2 => {
                direction.hold = Hold::Stopped;
                Ok(Step::Paused)
            }
            // Not buffered: this piece is gone.
            _ => {
                direction.body.clear();
                direction.hold = Hold::Buffering;
                Ok(Step::Paused)
            }
        }
    }

    fn trailers(&mut self, id: StreamId, way: Way, trailers: Headers) -> Result<Step, Error> {
        let direction = self.open(id, way, true)?;
        direction.ended = true;
        direction.trailers = Some(trailers);
        if direction.hold == Hold::Stopped {
            direction.unseen_trailers = true;
            return Ok(Step::Paused);
        }
        self.seen_trailers(id, way)
    }

    /// The trailers callback, for trailers that are in.
    fn seen_trailers(&mut self, id: StreamId, way: Way) -> Result<Step, Error> {
        let direction = self.direction(id, way)?;
        direction.trailers_open = true;
        // The body that is held can still be read and written.
        direction.body_open |= !direction.body.is_empty();
        let count = size(direction.trailers.as_ref().map_or(0, Headers::len));
        let (name, callback) = match way {
            Way::Request => (
                "proxy_on_request_trailers",
                self.exports.request.trailers.clone(),
            ),
            Way::Response => (
                "proxy_on_response_trailers",
                self.exports.response.trailers.clone(),
            ),
        };
        let action = match callback {
            None => 0,
            Some(callback) => self.call(name, id.0, &callback, (id.0.cast_signed(), count))?,
        };
        if let Some(step) = self.interrupted(id, way)? {
            return Ok(step);
        }
        let direction = self.direction(id, way)?;
        if action == 0 {
            return Ok(Step::Continue(direction.flush()));
        }
        direction.hold = Hold::Stopped;
        Ok(Step::Paused)
    }

    /// Lets go what is held, then shows the guest what came in meanwhile.
    fn resume(&mut self, id: StreamId, way: Way) -> Result<Step, Error> {
        let direction = self.direction(id, way)?;
        direction.hold = Hold::Flowing;
        direction.headers_open = false;
        let (unseen, unseen_trailers) = (
            direction.unseen.take(),
            std::mem::take(&mut direction.unseen_trailers),
        );
        let ended = direction.ended;
        let trailers = if unseen_trailers {
            direction.trailers.take()
        } else {
            None
        };
        // What follows ends the direction, if something follows.
        direction.ended = ended && unseen.is_none() && trailers.is_none();
        let mut forward = direction.flush();
        if let Some(unseen) = unseen {
            match self.body(id, way, &unseen, ended && trailers.is_none())? {
                Step::Continue(more) => forward.append(more),
                // Trailers wait with the body that is held.
                Step::Paused => {}
                reply @ Step::LocalReply(_) => return Ok(reply),
            }
        }
        if let Some(trailers) = trailers {
            match self.trailers(id, way, trailers)? {
                Step::Continue(more) => forward.append(more),
                Step::Paused => {}
                reply @ Step::LocalReply(_) => return Ok(reply),
            }
        }
        self.hand_on(id, way, forward)
    }

    /// A forward of a resumed direction; if it is the rest of a local reply that was held, the reply.
    fn hand_on(&mut self, id: StreamId, way: Way, forward: Forward) -> Result<Step, Error> {
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

    /// What the guest asked for in the callback that has just returned, if it ends the stream. A wish to resume that was made inside the
    /// direction's own callback comes before the pause it is meant for, and is lost, as in Envoy.
    pub(super) fn interrupted(&mut self, id: StreamId, way: Way) -> Result<Option<Step>, Error> {
        let state = self.store.data_mut();
        let stream = state.streams.get_mut(&id.0).ok_or(UNKNOWN_STREAM)?;
        stream.way(way).resume = false;
        if !stream.request.resume && !stream.response.resume {
            state.touched.retain(|touched| *touched != id.0);
        }
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

    /// Makes the local reply of a stream.
    fn reply(&mut self, id: StreamId, asked: GuestReply) -> Result<Step, Error> {
        let stream = self
            .store
            .data_mut()
            .streams
            .get_mut(&id.0)
            .ok_or(UNKNOWN_STREAM)?;
        if stream.replied {
            return Err(OUT_OF_ORDER);
        }
        stream.replied = true;
        let reset = stream.response.sent;
        let reply = compose(&stream.request.headers, asked, reset);
        if stream.response.seen {
            // From a response callback: the reply goes straight out, past the filters; too late if headers went out before.
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
        let pieces = [self.headers(id, Way::Response, headers, body.is_empty())?];
        let rest = if body.is_empty() {
            None
        } else {
            Some(self.body(id, Way::Response, &body, true)?)
        };
        for step in pieces.into_iter().chain(rest) {
            if let Step::Continue(more) = step {
                forward.append(more);
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

impl Direction {
    /// All that can go on now.
    pub(super) fn flush(&mut self) -> Forward {
        self.hold = Hold::Flowing;
        self.body_open = false;
        let headers = (!std::mem::replace(&mut self.sent, true)).then(|| self.headers.clone());
        let trailers = if self.ended {
            self.trailers.clone()
        } else {
            None
        };
        self.trailers_open = false;
        self.finished = self.ended;
        Forward {
            headers,
            body: std::mem::take(&mut self.body),
            trailers,
            end: self.ended,
            of_response: false,
        }
    }
}

impl Forward {
    /// Whether this is the headers of a message without body or trailers.
    #[must_use]
    pub const fn is_only_headers(&self) -> bool {
        self.headers.is_some() && self.end && self.body.is_empty() && self.trailers.is_none()
    }

    fn append(&mut self, more: Self) {
        self.headers = self.headers.take().or(more.headers);
        self.body.extend(more.body);
        self.trailers = self.trailers.take().or(more.trailers);
        self.end |= more.end;
    }
}
