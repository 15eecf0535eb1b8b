//! Workers that come, go, stall and die; lists that are lost; clocks that step.

use super::*;
use crate::env::{Cas, MemoryStore, StoreError};
use crate::stages::limits::{Worker, tick};
use crate::units::{Monotonic, UnixTime};

/// One worker at the store of all.
pub(in crate::stages::limits) struct At<'a> {
    pub(in crate::stages::limits) store: &'a mut MemoryStore,
    pub(in crate::stages::limits) worker: &'a mut Worker,
    pub(in crate::stages::limits) fails: bool,
}

impl Outside for At<'_> {
    fn worker(&mut self) -> &mut Worker {
        self.worker
    }
}

impl CounterStore for At<'_> {
    fn load(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<Cas, StoreError> {
        if self.fails {
            return Err(StoreError::Failed);
        }
        self.store.load(key, out)
    }

    fn compare_and_swap(&mut self, key: &[u8], value: &[u8], cas: Cas) -> Result<(), StoreError> {
        if self.fails {
            return Err(StoreError::Failed);
        }
        self.store.compare_and_swap(key, value, cas)
    }
}

/// What a worker does.
#[derive(Clone, Copy)]
enum Act {
    Join,
    Look,
    Tick,
}

fn at(store: &mut MemoryStore, worker: &mut Worker, now: u64, act: Act) -> Result<u32, Reason> {
    let mut counters = At {
        store,
        worker,
        fails: false,
    };
    let mut env = Env {
        now: Monotonic(now),
        wall: UnixTime(0),
        counters: &mut counters,
    };
    match act {
        Act::Join => join(&mut env),
        Act::Look => look(&mut env),
        Act::Tick => tick(&mut env, false).map(|()| 0),
    }
}

fn ticks(store: &mut MemoryStore, worker: &mut Worker, now: u64) {
    at(store, worker, now, Act::Tick).unwrap();
}

fn joins(store: &mut MemoryStore, worker: &mut Worker, now: u64) -> u32 {
    at(store, worker, now, Act::Join).unwrap()
}

fn list(store: &mut MemoryStore) -> Vec<u32> {
    let mut entry = Vec::new();
    store.load(KEY, &mut entry).unwrap();
    let (_, peers) = read(&entry).unwrap();
    peers.iter().map(|peer| peer.id).collect()
}

fn overwrite(store: &mut MemoryStore, value: &[u8]) {
    let cas = store.load(KEY, &mut Vec::new()).unwrap();
    store.compare_and_swap(KEY, value, cas).unwrap();
}

#[test]
fn a_worker_dies_at_the_third_tick_that_does_not_hear_it() {
    for skew in [0, 1, 250, 499] {
        let mut store = MemoryStore::default();
        let (mut a, mut b) = (Worker::default(), Worker::default());
        let dead = joins(&mut store, &mut a, 1_000);
        let mine = joins(&mut store, &mut b, 1_000);
        for tick in 1..=4 {
            ticks(&mut store, &mut a, 1_000 + 500 * tick);
            ticks(&mut store, &mut b, 1_000 + skew + 500 * tick);
        }
        // The last beat of `a` was at 3,000, and `b` heard it at once or within half a second.
        for tick in 5..=6 {
            ticks(&mut store, &mut b, 1_000 + skew + 500 * tick);
            assert_eq!(list(&mut store), [dead, mine], "skew {skew}, tick {tick}");
            assert!(b.presence.lives(dead));
        }
        ticks(&mut store, &mut b, 1_000 + skew + 3_500);
        assert_eq!(list(&mut store), [mine], "skew {skew}");
        assert!(!b.presence.lives(dead) && !b.presence.is_newer(dead));
    }
}

#[test]
fn hasty_ticks_and_requests_kill_nobody() {
    let mut store = MemoryStore::default();
    let (mut a, mut b) = (Worker::default(), Worker::default());
    joins(&mut store, &mut a, 0);
    joins(&mut store, &mut b, 0);
    for now in 1..=40_u64 {
        // `b` ticks ten times as often, and looks at the list as well.
        ticks(&mut store, &mut b, now * 50);
        at(&mut store, &mut b, now * 50 + 10, Act::Look).unwrap();
        if now.is_multiple_of(10) {
            ticks(&mut store, &mut a, now * 50);
        }
        assert_eq!(list(&mut store).len(), 2, "at {now}");
    }
}

#[test]
fn clocks_that_step_kill_nobody() {
    let mut store = MemoryStore::default();
    let (mut a, mut b) = (Worker::default(), Worker::default());
    let first = joins(&mut store, &mut a, 1_000_000);
    joins(&mut store, &mut b, 1_000_000);
    let mut now = 1_000_000_u64;
    for step in [3_600_000, -3_600_000, 86_400_000, -80_000_000, 500_i64] {
        now = now.saturating_add_signed(step);
        for _ in 0..3 {
            ticks(&mut store, &mut b, now);
            ticks(&mut store, &mut a, now);
            assert_eq!(joins(&mut store, &mut a, now), first);
            assert_eq!(list(&mut store).len(), 2, "step {step}");
            now += 500;
        }
    }
    // A worker whose clock stands far back still beats.
    for tick in 0..9 {
        ticks(&mut store, &mut a, tick * 500);
        ticks(&mut store, &mut b, now + tick * 500);
    }
    assert_eq!(list(&mut store).len(), 2);
}

