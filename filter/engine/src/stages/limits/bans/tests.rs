//! Bans under hostile clocks, full sets, broken values and racing workers.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;

use super::*;
use crate::env::{Cas, MemoryStore, StoreError};
use crate::units::{Monotonic, Span, UnixTime};

const SECRET: [u8; 16] = *b"0123456789abcdef";
const MINUTE: u64 = 60_000;
const RULE: u32 = 7;

fn v4(client: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(client))
}

fn facts<'a>(client: IpAddr, route: &'a [u8], subject: Option<&'a [u8]>) -> Facts<'a> {
    Facts {
        route,
        subject: subject.map(|name| (0, name)),
        ..Facts::of(client)
    }
}

fn env<S>(store: &mut S, now: u64) -> Env<'_, S> {
    Env {
        now: Monotonic(now),
        wall: UnixTime(0),
        counters: store,
    }
}

fn identity(scope: Scope, facts: &Facts<'_>) -> Option<Identity> {
    Who::new(&SECRET, facts).unwrap().identity(scope)
}

fn who(scope: Scope, client: u32) -> Identity {
    identity(scope, &facts(v4(client), b"all", Some(b"alice"))).unwrap()
}

fn one_set() -> Bans {
    Bans {
        sets: 1,
        ..Bans::default()
    }
}

fn strike<S: CounterStore>(
    bans: &Bans,
    penalty: &Penalty,
    client: u32,
    store: &mut S,
    now: u64,
) -> Option<u64> {
    let excess = Excess {
        penalty,
        rule: RULE,
        points: 1,
        monitor: false,
    };
    match bans.strike(who(penalty.scope, client), excess, &mut env(store, now)) {
        Ok(Struck::Banned { wait_ms, .. }) => Some(wait_ms),
        Ok(Struck::Noted) => None,
        Err(reason) => panic!("{reason:?}"),
    }
}

fn stands<S: CounterStore>(
    bans: &Bans,
    scope: Scope,
    facts: &Facts<'_>,
    store: &mut S,
    now: u64,
) -> Stands {
    let who = Who::new(&SECRET, facts).unwrap();
    bans.look(&who, scope, &mut env(store, now)).unwrap()
}

/// Milliseconds that a client is still banned for.
fn left<S: CounterStore>(bans: &Bans, client: u32, store: &mut S, now: u64) -> Option<u64> {
    let facts = facts(v4(client), b"all", None);
    let standing = stands(bans, Scope::Client, &facts, store, now).enforced;
    standing.map(|standing| standing.wait_ms)
}

#[test]
fn bans_escalate_and_are_forgotten_one_by_one() {
    let mut penalty = Penalty::sample(2, MINUTE, MINUTE);
    penalty.escalate = 4;
    penalty.max = Span { ms: 10 * MINUTE };
    penalty.decay = Span { ms: 60 * MINUTE };
    let bans = Bans::default();
    let mut store = MemoryStore::default();
    let mut now = 1000;
    let mut ban = |gap: u64| {
        now += gap;
        assert_eq!(strike(&bans, &penalty, 1, &mut store, now), None);
        let length = strike(&bans, &penalty, 1, &mut store, now + 1).unwrap();
        assert_eq!(left(&bans, 1, &mut store, now + 1), Some(length));
        assert_eq!(
            strike(&bans, &penalty, 1, &mut store, now + length),
            None,
            "who is banned is not struck"
        );
        now += 1 + length;
        assert_eq!(left(&bans, 1, &mut store, now), None, "it ends on time");
        length / MINUTE
    };
    assert_eq!([ban(0), ban(0), ban(0), ban(0)], [1, 4, 10, 10]);
    // Level 4; 60 minutes without a ban make it 3, 180 more 0.
    assert_eq!(ban(60 * MINUTE), 10);
    assert_eq!(ban(180 * MINUTE), 4);
    assert_eq!(ban(120 * MINUTE - 2), 4);
    assert_eq!(ban(120 * MINUTE), 1);
    assert_eq!(ban(9000 * MINUTE), 1);
}

