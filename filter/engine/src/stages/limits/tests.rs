//! Attacks on the table: hostile arrival times, eviction churn, broken and racing stores, reloads.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "test arithmetic on small numbers"
)]

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::env::{Cas, CounterStore, MemoryStore, StoreError};
use crate::units::{Monotonic, UnixTime};

/// xorshift64*: seeded, ours.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }
}

fn limit(name: &str, count: u32, ms: u64) -> Limit {
    Limit::sample(name.as_bytes(), count, ms)
}

fn stage(sets: u32, limits: Vec<Limit>) -> LimitStage {
    let mut bans = Bans::default();
    for limit in &limits {
        if let Some(penalty) = &limit.penalty {
            bans.learn(penalty, limit.monitor);
        }
    }
    LimitStage {
        limits,
        sets,
        hash_key: *b"0123456789abcdef",
        bans,
        ..LimitStage::default()
    }
}

fn facts(client: u32) -> Facts<'static> {
    let client = IpAddr::V4(Ipv4Addr::from_bits(client));
    Facts {
        method: b"GET",
        path: b"/",
        ..Facts::of(client)
    }
}

fn named(name: &str) -> Named {
    Named {
        name: name.as_bytes().to_vec(),
        folded: false,
    }
}

fn env<S>(store: &mut S, now: u64) -> Env<'_, S> {
    Env {
        now: Monotonic(now),
        wall: UnixTime(0),
        counters: store,
    }
}

struct Done {
    result: Result<(), Denial>,
    charges: Charges,
    found: Findings,
}

fn ask<S: Outside>(stage: &LimitStage, facts: &Facts<'_>, store: &mut S, now: u64) -> Done {
    let mut charges = Charges::default();
    let mut found = Findings::default();
    let result = stage.check(
        Phase::Client,
        facts,
        false,
        &mut env(store, now),
        &mut charges,
        &mut found,
    );
    Done {
        result,
        charges,
        found,
    }
}

fn admits<S: Outside>(stage: &LimitStage, client: u32, store: &mut S, now: u64) -> bool {
    ask(stage, &facts(client), store, now).result.is_ok()
}

fn reason(done: &Done) -> Option<Reason> {
    done.result.as_ref().err().map(|denial| denial.reason)
}

fn header(done: &Done, name: &str) -> String {
    let denial = done.result.as_ref().unwrap_err();
    let (_, value) = denial.headers.iter().find(|(one, _)| *one == name).unwrap();
    String::from_utf8(value.clone()).unwrap()
}

/// Every span of `window` that starts at an admission holds at most `quota` (times ascending).
fn holds(times: &[u64], quota: usize, window: u64) -> bool {
    times
        .windows(quota + 1)
        .all(|span| span[quota] - span[0] >= window)
}

const SECOND: u64 = 1000;

#[test]
fn no_window_admits_more_than_the_quota() {
    let mut random = Random(7);
    // Up to 128 a log, above it a ring.
    for quotas in [&[1_u32, 2, 5, 100, 128][..], &[129, 200]] {
        for window in [1, 15, 16, 17, 160, 1000, 1001, 60_000] {
            for quota in quotas.iter().copied() {
                let stage = stage(1, vec![limit("a", quota, window)]);
                let mut store = MemoryStore::default();
                let mut now = random.below(1 << 40);
                let mut times = Vec::new();
                for _ in 0..800 {
                    now += match random.below(4) {
                        0 => 0,
                        1 => random.below(window / 16 + 2),
                        2 => random.below(2 * window / u64::from(quota) + 2),
                        _ => u64::from(random.below(9) == 0) * random.below(2 * window + 2),
                    };
                    let done = ask(&stage, &facts(1), &mut store, now);
                    if done.result.is_ok() {
                        times.push(now);
                        continue;
                    }
                    // Refused only when the quota was used within the window and a sub-window (one, rounded up).
                    let late = window + window.div_ceil(16) + 16;
                    let recent = times.iter().filter(|time| now - **time <= late).count();
                    assert!(
                        recent >= quota as usize,
                        "{quota}/{window} refused after {recent}"
                    );
                    // Who waits as long as told is admitted.
                    let wait: u64 = header(&done, "retry-after").parse().unwrap();
                    if random.below(8) == 0 {
                        now += wait * SECOND;
                        assert!(admits(&stage, 1, &mut store, now), "{quota}/{window}");
                        times.push(now);
                    }
                }
                assert!(times.len() > quota as usize);
                assert!(holds(&times, quota as usize, window), "{quota}/{window}");
            }
        }
    }
}

