//! Call-outs from the embedder's side: what guests asked for, and the callbacks that tell them what came back.
//!
//! Invariant: an event reaches the guest only while its call is open, in the root context that the call belongs to; its maps and
//! buffers can be read in that callback and nowhere else.
//! Source: Envoy's wasm extension for the order of things and for `proxy_get_status` (a failed HTTP call is 11, "reset").

use crate::{
    abi::types::Status,
    error::Error,
    state::callouts::{CallId, Callout, CalloutEvent, Kind, Received},
    stream::{Step, StreamId},
    vm::{Vm, size},
};

const WRONG_KIND: Error = Error::Misuse {
    what: "an event of another kind than the call-out",
};

impl Vm {
    /// What guests asked for since the last call, in order.
    pub fn take_callouts(&mut self) -> Vec<Callout> {
        std::mem::take(&mut self.store.data_mut().callouts.asked)
    }

    /// Tells the guest what came back for a call-out. An event for a call that is over, cancelled or unknown is dropped. Returns the
    /// streams that moved, as [`Vm::tick`] does.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` for an event of the wrong kind.
    pub fn deliver(
        &mut self,
        call: CallId,
        event: CalloutEvent,
    ) -> Result<Vec<(StreamId, Step)>, Error> {
        self.check_alive()?;
        let CallId(id) = call;
        let callouts = &mut self.store.data_mut().callouts;
        let Some(root) = callouts.open.get(&id).map(|open| open.root) else {
            return Ok(Vec::new());
        };
        let kind = Kind::of(id);
        let is_http = matches!(
            event,
            CalloutEvent::HttpResponse { .. } | CalloutEvent::HttpFailure
        );
        if is_http != (kind == Some(Kind::Http)) {
            return Err(WRONG_KIND);
        }
        if callouts
            .open
            .get(&id)
            .is_some_and(|open| open.remote_closed)
        {
            return Ok(Vec::new());
        }
        let over = match event {
            CalloutEvent::HttpResponse { .. }
            | CalloutEvent::HttpFailure
            | CalloutEvent::GrpcClose { .. } => true,
            CalloutEvent::GrpcMessage(_) => kind == Some(Kind::Grpc),
            // Of a call Envoy tells the guest the message only.
            CalloutEvent::GrpcInitialMetadata(_) | CalloutEvent::GrpcTrailingMetadata(_)
                if kind == Some(Kind::Grpc) =>
            {
                return Ok(Vec::new());
            }
            CalloutEvent::GrpcInitialMetadata(_) | CalloutEvent::GrpcTrailingMetadata(_) => false,
        };
        self.told(root, id, event)?;
        if over {
            let callouts = &mut self.store.data_mut().callouts;
            match callouts.open.get_mut(&id) {
                Some(open) if kind == Some(Kind::GrpcStream) && !open.local_closed => {
                    open.remote_closed = true;
                }
                _ => {
                    callouts.open.remove(&id);
                }
            }
        }
        self.poll()
    }

    /// Runs the callback of an event.
    fn told(&mut self, root: u32, id: u32, event: CalloutEvent) -> Result<(), Error> {
        let (context, token) = (root.cast_signed(), id.cast_signed());
        let (headers, body, trailers) = match &event {
            CalloutEvent::HttpResponse {
                headers,
                body,
                trailers,
            } => (size(headers.len()), size(body.len()), size(trailers.len())),
            CalloutEvent::HttpFailure => {
                self.note_status(root, Status::BrokenConnection.number(), "reset");
                (0, 0, 0)
            }
            CalloutEvent::GrpcInitialMetadata(map) | CalloutEvent::GrpcTrailingMetadata(map) => {
                (size(map.len()), 0, 0)
            }
            CalloutEvent::GrpcMessage(message) => (size(message.len()), 0, 0),
            CalloutEvent::GrpcClose { status, message } => {
                self.note_status(root, *status, message);
                (*status, 0, 0)
            }
        };
        let (name, callback) = match &event {
            CalloutEvent::HttpResponse { .. } | CalloutEvent::HttpFailure => {
                let callback = self.exports.http_call_response.clone();
                self.store.data_mut().callouts.received = Some(Received { root, event });
                if let Some(callback) = callback {
                    let parameters = (context, token, headers, body, trailers);
                    self.call("proxy_on_http_call_response", root, &callback, parameters)?;
                }
                self.forget(root);
                return Ok(());
            }
            CalloutEvent::GrpcInitialMetadata(_) => (
                "proxy_on_grpc_receive_initial_metadata",
                self.exports.grpc_initial_metadata.clone(),
            ),
            CalloutEvent::GrpcMessage(_) => {
                ("proxy_on_grpc_receive", self.exports.grpc_receive.clone())
            }
            CalloutEvent::GrpcTrailingMetadata(_) => (
                "proxy_on_grpc_receive_trailing_metadata",
                self.exports.grpc_trailing_metadata.clone(),
            ),
            CalloutEvent::GrpcClose { .. } => {
                ("proxy_on_grpc_close", self.exports.grpc_close.clone())
            }
        };
        self.store.data_mut().callouts.received = Some(Received { root, event });
        if let Some(callback) = callback {
            self.call(name, root, &callback, (context, token, headers))?;
        }
        self.forget(root);
        Ok(())
    }

    /// What `proxy_get_status` gives from now on.
    fn note_status(&mut self, root: u32, code: i32, message: &str) {
        if let Some(root) = self.store.data_mut().roots.get_mut(&root) {
            root.call_status = (code, message.to_owned());
        }
    }

    /// After a callback: nothing to read any more; the code of a status stays, its message goes, as in Envoy.
    fn forget(&mut self, root: u32) {
        let state = self.store.data_mut();
        state.callouts.received = None;
        if let Some(root) = state.roots.get_mut(&root) {
            root.call_status.1.clear();
        }
    }
}
