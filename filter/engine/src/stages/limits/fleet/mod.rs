//! Limits of a fleet: what several Envoys count together, by a rate limit service that the user runs.
//!
//! **In:** what a request was charged in the table here, and what the service answers. **Out:** a [`Question`] to wait for,
//! hits to tell it later, a denial.
//! **Invariant:** the table here comes first: no Envoy admits more than the quota, whatever a service says. The service comes
//! last, when nothing else speaks against the request: once a request and service, with all limits it counts. A client that it
//! refuses is refused here until its counter starts afresh, but no longer than a window, and its request is given
//! back here. No answer, a late one and one that cannot be read are the same: the limit's policy decides, and the event says so.
//! After three of them in a row nobody waits for a second, then one request asks again: an outage holds up few, not all.
//! **Source:** `envoy.service.ratelimit.v3.RateLimitService`.
//! **Cost:** `sync`: a call-out for each admitted request. `async`: none; see [`memory`].

use alloc::vec::Vec;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::table::{Table, Work};
use super::{Charges, Due, Facts, Fields, Limit, LimitStage, Pending, Phase, Refusal, fields, key};
use crate::env::{Env, Outside};
use crate::finding::{Finding, Findings};
use crate::units::Quota;
use crate::verdict::{Denial, Reason, Stage};

mod memory;
#[cfg(test)]
mod tests;
mod wire;

#[cfg(test)]
use memory::REST_MS;
pub use memory::{Memory, PENDING};
pub use wire::MAX_ANSWER_BYTES;

/// gRPC service that is asked.
pub const GRPC_SERVICE: &str = "envoy.service.ratelimit.v3.RateLimitService";
/// Its method.
pub const GRPC_METHOD: &str = "ShouldRateLimit";

/// How long a refusal is remembered of which the service does not say when it ends.
const UNTOLD_MS: u64 = 1_000;

/// A service, and what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Cluster that leads to it.
    pub cluster: Vec<u8>,
    /// Domain of its limits.
    pub domain: Vec<u8>,
    /// When it is asked.
    pub delivery: Delivery,
    /// How long its answer is waited for.
    pub timeout_ms: u32,
    /// What decides without it.
    pub on_failure: OnFailure,
    /// How often it is told of hits, in `async` mode.
    pub interval_ms: u64,
    /// What stands for a counter's key.
    pub keys: Keys,
}

/// When a service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Each request waits for its answer.
    Sync,
    /// It is told of hits once an interval.
    Async,
}

/// What decides when a service does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// This Envoy's share of the quota.
    Local,
    /// Nobody passes.
    Deny,
    /// Everybody passes whom the table here admits.
    Allow,
}

/// Two keys of the hash that stands for a counter's key at the service, the same on every Envoy of the fleet.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys([u8; 16], [u8; 16]);

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// The keys of a domain. Without a secret the hash hides no value that somebody can guess.
    #[must_use]
    pub fn derive(secret: &[u8], domain: &[u8]) -> Self {
        let mut keys = Self([0; 16], [0; 16]);
        if let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(secret) {
            mac.update(b"palisade fleet 1 ");
            mac.update(domain);
            let digest = mac.finalize().into_bytes();
            let (halves, _) = digest.as_slice().as_chunks::<16>();
            if let [first, second] = halves {
                keys = Self(*first, *second);
            }
        }
        keys
    }
}

/// Both halves of a hash: what stands for a counter's key at the service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name(u64, u64);

/// A limit's part in the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fleet {
    /// Index of its service.
    pub service: usize,
    /// This Envoy's share of the quota, for when the service does not answer: a part of a whole.
    pub share: (u32, u32),
}

impl Fleet {
    /// The share of a quota.
    #[must_use]
    pub fn share_of(self, quota: u32) -> u64 {
        let (part, whole) = self.share;
        let parts = u64::from(quota).saturating_mul(u64::from(part));
        parts.checked_div(u64::from(whole)).unwrap_or(0)
    }
}

/// Hits that a service is asked about, or told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    limit: usize,
    key: u64,
    /// The service's name for the counter, as a message.
    descriptor: Vec<u8>,
    hits: u32,
    /// Charges in the window here, these hits among them, and the quota that judged them.
    used: u64,
    quota: Quota,
}

/// A call to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Index of the service.
    pub service: usize,
    /// `GrpcService` that leads to it.
    pub upstream: Vec<u8>,
    /// `RateLimitRequest`.
    pub message: Vec<u8>,
    /// How long to wait.
    pub timeout_ms: u32,
}

/// Hits that a service is told of, and whose they are.
#[derive(Debug)]
pub struct Report {
    /// The call.
    pub question: Question,
    limit: usize,
    key: u64,
    quota: Quota,
}

