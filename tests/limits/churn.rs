//! Churn: more clients than the table holds, and an attacker who comes with a new one each time.
//!
//! **Invariant:** memory is flat; no client gets more than its quota, pushed out of the table or not; what it costs falls on
//! newcomers, and only beyond the rate that `palisade check` prints.

use palisade_engine::env::MemoryStore;
use serde_json::json;

use crate::world::{self, Asked, Random, ask};
use crate::{Chosen, Row};

const SUITE: &str = "churn";
const QUOTA: u64 = 10;
const WINDOW_MS: u64 = 60_000;

/// One request in so many is of an honest newcomer, and one in so many of a resident who asks all the time.
const NEWCOMERS: u64 = 100;
const RESIDENTS: u64 = 50;

/// How fast an attacker's new clients come.
#[derive(Clone, Copy)]
enum Rate {
    /// So that all that is charged together stays just below the rate that `check` prints.
    Below,
    /// So many times the table's slots a window.
    Tables(u64),
}

pub(crate) fn rows(chosen: &Chosen) -> Vec<Row> {
    let (slots, clients) = if chosen.long {
        (65_536, 1_000_000)
    } else {
        (2_048, 31_250)
    };
    let mut rows = Vec::new();
    for (case, rate) in [
        ("below-the-printed-rate", Rate::Below),
        ("attacker-1x", Rate::Tables(1)),
        ("attacker-10x", Rate::Tables(10)),
        ("attacker-100x", Rate::Tables(100)),
    ] {
        rows.extend(chosen.runs(SUITE, case, 1, |seed| run(case, seed, slots, clients, rate)));
    }
    rows
}

/// At least `clients` new clients, and at least two windows of them.
fn run(case: &str, seed: u64, slots: u64, clients: u64, rate: Rate) -> Row {
    let mut random = Random::new(seed);
    let policy = format!(
        "table: {{ clients: {slots} }}\nlimits: [{{ name: a, key: [client], quota: {QUOTA}/{WINDOW_MS}ms }}]"
    );
    let engine = world::engine(&policy);
    let limits = &engine.policy().limits;
    let most = limits.memory_bytes();
    // Of all charges in a window: what `check` prints is for 1000 s.
    let printed = limits.capacity(&limits.limits[0]).unwrap().table * WINDOW_MS / 1_000_000;
    let mut memory = engine.memory();
    let mut store = MemoryStore::default();
    let windows = if matches!(rate, Rate::Below) { 5 } else { 2 };
    let rate = match rate {
        Rate::Below => {
            printed * 99 / 100 * NEWCOMERS * RESIDENTS
                / (NEWCOMERS * RESIDENTS + NEWCOMERS + RESIDENTS)
        }
        Rate::Tables(times) => slots * times,
    };
    let attackers = clients.max(windows * rate);
    // (client, time) of all that was admitted.
    let mut admitted: Vec<(u32, u64)> = Vec::new();
    let (mut new, mut new_refused, mut demand) = (0_u64, 0_u64, 0_u64);
    let mut bytes = Vec::new();
    for number in 0..attackers {
        let now = 1_000_000 + number * WINDOW_MS / rate;
        let mut request = |client: u32| {
            demand += 1;
            let decision = ask(&engine, &mut memory, &mut store, now, &Asked::get(client));
            if decision.admitted() {
                admitted.push((client, now));
            }
            decision.admitted()
        };
        // An attacker's client comes once, or comes back to see whether it was forgotten.
        let back = random.chance(16) && number > 0;
        let attacker = if back { random.below(number) } else { number };
        request(0x4000_0000 | u32::try_from(attacker).unwrap());
        if number % NEWCOMERS == 0 {
            new += 1;
            let client = 0x8000_0000 | u32::try_from(number).unwrap();
            new_refused += u64::from(!request(client));
        }
        if number % RESIDENTS == 0 {
            request(0xc000_0000 | u32::try_from(random.below(16)).unwrap());
        }
        if number % (attackers / 4).max(1) == attackers / 4 - 1 {
            bytes.push(store.bytes());
        }
    }
    admitted.sort_unstable();
    let mut worst = 0;
    for of in admitted.chunk_by(|left, right| left.0 == right.0) {
        let times: Vec<u64> = of.iter().map(|(_, time)| *time).collect();
        worst = worst.max(world::worst(&times, WINDOW_MS));
    }
    let mut row = Row::new(SUITE, case, "engine", seed);
    row.quota = QUOTA;
    row.bound = QUOTA;
    row.demand = demand;
    row.admitted = u64::try_from(admitted.len()).unwrap();
    row.worst = worst;
    let full = u64::try_from(store.bytes()).unwrap();
    if full > most || u64::try_from(store.len()).unwrap() > slots / 8 {
        row.wrong = Some(format!(
            "{full} bytes in {} keys, at most {most}",
            store.len()
        ));
    }
    // All requests, not only the charged ones.
    let per_window = demand * rate / attackers;
    if per_window < printed && new_refused > 0 {
        row.wrong = Some(format!("{new_refused} of {new} newcomers refused"));
    }
    row.more = json!({
        "slots": slots, "clients": attackers, "attacker_per_window": rate, "requests_per_window": per_window,
        "printed_per_window": printed, "newcomers": new, "newcomers_refused": new_refused,
        "newcomers_refused_percent": new_refused * 100 / new.max(1),
        "store_keys": store.len(), "store_bytes_by_quarter": bytes, "store_bytes_most": most,
    });
    row
}
