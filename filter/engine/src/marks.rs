//! Marks: what was used once (a signed message, a proof) and what holds no longer (a session, a token).
//!
//! ```text
//! entry  = layout u8 · dropped u40 · issued u40 · until u40 · record*        at most WAYS records
//! record = purpose u8 · tag u48 · until u40
//! ```
//! **In:** a purpose, texts that name the thing, the last second it could be accepted in, the wall clock. **Out:**
//! whether it was marked before. **Invariant:** one compare-and-swap tests and sets: of any number of workers that mark
//! one thing, exactly one is told [`Marked::Fresh`]. A mark stays until its last second is over, and nothing whose last
//! second is not later than that of a dropped mark is taken for new, so a wall clock that is set back brings nothing
//! back. A set full of living marks says [`Marked::Full`]; a revocation that finds it so goes into the set's floor
//! (`issued`, `until`: what was issued by then is revoked), which costs bystanders of the set their sessions and loses
//! none. Keys are set indexes, tags are keyed hashes: nothing a client sent is stored, nobody can aim at a set.
//! A value that cannot be read is a broken host, and refuses. **Memory:** [`Marks::memory_bytes`], whatever happens.
//! **Cost:** a load and, when something is written, a swap (at most 33 of each); linear in a set.

use alloc::vec::Vec;

use crate::env::{CounterStore, Env};
use crate::sets::{MAX_SETS, MAX_TRIES, Sets, load, swap};
use crate::sip::Sip;
use crate::units::UnixTime;
use crate::verdict::Reason;

/// Marks of one set.
const WAYS: usize = 64;

/// Marks of one set that a table is promised for. Things spread over sets by a keyed hash, and when each set is to hold
/// 24, four in 10¹² hold more than [`WAYS`] (Poisson): up to its capacity a table
/// is exact, but for that.
const PROMISED: u32 = 24;

/// Sets when the policy says nothing: 98,304 marks.
pub const DEFAULT_SETS: u32 = 4096;

/// Version of the layout; a part of every key.
const LAYOUT: u8 = 1;

const HEAD_BYTES: usize = 16;
const RECORD_BYTES: usize = 12;

/// The latest time an entry holds: 40 bits of seconds, about 34,800 years.
const MAX_TIME: u64 = (1 << 40) - 1;

/// What is marked. Marks of different purposes never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A body signed with an HMAC was accepted.
    SignedBody,
    /// A signed message was accepted.
    SignedMessage,
    /// A proof of possession was accepted.
    Proof,
    /// A request of the operator was obeyed.
    Operator,
    /// A session was revoked.
    Session,
    /// A token was revoked.
    Token,
}

impl Purpose {
    const fn code(self) -> u8 {
        match self {
            Self::SignedBody => 1,
            Self::SignedMessage => 2,
            Self::Proof => 3,
            Self::Operator => 6,
            Self::Session => 4,
            Self::Token => 5,
        }
    }
}

/// What came of marking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// It was not marked before, and is now.
    Fresh,
    /// It was marked before.
    Seen,
    /// The table cannot tell: its set is full, or the clock was set back behind what the set has dropped.
    Full,
}

/// The table of marks.
#[derive(Debug, Clone)]
pub struct Marks {
    /// Sets: a power of two (else rounded down), at most 65,536.
    pub sets: u32,
    /// Key of the hash, agreed by all VMs (the plugin's work).
    pub hash_key: [u8; 16],
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            sets: DEFAULT_SETS,
            hash_key: [0; 16],
        }
    }
}

impl Marks {
    /// Sets that hold `count` marks at a time.
    #[must_use]
    pub fn sets_for(count: u32) -> u32 {
        count
            .div_ceil(PROMISED)
            .checked_next_power_of_two()
            .unwrap_or(MAX_SETS)
            .min(MAX_SETS)
    }

