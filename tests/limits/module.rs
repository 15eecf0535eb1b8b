//! The shipped module in our host: VMs raced by the host's own simulator, and entries broken under it.
//!
//! **Invariant:** what `race` and `chaos` hold the engine to, through the real hostcalls, with the agreed secret and the filter's clocks.
//! A trap is a failed row.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use palisade_host::simulate::{Failure, Property, Simulation, Traffic};
use palisade_host::{Clock, Module, Request, Response, Shared, Vm, VmConfig};
use serde_json::{Value, json};

use crate::chaos::broken;
use crate::world::{self, Random};
use crate::{Chosen, Promise, Row};

pub(crate) fn races(chosen: &Chosen) -> Vec<Row> {
    let seeds = if chosen.long { 1_000 } else { 60 };
    chosen.runs("race", "module", seeds, race)
}

pub(crate) fn leases(chosen: &Chosen) -> Vec<Row> {
    let seeds = if chosen.long { 500 } else { 30 };
    chosen.runs("lease", "module", seeds, lease)
}

pub(crate) fn chaos(chosen: &Chosen) -> Vec<Row> {
    let seeds = if chosen.long { 500 } else { 30 };
    let mut rows = chosen.runs("chaos", "module-faults", seeds, faults);
    rows.extend(chosen.runs("chaos", "module-entries", seeds, entries));
    rows
}

/// The filter as shipped.
fn filter() -> Module {
    static MODULE: OnceLock<Module> = OnceLock::new();
    let load = || {
        let path = palisade_tests::root().join("target/palisade.wasm");
        Module::from_file(&path).unwrap_or_else(|error| {
            panic!("{}: {error}; `cargo xtask wasm` builds it", path.display())
        })
    };
    MODULE.get_or_init(load).clone()
}

fn simulation(seed: u64, quota: u64) -> Simulation {
    simulation_of(
        seed,
        &json!({ "name": "a", "key": ["client"], "quota": format!("{quota}/10m") }),
    )
}

fn simulation_of(seed: u64, limit: &Value) -> Simulation {
    let mut random = Random::new(seed);
    let policy = json!({ "limits": [limit] });
    Simulation {
        workers: usize::try_from(random.within(2, 4)).unwrap(),
        plugin_configuration: policy.to_string().into_bytes(),
        vm_id: "limits".to_owned(),
        allow_on_headers_stop_iteration: true,
        ..Simulation::new(filter())
    }
}

fn play(simulation: &Simulation, seed: u64, quota: u64, row: &mut Row) {
    let demand = usize::try_from(quota + quota / 2 + 10).unwrap();
    let traffic = Traffic::race(&Request::get("/"), demand);
    let run = simulation.run(seed, &traffic);
    let mut times = Vec::new();
    for answer in run.answers.iter().filter(|answer| answer.admitted > 0) {
        times.push(u64::try_from(answer.at.as_millis()).unwrap());
    }
    times.sort_unstable();
    row.demand = u64::try_from(demand).unwrap();
    row.admitted = u64::try_from(times.len()).unwrap();
    row.worst = world::worst(&times, 600_000);
    (row.quota, row.bound) = (quota, quota);
    row.wrong = Property::sane()
        .iter()
        .find_map(|property| property.breaks(&run));
    row.more = json!({
        "vms": simulation.workers, "points": run.steps, "injected": run.injected, "restarts": run.restarts,
    });
}

fn race(seed: u64) -> Row {
    let mut row = Row::new("race", "module", "module", seed);
    let quota = Random::new(!seed).within(1, 60);
    play(&simulation(seed, quota), seed, quota, &mut row);
    row.least = quota;
    row
}

/// All at once, some of it charged ahead: what workers still hold at the end is wanting.
fn lease(seed: u64) -> Row {
    let mut random = Random::new(!seed);
    let quota = random.within(20, 80);
    let lease = random.within(2, quota / 4);
    let bucket = random.chance(128);
    let mut limit = json!({
        "name": "a", "key": ["client"], "quota": format!("{quota}/10m"), "lease": lease,
    });
    let mut row = Row::new("lease", "module", "module", seed);
    if bucket {
        row.algorithm = "token_bucket";
        limit["algorithm"] = row.algorithm.into();
        limit["burst"] = quota.into();
    }
    let simulation = simulation_of(seed, &limit);
    let held = lease * u64::try_from(simulation.workers).unwrap();
    play(&simulation, seed, quota, &mut row);
    row.promise = Promise::Lease;
    if bucket {
        row.added = held;
        row.bound += held;
    }
    row.least = quota.saturating_sub(held);
    row
}

