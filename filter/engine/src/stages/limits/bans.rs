//! Bans: who is stopped on every route (or on one), until when, and what led there.
//!
//! ```text
//! entry  = layout u8 · newest u48 · record*        at most WAYS records
//! record = tag u48 · kind u8 · rule u32 · time u48 · span u32 · count u24
//! ```
//! **In:** who makes a request, what is held against it, the monotonic clock. **Out:** whether a ban stands; what a further
//! excess led to. **Invariant:** there is one ban for a client, a client on a route, or a subject, whoever set it, and one
//! count of excesses for each rule; a compare-and-swap writes both, so of any number of workers exactly one begins a ban, and
//! it holds for all. A ban never gets shorter but by an operator. A client's bans on routes stand in the client's set, so one load sees
//! them all. A request that is stopped writes nothing. What was only monitored is a record of its own kind and stops nobody. When a set is full,
//! what counts no more goes first, then counts of excesses and what is remembered of past bans, then the ban that ends
//! soonest (an operator's last): whoever loses a ban still meets its limits, and the event says so. A value that cannot be
//! read, or a time no policy can set, is a broken host: taken for none, and written anew with the next excess.
//! **Memory:** [`Bans::memory_bytes`], whatever happens. **Cost:** a look is one load, linear in a set of [`WAYS`] records.

use alloc::vec::Vec;

use super::bytes::{MAX_TIME, Reader, push_time, push_u24, push_u32};
use super::key::{self, Facts, KeyPart, Missing};
use super::limit::Phase;
use super::penalty::{Penalty, Scope, Signal};
use crate::env::{CounterStore, Env};
use crate::request::client_addr::Network;
use crate::sets::{MAX_SETS, MAX_TRIES, Sets, load, swap};
use crate::sip::Sip;
use crate::verdict::Reason;

/// Records of one set.
const WAYS: usize = 32;

/// Records of one set that a table is promised for: spread by a keyed hash, a set that is to hold 12 holds more than
/// [`WAYS`] in four cases of ten million (Poisson).
const PROMISED: u32 = 12;

/// Sets when the policy says nothing: 24,576 records.
const DEFAULT_SETS: u32 = 2048;

/// Version of the layout; a part of every key.
const LAYOUT: u8 = 1;

const HEAD_BYTES: usize = 7;
const RECORD_BYTES: usize = 24;

/// The longest ban, window and time of decay: what is further away was not written by us.
pub const LONGEST_MS: u64 = 30 * 86_400_000;

/// What an operator's bans are called; no limit has such a name.
pub(super) const OPERATOR: &[u8] = b"operator:by-hand";

/// How long an operator's ban is remembered if there was no other.
const DAY_MS: u64 = 86_400_000;

/// The highest level, and the most excesses counted.
const MAX_COUNT: u32 = (1 << 24) - 1;

/// The table of bans, and which requests are looked up in it.
#[derive(Debug, Clone)]
pub struct Bans {
    /// Sets: a power of two (else rounded down), at most 65,536.
    pub sets: u32,
    /// Something can ban clients, or clients on a route.
    pub clients: bool,
    /// Something can ban subjects.
    pub subjects: bool,
    /// Something can do so that is not only monitored.
    pub enforces: bool,
    /// What leads to bans beside penalties of limits.
    pub signals: Vec<Signal>,
    /// Addresses that are never banned.
    pub allow: Vec<Network>,
}

impl Default for Bans {
    fn default() -> Self {
        Self {
            sets: DEFAULT_SETS,
            clients: false,
            subjects: false,
            enforces: false,
            signals: Vec::new(),
            allow: Vec::new(),
        }
    }
}

/// Whom a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// Chooses the set.
    set: u64,
    tag: u64,
}

/// Who asks, as far as bans tell people apart. Owned, small, opaque.
#[derive(Debug, Clone, Copy)]
pub struct Who {
    client: Identity,
    route: Identity,
    /// Nobody: anonymous, or not known yet.
    subject: Option<Identity>,
}

/// A ban that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) scope: Scope,
    /// Hash of the name of the rule that set it.
    pub(super) rule: u32,
    pub(super) wait_ms: u64,
}

/// Bans that stand, the longest of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stands {
    pub(super) enforced: Option<Standing>,
    pub(super) monitored: Option<Standing>,
}

/// What a further excess led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Struck {
    /// It is counted (or a ban stands already).
    Noted,
    /// A ban.
    Banned {
        wait_ms: u64,
        /// A ban that stood was dropped for want of room: this one or another.
        dropped: bool,
    },
}

/// What the table holds of somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Milliseconds of the ban that stands; 0: none does.
    pub(super) wait_ms: u64,
    pub(super) rule: u32,
    /// Bans that are remembered, this one among them.
    pub(super) level: u32,
    /// Excesses that count: the rule and how many.
    pub(super) excesses: Vec<(u32, u32)>,
}

