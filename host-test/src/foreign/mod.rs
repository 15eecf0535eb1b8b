//! Foreign functions, both ways: the embedder's and Envoy's that a guest calls by name, and the guest's callback.
//!
//! In: functions in `VmConfig::foreign_functions`, or a number and bytes. Out: what the other side makes of them.
//! Invariant: arguments can be read (buffer 8) while the callback runs, not after it.
//! Source: ABI v0.2.1, Foreign function interface; the hostcall is in `hostcalls/foreign.rs`.

mod protobuf;
mod verify_signature;

use std::collections::BTreeMap;

use crate::{
    abi::types::Status,
    error::Error,
    stream::{Step, StreamId},
    vm::{Vm, size},
};

/// A function of the embedder's that a guest can call.
pub type ForeignFunction = Box<dyn FnMut(&[u8]) -> Result<Vec<u8>, Status> + Send>;

/// Functions of the embedder's by name.
pub type ForeignFunctions = BTreeMap<String, ForeignFunction>;

/// Envoy's functions that every VM has, unless `VmConfig::without_functions` takes them away or the embedder has its own.
pub const BUILT_IN_FUNCTIONS: [&str; 2] = ["clear_route_cache", "verify_signature"];

/// Calls a built-in function.
pub(crate) fn built_in(name: &str, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    match name {
        // The host has no routes.
        "clear_route_cache" => Ok(Vec::new()),
        "verify_signature" => verify_signature::call(arguments),
        _ => Err(Status::NotFound),
    }
}

impl Vm {
    /// Calls `proxy_on_foreign_function` of the root context with a number and arguments the guest can read meanwhile. Returns the
    /// streams that moved.
    ///
    /// # Errors
    /// The guest's faults.
    pub fn foreign_function(
        &mut self,
        function: u32,
        arguments: &[u8],
    ) -> Result<Vec<(StreamId, Step)>, Error> {
        self.check_alive()?;
        let root = self.root;
        if let Some(callback) = self.exports.foreign_function.clone() {
            self.store.data_mut().call_data = Some(arguments.to_vec());
            let parameters = (
                root.cast_signed(),
                function.cast_signed(),
                size(arguments.len()),
            );
            self.call("proxy_on_foreign_function", root, &callback, parameters)?;
            self.store.data_mut().call_data = None;
        }
        self.poll()
    }
}
