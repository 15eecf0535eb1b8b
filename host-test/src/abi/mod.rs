//! The Proxy-Wasm ABI: its numbers, its map codec, checked guest memory and the guest's exports.

pub(crate) mod types;