#[test]
fn excesses_count_within_their_window_and_by_rule() {
    let penalty = Penalty::sample(3, MINUTE, MINUTE);
    let bans = Bans::default();
    let mut store = MemoryStore::default();
    let mut strikes = |times: &[u64]| {
        let banned: Vec<bool> = times
            .iter()
            .map(|now| strike(&bans, &penalty, 1, &mut store, *now).is_some())
            .collect();
        banned
    };
    assert_eq!(strikes(&[0, MINUTE + 1, MINUTE + 2]), [false; 3]);
    assert_eq!(strikes(&[2 * MINUTE + 1]), [true], "counted from the first");
    let mut store = MemoryStore::default();
    for (rule, points, banned) in [(1, 2, false), (2, 2, false), (1, 1, true)] {
        let excess = Excess {
            penalty: &penalty,
            rule,
            points,
            monitor: false,
        };
        let struck = bans.strike(who(Scope::Client, 1), excess, &mut env(&mut store, 5));
        assert_eq!(struck != Ok(Struck::Noted), banned, "rule {rule}");
    }
}

#[test]
fn a_scope_says_whom_a_ban_stops() {
    let bans = Bans::default();
    let v6 = |net, host| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, net, host, 0, 0, 1));
    let alice = Some(&b"alice"[..]);
    let here = facts(v6(1, 1), b"a", alice);
    let neighbour = facts(v6(1, 9), b"a", Some(b"bob"));
    let elsewhere = facts(v6(1, 1), b"b", alice);
    let stranger = facts(v6(2, 1), b"a", alice);
    for (scope, stopped) in [
        (Scope::Client, [true, true, true, false]),
        (Scope::Route, [true, true, false, false]),
        (Scope::Subject, [true, false, true, true]),
    ] {
        let mut store = MemoryStore::default();
        let mut penalty = Penalty::sample(1, MINUTE, MINUTE);
        penalty.scope = scope;
        let excess = Excess {
            penalty: &penalty,
            rule: RULE,
            points: 1,
            monitor: false,
        };
        let who = identity(scope, &here).unwrap();
        bans.strike(who, excess, &mut env(&mut store, 0)).unwrap();
        let looks = [here, neighbour, elsewhere, stranger].map(|facts| {
            [Scope::Client, Scope::Subject].iter().any(|phase| {
                let stands = stands(&bans, *phase, &facts, &mut store, 1).enforced;
                stands.is_some_and(|it| it.scope == scope && it.rule == RULE)
            })
        });
        assert_eq!(looks, stopped, "{scope:?}");
        assert_eq!(store.len(), 1);
    }
    assert!(identity(Scope::Subject, &facts(v4(1), b"a", None)).is_none());
}

#[test]
fn what_is_monitored_stops_nobody_and_is_seen() {
    let (bans, penalty) = (Bans::default(), Penalty::sample(1, MINUTE, MINUTE));
    let mut store = MemoryStore::default();
    let excess = |monitor| Excess {
        penalty: &penalty,
        rule: RULE,
        points: 1,
        monitor,
    };
    let who = who(Scope::Client, 1);
    bans.strike(who, excess(true), &mut env(&mut store, 0))
        .unwrap();
    let facts = facts(v4(1), b"all", None);
    let seen = stands(&bans, Scope::Client, &facts, &mut store, 1);
    assert!(seen.enforced.is_none() && seen.monitored.is_some());
    // It does not stand in the way of a true one, nor raises its level.
    bans.strike(who, excess(false), &mut env(&mut store, 1))
        .unwrap();
    let seen = stands(&bans, Scope::Client, &facts, &mut store, 2);
    assert!(seen.enforced.is_some() && seen.monitored.is_some());
}

