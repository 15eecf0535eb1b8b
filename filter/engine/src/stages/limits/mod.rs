//! Rate limits and bans: which limits a request meets, and what it is charged.
//!
//! **In:** facts of a request, the time, a counter store. **Out:** admitted (with [`Charges`] to settle by the
//! response's status) or a [`Denial`] with the fields of `fields.rs`.
//! **Invariant:** no client is admitted more often than a limit's quota in any span of its window, whoever else comes,
//! while the shared data lives and the number of sets stays (a reload that changes it starts the counts afresh).
//! Refused requests are never charged. Nothing a client sent is stored: keys are hashed (`key.rs`).
//! A ban stops its client or subject whatever set it, before any limit is looked at (`bans.rs`, `sentence.rs`).
//! **Memory:** one store entry a set, [`LimitStage::memory_bytes`] at most, whatever reloads do: entries are addressed
//! by set index (for a window after a reload: at most what the older policy could take).
//! **Price of the bound:** a set keeps `ways` clients a limit. Newcomers can be refused early only after others in their set
//! were charged `ways × quota` times within two windows: `capacity.rs` derives it and tells the rate for the whole table.
//! A charge that is given back counts for that if its client was pushed out meanwhile.
//! **Reload:** a changed quota or burst keeps the counts; changed ways keep them too (a smaller set joins its emptiest into
//! the floor); a changed number of sets, window, algorithm or name starts afresh.
//! **Cost:** one load and one swap a distinct key; limits with the same key share both. Where something can ban, the client's
//! set is read first, and the subject's if subjects can be banned: that load serves a limit by `client` (or `subject`) too.

mod bans;
mod bytes;
mod capacity;
mod concurrency;
pub mod condition;
mod cost;
mod counts;
mod entry;
mod fields;
pub mod fleet;
mod key;
mod lease;
mod limit;
mod penal;
mod penalty;
mod plan;
mod presence;
mod reading;
mod sentence;
mod table;
#[cfg(test)]
mod tests;
mod view;
mod worker;

use alloc::vec::Vec;

use crate::env::{Env, Note, Outside};
use crate::finding::{Finding, Findings};
use crate::units::Quota;
use crate::verdict::{Denial, Reason, Stage};

pub use bans::{Bans, LONGEST_MS, Who};
pub use capacity::Capacity;
pub use condition::{Condition, HeaderTest};
pub use cost::{Cost, Known};
pub use counts::MAX_LOG_QUOTA;
use fields::Met;
pub use fields::{Shown, Telling};
pub use key::{Facts, Fields, KeyPart, Missing, Named, Property};
pub use limit::{Algorithm, Limit, Phase};
pub use penal::{Penal, Person};
pub use penalty::{Cause, Penalty, Scope, Signal};
pub use plan::Plans;
pub use table::{DEFAULT_SETS, DEFAULT_WAYS};
use table::{Outcome, Purpose, Seen, Table, Work};
pub use worker::{Place, Worker, tick};

/// The compiled `limits` section.
#[derive(Debug, Clone)]
pub struct LimitStage {
    /// Limits in document order.
    pub limits: Vec<Limit>,
    /// Sets of the table: a power of two (else rounded down), at most 65,536; [`DEFAULT_SETS`] when not set.
    pub sets: u32,
    /// Clients that a set holds for each limit; [`DEFAULT_WAYS`] when not set.
    pub ways: u8,
    /// Key of the client hash, agreed by all VMs (the plugin's work).
    pub hash_key: [u8; 16],
    /// Who is banned.
    pub bans: Bans,
    /// Services that count for several Envoys.
    pub services: Vec<fleet::Service>,
}

/// What a request charged, kept until its response: owned, small.
#[derive(Debug, Clone, Default)]
pub struct Charges {
    /// Reservations to give back when the response status does not count.
    pub reserved: Vec<Reservation>,
    /// What a service is still asked about.
    fleet: Vec<fleet::Asked>,
    /// All charges, to give back when a service refuses; kept only where one is asked.
    undo: Vec<Reservation>,
    /// Limits that its response tells of.
    met: Vec<Met>,
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
    /// What it was charged.
    pub cost: u32,
    /// The quota that judged it.
    pub quota: Quota,
}

