//! Measuring: fuel and hostcalls on an engine that counts fuel, times on one that does not.
//!
//! **Out:** for each callback its fuel and time; hostcalls by name; bytes across the boundary; memory; what a whole exchange takes.
//! **Invariant:** fuel, hostcalls, bytes and memory are those of the second run on a fresh VM (the first makes counters and grows
//! memory), under a clock that stands and seeded randomness: the same in every run. Metering never distorts a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use palisade_host::{
    Cache, Clock, Limits, LoadOptions, LogLevel, Module, Outcome, Response, Trace, Vm, VmConfig,
};
use serde::Serialize;

use super::mix::{Case, Setup};
use crate::explain::decide;

/// Hostcalls that hand the guest data in memory of its own: each costs an allocation and a copy.
const RETURNING: [&str; 8] = [
    "proxy_call_foreign_function",
    "proxy_dequeue_shared_queue",
    "proxy_get_buffer_bytes",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_get_status",
];

/// A module under measurement, compiled twice.
#[derive(Debug)]
pub struct Subject {
    /// Where it was read from.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    fuelled: Module,
    plain: Module,
}

/// Quantiles of times, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Spread {
    /// A tenth is faster.
    pub p10: u64,
    /// Half is faster.
    pub median: u64,
    /// A tenth is slower.
    pub p90: u64,
}

impl Spread {
    /// Whether no time was taken.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        self.p90 == 0
    }

    fn of(mut samples: Vec<u64>) -> Self {
        samples.sort_unstable();
        let at = |percent: usize| {
            samples
                .get(samples.len().saturating_sub(1) * percent / 100)
                .copied()
                .unwrap_or_default()
        };
        Self {
            p10: at(10),
            median: at(50),
            p90: at(90),
        }
    }
}

/// What a callback costs in one run of a case.
#[derive(Debug, Clone, Serialize)]
pub struct CallbackCost {
    /// Its name.
    pub name: String,
    /// How often it ran.
    pub calls: u64,
    /// Fuel of all of them.
    pub fuel: u64,
    /// Hostcalls made in them.
    pub hostcalls: u64,
    /// Bytes the host read from the guest.
    pub bytes_in: u64,
    /// Bytes the host wrote to the guest.
    pub bytes_out: u64,
    /// Time of all of them, hostcalls included.
    #[serde(skip_serializing_if = "Spread::is_absent")]
    pub ns: Spread,
}

/// Fuel of a step of our filter's decision, less what its marker cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageCost {
    /// As `palisade explain` names it.
    pub name: String,
    /// Fuel of all requests of the case.
    pub fuel: u64,
}

/// What a case costs.
#[derive(Debug, Clone, Serialize)]
pub struct CaseCost {
    /// The case.
    pub name: String,
    /// Requests in it.
    pub requests: u64,
    /// Status of each answer.
    pub statuses: Vec<u16>,
    /// Fuel of all callbacks.
    pub fuel: u64,
    /// Hostcalls of all callbacks.
    pub hostcalls: u64,
    /// Those of them that return data in the guest's memory.
    pub returning: u64,
    /// Bytes the host read from the guest.
    pub bytes_in: u64,
    /// Bytes the host wrote to the guest.
    pub bytes_out: u64,
    /// Hostcalls by name.
    pub hostcalls_by_name: BTreeMap<String, u64>,
    /// In the order they first ran.
    pub callbacks: Vec<CallbackCost>,
    /// Steps of the decision; empty unless the filter is ours, which marks them under `debug.trace`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageCost>,
    /// Linear memory after the start.
    pub memory_before: u64,
    /// Linear memory in the end; it never shrinks, so this is its peak.
    pub memory_after: u64,
    /// Time in the guest, hostcalls included.
    #[serde(skip_serializing_if = "Spread::is_absent")]
    pub guest_ns: Spread,
    /// Time of the whole exchange through the library, without a trace.
    #[serde(skip_serializing_if = "Spread::is_absent")]
    pub exchange_ns: Spread,
}

