//! The Palisade filter: `palisade-engine` behind the Proxy-Wasm ABI v0.2.1.
//!
//! ```text
//! host ▸ abi.rs (exports) ▸ root.rs / stream.rs ▸ engine ▸ enforce.rs (effects) ▸ abi.rs (imports) ▸ host
//! ```
//!
//! **Invariant:** hostcalls and `unsafe` stand in `abi.rs` alone. What needs no host (`enforce`, `pairs`, `signature`, `table`,
//! `telemetry`, `trace`, `metrics`) is pure and is built and tested natively; the rest exists on wasm32 only.
//! Nothing reachable from a request callback panics (`cargo xtask wasm` proves it): no SDK, no `core::fmt`,
//! no `dyn` on that path, every host status is data.

pub mod enforce;
pub mod metrics;
pub mod pairs;
pub mod signature;
pub mod table;
pub mod telemetry;
pub mod trace;

#[cfg(target_arch = "wasm32")]
mod abi;
#[cfg(target_arch = "wasm32")]
mod counters;
#[cfg(target_arch = "wasm32")]
mod fleet_report;
#[cfg(target_arch = "wasm32")]
mod key_fetch;
#[cfg(target_arch = "wasm32")]
mod root;
#[cfg(target_arch = "wasm32")]
mod stream;
#[cfg(target_arch = "wasm32")]
mod waits;