impl Default for LimitStage {
    fn default() -> Self {
        Self {
            limits: Vec::new(),
            sets: DEFAULT_SETS,
            ways: DEFAULT_WAYS,
            hash_key: [0; 16],
            bans: Bans::default(),
            services: Vec::new(),
        }
    }
}

/// Limits that are judged once the body is known, by index, and what was known of their keys and of who asks before.
/// Owned, small, opaque.
#[derive(Debug, Clone, Default)]
pub struct Pending {
    who: Option<Who>,
    list: Vec<Late>,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
struct Late {
    index: usize,
    key: u64,
    quota: Quota,
    cost: u32,
    needs_body: bool,
    fleet: Option<fleet::Name>,
}

impl Pending {
    /// No limit waits for what is known last.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether one of them needs the body, if there is one.
    #[must_use]
    pub fn needs_body(&self) -> bool {
        self.list.iter().any(|late| late.needs_body)
    }

    /// Who asks.
    #[must_use]
    pub const fn who(&self) -> Option<&Who> {
        self.who.as_ref()
    }
}

/// One limit that a request meets.
#[derive(Debug, Clone, Copy)]
struct Due<'l> {
    index: usize,
    limit: &'l Limit,
    key: u64,
    /// The quota that judges this request, and to which its counts belong by the window.
    quota: Quota,
    /// What it is charged.
    cost: u32,
    /// What a service calls its counter.
    fleet: Option<fleet::Name>,
}

/// Who asks, where anybody can be banned, and the set that was read to see whether they are.
struct Asker<'w> {
    who: Option<&'w Who>,
    seen: Option<Seen>,
}

/// The strictest refusal: the longest wait, then the fewest places left.
#[derive(Debug, Clone, Copy)]
struct Refusal<'l> {
    limit: &'l Limit,
    quota: Quota,
    /// Places that are left, though not enough for this request.
    remaining: u64,
    wait_ms: u64,
}

impl LimitStage {
    /// Charges every limit of `phase` that matches; on refusal nothing stays charged by this call. Who is banned is refused
    /// before. With `monitor` refusals are only reported, and nobody is banned either.
    ///
    /// Limits with the same key are charged together or not at all; others in document order, and given back
    /// when a later one refuses. Of several refusals the strictest is reported: the one with the longest wait, then the one with the fewest places left.
    ///
    /// # Errors
    /// `RateLimited` (with `retry-after`, `ratelimit`, `ratelimit-policy`), `Banned` (with `retry-after`),
    /// `CountersUnavailable`, `CountersContended`.
    pub fn check<S: Outside>(
        &self,
        phase: Phase,
        facts: &Facts<'_>,
        monitor: bool,
        env: &mut Env<'_, S>,
        charges: &mut Charges,
        found: &mut Findings,
    ) -> Result<(), Denial> {
        let due = self.due(phase, facts);
        if due.is_empty() && !self.bans.stop_in(phase) {
            return Ok(());
        }
        let who = self.who(facts);
        let seen = self.stopped(phase, who.as_ref(), env, found)?;
        let mut asker = Asker {
            who: who.as_ref(),
            seen,
        };
        self.charge(&due, &mut asker, monitor, env, charges, found)
    }

    /// The limits that count this request and cannot be judged before its body is known.
    #[must_use]
    pub fn pending(&self, facts: &Facts<'_>) -> Pending {
        let mut pending = Pending {
            who: None,
            list: Vec::new(),
        };
        for due in self.due(Phase::Field, facts) {
            pending.list.push(Late {
                index: due.index,
                key: due.key,
                quota: due.quota,
                cost: due.cost,
                needs_body: due.limit.needs_body(facts.length),
                fleet: due.fleet,
            });
        }
        // Hashed only where somebody will ask: most requests end here.
        if !pending.list.is_empty() || !self.bans.signals.is_empty() {
            pending.who = self.who(facts);
        }
        pending
    }

    /// Charges them by the fields of the body, by its length and by what was found. A body that nobody could read has no
    /// fields: they are missing.
    ///
    /// # Errors
    /// As [`LimitStage::check`].
    pub fn check_pending<S: Outside>(
        &self,
        pending: &Pending,
        fields: Fields<'_>,
        monitor: bool,
        env: &mut Env<'_, S>,
        charges: &mut Charges,
        found: &mut Findings,
    ) -> Result<(), Denial> {
        let due = self.due_pending(pending, fields, found);
        let mut asker = Asker {
            who: pending.who.as_ref(),
            seen: None,
        };
        self.charge(&due, &mut asker, monitor, env, charges, found)
    }

