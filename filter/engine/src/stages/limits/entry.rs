//! One set of the table: a packed value of the store.
//!
//! ```text
//! entry  = layout u8 · newest u48 · group*
//! group  = limit id u32 · gone-by u48 · length u16 · record*        at most `ways` records and one floor
//! record = length u16 · tag u48 · shape u24 · counts
//! ```
//! The group [`BANS`] is not a limit's: it holds the set's bans (`bans.rs`).
//! **In:** stored bytes. **Out:** the [`Slot`] of a client; the bytes of the next value.
//! **Invariant:** `newest` never decreases and all times are taken as at least it. When a group is full, an expired
//! record goes first, then the emptiest, which is joined into the group's floor ([`Counts::join`]); a client
//! without a record starts from the floor. So a client's record always counts at least what it was charged, and
//! the floor counts at least what every evicted client was charged. What cannot be read is dropped (the key holds
//! the layout's version and only this module writes it, so a broken value is a broken host): never a panic.
//! **Cost:** linear in the value; other clients' records are copied, not decoded, unless one must go.

use alloc::vec::Vec;

use super::bytes::{MAX_TIME, Reader, close, open, push_time, push_u24, push_u32};
use super::concurrency::Held;
use super::counts::{Counts, Rule};
use super::presence::Presence;

/// Version of the layout; a part of every key.
pub(super) const LAYOUT: u8 = 3;

/// The group of bans. No limit has this id.
pub(super) const BANS: u32 = 0;

/// The record that newcomers start from. No client has this tag.
pub(super) const FLOOR: u64 = MAX_TIME;

const SHAPE: u32 = (1 << 20) - 1;

/// Bytes of an entry before its groups, of a group and of a record around their contents.
pub(super) const ENTRY_BYTES: u64 = 7;
pub(super) const GROUP_BYTES: u64 = 12;
pub(super) const RECORD_BYTES: u64 = 2 + 6 + 3;

/// The state of one client under one limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) counts: Counts,
    /// Whether the client has a record; if not, `counts` are the floor.
    pub(super) resident: bool,
}

impl Slot {
    fn decode(payload: &[u8], rule: Rule, now: u64) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let shape = reader.u24()?;
        let counts = Counts::decode(&mut reader, shape & SHAPE, rule, now)?;
        Some(Self {
            counts,
            resident: true,
        })
    }

    fn encode(&self, tag: u64, out: &mut Vec<u8>) {
        if self.is_void() {
            return;
        }
        let at = open(out);
        push_time(out, tag);
        push_u24(out, self.counts.shape() & SHAPE);
        self.counts.encode(out);
        if close(out, at).is_none() {
            out.truncate(at);
        }
    }

    /// Nothing in it counts any more.
    fn is_void(&self) -> bool {
        self.counts.weight() == 0
    }

    /// How much is lost when this record goes.
    fn weight(&self) -> u64 {
        self.counts.weight()
    }
}

/// The newest time of an entry; 0 when there is none.
pub(super) fn newest(entry: &[u8]) -> u64 {
    let mut reader = Reader::new(entry);
    match reader.u8() {
        Some(LAYOUT) => reader.time().unwrap_or(0),
        _ => 0,
    }
}

/// Whether all of an entry can be read (none is one). What a broken host left is dropped with the next write.
pub(super) fn is_sound(entry: &[u8]) -> bool {
    let mut reader = Reader::new(entry);
    if entry.is_empty() {
        return true;
    }
    if reader.u8() != Some(LAYOUT) || reader.time().is_none() {
        return false;
    }
    while !reader.rest.is_empty() {
        let head = (reader.u32(), reader.time());
        let body = reader
            .u16()
            .and_then(|length| reader.take(usize::from(length)));
        if let ((None, _) | (_, None), _) | (_, None) = (head, body) {
            return false;
        }
    }
    true
}

/// The client's state under the limit `id` at `now` (which must be at least [`newest`]).
pub(super) fn slot(entry: &[u8], id: u32, tag: u64, rule: Rule, now: u64) -> Slot {
    let mut found = None;
    let mut floor = None;
    if let Some(group) = groups(entry).find(|group| group.id == id && group.gone_by >= now) {
        for record in records(group.body) {
            if record.tag == tag {
                found = Slot::decode(record.payload, rule, now);
                break;
            }
            if record.tag == FLOOR {
                floor = Slot::decode(record.payload, rule.of_others(), now);
            }
        }
    }
    found.unwrap_or_else(|| Slot {
        counts: floor.map_or_else(|| Counts::empty(rule, now), |floor| floor.counts),
        resident: false,
    })
}

/// The records of the limit `id`, or of [`BANS`].
pub(super) fn body(entry: &[u8], id: u32, now: u64) -> &[u8] {
    groups(entry)
        .find(|group| group.id == id && group.gone_by >= now)
        .map_or(&[], |group| group.body)
}

/// A client's new state under one limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'c> {
    pub(super) id: u32,
    pub(super) next: Next<'c>,
}

/// The state.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next<'c> {
    Charged {
        rule: Rule,
        slot: &'c Slot,
    },
    InFlight {
        held: &'c Held,
        presence: &'c Presence,
    },
    /// All bans of the set, as they are written.
    Bans {
        body: &'c [u8],
        gone_by: u64,
    },
}

impl Next<'_> {
    /// When nothing of it counts any more.
    fn gone_by(self, now: u64) -> u64 {
        match self {
            Self::Charged { rule, .. } => rule.gone_by(now),
            // A request may take as long as it likes.
            Self::InFlight { .. } => MAX_TIME,
            Self::Bans { gone_by, .. } => gone_by,
        }
    }
}

