//! The Proxy-Wasm ABI: its numbers, its map codec, checked guest memory and the guest's exports.

pub(crate) mod exports;
pub(crate) mod memory;
pub(crate) mod pairs;
pub(crate) mod types;