/// A refusal, and why.
struct Refused<'l> {
    reason: Reason,
    refusal: Refusal<'l>,
}

impl LimitStage {
    /// Refuses whom a service has refused, until its counter starts afresh.
    ///
    /// # Errors
    /// `RateLimited`.
    pub fn remembered(
        &self,
        phase: Phase,
        facts: &Facts<'_>,
        memory: &Memory,
        now: u64,
        found: &mut Findings,
    ) -> Result<(), Denial> {
        if self.services.is_empty() {
            return Ok(());
        }
        self.refuse_remembered(&self.due(phase, facts), memory, now, found)
    }

    /// The same for limits whose keys have body fields.
    ///
    /// # Errors
    /// `RateLimited`.
    pub fn remembered_pending(
        &self,
        pending: &Pending,
        fields: Fields<'_>,
        memory: &Memory,
        now: u64,
        found: &mut Findings,
    ) -> Result<(), Denial> {
        if self.services.is_empty() {
            return Ok(());
        }
        self.refuse_remembered(
            &self.due_pending(pending, fields, found),
            memory,
            now,
            found,
        )
    }

    fn refuse_remembered(
        &self,
        due: &[Due<'_>],
        memory: &Memory,
        now: u64,
        found: &mut Findings,
    ) -> Result<(), Denial> {
        let mut refused: Option<Refused<'_>> = None;
        for due in due {
            if due.limit.fleet.is_some()
                && let Some(wait_ms) = memory.denied_ms(due.index, due.key, now)
            {
                let refusal = refusal(due.limit, due.quota, Reason::RateLimited, wait_ms);
                longest(&mut refused, refusal, b"fleet", found);
            }
        }
        denied(refused)
    }

    /// What the service of a limit calls the counter of a request; of body fields only that they follow.
    pub(super) fn name(&self, limit: &Limit, facts: &Facts<'_>) -> Option<Name> {
        let Keys(first, second) = &self.services.get(limit.fleet?.service)?.keys;
        let half = |secret| key::hash(secret, &limit.key, limit.missing, facts);
        Some(Name(half(first)?, half(second)?))
    }

    pub(super) fn name_with_fields(
        &self,
        limit: &Limit,
        before: Option<Name>,
        fields: Fields<'_>,
    ) -> Option<Name> {
        let Keys(first, second) = &self.services.get(limit.fleet?.service)?.keys;
        let half =
            |secret, before| key::with_fields(secret, before, &limit.key, limit.missing, fields);
        let Name(one, two) = before?;
        Some(Name(half(first, one)?, half(second, two)?))
    }

    /// What a limit of the fleet has charged here goes to its service.
    pub(super) fn meet_fleet(&self, work: &Work, due: &[Due<'_>], key: u64, met: &mut Vec<Asked>) {
        let due = due.iter().find(|due| due.index == work.index);
        let named = due.and_then(|due| Some((due.limit, due.fleet?)));
        let Some(((limit, Name(first, second)), charged)) = named.zip(work.reservation(key)) else {
            return;
        };
        let mut value = Vec::new();
        push_hex(first, &mut value);
        push_hex(second, &mut value);
        let entries: [(&[u8], &[u8]); 2] = [(b"limit", &limit.name), (b"key", &value)];
        met.push(Asked {
            limit: work.index,
            key,
            descriptor: wire::descriptor(entries.into_iter()),
            hits: charged.cost,
            used: work.used(),
            quota: charged.quota,
        });
    }

    /// Sees to what a request has met of the fleet, when nothing else speaks against it: hits that are only told are kept;
    /// what must be waited for is the result.
    ///
    /// # Errors
    /// `RateLimited`, `FleetUnavailable`: a service that is told does not answer, and the limit's policy refuses.
    pub fn consult<S: Outside>(
        &self,
        enforce: bool,
        memory: &mut Memory,
        env: &mut Env<'_, S>,
        charges: &mut Charges,
        found: &mut Findings,
    ) -> Result<Option<Question>, Denial> {
        let mut refused = None;
        let (mut known, mut rests) = (0_u64, 0_u64);
        for asked in core::mem::take(&mut charges.fleet) {
            let Some((limit, fleet, service)) = self.fleet_of(asked.limit) else {
                continue;
            };
            let (used, quota) = (asked.used, asked.quota);
            if service.delivery == Delivery::Sync && enforce && !limit.monitor {
                let bit = memory::bit(fleet.service);
                if known & bit == 0 {
                    known |= bit;
                    let may = memory.may_ask(fleet.service, env.now.0, service.timeout_ms);
                    rests |= if may { 0 } else { bit };
                }
                if rests & bit == 0 {
                    charges.fleet.push(asked);
                } else {
                    alone(&mut refused, limit, quota, used, service, found);
                }
                continue;
            }
            if !memory.keep(asked) || memory.is_down(fleet.service) {
                alone(&mut refused, limit, quota, used, service, found);
            }
        }
        if let Err(denial) = denied(refused) {
            self.undo(charges, env);
            return Err(denial);
        }
        Ok(self.question(charges))
    }

    /// Judges by a service's answer: a message, or none. On refusal nothing stays charged here.
    ///
    /// # Errors
    /// `RateLimited`, `FleetUnavailable`.
    pub fn consulted<S: Outside>(
        &self,
        service: usize,
        message: Option<&[u8]>,
        memory: &mut Memory,
        env: &mut Env<'_, S>,
        charges: &mut Charges,
        found: &mut Findings,
    ) -> Result<Option<Question>, Denial> {
        let mut mine = Vec::new();
        for asked in core::mem::take(&mut charges.fleet) {
            let its = self.fleet_of(asked.limit);
            if its.is_some_and(|(_, fleet, _)| fleet.service == service) {
                mine.push(asked);
            } else {
                charges.fleet.push(asked);
            }
        }
        let answer = message.and_then(wire::answer);
        memory.answered(service, answer.is_some(), env.now.0);
        let mut refused = None;
        match answer {
            None => {
                for asked in &mine {
                    if let Some((limit, _, service)) = self.fleet_of(asked.limit) {
                        alone(&mut refused, limit, asked.quota, asked.used, service, found);
                    }
                }
            }
            Some(answer) if answer.over => {
                let told = answer.statuses.len() == mine.len();
                let mut statuses = answer.statuses.iter();
                for asked in &mine {
                    let status = statuses.next().filter(|_| told);
                    // Who is over its limit is known from the statuses, or because nobody else was asked about.
                    let over = match status {
                        Some(status) => status.code == wire::Code::OverLimit,
                        None => mine.len() == 1,
                    };
                    if !over {
                        continue;
                    }
                    let reset_ms = status.and_then(|status| status.reset_ms);
                    self.refused_by_service(
                        asked,
                        reset_ms,
                        memory,
                        env.now.0,
                        &mut refused,
                        found,
                    );
                }
                if refused.is_none()
                    && let Some(first) = mine.first()
                    && let Some((limit, ..)) = self.fleet_of(first.limit)
                {
                    let refusal = refusal(limit, first.quota, Reason::RateLimited, UNTOLD_MS);
                    longest(&mut refused, refusal, b"fleet", found);
                }
            }
            Some(_) => {}
        }
        if let Err(denial) = denied(refused) {
            self.undo(charges, env);
            return Err(denial);
        }
        Ok(self.question(charges))
    }

    /// Hits that services are told of now, `most` keys at most.
    pub fn reports(&self, memory: &mut Memory, now: u64, most: usize) -> Vec<Report> {
        let service_of = |limit| self.fleet_of(limit).map(|(_, fleet, _)| fleet.service);
        let mut reports = Vec::new();
        for asked in memory.take_due(&self.services, service_of, now, most) {
            if let Some((_, fleet, service)) = self.fleet_of(asked.limit) {
                let one = core::iter::once((asked.descriptor.as_slice(), asked.hits));
                reports.push(Report {
                    question: call(fleet.service, service, one),
                    limit: asked.limit,
                    key: asked.key,
                    quota: asked.quota,
                });
            }
        }
        reports
    }

    /// What a service answered to a report; whether it has come back, or gone: `None` is no news.
    pub fn reported(
        &self,
        report: &Report,
        message: Option<&[u8]>,
        memory: &mut Memory,
        now: u64,
    ) -> Option<bool> {
        let answer = message.and_then(wire::answer);
        let answered = answer.is_some();
        if let Some(answer) = answer.filter(|answer| answer.over) {
            let first = answer.statuses.first();
            let reset_ms = first.and_then(|status| status.reset_ms);
            let wait_ms = wait_ms(report.quota, reset_ms);
            memory.deny(report.limit, report.key, now.saturating_add(wait_ms));
        }
        memory
            .answered(report.question.service, answered, now)
            .then_some(answered)
    }

    /// How often somebody must be told of hits: the shortest interval.
    #[must_use]
    pub fn reports_every_ms(&self) -> Option<u64> {
        let told = self.services.iter();
        let told = told.filter(|service| service.delivery == Delivery::Async);
        told.map(|service| service.interval_ms).min()
    }

    /// The next call that a request waits for: all that it asks of one service.
    fn question(&self, charges: &Charges) -> Option<Question> {
        let first = charges.fleet.first()?;
        let (_, fleet, service) = self.fleet_of(first.limit)?;
        let same = |limit| {
            self.fleet_of(limit)
                .is_some_and(|(_, other, _)| other.service == fleet.service)
        };
        let asked = charges.fleet.iter().filter(|asked| same(asked.limit));
        let descriptors = asked.map(|asked| (asked.descriptor.as_slice(), asked.hits));
        Some(call(fleet.service, service, descriptors))
    }

    fn refused_by_service<'l>(
        &'l self,
        asked: &Asked,
        reset_ms: Option<u64>,
        memory: &mut Memory,
        now: u64,
        refused: &mut Option<Refused<'l>>,
        found: &mut Findings,
    ) {
        if let Some((limit, ..)) = self.fleet_of(asked.limit) {
            let wait_ms = wait_ms(asked.quota, reset_ms);
            memory.deny(asked.limit, asked.key, now.saturating_add(wait_ms));
            let refusal = refusal(limit, asked.quota, Reason::RateLimited, wait_ms);
            longest(refused, refusal, b"fleet", found);
        }
    }

    /// Gives back all that a request was charged here.
    fn undo<S: Outside>(&self, charges: &mut Charges, env: &mut Env<'_, S>) {
        let table = Table::new(self);
        charges.reserved.clear();
        charges.fleet.clear();
        for reservation in core::mem::take(&mut charges.undo) {
            table.give_back(&reservation, env);
        }
    }

    fn fleet_of(&self, limit: usize) -> Option<(&Limit, Fleet, &Service)> {
        let limit = self.limits.get(limit)?;
        let fleet = limit.fleet?;
        let service = self.services.get(fleet.service)?;
        Some((limit, fleet, service))
    }
}

fn call<'a>(
    index: usize,
    service: &Service,
    descriptors: impl Iterator<Item = (&'a [u8], u32)> + Clone,
) -> Question {
    Question {
        service: index,
        upstream: wire::grpc_service(&service.cluster),
        message: wire::request(&service.domain, descriptors),
        timeout_ms: service.timeout_ms,
    }
}

/// How long a refusal lasts: what the service says, but no longer than a window.
fn wait_ms(quota: Quota, reset_ms: Option<u64>) -> u64 {
    let window_ms = quota.window.ms.max(1);
    reset_ms.unwrap_or(UNTOLD_MS).clamp(1, window_ms)
}

/// Judges one limit without its service.
fn alone<'l>(
    refused: &mut Option<Refused<'l>>,
    limit: &'l Limit,
    quota: Quota,
    used: u64,
    service: &Service,
    found: &mut Findings,
) {
    let unavailable = Reason::FleetUnavailable;
    if service.on_failure == OnFailure::Deny {
        let refusal = refusal(limit, quota, unavailable, UNTOLD_MS);
        return longest(refused, refusal, b"", found);
    }
    found.push(Finding::new(Stage::Limits, unavailable).rule(&limit.name));
    let share = limit.fleet.map_or(0, |fleet| fleet.share_of(quota.count));
    if service.on_failure == OnFailure::Local && used > share {
        // After a whole window nothing counts any more: never before the reset.
        let refusal = refusal(limit, quota, Reason::RateLimited, quota.window.ms);
        longest(refused, refusal, b"share", found);
    }
}

