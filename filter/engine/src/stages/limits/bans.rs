//! Bans: who is stopped on every route (or on one), until when, and what led there.
//!
//! ```text
//! group  = record*        the group `BANS` of a set's entry (`entry.rs`), at most `ways` records
//! record = tag u48 · kind u8 · rule u32 · time u48 · span u32 · count u24
//! ```
//! **In:** who makes a request, what is held against it, the monotonic clock. **Out:** whether a ban stands; what a further
//! excess led to. **Invariant:** there is one ban for a client, a client on a route, or a subject, whoever set it, and one
//! count of excesses for each rule; a compare-and-swap writes both, so of any number of workers exactly one begins a ban, and
//! it holds for all. A ban never gets shorter but by an operator. Bans stand in the entry where limits count their client (or
//! subject): one load is enough for both, and a ban needs no limit that has met its client. A client's bans on routes stand
//! there too. A request that is stopped writes nothing. What was only monitored is a record of its own kind and stops nobody.
//! When a set is full, what counts no more goes first, then counts of excesses and what is remembered of past bans, then the
//! ban that ends soonest (an operator's last): whoever loses a ban still meets its limits, and the event and a metric say
//! so. A record that cannot be read, or of a time no policy can set, is a broken host: it is told, taken for none, and gone
//! with the next excess.
//! **Memory:** a part of the table's, [`Bans::memory_bytes`]. **Cost:** a look is linear in a group of [`MOST_WAYS`] records at
//! most, and a load where no limit is counted in the same set.

use alloc::vec::Vec;

use super::bytes::{MAX_TIME, Reader, push_time, push_u24, push_u32};
use super::entry::GROUP_BYTES;
use super::key::{self, Facts, KeyPart, Missing};
use super::limit::Phase;
use super::penalty::{Penalty, Scope, Signal};
use super::table::{DEFAULT_SETS, Seen, Table};
use crate::env::{Env, Outside, TableEvent};
use crate::request::client_addr::Network;
use crate::sets::MAX_SETS;
use crate::sip::Sip;
use crate::verdict::Reason;

/// Records that a set has room for when it is promised to hold 1, 2, 3 …: spread by a keyed hash, a set meets more in less
/// than five cases of ten million (Poisson).
const WAYS: [u8; 12] = [9, 12, 15, 17, 19, 21, 23, 25, 27, 29, 31, 32];

/// Records of a set at most: the last of [`WAYS`].
const MOST_WAYS: usize = 32;

/// Records of a set that a table is promised for, at most.
const MOST_PROMISED: u32 = 12;

/// Records that the table holds when the policy says nothing.
const DEFAULT_COUNT: u32 = 16_384;

const RECORD_BYTES: usize = 24;

/// The longest ban, window and time of decay: what is further away was not written by us.
pub const LONGEST_MS: u64 = 30 * 86_400_000;

/// What an operator's bans are called; no limit has such a name.
pub(super) const OPERATOR: &[u8] = b"operator:by-hand";

/// How long an operator's ban is remembered if there was no other.
const DAY_MS: u64 = 86_400_000;

/// The highest level, and the most excesses counted.
const MAX_COUNT: u32 = (1 << 24) - 1;

/// How many bans the table holds, and which requests are looked up in it.
#[derive(Debug, Clone)]
pub struct Bans {
    /// Bans that it is promised to hold at a time.
    pub count: u32,
    /// Sets of the table that it shares with limits.
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
            count: DEFAULT_COUNT,
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
    /// The fewest sets that hold `count` records at a time.
    #[must_use]
    pub fn sets_for(count: u32) -> u32 {
        count
            .div_ceil(MOST_PROMISED)
            .checked_next_power_of_two()
            .unwrap_or(MAX_SETS)
            .min(MAX_SETS)
    }

    /// Records it holds at a time without dropping any that counts.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.sets.saturating_mul(self.promised())
    }

    /// Records of a set that it is promised for.
    const fn promised(&self) -> u32 {
        let sets = if self.sets == 0 { 1 } else { self.sets };
        let each = self.count.div_ceil(sets);
        if each > MOST_PROMISED {
            MOST_PROMISED
        } else {
            each
        }
    }

    /// Records that a set has room for.
    fn ways(&self) -> usize {
        let promised = usize::try_from(self.promised()).unwrap_or(MOST_WAYS);
        let ways = WAYS.get(promised.saturating_sub(1));
        usize::from(ways.copied().unwrap_or(9))
    }

    /// Bytes of a full group.
    pub(super) fn group_bytes(&self) -> u64 {
        if !self.is_used() {
            return 0;
        }
        let records = RECORD_BYTES.saturating_mul(self.ways());
        GROUP_BYTES.saturating_add(u64::try_from(records).unwrap_or(u64::MAX))
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

    /// Bytes of shared data that they take when every set is full: a part of what the table takes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.group_bytes().saturating_mul(u64::from(self.sets))
    }

    /// Takes note of what a penalty can do.
    pub fn learn(&mut self, penalty: &Penalty, monitor: bool) {
        match penalty.scope {
            Scope::Client | Scope::Route => self.clients = true,
            Scope::Subject => self.subjects = true,
        }
        self.enforces |= !monitor;
    }
}

