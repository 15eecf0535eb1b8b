//! Engines without a host: policies, requests, a store that several of them share, and who of them runs when.
//!
//! **In:** the text of a policy, a seed. **Out:** decisions.
//! **Invariant:** one VM runs at a time, and the seed alone says which: a run is a function of its seed. VMs change places before
//! each load and each swap, which is every point where one can see what another did.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use palisade_cli::policy_file::{self, Document};
use palisade_engine::engine::{Answer, Engine, Memory, Resumed, Verdict, Wait};
use palisade_engine::env::{
    Cas, Connection, CounterStore, Env, MemoryStore, Outside, StoreError, Worker,
};
use palisade_engine::request::RequestHead;
use palisade_engine::stages::limits::Charges;

use palisade_engine::units::{Monotonic, UnixTime};
use palisade_engine::verdict::Reason;

/// Wall time of all runs: nothing here looks at it.
const WALL: u64 = 1_785_542_400;

/// xorshift64*.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Neighbouring seeds give unlike sequences (splitmix64).
    pub(crate) const fn new(seed: u64) -> Self {
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((state ^ (state >> 31)) | 1)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound.max(1)
    }

    /// From `least` to `most`, both included.
    pub(crate) fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub(crate) fn chance(&mut self, of_256: u64) -> bool {
        self.below(256) < of_256
    }
}

/// The policy in YAML; a policy that is refused ends the suites.
pub(crate) fn engine(policy: &str) -> Engine {
    let document = Document::parse(policy).unwrap_or_else(|error| panic!("{policy}\n{error}"));
    match policy_file::compile(&document.node, &BTreeMap::new()) {
        Ok(policy) => Engine::new(policy),
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            panic!("{policy}\n{}", lines.join("\n"));
        }
    }
}

/// A request, as far as limits look at it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) client: u32,
    pub(crate) header: Option<(&'static str, String)>,
    /// What the upstream answers if it gets there.
    pub(crate) status: u16,
}

impl Asked {
    pub(crate) const fn get(client: u32) -> Self {
        Self {
            method: "GET",
            path: "/",
            client,
            header: None,
            status: 200,
        }
    }
}

/// What was decided.
#[derive(Debug)]
pub(crate) enum Decision {
    /// It goes on; perhaps its response settles something.
    Admitted(Option<Charges>),
    Refused(Reason),
}

impl Decision {
    pub(crate) const fn admitted(&self) -> bool {
        matches!(self, Self::Admitted(_))
    }
}

/// Asks an engine; a body is empty, and nobody answers call-outs.
pub(crate) fn ask<S: Outside>(
    engine: &Engine,
    memory: &mut Memory,
    store: &mut S,
    now: u64,
    asked: &Asked,
) -> Decision {
    let mut fields: Vec<(&[u8], &[u8])> = vec![
        (b":method", asked.method.as_bytes()),
        (b":path", asked.path.as_bytes()),
        (b":authority", b"shop.example.com"),
        (b":scheme", b"https"),
    ];
    if let Some((name, value)) = &asked.header {
        fields.push((name.as_bytes(), value.as_bytes()));
    }
    let head = RequestHead::decode(fields.into_iter());
    let connection = Connection {
        peer: Some(IpAddr::V4(Ipv4Addr::from_bits(asked.client))),
        certificate: None,
    };
    let mut env = environment(store, now);
    let mut verdict = engine.decide_head(&head, connection, true, memory, &mut env);
    while let Verdict::Need(wait, suspended) = verdict {
        let resumed = Resumed {
            answer: match wait {
                Wait::Body { .. } => Answer::Body(b""),
                Wait::Keys { .. } | Wait::Callout { .. } | Wait::Fleet(_) => Answer::Unanswered,
            },
            body: None,
            head: suspended.needs_head().then_some(&head),
            connection,
        };
        verdict = engine.resume(suspended, resumed, memory, &mut env);
    }
    match verdict {
        Verdict::Allow(pass) => Decision::Admitted(pass.settlement),
        Verdict::Deny(refusal) => Decision::Refused(refusal.denial.reason),
        Verdict::Need(..) => panic!("a wait is left"),
    }
}

pub(crate) const fn environment<S>(store: &mut S, now: u64) -> Env<'_, S> {
    Env {
        now: Monotonic(now),
        wall: UnixTime(WALL),
        counters: store,
    }
}

/// Whose turn it is.
#[derive(Debug)]
pub(crate) struct Turns {
    state: Mutex<State>,
    wake: Vec<Condvar>,
}

#[derive(Debug)]
struct State {
    running: usize,
    alive: Vec<bool>,
    random: Random,
    /// How often of 256 a point changes who runs.
    switch: u64,
    switches: u64,
}