    /// Marks it holds at a time without forgetting or refusing any.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.sets.saturating_mul(PROMISED)
    }

    /// Bytes of shared data when every set is full.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let entry = RECORD_BYTES.saturating_mul(WAYS).saturating_add(HEAD_BYTES);
        self.table()
            .most_bytes(u64::try_from(entry).unwrap_or(u64::MAX))
    }

    /// Tests and sets the mark of the thing that `key` names. `until` is the last second in which the thing could be
    /// accepted: the mark may be gone after it.
    ///
    /// # Errors
    /// `CountersUnavailable`, `CountersContended`.
    pub fn mark<S: CounterStore>(
        &self,
        purpose: Purpose,
        key: &[&[u8]],
        until: UnixTime,
        env: &mut Env<'_, S>,
    ) -> Result<Marked, Reason> {
        let one = Record::new(purpose, self.hash(purpose, key), until);
        self.change(one.hash, env, |set, now| {
            if set.dropped >= one.until {
                return (Marked::Full, false);
            }
            if let Some(earlier) = set.find(&one) {
                if earlier.until >= now {
                    return (Marked::Seen, false);
                }
                set.remove(&one);
            }
            if set.add(one, now) {
                (Marked::Fresh, true)
            } else {
                (Marked::Full, false)
            }
        })
    }

    /// Marks the credential that `key` names as revoked, whatever room there is. `until` is its last second; `leeway` is
    /// how far ahead of our clock the time of issue of an accepted credential may be.
    ///
    /// # Errors
    /// `CountersUnavailable`, `CountersContended`: it is not revoked.
    pub fn revoke<S: CounterStore>(
        &self,
        purpose: Purpose,
        key: &[&[u8]],
        until: UnixTime,
        leeway: u64,
        env: &mut Env<'_, S>,
    ) -> Result<(), Reason> {
        let one = Record::new(purpose, self.hash(purpose, key), until);
        self.change(one.hash, env, |set, now| {
            let earlier = set.find(&one).map(|earlier| earlier.until);
            if set.dropped >= one.until || earlier.is_some_and(|until| until >= one.until) {
                return ((), false);
            }
            set.remove(&one);
            if !set.add(one, now) {
                set.issued = set.issued.max(now.saturating_add(leeway).min(MAX_TIME));
                set.until = set.until.max(one.until);
            }
            ((), true)
        })
    }

    /// Whether a credential is revoked: marked by [`Marks::revoke`], or `issued` before the floor of its set, or at its
    /// end (`until`) behind what the set has dropped. Writes nothing.
    ///
    /// # Errors
    /// `CountersUnavailable`.
    pub fn is_revoked<S: CounterStore>(
        &self,
        purpose: Purpose,
        key: &[&[u8]],
        issued: UnixTime,
        until: UnixTime,
        env: &mut Env<'_, S>,
    ) -> Result<bool, Reason> {
        let one = Record::new(purpose, self.hash(purpose, key), until);
        let UnixTime(issued) = issued;
        let UnixTime(now) = env.wall;
        self.change(one.hash, env, |set, _| {
            let floored = issued <= set.issued && now <= set.until;
            let revoked = floored || set.dropped >= one.until || set.find(&one).is_some();
            (revoked, false)
        })
    }

    fn table(&self) -> Sets {
        Sets::new(*b"pm", LAYOUT, self.sets)
    }

    fn hash(&self, purpose: Purpose, key: &[&[u8]]) -> u64 {
        let mut sip = Sip::new(&self.hash_key);
        sip.word(u64::from(purpose.code()));
        for text in key {
            sip.text(text);
        }
        sip.finish()
    }

    /// Reads a set, lets `judge` look at it, and writes it if `judge` says so; again when somebody else wrote first.
    fn change<T, S: CounterStore>(
        &self,
        hash: u64,
        env: &mut Env<'_, S>,
        mut judge: impl FnMut(&mut Set, u64) -> (T, bool),
    ) -> Result<T, Reason> {
        let name = self.table().name(hash);
        let UnixTime(now) = env.wall;
        let now = now.min(MAX_TIME);
        let mut bytes = Vec::new();
        for _ in 0..MAX_TRIES {
            let cas = load(env.counters, &name, &mut bytes)?;
            let mut set = Set::decode(&bytes).ok_or(Reason::CountersUnavailable)?;
            let (answer, write) = judge(&mut set, now);
            if !write {
                return Ok(answer);
            }
            set.encode(&mut bytes);
            if swap(env.counters, &name, &bytes, cas)? {
                return Ok(answer);
            }
        }
        Err(Reason::CountersContended)
    }
}

