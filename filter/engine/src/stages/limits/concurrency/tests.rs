//! Several workers at one store: never more in flight than the quota, no place lost, none given back twice.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "test arithmetic on small numbers"
)]

use alloc::collections::BTreeMap;
use alloc::vec;
use core::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::env::{CounterStore, Env, MemoryStore};
use crate::finding::Findings;
use crate::stages::limits::presence::tests::At;
use crate::stages::limits::{
    Algorithm, Charges, Facts, KeyPart, Limit, LimitStage, Phase, Place, Worker, tick,
};
use crate::units::{Monotonic, UnixTime};
use crate::verdict::{Denial, Reason};

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % bound
    }
}

fn flight(name: &str, quota: u32) -> Limit {
    Limit {
        algorithm: Algorithm::Concurrency,
        ..Limit::sample(name.as_bytes(), quota, 0)
    }
}

fn stage(sets: u32, limits: Vec<Limit>) -> LimitStage {
    LimitStage {
        limits,
        sets,
        hash_key: *b"0123456789abcdef",
        ..LimitStage::default()
    }
}

/// A proxy: one store, some workers, one clock.
struct Proxy {
    store: MemoryStore,
    now: u64,
    fails: bool,
}

impl Proxy {
    const fn new(store: MemoryStore) -> Self {
        Self {
            store,
            now: 1_000_000,
            fails: false,
        }
    }

    fn asks(
        &mut self,
        stage: &LimitStage,
        worker: &mut Worker,
        client: u32,
    ) -> (Result<(), Denial>, Vec<Place>) {
        let client = IpAddr::V4(Ipv4Addr::from_bits(client));
        let facts = Facts {
            method: b"GET",
            path: b"/",
            ..Facts::of(client)
        };
        let mut counters = At {
            store: &mut self.store,
            worker,
            fails: self.fails,
        };
        let mut env = Env {
            now: Monotonic(self.now),
            wall: UnixTime(0),
            counters: &mut counters,
        };
        let (mut charges, mut found) = (Charges::default(), Findings::default());
        let asked = stage.check(
            Phase::Client,
            &facts,
            false,
            &mut env,
            &mut charges,
            &mut found,
        );
        assert!(charges.reserved.is_empty());
        (asked, worker.take_places())
    }

    /// Takes a place, or says why not.
    fn takes(
        &mut self,
        stage: &LimitStage,
        worker: &mut Worker,
        client: u32,
    ) -> Result<Vec<Place>, Reason> {
        let (asked, places) = self.asks(stage, worker, client);
        match asked {
            Ok(()) => Ok(places),
            Err(denial) => {
                assert!(places.is_empty() || self.fails, "refused with a place");
                Err(denial.reason)
            }
        }
    }

    fn leaves(&mut self, stage: &LimitStage, worker: &mut Worker, places: &mut Vec<Place>) {
        let mut counters = At {
            store: &mut self.store,
            worker,
            fails: self.fails,
        };
        let mut env = Env {
            now: Monotonic(self.now),
            wall: UnixTime(0),
            counters: &mut counters,
        };
        stage.leave(places, &mut env);
    }

    fn ticks<'w>(&mut self, workers: impl IntoIterator<Item = &'w mut Worker>) {
        self.now += 500;
        for worker in workers {
            let mut counters = At {
                store: &mut self.store,
                worker,
                fails: self.fails,
            };
            let mut env = Env {
                now: Monotonic(self.now),
                wall: UnixTime(0),
                counters: &mut counters,
            };
            assert!(self.fails || tick(&mut env, true).is_ok());
        }
    }

    /// How many places a client finds free.
    fn free(&mut self, stage: &LimitStage, worker: &mut Worker, client: u32) -> usize {
        let mut all = Vec::new();
        while let Ok(places) = self.takes(stage, worker, client) {
            all.extend(places);
        }
        let free = all.len();
        self.leaves(stage, worker, &mut all);
        assert!(all.is_empty());
        free
    }
}

