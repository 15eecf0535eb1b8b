//! Fetched keys: shared data and call-outs around the engine's state machine (`stages/token/remote.rs`).
//!
//! **In:** ticks, what requests want, answers of key servers. **Out:** one fetch at a time in all VMs of a `vm_id`, the
//! document in shared data, keys in each VM's memory, released requests, gauges, event lines.
//! **Invariant:** two shared entries a provider, named after cluster, URL and what keys may be: a reload leaks none. The document is written
//! before the entry that names it. A host that fails costs a fetch, never the keys that are there.
//! **Cost:** on the tick, one shared-data read a provider; a document is read when its stamp changed.

use palisade_engine::engine::Answer;
use palisade_engine::policy::Policy;
use palisade_engine::stages::token::remote::{
    Control, FETCH_TIMEOUT_MS, Plan, Remote, RemoteKeys, Want, decode_document, encode_document,
};

use crate::abi::{Buffer, Host, HostError, Level, Map};
use crate::pairs;
use crate::root::{Plugin, Slot};
use crate::stream::{NS_PER_MS, parse_status};
use crate::telemetry::{self, KeysTold};
use crate::waits::Waits;

/// A fetch under way.
pub(crate) struct Flight {
    token: u32,
    /// Name of the shared entries.
    name: [u8; 16],
    lease: u64,
    /// When its lease ends by itself; a host that never answers is not waited for longer.
    pub(crate) until: u64,
}

/// Whether a request may wait for keys.
pub(crate) enum Hope {
    /// They are here.
    Now,
    /// An answer is under way, or will be.
    Wait(Patience),
    /// None will come.
    None,
}

/// How long a request waits for keys, and which answer counts.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// Index of the provider.
    pub(crate) provider: usize,
    /// When it goes on without.
    pub(crate) until_ms: u64,
    /// Lease of the last good answer before.
    known: u64,
    /// The first lease whose fetch begins no earlier than the wait.
    first: u64,
}

/// Ids of a provider's metrics.
#[derive(Clone, Copy)]
pub(crate) struct KeyMeters {
    age_s: u32,
    keys: u32,
    failures: u32,
    fetches: u32,
    /// What the gauges show.
    shown: Option<(u64, u64, u64)>,
}

/// A provider with fetched keys, in one VM.
pub(crate) struct Provider {
    /// Its index in the policy.
    index: usize,
    name: Vec<u8>,
    meters: Option<KeyMeters>,
    /// What all VMs agreed on when this one looked last.
    control: Control,
}

const CONTROL: u8 = b'c';
const DOCUMENT: u8 = b'd';
/// The longest document.
const MAX_DOCUMENT: usize = palisade_engine::stages::token::jwk::MAX_SET_BYTES;
/// Lost races for the shared entry after which the next tick tries again.
const TRIES: usize = 8;

/// Name of a shared entry: layout version, purpose, provider.
fn key(name: &[u8; 16], entry: u8) -> Vec<u8> {
    let mut key = Vec::with_capacity(24);
    key.extend_from_slice(b"p1/keys/");
    key.extend_from_slice(name);
    key.push(b'/');
    key.push(entry);
    key
}

fn load(host: &Host, name: &[u8; 16]) -> Result<(Control, u32), HostError> {
    let mut bytes = Vec::new();
    match host.shared_data(&key(name, CONTROL), &mut bytes) {
        // Version 0 would write whatever stands there.
        Ok(0) => Err(HostError::BadResult),
        Ok(cas) => Ok((Control::decode(&bytes), cas)),
        Err(HostError::NotFound) => Ok((Control::default(), u32::MAX)),
        Err(error) => Err(error),
    }
}

fn store(host: &Host, name: &[u8; 16], control: &Control, cas: u32) -> Result<(), HostError> {
    host.set_shared_data(&key(name, CONTROL), &control.encode(), cas)
}

impl Provider {
    /// The providers of a policy, with their metrics. Configure time only.
    pub(crate) fn all(host: &Host, policy: &Policy) -> Vec<Self> {
        let remote = policy.tokens.remote_keys();
        remote
            .map(|(index, _)| {
                let provider = policy.tokens.providers.get(index);
                let name = provider.map(|provider| provider.name.clone());
                let name = name.unwrap_or_default();
                Self {
                    index,
                    meters: KeyMeters::define(host, &String::from_utf8_lossy(&name)),
                    name,
                    control: Control::default(),
                }
            })
            .collect()
    }

