//! Bans under hostile clocks, full sets, broken values and racing workers.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;

use super::super::entry;
use super::super::{Charges, Limit, LimitStage, Worker};
use super::*;
use crate::env::{Cas, CounterStore, MemoryStore, StoreError};
use crate::finding::Findings;
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
        subject: subject.map(|name| (&b"idp"[..], name)),
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

/// Sets of a table that is promised to hold so many bans.
fn stage(sets: u32, count: u32) -> LimitStage {
    let bans = Bans {
        count,
        sets,
        clients: true,
        subjects: true,
        ..Bans::default()
    };
    LimitStage {
        sets,
        bans,
        hash_key: SECRET,
        ..LimitStage::default()
    }
}

fn usual() -> LimitStage {
    stage(DEFAULT_SETS, DEFAULT_COUNT)
}

/// The fullest that a set may be.
fn one_set() -> LimitStage {
    stage(1, DEFAULT_COUNT)
}

fn strike<S: Outside>(
    bans: &LimitStage,
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
    match Table::new(bans).strike(who(penalty.scope, client), excess, &mut env(store, now)) {
        Ok(Struck::Banned { wait_ms, .. }) => Some(wait_ms),
        Ok(Struck::Noted) => None,
        Err(reason) => panic!("{reason:?}"),
    }
}

fn stands<S: Outside>(
    bans: &LimitStage,
    scope: Scope,
    facts: &Facts<'_>,
    store: &mut S,
    now: u64,
) -> Stands {
    let who = Who::new(&SECRET, facts).unwrap();
    let looked = Table::new(bans).look(&who, scope, &mut env(store, now));
    looked.unwrap().0
}

/// Milliseconds that a client is still banned for.
fn left<S: Outside>(bans: &LimitStage, client: u32, store: &mut S, now: u64) -> Option<u64> {
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
    let bans = usual();
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
    let bans = usual();
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
        let struck =
            Table::new(&bans).strike(who(Scope::Client, 1), excess, &mut env(&mut store, 5));
        assert_eq!(struck != Ok(Struck::Noted), banned, "rule {rule}");
    }
}

#[test]
fn a_scope_says_whom_a_ban_stops() {
    let bans = usual();
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
        Table::new(&bans)
            .strike(who, excess, &mut env(&mut store, 0))
            .unwrap();
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
    let (bans, penalty) = (usual(), Penalty::sample(1, MINUTE, MINUTE));
    let mut store = MemoryStore::default();
    let excess = |monitor| Excess {
        penalty: &penalty,
        rule: RULE,
        points: 1,
        monitor,
    };
    let who = who(Scope::Client, 1);
    Table::new(&bans)
        .strike(who, excess(true), &mut env(&mut store, 0))
        .unwrap();
    let facts = facts(v4(1), b"all", None);
    let seen = stands(&bans, Scope::Client, &facts, &mut store, 1);
    assert!(seen.enforced.is_none() && seen.monitored.is_some());
    // It does not stand in the way of a true one, nor raises its level.
    Table::new(&bans)
        .strike(who, excess(false), &mut env(&mut store, 1))
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
        let struck =
            Table::new(&bans).strike(who(Scope::Client, client), excess, &mut env(store, 1));
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
    assert!(most <= 1000, "{most}");
}

#[test]
fn memory_is_flat_and_a_table_holds_what_it_promises() {
    let penalty = Penalty::sample(1, MINUTE, MINUTE);
    for sets in [Bans::sets_for(1000), 256, 512, 1024, 4096] {
        let bans = stage(sets, 1000);
        assert!(bans.bans.capacity() >= 1000, "{}", bans.bans.capacity());
        let mut store = MemoryStore::default();
        for client in 0..1000 {
            strike(&bans, &penalty, client, &mut store, 0);
        }
        let held = (0..1000).filter(|client| left(&bans, *client, &mut store, 1).is_some());
        assert_eq!(held.count(), 1000, "{sets} sets");
        for client in 0..50_000 {
            strike(&bans, &penalty, client, &mut store, u64::from(client));
        }
        assert!(store.len() <= usize::try_from(sets).unwrap());
        assert!(store.bytes() <= usize::try_from(bans.memory_bytes()).unwrap());
    }
    assert_eq!(Bans::sets_for(DEFAULT_COUNT), 2048);
}

