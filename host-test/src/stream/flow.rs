//! How a stream moves: what callbacks run, what their return values hold or let go. Local replies are in `reply.rs`.
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
        Forward, Step, StreamId, StreamInfo,
        state::{Direction, Hold, StreamState, Way},
    },
    vm::{FilterState, Vm, size},
};

pub(super) const UNKNOWN_STREAM: Error = Error::Misuse {
    what: "no such stream",
};
pub(super) const OUT_OF_ORDER: Error = Error::Misuse {
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
                continue;
            }
            if stream.closed || stream.guest_reply.is_some() {
                if let Some(step) = self.interrupted(id)? {
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

    /// Ends a stream, whatever its state: `proxy_on_log`, `proxy_on_done`, `proxy_on_delete`, in Envoy's order; what `proxy_on_done`
    /// answers is no matter. Its filter state is returned.
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
        stream.logging = true;
        let context = id.0.cast_signed();
        if let Some(log) = self.exports.log.clone() {
            self.call("proxy_on_log", id.0, &log, context)?;
        }
        if let Some(stream) = self.store.data_mut().streams.get_mut(&id.0) {
            stream.logging = false;
            for way in [Way::Request, Way::Response] {
                let direction = stream.way(way);
                direction.headers_open = false;
                direction.trailers_open = false;
                direction.body_open = false;
            }
        }
        if let Some(done) = self.exports.done.clone() {
            self.call("proxy_on_done", id.0, &done, context)?;
        }
        if let Some(delete) = self.exports.delete.clone() {
            self.call("proxy_on_delete", id.0, &delete, context)?;
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

    pub(super) fn headers(
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
        let resumed = self.take_resume(id, way)?;
        if let Some(step) = self.interrupted(id)? {
            return Ok(step);
        }
        let lets_body_come = self.allow_on_headers_stop_iteration;
        let direction = self.direction(id, way)?;
        let forward = match action {
            0 | 2 => {
                direction.headers_open = false;
                direction.flush()
            }
            1 if lets_body_come && !resumed => {
                direction.hold = Hold::Buffering;
                return Ok(Step::Paused);
            }
            1 if lets_body_come => direction.flush(),
            // Resumed before it was held: the headers go on, and what follows is held for good.
            _ if resumed => {
                let forward = direction.flush();
                direction.hold = Hold::Stopped;
                forward
            }
            _ => {
                direction.hold = Hold::Stopped;
                return Ok(Step::Paused);
            }
        };
        self.gone_on(id, way, forward)
    }

    pub(super) fn body(
        &mut self,
        id: StreamId,
        way: Way,
        chunk: &[u8],
        end: bool,
    ) -> Result<Step, Error> {
        let direction = self.open(id, way, true)?;
        direction.ended = end;
        if direction.hold == Hold::Stopped {
            direction
                .unseen
                .get_or_insert_default()
                .extend_from_slice(chunk);
            return Ok(Step::Paused);
        }
        if direction.hold == Hold::Apart {
            // What was held so far is out of the guest's sight.
            let seen = std::mem::take(&mut direction.body);
            direction.apart.extend(seen);
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
        self.take_resume(id, way)?;
        if let Some(step) = self.interrupted(id)? {
            return Ok(step);
        }
        let direction = self.direction(id, way)?;
        direction.hold = match action {
            0 => {
                let forward = direction.flush();
                return self.gone_on(id, way, forward);
            }
            1 => {
                let seen = std::mem::take(&mut direction.body);
                direction.body = std::mem::take(&mut direction.apart);
                direction.body.extend(seen);
                Hold::Buffering
            }
            2 => Hold::Apart,
            // Not buffered: this piece is gone.
            _ => {
                direction.body.clear();
                Hold::Buffering
            }
        };
        Ok(Step::Paused)
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
        self.take_resume(id, way)?;
        if let Some(step) = self.interrupted(id)? {
            return Ok(step);
        }
        let direction = self.direction(id, way)?;
        if action == 0 {
            let forward = direction.flush();
            return self.gone_on(id, way, forward);
        }
        direction.hold = Hold::Stopped;
        Ok(Step::Paused)
    }

    /// What goes on; a response that lost its status is answered by the proxy.
    fn gone_on(&mut self, id: StreamId, way: Way, forward: Forward) -> Result<Step, Error> {
        match &forward.headers {
            Some(headers) if way == Way::Response && headers.status().is_none() => {
                self.without_status(id)
            }
            _ => Ok(Step::Continue(forward)),
        }
    }

    /// Whether the guest asked in its own callback to go on. What that means depends on the callback; for a body it means nothing.
    pub(super) fn take_resume(&mut self, id: StreamId, way: Way) -> Result<bool, Error> {
        let state = self.store.data_mut();
        let stream = state.streams.get_mut(&id.0).ok_or(UNKNOWN_STREAM)?;
        let resumed = std::mem::take(&mut stream.way(way).resume);
        if !stream.request.resume && !stream.response.resume {
            state.touched.retain(|touched| *touched != id.0);
        }
        Ok(resumed)
    }

    /// Lets go what is held, then shows the guest what came in meanwhile.
    fn resume(&mut self, id: StreamId, way: Way) -> Result<Step, Error> {
        let direction = self.direction(id, way)?;
        direction.hold = Hold::Flowing;
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
        let mut body = std::mem::take(&mut self.apart);
        body.append(&mut self.body);
        Forward {
            headers,
            body,
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

    pub(super) fn append(&mut self, more: Self) {
        self.headers = self.headers.take().or(more.headers);
        self.body.extend(more.body);
        self.trailers = self.trailers.take().or(more.trailers);
        self.end |= more.end;
    }
}