/// Clients crowd few sets; workers die and are replaced; everything in any order.
#[test]
fn never_more_in_flight_than_the_quota_and_no_place_lost() {
    let mut refused = 0_u32;
    for seed in 1..=200_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let quota = [1, 2, 5, 50][usize::try_from(random.below(4)).unwrap()];
        let clients = 1 + random.below(24);
        let sets = 1 << random.below(2);
        let stage = stage(sets, vec![flight("a", quota)]);
        let mut proxy = Proxy::new(MemoryStore::default());
        type Held = Vec<(u32, Vec<Place>)>;
        let mut workers: Vec<(Worker, Held)> = (0..1 + random.below(4))
            .map(|_| (Worker::default(), Vec::new()))
            .collect();
        for _ in 0..600 {
            let count = u64::try_from(workers.len()).unwrap();
            let at = usize::try_from(random.below(count)).unwrap();
            let (worker, held) = &mut workers[at];
            proxy.now += random.below(100);
            match random.below(100) {
                0..=54 => {
                    let client = u32::try_from(random.below(clients)).unwrap();
                    match proxy.takes(&stage, worker, client) {
                        Ok(places) => {
                            assert_eq!(places.len(), 1);
                            held.push((client, places));
                        }
                        Err(reason) => {
                            assert_eq!(reason, Reason::RateLimited);
                            refused += 1;
                        }
                    }
                }
                55..=89 if !held.is_empty() => {
                    let which = random.below(u64::try_from(held.len()).unwrap());
                    let (_, mut places) = held.swap_remove(usize::try_from(which).unwrap());
                    proxy.leaves(&stage, worker, &mut places);
                    assert!(places.is_empty());
                }
                90 => workers[at] = (Worker::default(), Vec::new()),
                _ => proxy.ticks(workers.iter_mut().map(|(worker, _)| worker)),
            }
            let mut flying = BTreeMap::new();
            for (client, _) in workers.iter().flat_map(|(_, held)| held) {
                *flying.entry(*client).or_insert(0) += 1;
            }
            for (client, count) in flying {
                assert!(count <= quota, "seed {seed}: {count} of client {client}");
            }
            assert!(u64::try_from(proxy.store.bytes()).unwrap() <= stage.memory_bytes() + 2_048);
        }
        for (worker, held) in &mut workers {
            for (_, mut places) in held.drain(..) {
                proxy.leaves(&stage, worker, &mut places);
            }
        }
        for _ in 0..4 {
            proxy.ticks(workers.iter_mut().map(|(worker, _)| worker));
        }
        for (worker, _) in &mut workers {
            for client in 0..u32::try_from(clients).unwrap() {
                let free = proxy.free(&stage, worker, client);
                assert_eq!(free, usize::try_from(quota).unwrap(), "seed {seed}");
            }
        }
    }
    assert!(refused > 1_000);
}

#[test]
fn all_places_are_used_while_demand_lasts() {
    for quota in [1, 3, 127, 128, 300] {
        let stage = stage(4, vec![flight("a", quota)]);
        let mut proxy = Proxy::new(MemoryStore::default());
        let mut workers = [Worker::default(), Worker::default()];
        let mut taken = 0;
        loop {
            let [a, b] = &mut workers;
            let worker = if taken % 2 == 0 { a } else { b };
            if proxy.takes(&stage, worker, 7).is_err() {
                break;
            }
            taken += 1;
        }
        assert_eq!(taken, quota);
    }
}