#[test]
fn who_was_taken_for_dead_gets_another_id() {
    let mut store = MemoryStore::default();
    let (mut a, mut b) = (Worker::default(), Worker::default());
    let before = joins(&mut store, &mut a, 0);
    joins(&mut store, &mut b, 0);
    for tick in 1..=4 {
        ticks(&mut store, &mut b, tick * 500);
    }
    // A request asks, before the tick of the stalled worker comes.
    let after = joins(&mut store, &mut a, 2_100);
    assert_ne!(before, after);
    assert_eq!(joins(&mut store, &mut a, 2_200), after);
    assert!(!list(&mut store).contains(&before));
}

#[test]
fn ids_are_never_handed_out_twice() {
    let mut store = MemoryStore::default();
    let mut seen = Vec::new();
    let mut watcher = Worker::default();
    joins(&mut store, &mut watcher, 0);
    for round in 0..300_u64 {
        let id = joins(&mut store, &mut Worker::default(), round * 500);
        assert!(id != 0 && !seen.contains(&id), "{id}");
        // Nobody has read of it yet, so nobody takes it for dead.
        assert!(watcher.presence.is_newer(id));
        seen.push(id);
        ticks(&mut store, &mut watcher, round * 500 + 400);
        assert!(watcher.presence.lives(id));
    }
    assert!(list(&mut store).len() < 6, "the dead are taken off");
}

#[test]
fn ids_wrap_around_zero() {
    let mut store = MemoryStore::default();
    let mut value = Vec::new();
    write(u32::MAX, &[], &mut value);
    overwrite(&mut store, &value);
    let (mut a, mut b) = (Worker::default(), Worker::default());
    assert_eq!(joins(&mut store, &mut a, 0), u32::MAX);
    assert_eq!(joins(&mut store, &mut b, 0), 1);
    assert!(a.presence.is_newer(1));
    assert!(b.presence.lives(u32::MAX));
}

#[test]
fn a_full_list_takes_nobody() {
    let mut store = MemoryStore::default();
    let mut workers: Vec<Worker> = (0..MOST).map(|_| Worker::default()).collect();
    for worker in &mut workers {
        joins(&mut store, worker, 0);
    }
    let mut late = Worker::default();
    assert_eq!(
        at(&mut store, &mut late, 100, Act::Join),
        Err(Reason::CountersUnavailable)
    );
    assert_eq!(late.presence.id(), 0);
    // The others go on, and the place of one that dies is free.
    for tick in 1..=5 {
        for worker in workers.iter_mut().skip(1) {
            ticks(&mut store, worker, tick * 500);
        }
    }
    joins(&mut store, &mut late, 2_600);
    assert_eq!(list(&mut store).len(), MOST);
}

#[test]
fn a_list_that_cannot_be_read_begins_anew() {
    let most = u8::try_from(MOST / 2).unwrap();
    let mut long = alloc::vec![LAYOUT, 1, 0, 0, 0];
    long.extend_from_slice(&alloc::vec![7; (MOST + 1) * 6]);
    let broken: [&[u8]; 7] = [
        b"",
        b"\x02\x01\0\0\0",
        b"\x01\x01\0\0",
        b"\x01\0\0\0\0",
        b"\x01\x01\0\0\0\x07",
        &[most; 4_000],
        &long,
    ];
    for value in broken {
        let mut store = MemoryStore::default();
        let mut a = Worker::default();
        let before = joins(&mut store, &mut a, 10);
        overwrite(&mut store, value);
        ticks(&mut store, &mut a, 900);
        let after = a.presence.id();
        assert!(after != before && after != 0, "{value:?}");
        assert_eq!(list(&mut store), [after]);
    }
}

#[test]
fn a_failing_store_is_told_and_changes_nothing() {
    let mut store = MemoryStore::default();
    let mut worker = Worker::default();
    let id = joins(&mut store, &mut worker, 0);
    for now in [500, 1_000, 5_000] {
        let mut counters = At {
            store: &mut store,
            worker: &mut worker,
            fails: true,
        };
        let mut env = Env {
            now: Monotonic(now),
            wall: UnixTime(0),
            counters: &mut counters,
        };
        let done = tick(&mut env, false);
        assert_eq!(done, Err(Reason::CountersUnavailable));
        // Not sure of being on the list any more: no place is taken on trust.
        assert_eq!(join(&mut env).is_err(), now >= STALE_MS);
    }
    assert_eq!(joins(&mut store, &mut worker, 5_500), id);
}

#[test]
fn who_never_took_a_place_is_not_on_the_list() {
    let mut store = MemoryStore::default();
    let mut worker = Worker::default();
    for tick in 0..9 {
        ticks(&mut store, &mut worker, tick * 500);
    }
    assert!(store.is_empty());
}