/// What is held against whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Excess<'p> {
    pub(super) penalty: &'p Penalty,
    /// Hash of the rule's name.
    pub(super) rule: u32,
    pub(super) points: u32,
    /// Only to be reported.
    pub(super) monitor: bool,
}

impl Bans {
    /// Sets that hold `count` records at a time.
    #[must_use]
    pub fn sets_for(count: u32) -> u32 {
        count
            .div_ceil(PROMISED)
            .checked_next_power_of_two()
            .unwrap_or(MAX_SETS)
            .min(MAX_SETS)
    }

    /// Records it holds at a time without dropping any that counts.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.sets.saturating_mul(PROMISED)
    }

    /// Whether anything can ban.
    #[must_use]
    pub const fn is_used(&self) -> bool {
        self.clients || self.subjects
    }

    /// Whether somebody may be stopped by a ban in this phase.
    pub(super) const fn stop_in(&self, phase: Phase) -> bool {
        match phase {
            Phase::Client => self.clients,
            Phase::Subject => self.subjects,
            Phase::Credential | Phase::Field => false,
        }
    }

    /// Bytes of shared data when every set is full.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let entry = RECORD_BYTES.saturating_mul(WAYS).saturating_add(HEAD_BYTES);
        self.table()
            .most_bytes(u64::try_from(entry).unwrap_or(u64::MAX))
    }

    /// Takes note of what a penalty can do.
    pub fn learn(&mut self, penalty: &Penalty, monitor: bool) {
        match penalty.scope {
            Scope::Client | Scope::Route => self.clients = true,
            Scope::Subject => self.subjects = true,
        }
        self.enforces |= !monitor;
    }

    fn table(&self) -> Sets {
        Sets::new(*b"pb", LAYOUT, self.sets)
    }

    /// The bans that stand: of the client, everywhere and on the route, or of the subject. Writes nothing.
    ///
    /// # Errors
    /// `CountersUnavailable`.
    pub(super) fn look<S: CounterStore>(
        &self,
        who: &Who,
        scope: Scope,
        env: &mut Env<'_, S>,
    ) -> Result<Stands, Reason> {
        let mut stands = Stands::default();
        let Some(first) = who.identity(scope) else {
            return Ok(stands);
        };
        let also = match scope {
            Scope::Client => Some((Scope::Route, who.route)),
            Scope::Route | Scope::Subject => None,
        };
        let mut entry = Vec::new();
        load(env.counters, &self.table().name(first.set), &mut entry)?;
        let (now, records) = open(&entry, env.now.0);
        for record in records {
            let mut suspects = core::iter::once((scope, first)).chain(also);
            let Some((scope, _)) = suspects.find(|(_, one)| one.tag == record.tag) else {
                continue;
            };
            let slot = match record.kind {
                Kind::Ban | Kind::Operator => &mut stands.enforced,
                Kind::Monitored => &mut stands.monitored,
                Kind::Excess => continue,
            };
            let wait_ms = record.time.saturating_sub(now);
            if wait_ms > 0 && slot.is_none_or(|other| other.wait_ms < wait_ms) {
                *slot = Some(Standing {
                    scope,
                    rule: record.rule,
                    wait_ms,
                });
            }
        }
        Ok(stands)
    }

    /// Counts an excess, and bans when it was one too many.
    ///
    /// # Errors
    /// `CountersUnavailable`, `CountersContended`: it is not counted.
    pub(super) fn strike<S: CounterStore>(
        &self,
        who: Identity,
        excess: Excess<'_>,
        env: &mut Env<'_, S>,
    ) -> Result<Struck, Reason> {
        self.change(who, env, |set, now| set.strike(who.tag, excess, now))
    }

    /// What the table holds of somebody. Writes nothing.
    ///
    /// # Errors
    /// `CountersUnavailable`.
    pub(super) fn show<S: CounterStore>(
        &self,
        who: Identity,
        env: &mut Env<'_, S>,
    ) -> Result<Held, Reason> {
        self.change(who, env, |set, now| (set.held(who.tag, now), false))
    }

    /// Takes away all that the table holds of somebody.
    ///
    /// # Errors
    /// `CountersUnavailable`, `CountersContended`.
    pub(super) fn lift<S: CounterStore>(
        &self,
        who: Identity,
        env: &mut Env<'_, S>,
    ) -> Result<Held, Reason> {
        self.change(who, env, |set, now| {
            let before = set.records.len();
            set.records.retain(|record| record.tag != who.tag);
            (set.held(who.tag, now), set.records.len() != before)
        })
    }

    /// Bans somebody by hand, in the place of what stands; the level stays.
    ///
    /// # Errors
    /// `CountersUnavailable`, `CountersContended`.
    pub(super) fn set<S: CounterStore>(
        &self,
        who: Identity,
        ms: u64,
        env: &mut Env<'_, S>,
    ) -> Result<Held, Reason> {
        self.change(who, env, |set, now| {
            let earlier = set.ban(who.tag, false);
            set.records.retain(|record| Some(*record) != earlier);
            let level = earlier.map_or(0, |ban| ban.level(now));
            set.add(
                Record {
                    tag: who.tag,
                    kind: Kind::Operator,
                    rule: rule(OPERATOR),
                    time: now.saturating_add(ms.min(LONGEST_MS)).min(MAX_TIME),
                    span: earlier.map_or(DAY_MS, |ban| ban.span),
                    count: level.max(1),
                },
                now,
            );
            (set.held(who.tag, now), true)
        })
    }

    /// Reads a set, lets `judge` change it, and writes it if `judge` says so; again when somebody else wrote first.
    fn change<T, S: CounterStore>(
        &self,
        who: Identity,
        env: &mut Env<'_, S>,
        mut judge: impl FnMut(&mut Set, u64) -> (T, bool),
    ) -> Result<T, Reason> {
        let name = self.table().name(who.set);
        let mut bytes = Vec::new();
        for _ in 0..MAX_TRIES {
            let cas = load(env.counters, &name, &mut bytes)?;
            let (now, records) = open(&bytes, env.now.0);
            let mut set = Set {
                records: records.filter(|record| record.lives(now)).collect(),
            };
            let (answer, write) = judge(&mut set, now);
            if !write {
                return Ok(answer);
            }
            set.encode(now, &mut bytes);
            if swap(env.counters, &name, &bytes, cas)? {
                return Ok(answer);
            }
        }
        Err(Reason::CountersContended)
    }
}