#[test]
fn clocks_that_step_back_end_no_ban() {
    let bans = one_set();
    let penalty = Penalty::sample(1, MINUTE, MINUTE);
    let mut store = MemoryStore::default();
    let now = 500 * MINUTE;
    strike(&bans, &penalty, 1, &mut store, now).unwrap();
    assert_eq!(
        left(&bans, 1, &mut store, 0),
        Some(MINUTE),
        "no longer, too"
    );
    // Somebody else's write under a clock that was set back keeps the newest time.
    strike(&bans, &penalty, 2, &mut store, 3).unwrap();
    assert_eq!(left(&bans, 1, &mut store, now + 1), Some(MINUTE - 1));
    assert_eq!(left(&bans, 2, &mut store, 3), Some(MINUTE));
    assert_eq!(left(&bans, 1, &mut store, u64::MAX), None);
    strike(&bans, &penalty, 1, &mut store, u64::MAX);
    assert_eq!(
        left(&bans, 1, &mut store, 0),
        None,
        "no time is left to wait"
    );
}

#[test]
fn a_full_set_keeps_the_bans_that_last_longest() {
    let bans = one_set();
    let count = Penalty::sample(9, MINUTE, MINUTE);
    let mut store = MemoryStore::default();
    for client in 0..100 {
        strike(&bans, &count, client, &mut store, 0);
    }
    let excess = |ms| Penalty::sample(1, MINUTE, ms);
    let dropped = |store: &mut MemoryStore, client, ms| {
        let penalty = excess(ms);
        let excess = Excess {
            penalty: &penalty,
            rule: RULE,
            points: 1,
            monitor: false,
        };
        let struck = bans.strike(who(Scope::Client, client), excess, &mut env(store, 1));
        matches!(struck, Ok(Struck::Banned { dropped: true, .. }))
    };
    // Bans push out counts, and no count pushes out a ban.
    for client in 0..32 {
        assert!(!dropped(&mut store, client, u64::from(client + 1) * MINUTE));
    }
    for client in 200..300 {
        strike(&bans, &count, client, &mut store, 2);
    }
    let banned = |store: &mut MemoryStore| {
        let list: Vec<u32> = (0..400)
            .filter(|client| left(&bans, *client, store, 2).is_some())
            .collect();
        list
    };
    assert_eq!(banned(&mut store), (0..32).collect::<Vec<_>>());
    // The one that ends soonest goes, the new one itself if it is that one; both are told.
    assert!(dropped(&mut store, 300, 90 * MINUTE));
    assert!(dropped(&mut store, 301, 1));
    let mut left_over: Vec<u32> = (1..32).collect();
    left_over.push(300);
    assert_eq!(banned(&mut store), left_over);
    let most = usize::try_from(bans.memory_bytes()).unwrap();
    assert!(store.len() == 1 && store.bytes() <= most);
}

#[test]
fn memory_is_flat_and_a_table_holds_what_it_promises() {
    let bans = Bans {
        sets: Bans::sets_for(1000),
        ..Bans::default()
    };
    assert!(bans.capacity() >= 1000, "{}", bans.capacity());
    let penalty = Penalty::sample(1, MINUTE, MINUTE);
    let mut store = MemoryStore::default();
    for client in 0..1000 {
        strike(&bans, &penalty, client, &mut store, 0);
    }
    let held = (0..1000).filter(|client| left(&bans, *client, &mut store, 1).is_some());
    assert_eq!(held.count(), 1000);
    for client in 0..50_000 {
        strike(&bans, &penalty, client, &mut store, u64::from(client));
    }
    assert!(store.len() <= usize::try_from(bans.sets).unwrap());
    assert!(store.bytes() <= usize::try_from(bans.memory_bytes()).unwrap());
    assert_eq!(Bans::sets_for(16_384), DEFAULT_SETS);
}

