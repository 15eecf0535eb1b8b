//! Plugin contexts: policies in, ticks, metrics. What outlives a request.
//!
//! **Invariant:** a policy belongs to the root context that was configured with it; a stream keeps the engine it began
//! with, and an engine goes when it is replaced and its last stream has ended. A configuration that does not
//! compile changes nothing. The same root may start several times (`--concurrency 1`): everything here tolerates it.

use palisade_engine::engine::{Engine, Memory};
use palisade_engine::env::Env;
use palisade_engine::policy::Policy;
use palisade_engine::stages::limits::{self, Place, Worker};
use palisade_engine::stages::token::certificate::CertificateParts;
use palisade_engine::units::{Monotonic, UnixTime};

use crate::abi::{Buffer, Host, HostError, Level};
use crate::counters::{self, SharedCounters};
use crate::key_fetch;
use crate::metrics::{self, Count, Meters};
use crate::stream::{NS_PER_MS, Stream, leave};
use crate::table::Table;
use crate::waits::Waits;

/// All state of a VM.
#[derive(Default)]
pub(crate) struct Plugin {
    roots: Vec<Root>,
    pub(crate) engines: Vec<Option<Slot>>,
    pub(crate) streams: Table<Stream>,
    pub(crate) meters: Meters,
    pub(crate) worker: Worker,
    pub(crate) waits: Waits,
    /// Ids in the order of [`metrics::names`]; empty until defined.
    metrics: Vec<u32>,
    /// Id of [`metrics::FLOOR`], and what this worker recorded last.
    floor: Option<(u32, u32)>,
}

/// A root context.
struct Root {
    id: u32,
    engine: Option<usize>,
    /// Which haste its tick period knows of ([`Waits::haste`]); 0: it ticks hastily since it was configured.
    haste: u32,
}

/// An engine and who still needs it. Counted by hand: `Rc` aborts on overflow, which would be a trap.
pub(crate) struct Slot {
    pub(crate) engine: Engine,
    /// What its policy looks at in client certificates.
    pub(crate) certificate: CertificateParts,
    /// What this worker remembers under the engine's policy.
    pub(crate) memory: Memory,
    /// Counters of the policy's exceptions, in its order.
    pub(crate) exceptions: Vec<u32>,
    /// Places of streams that have ended, which the store did not take back yet.
    pub(crate) owed: Vec<Place>,
    /// Providers whose keys are fetched.
    pub(crate) providers: Vec<key_fetch::Provider>,
    streams: u32,
    current: bool,
    /// A held stream was given its body once: `allow_on_headers_stop_iteration` is set, slow bodies are just slow.
    pub(crate) bodies_arrive: bool,
}

/// How often held streams are looked after and metrics are flushed.
const TICK_MS: u32 = 500;
/// The same while keys are waited for.
pub(crate) const HASTY_TICK_MS: u32 = 50;
/// Shared key of the client hash's secret: layout version, purpose.
const HASH_KEY: &[u8] = b"p1/hash";

impl Plugin {
    /// `proxy_on_context_create`: a root (no parent) or a stream of one.
    pub(crate) fn create(&mut self, id: u32, parent: u32) {
        if parent == 0 {
            self.roots.push(Root {
                id,
                engine: None,
                haste: 0,
            });
            return;
        }
        let root = self.roots.iter().find(|root| root.id == parent);
        let engine = root.and_then(|root| root.engine);
        if let Some(slot) = engine.and_then(|index| self.slot(index)) {
            slot.streams = slot.streams.saturating_add(1);
        }
        self.streams.insert(id, Stream::new(engine));
    }

    /// `proxy_on_delete`: of a stream or a root.
    pub(crate) fn delete(&mut self, host: &Host, id: u32) {
        if let Some(mut stream) = self.streams.remove(id) {
            self.waits.forget(&stream);
            if let Some(index) = stream.engine() {
                if let Some(Some(slot)) = self.engines.get_mut(index) {
                    slot.streams = slot.streams.saturating_sub(1);
                    leave(&slot.engine, host, &mut self.worker, &mut stream.places);
                    slot.owed.append(&mut stream.places);
                }
                self.retire(index);
            }
            return;
        }
        if let Some(at) = self.roots.iter().position(|root| root.id == id) {
            let engine = self.roots.get(at).and_then(|root| root.engine);
            self.roots.retain(|root| root.id != id);
            self.replace(engine);
            self.flush(host);
        }
    }

    fn slot(&mut self, index: usize) -> Option<&mut Slot> {
        self.engines.get_mut(index)?.as_mut()
    }

    /// An engine is no longer the one of its root.
    fn replace(&mut self, engine: Option<usize>) {
        if let Some(index) = engine {
            if let Some(slot) = self.slot(index) {
                slot.current = false;
            }
            self.retire(index);
        }
    }

