//! Leases of several workers at one store: what they admit together, what they give back, what they save.
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
use crate::stages::limits::{Algorithm, Charges, Facts, KeyPart, Limit, LimitStage, Phase, Worker};
use crate::units::{Monotonic, UnixTime};

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

fn limit(algorithm: Algorithm, quota: u32, window_ms: u64, lease: u32) -> Limit {
    Limit {
        algorithm,
        lease,
        burst: quota,
        ..Limit::sample(b"a", quota, window_ms)
    }
}

fn stage(limits: Vec<Limit>) -> LimitStage {
    LimitStage {
        limits,
        sets: 16,
        hash_key: *b"0123456789abcdef",
        ..LimitStage::default()
    }
}

/// What a worker does at a time.
fn with<T>(
    store: &mut MemoryStore,
    worker: &mut Worker,
    now: u64,
    act: impl FnOnce(&mut Env<'_, At<'_>>) -> T,
) -> T {
    let mut counters = At {
        store,
        worker,
        fails: false,
    };
    act(&mut Env {
        now: Monotonic(now),
        wall: UnixTime(0),
        counters: &mut counters,
    })
}

fn admits(
    stage: &LimitStage,
    store: &mut MemoryStore,
    worker: &mut Worker,
    now: u64,
    client: u32,
) -> Option<Charges> {
    let facts = Facts {
        method: b"GET",
        path: b"/",
        ..Facts::of(IpAddr::V4(Ipv4Addr::from_bits(client)))
    };
    with(store, worker, now, |env| {
        let (mut charges, mut found) = (Charges::default(), Findings::default());
        let asked = stage.check(Phase::Client, &facts, false, env, &mut charges, &mut found);
        asked.ok().map(|()| charges)
    })
}

/// The most of `times` (ascending) in any span of the window's length.
fn worst(times: &[u64], window: u64) -> u64 {
    let mut from = 0;
    let mut most = 0;
    for (at, time) in times.iter().enumerate() {
        while times[from] + window <= *time {
            from += 1;
        }
        most = most.max(at - from + 1);
    }
    u64::try_from(most).unwrap()
}

/// Hostile arrivals at several workers that tick: the stated bound of each algorithm, and what is there is used.
#[test]
fn no_window_admits_more_than_the_bound() {
    let mut all = 0;
    for seed in 1..=300_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let algorithm = [
            Algorithm::SlidingWindow,
            Algorithm::FixedWindow,
            Algorithm::TokenBucket,
        ][usize::try_from(random.below(3)).unwrap()];
        let quota = 20 + random.below(300);
        let lease = 2 + random.below(12);
        let window = [1_000, 10_000, 60_000][usize::try_from(random.below(3)).unwrap()];
        let counts = u32::try_from(quota).unwrap();
        let leased = limit(algorithm, counts, window, u32::try_from(lease).unwrap());
        let stage = stage(vec![leased]);
        let mut store = MemoryStore::default();
        let vms = 1 + random.below(4);
        let mut workers: Vec<Worker> = (0..vms).map(|_| Worker::default()).collect();
        let mut now = 1_000_000 + random.below(window);
        let mut tick = now;
        let mut times: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for _ in 0..3_000 {
            let pause = [0, 1, 10, window / 16, window][usize::try_from(random.below(5)).unwrap()];
            if random.below(40) == 0 {
                now += pause;
            }
            while tick + 500 < now {
                tick += 500;
                for worker in &mut workers {
                    with(&mut store, worker, tick, |env| stage.return_leases(env));
                }
            }
            let at = usize::try_from(random.below(vms)).unwrap();
            let client = u32::try_from(random.below(3)).unwrap();
            if admits(&stage, &mut store, &mut workers[at], now, client).is_some() {
                times.entry(client).or_default().push(now);
            }
        }
        for times in times.values() {
            let bound = match algorithm {
                Algorithm::SlidingWindow => quota,
                Algorithm::FixedWindow => 2 * quota,
                // The burst is as large as the quota here.
                _ => 2 * quota + lease * vms,
            };
            let most = worst(times, window);
            assert!(
                most <= bound,
                "seed {seed}, {algorithm:?}: {most} of {bound}"
            );
            if algorithm == Algorithm::FixedWindow {
                let mut windows: BTreeMap<u64, u64> = BTreeMap::new();
                for time in times {
                    *windows.entry(time / window).or_default() += 1;
                }
                assert!(windows.values().all(|count| *count <= quota), "seed {seed}");
            }
            all += times.len();
        }
    }
    assert!(all > 50_000, "{all}");
}

#[test]
fn while_demand_lasts_all_is_used_but_what_others_hold() {
    for (vms, lease) in [(1, 10), (2, 10), (4, 7)] {
        let stage = stage(vec![limit(Algorithm::SlidingWindow, 200, 60_000, lease)]);
        let mut store = MemoryStore::default();
        let mut workers: Vec<Worker> = (0..vms).map(|_| Worker::default()).collect();
        let mut admitted = 0_u32;
        for round in 0..400_usize {
            let at = round % workers.len();
            let worker = &mut workers[at];
            admitted += u32::from(admits(&stage, &mut store, worker, 1_000_000, 7).is_some());
        }
        // Demand at every worker: in the end each lease is used up.
        assert_eq!(admitted, 200, "{vms} workers");
    }
}

