//! Who lives: the list of workers whose requests in flight count.
//!
//! ```text
//! entry  = layout u8 · next u32 · record*        at most MOST records, in the order they joined
//! record = id u32 · beats u16
//! ```
//! **In:** the counter store, the time. **Out:** this worker's id; whether the worker of another id lives.
//! **Invariant:** an id is handed out by one compare-and-swap of the list, is never 0, and is not handed out again before
//! four billion others were. A worker beats at least every tick; one whose beats another worker has seen stand still at
//! [`SILENT`] of its own, each a tick apart, is taken off the list. So death is told by beats, and a clock that steps in
//! either direction kills nobody. Once off the list an id stays off: a worker that finds itself missing (it stalled, or
//! the list was lost) takes a new one. A list that cannot be read is a broken host: a new one begins, with other ids.
//! **Cost:** a load and a swap a tick; nothing a request, but for the first, for one after a stall, and for one that
//! meets an id that is newer than what this worker has read.

use alloc::vec::Vec;

use super::bytes::{Reader, push_u16, push_u32};
use crate::env::{CounterStore, Env, Outside};
use crate::sets::{MAX_TRIES, load, swap};
use crate::verdict::Reason;

/// Workers at a time; one that finds no place takes no requests that would have to be counted.
pub(super) const MOST: usize = 256;

/// Beats of ours at which another's stood still: it is dead.
const SILENT: u8 = 3;

/// Beats are at least so far apart, a tick of 500 ms and what it may be early by: a hasty tick is not one.
const APART_MS: u64 = 400;

/// Without a beat for so long a worker makes sure that it is still on the list before it takes a place. Others need more
/// than twice as long to take it off.
const STALE_MS: u64 = 600;

/// Version of the layout; a part of the key.
const LAYOUT: u8 = 1;

const KEY: &[u8] = b"pv1:live";

/// What one worker knows of all.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// This worker; 0: it has not joined.
    id: u32,
    /// When it beat last.
    beaten_ms: u64,
    /// When it counted the silence of others last.
    counted_ms: u64,
    /// The first id that the list had not handed out when it was read.
    next: u32,
    /// Who was on it then.
    peers: Vec<Peer>,
}

/// A worker on the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Peer {
    id: u32,
    beats: u16,
    /// Beats of ours at which its own stood still.
    silent: u8,
}

/// Makes sure that this worker is on the list: its id.
///
/// # Errors
/// `CountersUnavailable`: the list is full too; `CountersContended`.
pub(super) fn join<S: Outside>(env: &mut Env<'_, S>) -> Result<u32, Reason> {
    let now = env.now.0;
    let mut presence = core::mem::take(&mut env.counters.worker().presence);
    let joined = if presence.is_sure(now) {
        Ok(())
    } else {
        presence.beat(env.counters, now)
    };
    let id = presence.id;
    env.counters.worker().presence = presence;
    joined.map(|()| id)
}

/// Reads the list again: somebody has met an id that is newer than it. This worker's id, which may be a new one.
///
/// # Errors
/// As for [`join`].
pub(super) fn look<S: Outside>(env: &mut Env<'_, S>) -> Result<u32, Reason> {
    env.counters.worker().presence.beaten_ms = u64::MAX;
    join(env)
}

impl Presence {
    /// This worker's id; 0: it has not joined.
    pub(super) const fn id(&self) -> u32 {
        self.id
    }

    /// Whether the worker was on the list when this one looked last.
    pub(super) fn lives(&self, id: u32) -> bool {
        self.peers.iter().any(|peer| peer.id == id)
    }

    /// Whether the id may have been handed out after this worker looked.
    pub(super) fn is_newer(&self, id: u32) -> bool {
        !self.lives(id) && id.wrapping_sub(self.next) < u32::MAX / 2
    }

    const fn is_sure(&self, now: u64) -> bool {
        self.id != 0 && now >= self.beaten_ms && now.saturating_sub(self.beaten_ms) < STALE_MS
    }