/// What loading and starting cost.
#[derive(Debug, Clone, Serialize)]
pub struct StartCost {
    /// Compiling, nothing cached.
    pub load_cold_ms: f64,
    /// Loading what the cache keeps; absent without a cache.
    pub load_cached_ms: Option<f64>,
    /// Starting a VM: instance, root context, `proxy_on_vm_start`, `proxy_on_configure`.
    pub start_ns: Spread,
    /// Callbacks of the start.
    pub callbacks: Vec<CallbackCost>,
    /// Linear memory after it.
    pub memory: u64,
}

impl Subject {
    /// Compiles a module.
    ///
    /// # Errors
    /// It cannot be read, or is no filter.
    pub fn load(path: &Path, cache: &Cache) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let load = |fuel: Option<u64>| {
            let options = options(fuel, cache.clone());
            Module::load_with("guest", &bytes, &options)
                .with_context(|| format!("module {}", path.display()))
        };
        Ok(Self {
            path: path.to_owned(),
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            fuelled: load(Limits::default().fuel)?,
            plain: load(None)?,
        })
    }

    /// What loading and starting cost under `setup`; the module is compiled once more, without a cache.
    ///
    /// # Errors
    /// The guest does not start.
    pub fn start_cost(&self, setup: &Setup, cache: &Cache, rounds: usize) -> Result<StartCost> {
        let bytes = std::fs::read(&self.path)?;
        let fuel = Limits::default().fuel;
        let load = |cache: Cache| -> Result<(f64, bool)> {
            let begun = Instant::now();
            let module = Module::load_with("guest", &bytes, &options(fuel, cache))?;
            Ok((begun.elapsed().as_secs_f64() * 1e3, module.is_cached()))
        };
        let (load_cold_ms, _) = load(Cache::Off)?;
        let (cached_ms, hit) = load(cache.clone())?;
        let mut vm = start(&self.fuelled, setup, true)?;
        let trace = vm.take_trace();
        let memory = size(vm.memory_bytes());
        let mut whole = Vec::new();
        let mut times = Times::default();
        for _ in 0..rounds.clamp(3, 50) {
            let begun = Instant::now();
            let mut vm = start(&self.plain, setup, true)?;
            whole.push(nanos(begun.elapsed()));
            times.add(&[vm.take_trace()]);
        }
        let mut callbacks = costs(&[trace]);
        times.fill(&mut callbacks);
        Ok(StartCost {
            load_cold_ms,
            load_cached_ms: hit.then_some(cached_ms),
            start_ns: Spread::of(whole),
            callbacks,
            memory,
        })
    }

    /// What a case costs. Without `rounds` no time is taken. `tick` is called after each round.
    ///
    /// # Errors
    /// The guest does not start, or fails.
    pub fn measure(&self, case: &Case, rounds: usize, tick: &dyn Fn()) -> Result<CaseCost> {
        let failed = || format!("case `{}`", case.name);
        let mut vm = start(&self.fuelled, &case.setup, true).with_context(failed)?;
        let memory_before = size(vm.memory_bytes());
        let first = ask(&mut vm, case).with_context(failed)?;
        let mut outcomes = ask(&mut vm, case).with_context(failed)?;
        if statuses(&first) != statuses(&outcomes) {
            // It uses something up, such as a quota: the run on fresh state is the case.
            outcomes = first;
        }
        let traces: Vec<Trace> = outcomes
            .iter()
            .map(|outcome| outcome.trace.clone())
            .collect();
        let calls = || traces.iter().flat_map(|trace| &trace.hostcalls);
        let mut by_name: BTreeMap<String, u64> = BTreeMap::new();
        for call in calls() {
            *by_name.entry(call.name.to_owned()).or_default() += 1;
        }
        let mut cost = CaseCost {
            name: case.name.clone(),
            requests: size(case.requests.len()),
            statuses: statuses(&outcomes),
            fuel: traces.iter().map(Trace::fuel).sum(),
            hostcalls: by_name.values().sum(),
            returning: size(
                calls()
                    .filter(|call| RETURNING.contains(&call.name))
                    .count(),
            ),
            bytes_in: calls().map(|call| call.bytes_in).sum(),
            bytes_out: calls().map(|call| call.bytes_out).sum(),
            hostcalls_by_name: by_name,
            callbacks: costs(&traces),
            stages: self.stages(case, &statuses(&outcomes)),
            memory_before,
            memory_after: size(vm.memory_bytes()),
            guest_ns: Spread::default(),
            exchange_ns: Spread::default(),
        };
        if rounds > 0 {
            self.time(case, rounds, tick, &mut cost)
                .with_context(failed)?;
        }
        Ok(cost)
    }

    /// Fuel of the steps, from runs of their own under `debug.trace`, so that the trace is in no other number. Nothing, if the filter
    /// marks no steps, is not configured by a map, or answers differently under the trace.
    fn stages(&self, case: &Case, expected: &[u16]) -> Vec<StageCost> {
        let traced = || -> Option<Vec<StageCost>> {
            let mut config: serde_json::Value = serde_json::from_slice(&case.setup.config).ok()?;
            decide::merge(
                &mut config,
                &serde_json::json!({ "debug": { "trace": true } }),
            )
            .ok()?;
            let setup = Setup {
                config: config.to_string().into_bytes(),
                ..case.setup.clone()
            };
            let mut vm = start(&self.fuelled, &setup, true).ok()?;
            let first = ask(&mut vm, case).ok()?;
            let second = ask(&mut vm, case).ok()?;
            let outcomes = if statuses(&second) == expected {
                second
            } else {
                first
            };
            let mut stages: Vec<StageCost> = Vec::new();
            for outcome in outcomes.iter().filter(|_| statuses(&outcomes) == expected) {
                for (name, fuel) in decide::steps(outcome)? {
                    match stages.iter_mut().find(|stage| stage.name == name) {
                        Some(stage) => stage.fuel += fuel,
                        None => stages.push(StageCost { name, fuel }),
                    }
                }
            }
            Some(stages)
        };
        traced().unwrap_or_default()
    }

    /// Adds times: each round runs the case once with a trace and once without, on VMs that live on.
    fn time(&self, case: &Case, rounds: usize, tick: &dyn Fn(), cost: &mut CaseCost) -> Result<()> {
        let mut traced = Lane::new(self, case, true)?;
        let mut bare = Lane::new(self, case, false)?;
        let mut times = Times::default();
        let (mut guest, mut exchange) = (Vec::new(), Vec::new());
        let warm_up = (rounds / 10).clamp(3, 100);
        for round in 0..warm_up + rounds {
            let (_, outcomes) = traced.run(&cost.statuses)?;
            let (took, _) = bare.run(&cost.statuses)?;
            tick();
            if round < warm_up {
                continue;
            }
            let traces: Vec<Trace> = outcomes.into_iter().map(|outcome| outcome.trace).collect();
            guest.push(
                traces
                    .iter()
                    .flat_map(|trace| &trace.callbacks)
                    .map(|callback| callback.nanos)
                    .sum(),
            );
            times.add(&traces);
            exchange.push(nanos(took));
        }
        times.fill(&mut cost.callbacks);
        cost.guest_ns = Spread::of(guest);
        cost.exchange_ns = Spread::of(exchange);
        cost.memory_after = cost
            .memory_after
            .max(size(traced.vm.memory_bytes()))
            .max(size(bare.vm.memory_bytes()));
        Ok(())
    }
}