    /// Takes over what is shared, and fetches if that is due or wanted. Gives what was done.
    pub(crate) fn look(
        &mut self,
        host: &Host,
        rules: &RemoteKeys,
        remote: &mut Remote,
        waits: &mut Waits,
        want: Want,
        now: u64,
    ) -> Result<Plan, HostError> {
        for _ in 0..TRIES {
            let (control, cas) = load(host, &rules.name)?;
            self.take_over(host, rules, remote, &control, now);
            let plan = control.plan(want, now, rules.refresh_ms);
            let Plan::Fetch(taken) = plan else {
                return Ok(plan);
            };
            match store(host, &rules.name, &taken, cas) {
                Ok(()) => {
                    self.control = taken;
                    self.fetch(host, rules, remote, waits, &taken, now);
                    return Ok(plan);
                }
                Err(HostError::CasMismatch) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Plan::InFlight)
    }

    fn take_over(
        &mut self,
        host: &Host,
        rules: &RemoteKeys,
        remote: &mut Remote,
        control: &Control,
        now: u64,
    ) {
        if control.stamp > remote.stamp() {
            let mut document = Vec::new();
            if host
                .shared_data(&key(&rules.name, DOCUMENT), &mut document)
                .is_ok()
                && let Some((stamp, text)) = decode_document(&document)
                && stamp > remote.stamp()
            {
                // Another policy's rules may find no key in it: then this VM keeps what it has.
                let _ = remote.install(stamp, text, &rules.rules);
            }
        }
        self.control = *control;
        remote.look(control, now, rules);
        self.show(host, remote, control, now);
    }

    /// Sends the fetch the lease is held for.
    fn fetch(
        &mut self,
        host: &Host,
        rules: &RemoteKeys,
        remote: &mut Remote,
        waits: &mut Waits,
        taken: &Control,
        now: u64,
    ) {
        let headers: [(&[u8], &[u8]); 5] = [
            (b":method", b"GET"),
            (b":path", &rules.path),
            (b":authority", &rules.authority),
            (b"accept", b"application/jwk-set+json, application/json"),
            (b"user-agent", b"palisade"),
        ];
        let headers = pairs::encode(headers.into_iter());
        if let Some(meters) = self.meters {
            let _ = host.increment(meters.fetches, 1);
        }
        match host.http_call(&rules.cluster, &headers, b"", FETCH_TIMEOUT_MS) {
            Ok(token) => waits.flights.push(Flight {
                token,
                name: rules.name,
                lease: taken.lease,
                until: taken.until,
            }),
            Err(_) => {
                self.failed(host, rules, remote, taken.lease, "cluster", now);
            }
        }
    }

    fn failed(
        &mut self,
        host: &Host,
        rules: &RemoteKeys,
        remote: &mut Remote,
        lease: u64,
        why: &'static str,
        now: u64,
    ) {
        for _ in 0..TRIES {
            let Ok((control, cas)) = load(host, &rules.name) else {
                return;
            };
            let dice = dice(host);
            let Some(failed) = control.failed(lease, now, rules.max_stale_ms, dice) else {
                return;
            };
            match store(host, &rules.name, &failed, cas) {
                Ok(()) => {
                    self.take_over(host, rules, remote, &failed, now);
                    self.tell(host, remote, KeysTold::Failed(why), &failed, now);
                    if failed.told_stale && !control.told_stale {
                        self.tell(host, remote, KeysTold::TooStale, &failed, now);
                    }
                    return;
                }
                Err(HostError::CasMismatch) => {}
                Err(_) => return,
            }
        }
    }

    fn tell(&self, host: &Host, remote: &Remote, told: KeysTold, control: &Control, now: u64) {
        let wall_ms = host.wall_ns().unwrap_or(0) / NS_PER_MS;
        let age_ms = (control.stamp != 0).then(|| now.saturating_sub(control.fetched));
        let line = telemetry::keys_event(&telemetry::KeysEvent {
            told,
            provider: &self.name,
            keys: remote.count(),
            age_s: age_ms.map(|age| age / 1000),
            failures: control.failures,
            next_s: control.next.saturating_sub(now) / 1000,
            wall_ms,
        });
        host.log(told.level(), &line);
    }

    /// An answer came for a fetch of ours; `None`: none came.
    fn answered(
        &mut self,
        host: &Host,
        rules: &RemoteKeys,
        remote: &mut Remote,
        lease: u64,
        text: Result<&[u8], &'static str>,
        now: u64,
    ) {
        let text = match text {
            Ok(text) => text,
            Err(why) => return self.failed(host, rules, remote, lease, why, now),
        };
        let mut probe = Remote::default();
        if let Err(error) = probe.install(lease, text, &rules.rules) {
            return self.failed(host, rules, remote, lease, error.word(), now);
        }
        for _ in 0..TRIES {
            let Ok((control, cas)) = load(host, &rules.name) else {
                return;
            };
            let mut document = Vec::new();
            let same = host.shared_data(&key(&rules.name, DOCUMENT), &mut document);
            let cas_of_document = match same {
                Ok(cas) => cas,
                Err(HostError::NotFound) => u32::MAX,
                Err(_) => return,
            };
            let known = control.stamp != 0;
            let changed = !known || decode_document(&document).is_none_or(|(_, old)| old != text);
            let Some(good) = control.succeeded(lease, changed, now, rules.refresh_ms, dice(host))
            else {
                return;
            };
            if changed
                && host
                    .set_shared_data(
                        &key(&rules.name, DOCUMENT),
                        &encode_document(lease, text),
                        cas_of_document,
                    )
                    .is_err()
            {
                // Somebody else holds the lease by now.
                return;
            }
            match store(host, &rules.name, &good, cas) {
                Ok(()) => {
                    self.take_over(host, rules, remote, &good, now);
                    if control.failures > 0 {
                        self.tell(host, remote, KeysTold::Recovered, &good, now);
                    }
                    if changed {
                        let told = if known {
                            KeysTold::Rotated
                        } else {
                            KeysTold::Loaded
                        };
                        self.tell(host, remote, told, &good, now);
                    }
                    return;
                }
                Err(HostError::CasMismatch) => {}
                Err(_) => return,
            }
        }
    }

    fn show(&mut self, host: &Host, remote: &Remote, control: &Control, now: u64) {
        let Some(meters) = &mut self.meters else {
            return;
        };
        let age = match control.stamp {
            0 => 0,
            _ => now.saturating_sub(control.fetched) / 1000,
        };
        let keys = u64::try_from(remote.count()).unwrap_or(u64::MAX);
        let shown = (age, keys, u64::from(control.failures));
        if meters.shown == Some(shown) {
            return;
        }
        meters.shown = Some(shown);
        // A gauge that cannot be written is lost, not a reason to refuse anybody.
        let _ = host.record(meters.age_s, age);
        let _ = host.record(meters.keys, keys);
        let _ = host.record(meters.failures, u64::from(control.failures));
    }
}

impl KeyMeters {
    fn define(host: &Host, provider: &str) -> Option<Self> {
        let gauge = |what| host.define_gauge(format!("palisade.keys.{provider}.{what}").as_bytes());
        let fetches = format!("palisade.keys.{provider}.fetches");
        Some(Self {
            age_s: gauge("age_s").ok()?,
            keys: gauge("keys").ok()?,
            failures: gauge("failures").ok()?,
            fetches: host.define_counter(fetches.as_bytes()).ok()?,
            shown: None,
        })
    }
}

impl Slot {
    /// Looks after all providers whose keys are fetched: on the tick, and when the policy is new.
    pub(crate) fn look_after_keys(&mut self, host: &Host, waits: &mut Waits, now: u64) {
        let Self {
            engine,
            memory,
            providers,
            ..
        } = self;
        for provider in providers {
            let Some((rules, remote)) = engine
                .policy()
                .tokens
                .remote_of(provider.index)
                .zip(memory.tokens.remote(provider.index))
            else {
                continue;
            };
            let want = remote.take_want().unwrap_or(Want::Schedule);
            // What fails now is tried again on the next tick.
            let _ = provider.look(host, rules, remote, waits, want, now);
        }
    }

