//! Leases: VMs that race and charge places ahead.
//!
//! **Invariant:** a window and a fixed window hold what they hold without leases; a bucket at most `lease` more for each VM. What is left
//! of leases comes back: then the rest of the quota is there for anybody, and no more.

use palisade_engine::env::{MemoryStore, Worker};
use serde_json::json;

use crate::kinds::{Kind, Limit};
use crate::race::{Came, Race};
use crate::world::{self, Alone, Asked, Random, ask, environment};
use crate::{Chosen, Promise, Row};

const SUITE: &str = "lease";
const SEEDS: u64 = 250;
/// A lease lasts half a second; a tick later all is back.
const BACK_MS: u64 = 1_000;

type Case = (&'static str, fn(u64) -> Row);

pub(crate) fn rows(chosen: &Chosen) -> Vec<Row> {
    let cases: [Case; 2] = [("comes-back", comes_back), ("many-windows", many_windows)];
    let seeds = if chosen.long { 10 * SEEDS } else { SEEDS };
    let mut rows = chosen.runs(SUITE, "worst-case", 20, worst_case);
    for (case, run) in cases {
        rows.extend(chosen.runs(SUITE, case, seeds, run));
    }
    rows
}

fn vms(came: &Came) -> u64 {
    u64::try_from(came.vms).unwrap()
}

/// A window that outlasts the race: all but what VMs still hold is admitted, and that when they have returned it.
fn comes_back(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let quota = random.within(20, 400);
    let limit = Limit {
        kind: Kind::Sliding,
        quota,
        window_ms: 600_000,
        burst: 0,
        lease: random.within(2, quota / 4),
    };
    let race = Race {
        policies: vec![limit.policy()],
        requests: vec![Asked::get(7); usize::try_from(quota + quota / 2 + 10).unwrap()],
        step_ms: random.below(3),
    };
    let mut came = race.run(&mut random);
    let raced = u64::try_from(came.admitted.len()).unwrap();
    let held = limit.lease * vms(&came);
    let mut row = Row::new(SUITE, "comes-back", "engine", seed);
    row.promise = Promise::Lease;
    if raced + held < quota {
        row.wrong = Some(format!(
            "{raced} while they raced, though leases hold {held} at most"
        ));
    }
    let now = came.end_ms + BACK_MS;
    for worker in &mut came.workers {
        let mut alone = Alone {
            store: &mut came.store,
            worker,
        };
        came.engine.return_leases(&mut environment(&mut alone, now));
    }
    let mut worker = Worker::default();
    let mut memory = came.engine.memory();
    for _ in 0..held + 20 {
        let mut alone = Alone {
            store: &mut came.store,
            worker: &mut worker,
        };
        came.demand.push(now);
        if ask(&came.engine, &mut memory, &mut alone, now, &Asked::get(7)).admitted() {
            came.admitted.push((now, usize::MAX));
        }
    }
    let odd = row.wrong.take();
    came.fill(&mut row, limit.window_ms);
    row.wrong = odd.or(row.wrong);
    (row.quota, row.bound, row.least) = (quota, quota, quota);
    row.more = json!({ "vms": came.vms, "lease": limit.lease, "raced": raced });
    row
}

/// Demand that lasts many windows.
fn many_windows(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let kind = Kind::any(&mut random);
    let quota = random.within(10, 150);
    let burst = random.within(5, 60);
    let window_ms = [1_000_u64, 1_500, 7_777][usize::try_from(random.below(3)).unwrap()];
    let limit = Limit {
        kind,
        quota,
        window_ms,
        burst,
        lease: random.within(2, 10.min(quota).min(burst)),
    };
    let race = Race {
        policies: vec![limit.policy()],
        requests: vec![Asked::get(7); 1_000],
        step_ms: random.within(0, window_ms / quota + 1),
    };
    let came = race.run(&mut random);
    let mut row = Row::new(SUITE, "many-windows", "engine", seed);
    row.promise = Promise::Lease;
    row.algorithm = kind.name();
    came.fill(&mut row, window_ms);
    row.added = limit.leased(vms(&came));
    (row.quota, row.bound) = (quota, limit.bound() + row.added);
    // What leases hold is wanting at most once each time they last.
    let lost = limit.lease * vms(&came) * (1 + race_ms(&came) / 500);
    row.least = limit.least(&came.demand).saturating_sub(lost);
    row.wrong = row.wrong.or_else(|| limit.breaks_alignment(&came.times()));
    row.more = json!({ "vms": came.vms, "lease": limit.lease });
    row
}

fn race_ms(came: &Came) -> u64 {
    let first = came.demand.first().copied().unwrap_or(0);
    came.end_ms - first
}

/// The worst there is: all VMs keep a lease until the bucket has drained, then they use it at once.
fn worst_case(seed: u64) -> Row {
    const HELD_MS: u64 = 490;
    let mut random = Random::new(seed);
    let (vms, lease) = (random.within(2, 6), random.within(5, 40));
    let limit = Limit {
        kind: Kind::Bucket,
        quota: 1_000,
        window_ms: 1_000,
        burst: lease * (vms + 2),
        lease,
    };
    let engine = world::engine(&limit.policy());
    let mut store = MemoryStore::default();
    let mut workers: Vec<_> = (0..vms)
        .map(|_| (Worker::default(), engine.memory()))
        .collect();
    let (mut demand, mut times) = (0, Vec::new());
    let mut ask_at = |at: usize, now: u64, times: &mut Vec<u64>| {
        let (worker, memory) = &mut workers[at];
        let mut alone = Alone {
            store: &mut store,
            worker,
        };
        demand += 1;
        let admitted = ask(&engine, memory, &mut alone, now, &Asked::get(7)).admitted();
        if admitted {
            times.push(now);
        }
        admitted
    };
    let start = 1_000_000;
    // Busy enough for a lease, then one for each.
    for _ in 0..lease {
        ask_at(0, start, &mut times);
    }
    for at in 0..workers_of(vms) {
        ask_at(at, start, &mut times);
    }
    for now in start + HELD_MS..start + HELD_MS + limit.window_ms {
        for at in 0..workers_of(vms) {
            while ask_at(at, now, &mut times) {}
        }
    }
    let mut row = Row::new(SUITE, "worst-case", "engine", seed);
    row.promise = Promise::Lease;
    row.algorithm = limit.kind.name();
    row.quota = limit.quota;
    row.added = limit.leased(vms);
    row.bound = limit.bound() + row.added;
    row.demand = demand;
    row.admitted = u64::try_from(times.len()).unwrap();
    row.worst = world::worst(&times, limit.window_ms);
    row.least = row.worst;
    if row.worst <= limit.bound() {
        row.wrong = Some("no lease was kept: this shows nothing".to_owned());
    }
    row.more = json!({ "vms": vms, "lease": lease });
    row
}

fn workers_of(vms: u64) -> usize {
    usize::try_from(vms).unwrap()
}