/// Whose state is written, when, and into sets of which size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visit {
    pub(super) tag: u64,
    pub(super) now: u64,
    pub(super) ways: usize,
}

/// Writes the value that follows `entry`: `changes` for the visiting client, everything else as it was.
/// With `only`, groups of limits that are not in it are left out (they are of an older policy). Returns how many
/// clients had to make room.
pub(super) fn rewrite(
    entry: &[u8],
    visit: Visit,
    changes: &[Change<'_>],
    only: Option<&[u32]>,
    out: &mut Vec<u8>,
) -> u32 {
    let now = visit.now;
    let mut evicted = 0_u32;
    out.clear();
    out.push(LAYOUT);
    push_time(out, now);
    for group in groups(entry).filter(|group| group.gone_by >= now) {
        let changed = changes.iter().any(|change| change.id == group.id);
        if !changed && only.is_none_or(|ids| ids.contains(&group.id)) {
            out.extend_from_slice(group.whole);
        }
    }
    for change in changes {
        let old = groups(entry).find(|group| group.id == change.id && group.gone_by >= now);
        let at = out.len();
        push_u32(out, change.id);
        let gone_by = change.next.gone_by(now);
        push_time(
            out,
            old.as_ref().map_or(gone_by, |old| old.gone_by.max(gone_by)),
        );
        let body = open(out);
        let records = old.map_or(&[][..], |old| old.body);
        match change.next {
            Next::Charged { rule, slot } => {
                let gone = rewrite_records(records, visit, rule, slot, out);
                evicted = evicted.saturating_add(gone);
            }
            Next::InFlight { held, presence } => held.write(records, visit.tag, presence, out),
            Next::Bans { body, .. } => out.extend_from_slice(body),
        }
        let empty = out.len() == body.saturating_add(2);
        if empty || close(out, body).is_none() {
            out.truncate(at);
        }
    }
    evicted
}

/// Writes the records of a group, the changed one last: the order is that of the last charge.
fn rewrite_records(old: &[u8], visit: Visit, rule: Rule, new: &Slot, out: &mut Vec<u8>) -> u32 {
    let Visit { tag, now, ways } = visit;
    // One more than the ways: the floor. Not `count`: it adds with a check.
    let crowded = || records(old).nth(ways.saturating_add(1)).is_some();
    if new.resident && !crowded() {
        for record in records(old).filter(|record| record.tag != tag) {
            out.extend_from_slice(record.whole);
        }
        new.encode(tag, out);
        return 0;
    }
    let mut evicted = 0_u32;
    // A newcomer, or a set made smaller by a reload: expired records go, and the emptiest if the set is still full.
    let rule = rule.of_others();
    let mut others: Vec<Other<'_>> = Vec::new();
    let mut floor: Option<Slot> = None;
    for record in records(old).filter(|record| record.tag != tag) {
        let Some(slot) = Slot::decode(record.payload, rule, now).filter(|slot| !slot.is_void())
        else {
            continue;
        };
        if record.tag == FLOOR {
            floor = Some(slot);
        } else {
            others.push(Other {
                slot,
                whole: record.whole,
                stays: true,
            });
        }
    }
    let mut live = others.len();
    while live >= ways {
        let staying = others.iter_mut().filter(|other| other.stays);
        let Some(emptiest) = staying.min_by_key(|other| other.slot.weight()) else {
            break;
        };
        emptiest.stays = false;
        evicted = evicted.saturating_add(1);
        live = live.saturating_sub(1);
        let slot = &emptiest.slot;
        match &mut floor {
            Some(floor) => floor.counts.join(&slot.counts),
            None => {
                floor = Some(Slot {
                    counts: slot.counts.clone(),
                    resident: true,
                });
            }
        }
    }
    if let Some(floor) = floor {
        floor.encode(FLOOR, out);
    }
    for other in others.iter().filter(|other| other.stays) {
        out.extend_from_slice(other.whole);
    }
    new.encode(tag, out);
    evicted
}

/// A record of another client while a set makes room.
struct Other<'a> {
    slot: Slot,
    whole: &'a [u8],
    stays: bool,
}

/// A client's tag: the upper 48 bits of its hash (the lower 16 choose the set).
pub(super) const fn tag_of(hash: u64) -> u64 {
    let tag = hash >> 16;
    if tag == FLOOR { FLOOR - 1 } else { tag }
}

struct Group<'a> {
    id: u32,
    gone_by: u64,
    body: &'a [u8],
    whole: &'a [u8],
}

fn groups(entry: &[u8]) -> impl Iterator<Item = Group<'_>> {
    let mut reader = Reader::new(entry);
    let readable = reader.u8() == Some(LAYOUT) && reader.time().is_some();
    if !readable {
        reader = Reader::new(&[]);
    }
    core::iter::from_fn(move || {
        let start = reader.rest;
        let id = reader.u32()?;
        let gone_by = reader.time()?;
        let length = reader.u16()?;
        let body = reader.take(usize::from(length))?;
        let whole = start.get(..start.len().checked_sub(reader.rest.len())?)?;
        Some(Group {
            id,
            gone_by,
            body,
            whole,
        })
    })
}

pub(super) struct Record<'a> {
    pub(super) tag: u64,
    pub(super) payload: &'a [u8],
    pub(super) whole: &'a [u8],
}

pub(super) fn records(body: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut reader = Reader::new(body);
    core::iter::from_fn(move || {
        let start = reader.rest;
        let length = reader.u16()?;
        let mut content = Reader::new(reader.take(usize::from(length))?);
        let whole = start.get(..start.len().checked_sub(reader.rest.len())?)?;
        let tag = content.time()?;
        Some(Record {
            tag,
            payload: content.rest,
            whole,
        })
    })
}