#[test]
fn a_full_set_shares_and_residents_do_not_pay() {
    let stage = stage(1, vec![flight("a", 5)]);
    let ways = u32::try_from(stage.ways()).unwrap();
    let mut proxy = Proxy::new(MemoryStore::default());
    let mut worker = Worker::default();
    let mut residents = Vec::new();
    for client in 0..ways {
        residents.push(proxy.takes(&stage, &mut worker, client).unwrap());
    }
    // Two newcomers share five places.
    let mut common = Vec::new();
    for client in [100, 101, 100, 101, 100] {
        common.push(proxy.takes(&stage, &mut worker, client).unwrap());
    }
    for client in [100, 101, 102] {
        let refused = proxy.takes(&stage, &mut worker, client);
        assert_eq!(refused.unwrap_err(), Reason::RateLimited);
    }
    for client in 0..ways {
        assert_eq!(
            proxy.free(&stage, &mut worker, client),
            4,
            "client {client}"
        );
    }
    // A resident leaves: client 100 gets a record, and what it may have in common still counts for it.
    proxy.leaves(&stage, &mut worker, &mut residents[0]);
    assert_eq!(proxy.free(&stage, &mut worker, 100), 0);
    let mut first = common.remove(0);
    proxy.leaves(&stage, &mut worker, &mut first);
    let mut own = proxy.takes(&stage, &mut worker, 100).unwrap();
    assert_eq!(proxy.free(&stage, &mut worker, 100), 0);
    // Another that comes now finds the set full again, and one common place.
    assert_eq!(proxy.free(&stage, &mut worker, 103), 1);
    for places in &mut common {
        proxy.leaves(&stage, &mut worker, places);
    }
    assert_eq!(proxy.free(&stage, &mut worker, 100), 4, "its own is left");
    proxy.leaves(&stage, &mut worker, &mut own);
    assert_eq!(proxy.free(&stage, &mut worker, 100), 5);
}

#[test]
fn the_dead_free_their_places_and_the_room_they_took() {
    let stage = stage(1, vec![flight("a", 50)]);
    let ways = u32::try_from(stage.ways()).unwrap();
    let mut proxy = Proxy::new(MemoryStore::default());
    let (mut dying, mut other) = (Worker::default(), Worker::default());
    assert_eq!(proxy.free(&stage, &mut other, 1), 50);
    for client in 0..ways {
        for _ in 0..50 {
            proxy.takes(&stage, &mut dying, client).unwrap();
        }
    }
    proxy.ticks([&mut dying, &mut other]);
    for tick in 1..=3 {
        assert_eq!(proxy.free(&stage, &mut other, 1), 0, "tick {tick}");
        proxy.ticks([&mut other]);
    }
    for client in [1, 0, 900, 901] {
        assert_eq!(proxy.free(&stage, &mut other, client), 50);
    }
    // The stalled worker comes back: what it took before is not given back a second time.
    let mut late = proxy.takes(&stage, &mut dying, 1).unwrap();
    assert_eq!(proxy.free(&stage, &mut other, 1), 49);
    proxy.leaves(&stage, &mut dying, &mut late);
    assert_eq!(proxy.free(&stage, &mut other, 1), 50);
}

#[test]
fn places_of_a_worker_that_was_taken_for_dead_are_not_given_back_for_its_new_ones() {
    let stage = stage(8, vec![flight("a", 3)]);
    let mut proxy = Proxy::new(MemoryStore::default());
    let (mut stalled, mut other) = (Worker::default(), Worker::default());
    assert_eq!(proxy.free(&stage, &mut other, 1), 3);
    let mut old = proxy.takes(&stage, &mut stalled, 1).unwrap();
    proxy.ticks([&mut stalled, &mut other]);
    for _ in 0..3 {
        proxy.ticks([&mut other]);
    }
    let _new = proxy.takes(&stage, &mut stalled, 1).unwrap();
    proxy.leaves(&stage, &mut stalled, &mut old);
    assert!(old.is_empty());
    assert_eq!(
        proxy.free(&stage, &mut other, 1),
        2,
        "the new one is in flight"
    );
}

