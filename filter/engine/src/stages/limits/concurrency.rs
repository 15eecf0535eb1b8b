//! Requests in flight: who of a set's clients holds how many places, worker by worker.
//!
//! ```text
//! record = length u16 · tag u48 · shape u24 · (worker u32 · places varint)*     in a group of `entry.rs`
//! ```
//! **In:** the records of a group, who lives (`presence.rs`). **Out:** a client's places, taken or refused; the next records.
//! **Invariant:** a place is charged to the worker that holds it and counts until that worker gives it back or is dead. No
//! client holds more places than the quota while each worker beats in time. Counts here never fade, so none is joined
//! into a floor: when a set is full of clients with requests in flight, those that come besides share one more record,
//! the common one, and its places count for each of them. A client that got a record of its own while the common
//! one was in use may have places there still: its record is marked, and the common places count for it too, until
//! they are all given back.
//! **Price:** a client beside a set's ways of busy ones shares one quota with others like it; nobody else pays.
//! **Cost:** linear in the group.

use alloc::vec::Vec;

use super::bytes::{Reader, close, open, push_time, push_u24, push_u32, push_varint};
use super::entry::{FLOOR, Record, records};
use super::presence::{MOST, Presence};

/// What a refused client waits: when a place is given back, nobody knows.
pub(super) const WAIT_MS: u64 = 1_000;

/// Places in common count for the client as well.
const MIXED: u32 = 1 << 16;
const SHARES: u32 = MIXED - 1;

/// Places one worker holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    worker: u32,
    places: u32,
}

/// A place that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    /// The worker's id when it was taken.
    worker: u32,
    /// Whether it is one of the set's common places.
    common: bool,
}

impl Taken {
    /// As a number.
    pub(super) fn mark(self) -> u64 {
        u64::from(self.worker) << 1 | u64::from(self.common)
    }

    pub(super) const fn of_mark(mark: u64) -> Self {
        let [a, b, c, d, ..] = (mark >> 1).to_le_bytes();
        Self {
            worker: u32::from_le_bytes([a, b, c, d]),
            common: mark & 1 == 1,
        }
    }
}

/// Places of a client, and those that it may share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Held {
    own: Vec<Share>,
    common: Vec<Share>,
    /// Whether the client has a record.
    resident: bool,
    /// Whether the set has room for one more.
    room: bool,
    mixed: bool,
    /// An id that this worker has not read of: the list must be looked at.
    pub(super) newer: bool,
}

impl Held {
    /// The places of the client `tag`. Those of dead workers are not counted.
    pub(super) fn read(body: &[u8], tag: u64, ways: usize, presence: &Presence) -> Self {
        let mut held = Self::default();
        let mut busy = 0_usize;
        for record in records(body) {
            let (shares, mixed) = held.living(&record, presence);
            if record.tag == FLOOR {
                held.common = shares;
            } else if record.tag == tag {
                held.resident = !shares.is_empty();
                held.mixed = mixed;
                held.own = shares;
            } else if !shares.is_empty() {
                busy = busy.saturating_add(1);
            }
        }
        held.room = busy < ways;
        held.mixed &= !held.common.is_empty();
        held
    }

    fn living(&mut self, record: &Record<'_>, presence: &Presence) -> (Vec<Share>, bool) {
        let (mut shares, mixed) = decode(record.payload).unwrap_or_default();
        shares.retain(|share| {
            self.newer |= presence.is_newer(share.worker);
            presence.lives(share.worker)
        });
        (shares, mixed)
    }

    /// Places that count for this client.
    pub(super) fn used(&self) -> u64 {
        let own = total(&self.own);
        if self.resident && !self.mixed {
            return own;
        }
        own.saturating_add(total(&self.common))
    }

    /// Takes a place for `worker`, if one is free.
    pub(super) fn admit(&mut self, quota: u32, worker: u32) -> Option<Taken> {
        if self.used() >= u64::from(quota) {
            return None;
        }
        let common = !self.resident && !self.room;
        if common {
            take(&mut self.common, worker);
        } else {
            if !self.resident {
                self.resident = true;
                self.mixed = !self.common.is_empty();
            }
            take(&mut self.own, worker);
        }
        Some(Taken { worker, common })
    }