    /// Drops an engine nobody needs.
    fn retire(&mut self, index: usize) {
        if let Some(place) = self.engines.get_mut(index)
            && place
                .as_ref()
                .is_some_and(|slot| !slot.current && slot.streams == 0 && slot.owed.is_empty())
        {
            *place = None;
            self.waits.forget_reports(index);
        }
    }

    /// `proxy_on_configure`. False refuses the configuration: the host stops at boot and keeps the old one later.
    pub(crate) fn configure(&mut self, host: &Host, id: u32, size: usize) -> bool {
        let Some(policy) = compile(host, size) else {
            return false;
        };
        let fetches = policy.tokens.remote_keys().next().is_some();
        let calm = calm_tick_ms(&policy);
        let period = if fetches { HASTY_TICK_MS } else { calm };
        if let Err(error) = host.set_tick_period(period) {
            complain(host, "the tick could not be set", error);
            return false;
        }
        self.define_metrics(host);
        let engine = Engine::new(policy);
        let mut slot = Slot {
            memory: engine.memory(),
            certificate: engine.policy().certificate_parts(),
            exceptions: exception_meters(host, engine.policy()),
            owed: Vec::new(),
            providers: key_fetch::Provider::all(host, engine.policy()),
            engine,
            streams: 0,
            current: true,
            bodies_arrive: false,
        };
        slot.warm(host);
        let slot = Some(slot);
        let index = if let Some(free) = self.engines.iter().position(Option::is_none) {
            if let Some(place) = self.engines.get_mut(free) {
                *place = slot;
            }
            free
        } else {
            self.engines.push(slot);
            self.engines.len().saturating_sub(1)
        };
        let old = match self.roots.iter_mut().find(|root| root.id == id) {
            Some(root) => {
                root.haste = 0;
                root.engine.replace(index)
            }
            None => {
                self.roots.push(Root {
                    id,
                    engine: Some(index),
                    haste: 0,
                });
                None
            }
        };
        self.replace(old);
        true
    }

    fn define_metrics(&mut self, host: &Host) {
        if !self.metrics.is_empty() {
            return;
        }
        for name in metrics::names() {
            match host.define_counter(name.as_bytes()) {
                Ok(id) => self.metrics.push(id),
                Err(error) => {
                    complain(
                        host,
                        "metrics are off: a counter could not be defined",
                        error,
                    );
                    self.metrics.clear();
                    return;
                }
            }
        }
        let floor = host.define_gauge(metrics::FLOOR.as_bytes());
        self.floor = floor.ok().map(|id| (id, 0));
    }

    /// `proxy_on_tick`.
    pub(crate) fn tick(&mut self, host: &Host, id: u32) {
        self.flush(host);
        if let Ok(now) = host.monotonic_ns() {
            let now = now / NS_PER_MS;
            self.waits.forget_flights(now);
            let somebody_waits = self.waits.somebody();
            for slot in self.engines.iter_mut().flatten() {
                // An old policy fetches for those who still wait under it.
                if slot.current || somebody_waits {
                    slot.look_after_keys(host, &mut self.waits, now);
                }
            }
            self.release(host, now);
            self.look_after_places(host, now);
            self.report_hits(host, now);
        }
        self.look_after_held(host);
        let haste = self.waits.haste();
        let calm = self.calm_tick_of(id);
        if !self.waits.somebody()
            && let Some(root) = self.roots.iter_mut().find(|root| root.id == id)
            && root.haste != haste
            && host.set_tick_period(calm).is_ok()
        {
            root.haste = haste;
        }
    }

    /// Says that this worker lives, and gives back what the store did not take before.
    fn look_after_places(&mut self, host: &Host, now: u64) {
        let mut slots = self.engines.iter().flatten();
        let joins = slots.any(|slot| slot.current && slot.engine.counts_in_flight());
        let mut counters = SharedCounters::new(host, &mut self.worker, false);
        let mut env = Env {
            now: Monotonic(now),
            wall: UnixTime(0),
            counters: &mut counters,
        };
        // If it fails, the next request that needs a place tries again, or is refused.
        let _ = limits::tick(&mut env, joins);
        for slot in self.engines.iter().flatten() {
            slot.engine.return_leases(&mut env);
        }
        let (taken, returned) = self.worker.count_leases(now);
        self.meters.add(Count::LeasesTaken(taken));
        self.meters.add(Count::LeasesReturned(returned));
        for index in 0..self.engines.len() {
            let Some(Some(slot)) = self.engines.get_mut(index) else {
                continue;
            };
            if slot.owed.is_empty() {
                continue;
            }
            leave(&slot.engine, host, &mut self.worker, &mut slot.owed);
            self.retire(index);
        }
    }