#[test]
fn what_is_not_used_goes_back() {
    let stage = stage(vec![limit(Algorithm::SlidingWindow, 100, 60_000, 20)]);
    let mut store = MemoryStore::default();
    let (mut a, mut b) = (Worker::default(), Worker::default());
    let now = 1_000_000;
    let mut admitted = 0;
    // `a` takes a lease of 20 with its 21st request and uses one of them.
    for _ in 0..21 {
        assert!(admits(&stage, &mut store, &mut a, now, 7).is_some());
    }
    while admits(&stage, &mut store, &mut b, now, 7).is_some() {
        admitted += 1;
    }
    assert_eq!(admitted, 60, "100 less 20, and less the lease of 20");
    with(&mut store, &mut a, now + 499, |env| {
        stage.return_leases(env)
    });
    assert!(admits(&stage, &mut store, &mut b, now + 499, 7).is_none());
    with(&mut store, &mut a, now + 500, |env| {
        stage.return_leases(env)
    });
    assert_eq!(a.count_leases(now + 500), (1, 1));
    while admits(&stage, &mut store, &mut b, now + 500, 7).is_some() {
        admitted += 1;
    }
    assert_eq!(admitted, 79);
    // Nothing is left of the lease.
    assert!(admits(&stage, &mut store, &mut a, now + 501, 7).is_none());
}

/// A worker that goes on after its lease has ended gives the rest back in the same swap.
#[test]
fn slow_clients_lose_nothing_by_leases() {
    let stage = stage(vec![limit(Algorithm::SlidingWindow, 200, 60_000, 50)]);
    let mut store = MemoryStore::default();
    let mut worker = Worker::default();
    let mut now = 1_000_000;
    for request in 0..200 {
        // Each a little later than a lease lasts, all within one window; no tick comes.
        now += 250;
        let admitted = admits(&stage, &mut store, &mut worker, now, 7);
        assert!(admitted.is_some(), "request {request}");
    }
}

#[test]
fn the_store_is_asked_once_a_lease() {
    let stage = stage(vec![limit(Algorithm::SlidingWindow, 10_000, 60_000, 100)]);
    let mut store = MemoryStore::default();
    let mut worker = Worker::default();
    let mut swaps = 0;
    let mut last = None;
    for _ in 0..5_000 {
        assert!(admits(&stage, &mut store, &mut worker, 1_000_000, 7).is_some());
        let mut value = Vec::new();
        for set in 0..16_u8 {
            let name = alloc::format!("pl3:{set:04x}");
            let mut one = Vec::new();
            store.load(name.as_bytes(), &mut one).unwrap();
            value.extend(one);
        }
        if last.as_ref() != Some(&value) {
            swaps += 1;
            last = Some(value);
        }
    }
    assert_eq!(swaps, 100 + 49);
}

#[test]
fn reservations_of_leased_places_are_given_back() {
    let mut leased = limit(Algorithm::SlidingWindow, 100, 60_000, 10);
    leased.statuses = vec![401];
    let stage = stage(vec![leased]);
    let mut store = MemoryStore::default();
    let mut worker = Worker::default();
    for request in 0..1_000 {
        let charges = admits(&stage, &mut store, &mut worker, 1_000_000, 7);
        let charges = charges.unwrap_or_else(|| panic!("request {request}"));
        assert_eq!(charges.reserved.len(), 1);
        with(&mut store, &mut worker, 1_000_000, |env| {
            stage.settle(&charges, 200, env);
        });
    }
    let mut counted = 0;
    while let Some(charges) = admits(&stage, &mut store, &mut worker, 1_000_000, 7) {
        with(&mut store, &mut worker, 1_000_000, |env| {
            stage.settle(&charges, 401, env);
        });
        counted += 1;
    }
    assert_eq!(counted, 100);
}

#[test]
fn limits_of_one_key_lease_together_and_a_refusal_gives_back() {
    let second = Limit {
        name: b"b".to_vec(),
        ..limit(Algorithm::FixedWindow, 60, 60_000, 7)
    };
    let mut late = Limit {
        name: b"late".to_vec(),
        key: vec![KeyPart::Method],
        ..limit(Algorithm::FixedWindow, 40, 60_000, 0)
    };
    late.lease = 0;
    let first = limit(Algorithm::SlidingWindow, 300, 60_000, 10);
    let stage = stage(vec![first, second, late]);
    let mut store = MemoryStore::default();
    let mut worker = Worker::default();
    let mut admitted = 0;
    for _ in 0..500 {
        admitted += u32::from(admits(&stage, &mut store, &mut worker, 1_020_001, 7).is_some());
    }
    assert_eq!(admitted, 40, "the last limit's quota");
    // What it refused was given back: without it the others have the rest.
    let mut others = stage;
    others.limits.truncate(2);
    while admits(&others, &mut store, &mut worker, 1_020_001, 7).is_some() {
        admitted += 1;
    }
    assert_eq!(admitted, 60);
}