    /// The places of the client `tag` after one was given back; nothing: it is not there any more.
    pub(super) fn without(
        body: &[u8],
        tag: u64,
        taken: Taken,
        presence: &Presence,
    ) -> Option<Self> {
        let mut held = Self::default();
        for record in records(body) {
            let (mut shares, mixed) = decode(record.payload).unwrap_or_default();
            // The list need not be looked at for this: who may live, stays.
            shares.retain(|share| may_live(share, presence));
            if record.tag == FLOOR {
                held.common = shares;
            } else if record.tag == tag {
                held.mixed = mixed;
                held.own = shares;
            }
        }
        let shares = if taken.common {
            &mut held.common
        } else {
            &mut held.own
        };
        let worker = taken.worker;
        let share = shares.iter_mut().find(|share| share.worker == worker)?;
        share.places = share.places.saturating_sub(1);
        shares.retain(|share| share.places > 0);
        Some(held)
    }

    /// Writes the next records of the group: the client's and the common one anew, the others as they are if any of
    /// their workers may live.
    pub(super) fn write(&self, body: &[u8], tag: u64, presence: &Presence, out: &mut Vec<u8>) {
        encode(FLOOR, &self.common, 0, out);
        for record in records(body).filter(|record| record.tag != FLOOR && record.tag != tag) {
            let (shares, _) = decode(record.payload).unwrap_or_default();
            if shares.iter().any(|share| may_live(share, presence)) {
                out.extend_from_slice(record.whole);
            }
        }
        let mixed = if self.mixed { MIXED } else { 0 };
        encode(tag, &self.own, mixed, out);
    }
}

/// Bytes of the longest record of a limit: each of its places with a worker of its own.
pub(super) fn most_bytes(quota: u32) -> u64 {
    let workers = u64::from(quota).min(u64::try_from(MOST).unwrap_or(u64::MAX));
    // A worker and its places in a byte; more bytes only where it holds 128 of them.
    let more = workers.saturating_mul(4).min(u64::from(quota >> 7));
    workers.saturating_mul(5).saturating_add(more)
}

fn may_live(share: &Share, presence: &Presence) -> bool {
    presence.lives(share.worker) || presence.is_newer(share.worker)
}

fn total(shares: &[Share]) -> u64 {
    shares.iter().fold(0, |sum: u64, share| {
        sum.saturating_add(u64::from(share.places))
    })
}

fn take(shares: &mut Vec<Share>, worker: u32) {
    match shares.iter_mut().find(|share| share.worker == worker) {
        Some(share) => share.places = share.places.saturating_add(1),
        None => shares.push(Share { worker, places: 1 }),
    }
}

fn encode(tag: u64, shares: &[Share], mixed: u32, out: &mut Vec<u8>) {
    if shares.is_empty() {
        return;
    }
    let at = open(out);
    push_time(out, tag);
    push_u24(out, u32::try_from(shares.len()).unwrap_or(SHARES) | mixed);
    for share in shares {
        push_u32(out, share.worker);
        push_varint(out, u64::from(share.places));
    }
    if close(out, at).is_none() {
        out.truncate(at);
    }
}

/// The shares of a record and whether it is marked. `None`: not ours.
fn decode(payload: &[u8]) -> Option<(Vec<Share>, bool)> {
    let mut reader = Reader::new(payload);
    let shape = reader.u24()?;
    let mut shares: Vec<Share> = Vec::new();
    for _ in 0..shape & SHARES {
        let worker = reader.u32()?;
        let places = u32::try_from(reader.varint()?).ok()?;
        if shares.len() >= MOST {
            return None;
        }
        shares.push(Share { worker, places });
    }
    Some((shares, shape & MIXED != 0))
}

#[cfg(test)]
mod tests;