#[test]
fn a_worker_that_just_joined_is_not_taken_for_dead() {
    let stage = stage(8, vec![flight("a", 2)]);
    let mut proxy = Proxy::new(MemoryStore::default());
    let mut old = Worker::default();
    assert_eq!(proxy.free(&stage, &mut old, 1), 2);
    for _ in 0..20 {
        // It joins between two ticks of the other, and takes both places.
        let mut new = Worker::default();
        let mut held = proxy.takes(&stage, &mut new, 1).unwrap();
        held.extend(proxy.takes(&stage, &mut new, 1).unwrap());
        assert_eq!(proxy.free(&stage, &mut old, 1), 0);
        proxy.leaves(&stage, &mut new, &mut held);
        assert_eq!(proxy.free(&stage, &mut old, 1), 2);
    }
}

#[test]
fn limits_of_one_key_are_charged_together_or_not_at_all() {
    let window = Limit::sample(b"w", 4, 60_000);
    let stage = stage(8, vec![flight("a", 2), window]);
    let mut proxy = Proxy::new(MemoryStore::default());
    let mut worker = Worker::default();
    let mut one = proxy.takes(&stage, &mut worker, 1).unwrap();
    let mut two = proxy.takes(&stage, &mut worker, 1).unwrap();
    // Refused by the flight: the window is not charged.
    for _ in 0..5 {
        assert!(proxy.takes(&stage, &mut worker, 1).is_err());
    }
    proxy.leaves(&stage, &mut worker, &mut one);
    let mut three = proxy.takes(&stage, &mut worker, 1).unwrap();
    proxy.leaves(&stage, &mut worker, &mut two);
    let mut four = proxy.takes(&stage, &mut worker, 1).unwrap();
    proxy.leaves(&stage, &mut worker, &mut three);
    // Refused by the window: no place is taken.
    assert!(proxy.takes(&stage, &mut worker, 1).is_err());
    proxy.leaves(&stage, &mut worker, &mut four);
    proxy.now += 70_000;
    assert_eq!(proxy.free(&stage, &mut worker, 1), 2);
}

#[test]
fn a_later_key_that_refuses_gives_the_place_back() {
    let mut method = Limit::sample(b"late", 1, 60_000);
    method.key = vec![KeyPart::Method];
    let stage = stage(64, vec![flight("a", 2), method]);
    let mut proxy = Proxy::new(MemoryStore::default());
    let mut worker = Worker::default();
    let mut held = proxy.takes(&stage, &mut worker, 1).unwrap();
    for _ in 0..5 {
        let refused = proxy.takes(&stage, &mut worker, 1);
        assert_eq!(refused.unwrap_err(), Reason::RateLimited);
    }
    proxy.leaves(&stage, &mut worker, &mut held);
    proxy.now += 70_000;
    let mut last = proxy.takes(&stage, &mut worker, 1).unwrap();
    proxy.leaves(&stage, &mut worker, &mut last);
    assert!(worker.take_places().is_empty());
}

#[test]
fn what_the_store_does_not_take_back_stays_in_hand() {
    let stage = stage(8, vec![flight("a", 2)]);
    let mut proxy = Proxy::new(MemoryStore::default());
    let mut worker = Worker::default();
    let mut held = proxy.takes(&stage, &mut worker, 1).unwrap();
    proxy.fails = true;
    proxy.leaves(&stage, &mut worker, &mut held);
    assert_eq!(held.len(), 1);
    let refused = proxy.takes(&stage, &mut worker, 1);
    assert_eq!(refused.unwrap_err(), Reason::CountersUnavailable);
    proxy.fails = false;
    assert_eq!(proxy.free(&stage, &mut worker, 1), 1);
    proxy.leaves(&stage, &mut worker, &mut held);
    assert_eq!(proxy.free(&stage, &mut worker, 1), 2);
}