#[test]
fn clients_beyond_the_room_are_charged_one_by_one() {
    let stage = stage(vec![limit(Algorithm::FixedWindow, 4, 60_000, 2)]);
    let mut store = MemoryStore::default();
    let mut worker = Worker::default();
    for client in 0..5_000 {
        let mut admitted = 0;
        for _ in 0..5 {
            let now = 1_020_001;
            admitted += u32::from(admits(&stage, &mut store, &mut worker, now, client).is_some());
        }
        assert!(admitted <= 4, "client {client}");
    }
    assert_eq!(worker.leases.slots.len(), SETS * WAYS);
}

/// Two plans share a client's counts: who has the smaller one gets nothing of the larger one's lease.
#[test]
fn a_lease_is_of_one_quota() {
    let gold = stage(vec![limit(Algorithm::FixedWindow, 100, 60_000, 10)]);
    let free = stage(vec![limit(Algorithm::FixedWindow, 11, 60_000, 10)]);
    let mut store = MemoryStore::default();
    let mut worker = Worker::default();
    for _ in 0..12 {
        assert!(admits(&gold, &mut store, &mut worker, 1_020_001, 7).is_some());
    }
    assert!(admits(&free, &mut store, &mut worker, 1_020_001, 7).is_none());
    assert!(admits(&gold, &mut store, &mut worker, 1_020_001, 7).is_some());
}

#[test]
fn leases_of_a_policy_that_is_gone_are_forgotten() {
    let old = stage(vec![limit(Algorithm::FixedWindow, 100, 60_000, 10)]);
    let mut store = MemoryStore::default();
    let mut worker = Worker::default();
    for _ in 0..11 {
        assert!(admits(&old, &mut store, &mut worker, 1_020_001, 7).is_some());
    }
    let new = stage(Vec::new());
    with(&mut store, &mut worker, 1_022_000, |env| {
        new.return_leases(env)
    });
    assert_eq!(worker.leases.over(1_022_000, 9).len(), 1);
    assert_eq!(worker.count_leases(1_022_000), (1, 0));
    assert_eq!(worker.leases.over(1_022_000, 9).len(), 1);
    assert_eq!(worker.count_leases(1_031_000), (0, 0));
    assert!(worker.leases.over(1_031_000, 9).is_empty());
}

/// Who is served from a lease is told when more is there, as others are: never too early.
#[test]
fn a_leased_request_is_told_when_more_is_there() {
    for algorithm in [
        Algorithm::SlidingWindow,
        Algorithm::FixedWindow,
        Algorithm::TokenBucket,
    ] {
        let mut leased = limit(algorithm, 60, 60_000, 10);
        leased.telling.shown = crate::stages::limits::Shown::Always;
        leased.telling.legacy = true;
        let stage = stage(vec![leased]);
        let (mut store, mut worker) = (MemoryStore::default(), Worker::default());
        let number = |charges: &Charges, field: &str| {
            let fields = stage.answer(charges);
            let (_, value) = fields.iter().find(|(name, _)| *name == field).unwrap();
            let text = String::from_utf8(value.clone()).unwrap();
            text.parse::<u64>().unwrap()
        };
        let told = |charges: &Charges| {
            let fields = stage.answer(charges);
            assert!(fields.iter().any(|(name, value)| {
                *name == "ratelimit" && value.windows(3).any(|part| part == b";t=")
            }));
            (
                number(charges, "x-ratelimit-remaining"),
                number(charges, "x-ratelimit-reset"),
            )
        };
        let mut last = (0, 0, 0);
        for step in 0..24_u64 {
            let now = 1_000_000 + 20 * step;
            let charges = admits(&stage, &mut store, &mut worker, now, 1).unwrap();
            let (remaining, reset) = told(&charges);
            assert_eq!(remaining, 59 - step, "{algorithm:?}");
            last = (now, remaining, reset);
        }
        let (now, remaining, reset) = last;
        assert!(worker.leases.counted().0 >= 1, "some were leased");
        assert!((1..=64).contains(&reset), "{algorithm:?}: {reset}");
        // A worker that has no lease asks the store when the time has come.
        let later = now + 1000 * reset;
        with(&mut store, &mut worker, later, |env| {
            stage.return_leases(env)
        });
        let charges = admits(&stage, &mut store, &mut Worker::default(), later, 1).unwrap();
        // Of a bucket's lease that went back, what may have been refilled meanwhile did not come back.
        let lost = u64::from(algorithm == Algorithm::TokenBucket);
        assert!(told(&charges).0 + 1 + lost > remaining, "{algorithm:?}");
    }
}
