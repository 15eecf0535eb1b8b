//! Chaos: broken entries, clocks that jump, stores that fail, counts at their maxima, a table that is full.
//!
//! **Invariant:** every request gets a decision, and one that the policy foresees: it passes, or it is refused by a limit, a ban or for
//! want of counters. A panic is a failed row. Where nothing was made to lie about counts, no window holds more than the quota.

use std::collections::BTreeMap;

use palisade_engine::env::{Cas, CounterStore, MemoryStore, Outside, StoreError, Worker};
use palisade_engine::verdict::Reason;
use serde_json::json;

use crate::world::{self, Asked, Decision, Random, ask, environment};
use crate::{Chosen, Row};

const SUITE: &str = "chaos";
const SEEDS: u64 = 60;

type Case = (&'static str, fn(u64) -> Row);

pub(crate) fn rows(chosen: &Chosen) -> Vec<Row> {
    let cases: [Case; 5] = [
        ("broken-entries", broken_entries),
        ("clock-steps", clock_steps),
        ("failing-store", failing_store),
        ("maxima", maxima),
        ("full-table", full_table),
    ];
    let mut rows = Vec::new();
    for (case, run) in cases {
        let seeds = if case == "full-table" {
            SEEDS / 4
        } else {
            SEEDS
        };
        let seeds = if chosen.long { 10 * seeds } else { seeds };
        rows.extend(chosen.runs(SUITE, case, seeds, run));
    }
    rows
}

/// Every kind of limit at once, in a table of one set and in one of many.
const EVERYTHING: &str = "\
limits:
  - { name: log, key: [client], quota: 3/10s, penalty: { after: 4, ban: 5s } }
  - { name: ring, key: [client], quota: 200/1m }
  - { name: bucket, key: [client], quota: 50/1m, algorithm: token_bucket, burst: 20 }
  - { name: fixed, key: [client], quota: 60/1m, algorithm: fixed_window }
  - { name: plan, key: [{ header: x-plan }], quota: 40/10s }
  - { name: login, key: [client], quota: 5/1h, count: { status: [401] } }
";

/// A value that is not what was written.
pub(crate) fn broken(value: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bad = value.to_vec();
    let length = u64::try_from(bad.len()).unwrap();
    let at = usize::try_from(random.below(length)).unwrap();
    match random.below(9) {
        0 => bad.truncate(at),
        1 => bad.clear(),
        // A layout of another version.
        2 => bad.splice(..1.min(bad.len()), [0_u8]).for_each(drop),
        3 => bad.splice(..1.min(bad.len()), [0xff]).for_each(drop),
        4 => bad.iter_mut().skip(at).for_each(|byte| *byte = 0xff),
        5 => bad.iter_mut().skip(at).for_each(|byte| *byte = 0),
        6 => bad.extend((0..64).map(|_| random.next().to_le_bytes()[3])),
        7 => {
            let tail = bad.split_off(at);
            bad.splice(0..0, tail).for_each(drop);
        }
        _ => {
            if let Some(byte) = bad.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
    bad
}

/// A store that fails, forgets that it wrote, or hands out what nobody wrote.
#[derive(Default)]
struct Unreliable {
    store: MemoryStore,
    random: Option<Random>,
    fail: u64,
    lose: u64,
    spoil: u64,
    spoilt: u64,
    failed: u64,
}

impl Unreliable {
    fn chance(&mut self, of_256: u64) -> bool {
        self.random
            .as_mut()
            .is_some_and(|random| random.chance(of_256))
    }
}

impl Outside for Unreliable {
    fn worker(&mut self) -> &mut Worker {
        self.store.worker()
    }
}

impl CounterStore for Unreliable {
    fn load(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<Cas, StoreError> {
        if self.chance(self.fail) {
            self.failed += 1;
            return Err(StoreError::Failed);
        }
        let cas = self.store.load(key, out)?;
        if self.chance(self.spoil)
            && let Some(random) = &mut self.random
        {
            *out = broken(out, random);
            self.spoilt += 1;
        }
        Ok(cas)
    }

    fn compare_and_swap(&mut self, key: &[u8], value: &[u8], cas: Cas) -> Result<(), StoreError> {
        if self.chance(self.lose) {
            return Err(StoreError::CasMismatch);
        }
        if self.chance(self.fail) {
            self.failed += 1;
            // It may have been written all the same.
            if self.chance(128) {
                self.store.compare_and_swap(key, value, cas)?;
            }
            return Err(StoreError::Failed);
        }
        self.store.compare_and_swap(key, value, cas)
    }
}

/// What may be decided whatever goes wrong.
fn foreseen(decision: &Decision) -> Option<String> {
    match decision {
        Decision::Admitted(_)
        | Decision::Refused(
            Reason::RateLimited
            | Reason::Banned
            | Reason::CountersUnavailable
            | Reason::CountersContended,
        ) => None,
        Decision::Refused(other) => Some(format!("{other:?}")),
    }
}

fn asked(random: &mut Random, clients: u64) -> Asked {
    let mut asked = Asked::get(u32::try_from(random.below(clients)).unwrap());
    if random.chance(128) {
        let value = "x".repeat(usize::try_from(random.below(300)).unwrap());
        asked.header = Some(("x-plan", value));
    }
    asked.status = if random.chance(128) { 401 } else { 200 };
    asked
}

/// Entries cut, flipped, of another layout, or rubbish, at any load.
fn broken_entries(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let clients = if random.chance(128) { 64 } else { 4096 };
    let engine = world::engine(&format!("table: {{ clients: {clients} }}\n{EVERYTHING}"));
    let mut memory = engine.memory();
    let mut store = Unreliable {
        random: Some(Random::new(random.next())),
        spoil: random.within(8, 128),
        lose: random.below(64),
        ..Unreliable::default()
    };
    let mut row = Row::new(SUITE, "broken-entries", "engine", seed);
    let mut now = random.below(1 << 40);
    for _ in 0..400 {
        now += random.below(500);
        let asked = asked(&mut random, 40);
        let decision = ask(&engine, &mut memory, &mut store, now, &asked);
        row.wrong = row.wrong.or_else(|| foreseen(&decision));
        row.demand += 1;
        row.admitted += u64::from(decision.admitted());
        if let Decision::Admitted(Some(charges)) = decision {
            let mut env = environment(&mut store, now);
            engine.settle(&charges, asked.status, &mut env);
        }
    }
    row.more = json!({ "spoilt": store.spoilt, "bytes": store.store.bytes() });
    row
}

/// The longest time that entries hold.
const MAX_TIME: u64 = (1 << 48) - 1;

/// Steps back and far ahead; by the time of the table, which never goes back, no window holds more than the quota.
fn clock_steps(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let quota = random.within(1, 20);
    let window = [1_000_u64, 60_000][usize::try_from(random.below(2)).unwrap()];
    let engine = world::engine(&format!(
        "limits: [{{ name: a, key: [client], quota: {quota}/{window}ms }}]"
    ));
    let mut memory = engine.memory();
    let mut store = MemoryStore::default();
    let start = random.below(1 << 40);
    let (mut now, mut newest) = (start, 0);
    let mut times = Vec::new();
    let mut row = Row::new(SUITE, "clock-steps", "engine", seed);
    for _ in 0..400 {
        now = match random.below(40) {
            0 => now.saturating_sub(random.below(10 * window)),
            1 => now.saturating_add(random.below(100 * window)),
            2 => 0,
            3 => start,
            4 if random.chance(32) => u64::MAX,
            _ => now.saturating_add(random.below(window / 8)),
        };
        let decision = ask(&engine, &mut memory, &mut store, now, &Asked::get(7));
        row.wrong = row.wrong.or_else(|| foreseen(&decision));
        row.demand += 1;
        if decision.admitted() {
            newest = newest.max(now.min(MAX_TIME));
            times.push(newest);
        }
    }
    row.admitted = u64::try_from(times.len()).unwrap();
    row.worst = world::worst(&times, window);
    (row.quota, row.bound, row.least) = (quota, quota, quota);
    row
}

/// Loads and swaps fail, before they wrote or after: refused for want of counters, and nobody gets more for it.
fn failing_store(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let quota = random.within(1, 150);
    let engine = world::engine(&format!(
        "limits: [{{ name: a, key: [client], quota: {quota}/10m }}]"
    ));
    let mut memory = engine.memory();
    let mut store = Unreliable {
        random: Some(Random::new(random.next())),
        fail: random.within(1, 200),
        lose: [0, 200, 250][usize::try_from(random.below(3)).unwrap()],
        ..Unreliable::default()
    };
    let mut row = Row::new(SUITE, "failing-store", "engine", seed);
    for now in 0..2 * quota + 50 {
        let decision = ask(&engine, &mut memory, &mut store, now, &Asked::get(7));
        row.wrong = row.wrong.or_else(|| foreseen(&decision));
        row.demand += 1;
        row.admitted += u64::from(decision.admitted());
    }
    (row.quota, row.bound, row.worst) = (quota, quota, row.admitted);
    row.more = json!({ "failed": store.failed });
    row
}

/// The largest quotas and windows, at the largest times.
fn maxima(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let quota = [1, 128, 129, u64::from(u32::MAX)][usize::try_from(random.below(4)).unwrap()];
    let window = ["1s", "30d"][usize::try_from(random.below(2)).unwrap()];
    let engine = world::engine(&format!(
        "table: {{ clients: 64 }}\nlimits: [{{ name: a, key: [client], quota: {quota}/{window}, penalty: {{ after: 2, ban: 30d }} }}]"
    ));
    let mut memory = engine.memory();
    let mut store = Unreliable {
        random: Some(Random::new(random.next())),
        // Counts come to their maxima by what a broken host puts there.
        spoil: 16,
        ..Unreliable::default()
    };
    let mut row = Row::new(SUITE, "maxima", "engine", seed);
    row.quota = quota;
    for _ in 0..300 {
        let now = match random.below(6) {
            0 => u64::MAX - random.below(3),
            1 => MAX_TIME - random.below(3),
            2 => MAX_TIME + random.below(3),
            3 => 0,
            _ => random.next(),
        };
        let asked = asked(&mut random, 20);
        let decision = ask(&engine, &mut memory, &mut store, now, &asked);
        row.wrong = row.wrong.or_else(|| foreseen(&decision));
        row.demand += 1;
        row.admitted += u64::from(decision.admitted());
    }
    row
}

/// Many clients in one set: whoever is pushed out and comes back has not more than its quota.
fn full_table(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let quota = random.within(1, 12);
    let clients = random.within(80, 400);
    let window = 10_000;
    let engine = world::engine(&format!(
        "table: {{ clients: 64 }}\nlimits: [{{ name: a, key: [client], quota: {quota}/{window}ms }}]"
    ));
    let most = engine.policy().limits.memory_bytes();
    let mut memory = engine.memory();
    let mut store = MemoryStore::default();
    let mut times: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    let mut row = Row::new(SUITE, "full-table", "engine", seed);
    let mut now = random.below(1 << 40);
    for _ in 0..4_000 {
        now += random.below(window / 200);
        let client = u32::try_from(random.below(clients)).unwrap();
        let decision = ask(&engine, &mut memory, &mut store, now, &Asked::get(client));
        row.wrong = row.wrong.or_else(|| foreseen(&decision));
        row.demand += 1;
        if decision.admitted() {
            row.admitted += 1;
            times.entry(client).or_default().push(now);
        }
    }
    let worst = times
        .values()
        .map(|times| world::worst(times, window))
        .max();
    (row.quota, row.bound, row.worst) = (quota, quota, worst.unwrap_or(0));
    let bytes = u64::try_from(store.bytes()).unwrap();
    if bytes > most {
        row.wrong = Some(format!("{bytes} bytes, at most {most}"));
    }
    row
}