    /// On the tick: beats, if this worker has joined or `joins`, and its last beat is long enough ago.
    ///
    /// # Errors
    /// `CountersUnavailable`, `CountersContended`: it beats again at the next tick or request.
    pub(super) fn tick<S: CounterStore>(
        &mut self,
        store: &mut S,
        now: u64,
        joins: bool,
    ) -> Result<(), Reason> {
        let early = now >= self.beaten_ms && now.saturating_sub(self.beaten_ms) < APART_MS;
        let rests = if self.id == 0 { !joins } else { early };
        if rests {
            return Ok(());
        }
        self.beat(store, now)
    }

    /// Reads the list, takes off who is dead, and writes this worker's next beat, joining if it is not there.
    fn beat<S: CounterStore>(&mut self, store: &mut S, now: u64) -> Result<(), Reason> {
        // A beat out of turn tells nothing of others, nor does one after the clock was set back.
        let counts = now.saturating_sub(self.counted_ms) >= APART_MS;
        let counted_ms = if counts || now < self.counted_ms {
            now
        } else {
            self.counted_ms
        };
        let mut old = Vec::new();
        let mut new = Vec::new();
        for _ in 0..MAX_TRIES {
            let cas = load(store, KEY, &mut old)?;
            let (mut next, mut peers) = read(&old).unwrap_or_else(|| (first(now), Vec::new()));
            self.observe(&mut peers, counts);
            let known = self.id;
            let mut own = peers
                .iter_mut()
                .filter(|peer| known != 0 && peer.id == known);
            let id = if let Some(own) = own.next() {
                own.beats = own.beats.wrapping_add(1);
                known
            } else if peers.len() < MOST {
                let id = next;
                next = after(next);
                let (beats, silent) = (0, 0);
                peers.push(Peer { id, beats, silent });
                id
            } else {
                self.id = 0;
                return Err(Reason::CountersUnavailable);
            };
            write(next, &peers, &mut new);
            if swap(store, KEY, &new, cas)? {
                *self = Self {
                    id,
                    beaten_ms: now,
                    counted_ms,
                    next,
                    peers,
                };
                return Ok(());
            }
        }
        Err(Reason::CountersContended)
    }

    /// Carries over how long each has been silent, and takes the dead off.
    fn observe(&self, peers: &mut Vec<Peer>, counts: bool) {
        let mut known = self.peers.iter();
        for peer in peers.iter_mut() {
            // Both lists are in the order of joining.
            let same = known.clone().find(|known| known.id == peer.id);
            if let Some(same) = same {
                known.find(|known| known.id == peer.id);
                if same.beats == peer.beats {
                    peer.silent = same.silent.saturating_add(u8::from(counts));
                }
            }
        }
        peers.retain(|peer| peer.silent < SILENT || peer.id == self.id);
    }
}

/// Where a list begins to count: not where one that was lost did, whose ids may still stand somewhere.
fn first(now: u64) -> u32 {
    let [a, b, c, d, ..] = now.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    after(u32::from_be_bytes([a, b, c, d]))
}

const fn after(id: u32) -> u32 {
    match id.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}

fn read(entry: &[u8]) -> Option<(u32, Vec<Peer>)> {
    let mut reader = Reader::new(entry);
    if reader.u8()? != LAYOUT {
        return None;
    }
    let next = reader.u32().filter(|next| *next != 0)?;
    let mut peers: Vec<Peer> = Vec::new();
    while !reader.rest.is_empty() {
        let (id, beats) = (reader.u32()?, reader.u16()?);
        if peers.len() >= MOST {
            return None;
        }
        peers.push(Peer {
            id,
            beats,
            silent: 0,
        });
    }
    Some((next, peers))
}

fn write(next: u32, peers: &[Peer], out: &mut Vec<u8>) {
    out.clear();
    out.push(LAYOUT);
    push_u32(out, next);
    for peer in peers {
        push_u32(out, peer.id);
        push_u16(out, peer.beats);
    }
}

#[cfg(test)]
pub(super) mod tests;
