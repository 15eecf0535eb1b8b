//! Attacks on the table: replays, races, full sets, clocks that are set back, broken stores.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "test arithmetic on small numbers"
)]

use alloc::vec::Vec;
use std::sync::Mutex;

use super::*;
use crate::env::{Cas, MemoryStore, StoreError};
use crate::testing::Random;
use crate::units::Monotonic;

fn table(sets: u32) -> Marks {
    Marks {
        sets,
        hash_key: *b"0123456789abcdef",
    }
}

fn env<S>(store: &mut S, wall: u64) -> Env<'_, S> {
    Env {
        now: Monotonic(0),
        wall: UnixTime(wall),
        counters: store,
    }
}

fn mark<S: CounterStore>(
    marks: &Marks,
    store: &mut S,
    id: u32,
    until: u64,
    now: u64,
) -> Result<Marked, Reason> {
    marks.mark(
        Purpose::SignedBody,
        &[b"hooks", &id.to_le_bytes()],
        UnixTime(until),
        &mut env(store, now),
    )
}

fn revoked(marks: &Marks, store: &mut MemoryStore, id: u32, issued: u64, now: u64) -> bool {
    marks
        .is_revoked(
            Purpose::Session,
            &[&id.to_le_bytes()],
            UnixTime(issued),
            UnixTime(issued + 3600),
            &mut env(store, now),
        )
        .unwrap()
}

#[test]
fn a_thing_is_fresh_once_until_its_last_second_is_over() {
    let (marks, mut store) = (table(8), MemoryStore::default());
    for (now, expected) in [
        (1000, Marked::Fresh),
        (1000, Marked::Seen),
        (1300, Marked::Seen),
        (1301, Marked::Fresh),
    ] {
        let until = if now > 1300 { 1601 } else { 1300 };
        assert_eq!(
            mark(&marks, &mut store, 1, until, now),
            Ok(expected),
            "{now}"
        );
    }
    assert_eq!(mark(&marks, &mut store, 2, 1601, 1301), Ok(Marked::Fresh));
}

#[test]
fn purposes_and_texts_never_meet() {
    let (marks, mut store) = (table(1), MemoryStore::default());
    let mut env = env(&mut store, 10);
    let keys: [&[&[u8]]; 6] = [
        &[],
        &[b""],
        &[b"ab"],
        &[b"a", b"b"],
        &[b"ab", b""],
        &[b"ab\0"],
    ];
    for purpose in [
        Purpose::SignedBody,
        Purpose::SignedMessage,
        Purpose::Proof,
        Purpose::Session,
        Purpose::Token,
    ] {
        for key in keys {
            let until = UnixTime(20);
            let marked = marks.mark(purpose, key, until, &mut env);
            assert_eq!(marked, Ok(Marked::Fresh), "{purpose:?} {key:?}");
            let marked = marks.mark(purpose, key, until, &mut env);
            assert_eq!(marked, Ok(Marked::Seen), "{purpose:?} {key:?}");
        }
    }
    assert_eq!(store.len(), 1);
}

#[test]
fn a_full_set_tells_so_and_makes_room_when_time_passes() {
    let (marks, mut store) = (table(1), MemoryStore::default());
    let ways = u32::try_from(WAYS).unwrap();
    for id in 0..ways {
        assert_eq!(mark(&marks, &mut store, id, 1300, 1000), Ok(Marked::Fresh));
    }
    assert_eq!(mark(&marks, &mut store, ways, 1300, 1000), Ok(Marked::Full));
    // Full, and still exact for all that it holds.
    for id in 0..ways {
        assert_eq!(mark(&marks, &mut store, id, 1300, 1300), Ok(Marked::Seen));
    }
    assert_eq!(
        mark(&marks, &mut store, ways, 1301, 1301),
        Ok(Marked::Fresh)
    );
    // The others were dropped. A clock that is set back does not make them new.
    for id in 0..ways {
        assert_eq!(mark(&marks, &mut store, id, 1300, 1000), Ok(Marked::Full));
    }
    assert_eq!(
        mark(&marks, &mut store, ways + 1, 1301, 1000),
        Ok(Marked::Fresh)
    );
    assert_eq!(
        u64::try_from(store.bytes()).unwrap(),
        8 + 16 + 2 * 12,
        "the bytes of what is held"
    );
}