const fn refusal(limit: &Limit, quota: Quota, reason: Reason, wait_ms: u64) -> Refused<'_> {
    Refused {
        reason,
        refusal: Refusal {
            limit,
            quota,
            remaining: 0,
            wait_ms,
        },
    }
}

/// Pushes a finding; keeps the enforced refusal that lasts longest.
fn longest<'l>(
    refused: &mut Option<Refused<'l>>,
    one: Refused<'l>,
    place: &[u8],
    found: &mut Findings,
) {
    let limit = one.refusal.limit;
    let finding = Finding::new(Stage::Limits, one.reason).rule(&limit.name);
    found.push(finding.place(place, b""));
    let longer = |known: &Refused<'_>| known.refusal.wait_ms < one.refusal.wait_ms;
    if !limit.monitor && refused.as_ref().is_none_or(longer) {
        *refused = Some(one);
    }
}

fn denied(refused: Option<Refused<'_>>) -> Result<(), Denial> {
    match refused {
        None => Ok(()),
        Some(refused) if refused.reason == Reason::FleetUnavailable => {
            let mut denial = Denial::new(Stage::Limits, Reason::FleetUnavailable);
            denial.violated = super::violated(core::iter::once(refused.refusal.limit));
            Err(denial)
        }
        Some(refused) => Err(fields::denial_alone(&refused.refusal)),
    }
}

fn push_hex(number: u64, out: &mut Vec<u8>) {
    for byte in number.to_be_bytes() {
        for nibble in [byte >> 4, byte & 15] {
            out.push(match nibble {
                0..=9 => b'0'.wrapping_add(nibble),
                _ => b'a'.wrapping_add(nibble).wrapping_sub(10),
            });
        }
    }
}