impl Who {
    pub(super) fn new(secret: &[u8; 16], facts: &Facts<'_>) -> Option<Self> {
        let hash = |part| key::hash(secret, &[part], Missing::Skip, facts);
        let client = hash(KeyPart::CLIENT)?;
        let mut route = Sip::new(secret);
        route.word(client);
        route.text(facts.route);
        let of = |set, hash: u64| Identity {
            set,
            tag: hash >> 16,
        };
        Some(Self {
            client: of(client, client),
            route: of(client, route.finish()),
            subject: hash(KeyPart::Subject).map(|subject| of(subject, subject)),
        })
    }

    /// Whom a ban of this scope stops; nobody: there is no subject.
    pub(super) const fn identity(&self, scope: Scope) -> Option<Identity> {
        match scope {
            Scope::Client => Some(self.client),
            Scope::Route => Some(self.route),
            Scope::Subject => self.subject,
        }
    }
}

/// What stands for a rule's name in a record (FNV-1a): a limit whose quota changes keeps what it led to.
pub(super) fn rule(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Excesses under one rule: `count` since `time`, gone `span` later.
    Excess,
    /// A ban until `time`, the `count`-th; a level is forgotten every `span` after it.
    Ban,
    /// The same, only reported.
    Monitored,
    /// The same, set by an operator.
    Operator,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Excess => 1,
            Self::Ban => 2,
            Self::Monitored => 3,
            Self::Operator => 4,
        }
    }

    const fn of(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Excess),
            2 => Some(Self::Ban),
            3 => Some(Self::Monitored),
            4 => Some(Self::Operator),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    tag: u64,
    kind: Kind,
    rule: u32,
    /// Milliseconds of the monotonic clock.
    time: u64,
    /// Milliseconds.
    span: u64,
    count: u32,
}

impl Record {
    /// `None`: of a kind, or with a time, that is not ours.
    fn decode(bytes: &[u8; RECORD_BYTES], now: u64) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let record = Self {
            tag: reader.time()?,
            kind: Kind::of(reader.u8()?)?,
            rule: reader.u32()?,
            time: reader.time()?,
            span: u64::from(reader.u32()?),
            count: reader.u24()?,
        };
        (record.time <= now.saturating_add(LONGEST_MS)).then_some(record)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        push_time(out, self.tag);
        out.push(self.kind.code());
        push_u32(out, self.rule);
        push_time(out, self.time);
        push_u32(out, u32::try_from(self.span).unwrap_or(u32::MAX));
        push_u24(out, self.count.min(MAX_COUNT));
    }

    /// Whether it says anything at `now`.
    fn lives(&self, now: u64) -> bool {
        match self.kind {
            Kind::Excess => now.saturating_sub(self.time) <= self.span,
            Kind::Ban | Kind::Monitored | Kind::Operator => self.time > now || self.level(now) > 0,
        }
    }

    /// How many bans are remembered.
    fn level(&self, now: u64) -> u32 {
        let quiet = now.saturating_sub(self.time);
        let forgotten = quiet.checked_div(self.span).unwrap_or(u64::MAX);
        self.count
            .saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }

    /// How much is lost when it goes.
    const fn weight(&self, now: u64) -> (u8, u64) {
        let class = match self.kind {
            Kind::Operator if self.time > now => 3,
            Kind::Ban if self.time > now => 2,
            Kind::Ban | Kind::Operator => 1,
            Kind::Excess | Kind::Monitored => 0,
        };
        (class, self.time)
    }

    const fn stops(&self, now: u64) -> bool {
        matches!(self.kind, Kind::Ban | Kind::Operator) && self.time > now
    }
}