    /// Whether a request may wait for a provider's keys, after they were asked for.
    pub(crate) fn hope_for_keys(
        &mut self,
        host: &Host,
        waits: &mut Waits,
        provider: usize,
        now: u64,
    ) -> Hope {
        let rules = self.engine.policy().tokens.remote_of(provider);
        let remote = self.memory.tokens.remote(provider);
        let known = self
            .providers
            .iter_mut()
            .find(|known| known.index == provider);
        let (Some(rules), Some(remote), Some(known)) = (rules, remote, known) else {
            return Hope::None;
        };
        let want = remote.take_want().unwrap_or(Want::Cold);
        let before = (remote.serves(), remote.stamp());
        let until = now.saturating_add(rules.wait_ms);
        let plan = known.look(host, rules, remote, waits, want, now);
        if remote.serves() && before != (remote.serves(), remote.stamp()) {
            return Hope::Now;
        }
        let control = &known.control;
        let first = match plan {
            Ok(Plan::Fetch(taken)) => taken.lease,
            Ok(Plan::InFlight) => control.lease.saturating_add(1),
            Ok(Plan::Later(at)) if at < until => control.lease.saturating_add(1),
            Ok(_) | Err(_) => return Hope::None,
        };
        Hope::Wait(Patience {
            provider,
            until_ms: until,
            known: control.good,
            first,
        })
    }