/// A VM that runs a case again and again; a fresh one takes its place when the case has used something up.
struct Lane<'a> {
    subject: &'a Subject,
    case: &'a Case,
    trace: bool,
    vm: Vm,
}

impl<'a> Lane<'a> {
    fn new(subject: &'a Subject, case: &'a Case, trace: bool) -> Result<Self> {
        Ok(Self {
            vm: start(&subject.plain, &case.setup, trace)?,
            subject,
            case,
            trace,
        })
    }

    fn run(&mut self, expected: &[u16]) -> Result<(Duration, Vec<Outcome>)> {
        for fresh in [false, true] {
            if fresh {
                self.vm = start(&self.subject.plain, &self.case.setup, self.trace)?;
            }
            let begun = Instant::now();
            let outcomes = ask(&mut self.vm, self.case)?;
            let took = begun.elapsed();
            if statuses(&outcomes) == expected {
                return Ok((took, outcomes));
            }
        }
        anyhow::bail!("it is answered differently each time: it cannot be timed")
    }
}

/// Times of callbacks by name, a sum for each run.
#[derive(Default)]
struct Times(BTreeMap<&'static str, Vec<u64>>);

impl Times {
    fn add(&mut self, traces: &[Trace]) {
        let mut sums: BTreeMap<&'static str, u64> = BTreeMap::new();
        for callback in traces.iter().flat_map(|trace| &trace.callbacks) {
            *sums.entry(callback.name).or_default() += callback.nanos;
        }
        for (name, sum) in sums {
            self.0.entry(name).or_default().push(sum);
        }
    }

    fn fill(mut self, callbacks: &mut [CallbackCost]) {
        for callback in callbacks {
            let samples = self.0.remove(callback.name.as_str()).unwrap_or_default();
            callback.ns = Spread::of(samples);
        }
    }
}

/// Callbacks by name, in the order they first ran, without times.
fn costs(traces: &[Trace]) -> Vec<CallbackCost> {
    let mut costs: Vec<CallbackCost> = Vec::new();
    for trace in traces {
        for (position, callback) in trace.callbacks.iter().enumerate() {
            let at = costs
                .iter()
                .position(|cost| cost.name == callback.name)
                .unwrap_or_else(|| {
                    costs.push(CallbackCost {
                        name: callback.name.to_owned(),
                        calls: 0,
                        fuel: 0,
                        hostcalls: 0,
                        bytes_in: 0,
                        bytes_out: 0,
                        ns: Spread::default(),
                    });
                    costs.len() - 1
                });
            let Some(cost) = costs.get_mut(at) else {
                continue;
            };
            cost.calls += 1;
            cost.fuel += callback.fuel;
            for call in trace
                .hostcalls
                .iter()
                .filter(|call| call.callback == position)
            {
                cost.hostcalls += 1;
                cost.bytes_in += call.bytes_in;
                cost.bytes_out += call.bytes_out;
            }
        }
    }
    costs
}

fn start(module: &Module, setup: &Setup, trace: bool) -> Result<Vm> {
    let config = VmConfig {
        plugin_name: "bench".to_owned(),
        vm_id: "bench".to_owned(),
        vm_configuration: setup.vm_config.clone(),
        root_id: setup.root_id.clone(),
        without_functions: setup.without_functions.clone(),
        plugin_configuration: setup.config.clone(),
        environment: setup.env.clone(),
        clock: Clock::virtual_at(Duration::from_secs(setup.wall)),
        log_level: LogLevel::Info,
        allow_on_headers_stop_iteration: true,
        seed: Some(1),
        trace,
        ..VmConfig::default()
    };
    Ok(Vm::start(module, config)?)
}

fn ask(vm: &mut Vm, case: &Case) -> Result<Vec<Outcome>> {
    case.requests
        .iter()
        .map(|asked| {
            let outcome = vm.exchange(&asked.request, |_| Response::new(asked.upstream, "ok"))?;
            ensure!(
                !outcome.paused,
                "the filter held the request and nothing let it go"
            );
            Ok(outcome)
        })
        .collect()
}

fn statuses(outcomes: &[Outcome]) -> Vec<u16> {
    outcomes.iter().map(|outcome| outcome.status).collect()
}

fn options(fuel: Option<u64>, cache: Cache) -> LoadOptions {
    LoadOptions {
        limits: Limits {
            fuel,
            ..Limits::default()
        },
        cache,
    }
}

fn size(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