    fn due_pending(&self, pending: &Pending, fields: Fields<'_>, found: &Findings) -> Vec<Due<'_>> {
        let known = Known::new(fields.length, found);
        let mut due = Vec::new();
        for late in &pending.list {
            let Some(limit) = self.limits.get(late.index) else {
                continue;
            };
            let quota = late.quota;
            let cost = limit.cost.at_last(known, quota.count);
            let cost = cost.unwrap_or(late.cost);
            let key = key::with_fields(&self.hash_key, late.key, &limit.key, limit.missing, fields);
            if let (Some(key), 1..) = (key, cost) {
                due.push(Due {
                    index: late.index,
                    limit,
                    key,
                    quota,
                    cost,
                    fleet: self.name_with_fields(limit, late.fleet, fields),
                });
            }
        }
        due
    }

    fn charge<S: Outside>(
        &self,
        due: &[Due<'_>],
        asker: &mut Asker<'_>,
        monitor: bool,
        env: &mut Env<'_, S>,
        charges: &mut Charges,
        found: &mut Findings,
    ) -> Result<(), Denial> {
        if due.is_empty() {
            return Ok(());
        }
        let table = Table::new(self);
        let mut charged: Vec<Reservation> = Vec::new();
        let mut places: Vec<Place> = Vec::new();
        let mut shared = Vec::new();
        let mut refusal: Option<Refusal<'_>> = None;
        let mut excesses: Vec<&Limit> = Vec::new();
        let mut refusing: Vec<&Limit> = Vec::new();
        let mut failure = None;
        // Kept for what may be told: not on the usual way, where one key is asked and admits.
        let mut kept: Vec<(u64, Vec<Work>)> = Vec::new();
        let mut met: Vec<Met> = Vec::new();
        let mut keeps = due
            .first()
            .is_some_and(|first| due.iter().any(|other| other.key != first.key))
            || due.iter().any(|due| self.is_always(due.index));
        // Not `enumerate`: it counts with a check.
        for at in 0..due.len() {
            let Some(first) = due.get(at) else {
                break;
            };
            if due.iter().take(at).any(|earlier| earlier.key == first.key) {
                continue;
            }
            let purpose = if refusal.is_none() {
                Purpose::Charge
            } else {
                Purpose::Look
            };
            if purpose == Purpose::Charge && lent(due, first.key, env, &mut charged) {
                let now = env.now.0;
                let leases = &env.counters.worker().leases;
                for one in due.iter().filter(|one| one.key == first.key) {
                    let lease = leases.of(one.limit.id(one.quota), first.key);
                    if let Some(lease) = lease.filter(|_| shows(one.limit, keeps)) {
                        met.push(lease.met(one.index, one.cost, now));
                    }
                }
                continue;
            }
            match table.visit(due, first.key, purpose, &mut asker.seen, env) {
                Ok(works) => {
                    if env.counters.listens() {
                        tell(&works, env.counters);
                    }
                    let refused =
                        self.report(&works, &mut refusal, &mut refusing, &mut excesses, found);
                    keeps |= refused;
                    if !refused && purpose == Purpose::Charge {
                        charged.extend(works.iter().filter_map(|work| work.reservation(first.key)));
                        places.extend(works.iter().filter_map(|work| work.place(first.key)));
                        for work in &works {
                            self.meet_fleet(work, due, first.key, &mut shared);
                        }
                    }
                    if keeps {
                        kept.push((first.key, works));
                    }
                }
                Err(reason) => {
                    found.push(Finding::new(Stage::Limits, reason).rule(&first.limit.name));
                    let enforced = due
                        .iter()
                        .any(|due| due.key == first.key && !due.limit.monitor);
                    if enforced && purpose == Purpose::Charge {
                        let mut denial = Denial::new(Stage::Limits, reason);
                        let same = due.iter().filter(|due| due.key == first.key);
                        denial.violated = violated(same.map(|due| due.limit));
                        failure = Some(denial);
                        break;
                    }
                }
            }
        }
        let banned_ms = self.punish(&excesses, asker.who, monitor, env, found);
        let denial = failure.or_else(|| {
            refusal.map(|refusal| match banned_ms {
                0 => {
                    let mut denial = fields::denial(&refusal);
                    for met in &mut met {
                        met.forget();
                    }
                    charges.met.append(&mut met);
                    self.note(&kept, Shown::Denied, &mut charges.met);
                    self.write(charges, &mut denial.headers);
                    denial.violated = violated(refusing.iter().copied());
                    denial
                }
                _ => {
                    let mut denial = fields::banned(banned_ms.max(refusal.wait_ms));
                    denial.violated = violated(refusing.iter().copied());
                    denial
                }
            })
        });
        let Some(denial) = denial else {
            charges.fleet.append(&mut shared);
            for reservation in charged {
                if !self.services.is_empty() {
                    charges.undo.push(reservation.clone());
                }
                let counted_later = self
                    .limits
                    .get(reservation.limit)
                    .is_some_and(|limit| limit.failures || !limit.statuses.is_empty());
                if counted_later {
                    charges.reserved.push(reservation);
                }
            }
            met.retain(|met| self.is_always(met.index));
            charges.met.append(&mut met);
            self.note(&kept, Shown::Always, &mut charges.met);
            env.counters.worker().taken.append(&mut places);
            return Ok(());
        };
        for reservation in &charged {
            self.give_back(reservation, env);
        }
        // What the store does not take back now is the stream's, which tries again.
        self.leave(&mut places, env);
        env.counters.worker().taken.append(&mut places);
        Err(denial)
    }

    /// Whether a limit of `phase` may count a request with this head, whoever sent it: tells the engine that a credential is
    /// guarded or a body needed.
    #[must_use]
    pub fn concerns(&self, phase: Phase, facts: &Facts<'_>) -> bool {
        self.limits
            .iter()
            .any(|limit| limit.phase(facts.length) == phase && limit.when.fits_head(facts))
    }

    /// Whether a limit may need the body of a request with this head, if there is one.
    #[must_use]
    pub fn concerns_body(&self, facts: &Facts<'_>) -> bool {
        self.limits
            .iter()
            .any(|limit| limit.needs_body(facts.length) && limit.when.fits_head(facts))
    }

    /// Whether the same limits count a method on both paths, as far as the path tells.
    #[must_use]
    pub fn same(&self, method: &[u8], path: &[u8], other: &[u8]) -> bool {
        self.limits
            .iter()
            .all(|limit| limit.when.fits(method, path) == limit.when.fits(method, other))
    }

    /// Whether a field that one of these limits counts by has several values: the application takes one of
    /// them, and the others would make a new counter of every request.
    #[must_use]
    pub fn contradicted(&self, pending: &Pending, fields: Fields<'_>) -> bool {
        pending
            .list
            .iter()
            .filter_map(|late| self.limits.get(late.index))
            .flat_map(|limit| &limit.key)
            .filter_map(KeyPart::field)
            .any(|named| fields.contradict(named))
    }

    /// Whether a key holds a property of the client's certificate.
    #[must_use]
    pub fn looks_at(&self, property: Property) -> bool {
        let mut parts = self.limits.iter().flat_map(|limit| &limit.key);
        parts.any(|part| *part == KeyPart::Tls(property))
    }

    /// On the tick: gives places back that were charged ahead and not used in time.
    pub fn return_leases<S: Outside>(&self, env: &mut Env<'_, S>) {
        let table = Table::new(self);
        let over = env.counters.worker().leases.over(env.now.0, MOST_RETURNED);
        for lease in over {
            let mut limits = self.limits.iter();
            let Some(limit) = limits.position(|limit| limit.id(lease.quota) == lease.limit) else {
                continue;
            };
            env.counters.worker().leases.end(lease.limit, lease.key);
            let unused = Reservation {
                limit,
                key: lease.key,
                slot: lease.mark,
                cost: lease.left,
                quota: lease.quota,
            };
            table.give_back(&unused, env);
        }
    }

    /// Gives back places in flight; those that the store does not take back stay in `places`.
    pub fn leave<S: Outside>(&self, places: &mut Vec<Place>, env: &mut Env<'_, S>) {
        let table = Table::new(self);
        places.retain(|place| table.leave(place, env).is_err());
    }

    /// Whether limits or bans look at the monotonic clock.
    #[must_use]
    pub const fn reads_clock(&self) -> bool {
        !self.limits.is_empty() || self.bans.is_used()
    }

    /// Gives back all of them: the credential they were made for did not fail.
    pub fn release<S: Outside>(&self, charges: &Charges, env: &mut Env<'_, S>) {
        for reservation in &charges.reserved {
            self.give_back(reservation, env);
        }
    }

    /// Gives back reservations that `status` does not count. A charge that has left its window is not looked for
    /// further; one that the store refuses to give back stays.
    pub fn settle<S: Outside>(&self, charges: &Charges, status: u16, env: &mut Env<'_, S>) {
        for reservation in &charges.reserved {
            let counts = self
                .limits
                .get(reservation.limit)
                .is_none_or(|limit| limit.statuses.contains(&status));
            if !counts {
                self.give_back(reservation, env);
            }
        }
    }

    /// The fields of a response to a request that was charged so: of limits that are always told.
    #[must_use]
    pub fn answer(&self, charges: &Charges) -> Vec<(&'static str, Vec<u8>)> {
        let mut fields = Vec::new();
        if !charges.met.is_empty() {
            self.write(charges, &mut fields);
        }
        fields
    }

    fn write(&self, charges: &Charges, out: &mut Vec<(&'static str, Vec<u8>)>) {
        let met = charges.met.iter();
        let told = met.filter_map(|met| Some((self.limits.get(met.index)?, *met)));
        fields::write(told, &self.hash_key, out);
    }

    fn is_always(&self, index: usize) -> bool {
        let limit = self.limits.get(index);
        limit.is_some_and(|limit| limit.telling.shown == Shown::Always)
    }

    /// How limits stand that the client is told of: all but the secret ones of a refusal, after which nothing of them was
    /// taken, else those that are always told.
    fn note(&self, kept: &[(u64, Vec<Work>)], when: Shown, met: &mut Vec<Met>) {
        for (key, works) in kept {
            for work in works {
                let Some(limit) = self.limits.get(work.index).filter(|it| !it.monitor) else {
                    continue;
                };
                match (when, limit.telling.shown) {
                    (_, Shown::Never) | (Shown::Always, Shown::Denied) => {}
                    (Shown::Always, Shown::Always) => met.push(work.met(*key)),
                    (Shown::Denied | Shown::Never, _) => {
                        let mut one = work.met(*key);
                        one.forget();
                        met.push(one);
                    }
                }
            }
        }
    }

    /// Bytes of shared data this table takes when every set is full of clients whose every counter is in use:
    /// the most it can take under this policy. Typical entries are a tenth of it.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        if self.limits.is_empty() && !self.bans.is_used() {
            return 0;
        }
        Table::new(self).most_bytes()
    }

    /// Sets of its table, as they are.
    fn table_sets(&self) -> u64 {
        Table::new(self).sets()
    }

    fn ways(&self) -> usize {
        usize::from(self.ways.max(1))
    }

    /// Gives a charge back: to the worker's lease if it is from there, else to the store.
    fn give_back<S: Outside>(&self, reservation: &Reservation, env: &mut Env<'_, S>) {
        let limit = self.limits.get(reservation.limit);
        if let Some(limit) = limit.filter(|limit| limit.lease > 0) {
            let Reservation {
                key, slot, cost, ..
            } = *reservation;
            let id = limit.id(reservation.quota);
            if env.counters.worker().leases.take_back(id, key, cost, slot) {
                return;
            }
        }
        Table::new(self).give_back(reservation, env);
    }

    /// The limits of `phase` that count this request.
    fn due(&self, phase: Phase, facts: &Facts<'_>) -> Vec<Due<'_>> {
        let mut due = Vec::new();
        for index in 0..self.limits.len() {
            let Some(limit) = self.limits.get(index) else {
                break;
            };
            let exempt = || {
                let mut networks = limit.allow.iter();
                networks.any(|network| network.contains(facts.client))
            };
            if limit.phase(facts.length) == phase
                && limit.when.matches(facts)
                && !exempt()
                && let Some(key) = key::hash(&self.hash_key, &limit.key, limit.missing, facts)
            {
                let quota = limit.quota_of(facts);
                due.push(Due {
                    index,
                    limit,
                    key,
                    quota,
                    cost: limit.cost.by_head(facts, quota.count),
                    fleet: self.name(limit, facts),
                });
            }
        }
        due
    }

    /// Pushes a finding for each refusal; keeps the strictest enforced one, and what is punished. Whether one of `works` refuses.
    fn report<'l>(
        &'l self,
        works: &[Work],
        refusal: &mut Option<Refusal<'l>>,
        refusing: &mut Vec<&'l Limit>,
        excesses: &mut Vec<&'l Limit>,
        found: &mut Findings,
    ) -> bool {
        let mut refused = false;
        for work in works {
            let (wait_ms, own) = match work.outcome {
                Outcome::Admitted { .. } => continue,
                Outcome::Refused { wait_ms, own } => (wait_ms, own),
            };
            let Some(limit) = self.limits.get(work.index) else {
                continue;
            };
            found.push(Finding::new(Stage::Limits, Reason::RateLimited).rule(&limit.name));
            // A newcomer that only meets the floor is not to blame for it.
            if own && self.bans.is_used() {
                excesses.push(limit);
            }
            if limit.monitor {
                continue;
            }
            refused = true;
            refusing.push(limit);
            let remaining = work.remaining();
            if refusal.is_none_or(|strictest| {
                (strictest.wait_ms, remaining) < (wait_ms, strictest.remaining)
            }) {
                *refusal = Some(Refusal {
                    limit,
                    quota: work.quota,
                    remaining,
                    wait_ms,
                });
            }
        }
        refused
    }
}

/// Names of those that the client may be told of.
fn violated<'l>(limits: impl Iterator<Item = &'l Limit>) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    for limit in limits.filter(|it| !it.monitor && it.telling.shown != Shown::Never) {
        let mut name = Vec::new();
        name.extend_from_slice(&limit.name);
        names.push(name);
    }
    names
}