impl Seen {
    /// The bans that stand: of the client, everywhere and on the route, or of the subject.
    pub(super) fn stands<S: Outside>(
        &self,
        who: &Who,
        scope: Scope,
        env: &mut Env<'_, S>,
    ) -> Stands {
        let mut stands = Stands::default();
        let Some(first) = who.identity(scope) else {
            return stands;
        };
        let also = match scope {
            Scope::Client => Some((Scope::Route, who.route)),
            Scope::Route | Scope::Subject => None,
        };
        let (now, body) = self.bans(env.now);
        if !is_sound(body, now) {
            env.counters.table(TableEvent::Unreadable);
        }
        for record in records(body, now) {
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
        stands
    }
}

impl Table<'_> {
    /// The bans that stand of somebody, and the set as it was read. Writes nothing.
    ///
    /// # Errors
    /// `CountersUnavailable`.
    pub(super) fn look<S: Outside>(
        self,
        who: &Who,
        scope: Scope,
        env: &mut Env<'_, S>,
    ) -> Result<(Stands, Option<Seen>), Reason> {
        let Some(first) = who.identity(scope) else {
            return Ok((Stands::default(), None));
        };
        let seen = self.see(first.set, env)?;
        Ok((seen.stands(who, scope, env), Some(seen)))
    }

    /// Counts an excess, and bans when it was one too many.
    ///
    /// # Errors
    /// `CountersUnavailable`, `CountersContended`: it is not counted.
    pub(super) fn strike<S: Outside>(
        self,
        who: Identity,
        excess: Excess<'_>,
        env: &mut Env<'_, S>,
    ) -> Result<Struck, Reason> {
        let struck = self.change(who, env, |set, now| set.strike(who.tag, excess, now))?;
        if let Struck::Banned { dropped: true, .. } = struck {
            env.counters.table(TableEvent::BanDropped);
        }
        Ok(struck)
    }

    /// What the table holds of somebody. Writes nothing.
    ///
    /// # Errors
    /// `CountersUnavailable`.
    pub(super) fn show<S: Outside>(
        self,
        who: Identity,
        env: &mut Env<'_, S>,
    ) -> Result<Held, Reason> {
        self.change(who, env, |set, now| (set.held(who.tag, now), false))
    }

    /// Takes away all that the table holds of somebody.
    ///
    /// # Errors
    /// `CountersUnavailable`, `CountersContended`.
    pub(super) fn lift<S: Outside>(
        self,
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
    pub(super) fn ban<S: Outside>(
        self,
        who: Identity,
        ms: u64,
        env: &mut Env<'_, S>,
    ) -> Result<Held, Reason> {
        let (held, dropped) = self.change(who, env, |set, now| {
            let earlier = set.ban(who.tag, false);
            set.records.retain(|record| Some(*record) != earlier);
            let level = earlier.map_or(0, |ban| ban.level(now));
            let dropped = set.add(
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
            ((set.held(who.tag, now), dropped), true)
        })?;
        if dropped {
            env.counters.table(TableEvent::BanDropped);
        }
        Ok(held)
    }

    /// Reads a set, lets `judge` change it, and writes it if `judge` says so; again when somebody else wrote first.
    fn change<T, S: Outside>(
        self,
        who: Identity,
        env: &mut Env<'_, S>,
        mut judge: impl FnMut(&mut Set, u64) -> (T, bool),
    ) -> Result<T, Reason> {
        let ways = self.bans().ways();
        self.change_bans(who.set, env, |body, now, out| {
            let mut set = Set {
                records: Vec::new(),
                ways,
            };
            set.records
                .extend(records(body, now).filter(|record| record.lives(now)));
            let (answer, write) = judge(&mut set, now);
            if !write {
                return (answer, None);
            }
            (answer, Some(set.encode(out)))
        })
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

    /// The last time at which it may say anything.
    fn gone_by(&self) -> u64 {
        let kept = match self.kind {
            Kind::Excess => self.span,
            Kind::Ban | Kind::Monitored | Kind::Operator => {
                self.span.saturating_mul(u64::from(self.count))
            }
        };
        self.time.saturating_add(kept).min(MAX_TIME)
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

/// The records of a group that can be read.
fn records(body: &[u8], now: u64) -> impl Iterator<Item = Record> {
    let (records, _) = body.as_chunks::<RECORD_BYTES>();
    records
        .iter()
        .take(MOST_WAYS)
        .filter_map(move |bytes| Record::decode(bytes, now))
}

/// Whether all of a group can be read.
fn is_sound(body: &[u8], now: u64) -> bool {
    let (records, rest) = body.as_chunks::<RECORD_BYTES>();
    rest.is_empty()
        && records.len() <= MOST_WAYS
        && records
            .iter()
            .all(|bytes| Record::decode(bytes, now).is_some())
}

/// One set, decoded: what still says something.
#[derive(Debug)]
struct Set {
    records: Vec<Record>,
    /// How many it has room for.
    ways: usize,
}

impl Set {
    /// Writes it, and says when nothing of it counts any more.
    fn encode(&self, out: &mut Vec<u8>) -> u64 {
        for record in &self.records {
            record.encode(out);
        }
        self.records
            .iter()
            .fold(0, |last, record| last.max(record.gone_by()))
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

    /// Adds a record; of a full set the least goes, which may be this one (more of them where a reload left less room).
    /// Whether it was a ban that stood.
    fn add(&mut self, record: Record, now: u64) -> bool {
        self.records.push(record);
        let mut stood = false;
        while self.records.len() > self.ways {
            let least = self
                .records
                .iter()
                .min_by_key(|record| record.weight(now))
                .copied();
            let Some(least) = least else {
                break;
            };
            self.records.retain(|record| *record != least);
            stood |= least.stops(now);
        }
        stood
    }
}

#[cfg(test)]
mod tests;
