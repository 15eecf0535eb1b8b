//! The policy: compiled once, immutable, shared.
//!
//! Text arrives as a `Node` (JSON text, YAML file, protobuf `Struct`), is read by `config.rs` and turned into
//! these types by `compile.rs`; every error found is reported.

use alloc::vec::Vec;

use crate::request::target::PathPattern;
use crate::stages::access::AccessPolicy;
use crate::stages::headers::HeaderPolicy;
use crate::stages::injection::InjectionStage;
use crate::stages::limits::LimitStage;
use crate::stages::token::{RouteToken, TokenStage};

/// Whether denials are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Refuse.
    Enforce,
    /// Report, block nothing, hold nothing.
    Monitor,
}

/// A compiled policy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// For everything without a mode of its own.
    pub mode: Mode,
    /// Modes of single stages (`headers.mode`, `injection.mode`, …): access, headers, tokens, limits, injection.
    pub stage_modes: StageModes,
    /// Trusted hops in front of the client; 0: the peer is the client.
    pub trusted_hops: u32,
    /// Address lists.
    pub access: AccessPolicy,
    /// Header inspection.
    pub headers: HeaderPolicy,
    /// Token providers.
    pub tokens: TokenStage,
    /// Rate limits.
    pub limits: LimitStage,
    /// Injection detection; `None`: the section is absent or off.
    pub injection: Option<InjectionStage>,
    /// Largest body held, in bytes; a longer one on an inspected route is refused.
    pub body_max: usize,
    /// Routes, most specific first as matched; the last takes all when the policy has no routes.
    pub routes: Vec<Route>,
    /// Security headers on our own replies (and later on responses): lower-case name, value.
    pub security_headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Events.
    pub events: Events,
}

/// Modes of single stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageModes {
    /// `access.mode`.
    pub access: Mode,
    /// `headers.mode`.
    pub headers: Mode,
    /// `tokens` have none: a token that is not verified never passes as one; `routes[].mode` can monitor.
    pub limits: Mode,
    /// `injection.mode`.
    pub injection: Mode,
}

/// A compiled route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Name.
    pub name: Vec<u8>,
    /// Path; `None`: every path.
    pub path: Option<PathPattern>,
    /// Methods; empty: all.
    pub methods: Vec<Vec<u8>>,
    /// Hosts, as in `headers.hosts`; empty: all.
    pub hosts: Vec<Vec<u8>>,
    /// Token demands.
    pub token: RouteToken,
    /// Mode of the route.
    pub mode: Mode,
    /// Whether bodies may be held; a streaming route is judged on the head.
    pub body: RouteBody,
}

/// What happens to bodies on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteBody {
    /// Held up to the bound and inspected where a stage asks.
    Inspect,
    /// Passed through.
    Stream,
}

/// Compiled `events`.
#[derive(Debug, Clone)]
pub struct Events {
    /// Which requests are logged.
    pub log: EventLog,
    /// Lower-case header, cookie, parameter or field names whose values are never shown.
    pub redact: Vec<Vec<u8>>,
}

/// Which requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventLog {
    /// Denied ones and those with findings.
    Denied,
    /// All.
    All,
    /// None.
    None,
}

impl Policy {
    /// Index of the route that takes this head: the first that matches in `routes`.
    #[must_use]
    pub fn route_of(&self, _head: &crate::request::RequestHead<'_>) -> Option<usize> {
        None
    }
}