/// A set that is to hold `mean` records meets more than its ways in less than five cases of ten million.
#[test]
fn ways_follow_from_what_a_set_is_promised_for() {
    let more = |mean: f64, ways: u8| {
        let mut term = (-mean).exp();
        let mut rest = 0.0;
        for count in 1..200_u32 {
            term *= mean / f64::from(count);
            if count > u32::from(ways) {
                rest += term;
            }
        }
        rest
    };
    for (promised, ways) in (1_u32..).zip(WAYS) {
        let mean = f64::from(promised);
        assert!(more(mean, ways) < 5e-7, "{promised}");
        assert!(more(mean, ways - 1) > 5e-7, "{promised}: one less would do");
        assert_eq!(stage(1, promised).bans.ways(), usize::from(ways));
    }
    assert_eq!(stage(1, 9999).bans.ways(), MOST_WAYS);
    assert_eq!(
        (stage(0, 0).bans.ways(), stage(0, 0).bans.capacity()),
        (9, 0)
    );
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
    let key = crate::sets::Sets::new(*b"pl", entry::LAYOUT, 1).name(0);
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

/// A store that keeps what it is told of the table.
#[derive(Default)]
struct Watched {
    store: MemoryStore,
    told: Vec<TableEvent>,
}

impl Outside for Watched {
    fn worker(&mut self) -> &mut Worker {
        self.store.worker()
    }

    fn table(&mut self, event: TableEvent) {
        self.told.push(event);
    }
}

impl CounterStore for Watched {
    fn load(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<Cas, StoreError> {
        self.store.load(key, out)
    }

    fn compare_and_swap(&mut self, key: &[u8], value: &[u8], cas: Cas) -> Result<(), StoreError> {
        self.store.compare_and_swap(key, value, cas)
    }
}

#[test]
fn what_cannot_be_read_is_told_and_a_ban_that_had_to_go() {
    let bans = one_set();
    let penalty = Penalty::sample(1, MINUTE, MINUTE);
    let mut watched = Watched::default();
    strike(&bans, &penalty, 1, &mut watched, 5);
    assert_eq!(left(&bans, 1, &mut watched, 6), Some(MINUTE - 1));
    assert_eq!(watched.told, [], "nothing is wrong");
    let key = crate::sets::Sets::new(*b"pl", entry::LAYOUT, 1).name(0);
    let mut good = Vec::new();
    watched.load(&key, &mut good).unwrap();
    let kind = good.len() - RECORD_BYTES + 6;
    let bad: [&[u8]; 4] = [
        // A record of no kind, half a record, half a group, another layout.
        &[&good[..kind], &[9], &good[kind + 1..]].concat(),
        &[&good[..17], &[0, 12], &good[19..31]].concat(),
        &good[..20],
        b"\x02of another layout",
    ];
    for bad in bad {
        let mut watched = Watched::default();
        watched.compare_and_swap(&key, bad, Cas::ABSENT).unwrap();
        assert_eq!(left(&bans, 1, &mut watched, 6), None);
        assert_eq!(watched.told, [TableEvent::Unreadable], "{bad:?}");
        // The next excess writes it anew.
        strike(&bans, &penalty, 1, &mut watched, 7);
        watched.told.clear();
        assert_eq!(left(&bans, 1, &mut watched, 7), Some(MINUTE));
        assert_eq!(watched.told, []);
    }
    for client in 2..=32 {
        strike(&bans, &penalty, client, &mut watched, 8);
    }
    assert_eq!(watched.told, []);
    strike(&bans, &penalty, 33, &mut watched, 8);
    assert_eq!(watched.told, [TableEvent::BanDropped]);
    let by_hand = Table::new(&bans).ban(who(Scope::Client, 34), MINUTE, &mut env(&mut watched, 8));
    assert_eq!(by_hand.unwrap().level, 1);
    assert_eq!(watched.told, [TableEvent::BanDropped; 2]);
}

/// Limits and bans in one entry: neither loses what the other writes, and both are read at once.
#[test]
fn bans_and_counts_share_an_entry() {
    let mut bans = one_set();
    bans.limits.push(Limit::sample(b"a", 100, MINUTE));
    let penalty = Penalty::sample(1, MINUTE, MINUTE);
    let mut store = MemoryStore::default();
    let admits = |client: u32, store: &mut MemoryStore, now: u64| {
        let facts = facts(v4(client), b"all", None);
        let (mut charges, mut found) = (Charges::default(), Findings::default());
        let mut env = env(store, now);
        let checked = bans.check(
            Phase::Client,
            &facts,
            false,
            &mut env,
            &mut charges,
            &mut found,
        );
        checked.map_err(|denial| denial.reason)
    };
    assert_eq!(admits(1, &mut store, 1), Ok(()));
    // Somebody whom no limit has met.
    strike(&bans, &penalty, 2, &mut store, 2).unwrap();
    assert_eq!(admits(2, &mut store, 3), Err(Reason::Banned));
    for client in 10..40 {
        assert_eq!(admits(client, &mut store, 4), Ok(()), "evictions of counts");
    }
    assert_eq!(admits(2, &mut store, 5), Err(Reason::Banned));
    let mut admitted = 0;
    while admits(39, &mut store, 6).is_ok() {
        admitted += 1;
    }
    assert!((70..100).contains(&admitted), "{admitted}");
    assert_eq!(admits(39, &mut store, 6), Err(Reason::RateLimited));
    for client in 100..120 {
        strike(&bans, &penalty, client, &mut store, 7);
    }
    assert_eq!(admits(39, &mut store, 8), Err(Reason::RateLimited), "kept");
    let lifted = Table::new(&bans).lift(who(Scope::Client, 2), &mut env(&mut store, 9));
    assert_eq!(lifted.unwrap(), Held::default());
    assert_ne!(admits(2, &mut store, 10), Err(Reason::Banned));
    assert_eq!(store.len(), 1);
    assert!(store.bytes() <= usize::try_from(bans.memory_bytes()).unwrap());
    // When all has ended, nothing is left of it.
    let later = 2 * 86_400_000;
    assert_eq!(admits(200, &mut store, later), Ok(()));
    assert!(store.bytes() < 100, "{}", store.bytes());
}

/// A store that several workers share.
struct Shared<'a>(&'a Mutex<MemoryStore>);

impl Outside for Shared<'_> {
    fn worker(&mut self) -> &mut Worker {
        panic!("bans need no worker of their own")
    }
}

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
    impl Outside for Broken {
        fn worker(&mut self) -> &mut Worker {
            panic!("bans need no worker of their own")
        }
    }
    impl Outside for Dead {
        fn worker(&mut self) -> &mut Worker {
            panic!("bans need no worker of their own")
        }
    }
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
    let contended = Table::new(&bans).strike(who, excess, &mut env(&mut Broken, 0));
    assert_eq!(contended, Err(Reason::CountersContended));
    let dead = Table::new(&bans).strike(who, excess, &mut env(&mut Dead, 0));
    assert_eq!(dead, Err(Reason::CountersUnavailable));
}