#[test]
fn a_quota_of_100_admits_100_of_2000() {
    for quota in [100_u32, 1000] {
        let stage = stage(8192, vec![limit("a", quota, 600 * SECOND)]);
        let mut store = MemoryStore::default();
        let admitted = (0..2000)
            .filter(|i| admits(&stage, 9, &mut store, 5000 + i))
            .count();
        assert_eq!(admitted, quota as usize);
        assert!(store.bytes() <= 256, "{quota}: {} bytes", store.bytes());
    }
}

/// Clients far beyond the ways of one set, with a skewed clock: nobody, evicted or not, is over its quota.
#[test]
fn churn_never_admits_beyond_the_quota() {
    for (seed, quota, clients) in [(1, 6_u32, 40), (2, 6, 40), (3, 6, 40), (4, 130, 20)] {
        let window = 1600;
        let mut one = limit("a", quota, window);
        one.penalty = (seed == 3).then(|| Penalty::sample(4, window, 3000));
        let stage = stage(2, vec![one, limit("b", 50, 400)]);
        let mut store = MemoryStore::default();
        let mut random = Random(seed);
        let mut admitted: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        let (mut now, mut newest) = (0_u64, 0);
        for _ in 0..30_000 {
            now += random.below(4) * random.below(30);
            let skew = if seed == 1 {
                random.below(2) * random.below(500)
            } else {
                0
            };
            let seen = now.saturating_sub(skew);
            newest = newest.max(seen);
            let client = u32::try_from(random.below(clients).min(random.below(clients))).unwrap();
            if admits(&stage, client, &mut store, seen) {
                admitted.entry(client).or_default().push(now);
            }
        }
        assert!(newest > 20 * window);
        // A request is counted at its skewed time or later: true spans differ by at most the skew.
        let mut all = 0;
        for (client, times) in &admitted {
            assert!(
                holds(times, quota as usize, window - u64::from(seed == 1) * 500),
                "{seed} {client}"
            );
            all += times.len();
        }
        assert!(all > 1000, "{all} admitted");
        let most = stage.memory_bytes() + stage.bans.memory_bytes();
        assert!(u64::try_from(store.bytes()).unwrap() <= most);
    }
}

#[test]
fn newcomers_pay_only_after_ways_times_quota() {
    let quota = 5_u32;
    let stage = stage(1, vec![limit("a", quota, 16_000)]);
    let mut store = MemoryStore::default();
    let mut charged = 0;
    // One request a client, a new client each time, spread over the sub-windows.
    for client in 0..10_000 {
        if !admits(&stage, client, &mut store, u64::from(client) * 150) {
            break;
        }
        charged += 1;
    }
    assert!(
        charged >= u32::from(DEFAULT_WAYS) * quota,
        "refused after {charged}"
    );
    assert!(charged < 200, "the floor must rise at all: {charged}");
}

/// A store that loses, fails or lets another request in between load and swap.
struct Trouble<'a> {
    inner: &'a mut MemoryStore,
    lose: u32,
    fail_load: bool,
    fail_swap: bool,
    zero: bool,
    intruder: Option<(&'a LimitStage, u32, u64, &'a mut u32)>,
    swaps: u32,
}

impl<'a> Trouble<'a> {
    fn new(inner: &'a mut MemoryStore) -> Self {
        Self {
            inner,
            lose: 0,
            fail_load: false,
            fail_swap: false,
            zero: false,
            intruder: None,
            swaps: 0,
        }
    }
}

impl Outside for Trouble<'_> {
    fn worker(&mut self) -> &mut Worker {
        self.inner.worker()
    }
}

