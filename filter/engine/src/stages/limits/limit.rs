//! One limit, compiled.
//!
//! **Invariant:** its phase is the latest of what its key needs; its id changes with whatever changes the meaning of stored counts.

use alloc::vec::Vec;

use super::Facts;
use super::condition::Condition;
use super::cost::Cost;
use super::fields::Telling;
use super::fleet::Fleet;
use super::key::{KeyPart, Missing};
use super::penalty::Penalty;
use super::plan::Plans;
use crate::request::client_addr::Network;
use crate::units::Quota;

/// One limit.
#[derive(Debug, Clone)]
pub struct Limit {
    /// Name in the policy: `RateLimit-Policy` item, metric, event.
    pub name: Vec<u8>,
    /// Which requests it counts.
    pub when: Condition,
    /// Addresses that it never counts.
    pub allow: Vec<Network>,
    /// What tells counters apart.
    pub key: Vec<KeyPart>,
    /// What becomes of a request without one of them.
    pub missing: Missing,
    /// How many in which window.
    pub quota: Quota,
    /// Other quotas for some.
    pub plans: Option<Plans>,
    /// What a request is charged.
    pub cost: Cost,
    /// How it counts.
    pub algorithm: Algorithm,
    /// Tokens that a bucket holds; of no meaning to the others.
    pub burst: u32,
    /// Places that a worker charges ahead for a client; 0: none.
    pub lease: u32,
    /// Ban after repeated excess.
    pub penalty: Option<Penalty>,
    /// Count only responses with one of these statuses (reserve, then give back); empty: count requests.
    pub statuses: Vec<u16>,
    /// Count failed authentications only (reserve before a credential is verified, give back when it did not fail).
    pub failures: bool,
    /// Counted by several Envoys together.
    pub fleet: Option<Fleet>,
    /// What the client is told of it.
    pub telling: Telling,
    /// Report only.
    pub monitor: bool,
}

/// How a limit counts, and how many it admits at most (`counts/mod.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// The quota in any window: an exact log for quotas up to [`super::MAX_LOG_QUOTA`], above it a ring of 16
    /// time-aligned counters and an oldest one that counts in full.
    SlidingWindow,
    /// A bucket of `burst` tokens, refilled at the quota's rate: at most quota + burst in any window.
    TokenBucket,
    /// The quota in each aligned window, at most twice that in any.
    FixedWindow,
    /// So many in flight at a time.
    Concurrency,
}

/// When in the data path limits are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before any signature is verified: keys of client and headers only.
    Client,
    /// Around the verification of a credential: limits that count failures.
    Credential,
    /// After the token: keys with a subject.
    Subject,
    /// After the body: keys with a field.
    Field,
}

impl Limit {
    /// When this limit can be checked for a request whose body is so long: the latest of its parts.
    #[must_use]
    pub fn phase(&self, length: Option<u64>) -> Phase {
        if self.failures {
            return Phase::Credential;
        }
        if !self.cost.is_early(length) {
            return Phase::Field;
        }
        let earliest = match (self.when.subject, &self.plans) {
            (None, None) => Phase::Client,
            _ => Phase::Subject,
        };
        self.key
            .iter()
            .fold(earliest, |latest, part| latest.max(part.phase()))
    }

    /// Whether it cannot be judged without the body of such a request, if there is one.
    pub(super) fn needs_body(&self, length: Option<u64>) -> bool {
        let unknown = matches!(self.cost, Cost::Body(_)) && length.is_none();
        unknown || self.key.iter().any(|part| part.field().is_some())
    }

    /// The quota that judges a request.
    pub(super) fn quota_of(&self, facts: &Facts<'_>) -> Quota {
        let plan = self.plans.as_ref().and_then(|plans| plans.quota(facts));
        plan.unwrap_or(self.quota)
    }

    /// The smallest and the largest count of all quotas that this limit judges anybody by.
    pub(crate) fn quotas(&self) -> (u32, u32) {
        let own = self.quota.count;
        let plans = self.plans.iter().flat_map(|plans| &plans.quotas);
        plans.fold((own, own), |(least, most), (_, quota)| {
            (least.min(quota.count), most.max(quota.count))
        })
    }

    /// Tells counters apart inside an entry (FNV-1a): another name, window or algorithm counts on its own. Another
    /// number of places does not, so that a client keeps what it was charged when its plan or the policy changes it. Never
    /// that of the bans, 0.
    pub(super) fn id(&self, quota: Quota) -> u32 {
        let algorithm = match self.algorithm {
            Algorithm::SlidingWindow => 0_u8,
            Algorithm::TokenBucket => 2,
            Algorithm::FixedWindow => 3,
            Algorithm::Concurrency => 4,
        };
        let window = quota.window.ms.to_le_bytes();
        let numbers = window.iter().chain(core::iter::once(&algorithm));
        numbers
            .chain(&self.name)
            .fold(0x811c_9dc5, |hash: u32, byte| {
                (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
            })
            .max(1)
    }
}

#[cfg(test)]
impl Limit {
    /// Any request, by client, in a sliding window; tests change what they are about.
    pub(crate) fn sample(name: &[u8], count: u32, window_ms: u64) -> Self {
        Self {
            name: name.to_vec(),
            when: Condition::default(),
            allow: Vec::new(),
            key: alloc::vec![KeyPart::CLIENT],
            missing: Missing::Usual,
            plans: None,
            cost: Cost::Fixed(1),
            quota: Quota {
                count,
                window: crate::units::Span { ms: window_ms },
            },
            algorithm: Algorithm::SlidingWindow,
            burst: 0,
            lease: 0,
            penalty: None,
            statuses: Vec::new(),
            failures: false,
            fleet: None,
            telling: Telling::default(),
            monitor: false,
        }
    }
}