#[test]
fn a_table_is_exact_up_to_its_capacity_and_bounded_beyond() {
    let marks = table(Marks::sets_for(1500));
    assert_eq!((marks.sets, marks.capacity()), (64, 1536));
    let mut store = MemoryStore::default();
    for expected in [Marked::Fresh, Marked::Seen] {
        for id in 0..marks.capacity() {
            assert_eq!(mark(&marks, &mut store, id, 1300, 1000), Ok(expected));
        }
    }
    let (mut full, mut fresh) = (0, 0);
    for id in marks.capacity()..20_000 {
        match mark(&marks, &mut store, id, 1300, 1000).unwrap() {
            Marked::Fresh => fresh += 1,
            Marked::Full => full += 1,
            Marked::Seen => panic!("{id} was not marked"),
        }
    }
    assert!(fresh > 0 && full > 0, "{fresh} {full}");
    assert_eq!(store.len(), 64);
    assert!(u64::try_from(store.bytes()).unwrap() + 64 * 170 <= marks.memory_bytes());
    for (count, sets) in [(1, 1), (24, 1), (25, 2), (65_536, 4096), (u32::MAX, 65_536)] {
        assert_eq!(Marks::sets_for(count), sets, "{count}");
    }
}

#[test]
fn no_revocation_is_lost_in_a_full_set() {
    let (marks, mut store) = (table(1), MemoryStore::default());
    let ways = u32::try_from(WAYS).unwrap();
    let revoke = |store: &mut MemoryStore, id: u32, now: u64| {
        marks
            .revoke(
                Purpose::Session,
                &[&id.to_le_bytes()],
                UnixTime(4000),
                30,
                &mut env(store, now),
            )
            .unwrap();
    };
    for id in 0..ways {
        revoke(&mut store, id, 1000);
        revoke(&mut store, id, 1001);
    }
    assert!((0..ways).all(|id| revoked(&marks, &mut store, id, 900, 1000)));
    assert!(!revoked(&marks, &mut store, 999, 900, 1000));
    // One more: everybody who was issued by now (and the leeway) pays, nobody else.
    for id in ways..ways + 10 {
        revoke(&mut store, id, 2000);
    }
    for id in 0..ways + 10 {
        assert!(revoked(&marks, &mut store, id, 900, 2000), "{id}");
        assert!(
            revoked(&marks, &mut store, id, 2030, 2000),
            "a clock ahead by the leeway: {id}"
        );
    }
    assert!(revoked(&marks, &mut store, 999, 2030, 2000));
    assert!(!revoked(&marks, &mut store, 999, 2031, 2000));
    // When the last of them is over, so is the price.
    assert!(!revoked(&marks, &mut store, 999, 2000, 4001));
    // Room again; the sessions that were dropped stay dead when the clock is set back.
    revoke(&mut store, 5000, 4001);
    marks
        .revoke(
            Purpose::Session,
            &[b"x"],
            UnixTime(9000),
            30,
            &mut env(&mut store, 4001),
        )
        .unwrap();
    assert!(revoked(&marks, &mut store, 3, 300, 4001));
    assert!(
        !revoked(&marks, &mut store, 3, 500, 4001),
        "another, later session"
    );
}

#[test]
fn replays_find_no_room_that_revocations_hold() {
    let (marks, mut store) = (table(1), MemoryStore::default());
    for id in 0..u32::try_from(WAYS).unwrap() {
        assert_eq!(mark(&marks, &mut store, id, 5000, 1000), Ok(Marked::Fresh));
    }
    let mut env = env(&mut store, 1000);
    let key: &[&[u8]] = &[b"sid"];
    assert_eq!(
        marks.revoke(Purpose::Session, key, UnixTime(2000), 0, &mut env),
        Ok(())
    );
    let ask = |issued, env: &mut Env<'_, MemoryStore>| {
        marks.is_revoked(Purpose::Session, key, UnixTime(issued), UnixTime(2000), env)
    };
    assert_eq!(ask(1000, &mut env), Ok(true));
    assert_eq!(ask(1001, &mut env), Ok(false));
}

/// A store in which others write between load and swap, or which fails.
#[derive(Default)]
struct Trouble {
    inner: MemoryStore,
    lose: u32,
    fail_load: bool,
    fail_swap: bool,
    zero: bool,
    swaps: u32,
}