/// Whether the client may be told of what a lease admitted; if it is not always told, then only as others may refuse.
fn shows(limit: &Limit, others: bool) -> bool {
    !limit.monitor
        && match limit.telling.shown {
            Shown::Always => true,
            Shown::Denied => others,
            Shown::Never => false,
        }
}

/// Leases that are returned on one tick.
const MOST_RETURNED: usize = 128;

/// Whether this worker's leases have what every limit with this key asks for; then it is taken from them.
fn lent<S: Outside>(
    due: &[Due<'_>],
    key: u64,
    env: &mut Env<'_, S>,
    charged: &mut Vec<Reservation>,
) -> bool {
    let now = env.now.0;
    let same = || due.iter().filter(|one| one.key == key);
    if same().any(|one| one.limit.lease == 0 || one.limit.fleet.is_some()) {
        return false;
    }
    let before = charged.len();
    for one in same() {
        let id = one.limit.id(one.quota);
        let leases = &mut env.counters.worker().leases;
        match leases.give(id, key, one.quota, one.cost, now) {
            Some(lease) => charged.push(Reservation {
                limit: one.index,
                key,
                slot: lease.mark,
                cost: one.cost,
                quota: one.quota,
            }),
            None => {
                // All or nothing.
                for (one, given) in same().zip(charged.iter().skip(before)) {
                    let id = one.limit.id(one.quota);
                    leases.take_back(id, key, given.cost, given.slot);
                }
                charged.truncate(before);
                return false;
            }
        }
    }
    if env.counters.listens() {
        tell_lent(due, key, env.counters);
    }
    true
}

#[cold]
fn tell_lent<S: Outside>(due: &[Due<'_>], key: u64, listener: &mut S) {
    for one in due.iter().filter(|one| one.key == key) {
        let leases = &listener.worker().leases;
        let lease = leases.of(one.limit.id(one.quota), key);
        listener.note(Note::Limit {
            index: one.index,
            used: lease.map_or(0, |lease| lease.used.saturating_sub(u64::from(lease.left))),
            wait_ms: 0,
        });
    }
}

#[cold]
fn tell<S: Outside>(works: &[Work], listener: &mut S) {
    for work in works {
        let wait_ms = match work.outcome {
            Outcome::Admitted { .. } => 0,
            Outcome::Refused { wait_ms, .. } => wait_ms.max(1),
        };
        listener.note(Note::Limit {
            index: work.index,
            used: work.used(),
            wait_ms,
        });
    }
}