#[test]
fn watched_limits_let_pass_and_take_what_is_free() {
    let mut limit = flight("a", 1);
    limit.monitor = true;
    let stage = stage(8, vec![limit]);
    let mut proxy = Proxy::new(MemoryStore::default());
    let mut worker = Worker::default();
    let mut held = proxy.takes(&stage, &mut worker, 1).unwrap();
    assert_eq!(held.len(), 1);
    for _ in 0..3 {
        assert!(proxy.takes(&stage, &mut worker, 1).unwrap().is_empty());
    }
    proxy.leaves(&stage, &mut worker, &mut held);
    assert_eq!(proxy.takes(&stage, &mut worker, 1).unwrap().len(), 1);
    // The store fails: it is told, and nobody refused.
    proxy.fails = true;
    assert!(proxy.takes(&stage, &mut worker, 1).unwrap().is_empty());
}

#[test]
fn another_quota_keeps_what_is_in_flight() {
    let small = stage(8, vec![flight("a", 3)]);
    let large = stage(8, vec![flight("a", 5)]);
    let mut proxy = Proxy::new(MemoryStore::default());
    let mut worker = Worker::default();
    let mut held = proxy.takes(&large, &mut worker, 1).unwrap();
    for _ in 0..3 {
        held.extend(proxy.takes(&large, &mut worker, 1).unwrap());
    }
    assert!(proxy.takes(&small, &mut worker, 1).is_err());
    proxy.leaves(&large, &mut worker, &mut held);
    assert_eq!(proxy.free(&small, &mut worker, 1), 3);
}

#[test]
fn broken_entries_are_decisions() {
    let stage = stage(1, vec![flight("a", 3)]);
    let mut random = Random(99);
    for _ in 0..3_000 {
        let mut proxy = Proxy::new(MemoryStore::default());
        let mut worker = Worker::default();
        let mut held = proxy.takes(&stage, &mut worker, 1).unwrap();
        for key in [&b"pv1:live"[..], b"pl3:0000"] {
            let mut value = Vec::new();
            let cas = proxy.store.load(key, &mut value).unwrap();
            assert!(!value.is_empty(), "the names of keys have changed");
            match random.below(4) {
                0 => value.truncate(usize::try_from(random.below(20)).unwrap()),
                1 => value.resize(usize::try_from(random.below(200)).unwrap(), 0xff),
                _ => {
                    let at = random.below(u64::try_from(value.len()).unwrap());
                    let byte = &mut value[usize::try_from(at).unwrap()];
                    *byte ^= 1 << random.below(8);
                }
            }
            proxy.store.compare_and_swap(key, &value, cas).unwrap();
        }
        // Whatever is decided, it is decided; and after three ticks without this worker's places all is well.
        let _ = proxy.takes(&stage, &mut worker, 1);
        proxy.leaves(&stage, &mut worker, &mut held);
        assert!(held.is_empty());
        let mut other = Worker::default();
        for _ in 0..4 {
            proxy.ticks([&mut other]);
            let _ = proxy.takes(&stage, &mut other, 2);
        }
        let free = proxy.free(&stage, &mut worker, 3);
        assert!(free <= 3);
    }
}

#[test]
fn marks_come_back() {
    for worker in [1, 77, u32::MAX] {
        for common in [false, true] {
            let taken = Taken { worker, common };
            assert_eq!(Taken::of_mark(taken.mark()), taken);
        }
    }
}

#[test]
fn the_longest_record_fits_its_bound() {
    let limits: [u32; 5] = [1, 50, 256, 100_000, u32::MAX];
    for quota in limits {
        let workers = quota.min(u32::try_from(MOST).unwrap());
        for spread in [1, workers / 2 + 1, workers] {
            let mut shares = Vec::new();
            for worker in 0..spread {
                let places = quota / spread;
                shares.push(Share { worker, places });
            }
            let mut out = Vec::new();
            encode(5, &shares, MIXED, &mut out);
            let bound = most_bytes(quota) + super::super::entry::RECORD_BYTES;
            assert!(
                u64::try_from(out.len()).unwrap() <= bound,
                "{quota} {spread}"
            );
            let record = records(&out).next().unwrap();
            assert_eq!(decode(record.payload), Some((shares, true)));
        }
    }
}