impl CounterStore for Trouble {
    fn load(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<Cas, StoreError> {
        if self.fail_load {
            return Err(StoreError::Failed);
        }
        let cas = self.inner.load(key, out)?;
        Ok(if self.zero { Cas(0) } else { cas })
    }

    fn compare_and_swap(&mut self, key: &[u8], value: &[u8], cas: Cas) -> Result<(), StoreError> {
        self.swaps += 1;
        if self.fail_swap {
            return Err(StoreError::Failed);
        }
        if self.lose > 0 {
            self.lose -= 1;
            return Err(StoreError::CasMismatch);
        }
        self.inner.compare_and_swap(key, value, cas)
    }
}

#[test]
fn a_failing_store_refuses() {
    let marks = table(4);
    for (lose, expected) in [
        (0, Ok(Marked::Fresh)),
        (32, Ok(Marked::Fresh)),
        (33, Err(Reason::CountersContended)),
    ] {
        let mut store = Trouble {
            lose,
            ..Trouble::default()
        };
        assert_eq!(mark(&marks, &mut store, 1, 1300, 1000), expected);
        assert!(store.swaps <= 33);
    }
    for case in 0..3 {
        let mut store = Trouble {
            fail_load: case == 0,
            fail_swap: case == 1,
            zero: case == 2,
            ..Trouble::default()
        };
        assert_eq!(
            mark(&marks, &mut store, 1, 1300, 1000),
            Err(Reason::CountersUnavailable),
            "{case}"
        );
    }
}

#[test]
fn what_cannot_be_read_refuses() {
    let marks = table(1);
    let mut good = MemoryStore::default();
    assert_eq!(mark(&marks, &mut good, 1, 1300, 1000), Ok(Marked::Fresh));
    let mut value = Vec::new();
    let cas = good.load(b"pm1:0000", &mut value).unwrap();
    assert_ne!(cas, Cas::ABSENT);
    let mut wrong = value.clone();
    wrong[0] = 9;
    let mut long = value[..16].to_vec();
    long.resize(16 + 12 * (WAYS + 1), 1);
    let cuts = (1..value.len()).filter(|cut| *cut != 16);
    let broken: Vec<Vec<u8>> = cuts
        .map(|cut| value[..cut].to_vec())
        .chain([wrong, long])
        .collect();
    for bytes in broken {
        let mut store = MemoryStore::default();
        store
            .compare_and_swap(b"pm1:0000", &bytes, Cas::ABSENT)
            .unwrap();
        assert_eq!(
            mark(&marks, &mut store, 1, 1300, 1000),
            Err(Reason::CountersUnavailable),
            "{bytes:?}"
        );
    }
}

/// One of the workers of a process: the store is shared, and some swaps are lost for no reason.
struct Worker<'s> {
    shared: &'s Mutex<MemoryStore>,
    random: Random,
}

impl CounterStore for Worker<'_> {
    fn load(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<Cas, StoreError> {
        let loaded = self.shared.lock().unwrap().load(key, out);
        std::thread::yield_now();
        loaded
    }

    fn compare_and_swap(&mut self, key: &[u8], value: &[u8], cas: Cas) -> Result<(), StoreError> {
        if self.random.below(4) == 0 {
            return Err(StoreError::CasMismatch);
        }
        self.shared
            .lock()
            .unwrap()
            .compare_and_swap(key, value, cas)
    }
}

#[test]
fn of_many_workers_exactly_one_is_told_fresh() {
    const WORKERS: u64 = 8;
    const IDS: u32 = 40;
    let marks = table(1);
    let shared = Mutex::new(MemoryStore::default());
    let answers = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for seed in 1..=WORKERS {
            let (marks, shared, answers) = (&marks, &shared, &answers);
            scope.spawn(move || {
                let mut store = Worker {
                    shared,
                    random: Random::new(seed),
                };
                for id in 0..IDS {
                    // Contention is a refusal, which a client may repeat.
                    let marked = loop {
                        match mark(marks, &mut store, id, 1300, 1000) {
                            Ok(marked) => break marked,
                            Err(reason) => assert_eq!(reason, Reason::CountersContended),
                        }
                    };
                    answers.lock().unwrap().push((id, marked));
                }
            });
        }
    });
    let answers = answers.into_inner().unwrap();
    assert_eq!(answers.len(), IDS as usize * WORKERS as usize);
    for id in 0..IDS {
        let fresh = answers
            .iter()
            .filter(|answer| **answer == (id, Marked::Fresh))
            .count();
        assert_eq!(fresh, 1, "{id}");
    }
    assert!(answers.iter().all(|(_, marked)| *marked != Marked::Full));
}