/// Hostcalls fail with any status, VMs crash and are replaced, their clocks differ. Where any hostcall may fail, one may fail to tell the
/// client's address: those without one are a client of their own.
fn faults(seed: u64) -> Row {
    let mut row = Row::new("chaos", "module-faults", "module", seed);
    let quota = Random::new(!seed).within(1, 60);
    let hostcalls: &[Option<&str>] = if seed.is_multiple_of(2) {
        &[None]
    } else {
        &[
            Some("proxy_get_shared_data"),
            Some("proxy_set_shared_data"),
            Some("clock_time_get"),
        ]
    };
    let failure = |hostcall: &Option<&str>| Failure {
        hostcall: hostcall.map(str::to_owned),
        status: None,
        rate: if hostcall.is_some() { 0.1 } else { 0.02 },
    };
    let simulation = Simulation {
        failures: hostcalls.iter().map(failure).collect(),
        restart_rate: 0.01,
        crash_rate: 0.001,
        skew: Duration::from_secs(2),
        ..simulation(seed, quota)
    };
    play(&simulation, seed, quota, &mut row);
    if hostcalls == [None] {
        row.bound = 2 * quota;
    }
    row
}

/// Every entry the filter keeps is broken between requests, and clocks step both ways.
fn entries(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let policy = json!({
        "table": { "clients": 64 },
        "limits": [
            { "name": "log", "key": ["client"], "quota": "3/10s", "penalty": { "after": 4, "ban": "5s" } },
            { "name": "ring", "key": ["client"], "quota": "200/1m" },
            { "name": "login", "key": ["client"], "quota": "5/1h", "count": { "status": [401] } },
        ],
    });
    let clock = Clock::virtual_at(Duration::from_secs(1_785_542_400));
    let shared = Shared::new();
    let mut vms: Vec<Vm> = Vec::new();
    for number in 0..2 {
        let config = VmConfig {
            plugin_configuration: policy.to_string().into_bytes(),
            vm_id: "limits".to_owned(),
            shared: shared.clone(),
            clock: clock.clone(),
            allow_on_headers_stop_iteration: true,
            seed: Some(seed.wrapping_add(number)),
            ..VmConfig::default()
        };
        vms.push(Vm::start(&filter(), config).unwrap());
    }
    let mut row = Row::new("chaos", "module-entries", "module", seed);
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    for _ in 0..120 {
        match random.below(12) {
            0 => clock.set_monotonic(Duration::from_millis(random.below(1 << 20))),
            1 => clock.set_monotonic(Duration::from_millis(random.below(1 << 41))),
            _ => clock.advance(Duration::from_millis(random.below(2_000))),
        }
        for (key, value) in shared.data() {
            if random.chance(48) {
                shared.set(&key, &broken(&value, &mut random), 0).unwrap();
            }
        }
        let at = usize::try_from(random.below(2)).unwrap();
        let address = format!("203.0.113.{}:40000", random.below(20));
        let request = Request::get("/").from_address(address);
        let upstream = if random.chance(128) { 401 } else { 200 };
        let mut reached = 0;
        row.demand += 1;
        let outcome = vms[at].exchange(&request, |_| {
            reached += 1;
            Response::new(upstream, "")
        });
        row.admitted += reached;
        match outcome {
            Ok(outcome) => *statuses.entry(outcome.status).or_default() += 1,
            Err(error) => {
                row.wrong = Some(error.to_string());
                break;
            }
        }
    }
    let odd = statuses
        .keys()
        .find(|status| ![200, 401, 403, 429, 503].contains(*status));
    if let Some(odd) = odd {
        row.wrong = Some(format!("status {odd}"));
    }
    row.more = json!({ "statuses": statuses });
    row
}