/// The time to judge by, never before the newest of the entry, and the records that can be read.
fn open(entry: &[u8], now: u64) -> (u64, impl Iterator<Item = Record>) {
    let mut reader = Reader::new(entry);
    let newest = match (reader.u8(), reader.time()) {
        (Some(LAYOUT), Some(newest)) => Some(newest),
        _ => None,
    };
    let now = now.min(MAX_TIME).max(newest.unwrap_or(0));
    let (records, _) = match newest {
        Some(_) => reader.rest.as_chunks::<RECORD_BYTES>(),
        None => (&[][..], &[][..]),
    };
    let records = records
        .iter()
        .take(WAYS)
        .filter_map(move |bytes| Record::decode(bytes, now));
    (now, records)
}

/// One set, decoded: what still says something.
#[derive(Debug)]
struct Set {
    records: Vec<Record>,
}

impl Set {
    fn encode(&self, now: u64, out: &mut Vec<u8>) {
        out.clear();
        out.push(LAYOUT);
        push_time(out, now);
        for record in &self.records {
            record.encode(out);
        }
    }

    /// The ban of its kind (an operator's is a ban like any other).
    fn ban(&self, tag: u64, monitor: bool) -> Option<Record> {
        let of = |kind| match kind {
            Kind::Excess => false,
            Kind::Monitored => monitor,
            Kind::Ban | Kind::Operator => !monitor,
        };
        self.records
            .iter()
            .find(|record| record.tag == tag && of(record.kind))
            .copied()
    }

    fn held(&self, tag: u64, now: u64) -> Held {
        let mut held = Held::default();
        if let Some(ban) = self.ban(tag, false) {
            held.wait_ms = ban.time.saturating_sub(now);
            held.rule = ban.rule;
            held.level = ban.level(now);
        }
        for record in &self.records {
            if record.tag == tag && record.kind == Kind::Excess {
                held.excesses.push((record.rule, record.count));
            }
        }
        held
    }

    fn strike(&mut self, tag: u64, excess: Excess<'_>, now: u64) -> (Struck, bool) {
        let Excess {
            penalty,
            rule,
            points,
            monitor,
        } = excess;
        let earlier = self.ban(tag, monitor);
        if earlier.is_some_and(|ban| ban.time > now) {
            return (Struck::Noted, false);
        }
        let counted = |record: &Record| {
            record.kind == Kind::Excess && record.tag == tag && record.rule == rule
        };
        let mut noted = self
            .records
            .iter()
            .copied()
            .find(counted)
            .unwrap_or(Record {
                tag,
                kind: Kind::Excess,
                rule,
                time: now,
                span: 0,
                count: 0,
            });
        self.records.retain(|record| !counted(record));
        noted.span = penalty.window.ms.min(LONGEST_MS);
        if now.saturating_sub(noted.time) > noted.span {
            noted.time = now;
            noted.count = 0;
        }
        noted.count = noted.count.saturating_add(points).min(MAX_COUNT);
        if noted.count < penalty.after {
            self.add(noted, now);
            return (Struck::Noted, true);
        }
        let level = earlier.map_or(0, |ban| ban.level(now));
        let length = penalty.length_ms(level).min(LONGEST_MS);
        if let Some(earlier) = earlier {
            self.records.retain(|record| *record != earlier);
        }
        let level = level.saturating_add(1).min(MAX_COUNT);
        let ban = Record {
            tag,
            kind: if monitor { Kind::Monitored } else { Kind::Ban },
            rule,
            time: now.saturating_add(length).min(MAX_TIME),
            span: penalty.decay.ms.clamp(1, LONGEST_MS),
            count: level,
        };
        let banned = Struck::Banned {
            wait_ms: ban.time.saturating_sub(now),
            dropped: self.add(ban, now),
        };
        (banned, true)
    }

    /// Adds a record; of a full set the least goes, which may be this one. Whether it was a ban that stood.
    fn add(&mut self, record: Record, now: u64) -> bool {
        self.records.push(record);
        if self.records.len() <= WAYS {
            return false;
        }
        let least = self
            .records
            .iter()
            .min_by_key(|record| record.weight(now))
            .copied();
        let Some(least) = least else {
            return false;
        };
        self.records.retain(|record| *record != least);
        least.stops(now)
    }
}

#[cfg(test)]
mod tests;