    /// What to tell a request that waits for a provider's keys; nothing: it goes on waiting.
    pub(crate) fn news_of_keys(&mut self, wait: Patience, now: u64) -> Option<Answer<'static>> {
        let mut providers = self.providers.iter();
        let known = providers.find(|known| known.index == wait.provider)?;
        let serves = self.memory.tokens.remote(wait.provider)?.serves();
        let control = &known.control;
        if serves && control.good > wait.known {
            let after = control.good >= wait.first;
            return Some(Answer::Keys { after });
        }
        let in_flight = now < control.until;
        let hopeless = control.failures > 0 && (serves || control.next >= wait.until_ms);
        (!in_flight && hopeless || wait.until_ms <= now).then_some(Answer::Unanswered)
    }

    /// Takes over what other VMs have fetched already. When the policy is new.
    pub(crate) fn warm(&mut self, host: &Host) {
        let now = host.monotonic_ns().unwrap_or(0) / NS_PER_MS;
        let Self {
            engine,
            memory,
            providers,
            ..
        } = self;
        for provider in providers {
            if let Some(rules) = engine.policy().tokens.remote_of(provider.index)
                && let Some(remote) = memory.tokens.remote(provider.index)
                && let Ok((control, _)) = load(host, &rules.name)
            {
                provider.take_over(host, rules, remote, &control, now);
            }
        }
    }
}

impl Plugin {
    /// The answer to a fetch; `false`: the token is none of ours.
    pub(crate) fn keys_answered(
        &mut self,
        host: &Host,
        token: u32,
        came: bool,
        size: usize,
    ) -> bool {
        let flights = &mut self.waits.flights;
        let Some(flight) = flights.iter().position(|flight| flight.token == token) else {
            return false;
        };
        let Some((name, lease)) = flights
            .get(flight)
            .map(|flight| (flight.name, flight.lease))
        else {
            return false;
        };
        flights.retain(|flight| flight.token != token);
        let Ok(now) = host.monotonic_ns() else {
            return true;
        };
        let now = now / NS_PER_MS;
        let text = if came {
            document(host, size)
        } else {
            Err("no_answer")
        };
        let mut text = Some(text);
        for slot in self.engines.iter_mut().flatten() {
            let Slot {
                engine,
                memory,
                providers,
                ..
            } = slot;
            for provider in providers {
                let Some((rules, remote)) = engine
                    .policy()
                    .tokens
                    .remote_of(provider.index)
                    .zip(memory.tokens.remote(provider.index))
                else {
                    continue;
                };
                if rules.name != name {
                    continue;
                }
                match text.take() {
                    Some(text) => provider.answered(host, rules, remote, lease, text, now),
                    // Of the same URL: takes over what the first has published.
                    None => {
                        let waits = &mut self.waits;
                        let _ = provider.look(host, rules, remote, waits, Want::Schedule, now);
                    }
                }
            }
        }
        self.release(host, now);
        true
    }
}

/// The document of the answer whose callback runs.
fn document(host: &Host, size: usize) -> Result<&[u8], &'static str> {
    let status = host.header(Map::Callout, b":status").ok();
    if status.and_then(parse_status) != Some(200) {
        return Err("status");
    }
    match size {
        0 => Err("empty"),
        1..=MAX_DOCUMENT => host.buffer(Buffer::CalloutBody, size).map_err(|_| "body"),
        _ => Err("size"),
    }
}

fn dice(host: &Host) -> u32 {
    let mut bytes = [0; 4];
    // Without randomness the proxies of a fleet may ask at the same time.
    let _ = host.random(&mut bytes);
    u32::from_le_bytes(bytes)
}

impl KeysTold {
    const fn level(self) -> Level {
        match self {
            Self::Loaded | Self::Rotated | Self::Recovered => Level::Info,
            Self::Failed(_) | Self::TooStale => Level::Warn,
        }
    }
}
