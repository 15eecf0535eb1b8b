//! Requests in flight: VMs that race for places, give them back, and crash; and a slow upstream behind a real Envoy.
//!
//! **Invariant:** never more than the quota at a time, by a count of our own that goes up after a request was admitted and down before its
//! place is given back; all places taken while demand lasts; all free again at the end, those of a VM that crashed after three ticks.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use palisade_engine::env::{MemoryStore, Outside as _, Worker};
use palisade_engine::stages::limits::{Place, tick};
use palisade_engine::verdict::Reason;
use palisade_tests::slow::Slow;
use palisade_tests::upstream::Upstream;
use serde_json::json;

use crate::envoy::{WORKERS, rush_until};
use crate::support::{start, with_policy};
use crate::world::{self, Alone, Asked, Decision, Random, Shared, Turns, ask, environment};
use crate::{Chosen, Row};

const SUITE: &str = "flight";
const SEEDS: u64 = 250;

pub(crate) fn rows(chosen: &Chosen) -> Vec<Row> {
    let seeds = if chosen.long { 10 * SEEDS } else { SEEDS };
    let mut rows = chosen.runs(SUITE, "in-flight", seeds, |seed| {
        race("in-flight", seed, false)
    });
    rows.extend(chosen.runs(SUITE, "crashed", seeds, |seed| race("crashed", seed, true)));
    rows.extend(chosen.runs(SUITE, "envoy-in-flight", 1, |_| envoy()));
    rows
}

#[derive(Default)]
struct Ledger {
    now: u64,
    asked: u64,
    admitted: u64,
    flying: u64,
    most: u64,
    odd: Option<String>,
}

/// Requests of one client come and go; first all that come stay.
fn race(case: &str, seed: u64, crash: bool) -> Row {
    let mut random = Random::new(seed);
    let quota = random.within(1, 40);
    let demand = 200 + 2 * quota;
    let engine = world::engine(&format!(
        "limits: [{{ name: a, key: [client], algorithm: concurrency, quota: {quota} }}]"
    ));
    let vms = usize::try_from(random.within(2, 5)).unwrap();
    let turns = Turns::new(vms, Random::new(random.next()));
    let store = Mutex::new(MemoryStore::default());
    let ledger = Mutex::new(Ledger {
        now: random.below(1 << 40),
        ..Ledger::default()
    });
    std::thread::scope(|scope| {
        for me in 0..vms {
            let (engine, turns, store, ledger) = (&engine, &turns, &store, &ledger);
            let mut shared = Shared {
                store,
                turns,
                me,
                worker: Worker::default(),
                random: Random::new(random.next()),
                lose: [0, 0, 16][usize::try_from(random.below(3)).unwrap()],
            };
            let mut random = Random::new(random.next());
            let crashes = crash && me > 0;
            scope.spawn(move || {
                let _turn = turns.join(me);
                let locked = || ledger.lock().unwrap_or_else(PoisonError::into_inner);
                let mut memory = engine.memory();
                let mut held: Vec<Vec<Place>> = Vec::new();
                let mut left: Vec<Place> = Vec::new();
                loop {
                    turns.point(me);
                    let (asks, now) = {
                        let mut ledger = locked();
                        if ledger.asked == demand {
                            break;
                        }
                        ledger.now += random.below(3);
                        let ends =
                            !held.is_empty() && ledger.asked >= 2 * quota && random.chance(128);
                        if ends {
                            // Its stream has ended: the place is free from here on.
                            ledger.flying -= 1;
                        } else {
                            ledger.asked += 1;
                        }
                        (!ends, ledger.now)
                    };
                    if !asks {
                        let at = random.below(u64::try_from(held.len()).unwrap());
                        left.extend(held.swap_remove(usize::try_from(at).unwrap()));
                        engine.leave(&mut left, &mut environment(&mut shared, now));
                        continue;
                    }
                    let decision = ask(engine, &mut memory, &mut shared, now, &Asked::get(7));
                    let mut ledger = locked();
                    if decision.admitted() {
                        held.push(shared.worker().take_places());
                        ledger.admitted += 1;
                        ledger.flying += 1;
                        ledger.most = ledger.most.max(ledger.flying);
                    }
                    if let Decision::Refused(reason) = decision
                        && reason != Reason::RateLimited
                    {
                        ledger.odd = Some(format!("{reason:?}"));
                    }
                }
                if crashes {
                    return;
                }
                // All its streams end.
                locked().flying -= u64::try_from(held.len()).unwrap();
                left.extend(held.into_iter().flatten());
                while !left.is_empty() {
                    let now = locked().now;
                    engine.leave(&mut left, &mut environment(&mut shared, now));
                }
            });
        }
    });
    let ledger = ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut store = store.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut row = Row::new(SUITE, case, "engine", seed);
    row.algorithm = "concurrency";
    (row.quota, row.bound) = (quota, quota);
    (row.demand, row.admitted, row.worst) = (demand, ledger.admitted, ledger.most);
    row.wrong = ledger.odd;
    if ledger.most < quota {
        row.wrong = Some(format!("{} in flight at most", ledger.most));
    }
    // Who comes after finds all places free; of the crashed, two seconds later.
    let mut now = ledger.now;
    let mut worker = Worker::default();
    let mut memory = engine.memory();
    for _ in 0..if crash { 5 } else { 1 } {
        let mut alone = Alone {
            store: &mut store,
            worker: &mut worker,
        };
        if tick(&mut environment(&mut alone, now), true).is_err() {
            row.wrong = Some("a tick failed".to_owned());
        }
        now += if crash { 500 } else { 0 };
    }
    let mut free = 0;
    for _ in 0..quota + 5 {
        let mut alone = Alone {
            store: &mut store,
            worker: &mut worker,
        };
        free += u64::from(ask(&engine, &mut memory, &mut alone, now, &Asked::get(7)).admitted());
    }
    if free != quota {
        row.wrong = Some(format!("{free} places are free at the end"));
    }
    row.more = json!({ "vms": vms, "switches": turns.switches() });
    row
}

/// Two workers and 64 connections before an upstream that takes 20 ms for each request.
fn envoy() -> Row {
    const QUOTA: u64 = 8;
    let slow = Slow::start(Duration::from_millis(20)).unwrap();
    let mut setup = with_policy(
        "limits: [{ name: flight, key: [client], algorithm: concurrency, quota: 8 }]",
        &Upstream::start().unwrap(),
    );
    setup.workers = u32::try_from(WORKERS).unwrap();
    setup.upstream = slow.address;
    let envoy = start(&setup);
    let (admitted, refused) = rush_until(&envoy, Instant::now() + Duration::from_secs(3));
    let mut row = Row::new(SUITE, "envoy-in-flight", "envoy", 0);
    row.algorithm = "concurrency";
    (row.quota, row.bound) = (QUOTA, QUOTA);
    (row.demand, row.admitted) = (admitted + refused, admitted);
    row.worst = u64::try_from(slow.most()).unwrap();
    let served = u64::try_from(slow.served()).unwrap();
    if row.worst < QUOTA || served != admitted {
        row.wrong = Some(format!(
            "{} in flight at most; {served} served, {admitted} got 200",
            row.worst
        ));
    }
    row.more =
        json!({ "workers": WORKERS, "connections": crate::envoy::CONNECTIONS, "refused": refused });
    row
}
