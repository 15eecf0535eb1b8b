//! What the suites and `xtask` share: a real Envoy, a raw HTTP client, a recording upstream.
//!
//! **Invariant:** loopback only, free ports, and whatever is started is ended by its own id when its
//! value is dropped. Nothing here knows the engine.

pub mod certificates;
pub mod discovery;
pub mod ratelimit;
pub mod slow;

pub use palisade_cli::envoy::{http, server as envoy, upstream};

use std::path::PathBuf;

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(PathBuf::from).unwrap_or(here)
}