    /// The tick period of a root for which nobody waits.
    fn calm_tick_of(&mut self, id: u32) -> u32 {
        let root = self.roots.iter().find(|root| root.id == id);
        let engine = root.and_then(|root| root.engine);
        engine
            .and_then(|index| self.slot(index))
            .map_or(TICK_MS, |slot| calm_tick_ms(slot.engine.policy()))
    }

    fn flush(&mut self, host: &Host) {
        let table = counters::take_table();
        self.meters.add(Count::Evicted(table.evicted));
        self.meters.add(Count::Conflicts(table.conflicts));
        self.meters.add(Count::BansDropped(table.bans_dropped));
        self.meters.add(Count::Unreadable(table.unreadable));
        let met = table.floor;
        if let Some((id, shown)) = &mut self.floor
            && (met > 0 || *shown > 0)
        {
            *shown = met;
            let _ = host.record(*id, u64::from(met));
        }
        for slot in self.engines.iter_mut().flatten() {
            let failures = slot.memory.fleet.take_failures();
            self.meters.add_times(Count::FleetFailure, failures);
            let uses = slot.memory.exceptions.take();
            for (id, count) in slot.exceptions.iter().zip(uses) {
                if count > 0 {
                    let _ = host.increment(*id, u64::from(count));
                }
            }
        }
        for (id, count) in self.metrics.iter().zip(self.meters.take()) {
            if count > 0 {
                // A counter that cannot be written is lost, not a reason to refuse anybody.
                let _ = host.increment(*id, count);
            }
        }
    }
}

/// A counter for each exception from injection detection: one that stays at 0 is not needed. Without counters there are none.
fn exception_meters(host: &Host, policy: &Policy) -> Vec<u32> {
    let names = policy.exceptions().iter();
    let names = names.map(|except| String::from_utf8_lossy(&except.name));
    names
        .map_while(|name| {
            let name = format!("{}{name}", metrics::EXCEPT);
            host.define_counter(name.as_bytes()).ok()
        })
        .collect()
}

/// The tick period under a policy when nobody waits: as often as services are told of hits.
fn calm_tick_ms(policy: &Policy) -> u32 {
    let reports = policy.limits.reports_every_ms();
    let reports = reports.and_then(|ms| u32::try_from(ms).ok());
    reports.map_or(TICK_MS, |ms| ms.min(TICK_MS))
}

fn compile(host: &Host, size: usize) -> Option<Policy> {
    let bytes = match size {
        0 => &[],
        _ => match host.buffer(Buffer::PluginConfiguration, size) {
            Ok(bytes) => bytes,
            Err(error) => {
                complain(host, "the plugin configuration could not be read", error);
                return None;
            }
        },
    };
    let environment = match host.environment() {
        Ok(environment) => environment,
        Err(error) => {
            complain(host, "the environment could not be read", error);
            return None;
        }
    };
    let mut policy = policy_of(host, bytes, &environment)?;
    match hash_key(host) {
        Ok(key) => {
            policy.limits.hash_key = key;
            policy.marks.hash_key = key;
        }
        Err(error) => {
            complain(host, "the shared hash key could not be agreed", error);
            return None;
        }
    }
    Some(policy)
}

/// A variable of the environment (`NAME=value\0…`).
fn variable<'a>(environment: &'a [u8], name: &str) -> Option<&'a [u8]> {
    environment.split(|byte| *byte == 0).find_map(|entry| {
        entry
            .strip_prefix(name.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="))
    })
}

/// The 16 bytes all VMs of a `vm_id` address clients with: the first to come creates them, all read them back.
fn hash_key(host: &Host) -> Result<[u8; 16], HostError> {
    let mut stored = Vec::new();
    match host.shared_data(HASH_KEY, &mut stored) {
        Ok(_) => {}
        Err(HostError::NotFound) => {
            let mut fresh = [0; 16];
            host.random(&mut fresh)?;
            match host.set_shared_data(HASH_KEY, &fresh, u32::MAX) {
                Ok(()) | Err(HostError::CasMismatch) => {}
                Err(error) => return Err(error),
            }
            host.shared_data(HASH_KEY, &mut stored)?;
        }
        Err(error) => return Err(error),
    }
    <[u8; 16]>::try_from(stored.as_slice()).map_err(|_| HostError::BadResult)
}

fn complain(host: &Host, what: &str, error: HostError) {
    host.log(
        Level::Error,
        format!("palisade: {what} ({error:?})").as_bytes(),
    );
}

/// Compiles the policy; every error found goes to the log.
fn policy_of(host: &Host, bytes: &[u8], environment: &[u8]) -> Option<Policy> {
    let secrets = |name: &str| variable(environment, name).map(<[u8]>::to_vec);
    match Policy::from_plugin_bytes(bytes, &secrets) {
        Ok(policy) => Some(policy),
        Err(errors) => {
            for error in errors {
                host.log(Level::Error, format!("palisade: {error}").as_bytes());
            }
            None
        }
    }
}
