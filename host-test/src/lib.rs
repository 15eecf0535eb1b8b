//! A Proxy-Wasm host on wasmtime, for running and testing any filter.
//!
//! In: a `.wasm` that speaks Proxy-Wasm ABI 0.1.0, 0.2.0 or 0.2.1. Out: what a proxy would do with each request.
//! Invariant: the host knows no particular filter, never panics on a guest's doing, and says whose fault a failure is.
//! Source: Proxy-Wasm ABI v0.2.1; where it is silent, what Envoy 1.40 does.
//!
//! ```no_run
//! use palisade_host::{Module, Request, Response, Vm, VmConfig};
//!
//! let module = Module::from_file("filter.wasm")?;
//! let mut vm = Vm::start(&module, VmConfig { plugin_configuration: b"{}".to_vec(), ..VmConfig::default() })?;
//! let outcome = vm.exchange(&Request::get("/"), |_upstream| Response::new(200, "hello"))?;
//! assert_eq!(outcome.status, 200);
//! # Ok::<(), palisade_host::Error>(())
//! ```

mod abi;
mod agenda;
mod callouts;
mod error;
mod exchange;
mod foreign;
mod hostcalls;
mod module;
mod package;
mod roots;
pub mod simulate;
mod state;
mod stream;
mod vm;
mod warning;

pub use crate::{
    abi::types::Status,
    error::Error,
    exchange::{Outcome, Request, Response, UpstreamRequest},
    foreign::{BUILT_IN_FUNCTIONS, ForeignFunction, ForeignFunctions},
    module::{Abi, Cache, Limits, LoadOptions, Module},
    state::{
        callouts::{CallId, Callout, CalloutEvent, CalloutFailure, CalloutScript, Clusters},
        clock::Clock,
        headers::Headers,
        log::{LogLevel, LogLine, LogSink},
        shared::{Metric, MetricKind, Shared},
        trace::{Callback, Hostcall, Trace},
    },
    stream::{AskedReply, Called, Forward, LocalReply, Peer, Step, StreamId, StreamInfo},
    vm::{Access, Fault, FilterState, Injected, Vm, VmConfig, Watch},
    warning::Warning,
};

/// The README's code must compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