#[derive(Debug, Clone, Copy)]
struct Record {
    purpose: u8,
    /// In an entry only its upper 48 bits: the lower 16 choose the set.
    hash: u64,
    until: u64,
}

impl Record {
    fn new(purpose: Purpose, hash: u64, until: UnixTime) -> Self {
        let UnixTime(until) = until;
        Self {
            purpose: purpose.code(),
            hash,
            until: until.min(MAX_TIME),
        }
    }

    const fn same(&self, other: &Self) -> bool {
        self.hash >> 16 == other.hash >> 16 && self.purpose == other.purpose
    }
}

/// One set, decoded.
#[derive(Debug, Default)]
struct Set {
    /// The latest last second of all marks that were dropped.
    dropped: u64,
    /// The floor: what was issued by `issued` is revoked, as long as it is not later than `until`.
    issued: u64,
    until: u64,
    records: Vec<Record>,
}

impl Set {
    fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let [layout, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o] = *head;
        let (records, rest) = rest.as_chunks::<RECORD_BYTES>();
        if layout != LAYOUT || !rest.is_empty() || records.len() > WAYS {
            return None;
        }
        let mut set = Self {
            dropped: u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]),
            issued: u64::from_le_bytes([f, g, h, i, j, 0, 0, 0]),
            until: u64::from_le_bytes([k, l, m, n, o, 0, 0, 0]),
            records: Vec::with_capacity(WAYS),
        };
        for record in records {
            let [purpose, a, b, c, d, e, f, g, h, i, j, k] = *record;
            set.records.push(Record {
                purpose,
                hash: u64::from_le_bytes([0, 0, a, b, c, d, e, f]),
                until: u64::from_le_bytes([g, h, i, j, k, 0, 0, 0]),
            });
        }
        Some(set)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        out.push(LAYOUT);
        for time in [self.dropped, self.issued, self.until] {
            push_time(out, time);
        }
        for record in &self.records {
            let [_, _, a, b, c, d, e, f] = record.hash.to_le_bytes();
            out.extend_from_slice(&[record.purpose, a, b, c, d, e, f]);
            push_time(out, record.until);
        }
    }

    fn find(&self, one: &Record) -> Option<Record> {
        self.records.iter().find(|other| other.same(one)).copied()
    }

    fn remove(&mut self, one: &Record) {
        self.records.retain(|other| !other.same(one));
    }

    /// Adds a record. When the set is full, those whose last second is over are dropped first.
    fn add(&mut self, one: Record, now: u64) -> bool {
        if self.records.len() >= WAYS {
            let mut dropped = self.dropped;
            self.records.retain(|other| {
                let lives = other.until >= now;
                if !lives {
                    dropped = dropped.max(other.until);
                }
                lives
            });
            self.dropped = dropped;
        }
        let room = self.records.len() < WAYS;
        if room {
            self.records.push(one);
        }
        room
    }
}

/// The low 40 bits.
fn push_time(out: &mut Vec<u8>, time: u64) {
    let [a, b, c, d, e, ..] = time.min(MAX_TIME).to_le_bytes();
    out.extend_from_slice(&[a, b, c, d, e]);
}

#[cfg(test)]
mod tests;