impl State {
    /// Somebody alive, anybody.
    fn draw(&mut self) -> Option<usize> {
        let alive: Vec<usize> = (0..self.alive.len()).filter(|at| self.alive[*at]).collect();
        if alive.is_empty() {
            return None;
        }
        let at = self.random.below(u64::try_from(alive.len()).unwrap_or(1));
        alive.get(usize::try_from(at).unwrap_or(0)).copied()
    }
}

impl Turns {
    pub(crate) fn new(vms: usize, mut random: Random) -> Self {
        let switch = [8, 64, 128, 224, 256][usize::try_from(random.below(5)).unwrap_or(0)];
        Self {
            state: Mutex::new(State {
                running: 0,
                alive: vec![true; vms],
                random,
                switch,
                switches: 0,
            }),
            wake: (0..vms).map(|_| Condvar::new()).collect(),
        }
    }

    /// How often somebody else went on.
    pub(crate) fn switches(&self) -> u64 {
        self.lock().switches
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the first turn; the guard ends the last one, also when its thread panics.
    pub(crate) fn join(&self, me: usize) -> Turn<'_> {
        self.wait(me, self.lock());
        Turn { turns: self, me }
    }

    fn wait(&self, me: usize, mut state: MutexGuard<'_, State>) {
        while state.running != me {
            state = self.wake[me]
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A point where another may go on.
    pub(crate) fn point(&self, me: usize) {
        let mut state = self.lock();
        let switch = state.switch;
        if !state.random.chance(switch) {
            return;
        }
        let Some(next) = state.draw().filter(|next| *next != me) else {
            return;
        };
        state.running = next;
        state.switches += 1;
        self.wake[next].notify_one();
        self.wait(me, state);
    }
}

/// A VM's part in the turns.
#[derive(Debug)]
pub(crate) struct Turn<'t> {
    turns: &'t Turns,
    me: usize,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        state.alive[self.me] = false;
        if let Some(next) = state.draw() {
            state.running = next;
            self.turns.wake[next].notify_one();
        }
    }
}

/// The shared store as one VM sees it.
#[derive(Debug)]
pub(crate) struct Shared<'s> {
    pub(crate) store: &'s Mutex<MemoryStore>,
    pub(crate) turns: &'s Turns,
    pub(crate) me: usize,
    pub(crate) worker: Worker,
    /// Draws which swaps are lost although nobody wrote.
    pub(crate) random: Random,
    pub(crate) lose: u64,
}

impl Shared<'_> {
    fn lock(&self) -> MutexGuard<'_, MemoryStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outside for Shared<'_> {
    fn worker(&mut self) -> &mut Worker {
        &mut self.worker
    }
}

impl CounterStore for Shared<'_> {
    fn load(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<Cas, StoreError> {
        self.turns.point(self.me);
        self.lock().load(key, out)
    }

    fn compare_and_swap(&mut self, key: &[u8], value: &[u8], cas: Cas) -> Result<(), StoreError> {
        self.turns.point(self.me);
        if self.random.chance(self.lose) {
            return Err(StoreError::CasMismatch);
        }
        self.lock().compare_and_swap(key, value, cas)
    }
}

/// The store as one VM sees it when the others are done.
#[derive(Debug)]
pub(crate) struct Alone<'s> {
    pub(crate) store: &'s mut MemoryStore,
    pub(crate) worker: &'s mut Worker,
}

impl Outside for Alone<'_> {
    fn worker(&mut self) -> &mut Worker {
        self.worker
    }
}

impl CounterStore for Alone<'_> {
    fn load(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<Cas, StoreError> {
        self.store.load(key, out)
    }

    fn compare_and_swap(&mut self, key: &[u8], value: &[u8], cas: Cas) -> Result<(), StoreError> {
        self.store.compare_and_swap(key, value, cas)
    }
}

/// The most of `times` (ascending) that lie in any span of `window`: what no limit may be beyond.
pub(crate) fn worst(times: &[u64], window: u64) -> u64 {
    let mut from = 0;
    let mut most = 0;
    for (at, time) in times.iter().enumerate() {
        while times[from] + window <= *time {
            from += 1;
        }
        most = most.max(at - from + 1);
    }
    u64::try_from(most).unwrap_or(u64::MAX)
}

/// How many of `demand` (ascending times) an exact limiter admits.
pub(crate) fn greedy(demand: &[u64], quota: u64, window: u64) -> u64 {
    let quota = usize::try_from(quota).unwrap_or(usize::MAX);
    let mut admitted: Vec<u64> = Vec::new();
    for now in demand {
        let held = admitted.len().checked_sub(quota).map(|at| admitted[at]);
        if quota > 0 && held.is_none_or(|oldest| oldest + window <= *now) {
            admitted.push(*now);
        }
    }
    u64::try_from(admitted.len()).unwrap_or(u64::MAX)
}
