//! TCP connections: the callbacks of network filters.
//!
//! In: bytes from either side. Out: a `Step` for each: its `Forward` has a body and an end, never headers; a `LocalReply` with `reset`
//! means that the guest closed the connection.
//! Invariant: held bytes stay in order before later ones, and the guest sees all of them again with each new chunk.
//! Source: ABI v0.2.1, TCP streams; as in Envoy the downstream side alone can be resumed, upstream data that are held go on with the
//! next chunk the guest lets go, and the end of upstream's data is followed by `proxy_on_upstream_connection_close` (peer unknown).

use crate::{
    error::Error,
    stream::{
        Step, StreamId, StreamInfo,
        state::{Hold, StreamState, Way},
    },
    vm::{Vm, size},
};

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Peer {
    /// It is not known.
    Unknown = 0,
    /// The host.
    Local = 1,
    /// The other side.
    Remote = 2,
}

impl Vm {
    /// Begins a TCP connection: `proxy_on_new_connection`. End it with [`Vm::finish`].
    ///
    /// # Errors
    /// The guest's faults.
    pub fn new_connection(&mut self, info: StreamInfo) -> Result<(StreamId, Step), Error> {
        let root = self.root;
        let mut state = StreamState {
            root,
            info,
            tcp: true,
            ..StreamState::default()
        };
        // There are no headers to wait for.
        for way in [Way::Request, Way::Response] {
            let direction = state.way(way);
            (direction.seen, direction.sent) = (true, true);
        }
        let context = self.create_context(root, |host, context| {
            host.streams.insert(context, state);
        })?;
        let id = StreamId(context);
        let action = match self.exports.new_connection.clone() {
            Some(callback) => self.call(
                "proxy_on_new_connection",
                context,
                &callback,
                context.cast_signed(),
            )?,
            None => 0,
        };
        let step = self.judge(id, Way::Request, action)?;
        Ok((id, step))
    }

    /// Bytes from the client; `end`: the last ones.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` out of order.
    pub fn downstream_data(&mut self, id: StreamId, data: &[u8], end: bool) -> Result<Step, Error> {
        self.data(id, Way::Request, data, end)
    }

    /// Bytes from the upstream; `end`: the last ones.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` out of order.
    pub fn upstream_data(&mut self, id: StreamId, data: &[u8], end: bool) -> Result<Step, Error> {
        let step = self.data(id, Way::Response, data, end)?;
        if end {
            self.upstream_close(id, Peer::Unknown)?;
        }
        Ok(step)
    }

    /// Tells the guest that the client's side is closed.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` if there is no such connection.
    pub fn downstream_close(&mut self, id: StreamId, peer: Peer) -> Result<(), Error> {
        self.connection(id)?;
        if let Some(callback) = self.exports.downstream_close.clone() {
            let parameters = (id.0.cast_signed(), peer as i32);
            self.call(
                "proxy_on_downstream_connection_close",
                id.0,
                &callback,
                parameters,
            )?;
        }
        Ok(())
    }

    /// Tells the guest that the upstream's side is closed.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` if there is no such connection.
    pub fn upstream_close(&mut self, id: StreamId, peer: Peer) -> Result<(), Error> {
        self.connection(id)?;
        if let Some(callback) = self.exports.upstream_close.clone() {
            let parameters = (id.0.cast_signed(), peer as i32);
            self.call(
                "proxy_on_upstream_connection_close",
                id.0,
                &callback,
                parameters,
            )?;
        }
        Ok(())
    }

    fn connection(&self, id: StreamId) -> Result<(), Error> {
        self.check_alive()?;
        let stream = self.store.data().streams.get(&id.0);
        stream
            .filter(|stream| stream.tcp && !stream.ended)
            .map(|_| ())
            .ok_or(Error::Misuse {
                what: "no such connection",
            })
    }

    fn data(&mut self, id: StreamId, way: Way, data: &[u8], end: bool) -> Result<Step, Error> {
        self.connection(id)?;
        let direction = self.open(id, way, true)?;
        direction.ended = end;
        direction.body.extend_from_slice(data);
        direction.body_open = true;
        let seen = size(direction.body.len());
        let (name, callback) = match way {
            Way::Request => (
                "proxy_on_downstream_data",
                self.exports.downstream_data.clone(),
            ),
            Way::Response => ("proxy_on_upstream_data", self.exports.upstream_data.clone()),
        };
        let action = match callback {
            Some(callback) => {
                let parameters = (id.0.cast_signed(), seen, i32::from(end));
                self.call(name, id.0, &callback, parameters)?
            }
            None => 0,
        };
        self.judge(id, way, action)
    }

    /// What an answer of the guest's lets go: everything for 0, nothing for any other.
    fn judge(&mut self, id: StreamId, way: Way, action: i32) -> Result<Step, Error> {
        self.take_resume(id, way)?;
        if let Some(step) = self.interrupted(id)? {
            return Ok(step);
        }
        let direction = self.direction(id, way)?;
        if action == 0 {
            return Ok(Step::Continue(direction.flush()));
        }
        direction.hold = Hold::Buffering;
        Ok(Step::Paused)
    }
}
