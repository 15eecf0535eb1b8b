//! Rate limits (this file becomes `limits/mod.rs` with `table`, `window`, `fields`).

use alloc::vec::Vec;
use core::net::IpAddr;

use crate::env::{CounterStore, Env};
use crate::finding::Findings;
use crate::request::RequestHead;
use crate::units::{Quota, Span};
use crate::verdict::Denial;

/// The compiled `limits` section.
#[derive(Debug, Clone, Default)]
pub struct LimitStage {
    /// Limits in document order.
    pub limits: Vec<Limit>,
    /// Sets of the table (a power of two) ; ways per set are fixed by the layout.
    pub sets: u32,
    /// Key of the client hash, agreed by all VMs (the plugin's work).
    pub hash_key: [u8; 16],
}

/// One limit.
#[derive(Debug, Clone)]
pub struct Limit {
    /// Name in the policy: `RateLimit-Policy` item, metric, event.
    pub name: Vec<u8>,
    /// Which requests it counts.
    pub when: Condition,
    /// What tells counters apart.
    pub key: Vec<KeyPart>,
    /// How many in which window.
    pub quota: Quota,
    /// How it counts.
    pub algorithm: Algorithm,
    /// Ban after repeated excess.
    pub penalty: Option<Penalty>,
    /// Count only responses with one of these statuses (reserve, then give back); empty: count requests.
    pub statuses: Vec<u16>,
    /// Report only.
    pub monitor: bool,
}

/// Which requests a limit counts.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// Methods; empty: all.
    pub methods: Vec<Vec<u8>>,
    /// Path pattern; `None`: all.
    pub path: Option<crate::request::target::PathPattern>,
}

/// Parts of a counter's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// The client's address (IPv6: its /64).
    Client,
    /// The verified subject (and provider); anonymous requests are not counted by this limit.
    Subject,
    /// All values of a header.
    Header(Vec<u8>),
    /// A field of the body (needs the body).
    Field(Vec<u8>),
}

/// How a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ring of 16 time-aligned counters, the oldest counted in full.
    SlidingWindow,
    /// A log of times, exact; for small quotas.
    ExactLog,
}

/// Ban after repeated excess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Penalty {
    /// Refusals within one window of the limit before the ban.
    pub after: u32,
    /// Length of the ban.
    pub ban: Span,
}

/// When in the data path limits are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before any signature is verified: keys of client and headers only.
    Client,
    /// After the token: keys with a subject.
    Subject,
    /// After the body: keys with a field.
    Field,
}

/// What a limit may look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Method.
    pub method: &'a [u8],
    /// Judged path.
    pub path: &'a [u8],
    /// Client.
    pub client: IpAddr,
    /// Provider index and subject, once verified.
    pub subject: Option<(usize, &'a [u8])>,
    /// The head, in the head phase.
    pub head: Option<&'a RequestHead<'a>>,
    /// Body fields (name, value), in the body phase.
    pub fields: &'a [(Vec<u8>, Vec<u8>)],
}

/// What a request charged, kept until its response: owned, small.
#[derive(Debug, Clone, Default)]
pub struct Charges {
    /// Reservations to give back when the response status does not count.
    pub reserved: Vec<Reservation>,
}

/// One reservation (opaque outside this stage).
#[derive(Debug, Clone)]
pub struct Reservation {
    /// Index of the limit.
    pub limit: usize,
    /// Hashed key.
    pub key: u64,
    /// Time slot charged.
    pub slot: u64,
}

impl LimitStage {
    /// Charges every limit of `phase` that matches; on refusal nothing stays charged by this call.
    ///
    /// # Errors
    /// `RateLimited`, `Banned` (with `retry-after`, `ratelimit`, `ratelimit-policy`), `CountersUnavailable`,
    /// `CountersContended`.
    pub fn check<S: CounterStore>(
        &self,
        _phase: Phase,
        _facts: &Facts<'_>,
        _env: &mut Env<'_, S>,
        _charges: &mut Charges,
        _found: &mut Findings,
    ) -> Result<(), Denial> {
        Ok(())
    }

    /// Whether any limit has keys of `phase` and matches: tells the engine that a body is needed.
    #[must_use]
    pub fn concerns(&self, _phase: Phase, _method: &[u8], _path: &[u8]) -> bool {
        false
    }

    /// Gives back reservations that `status` does not count.
    pub fn settle<S: CounterStore>(&self, _charges: &Charges, _status: u16, _env: &mut Env<'_, S>) {
    }
}