#[test]
fn broken_values_are_taken_for_none_and_written_anew() {
    let bans = one_set();
    let penalty = Penalty::sample(2, MINUTE, MINUTE);
    let mut store = MemoryStore::default();
    for client in 0..20 {
        strike(&bans, &penalty, client, &mut store, 50);
        strike(&bans, &penalty, client % 10, &mut store, 51);
    }
    let key = bans.table().name(0);
    let mut good = Vec::new();
    store.load(&key, &mut good).unwrap();
    assert!(good.len() > 300);
    let put = |bytes: &[u8]| {
        let mut store = MemoryStore::default();
        store.compare_and_swap(&key, bytes, Cas::ABSENT).unwrap();
        for now in [0, 52, u64::MAX] {
            if let Some(left) = left(&bans, 3, &mut store, now) {
                assert!(left <= LONGEST_MS, "{left}");
            }
            for client in [3, 99] {
                strike(&bans, &penalty, client, &mut store, now);
            }
        }
    };
    for cut in 0..good.len() {
        put(&good[..cut]);
    }
    for at in 0..good.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] = byte;
            put(&bad);
        }
    }
    put(&good.repeat(9));
    let mut store = MemoryStore::default();
    store
        .compare_and_swap(&key, b"\x02of another layout", Cas::ABSENT)
        .unwrap();
    assert_eq!(left(&bans, 1, &mut store, 5), None);
    strike(&bans, &penalty, 1, &mut store, 5);
    assert_eq!(strike(&bans, &penalty, 1, &mut store, 6), Some(MINUTE));
}

/// A store that several workers share.
struct Shared<'a>(&'a Mutex<MemoryStore>);

impl CounterStore for Shared<'_> {
    fn load(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<Cas, StoreError> {
        self.0.lock().unwrap().load(key, out)
    }

    fn compare_and_swap(&mut self, key: &[u8], value: &[u8], cas: Cas) -> Result<(), StoreError> {
        self.0.lock().unwrap().compare_and_swap(key, value, cas)
    }
}

#[test]
fn of_racing_workers_one_begins_a_ban_and_it_holds_for_all() {
    let (bans, penalty) = (one_set(), Penalty::sample(50, MINUTE, MINUTE));
    let store = Mutex::new(MemoryStore::default());
    let begun: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut shared = Shared(&store);
                    let mut begun = 0;
                    for _ in 0..25 {
                        begun +=
                            usize::from(strike(&bans, &penalty, 1, &mut shared, 1) == Some(MINUTE));
                    }
                    begun
                })
            })
            .collect();
        workers.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert_eq!(begun, 1, "100 strikes, 50 of them too many");
    assert_eq!(left(&bans, 1, &mut Shared(&store), 2), Some(MINUTE - 1));
}

/// What cannot be read or written bans nobody, and says so.
#[test]
fn a_failing_store_is_an_error() {
    struct Broken;
    impl CounterStore for Broken {
        fn load(&mut self, _: &[u8], out: &mut Vec<u8>) -> Result<Cas, StoreError> {
            out.clear();
            Ok(Cas(1))
        }
        fn compare_and_swap(&mut self, _: &[u8], _: &[u8], _: Cas) -> Result<(), StoreError> {
            Err(StoreError::CasMismatch)
        }
    }
    struct Dead;
    impl CounterStore for Dead {
        fn load(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<Cas, StoreError> {
            Err(StoreError::Failed)
        }
        fn compare_and_swap(&mut self, _: &[u8], _: &[u8], _: Cas) -> Result<(), StoreError> {
            Err(StoreError::Failed)
        }
    }
    let (bans, penalty) = (one_set(), Penalty::sample(1, MINUTE, MINUTE));
    let excess = Excess {
        penalty: &penalty,
        rule: RULE,
        points: 1,
        monitor: false,
    };
    let who = who(Scope::Client, 1);
    let contended = bans.strike(who, excess, &mut env(&mut Broken, 0));
    assert_eq!(contended, Err(Reason::CountersContended));
    let dead = bans.strike(who, excess, &mut env(&mut Dead, 0));
    assert_eq!(dead, Err(Reason::CountersUnavailable));
}
