//! The policy: compiled once, immutable, shared.
//!
//! Text arrives as a `Node` (JSON text, YAML file, protobuf `Struct`), is read by `config.rs` and turned into
//! these types by `compile.rs`; every error found is reported.

mod compile;
mod config;
mod limits;
pub mod node;
mod operator;
mod read;
mod route;
pub mod sealed;
mod tokens;
mod values;

#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use self::compile::Secrets;
use self::node::Node;
pub use self::read::PolicyError;
use crate::marks::Marks;
use crate::operator::Operator;
use crate::request::target::PathPattern;
use crate::stages::access::AccessPolicy;
use crate::stages::headers::HeaderPolicy;
use crate::stages::injection::{Exception, InjectionStage};
use crate::stages::limits::{LimitStage, Property};
use crate::stages::token::certificate::CertificateParts;
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
    /// Marks of what was used once or revoked.
    pub marks: Marks,
    /// Requests of the operator; `None`: there are none.
    pub operator: Option<Operator>,
    /// Injection detection; `None`: the section is absent or off.
    pub injection: Option<InjectionStage>,
    /// Largest body held, in bytes; a longer one on an inspected route is refused.
    pub body_max: usize,
    /// What happens to longer ones.
    pub body_over: BodyOver,
    /// What happens to compressed ones.
    pub body_compressed: BodyCompressed,
    /// Routes, most specific first as matched; the last takes all when the policy has no routes.
    pub routes: Vec<Route>,
    /// Security headers on our own replies (and later on responses): lower-case name, value.
    pub security_headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Events.
    pub events: Events,
    /// `debug.trace`: whoever enforces this policy tells step by step how each request was decided.
    pub trace: bool,
    /// What it costs and needs, for `palisade check`.
    pub implied: Implied,
}

/// Memory and needs that follow from a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Implied {
    /// Sets of the table of limits and bans: shared-data keys it can have at most; 0 without both.
    pub table_sets: u32,
    /// Clients it holds at a time.
    pub table_clients: u32,
    /// Bytes of shared data when every set is full, the host's overhead included.
    pub table_bytes: u64,
    /// Marks its table holds at a time; 0 when nothing is marked.
    pub marks: u32,
    /// Shared-data keys of that table at most.
    pub marks_sets: u32,
    /// Bytes of shared data when every set of it is full.
    pub marks_bytes: u64,
    /// Bans that table holds at a time; 0 when nothing bans.
    pub bans: u32,
    /// Bytes of one body held at most.
    pub body_bytes: usize,
    /// Keys of all providers.
    pub keys: usize,
    /// Routes.
    pub routes: usize,
    /// Environment variables it reads.
    pub env: Vec<String>,
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

/// What happens to a body that is longer than is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyOver {
    /// It is refused.
    Deny,
    /// Its beginning is inspected, and the event says so.
    Prefix,
}

/// What happens to a body in gzip, deflate or brotli.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyCompressed {
    /// What it stands for is inspected.
    Inspect,
    /// It is refused.
    Refuse,
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

/// Looks up an environment variable of the VM.
pub type Lookup<'e> = &'e dyn Fn(&str) -> Option<Vec<u8>>;

impl Policy {
    /// Whether a verdict can depend on the wall clock: tokens, the operator's requests, exceptions that expire.
    #[must_use]
    pub fn reads_wall(&self) -> bool {
        !self.tokens.providers.is_empty()
            || self.operator.is_some()
            || self.exceptions().iter().any(|it| it.expires.is_some())
    }

    /// `injection.except`.
    #[must_use]
    pub fn exceptions(&self) -> &[Exception] {
        self.injection
            .as_ref()
            .map_or(&[], |stage| stage.except.as_slice())
    }

    /// Compiles what a Proxy-Wasm host hands to the plugin: JSON text or the wire form of a `Struct`.
    ///
    /// # Errors
    /// Every error found, in document order (of a `Struct`: by key).
    pub fn from_plugin_bytes(bytes: &[u8], secrets: Lookup<'_>) -> Result<Self, Vec<PolicyError>> {
        Self::from_node(&Self::node(bytes)?, secrets)
    }

    /// Compiles a tree.
    ///
    /// # Errors
    /// Every error found, in document order.
    pub fn from_node(node: &Node, secrets: Lookup<'_>) -> Result<Self, Vec<PolicyError>> {
        compile::compile(node, Secrets::Environment(secrets))
    }

    /// Compiles a tree without its keys, to check it away from the environment it will run in. The result has
    /// no keys: it accepts no token. [`Policy::implied`] names the variables it needs.
    ///
    /// # Errors
    /// Every error found, in document order.
    pub fn check(node: &Node) -> Result<Self, Vec<PolicyError>> {
        compile::compile(node, Secrets::Assumed)
    }

    /// The policy language as a JSON Schema (draft 2020-12).
    #[must_use]
    pub fn schema() -> serde_json::Value {
        let mut schema = <config::Config as read::FromNode>::schema();
        if let serde_json::Value::Object(map) = &mut schema {
            map.insert(
                "$schema".into(),
                "https://json-schema.org/draft/2020-12/schema".into(),
            );
            map.insert("title".into(), "Palisade policy".into());
        }
        schema
    }

    /// What a decision looks at in client certificates.
    #[must_use]
    pub fn certificate_parts(&self) -> CertificateParts {
        let looks_at = |property| self.limits.looks_at(property);
        self.tokens.certificate_parts().or(CertificateParts {
            uri: looks_at(Property::Uri),
            dns: looks_at(Property::Dns),
            subject: looks_at(Property::Subject),
            sha256: looks_at(Property::Sha256),
        })
    }

    /// What it costs and needs.
    #[must_use]
    pub const fn implied(&self) -> &Implied {
        &self.implied
    }

    fn node(bytes: &[u8]) -> Result<Node, Vec<PolicyError>> {
        Node::from_plugin_bytes(bytes).map_err(|error| {
            vec![PolicyError {
                path: "policy".into(),
                problem: error.problem,
                help: "write the policy as JSON text or as a `Struct`; `{}` is the smallest".into(),
            }]
        })
    }
}