impl CounterStore for Trouble<'_> {
    fn load(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<Cas, StoreError> {
        if self.fail_load {
            return Err(StoreError::Failed);
        }
        let cas = self.inner.load(key, out)?;
        if let Some((stage, client, now, admitted)) = self.intruder.take() {
            *admitted += u32::from(admits(stage, client, self.inner, now));
        }
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
fn a_failing_store_is_a_denial() {
    let stage = stage(16, vec![limit("a", 2, SECOND)]);
    let mut memory = MemoryStore::default();
    for (lose, expected) in [(0, None), (32, None), (33, Some(Reason::CountersContended))] {
        let mut store = Trouble::new(&mut memory);
        store.lose = lose;
        assert_eq!(reason(&ask(&stage, &facts(lose), &mut store, 0)), expected);
        assert!(store.swaps <= 33);
    }
    for case in 0..3 {
        let mut store = Trouble::new(&mut memory);
        store.fail_load = case == 0;
        store.fail_swap = case == 1;
        store.zero = case == 2;
        let done = ask(&stage, &facts(1), &mut store, 0);
        assert_eq!(reason(&done), Some(Reason::CountersUnavailable));
        assert_eq!(done.found.as_slice().len(), 1);
    }
    let mut watched = stage;
    watched.limits[0].monitor = true;
    let mut store = Trouble::new(&mut memory);
    store.fail_load = true;
    let done = ask(&watched, &facts(1), &mut store, 0);
    assert!(done.result.is_ok() && done.found.as_slice().len() == 1);
}

#[test]
fn racing_workers_share_one_quota() {
    let stage = stage(4, vec![limit("a", 20, 10 * SECOND)]);
    let mut memory = MemoryStore::default();
    let mut admitted = 0;
    for now in 0..200 {
        let mut others = 0;
        let mut store = Trouble::new(&mut memory);
        store.intruder = Some((&stage, 7, now + now % 3, &mut others));
        admitted += u32::from(admits(&stage, 7, &mut store, now));
        admitted += others;
    }
    assert_eq!(admitted, 20);
}

#[test]
fn clocks_going_backwards_forgive_nothing() {
    let stage = stage(4, vec![limit("a", 3, SECOND)]);
    let mut store = MemoryStore::default();
    let times = [5000, 0, 4999, 5000, 1, u64::MAX, u64::MAX, 0, u64::MAX, 0];
    let admitted: Vec<bool> = times
        .iter()
        .map(|now| admits(&stage, 1, &mut store, *now))
        .collect();
    assert_eq!(
        admitted,
        [
            true, true, true, false, false, true, true, true, false, false
        ]
    );
}

#[test]
fn bans_follow_repeated_excess() {
    let mut one = limit("a", 2, 10 * SECOND);
    one.penalty = Some(Penalty::sample(3, 10 * SECOND, 60_500));
    let stage = stage(4, vec![one]);
    let mut memory = MemoryStore::default();
    let mut step = |now: u64| {
        let mut store = Trouble::new(&mut memory);
        let done = ask(&stage, &facts(1), &mut store, now);
        let wait = done.result.is_err().then(|| header(&done, "retry-after"));
        (reason(&done), wait, store.swaps)
    };
    let wait = |seconds: &str| Some(seconds.to_owned());
    // A charge, then a strike each; who is banned costs a look.
    assert_eq!(step(0), (None, None, 1));
    assert_eq!(step(0), (None, None, 1));
    assert_eq!(step(1), (Some(Reason::RateLimited), wait("10"), 1));
    assert_eq!(step(2), (Some(Reason::RateLimited), wait("10"), 1));
    assert_eq!(step(3), (Some(Reason::Banned), wait("61"), 1));
    assert_eq!(step(4), (Some(Reason::Banned), wait("61"), 0));
    assert_eq!(step(60_502), (Some(Reason::Banned), wait("1"), 0));
    assert_eq!(step(60_503), (None, None, 1));
    // The refusals before the ban are not counted again, nor those of an earlier window.
    assert_eq!(step(60_504), (None, None, 1));
    assert_eq!(step(60_505).0, Some(Reason::RateLimited));
    assert_eq!(step(60_506).0, Some(Reason::RateLimited));
    assert_eq!(step(72_000), (None, None, 1));
    assert_eq!(step(72_000), (None, None, 1));
    assert_eq!(step(72_001).0, Some(Reason::RateLimited));
}

/// How many requests are in flight is as much the upstream's doing as the client's.
#[test]
fn refusals_of_requests_in_flight_lead_to_no_ban() {
    for in_flight in [true, false] {
        let mut one = limit("a", 1, if in_flight { 0 } else { 10 * SECOND });
        if in_flight {
            one.algorithm = Algorithm::Concurrency;
        }
        let mut stage = stage(4, vec![one]);
        let signal = Signal {
            cause: Cause::Limits,
            points: false,
            penalty: Penalty::sample(1, 10 * SECOND, 60 * SECOND),
        };
        stage.bans.learn(&signal.penalty, false);
        stage.bans.signals.push(signal);
        let mut store = MemoryStore::default();
        let reasons = [0, 1, 2].map(|now| reason(&ask(&stage, &facts(1), &mut store, now)));
        let last = if in_flight {
            Reason::RateLimited
        } else {
            Reason::Banned
        };
        assert_eq!(reasons[0], None);
        assert_eq!(reasons[2], Some(last), "{in_flight}");
    }
}

/// Whether somebody is banned cannot be told: refused where something enforces, else only reported.
#[test]
fn bans_that_cannot_be_read_refuse() {
    #[derive(Default)]
    struct Dead(Worker);
    impl Outside for Dead {
        fn worker(&mut self) -> &mut Worker {
            &mut self.0
        }
    }
    impl CounterStore for Dead {
        fn load(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<Cas, StoreError> {
            Err(StoreError::Failed)
        }
        fn compare_and_swap(&mut self, _: &[u8], _: &[u8], _: Cas) -> Result<(), StoreError> {
            Err(StoreError::Failed)
        }
    }
    for monitor in [false, true] {
        let mut one = limit("a", 2, SECOND);
        one.when.path = crate::request::target::PathPattern::new(b"/elsewhere").ok();
        one.monitor = monitor;
        let unused = ask(
            &stage(4, vec![one.clone()]),
            &facts(1),
            &mut Dead::default(),
            0,
        );
        assert!(unused.result.is_ok() && unused.found.as_slice().is_empty());
        one.penalty = Some(Penalty::sample(1, SECOND, SECOND));
        let done = ask(&stage(4, vec![one]), &facts(1), &mut Dead::default(), 0);
        let denied = (!monitor).then_some(Reason::CountersUnavailable);
        assert_eq!(reason(&done), denied, "{monitor}");
        assert_eq!(done.found.as_slice().len(), 1);
    }
    let mut dead = Dead::default();
    let viewed = stage(4, vec![limit("a", 2, SECOND)]).view(&facts(1), &mut env(&mut dead, 0));
    assert_eq!(viewed, Err(Reason::CountersUnavailable));
}

#[test]
fn statuses_reserve_and_give_back() {
    for algorithm in [Algorithm::SlidingWindow, Algorithm::FixedWindow] {
        let mut one = limit("login", 5, 3600 * SECOND);
        one.statuses = vec![401, 403];
        one.algorithm = algorithm;
        let stage = stage(64, vec![one]);
        let mut store = MemoryStore::default();
        // Right passwords cost nothing.
        for now in 0..50 {
            let done = ask(&stage, &facts(1), &mut store, now);
            assert!(done.result.is_ok());
            stage.settle(&done.charges, 200, &mut env(&mut store, now + 40));
        }
        // Parallel wrong ones are held to the quota before any answer.
        let many: Vec<Done> = (0..500)
            .map(|now| ask(&stage, &facts(1), &mut store, 100 + now))
            .collect();
        let passed: Vec<&Done> = many.iter().filter(|done| done.result.is_ok()).collect();
        assert_eq!(passed.len(), 5);
        for done in &passed {
            stage.settle(&done.charges, 401, &mut env(&mut store, 900));
        }
        assert!(!admits(&stage, 1, &mut store, 1000));
        // One given back admits one; giving it back again and again takes nothing from others.
        stage.settle(&passed[0].charges, 200, &mut env(&mut store, 1000));
        assert!(admits(&stage, 1, &mut store, 1001));
        assert!(!admits(&stage, 1, &mut store, 1002));
        // Long after the window nothing is left to give back.
        let late = 3 * 3600 * SECOND;
        stage.settle(&passed[1].charges, 200, &mut env(&mut store, late));
        assert_eq!(
            (0..9)
                .filter(|_| admits(&stage, 1, &mut store, late))
                .count(),
            5
        );
    }
}

#[test]
fn limits_of_a_request_are_charged_together() {
    let mut by_path = limit("path", 2, 100 * SECOND);
    by_path.key = vec![KeyPart::CLIENT, KeyPart::Header(named("x"))];
    let mut watched = limit("watched", 1, SECOND);
    watched.monitor = true;
    let stage = stage(64, vec![limit("wide", 4, 10 * SECOND), watched, by_path]);
    let mut store = MemoryStore::default();
    assert!(admits(&stage, 1, &mut store, 0));
    let second = ask(&stage, &facts(1), &mut store, 1);
    assert!(second.result.is_ok());
    assert_eq!(
        second.found.as_slice().len(),
        1,
        "the watched limit is only reported"
    );
    for now in 2..20 {
        let third = ask(&stage, &facts(1), &mut store, now);
        assert_eq!(
            header(&third, "ratelimit"),
            "\"wide\";r=2;t=10, \"path\";r=0;t=100"
        );
        assert_eq!(header(&third, "retry-after"), "100");
    }
    // `wide` was charged twice, not twenty times; of two refusals the longest wait is the one to keep.
    let wide = LimitStage {
        limits: vec![stage.limits[0].clone()],
        ..stage.clone()
    };
    assert_eq!(
        (20..30)
            .filter(|now| admits(&wide, 1, &mut store, *now))
            .count(),
        2
    );
    assert_eq!(
        header(&ask(&stage, &facts(1), &mut store, 40), "ratelimit"),
        "\"wide\";r=0;t=10, \"path\";r=0;t=100"
    );
}

#[test]
fn phases_and_conditions_choose_limits() {
    let mut login = limit("login", 1, SECOND);
    login.when.methods = vec![b"POST".to_vec()];
    login.key = vec![KeyPart::CLIENT, KeyPart::Field(named("user"))];
    let mut subject = limit("subject", 1, SECOND);
    subject.key = vec![KeyPart::Subject];
    let stage = stage(64, vec![login, subject]);
    let of = |method| Facts { method, ..facts(1) };
    assert!(
        stage.concerns(Phase::Field, &of(b"POST")) && stage.concerns(Phase::Subject, &of(b"GET"))
    );
    assert!(
        !stage.concerns(Phase::Field, &of(b"GET")) && !stage.concerns(Phase::Client, &of(b"POST"))
    );
    let mut store = MemoryStore::default();
    let mut check = |phase, method: &'static [u8], subject: Option<&'static [u8]>, user: &str| {
        let pairs = [(b"user".to_vec(), user.as_bytes().to_vec())];
        let fields = Fields {
            pairs: &pairs,
            form: true,
            length: None,
        };
        let facts = Facts {
            subject: subject.map(|name| (&b"idp"[..], name)),
            ..of(method)
        };
        let (mut charges, mut found) = (Charges::default(), Findings::default());
        let mut env = env(&mut store, 0);
        if phase == Phase::Field {
            let pending = stage.pending(&facts);
            stage.check_pending(&pending, fields, false, &mut env, &mut charges, &mut found)
        } else {
            stage.check(phase, &facts, false, &mut env, &mut charges, &mut found)
        }
        .is_ok()
    };
    for _ in 0..3 {
        assert!(check(Phase::Client, b"POST", Some(b"s"), "a"));
        assert!(
            check(Phase::Subject, b"POST", None, "a"),
            "anonymous requests are not counted"
        );
        assert!(check(Phase::Field, b"GET", None, "a"));
    }
    assert!(check(Phase::Subject, b"GET", Some(b"s"), ""));
    assert!(!check(Phase::Subject, b"GET", Some(b"s"), ""));
    assert!(check(Phase::Subject, b"GET", Some(b"t"), ""));
    assert!(check(Phase::Field, b"POST", None, "a"));
    assert!(!check(Phase::Field, b"POST", None, "a"));
    assert!(check(Phase::Field, b"POST", None, "b"));
}

#[test]
fn broken_entries_are_started_afresh() {
    let log = limit("b", 20, SECOND);
    let ring = limit("c", 200, SECOND);
    let mut bucket = limit("d", 20, SECOND);
    (bucket.algorithm, bucket.burst) = (Algorithm::TokenBucket, 20);
    let mut fixed = limit("e", 20, SECOND);
    fixed.algorithm = Algorithm::FixedWindow;
    let stage = stage(1, vec![limit("a", 3, SECOND), log, ring, bucket, fixed]);
    let mut store = MemoryStore::default();
    for client in 0..60 {
        admits(&stage, client % 12, &mut store, u64::from(client));
    }
    let key = b"pl3:0000";
    let mut good = Vec::new();
    store.load(key, &mut good).unwrap();
    assert!(good.len() > 200);
    let mut random = Random(5);
    let put = |bytes: &[u8]| {
        let mut store = MemoryStore::default();
        store.compare_and_swap(key, bytes, Cas::ABSENT).unwrap();
        for now in [0, 61, 70] {
            ask(&stage, &facts(3), &mut store, now);
            ask(&stage, &facts(99), &mut store, now);
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
    for _ in 0..2000 {
        let length = random.below(80);
        let mut bad: Vec<u8> = (0..length)
            .map(|_| random.next().to_le_bytes()[3])
            .collect();
        if let Some(first) = bad.first_mut() {
            *first = 1;
        }
        put(&bad);
    }
    let mut store = MemoryStore::default();
    store
        .compare_and_swap(key, b"\x02garbage of another layout", Cas::ABSENT)
        .unwrap();
    assert_eq!(
        (0..9).filter(|_| admits(&stage, 1, &mut store, 5)).count(),
        3
    );
}

#[test]
fn memory_is_flat_whatever_comes() {
    let clients = if cfg!(debug_assertions) {
        60_000
    } else {
        1_000_000
    };
    let mut store = MemoryStore::default();
    let sizes = [64_u32, 256, 128, 1, 100];
    let mut most = 0;
    for client in 0..clients {
        let reload = client * 50 / clients;
        let sets = sizes[reload as usize % sizes.len()];
        let stage = stage(
            sets,
            vec![
                limit("a", 100 + reload, 600 * SECOND),
                limit("b", 5, 3600 * SECOND),
            ],
        );
        most = most.max(stage.memory_bytes());
        admits(&stage, client, &mut store, u64::from(client) * 3);
    }
    assert!(store.len() <= 256, "{} keys", store.len());
    let bytes = u64::try_from(store.bytes()).unwrap();
    assert!(bytes <= most, "{bytes} bytes, at most {most}");
}

#[test]
fn a_reload_keeps_what_did_not_change() {
    let old = stage(64, vec![limit("a", 3, SECOND), limit("b", 9, SECOND)]);
    let same = stage(64, vec![limit("c", 9, SECOND), limit("a", 3, SECOND)]);
    let mut store = MemoryStore::default();
    let mut admitted = |stage: &LimitStage, now| {
        let admitted = (0..999).filter(|_| admits(stage, 1, &mut store, now));
        admitted.count()
    };
    assert_eq!(admitted(&old, 0), 3);
    assert_eq!(admitted(&same, 1), 0);
    // Another quota: what was charged stays charged, as a log or a ring.
    let changed = |quota| stage(64, vec![limit("a", quota, SECOND)]);
    assert_eq!(admitted(&changed(4), 1), 1);
    assert_eq!(admitted(&changed(200), 2), 196);
    assert_eq!(admitted(&changed(128), 2), 0);
    assert_eq!(admitted(&changed(201), 2), 1);
    assert_eq!(admitted(&old, 2), 0);
    // Another window counts on its own; rolled back, the counts are found again.
    assert_eq!(admitted(&stage(64, vec![limit("a", 4, 2 * SECOND)]), 3), 4);
    assert_eq!(admitted(&old, 3), 0);
}

#[test]
fn maxima_do_not_overflow() {
    for (count, ms) in [
        (0, 0),
        (0, u64::MAX),
        (u32::MAX, u64::MAX),
        (1, u64::MAX),
        (u32::MAX, 1),
    ] {
        for algorithm in [
            Algorithm::SlidingWindow,
            Algorithm::TokenBucket,
            Algorithm::FixedWindow,
        ] {
            let mut one = limit("a", count, ms);
            (one.algorithm, one.burst) = (algorithm, count);
            one.penalty = Some(Penalty::sample(0, u64::MAX, u64::MAX));
            let stage = stage(u32::MAX, vec![one]);
            let mut store = MemoryStore::default();
            for now in [0, 1, u64::from(u32::MAX), (1 << 48) - 1, 1 << 48, u64::MAX] {
                let admitted = admits(&stage, 1, &mut store, now);
                assert!(count > 0 || !admitted);
            }
            assert!(stage.memory_bytes() > u64::from(crate::sets::MAX_SETS));
        }
    }
    assert_eq!(stage(8192, Vec::new()).memory_bytes(), 0);
}

/// Others charge as much as they can below the capacity, in bursts, pauses and with whole quotas: no newcomer is refused.
#[test]
fn newcomers_are_admitted_below_the_capacity() {
    let mut admitted = 0;
    for seed in 1..=120 {
        let mut random = Random(seed * 7919);
        let ways = 2 + random.below(4);
        let quota = u32::try_from(1 + random.below(6)).unwrap();
        let mut one = limit("a", quota, 1600);
        match seed % 4 {
            0 => one.algorithm = Algorithm::FixedWindow,
            1 => {
                one.algorithm = Algorithm::TokenBucket;
                one.burst = u32::try_from(1 + random.below(6)).unwrap();
            }
            2 => one.quota.count = 129 + quota,
            _ => {}
        }
        let mut stage = stage(1, vec![one]);
        stage.ways = u8::try_from(ways).unwrap();
        let capacity = stage.capacity(&stage.limits[0]).unwrap();
        assert!(capacity.set > 0);
        let mut store = MemoryStore::default();
        let mut charged: Vec<u64> = Vec::new();
        let (mut now, mut next) = (100_000_u64, 0_u32);
        let pauses = [0, 1, 30, capacity.horizon_ms / 4, capacity.horizon_ms];
        let rounds = if seed % 4 == 2 { 6000 } else { 1500 };
        for _ in 0..rounds {
            if random.below(3) == 0 {
                let pause = pauses[usize::try_from(random.below(5)).unwrap()];
                now += random.below(pause + 1) / if seed % 4 == 2 { 40 } else { 1 };
            }
            let recent = charged.iter().rev();
            let recent = recent.take_while(|time| now - **time < capacity.horizon_ms);
            let within = recent.count() as u64;
            if within + 1 >= capacity.charges {
                now += random.below(capacity.horizon_ms);
                continue;
            }
            // Old clients, the last few of them, spend what they have; new ones must get in.
            let old = next > 0 && random.below(3) > 0;
            let client = if old {
                let back = random.below(2 * ways + 1);
                next.saturating_sub(u32::try_from(back).unwrap())
            } else {
                next += 1;
                next
            };
            let done = admits(&stage, client, &mut store, now);
            assert!(
                done || old,
                "seed {seed}: newcomer {client} at {now}, {within} charges"
            );
            if done {
                charged.push(now);
                admitted += u64::from(!old);
            }
        }
    }
    assert!(admitted > 5_000, "{admitted}");
}

/// Ever new clients over a whole table: none is refused at the printed rate, many far above it.
#[test]
fn the_table_takes_the_printed_rate() {
    for (sets, quota) in [(64, 3), (32, 40), (8, 130)] {
        let stage = stage(sets, vec![limit("a", quota, 1600)]);
        let capacity = stage.capacity(&stage.limits[0]).unwrap();
        let mut refused = Vec::new();
        for times in [1, 20] {
            let mut store = MemoryStore::default();
            let rate = capacity.table * times;
            let span = 3 * capacity.horizon_ms;
            let total = (rate * span / 1_000_000).min(40_000);
            let lost = (0..total).filter(|client| {
                let client = u32::try_from(*client).unwrap();
                !admits(
                    &stage,
                    client,
                    &mut store,
                    u64::from(client) * 1_000_000 / rate,
                )
            });
            refused.push(lost.count());
            assert!(total > 100, "{quota}: {total}");
        }
        assert!(refused[0] == 0 && refused[1] > 0, "{quota}: {refused:?}");
    }
}

/// A reload that makes sets smaller pushes out the emptiest, and joins them: nobody gets a fresh quota.
#[test]
fn fewer_ways_keep_the_counts() {
    let of = |ways| LimitStage {
        ways,
        ..stage(1, vec![limit("a", 4, 10 * SECOND)])
    };
    let mut store = MemoryStore::default();
    let mut admitted = [0_u32; 16];
    let mut now = 0;
    for ways in [16, 2, 8, 3, 16, 2] {
        for client in (0..16).chain((0..16).rev()) {
            now += 1;
            admitted[client as usize] += u32::from(admits(&of(ways), client, &mut store, now));
        }
        let most = of(ways).memory_bytes();
        assert!(u64::try_from(store.bytes()).unwrap() <= most, "{ways}");
    }
    assert!(admitted.iter().all(|count| *count <= 4), "{admitted:?}");
    assert!(admitted[15] > 0, "{admitted:?}");
}

/// Workers interleaved by a seed, each with another's charge between its load and its swap, or with lost swaps: what is
/// admitted is the bound, while demand lasts on one key; and a limit on another key that refuses takes nothing from it.
#[test]
fn a_thousand_races_admit_the_bound() {
    for seed in 1..=1000 {
        let mut random = Random(seed * 104_729);
        let quota = u32::try_from(1 + random.below(12)).unwrap();
        let mut one = limit("a", quota, 60 * SECOND);
        let mut bound = quota;
        match seed % 4 {
            0 => one.algorithm = Algorithm::FixedWindow,
            1 => {
                one.algorithm = Algorithm::TokenBucket;
                one.burst = u32::try_from(1 + random.below(12)).unwrap();
                bound = one.burst;
            }
            2 => {
                bound = 129 + quota;
                one.quota.count = bound;
            }
            _ => {}
        }
        let alone = stage(4, vec![one.clone()]);
        // Another key is charged first, and given back when the first refuses.
        let mut wide = limit("wide", 1000, 60 * SECOND);
        wide.key.push(KeyPart::Method);
        let both = stage(4, vec![wide.clone(), one]);
        let stages = [&alone, &both];
        let mut memory = MemoryStore::default();
        let (mut admitted, mut through_both) = (0, 0);
        // Within a millisecond nothing comes back, and no window ends.
        let now = 600 * SECOND + random.below(9 * SECOND);
        while admitted < bound || random.below(12) > 0 {
            let (chosen, other) = (random.below(2) as usize, random.below(2) as usize);
            let mut others = 0;
            let before = admitted;
            let mut store = Trouble::new(&mut memory);
            store.lose = u32::from(random.below(3) == 0) * u32::try_from(random.below(30)).unwrap();
            if random.below(2) == 0 {
                store.intruder = Some((stages[other], 7, now, &mut others));
            }
            let own = u32::from(admits(stages[chosen], 7, &mut store, now));
            admitted += own + others;
            through_both += own * chosen as u32 + others * other as u32;
            assert!(admitted <= bound, "seed {seed}: {admitted} of {bound}");
            assert!(
                admitted > before || admitted == bound,
                "seed {seed}: refused at {admitted} of {bound}"
            );
        }
        assert_eq!(admitted, bound, "seed {seed}");
        // What the refused were charged under the other key is back.
        let rest = stage(4, vec![wide]);
        let left = (0..1001).filter(|_| admits(&rest, 7, &mut memory, now));
        assert_eq!(left.count() as u32, 1000 - through_both, "seed {seed}");
    }
}
