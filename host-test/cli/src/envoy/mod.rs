//! A real Envoy beside ours: the process, a raw HTTP client, a recording upstream, and the driver of scenarios.
//!
//! **Invariant:** loopback only, free ports, and whatever is started is ended by its own id when its value is dropped,
//! an Envoy also when this process is killed.

pub mod driver;
pub mod http;
mod leash;
pub mod server;
pub mod upstream;
